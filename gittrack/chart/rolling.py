"""A curve that grows without end and takes the same room for ever.

Whoever watches a run for a week must not keep a week of points, and must still see the spike of the first day."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

ROOM = 512  # buckets


class Rolling:
    """Values in the order they were logged: the extremes of equally many in each bucket, and of all the last.

    When the buckets are full, each two become one: so a value is looked at about twice, however many there are."""

    __slots__ = ("_highs", "_lows", "_size", "_steps", "_waiting", "_waiting_steps", "count", "last", "step")

    def __init__(self) -> None:
        self.last = math.nan
        self.step = 0
        self.count = 0
        self._size = 1
        self._steps: list[int] = []  # the first of each bucket
        self._lows: list[float] = []
        self._highs: list[float] = []
        self._waiting: array[float] = array("d")
        self._waiting_steps: array[int] = array("q")

    def extend(self, steps: Sequence[int], values: Sequence[float]) -> None:
        """Adds values with their steps."""
        if not len(values):
            return
        self.last, self.step = values[-1], steps[-1]
        self.count += len(values)
        self._waiting.extend(values)
        self._waiting_steps.extend(steps)
        at = 0
        while at + self._size <= len(self._waiting):
            low, high = _extremes(self._waiting[at : at + self._size])
            self._steps.append(self._waiting_steps[at])
            self._lows.append(low)
            self._highs.append(high)
            at += self._size
            if len(self._lows) == ROOM:
                self._halve()
        del self._waiting[:at], self._waiting_steps[:at]

    def _halve(self) -> None:
        self._lows = [_least(pair) for pair in zip(self._lows[::2], self._lows[1::2], strict=True)]
        self._highs = [_greatest(pair) for pair in zip(self._highs[::2], self._highs[1::2], strict=True)]
        self._steps = self._steps[::2]
        self._size *= 2

    def curve(self) -> tuple[list[float], list[float]]:
        """Returns steps and values: of each bucket the least and the greatest, and what is in none yet."""
        steps: list[float] = []
        values: list[float] = []
        lows, highs, firsts = self._lows, self._highs, self._steps
        if len(self._waiting):
            low, high = _extremes(self._waiting)
            lows, highs, firsts = [*lows, low], [*highs, high], [*firsts, self._waiting_steps[0]]
        for step, low, high in zip(firsts, lows, highs, strict=True):
            steps.append(step)
            values.append(low)
            if high != low:
                steps.append(step)
                values.append(high)
        return steps, values


def _extremes(values: Sequence[float]) -> tuple[float, float]:
    if sum(values) != sum(values):
        values = [value for value in values if value == value] or [math.nan]
    return min(values), max(values)


def _least(pair: tuple[float, float]) -> float:
    return pair[0] if pair[0] <= pair[1] or pair[1] != pair[1] else pair[1]


def _greatest(pair: tuple[float, float]) -> float:
    return pair[0] if pair[0] >= pair[1] or pair[1] != pair[1] else pair[1]
