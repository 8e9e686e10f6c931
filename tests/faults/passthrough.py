"""A file system that hands each call on to a folder, in a process that can be stopped.

`passthrough.py FOLDER MOUNTPOINT`. It stands in for a disk that hangs: a network mount whose server is away. It has
no `flush`, for which the kernel would wait at the end of a process, whatever kills it; and `flock` is the kernel's."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable
from typing import Any

import mfusepy  # type: ignore[import-untyped, unused-ignore]

ATTRIBUTES = "st_mode st_ino st_nlink st_uid st_gid st_size st_blocks st_atime_ns st_mtime_ns st_ctime_ns".split()
SPACE = "f_bavail f_bfree f_blocks f_bsize f_favail f_ffree f_files f_flag f_frsize f_namemax".split()


class Passthrough(mfusepy.Operations):  # type: ignore[misc, unused-ignore]
    use_ns = True

    def __init__(self, source: str) -> None:
        self.source = source

    def real(self, path: str) -> str:
        return self.source + path

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        status = os.lstat(self.real(path)) if fh is None else os.fstat(fh)
        return {name.removesuffix("_ns"): getattr(status, name) for name in ATTRIBUTES}

    def readdir(self, path: str, fh: int) -> Iterable[str]:
        return [".", "..", *os.listdir(self.real(path))]

    def statfs(self, path: str) -> dict[str, int]:
        status = os.statvfs(self.real(path))
        return {name: getattr(status, name) for name in SPACE}

    def access(self, path: str, amode: int) -> int:
        if not os.access(self.real(path), amode):
            raise mfusepy.FuseOSError(errno.EACCES)
        return 0

    def chmod(self, path: str, mode: int) -> int:
        os.chmod(self.real(path), mode)
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        os.lchown(self.real(path), uid, gid)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        if times is None:
            os.utime(self.real(path), follow_symlinks=False)
        else:
            os.utime(self.real(path), ns=times, follow_symlinks=False)
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        os.mkdir(self.real(path), mode)
        return 0

    def rmdir(self, path: str) -> int:
        os.rmdir(self.real(path))
        return 0

    def unlink(self, path: str) -> int:
        os.unlink(self.real(path))
        return 0

    def rename(self, old: str, new: str) -> int:
        os.rename(self.real(old), self.real(new))
        return 0

    def link(self, target: str, source: str) -> int:
        os.link(self.real(source), self.real(target))
        return 0

    def symlink(self, target: str, source: str) -> int:
        os.symlink(source, self.real(target))
        return 0

    def readlink(self, path: str) -> str:
        return os.readlink(self.real(path))

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        return os.open(self.real(path), os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)

    def open(self, path: str, flags: int) -> int:
        return os.open(self.real(path), flags & ~(os.O_APPEND | os.O_CREAT | os.O_EXCL))  # the kernel knows the offsets

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        os.truncate(self.real(path) if fh is None else fh, length)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        (os.fdatasync if datasync else os.fsync)(fh)
        return 0

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0


if __name__ == "__main__":
    mfusepy.FUSE(Passthrough(sys.argv[1]), sys.argv[2], foreground=True, nothreads=True, default_permissions=True)
