"""Every point of a run as a table (docs/format.md, chapter 7).

Small histories are text, which `git diff` shows; large ones are columns, because a million points as text take 2.8 s
to write and 15 MB to keep, and as shuffled columns 0.04 s and 3.6 MB. Standard library only."""

from __future__ import annotations

import functools
import json
import re
import sys
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from operator import sub
from typing import Any

from gittrack.errors import DataRefused
from gittrack.model import Column, History

MAX_TEXT = 1024 * 1024
MAX_BYTES = 1024 * 1024 * 1024
MAGIC = b"gittrack columns 1\n"
TEXT_FILE, COLUMNS_FILE = "history.tsv", "history.cols"
_RESERVED = ("step", "time", "rank")
_BLOCK = 65536  # numbers that are looked at together
_LITTLE = sys.byteorder == "little"
_NO_CELL = re.compile(rb"[^0-9.e+\-infa\t\n]")


def encode(history: History, *, spend: bool = False) -> tuple[str, bytes]:
    """Returns the file's name and its bytes: text up to 1 MiB, columns above.

    spend: takes the numbers out of a history that is too long for text, so that it is not in memory twice."""
    names = _sorted(history.columns)
    cells: list[list[str]] = []
    size = len(history.steps) * (len("0\t0.000\n") + len(names))
    for name in names:
        if size + len(history.columns[name].values) > MAX_TEXT:
            return COLUMNS_FILE, encode_columns(history, spend=spend)
        texts = [text.removesuffix(".0") for text in map(repr, history.columns[name].values)]
        size += sum(map(len, texts))
        if size > MAX_TEXT:  # it is long already without steps and ranks
            return COLUMNS_FILE, encode_columns(history, spend=spend)
        cells.append(texts)
    text = _join_text(history, names, cells)
    return (TEXT_FILE, text) if len(text) <= MAX_TEXT else (COLUMNS_FILE, encode_columns(history, spend=spend))


def decode(name: str, raw: bytes) -> History:
    """Returns the history in a file; raises DataRefused if it is not well-formed."""
    if len(raw) > MAX_BYTES:
        raise _refused(name, f"larger than {MAX_BYTES} bytes")
    try:
        return decode_text(raw) if name == TEXT_FILE else decode_columns(raw)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError, AttributeError) as exc:
        raise _refused(name, " ".join(str(exc).split())[:200]) from exc


def _refused(name: str, cause: str) -> DataRefused:
    return DataRefused(f"cannot read '{name}'", cause=cause)


def _escape(name: str) -> str:
    return "=" + name if name in _RESERVED or name.startswith("=") else name


def _unescape(name: str) -> str:
    plain = name.removeprefix("=")
    if _escape(plain) != name:
        raise ValueError(f"'{name[:80]}' is no column's name")
    return plain


def _sorted(columns: Mapping[str, Column]) -> list[str]:
    return sorted(columns, key=lambda name: name.encode("utf-8", "surrogatepass"))


def format_number(value: float) -> str:
    """Returns the shortest decimal that reads back to the same double, without a trailing `.0`."""
    return repr(value).removesuffix(".0")


def encode_text(history: History) -> bytes:
    """Returns `history.tsv`."""
    names = _sorted(history.columns)
    cells = [[format_number(value) for value in history.columns[name].values] for name in names]
    return _join_text(history, names, cells)


def _join_text(history: History, names: Sequence[str], texts: Sequence[list[str]]) -> bytes:
    """Returns the lines of the table; `texts` has the written values of each metric, without the missing cells."""
    head = ["step", "time", *(["rank"] if history.ranks is not None else []), *map(_escape, names)]
    cells: list[Iterable[str]] = [map(str, history.steps), map(_seconds, history.times)]
    if history.ranks is not None:
        cells.append(map(str, history.ranks))
    cells.extend(
        _spread(one, history.columns[name].rows, len(history.steps)) for name, one in zip(names, texts, strict=True)
    )
    lines = map("\t".join, zip(*cells, strict=True))
    return ("\t".join(head) + "\n" + "".join(line + "\n" for line in lines)).encode()


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}" if ms >= 0 else "-" + _seconds(-ms)


def _spread(texts: list[str], rows: array[int] | None, count: int) -> list[str]:
    if rows is None:
        return texts
    found = [""] * count
    for row, text in zip(rows, texts, strict=True):
        found[row] = text
    return found


def decode_text(raw: bytes) -> History:
    """Returns the history in `history.tsv`; raises ValueError if it is not well-formed."""
    lines = raw.decode().split("\n")
    if lines.pop() != "" or not lines:
        raise ValueError("the last line does not end")
    if _NO_CELL.search(raw, len(lines[0].encode())):  # Python would take `1_000`, ` 1` and `INFINITY` for numbers
        raise ValueError("a cell is no number")
    head = lines[0].split("\t")
    ranked = len(head) > 2 and head[2] == "rank"
    first = 3 if ranked else 2
    if head[:2] != ["step", "time"] or len(set(head)) != len(head):
        raise ValueError("the first line does not name the columns")
    rows = [line.split("\t") for line in lines[1:]]
    if any(len(row) != len(head) for row in rows):
        raise ValueError("a line has another number of cells than the first")
    cells: Sequence[Sequence[str]] = list(zip(*rows, strict=True)) if rows else [()] * len(head)
    return History(
        steps=array("q", map(int, cells[0])),
        times=array("q", (_milliseconds(cell) for cell in cells[1])),
        ranks=array("q", map(int, cells[2])) if ranked else None,
        columns={_unescape(name): _read_cells(cells[at]) for at, name in enumerate(head[first:], start=first)},
    )


def _milliseconds(cell: str) -> int:
    seconds, point, thousandths = cell.partition(".")
    if not point or len(thousandths) != 3:
        raise ValueError(f"time '{cell[:40]}' has not three decimals")
    return int(seconds + thousandths)


def _read_cells(cells: Sequence[str]) -> Column:
    if not any(cells):
        raise ValueError("a column is empty")
    if all(cells):
        return Column(array("d", map(float, cells)))
    rows = array("q", (row for row, cell in enumerate(cells) if cell))
    return Column(array("d", (float(cell) for cell in cells if cell)), rows)


def encode_columns(history: History, *, spend: bool = False) -> bytes:
    """Returns `history.cols`; spend: takes the numbers out of the history as it goes."""
    heads: list[dict[str, Any]] = []
    parts: list[bytes | bytearray] = []

    def add(name: str, kind: str, values: array[Any], bitmap: bytes = b"") -> None:
        count = len(values)
        parts.append(bitmap)
        raw: bytes | bytearray = (
            _raw_integers(values) if kind == "i64" else _little(array("f", values) if kind == "f32" else values)
        )
        width = 4 if kind == "f32" else 8
        if spend:
            del values[:]
        parts.extend(raw[byte::width] for byte in range(width))  # shuffled
        heads.append({"name": name, "type": kind, "count": count, "size": len(raw) + len(bitmap)})

    rows = len(history.steps)
    add("step", "i64", history.steps)
    add("time", "i64", history.times)
    if history.ranks is not None:
        add("rank", "i64", history.ranks)
    for name in _sorted(history.columns):
        column = history.columns[name]
        add(
            _escape(name),
            "f32" if _fits_single(column.values) else "f64",
            column.values,
            b"" if column.rows is None else _bitmap(column.rows, rows),
        )
    checksum = functools.reduce(lambda crc, part: zlib.crc32(part, crc), parts, 0)
    head = json.dumps({"rows": rows, "crc32": checksum, "columns": heads}, separators=(",", ":"))
    return b"".join([MAGIC, head.encode(), b"\n", *parts])


def decode_columns(raw: bytes) -> History:
    """Returns the history in `history.cols`; raises ValueError if it is not well-formed."""
    end = raw.index(b"\n", len(MAGIC)) if raw.startswith(MAGIC) else -1
    if end < 0:
        raise ValueError("it does not begin as columns do")
    head = json.loads(raw[len(MAGIC) : end])
    at = end + 1
    if zlib.crc32(memoryview(raw)[at:]) != head["crc32"]:
        raise ValueError("its checksum is wrong")
    rows = int(head["rows"])
    fixed: dict[str, array[int]] = {}
    columns: dict[str, Column] = {}
    for item in head["columns"]:
        name, kind, count, size = item["name"], item["type"], int(item["count"]), int(item["size"])
        body = raw[at : at + size]
        at += size
        width = {"i64": 8, "f64": 8, "f32": 4}[kind]
        marks = (rows + 7) // 8 if count < rows else 0
        if len(body) != size or size != count * width + marks or not 0 <= count <= rows or name in fixed:
            raise ValueError(f"column '{name}' has a wrong size")
        if kind == "i64":
            if name not in _RESERVED or count != rows:
                raise ValueError(f"column '{name}' is not one of integers")
            fixed[name] = _decode_integers(body)
        elif count == 0 or _unescape(name) in columns:
            raise ValueError(f"column '{name}' is empty, or there twice")
        else:
            present = _rows_of(body[:marks], rows, count) if marks else None
            columns[_unescape(name)] = Column(_decode_floats(body[marks:], kind), present)
    if at != len(raw):
        raise ValueError("there is more than its columns")
    return History(steps=fixed["step"], times=fixed["time"], ranks=fixed.get("rank"), columns=columns)


def _unshuffle(raw: bytes, width: int) -> bytes:
    count = len(raw) // width
    plain = bytearray(len(raw))
    for byte in range(width):
        plain[byte::width] = raw[byte * count : (byte + 1) * count]
    return bytes(plain)


def _little(values: array[Any]) -> bytes:
    if not _LITTLE:
        values = values[:]
        values.byteswap()
    return values.tobytes()


def _from_little(kind: str, raw: bytes) -> array[Any]:
    values: array[Any] = array(kind)
    values.frombytes(raw)
    if not _LITTLE:
        values.byteswap()
    return values


def _raw_integers(values: array[int]) -> bytearray:
    """Returns each integer minus the one before it, as bytes."""
    wrap, half = 1 << 64, 1 << 63
    raw = bytearray()
    last = 0
    for at in range(0, len(values), _BLOCK):
        block = values[at : at + _BLOCK]
        before = array("q", [last])
        before.extend(block[:-1])
        deltas = list(map(sub, block, before))
        try:
            packed = array("q", deltas)
        except OverflowError:
            packed = array("q", ((delta + half) % wrap - half for delta in deltas))
        raw += _little(packed)
        last = block[-1]
    return raw


def _decode_integers(body: bytes) -> array[int]:
    wrap, half = 1 << 64, 1 << 63
    total = 0
    found: array[int] = array("q")
    append = found.append
    for delta in _from_little("q", _unshuffle(body, 8)):
        total += delta
        if not -half <= total < half:
            total = (total + half) % wrap - half
        append(total)
    return found


def _fits_single(values: array[float]) -> bool:
    """Tells whether 4 bytes keep every value exactly."""
    for at in range(0, len(values), _BLOCK):
        block = values[at : at + _BLOCK]
        same = array("d", array("f", block))
        if same != block and not all(a == b or (a != a and b != b) for a, b in zip(same, block, strict=True)):
            return False
    return True


def _decode_floats(body: bytes, kind: str) -> array[float]:
    if kind == "f64":
        return _from_little("d", _unshuffle(body, 8))
    return array("d", _from_little("f", _unshuffle(body, 4)))


def _bitmap(present: array[int], rows: int) -> bytes:
    flags = bytearray(b"0") * rows
    for row in present:
        flags[row] = 49
    flags.reverse()
    return int(flags.decode() or "0", 2).to_bytes((rows + 7) // 8, "little")


def _rows_of(marks: bytes, rows: int, count: int) -> array[int]:
    bits = f"{int.from_bytes(marks, 'little'):0{rows}b}"[::-1]
    found = array("q", (row for row, bit in enumerate(bits) if bit == "1"))
    if len(found) != count or len(bits) != rows:
        raise ValueError("a bitmap does not fit its column")
    return found
