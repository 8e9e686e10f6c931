"""Typed columns, handed to the library that a person computes with.

pandas, polars and pyarrow are no dependencies, and each of them is loaded by the one call that asks for it. Columns are
made here once, so that what is a number, a time or a text is the same in all of them."""

from __future__ import annotations

import importlib
import json
import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from gittrack.errors import NotInstalled

Kind = Literal["text", "integer", "number", "flag", "time", "texts", "any"]
_INT64 = range(-(2**63), 2**63)
_NOTHING = type(None)


def library(name: str) -> Any:
    """Returns a library that is no dependency; raises NotInstalled, which is an ImportError too."""
    try:
        return importlib.import_module(name)
    except ImportError as exc:
        raise NotInstalled(f"'{name}' is not installed", cause=str(exc), hint=f"pip install {name}") from exc


@dataclass(frozen=True, slots=True)
class Series:
    """A named column. A value that is missing is None; in arrays nothing is missing but the rows outside of `rows`.

    kind: `time` are Unix milliseconds, `texts` tuples of text, `any` whatever does not go together.
    rows: of a sparse array of doubles, the rows that its values stand in; None for all."""

    name: str
    kind: Kind
    values: Sequence[Any]
    rows: array[int] | None = None


def guessed(name: str, values: Sequence[Any]) -> Series:
    """Returns a column of the narrowest kind that holds every value."""
    types = {*map(type, values)} - {_NOTHING}
    if types == {str}:
        return Series(name, "text", values)
    if types == {bool}:
        return Series(name, "flag", values)
    if types == {int} and all(value is None or value in _INT64 for value in values):
        return Series(name, "integer", values)
    if types == {float}:
        return Series(name, "number", values)
    if types == {int, float}:
        return Series(name, "number", [None if value is None else _double(value) for value in values])
    return Series(name, "any", values)


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def moment(text: str | None) -> datetime | None:
    """Returns a time as it was recorded, with UTC as its time zone; None if it is none."""
    try:
        found = datetime.fromisoformat(text) if text else None
        return found.astimezone(UTC) if found and found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def milliseconds(text: str | None) -> int | None:
    """Returns a time as it was recorded as Unix milliseconds; None if it is none."""
    found = moment(text)
    return None if found is None else round(found.timestamp() * 1000)


class Frame:
    """Columns of equal length, for whichever library there is."""

    def __init__(self, columns: Iterable[Series], *, length: int) -> None:
        """columns: with different names; length: of each, in rows."""
        self.columns = {_whole(column.name): column for column in columns}
        self.length = length

    def to_dicts(self) -> list[dict[str, Any]]:
        """Returns a dict a row; times are datetimes with UTC, and None is what is missing."""
        lists = [_as_objects(column, self.length) for column in self.columns.values()]
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*lists, strict=True)] if lists else []

    def to_pandas(self) -> Any:
        """Returns a pandas DataFrame: int64 (Int64 where some are missing), float64, bool, text, datetimes with UTC."""
        pandas = library("pandas")
        made = {name: _pandas(pandas, column, self.length) for name, column in self.columns.items()}
        return pandas.DataFrame(made, index=pandas.RangeIndex(self.length))

    def to_polars(self) -> Any:
        """Returns a polars DataFrame; what is missing is null, and what is mixed is text."""
        polars = library("polars")
        return polars.DataFrame([_polars(polars, name, column, self.length) for name, column in self.columns.items()])

    def to_arrow(self) -> Any:
        """Returns a pyarrow Table; what is missing is null, and what is mixed is text."""
        arrow = library("pyarrow")
        return arrow.table({name: _arrow(arrow, column, self.length) for name, column in self.columns.items()})


def _whole(text: str) -> str:
    """Returns a text that UTF-8 can hold: halves of characters become their escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _texts(values: Sequence[Any]) -> Sequence[Any]:
    """Returns the same texts, each of which UTF-8 can hold."""
    try:
        for value in values:
            if value is not None and not value.isascii():
                value.encode()
    except UnicodeEncodeError:
        return [None if value is None else _whole(value) for value in values]
    return values


def _as_text(value: Any) -> str | None:
    """Returns a value of a mixed column as text: texts as they are, all else as JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _plain(column: Series) -> Sequence[Any]:
    """Returns the values of a column as arrow knows them."""
    if column.kind == "any":
        return _texts([_as_text(value) for value in column.values])
    if column.kind == "texts":
        return [list(map(_whole, value)) for value in column.values]
    return _texts(column.values) if column.kind == "text" else column.values


def spread(column: Series, length: int) -> array[float]:
    """Returns a value for each row; NaN where there is none."""
    if column.rows is None:
        return column.values if isinstance(column.values, array) else array("d", column.values)
    found = array("d", [math.nan]) * length
    for row, value in zip(column.rows, column.values, strict=True):
        found[row] = value
    return found


def _absent(numpy: Any, column: Series, length: int) -> Any:
    """Returns for each row whether a sparse column has no value there; a bool array of shape (length,)."""
    mask = numpy.ones(length, dtype=bool)
    mask[numpy.frombuffer(column.rows or array("q"), dtype=numpy.int64)] = False
    return mask


def _as_objects(column: Series, length: int) -> Sequence[Any]:
    if column.kind == "time":
        return [None if value is None else _datetime(value) for value in column.values]
    if column.kind == "texts":
        return list(map(list, column.values))
    if column.rows is None:
        return column.values
    found: list[Any] = [None] * length
    for row, value in zip(column.rows, column.values, strict=True):
        found[row] = value
    return found


def _datetime(value: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError):  # before the year 1, or after 9999
        return None


# One function a library ----------------------------------------------------------------------------------------------


def _pandas(pandas: Any, column: Series, length: int) -> Any:
    numpy = library("numpy")
    if isinstance(column.values, array) and column.kind == "number":
        return numpy.asarray(spread(column, length))
    if column.kind == "time":
        return _pandas_times(pandas, numpy, column.values)
    missing = None in column.values if not isinstance(column.values, array) else False
    if column.kind in ("integer", "flag"):
        types: Mapping[str, tuple[Any, str]] = {"integer": ("int64", "Int64"), "flag": ("bool", "boolean")}
        return pandas.array(column.values, dtype=types[column.kind][missing])
    if column.kind == "number":
        return numpy.array(column.values, dtype=float)  # None becomes NaN
    if column.kind == "text":
        return pandas.Series(list(_texts(column.values)), dtype=None if length else "object")
    held = numpy.empty(length, dtype=object)
    for row, value in enumerate(column.values):
        held[row] = list(value) if column.kind == "texts" else value
    return pandas.Series(held, dtype=object)


def _pandas_times(pandas: Any, numpy: Any, values: Sequence[Any]) -> Any:
    none = numpy.iinfo(numpy.int64).min  # which is "no time" to numpy
    raw = numpy.array([none if value is None else value for value in values], dtype="int64")
    return pandas.Series(raw.view("datetime64[ms]")).dt.tz_localize("UTC")


def _polars(polars: Any, name: str, column: Series, length: int) -> Any:
    types: Mapping[str, Any] = {
        "integer": polars.Int64,
        "number": polars.Float64,
        "flag": polars.Boolean,
        "time": polars.Datetime("ms", "UTC"),
        "texts": polars.List(polars.String),
    }
    kind = types.get(column.kind, polars.String)
    if not isinstance(column.values, array):
        return polars.Series(name, list(_plain(column)), dtype=kind, strict=True)
    numpy = library("numpy")
    made = polars.Series(name, numpy.array(spread(column, length) if column.kind == "number" else column.values))
    if column.rows is not None:
        nothing = polars.Series(name, [None], dtype=kind).new_from_index(0, length)
        made = nothing.zip_with(polars.Series(_absent(numpy, column, length)), made)
    return made.cast(kind)


def _arrow(arrow: Any, column: Series, length: int) -> Any:
    types: Mapping[str, Callable[[], Any]] = {
        "integer": arrow.int64,
        "number": arrow.float64,
        "flag": arrow.bool_,
        "time": lambda: arrow.timestamp("ms", "UTC"),
        "texts": lambda: arrow.list_(arrow.string()),
    }
    kind = types.get(column.kind, arrow.string)()
    if not isinstance(column.values, array):
        return arrow.array(_plain(column), type=kind)
    numpy = library("numpy")
    if column.kind != "number":
        return arrow.array(numpy.array(column.values)).cast(kind)
    mask = _absent(numpy, column, length) if column.rows is not None else None
    return arrow.array(numpy.asarray(spread(column, length)), type=kind, mask=mask)
