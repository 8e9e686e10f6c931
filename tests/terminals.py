"""A terminal to run a command on: what a person at a keyboard sees and types."""

from __future__ import annotations

import os
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

from tests.gitcmd import TIMEOUT_SECONDS

_BECOME_LEADER = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


def on_a_terminal(
    argv: list[str],
    *,
    cwd: Path,
    keys: bytes = b"",
    when: bytes = b"",
    more: Sequence[tuple[bytes, bytes]] = (),
    pause: float = 0,
    columns: int = 80,
    rows: int = 200,
) -> tuple[int, bytes]:
    """Runs a command on a terminal of its own; types `keys` once `when` was printed, a `pause` later.

    `more` are what is printed after that, and what is typed then. Returns exit code and output."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (rows, columns))
    process = subprocess.Popen(
        [sys.executable, "-c", _BECOME_LEADER, *argv],
        cwd=cwd,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env=dict(os.environ),  # readline, which pytest imports, sets COLUMNS and LINES behind Python's back
    )
    os.close(theirs)
    output, waiting, at = b"", [(when, keys), *more], 0
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # EIO: nobody holds the other end any more
            break
        output += data
        while waiting and waiting[0][1] and (found := output.find(waiting[0][0], at)) >= 0:
            at = found + len(waiting[0][0])
            time.sleep(pause)
            os.write(ours, waiting.pop(0)[1])
    os.close(ours)
    return process.wait(TIMEOUT_SECONDS), output
