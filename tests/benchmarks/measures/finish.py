"""What a durable end costs, and how much of it is git's and the disk's."""

from __future__ import annotations

from statistics import median, quantiles
from typing import TYPE_CHECKING

import report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner import Bench

MEDIAN_MS = 25
STEPS = 1_000

FLOORS = {
    "index-pack": "git index-pack --stdin --keep",
    "update-ref": "git -c core.fsync=all update-ref",
    "folders": "fsync of two folders",
    "spawn": "git version, x 2: starting git",
    "fsync": "fsync of a file of 100 kB",
}
DURABLE = ("index-pack", "update-ref", "folders")


def measure(bench: Bench) -> report.Table:
    """Ends runs in one process, each in turns with the floors."""
    rounds = bench.size(30, 5)
    rows: list[report.Row] = []
    notes: list[str] = []
    for tool, folder in bench.stores("finish").values():
        bench.say(f"finish: {rounds} runs of {STEPS:,} steps, {tool.name}")
        data = bench.work(tool, "finish", folder, rounds=rounds, count=STEPS).data
        laps = data["laps"]
        rows.append(report.Row(tool.name, tool.kind, spread(laps["finish"])))
        together = [sum(parts) for parts in zip(*(laps[key] for key in DURABLE), strict=True)]
        rows.append(report.Row("the least: pack, ref, folders", "floor", spread(together)))
        rows += [
            report.Row(f"  {FLOORS[key]}" if key in DURABLE else FLOORS[key], "floor", spread(laps[key]))
            for key in FLOORS
        ]
        notes.append(f"the floor's pack: {data['pack_bytes'] / 1e3:,.0f} kB of the same numbers")
        processes = median(count for count, _ in data["git"])
        if processes:
            inside = median(seconds for _, seconds in data["git"]) * 1e3
            notes.append(f"git says of one finish(): {processes:.0f} processes, which ran for {inside:.1f} ms")
    middle = report.ours(rows, "median_ms")
    return report.Table(
        name="finish",
        title=f"finish() of 10 metrics x {STEPS:,} steps, durable, {rounds} times in one process",
        columns={
            "median_ms": "median, ms",
            "p90_ms": "p90, ms",
            "worst_ms": "worst, ms",
            "ratio": "ratio",
        },
        rows=report.with_ratio(rows, "median_ms"),
        goal=f"median {MEDIAN_MS} ms",
        reached=None if middle is None else middle <= MEDIAN_MS,
        notes=notes,
    )


def spread(laps: Sequence[float]) -> dict[str, report.Cell]:
    """Returns the middle and the slow end, in milliseconds."""
    return {
        "median_ms": median(laps) * 1e3,
        "p90_ms": quantiles(laps, n=10, method="inclusive")[-1] * 1e3,
        "worst_ms": max(laps) * 1e3,
    }
