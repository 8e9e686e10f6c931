"""The content of large files, in this clone: `<common git dir>/gittrack/objects/ab/cd/<sha256>`.

All work trees share it, and a file that many runs have is there once. A file gets its name only when it is whole,
verified by whoever hands it over, and safe on the disk; nothing is ever written to it afterwards. What git-lfs has is
used as well, but never relied upon: `git lfs prune` does not know of runs, and deletes what only they use."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gittrack.codec.pointer import Pointer, is_sha256
from gittrack.shared import make_folder, share

CHUNK = 1 << 20


class Found(NamedTuple):
    """A payload that lies here; modified: Unix seconds of when it was placed, or last used by a run.

    inode: the number that its file has, which another file placed under the same name does not have."""

    sha256: str
    size: int
    modified: float
    inode: int


class Payloads:
    """The payloads of one clone."""

    def __init__(self, common_dir: Path, *, beside: Sequence[Path] = ()) -> None:
        """beside: folders laid out the same way that are read too, such as `.git/lfs/objects`."""
        self.root = common_dir / "gittrack" / "objects"
        self._beside = tuple(beside)

    def path(self, sha256: str) -> Path:
        """Returns where a payload is, if it is here."""
        return self.root / sha256[:2] / sha256[2:4] / sha256

    def own(self, pointer: Pointer) -> Path | None:
        """Returns the file of a payload in our own folder, or None if it is not there with the right size."""
        path = self.path(pointer.sha256)
        return path if _has_size(path, pointer.size) else None

    def find(self, pointer: Pointer) -> Path | None:
        """Returns a file with the content, ours or git-lfs's, or None."""
        for root in (self.root, *self._beside):
            path = root / pointer.sha256[:2] / pointer.sha256[2:4] / pointer.sha256
            if _has_size(path, pointer.size):
                return path
        return None

    def incoming(self) -> Path:
        """Returns the folder for files that are not whole yet, on the same file system; makes it."""
        for folder in (self.root.parent, self.root, self.root / "incoming"):
            make_folder(folder)
        return self.root / "incoming"

    def temporary(self) -> tuple[int, Path]:
        """Makes an empty file beside; returns its descriptor and its path."""
        number, name = tempfile.mkstemp(dir=self.incoming(), prefix="tmp-")
        return number, Path(name)

    def place(self, temporary: Path, pointer: Pointer) -> Path:
        """Gives a file its name, once it is safe on the disk, and returns its path; `temporary` is gone then.

        Whoever calls has verified its content, and the file is on the same file system. Raises OSError."""
        path = self.path(pointer.sha256)
        number = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(number)
            os.fchmod(number, 0o444)
        finally:
            os.close(number)
        made = []
        for folder in (self.root.parent, self.root, path.parent.parent, path.parent):
            if not folder.is_dir():
                make_folder(folder)
                made.append(folder)
        share(temporary)
        temporary.replace(path)
        for folder in (path.parent, *(folder.parent for folder in made)):
            _sync_folder(folder)
        return path

    def file(self, copy: Path, pointer: Pointer) -> Path:
        """Makes a file that is ours a payload, and leaves it where it is; returns the payload's path. Raises OSError.

        Both are one file then, where the file system has hard links: no byte is there twice."""
        path = self.use(pointer)
        number, temporary = self.temporary()
        os.close(number)
        try:
            if path is not None:
                with contextlib.suppress(FileNotFoundError):  # a sweep has it aside: then it is placed once more
                    _link_or_copy(path, temporary)
                    temporary.replace(copy)
                    return path
            _link_or_copy(copy, temporary)
            return self.place(temporary, pointer)
        finally:
            temporary.unlink(missing_ok=True)

    def use(self, pointer: Pointer) -> Path | None:
        """Returns the file of a payload of ours and marks it as used now, so that no sweep takes it; or None.

        None also if it cannot be marked: then it has to be placed once more."""
        path = self.own(pointer)
        if path is not None:
            try:
                os.utime(path)
            except FileNotFoundError:
                return None
            except OSError:  # of somebody else who shares the repository: a sweep would not see that it is used
                return None
        return path

    def all(self) -> Iterator[Found]:
        """Yields every payload in our own folder."""
        for first in _folders(self.root, 2):
            for second in _folders(first, 2):
                with os.scandir(second) as entries:
                    for entry in entries:
                        if is_sha256(entry.name) and entry.is_file(follow_symlinks=False):
                            with contextlib.suppress(FileNotFoundError):
                                status = entry.stat(follow_symlinks=False)
                                # A hard link has the times of the user's file, but it changed when it was made.
                                used = max(status.st_mtime, status.st_ctime)
                                yield Found(entry.name, status.st_size, used, status.st_ino)

    def remove(self, sha256: str) -> None:
        """Deletes a payload; raises OSError."""
        path = self.path(sha256)
        path.unlink(missing_ok=True)
        for folder in (path.parent, path.parent.parent):
            with contextlib.suppress(OSError):
                folder.rmdir()

    def quarantine(self, sha256: str) -> Path:
        """Takes a damaged payload out of use, and returns where it is kept for whoever wants to look."""
        folder = self.root.parent / "damaged"
        make_folder(folder)
        target = folder / sha256
        self.path(sha256).replace(target)
        return target


def digest_of(path: Path) -> Pointer:
    """Returns the hash and size of a file's content; raises OSError."""
    digest = hashlib.sha256()
    size = 0
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(view[:count])
            size += count
    return Pointer(digest.hexdigest(), size)


def _link_or_copy(source: Path, target: Path) -> None:
    """Makes `target`, which is there, the file `source`, or where there are no hard links, a copy of it."""
    beside = target.with_name(f"{target.name}.link")
    try:
        os.link(source, beside)
    except OSError:
        shutil.copyfile(source, target)
    else:
        beside.replace(target)


def _has_size(path: Path, size: int) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size


def _folders(folder: Path, length: int) -> Iterator[Path]:
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if len(name) == length and not name.strip("0123456789abcdef"):
            yield folder / name


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    except OSError:  # a file system that cannot do this keeps its own order
        pass
    finally:
        os.close(number)
