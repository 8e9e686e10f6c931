"""What differs between runs: over runs as values."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack import diff
from gittrack.diff import Change, Row
from gittrack.model import Code, Goal, Metric, Run
from gittrack.refname import Oid, RunId
from tests.strategies import mappings

COMMIT, OTHER, SNAPSHOT = Oid("a" * 40), Oid("b" * 40), Oid("c" * 40)


def metric(last: float, low: float = 0.0, high: float = 9.0, goal: Goal | None = None) -> Metric:
    return Metric(last, 0, low, 0, high, 0, last, 2, goal)


def made(**facts: Any) -> Run:
    return Run(id=RunId("r0123456789ab"), name="n", status="finished", created="c", **facts)


@pytest.mark.parametrize(
    ("each", "rows", "same"),
    [
        ([{"a": 1}, {"a": 1}], [], 1),
        ([{"a": 1, "b": 2}, {"a": 1, "b": 3}], [Row("b", (2, 3))], 1),
        ([{"b": 1}, {"a": 2}], [Row("a", (None, 2)), Row("b", (1, None))], 0),
        ([{"a": 1}, {"a": 1.0}], [Row("a", (1, 1.0))], 0),
        ([{"a": 1}, {"a": True}], [Row("a", (1, True))], 0),
        ([{"a": "1"}, {"a": 1}], [Row("a", ("1", 1))], 0),
        ([{"a": -0.0}, {"a": 0.0}], [Row("a", (-0.0, 0.0))], 0),
        ([{"a": [1, math.nan]}, {"a": [1, math.nan]}], [], 1),
        ([{"a": None}, {"a": None}], [], 1),
        ([{"a": None}, {}], [Row("a", (None, None))], 0),
        ([{"a": 1}, {"a": 1}, {"a": 2}], [Row("a", (1, 1, 2))], 0),
        ([{"a": 1}], [], 1),
        ([{}, {}], [], 0),
        ([{"a": 1}, None, {"a": 2}], [Row("a", (1, None, 2))], 0),
        ([{"a": 1}, None], [], 1),
        ([None, None], [], 0),
    ],
)
def test_a_row_is_a_name_whose_value_is_not_everywhere_the_same(
    each: list[dict[str, Any] | None], rows: list[Row], same: int
) -> None:
    assert diff.rows(each) == (tuple(rows), same)


@given(mappings(), mappings())
def test_every_name_is_listed_or_counted(one: dict[str, Any], two: dict[str, Any]) -> None:
    rows, same = diff.rows([one, two])
    assert len(rows) + same == len({*one, *two})
    assert [row.name for row in rows] == sorted(row.name for row in rows)
    assert diff.rows([one, one]) == ((), len(one))
    assert [row.values for row in diff.rows([two, one])[0]] == [row.values[::-1] for row in rows]


@pytest.mark.parametrize(
    ("metrics", "row"),
    [
        ([metric(1), metric(2)], Row("m", (1, 2))),
        ([metric(1, goal="max"), metric(2, high=5)], Row("m", (9.0, 5), "max", 0)),
        ([metric(1), metric(2, low=-1, goal="min")], Row("m", (0.0, -1), "min", 1)),
        ([metric(1, goal="max"), None], Row("m", (9.0, None), "max")),
        ([None, metric(1, high=math.nan, goal="max"), metric(1, high=3)], Row("m", (None, math.nan, 3), "max")),
        ([metric(1, goal="max"), metric(1), metric(1, high=5)], Row("m", (9.0, 9.0, 5), "max")),
        ([metric(1, goal="max"), metric(1, high=5), metric(1, high=math.inf)], Row("m", (9.0, 5, math.inf), "max", 2)),
        ([metric(1), metric(math.nan)], Row("m", (1, math.nan))),
    ],
)
def test_a_metric_is_compared_by_its_goal_and_the_one_best_is_marked(metrics: list[Metric | None], row: Row) -> None:
    runs = [made(metrics={"same": metric(5), **({"m": one} if one else {})}) for one in metrics]
    rows, same = diff.metric_rows(runs)
    assert repr(rows) == repr((row,))
    assert same == 1


def test_metrics_with_a_goal_come_first() -> None:
    runs = [made(metrics={"a": metric(at), "b": metric(at, at, at, "max"), "c": metric(at)}) for at in (1, 2)]

    assert [row.name for row in diff.metric_rows(runs)[0]] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("row", "worst"),
    [
        (Row("m", (1, 2, 3), "max"), 0),
        (Row("m", (1, 2, 3), "min"), 2),
        (Row("m", (1, 2, 3)), None),
        (Row("m", (1, 2), "max"), None),
        (Row("m", (1, 1, 3), "max"), None),
        (Row("m", (None, 1, 2, 3), "max"), 1),
        (Row("m", (1, math.nan, 3), "max"), 1),
        (Row("m", (math.nan, math.nan, 3), "max"), None),
    ],
)
def test_of_many_the_one_worst_is_known(row: Row, worst: int | None) -> None:
    assert row.worst == worst


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (Row("m", (2, 3), "max"), Change(1, 50, better=True)),
        (Row("m", (2, 3), "min"), Change(1, 50, better=False)),
        (Row("m", (-2.0, -3.0), "max"), Change(-1, -50, better=False)),
        (Row("m", (2, 1)), Change(-1, -50, None)),
        (Row("m", (-1, 1)), Change(2, None, None)),
        (Row("m", (0, 1)), Change(1, None, None)),
        (Row("m", (1, math.inf)), None),
        (Row("m", (1, math.nan), "max"), None),
        (Row("m", (1, None)), None),
        (Row("m", (True, False)), None),
        (Row("m", ("a", "b")), None),
    ],
)
def test_a_change_is_counted_where_both_are_numbers(row: Row, change: Change | None) -> None:
    assert diff.change(row) == change


def test_nan_is_the_same_as_nan() -> None:
    assert diff.metric_rows([made(metrics={"m": metric(math.nan)})] * 2) == ((), 1)


@pytest.mark.parametrize(
    ("codes", "rows"),
    [
        ([Code(COMMIT), Code(COMMIT)], []),
        (
            [Code(COMMIT, "main"), Code(OTHER, "topic")],
            [Row("branch", ("main", "topic")), Row("commit", (COMMIT, OTHER))],
        ),
        ([Code(COMMIT), Code(COMMIT, dirty=True, snapshot=SNAPSHOT)], [Row("snapshot", (None, SNAPSHOT))]),
        ([Code(COMMIT), Code(COMMIT, snapshot=SNAPSHOT)], []),
        ([Code(), Code(COMMIT)], [Row("commit", (None, COMMIT))]),
    ],
)
def test_code_differs_by_commit_branch_and_uncommitted_work(codes: list[Code], rows: list[Row]) -> None:
    assert diff.code_rows([made(code=code) for code in codes]) == tuple(rows)


def test_everything_is_compared_at_once() -> None:
    runs = [
        made(params={"opt": {"lr": 0.1, "name": "adam"}}, metrics={"loss": metric(1)}),
        made(params={"opt": {"lr": 0.2, "name": "adam"}}, metrics={"loss": metric(1), "acc": metric(2)}),
    ]
    found = diff.compare(
        runs, environments=[{"python": "3.11", "cpu": 2}, {"python": "3.12", "cpu": 2}], artifacts=[{}, {"a": "0"}]
    )
    assert found == diff.Difference(
        params=(Row("opt.lr", (0.1, 0.2)),),
        metrics=(Row("acc", (None, 2)),),
        code=(),
        environment=(Row("python", ("3.11", "3.12")),),
        artifacts=(Row("a", (None, "0")),),
        same_params=1,
        same_metrics=1,
        same_environment=1,
    )
    assert found


@given(mappings(), st.integers(1, 3))
def test_a_run_does_not_differ_from_itself(params: dict[str, Any], count: int) -> None:
    run = made(params=params, metrics={"m": metric(math.nan, goal="min")}, code=Code(COMMIT, dirty=True))
    assert not diff.compare([run] * count, environments=[{}] * count, artifacts=[{"a": "0"}] * count)
