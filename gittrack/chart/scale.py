"""Where a value stands on an axis, and which round numbers are written beside it.

A metric may be constant, span three hundred decades, or differ in its ninth digit only; an axis must say something true
of each of them in the few columns it has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "span"]
Tick = tuple[float, str]

_STEPS_OF_TIME = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high`; `log`: equal factors are equal distances. `low` is less than `high`.

    kind: `span` if values are seconds, to be written as `1h 30m`."""

    low: float
    high: float
    log: bool = False
    kind: Kind = "number"

    def place(self, value: float) -> float:
        """Returns where a value stands, from 0 at `low` to 1 at `high`; what is outside stands at the end."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        value = math.log(value) if self.log else value
        if math.isinf(high - low):
            low, high, value = low / 2, high / 2, value / 2
        return min(max((value - low) / (high - low), 0.0), 1.0)


def scale_of(low: float, high: float, *, log: bool = False, kind: Kind = "number") -> Scale:
    """Returns the axis for values from `low` to `high`; where those are equal, one that has them in its middle.

    With `log` both are above zero; all are finite."""
    if log:
        if low == high or math.log(high) <= math.log(low):
            low, high = max(low / 2, 5e-324), min(high * 2, 1.7e308)
        return Scale(low, high, log=True, kind=kind)
    if low == high:
        room = abs(low) / 10 or 1.0
        low, high = max(low - room, -1.7e308), min(high + room, 1.7e308)
    return Scale(low, high, kind=kind)


def ticks(scale: Scale, count: int) -> list[Tick]:
    """Returns at most about `count` round values within the axis, rising, with their labels.

    Steps are 1, 2 or 5 times a power of ten (P. Heckbert, "Nice numbers for graph labels", Graphics Gems, 1990); those
    of time are what a clock has, and those of a logarithmic axis are powers of ten, where it has two."""
    if count < 1:
        return []
    if scale.kind == "span" and not scale.log:
        return _ticks_of_time(scale, count)
    if scale.log:
        found = _ticks_of_decades(scale, count)
        if len(found) > 1 or scale.high / scale.low >= 10:
            return [(value, _plain(value)) for value in found]
    span = scale.high - scale.low
    if not math.isfinite(span):
        return [(value, _plain(value)) for value in (scale.low, 0.0, scale.high)]
    step = _nice(span / count)
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    if step <= 0 or last - first > 10 * count:  # values that differ in their last digits only
        return [(scale.low, f"{scale.low:.17g}")]
    values = [number * step for number in range(first, last + 1)]
    return _labelled(values, step)


def _nice(step: float) -> float:
    """Returns the least of 1, 2, 5 and 10 times a power of ten that is not below `step`."""
    if step < 1e-300:
        return 1e-300 if step > 0 else 0.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= step * (1 - 1e-9))


def _ticks_of_time(scale: Scale, count: int) -> list[Tick]:
    rough = (scale.high - scale.low) / count
    if rough < 1:
        step = _nice(rough)
    else:
        step = next((step for step in _STEPS_OF_TIME if step >= rough), 0) or 86400 * math.ceil(_nice(rough / 86400))
    first, last = math.ceil(scale.low / step - 1e-9), math.floor(scale.high / step + 1e-9)
    return [(number * step, span(number * step)) for number in range(first, last + 1)]


def span(seconds: float) -> str:
    """Returns seconds as an axis has them: `0`, `0.5s`, `90s` as `1m 30s`, `1h 30m`, `2d 6h`."""
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    if seconds < 60:
        return f"{sign}{seconds:.6g}s" if seconds else "0"
    parts = []
    whole = round(seconds)
    for length, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        amount, whole = divmod(whole, length)
        if amount:
            parts.append(f"{amount}{unit}")
    return sign + " ".join(parts[:2])


def _ticks_of_decades(scale: Scale, count: int) -> list[float]:
    """Returns powers of ten, every n-th where they are many, with their 2 and 5 folds where they are few."""
    first = math.ceil(math.log10(scale.low) - 1e-9)
    last = math.floor(math.log10(scale.high) + 1e-9)
    decades = last - first + 1
    if decades * 3 <= count or decades < 2:
        between = [
            factor * _power(power)
            for power in range(first - 1, last + 1)
            for factor in (1, 2, 5)
            if scale.low * (1 - 1e-9) <= factor * _power(power) <= scale.high * (1 + 1e-9)
        ]
        if len(between) <= count + 1:
            return between
    every = max(1, math.ceil(decades / count))
    return [_power(power) for power in range(first, last + 1) if power % every == 0]


def _power(power: int) -> float:
    return float(f"1e{max(-307, min(308, power))}")


def _labelled(values: list[float], step: float) -> list[Tick]:
    """Returns values with labels that have as many digits as it takes to tell them apart."""
    most = max((abs(value) for value in values), default=0.0)
    if most >= 1e15 or (most < 1e-4 and most > 0):
        digits = max(0, math.floor(math.log10(most)) - math.floor(math.log10(step) + 1e-9))
        return [(value, _short(f"{value:.{digits}e}") if abs(value) > step / 2 else "0") for value in values]
    size, unit = next(((size, unit) for size, unit in _UNITS if most >= size), (1.0, "")) if most >= 1e4 else (1.0, "")
    decimals = max(0, -math.floor(math.log10(step / size) + 1e-9))
    return [
        (value, f"{value / size:.{decimals}f}{unit}" if abs(value) > step / 2 else "0" if unit else f"{0:.{decimals}f}")
        for value in values
    ]


def _plain(value: float) -> str:
    """Returns a round value as short as can be: `0.001`, `20k`, `1e-7`."""
    if value != 0 and not 1e-4 <= abs(value) < 1e15:
        return _short(f"{value:.3g}" if "e" in f"{value:.3g}" else f"{value:.3e}")
    size, unit = next(((size, unit) for size, unit in _UNITS if abs(value) >= size), (1.0, ""))
    return f"{value / size:.6g}{unit}"


def _short(text: str) -> str:
    """Returns `1.0e-07` as `1e-7`."""
    mantissa, _, power = text.partition("e")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(power)}"
