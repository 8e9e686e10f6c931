"""A terminal to run a command on: what a person at a keyboard sees and types."""

from __future__ import annotations

import os
import subprocess
import sys
import termios
from pathlib import Path

from tests.gitcmd import TIMEOUT_SECONDS

_BECOME_LEADER = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


def on_a_terminal(
    argv: list[str], *, cwd: Path, keys: bytes = b"", when: bytes = b"", columns: int = 80, rows: int = 200
) -> tuple[int, bytes]:
    """Runs a command on a terminal of its own; types `keys` once `when` was printed. Returns exit code and output."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (rows, columns))
    process = subprocess.Popen(
        [sys.executable, "-c", _BECOME_LEADER, *argv],
        cwd=cwd,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    output = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # EIO: nobody holds the other end any more
            break
        output += data
        if keys and when in output:
            os.write(ours, keys)
            keys = b""
    os.close(ours)
    return process.wait(TIMEOUT_SECONDS), output
