"""What one line inside a training loop costs, and whether it costs more with every call."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import report
from runner import WorkFailedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner import Bench, Done

P50_US, P99_US = 5, 50
# Memory is counted in pages, and the allocator keeps some for itself: less than this is nothing.
STEADY_BYTES = 4.0


def measure(bench: Bench) -> report.Table:
    """Times every single call, several processes for each tool, in turns."""
    calls, rounds = bench.size(100_000, 5_000), bench.size(3, 1)
    limit = bench.size(10, 2)
    stores = bench.stores("log")
    found: dict[str, list[Done]] = {}
    for turn in range(rounds):
        for name, (tool, folder) in list(stores.items()):
            bench.say(f"log: round {turn + 1} of {rounds}, {name}")
            try:
                done = bench.work(tool, "log", folder, calls=calls, limit_s=limit)
            except WorkFailedError as failure:
                bench.failed(tool, "log", failure)
                del stores[name]
                continue
            found.setdefault(name, []).append(done)

    rows = []
    for name, (tool, _) in stores.items():
        data = [done.data for done in found[name]]
        cells: dict[str, report.Cell] = {
            **{key: median(one[key] for one in data) for key in ("p50", "p99", "p999")},
            "grown": growth([one["grown_per_call"] for one in data]),
        }
        done_calls = min(one["calls"] for one in data)
        note = f"{done_calls:,} calls" if done_calls < calls else ""
        rows.append(report.Row(name, tool.kind, cells, note=note))
    p50, p99 = report.ours(rows, "p50"), report.ours(rows, "p99")
    grown = report.ours(rows, "grown")
    reached = None
    if p50 is not None and p99 is not None and grown is not None:
        reached = p50 < P50_US and p99 < P99_US and grown < STEADY_BYTES
    return report.Table(
        name="log",
        title=f"one log() of 10 metrics; {calls:,} calls, median of {rounds} processes",
        columns={
            "p50": "p50, us",
            "p99": "p99, us",
            "p999": "p99.9, us",
            "ratio": "ratio of p50",
            "grown": "memory, B a call",
        },
        rows=report.with_ratio(rows, "p50"),
        goal=f"p50 under {P50_US} us, p99 under {P99_US} us, no memory that grows",
        reached=reached,
    )


def growth(found: Sequence[float | None]) -> float | None:
    """Returns the bytes that a call leaves behind, if enough calls were made to tell."""
    told = [one for one in found if one is not None]
    return max(0.0, median(told)) if told else None
