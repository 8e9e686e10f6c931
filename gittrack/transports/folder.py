"""A folder as a store: on this machine, on a disk that is carried around, or on a file system that a lab shares.

The layout is git-lfs's own, so the folder of a bare repository that is the remote serves stock git-lfs too. A payload
is written beside, verified as a whole, synced, and renamed; what a copy that was cut off left is gone on from."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from gittrack import parts
from gittrack.codec.pointer import Pointer, is_sha256
from gittrack.errors import DataRefused
from gittrack.shared import make_folder
from gittrack.transports.protocol import CHUNK, NotThere, Source, Stored, TransportError, key

_INCOMING = ".incoming"
_READ = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_TRIES = 10
_HINTS = (
    ((errno.ENOSPC, errno.EDQUOT), "make room on its disk, then try again: what was copied so far is kept"),
    ((errno.EACCES, errno.EPERM, errno.EROFS), "ask whoever owns the folder to let you write to it, or to your group"),
    ((errno.ENOENT,), "mount its disk, or make the folder if the path is right"),
    ((errno.ENOTDIR, errno.EEXIST), "something that is no folder is in the way; move it"),
)


class Folder:
    """Payloads below a folder."""

    collects = True

    def __init__(self, root: Path, *, was_there: bool = False) -> None:
        """was_there: the folder itself was seen once, so that it is not made anew where its disk is not mounted."""
        self._root = root
        self._was_there = was_there
        self.label = str(root)

    def exists(self, wanted: Sequence[Pointer], *, sending: bool) -> set[Pointer]:
        """Returns those that are there with the right size."""
        try:
            self._home()
        except OSError as exc:
            raise self._failed("write to" if sending else "read", exc) from exc
        return {pointer for pointer in wanted if self._size(pointer) == pointer.size}

    def size(self, pointer: Pointer) -> int | None:
        """Returns the size in bytes of what has a payload's name, or None if nothing has it."""
        return self._size(pointer)

    def _size(self, pointer: Pointer) -> int | None:
        try:
            status = os.lstat(self._root / key(pointer.sha256))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:
            raise self._failed("read", exc) from exc
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def get(self, pointer: Pointer, *, start: int = 0) -> Generator[bytes, None, None]:
        """Yields the content from byte `start` on."""
        try:
            number = os.open(self._root / key(pointer.sha256), _READ)
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise self._lacks(pointer) from exc
        except OSError as exc:
            if exc.errno == errno.ELOOP:  # a link, which may lead anywhere
                raise self._lacks(pointer) from exc
            raise self._failed("read", exc) from exc
        with os.fdopen(number, "rb", buffering=0):
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise self._lacks(pointer)
            while chunk := self._read(number, start):
                start += len(chunk)
                yield chunk

    def _read(self, number: int, at: int) -> bytes:
        try:
            return os.pread(number, CHUNK, at)
        except OSError as exc:
            raise self._failed("read", exc) from exc

    def put(self, source: Source) -> None:
        """Copies a payload; goes on from what an earlier attempt left, if that is still what it should be."""
        pointer = source.pointer
        try:
            folder = self._make(_INCOMING)
            with parts.claimed(folder, pointer.sha256) as part:
                try:
                    if not self._write(part, source, goes_on=True):
                        self._write(part, source, goes_on=False)
                except DataRefused:
                    part.path.unlink(missing_ok=True)
                    raise
                self._place(part, pointer)
        except _WriteError as exc:
            raise self._failed("write to", exc.error) from exc.error

    def _write(self, part: parts.Part, source: Source, *, goes_on: bool) -> bool:
        """Writes what a part lacks; returns False if what it had was damaged. Raises what reading the source does."""
        digest = hashlib.sha256()
        with _writing():
            at = parts.hash_prefix(part.number, digest, source.pointer.size if goes_on else 0)
        for chunk in source.chunks(start=at):
            digest.update(chunk)
            with _writing():
                at += parts.write_at(part.number, chunk, at)
        return digest.hexdigest() == source.pointer.sha256

    def _place(self, part: parts.Part, pointer: Pointer) -> None:
        """Gives a part that is whole its name, once it is safe on the disk."""
        target = self._root / key(pointer.sha256)
        with _writing():
            os.ftruncate(part.number, pointer.size)
            os.fsync(part.number)
            os.fchmod(part.number, stat.S_IMODE(os.fstat(part.number).st_mode) & ~0o222)
            for attempt in range(_TRIES):
                self._make(key(pointer.sha256)[:5])
                try:
                    part.path.replace(target)
                    break
                except FileNotFoundError:  # somebody deleted another payload, and the folder with it
                    if attempt + 1 == _TRIES:
                        raise
            for folder in (target.parent, target.parent.parent, self._root):
                _sync_folder(folder)
        if self._size(pointer) != pointer.size:
            raise TransportError(f"cannot write to '{self.label}'", cause="what was written is not there", passing=True)

    def _make(self, path: str) -> Path:
        """Makes a folder below the root, and the root; each as open to the group as the one around it."""
        with _writing():
            # The disk that it is on may be gone: nothing is made where it was.
            home = self._home()
            folder = home
            for name in (*self._root.relative_to(home).parts, *path.split("/")):
                folder /= name
                make_folder(folder)
        return folder

    def _home(self) -> Path:
        """Returns the folder that has to be there already: the one around the root, or a repository with `lfs`."""
        home = self._root.parent.parent if self._root.parent.name == "lfs" else self._root.parent
        if self._was_there:
            home = self._root
        if not home.is_dir():
            raise FileNotFoundError(errno.ENOENT, f"there is no folder '{home}'")
        return home

    def begin(self) -> bool:
        """Makes the folder, if the one around it is there; tells whether it is there now."""
        with contextlib.suppress(OSError, _WriteError):
            self._make(_INCOMING)
        return self._root.is_dir()

    def delete(self, sha256: str) -> None:
        """Deletes a payload, and the folders that become empty."""
        path = self._root / key(sha256)
        try:
            path.unlink(missing_ok=True)
        except OSError as exc:
            raise self._failed("delete from", exc) from exc
        for folder in (path.parent, path.parent.parent):
            with contextlib.suppress(OSError):
                folder.rmdir()

    def list(self) -> Iterator[Stored]:
        """Yields all payloads."""
        try:
            for first in _folders(self._root):
                for second in _folders(first):
                    yield from _payloads(second, first.name + second.name)
        except OSError as exc:
            raise self._failed("list", exc) from exc

    def close(self) -> None:
        """Does nothing: nothing is open between calls."""

    def _failed(self, what: str, exc: OSError) -> TransportError:
        hint = next((hint for numbers, hint in _HINTS if exc.errno in numbers), None)
        passing = exc.errno in (errno.ESTALE, errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT)
        where = f": '{exc.filename}'" if exc.filename and os.fspath(exc.filename) != self.label else ""
        cause = (exc.strerror or str(exc)) + where
        return TransportError(f"cannot {what} '{self.label}'", cause=cause, hint=hint, passing=passing)

    def _lacks(self, pointer: Pointer) -> NotThere:
        return NotThere(f"'{self.label}' does not have payload {pointer.sha256[:12]}")


class _WriteError(Exception):
    """The store could not be written to, as opposed to a source that could not be read."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise _WriteError(exc) from exc


def _payloads(folder: Path, start: str) -> Iterator[Stored]:
    """Yields the payloads in a folder; one that is deleted meanwhile is none."""
    for name in _names(folder):
        if is_sha256(name) and name.startswith(start):
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(folder / name)
                if stat.S_ISREG(status.st_mode):
                    yield Stored(name, status.st_size, status.st_mtime)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _folders(folder: Path) -> Iterator[Path]:
    for name in _names(folder):
        if len(name) == 2 and not name.strip("0123456789abcdef"):
            yield folder / name


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            os.fsync(number)
    finally:
        os.close(number)
