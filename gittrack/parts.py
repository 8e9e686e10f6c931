"""Files that are not whole yet, each written by one process at a time.

What is cut off is gone on from by whoever comes next, so a part has a name that all know; and two that come at once
must not write to one file, for the first would give it its final name while the second still writes. The lock ends
with its process, however that ends. Where a file system has no locks, each writes a file of its own."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gittrack.shared import share

_CHUNK = 1 << 20
_TRIES = 100  # to lock a file that another process finishes again and again
_OPEN = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
_TAKEN = (errno.EAGAIN, errno.EACCES)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class Part(NamedTuple):
    """A part that is ours: its descriptor, its path, and whether it is the one that others would go on with."""

    number: int
    path: Path
    is_known: bool


@contextlib.contextmanager
def claimed(folder: Path, name: str) -> Iterator[Part]:
    """Opens the part `<name>.part` of a folder, or a new one where another process or thread is at it.

    A new one that was not given another name is deleted afterwards, since nobody would find it. Raises OSError."""
    part = _open_known(folder / f"{name}.part")
    if part is None:
        number, path = tempfile.mkstemp(dir=folder, prefix=f"{name}.", suffix=".part")
        part = Part(number, Path(path), is_known=False)
    try:
        share(part.path)
        yield part
    finally:
        os.close(part.number)
        if not part.is_known:
            part.path.unlink(missing_ok=True)


def _open_known(path: Path) -> Part | None:
    """Opens and locks a part; returns None if it is somebody else's now."""
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:
        return None
    for _ in range(_TRIES):
        try:
            number = os.open(path, _OPEN, 0o666)
        except OSError as exc:
            if exc.errno in (errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ETXTBSY):
                return None
            raise
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(number)
            if status.st_uid == os.geteuid() and _is_same(status, path):
                return Part(number, path, is_known=True)
            os.close(number)
            if status.st_uid != os.geteuid():  # its rights could not be changed
                return None
        except OSError as exc:
            os.close(number)
            if exc.errno in (*_TAKEN, *_NO_LOCKS):
                return None
            raise
        # It was finished between the opening and the locking; the next one is a new file.
    return None


def _is_same(status: os.stat_result, path: Path) -> bool:
    try:
        now = os.lstat(path)
    except FileNotFoundError:
        return False
    return (status.st_dev, status.st_ino) == (now.st_dev, now.st_ino)


def hash_prefix(number: int, digest: hashlib._Hash, most: int) -> int:
    """Hashes what a part has, at most as many bytes as it may have; returns how many that are."""
    at = 0
    while at < most and (chunk := os.pread(number, min(_CHUNK, most - at), at)):
        digest.update(chunk)
        at += len(chunk)
    return at


def write_at(number: int, chunk: bytes, at: int) -> int:
    """Writes all of a chunk at a byte; returns its length."""
    view = memoryview(chunk)
    while view:
        count = os.pwrite(number, view, at)
        view, at = view[count:], at + count
    return len(chunk)
