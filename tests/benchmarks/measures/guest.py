"""Whether plain git is as fast in a repository with a thousand runs as it is without them."""

from __future__ import annotations

import subprocess
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import report
from runner import Command, WorkFailedError

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Bench
    from tools import Installed

RUNS = 1_000
AT_MOST = 1.05
COMMITS = 200

COMMANDS = {
    "git status": "git status",
    "git log -n 50": "git log -n 50",
    "git commit --allow-empty": "git commit --allow-empty --quiet -m more",
    "git fetch, from a path": "git fetch origin",
    "git fetch, from file://": "git fetch wire",
}
PUSH = "git push of a commit"
ONE_COMMIT = tuple("git commit --allow-empty --quiet -m more".split())


def measure(bench: Bench) -> report.Table:
    """Times git in two repositories, one of which holds runs and has pushed them, in turns."""
    runs, rounds = bench.size(RUNS, 40), bench.size(41, 5)
    plain = with_remote(bench, "guest-without")
    rows: list[report.Row] = []
    notes: list[str] = []
    for tool in bench.taking("guest"):
        full = with_remote(bench, "guest-with")
        bench.say(f"guest: recording and pushing {runs:,} runs, {tool.name}")
        try:
            recorded(bench, tool, full, runs=runs)
            bench.say(f"guest: {rounds} rounds of {2 * len(COMMANDS) + 2} commands")
            laps = bench.race({**commands(bench, "without", plain), **commands(bench, "with", full)}, rounds)
        except (WorkFailedError, subprocess.CalledProcessError) as failure:
            bench.failed(tool, "guest", failure)
            continue
        rows = [compared(name, laps[f"without {name}"], laps[f"with {name}"]) for name in (*COMMANDS, PUSH)]
        more = advertised(bench, full) - advertised(bench, plain)
        notes = [
            f"not in the goal: a push hears the remote's refs, {more / 1e3:,.0f} kB more, {more / runs:.0f} B a run",
            "refs and packs as gittrack left them; the runs are on the remote too",
        ]
    ratios = [row.cells["times"] for row in rows if row.name != PUSH]
    reached = None
    if ratios and runs == RUNS:
        reached = all(isinstance(ratio, float) and ratio <= AT_MOST for ratio in ratios)
    return report.Table(
        name="guest",
        title=f"git's own commands, without runs and with {runs:,}; ms, median of {rounds} in turns",
        columns={"without": "without", "with": "with", "more": "ms more", "times": "ratio"},
        rows=rows,
        goal=f"within {AT_MOST - 1:.0%} of the same repository without runs",
        reached=reached,
        notes=notes,
    )


def with_remote(bench: Bench, name: str) -> Path:
    """Returns a repository with some history that is on a remote, which is a bare repository beside it."""
    git, folder = bench.box.git, bench.box.repository(name)
    for _ in range(COMMITS):
        git(folder, *ONE_COMMIT[1:])
    git(folder, "gc", "--quiet")
    bare = folder.with_name(f"{name}.git")
    git(folder, "init", "--quiet", "--bare", str(bare))
    git(folder, "remote", "add", "origin", str(bare))
    git(folder, "remote", "add", "wire", f"file://{bare}")
    git(folder, "push", "--quiet", "--set-upstream", "origin", "main")
    return folder


def recorded(bench: Bench, tool: Installed, folder: Path, *, runs: int) -> None:
    """Records runs in a repository, and shares them with its remote."""
    data = bench.work(tool, "loop", folder, runs=runs, limit_s=300).data
    if data["done"] < runs:
        raise WorkFailedError(f"only {data['done']:,} runs in 300 s")
    push = ["git", "track", "push", "--quiet", "origin"]
    subprocess.run(push, cwd=folder, env=tool.env_in(folder), check=True, capture_output=True)
    there = bench.box.git(folder, "ls-remote", "origin", "refs/runs/*").splitlines()
    if len(there) < runs:
        raise WorkFailedError(f"only {len(there):,} of {runs:,} runs are on the remote")


def commands(bench: Bench, state: str, folder: Path) -> dict[str, Command]:
    """Returns git's commands in one repository; each push has one new commit to bring."""
    env = bench.box.env
    found = {f"{state} {name}": Command(tuple(line.split()), folder, env) for name, line in COMMANDS.items()}
    more = partial(bench.box.git, folder, *ONE_COMMIT[1:])
    push = Command(("git", "push", "origin", "main"), folder, env, before=more)
    return {**found, f"{state} {PUSH}": push}


def compared(name: str, without: list[float], with_runs: list[float]) -> report.Row:
    """Returns one command in both repositories."""
    before, after = median(without) * 1e3, median(with_runs) * 1e3
    return report.Row(name, "ours", {"without": before, "with": after, "more": after - before, "times": after / before})


def advertised(bench: Bench, folder: Path) -> int:
    """Returns the bytes with which the remote of a repository answers a push."""
    bare = str(folder.with_name(f"{folder.name}.git"))
    return len(bench.box.git(folder, "receive-pack", "--http-backend-info-refs", bare))
