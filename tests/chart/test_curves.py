"""What is done to curves before they are drawn."""

from __future__ import annotations

import math
import statistics
from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.chart.curves import Curve, band, curve_of, drawable, smooth, thin
from gittrack.model import Column, History

NAN, INF = math.nan, math.inf


def history(steps: Sequence[int], **columns: tuple[Sequence[float], Sequence[int] | None]) -> History:
    """Returns a table with a row a step, a tenth of a second apart, from Unix time 1000."""
    return History(
        steps=array("q", steps),
        times=array("q", [1_000_000 + 100 * at for at in range(len(steps))]),
        columns={
            name: Column(array("d", values), None if rows is None else array("q", rows))
            for name, (values, rows) in columns.items()
        },
    )


def test_a_metric_stands_over_its_steps_and_its_seconds() -> None:
    points = history([0, 5, 9], loss=([3, 2, 1], None), acc=([0.5], [2]))

    assert list(curve_of(points, "loss").xs) == [0, 5, 9]
    assert list(curve_of(points, "acc").xs) == [9]
    assert list(curve_of(points, "loss", x="time").xs) == [0, 0.1, 0.2]
    assert list(curve_of(points, "acc", x="time", began=990).xs) == [10.2]
    assert list(curve_of(points, "acc", x="time", began=2000).xs) == [0.2], "a clock that was set back"


def test_over_another_metric_a_point_stands_where_that_was_at_its_step() -> None:
    points = history([0, 1, 1, 2, 3], loss=([9, 8, 7, 6], [0, 1, 3, 4]), epoch=([0, 2, 1, NAN], [0, 2, 3, 4]))

    curve = curve_of(points, "loss", x="epoch")

    assert (list(curve.xs), list(curve.ys)) == ([0, 1, 2], [9, 7, 8])


def test_a_metric_that_is_not_there_is_a_key_error() -> None:
    for metric, x in (("nope", "step"), ("loss", "nope")):
        with pytest.raises(KeyError):
            curve_of(history([0], loss=([1], None)), metric, x=x)


def test_smoothing_is_the_weighted_mean_of_all_that_came_before() -> None:
    values, weight = [4.0, 0.0, 2.0, 8.0], 0.6

    for at, found in enumerate(smooth(values, weight)):
        weights = [weight ** (at - back) for back in range(at + 1)]
        assert found == pytest.approx(sum(map(float.__mul__, weights, values)) / sum(weights))


def test_smoothing_begins_at_the_first_value_and_leaves_a_constant_alone() -> None:
    assert smooth([7.0], 0.99)[0] == pytest.approx(7)
    assert smooth([3.0] * 5, 0.9) == pytest.approx([3.0] * 5)
    assert smooth([1.0, 5.0], 0) == [1.0, 5.0]


def test_what_is_not_finite_stays_and_leaves_no_trace_in_the_average() -> None:
    found = smooth([1.0, NAN, INF, 2.0], 0.5)

    assert math.isnan(found[1])
    assert found[2] == INF
    assert found[3] == smooth([1.0, 2.0], 0.5)[1]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0, 0.999))
def test_a_smoothed_value_lies_between_the_least_and_the_greatest(values: list[float], weight: float) -> None:
    slack = 1e-6 * max(1.0, *map(abs, values))
    assert all(min(values) - slack <= value <= max(values) + slack for value in smooth(values, weight))


def test_what_has_no_place_becomes_a_gap_and_is_counted() -> None:
    curve = Curve("", [-1, 0, 1, 2, 3, 4], [5, -1, NAN, INF, 0, 2.0])

    plain, infinite, below = drawable(curve, log_x=False, log_y=False)
    assert (infinite, below) == (2, 0)
    assert list(plain.xs) == [-1, 0, 1, 2, 3, 4]
    assert [value for value in plain.ys if value == value] == [5, -1, 0, 2]

    both, infinite, below = drawable(curve, log_x=True, log_y=True)
    assert (infinite, below) == (2, 4)
    assert list(both.xs) == [1, 2, 3, 4]
    assert [value for value in both.ys if value == value] == [2]


def test_a_sum_that_overflows_loses_no_value() -> None:
    curve = Curve("", [0, 1], [1.7e308, 1.7e308])

    assert drawable(curve, log_x=False, log_y=False) == (curve, 0, 0)


def test_a_thinned_curve_keeps_the_spike_also_on_a_logarithmic_axis() -> None:
    values = [0.0] * 100_000
    values[70], values[77_777] = 9.0, -9.0

    for log_x in (False, True):
        found = thin(Curve("", range(1, 100_001), values), 200, log_x=log_x)
        assert len(found.xs) <= 200
        assert {(71, 9.0), (77_778, -9.0)} <= set(zip(found.xs, found.ys, strict=True))


def test_the_band_over_equal_steps_is_mean_and_standard_deviation_at_each() -> None:
    runs = [Curve("", [0, 1, 5], values) for values in ([1, 2, 9], [3, 2, 5], [8, 2, 1])]

    found = band(runs, "all", kind="std", points=100)

    columns = [[run.ys[at] for run in runs] for at in range(3)]
    assert list(found.xs) == [0, 1, 5]
    assert found.ys == pytest.approx([statistics.mean(column) for column in columns])
    spread = [statistics.stdev(column) for column in columns]
    assert found.low == pytest.approx([mean - one for mean, one in zip(found.ys, spread, strict=True)])
    assert found.high == pytest.approx([mean + one for mean, one in zip(found.ys, spread, strict=True)])
    assert found.runs == 3


def test_curves_of_unlike_steps_are_averaged_where_both_have_values() -> None:
    long, short = Curve("", [0, 10], [0, 10]), Curve("", [0, 5], [10, 10])

    found = band([long, short], "", kind="minmax", points=11)

    at = {round(x): y for x, y in zip(found.xs, found.ys, strict=True)}
    assert (at[0], at[4], at[5]) == pytest.approx((5, 7, 7.5))
    assert at[6] == pytest.approx(6), "behind its end, a curve does not count"
    assert found.low is not None
    assert found.high is not None
    assert (found.low[0], found.high[0]) == (0, 10)


def test_a_gap_of_one_curve_does_not_count_in_the_mean() -> None:
    found = band([Curve("", [0, 1, 2], [0, NAN, 0]), Curve("", [0, 1, 2], [4, 4, 4])], "", kind="std", points=9)

    assert list(found.ys) == [2, 4, 2]


def test_a_band_of_one_run_has_no_width_and_one_of_none_no_points() -> None:
    found = band([Curve("", [0, 1], [3, 4])], "", kind="std", points=9)

    assert list(found.low or ()) == list(found.high or ()) == list(found.ys) == [3, 4]
    assert list(band([Curve("", [], [])], "", kind="std", points=9).ys) == []
    assert list(band([Curve("", [2], [1]), Curve("", [2], [3])], "", kind="std", points=9).ys) == [2]


def test_on_a_logarithmic_axis_the_places_of_a_mean_are_spread_by_factors() -> None:
    found = band([Curve("", [1, 100], [0, 0]), Curve("", [1, 7, 100], [1, 1, 1])], "", kind="std", points=3, log_x=True)

    assert found.xs == pytest.approx([1, 10, 100])
