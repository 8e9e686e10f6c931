"""A process that logs as fast as it can, tells which call of `log()` returned last, and is killed."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.gitcmd import TIMEOUT_SECONDS, GitRepo

# Its first argument is a pipe: 8 bytes for each call of log() that returned. The second is `buffered` for the negative
# control: a tracker that keeps what it was given in memory for a while, as most do.
VICTIM = """
import os, struct, sys
import gittrack as gt
from gittrack import journal

if sys.argv[2] == "buffered":
    waiting = []

    def append(self, data):
        waiting.append(data)
        if len(waiting) > 500:
            os.write(self.fd, b"".join(waiting))
            waiting.clear()

    journal.Writer.append = append

run = gt.init()
pipe, pack = int(sys.argv[1]), struct.Struct("<q").pack
for number in range(10**9):
    gt.log({"n": number, "loss": 1.0 / (number + 1), "acc": -number})
    if number % 100 == 0:
        gt.log({"text": str(number)}, step=number)
    os.write(pipe, pack(number))
"""


@dataclass(frozen=True)
class Death:
    """What the killed process had told."""

    calls: int  # of log() that returned


def kill_one(repo: GitRepo, script: Path, *, after: float, how: str = "journal") -> Death:
    """Starts a victim, kills it `after` seconds from its first call, and returns what it told."""
    script.write_text(VICTIM, encoding="utf-8")
    read, write = os.pipe()
    told = bytearray()

    def listen() -> None:
        while data := os.read(read, 1 << 16):
            told.extend(data)

    process = subprocess.Popen(
        [sys.executable, script, str(write), how], cwd=repo.path, pass_fds=(write,), stderr=subprocess.DEVNULL
    )
    os.close(write)
    listener = threading.Thread(target=listen)
    listener.start()
    try:
        stop = time.monotonic() + TIMEOUT_SECONDS
        while not told and process.poll() is None and time.monotonic() < stop:
            time.sleep(0.001)
        time.sleep(after)
    finally:
        process.kill()
        process.wait()
        listener.join()
        os.close(read)
    assert told, "the victim never logged"
    whole = len(told) // 8 * 8
    numbers = struct.unpack(f"<{whole // 8}q", bytes(told[:whole]))
    assert numbers == tuple(range(len(numbers)))
    return Death(calls=len(numbers))


def moments(count: int, *, seed: int, longest: float) -> list[float]:
    """Returns random delays, the same ones for one seed."""
    chance = random.Random(seed)
    return [chance.uniform(0, longest) for _ in range(count)]
