"""Payloads of this clone that nothing needs, and those that a store has too, given back to the disk.

A run may begin to use a payload at the very moment at which it is swept. So each is moved aside first, where no run
finds it; then it is asked once more whether somebody needs it, and what somebody needs goes back. Who came before the
move is seen by that second look, or by the time of the file; who comes after it stores the file again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gittrack import marking
from gittrack.codec.pointer import Pointer, is_sha256
from gittrack.errors import DataRefused
from gittrack.git import Git
from gittrack.payloads import Found, Payloads
from gittrack.shared import make_folder
from gittrack.transports.protocol import Transport, TransportError

LEAST_AGE = 3600.0  # seconds; what was used since may belong to a run that is only about to say so
_PART_AGE = 14 * 86400.0  # seconds; what was cut off may be gone on with for so long
DAMAGED_AGE = 14 * 86400.0  # seconds; whoever wants to look at what a disk did has so long
_TEMPORARY_AGE = 86400.0
_BATCH = 100


class Room(NamedTuple):
    """How many files, and their bytes."""

    files: int = 0
    bytes: int = 0


class Leftover(NamedTuple):
    """A file that is no payload any more, or none yet; size: bytes."""

    path: Path
    size: int


def unneeded(git: Git, payloads: Payloads, *, now: float, without: Collection[str] = ()) -> list[Found]:
    """Returns the payloads here that nothing needs and that were not used for an hour.

    now: Unix seconds; without: refs that do not count. Raises GitFailed, DataRefused or OSError if it cannot be
    told."""
    return _unneeded(git, _unused(payloads, now=now), without=without)


def resting(git: Git, payloads: Payloads, *, now: float, without: Collection[str] = ()) -> list[Found]:
    """Returns the payloads here that nothing needs, but that were used within the hour. Errors as `unneeded`."""
    return _unneeded(git, _used(payloads, now=now), without=without)


def _unneeded(git: Git, found: Sequence[Found], *, without: Collection[str]) -> list[Found]:
    if not found:
        return []
    kept = marking.needed(git, [_pointer(each) for each in found], without=without)
    return [each for each in found if _pointer(each) not in kept]


def sweep(git: Git, payloads: Payloads, *, now: float) -> Room:
    """Deletes the payloads that nothing needs; returns what that freed. Errors as those of `unneeded`."""
    restore(payloads)
    found = unneeded(git, payloads, now=now)
    return _remove(payloads, found, now=now, still=lambda aside: set(aside) - marking.needed(git, aside))


class Releasable(NamedTuple):
    """Payloads here that a store has; how much no store has; and why stores did not answer.

    resting: what a store has too, but was used within the hour."""

    found: list[Found]
    alone: Room
    silent: list[TransportError]
    resting: Sequence[Found] = ()


def releasable(git: Git, payloads: Payloads, transports: Sequence[Transport], *, now: float) -> Releasable:
    """Returns the payloads here that a store has.

    Files of runs that are not sealed yet are not looked at. Raises TransportError if no store answers."""
    busy = marking.noted(git.place.common_dir)
    here = [found for found in _unused(payloads, now=now) if found.sha256 not in busy]
    young = [found for found in _used(payloads, now=now) if found.sha256 not in busy]
    had, silent = kept_by(transports, [_pointer(found) for found in (*here, *young)])
    if silent and len(silent) == len(transports):
        raise silent[0]
    alone = room_of(found for found in here if _pointer(found) not in had)
    resting = tuple(found for found in young if _pointer(found) in had)
    return Releasable([found for found in here if _pointer(found) in had], alone, silent, resting)


def release(git: Git, payloads: Payloads, transports: Sequence[Transport], *, now: float) -> tuple[Room, Releasable]:
    """Deletes the payloads here that a store has; returns what that freed, and what it was chosen from.

    A store is asked once more when its payload is aside, for it might be this very folder. Errors as those of
    `releasable`."""
    restore(payloads)
    known = releasable(git, payloads, transports, now=now)

    def still(aside: Sequence[Pointer]) -> set[Pointer]:
        busy = marking.noted(git.place.common_dir)
        return {pointer for pointer in kept_by(transports, aside)[0] if pointer.sha256 not in busy}

    return _remove(payloads, known.found, now=now, still=still), known


def _unused(payloads: Payloads, *, now: float) -> list[Found]:
    return [found for found in payloads.all() if now - found.modified > LEAST_AGE]


def _used(payloads: Payloads, *, now: float) -> list[Found]:
    return [found for found in payloads.all() if now - found.modified <= LEAST_AGE]


def _pointer(found: Found) -> Pointer:
    return Pointer(found.sha256, found.size)


def room_of(found: Iterable[Found | Leftover]) -> Room:
    """Returns the room that files take."""
    sizes = [each.size for each in found]
    return Room(len(sizes), sum(sizes))


def kept_by(transports: Sequence[Transport], pointers: Sequence[Pointer]) -> tuple[set[Pointer], list[TransportError]]:
    """Returns those of some payloads that at least one of some stores says it has, and why others did not answer."""
    found: set[Pointer] = set()
    silent: list[TransportError] = []
    for transport in transports:
        left = [pointer for pointer in pointers if pointer not in found]
        try:
            for first in range(0, len(left), _BATCH):
                found |= transport.exists(left[first : first + _BATCH], sending=False)
        except TransportError as exc:
            silent.append(exc)
    return found, silent


# Aside --------------------------------------------------------------------------------------------------------------


def _remove(
    payloads: Payloads, found: Sequence[Found], *, now: float, still: Callable[[Sequence[Pointer]], set[Pointer]]
) -> Room:
    """Moves payloads aside and deletes those for which it is `still` right to; the others go back."""
    if not found:
        return Room()
    folder = _aside(payloads)
    moved: list[Pointer] = []
    freed = Room()
    try:
        for each in found:
            with contextlib.suppress(FileNotFoundError):
                payloads.path(each.sha256).replace(folder / each.sha256)
                if _is_unused(folder / each.sha256, each, now=now):
                    moved.append(_pointer(each))
        right = still(moved)
        for pointer in moved:
            if pointer in right:
                with contextlib.suppress(FileNotFoundError):
                    (folder / pointer.sha256).unlink()
                    freed = Room(freed.files + 1, freed.bytes + pointer.size)
    except OSError as exc:
        raise DataRefused("payloads cannot be deleted", cause=f"'{exc.filename}': {exc.strerror}") from exc
    finally:
        restore(payloads)
    return freed


def _is_unused(path: Path, found: Found, *, now: float) -> bool:
    """Tells whether what was moved is what was looked at, and no run used it in between."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return status.st_ino == found.inode and now - status.st_mtime > LEAST_AGE


def _aside(payloads: Payloads) -> Path:
    folder = payloads.root / "aside"
    make_folder(folder)
    return folder


def restore(payloads: Payloads) -> None:
    """Puts back what lies aside, also what a sweep left there that was killed."""
    folder = payloads.root / "aside"
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    for name in names:
        if is_sha256(name):
            path = payloads.path(name)
            for above in (path.parent.parent, path.parent):
                make_folder(above)
            with contextlib.suppress(FileNotFoundError):  # another one was faster
                (folder / name).replace(path)


# Leftovers ----------------------------------------------------------------------------------------------------------


def leftovers(payloads: Payloads, *, now: float) -> Iterator[Leftover]:
    """Yields files that were never whole and that nobody goes on with any more."""
    for path, status in _files(payloads.root / "incoming"):
        age = _TEMPORARY_AGE if path.name.startswith("tmp-") else _PART_AGE
        if now - status.st_mtime > age:
            yield Leftover(path, status.st_size)


def damaged(payloads: Payloads, *, now: float) -> tuple[list[Leftover], list[Leftover]]:
    """Returns the damaged payloads that were set aside long ago, and the others."""
    old, kept = list[Leftover](), list[Leftover]()
    for path, status in _files(payloads.root.parent / "damaged"):
        age = now - max(status.st_mtime, status.st_ctime)
        (old if age > DAMAGED_AGE else kept).append(Leftover(path, status.st_size))
    return old, kept


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        with contextlib.suppress(FileNotFoundError):
            yield Path(entry.path), entry.stat(follow_symlinks=False)


def clear(found: Iterable[Leftover]) -> Room:
    """Deletes files; returns what that freed."""
    freed = Room()
    for each in found:
        with contextlib.suppress(OSError):
            each.path.unlink()
            freed = Room(freed.files + 1, freed.bytes + each.size)
    return freed
