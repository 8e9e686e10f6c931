"""Groups of runs and their aggregates: over runs as values."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack import columns, grouping, student
from gittrack.errors import UsageError
from gittrack.grouping import Group, Measure
from gittrack.model import Goal, Metric, Run
from gittrack.refname import RunId


def made(lr: Any, acc: float | None = None, goal: Goal | None = "max", **facts: Any) -> Run:
    metrics = {} if acc is None else {"acc": Metric(acc - 1, 0, acc - 2, 0, acc, 0, acc, 1, goal)}
    params = {} if lr is None else {"lr": lr}
    return Run(RunId("r0123456789ab"), "n", "finished", "c", params=params, metrics=metrics, **facts)


def gathered(runs: Sequence[Run], by: Sequence[str] = ("params.lr",)) -> list[Group]:
    return grouping.gather(runs, by, measures(runs))


def measures(runs: Sequence[Run]) -> list[Measure]:
    return grouping.measures_of(runs, [column for column in columns.chosen(runs) if column.metric])


def test_runs_of_one_value_are_a_group_and_those_without_come_last() -> None:
    runs = [made(None, 5.0), made(0.1, 1.0), made(0.01, 3.0), made(0.1, 2.0), made("x"), made(0.1)]

    found = gathered(runs)

    assert [group.key for group in found] == [(0.01,), (0.1,), ("x",), (None,)]
    assert [len(group.runs) for group in found] == [1, 3, 1, 1]
    assert [group.values for group in found] == [((3.0,),), ((1.0, 2.0),), ((),), ((5.0,),)]


@pytest.mark.parametrize(
    ("values", "groups"),
    [
        ([1, 1.0], 1),
        ([1, True], 2),
        ([0, False, -0.0], 2),
        ([math.nan, math.nan], 1),
        (["1", 1], 2),
        ([[1], [1], [2]], 2),
        ([10**20, 10**20 + 1], 2),
        ([10**400, math.inf], 2),
        ([None, None, 0], 2),
        (["", None], 2),
    ],
)
def test_values_are_one_group_where_a_person_would_call_them_equal(values: list[Any], groups: int) -> None:
    assert len(gathered([made(value) for value in values])) == groups


def test_groups_are_made_by_several_fields_and_by_any_field() -> None:
    runs = [made(1, group="a", tags=("x",)), made(1, group="b"), made(2, group="a", tags=("x",)), made(1, group="a")]

    assert [group.key for group in gathered(runs, ("params.lr", "group"))] == [(1, "a"), (1, "b"), (2, "a")]
    assert [group.key for group in gathered(runs, ("tags",))] == [("x",), (None,)]
    with pytest.raises(UsageError):
        gathered(runs, ("nonsense",))


def test_a_measure_is_named_by_the_statistic_that_stands_for_the_metric() -> None:
    assert [measure.name for measure in measures([made(1, 1.0)])] == ["metrics.acc.max"]
    assert [measure.name for measure in measures([made(1, 1.0, goal=None)])] == ["metrics.acc.last"]
    named = grouping.measures_of([made(1, 1.0)], columns.named("metrics.acc.min,params.lr", [made(1, 1.0)]))
    assert [measure.name for measure in named] == ["metrics.acc.min", "params.lr"]
    with pytest.raises(UsageError, match="'name' is no number"):
        grouping.measures_of([made(1)], columns.named("name", []))


# Aggregates -----------------------------------------------------------------------------------------------------------


def test_one_value_has_a_mean_and_no_spread() -> None:
    assert grouping.mean([2.0]) == grouping.median([2.0]) == 2
    assert grouping.std([2.0]) is None
    assert grouping.ci([2.0]) is None
    assert {name: function([]) for name, function in grouping.AGGREGATES.items() if name != "count"} == dict.fromkeys(
        ("mean", "std", "ci", "min", "max", "median")
    )


def test_the_spread_is_that_of_a_sample() -> None:
    values = [0.90, 0.92, 0.97]

    assert grouping.std(values) == pytest.approx(0.036055512754639896)
    assert grouping.ci(values) == pytest.approx(4.302652729749464 * 0.036055512754639896 / math.sqrt(3))
    assert grouping.std([5.0, 5.0]) == 0, "two equal values do have a spread, and it is 0"


FINITE = st.floats(-1e150, 1e150)


@given(st.lists(FINITE, min_size=2, max_size=20))
def test_aggregates_agree_with_the_standard_library(values: list[float]) -> None:
    scale = max(map(abs, values))
    assert grouping.mean(values) == pytest.approx(statistics.fmean(values), rel=1e-12, abs=1e-300)
    assert grouping.std(values) == pytest.approx(statistics.stdev(values), rel=1e-6, abs=1e-12 * scale)
    assert grouping.median(values) == pytest.approx(statistics.median(values), rel=1e-12, abs=1e-300)
    assert (grouping.low(values), grouping.high(values)) == (min(values), max(values))


@given(st.lists(st.floats(), max_size=6), st.sampled_from(sorted(grouping.AGGREGATES)))
def test_no_value_breaks_an_aggregate_and_nan_is_never_hidden(values: list[float], name: str) -> None:
    found = grouping.AGGREGATES[name](values)

    if name != "count" and any(math.isnan(value) for value in values):
        assert found is None or math.isnan(found)
        assert found is not None or len(values) < 2


@pytest.mark.parametrize(
    ("freedom", "t"),  # from the table of every textbook
    [
        *((1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (10, 2.228), (30, 2.042)),
        *((60, 2.000), (100, 1.984), (101, 1.984), (120, 1.980), (1000, 1.962), (10**6, 1.960)),
    ],
)
def test_t_is_the_number_of_the_tables(freedom: int, t: float) -> None:
    assert round(student.quantile(freedom), 3) == t


def test_the_sum_and_the_expansion_meet() -> None:
    assert student.quantile(100) > student.quantile(101) > student.quantile(102)
    assert student._expanded(100) == pytest.approx(student.quantile(100), rel=1e-10)


@pytest.mark.parametrize("text", ["variance", "", "mean,variance", ","])
def test_an_aggregate_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no aggregate"):
        grouping.aggregates(text)
    assert grouping.aggregates("Mean, std,mean") == ["mean", "std"]


# Sorting --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sort", "keys"),
    [
        ("", [1, 2, 3, None]),
        ("-params.lr", [3, 2, 1, None]),
        ("metrics.acc", [3, 1, 2, None]),
        ("-metrics.acc", [2, 1, 3, None]),
        ("-metrics.acc.best", [2, 1, 3, None]),
        ("metrics.acc.max", [3, 1, 2, None]),
        ("std(metrics.acc)", [2, 1, 3, None]),
        ("-max(metrics.acc)", [1, 2, 3, None]),
        ("-count", [1, 2, 3, None]),
        ("-count,-params.lr", [2, 1, 3, None]),
    ],
)
def test_groups_are_sorted_by_what_they_show_and_missing_values_come_last(sort: str, keys: list[Any]) -> None:
    runs = [made(1, 1.0), made(1, 9.0), made(2, 6.0), made(2, 7.0), made(3, 2.0), made(None)]

    found = grouping.arranged(gathered(runs), ["params.lr"], measures(runs), sort=sort, agg=["mean", "std"])

    assert [group.key[0] for group in found] == keys


@pytest.mark.parametrize("sort", ["name", "params.other", "variance(metrics.acc)", "std(metrics.loss)"])
def test_groups_cannot_be_sorted_by_what_they_have_not(sort: str) -> None:
    runs = [made(1, 1.0)]

    with pytest.raises(UsageError, match="groups cannot be sorted by"):
        grouping.arranged(gathered(runs), ["params.lr"], measures(runs), sort=sort, agg=["mean"])
