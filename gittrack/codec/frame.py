"""The journal's frames (docs/format.md, chapter 12).

A training process can die between any two bytes, and a disk can flip one. So a frame has a mark, a length and a
checksum: a torn end is cut, a broken frame is skipped and counted, and all the others are read."""

from __future__ import annotations

import json
import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gittrack.codec.points import Points

MARK = b"\xa7\x1e"
MAX_PAYLOAD = 1024 * 1024
_HEAD = struct.Struct("<2sII")
_POINT = struct.Struct("<cIdq")
_SCHEMA = struct.Struct("<cI")
_LITTLE = sys.byteorder == "little"
_POINT_KIND = ord("P")
_EQUAL_BYTES = (0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14)  # of a frame: mark, length, kind and schema
_MIN_ALIKE, _MAX_ALIKE = 16, 4096


def encode(payload: bytes) -> bytes:
    """Returns the frame of a payload; raises ValueError if a reader would not take it."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"larger than {MAX_PAYLOAD} bytes")
    return _HEAD.pack(MARK, len(payload), zlib.crc32(payload)) + payload


def encode_json(kind: bytes, value: Mapping[str, Any]) -> bytes:
    """Returns a frame of kind `H` or `J`; NaN and infinities are Python's JSON words, for this file is local."""
    return encode(kind + json.dumps(value, separators=(",", ":")).encode())


def encode_schema(schema: int, names: tuple[str, ...]) -> bytes:
    """Returns the frames that give a list of metric names its number; twice, against a flipped bit."""
    return encode(_SCHEMA.pack(b"K", schema) + json.dumps(names).encode()) * 2


class PointPacker:
    """Packs the points of one schema; this is what `log()` does while a model trains."""

    __slots__ = ("_body", "_crc", "_head", "_length", "schema")

    def __init__(self, schema: int, count: int) -> None:
        self.schema = schema
        self._body = struct.Struct(f"<cIdq{count}d").pack
        self._head = struct.Struct("<2sII").pack
        self._length = _POINT.size + 8 * count
        if self._length > MAX_PAYLOAD:
            raise ValueError(f"{count} metrics in one call")
        self._crc = zlib.crc32

    def __call__(self, time: float, step: int, values: tuple[float, ...]) -> bytes:
        """Returns the frame; raises struct.error, TypeError or OverflowError if a value is no number."""
        body = self._body(b"P", self.schema, time, step, *values)
        return self._head(MARK, self._length, self._crc(body)) + body


@dataclass(slots=True)
class Journal:
    """What a journal holds, in the order it was written."""

    header: dict[str, Any] = field(default_factory=dict)
    points: Points = field(default_factory=Points)
    notes: list[dict[str, Any]] = field(default_factory=list)
    corrupt: int = 0
    torn: int = 0
    size: int = field(default=0, repr=False, compare=False)


def decode(source: bytes | Iterable[bytes]) -> Journal:
    """Returns all that can be read of a journal, given whole or in pieces; never raises for what it holds."""
    reader = Reader()
    for piece in (source,) if isinstance(source, bytes) else source:
        reader.take(piece)
    return reader.end()


class _Kind(NamedTuple):
    """A list of metrics that has a number in this journal."""

    kind: int
    width: int
    point: struct.Struct


class Reader:
    """Reads a journal that comes in pieces, so that a long one never is in memory whole."""

    def __init__(self) -> None:
        self.journal = Journal()
        self._schemas: dict[bytes, _Kind] = {}
        self._rest = b""
        self._broken_from: int | None = None
        self._one_by_one = 0

    def take(self, piece: bytes) -> None:
        """Reads all whole frames of what came so far."""
        raw = self._rest + piece if self._rest else piece
        done = self._read(raw, last=False)
        self._rest = raw[done:]
        self.journal.size += done

    def drain(self) -> Journal:
        """Returns what was read since the last call, and keeps no point of it: for a journal that goes on growing."""
        drained = self.journal
        self.journal = Journal(header=drained.header, points=drained.points.emptied(), size=drained.size)
        return drained

    def end(self) -> Journal:
        """Returns the journal; what is left is a torn tail."""
        rest = self._rest
        done = self.journal.size + self._read(rest, last=True)
        self.journal.size += len(rest)
        self.journal.torn = self.journal.size - (done if self._broken_from is None else self._broken_from)
        return self.journal

    def _read(self, raw: bytes, *, last: bool) -> int:
        """Reads the frames of `raw` and returns how far that went."""
        at, size = 0, len(raw)
        head, crc, view = _HEAD.unpack_from, zlib.crc32, memoryview(raw)
        while at + 10 <= size:
            mark, length, checksum = head(raw, at)
            end = at + 10 + length
            if mark == MARK and 0 < length <= MAX_PAYLOAD:
                if end > size and not last:
                    return at
                if end <= size and crc(view[at + 10 : end]) == checksum:
                    if self._broken_from is not None:
                        self.journal.corrupt += 1
                        self._broken_from = None
                    if raw[at + 10] == _POINT_KIND:
                        end = self._take_points(raw, at, end)
                    else:
                        self._take(raw[at + 10 : end])
                    at = end
                    continue
            if self._broken_from is None:
                self._broken_from = self.journal.size + at
            at = raw.find(MARK, at + 1)
            if at < 0:
                return size if last else size - 1  # a mark may begin with the last byte
        return at

    def _take_points(self, raw: bytes, at: int, end: int) -> int:
        """Adds the point in the frame at `at`, and as many that follow it as are of its kind; returns their end."""
        known = self._schemas.get(raw[at + 11 : at + 15])
        if known is None or known.point.size != end - at - 10:
            self.journal.corrupt += 1
            return end
        if self._one_by_one:
            self._one_by_one -= 1
        else:
            count = self._take_alike(raw, at, end - at, known)
            if count:
                return at + count * (end - at)
            self._one_by_one = _MIN_ALIKE  # they take turns: looking ahead does not pay for a while
        _, _, time, step, *values = known.point.unpack_from(raw, at + 10)
        try:
            self.journal.points.add(known.kind, step, int(time * 1000), values)
        except (ValueError, OverflowError):  # no time
            self.journal.corrupt += 1
        return end

    def _take_alike(self, raw: bytes, at: int, size: int, known: _Kind) -> int:
        """Adds points of one kind that stand one behind the other, and returns how many; 0 if they are few.

        What is equal in all of them is compared byte by byte over all of them at once, and so are the checksums."""
        count = min((len(raw) - at) // size, _MAX_ALIKE)
        if count < _MIN_ALIKE:
            return 0
        region = raw[at : at + count * size]
        for byte in _EQUAL_BYTES:
            column = region[byte::size]
            count = min(count, len(column) - len(column.lstrip(column[:1])))
            if count < _MIN_ALIKE:
                return 0
        wanted = _gather("I", region, 6, size, count)
        found = array("I", [zlib.crc32(region[start : start + size - 10]) for start in range(10, count * size, size)])
        if found != wanted:
            count = next(number for number in range(count) if found[number] != wanted[number])
            if count < _MIN_ALIKE:
                return 0
        times = _gather("d", region, 15, size, count)
        try:
            milliseconds = array("q", [int(time * 1000) for time in times])
        except (ValueError, OverflowError):
            return 0
        cells: array[float] = array("d")
        cells.frombytes(b"".join([region[start : start + 8 * known.width] for start in range(31, count * size, size)]))
        if not _LITTLE:
            cells.byteswap()
        self.journal.points.extend(known.kind, _gather("q", region, 23, size, count), milliseconds, cells)
        return count

    def _take(self, payload: bytes) -> None:
        """Adds a frame that is no point; one that is none of ours is counted."""
        try:
            self._take_sound(payload)
        except (ValueError, TypeError, RecursionError):
            self.journal.corrupt += 1

    def _take_sound(self, payload: bytes) -> None:
        kind = payload[:1]
        if kind == b"K":
            names = json.loads(payload[5:])
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise TypeError("names of metrics are texts")
            number = self.journal.points.kind_of(tuple(names))
            self._schemas[payload[1:5]] = _Kind(number, len(names), struct.Struct(f"<cIdq{len(names)}d"))
            return
        value = json.loads(payload[1:])
        if not isinstance(value, dict):
            raise TypeError("a header or a note is an object")
        if kind == b"H":
            self.journal.header = value
        elif kind == b"J":
            self.journal.notes.append(value)
        else:
            raise ValueError("a kind that is not known")


def _gather(kind: str, raw: bytes, first: int, stride: int, count: int) -> array[Any]:
    """Returns the numbers of type `kind` that stand at `first` and every `stride` bytes after."""
    numbers: array[Any] = array(kind)
    width = numbers.itemsize
    plain = bytearray(width * count)
    for byte in range(width):
        plain[byte::width] = raw[first + byte : first + byte + (count - 1) * stride + 1 : stride]
    numbers.frombytes(bytes(plain))
    if not _LITTLE:
        numbers.byteswap()
    return numbers
