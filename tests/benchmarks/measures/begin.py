"""What one waits for before training begins: the first line of a script, in a project of many files."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

import report
from runner import WorkFailedError

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Bench
    from tools import Installed

FOLDERS, FILES = 100, 100
CHANGED, UNTRACKED = 20, 20
CLEAN_MS, DIRTY_MS = 60, 150


@dataclass(frozen=True)
class Laps:
    """The seconds of each init() of one tool in one state of the work tree: first ones of a process, and later ones."""

    first: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)


def measure(bench: Bench) -> report.Table:
    """Begins runs in a clean work tree, in a dirty one, and in one that was recorded as it is before."""
    rounds, processes = bench.size(11, 3), bench.size(5, 2)
    folders, files = bench.size(FOLDERS, 10), bench.size(FILES, 30)
    folder = project(bench, folders, files)
    tools = prepared(bench, folder)
    found: dict[str, dict[str, Laps]] = {name: {} for name in tools}
    # What was changed once stays so: first the clean tree, then the same changes, then others every time.
    for state in ("clean", "same", "new"):
        edited = [] if state == "clean" else edit(folder, files)
        for turn in range(processes):
            bench.say(f"begin: {state}, process {turn + 1} of {processes}")
            for name, tool in list(tools.items()):
                laps = found[name].setdefault(state, Laps())
                try:
                    took = begun(bench, tool, folder, rounds=rounds, edited=edited if state == "new" else [])
                except WorkFailedError as failure:
                    bench.failed(tool, "begin", failure)
                    del tools[name]
                    continue
                laps.first.append(took[0])
                laps.later.extend(took[1:])

    rows = [report.Row(name, tool.kind, cells(found[name])) for name, tool in tools.items()]
    clean, dirty = report.ours(rows, "clean"), report.ours(rows, "new")
    full = folders * files == FOLDERS * FILES
    reached = None
    if clean is not None and dirty is not None and full:
        reached = clean <= CLEAN_MS and dirty <= DIRTY_MS
    return report.Table(
        name="begin",
        title=f"from init() to the run, {folders * files:,} files; ms, median of {processes} processes x {rounds}",
        columns={
            "clean": "clean",
            "ratio": "ratio",
            "clean_first": "first of a process",
            "new": "dirty",
            "new_first": "first of a process",
            "same": "dirty as before",
        },
        rows=report.with_ratio(rows, "clean"),
        goal=f"{CLEAN_MS} ms clean, {DIRTY_MS} ms dirty, in {FOLDERS * FILES:,} files",
        reached=reached,
        notes=[
            f"dirty: {CHANGED} files changed and {UNTRACKED} not tracked, with other content each time",
            "the first init() of a process pays for what is imported by it; the import of the package is not in it",
            "the floors sync nothing and keep nothing; no peer stores uncommitted work",
        ],
    )


def project(bench: Bench, folders: int, files: int) -> Path:
    """Returns a clean repository of many files."""
    folder = bench.box.repository("begin", folders=folders, files=files)
    bench.box.git(folder, "gc", "--quiet")
    # Files as young as the index would be read again by every `git status`; no real project stays so young.
    time.sleep(1.1)
    bench.box.git(folder, "status")
    return folder


def prepared(bench: Bench, folder: Path) -> dict[str, Installed]:
    """Returns the tools that can begin a run here; all work in one repository."""
    tools = {}
    for tool in bench.taking("begin"):
        try:
            bench.work(tool, "prepare", folder)
        except WorkFailedError as failure:
            bench.failed(tool, "begin", failure)
        else:
            tools[tool.name] = tool
    return tools


def edit(folder: Path, files: int) -> list[str]:
    """Makes the work tree dirty and returns the paths that differ."""
    changed = [f"src/part{place // files}/module{place % files}.py" for place in range(CHANGED)]
    paths = [*changed, *(f"src/new{place}.py" for place in range(UNTRACKED))]
    for path in paths:
        (folder / path).write_text(os.urandom(400).hex())
    return paths


def begun(bench: Bench, tool: Installed, folder: Path, *, rounds: int, edited: list[str]) -> list[float]:
    """Returns the seconds of each init() of one process."""
    limit = bench.size(20, 2)
    laps: list[float] = bench.work(tool, "begin", folder, rounds=rounds, edited=edited, limit_s=limit).data["laps"]
    return laps


def cells(states: dict[str, Laps]) -> dict[str, report.Cell]:
    """Returns the middle of each state, in milliseconds."""
    found: dict[str, report.Cell] = {}
    for state, laps in states.items():
        found[f"{state}_first"] = median(laps.first) * 1e3
        found[state] = median(laps.later) * 1e3 if laps.later else None
    return found
