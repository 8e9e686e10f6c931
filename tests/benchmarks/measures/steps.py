"""A whole small run, from before init() to after finish()."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import report
from runner import WorkFailedError

if TYPE_CHECKING:
    from runner import Bench, Done

UNDER_S = 0.4
FULL = 10_000


def measure(bench: Bench) -> report.Table:
    """Runs a training loop that only logs, several processes for each tool, in turns."""
    count, rounds = bench.size(FULL, 1_000), bench.size(5, 1)
    limit = bench.size(8, 2)
    stores = bench.stores("steps")
    found: dict[str, list[Done]] = {}
    for turn in range(rounds):
        for name, (tool, folder) in list(stores.items()):
            bench.say(f"steps: round {turn + 1} of {rounds}, {name}")
            try:
                done = bench.work(tool, "steps", folder, count=count, limit_s=limit)
            except WorkFailedError as failure:
                bench.failed(tool, "steps", failure)
                del stores[name]
                continue
            found.setdefault(name, []).append(done)

    rows = []
    for name, (tool, _) in stores.items():
        parts = [scaled(done, count) for done in found[name]]
        cells: dict[str, report.Cell] = {key: median(part[key] for part in parts) for key in parts[0]}
        fewest = min(done.data["done"] for done in found[name])
        note = f"scaled from {fewest:,} steps" if fewest < count else ""
        rows.append(report.Row(name, tool.kind, cells, note=note))
    total = report.ours(rows, "total_s")
    return report.Table(
        name="steps",
        title=f"{count:,} steps of 10 metrics, in seconds, median of {rounds} processes",
        columns={
            "total_s": "init to finish",
            "ratio": "ratio",
            "init_s": "init",
            "loop_s": "loop",
            "finish_s": "finish",
            "process_s": "whole process",
        },
        rows=report.with_ratio(rows, "total_s"),
        goal=f"under {UNDER_S} s from init to finish returned, for {FULL:,} steps",
        reached=None if total is None or count < FULL else total < UNDER_S,
    )


def scaled(done: Done, count: int) -> dict[str, float]:
    """Returns the parts of one run, the loop as long as if it had not been stopped."""
    data = done.data
    loop = data["loop_s"] * count / data["done"]
    total = data["init_s"] + loop + data["finish_s"]
    more = loop - data["loop_s"]
    return {
        "total_s": total,
        "init_s": data["init_s"],
        "loop_s": loop,
        "finish_s": data["finish_s"],
        "process_s": done.wall_s + more,
    }
