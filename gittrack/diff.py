"""What differs between runs, as values; needs no repository."""

from __future__ import annotations

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

    def __bool__(self) -> bool:
        return bool(self.params or self.metrics or self.code or self.environment or self.artifacts)


def rows(each: Sequence[Mapping[str, Any]]) -> tuple[tuple[Row, ...], int]:
    """Returns a row for each name whose value differs between the mappings, and how many do not."""
    names = sorted({name for one in each for name in one})
    made = [Row(name, tuple(one.get(name) for one in each)) for name in names]
    # A value of None is another thing than no value.
    differing = tuple(
        row for row in made if not (_all_same(row.values) and _all_same([row.name in one for one in each]))
    )
    return differing, len(made) - len(differing)


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
    return tuple(found), len(names) - len(found)


def _best(values: Sequence[float | None], goal: Goal | None) -> int | None:
    numbers = [(value, at) for at, value in enumerate(values) if value is not None and value == value]
    if goal is None or len(numbers) < 2:
        return None
    chosen = (max if goal == "max" else min)(value for value, _ in numbers)
    holders = [at for value, at in numbers if value == chosen]
    return holders[0] if len(holders) == 1 else None


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
    runs: Sequence[Run], *, environments: Sequence[Mapping[str, Any]], artifacts: Sequence[Mapping[str, str]]
) -> Difference:
    """Returns what differs between runs; environments are flat, artifacts map a path to its digest."""
    params, same_params = rows([run.flat_params for run in runs])
    metrics, same_metrics = metric_rows(runs)
    return Difference(
        params=params,
        metrics=metrics,
        code=code_rows(runs),
        environment=rows(environments)[0],
        artifacts=rows(artifacts)[0],
        same_params=same_params,
        same_metrics=same_metrics,
    )
