"""Bars and sparks."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from gittrack.chart.bars import bar, spark


def test_a_bar_is_as_long_as_its_share() -> None:
    assert [bar(share, 4) for share in (0, 0.25, 0.3, 0.5, 1, 7, -1)] == ["", "█", "█▎", "██", "████", "████", ""]
    assert bar(0.5, 10, blocks=False) == "#####"


def test_a_spark_goes_from_the_least_to_the_greatest() -> None:
    assert spark([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert spark([7, 0, 7], 20) == "█▁█"
    assert spark([3, 3, 3], 20) == "▅▅▅"
    assert spark([0, 1], 2, blocks=False) == "_@"


def test_a_spark_of_many_values_shows_the_spike() -> None:
    values = [0.0] * 10_000
    values[5_432] = 1
    values[5_433] = 0.1

    assert spark(values, 10) == "▁▁▁▁▁█▁▁▁▁"


def test_what_is_not_finite_is_a_hole() -> None:
    assert spark([0, math.nan, math.inf, 8], 4) == "▁  █"
    assert spark([math.nan], 4) == spark([], 4) == ""


@given(st.lists(st.floats(), max_size=200), st.integers(1, 40))
def test_a_spark_is_never_wider_than_it_may_be(values: list[float], width: int) -> None:
    assert len(spark(values, width)) <= width
    assert spark(values, width, blocks=False).isascii()
