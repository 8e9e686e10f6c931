"""SFTP version 3 (draft-ietf-secsh-filexfer-02) over two pipes: what a store of payloads needs, and no more.

Requests do not wait for each other: several threads share a session, a thread of its own reads the answers, and each
transfer has some MiB under way. Lengths have limits, answers must have been asked for, and silence ends.

Extensions of OpenSSH (its PROTOCOL, section 4) are used where they are offered: larger packets, `fsync`, and a
rename that replaces."""

from __future__ import annotations

import os
import select
import struct
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

from gittrack.transports.ssh import packets
from gittrack.transports.ssh.packets import Attributes, Broken, Kind, Reader, Refused, text

READ, WRITE, CREATE, TRUNCATE, EXCLUSIVE = 0x01, 0x02, 0x08, 0x10, 0x20
WINDOW = 4 << 20  # bytes of one transfer that are under way at a time
_USUAL = 32768  # bytes of data that every server takes at a time
_LARGEST = 255 << 10  # bytes of data that we ask for at a time where a server allows more
_MOST_REQUESTS = 64  # of one transfer under way at a time
_MOST_NAMES = 1 << 20  # in one folder
_NOISE = 200  # bytes of what a server says that does not speak SFTP
_RENAME, _SYNC, _LIMITS, _SPACE = (
    f"{name}@openssh.com".encode() for name in ("posix-rename", "fsync", "limits", "statvfs")
)


class Answer(NamedTuple):
    """An answer to the request of this number."""

    number: int
    kind: int
    body: Reader


Box = SimpleQueue[Answer | None]  # None: there will be no more answers


class Session:
    """An SFTP session, used by several threads; every method raises Refused or Broken."""

    def __init__(self, sink: int, source: int, *, silence: float) -> None:
        """sink, source: descriptors of pipes, which stay the caller's; silence: seconds without a byte, 0: for ever."""
        self._sink, self._source = sink, source
        self._silence = silence
        self._tick = min(silence / 12, 1.0) if silence else 1.0
        self._lock = threading.Lock()  # of what is pending
        self._writing = threading.Lock()
        self._pending: dict[int, Box | None] = {}
        self._number = 0
        self._moved = 0  # bytes in both directions: that they grow is a sign of life
        self._broken: Broken | None = None
        self._greeting: Box = SimpleQueue()
        self._offered: dict[bytes, bytes] = {}
        self._most = _USUAL
        os.set_blocking(sink, False)
        self._thread = threading.Thread(target=self._listen, name="gittrack-sftp", daemon=True)

    # The line --------------------------------------------------------------------------------------------------------

    def greet(self, give_up: Callable[[float], str]) -> None:
        """Begins; `give_up` is told from time to time how many seconds were silent, and says why to wait no more."""
        self._thread.start()
        self._send(struct.pack(">IBI", 5, Kind.INIT, 3))
        answer = self._greeted(give_up)
        if answer is None:
            raise self.why()
        self._offered = dict(answer.body.pairs())
        if _LIMITS in self._offered:
            limits = self._one(Kind.EXTENDED, text(_LIMITS), expect=Kind.EXTENDED_REPLY)
            packet, read, write = (limits.int64() for _ in range(3))
            found = min(read or packet, write or packet, packet - 1024 if packet else _USUAL, _LARGEST)
            self._most = max(found, _USUAL)

    def _greeted(self, give_up: Callable[[float], str]) -> Answer | None:
        waited = 0.0
        while True:
            try:
                return self._greeting.get(timeout=self._tick / 4)
            except Empty:
                waited += self._tick / 4
                if why := give_up(waited):
                    raise self.end(Broken(why, how="silent")) from None

    @property
    def can_sync(self) -> bool:
        """Whether the server can say that something is safe on its disk."""
        return _SYNC in self._offered

    @property
    def is_broken(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._broken is not None

    def why(self) -> Broken:
        """Returns why nothing can be asked any more."""
        return self._broken or Broken("the connection was closed", how="closed")

    def end(self, why: Broken) -> Broken:
        """Makes everybody who waits for an answer stop; returns what they are told."""
        with self._lock:
            if self._broken is None:
                self._broken = why
            boxes = {id(box): box for box in (*self._pending.values(), self._greeting) if box is not None}
            self._pending.clear()
        for box in boxes.values():
            box.put(None)
        return self._broken

    def join(self, seconds: float) -> bool:
        """Waits for the thread that listens, whose pipe was closed at the other end; returns whether it ended."""
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _listen(self) -> None:
        try:
            self._take_version()
            while True:
                length = packets.length_of(self._receive(4))
                body = Reader(self._receive(length))
                kind, number = body.byte(), body.int32()
                with self._lock:
                    if number not in self._pending:
                        raise Broken("it answered what was not asked", how="nonsense")
                    box = self._pending.pop(number)
                if box is not None:
                    box.put(Answer(number, kind, body))
        except Broken as exc:
            self.end(exc)
        except OSError as exc:
            self.end(Broken(exc.strerror or str(exc), how="closed"))

    def _take_version(self) -> None:
        head = self._receive(4)
        try:
            body = Reader(self._receive(packets.length_of(head)))
            if body.byte() != Kind.VERSION or body.int32() < 3:
                raise Broken("it speaks no SFTP of version 3", how="nonsense")
        except Broken as exc:
            if exc.how != "nonsense":
                raise
            raise Broken((head + self._noise()).decode("utf-8", "replace").strip(), how="noise") from exc
        self._greeting.put(Answer(0, Kind.VERSION, body))

    def _noise(self) -> bytes:
        """Returns what else is said at once by somebody who does not speak SFTP."""
        found = b""
        while len(found) < _NOISE and select.select([self._source], [], [], 0.2)[0]:
            more = os.read(self._source, _NOISE - len(found))
            if not more:
                break
            found += more
        return found

    def _receive(self, count: int) -> bytes:
        parts = []
        while count:
            part = os.read(self._source, count)
            if not part:
                raise Broken("the connection was cut", how="closed")
            self._moved += len(part)
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _send(self, *pieces: bytes | memoryview) -> None:
        with self._writing:
            left = [memoryview(piece) for piece in pieces if piece]
            quiet = 0.0
            while left:
                if self._broken is not None:
                    raise self._broken
                try:
                    count = os.writev(self._sink, left)
                except BlockingIOError:
                    seen = self._moved
                    ready = select.select([], [self._sink], [], self._tick)[1]
                    quiet = 0.0 if ready or self._moved != seen else quiet + self._tick
                    self._limit(quiet)
                    continue
                except OSError as exc:
                    self._thread.join(1.0)  # it may be told why
                    raise self.end(Broken(exc.strerror or str(exc), how="closed")) from exc
                self._moved += count
                while left and count >= len(left[0]):
                    count -= len(left.pop(0))
                if left:
                    left[0] = left[0][count:]

    def _limit(self, quiet: float) -> None:
        if self._silence and quiet >= self._silence:
            raise self.end(Broken(f"it gave no sign of life for {self._silence:g} seconds", how="silent"))

    # Requests --------------------------------------------------------------------------------------------------------

    def ask(self, kind: Kind, *body: bytes | memoryview, box: Box | None) -> int:
        """Sends a request whose answer goes into a box, or nowhere; returns its number."""
        with self._lock:
            if self._broken is not None:
                raise self._broken
            self._number = number = (self._number + 1) & 0xFFFFFFFF
            self._pending[number] = box
        head = struct.pack(">IBI", 5 + sum(len(piece) for piece in body), kind, number)
        self._send(head + b"".join(body[:-1]), *body[-1:])
        return number

    def answer(self, box: Box) -> Answer:
        """Waits for an answer in a box."""
        quiet, seen = 0.0, self._moved
        while True:
            try:
                found = box.get(timeout=self._tick)
            except Empty:
                quiet = quiet + self._tick if self._moved == seen else 0.0
                seen = self._moved
                self._limit(quiet)
                continue
            if found is None:
                raise self.why()
            return found

    def _one(self, kind: Kind, *body: bytes, expect: Kind) -> Reader:
        box: Box = SimpleQueue()
        self.ask(kind, *body, box=box)
        return packets.expected(self.answer(box), expect)

    def _done(self, kind: Kind, *body: bytes) -> None:
        self._one(kind, *body, expect=Kind.STATUS)

    def lstat_all(self, paths: Sequence[str]) -> list[Attributes | None]:
        """Returns what is at each path, None where nothing is."""
        found: list[Attributes | None] = []
        box: Box = SimpleQueue()
        for first in range(0, len(paths), _MOST_REQUESTS):
            numbers = [self.ask(Kind.LSTAT, text(path), box=box) for path in paths[first : first + _MOST_REQUESTS]]
            answers = {answer.number: answer for answer in (self.answer(box) for _ in numbers)}
            for number in numbers:
                try:
                    found.append(packets.expected(answers[number], Kind.ATTRS).attributes())
                except Refused as exc:
                    if not exc.is_missing:
                        raise
                    found.append(None)
        return found

    def lstat(self, path: str) -> Attributes | None:
        """Returns what is at a path, None if nothing is."""
        return self.lstat_all([path])[0]

    def stat(self, path: str) -> Attributes:
        """Returns what is at a path, behind links."""
        return self._one(Kind.STAT, text(path), expect=Kind.ATTRS).attributes()

    def set_mode(self, path: str, mode: int) -> None:
        """Sets the rights of a file or folder."""
        self._done(Kind.SETSTAT, text(path), packets.mode_only(mode))

    def make_folder(self, path: str) -> None:
        """Makes a folder; that it is there already is refused without a reason."""
        self._done(Kind.MKDIR, text(path), packets.NOTHING)

    def remove_folder(self, path: str) -> None:
        """Removes an empty folder."""
        self._done(Kind.RMDIR, text(path))

    def remove(self, path: str) -> None:
        """Deletes a file."""
        self._done(Kind.REMOVE, text(path))

    def rename(self, path: str, target: str) -> None:
        """Renames a file; where the server cannot replace one, a target that is there is refused."""
        kind, name = (Kind.EXTENDED, text(_RENAME)) if _RENAME in self._offered else (Kind.RENAME, b"")
        self._done(kind, name, text(path), text(target))

    def space(self, path: str) -> int | None:
        """Returns how many bytes are free for us on the disk of a path, None if the server does not tell."""
        if _SPACE not in self._offered:
            return None
        body = self._one(Kind.EXTENDED, text(_SPACE), text(path), expect=Kind.EXTENDED_REPLY)
        _, fragment, _, _, free = (body.int64() for _ in range(5))
        return fragment * free

    def listing(self, path: str) -> Iterator[tuple[bytes, Attributes]]:
        """Yields the names in a folder, and what each is."""
        handle = self._one(Kind.OPENDIR, text(path), expect=Kind.HANDLE).string()
        count = 0
        try:
            while True:
                try:
                    body = self._one(Kind.READDIR, text(handle), expect=Kind.NAME)
                except Refused as exc:
                    if exc.is_end:
                        return
                    raise
                names = list(body.names())
                count += len(names)
                if not names or count > _MOST_NAMES:
                    raise self.end(Broken("its listing of a folder does not end", how="nonsense"))
                yield from names
        finally:
            self.close(handle)

    # Files -----------------------------------------------------------------------------------------------------------

    def open(self, path: str, flags: int) -> bytes:
        """Opens a file; returns its handle."""
        return self._one(Kind.OPEN, text(path), struct.pack(">I", flags), packets.NOTHING, expect=Kind.HANDLE).string()

    def close(self, handle: bytes) -> None:
        """Closes a handle, and does not wait for it."""
        if not self.is_broken:
            self.ask(Kind.CLOSE, text(handle), box=None)

    def read(self, handle: bytes, *, start: int, size: int) -> Generator[bytes, None, None]:
        """Yields a file from byte `start` to its end, which is thought to be at `size`."""
        box: Box = SimpleQueue()
        waiting: deque[tuple[int, int, int]] = deque()  # number, first byte, count
        came: dict[int, Answer] = {}
        most = max(1, min(_MOST_REQUESTS, WINDOW // self._most))
        at, probed = start, False
        while True:
            while len(waiting) < most and not probed:
                count = min(self._most, max(size - at, 1))
                probed = at >= size  # a last request tells whether the file ends where it should
                waiting.append((self._ask_for(handle, at, count, box), at, count))
                at += count
            number, first, count = waiting.popleft()
            while number not in came:
                answer = self.answer(box)
                came[answer.number] = answer
            try:
                data = packets.expected(came.pop(number), Kind.DATA).string()
            except Refused as exc:
                if exc.is_end:
                    return
                raise
            if not 0 < len(data) <= count:
                raise self.end(Broken("it sent other bytes than were asked for", how="nonsense"))
            yield data
            if first >= size:
                return
            if len(data) < count:  # the rest of it is still to come, before all others
                rest = count - len(data)
                waiting.appendleft((self._ask_for(handle, first + len(data), rest, box), first + len(data), rest))

    def _ask_for(self, handle: bytes, at: int, count: int, box: Box) -> int:
        return self.ask(Kind.READ, text(handle), struct.pack(">QI", at, count), box=box)

    def write(self, handle: bytes, chunks: Iterable[bytes], *, start: int, sync_every: int, mode: int) -> int:
        """Writes chunks from byte `start` on, all safe on the disk where the server can do that, and sets the rights.

        At every `sync_every` bytes what was written is made safe, and no more than WINDOW bytes after that are sent
        before it is. Returns the size that the file has then."""
        box: Box = SimpleQueue()
        waiting: deque[tuple[int, int]] = deque()  # number, bytes
        came: dict[int, Answer] = {}
        under_way = 0

        def settle(most: int) -> None:
            nonlocal under_way
            while waiting and under_way > most:
                number, count = waiting[0]
                while number not in came:
                    answer = self.answer(box)
                    came[answer.number] = answer
                packets.expected(came.pop(number), Kind.STATUS)
                waiting.popleft()
                under_way -= count

        def add(count: int, kind: Kind, *body: bytes | memoryview) -> None:
            nonlocal under_way
            waiting.append((self.ask(kind, *body, box=box), count))
            under_way += count

        at = start
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                piece = view[: min(self._most, sync_every - at % sync_every)]
                settle(WINDOW - len(piece))
                add(len(piece), Kind.WRITE, text(handle) + struct.pack(">QI", at, len(piece)), piece)
                at += len(piece)
                view = view[len(piece) :]
                if at % sync_every == 0 and self.can_sync:
                    add(1, Kind.EXTENDED, text(_SYNC), text(handle))
        settle(0)
        if self.can_sync:
            self._done(Kind.EXTENDED, text(_SYNC), text(handle))
        self._done(Kind.FSETSTAT, text(handle), packets.mode_only(mode))
        size = self._one(Kind.FSTAT, text(handle), expect=Kind.ATTRS).attributes().size
        self._done(Kind.CLOSE, text(handle))
        return -1 if size is None else size
