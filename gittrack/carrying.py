"""Payloads on their way between this clone and stores.

Several at a time, because a store answers slowly and a line is wide; never one that its store has. What comes in is
hashed as it comes and gets its name only when it is what its pointer says; what was cut off is gone on from. What
fails for a reason that may pass is tried again, as long as it gets on."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from gittrack.codec.pointer import Pointer
from gittrack.errors import DataRefused, GittrackError
from gittrack.meter import Meter
from gittrack.parts import Part, claimed, hash_prefix, write_at
from gittrack.payloads import Payloads
from gittrack.transports.protocol import Measures, NotThere, Source, Transport, TransportError, key

AT_ONCE = 8
_BATCH = 100  # payloads that a store is asked for at a time, as git-lfs does
_ATTEMPTS = 5
_LONGEST_WAIT = 60.0  # seconds; a store that wants more than this is given up

Progress = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of payloads: those that were moved, those that were there already, and those that failed, and why."""

    moved: tuple[Pointer, ...] = ()
    already: tuple[Pointer, ...] = ()
    failed: tuple[tuple[Pointer, GittrackError], ...] = ()

    @property
    def bytes(self) -> int:
        """How many bytes were moved."""
        return sum(pointer.size for pointer in self.moved)

    @property
    def there(self) -> set[Pointer]:
        """What is at its place now."""
        return {*self.moved, *self.already}


def send(
    payloads: Payloads, transport: Transport, pointers: Iterable[Pointer], *, progress: Progress | None = None
) -> Carried:
    """Sends payloads to a store, those that it does not have; raises TransportError if it cannot even be asked."""
    wanted = list(dict.fromkeys(pointers))
    there: set[Pointer] = set()
    missing: list[Pointer] = []
    meter = Meter(0, 0, progress)

    def batches() -> Iterator[Pointer]:
        for batch in _batches(wanted):
            known = _known(transport, batch, meter, sending=True)
            there.update(known)
            todo = [pointer for pointer in batch if pointer not in known]
            missing.extend(todo)
            meter.total += sum(pointer.size for pointer in todo)
            meter.files += len(todo)
            yield from todo

    def send_one(pointer: Pointer) -> None:
        path = payloads.find(pointer)
        if path is None:
            raise _gone(pointer)
        _send_one(transport, pointer, path, meter)

    failed = _each(batches(), send_one, meter)
    bad = {pointer for pointer, _ in failed}
    moved = tuple(pointer for pointer in missing if pointer not in bad)
    return Carried(moved, tuple(pointer for pointer in wanted if pointer in there), tuple(failed))


def bring(
    payloads: Payloads,
    transports: Sequence[Transport],
    pointers: Iterable[Pointer],
    *,
    progress: Progress | None = None,
) -> Carried:
    """Brings payloads from the first of some stores that has each.

    One that none has fails with NotThere, whose cause names the stores that were asked, and those that did not
    answer. Nothing else is raised but what keeps this clone from writing at all."""
    wanted = list(dict.fromkeys(pointers))
    already = tuple(pointer for pointer in wanted if payloads.find(pointer))
    left = [pointer for pointer in wanted if pointer not in set(already)]
    moved: list[Pointer] = []
    asked: list[str] = []
    reasons: dict[Pointer, GittrackError] = {}
    meter = Meter(sum(pointer.size for pointer in left), len(left), progress)
    for transport in transports:
        if not left:
            break
        try:
            done, failed = _bring_from(payloads, transport, left, meter)
        except TransportError as exc:
            asked.append(f"{transport.label} ({exc.cause or exc.message})")
            for pointer in left:
                reasons.setdefault(pointer, exc)
            continue
        asked.append(transport.label)
        moved += done
        reasons |= failed
        left = [pointer for pointer in left if pointer not in set(done)]
    for transport in transports:
        for pointer in left:
            if pointer not in reasons and (size := wrong_size(transport, pointer)) is not None:
                reasons[pointer] = _cut_off(transport, pointer, size)
    return Carried(tuple(moved), already, tuple((pointer, _missing(pointer, asked, reasons)) for pointer in left))


def wrong_size(transport: Transport, pointer: Pointer) -> int | None:
    """Returns the size in bytes of what a store has under a payload's name, if it is not the payload's size.

    None also where the store cannot tell."""
    with contextlib.suppress(TransportError):
        size = transport.size(pointer) if isinstance(transport, Measures) else None
        return size if size != pointer.size else None
    return None


def _bring_from(
    payloads: Payloads, transport: Transport, wanted: Sequence[Pointer], meter: Meter
) -> tuple[list[Pointer], dict[Pointer, GittrackError]]:
    """Returns what one store gave, and why it did not give what it has."""
    todo: list[Pointer] = []

    def batches() -> Iterator[Pointer]:
        for batch in _batches(wanted):
            known = _known(transport, batch, meter, sending=False)
            found = [pointer for pointer in batch if pointer in known]
            todo.extend(found)
            yield from found

    failed = dict(_each(batches(), lambda pointer: _bring_one(payloads, transport, pointer, meter), meter))
    return [pointer for pointer in todo if pointer not in failed], failed


def _send_one(transport: Transport, pointer: Pointer, path: Path, meter: Meter) -> None:
    counted = 0

    def report(count: int) -> None:
        nonlocal counted
        counted += count
        meter.add(count)

    def attempt() -> None:
        nonlocal counted
        meter.add(-counted)
        counted = 0
        try:
            transport.put(Source(pointer, path, report=report))
        except OSError as exc:
            raise DataRefused(f"payload {pointer.sha256[:12]} cannot be read", cause=exc.strerror or str(exc)) from exc

    _patiently(attempt, meter)
    meter.end_one()


def _bring_one(payloads: Payloads, transport: Transport, pointer: Pointer, meter: Meter) -> None:
    """Brings one payload; goes on from what an earlier attempt left, of this process or of another."""
    with _claimed(payloads, pointer) as part:
        if payloads.own(pointer):  # another process was faster
            meter.add(pointer.size)
            meter.end_one()
            part.path.unlink(missing_ok=True)
            return
        last = -1

        def attempt() -> None:
            nonlocal last
            size = _receive(transport, pointer, part, meter)
            if size < pointer.size:
                got_on, last = size > last, size
                raise TransportError(
                    f"'{transport.label}' broke off", cause=f"{size} of {pointer.size} bytes came", passing=got_on
                )

        try:
            _patiently(attempt, meter)
            payloads.place(part.path, pointer)
        except OSError as exc:
            raise _cannot_keep(pointer, exc) from exc
        except (DataRefused, NotThere):
            part.path.unlink(missing_ok=True)
            raise
    meter.end_one()


@contextlib.contextmanager
def _claimed(payloads: Payloads, pointer: Pointer) -> Iterator[Part]:
    """Yields a part that nobody else writes to; raises DataRefused if there can be none."""
    with contextlib.ExitStack() as stack:
        try:
            part = stack.enter_context(claimed(payloads.incoming(), pointer.sha256))
        except OSError as exc:
            raise _cannot_keep(pointer, exc) from exc
        yield part


def _receive(transport: Transport, pointer: Pointer, part: Part, meter: Meter) -> int:
    """Appends what comes to the part that is there; returns its size in bytes. What is complete is verified too."""
    digest = hashlib.sha256()
    try:
        begun = size = hash_prefix(part.number, digest, pointer.size)
        os.ftruncate(part.number, size)
    except OSError as exc:
        raise _cannot_keep(pointer, exc) from exc
    meter.add(size)
    try:
        if size < pointer.size:
            with contextlib.closing(transport.get(pointer, start=size)) as chunks:
                for chunk in chunks:
                    if size + len(chunk) > pointer.size:
                        raise _wrong(transport, pointer, "it is longer than its pointer says")
                    digest.update(chunk)
                    size += write_at(part.number, chunk, size)
                    meter.add(len(chunk))
    except OSError as exc:
        raise _cannot_keep(pointer, exc) from exc
    finally:
        if size != pointer.size:
            meter.add(-size)
    if size == pointer.size and digest.hexdigest() != pointer.sha256:
        os.ftruncate(part.number, 0)
        meter.add(-size)
        if begun:  # what was there before may be what is wrong
            raise TransportError(f"'{transport.label}' gave other bytes than before", passing=True)
        raise _wrong(transport, pointer, "its bytes are not what its pointer says")
    return size


# How ----------------------------------------------------------------------------------------------------------------


def _batches(wanted: Sequence[Pointer]) -> Iterator[Sequence[Pointer]]:
    for first in range(0, len(wanted), _BATCH):
        yield wanted[first : first + _BATCH]


def _known(transport: Transport, batch: Sequence[Pointer], meter: Meter, *, sending: bool) -> set[Pointer]:
    return _patiently(lambda: transport.exists(batch, sending=sending), meter)


def _each(
    pointers: Iterable[Pointer], work: Callable[[Pointer], None], meter: Meter
) -> list[tuple[Pointer, GittrackError]]:
    """Does something with each payload, several at a time; returns those that failed, and why."""
    failed: list[tuple[Pointer, GittrackError]] = []
    running: dict[Future[None], Pointer] = {}
    ended: SimpleQueue[Future[None]] = SimpleQueue()  # concurrent.futures.wait looks at all of them each time

    def collect(*, most: int) -> None:
        while len(running) > most:
            future = ended.get()
            pointer = running.pop(future)
            error = future.exception()
            if isinstance(error, GittrackError):
                failed.append((pointer, error))
            elif error is not None:
                raise error

    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="gittrack-payload")
    try:
        for pointer in pointers:
            future = pool.submit(work, pointer)
            running[future] = pointer
            future.add_done_callback(ended.put)
            collect(most=2 * AT_ONCE)
        collect(most=0)
    except BaseException:
        meter.stop()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return failed


def _patiently(work: Callable[[], T], meter: Meter | None = None) -> T:
    """Does something that a store may refuse for now, again and again with growing pauses; raises its last error."""
    for attempt in range(_ATTEMPTS):
        try:
            return work()
        except TransportError as exc:
            if not exc.passing or attempt + 1 == _ATTEMPTS or exc.wait > _LONGEST_WAIT:
                raise
            # Not all at the same moment, for those who failed together would fail together again.
            pause = max(exc.wait, min(0.5 * 2**attempt, 8.0) * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            (meter or Meter(0, 0)).wait(pause)
    raise AssertionError("the last attempt returns or raises")


def _gone(pointer: Pointer) -> DataRefused:
    return DataRefused(
        f"payload {pointer.sha256[:12]} is not here", cause="it was deleted from this clone before it was sent"
    )


def _wrong(transport: Transport, pointer: Pointer, why: str) -> DataRefused:
    whole = "a clone that has it whole (`git track fsck --artifacts` says so)"
    hint = f"delete '{key(pointer.sha256)}' there, then `git track push` from {whole}"
    if not transport.collects:
        hint = "another store, or another clone, may have it whole; the server's administrators can delete it there"
    return DataRefused(f"'{transport.label}' gave a wrong payload {pointer.sha256[:12]}", cause=why, hint=hint)


def _cut_off(transport: Transport, pointer: Pointer, size: int) -> DataRefused:
    return DataRefused(
        f"'{transport.label}' has payload {pointer.sha256[:12]} with a wrong size",
        cause=f"{size} bytes are there, and it has {pointer.size}",
        hint="`git track push` from a clone that has it whole sends it again",
    )


def _cannot_keep(pointer: Pointer, exc: OSError) -> DataRefused:
    return DataRefused(f"payload {pointer.sha256[:12]} cannot be kept", cause=exc.strerror or str(exc))


def _missing(pointer: Pointer, asked: Sequence[str], reasons: dict[Pointer, GittrackError]) -> GittrackError:
    """Returns why a payload did not come: what a store that has it said, or that none has it."""
    known = reasons.get(pointer)
    if isinstance(known, DataRefused):
        return known
    where = ", ".join(f"'{label}'" if "(" not in label else label for label in asked)
    if known is not None and not isinstance(known, NotThere) and (known.cause or known.message) not in where:
        where += f"; {known.message}, {known.cause}" if known.cause else f"; {known.message}"
    kind = TransportError if known is not None and not isinstance(known, NotThere) else NotThere  # one may have it
    return kind(
        f"payload {pointer.sha256[:12]} is in no store that was asked",
        cause=f"asked: {where}" if asked else "no store is known here",
        hint="whoever logged it may not have pushed it yet; `git track store ls` lists stores"
        if asked
        else "`git track store add NAME URL` names one",
    )
