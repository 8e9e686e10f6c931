"""A curve that grows without end."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from gittrack.chart.rolling import ROOM, Rolling


@given(st.lists(st.lists(st.floats(allow_nan=False, width=32), max_size=300), max_size=12))
def test_it_has_the_last_value_and_the_extremes_however_they_came(batches: list[list[float]]) -> None:
    series, count = Rolling(), 0
    for batch in batches:
        series.extend(range(count, count + len(batch)), batch)
        count += len(batch)
    whole = [value for batch in batches for value in batch]

    steps, values = series.curve()

    assert series.count == len(whole)
    assert len(values) <= 2 * ROOM
    assert steps == sorted(steps)
    if whole:
        assert (series.last, series.step) == (whole[-1], len(whole) - 1)
        assert (min(values), max(values)) == (min(whole), max(whole))


def test_few_values_are_kept_as_they_are() -> None:
    series = Rolling()
    series.extend([3, 5, 9], [1.0, math.nan, 2.0])

    steps, values = series.curve()
    assert steps[0] == 3
    assert steps[-1] == 9
    assert [value for value in values if value == value] == [1, 2]


def test_a_spike_of_the_first_day_is_seen_on_the_last_where_it_was() -> None:
    series, draw = Rolling(), random.Random(1)
    for batch in range(1000):
        values = [draw.random() for _ in range(1000)]
        if batch == 100:
            values[7] = 50
        series.extend(range(batch * 1000, batch * 1000 + 1000), values)

    steps, values = series.curve()
    assert len(values) <= 2 * ROOM
    assert 95_000 < steps[values.index(50)] <= 100_007


def test_nan_hides_no_number_beside_it() -> None:
    series = Rolling()
    for at in range(5000):
        series.extend([at], [math.nan if at % 3 else 1.0])

    assert {value for value in series.curve()[1] if value == value} == {1.0}
