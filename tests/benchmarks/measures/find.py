"""How long one looks for a run among very many: the newest, the best, those that were just made."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING

import crowds
import report
import tools
from crowds import Crowd
from runner import Command, WorkFailedError, run_once

from measures.ls import printed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner import Bench

SIZES = {"small": (10_000, 300), "large": (100_000, 1_000)}
SHOWN = 20
SLOW_S = 20  # a peer's process that takes longer is not repeated, and none among the most runs
LS = tuple(f"git track ls -n {SHOWN}".split())
WHERE = (*LS, "--where", "metrics.acc > 0.9 and params.lr < 1e-3", "--sort", "-metrics.acc")
REFERENCE = "import click, sqlite3, json"

LIST, BEST = "git track ls -n 20", "git track ls --where ... --sort ... -n 20"
INDEX, FIRST = "ls -n 20, the index from nothing", "ls --where ..., the first time that this is asked"
NEW = "ls -n 20, after one new run"
REFERENCE_ROW = f"python -c '{REFERENCE}'"

TIMES_REFERENCE = {"small": 2.0, "large": 2.5}
UNDER_MS = 100
WHERE_MS = {"small": 100, "large": 250}
INDEX_S = {"small": 1, "large": 8}
INDEX_MB, NEW_MS = 300, 30


def measure(bench: Bench) -> report.Table:
    """Times listings of two repositories whose runs are known, unknown, and known but for one."""
    rows: dict[str, report.Row] = {}
    goals: list[report.Goal] = []
    warm: dict[str, float] = {}
    for key, sizes in SIZES.items():
        runs = bench.size(*sizes)
        for tool in bench.taking("find"):
            if tool.kind == "ours":
                crowd = crowds.ours(bench, tool, runs)
                found = looked(bench, crowd, crowds.peers(bench, "find", runs, recording=key == "small"))
                index_ms, first_ms, memory = indexed(bench, crowd)
                new_ms, warm[key] = grown(bench, crowd)
                found.insert(2, report.Row(INDEX, "ours", {"ms": index_ms, **memory}))
                found.insert(3, report.Row(FIRST, "ours", {"ms": first_ms}))
                found.insert(4, report.Row(NEW, "ours", {"ms": new_ms}))
                for row in found:
                    add(rows, row, key)
        goals += goals_of(rows, key, warm=warm.get(key), counts=not bench.quick)
    table = list(rows.values())
    for key in SIZES:
        table = report.with_ratio(table, f"{key}_ms", f"{key}_ratio")
    small, large = (f"{bench.size(*sizes):,}" for sizes in SIZES.values())
    return report.Table(
        name="find",
        title=f"the whole process of a listing of {small} and of {large} runs; ms, medians in turns",
        columns={
            "small_ms": f"{small}, ms",
            "small_ratio": "ratio",
            "small_mb": "MB",
            "small_mapped_mb": "MB mapped too",
            "large_ms": f"{large}, ms",
            "large_ratio": "ratio",
            "large_mb": "MB",
            "large_mapped_mb": "MB mapped too",
        },
        rows=table,
        reached=report.all_reached(goals),
        notes=notes(rows),
        goals=goals,
    )


def add(rows: dict[str, report.Row], row: report.Row, key: str) -> None:
    """Adds what was measured at one size to the row of the same name."""
    cells = {f"{key}_{name}": value for name, value in row.cells.items()}
    known = rows.get(row.name)
    note = "; ".join(dict.fromkeys(filter(None, [known.note if known else "", row.note])))
    rows[row.name] = report.Row(row.name, row.kind, {**(known.cells if known else {}), **cells}, note)


# Nothing changed ----------------------------------------------------------------------------------------------------


def looked(bench: Bench, crowd: Crowd, others: list[Crowd]) -> list[report.Row]:
    """Returns what each listing takes when nothing changed since the one before, and what the floors take."""
    commands, kinds, said = {LIST: ours(crowd, LS), BEST: ours(crowd, WHERE)}, {LIST: "ours", BEST: "ours"}, {}
    for command in commands.values():
        if printed(command)[0] != SHOWN + 1:
            raise WorkFailedError(f"`{' '.join(command.words)}` does not print {SHOWN} runs")
    slow: list[report.Row] = []
    for other in others:
        for name, command in of_peer(bench, other).items():
            try:
                lines, took = printed(command)
            except WorkFailedError as failure:
                bench.failed(other.tool, "find", failure)
                continue
            said[name] = f"{other.how}; {lines:,} lines" if lines else other.how
            if took > SLOW_S or other.runs > bench.size(*SIZES["small"]):
                said[name] = f"of {other.runs:,} measured once"
                slow.append(report.Row(name, "peer", {"ms": took * 1e3}, said[name]))
            else:
                commands[name], kinds[name] = command, "peer"
    floors = floor_commands(bench, crowd)
    rounds = bench.size(15, 3)
    bench.say(f"find: {rounds} rounds of {len(commands) + len(floors)} processes, {crowd.runs:,} runs")
    laps = bench.race({**commands, **floors}, rounds)
    rows = [
        report.Row(name, kinds.get(name, "floor"), {"ms": median(found) * 1e3}, said.get(name, ""))
        for name, found in laps.items()
    ]
    return rows + slow


def ours(crowd: Crowd, words: tuple[str, ...]) -> Command:
    """Returns a command of ours in a repository."""
    return Command(words, crowd.folder, crowd.tool.env_in(crowd.folder))


def of_peer(bench: Bench, crowd: Crowd) -> dict[str, Command]:
    """Returns how a peer lists its runs, and how it finds the best of some, if it can; by what is printed of it."""
    tool, env = crowd.tool, crowd.tool.env_in(crowd.folder)
    every = bench.size(7, 3)
    listing = tool.tool.listing.format(out=crowd.folder / "out")
    name = tool.tool.listing.replace(" --repo {out}", "").replace(" --experiment-id 1", "")
    found = {name: Command(tuple(listing.split()), crowd.folder, env, every=every)}
    if tool.tool.search:
        code = f"import {tool.tool.module}; assert len({tool.tool.search}) == {SHOWN}"
        found[called(tool.tool.search)] = Command((str(tool.python), "-c", code), crowd.folder, env, every=every)
    return found


def called(code: str) -> str:
    """Returns a call without its arguments."""
    return code.partition("(")[0] + "(...)"


def floor_commands(bench: Bench, crowd: Crowd) -> dict[str, Command]:
    """Returns what Python and git cost in the same repository without us."""
    python, env = str(crowd.tool.python), crowd.tool.env_in(crowd.folder)
    lines = ("git status", "git for-each-ref --count=1")
    return {
        REFERENCE_ROW: Command((python, "-c", REFERENCE), crowd.folder, env),
        "python -c pass": Command((python, "-c", "pass"), crowd.folder, env),
        **{line: Command(tuple(line.split()), crowd.folder, bench.box.env) for line in lines},
    }


# Something changed --------------------------------------------------------------------------------------------------


def indexed(bench: Bench, crowd: Crowd) -> tuple[float, float, dict[str, report.Cell]]:
    """Returns the milliseconds of a listing without an index, those of the first question after it, and the memory."""
    folder = crowd.folder / ".git" / "gittrack" / "index"
    rounds = bench.size(5 if crowd.runs <= SIZES["small"][0] else 2, 1)
    bench.say(f"find: {rounds} times the index from nothing, {crowd.runs:,} runs")
    listing, asking = [], []
    for _ in range(rounds):
        shutil.rmtree(folder)
        listing.append(run_once(ours(crowd, LS)))
        asking.append(run_once(ours(crowd, WHERE)))
    shutil.rmtree(folder)
    own, resident = crowds.peak_bytes(crowd, *LS)
    return median(listing) * 1e3, median(asking) * 1e3, {"mb": own / 1e6, "mapped_mb": resident / 1e6}


def grown(bench: Bench, crowd: Crowd) -> tuple[float, float]:
    """Returns the milliseconds of a listing just after a run was made, and of one in turns with it when none was.

    The refs of the new runs go away again."""
    rounds = bench.size(15, 3)
    command = ours(crowd, LS)
    waiting = iter(crowd.spare)

    def make() -> None:
        ref, oid = next(waiting)
        bench.box.git(crowd.folder, "update-ref", ref, oid)

    def settle() -> None:
        run_once(command)  # which takes in what the last turn made

    commands = {
        "warm": Command(LS, crowd.folder, command.env, before=settle),
        "new": Command(LS, crowd.folder, command.env, before=make),
    }
    bench.say(f"find: {rounds} new runs, {crowd.runs:,} runs")
    laps = bench.race(commands, rounds)
    made = dict(islice(crowd.spare, rounds + 1))
    check(crowd, made)
    for ref in made:
        bench.box.git(crowd.folder, "update-ref", "-d", ref)
    return median(laps["new"]) * 1e3, median(laps["warm"]) * 1e3


def check(crowd: Crowd, made: Mapping[str, str]) -> None:
    """Raises WorkFailedError unless the newest runs that a listing shows are those that were just made."""
    words = ["git", "track", "ls", "--json=id", "-n", str(len(made))]
    env = crowd.tool.env_in(crowd.folder)
    done = subprocess.run(words, cwd=crowd.folder, env=env, check=True, capture_output=True, text=True)
    if {f"refs/runs/{run['id']}" for run in json.loads(done.stdout)} != made.keys():
        raise WorkFailedError(f"`{' '.join(words)}` does not show the runs that were made")


# What it means ------------------------------------------------------------------------------------------------------


def goals_of(rows: Mapping[str, report.Row], key: str, *, warm: float | None, counts: bool) -> Iterator[report.Goal]:
    """Yields the goals for one size; what was measured counts only if it was with so many runs."""

    def cell(name: str, column: str = "ms") -> float | None:
        value = rows[name].cells.get(f"{key}_{column}") if counts and name in rows else None
        return value if isinstance(value, float) else None

    listed, reference, new, index = cell(LIST), cell(REFERENCE_ROW), cell(NEW), cell(INDEX)
    times = listed / reference if listed is not None and reference is not None else None
    more = new - warm if new is not None and warm is not None else None
    among = f"of {SIZES[key][0]:,} runs"
    yield report.Goal(f"`ls` {among}", times, TIMES_REFERENCE[key], "times the reference")
    if key == "small":
        yield report.Goal(f"`ls` {among}", listed, UNDER_MS, "ms")
    yield report.Goal(f"`ls --where` {among}", cell(BEST), WHERE_MS[key], "ms")
    yield report.Goal(f"the index {among}", None if index is None else index / 1e3, INDEX_S[key], "s")
    yield report.Goal(f"the index {among}", cell(INDEX, "mb"), INDEX_MB, "MB")
    yield report.Goal(f"one new run, over the warm `ls` {among},", more, NEW_MS, "ms")


def notes(rows: Mapping[str, report.Row]) -> list[str]:
    """Returns what has to be known to read the table."""
    said = [
        f"the reference: `{REFERENCE_ROW}`; ... --where '{WHERE[6]}' --sort {WHERE[8]}",
        "MB: the most that all processes of a listing held at one time; mapped: with the packs that git maps",
    ]
    names = " ".join(rows)
    if "mlflow" in names:
        said.append("mlflow lists 1,000 runs at most; a run has one point of each metric there")
        said.append("its params are texts, of which its filter knows equality only, so it has no condition on lr:")
        said += [tool.search for tool in tools.TOOLS if tool.search]
    if "aim" in names:
        said.append("aim lists the ids alone")
    return said
