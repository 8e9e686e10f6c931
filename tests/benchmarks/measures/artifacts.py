"""What it costs to keep a checkpoint: the first time, the same file again, and an equal one under another name.

Beside what the system takes to hash and to copy it, to the disk, which is what whoever wants both has to pay."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from statistics import median
from typing import TYPE_CHECKING

import report
import sandbox
from runner import WorkFailedError

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Bench
    from tools import Installed

BYTES = (1 << 30, 1 << 26)
ROUNDS = (3, 1)
CHUNK = 1 << 22
FLOOR = "sha256sum, cp, sync"
TIMES, AGAIN_S, MEMORY_MB = 1.3, 0.05, 100


def measure(bench: Bench) -> report.Table:
    """Logs a file of random bytes with each tool, in turns; a file that is new is made before each."""
    size = bench.size(*BYTES)
    rounds = bench.size(*ROUNDS)
    stores = bench.stores("artifacts")
    folder = bench.box.root / "artifacts"
    folder.mkdir()
    laps: dict[str, list[dict[str, float]]] = {}
    floors: list[float] = []
    for turn in range(rounds):
        file = folder / f"model-{turn}.bin"
        make(file, size)
        floors.append(floor(file))
        for name, (tool, store) in list(stores.items()):
            bench.say(f"artifacts: {size >> 20:,} MiB, turn {turn + 1} of {rounds}, {name}")
            try:
                laps.setdefault(name, []).append(logged(bench, tool, store, file))
            except WorkFailedError as failure:
                bench.failed(tool, "artifacts", failure)
                del stores[name]
        file.unlink()
    rows = [row_of(name, tool, laps[name]) for name, (tool, _) in stores.items() if name in laps]
    rows.append(report.Row(FLOOR, "floor", {"first": median(floors)}))
    goals = [
        report.Goal("first time, of the floor", over(report.ours(rows, "first"), median(floors)), TIMES, "x"),
        report.Goal("the same file again", report.ours(rows, "again"), AGAIN_S, "s"),
        report.Goal("memory", report.ours(rows, "memory"), MEMORY_MB, "MB"),
    ]
    return report.Table(
        name="artifacts",
        title=f"log_artifact of {size >> 20:,} MiB of random bytes; s, medians of {rounds} in turns, each a run",
        columns={
            "first": "first, s",
            "stall": "of which training waits",
            "again": "same file again",
            "copy": "a copy of it",
            "disk_1": "disk, MiB",
            "disk_2": "again",
            "disk_3": "copy",
            "memory": "MB of memory",
        },
        rows=rows,
        goals=goals,
        reached=report.all_reached(goals),
        notes=[
            "from the call to after finish(); disk is what all that the tool writes grew by",
            "this file system cannot clone files: training waits while ours is copied, and for a hard link not at all",
        ],
    )


def make(file: Path, size: int) -> None:
    """Writes a file of random bytes, to the disk."""
    with file.open("wb") as writer:
        for _ in range(0, size, CHUNK):
            writer.write(os.urandom(min(CHUNK, size)))
        writer.flush()
        os.fsync(writer.fileno())


def floor(file: Path) -> float:
    """Returns the seconds of the system's own programs for what ours does."""
    target = file.with_suffix(".copy")
    began = time.perf_counter()
    for words in (["sha256sum", str(file)], ["cp", str(file), str(target)], ["sync", str(target)]):
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    lap = time.perf_counter() - began
    target.unlink()
    return lap


def logged(bench: Bench, tool: Installed, store: Path, file: Path) -> dict[str, float]:
    """Returns what one tool took for a file, for the same again, and for a copy of it."""
    copied = file.with_name(f"other-{file.name}")
    shutil.copyfile(file, copied)
    os.sync()
    found: dict[str, float] = {}
    for place, (name, path) in enumerate({"first": file, "again": file, "copy": copied}.items(), start=1):
        before = sandbox.size(bench.box.root)[0]
        data = bench.work(tool, "artifact", store, path=str(path)).data
        found[name] = data["seconds"]
        found[f"disk_{place}"] = (sandbox.size(bench.box.root)[0] - before) / (1 << 20)
        if place == 1:
            found |= {"stall": data["stall"], "memory": data["grown"] / 1e6}
    copied.unlink()
    return found


def row_of(name: str, tool: Installed, laps: list[dict[str, float]]) -> report.Row:
    return report.Row(name, tool.kind, {key: median(lap[key] for lap in laps) for key in laps[0]})


def over(value: float | None, least: float) -> float | None:
    return None if value is None else value / least
