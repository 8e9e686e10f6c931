"""How long one waits for the list of a thousand runs."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

import report
from runner import Command, WorkFailedError, run_once

from measures import loop

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Bench, Recording

UNDER_S = 0.15

FLOORS = {
    "git for-each-ref, messages": "git for-each-ref --format=%(refname)%(contents) refs/runs",
    "git for-each-ref": "git for-each-ref refs/runs",
    "git status": "git status",
}


def measure(bench: Bench) -> report.Table:
    """Times the whole process of each listing, in turns."""
    rounds = bench.size(15, 5)
    lists = [one for one in loop.recorded(bench) if one.tool.tool.listing]
    kinds = {one.tool.name: one.tool.kind for one in lists}
    notes = {one.tool.name: f"{one.runs:,} runs" for one in lists}
    commands = {one.tool.name: listing(one) for one in lists}
    facts = []
    for one in lists:
        lines, first = printed(commands[one.tool.name])
        notes[one.tool.name] += f", {lines:,} lines"
        if one.tool.kind == "ours":
            facts.append(f"the very first time in this repository: {first * 1e3:.0f} ms")
    ours = next((one for one in lists if one.tool.kind == "ours"), None)
    floors = floor_commands(bench, ours.folder if ours else bench.box.repository("ls"))
    bench.say(f"ls: {rounds} rounds of {len(commands) + len(floors)} processes")
    laps = bench.race({**commands, **floors}, rounds)
    rows = [
        report.Row(name, kinds.get(name, "floor"), {"ms": median(found) * 1e3}, notes.get(name, ""))
        for name, found in laps.items()
    ]
    took = report.ours(rows, "ms")
    return report.Table(
        name="ls",
        title=f"the whole process of a listing, median of {rounds}",
        columns={"ms": "process, ms", "ratio": "ratio"},
        rows=report.with_ratio(rows, "ms"),
        goal=f"under {UNDER_S * 1e3:.0f} ms for {loop.RUNS:,} runs",
        reached=None if took is None else took < UNDER_S * 1e3,
        notes=facts,
    )


def listing(recording: Recording) -> Command:
    """Returns the command that lists a store."""
    text = recording.tool.tool.listing.format(out=recording.folder / "out")
    env = recording.tool.env_in(recording.folder)
    return Command(tuple(text.split()), recording.folder, env)


def floor_commands(bench: Bench, folder: Path) -> dict[str, Command]:
    """Returns what the same repository, and Python, cost without us."""
    env = bench.box.env
    commands = {name: Command(tuple(line.split()), folder, env) for name, line in FLOORS.items()}
    for code in ("pass", "import click"):
        command = Command((sys.executable, "-c", code), folder, env)
        try:
            run_once(command)
        except WorkFailedError:
            continue  # click is not here
        commands[f"python -c '{code}'"] = command
    return commands


def printed(command: Command) -> tuple[int, float]:
    """Returns the lines that a listing prints (a page of it is less to do), and the seconds it took."""
    began = time.perf_counter()
    done = subprocess.run(command.words, cwd=command.cwd, env=command.env, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode:
        line = done.stderr.strip().splitlines()[-1:]
        raise WorkFailedError(f"`{' '.join(command.words)}`: {' '.join(line)}")
    return len(done.stdout.splitlines()), took
