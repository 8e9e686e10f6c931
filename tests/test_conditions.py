"""What a query means, and that SQLite finds the same runs: the evaluator is the definition, SQL is measured by it."""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gittrack.codec import record
from gittrack.index import conditions, schema
from gittrack.model import Code, Metric, Run
from gittrack.query import evaluate, fields, language
from gittrack.query.condition import Compare, Condition, Not, Presence
from gittrack.refname import Oid, RunId, new_run_id
from tests import queries

POOL, EXAMPLES = 40, 300  # 24,000 pairs, for each condition is also negated


@contextmanager
def table(runs: Sequence[Run]) -> Iterator[sqlite3.Connection]:
    """Yields a connection to an index that has these runs."""
    connection = sqlite3.connect(":memory:")
    try:
        for name, arguments, function in conditions.FUNCTIONS:
            connection.create_function(name, arguments, function, deterministic=True)
        connection.executescript(schema.TABLES)
        rows = [schema.row_of(run, record.dump(record.encode(run))) for run in runs]
        connection.executemany(schema.INSERT, rows)
        seen = [(run.id, remote, run.oid, 0) for run in runs for remote in run.pushed]
        connection.executemany("INSERT INTO seen VALUES (?, ?, ?, ?)", seen)
        yield connection
    finally:
        connection.close()


def found(connection: sqlite3.Connection, condition: Condition, *sorts: str) -> list[str]:
    where, values = conditions.where(condition)
    asked = f"SELECT id FROM runs WHERE ({where}) ORDER BY {conditions.order(*sorts)}"  # noqa: S608 - it is what is tested
    return [run for (run,) in connection.execute(asked, values)]


def check(connection: sqlite3.Connection, runs: Sequence[Run], condition: Condition, sorts: list[str]) -> list[str]:
    """Compares the two ways to find runs; returns those that they find."""
    expected = sorted((run for run in runs if evaluate.matches(condition, run)), key=fields.sort_key(*sorts))
    ids = [str(run.id) for run in expected]
    assert found(connection, condition, *sorts) == ids, (condition, conditions.where(condition), sorts)
    return ids


@pytest.fixture(scope="module")
def pools() -> Iterator[list[tuple[sqlite3.Connection, list[Run]]]]:
    with ExitStack() as stack:
        runs = [queries.pool(seed, POOL) for seed in range(4)]
        yield [(stack.enter_context(table(each)), each) for each in runs]


def test_sql_finds_exactly_the_runs_for_which_a_condition_is_true_in_the_same_order(
    pools: list[tuple[sqlite3.Connection, list[Run]]],
) -> None:
    pairs = hits = 0

    @settings(max_examples=EXAMPLES)
    @given(
        st.integers(0, len(pools) - 1), queries.trees(queries.tests) | queries.trees(queries.all_tests), queries.sorts
    )
    def agree(at: int, condition: Condition, sorts: list[str]) -> None:
        nonlocal pairs, hits
        for asked in (condition, Not(condition)):
            hits += len(check(*pools[at], asked, sorts))
            pairs += POOL

    agree()
    assert pairs >= 10_000
    assert hits >= pairs / 10, "conditions that nothing meets show little"


@settings(max_examples=50)
@given(
    queries.few_runs(3), st.lists(st.tuples(queries.trees(queries.all_tests), queries.sorts), min_size=4, max_size=4)
)
def test_sql_finds_the_same_among_the_oddest_of_runs(runs: list[Run], asked: list[tuple[Condition, list[str]]]) -> None:
    with table(runs) as connection:
        for condition, sorts in asked:
            check(connection, runs, condition, sorts)


@given(queries.trees(queries.tests))
def test_every_condition_can_be_written_and_is_read_back(condition: Condition) -> None:
    assert language.parse(queries.text_of(condition)) == condition


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("_OPPOSITE", {"<": ">", "<=": ">=", ">": "<", ">=": "<="}),
        ("_MIRRORED", {}),
        ("_NEVER", "1"),
        ("_BEST", {"best": ("max", "min"), "best_step": ("min_step", "max_step")}),
        ("_NEWEST", {"created_at": "ASC", "id": "DESC"}),
        ("_is_number", lambda field: conditions._Sql("1")),
        ("_NAN", "'nan'"),
    ],
)
def test_a_compiler_with_one_mistake_is_found_out(
    right: str, wrong: object, pools: list[tuple[sqlite3.Connection, list[Run]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, right, wrong)

    @settings(max_examples=EXAMPLES, phases=[Phase.generate])
    @given(st.integers(0, len(pools) - 1), queries.trees(queries.all_tests), queries.sorts)
    def agree(at: int, condition: Condition, sorts: list[str]) -> None:
        for asked in (condition, Not(condition)):
            check(*pools[at], asked, sorts)

    with pytest.raises(AssertionError):
        agree()


# What it means ------------------------------------------------------------------------------------------------------

ONE = Run(
    RunId("r000000000001"),
    "calm-heron-42",
    "finished",
    "2026-11-23T14:51:10.123Z",
    duration=60.0,
    code=Code(commit=Oid("a" * 40), dirty=True),
    params={"lr": 1e-3, "opt": {"name": "adam"}, "amp": True, "n": "5", "big": 2**70, "sizes": [1], "x y": 0},
    metrics={
        "val/acc": Metric(0.9, 10, 0.1, 0, 0.95, 8, 0.6, 11, "max"),
        "loss": Metric(math.nan, 10, 0.5, 3, math.inf, 1, 0.7, 11),
        "loss.min": Metric(7.0, 1, 7.0, 1, 7.0, 1, 7.0, 1),
    },
    tags=("best of all", "paper"),
    starred=True,
    oid=Oid("b" * 40),
)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("metrics.val/acc > 0.9", False),
        ("metrics.val/acc >= 0.9", True),
        ("metrics.val/acc.best == 0.95 and metrics.val/acc.best_step == 8", True),
        ("metrics.val/acc.min < metrics.val/acc.mean < metrics.val/acc.max", True),
        ("0 < params.lr < 1e-2", True),
        ("0 < params.lr < 1e-9", False),
        ("metrics.loss.min == 0.5", True),
        ('metrics["loss.min"] == 7', True),
        ("metrics.loss > 0", None),
        ("not metrics.loss > 0", None),
        ("metrics.loss != 1", None),
        ("metrics.loss is nan and metrics.loss is not none", True),
        ("metrics.val/acc is nan", False),
        ("metrics.nothing is nan", None),
        ("metrics.loss.max == inf", True),
        ("metrics.loss.max > 1e308", True),
        ("metrics.loss.best is none", True),
        ("metrics.loss.best < 1", None),
        ("metrics.nothing > 0 or starred", True),
        ("metrics.nothing > 0 and starred", None),
        ("metrics.nothing > 0 and not starred", False),
        ("metrics.nothing > 0 or not starred", None),
        ("not (metrics.nothing > 0)", None),
        ("metrics.nothing is none", True),
        ("params.opt.name == 'adam'", True),
        ("params.amp", True),
        ("params.amp == true", True),
        ("params.amp == 1", True),
        ("params.amp < 2", True),
        ("params.n == 5", False),
        ("params.n != 5", True),
        ("params.n < 6", None),
        ("params.n == '5'", True),
        ("params.n", None),
        ("params.lr == '0.001'", False),
        ("params.big == 1180591620717411303424", True),
        ("params.big == 1180591620717411303425", True),
        ("params.big > 1e20", True),
        ("params.sizes == 1", None),
        ("params.sizes != 1", None),
        ("params.sizes is not none", True),
        ('params["x y"] == 0', True),
        ("params.lr in (1, 0.001)", True),
        ("params.lr not in (1, 'x')", True),
        ("params.gone not in (1, 'x')", None),
        ("params.opt.name < 'b'", True),
        ("tag == 'paper'", True),
        ("tag == 'pap'", False),
        ("tag != 'paper'", False),
        ("'x' not in tags", True),
        ("tag in ('x', 'paper')", True),
        ("tags ~ '^best'", True),
        ("tags ~ 'zzz'", False),
        ("tags is none", False),
        ("name ~ '^calm-[a-z]+-[0-9]+$'", True),
        ("name ~ '(?i)HERON'", True),
        ("not name ~ 'heron'", False),
        ("params.lr ~ '1'", None),
        ("params.opt.name ~ '^a'", True),
        ("group ~ 'x'", None),
        ("created ~ '^2026-11'", True),
        ("created == '2026-11-23T14:51:10.123Z'", True),
        ("created < '2026-11-23T15:51:10.124+01:00'", True),
        ("created > '2026-11-23'", True),
        ("ended > created", None),
        ("starred and dirty and not deleted and not pushed", True),
        ("starred == true", True),
        ("code == '" + "a" * 40 + "'", True),
        ("group == 'x'", None),
        ("group != 'x'", None),
        ("status in ('finished', 'failed')", True),
        ("duration <= 60 and points == 0 and artifacts == 0", True),
    ],
)
def test_a_query_means_the_same_to_both(text: str, meant: bool | None) -> None:
    condition = language.parse(text, date={"2026-11-23 00:00:00": 1795392000.0}.__getitem__)
    assert evaluate.truth(condition, ONE) is meant
    with table([ONE]) as connection:
        assert bool(found(connection, condition, "name")) is (meant is True)
        assert bool(found(connection, Not(condition), "name")) is (meant is False)


@pytest.mark.parametrize(
    ("values", "up"),
    [
        ([3, "b", None, 1.5, math.nan, "a", True, [1], -math.inf], [-math.inf, True, 1.5, 3, "a", "b"]),
        ([2**70, 2**53 + 1, 2**53, "5", "é", "z"], [2**53, 2**53 + 1, 2**70, "5", "z", "é"]),
    ],
)
def test_numbers_stand_before_texts_and_what_cannot_be_compared_at_the_end(values: list[Any], up: list[Any]) -> None:
    runs = [replace(ONE, id=new_run_id(at), params={"p": value}) for at, value in enumerate(values)]
    for sort, expected in (("params.p", up), ("-params.p", up[::-1])):
        ordered = sorted(runs, key=fields.sort_key(sort))
        assert [run.params["p"] for run in ordered][: len(up)] == expected
        with table(runs) as connection:
            assert found(connection, Not(Presence(fields.field("group"))), sort) == [run.id for run in ordered]


# What SQLite can do with it -----------------------------------------------------------------------------------------


def plan(connection: sqlite3.Connection, text: str, sort: str) -> str:
    where, values = conditions.where(language.parse(text))
    rows = connection.execute(
        f"EXPLAIN QUERY PLAN SELECT id FROM runs WHERE NOT deleted AND ({where}) ORDER BY {conditions.order(sort)}",  # noqa: S608 - it is what is tested
        values,
    )
    return "; ".join(row[3] for row in rows)


FAST = ("metrics.val/acc", "metrics.val/acc.best", "params.lr", 'params["x y"]', "metrics.日本", "group", "created")


@pytest.mark.parametrize("field", FAST)
@pytest.mark.parametrize("test", ["{} > 0.9", "0.9 >= {}", "0 < {} < 1", "{} == 1", "{} in (1, 2)", "not {} > 1"])
def test_a_comparison_can_use_an_index_on_the_expression_of_its_field(field: str, test: str) -> None:
    text = test.format(field)
    if field == "group":
        text = re.sub("[0-9.]+", "'x'", text)
    with table([ONE]) as connection:
        connection.execute(f"CREATE INDEX quick ON runs ({conditions.expression(fields.field(field))})")
        assert "SEARCH runs USING INDEX quick" in plan(connection, text, "name")


@pytest.mark.parametrize("field", FAST)
@pytest.mark.parametrize("down", ["", "-"])
def test_sorting_can_use_an_index_on_the_expression_of_its_field(field: str, down: str) -> None:
    with table([ONE]) as connection:
        connection.execute(f"CREATE INDEX quick ON runs ({conditions.expression(fields.field(field))})")
        said = plan(connection, "points >= 0", down + field)
    assert "USING INDEX quick" in said
    assert "FOR ORDER BY" not in said, "only what is equal is sorted"


def test_columns_are_asked_before_json_is_parsed() -> None:
    text, values = conditions.where(language.parse("metrics.a > 1 and params.b > 2 and points > 3 and params.c < 4"))
    assert values == [3, 2, 4, 1]
    assert text.index("points") < text.index("params") < text.index("record")


def test_what_the_language_allows_is_not_too_much_for_sqlite() -> None:
    deep = "starred"
    for at in range(language.MAX_DEPTH):
        deep = f"points > {at} or dirty and ({deep} or points < {at})"
    denied = "starred"
    for at in range(language.MAX_DEPTH // 2):
        denied = f"not (points > {at} or dirty and {denied})"
    queries_at_the_limits = [
        deep,
        denied,
        " or ".join(f"params.p{at} > {at}" for at in range(500)),
        " and ".join(f"not tag == 'x{at}'" for at in range(500)),
        " and ".join(f"(metrics.m > {at} or params.n == '5')" for at in range(250)),
        f"points in ({'1,' * 5000})",
    ]
    for text in queries_at_the_limits:
        condition = language.parse(text)
        with table([ONE]) as connection:
            assert bool(found(connection, condition, "name")) == evaluate.matches(condition, ONE)


@pytest.mark.parametrize(
    "name", ["a'); DROP TABLE runs; --", 'a"', "a'", "a\\", "a\n", "é", "x?y", "a]", "$", "%s", "a--b"]
)
def test_any_name_is_only_a_name(name: str) -> None:
    run = replace(ONE, params={name: 5}, metrics={name: ONE.metrics["val/acc"]})
    for of in ("params", "metrics"):
        field = fields.Field(of, name, "last" if of == "metrics" else "")
        with table([run]) as connection:
            assert found(connection, Compare(field, "<", 6), "name") == [run.id]
            assert found(connection, Compare(field, ">", 6), "name") == []
            assert found(connection, Presence(field), "name") == [run.id]
            assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)
