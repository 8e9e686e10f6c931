"""How sure a mean of a few runs is: Student's t distribution.

The usual case is three to ten seeds, where the normal distribution would promise two to six times too much. The
standard library has no quantile of t, and this is the one number of it that we need."""

from __future__ import annotations

import math
from functools import cache

LEVEL = 0.95
_Z = 1.959963984540054  # the same quantile of the normal distribution
_EXACT = 100  # degrees of freedom up to which the sum is made; beyond, the expansion is right to ten digits


@cache
def quantile(freedom: int) -> float:
    """Returns the t that 95 % of a distribution with `freedom` (1 or more) degrees of freedom lie within.

    To twelve digits up to 100 degrees, by bisection of the finite sums for the distribution function, and to ten
    above, by the expansion around the normal quantile (Abramowitz and Stegun, Handbook of Mathematical Functions,
    1964, equations 26.7.3, 26.7.4 and 26.7.5)."""
    if freedom > _EXACT:
        return _expanded(freedom)
    low, high = 0.0, 16.0
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < LEVEL else (low, middle)
    return (low + high) / 2


def _within(t: float, freedom: int) -> float:
    """Returns the probability of a value between -t and t."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    term, total = (1.0, 1.0) if freedom % 2 == 0 else (cosine, cosine)
    for at in range(2 + freedom % 2, freedom - 1, 2):
        term *= cosine * cosine * (at - 1) / at
        total += term
    if freedom % 2 == 0:
        return sine * total
    return 2 / math.pi * (angle + (sine * total if freedom > 1 else 0.0))


def _expanded(freedom: int) -> float:
    z, n = _Z, float(freedom)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + first / n + second / n**2 + third / n**3 + fourth / n**4
