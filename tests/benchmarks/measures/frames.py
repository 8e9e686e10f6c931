"""How long it takes until all runs are a data frame in a notebook."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

import crowds
import report
from crowds import Crowd
from runner import WorkFailedError, run_once

from measures import find

if TYPE_CHECKING:
    from runner import Bench

RUNS, COLUMNS = 10_000, 30
UNDER_S, SLOW_S = 1, 5
CALLS = {"gittrack": "`gt.runs().to_pandas()`", "mlflow": "`mlflow.search_runs()`"}


@dataclass
class Laps:
    """What the processes of one tool measured, in seconds."""

    first: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)
    process: list[float] = field(default_factory=list)
    rows: int = 0
    columns: int = 0


def measure(bench: Bench) -> report.Table:
    """Has each tool make the frame, in several processes in turns."""
    runs, processes = bench.size(RUNS, 300), bench.size(5, 2)
    stores = {crowd.tool.name: crowd for crowd in stored(bench, runs)}
    found = {name: Laps() for name in stores}
    for turn in range(processes):
        for name, crowd in list(stores.items()):
            if found[name].first and max(found[name].first) > SLOW_S:
                continue  # once is enough to see that
            bench.say(f"frames: process {turn + 1} of {processes}, {name}")
            try:
                framed(bench, crowd, found[name])
            except WorkFailedError as failure:
                bench.failed(crowd.tool, "frames", failure)
                del stores[name], found[name]
    rows = [
        report.Row(f"{name}, {CALLS[name]}", stores[name].tool.kind, cells(laps), stores[name].how)
        for name, laps in found.items()
    ]
    took = report.ours(rows, "first")
    return report.Table(
        name="frames",
        title=f"{runs:,} runs of {COLUMNS} params and metrics as a pandas frame, s, median of the first calls",
        columns={
            "first": "first of a process",
            "ratio": "ratio",
            "later": "later ones",
            "process": "whole process",
            "shape": "rows x columns",
        },
        rows=report.with_ratio(rows, "first"),
        goal=f"{RUNS:,} runs x {COLUMNS} columns under {UNDER_S} s",
        reached=None if took is None or runs < RUNS else took < UNDER_S,
        notes=[
            "pandas and the tool's package are imported before; the whole process has these imports too",
            f"a tool that needs more than {SLOW_S} s is measured in one process only",
            "the index is up to date; a later call looks again whether runs were made",
        ],
    )


def stored(bench: Bench, runs: int) -> list[Crowd]:
    """Returns the stores, gittrack's with an index that is up to date."""
    mine = [crowds.ours(bench, tool, runs) for tool in bench.taking("frames") if tool.kind == "ours"]
    for crowd in mine:
        run_once(find.ours(crowd, find.LS))
    return mine + crowds.peers(bench, "frames", runs, recording=False)


def framed(bench: Bench, crowd: Crowd, laps: Laps) -> None:
    """Adds what one process measures; raises WorkFailedError, also if a run is missing in the frame."""
    done = bench.work(crowd.tool, "frame", crowd.folder, rounds=bench.size(4, 2), limit_s=1)
    laps.first.append(done.data["laps"][0])
    laps.later += done.data["laps"][1:]
    laps.process.append(done.wall_s)
    laps.rows, laps.columns = done.data["rows"], done.data["columns"]
    if not crowd.runs <= laps.rows <= crowd.runs + 2:  # its own one or two, with which the store was made
        raise WorkFailedError(f"{laps.rows:,} rows for {crowd.runs:,} runs")


def cells(laps: Laps) -> dict[str, report.Cell]:
    """Returns the middle of each."""
    return {
        "first": median(laps.first),
        "later": median(laps.later) if laps.later else None,
        "process": median(laps.process),
        "shape": f"{laps.rows:,} x {laps.columns}",
    }
