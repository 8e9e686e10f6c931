"""A training in several processes that is killed: what it writes down after each call that returned is promised.

The warm Python runs `train`; see warm.py."""

from __future__ import annotations

import multiprocessing
import os
import time

import gittrack as gt


def work(run: gt.ActiveRun, me: int, seconds: float) -> None:
    """Logs for a while, and writes a byte after each call that returned."""
    told = os.open(f"{os.environ['TOLD']}-{me}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    number, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        run.log({f"n{me}": number, "inverse": 1 / (number + 1)}, step=number)
        if number % 100 == 0:
            run.log({f"text{me}": str(number)}, step=number)
        os.write(told, b".")
        number += 1


def train(kind: str, processes: int, seconds: float) -> None:
    """Trains in so many processes: `forks` or `spawned` ones of one run, or `scripts` with a run each."""
    me = 0
    if kind == "scripts":
        me = next((number for number in range(1, processes) if not os.fork()), 0)
    run = gt.init(name=f"victim-{me}")
    told = os.open(f"{os.environ['TOLD']}-run-{me}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(told, b"init\n")
    others = []
    if kind != "scripts" and processes > 1:
        multiprocessing.set_start_method("fork" if kind == "forks" else "spawn")
        others = [multiprocessing.Process(target=work, args=(run, number, seconds)) for number in range(1, processes)]
        for other in others:
            other.start()
    work(run, me, seconds)
    for other in others:
        other.join()
    if run.finish() is not None:
        os.write(told, b"finish\n")
