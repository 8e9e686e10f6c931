"""A curve with fewer points that looks the same, and hides no spike.

A screen has some 2,000 columns of pixels and a run a million points. What a person must not miss is the extremes, so
averages will not do, nor every n-th point."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import compress, count
from operator import ne
from typing import Any


def keep(xs: Sequence[float], ys: Sequence[float], *, points: int, numpy: Any = None) -> array[int]:
    """Returns the places of at most `points` points that stand for all of a curve, in their order.

    The range of `xs` is cut into buckets of equal width; of each bucket the first point with the least and the first
    with the greatest value are kept, and the first point that is no number (NaN), so that a gap stays a gap. The first
    and the last point of all are kept. A curve of at most `points` points is kept whole; `points` is at least 5.

    The method is MinMax aggregation as Jugel et al. describe and measure it beside M4 ("M4: A Visualization-Oriented
    Time Series Data Aggregation", PVLDB 7(10), 2014). M4 keeps the first and the last point of every bucket too: exact
    to the pixel, for twice the points. Largest-Triangle-Three-Buckets (Steinarsson, "Downsampling Time Series for
    Visual Representation", 2013) keeps one point a bucket, and so can lose a minimum beside a maximum.

    xs: integers or finite floats that do not decrease (where they do, buckets are uneven, and no extreme is lost).
    numpy: the module, if it is to be used for arrays of doubles; the answer is the same."""
    if len(ys) <= points:
        return array("q", range(len(ys)))
    table = numpy.asarray(ys, dtype=numpy.float64) if numpy else None
    room = points - 2
    gaps = bool(numpy.isnan(table).any()) if numpy else _has_gaps(ys)
    kept = {0, len(ys) - 1}
    for start, end in _buckets(xs, room // 3 if gaps else room // 2):
        kept.update(_extremes(ys, start, end) if table is None else _extremes_of(table, ys, start, end))
    return array("q", sorted(kept))


def _has_gaps(ys: Sequence[float]) -> bool:
    total = sum(ys)
    return total != total and any(map(ne, ys, ys))  # the sum of infinities of both signs is none either


def _buckets(xs: Sequence[float], number: int) -> Iterator[tuple[int, int]]:
    """Yields where each bucket that has points begins and ends."""
    number = max(number, 1)
    first, last = xs[0], xs[-1]
    start = 0
    for bucket in range(1, number + 1):
        if bucket == number:
            end = len(xs)
        elif isinstance(first, int) and isinstance(last, int):  # exact beyond 2^53 too, rounded up
            end = bisect_left(xs, first - (first - last) * bucket // number, start)
        else:
            part = bucket / number
            end = bisect_left(xs, first * (1 - part) + last * part, start)  # whose span may be more than a double holds
        if end > start:
            yield start, end
        start = end


def _extremes(ys: Sequence[float], start: int, end: int) -> Iterator[int]:
    """Yields the places of least, greatest and NaN among the values from `start` to before `end`."""
    values = list(ys[start:end])
    total = sum(values)
    if total != total:
        gap = next(compress(count(start), map(ne, values, values)), None)
        if gap is not None:
            yield gap
            numbers = [value for value in values if value == value]
            if not numbers:
                return
            yield start + values.index(min(numbers))
            yield start + values.index(max(numbers))
            return
    yield start + values.index(min(values))
    yield start + values.index(max(values))


def _extremes_of(table: Any, ys: Sequence[float], start: int, end: int) -> Iterator[int]:
    """Yields the same, by numpy."""
    values = table[start:end]
    low = int(values.argmin())
    if values[low] != values[low]:  # NaN is the least to numpy
        yield from _extremes(ys, start, end)
        return
    yield start + low
    yield start + int(values.argmax())
