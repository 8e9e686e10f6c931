"""Points in the order they were logged, and the table that they make (docs/format.md, chapters 7 and 12).

A run may have millions of them, so they are kept as columns of numbers: 24 bytes a point instead of 300."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain, groupby, islice, repeat
from operator import le, lt
from typing import NamedTuple

from gittrack.model import Column, History

Row = tuple[int, int, tuple[str, ...], Sequence[float]]  # step, Unix milliseconds, metrics, their values
_BLOCK = 65536  # numbers that are copied together
RankedRow = tuple[int, int, int, Sequence[str], Sequence[float]]  # the same with the rank before the metrics


class Points:
    """The rows of one journal, each with one value for every metric of its kind.

    names: the metrics of each kind; kinds: the kind of each row, None while all are of kind 0; steps: int64; times:
    Unix milliseconds, int64; cells: the values of all rows, one row after the other; latest: for each kind its last
    row as (number of the row, step, time, values)."""

    __slots__ = ("_numbers", "cells", "kinds", "latest", "names", "steps", "times")

    def __init__(self) -> None:
        self.names: list[tuple[str, ...]] = []
        self.kinds: array[int] | None = None
        self.steps: array[int] = array("q")
        self.times: array[int] = array("q")
        self.cells: array[float] = array("d")
        self.latest: dict[int, tuple[int, int, int, Sequence[float]]] = {}
        self._numbers: dict[tuple[str, ...], int] = {}

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Row]:
        at = 0
        for step, time, kind in zip(self.steps, self.times, self.kinds or repeat(0), strict=False):
            names = self.names[kind]
            yield step, time, names, tuple(self.cells[at : at + len(names)])
            at += len(names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Points) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment] # it grows

    def __repr__(self) -> str:
        return f"Points.of({list(self)!r})"

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Points:
        """Returns rows as points."""
        made = cls()
        for step, time, names, values in rows:
            made.add(made.kind_of(tuple(names)), step, time, values)
        return made

    def emptied(self) -> Points:
        """Returns no rows, with the same numbers for lists of metrics."""
        made = type(self)()
        for names in self.names:
            made.kind_of(names)
        return made

    def kind_of(self, names: tuple[str, ...]) -> int:
        """Returns the number of a list of metrics."""
        if names not in self._numbers:
            self._numbers[names] = len(self.names)
            self.names.append(names)
        return self._numbers[names]

    def add(self, kind: int, step: int, time: int, values: Sequence[float]) -> None:
        """Adds a row."""
        self._note_kind(kind, 1)
        self.latest[kind] = (len(self.steps), step, time, values)
        self.steps.append(step)
        self.times.append(time)
        self.cells.extend(values)

    def extend(self, kind: int, steps: array[int], times: array[int], cells: array[float]) -> None:
        """Adds rows of one kind."""
        self._note_kind(kind, len(steps))
        self.steps += steps
        self.times += times
        self.cells += cells
        width = len(self.names[kind])
        self.latest[kind] = (len(self.steps) - 1, steps[-1], times[-1], cells[len(cells) - width :])

    def _note_kind(self, kind: int, count: int) -> None:
        if self.kinds is None:
            if kind == 0:
                return
            self.kinds = array("I", bytes(4 * len(self.steps)))
        self.kinds.extend(repeat(kind, count))


# The table -----------------------------------------------------------------------------------------------------------


def table(parts: Sequence[tuple[int, Points]], *, ranked: bool) -> History:
    """Returns the table of what processes logged: (rank, points) of each; the table may take over their arrays.

    Points with equal (step, time, rank) share a row unless they name the same metric twice."""
    if len(parts) == 1 and _is_sorted(parts[0][1]):
        rank, points = parts[0]
        if points.kinds is None:
            return _table_of_one_kind(rank, points, ranked=ranked)
        stretches = list(_stretches(points))
        if len(stretches) < len(points) // 8:
            return _table_of_stretches(rank, points, stretches, ranked=ranked)
    return _merged(_in_order(parts), ranked=ranked)


class _Stretch(NamedTuple):
    """Rows of one kind that stand one behind the other."""

    kind: int
    start: int
    rows: int
    cell: int


def _stretches(points: Points) -> Iterator[_Stretch]:
    start = cell = 0
    for kind, rows in groupby(points.kinds or ()):
        count = sum(1 for _ in rows)
        yield _Stretch(kind, start, count, cell)
        start, cell = start + count, cell + count * len(points.names[kind])


def _table_of_stretches(rank: int, points: Points, stretches: Sequence[_Stretch], *, ranked: bool) -> History:
    """Returns the table of rows of which few are not of the kind of the row before, as samples of the machine are.

    Within a stretch each is a row of its own; its first may belong to the row before."""
    steps, times = points.steps, points.times
    columns: dict[str, tuple[array[float], array[int]]] = {}
    merged: list[int] = []  # rows that are part of the one before
    for kind, start, count, cell in stretches:
        names = points.names[kind]
        into = [columns.setdefault(name, (array("d"), array("i"))) for name in names]
        first = start - len(merged)
        same = start and (steps[start], times[start]) == (steps[start - 1], times[start - 1])
        if same and not any(places and places[-1] == first - 1 for _, places in into):
            merged.append(start)
            first -= 1
        width = len(names)
        for at, (cells, places) in enumerate(into):
            for block in range(cell + at, cell + count * width, _BLOCK * width):
                cells.extend(points.cells[block : min(block + _BLOCK * width, cell + count * width) : width])
            places.extend(range(first, first + count))
    for row in reversed(merged):
        del steps[row], times[row]
    return History(
        steps=steps,
        times=times,
        ranks=array("q", repeat(rank, len(steps))) if ranked else None,
        columns={
            name: Column(cells, None if len(cells) == len(steps) else places)
            for name, (cells, places) in columns.items()
        },
    )


def _merged(rows: Iterable[tuple[int, Row]], *, ranked: bool) -> History:
    """Returns the table of rows that stand in its order."""
    steps: array[int] = array("q")
    times: array[int] = array("q")
    ranks: array[int] = array("q")
    columns: dict[str, tuple[array[float], array[int]]] = {}
    adders: dict[tuple[str, ...], list[tuple[Callable[[float], None], Callable[[int], None], array[int]]]] = {}
    last: tuple[int, int, int] | None = None
    row = -1
    for rank, (step, time, names, values) in rows:
        into = adders.get(names)
        if into is None:
            found = [columns.setdefault(name, (array("d"), array("q"))) for name in names]
            into = adders[names] = [(cells.append, places.append, places) for cells, places in found]
        key = (step, time, rank)
        if key != last or any(places and places[-1] == row for _, _, places in into):
            last = key
            row += 1
            steps.append(step)
            times.append(time)
            ranks.append(rank)
        for (add_value, add_row, _), value in zip(into, values, strict=True):
            add_value(value)
            add_row(row)
    return History(
        steps=steps,
        times=times,
        ranks=ranks if ranked else None,
        columns={
            name: Column(cells, None if len(cells) == len(steps) else places)
            for name, (cells, places) in columns.items()
        },
    )


def _is_sorted(points: Points) -> bool:
    """Tells whether rows stand by step and time already, as one process logs them."""
    steps, times = points.steps, points.times
    if all(map(lt, steps, islice(steps, 1, None))):
        return True
    pairs = zip(steps, times, strict=True)
    return all(map(le, pairs, islice(zip(steps, times, strict=True), 1, None)))


def _table_of_one_kind(rank: int, points: Points, *, ranked: bool) -> History:
    """Returns the table of rows that all name the same metrics: each is a row of its own."""
    names = points.names[0]
    width = len(names)
    cells = [points.cells] if width == 1 else [points.cells[at::width] for at in range(width)]
    return History(
        steps=points.steps,
        times=points.times,
        ranks=array("q", repeat(rank, len(points))) if ranked else None,
        columns={name: Column(column) for name, column in zip(names, cells, strict=True)},
    )


def _in_order(parts: Sequence[tuple[int, Points]]) -> Iterator[tuple[int, Row]]:
    """Yields (rank, row) sorted by step and time; equal ones in the order of the parts."""
    if len(parts) == 1 and _is_sorted(parts[0][1]):
        for row in parts[0][1]:
            yield parts[0][0], row
        return
    steps = array("q", chain.from_iterable(points.steps for _, points in parts))
    times = array("q", chain.from_iterable(points.times for _, points in parts))
    order = sorted(range(len(steps)), key=times.__getitem__)
    order.sort(key=steps.__getitem__)
    bounds = list(accumulate((len(points) for _, points in parts), initial=0))
    starts = [_starts(points) for _, points in parts]
    whose = array("I", chain.from_iterable(repeat(at, len(points)) for at, (_, points) in enumerate(parts)))
    for number in order:
        part = whose[number]
        rank, points = parts[part]
        at = number - bounds[part]
        names = points.names[points.kinds[at] if points.kinds else 0]
        first = starts[part][at]
        yield rank, (steps[number], times[number], names, points.cells[first : first + len(names)])


def _starts(points: Points) -> Sequence[int]:
    """Returns where the cells of each row begin."""
    widths = [len(names) for names in points.names]
    if points.kinds is None:
        return range(0, len(points.cells), widths[0]) if widths and widths[0] else [0] * len(points)
    return array("q", accumulate((widths[kind] for kind in points.kinds), initial=0))


def build(rows: Iterable[RankedRow], *, ranked: bool) -> History:
    """Returns the table of rows with their ranks, in the order they were logged."""
    ordered = sorted(rows, key=lambda row: row[:2])
    return _merged(
        ((rank, (step, time, tuple(names), cells)) for step, time, rank, names, cells in ordered), ranked=ranked
    )


def rows_of(history: History) -> Iterator[RankedRow]:
    """Yields the table as rows again: `build` makes the same table of them."""
    ranks = history.ranks or repeat(0)
    columns = []
    for name, column in history.columns.items():
        rows = iter(range(len(history.steps)) if column.rows is None else column.rows)
        columns.append((name, iter(column.values), rows))
    waiting = [next(rows, -1) for _, _, rows in columns]
    for number, (step, time, rank) in enumerate(zip(history.steps, history.times, ranks, strict=False)):
        names, values = [], []
        for at, (name, cells, rows) in enumerate(columns):
            if waiting[at] == number:
                names.append(name)
                values.append(next(cells))
                waiting[at] = next(rows, -1)
        yield step, time, rank, tuple(names), values


def joined(before: History, after: History) -> History:
    """Returns the table of a run that went on: what it had, and what came then."""
    ranked = before.ranks is not None or after.ranks is not None
    if len(before.steps) and (before.steps[-1], before.times[-1]) < (after.steps[0], after.times[0]):
        return _appended(before, after, ranked=ranked)
    return build(chain(rows_of(before), rows_of(after)), ranked=ranked)


def _appended(before: History, after: History, *, ranked: bool) -> History:
    """Returns one table below the other."""
    first, second = len(before.steps), len(after.steps)
    columns = {}
    for name in {**before.columns, **after.columns}:
        upper, lower = before.columns.get(name), after.columns.get(name)
        values = (upper.values if upper else array("d")) + (lower.values if lower else array("d"))
        if len(values) == first + second:
            columns[name] = Column(values)
            continue
        rows = array("q")
        if upper:
            rows += upper.rows if upper.rows is not None else array("q", range(first))
        if lower:
            rows.extend(map(first.__add__, lower.rows if lower.rows is not None else range(second)))
        columns[name] = Column(values, rows)
    return History(
        steps=before.steps + after.steps,
        times=before.times + after.times,
        ranks=_ranks(before) + _ranks(after) if ranked else None,
        columns=columns,
    )


def _ranks(history: History) -> array[int]:
    return history.ranks if history.ranks is not None else array("q", bytes(8 * len(history.steps)))
