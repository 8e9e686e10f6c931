"""Whether what log() returned for is still there when the process is not.

The process notes the number of each call that returned in a file of our own, which outlives it.
Then it is killed, and the points that can be read back are counted against the note."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import report
from runner import WorkFailedError

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Bench
    from tools import Installed

METRICS = 10
# Half of the runs log as fast as they can and die early, half log a step each millisecond.
FAST_S, STEADY_S, PAUSE_S = 0.5, 2.0, 0.001
CALLS = 200_000
START_S = 60


@dataclass(frozen=True)
class Death:
    """What one kill left behind."""

    acknowledged: int
    lost: int
    status: str


def measure(bench: Bench) -> report.Table:
    """Kills every tool at random moments, in turns."""
    ours = bench.kills or bench.size(30, 4)
    peers = min(ours, bench.size(10, 2))
    moments = random.Random(1)
    stores = bench.stores("kill")
    deaths: dict[str, list[Death]] = {name: [] for name in stores}
    bench.say(f"kill: {ours} times, peers {peers} times")
    for turn in range(ours):
        for name, (tool, folder) in list(stores.items()):
            if tool.kind == "peer" and turn >= peers:
                continue
            copy = folder.with_name(f"{folder.name}-{turn}")
            shutil.copytree(folder, copy, symlinks=True)
            pause = PAUSE_S if turn % 2 else 0.0
            delay = moments.uniform(0, STEADY_S if pause else FAST_S)
            try:
                deaths[name].append(die(bench, tool, copy, delay_s=delay, pause_s=pause))
            except WorkFailedError as failure:
                bench.failed(tool, "kill", failure)
                del stores[name]
            shutil.rmtree(copy, ignore_errors=True)

    rows = [report.Row(name, tool.kind, counted(deaths[name])) for name, (tool, _) in stores.items()]
    unread = [tool.name for tool in bench.tools if tool.kind == "peer" and not tool.takes("kill")]
    lost = report.ours(rows, "lost")
    died = [death.status for name in stores for death in deaths[name] if death.status]
    reached = None if lost is None else lost == 0 and set(died) == {"crashed"}
    return report.Table(
        name="kill",
        title="kill -9 at random moments: points that log() had returned for, and that are gone",
        columns={
            "kills": "kills",
            "acknowledged": "points logged",
            "lost": "points lost",
            "worst": "worst kill",
            "harmed": "runs harmed",
            "status": "status",
        },
        rows=rows,
        goal="0 points lost, status `crashed`",
        reached=reached,
        notes=[f"{', '.join(unread)}: no simple reader of what a dead process left"] if unread else [],
    )


def die(bench: Bench, tool: Installed, folder: Path, *, delay_s: float, pause_s: float) -> Death:
    """Kills one process and returns what is missing."""
    ledger = folder / "out" / "ledger"
    ledger.write_bytes(bytes(8))
    options = {"ledger": str(ledger), "pause_s": pause_s, "calls": CALLS}
    words = bench.words(tool, "kill", folder / "out" / "result.json", options)
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=tool.env_in(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for_first_call(process, ledger)
        time.sleep(delay_s)
        process.kill()
    finally:
        process.kill()
        process.wait()
        end_helpers(process.pid)
    acknowledged = int.from_bytes(ledger.read_bytes(), "little")
    data = bench.work(tool, "count", folder, acknowledged=acknowledged).data
    if tool.kind == "ours" and (problems := bench.box.fsck(folder)):
        raise WorkFailedError(f"git fsck: {problems[0]}")
    return Death(acknowledged * METRICS, data["lost"], data["status"])


def wait_for_first_call(process: subprocess.Popen[bytes], ledger: Path) -> None:
    """Returns when the process has logged something."""
    stop = time.monotonic() + START_S
    while not any(ledger.read_bytes()):
        if process.poll() is not None or time.monotonic() > stop:
            raise WorkFailedError("'kill': nothing was logged")
        time.sleep(0.001)


def end_helpers(group: int) -> None:
    """Ends what the dead process had started, or it would write on behind our back."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def counted(deaths: list[Death]) -> dict[str, report.Cell]:
    """Returns the sums over all kills of one tool."""
    statuses = sorted({death.status for death in deaths if death.status})
    return {
        "kills": len(deaths),
        "acknowledged": sum(death.acknowledged for death in deaths),
        "lost": sum(death.lost for death in deaths),
        "worst": max(death.lost for death in deaths),
        "harmed": sum(death.lost > 0 for death in deaths),
        "status": ", ".join(statuses) or None,
    }
