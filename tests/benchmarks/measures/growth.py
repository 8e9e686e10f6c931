"""Whether the ten thousandth run costs more than the first."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import report
import sandbox
from runner import Recording, WorkFailedError

from measures import loop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runner import Bench
    from tools import Installed

RUNS, PEERS_RUNS = 10_000, 1_000
PARTS = 10
AT_MOST, PACKS = 1.2, 20


def measure(bench: Bench) -> report.Table:
    """Records the runs of `loop`, and compares the tenths of the time that they take."""
    rows = [row for tool, folder in bench.stores("growth").values() if (row := recorded(bench, tool, folder))]
    grown, packs = report.ours(rows, "grown"), report.ours(rows, "packs")
    clean = all(row.cells.get("fsck") == "clean" for row in rows if row.kind == "ours")
    reached = None
    if grown is not None and packs is not None and not bench.quick:
        reached = grown <= AT_MOST and packs <= PACKS and clean
    return report.Table(
        name="growth",
        title="many runs in one process, each as in `loop`; ms a run, mean of each tenth of them",
        columns={
            "runs": "runs",
            "first": "first tenth",
            "last": "last tenth",
            "grown": "last / first",
            "tenths": "all tenths",
            "packs": "packs of ours",
            "refs": "refs",
            "fsck": "fsck",
        },
        rows=rows,
        goal=f"{RUNS:,} runs: the last tenth at most {AT_MOST} times the first, at most {PACKS} packs, fsck clean",
        reached=reached,
        notes=["each run has a ref; nothing was packed by hand"],
    )


def recorded(bench: Bench, tool: Installed, folder: Path) -> report.Row | None:
    """Returns what the runs of one tool took, from the first to the last."""
    runs = bench.size(RUNS, 300) if tool.kind == "ours" else bench.size(PEERS_RUNS, 100)
    limit = bench.size(550, 15)
    bench.say(f"growth: {runs:,} runs or {limit} s, {tool.name}")
    bench.box.git(folder, "gc", "--quiet")
    before = sandbox.size(folder)
    try:
        data = bench.work(tool, "loop", folder, runs=runs, limit_s=limit).data
    except WorkFailedError as failure:
        bench.failed(tool, "growth", failure)
        return None
    parts = tenths(data["ends"])
    cells: dict[str, report.Cell] = {
        "runs": data["done"],
        "first": parts[0] * 1e3,
        "last": parts[-1] * 1e3,
        "grown": parts[-1] / parts[0],
        "tenths": " ".join(report.figure(part * 1e3) for part in parts),
    }
    if tool.kind == "ours":
        state = loop.git_state(bench, Recording(tool, folder, data["done"], data["seconds"], before))
        kept = len(list((folder / ".git" / "objects" / "pack").glob("*.keep")))
        cells |= {**state, "packs": kept}
    return report.Row(tool.name, tool.kind, cells, note=f"of {runs:,} in time" if data["done"] < runs else "")


def tenths(ends: Sequence[float]) -> list[float]:
    """Returns the mean seconds of a run in each tenth of them, given when each ended."""
    bounds = [len(ends) * part // PARTS for part in range(PARTS + 1)]
    times = [0.0, *ends]
    spans = pairwise(bounds)
    return [(times[last] - times[first]) / (last - first) for first, last in spans if last > first]
