"""A journal on a disk that may stop answering.

A write to a local disk ends in memory. One to a network or user-space file system waits for whoever serves it, who may
be gone for hours; and nothing can wake the thread that waits. So there a side thread writes, and `log()` waits for it
as long as a person would not notice: 25 ms, once. What comes meanwhile stays in memory, up to a limit."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

WAIT_SECONDS = 0.025  # how long a write is waited for
END_SECONDS = 3.0  # how long the end of a run waits for what is still to be written
MAX_WAITING = 16 * 1024 * 1024  # bytes
_LOCAL = frozenset(
    "ext2 ext3 ext4 xfs btrfs tmpfs ramfs overlay zfs f2fs bcachefs jfs reiserfs nilfs2 vfat exfat msdos ntfs3 hfsplus "
    "rootfs devtmpfs hugetlbfs erofs squashfs ubifs".split()
)


def may_stall(path: Path) -> bool:
    """Tells whether a write to a file may wait for another machine or another process."""
    kind = file_system(path)
    return kind is not None and kind not in _LOCAL


def file_system(path: Path) -> str | None:
    """Returns the type of the file system that a file is on, as `/proc/self/mountinfo` has it; None if unknown."""
    try:
        device = os.stat(path).st_dev
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError:
        return None
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        if left.split(" ", 3)[2] == wanted:
            return right.split(" ", 1)[0].partition(".")[0]
    return None  # btrfs gives its files another device; it is local


class Behind:
    """Writes to a descriptor from a thread of its own, in order."""

    def __init__(self, fd: int, complain: Callable[[], None]) -> None:
        """complain: called when the disk stops answering."""
        self._fd = fd
        self._complain = complain
        self._changed = threading.Condition()
        self._waiting: list[bytes] = []
        self._size = 0
        self._asked = self._done = 0
        self._error: OSError | None = None
        self._is_closed = False
        self.stalled = False  # the last write that was waited for did not end in time
        self._thread = threading.Thread(target=self._write, name="gittrack-write", daemon=True)
        self._thread.start()

    def append(self, data: bytes) -> None:
        """Takes bytes to write; raises OSError if the disk refused earlier ones, or if too many wait already."""
        with self._changed:
            error, self._error = self._error, None
            if self._size + len(data) > MAX_WAITING:
                raise OSError(errno.EAGAIN, "the disk does not answer")
            self._waiting.append(data)
            self._size += len(data)
            self._asked += 1
            self._changed.notify_all()
            stops = not self.stalled and not self._wait(self._asked, WAIT_SECONDS)
            self.stalled = self.stalled or stops
            error, self._error = error or self._error, None
        if stops:
            self._complain()
        if error:
            raise error

    def drain(self, seconds: float) -> bool:
        """Waits until all is written; returns whether it is."""
        with self._changed:
            return self._wait(self._asked, seconds)

    def close(self) -> bool:
        """Ends the thread when all is written; returns whether it is within a moment."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            return self._wait(self._asked, END_SECONDS)

    def _wait(self, number: int, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self._done < number:
            left = until - time.monotonic()
            if left <= 0 or not self._changed.wait(left):
                return self._done >= number
        return True

    def _write(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._is_closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                parts, self._waiting = self._waiting, []
            data, error = b"".join(parts), None
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
            except OSError as exc:
                error = exc
            with self._changed:
                self._size -= sum(map(len, parts))
                self._done += len(parts)
                self._error = error or self._error
                self.stalled = False
                self._changed.notify_all()
