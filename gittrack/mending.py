"""Whether the payloads here are what their names say, and where those are that runs need and that are not here.

A payload is only believed when it comes in; a disk can still damage it afterwards, and nobody would notice before the
day on which it is needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gittrack import archives, store
from gittrack.carrying import bring
from gittrack.codec.pointer import Pointer
from gittrack.errors import GittrackError
from gittrack.git import Git
from gittrack.meter import Meter
from gittrack.objects import Objects
from gittrack.payloads import Found, Payloads, digest_of
from gittrack.refname import RUNS, Oid, RunId, archive_of, run_of
from gittrack.sweeping import kept_by
from gittrack.transports.protocol import Transport, TransportError

_MOST_THREADS = 8

Progress = Callable[[str], None]
Users = dict[Pointer, tuple[RunId, str]]  # a payload that runs need: one of them, and the path that it has there


@dataclass(frozen=True, slots=True)
class State:
    """How the payloads of a clone are.

    checked: how many there were here; damaged: those of them that were set aside; failed: those of these that runs
    need and that did not come again, and why; missing: what runs need and is neither here nor in a store; unknown: the
    same where a store did not answer; silent: why not; users: who needs what."""

    checked: int
    damaged: tuple[Pointer, ...]
    mended: tuple[Pointer, ...]
    failed: tuple[tuple[Pointer, GittrackError], ...]
    missing: tuple[Pointer, ...]
    unknown: tuple[Pointer, ...]
    silent: tuple[TransportError, ...]
    users: Users


def mend(git: Git, payloads: Payloads, transports: Sequence[Transport], *, progress: Progress | None = None) -> State:
    """Hashes all payloads here, sets aside those that are damaged, and brings again those of them that runs need.

    What runs need and is not here is looked for in all stores, and not brought. Raises OSError if a damaged payload
    cannot be set aside."""
    found = list(payloads.all())
    damaged = tuple(rehash(payloads, found, progress=progress))
    for pointer in damaged:
        payloads.quarantine(pointer.sha256)
    users = used(git)
    wrong = {pointer.sha256 for pointer in damaged}
    again = [pointer for pointer in users if pointer.sha256 in wrong]
    done = bring(payloads, transports, again, progress=progress)
    away = [pointer for pointer in users if pointer.sha256 not in wrong and not payloads.find(pointer)]
    there, silent = kept_by(transports, away)
    nowhere = tuple(pointer for pointer in away if pointer not in there)
    return State(
        checked=len(found),
        damaged=damaged,
        mended=(*done.moved, *done.already),
        failed=done.failed,
        missing=() if silent else nowhere,
        unknown=nowhere if silent else (),
        silent=tuple(silent),
        users=users,
    )


def rehash(payloads: Payloads, found: Sequence[Found], *, progress: Progress | None = None) -> Iterator[Pointer]:
    """Yields those of some payloads whose bytes are not what their name says, or cannot be read."""
    meter = Meter(sum(each.size for each in found), len(found), progress)
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
        for each, sound in zip(found, pool.map(lambda each: _is_sound(payloads, each, meter), found), strict=True):
            if not sound:
                yield Pointer(each.sha256, each.size)


def _is_sound(payloads: Payloads, found: Found, meter: Meter) -> bool:
    try:
        digest = digest_of(payloads.path(found.sha256))
    except FileNotFoundError:  # it was deleted meanwhile
        return True
    except OSError:
        return False
    finally:
        meter.add(found.size)
        meter.end_one()
    return digest.sha256 == found.sha256


def used(git: Git) -> Users:
    """Returns the payloads that the newest commits of all runs need, archived ones too; damaged runs are left out."""
    size = git.place.oid_bytes
    found: Users = {}
    with git.objects() as objects:
        for run, oid in _tips(git, objects):
            try:
                pointers = store.read_detail(objects, run, oid, oid_bytes=size).pointers()
            except GittrackError:  # `audit` says what is wrong with it
                continue
            for path, pointer in pointers.items():
                found.setdefault(pointer, (run, path))
    return found


def _tips(git: Git, objects: Objects) -> Collection[tuple[RunId, Oid]]:
    refs = git.refs(RUNS)
    found = {(run, ref.oid) for ref in refs if (run := run_of(ref.name))}
    for ref in refs:
        if archive_of(ref.name):
            try:
                batches = archives.read(objects, ref.oid, oid_bytes=git.place.oid_bytes).batches
                listed = archives.entries(objects, sorted(batches), oid_bytes=git.place.oid_bytes)
            except GittrackError:
                continue
            found.update(pair for _, runs in listed for pair in runs.items())
    return found
