"""What it takes to send many small files to an LFS server, beside git-lfs itself.

Over loopback, to a server in a process of its own that checks every byte. Latency is nothing there, so this is what
each file costs the sender; on a real line both wait for the host, eight files at a time."""

from __future__ import annotations

import hashlib
import json
import shutil
from statistics import median
from typing import TYPE_CHECKING

import lfshost
import report
from runner import Command, WorkFailedError, run_once

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Bench
    from tools import Installed

FILES, BYTES = (300, 30), 10 << 10
ROUNDS = (9, 2)
AT_MOST = 1.5
OURS, WHOLE, THEIRS = "gittrack", "gittrack, its whole process", "git lfs push --object-id"

# What `git track push` does with the payloads of runs, and the seconds of it without the start of Python.
SEND = """
import json, os, pathlib, sys, time
from gittrack import carrying, git, stores
from gittrack.codec.pointer import Pointer
from gittrack.payloads import Payloads
from gittrack.settings import environment, read_settings
place = git.Git(git.discover(pathlib.Path("."), environment()), environment())
settings = read_settings(place)
payloads = Payloads(place.place.common_dir, beside=[place.place.common_dir / "lfs" / "objects"])
pointers = [Pointer(*each) for each in json.loads(pathlib.Path("out/pointers.json").read_text())]
began = time.perf_counter()
store = stores.open_store(place, stores.of_remote(settings, "origin"), settings)
done = carrying.send(payloads, store, pointers)
store.close()
pathlib.Path("out/seconds").write_text(str(time.perf_counter() - began))
sys.exit(len(done.moved) != len(pointers))
"""


def measure(bench: Bench) -> report.Table:
    """Sends the same files with both, in turns, to a server that has none of them."""
    count = bench.size(*FILES)
    rows: list[report.Row] = []
    notes = ["the same server, files and order; git-lfs as a whole process, since it has no other form"]
    for tool in bench.taking("artifacts"):
        if tool.kind != "ours":
            continue
        if shutil.which("git-lfs") is None:
            notes = ["git-lfs is not installed"]
            continue
        with lfshost.serving() as host:
            rows = sent(bench, tool, host, count)
    laps = {row.name: row.cells["ms"] for row in rows}
    ours, theirs = laps.get(OURS), laps.get(THEIRS)
    ratio = ours / theirs if isinstance(ours, float) and isinstance(theirs, float) else None
    goals = [report.Goal("to send them, beside git-lfs", None if bench.quick else ratio, AT_MOST, "x")]
    return report.Table(
        name="lfs",
        title=f"{count} files of {BYTES >> 10} KiB to an LFS server on loopback; ms, medians in turns",
        columns={"ms": "ms"},
        rows=rows,
        reached=report.all_reached(goals),
        goals=goals,
        notes=notes,
    )


def sent(bench: Bench, tool: Installed, host: lfshost.LfsHost, count: int) -> list[report.Row]:
    """Returns what both take."""
    folder = bench.box.repository("lfs")
    pointers = filled(folder, count)
    for key, value in (("remote.origin.url", f"{host.url}/none.git"), ("lfs.url", host.url)):
        bench.box.git(folder, "config", key, value)
    bench.box.git(folder, "config", f"lfs.{host.url}.locksverify", "false")

    def forget() -> None:
        had = host.forget()
        if had not in (0, count):
            raise WorkFailedError(f"only {had} of {count} files arrived")

    env = tool.env_in(folder)
    ours = Command((str(tool.python), "-c", SEND), folder, env, before=forget)
    theirs = Command(("git", "lfs", "push", "--object-id", "origin", *pointers), folder, env, before=forget)
    laps: dict[str, list[float]] = {OURS: [], WHOLE: [], THEIRS: []}
    for turn in range(bench.size(*ROUNDS) + 1):
        whole, git_lfs = run_once(ours), run_once(theirs)
        if turn:  # the first one fills the caches
            laps[WHOLE].append(whole)
            laps[OURS].append(float((folder / "out" / "seconds").read_text()))
            laps[THEIRS].append(git_lfs)
    forget()
    return [
        report.Row(name, "floor" if name == THEIRS else "ours", {"ms": median(each) * 1e3})
        for name, each in laps.items()
    ]


def filled(folder: Path, count: int) -> list[str]:
    """Makes files where git-lfs keeps them, which both read; returns their hashes."""
    found = []
    for number in range(count):
        data = hashlib.shake_256(str(number).encode()).digest(BYTES)
        oid = hashlib.sha256(data).hexdigest()
        path = folder / ".git" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        found.append(oid)
    (folder / "out" / "pointers.json").write_text(json.dumps([(oid, BYTES) for oid in found]))
    return found
