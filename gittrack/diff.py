"""What differs between runs, as values; needs no repository."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gittrack.model import SYSTEM, Goal, Run


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that differs: its name, and the value each run has (None where it has none).

    `best` is the place of the run that is best by the goal, where there is one."""

    name: str
    values: tuple[Any, ...]
    goal: Goal | None = None
    best: int | None = None

    @property
    def worst(self) -> int | None:
        """The place of the one run that is worst by the goal, of three or more; NaN is worse than any number."""
        numbers = [(value, at) for at, value in enumerate(self.values) if value is not None]
        if self.goal is None or len(numbers) < 3:
            return None
        chosen = min if self.goal == "max" else max
        bad = [at for value, at in numbers if value != value]
        bad = bad or [at for value, at in numbers if value == chosen(number for number, _ in numbers)]
        return bad[0] if len(bad) == 1 else None


@dataclass(frozen=True, slots=True)
class Change:
    """How a number went from one run to another: by how much, by how many percent where that means something.

    `better` says whether it went towards the goal; None without a goal."""

    by: float
    percent: float | None
    better: bool | None


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between runs, by kind; rows that are the same everywhere are counted, not listed."""

    params: tuple[Row, ...]
    metrics: tuple[Row, ...]
    code: tuple[Row, ...]
    environment: tuple[Row, ...]
    artifacts: tuple[Row, ...]
    same_params: int = 0
    same_metrics: int = 0
    same_environment: int = 0
    same_artifacts: int = 0

    def __bool__(self) -> bool:
        return bool(self.params or self.metrics or self.code or self.environment or self.artifacts)


def rows(each: Sequence[Mapping[str, Any] | None]) -> tuple[tuple[Row, ...], int]:
    """Returns a row for each name whose value differs between the mappings, and how many do not.

    A mapping that is None is not known, and differs from none."""
    known = [one for one in each if one is not None]
    names = sorted({name for one in known for name in one})
    # A value of None is another thing than no value.
    differing = [
        name
        for name in names
        if not (_all_same([one.get(name) for one in known]) and _all_same([name in one for one in known]))
    ]
    made = (Row(name, tuple(None if one is None else one.get(name) for one in each)) for name in differing)
    return tuple(made), len(names) - len(differing)


def _all_same(values: Sequence[Any]) -> bool:
    """Tells whether all are equal; 1 and True are not, and NaN equals itself."""
    return all(repr(value) == repr(values[0]) for value in values)


def metric_rows(runs: Sequence[Run]) -> tuple[tuple[Row, ...], int]:
    """Returns a row for each metric whose value (best with a goal, else last) differs, with the best run marked."""
    found = []
    names = sorted({name for run in runs for name in run.metrics if not name.startswith(SYSTEM)})
    for name in names:
        metrics = [run.metrics.get(name) for run in runs]
        goal = next((metric.goal for metric in metrics if metric and metric.goal), None)
        values = tuple(
            None if metric is None else (getattr(metric, goal) if goal else metric.last) for metric in metrics
        )
        if not _all_same(values):
            found.append(Row(name, values, goal, _best(values, goal)))
    found.sort(key=lambda row: row.goal is None)  # what somebody aims for comes first
    return tuple(found), len(names) - len(found)


def _best(values: Sequence[float | None], goal: Goal | None) -> int | None:
    numbers = [(value, at) for at, value in enumerate(values) if value is not None and value == value]
    if goal is None or len(numbers) < 2:
        return None
    chosen = (max if goal == "max" else min)(value for value, _ in numbers)
    holders = [at for value, at in numbers if value == chosen]
    return holders[0] if len(holders) == 1 else None


def change(row: Row) -> Change | None:
    """Returns how a number went from the first run to the last; None where one of the two is no finite number.

    A percentage means something where both numbers have one sign."""
    old, new = row.values[0], row.values[-1]
    if not all(type(value) in (int, float) and math.isfinite(value) for value in (old, new)):
        return None
    by = new - old
    better = None if row.goal is None else (by > 0) == (row.goal == "max")
    return Change(by, 100 * by / abs(old) if old * new > 0 else None, better)


def code_rows(runs: Sequence[Run]) -> tuple[Row, ...]:
    """Returns what differs of the code: commit, branch, uncommitted changes."""
    each = [
        {
            "commit": run.code.commit,
            "branch": run.code.branch,
            "snapshot": run.code.snapshot if run.code.dirty else None,
        }
        for run in runs
    ]
    return rows(each)[0]


def compare(
    runs: Sequence[Run],
    *,
    environments: Sequence[Mapping[str, Any] | None],
    artifacts: Sequence[Mapping[str, str] | None],
) -> Difference:
    """Returns what differs between runs; environments are flat, artifacts map a path to its digest.

    Those of a run that is still recorded are not known yet: None."""
    params, same_params = rows([run.flat_params for run in runs])
    metrics, same_metrics = metric_rows(runs)
    environment, same_environment = rows(environments)
    files, same_artifacts = rows(artifacts)
    return Difference(
        params=params,
        metrics=metrics,
        code=code_rows(runs),
        environment=environment,
        artifacts=files,
        same_params=same_params,
        same_metrics=same_metrics,
        same_environment=same_environment,
        same_artifacts=same_artifacts,
    )
