"""Stores that hold very many runs, made once for all measures that look into them.

Recording 100,000 runs takes from half an hour to days, so gittrack's are built by `many.py`, and a peer's rows are
written beside one that its API made. A peer that cannot be filled so is given a minute to record what it can."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner import WorkFailedError

if TYPE_CHECKING:
    from runner import Bench
    from tools import Installed

MANY = Path(__file__).with_name("many.py")
PEAK = Path(__file__).with_name("peak.py")
SPARE = 32  # runs that have a commit and no ref yet
MINUTE_S = 60


@dataclass(frozen=True)
class Crowd:
    """A store of many runs. `spare` are the runs that wait: a ref and its object id each."""

    tool: Installed
    folder: Path
    runs: int
    how: str
    spare: tuple[tuple[str, str], ...] = ()


def ours(bench: Bench, tool: Installed, runs: int) -> Crowd:
    """Returns a repository of so many runs, made once and then changed by nobody for good."""
    known = bench.crowds.get((tool.name, runs))
    if known is not None:
        return known
    folder = bench.box.root / f"many{runs}"
    bench.say(f"making {runs:,} runs, {tool.name}")
    words = [str(tool.python), str(MANY), str(folder), str(runs), str(SPARE)]
    done = subprocess.run(words, env=tool.env, check=False, capture_output=True, text=True)
    if done.returncode:
        raise WorkFailedError(f"'many.py': {done.stderr.strip().splitlines()[-1:]}")
    (folder / "out").mkdir()
    with (folder / ".git" / "info" / "exclude").open("a") as exclude:
        exclude.write("out/\n")
    waiting = tuple((ref, oid) for ref, oid in (line.split() for line in done.stdout.splitlines()))
    bench.crowds[tool.name, runs] = Crowd(tool, folder, runs, "commits made with its own codecs", waiting)
    return bench.crowds[tool.name, runs]


def peers(bench: Bench, benchmark: str, runs: int, *, recording: bool) -> list[Crowd]:
    """Returns the stores of the peers that take part, those that have to be recorded only if asked for."""
    found = []
    for tool in bench.taking(benchmark):
        if tool.kind != "peer" or not (recording or tool.takes("crowd")):
            continue
        try:
            found.append(bench.crowds.get((tool.name, runs)) or filled(bench, tool, runs))
        except (WorkFailedError, subprocess.CalledProcessError) as failure:
            bench.failed(tool, benchmark, failure)
    return found


def filled(bench: Bench, tool: Installed, runs: int) -> Crowd:
    """Returns a new store of a peer: filled at once where it can be, else with the runs of a minute."""
    folder = bench.store(tool, f"crowd{runs}")
    if tool.takes("crowd"):
        bench.say(f"filling a store with {runs:,} runs, {tool.name}")
        bench.work(tool, "crowd", folder, runs=runs)
        found = Crowd(tool, folder, runs, "rows written by SQL")
    else:
        limit = bench.size(MINUTE_S, 4)
        bench.say(f"recording at most {runs:,} runs in {limit} s, {tool.name}")
        done = bench.work(tool, "loop", folder, runs=runs, limit_s=limit).data["done"]
        found = Crowd(tool, folder, done, f"{done:,} runs, as many as it records in {limit} s")
    bench.crowds[tool.name, runs] = found
    return found


def peak_bytes(crowd: Crowd, *words: str) -> tuple[int, int]:
    """Returns the most memory that the processes of a command held in a store: their own, and with files they map."""
    done = subprocess.run(
        [sys.executable, "-S", str(PEAK), *words],
        cwd=crowd.folder,
        env=crowd.tool.env_in(crowd.folder),
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise WorkFailedError(f"`{' '.join(words)}`: {done.stderr.strip().splitlines()[-1:]}")
    own, resident = map(int, done.stdout.split())
    return own, resident
