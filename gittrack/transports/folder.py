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

from gittrack.codec.pointer import Pointer, is_sha256
from gittrack.transports.protocol import CHUNK, NotThere, Source, Stored, TransportError, key

_INCOMING = ".incoming"


class Folder:
    """Payloads below a folder."""

    collects = True

    def __init__(self, root: Path) -> None:
        self._root = root
        self.label = str(root)

    def exists(self, wanted: Sequence[Pointer], *, sending: bool) -> set[Pointer]:
        """Returns those that are there with the right size."""
        if not sending and not self._root.parent.is_dir():
            raise self._failed("read", FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
        return {pointer for pointer in wanted if self._size(pointer) == pointer.size}

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
            with (self._root / key(pointer.sha256)).open("rb", buffering=0) as file:
                file.seek(start)
                while chunk := file.read(CHUNK):
                    yield chunk
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise NotThere(f"'{self.label}' does not have payload {pointer.sha256[:12]}") from exc
        except OSError as exc:
            raise self._failed("read", exc) from exc

    def put(self, source: Source) -> None:
        """Copies a payload; goes on from what an earlier attempt left, if that is still what it should be."""
        pointer = source.pointer
        target = self._root / key(pointer.sha256)
        part = self._root / _INCOMING / f"{pointer.sha256}.part"
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            number = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o644)
        except OSError as exc:
            raise self._failed("write to", exc) from exc
        # Two that send the same at once write the same bytes to the same places, and one of them renames it.
        with os.fdopen(number, "r+b", buffering=0):
            digest = hashlib.sha256()
            at = _hash_prefix(number, digest, pointer.size)
            for chunk in source.chunks(start=at):
                digest.update(chunk)
                try:
                    at += _write_at(number, chunk, at)
                except OSError as exc:
                    raise self._failed("write to", exc) from exc
            if digest.hexdigest() != pointer.sha256:  # what was there before is of something else
                part.unlink(missing_ok=True)
                raise TransportError(
                    f"cannot write to '{self.label}'", cause="what lay there was damaged", passing=True
                )
            try:
                os.ftruncate(number, pointer.size)
                os.fsync(number)
                os.fchmod(number, 0o444)
                with contextlib.suppress(FileNotFoundError):  # the other one was faster
                    part.replace(target)
                _sync_folder(target.parent)
                _sync_folder(target.parent.parent)
            except OSError as exc:
                raise self._failed("write to", exc) from exc
        if self._size(pointer) != pointer.size:
            raise TransportError(f"cannot write to '{self.label}'", cause="what was written is not there", passing=True)

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
                    with os.scandir(second) as entries:
                        for entry in entries:
                            if is_sha256(entry.name) and entry.is_file(follow_symlinks=False):
                                status = entry.stat(follow_symlinks=False)
                                yield Stored(entry.name, status.st_size, status.st_mtime)
        except OSError as exc:
            raise self._failed("list", exc) from exc

    def close(self) -> None:
        """Does nothing: nothing is open between calls."""

    def _failed(self, what: str, exc: OSError) -> TransportError:
        return TransportError(f"cannot {what} '{self.label}'", cause=exc.strerror or str(exc))


def _hash_prefix(number: int, digest: hashlib._Hash, most: int) -> int:
    at = 0
    while at < most and (chunk := os.pread(number, min(CHUNK, most - at), at)):
        digest.update(chunk)
        at += len(chunk)
    return at


def _write_at(number: int, chunk: bytes, at: int) -> int:
    view = memoryview(chunk)
    while view:
        count = os.pwrite(number, view, at)
        view, at = view[count:], at + count
    return len(chunk)


def _folders(folder: Path) -> Iterator[Path]:
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if len(name) == 2 and not name.strip("0123456789abcdef"):
            yield folder / name


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            os.fsync(number)
    finally:
        os.close(number)
