"""Which columns a list of runs has.

A run may have hundreds of params and metrics, and a screen has room for ten. What tells runs apart is what varies
and what somebody declared a goal for; the rest waits until it is named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gittrack.errors import UsageError
from gittrack.model import SYSTEM, Goal, Metric, Run
from gittrack.query import fields

SAMPLE = 500  # of a long list the first runs decide, so that its first page need not wait for the last run
MOST_METRICS = 6  # of those without a goal
MOST_PARAMS = 12
_WITH_GOAL = ("last", "min", "max", "best", "mean")  # the others are no results
_NAME = re.compile(r"""(?:\[\s*(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*\]|[^,])+""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `name` as `--columns` has it, `head` as people read it.

    `rank`: where there is little room, columns of a smaller rank stay longer. `goal` marks the best value. `param`
    and `metric` are set where the column is exactly that param or the shown value of that metric."""

    name: str
    head: str
    rank: int
    goal: Goal | None = None
    param: str | None = None
    metric: str | None = None

    def value(self, run: Run, params: Mapping[str, Any]) -> Any:
        """Returns the run's value, None if it has none; `params` are the run's, flat."""
        if self.param is not None:
            return params.get(self.param)
        if self.metric is not None:
            return shown(run.metrics.get(self.metric), self.goal)
        return fields.field_of(run, self.name)


def shown(metric: Metric | None, goal: Goal | None) -> float | None:
    """Returns the value that stands for a metric: the one nearest the goal, without a goal the last."""
    if metric is None:
        return None
    return metric.max if goal == "max" else metric.min if goal == "min" else metric.last


def chosen(runs: Sequence[Run], order: Sequence[str] = ()) -> list[Column]:
    """Returns the columns that tell these runs apart, in the order they are read.

    Those are metrics with a goal, a few others (none of the machine's own), and the params that vary; and what the runs
    are sorted by, where the column of its metric shows another statistic."""
    sample = runs[:SAMPLE]
    twins = len({run.name for run in sample}) < len(sample)  # then only ids tell which is which
    has_code = any(run.code.commit or run.code.dirty for run in sample)
    return [
        Column("name", "NAME", 0),
        Column("id", "ID", 2 if twins else 210),
        Column("status", "STATUS", 1),
        Column("created", "CREATED", 211),
        Column("duration", "TIME", 290),
        *([Column("code", "CODE", 300)] if has_code else []),
        *([Column("group", "GROUP", 280)] if _differs([run.group for run in sample]) else []),
        *_sorting_columns(sample, order),
        *_metric_columns(sample),
        *_param_columns(sample),
        *([Column("tags", "TAGS", 270)] if any(run.tags for run in sample) else []),
    ]


def _sorting_columns(runs: Sequence[Run], order: Sequence[str]) -> list[Column]:
    aims = goals(runs)
    found = [field for field, _ in map(fields.order, order) if field.of == "metrics"]
    shown = {name: "best" if aims.get(name) else "last" for name in _metrics(runs)}
    return [
        Column(f"{full('metrics', name)}.{statistic}", f"{name}.{statistic}", 99, aims.get(name))
        for _, name, statistic in found
        if statistic != shown.get(name)
    ]


def _metric_columns(runs: Sequence[Run]) -> list[Column]:
    aims = goals(runs)
    names = _metrics(runs)
    aimed = sorted(name for name in names if aims.get(name))
    others = [name for name in names if not aims.get(name)][:MOST_METRICS]
    # The first few goals are what the reader came for; without any, the first of the others may be.
    ranks = [*range(100, 103), *range(150, 150 + len(aimed))][: len(aimed)]
    ranks += [*(() if aimed else (160, 161)), 204, *range(240, 260)][: len(others)]
    return [
        Column(full("metrics", name), name, rank, aims.get(name), metric=name)
        for name, rank in zip([*aimed, *others], ranks, strict=True)
    ]


def _param_columns(runs: Sequence[Run]) -> list[Column]:
    names = _varying(runs)[:MOST_PARAMS]
    ranks = [*range(200, 204), *range(220, 240)]
    return [
        Column(full("params", name), name, rank, param=name)
        for name, rank in zip(names, ranks[: len(names)], strict=True)
    ]


def full(of: str, name: str) -> str:
    """Returns how a param or a metric is called among fields: in quotes where its name would mean something else."""
    text = f"{of}.{name}"
    plain = not set(name) & set(",[*?") and name == name.strip() != ""
    if plain and fields.field(text)[:2] == (of, name) and fields.field(text).statistic in ("", "last"):
        return text
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'{of}["{quoted}"]'


def without(runs: Sequence[Run], taken: Sequence[Column]) -> list[str]:
    """Returns the metrics and varying params of these runs that have no column, as `--columns` calls them."""
    sample = runs[:SAMPLE]
    names = {column.name for column in taken}
    others = [
        *(full("params", name) for name in _varying(sample)),
        *(full("metrics", name) for name in _metrics(sample)),
    ]
    return [name for name in others if name not in names]


def _varying(runs: Sequence[Run]) -> list[str]:
    """Returns the params that vary; those that more runs have first, else in the order that the script has them."""
    flats = [run.flat_params for run in runs]
    counted = Counter(name for flat in flats for name in flat)
    names = [name for name in counted if len(flats) == 1 or _differs([flat.get(name) for flat in flats])]
    return sorted(names, key=lambda name: -counted[name])


def _metrics(runs: Sequence[Run]) -> list[str]:
    """Returns the metrics but the machine's own; those that more runs have first."""
    counted = Counter(name for run in runs for name in run.metrics if not name.startswith(SYSTEM))
    return sorted(counted, key=lambda name: (-counted[name], name))


def _differs(values: Sequence[Any]) -> bool:
    """Tells whether any two are not the same; 1 and True are two things, NaN and NaN are one."""
    first, kind = values[0], type(values[0])
    text = repr(first)
    return any((type(value) is not kind or value != first) and repr(value) != text for value in values)


def goals(runs: Iterable[Run]) -> dict[str, Goal | None]:
    """Returns the goal of each metric that one is declared for; None where runs declare different ones."""
    found: dict[str, Goal | None] = {}
    for run in runs:
        for name, metric in run.metrics.items():
            if metric.goal:
                found[name] = metric.goal if found.get(name, metric.goal) == metric.goal else None
    return found


def split(text: str) -> list[str]:
    """Returns the names that stand in a list with commas; a comma in brackets and quotes belongs to its name."""
    return [name for part in _NAME.findall(text) if (name := part.strip())]


def sorting(text: str) -> list[str]:
    """Returns the fields that `--sort` names, a `-` in front for downwards; raises UsageError for what is none."""
    names = split(text)
    for name in names:
        fields.order(name)
    return names


def named(text: str, runs: Sequence[Run]) -> list[Column]:
    """Returns the columns that `--columns` names, each once; raises UsageError for a name that is no field.

    `*` and `?` stand for any letters of a param's or metric's name."""
    aims = goals(runs[:SAMPLE])
    names = dict.fromkeys(full for name in split(text) for full in _expanded(name, runs[:SAMPLE]))
    columns = [Column(name, name, at, _goal(name, aims), param=_param(name)) for at, name in enumerate(names)]
    if not columns and not split(text):
        raise UsageError("no columns are named", hint="as in --columns name,params.lr,metrics.loss.min")
    return columns


def _param(name: str) -> str | None:
    wanted = fields.field(name)
    return wanted.name if wanted.of == "params" else None


def _expanded(name: str, runs: Sequence[Run]) -> Iterator[str]:
    kind, dot, pattern = name.partition(".")
    if not dot or kind not in ("params", "metrics") or not set("*?") & set(pattern) or "[" in pattern:
        fields.field(name)  # raises for what is no field, where there are no runs too
        yield name
        return
    if kind == "params":
        having = dict.fromkeys(key for run in runs for key in run.flat_params)
        yield from (full("params", key) for key in having if _fits(key, pattern))
        return
    having = dict.fromkeys(sorted(key for run in runs for key in run.metrics))
    if not pattern.startswith(SYSTEM):
        having = dict.fromkeys(key for key in having if not key.startswith(SYSTEM))
    head, _, statistic = pattern.rpartition(".")
    for key in having:
        if statistic in fields.STATISTICS and _fits(key, head):
            yield f"{full('metrics', key)}.{statistic}"
        elif _fits(key, pattern):
            yield full("metrics", key)


def _fits(text: str, pattern: str) -> bool:
    parts = ("." if char == "?" else ".*" if char == "*" else re.escape(char) for char in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def _goal(name: str, aims: Mapping[str, Goal | None]) -> Goal | None:
    """Returns the goal of the metric that a column is of, where its statistic is a result."""
    wanted = fields.field(name)
    return aims.get(wanted.name) if wanted.of == "metrics" and wanted.statistic in _WITH_GOAL else None


def best(values: Iterable[Any], goal: Goal | None) -> float | None:
    """Returns the best of several values by a goal; None without one, or where no two of them differ."""
    if goal is None:
        return None
    numbers = {value for value in values if isinstance(value, int | float) and value == value}
    if len(numbers) < 2:
        return None
    return max(numbers) if goal == "max" else min(numbers)
