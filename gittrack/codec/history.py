"""Every point of a run as a table (docs/format.md, chapter 7).

Small histories are text, which `git diff` shows; large ones are columns, because a million points as text take 2.8 s
to write and 15 MB to keep, and as shuffled columns 0.04 s and 3.6 MB. Standard library only."""

from __future__ import annotations

import functools
import json
import zlib
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

from gittrack.codec.shuffle import (
    Numpy,
    bitmap,
    differences,
    doubles,
    fits_single,
    integers,
    little,
    rows_of,
    singles,
)
from gittrack.errors import DataRefused
from gittrack.model import Column, History

MAX_TEXT = 1024 * 1024
MAX_BYTES = 1024 * 1024 * 1024
MAGIC = b"gittrack columns 1\n"
TEXT_FILE, COLUMNS_FILE = "history.tsv", "history.cols"
_RESERVED = ("step", "time", "rank")
_CELLS = b"0123456789.e+-infa\t\n"


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


def decode(
    name: str,
    raw: bytes,
    *,
    metrics: Collection[str] | None = None,
    numpy: Numpy = None,
    checked: bool = False,
) -> History:
    """Returns the history in a file; raises DataRefused if it is not well-formed.

    metrics: only the columns of these, where they are there; the numbers of the others are held to the checksum alone.
    numpy: the module, if it is to be used; the answer is the same. checked: these bytes were decoded before."""
    if len(raw) > MAX_BYTES:
        raise _refused(name, f"larger than {MAX_BYTES} bytes")
    try:
        if name == TEXT_FILE:
            return decode_text(raw, metrics=metrics)
        return decode_columns(raw, metrics=metrics, numpy=numpy, checked=checked)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError, AttributeError) as exc:
        raise _refused(name, " ".join(str(exc).split())[:200]) from exc


def _refused(name: str, cause: str) -> DataRefused:
    return DataRefused(f"cannot read '{name}'", cause=cause)


def escape(name: str) -> str:
    """Returns the name of a metric's column, which is none of `step`, `time` and `rank`."""
    return "=" + name if name in _RESERVED or name.startswith("=") else name


def unescape(name: str) -> str:
    """Returns the metric that a column is named after; raises ValueError if it is named after none."""
    plain = name.removeprefix("=")
    if escape(plain) != name:
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
    head = ["step", "time", *(["rank"] if history.ranks is not None else []), *map(escape, names)]
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


def decode_text(raw: bytes, *, metrics: Collection[str] | None = None) -> History:
    """Returns the history in `history.tsv`; raises ValueError if it is not well-formed."""
    first, end, rest = raw.partition(b"\n")
    if not end or not raw.endswith(b"\n"):
        raise ValueError("the last line does not end")
    if rest.translate(None, _CELLS):  # Python would take `1_000`, ` 1` and `INFINITY` for numbers
        raise ValueError("a cell is no number")
    head = first.decode().split("\t")
    if head[:2] != ["step", "time"] or len(set(head)) != len(head):
        raise ValueError("the first line does not name the columns")
    body = rest.decode()
    lines = body.split("\n")[:-1]
    if not set(map(str.count, lines, repeat("\t"))) <= {len(head) - 1}:
        raise ValueError("a line has another number of cells than the first")
    cells = body.replace("\n", "\t").split("\t")[:-1]
    ranked = len(head) > 2 and head[2] == "rank"
    columns = {}
    for at in range(3 if ranked else 2, len(head)):
        metric = unescape(head[at])
        if metrics is None or metric in metrics:
            columns[metric] = _read_cells(cells[at :: len(head)])
    return History(
        steps=array("q", map(int, cells[0 :: len(head)])),
        times=_milliseconds(cells[1 :: len(head)]),
        ranks=array("q", map(int, cells[2 :: len(head)])) if ranked else None,
        columns=columns,
    )


def _milliseconds(cells: Sequence[str]) -> array[int]:
    """Returns times as Unix milliseconds; raises ValueError unless each has three decimals."""
    text = "\n".join(cells)
    if {cell[-4:-3] for cell in cells} - {"."} or text.count(".") != len(cells):
        raise ValueError("a time has not three decimals")
    return array("q", map(int, text.replace(".", "").split("\n"))) if cells else array("q")


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
            differences(values) if kind == "i64" else little(array("f", values) if kind == "f32" else values)
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
            escape(name),
            "f32" if fits_single(column.values) else "f64",
            column.values,
            b"" if column.rows is None else bitmap(column.rows, rows),
        )
    checksum = functools.reduce(lambda crc, part: zlib.crc32(part, crc), parts, 0)
    head = json.dumps({"rows": rows, "crc32": checksum, "columns": heads}, separators=(",", ":"))
    return b"".join([MAGIC, head.encode(), b"\n", *parts])


def decode_columns(
    raw: bytes, *, metrics: Collection[str] | None = None, numpy: Numpy = None, checked: bool = False
) -> History:
    """Returns the history in `history.cols`; raises ValueError if it is not well-formed."""
    end = raw.index(b"\n", len(MAGIC)) if raw.startswith(MAGIC) else -1
    if end < 0:
        raise ValueError("it does not begin as columns do")
    head = json.loads(raw[len(MAGIC) : end])
    whole = memoryview(raw)
    at = end + 1
    if not checked and zlib.crc32(whole[at:]) != head["crc32"]:
        raise ValueError("its checksum is wrong")
    rows = int(head["rows"])
    fixed: dict[str, array[int]] = {}
    columns: dict[str, Column | None] = {}
    for item in head["columns"]:
        name, kind, count, size = item["name"], item["type"], int(item["count"]), int(item["size"])
        body = whole[at : at + size]
        at += size
        width = {"i64": 8, "f64": 8, "f32": 4}[kind]
        marks = (rows + 7) // 8 if count < rows else 0
        if len(body) != size or size != count * width + marks or not 0 <= count <= rows or name in fixed:
            raise ValueError(f"column '{name}' has a wrong size")
        if kind == "i64":
            if name not in _RESERVED or count != rows:
                raise ValueError(f"column '{name}' is not one of integers")
            fixed[name] = integers(body, numpy)
            continue
        metric = unescape(name)
        if count == 0 or metric in columns:
            raise ValueError(f"column '{name}' is empty, or there twice")
        columns[metric] = None
        if metrics is None or metric in metrics:
            present = rows_of(body[:marks], rows, count, numpy) if marks else None
            columns[metric] = Column((doubles if kind == "f64" else singles)(body[marks:], numpy), present)
    if at != len(raw):
        raise ValueError("there is more than its columns")
    return History(
        steps=fixed["step"],
        times=fixed["time"],
        ranks=fixed.get("rank"),
        columns={metric: column for metric, column in columns.items() if column is not None},
    )
