"""Which columns a list of runs has: over runs as values."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gittrack import columns
from gittrack.columns import Column
from gittrack.errors import UsageError
from gittrack.model import Goal, Metric, Run
from gittrack.refname import RunId


def metric(last: float, goal: Goal | None = None, low: float = 0.0, high: float = 1.0) -> Metric:
    return Metric(last, 0, low, 0, high, 0, last, 1, goal)


def made(name: str = "n", **facts: Any) -> Run:
    return Run(id=RunId("r0123456789ab"), name=name, status="finished", created="c", **facts)


def heads(runs: list[Run]) -> list[str]:
    return [column.head for column in columns.chosen(runs) if column.head != column.head.upper()]


def test_params_that_vary_have_a_column_and_the_same_everywhere_have_none() -> None:
    runs = [
        made(params={"lr": 0.1, "opt": {"name": "adam"}, "seed": 1}),
        made(params={"lr": 0.2, "opt": {"name": "a"}}),
    ]

    assert heads(runs) == ["lr", "opt.name", "seed"]
    assert heads([runs[0], runs[0]]) == []
    assert heads(runs[:1]) == ["lr", "opt.name", "seed"], "one run has nothing to vary from"


@pytest.mark.parametrize(("one", "two"), [(1, True), (1, 1.0), ("1", 1), (None, 0), ([1], [2]), (math.nan, 0.0)])
def test_values_of_two_kinds_are_two_values(one: Any, two: Any) -> None:
    assert heads([made(params={"p": one}), made(params={"p": two})]) == ["p"]
    assert heads([made(params={"p": one}), made(params={"p": one})]) == []


def test_metrics_with_a_goal_come_first_and_those_of_the_machine_not_at_all() -> None:
    runs = [
        made(metrics={"a": metric(1), "system/cpu": metric(1), "z": metric(1, "max")}),
        made(metrics={"a": metric(1), "y": metric(2, "min"), "b": metric(1)}),
    ]

    assert heads(runs) == ["y", "z", "a", "b"]


def test_where_there_is_little_room_goals_stay_longer_than_params_and_these_longer_than_times() -> None:
    runs = [
        made("a", params={"lr": 1}, metrics={"acc": metric(1, "max"), "loss": metric(1)}),
        made("b", params={"lr": 2}, metrics={"acc": metric(2, "max"), "loss": metric(1)}),
    ]

    ranked = [column.head for column in sorted(columns.chosen(runs), key=lambda column: column.rank)]

    assert ranked == ["NAME", "STATUS", "acc", "lr", "loss", "ID", "CREATED", "TIME"]
    twins = sorted(columns.chosen([made("a"), made("a")]), key=lambda column: column.rank)
    assert [column.head for column in twins][:3] == ["NAME", "STATUS", "ID"], "names that are equal say nothing"


def test_what_has_no_column_is_named() -> None:
    runs = [
        made(params={f"p{i:02}": at for i in range(20)}, metrics={f"m{at}{i}": metric(1) for i in range(5)})
        for at in range(2)
    ]

    chosen = columns.chosen(runs)

    left = columns.without(runs, chosen)
    assert left[:2] == ["params.p12", "params.p13"]
    assert len(left) == 8 + 4
    assert {column.name for column in chosen}.isdisjoint(left)


def test_a_metric_whose_goal_runs_disagree_about_has_none() -> None:
    runs = [made(metrics={"m": metric(1, "max"), "n": metric(1, "min")}), made(metrics={"m": metric(1, "min")})]

    assert columns.goals(runs) == {"m": None, "n": "min"}
    assert [column.goal for column in columns.chosen(runs) if column.metric] == ["min", None]


def test_a_run_that_declares_no_goal_is_read_by_the_goal_of_the_others() -> None:
    runs = [made(metrics={"acc": metric(0.5, "max", high=0.9)}), made(metrics={"acc": metric(0.4, high=0.8)}), made()]

    (acc,) = (column for column in columns.chosen(runs) if column.metric == "acc")

    assert [acc.value(run, {}) for run in runs] == [0.9, 0.8, None]


RUNS = [
    made(params={"lr": 1, "opt": {"lr": 2, "b*": 3}}, metrics={"loss": metric(1, "min"), "val/loss": metric(2)}),
    made(params={"lr": 1}, metrics={"system/cpu": metric(1), "loss.max": metric(5)}),
]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name, params.lr,metrics.loss.min", ["name", "params.lr", "metrics.loss.min"]),
        ("name,name,,", ["name"]),
        ("params.*", ["params.lr", "params.opt.lr", 'params["opt.b*"]']),
        ("params.*lr", ["params.lr", "params.opt.lr"]),
        ("params.?r", ["params.lr"]),
        ("metrics.*", ["metrics.loss", 'metrics["loss.max"]', "metrics.val/loss"]),
        ("metrics.*loss", ["metrics.loss", "metrics.val/loss"]),
        ("metrics.val/*.best", ["metrics.val/loss.best"]),
        ("metrics.system/*", ["metrics.system/cpu"]),
        ("params.none*", []),
        ('metrics["a,b"],id', None),
    ],
)
def test_columns_are_named_by_fields_and_patterns(text: str, names: list[str] | None) -> None:
    if names is None:
        assert columns.split(text) == ['metrics["a,b"]', "id"]
    else:
        assert [column.name for column in columns.named(text, RUNS)] == names


def test_what_is_sorted_by_is_checked_before_there_is_a_run() -> None:
    assert columns.sorting("-metrics.val/acc, params.lr") == ["-metrics.val/acc", "params.lr"]
    with pytest.raises(UsageError):
        columns.sorting("name,-nonsense")


@pytest.mark.parametrize("text", ["nonsense", "name,nonsense", "par*", "", " , "])
def test_a_column_that_is_no_field_is_refused_where_there_are_no_runs_too(text: str) -> None:
    for runs in (RUNS, []):
        with pytest.raises(UsageError):
            columns.named(text, runs)


@pytest.mark.parametrize(
    ("name", "goal"),
    [
        *(("metrics.loss", "min"), ("metrics.loss.mean", "min"), ("metrics.loss.step", None), ("params.loss", None)),
        *(("metrics.val/loss", None), ("name", None)),
    ],
)
def test_a_named_column_is_judged_by_the_goal_of_its_metric(name: str, goal: Goal | None) -> None:
    param = "loss" if name == "params.loss" else None
    assert columns.named(name, RUNS) == [Column(name, name, 0, goal, param=param)]


@pytest.mark.parametrize(
    "key", ["loss", "a,b", "loss.max", "a[0]", 'quo"te', "back\\slash", "a b", " a", "b*", "", "a\nb"]
)
def test_what_has_no_column_is_named_so_that_it_can_be_asked_for(key: str) -> None:
    runs = [made(params={key: 1}, metrics={key: metric(2)}), made(params={key: 3})]

    for of, value in (("params", 1), ("metrics", 2)):
        text = columns.full(of, key)
        assert columns.split(f"name,{text}") == ["name", text]
        (column,) = columns.named(text, runs)
        assert column.value(runs[0], runs[0].flat_params) == value


@pytest.mark.parametrize(
    ("values", "goal", "best"),
    [
        ([1, 3, 2], "max", 3),
        ([1, 3, 2], "min", 1),
        ([1, 3, 2], None, None),
        ([1], "max", None),
        ([2, 2], "max", None),
        ([2, None, 2, 1], "max", 2),
        ([math.nan, 1], "max", None),
        ([math.nan, 1, math.inf], "max", math.inf),
        ([], "min", None),
    ],
)
def test_the_best_is_one_of_several_that_differ(values: list[Any], goal: Goal | None, best: float | None) -> None:
    assert columns.best(values, goal) == best
