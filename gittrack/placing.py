"""A large file becomes ours without training having to wait for it.

It is cloned where the file system can do that (Btrfs, XFS, bcachefs: no byte is copied), linked where the caller
promises not to write into it any more, and copied otherwise; then it can be hashed in peace, for nobody changes it.
What comes out is one version of the file, or nothing: one that changes while it is copied is refused."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import threading
from pathlib import Path
from typing import Literal

from gittrack import hashes
from gittrack.codec.pointer import Pointer
from gittrack.errors import DataRefused

How = Literal["clone", "link", "copy"]
_STEP = 8 << 20  # bytes that are copied between two looks of who hashes behind
_CHUNK = 1 << 20
_FICLONE = 0x40049409  # linux/fs.h
_CANNOT = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EACCES}


class Copying:
    """A copy that is being made, and hashed from behind by another thread."""

    def __init__(self, target: Path, size: int) -> None:
        self.target = target
        self.size = size
        self._copied = 0
        self._good: bool | None = None
        self._more = threading.Condition()

    def advance(self, copied: int) -> None:
        """Says how much of the copy is there."""
        with self._more:
            self._copied = copied
            self._more.notify_all()

    def end(self, *, good: bool) -> None:
        """Says that the copy is complete and one version of the file, or that it never will be."""
        with self._more:
            self._good = good
            self._copied = self.size
            self._more.notify_all()

    def _is_good(self) -> bool:
        """Waits until the copy ended."""
        with self._more:
            self._more.wait_for(lambda: self._good is not None)
            return bool(self._good)

    def _beyond(self, at: int) -> int | None:
        """Waits until there is more of the copy than `at`, and returns how much more; None if it failed."""
        with self._more:
            self._more.wait_for(lambda: self._copied > at)
            return None if self._good is False else self._copied - at

    def digest(self) -> Pointer | None:
        """Returns hash and size of the copy, when it is complete; None if it never will be. Raises OSError."""
        digest = hashlib.sha256()
        at = 0
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        most = self._beyond(0)  # before, another file may have the name
        if most is None:
            return None
        try:
            file = self.target.open("rb", buffering=0)
        except FileNotFoundError:
            if self._is_good():
                raise
            return None
        with file:
            while at < self.size and most is not None:
                while most > 0:
                    count = file.readinto(view[: min(most, _CHUNK)])
                    if not count:
                        if not self._is_good():  # cut because it failed, which is said where it was made
                            return None
                        raise OSError(errno.EIO, "the copy is shorter than it was")
                    digest.update(view[:count])
                    at += count
                    most -= count
                most = self._beyond(at) if at < self.size else 0
        if not self._is_good():
            return None
        return Pointer(digest.hexdigest(), at)


def place(source: Path, before: os.stat_result, copying: Copying, *, link: bool) -> How:
    """Makes `copying.target`, which is there and empty, the content of `source`; returns how.

    before: what `source` was when it was looked at. link: hard-link it if that is safe: it is ours, and a regular file
    on the same file system. Raises DataRefused if it changed meanwhile, and OSError."""
    how: How | None = None
    try:
        how = _place(source, before, copying, link=link)
        return how
    finally:
        copying.end(good=how is not None)


def _place(source: Path, before: os.stat_result, copying: Copying, *, link: bool) -> How:
    number = open_regular(source)
    try:
        if not hashes.same(os.fstat(number), before):
            raise changed(source)
        if _clone(number, copying.target):
            how: How = "clone"
        elif link and _link(source, before, copying.target):
            return "link"
        else:
            how = "copy"
            _copy(number, copying)
        # A clone is made in one instant, a copy is not: both are compared, since the look before may be an old one.
        if not hashes.same(os.fstat(number), before) or os.stat(copying.target).st_size != before.st_size:
            raise changed(source)
        return how
    finally:
        os.close(number)


def open_regular(source: Path) -> int:
    """Opens a file to be read; raises DataRefused for what is no ordinary file, such as a pipe that was put there."""
    number = os.open(source, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise DataRefused(f"artifact '{source}' is not kept", cause="it is no ordinary file")
    return number


def changed(source: Path) -> DataRefused:
    """Returns the error for a file that is written to while it is logged."""
    return DataRefused(
        f"artifact '{source}' is not kept", cause="it changed while it was read", hint="log it when it is complete"
    )


def clone(source: Path, target: Path) -> bool:
    """Makes `target`, which is there, a clone of `source`; returns False where the file system has no clones."""
    number = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _clone(number, target)
    finally:
        os.close(number)


def _clone(number: int, target: Path) -> bool:
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:
        return False
    with target.open("r+b") as file:
        try:
            fcntl.ioctl(file.fileno(), _FICLONE, number)
        except OSError as exc:
            if exc.errno not in _CANNOT:
                raise
            return False
    return True


def _link(source: Path, before: os.stat_result, target: Path) -> bool:
    """Links a file that is ours, and takes away the right to write to it; returns False if that is not possible."""
    if not hasattr(os, "getuid") or before.st_uid != os.getuid():
        return False
    # Not renamed over the empty file that has the name: ext4 writes a file to the disk before it replaces another.
    target.unlink()
    try:
        os.link(source, target)
    except OSError:
        target.touch(0o600, exist_ok=False)
        return False
    status = os.lstat(target)
    if (status.st_dev, status.st_ino) != (before.st_dev, before.st_ino):  # a link to something else
        target.unlink()
        raise changed(source)
    target.chmod(0o444)
    return True


def _copy(number: int, copying: Copying) -> None:
    """Copies within the kernel, skipping holes, until the end of the file or the size that is expected."""
    with copying.target.open("r+b", buffering=0) as file:
        at = 0
        while at < copying.size:
            data, end = _next_data(number, at, copying.size)
            if data > at:
                file.truncate(data)
            at = data
            while at < end:
                count = _copy_some(number, file.fileno(), at, min(_STEP, end - at))
                if not count:
                    raise OSError(errno.ESTALE, "it became shorter while it was read")
                at += count
                copying.advance(at)
        file.truncate(copying.size)


def _next_data(number: int, at: int, size: int) -> tuple[int, int]:
    """Returns where the next data of a file begins and ends; all of it where holes cannot be told."""
    try:
        begin = os.lseek(number, at, os.SEEK_DATA)
        return begin, min(size, os.lseek(number, begin, os.SEEK_HOLE))
    except OSError as exc:
        return (size, size) if exc.errno == errno.ENXIO else (at, size)
    except AttributeError:
        return at, size


def _copy_some(source: int, target: int, at: int, most: int) -> int:
    if hasattr(os, "sendfile"):
        with contextlib.suppress(OSError):
            os.lseek(target, at, os.SEEK_SET)
            return os.sendfile(target, source, at, most)
    chunk = os.pread(source, min(most, _CHUNK), at)
    return os.pwrite(target, chunk, at)
