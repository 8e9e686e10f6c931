"""Keeps git from collecting the code of a run while it runs, whatever is amended or deleted meanwhile.

A run of a moment needs no pin: the reflog keeps its code for longer than that. So the ref is written a quarter of a
second later, from a side thread, and a run that ended before never pays for it."""

from __future__ import annotations

import contextlib
import threading

from gittrack.errors import GittrackError
from gittrack.git import Git, Update
from gittrack.refname import LIVE, Oid, RunId

DELAY_SECONDS = 0.25


class Pin(threading.Thread):
    """Pins a commit for a run, a moment after it was started."""

    def __init__(self, git: Git, run: RunId, commit: Oid) -> None:
        super().__init__(name="gittrack-pin", daemon=True)
        self._git = git
        self._update = Update(LIVE + run, commit, None)
        self._now = threading.Event()
        self._needless = False

    def run(self) -> None:
        """Waits, then writes the ref; a failure only means that the reflog has to do."""
        self._now.wait(DELAY_SECONDS)
        if not self._needless:
            with contextlib.suppress(GittrackError, OSError):
                self._git.update_refs([self._update], durable=False)

    def hurry(self) -> None:
        """Returns when the ref is written."""
        self._now.set()
        self.join(timeout=5)

    def cancel(self) -> None:
        """Returns when the ref is written, or never will be: the run ends, and its own ref keeps the code."""
        self._needless = True
        self._now.set()
        self.join()


def is_pinned(git: Git, run: RunId) -> bool:
    """Tells whether there may be a pin to take away; a wrong yes costs git a look."""
    common = git.place.common_dir
    if (common / (LIVE + run)).exists() or (common / "reftable").exists():
        return True
    try:
        return (LIVE + run).encode() in (common / "packed-refs").read_bytes()
    except OSError:
        return False
