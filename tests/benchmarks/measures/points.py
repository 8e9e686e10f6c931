"""How long it takes until a curve is an array: one of a million points, and fifty to be drawn over each other."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

import report
from runner import WorkFailedError

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Bench
    from tools import Installed

POINTS = 1_000_000
RUNS, SHORT, DRAWN = 50, 2_000, 500
COLD_MS, AFTER_MS = 150, 30
SLOW_S = 5
NOTES = {
    "gittrack": f"{DRAWN} points of each of {RUNS}: least and greatest in each part",
    "tensorboardX": f"TensorBoard reads; {DRAWN} points of each of {RUNS}, drawn by lot",
    "mlflow": f"get_metric_history, filled by SQL; all points of each of {RUNS}: there is no way to ask for fewer",
}


@dataclass(frozen=True)
class Store:
    """A tool with one long curve in one folder, and many short ones in another."""

    tool: Installed
    long: Path
    short: Path


@dataclass
class Laps:
    """What the processes of one tool measured, in seconds and bytes."""

    cold: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    process: list[float] = field(default_factory=list)
    many: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)
    rows: int = 0


def measure(bench: Bench) -> report.Table:
    """Records the curves with each tool, and has each read them in new processes, in turns."""
    points, short, processes = bench.size(POINTS, 20_000), bench.size(SHORT, 1_000), bench.size(5, 2)
    stores = {tool.name: store for tool in bench.taking("points") if (store := recorded(bench, tool, points, short))}
    found = {name: Laps() for name in stores}
    for turn in range(processes):
        for name, store in list(stores.items()):
            if found[name].cold and max(found[name].cold) > SLOW_S:
                continue  # once is enough to see that
            bench.say(f"points: process {turn + 1} of {processes}, {name}")
            try:
                one(bench, store, points, found[name])
                many(bench, store, found[name])
            except WorkFailedError as failure:
                bench.failed(store.tool, "points", failure)
                del stores[name], found[name]
    rows = [report.Row(name, stores[name].tool.kind, cells(laps), NOTES[name]) for name, laps in found.items()]
    rows = report.with_ratio(report.with_ratio(rows, "cold"), "many", "many_ratio")
    full = points == POINTS
    goals = [
        report.Goal(f"{POINTS:,} points, cold,", report.ours(rows, "cold") if full else None, COLD_MS, "ms"),
        report.Goal(f"{POINTS:,} points, after that,", report.ours(rows, "after") if full else None, AFTER_MS, "ms"),
    ]
    return report.Table(
        name="points",
        title=f"one metric of {points:,} points as a numpy array, and {RUNS} of {short:,}; ms, medians",
        columns={
            "cold": "cold",
            "ratio": "ratio",
            "after": "after that",
            "process": "whole process",
            "peak_mb": "peak MB",
            "many": f"{RUNS} x {short:,}, cold",
            "many_ratio": "ratio",
            "rows": "points returned",
        },
        rows=rows,
        reached=report.all_reached(goals),
        notes=[
            "cold: the first call of a process that has imported the tool and numpy, and finds and opens the run in it",
            "after that: the same points of the opened run asked for once more",
            f"a tool that needs more than {SLOW_S} s is measured in one process only",
        ],
        goals=goals,
    )


def recorded(bench: Bench, tool: Installed, points: int, short: int) -> Store | None:
    """Returns the tool with its curves; None if it cannot record them."""
    bench.say(f"points: recording {points:,} points, and {RUNS} x {short:,}, {tool.name}")
    try:
        store = Store(tool, bench.store(tool, "points"), bench.store(tool, f"points{RUNS}"))
        bench.work(tool, "sweep", store.long, runs=1, calls=points)
        bench.work(tool, "sweep", store.short, runs=RUNS, calls=short)
    except (WorkFailedError, subprocess.CalledProcessError) as failure:
        bench.failed(tool, "points", failure)
        return None
    return store


def one(bench: Bench, store: Store, points: int, laps: Laps) -> None:
    """Reads the long curve in a new process; raises WorkFailedError, also if a point is missing."""
    done = bench.work(store.tool, "curve", store.long, rounds=bench.size(11, 3), limit_s=1)
    if done.data["rows"] != points:
        raise WorkFailedError(f"'curve': {done.data['rows']:,} of {points:,} points")
    laps.cold.append(done.data["laps"][0])
    laps.after += done.data["laps"][1:]
    laps.process.append(done.wall_s)
    laps.peak.append(done.data["peak_bytes"])


def many(bench: Bench, store: Store, laps: Laps) -> None:
    """Reads the short curves in a new process; raises WorkFailedError, also if a run is missing."""
    data = bench.work(store.tool, "curves", store.short, points=DRAWN).data
    if len(data["rows"]) != RUNS:
        raise WorkFailedError(f"'curves': {len(data['rows'])} of {RUNS} runs")
    laps.many.append(data["seconds"])
    laps.rows = sum(data["rows"])


def cells(laps: Laps) -> dict[str, report.Cell]:
    """Returns the middle of each, in milliseconds and megabytes."""
    return {
        "cold": median(laps.cold) * 1e3,
        "after": median(laps.after) * 1e3 if laps.after else None,
        "process": median(laps.process) * 1e3,
        "peak_mb": median(laps.peak) / 1e6,
        "many": median(laps.many) * 1e3,
        "rows": laps.rows,
    }
