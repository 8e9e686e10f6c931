"""The work itself, the same lines for every tool.

A slow tool would take hours for what a fast one does in a second.
So each verb stops at `limit_s` and says how far it came; who prints it scales, and says so."""

from __future__ import annotations

import gc
import importlib
import json
import math
import os
import random
import resource
import signal
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from . import Bulk, Ended, Live
from .files import artifact
from .gitfloor import GitFloor, git_processes

if TYPE_CHECKING:
    from collections.abc import Callable

    from . import Curved, Subject, Tabular

# Multiples of the golden ratio, without their integer part, look like noise and are known beforehand.
METRICS = {f"m{place}": (place + 1) * 0.6180339887498949 for place in range(10)}
PARAMS = {f"p{place}": place / 7 for place in range(20)}
PAGE = os.sysconf("SC_PAGE_SIZE")
SLOW_S = 20  # what takes longer is done once


class OpenStore(Protocol):
    """Makes the subject, its store in a folder."""

    def __call__(self, folder: Path, /) -> Subject: ...


def main(open_store: OpenStore, *, verb: str, result: str, options: str) -> None:
    """Does one verb in the current folder and writes what it measured as JSON."""
    subject = open_store(Path.cwd())
    measured = VERBS[verb](subject, **json.loads(options))
    Path(result).write_text(json.dumps(measured))


def values(step: int) -> dict[str, float]:
    """Returns the metrics of one step: always new objects, and numbers with all their digits."""
    return {name: (step + 1) * ratio % 1.0 for name, ratio in METRICS.items()}


def prepare(subject: Subject) -> dict[str, Any]:
    """Records one empty run, so that nobody is charged for making the store."""
    subject.record({}, lambda _live: None)
    return {}


def begin(subject: Subject, *, rounds: int, edited: list[str], limit_s: float) -> dict[str, Any]:
    """Times from before `init()` until the run is there; each time the files that are named have another content."""
    laps: list[float] = []
    began = 0.0
    stop = time.monotonic() + limit_s

    def body(_live: Live) -> None:
        laps.append(time.perf_counter() - began)

    for _ in range(rounds):
        for path in edited:
            Path(path).write_text(os.urandom(400).hex())
        began = time.perf_counter()
        subject.record({}, body)
        if time.monotonic() > stop:
            break
    return {"laps": laps}


def log(subject: Subject, *, calls: int, limit_s: float) -> dict[str, Any]:
    """Times each `log()`, and what the process grew by after the first tenth of them."""
    laps = array("q", bytes(8 * calls))
    found: dict[str, Any] = {}

    def body(live: Live) -> None:
        clock = time.perf_counter_ns
        write = live.log
        stop = time.monotonic_ns() + int(limit_s * 1e9)
        settled, resident = calls // 10, 0
        done = 0
        for step in range(calls):
            metrics = values(step)
            start = clock()
            write(metrics, step=step)
            laps[step] = clock() - start
            done += 1
            if step == settled:
                gc.collect()
                resident = resident_bytes()
            if step % 16 == 0 and time.monotonic_ns() > stop:
                break
        measured = done - settled - 1
        grown = (resident_bytes() - resident) / measured if measured > settled else None
        found.update(calls=done, grown_per_call=grown)

    subject.record(PARAMS, body)
    ordered = sorted(laps[: found["calls"]])
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
        found[name] = ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e3
    return found


def resident_bytes() -> int:
    """Returns the memory that this process holds; 0 where there is no /proc."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def steps(subject: Subject, *, count: int, limit_s: float) -> dict[str, Any]:
    """Times a training loop that does nothing but log, and its three parts."""
    marks: list[float] = []
    done = 0

    def body(live: Live) -> None:
        nonlocal done
        marks.append(time.perf_counter())
        stop = time.monotonic() + limit_s
        for step in range(count):
            live.log(values(step), step=step)
            done += 1
            if step % 16 == 0 and time.monotonic() > stop:
                break
        marks.append(time.perf_counter())

    began = time.perf_counter()
    subject.record(PARAMS, body)
    ended = time.perf_counter()
    return {
        "done": done,
        "init_s": marks[0] - began,
        "loop_s": marks[1] - marks[0],
        "finish_s": ended - marks[1],
    }


def million(subject: Subject, *, calls: int, metrics: int, single: bool) -> dict[str, Any]:
    """Logs a long curve with noise, `single`: in numbers of single precision; and says what memory that took."""
    began = time.perf_counter()
    subject.record(PARAMS, lambda live: log_curve(live, calls=calls, metrics=metrics, single=single))
    return {"record_s": time.perf_counter() - began, "peak_bytes": peak_bytes()}


def abandon(subject: Subject, *, calls: int, metrics: int, single: bool) -> dict[str, Any]:
    """Logs the same, and dies of kill -9 before the run ends."""

    def body(live: Live) -> None:
        log_curve(live, calls=calls, metrics=metrics, single=single)
        os.kill(os.getpid(), signal.SIGKILL)

    subject.record({"killed": 1}, body)
    return {}


def log_curve(live: Live, *, calls: int, metrics: int, single: bool) -> None:
    """Logs a loss that falls, with noise of one fiftieth of its height, as a training does."""
    noise = random.Random(1).random
    cell = array("f" if single else "d", [0.0])
    names = list(METRICS)[:metrics]
    write = live.log
    for step in range(calls):
        loss = 0.1 + 2 * math.exp(-5 * step / calls)
        row = {}
        for name in names:
            cell[0] = loss + 0.04 * noise()
            row[name] = cell[0]
        write(row, step=step)


def peak_bytes() -> int:
    """Returns the most memory that this process ever held.

    From /proc, because `ru_maxrss` begins with what the process held that started this one."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def finish(subject: Subject, *, rounds: int, count: int) -> dict[str, Any]:
    """Times the end of a run alone, in turns with what git and the disk need for as much."""
    floor = GitFloor(Path("out") / "floor.git")
    rows = ["\t".join([str(step), *map(repr, values(step).values())]) for step in range(count)]
    laps: dict[str, list[float]] = {"finish": []}
    for turn in range(rounds):
        laps["finish"].append(finish_once(subject, count))
        for name, seconds in floor.measure(turn, "\n".join(rows)).items():
            laps.setdefault(name, []).append(seconds)
    traced = [traced_finish(subject, count) for _ in range(min(5, rounds))]
    return {"laps": laps, "pack_bytes": floor.pack_bytes, "git": traced}


def finish_once(subject: Subject, count: int) -> float:
    """Returns the seconds that finish() takes for a run of so many steps."""
    ended = 0.0

    def body(live: Live) -> None:
        nonlocal ended
        for step in range(count):
            live.log(values(step), step=step)
        ended = time.perf_counter()

    subject.record(PARAMS, body)
    return time.perf_counter() - ended


def traced_finish(subject: Subject, count: int) -> tuple[int, float]:
    """Returns how many git processes one finish() starts, and the seconds that they run."""
    with git_processes() as (begin, started):

        def body(live: Live) -> None:
            for step in range(count):
                live.log(values(step), step=step)
            begin()

        subject.record(PARAMS, body)
        return started()


def loop(subject: Subject, *, runs: int, limit_s: float) -> dict[str, Any]:
    """Records runs one after the other in one process, each with a file of its own bytes."""
    artifact = Path("out") / "model.bin"

    def body(live: Live) -> None:
        for step in range(10):
            live.log(values(step), step=step)
        if live.log_artifact is not None:
            artifact.write_bytes(os.urandom(10_000))
            live.log_artifact(artifact)

    began = time.perf_counter()
    ends: list[float] = []
    while len(ends) < runs and time.perf_counter() - began < limit_s:
        subject.record({**PARAMS, "run": len(ends)}, body)
        ends.append(time.perf_counter() - began)
    return {"done": len(ends), "seconds": time.perf_counter() - began, "ends": ends}


def crowd(subject: Bulk, *, runs: int) -> dict[str, Any]:
    """Fills the store with runs of a random search, which all have ended: 20 params, 10 metrics, a point each."""
    began = time.perf_counter()
    chance = random.Random(runs)
    subject.fill((searched(chance, number) for number in range(runs)), runs)
    return {"done": runs, "seconds": time.perf_counter() - began}


def searched(chance: random.Random, number: int) -> Ended:
    """Returns one run of a random search, of the same shape as those of `many.py`."""
    acc = chance.uniform(0.5, 0.99)
    params = {"lr": 10 ** chance.uniform(-5, -1), "batch": chance.choice([16, 32, 64, 128]), "seed": number}
    metrics = {"acc": acc, "loss": 1 - acc}
    params |= {f"p{place}": chance.random() for place in range(len(PARAMS) - len(params))}
    metrics |= {f"aux{place}": chance.gauss(place, 1) for place in range(len(METRICS) - len(metrics))}
    return Ended(params, {name: [value] for name, value in metrics.items()})


def sweep(subject: Subject, *, runs: int, calls: int) -> dict[str, Any]:
    """Records runs of one long curve each."""

    def body(live: Live) -> None:
        log_curve(live, calls=calls, metrics=1, single=True)

    if isinstance(subject, Bulk):
        values = array("d")
        (name,) = list(METRICS)[:1]
        body(Live(lambda metrics, *, step: values.append(metrics[name])))
        subject.fill((Ended({}, {name: values}) for _ in range(runs)), runs)
    else:
        for _ in range(runs):
            subject.record({}, body)
    return {}


def frame(subject: Tabular, *, rounds: int, limit_s: float) -> dict[str, Any]:
    """Times how long all runs take to be a data frame, in a process that has imported pandas."""
    importlib.import_module("pandas")
    shape = (0, 0)

    def once() -> None:
        nonlocal shape
        shape = subject.frame().shape

    return {"laps": timed(once, once, rounds=rounds, limit_s=limit_s), "rows": shape[0], "columns": shape[1]}


def curve(subject: Curved, *, rounds: int, limit_s: float) -> dict[str, Any]:
    """Times how long one long curve takes to be an array: found and read, and then read again."""
    for name in subject.reading:
        importlib.import_module(name)
    read: Callable[[], Any] = list
    rows = 0

    def first() -> None:
        nonlocal read
        read = subject.curve(next(iter(METRICS)))
        again()

    def again() -> None:
        nonlocal rows
        rows = len(read())

    laps = timed(first, again, rounds=rounds, limit_s=limit_s)
    return {"laps": laps, "rows": rows, "peak_bytes": peak_bytes()}


def timed(first: Callable[[], None], again: Callable[[], None], *, rounds: int, limit_s: float) -> list[float]:
    """Returns the seconds of the first call, and of later ones for `limit_s`: one at least, none if it was slow."""
    began = time.perf_counter()
    first()
    laps = [time.perf_counter() - began]
    stop = time.monotonic() + limit_s
    while len(laps) < rounds and laps[0] < SLOW_S and (len(laps) == 1 or time.monotonic() < stop):
        began = time.perf_counter()
        again()
        laps.append(time.perf_counter() - began)
    return laps


def curves(subject: Curved, *, points: int) -> dict[str, Any]:
    """Times how long the curves of all runs take to be arrays."""
    for name in subject.reading:
        importlib.import_module(name)
    began = time.perf_counter()
    found = subject.curves(next(iter(METRICS)), points)
    return {"seconds": time.perf_counter() - began, "rows": [len(one) for one in found], "peak_bytes": peak_bytes()}


def kill(subject: Subject, *, ledger: str, pause_s: float, calls: int) -> dict[str, Any]:
    """Logs until it is killed, and notes outside of itself which call has returned."""
    handle = os.open(ledger, os.O_WRONLY)

    def body(live: Live) -> None:
        for step in range(calls):
            live.log(values(step), step=step)
            os.pwrite(handle, (step + 1).to_bytes(8, "little"), 0)
            if pause_s:
                time.sleep(pause_s)
        time.sleep(600)

    subject.record({"killed": 1}, body)
    return {}


def count(subject: Subject, *, acknowledged: int) -> dict[str, Any]:
    """Counts the acknowledged points that are not there, or not as they were logged."""
    found = subject.read()
    lost = 0
    for step in range(acknowledged):
        row = found.points.get(step, {})
        lost += sum(not same(row.get(name), value) for name, value in values(step).items())
    return {"lost": lost, "status": found.status}


def same(stored: float | None, logged: float) -> bool:
    """Returns whether a point is the one that was logged; some tools keep single precision."""
    return stored is not None and abs(stored - logged) <= abs(logged) * 1e-6


VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "prepare": prepare,
    "artifact": artifact,
    "begin": begin,
    "log": log,
    "steps": steps,
    "million": million,
    "abandon": abandon,
    "finish": finish,
    "loop": loop,
    "crowd": crowd,
    "sweep": sweep,
    "frame": frame,
    "curve": curve,
    "curves": curves,
    "kill": kill,
    "count": count,
}
