"""What the journals of a run add up to: params given twice, processes side by side, steps that go back."""

from __future__ import annotations

import math
from array import array
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gittrack import draft, journal
from gittrack.codec import frame
from gittrack.codec.frame import Journal
from gittrack.codec.points import Points, build
from gittrack.draft import Last, merge_params, summarise
from gittrack.model import Artifact, Column, Event, History, Metric
from tests.strategies import floats, mappings

LIVE = Path("live")


def live(*journals: Journal, **header: Any) -> journal.Live:
    return journal.Live(
        LIVE, {"created": 100.0} | header, {f"{number}.journal": one for number, one in enumerate(journals, start=1)}
    )


def point(step: int, time: float, **cells: float) -> tuple[int, int, tuple[str, ...], tuple[float, ...]]:
    return step, int(time * 1000), tuple(cells), tuple(cells.values())


def note(k: str, t: float = 1.0, **content: Any) -> dict[str, Any]:
    return {"t": t, "k": k} | content


# Params -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "new", "after", "changed"),
    [
        ({}, {"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 2}, []),
        ({"a": 1}, {"a": 2}, {"a": 1}, [("a", 2)]),
        ({"a": 1}, {"a": 1.0}, {"a": 1}, []),
        ({"a": 1}, {"a": True}, {"a": 1}, [("a", True)]),
        ({"a": math.nan}, {"a": math.nan}, {"a": math.nan}, []),
        ({"a": math.nan}, {"a": 1.0}, {"a": math.nan}, [("a", 1.0)]),
        ({"a": [1, [math.nan]]}, {"a": [1, [math.nan]]}, {"a": [1, [math.nan]]}, []),
        ({"a": [1]}, {"a": [True]}, {"a": [1]}, [("a", [True])]),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1]}, [("a", [1, 2])]),
        ({"a": {"b": 1}}, {"a": {"b": 2, "c": 3}}, {"a": {"b": 1, "c": 3}}, [("a.b", 2)]),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, {"a": {"b": {"c": 1}}}, [("a.b.c", 2)]),
        ({"a": {"b": 1}}, {"a": 2}, {"a": {"b": 1}}, [("a", 2)]),
        ({"a": 2}, {"a": {"b": 1}}, {"a": 2}, [("a", {"b": 1})]),
        ({"a": None}, {"a": None}, {"a": None}, []),
    ],
)
def test_the_first_value_of_a_param_stays_and_another_is_told(
    before: dict[str, Any], new: dict[str, Any], after: dict[str, Any], changed: list[tuple[str, Any]]
) -> None:
    found = merge_params(before, new)
    assert repr((before, found)) == repr((after, changed))


@given(mappings(), mappings())
def test_params_given_again_change_nothing(one: dict[str, Any], two: dict[str, Any]) -> None:
    into: dict[str, Any] = {}
    assert merge_params(into, one) == []
    assert repr(into) == repr(one)
    merge_params(into, two)
    once = repr(into)
    assert merge_params(into, one) == []
    merge_params(into, two)
    assert repr(into) == once


# Summaries ----------------------------------------------------------------------------------------------------------


def table(*cells: float, steps: list[int] | None = None, times: list[int] | None = None) -> History:
    count = len(cells)
    return History(
        array("q", steps or range(count)),
        array("q", times or range(count)),
        {"m": Column(array("d", cells))},
    )


def summary(made: History, **more: Any) -> Metric:
    return summarise(made, {}, {}, **more)["m"]


@given(st.lists(floats, min_size=1, max_size=30))
@example([math.nan])
@example([math.nan, math.nan])
@example([math.inf, math.nan, -math.inf])
def test_a_summary_leaves_out_what_is_no_number(cells: list[float]) -> None:
    metric = summary(table(*cells))
    numbers = [cell for cell in cells if not math.isnan(cell)]
    assert (metric.count, metric.nan) == (len(cells), len(cells) - len(numbers))
    assert repr((metric.last, metric.step)) == repr((cells[-1], len(cells) - 1))
    if not numbers:
        assert all(math.isnan(number) for number in (metric.min, metric.max, metric.mean))
        return
    assert (metric.min, metric.max) == (min(numbers), max(numbers))
    assert (metric.min_step, metric.max_step) == (cells.index(metric.min), cells.index(metric.max))
    if math.isfinite(metric.min) and math.isfinite(metric.max):
        exact = float(sum(map(Fraction, numbers)) / len(numbers))
        assert math.isclose(metric.mean, exact, rel_tol=1e-12, abs_tol=1e-300)
    elif metric.min == -metric.max:
        assert math.isnan(metric.mean)
    else:
        assert metric.mean == (metric.max if metric.max == math.inf else metric.min)


def test_the_mean_of_what_adds_up_beyond_a_double_is_right() -> None:
    assert summary(table(1.7e308, 1.7e308, 1.7e308)).mean == pytest.approx(1.7e308)
    assert summary(table(1e16, 1.0, -1e16)).mean == 1 / 3


def test_of_equal_extremes_the_first_holds() -> None:
    metric = summary(table(2.0, 1.0, 2.0, 1.0, steps=[5, 6, 7, 8]))
    assert (metric.min_step, metric.max_step) == (6, 5)


def test_where_steps_go_back_what_is_newest_is_last() -> None:
    metric = summary(table(0.5, 0.6, 0.7, steps=[1, 2, 3], times=[30, 10, 20]))
    assert (metric.last, metric.step) == (0.5, 1)
    same = summary(table(0.5, 0.6, 0.7, steps=[1, 2, 3], times=[30, 30, 20]))
    assert (same.last, same.step) == (0.6, 2)


def test_what_was_logged_last_is_last_whatever_the_table_says() -> None:
    metric = summary(table(0.5, 0.6, times=[7, 7]), lasts={"m": Last(7.0, 0.5, 0), "other": Last(7.0, 1.0, 1)})
    assert (metric.last, metric.step, metric.max) == (0.5, 0, 0.6)


def test_metrics_are_sorted_by_name_and_may_have_holes() -> None:
    made = History(
        array("q", [1, 2, 3]),
        array("q", [1, 2, 3]),
        {
            "z": Column(array("d", [1, 2, 3])),
            "é": Column(array("d", [9]), array("q", [1])),
            "a": Column(array("d", [0] * 3)),
        },
    )
    found = summarise(made, {}, {})
    assert list(found) == ["a", "z", "é"]
    assert (found["é"].step, found["é"].min_step, found["é"].count) == (2, 2, 1)


def test_a_goal_may_be_declared_for_a_pattern_and_a_name_goes_first() -> None:
    made = {"*": "min", "val/*": "max", "val/loss": "min", "loss[0]": "max"}
    columns = {name: Column(array("d", [1.0])) for name in ("a", "val/acc", "val/loss", "loss[0]")}
    history_of = History(array("q", [0]), array("q", [0]), columns)
    assert {name: metric.goal for name, metric in summarise(history_of, {**made}, {}).items()} == {  # type: ignore[dict-item]
        "a": "min",
        "loss[0]": "max",
        "val/acc": "min",
        "val/loss": "min",
    }
    assert summarise(history_of, {"loss[0]": "max"}, {})["a"].goal is None


def test_a_value_that_the_user_set_stands_in_place_of_the_last() -> None:
    metric = summarise(table(0.5, 0.6), {"m": "max"}, {"m": 0.9})["m"]
    assert (metric.last, metric.summary, metric.step, metric.max, metric.best) == (0.9, 0.9, 1, 0.6, 0.6)


@pytest.mark.parametrize(("made", "step"), [(None, 0), (table(1.0, 2.0, steps=[3, 7]), 7)])
def test_a_summary_that_was_never_logged_has_no_points(made: History | None, step: int) -> None:
    found = summarise(made, {"auc": "max"}, {"auc": 0.9})["auc"]
    assert found == Metric(0.9, step, 0.9, step, 0.9, step, 0.9, 0, "max", 0, 0.9)


def test_nothing_logged_is_nothing() -> None:
    assert summarise(None, {"a": "max"}, {}) == {}


# Drafts -------------------------------------------------------------------------------------------------------------


def test_journals_of_several_processes_become_one_table_with_ranks() -> None:
    first = Journal({"rank": 7}, Points.of([point(0, 1.5, a=1.0), point(1, 2.0, a=2.0)]), corrupt=1)
    second = Journal({}, Points.of([point(0, 1.5, a=3.0)]), corrupt=2)
    made = draft.draft(live(first, second, Journal()))
    assert made.history == build(
        [(0, 1500, 7, ("a",), (1.0,)), (1, 2000, 7, ("a",), (2.0,)), (0, 1500, 1, ("a",), (3.0,))], ranked=True
    )
    assert made.history is not None
    assert made.history.ranks == array("q", [7, 1, 7])
    assert made.counts["corrupt"] == 3


def test_one_process_needs_no_ranks() -> None:
    made = draft.draft(live(Journal(), Journal({}, Points.of([point(0, 1.0, a=1.0)]))))
    assert made.history is not None
    assert made.history.ranks is None
    assert draft.draft(live(Journal())).history is None


def test_the_last_value_is_the_one_logged_last_though_all_came_in_one_millisecond() -> None:
    points = [point(3, 7.0001, a=3.0, b=1.0), point(2, 7.0002, a=2.0), point(1, 7.0003, a=1.0), point(9, 7.0, b=9.0)]
    made = draft.draft(live(Journal({}, Points.of(points)), Journal({}, Points.of([point(5, 7.00015, a=5.0, c=5.0)]))))
    found = summarise(made.history, {}, {}, made.lasts)
    assert {name: (metric.last, metric.step) for name, metric in found.items()} == {
        "a": (1.0, 1),
        "b": (9.0, 9),  # the process's clock went back; its order did not
        "c": (5.0, 5),
    }


def test_the_newest_time_of_all_is_when_it_was_last_alive() -> None:
    assert draft.draft(live(Journal())).last_time == 100.0
    assert (
        draft.draft(live(Journal({}, Points.of([point(0, 300.0, a=1.0), point(1, 200.0, a=1.0)])))).last_time == 200.0
    )
    assert (
        draft.draft(live(Journal({}, Points.of([point(0, 200.0, a=1.0)]), [note("state", 250.0, v={})]))).last_time
        == 250.0
    )


def test_notes_of_all_processes_are_taken_in_the_order_of_their_times() -> None:
    one = Journal(
        {}, Points(), [note("params", 1.0, v={"lr": 0.1}), note("state", 4.0, v={"name": "last", "tags": ["a"]})]
    )
    two = Journal({}, Points(), [note("params", 2.0, v={"lr": 0.2, "b": 1}), note("state", 3.0, v={"name": "first"})])
    made = draft.draft(live(one, two, params={"seed": 1}))
    assert made.params == {"seed": 1, "lr": 0.1, "b": 1}
    assert made.events == [Event(2.0, "lr", 0.2, None, "param")]
    assert made.state == {"name": "last", "tags": ["a"]}


def test_the_params_of_the_header_stay_as_they_are() -> None:
    given_live = live(Journal({}, Points(), [note("params", v={"b": 1})]), params={"a": 1})
    assert draft.draft(given_live).params == {"a": 1, "b": 1}
    assert given_live.header["params"] == {"a": 1}


def test_every_kind_of_note_has_its_place_and_an_unknown_one_is_skipped() -> None:
    notes = [
        note("event", key="text", value="hello", step=3, kind="alert"),
        note("event", key="plain", value=1),
        note("metric", name="loss", goal="min"),
        note("summary", key="loss", value=0.5),
        note("count", v={"dropped": 2}),
        note("count", v={"dropped": 3, "rounded": 1}),
        note("child", status="failed"),
        note("end", status="finished", exit_code=0),
        note("a kind of tomorrow", v=1),
    ]
    made = draft.draft(live(Journal({}, Points(), notes)))
    assert made.events == [Event(1.0, "text", "hello", 3, "alert"), Event(1.0, "plain", 1, None, "text")]
    assert (made.goals, made.summaries) == ({"loss": "min"}, {"loss": 0.5})
    assert made.counts == {"corrupt": 0, "dropped": 5, "rounded": 1}
    assert (made.child["status"], made.end["status"], made.end["exit_code"]) == ("failed", "finished", 0)


def artifact(path: str, file: int) -> dict[str, Any]:
    return note("artifact", float(file), path=path, size=file, sha256="0" * 64, file=str(file))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"k": "state", "v": {}},
        {"t": "soon", "k": "state", "v": {}},
        note("params", v=[1]),
        note("params"),
        note("event", value=1),
        note("summary", key="a", value="high"),
        note("count", v={"dropped": "many"}),
        note("state", v=1),
        artifact("../../etc/passwd", 1),
        artifact("a/.git/config", 1),
        artifact("a", 1) | {"file": "../run.json"},
        artifact("a", 1) | {"file": 1},
        artifact("a", 1) | {"size": "1"},
        artifact("a", 1) | {"sha256": "../../" + "0" * 58},
        {"t": 1.0, "k": "artifact", "path": "a", "size": 1, "sha256": "0" * 64},
        {"t": 1.0, "k": "artifact", "path": "a", "size": 1, "pointer": True},
        {"t": 1.0, "k": "artifact", "path": "a", "size": 1, "file": "1"},
        {"t": 1.0, "k": "stored", "file": "1", "size": 1, "sha256": "../up"},
    ],
)
def test_a_note_without_what_its_kind_needs_is_skipped_and_counted(wrong: dict[str, Any]) -> None:
    made = draft.draft(live(Journal({}, Points(), [wrong, note("params", v={"a": 1})], corrupt=1)))
    assert made.counts == {"corrupt": 2}
    assert made.params == {"a": 1}
    assert (made.events, made.artifacts, made.summaries, made.state) == ([], {}, {}, {})


def test_an_artifact_logged_again_takes_the_place_of_the_first() -> None:
    full = artifact("m.pt", 2) | {"name": "m", "type": "model", "aliases": ["best"], "metadata": {"a": 1}, "step": 5}
    made = draft.draft(live(Journal({}, Points(), [artifact("m.pt", 1), full])))
    assert made.artifacts == {
        "m.pt": Artifact("m.pt", 2, "0" * 64, "blob", "m", "model", ("best",), {"a": 1}, 5),
    }
    assert made.sources == {"m.pt": LIVE / "files" / "2"}


@pytest.mark.parametrize(
    ("paths", "kept"),
    [
        (["a", "a/b"], ["a"]),
        (["a/b", "a"], ["a/b"]),
        (["a/b/c", "a", "a/b", "a/c", "ab", "a"], ["a/b/c", "a/c", "ab"]),
        (["a", "a.b", "a-b/c"], ["a", "a.b", "a-b/c"]),
    ],
)
def test_a_file_where_a_folder_is_would_be_no_tree_and_is_counted_as_dropped(paths: list[str], kept: list[str]) -> None:
    made = draft.draft(live(Journal({}, Points(), [artifact(path, number) for number, path in enumerate(paths)])))
    assert sorted(made.artifacts) == sorted(made.sources) == sorted(kept)
    assert made.counts.get("dropped", 0) == len(paths) - len(kept)


def test_a_draft_is_made_from_the_bytes_of_a_journal() -> None:
    raw = (
        frame.encode_json(b"H", {"pid": 1})
        + frame.encode_schema(0, ("loss",))
        + frame.PointPacker(0, 1)(1.0, 4, (0.5,))
        + frame.encode_json(b"J", note("end", status="failed"))
    )
    made = draft.draft(live(frame.decode(raw)))
    assert made.history is not None
    assert made.history.series("loss") == [(4, 1.0, 0.5)]
    assert made.end["status"] == "failed"
