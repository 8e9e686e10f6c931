"""Axes: where values stand on them, and what is written beside them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.chart.scale import scale_of, span, ticks

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)
POSITIVE = st.floats(min_value=1e-300, max_value=1e300)


def labels(low: float, high: float, count: int, *, log: bool = False, time: bool = False) -> list[str]:
    scale = scale_of(low, high, log=log, kind="span" if time else "number")
    return [label for _, label in ticks(scale, count)]


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (0, 2000, 5, ["0", "500", "1000", "1500", "2000"]),
        (0, 1, 5, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-1, 1, 4, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        (0.913, 0.927, 4, ["0.915", "0.920", "0.925"]),
        (0, 1_200_000, 4, ["0", "0.5M", "1.0M"]),
        (0, 60_000, 3, ["0", "20k", "40k", "60k"]),
        (1e-7, 5e-7, 4, ["1e-7", "2e-7", "3e-7", "4e-7", "5e-7"]),
        (3.0, 3.0, 4, ["2.8", "3.0", "3.2"]),
        (0.0, 0.0, 4, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, count: int, expected: list[str]) -> None:
    assert labels(low, high, count) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.001, 100, ["0.001", "0.01", "0.1", "1", "10", "100"]),
        (0.03, 2, ["0.05", "0.1", "0.2", "0.5", "1", "2"]),
        (1e-12, 1e12, ["1e-10", "1e-5", "1", "100k", "10G"]),
        (1.1, 1.6, ["1.1", "1.2", "1.3", "1.4", "1.5", "1.6"]),
        (5.0, 5.0, ["5", "10"]),
    ],
)
def test_ticks_of_a_logarithmic_axis_are_powers_of_ten_where_it_has_them(
    low: float, high: float, expected: list[str]
) -> None:
    assert labels(low, high, 6, log=True) == expected


@pytest.mark.parametrize(
    ("high", "expected"),
    [
        (0.8, ["0", "0.2s", "0.4s", "0.6s", "0.8s"]),
        (50, ["0", "15s", "30s", "45s"]),
        (3000, ["0", "15m", "30m", "45m"]),
        (20000, ["0", "2h", "4h"]),
        (500_000, ["0", "2d", "4d"]),
    ],
)
def test_ticks_of_time_are_those_of_a_clock(high: float, expected: list[str]) -> None:
    assert labels(0, high, 4, time=True) == expected


def test_a_span_has_two_units_at_most() -> None:
    assert [span(seconds) for seconds in (0, 1.5, 90, 5400, 86400 * 2 + 3600 * 6 + 59, -60)] == [
        *("0", "1.5s", "1m 30s", "1h 30m", "2d 6h", "-1m")
    ]


@given(low=FINITE, high=FINITE, count=st.integers(1, 12))
def test_ticks_rise_within_the_axis_and_no_two_look_alike(low: float, high: float, count: int) -> None:
    low, high = min(low, high), max(low, high)
    scale = scale_of(low, high)

    found = ticks(scale, count)

    values = [value for value, _ in found]
    slack = (scale.high / 2 - scale.low / 2) * 1e-6
    assert values == sorted(set(values))
    assert all(scale.low - slack <= value <= scale.high + slack for value in values)
    assert len({label for _, label in found}) == len(found)
    assert len(found) <= 3 * count + 3


@given(low=POSITIVE, high=POSITIVE, count=st.integers(1, 12))
def test_so_do_those_of_a_logarithmic_axis(low: float, high: float, count: int) -> None:
    low, high = min(low, high), max(low, high)
    scale = scale_of(low, high, log=True)

    found = ticks(scale, count)

    values = [value for value, _ in found]
    assert values == sorted(set(values))
    assert all(scale.low * 0.999 <= value <= scale.high * 1.001 for value in values)
    assert len({label for _, label in found}) == len(found)
    assert len(found) <= 3 * count + 3


@given(low=FINITE, high=FINITE, value=FINITE)
def test_what_is_between_the_ends_of_an_axis_stands_between_them(low: float, high: float, value: float) -> None:
    low, value, high = sorted((low, value, high))
    scale = scale_of(low, high)

    assert scale.place(scale.low) == 0
    assert scale.place(scale.high) == 1
    assert 0 <= scale.place(value) <= 1


def test_half_of_a_logarithmic_axis_is_the_geometric_mean() -> None:
    scale = scale_of(1, 100, log=True)

    assert scale.place(10) == pytest.approx(0.5)
    assert math.isclose(scale_of(2, 2, log=True).place(2), 0.5)
