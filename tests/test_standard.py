"""Judging a run by values alone: what is asked, and what is found."""

from __future__ import annotations

from typing import Any

import pytest

from gittrack.model import Metric, Run
from gittrack.query import language
from gittrack.refname import Oid, RunId
from gittrack.standard import Gate, MetricRule, ParamRule, Range, Standard, judge, judge_commit

COMMIT = Oid("1234567890" * 4)
NAN, INF = float("nan"), float("inf")


def made(params: dict[str, Any] | None = None, **metrics: float) -> Run:
    values = {name: Metric(at, 0, at, 0, at, 0, at, 1) for name, at in metrics.items()}
    return Run(RunId("r0123456789ab"), "it", "finished", "", params=params or {}, metrics=values)


def found(rule: MetricRule | ParamRule, value: Any) -> str:
    """Returns what is found of one metric or param that has a value."""
    if isinstance(rule, MetricRule):
        findings = judge(Standard(metrics={"a": rule}), made(a=value))
    else:
        findings = judge(Standard(params={"a": rule}), made({"a": value}))
    return "; ".join(finding.problem for finding in findings)


@pytest.mark.parametrize(
    ("rule", "value", "said"),
    [
        (MetricRule(range=Range(0, 1)), 0, ""),
        (MetricRule(range=Range(0, 1)), 1, ""),
        (MetricRule(range=Range(None, 1), unit="GB"), 1.5, "is 1.5 GB, and at most 1 GB is asked for"),
        (MetricRule(range=Range(0)), NAN, "is nan, and at least 0 is asked for"),
        (MetricRule(range=Range(None, 0)), NAN, "is nan, and at most 0 is asked for"),
        (MetricRule(finite=True), INF, "is inf, and a finite number is asked for"),
        (MetricRule(finite=True), 3, ""),
        (MetricRule(goal="max"), 3, ""),
        (ParamRule(type="int"), 3, ""),
        (ParamRule(type="int"), True, "is True, and the type int is asked for"),
        (ParamRule(type="int"), 3.0, "is 3, and the type int is asked for"),
        (ParamRule(type="float"), 3, ""),
        (ParamRule(type="float"), False, "is False, and the type float is asked for"),
        (ParamRule(type="bool"), True, ""),
        (ParamRule(type="bool"), 1, "is 1, and the type bool is asked for"),
        (ParamRule(type="str"), "x" * 100, ""),
        (ParamRule(type="list"), "x" * 100, "is '" + "x" * 76 + "..., and the type list is asked for"),
        (ParamRule(type="list"), [1], ""),
        (ParamRule(choices=(1, "a")), 1.0, ""),
        (ParamRule(choices=(1, "a")), True, "is True, and one of 1, 'a' is asked for"),
        (ParamRule(choices=(1, "a")), "b", "is 'b', and one of 1, 'a' is asked for"),
        (ParamRule(range=Range(1)), 0, "is 0, and at least 1 is asked for"),
        (ParamRule(range=Range(1)), "many", "is 'many', and a number is asked for"),
        (ParamRule(), "anything", ""),
    ],
)
def test_a_value_is_as_asked_or_it_is_said_how_it_is_not(rule: MetricRule | ParamRule, value: Any, said: str) -> None:
    assert found(rule, value) == said


def test_only_what_is_required_can_be_missing() -> None:
    standard = Standard({"a": MetricRule(), "b": MetricRule(required=True)}, {"c": ParamRule(), "d": ParamRule(True)})

    assert [str(each) for each in judge(standard, made())] == [
        "run it (r0123456789ab): metrics.b is missing",
        "run it (r0123456789ab): params.d is missing",
    ]


def test_a_param_that_is_a_mapping_is_there_by_what_is_in_it() -> None:
    assert judge(Standard(params={"opt": ParamRule(required=True)}), made({"opt": {"lr": 1}})) == []


@pytest.mark.parametrize(
    ("gate", "ref", "guarded"),
    [
        (Gate(""), "refs/heads/x", True),
        (Gate(""), "refs/tags/v1", False),
        (Gate(""), None, True),
        (Gate("", branches=("main",)), None, True),
        (Gate("", branches=("main",)), "refs/heads/main", True),
        (Gate("", branches=("main",)), "refs/heads/mainly", False),
        (Gate("", branches=("release/*",)), "refs/heads/release/1/2", True),
        (Gate("", branches=("v*",)), "refs/tags/v1", False),
        (Gate("", branches=("refs/tags/v*",)), "refs/tags/v1", True),
    ],
)
def test_a_gate_guards_the_branches_it_names(gate: Gate, ref: str | None, guarded: bool) -> None:
    assert gate.guards(ref) is guarded


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("src/a.py", True),
        ("src", False),
        ("srcs/a.py", False),
        ("a/b.cu", True),
        ("train.py", True),
        ("x/train.py", False),
    ],
)
def test_a_gate_looks_at_files_as_pathspecs_do(path: str, seen: bool) -> None:
    assert Gate("", paths=("src/", "*.cu", "train.py")).looks_at(path) is seen
    assert Gate("").looks_at(path)


def test_one_fitting_run_opens_a_gate() -> None:
    where = language.parse("metrics.a > 1")
    gate = Gate("g", run=True, where=where, query="metrics.a > 1")

    def said(*runs: Run) -> list[str]:
        return [str(each) for each in judge_commit(Standard(gates=(gate,)), COMMIT, ref=None, runs=lambda _: runs)]

    assert said() == ["commit 1234567890: gates.g asks for a finished run of this code, and there is none"]
    assert said(made(a=1)) == ["commit 1234567890: gates.g asks for metrics.a > 1, and run it does not meet that"]
    assert said(made(a=1), made()) == [
        "commit 1234567890: gates.g asks for metrics.a > 1, and none of its 2 runs meets that"
    ]
    assert said(made(a=1), made(a=2)) == []


def test_a_gate_of_other_branches_asks_for_nothing() -> None:
    standard = Standard(gates=(Gate("g", branches=("main",), run=True),))

    assert judge_commit(standard, COMMIT, ref="refs/heads/x", runs=lambda _: []) == []
    assert len(judge_commit(standard, COMMIT, ref="refs/heads/main", runs=lambda _: [])) == 1
