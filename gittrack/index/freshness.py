"""Whether a ref of a run may have changed since the index was written, told by a few `stat` calls.

Asking git for 100,000 refs takes longer than everything else a listing does. But git renames a file into place
whenever it moves a ref: `packed-refs`, a loose ref in its folder, or the list of a reftable. So the times of these
files and folders tell that nothing changed; and where only loose refs did, those few are read here. Whatever looks
unusual is left to git."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from gittrack.refname import LIVE, LOCAL, RUNS, Oid

PACKED = "packed-refs"
TABLES = "reftable/tables.list"
_OID = re.compile(rb"([0-9a-f]{40}(?:[0-9a-f]{24})?)\n?")
_FINE = 0.05  # seconds in which two changes may get the same time, on a disk that keeps fractions of seconds
_COARSE = 2.1  # and on one that does not; FAT counts in steps of two

Stamp = tuple[int, int, int] | None


class Look(NamedTuple):
    """What the files and folders of refs looked like, by path below the common git dir, at a Unix time in seconds."""

    stamps: Mapping[str, Stamp]
    taken: float

    @property
    def settled(self) -> bool:
        """Whether none of them changed so shortly before that a later change could have the same time."""
        return all(self.is_settled(name) for name in self.stamps)

    def is_settled(self, name: str) -> bool:
        """Tells this of one of them."""
        found = self.stamps.get(name)
        if found is None:
            return True
        return found[0] / 1e9 < self.taken - (_FINE if found[0] % 1_000_000_000 else _COARSE)


class Loose(NamedTuple):
    """The loose refs of runs, here and as seen on remotes, and the folders that hold them."""

    refs: Mapping[str, Oid]
    folders: frozenset[str]


def look(common: Path, folders: Iterable[str]) -> Look:
    """Returns how the files that hold refs look now, with those folders."""
    root = str(common)
    stamps = {name: stamp(f"{root}/{name}") for name in (PACKED, TABLES, *folders)}
    return Look(stamps, time.time())


def stamp(path: str | Path) -> Stamp:
    """Returns time of change in nanoseconds, size and inode of a file or folder; None if it is not there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # opening asks the server of a network disk, stat a cache
    except OSError:
        return None
    try:
        found = os.fstat(fd)
    finally:
        os.close(fd)
    return found.st_mtime_ns, found.st_size, found.st_ino


def loose(common: Path) -> Loose | None:
    """Returns the loose refs; None where one is not plainly an object id, and git has to be asked."""
    refs: dict[str, Oid] = {}
    folders: list[str] = []
    waiting = [RUNS.rstrip("/"), LOCAL.rstrip("/")]
    while waiting:
        folder = waiting.pop()
        folders.append(folder)
        with contextlib.suppress(FileNotFoundError), os.scandir(common / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}"
                if entry.is_dir():
                    waiting += [] if name + "/" == LIVE else [name]
                elif (name.startswith(RUNS) or "/runs/" in name) and not name.endswith(".lock"):
                    found = _read(entry.path)
                    if found is None:
                        return None
                    refs[name] = found
    return Loose(refs, frozenset(folders))


def _read(path: str) -> Oid | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # it was packed or deleted while we looked, or is not ours to read
        return None
    try:
        found = _OID.fullmatch(os.read(fd, 80))
    finally:
        os.close(fd)
    return Oid(found[1].decode()) if found else None
