"""Lengths and heights made of blocks: bars beside numbers, and a curve in one line."""

from __future__ import annotations

import math
from collections.abc import Sequence

_WIDE = " ▏▎▍▌▋▊▉█"
_HIGH = "▁▂▃▄▅▆▇█"
_HIGH_ASCII = "_.-~=*#@"


def bar(share: float, width: int, *, blocks: bool = True) -> str:
    """Returns a bar of `share` (0 to 1) of `width` characters, to an eighth of one; in ASCII, to one."""
    share = min(max(share, 0.0), 1.0)
    if not blocks:
        return "#" * round(share * width)
    whole, rest = divmod(round(share * width * 8), 8)
    return "█" * whole + (_WIDE[rest] if rest else "")


def spark(values: Sequence[float], width: int, *, blocks: bool = True) -> str:
    """Returns a curve in at most `width` characters of eight heights, from its least to its greatest finite value.

    Each character stands for as many values as the others, and shows the one of them that lies farthest from the
    mean of all, so that a spike is seen; where none of its values is finite, it is a space. A constant is a line at
    half height."""
    finite = values if math.isfinite(sum(values)) else [value for value in values if math.isfinite(value)]
    if not len(finite):
        return ""
    low, high = min(finite), max(finite)
    mean = sum(finite) / len(finite)
    mean = mean if math.isfinite(mean) else low / 2 + high / 2
    count = min(width, len(values))
    heights = _HIGH if blocks else _HIGH_ASCII
    drawn = []
    for at in range(count):
        own = values[at * len(values) // count : (at + 1) * len(values) // count]
        if finite is not values:
            own = [value for value in own if math.isfinite(value)]
        if not own:
            drawn.append(" ")
            continue
        value = max((min(own), max(own)), key=lambda value: abs(value - mean))
        share = (value / 2 - low / 2) / (high / 2 - low / 2) if high / 2 > low / 2 else 0.5
        drawn.append(heights[min(int(share * 8), 7)])
    return "".join(drawn)
