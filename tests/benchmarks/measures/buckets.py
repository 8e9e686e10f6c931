"""What a large file takes on its way to a bucket and back, beside what rclone takes there.

Whole processes in turns, so that starting Python counts, as it does for a user. The servers share this machine with
whoever sends, so the figures are about both."""

from __future__ import annotations

import hashlib
import os
import subprocess
from statistics import median
from typing import TYPE_CHECKING

import bucket
import report
from crowds import PEAK
from runner import Command, WorkFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runner import Bench
    from tools import Installed

MIB = 1 << 20
SIZE = (2048, 256)  # MiB
ROUNDS = (5, 2)
MEMORY_MB = 100
SERVERS = ("rclone", "moto")

# Does one thing with a bucket: its address, what to do, a file, the SHA-256 of that file.
WORK = """
import os, sys
from pathlib import Path
from gittrack.codec.pointer import Pointer
from gittrack.transports.cloud.store import Cloud
from gittrack.transports.protocol import Source
url, what, path, sha256 = sys.argv[1:]
pointer = Pointer(sha256, os.path.getsize(path))
store = Cloud(url, environ=os.environ)
if what == "put":
    store.put(Source(pointer, Path(path)))
elif what == "get":
    with open(path + ".got", "wb") as file:
        for chunk in store.get(pointer):
            file.write(chunk)
else:
    store.exists([pointer], sending=True)
"""


def measure(bench: Bench) -> report.Table:
    """Sends one file to each server and gets it back, in turns with rclone."""
    rows: list[report.Row] = []
    goals: list[report.Goal] = []
    size = bench.size(*SIZE)
    for tool in bench.taking("find"):
        if tool.kind == "ours":
            folder = bench.box.root / "buckets"
            folder.mkdir()
            file, sha256 = made(folder / "large", size)
            for kind in SERVERS:
                with bucket.serving(kind) as environ:
                    if environ:
                        bench.say(f"buckets: {size} MiB to {kind} and back")
                        rows += raced(bench, tool, kind, {"file": str(file), "sha256": sha256, **environ})
    cells = {row.name: row.cells for row in rows}
    for kind in SERVERS:
        for what in ("put", "get"):
            us, them = (cells.get(f"{what}, {kind}, {who}", {}).get("s") for who in ("gittrack", "rclone"))
            ratio = us / them if isinstance(us, float) and isinstance(them, float) else None
            goals.append(report.Goal(f"{what} beside rclone, {kind}", ratio, 1.0, "x"))
        held = cells.get(f"put, {kind}, gittrack", {}).get("mb")
        goals.append(
            report.Goal(f"memory over idle, {kind}", held if isinstance(held, float) else None, MEMORY_MB, "MB")
        )
    return report.Table(
        name="buckets",
        title=f"a file of {size} MiB to a bucket on this machine and back; medians in turns",
        columns={"s": "s", "rate": "MiB/s", "mb": "MB of memory over idle"},
        rows=rows,
        reached=report.all_reached(goals),
        goals=goals,
        notes=("a server on the same cores takes its share of them",),
    )


def made(path: Path, size: int) -> tuple[Path, str]:
    """Makes a file of so many MiB that nothing compresses; returns it and its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(size):
            block = os.urandom(MIB)
            digest.update(block)
            file.write(block)
    return path, digest.hexdigest()


def raced(bench: Bench, tool: Installed, kind: str, given: Mapping[str, str]) -> list[report.Row]:
    """Returns what it takes to send and to get, ours and rclone's."""
    folder = bench.box.root / "buckets"
    file, sha256 = given["file"], given["sha256"]
    env = tool.env_in(folder) | {key: value for key, value in given.items() if key.startswith("AWS_")}
    env |= {f"RCLONE_CONFIG_LAB_{key}": value for key, value in of_rclone(given).items()}
    copy = ("rclone", "--config", os.devnull, "--ignore-times", "copyto")
    python = str(tool.python)
    rows = []
    for what, theirs in (("put", (file, "lab:lab/rclone")), ("get", ("lab:lab/rclone", f"{file}.got"))):
        ours = (python, "-c", WORK, "s3://lab/ours", what, file, sha256)
        laps = bench.race(
            {"gittrack": Command(ours, folder, env), "rclone": Command((*copy, *theirs), folder, env)},
            bench.size(*ROUNDS),
        )
        idle = peak(folder, env, (python, "-c", WORK, "s3://lab/ours", "exists", file, sha256))
        held = {"gittrack": peak(folder, env, ours) - idle}
        for who, each in laps.items():
            took = median(each)
            cells: dict[str, report.Cell] = {"s": took, "rate": int(os.path.getsize(file) / MIB / took)}
            cells |= {"mb": held[who] / 1e6} if who in held else {}
            rows.append(report.Row(f"{what}, {kind}, {who}", "ours" if who in held else "peer", cells))
    return rows


def of_rclone(given: Mapping[str, str]) -> dict[str, str]:
    """Returns rclone's settings for the same server."""
    return {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ENDPOINT": given["AWS_ENDPOINT_URL_S3"],
        "ACCESS_KEY_ID": given["AWS_ACCESS_KEY_ID"],
        "SECRET_ACCESS_KEY": given["AWS_SECRET_ACCESS_KEY"],
        "REGION": given["AWS_REGION"],
    }


def peak(folder: Path, env: Mapping[str, str], words: tuple[str, ...]) -> int:
    """Returns the most memory of its own that a process held, in bytes."""
    # peak.py takes a child that is the same program as itself for a fork of it; a shell between them is another.
    shell = ("sh", "-c", '"$@"; exit $?', "sh")
    done = subprocess.run(
        [words[0], "-S", str(PEAK), *shell, *words], cwd=folder, env=env, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise WorkFailedError(f"a process ended with exit code {done.returncode}")
    return int(done.stdout.split()[0])
