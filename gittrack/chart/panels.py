"""From the histories of runs to the charts that are drawn: which curve stands in which chart, and what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gittrack.chart import curves as curving
from gittrack.chart.curves import BandKind, Curve
from gittrack.model import History, Run
from gittrack.refname import RunId
from gittrack.terminal import printable

MAX_GRID = 2000  # xs at which curves of unlike runs are averaged, where no other number is asked for


class Plan(NamedTuple):
    """What is asked for: see `git track plot -h`.

    points: at most so many a curve, None for all; group_of: the label of a run's group, None where there are none."""

    metrics: Sequence[str]
    x: str = "step"
    smooth: float = 0.0
    log_x: bool = False
    log_y: bool = False
    band: BandKind | None = None
    group_of: Callable[[Run], str] | None = None
    overlay: bool = False
    points: int | None = None


class Chart(NamedTuple):
    """One pair of axes; `curves` has a place for every line of the legend, None where this chart has none of it."""

    title: str
    curves: Sequence[Curve | None]


@dataclass(slots=True)
class Panels:
    """What is drawn: charts, the legend they share, the runs of each line of it, and what a person is warned of."""

    charts: list[Chart] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    runs: list[list[RunId]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def panels_of(
    histories: Mapping[RunId, History], runs: Sequence[Run], began: Sequence[float | None], plan: Plan
) -> Panels:
    """Returns the charts of runs with their histories; began: when each run did, in Unix seconds."""
    made = Panels(labels=names_of(runs), runs=[[run.id] for run in runs])
    grouped = bool(plan.band or plan.group_of)
    rows: list[tuple[str, list[Curve | None]]] = []  # a metric, and its curve of each run
    for metric in plan.metrics:
        found: list[Curve | None] = []
        for run, label, start in zip(runs, made.labels, began, strict=True):
            try:
                curve = curving.curve_of(histories[run.id], metric, x=plan.x, began=start, label=label)
            except KeyError:
                found.append(None)
            else:
                found.append(curving.smoothed(curve, plan.smooth))
        _tell_missing(made, metric, found, plan)
        rows.append((metric, _drawable(made, metric, found, log_x=plan.log_x, log_y=plan.log_y and not grouped)))
    if grouped:
        rows = _banded(made, rows, runs, plan)
    if plan.points is not None:
        points, log_x = plan.points, plan.log_x
        rows = [(metric, [c and curving.thin(c, points, log_x=log_x) for c in found]) for metric, found in rows]
    if plan.overlay and len(rows) > 1:
        _overlay(made, rows)
    else:
        made.charts = [Chart(printable(metric), found) for metric, found in rows]
    return made


def names_of(runs: Sequence[Run]) -> list[str]:
    """Returns what to call each run: its name, with the beginning of its id where several have that name."""
    often = Counter(run.name for run in runs)
    return [printable(run.name) + (f" {run.id[:8]}" if often[run.name] > 1 else "") for run in runs]


def _tell_missing(made: Panels, metric: str, found: Sequence[Curve | None], plan: Plan) -> None:
    missing = sum(1 for curve in found if curve is None or not len(curve.xs))
    if missing:
        over = f" over '{plan.x}'" if plan.x not in ("step", "time") else ""
        made.warnings.append(f"{missing} of {len(found)} run(s) have no points of '{metric}'{over}")


def _banded(
    made: Panels, rows: Sequence[tuple[str, list[Curve | None]]], runs: Sequence[Run], plan: Plan
) -> list[tuple[str, list[Curve | None]]]:
    """Returns a curve a group in place of a curve a run, and puts the groups into the legend."""
    groups: dict[str, list[int]] = {}
    for at, run in enumerate(runs):
        groups.setdefault(plan.group_of(run) if plan.group_of else "mean", []).append(at)
    made.labels = [f"{label} (n={len(members)})" for label, members in groups.items()]
    made.runs = [[runs[at].id for at in members] for members in groups.values()]
    kind, points = plan.band or "std", plan.points or MAX_GRID
    banded: list[tuple[str, list[Curve | None]]] = []
    for metric, found in rows:
        means: list[Curve | None] = []
        for label, members in zip(made.labels, groups.values(), strict=True):
            own = [curve for at in members if (curve := found[at]) is not None and len(curve.xs)]
            axes = {"log_x": plan.log_x, "log_y": plan.log_y}
            means.append(curving.band(own, label, kind=kind, points=points, **axes) if own else None)
        banded.append((metric, _drawable(made, metric, means, log_x=False, log_y=plan.log_y)))
    return banded


def _drawable(
    made: Panels, metric: str, found: Sequence[Curve | None], *, log_x: bool, log_y: bool
) -> list[Curve | None]:
    """Returns curves with only what can be drawn; says what is left out."""
    kept: list[Curve | None] = []
    gaps, below = [], []
    for curve in found:
        if curve is None:
            kept.append(None)
            continue
        rest, infinite, misplaced = curving.drawable(curve, log_x=log_x, log_y=log_y)
        kept.append(rest)
        gaps += [infinite] if infinite else []
        below += [misplaced] if misplaced else []
    said = ((gaps, "not finite: gaps are left"), (below, "left out: a logarithmic axis begins above zero"))
    for counts, why in said:
        if counts:
            where = f" in {len(counts)} curves" if len(counts) > 1 else ""
            made.warnings.append(f"{sum(counts)} value(s) of '{metric}'{where} are {why}")
    return kept


def _overlay(made: Panels, rows: Sequence[tuple[str, list[Curve | None]]]) -> None:
    """Puts all metrics into one chart, with a line of the legend for each curve."""
    found = [
        (f"{printable(metric)}  {label}" if len(made.labels) > 1 else printable(metric), curve, runs)
        for metric, curves in rows
        for label, curve, runs in zip(made.labels, curves, made.runs, strict=True)
        if curve is not None
    ]
    made.labels, made.runs = [label for label, _, _ in found], [runs for _, _, runs in found]
    made.charts = [Chart(", ".join(printable(metric) for metric, _ in rows), [curve for _, curve, _ in found])]
