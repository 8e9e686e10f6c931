"""A sweep: many small runs one after the other, and the disk that they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import report
import sandbox
from runner import Recording, WorkFailedError

if TYPE_CHECKING:
    from runner import Bench

RUNS = 1_000
UNDER_S, UNDER_KB = 20, 15


def measure(bench: Bench) -> report.Table:
    """Prints what recorded() measured, and what is on the disk after `git gc`."""
    rows = []
    for recording in recorded(bench):
        apparent, blocks = taken(bench, recording)
        cells: dict[str, report.Cell] = {
            "seconds": recording.seconds * RUNS / recording.runs,
            "kb": apparent / recording.runs / 1e3,
            "blocks_kb": blocks / recording.runs / 1e3,
        }
        if recording.tool.kind == "ours":
            cells.update(git_state(bench, recording))
        note = f"scaled from {recording.runs:,} runs" if recording.runs < RUNS else ""
        rows.append(report.Row(recording.tool.name, recording.tool.kind, cells, note=note))
    seconds, size = report.ours(rows, "seconds"), report.ours(rows, "kb")
    clean = all(row.cells.get("fsck") == "clean" for row in rows if row.kind == "ours")
    reached = None
    if seconds is not None and size is not None:
        reached = seconds < UNDER_S and size < UNDER_KB and clean
    return report.Table(
        name="loop",
        title=f"{RUNS:,} runs in one process: 20 params, 10 metrics x 10 steps, a file of 10 kB",
        columns={
            "seconds": f"s for {RUNS:,}",
            "ratio": "ratio",
            "kb": "kB a run",
            "blocks_kb": "in blocks",
            "packs": "packs",
            "refs": "refs",
            "fsck": "fsck",
        },
        rows=report.with_ratio(rows, "seconds"),
        goal=f"under {UNDER_S} s, under {UNDER_KB} kB a run after `git gc`, fsck clean",
        reached=reached,
        notes=["kB: what the store grew by, the file of 10 kB within; gittrack's after `git gc`"],
    )


def recorded(bench: Bench) -> list[Recording]:
    """Returns the stores full of runs; the first caller waits for them."""
    if bench.recordings:
        return bench.recordings
    runs, limit = bench.size(RUNS, 40), bench.size(120, 8)
    for tool, folder in bench.stores("loop").values():
        bench.say(f"loop: {runs:,} runs or {limit} s, {tool.name}")
        bench.box.git(folder, "gc", "--quiet")  # or packing the project would count as ours
        before = sandbox.size(folder)
        try:
            data = bench.work(tool, "loop", folder, runs=runs, limit_s=limit).data
        except WorkFailedError as failure:
            bench.failed(tool, "loop", failure)
            continue
        bench.recordings.append(Recording(tool, folder, data["done"], data["seconds"], before))
    return bench.recordings


def taken(bench: Bench, recording: Recording) -> tuple[int, int]:
    """Returns the bytes that the runs take on the disk, by length and in blocks."""
    if recording.tool.kind == "ours":
        bench.box.git(recording.folder, "gc", "--quiet")
    apparent, blocks = sandbox.size(recording.folder)
    return apparent - recording.size_before[0], blocks - recording.size_before[1]


def git_state(bench: Bench, recording: Recording) -> dict[str, report.Cell]:
    """Returns what git says of the repository afterwards."""
    git, folder = bench.box.git, recording.folder
    counted = dict(line.split(": ") for line in git(folder, "count-objects", "-v").splitlines())
    refs = git(folder, "for-each-ref", "--format=%(refname)", "refs/runs").splitlines()
    problems = bench.box.fsck(folder)
    return {
        "packs": int(counted["packs"]),
        "refs": len(refs),
        "fsck": f"{len(problems)} lines" if problems else "clean",
    }
