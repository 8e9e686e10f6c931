"""Fewer points of a curve: whatever is drawn of them shows what all of them would."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gittrack import downsample

finite = st.floats(-1e6, 1e6)
values = st.lists(finite | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0]), max_size=200)
points = st.integers(5, 60)


def kept(ys: Sequence[float], count: int) -> list[int]:
    return list(downsample.keep(array("q", range(len(ys))), array("d", ys), points=count))


@given(values, points)
def test_there_are_never_more_points_than_asked_for_and_the_ends_are_among_them(ys: list[float], count: int) -> None:
    found = kept(ys, count)
    assert len(found) <= count
    assert found == sorted(set(found))
    assert not ys or (found[0], found[-1]) == (0, len(ys) - 1)


@given(values, points)
@example([1.0] * 50 + [math.nan] + [2.0] * 50, 10)
@example([math.nan] * 50, 10)
@example([math.inf, -math.inf] * 50, 10)
def test_no_extreme_and_no_gap_is_lost(ys: list[float], count: int) -> None:
    shown = [ys[place] for place in kept(ys, count)]
    numbers = [y for y in ys if y == y]
    if numbers:
        left = [y for y in shown if y == y]
        assert (min(left), max(left)) == (min(numbers), max(numbers))
    assert any(map(math.isnan, shown)) == any(map(math.isnan, ys))


@given(st.lists(finite, min_size=61, max_size=300), st.integers(5, 60))
def test_each_bucket_keeps_its_least_and_its_greatest(ys: list[float], count: int) -> None:
    found = kept(ys, count)
    number = max((count - 2) // 2, 1)
    for bucket in range(number):
        inside = [x for x in range(len(ys)) if bucket <= x * number / (len(ys) - 1) < bucket + 1]
        if bucket == number - 1:
            inside.append(len(ys) - 1)
        chosen = [ys[x] for x in inside if x in found]
        assert (min(chosen), max(chosen)) == (min(ys[x] for x in inside), max(ys[x] for x in inside))


def test_buckets_have_equal_width_not_an_equal_number_of_points() -> None:
    # 1,000 points in the first tenth of the range, 10 in the rest: those 10 do not vanish.
    xs = array("q", [*range(1000), *range(1000, 10_000, 1000), 10_000])
    found = [xs[place] for place in downsample.keep(xs, array("d", map(float, xs)), points=40)]
    assert set(range(1000, 10_001, 1000)) <= set(found)
    assert sum(x < 1000 for x in found) < 8


def test_a_curve_with_few_points_is_kept_whole() -> None:
    assert kept([3.0, 1.0, 2.0, math.nan, 5.0], 5) == [0, 1, 2, 3, 4]
    assert kept([], 5) == []


def test_of_equal_extremes_the_first_is_kept() -> None:
    assert kept([0.0, 5.0, 1.0, 5.0, -1.0, 2.0, -1.0, 0.0], 5) == [0, 1, 4, 7]


def test_steps_beyond_what_a_double_can_tell_apart_are_told_apart() -> None:
    first = 2**63 - 201
    xs = array("q", range(first, first + 200))
    ys = array("d", [1.0 if x % 2 else 0.0 for x in range(200)])
    assert list(downsample.keep(xs, ys, points=20)) == list(
        downsample.keep(array("q", range(200)), ys, points=20),
    )


def test_the_whole_range_of_steps_and_of_doubles_makes_buckets() -> None:
    steps = array("q", [-(2**63), *range(100), 2**63 - 1])
    assert len(downsample.keep(steps, array("d", range(102)), points=20)) >= 4
    wide = array("d", [-1.7e308, *range(100), 1.7e308])
    assert len(downsample.keep(wide, array("d", range(102)), points=20)) >= 4


@given(st.lists(st.integers(-50, 50), min_size=100, max_size=200), points)
def test_an_x_that_goes_back_loses_no_extreme(xs: list[int], count: int) -> None:
    ys = [float(x * x % 37) for x in xs]
    shown = [ys[place] for place in downsample.keep(array("q", xs), array("d", ys), points=count)]
    assert (min(shown), max(shown)) == (min(ys), max(ys))


@given(values, points, st.booleans())
def test_numpy_keeps_the_same_points(ys: list[float], count: int, floating: bool) -> None:
    numpy = pytest.importorskip("numpy")
    xs = array("d", [x / 3 for x in range(len(ys))]) if floating else array("q", range(len(ys)))
    given = array("d", ys)
    assert downsample.keep(xs, given, points=count, numpy=numpy) == downsample.keep(xs, given, points=count)
