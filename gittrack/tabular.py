"""Tables of any library as CSV.

CSV, because everything opens it and it can be written row by row; what it cannot say, the kinds of the columns, is
told beside it. A text that a spreadsheet would run as a formula gets a `'` in front, as in all our CSV."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import IO, Any, NamedTuple

MAX_ROWS = 1_000_000
MAX_COLUMNS = 1_000  # whose kinds are told
_SPECIAL = re.compile('[",\r\n]')
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Cell = Callable[[int, str, Any], Any]  # row, column and value to what stands there


class Rows(NamedTuple):
    """A table: the names of its columns, and its rows."""

    columns: list[str]
    rows: Iterable[Sequence[Any]]


def rows_of(value: Any, columns: Sequence[Any] | None = None) -> Rows:
    """Returns a table of pandas, polars or pyarrow, a mapping of columns, or a list of mappings or of rows, as rows.

    columns: their names, where `value` does not have them. Raises TypeError if it is no table."""
    for way in (_framed, _arrow, _polars, _plain):
        found = way(value, columns)
        if found is not None:
            names = [str(name) for name in (columns if columns is not None else found.columns)]
            if len(names) != len(found.columns):
                raise ValueError(f"{len(names)} names for {len(found.columns)} columns")
            return Rows(names, found.rows)
    raise TypeError(f"{type(value).__name__} is no table")


def _framed(value: Any, _: Any) -> Rows | None:
    """Pandas: with its index, unless that only counts the rows."""
    if not callable(getattr(value, "itertuples", None)) or not hasattr(value, "columns"):
        return None
    index = getattr(value, "index", None)
    names = [name if isinstance(name, str) else _name(name) for name in value.columns]
    if type(index).__name__ == "RangeIndex" and getattr(index, "name", None) is None:
        return Rows(names, value.itertuples(index=False, name=None))
    levels = getattr(index, "names", None) or [None]
    heads = [str(name) if name is not None else "index" for name in levels]
    rows = value.itertuples(index=True, name=None)
    if len(heads) > 1:
        rows = ((*row[0], *row[1:]) for row in rows)
    return Rows(heads + names, rows)


def _name(name: Any) -> str:
    return ".".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _arrow(value: Any, _: Any) -> Rows | None:
    if not hasattr(value, "column_names") or not callable(getattr(value, "to_batches", None)):
        return None
    batches = (batch.to_pydict() for batch in value.to_batches(max_chunksize=10_000))
    return Rows(list(value.column_names), chain.from_iterable(zip(*batch.values(), strict=True) for batch in batches))


def _polars(value: Any, _: Any) -> Rows | None:
    if callable(getattr(value, "collect", None)) and hasattr(value, "collect_schema"):  # a lazy frame
        value = value.collect()
    if not callable(getattr(value, "iter_rows", None)) or not hasattr(value, "columns"):
        return None
    return Rows(list(value.columns), value.iter_rows())


def _plain(value: Any, columns: Sequence[Any] | None) -> Rows | None:
    if isinstance(value, Mapping):
        return _of_columns(value)
    if callable(getattr(value, "tolist", None)) and hasattr(value, "shape"):
        names = getattr(value.dtype, "names", None)
        if len(value.shape) == 1 and names:
            return Rows(list(names), value.tolist())
        value = value.tolist() if len(value.shape) == 2 else None
    if not isinstance(value, list | tuple):
        return None
    if value and all(isinstance(row, Mapping) for row in value):
        heads = list(dict.fromkeys(name for row in value for name in row))
        return Rows(heads, ([row.get(name) for name in heads] for row in value))
    if not all(isinstance(row, list | tuple) for row in value):
        return None
    width = max(map(len, value), default=len(columns or ()))
    return Rows([f"column {n + 1}" for n in range(width)], ([*row, *[None] * (width - len(row))] for row in value))


def _of_columns(value: Mapping[Any, Any]) -> Rows:
    cells = []
    for column in value.values():
        plain = column.tolist() if callable(getattr(column, "tolist", None)) else column
        cells.append([plain] if isinstance(plain, str) or not isinstance(plain, Iterable) else list(plain))
    length = max(map(len, cells), default=0)
    rows = ([column[at] if at < len(column) else None for column in cells] for at in range(length))
    return Rows([str(name) for name in value], rows)


def write(table: Rows, out: IO[str], *, cell: Cell | None = None) -> dict[str, Any]:
    """Writes a table as CSV; returns its number of rows, its columns, and what each of them is.

    A column is `integer`, `number`, `flag`, `text`, `json` (lists and mappings), `mixed` or `empty`. Missing is an
    empty cell, true and false are words, NaN is `nan`; times are ISO 8601. `left_out` is there if there were more than
    a million rows."""
    out.write(line([quoted(name) for name in table.columns]))
    kinds: list[set[str]] = [set() for _ in table.columns]
    count = 0
    rows: Iterator[Sequence[Any]] = iter(table.rows)
    for row in islice(rows, MAX_ROWS):
        texts = []
        for at, value in enumerate(row):
            kind, shown = _shown(cell(count, table.columns[at], value) if cell else value)
            kinds[at].add(kind)
            texts.append(shown)
        out.write(line(texts))
        count += 1
    left = sum(1 for _ in rows)
    said = [
        {"name": name, "kind": _kind(found)}
        for name, found in zip(table.columns[:MAX_COLUMNS], kinds[:MAX_COLUMNS], strict=True)
    ]
    return {"rows": count, "columns": said} | ({"left_out": left} if left else {})


def _kind(found: set[str]) -> str:
    kinds = found - {""}
    if kinds == {"integer", "number"}:
        return "number"
    return kinds.pop() if len(kinds) == 1 else "mixed" if kinds else "empty"


def _shown(value: Any) -> tuple[str, str]:
    """Returns what a value is, and how it stands in a cell."""
    if value is None or type(value).__name__ in ("NaTType", "NAType"):
        return "", ""
    kind = type(value)
    if kind is str:
        return "text", quoted(value)
    if kind is bool:
        return "flag", str(value).lower()
    if kind is int:
        return "integer", str(value)
    if kind is float:
        return "number", repr(value)
    if callable(getattr(value, "isoformat", None)):
        return "text", str(value.isoformat())
    if callable(getattr(value, "tolist", None)):  # a scalar or array of numpy, or a tensor
        plain = value.tolist()
        return _shown(plain) if not callable(getattr(plain, "tolist", None)) else ("text", quoted(str(value)))
    if isinstance(value, list | tuple | Mapping | set | frozenset):
        plain = list(value) if isinstance(value, set | frozenset) else value
        return "json", quoted(json.dumps(plain, default=str, ensure_ascii=False))
    if isinstance(value, str | int | float):  # an enum that is one
        return _shown(value.value if hasattr(value, "value") else kind.__mro__[-2](value))
    return "text", quoted(str(value))


def quoted(text: str) -> str:
    """Returns a text as a cell has it: a `'` stands before what a spreadsheet would run."""
    text = text.encode("utf-8", "replace").decode()
    return "'" + text if text.startswith(_FORMULA) else text


def line(cells: Sequence[str]) -> str:
    """Returns a row of CSV: cells with a comma, a quote or an end of line in them are quoted."""
    # The csv module of Python < 3.13 leaves a lone carriage return unquoted where lines end with LF.
    texts = ['"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell for cell in cells]
    return (",".join(texts) if texts != [""] else '""') + "\n"
