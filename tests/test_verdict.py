"""Whether a run is as good as another: over runs as values."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack import verdict
from gittrack.errors import NotFound, UsageError
from gittrack.model import Goal, Metric, Run
from gittrack.refname import RunId
from gittrack.verdict import Tolerance, Verdict


def made(value: float, goal: Goal | None = None, name: str = "acc", **more: Metric) -> Run:
    low, high = (value, value) if goal is None else (value, value + 100) if goal == "min" else (value - 100, value)
    metrics = (
        {name: Metric(-1.0, 7, low, 3, high, 3, -2.0, 9, goal)}
        if goal
        else {name: Metric(value, 7, value, 3, value, 3, value, 9)}
    )
    return Run(RunId("r0123456789ab"), "n", "finished", "c", metrics={**metrics, **more})


def judged(old: float, new: float, goal: Goal | None, text: str = "0") -> str:
    within = verdict.tolerance(text)
    return verdict.judge("acc", made(old, goal), made(new, goal), goal=None, within=within).answer


@pytest.mark.parametrize(
    ("old", "new", "goal", "text", "answer"),
    [
        (0.9, 0.898, "max", "0.002", "within"),
        (0.9, 0.898, "max", "0.0019", "worse"),
        (0.9, 0.898, "max", "0", "worse"),
        (0.9, 0.91, "max", "0", "better"),
        (0.9, 0.9, "max", "0", "same"),
        (0.3, 0.1 + 0.2, "min", "0", "worse"),
        (0.3, 0.1 + 0.2, "min", "1e-9", "within"),
        (10.0, 9.9, "max", "1%", "within"),
        (10.0, 9.89, "max", "1%", "worse"),
        (-10.0, -10.1, "max", "1%", "within"),
        (0.0, -1e-9, "max", "50%", "worse"),
        (1.0, 2.0, None, "1", "within"),
        (1.0, 2.5, None, "1", "different"),
        (2.5, 1.0, None, "1", "different"),
        (1.0, 1.0, None, "0", "same"),
        (0.9, math.nan, "max", "1e300", "worse"),
        (math.nan, 0.9, "max", "0", "better"),
        (math.nan, math.nan, "max", "0", "same"),
        (1.0, math.nan, None, "1e300", "different"),
        (1.0, math.inf, "min", "1e300", "worse"),
        (math.inf, 1.0, "min", "0", "better"),
        (math.inf, 1.0, "max", "99%", "worse"),
        (math.inf, math.inf, "max", "0", "same"),
        (-1.7e308, 1.7e308, "min", "1e300", "worse"),
    ],
)
def test_worse_is_what_the_goal_says_beyond_the_tolerance(
    old: float, new: float, goal: Goal | None, text: str, answer: str
) -> None:
    assert judged(old, new, goal, text) == answer


@given(st.floats(), st.floats(), st.sampled_from(["min", "max"]), st.sampled_from(["0", "0.5", "10%", "1e300"]))
def test_of_two_runs_at_most_one_is_worse_and_a_run_is_never_worse_than_itself(
    one: float, two: float, goal: Goal, text: str
) -> None:
    there, back = judged(one, two, goal, text), judged(two, one, goal, text)

    assert {there, back} != {"worse"}
    assert (there == "better") == (back in ("worse", "within"))
    assert judged(one, one, goal, text) == "same"


def test_a_verdict_has_all_that_is_needed_to_say_it() -> None:
    found = verdict.judge(
        "acc", made(0.9, "max"), made(0.8, "max"), goal=None, within=Tolerance(Decimal(5), percent=True)
    )

    assert found == Verdict("acc", "max", 0.9, 0.8, -0.1, 0.045, "worse")
    assert not found.passed


def test_a_goal_that_is_given_wins_and_one_run_may_declare_it_for_both() -> None:
    old, new = made(0.9, "max"), made(0.95)

    assert verdict.judge("acc", old, new, goal=None, within=Tolerance()).answer == "better"
    assert verdict.judge("acc", old, new, goal="min", within=Tolerance()).candidate == 0.95
    with pytest.raises(UsageError, match="whether 'acc' is better is not known"):
        verdict.judge("acc", made(1, "max"), made(1, "min"), goal=None, within=Tolerance())


@pytest.mark.parametrize(
    ("name", "values", "goal"),
    [
        *(("acc", (5, 6), "max"), ("acc.best", (5, 6), "max"), ("acc.last", (-1, -1), "max")),
        *(("acc.min", (-95, -94), "max"), ("acc.step", (7, 7), None), ("acc.count", (9, 9), None)),
    ],
)
def test_another_statistic_is_named_behind_a_dot(name: str, values: tuple[float, float], goal: Goal | None) -> None:
    found = verdict.judge(name, made(5, "max"), made(6, "max"), goal=None, within=Tolerance())

    assert ((found.baseline, found.candidate), found.goal) == (values, goal)


def test_a_metric_that_has_the_name_of_a_statistic_is_found_first() -> None:
    runs = [made(value, name="acc.max") for value in (1, 2)]

    assert verdict.judge("acc.max", *runs, goal=None, within=Tolerance()).candidate == 2


@pytest.mark.parametrize("name", ["none", "acc.median", "none.max", ""])
def test_a_metric_that_a_run_has_not_is_an_error_that_names_the_run(name: str) -> None:
    with pytest.raises(NotFound, match="run 'n' has no metric") as error:
        verdict.judge(name, made(1), made(1), goal=None, within=Tolerance())
    assert error.value.exit_code == 3


def test_the_hint_names_what_is_near() -> None:
    with pytest.raises(NotFound) as error:
        verdict.judge("ac", made(1), made(1), goal=None, within=Tolerance())
    assert error.value.hint == "it has acc"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0.002", Tolerance(Decimal("0.002"))),
        ("1e-3", Tolerance(Decimal("0.001"))),
        ("1%", Tolerance(Decimal(1), percent=True)),
        (" 2.5 % ", Tolerance(Decimal("2.5"), percent=True)),
    ],
)
def test_a_tolerance_is_an_amount_or_percent(text: str, found: Tolerance) -> None:
    assert verdict.tolerance(text) == found


@pytest.mark.parametrize("text", ["", "%", "-1", "-0", "nan", "inf", "1e301", "1%%", "x", "0x1", "\u0661", "1 2"])
def test_what_is_no_tolerance_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no tolerance"):
        verdict.tolerance(text)
