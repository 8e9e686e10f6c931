"""Which curve stands in which chart, and what is said to be left out."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence

import pytest

from gittrack.chart.panels import Panels, Plan, panels_of
from gittrack.model import Column, History, Run
from gittrack.refname import RunId

ONE, TWO, THREE = (RunId(f"r{number:012}") for number in range(3))


def run(id: RunId, name: str, **params: object) -> Run:
    return Run(id, name, "finished", "", params=params)


def table(columns: Mapping[str, Sequence[float]]) -> History:
    rows = max(map(len, columns.values()))
    return History(
        array("q", range(rows)),
        array("q", range(rows)),
        {
            name: Column(array("d", values), None if len(values) == rows else array("q", range(len(values))))
            for name, values in columns.items()
        },
    )


RUNS = [run(ONE, "a", lr=1), run(TWO, "b", lr=2), run(THREE, "b", lr=1)]
HISTORIES = {
    ONE: table({"loss": [4, 2], "acc": [0, 1]}),
    TWO: table({"loss": [8, 6]}),
    THREE: table({"loss": [6, 4], "acc": [1, 1]}),
}


def panels(plan: Plan) -> Panels:
    return panels_of(HISTORIES, RUNS, [None] * 3, plan)


def values(made: Panels) -> list[list[list[float] | None]]:
    return [[None if curve is None else list(curve.ys) for curve in chart.curves] for chart in made.charts]


def test_each_metric_is_a_chart_and_each_run_has_its_place_in_all_of_them() -> None:
    made = panels(Plan(["loss", "acc"]))

    assert [chart.title for chart in made.charts] == ["loss", "acc"]
    assert values(made) == [[[4, 2], [8, 6], [6, 4]], [[0, 1], None, [1, 1]]]
    assert made.labels == ["a", f"b {TWO[:8]}", f"b {THREE[:8]}"]
    assert made.warnings == ["1 of 3 run(s) have no points of 'acc'"]


def test_with_overlay_all_metrics_share_one_chart() -> None:
    made = panels(Plan(["loss", "acc"], overlay=True))

    assert [chart.title for chart in made.charts] == ["loss, acc"]
    assert made.labels[0] == "loss  a"
    assert made.labels[-1] == f"acc  b {THREE[:8]}"
    assert made.runs == [[ONE], [TWO], [THREE], [ONE], [THREE]]


def test_a_group_is_one_curve_with_a_band() -> None:
    made = panels(Plan(["loss"], group_of=lambda run: f"lr={run.params['lr']}", band="minmax"))

    assert made.labels == ["lr=1 (n=2)", "lr=2 (n=1)"]
    assert made.runs == [[ONE, THREE], [TWO]]
    assert values(made) == [[[5, 3], [8, 6]]]
    first = made.charts[0].curves[0]
    assert first is not None
    assert (first.low, first.high) == ([4, 2], [6, 4])


def test_without_groups_a_band_is_over_all_runs() -> None:
    made = panels(Plan(["loss", "acc"], band="std"))

    assert made.labels == ["mean (n=3)"]
    assert values(made) == [[[6, 4]], [[0.5, 1]]]


def test_what_is_left_out_is_said_once_for_a_metric() -> None:
    histories = {key: table({"loss": [1, math.nan, math.inf, -1]}) for key in (ONE, TWO, THREE)}

    made = panels_of(histories, RUNS, [None] * 3, Plan(["loss"], log_y=True))

    assert made.warnings == [
        "6 value(s) of 'loss' in 3 curves are not finite: gaps are left",
        "3 value(s) of 'loss' in 3 curves are left out: a logarithmic axis begins above zero",
    ]


def test_a_mean_takes_in_what_a_logarithmic_axis_could_not_show() -> None:
    histories = {ONE: table({"loss": [-1, -9]}), TWO: table({"loss": [3, 3]}), THREE: table({"loss": [4, 3]})}

    made = panels_of(histories, RUNS, [None] * 3, Plan(["loss"], band="std", log_y=True))

    assert values(made)[0][0] == pytest.approx([2, math.nan], nan_ok=True)
    assert made.warnings == ["1 value(s) of 'loss' are left out: a logarithmic axis begins above zero"]


def test_a_metric_over_another_that_some_runs_have_not() -> None:
    made = panels(Plan(["loss"], x="acc"))

    assert values(made) == [[[4, 2], None, [6, 4]]]
    assert made.warnings == ["1 of 3 run(s) have no points of 'loss' over 'acc'"]


def test_names_of_runs_and_metrics_are_safe_to_print() -> None:
    runs = [run(ONE, "\x1b[31mred\u202e")]
    made = panels_of({ONE: table({"a\x1b]0;b": [1.0]})}, runs, [None], Plan(["a\x1b]0;b"]))

    assert made.labels == ["\\x1b[31mred\\u202e"]
    assert made.charts[0].title == "a\\x1b]0;b"
