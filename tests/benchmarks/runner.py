"""One run of the benchmarks: the tools, the sizes, and how work is handed to a tool."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from crowds import Crowd
    from sandbox import Sandbox
    from tools import Installed

WORKER = Path(__file__).with_name("worker.py")
# The slowest peer makes its store in ten seconds; no work is given more than two minutes.
PATIENCE_S = 600


class WorkFailedError(Exception):
    """A tool did not do the work; the last line that it printed says why."""


@dataclass(frozen=True)
class Done:
    """What a worker measured, and the seconds of its whole process."""

    data: dict[str, Any]
    wall_s: float


@dataclass(frozen=True)
class Command:
    """A command line whose whole process is timed."""

    words: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    before: Callable[[], object] | None = None  # what has to be done each time before, and is not timed
    every: int = 1  # takes part in one turn of so many, because it is slow; above 1, not in the first, which warms


@dataclass(frozen=True)
class Recording:
    """A store full of runs, and what it cost to fill it."""

    tool: Installed
    folder: Path
    runs: int
    seconds: float
    size_before: tuple[int, int]


@dataclass
class Bench:
    """Everything that a measure is given."""

    box: Sandbox
    tools: tuple[Installed, ...]
    quick: bool = False
    kills: int | None = None
    recordings: list[Recording] = field(default_factory=list)
    crowds: dict[tuple[str, int], Crowd] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    ours_failed: bool = False

    def size(self, full: int, quick: int) -> int:
        """Returns how many, in this run."""
        return quick if self.quick else full

    def taking(self, benchmark: str) -> Iterator[Installed]:
        """Yields the tools that can do what a benchmark asks."""
        return (tool for tool in self.tools if tool.takes(benchmark))

    def say(self, text: str) -> None:
        """Tells whoever waits what is going on."""
        print(f"... {text}", file=sys.stderr, flush=True)

    def store(self, tool: Installed, label: str) -> Path:
        """Returns a repository in which the tool has its store, made and used once."""
        folder = self.box.repository(f"{label}-{tool.tool.subject}")
        for line in tool.tool.setup:
            subprocess.run(line.split(), cwd=folder, env=tool.env_in(folder), check=True, capture_output=True)
        self.work(tool, "prepare", folder)
        return folder

    def stores(self, benchmark: str) -> dict[str, tuple[Installed, Path]]:
        """Returns a store for each tool that takes part and does not fail at once."""
        found = {}
        for tool in self.taking(benchmark):
            try:
                found[tool.name] = (tool, self.store(tool, benchmark))
            except (WorkFailedError, subprocess.CalledProcessError) as failure:
                self.failed(tool, benchmark, failure)
        return found

    def failed(self, tool: Installed, benchmark: str, failure: Exception) -> None:
        """Notes that a tool could not do it; the others go on."""
        self.failures.append(f"{tool.name} in '{benchmark}': {failure}")
        self.ours_failed |= tool.kind == "ours"

    def work(self, tool: Installed, verb: str, folder: Path, **options: object) -> Done:
        """Has the tool's own interpreter do one verb of the work."""
        result = folder / "out" / "result.json"
        words = self.words(tool, verb, result, options)
        began = time.perf_counter()
        try:
            done = subprocess.run(
                words,
                cwd=folder,
                env=tool.env_in(folder),
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE_S,
            )
        except subprocess.TimeoutExpired:
            raise WorkFailedError(f"'{verb}' took longer than {PATIENCE_S} s") from None
        wall = time.perf_counter() - began
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            told = [line for line in lines if line.startswith(("error:", "fatal:"))] or lines[-1:]
            raise WorkFailedError(f"'{verb}': {told[0][:200]}")
        return Done(json.loads(result.read_text()), wall)

    def words(self, tool: Installed, verb: str, result: Path, options: Mapping[str, object]) -> list[str]:
        """Returns the command line of a worker."""
        script = [str(tool.python), str(WORKER), verb, tool.tool.subject]
        return [*script, str(result), json.dumps(options)]

    def race(self, commands: Mapping[str, Command], rounds: int) -> dict[str, list[float]]:
        """Times whole processes in turns, so that a busy minute hits all of them alike."""
        laps: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(rounds + 1):
            for name, command in commands.items():
                if turn % command.every or (command.every > 1 and not turn):
                    continue
                lap = run_once(command)
                if turn:  # the first one fills the caches
                    laps[name].append(lap)
        return laps


def run_once(command: Command) -> float:
    """Returns the seconds of one whole process; raises WorkFailedError."""
    if command.before:
        command.before()
    program = shutil.which(command.words[0], path=command.env["PATH"]) or command.words[0]
    words = [program, *command.words[1:]]
    began = time.perf_counter()
    process = subprocess.Popen(
        words,
        cwd=command.cwd,
        env=command.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    # wait(timeout=...) looks only now and then, up to 50 ms apart, and every lap would be one of a few numbers.
    watch = threading.Timer(PATIENCE_S, process.kill)
    watch.start()
    process.wait()
    lap = time.perf_counter() - began
    watch.cancel()
    if process.returncode:
        line = " ".join(command.words)
        late = f"took longer than {PATIENCE_S} s" if lap > PATIENCE_S else f"ended with exit code {process.returncode}"
        raise WorkFailedError(f"`{line}` {late}")
    return lap
