"""Work that is shared out to a few processes, because reading 100,000 records keeps one core busy for ten seconds.

The processes are forks, which cost two milliseconds and start with all that is loaded; where a fork is not safe (other
threads run) or is of no use (one core), the caller's process does all of it. Which part is whose is not planned: each
takes the next one from a pipe, the caller too, and what a process that died had taken the caller does again."""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_NUMBER = struct.Struct("<I")
_FRAME = struct.Struct("<IQ")
_PIPE_BYTES = 1 << 20  # so that a worker can go on while its last answer has not been taken
_WORTH = 4  # parts that a fork has to take off the others to be worth it
_MOST_PARTS = 16_000  # numbers that a pipe holds while nobody reads it


def shared(parts: Sequence[Any], work: Callable[[Any], Any]) -> Iterator[Any]:
    """Yields `work(part)` for every part, in any order; what it returns is plain values, as marshal takes them."""
    others = min(_cores() - 1, len(parts) // _WORTH, 3)
    if others < 1 or not _is_alone() or not hasattr(os, "fork") or len(parts) > _MOST_PARTS:
        yield from map(work, parts)
        return
    queue, fill = os.pipe()
    os.write(fill, b"".join(_NUMBER.pack(number) for number in range(len(parts))))
    os.close(fill)
    children: dict[int, int] = {}
    done: set[int] = set()
    try:
        for _ in range(others):
            end, pid = _start(queue, parts, work, list(children))
            children[end] = pid
        while children:
            number = _next(queue)
            if number is not None:
                done.add(number)
                yield work(parts[number])
            yield from _collected(children, done, wait=number is None)
        yield from (work(part) for number, part in enumerate(parts) if number not in done)
    finally:
        os.close(queue)
        for end, pid in list(children.items()):
            _end(end, pid)


def _is_alone() -> bool:
    """Tells whether this process has one thread only, those of libraries counted where the system tells."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return threading.active_count() == 1


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start(queue: int, parts: Sequence[Any], work: Callable[[Any], Any], inherited: Sequence[int]) -> tuple[int, int]:
    """Starts a process that takes parts from the queue; returns the end of its pipe, and its number."""
    end, answer = os.pipe()
    with contextlib.suppress(ImportError, AttributeError, OSError):  # Linux only
        import fcntl  # noqa: PLC0415 - not on every system

        fcntl.fcntl(answer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    pid = os.fork()
    if pid:
        os.close(answer)
        return end, pid
    try:
        for other in (end, *inherited):
            os.close(other)
        while (number := _next(queue)) is not None:
            raw = marshal.dumps(work(parts[number]))
            with open(answer, "wb", closefd=False) as stream:
                stream.write(_FRAME.pack(number, len(raw)) + raw)
    finally:
        os._exit(0)  # whatever happened: the caller does again what is missing, and says what is wrong


def _next(queue: int) -> int | None:
    """Returns the number of a part that nobody has taken, or None if all are."""
    raw = os.read(queue, _NUMBER.size)
    return _NUMBER.unpack(raw)[0] if len(raw) == _NUMBER.size else None


def _collected(children: dict[int, int], done: set[int], *, wait: bool) -> Iterator[Any]:
    """Yields the answers that have come; closes what has ended."""
    ready, _, _ = select.select(list(children), [], [], None if wait else 0)
    for end in ready:
        head = _read(end, _FRAME.size)
        number, size = _FRAME.unpack(head) if head else (0, 0)
        raw = _read(end, size) if head else None
        if raw is None:
            _end(end, children.pop(end))
            continue
        done.add(number)
        yield marshal.loads(raw)  # noqa: S302 - of our own fork, through a pipe that nobody else has


def _read(end: int, size: int) -> bytes | None:
    """Returns so many bytes, or None if the process ended before."""
    parts = []
    while size > 0:
        piece = os.read(end, min(size, _PIPE_BYTES))
        if not piece:
            return None
        parts.append(piece)
        size -= len(piece)
    return b"".join(parts)


def _end(end: int, pid: int) -> None:
    os.close(end)  # a process that still writes gets an error and ends
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
