"""What runs cost a team: to push one among very many, to push code beside them, to fetch, to join.

Over smart HTTP, from a host in a process of its own, beside what plain git takes to move the same."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import crowds
import host
import report
from crowds import PEAK
from runner import Command, WorkFailedError, run_once

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from runner import Bench
    from tools import Installed

MANY, NEW, JOINED = (100_000, 1_000), (10_000, 600), (1_000, 50)
ROUNDS = (9, 2)
MIRROR = "+refs/runs/*:refs/gittrack/origin/runs/*"

PUSH, PUSH_FLOOR = "push of one new run", "git push of one commit"
BRANCH, BRANCH_FLOOR = "plain git push of a branch by a teammate", "the same without runs"
FETCH, FETCH_FLOOR = "fetch, nothing new", "git fetch of the same refs"
FIRST, FIRST_FLOOR = "first push of {} new runs", "git push of the same as one archive"
CLONE, CLONE_FLOOR = "first fetch by a new clone", "git fetch of the same into a bare repository"
LISTED = "until ls answers then"
JOIN = "pull that joins {} diverged runs"

# One edit of each of so many runs, as a colleague made them.
EDIT = """
import sys
from gittrack import repo, store
from gittrack.refname import RUNS, run_of
place = repo.open_repo()
runs = [run_of(ref.name) for ref in place.git.refs(RUNS) if run_of(ref.name)]
tag = sys.argv[2]
for number, run in enumerate(runs[: int(sys.argv[1])]):
    random = number * 97 + len(tag)
    store.edit(place.git, run, {"tag": [tag]}, author="A <a@b>", now=1.8e9, random=random, sign=False)
"""


@dataclass
class Team:
    """The host, its repositories, and who works with them."""

    bench: Bench
    tool: Installed
    served: Path
    host: host.Host

    @property
    def root(self) -> Path:
        return self.served.parent

    def git(self, folder: Path, *words: str) -> str:
        return self.bench.box.git(folder, *words).strip()

    def empty(self, name: str) -> str:
        """Makes an empty repository on the host and returns its address."""
        folder = self.served / name
        self.git(self.root, "init", "-q", "--bare", str(folder))
        self.git(folder, "config", "http.receivepack", "true")
        return f"{self.host.address}/{name}"

    def track(self, folder: Path, *words: str) -> None:
        """Runs git-track; raises WorkFailedError."""
        run_once(self.command(folder, "git", "track", *words))

    def command(self, folder: Path, *words: str, before: Callable[[], object] | None = None) -> Command:
        return Command(words, folder, self.tool.env_in(folder), before=before)


def measure(bench: Bench) -> report.Table:
    """Times what a team does with very many runs on both sides, all of them archived."""
    rows: list[report.Row] = []
    for tool in bench.taking("find"):
        if tool.kind == "ours":
            served = bench.box.root / "share" / "served"
            served.mkdir(parents=True)
            with host.serving(served) as running:
                rows = shared(Team(bench, tool, served, running))
    goals = goals_of(rows, counts=not bench.quick)
    many = bench.size(*MANY)
    return report.Table(
        name="share",
        title=f"over smart HTTP, {many:,} archived runs on both sides; ms, medians in turns",
        columns={"ms": "ms", "kb": "kB received", "mb": "MB of memory"},
        rows=rows,
        reached=report.all_reached(goals),
        goals=goals,
    )


def shared(team: Team) -> list[report.Row]:
    """Returns all rows."""
    bench = team.bench
    crowd = crowds.ours(bench, team.tool, bench.size(*MANY))
    bench.say(f"share: archiving {crowd.runs:,} runs")
    lead = copy(team, crowd.folder, "lead")
    team.track(lead, "archive", "-q")
    hub = team.served / "hub.git"
    shutil.copytree(lead / ".git", hub)
    shutil.rmtree(hub / "gittrack")
    for key, value in (("core.bare", "true"), ("http.receivepack", "true")):
        team.git(hub, "config", key, value)
    team.git(lead, "remote", "add", "origin", f"{team.host.address}/hub.git")
    team.git(lead, "fetch", "-q", "origin")
    team.track(lead, "fetch", "-q")
    return [
        *one_run(team, lead),
        *branches(team),
        *nothing_new(team, lead),
        *clones(team),
        *first_push(team),
        *joins(team),
    ]


def copy(team: Team, folder: Path, name: str) -> Path:
    made = team.root / name
    shutil.copytree(folder, made, symlinks=True)
    return made


def one_run(team: Team, lead: Path) -> list[report.Row]:
    """Returns what the push of one run takes, and how many bytes come back."""
    received: list[int] = []
    number = iter(range(10**6))

    def record() -> None:
        team.track(lead, "run", "-p", f"seed={next(number)}", "--", "true")
        received.append(team.host.sent())

    def commit() -> None:
        made = team.git(lead, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", f"a run, {next(number)}")
        team.git(lead, "update-ref", "refs/floor/next", made)

    commands = {
        PUSH: team.command(lead, "git", "track", "push", "-q", before=record),
        PUSH_FLOOR: team.command(
            lead, "git", "push", "-q", "origin", "+refs/floor/next:refs/floor/next", before=commit
        ),
    }
    laps: dict[str, list[float]] = {name: [] for name in commands}
    sizes: list[int] = []
    for turn in range(team.bench.size(*ROUNDS) + 1):
        for name, command in commands.items():
            lap = run_once(command)
            if turn:
                laps[name].append(lap)
                if name == PUSH:
                    sizes.append(team.host.sent() - received[-1])
    found = {name: median(each) * 1e3 for name, each in laps.items()}
    return [
        report.Row(PUSH, "ours", {"ms": found[PUSH], "kb": median(sizes) / 1e3}),
        report.Row(PUSH_FLOOR, "floor", {"ms": found[PUSH_FLOOR]}),
    ]


def branches(team: Team) -> list[report.Row]:
    """Returns what the push of a branch takes a teammate who has no runs, beside a host that has none either."""
    team.git(team.root, "clone", "-q", f"{team.host.address}/hub.git", "teammate")
    address = team.empty("plain.git")
    team.git(team.root / "teammate", "push", "-q", address, "main")
    team.git(team.root, "clone", "-q", address, "plain")
    commands = {}
    for name, folder in ((BRANCH, team.root / "teammate"), (BRANCH_FLOOR, team.root / "plain")):

        def commit(folder: Path = folder) -> None:
            team.git(folder, "commit", "-q", "--allow-empty", "-m", "work")

        commands[name] = team.command(folder, "git", "push", "-q", "origin", "main", before=commit)
    laps = team.bench.race(commands, team.bench.size(*ROUNDS))
    return [report.Row(name, "ours" if name == BRANCH else "floor", {"ms": median(laps[name]) * 1e3}) for name in laps]


def nothing_new(team: Team, lead: Path) -> list[report.Row]:
    """Returns what a fetch takes that finds nothing new."""
    commands = {
        FETCH: team.command(lead, "git", "track", "fetch", "-q"),
        FETCH_FLOOR: team.command(lead, "git", "fetch", "-q", "--no-tags", "origin", MIRROR),
    }
    laps = team.bench.race(commands, team.bench.size(*ROUNDS))
    return [report.Row(name, "ours" if name == FETCH else "floor", {"ms": median(laps[name]) * 1e3}) for name in laps]


def clones(team: Team) -> list[report.Row]:
    """Returns what it takes a new clone to have all runs, and to list them."""
    team.bench.say("share: a new clone fetches everything")
    address = f"{team.host.address}/hub.git"
    team.git(team.root, "clone", "-q", address, "new")
    fetched, memory = peaked(team, team.root / "new", "git", "track", "fetch", "-q")
    listed, more = peaked(team, team.root / "new", "git", "track", "ls", "-n", "20")
    team.git(team.root, "init", "-q", "--bare", "floor.git")
    floor = run_once(team.command(team.root / "floor.git", "git", "fetch", "-q", address, MIRROR))
    return [
        report.Row(CLONE, "ours", {"ms": fetched * 1e3, "mb": memory / 1e6}),
        report.Row(LISTED, "ours", {"ms": listed * 1e3, "mb": more / 1e6}),
        report.Row(CLONE_FLOOR, "floor", {"ms": floor * 1e3}),
    ]


def peaked(team: Team, folder: Path, *words: str) -> tuple[float, int]:
    """Returns the seconds of a command, and the most memory that its processes held of their own."""
    env = team.tool.env_in(folder)
    program = shutil.which("python3", path=env["PATH"]) or "python3"
    began = time.perf_counter()
    done = subprocess.run(
        [program, "-S", str(PEAK), *words], cwd=folder, env=env, check=False, capture_output=True, text=True
    )
    took = time.perf_counter() - began
    if done.returncode:
        raise WorkFailedError(f"`{' '.join(words)}`: {done.stderr.strip().splitlines()[-1:]}")
    return took, int(done.stdout.split()[0])


def first_push(team: Team) -> list[report.Row]:
    """Returns what the first push of many new runs takes: as one archive, and plain git with the same archive."""
    count = team.bench.size(*NEW)
    team.bench.say(f"share: the first push of {count:,} runs")
    crowd = crowds.ours(team.bench, team.tool, count)
    laps, floors = [], []
    for turn in range(team.bench.size(3, 1)):
        folder = copy(team, crowd.folder, f"first{turn}")
        team.git(folder, "remote", "add", "origin", team.empty(f"first{turn}.git"))
        team.git(folder, "push", "-q", "origin", "main")
        laps.append(run_once(team.command(folder, "git", "track", "push", "-q")))
        address = team.empty(f"floor{turn}.git")
        team.git(folder, "push", "-q", address, "main")
        floors.append(run_once(team.command(folder, "git", "push", "-q", address, "refs/runs/*:refs/runs/*")))
        shutil.rmtree(folder)
    return [
        report.Row(FIRST.format(f"{count:,}"), "ours", {"ms": median(laps) * 1e3}),
        report.Row(FIRST_FLOOR, "floor", {"ms": median(floors) * 1e3}),
    ]


def joins(team: Team) -> list[report.Row]:
    """Returns what a pull takes that joins many runs."""
    count = team.bench.size(*JOINED)
    crowd = crowds.ours(team.bench, team.tool, count)
    team.bench.say(f"share: {count:,} runs are edited by two people")
    first = copy(team, crowd.folder, "ada")
    team.git(first, "remote", "add", "origin", team.empty("joined.git"))
    team.git(first, "push", "-q", "origin", "main")
    for key in ("track.maxRefs",):
        team.git(first, "config", key, "1000000")
    run_once(ci(team.command(first, "git", "track", "push", "-q")))
    team.git(team.root, "clone", "-q", f"{team.host.address}/joined.git", "bob")
    second = team.root / "bob"
    team.track(second, "fetch", "-q")
    for folder, tag in ((first, "x"), (second, "yy")):
        done = subprocess.run(
            [str(team.tool.python), "-c", EDIT, str(count), tag], cwd=folder, env=team.tool.env_in(folder), check=False
        )
        if done.returncode:
            raise WorkFailedError("the runs could not be edited")
    run_once(ci(team.command(first, "git", "track", "push", "-q")))
    lap = run_once(team.command(second, "git", "track", "pull", "-q"))
    done = subprocess.run(
        ["git", "track", "ls", "--json=tags"],
        cwd=second,
        env=team.tool.env_in(second),
        check=False,
        capture_output=True,
    )
    if sum(run["tags"][-2:] == ["x", "yy"] for run in json.loads(done.stdout)) < count:
        raise WorkFailedError("not all runs were joined")
    return [report.Row(JOIN.format(f"{count:,}"), "ours", {"ms": lap * 1e3})]


def ci(command: Command) -> Command:
    """Returns a command as a CI job runs it: it archives nothing by itself."""
    return Command(command.words, command.cwd, {**command.env, "CI": "true"})


def goals_of(rows: list[report.Row], *, counts: bool) -> list[report.Goal]:
    """Returns what is to be reached; counts: whether the sizes are those that it is about."""
    cells: Mapping[str, Mapping[str, report.Cell]] = {row.name: row.cells for row in rows}

    def of(start: str, key: str = "ms") -> float | None:
        found = next((each.get(key) for name, each in cells.items() if name.startswith(start)), None)
        return float(found) if counts and isinstance(found, float | int) else None

    ms, floor = of(BRANCH), of(BRANCH_FLOOR)
    whole = [of(CLONE), of(LISTED)]
    return [
        report.Goal("the push of one run", of(PUSH), 500, "ms"),
        report.Goal("what it receives", of(PUSH, "kb"), 20, "kB"),
        report.Goal(
            "a teammate's push of a branch beside one without runs", ms / floor if ms and floor else None, 1.3, "x"
        ),
        report.Goal("a fetch of nothing new", of(FETCH), 200, "ms"),
        report.Goal("the first push", of(FIRST.partition("{")[0]), 10_000, "ms"),
        report.Goal(
            "a new clone, fetch and ls", sum(each for each in whole if each) if all(whole) else None, 60_000, "ms"
        ),
        report.Goal("the joins", of(JOIN.partition("{")[0]), 10_000, "ms"),
    ]
