"""How people name runs: over runs as values, so that every rule is a line."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.errors import Ambiguous, GittrackError, NotFound, UsageError
from gittrack.model import Code, Goal, Metric, Run
from gittrack.query import fields, naming
from gittrack.refname import Oid, RunId, new_run_id
from gittrack.terminal import printable

HEAD, SNAPSHOT, TIP = Oid("a" * 40), Oid("b" * 40), Oid("c" * 40)


def metric(low: float, high: float, goal: Goal | None = None) -> Metric:
    return Metric(low, 0, low, 0, high, 0, low, 2, goal)


def made(id: str, name: str, **more: object) -> Run:
    return Run(id=RunId(id), name=name, status="finished", created="2026-01-01T00:00:00.000Z", **more)  # type: ignore[arg-type]


NEWEST = made("rabcd00000000", "calm-heron-42", metrics={"loss": metric(1, 5), "a:b": metric(1, 2)}, tags=("paper",))
MIDDLE = made(
    "rabcd11111111", "twin", metrics={"val/acc": metric(0.1, 0.9, "max")}, group="g", code=Code(HEAD), oid=TIP
)
OLDER = made("rxyz222222222", "twin", metrics={"val/acc": metric(0.2, 0.8, "max"), "loss": metric(2, 3)}, group="g")
OLDEST = made("r333333333333", "best:max:x", code=Code(HEAD, snapshot=SNAPSHOT), parent=RunId("rabcd00000000"))
RUNS = (NEWEST, MIDDLE, OLDER, OLDEST)
COMMITS = {"main": HEAD, "snap": SNAPSHOT, "elsewhere": Oid("d" * 40), "tip": TIP}


def find(text: str) -> naming.Named:
    return naming.find(text, RUNS, commit=COMMITS.get)


@pytest.mark.parametrize(
    ("text", "run"),
    [
        ("refs/runs/rabcd11111111", MIDDLE),
        ("rabcd11111111", MIDDLE),
        ("rabcd1", MIDDLE),
        ("rxyz", OLDER),
        ("calm-heron-42", NEWEST),
        ("@", NEWEST),
        ("@{-0}", NEWEST),
        ("@{-1}", MIDDLE),
        ("@{-3}", OLDEST),
        ("best:val/acc", MIDDLE),
        ("best:min:val/acc", MIDDLE),
        ("best:max:loss", NEWEST),
        ("best:min:loss", NEWEST),
        ("best:max:a:b", NEWEST),
        ("best:max:x", OLDEST),
        ("main", MIDDLE),
        ("snap", OLDEST),
        ("tip", MIDDLE),
        ("r333333333333^", NEWEST),
        ("@{-3}^", NEWEST),
    ],
)
def test_a_name_is_read_as_the_first_rule_that_matches(text: str, run: Run) -> None:
    assert find(text) == naming.Named(run)


@pytest.mark.parametrize(
    ("text", "run", "path"),
    [
        ("rabcd1:params.yaml", MIDDLE, "params.yaml"),
        ("@:artifacts/a:b", NEWEST, "artifacts/a:b"),
        ("@:", NEWEST, ""),
        ("@{-3}^:run.yaml", NEWEST, "run.yaml"),
        ("best:max:loss:params.yaml", NEWEST, "params.yaml"),
        ("main:env/packages.txt", MIDDLE, "env/packages.txt"),
    ],
)
def test_a_path_in_a_run_stands_behind_a_colon(text: str, run: Run, path: str) -> None:
    assert find(text) == naming.Named(run, path)


@pytest.mark.parametrize(
    "text",
    [
        *("nobody", "rab", "rabcd9", "rzzzzzzzzzzzz", "refs/runs/rzzzzzzzzzzzz", "@{-4}", "@{1}", "elsewhere", ""),
        *(
            "best:max:none",
            "best:",
            "best:max:",
            "tag:none",
            "group:",
            "nobody:path",
            ":path",
            "^",
            "@^",
            "@@",
            "RABCD1",
        ),
    ],
)
def test_a_name_that_nobody_has_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        naming.find_all(text, RUNS, commit=COMMITS.get)


def test_too_few_characters_of_an_id_are_told_how_many_it_takes() -> None:
    runs = [made("r4k000000001", "a")]
    for text, hint in (("r4k", "at least 4 characters of an id are needed"), ("r9z", "see `git track ls`")):
        with pytest.raises(NotFound) as error:
            naming.find(text, runs, commit=COMMITS.get)
        assert error.value.hint == hint
    assert naming.find("r4k0", runs, commit=COMMITS.get).run == runs[0]


def test_what_is_not_found_names_what_is_near() -> None:
    with pytest.raises(NotFound) as error:
        find("calm-herron-42")
    assert error.value.lines() == [
        "error: no run is called 'calm-herron-42'",
        "cause: none of 4 run(s) has this id, name or commit",
        "hint: did you mean calm-heron-42?",
    ]


@pytest.mark.parametrize(
    ("text", "ids"), [("rabcd", "rabcd00000000 rabcd11111111"), ("twin", "rabcd11111111 rxyz222222222")]
)
def test_what_is_ambiguous_lists_the_candidates(text: str, ids: str) -> None:
    with pytest.raises(Ambiguous) as error:
        find(text)
    assert all(candidate in str(error.value.cause) for candidate in ids.split())
    assert error.value.exit_code == 3


def test_many_candidates_are_counted() -> None:
    runs = [made(new_run_id(number), "same") for number in range(20)]
    with pytest.raises(Ambiguous, match="'same' names 20 runs") as error:
        naming.find("same", runs, commit=COMMITS.get)
    assert str(error.value.cause).endswith(" and 12 more")


def test_sets_are_named_by_tag_and_group() -> None:
    assert naming.find_all("tag:paper", RUNS, commit=COMMITS.get) == [NEWEST]
    assert naming.find_all("group:g", RUNS, commit=COMMITS.get) == [MIDDLE, OLDER]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("@{-2}..@", [OLDER, MIDDLE, NEWEST]),
        ("@..@{-2}", [NEWEST, MIDDLE, OLDER]),
        ("main..rabcd1", [MIDDLE]),
        ("@{-1}..", [MIDDLE, NEWEST]),
        ("..@{-2}", [OLDEST, OLDER]),
    ],
)
def test_two_dots_name_the_runs_between_two_both_included(text: str, runs: list[Run]) -> None:
    assert naming.find_all(text, RUNS, commit=COMMITS.get) == runs


def test_a_run_whose_name_has_two_dots_is_found_by_it() -> None:
    runs = [made("r000000000001", "a..b"), made("r000000000002", "b"), made("r000000000003", "a")]

    assert naming.find_all("a..b", runs, commit=COMMITS.get) == runs[:1]
    for text in ("a..nobody", "nobody..b", "..", "...", "a...b"):
        with pytest.raises(NotFound):
            naming.find_all(text, runs, commit=COMMITS.get)


@pytest.mark.parametrize("text", ["best:loss", "best:a:b"])
def test_best_without_a_goal_asks_for_the_direction(text: str) -> None:
    with pytest.raises(UsageError, match="is best is not known") as error:
        find(text)
    assert error.value.hint == f"write best:max:{text.removeprefix('best:')}"


def test_best_asks_for_the_direction_where_runs_declare_different_goals() -> None:
    runs = [
        made("r000000000001", "a", metrics={"m": metric(0, 1, "max")}),
        made("r000000000002", "b", metrics={"m": metric(0, 1, "min")}),
    ]
    with pytest.raises(UsageError) as error:
        naming.find("best:m", runs, commit=COMMITS.get)
    assert error.value.cause == "runs declare different goals for it"


def test_nan_is_never_the_best() -> None:
    runs = [
        made("r000000000001", "a", metrics={"m": metric(math.nan, math.nan)}),
        made("r000000000002", "b", metrics={"m": metric(-5, -5)}),
    ]
    for direction in ("min", "max"):
        assert naming.find(f"best:{direction}:m", runs, commit=COMMITS.get).run.name == "b"


@given(st.text(max_size=30) | st.text("r@{}-^:bestmaxingroupw0123456789/. \n", max_size=30))
def test_any_text_names_a_run_or_is_an_error_of_ours(text: str) -> None:
    error = None
    try:
        found = naming.find_all(text, RUNS, commit=COMMITS.get)
    except GittrackError as exc:
        found, error = [], exc

    assert found or error
    assert error is None or error.exit_code in (2, 3)
    assert all(line == printable(line) for line in (error.lines() if error else ()))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("id", "rabcd11111111"), ("name", "twin"), ("group", "g"), ("code", HEAD), ("code.commit", HEAD)),
        *(("code.branch", None), ("dirty", False), ("code.dirty", False), ("starred", False), ("tags", "")),
        *(("params.lr", None), ("metrics.val/acc", 0.1), ("metrics.val/acc.max", 0.9), ("metrics.val/acc.goal", None)),
        *(("metrics.none", None), ("metrics.none.max", None), ("metrics.val/acc.best", 0.9)),
    ],
)
def test_a_field_goes_by_the_name_that_columns_use(field: str, value: object) -> None:
    assert fields.field_of(MIDDLE, field) == value


@pytest.mark.parametrize("field", ["zzz", "", "params", "metrics", "code.zzz", "params.", "metrics."])
def test_a_field_that_no_run_can_have_is_an_error_that_says_what_there_is(field: str) -> None:
    with pytest.raises(UsageError) as error:
        fields.field_of(MIDDLE, field)
    assert re.search(r"\b(params|metrics)\.", str(error.value.hint))


@pytest.mark.parametrize(
    ("field", "near"), [("creatd", "'created'"), ("metric.loss", "'metrics.loss'"), ("param.lr", "'params.lr'")]
)
def test_a_misspelt_field_is_an_error_that_says_which_is_near(field: str, near: str) -> None:
    with pytest.raises(UsageError) as error:
        fields.field_of(MIDDLE, field)
    assert error.value.hint == f"did you mean {near}?"


@pytest.mark.parametrize(
    ("text", "name", "statistic"),
    [
        *(("metrics.loss", "loss", "last"), ("metrics.loss.min", "loss", "min"), ("metrics.a.b.best", "a.b", "best")),
        *(("metrics.a.b", "a.b", "last"), ("metrics.min", "min", "last"), ("metrics..min", ".min", "last")),
        *(('metrics["loss.min"]', "loss.min", "last"), ('metrics["loss.min"].max', "loss.min", "max")),
        *(("metrics['a \"b']", 'a "b', "last"), ('metrics[ "\\u00e9\\n" ]', "é\n", "last")),
        *(("metrics.loss.goal", "loss.goal", "last"), ("metrics.a[0]", "a[0]", "last")),
    ],
)
def test_a_statistic_at_the_end_of_a_metric_is_always_the_statistic(text: str, name: str, statistic: str) -> None:
    assert fields.field(text) == fields.Field("metrics", name, statistic)


@pytest.mark.parametrize("text", ['metrics["a"].goal', 'metrics["a"]best', 'params["a"].b', 'params["\\ud800"]'])
def test_what_follows_a_name_in_brackets_is_a_statistic_or_nothing(text: str) -> None:
    with pytest.raises(UsageError):
        fields.field(text)


def test_every_field_of_a_run_can_be_shown_and_sorted_by() -> None:
    shown = {name: fields.field_of(NEWEST, name) for name in fields.RUN_FIELDS}
    assert {name for name, value in shown.items() if value is not None} >= {"id", "artifacts", "pushed", "tags"}
    assert [sorted(RUNS, key=fields.sort_key(name)) for name in shown]


FIELDS = st.sampled_from(
    ["params.p", "id", "name", "duration", "created", "metrics.loss", "metrics.loss.max", "tags", "starred"]
)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(-(10**400))
    | st.floats()
    | st.text(max_size=3)
    | st.lists(st.integers(), max_size=2)
)


@given(FIELDS, st.lists(VALUES, max_size=6))
def test_sorting_any_values_is_the_same_from_both_ends_but_for_the_missing(field: str, values: list[object]) -> None:
    runs = [
        made(new_run_id(at), f"n{at}", params={"p": value} if value is not None else {})
        for at, value in enumerate(values)
    ]
    runs += [NEWEST, OLDER]

    up, down = sorted(runs, key=fields.sort_key(field)), sorted(runs, key=fields.sort_key("-" + field))

    wanted, _ = fields.order(field)
    plain = {run.id: fields.plain_value(fields.value_of(run, wanted)) for run in runs}
    if field == "tags":
        plain = {run.id: ",".join(run.tags) if run.tags else None for run in runs}
    values_up, values_down = ([plain[run.id] for run in ordered] for ordered in (up, down))
    there = [value for value in values_up if value is not None]
    assert values_up == there + [None] * (len(runs) - len(there))
    assert values_down == there[::-1] + [None] * (len(runs) - len(there))
    assert [isinstance(value, str) for value in there] == sorted(isinstance(value, str) for value in there)


def test_equal_values_are_newest_first_whichever_the_direction() -> None:
    runs = [
        Run(RunId(f"r00000000000{at}"), "a", "finished", f"2026-01-0{day}T00:00:00.000Z", points=1)
        for at, day in ((1, 2), (2, 3), (3, 3), (4, 1))
    ]
    for sort in ("points", "-points", "name", "-name", "group", "-created"):
        assert [run.id[-1] for run in sorted(runs, key=fields.sort_key(sort))] == ["3", "2", "1", "4"]
