"""Curves, and what is done to them before they are drawn: smoothing, thinning, mean and band.

All of it works on the full history of a run, a million points at times, so each function goes over its values once."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import compress
from operator import le
from typing import Literal, NamedTuple

from gittrack import downsample
from gittrack.model import Column, History

BandKind = Literal["std", "minmax"]


class Curve(NamedTuple):
    """Points of one line in the order of `xs`; NaN in `ys` is a gap.

    low, high: the edges of a band around it; None if it has none. runs: how many runs it is made of."""

    label: str
    xs: Sequence[float]
    ys: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    runs: int = 1

    @property
    def last(self) -> float:
        """The last value that is no gap; NaN if there is none."""
        return next((value for value in reversed(self.ys) if value == value), math.nan)


def curve_of(history: History, metric: str, *, x: str = "step", began: float | None = None, label: str = "") -> Curve:
    """Returns the curve of a metric over `step`, over `time` or over another metric; raises KeyError without either.

    time: seconds since `began` (Unix seconds), or since the first point if that was earlier. Over another metric, a
    point stands at the value that metric had last at that step, and is left out if it had none there."""
    column = history.columns[metric]
    ys = column.values
    if x == "step":
        xs: Sequence[float] = _of_rows(history.steps, column)
    elif x == "time":
        first = min(history.times, default=0)
        start = first if began is None else min(first, round(began * 1000))
        xs = [(time - start) / 1000 for time in _of_rows(history.times, column)]
    else:
        other = history.columns[x]
        at = dict(zip(_of_rows(history.steps, other), other.values, strict=True))
        places = [at.get(step, math.nan) for step in _of_rows(history.steps, column)]
        there = [math.isfinite(place) for place in places]
        xs, ys = list(compress(places, there)), array("d", compress(ys, there))
    if not all(map(le, xs, xs[1:])):
        order = sorted(range(len(xs)), key=xs.__getitem__)
        xs, ys = [xs[at] for at in order], array("d", [ys[at] for at in order])
    return Curve(label, xs, ys)


def _of_rows(values: Sequence[int], column: Column) -> Sequence[int]:
    return values if column.rows is None else [values[row] for row in column.rows]


def smooth(values: Sequence[float], weight: float) -> Sequence[float]:
    """Returns the exponential moving average of values, with its bias to zero taken out.

    s[n] = weight * s[n-1] + (1 - weight) * y[n], s[0] = 0, and what is drawn is s[n] / (1 - weight**n), n counting from
    one: the formula behind the smoothing slider of TensorBoard's scalars (`vz_line_chart2`, `resmoothDataset`) and of
    W&B's "exponential moving average"; the correction is that of Kingma and Ba, "Adam", ICLR 2015, section 3. W&B's
    time weighted average, which depends on the width of the chart, it is not. What is not finite stays as it is and
    leaves no trace in the average. 0 <= weight < 1; 0 changes nothing."""
    if weight == 0:
        return values
    total, left = 0.0, 1.0
    smoothed = []
    for value in values:
        if math.isfinite(value):
            total = total * weight + (1 - weight) * value
            left *= weight
            smoothed.append(total / (1 - left))
        else:
            smoothed.append(value)
    return smoothed


def smoothed(curve: Curve, weight: float) -> Curve:
    """Returns a curve with its values smoothed."""
    return curve._replace(ys=smooth(curve.ys, weight)) if weight else curve


def drawable(curve: Curve, *, log_x: bool, log_y: bool) -> tuple[Curve, int, int]:
    """Returns a curve with gaps where nothing can be drawn, and how many values are not finite, and not above zero.

    On a logarithmic axis there is no place for zero and below."""
    xs, ys = curve.xs, curve.ys
    infinite = 0
    if not math.isfinite(sum(ys)):
        infinite = sum(1 for value in ys if not math.isfinite(value))
        ys = [value if math.isfinite(value) else math.nan for value in ys]
    below = 0
    if log_y and any(value <= 0 for value in ys):
        below += sum(1 for value in ys if value <= 0)
        ys = [value if value > 0 else math.nan for value in ys]
    low, high = curve.low, curve.high
    if log_x and xs and xs[0] <= 0:
        first = bisect_right(xs, 0)
        below += first
        xs, ys = xs[first:], ys[first:]
        low, high = low and low[first:], high and high[first:]
    return curve._replace(xs=xs, ys=ys, low=low, high=high), infinite, below


def thin(curve: Curve, points: int, *, log_x: bool = False) -> Curve:
    """Returns a curve of at most `points` points that keeps the extremes; one with a band is left as it is.

    The method is that of `downsample.keep`, in buckets of equal width as they are drawn."""
    if len(curve.ys) <= points or curve.low is not None:
        return curve
    xs: Sequence[float] = [math.log(value) for value in curve.xs] if log_x else curve.xs
    kept = downsample.keep(xs, curve.ys, points=max(4, points))
    return curve._replace(xs=[curve.xs[at] for at in kept], ys=[curve.ys[at] for at in kept])


def band(
    curves: Sequence[Curve], label: str, *, kind: BandKind, points: int, log_x: bool = False, log_y: bool = False
) -> Curve:
    """Returns the mean of curves at each x, with the standard deviation (n - 1) or the least and greatest as its band.

    Where all curves have the same few xs (seeds of one setting do), those are taken; otherwise `points` xs at equal
    distances, with each curve interpolated linearly between its points. A curve counts where it has values: not before
    its first point, behind its last, or in a gap. The band of one curve alone has no width. log_y: where the deviation
    would reach below 0, which no logarithmic axis shows, the band ends at the least value."""
    grid = _grid(curves, points, log_x=log_x)
    sums: list[list[float]] = [[] for _ in grid]
    for curve in curves:
        for at, value in enumerate(_interpolated(curve, grid)):
            if value == value:
                sums[at].append(value)
    kept = [(x, values) for x, values in zip(grid, sums, strict=True) if values]
    means, low, high = [], [], []
    for _, values in kept:
        mean = math.fsum(value / len(values) for value in values)
        least, greatest = min(values), max(values)
        if kind == "std":
            spread = 0.0
            if len(values) > 1:
                spread = math.hypot(*(value - mean for value in values)) / math.sqrt(len(values) - 1)
            floor = least if log_y and mean - spread <= 0 else mean - spread
            least, greatest = floor, mean + spread
        means.append(mean)
        low.append(least)
        high.append(greatest)
    return Curve(label, [x for x, _ in kept], means, low, high, runs=len(curves))


def _grid(curves: Sequence[Curve], points: int, *, log_x: bool) -> list[float]:
    xs = sorted({x for curve in curves for x in curve.xs}) if sum(len(curve.xs) for curve in curves) < 10**6 else []
    if 0 < len(xs) <= points and all(len(curve.xs) == len(xs) for curve in curves):
        return xs
    low = min((curve.xs[0] for curve in curves if curve.xs), default=0.0)
    high = max((curve.xs[-1] for curve in curves if curve.xs), default=0.0)
    if low == high:
        return [low] if any(curve.xs for curve in curves) else []
    places = [at / (points - 1) for at in range(points)]
    if log_x:
        between = [math.exp(math.log(low) * (1 - place) + math.log(high) * place) for place in places[1:-1]]
        return [low, *between, high]
    return [low * (1 - place) + high * place for place in places]


def _interpolated(curve: Curve, grid: Sequence[float]) -> Iterable[float]:
    """Yields the value of a curve at each x of the grid; NaN where it has none."""
    xs, ys = curve.xs, curve.ys
    for x in grid:
        at = bisect_right(xs, x) - 1
        if at < 0 or x > xs[-1]:
            yield math.nan
        elif xs[at] == x or at + 1 == len(xs):
            yield ys[at]
        else:
            part = (x - xs[at]) / (xs[at + 1] - xs[at])
            yield ys[at] * (1 - part) + ys[at + 1] * part
