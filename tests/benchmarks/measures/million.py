"""One long run: what a million points cost in time, in memory and in git, and after a kill -9."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import report
import sandbox
from runner import Command, WorkFailedError, run_once

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runner import Bench
    from tools import Installed

POINTS = 1_000_000
UNDER_S, UNDER_MB, UNDER_STORED_MB, RECOVERED_S = 5, 80, 5, 2
PEERS_SHARE = 10  # sacred and trackio keep it all in memory and would take minutes


@dataclass(frozen=True)
class Shape:
    """How the points come: how many in one call, and in which precision."""

    metrics: int
    single: bool

    def label(self, points: int) -> str:
        """Returns how this is named in the table."""
        return f"{points // self.metrics:,} x {self.metrics}{'' if self.single else ', doubles'}"


SHAPES = (Shape(1, single=True), Shape(10, single=True), Shape(1, single=False))


def measure(bench: Bench) -> report.Table:
    """Records one long run with each tool, and has ours recovered by a listing."""
    points = bench.size(POINTS, 20_000)
    rows: list[report.Row] = []
    for shape in SHAPES:
        stores = [(tool, bench.store(tool, f"million{len(rows)}")) for tool in taking(bench, shape)]
        found = [row for tool, folder in stores if (row := recorded(bench, tool, folder, shape, points))]
        rows += report.with_ratio(found, "seconds")
    recoveries = [row for shape in SHAPES[:2] for row in recovered(bench, shape, points)]
    mine = [row.cells for row in rows if row.kind == "ours"][:2]
    reached = None
    if len(mine) == 2 and len(recoveries) == 2 and points == POINTS:
        limits = {"seconds": UNDER_S, "peak_mb": UNDER_MB, "stored_mb": UNDER_STORED_MB}
        parts = [below(one, key, limit) for one in mine for key, limit in limits.items()]
        parts += [below(row.cells, "seconds", RECOVERED_S) for row in recoveries]
        reached = all(parts)
    return report.Table(
        name="million",
        title=f"{points:,} points in one run, whole process",
        columns={
            "calls": "calls x metrics",
            "seconds": "s",
            "ratio": "ratio",
            "peak_mb": "peak memory, MB",
            "stored_mb": "stored, MB",
        },
        rows=rows + recoveries,
        goal=(
            f"{POINTS:,} points under {UNDER_S} s, {UNDER_MB} MB of memory and {UNDER_STORED_MB} MB in git after "
            f"`git gc`, recovered within {RECOVERED_S} s"
        ),
        reached=reached,
        notes=[
            "the values: an exponential that falls, noise of a fiftieth of its height, rounded to single precision",
            "doubles: the same as it was computed; random doubles do not compress; not in the goal",
            "stored: what the store grew by, gittrack's after `git gc`; memory: of the process that records",
            "scaled: time and size times so many, imports once; memory as it was with the fewer calls",
        ],
    )


def taking(bench: Bench, shape: Shape) -> list[Installed]:
    """Returns the tools for one shape: peers are not asked what doubles cost."""
    return [tool for tool in bench.taking("million") if shape.single or tool.kind != "peer"]


def below(found: Mapping[str, report.Cell], key: str, limit: float) -> bool:
    """Returns whether a figure is there, and below a limit."""
    value = found.get(key)
    return isinstance(value, float | int) and value < limit


def recorded(bench: Bench, tool: Installed, folder: Path, shape: Shape, points: int) -> report.Row | None:
    """Returns what one long run cost with one tool."""
    calls = points // shape.metrics
    done = calls // PEERS_SHARE if tool.kind == "peer" else calls
    bench.say(f"million: {shape.label(points)}, {tool.name}")
    bench.box.git(folder, "gc", "--quiet")  # or packing the project would count as ours
    before, _ = sandbox.size(folder)
    try:
        work = bench.work(tool, "million", folder, calls=done, metrics=shape.metrics, single=shape.single)
    except WorkFailedError as failure:
        bench.failed(tool, "million", failure)
        return None
    if tool.kind == "ours":
        bench.box.git(folder, "gc", "--quiet")
    after, _ = sandbox.size(folder)
    share = calls // done
    cells: dict[str, report.Cell] = {
        "calls": shape.label(points),
        "seconds": work.wall_s + work.data["record_s"] * (share - 1),
        "peak_mb": work.data["peak_bytes"] / 1e6,
        "stored_mb": (after - before) * share / 1e6,
    }
    return report.Row(tool.name, tool.kind, cells, note=f"scaled from {done:,} calls" if share > 1 else "")


def recovered(bench: Bench, shape: Shape, points: int) -> list[report.Row]:
    """Returns how long a listing takes that finds the long run of a dead process, for the tools that have that."""
    rows = []
    for tool in bench.taking("million"):
        if tool.kind != "ours":
            continue
        folder = bench.store(tool, f"recover{shape.metrics}")
        bench.say(f"million: {shape.label(points)} killed, {tool.name}")
        calls = points // shape.metrics
        try:
            abandon(bench, tool, folder, calls=calls, shape=shape)
            laps = [recover(tool, folder, turn, points=points) for turn in range(bench.size(3, 1))]
        except WorkFailedError as failure:
            bench.failed(tool, "million", failure)
            continue
        cells: dict[str, report.Cell] = {"calls": shape.label(points), "seconds": median(laps)}
        rows.append(report.Row(f"`{tool.tool.listing}` after kill -9", "ours", cells))
    return rows


def abandon(bench: Bench, tool: Installed, folder: Path, *, calls: int, shape: Shape) -> None:
    """Leaves behind what a process leaves that was killed after its last call."""
    options = {"calls": calls, "metrics": shape.metrics, "single": shape.single}
    words = bench.words(tool, "abandon", folder / "out" / "result.json", options)
    done = subprocess.run(words, cwd=folder, env=tool.env_in(folder), capture_output=True, check=False)
    if done.returncode != -signal.SIGKILL:
        raise WorkFailedError(f"'abandon' ended with exit code {done.returncode}")


def recover(tool: Installed, folder: Path, turn: int, *, points: int) -> float:
    """Returns the seconds of a listing in a copy of what was left, where every point has to be in git afterwards."""
    copy = folder.with_name(f"{folder.name}-{turn}")
    shutil.copytree(folder, copy, symlinks=True)
    env = tool.env_in(copy)
    took = run_once(Command(tuple(tool.tool.listing.split()), copy, env))
    listed = subprocess.run(
        [*tool.tool.listing.split(), "--json"], cwd=copy, env=env, check=True, capture_output=True, text=True
    )
    killed = [run for run in json.loads(listed.stdout) if "killed" in run["params"]]
    shutil.rmtree(copy, ignore_errors=True)
    if [(run["status"], counted(run["metrics"])) for run in killed] != [("crashed", points)]:
        raise WorkFailedError(f"'{tool.tool.listing}' did not bring {points:,} points back")
    return took


def counted(metrics: Mapping[str, Any]) -> int:
    """Returns how many points of the script's own were found; those of the machine come beside them."""
    return sum(metric["count"] for name, metric in metrics.items() if not name.startswith("system/"))
