"""The journal's frames (docs/format.md, chapter 12).

A training process can die between any two bytes, and a disk can flip one. So a frame has a mark, a length and a
checksum: a torn end is cut, a broken frame is skipped and counted, and all the others are read."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MARK = b"\xa7\x1e"
MAX_PAYLOAD = 1024 * 1024
_HEAD = struct.Struct("<2sII")
_POINT = struct.Struct("<cIdq")
_SCHEMA = struct.Struct("<cI")

_Schema = tuple[tuple[str, ...], struct.Struct]


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
    """What a journal holds, in the order it was written.

    points: (step, Unix seconds, names, values)."""

    header: dict[str, Any] = field(default_factory=dict)
    points: list[tuple[int, float, tuple[str, ...], tuple[float, ...]]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    corrupt: int = 0
    torn: int = 0


def decode(raw: bytes) -> Journal:
    """Returns all that can be read of a journal; never raises for what it holds."""
    journal = Journal()
    schemas: dict[bytes, _Schema] = {}
    at_point = journal.points.append
    for start, end in _payloads(raw, journal):
        kind = raw[start]
        if kind == 80:  # P
            known = schemas.get(raw[start + 1 : start + 5])
            if known is None or known[1].size != end - start:
                journal.corrupt += 1
                continue
            names, point = known
            _, _, time, step, *values = point.unpack_from(raw, start)
            at_point((step, time, names, tuple(values)))
            continue
        try:
            _take(journal, schemas, raw[start:end])
        except (ValueError, TypeError, RecursionError):
            journal.corrupt += 1
    return journal


def _take(journal: Journal, schemas: dict[bytes, _Schema], payload: bytes) -> None:
    """Adds a frame that is no point; raises ValueError, TypeError or RecursionError for one that is none of ours."""
    kind = payload[:1]
    if kind == b"K":
        names = json.loads(payload[5:])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError("names of metrics are texts")
        schemas[payload[1:5]] = (tuple(names), struct.Struct(f"<cIdq{len(names)}d"))
        return
    value = json.loads(payload[1:])
    if not isinstance(value, dict):
        raise TypeError("a header or a note is an object")
    if kind == b"H":
        journal.header = value
    elif kind == b"J":
        journal.notes.append(value)
    else:
        raise ValueError("a kind that is not known")


def _payloads(raw: bytes, journal: Journal) -> Iterator[tuple[int, int]]:
    """Yields start and end of each sound payload; counts what is not."""
    at, size = 0, len(raw)
    head, crc, view = _HEAD.unpack_from, zlib.crc32, memoryview(raw)
    broken_from: int | None = None
    while at + 10 <= size:
        mark, length, checksum = head(raw, at)
        end = at + 10 + length
        if mark == MARK and 0 < length <= MAX_PAYLOAD and end <= size and crc(view[at + 10 : end]) == checksum:
            if broken_from is not None:
                journal.corrupt += 1
                broken_from = None
            yield at + 10, end
            at = end
            continue
        if broken_from is None:
            broken_from = at
        at = raw.find(MARK, at + 1)
        if at < 0:
            break
    tail = broken_from if broken_from is not None else at
    journal.torn = size - tail
