"""Locks of refs that a process of ours left behind when it was killed.

Whoever moves a ref makes `<ref>.lock` first. git's own processes hold it for a moment and are seldom killed in it;
here the training process itself holds it, and people kill that one. So what is about to be moved is written down, under
a lock that dies with its process, and the next one knows which lock files have no owner."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from gittrack.errors import GitFailed
from gittrack.git import pause

PACKED = "packed-refs"
STALE_SECONDS = 5.0  # git holds a ref's lock for milliseconds
STALE_PACKED_SECONDS = 60.0  # and this one for as long as it takes to write all refs
_TURN_SECONDS = 20.0
_NAME = "moving-refs"


@contextlib.contextmanager
def turn(common_dir: Path, refs: Iterable[str]) -> Iterator[frozenset[str]]:
    """Waits until no other process without git moves refs; yields those that a killed one was moving.

    Raises GitFailed if another process does not let go."""
    home = common_dir / "gittrack"
    home.mkdir(exist_ok=True)
    try:
        fd = os.open(home / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except PermissionError:  # another user's: git's locks alone have to do
        yield frozenset()
        return
    try:
        _lock(fd)
        abandoned = frozenset(os.read(fd, 1 << 20).decode("utf-8", "replace").split())
        _write(fd, abandoned | {PACKED, *refs})
        try:
            yield abandoned
        finally:
            _write(fd, frozenset(name for name in abandoned if _path(common_dir, name).exists()))
    finally:
        os.close(fd)


def _lock(fd: int) -> None:
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:
        return
    end = time.monotonic() + _TURN_SECONDS
    attempt = 0
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise GitFailed("cannot update a run's ref", cause="another process has been at it for long") from None
        pause(attempt % 4)
        attempt += 1


def _write(fd: int, names: frozenset[str]) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, "".join(f"{name}\n" for name in sorted(names)).encode(), 0)


def _path(common_dir: Path, name: str) -> Path:
    return common_dir / f"{name}.lock"


def clear(common_dir: Path, abandoned: Iterable[str]) -> bool:
    """Removes the locks that a killed process left on these refs; tells whether there were any."""
    found = False
    for name in abandoned:
        path = _path(common_dir, name)
        with contextlib.suppress(OSError):
            age = time.time() - path.stat().st_mtime
            if age > (STALE_PACKED_SECONDS if name == PACKED else STALE_SECONDS):
                path.unlink()
                found = True
    return found
