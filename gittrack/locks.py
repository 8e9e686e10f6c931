"""Locks that a git which was killed left behind.

git never takes away a lock that it finds, for it cannot know whose it is. The refs of runs are ours, and a lock of one
is held for milliseconds: one that is ten minutes old would keep its run out of git for ever, and nobody holds it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

ABANDONED_SECONDS = 600


def remove_abandoned(common_dir: Path, refs: Iterable[str]) -> bool:
    """Removes the abandoned locks of refs of ours; tells whether there was one. A ref ending in `/` is all below it."""
    found = False
    for ref in refs:
        locks = (common_dir / ref).rglob("*.lock") if ref.endswith("/") else [common_dir / f"{ref}.lock"]
        for lock in locks:
            with contextlib.suppress(OSError):
                if time.time() - lock.stat().st_mtime > ABANDONED_SECONDS:
                    lock.unlink()
                    found = True
    return found
