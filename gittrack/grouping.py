"""Runs that share a param, taken as one: the mean over seeds, and how far it can be trusted.

One run says little about a setting; three seeds of it say something. What one run cannot say (a spread) is never
shown as a number."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gittrack import columns, student
from gittrack.columns import Column
from gittrack.errors import UsageError
from gittrack.model import Goal, Run
from gittrack.query import fields

_CALL = re.compile(r"(\w+)\((.+)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Measure:
    """What is summed up: a field of runs that is a number, under its full name (`metrics.val/acc.max`)."""

    name: str
    head: str
    column: Column
    goal: Goal | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """The runs that agree in the fields they are grouped by; `values[i]` are the numbers of measure i."""

    key: tuple[Any, ...]
    runs: tuple[Run, ...]
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Grouped:
    """Groups of runs, with the fields they are grouped by, what is measured, and the aggregates that are asked for."""

    by: tuple[str, ...]
    measures: tuple[Measure, ...]
    agg: tuple[str, ...]
    groups: tuple[Group, ...]


def gather(runs: Sequence[Run], by: Sequence[str], measures: Sequence[Measure]) -> list[Group]:
    """Returns the groups of runs, by rising values of what they are grouped by; what is missing comes last.

    1 and 1.0 are one value, 1 and True are two, NaN is one value. Raises UsageError for a name that is no field."""
    members: dict[tuple[Any, ...], list[tuple[Run, dict[str, Any]]]] = {}
    keys: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for run in runs:
        params = run.flat_params
        key = tuple(_member(run, params, name) for name in by)
        order = tuple(_order(value) for value in key)
        keys.setdefault(order, key)
        members.setdefault(order, []).append((run, params))
    return [
        Group(
            key=keys[order],
            runs=tuple(run for run, _ in members[order]),
            values=tuple(_numbers(measure.column, members[order]) for measure in measures),
        )
        for order in sorted(keys)
    ]


def _member(run: Run, params: Mapping[str, Any], name: str) -> Any:
    """Returns a run's value of what is grouped by; no tags are none."""
    wanted = fields.field(name)
    value = params.get(wanted.name) if wanted.of == "params" else fields.field_of(run, name)
    return None if wanted.name == "tags" and value == "" else value


def _numbers(column: Column, runs: Iterable[tuple[Run, Mapping[str, Any]]]) -> tuple[float, ...]:
    values = (column.value(run, params) for run, params in runs)
    return tuple(_double(value) for value in values if isinstance(value, int | float))


def _order(value: Any) -> tuple[int, float, str]:
    """Returns what a value is told apart and sorted by: numbers, then texts, then the rest, then nothing."""
    if value is None:
        return (5, 0.0, "")
    if isinstance(value, bool):
        return (0, float(value), "")
    if isinstance(value, int | float):
        if value != value:
            return (2, 0.0, "")
        return (1, _double(value), repr(value) if isinstance(value, int) and abs(value) > 2**53 else "")
    return (3, 0.0, value) if isinstance(value, str) else (4, 0.0, repr(value))


def _double(value: float) -> float:
    """Returns a number as a double; an integer beyond all doubles is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def measures_of(runs: Sequence[Run], chosen: Sequence[Column]) -> list[Measure]:
    """Returns the measures that columns stand for; raises UsageError for a column that is no number in any run."""
    found = []
    for column in chosen:
        name = column.name if column.metric is None else f"{column.name}.{column.goal or 'last'}"
        found.append(Measure(name, column.head, column, column.goal))
        values = [column.value(run, run.flat_params) for run in runs]
        if any(value is not None for value in values) and not any(isinstance(value, int | float) for value in values):
            raise UsageError(
                f"'{column.name}' is no number, so there is no mean of it",
                hint="name metrics or params that are numbers, as in --columns metrics.loss.min",
            )
    return found


# Aggregates ---------------------------------------------------------------------------------------------------------


def mean(values: Sequence[float]) -> float | None:
    """Returns the arithmetic mean, None of nothing; NaN where a value is."""
    return _mean(values) if values else None


def _mean(values: Sequence[float]) -> float:
    try:
        return math.fsum(values) / len(values)
    except (OverflowError, ValueError):  # beyond what a double holds, and infinities of both signs
        return sum(values) / len(values)


def std(values: Sequence[float]) -> float | None:
    """Returns the standard deviation of a sample (divided by n - 1); None for less than two values.

    NaN where a value is not finite, for there is no distance to an infinity."""
    if len(values) < 2:
        return None
    middle = _mean(values)
    if not math.isfinite(middle):
        return math.nan
    widest = max(abs(value - middle) for value in values)
    if not widest or not math.isfinite(widest):
        return widest
    scaled = [(value - middle) / widest for value in values]  # whose squares neither vanish nor overflow
    return widest * math.sqrt(math.fsum(value * value for value in scaled) / (len(values) - 1))


def ci(values: Sequence[float]) -> float | None:
    """Returns half the width of the 95 % confidence interval of the mean; None for less than two values.

    By Student's t with n - 1 degrees of freedom, which takes the values as drawn from one normal distribution."""
    spread = std(values)
    return None if spread is None else student.quantile(len(values) - 1) * spread / math.sqrt(len(values))


def low(values: Sequence[float]) -> float | None:
    """Returns the smallest value, None of nothing; NaN where a value is."""
    return _unless_nan(values, min)


def high(values: Sequence[float]) -> float | None:
    """Returns the greatest value, None of nothing; NaN where a value is."""
    return _unless_nan(values, max)


def median(values: Sequence[float]) -> float | None:
    """Returns the middle value, or the mean of the two; None of nothing; NaN where a value is."""
    return _unless_nan(values, _middle)


def _middle(values: Iterable[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2 or ordered[half] == ordered[half - 1]:  # two equal infinities too
        return ordered[half]
    return ordered[half - 1] / 2 + ordered[half] / 2


def _unless_nan(values: Sequence[float], chosen: Callable[[Iterable[float]], float]) -> float | None:
    if any(value != value for value in values):
        return math.nan
    return chosen(values) if values else None


AGGREGATES: dict[str, Callable[[Sequence[float]], float | None]] = {
    "mean": mean,
    "std": std,
    "ci": ci,
    "min": low,
    "max": high,
    "median": median,
    "count": len,
}
DEFAULT = "mean,std,count"


def aggregates(text: str) -> list[str]:
    """Returns the aggregates that `--agg` names, each once; raises UsageError for one that is none."""
    names = list(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    unknown = next((name for name in names if name not in AGGREGATES), None)
    if unknown or not names:
        raise UsageError(f"'{unknown or text}' is no aggregate", hint="aggregates: " + ", ".join(AGGREGATES))
    return names


def arranged(
    groups: Sequence[Group], by: Sequence[str], measures: Sequence[Measure], *, sort: str, agg: Sequence[str]
) -> list[Group]:
    """Returns the groups sorted by fields they are grouped by, `count` (of runs), or aggregates.

    `metrics.x` stands for the first of the aggregates of the shown value, `std(metrics.x)` for another. A `-` in
    front reverses; missing values come last in both directions. Raises UsageError for what is none of these."""
    found = list(groups)
    for word in reversed(columns.split(sort)):
        down, value_of = word.startswith("-"), _sorting(word.removeprefix("-"), by, measures, agg)
        present = [group for group in found if _order(value_of(group))[0] not in (2, 5)]
        present.sort(key=lambda group, value_of=value_of: _order(value_of(group)), reverse=down)  # type: ignore[misc]
        found = present + [group for group in found if _order(value_of(group))[0] in (2, 5)]
    return found


def _sorting(name: str, by: Sequence[str], measures: Sequence[Measure], agg: Sequence[str]) -> Callable[[Group], Any]:
    if name in by:
        return lambda group: group.key[by.index(name)]
    if name in ("count", "runs"):
        return lambda group: len(group.runs)
    call = _CALL.fullmatch(name)
    kind, field = (call[1], call[2]) if call and call[1] in AGGREGATES else (agg[0], name)
    for at, measure in enumerate(measures):
        if measure.name == field or measure.name.startswith(f"{field}.") or field == f"{measure.column.name}.best":
            return lambda group: AGGREGATES[kind](group.values[at])
    known = [*by, "count", *(measure.column.name for measure in measures[:3])]
    raise UsageError(f"groups cannot be sorted by '{name}'", hint=f"sort by: {', '.join(known)}")
