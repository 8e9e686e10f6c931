"""The points of some metrics of one run, as the person who asked for them wants them.

The table is read whole and at full resolution; fewer points, another library or a picture are made of it when they are
asked for."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from operator import le
from typing import Any, Literal

from gittrack import downsample
from gittrack.codec.history import escape
from gittrack.errors import NoMetric, UsageError
from gittrack.frames import Frame, Series, library, spread
from gittrack.model import Column, History
from gittrack.terminal import printable

MIN_POINTS = 5  # the ends, and least, greatest and NaN of one bucket
Axis = Literal["step", "time"]


class Curves:
    """A table of points: a row per (step, time) in which one of the metrics has a value, a column per metric.

    Columns are called `step`, `time`, `rank` where several processes wrote, and as the metrics are; a metric with one
    of these names, or that begins with `=`, has a `=` in front. `len()` is the number of rows."""

    def __init__(self, history: History, *, run: str) -> None:
        """history: only the metrics that were asked for; run: the name of the run."""
        self._history = _without_empty_rows(history)
        self._run = run

    def __len__(self) -> int:
        return len(self._history.steps)

    def __repr__(self) -> str:
        names = ", ".join(map(printable, self.metrics[:8])) + (", ..." if len(self.metrics) > 8 else "")
        return f"<history of {printable(self._run)}: {len(self)} rows of {names or 'nothing'}>"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics."""
        return tuple(self._history.columns)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        fixed = ("step", "time") if self._history.ranks is None else ("step", "time", "rank")
        return (*fixed, *map(escape, self._history.columns))

    def __getitem__(self, column: str) -> array[Any]:
        """Returns a column, a number a row: int64 steps and ranks, times in Unix seconds, metrics as doubles.

        NaN stands where a metric has no value. It is the caller's own. Raises NoMetric, which is a KeyError too."""
        history = self._history
        if column == "time":
            return array("d", (time / 1000 for time in history.times))
        fixed = {"step": history.steps, "rank": history.ranks}.get(column)
        if fixed is not None:
            return fixed[:]
        for name, found in history.columns.items():
            if escape(name) == column:
                return found.values[:] if found.rows is None else spread(_series(name, found), len(self))
        raise no_metric(column, self.columns, of=f"the history of '{self._run}'", what="column")

    def __contains__(self, column: object) -> bool:
        return column in self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def downsample(self, points: int, *, x: Axis = "step") -> Curves:
        """Returns the table with at most `points` rows for each metric, its extremes among them.

        Rows are kept whole: one that is kept for one metric shows the others too. x: what is cut into buckets of
        equal width. See `gittrack.downsample.keep` for the method. Raises UsageError for fewer than 5 points."""
        if points < MIN_POINTS:
            raise UsageError(f"a curve of {points} points shows nothing", hint=f"ask for {MIN_POINTS} or more")
        kept: set[int] = set()
        for column in self._history.columns.values():
            kept.update(_kept(self._history, column, points, x))
        return Curves(_taken(self._history, array("q", sorted(kept))), run=self._run)

    def only(self, *metrics: str) -> Curves:
        """Returns the table of some of its metrics; raises NoMetric."""
        for name in metrics:
            if name not in self._history.columns:
                raise no_metric(name, self.metrics, of=f"the history of '{self._run}'")
        return Curves(
            replace(self._history, columns={name: self._history.columns[name] for name in metrics}), run=self._run
        )

    # For other libraries ---------------------------------------------------------------------------------------------

    def to_numpy(self) -> Any:
        """Returns a structured array of shape (rows,): `step` int64, `time` float64 in Unix seconds, `rank` int64.

        Each metric is a float64 field under its column's name; NaN where it has no value."""
        numpy = library("numpy")
        history, length = self._history, len(self)
        types = {"step": "i8", "rank": "i8"}
        made = numpy.empty(length, dtype=[(name, types.get(name, "f8")) for name in self.columns])
        made["step"] = numpy.asarray(history.steps)
        numpy.divide(numpy.asarray(history.times), 1000.0, out=made["time"])
        if history.ranks is not None:
            made["rank"] = numpy.asarray(history.ranks)
        for name, column in history.columns.items():
            if column.rows is None:
                made[escape(name)] = numpy.asarray(column.values)
            else:
                made[escape(name)] = numpy.nan
                made[escape(name)][numpy.asarray(column.rows)] = numpy.asarray(column.values)
        return made

    def to_pandas(self) -> Any:
        """Returns a pandas DataFrame: `step` int64, `time` as datetimes with UTC, each metric float64."""
        return self._frame().to_pandas()

    def to_polars(self) -> Any:
        """Returns a polars DataFrame; where a metric has no value is null, which NaN is not."""
        return self._frame().to_polars()

    def to_arrow(self) -> Any:
        """Returns a pyarrow Table; where a metric has no value is null, which NaN is not."""
        return self._frame().to_arrow()

    def to_dicts(self) -> list[dict[str, Any]]:
        """Returns a dict a row; `time` is a datetime with UTC, and None stands where a metric has no value."""
        return self._frame().to_dicts()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Hands the table to any library that knows Arrow's C interface; by pyarrow."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def _frame(self) -> Frame:
        history = self._history
        columns = [Series("step", "integer", history.steps), Series("time", "time", history.times)]
        if history.ranks is not None:
            columns.append(Series("rank", "integer", history.ranks))
        columns += [_series(name, column) for name, column in history.columns.items()]
        return Frame(columns, length=len(self))

    def _repr_mimebundle_(self, **_: Any) -> Mapping[str, Any]:
        """Returns what a notebook shows: the curves as an image where matplotlib is there, else the first rows."""
        from gittrack import notebook  # noqa: PLC0415 - only in one

        return {"text/plain": repr(self), **notebook.curves(self)}


def no_metric(asked: str, known: Sequence[str], *, of: str, what: str = "metric") -> NoMetric:
    """Returns the error for a metric or column that is not there, with the nearest names."""
    import difflib  # noqa: PLC0415 - only for an error

    near = difflib.get_close_matches(asked, known, n=3, cutoff=0.5)
    near += [name for name in known if asked and asked.lower() in name.lower() and name not in near][:3]
    listed = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
    hint = f"did you mean {' or '.join(near[:3])}?" if near else None
    return NoMetric(f"{of} has no {what} '{asked}'", cause=f"it has {listed or 'none'}", hint=hint)


def _series(name: str, column: Column) -> Series:
    return Series(escape(name), "number", column.values, column.rows)


def _numpy() -> Any:
    """Returns numpy if it is loaded already."""
    return sys.modules.get("numpy")


def _without_empty_rows(history: History) -> History:
    """Returns the rows of a table in which some column has a value."""
    rows = [column.rows for column in history.columns.values()]
    sparse = [one for one in rows if one is not None]
    if len(sparse) < len(rows):
        return history
    if not sparse:
        return History(array("q"), array("q"), {})
    if len(sparse) == 1 or all(one == sparse[0] for one in sparse):
        return _taken(history, sparse[0])
    numpy = _numpy()
    if numpy is not None:
        return _taken(history, array("q", numpy.unique(numpy.concatenate(sparse)).tobytes()))
    return _taken(history, array("q", sorted(set().union(*sparse))))


def _taken(history: History, rows: array[int]) -> History:
    """Returns some rows of a table, in which each column has a value."""
    if len(rows) == len(history.steps):
        return history
    columns = {name: _column(column, rows) for name, column in history.columns.items()}
    return History(
        steps=_picked(history.steps, rows),
        times=_picked(history.times, rows),
        ranks=None if history.ranks is None else _picked(history.ranks, rows),
        columns={name: column for name, column in columns.items() if len(column.values)},
    )


def _picked(values: array[Any], rows: Iterable[int]) -> array[Any]:
    numpy = _numpy()
    if numpy is None or not isinstance(rows, array):
        return array(values.typecode, map(values.__getitem__, rows))
    found = array(values.typecode)
    found.frombytes(numpy.asarray(values)[numpy.asarray(rows)].data.cast("B"))
    return found


def _column(column: Column, rows: array[int]) -> Column:
    """Returns a column of a table that has only `rows` of it."""
    if column.rows is None:
        return Column(_picked(column.values, rows))
    if column.rows == rows:
        return Column(column.values)
    numpy = _numpy()
    if numpy is not None:
        both, own, wanted = numpy.intersect1d(column.rows, rows, assume_unique=True, return_indices=True)
        values = _picked(column.values, array("q", own.astype("q").tobytes()))
        return Column(values, array("q", wanted.astype("q").tobytes())) if len(both) < len(rows) else Column(values)
    place_of = dict(zip(column.rows, range(len(column.rows)), strict=True))
    there = array("q", (place for place, row in enumerate(rows) if row in place_of))
    values = _picked(column.values, (place_of[rows[place]] for place in there))
    return Column(values, there) if len(there) < len(rows) else Column(values)


def _kept(history: History, column: Column, points: int, x: Axis) -> Iterable[int]:
    """Returns the rows that stand for one column."""
    if x not in ("step", "time"):
        raise UsageError(f"'{x}' is no axis of a history", hint="it is 'step' or 'time'")
    rows: Sequence[int] = range(len(column.values)) if column.rows is None else column.rows
    axis = history.steps if x == "step" else history.times
    xs = axis if column.rows is None else _picked(axis, rows)
    values = column.values
    if x == "time" and not all(map(le, xs, islice(xs, 1, None))):  # a step went back
        order = sorted(range(len(xs)), key=xs.__getitem__)
        xs, values = _picked(xs, order), _picked(values, order)
        rows = [rows[place] for place in order]
    return [rows[place] for place in downsample.keep(xs, values, points=points, numpy=_numpy())]
