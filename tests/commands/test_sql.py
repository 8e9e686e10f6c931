"""`git track sql`: read-only questions to the index."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.gitcmd import GitRepo, run
from tests.runs import ask, attempt, record


def rows(repo: GitRepo, select: str, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ask(repo, "sql", "--json", *options, select))
    return found


@pytest.fixture
def three(repo: GitRepo) -> GitRepo:
    """A repository with three runs."""
    record(
        repo,
        {"name": "one", "params": {"lr": 0.1, "opt": {"name": "adam"}}, "metrics": {"loss": [3, 1, 2]}, "tags": ["a"]},
        {
            "name": "two",
            "params": {"lr": 10},
            "metrics": {"loss": ["nan"], "acc": [0.5, 0.75]},
            "goals": {"acc": "max"},
        },
        {"name": "three", "params": {"lr": math.inf}, "exit_code": 1, "tags": ["a", "b"]},
    )
    return repo


def test_runs_params_metrics_and_tags_are_tables(three: GitRepo) -> None:
    assert rows(three, "SELECT name, status, exit_code FROM runs ORDER BY created_at") == [
        {"name": "one", "status": "finished", "exit_code": 0},
        {"name": "two", "status": "finished", "exit_code": 0},
        {"name": "three", "status": "failed", "exit_code": 1},
    ]
    joined = "SELECT runs.name, value FROM runs JOIN params ON run = id WHERE params.name = 'lr' ORDER BY value"
    assert [list(row.values()) for row in rows(three, joined)] == [["one", 0.1], ["two", 10], ["three", "inf"]]
    assert rows(three, "SELECT count(*) AS n FROM params WHERE name = 'opt.name' AND value = 'adam'") == [{"n": 1}]
    assert rows(
        three,
        "SELECT last, min, max, mean, step, count, goal, best FROM metrics WHERE name = 'loss' ORDER BY last IS NULL",
    ) == [
        {"last": 2.0, "min": 1.0, "max": 3.0, "mean": 2.0, "step": 2, "count": 3, "goal": None, "best": None},
        {"last": None, "min": None, "max": None, "mean": None, "step": 0, "count": 1, "goal": None, "best": None},
    ]
    assert rows(three, "SELECT best FROM metrics WHERE name = 'acc'") == [{"best": 0.75}]
    assert rows(three, "SELECT tag, count(*) AS n FROM tags GROUP BY tag") == [
        {"tag": "a", "n": 2},
        {"tag": "b", "n": 1},
    ]
    assert rows(three, "SELECT json_extract(metrics, '$.acc[0]') AS acc FROM runs WHERE name = 'two'") == [
        {"acc": 0.75}
    ]


def test_runs_that_are_recorded_now_are_rows_too(three: GitRepo) -> None:
    three.track("start", "--name", "live")
    three.track("add", "-m", "loss=0.5", "-p", "lr=7")

    assert rows(three, "SELECT name FROM runs WHERE status = 'running'") == [{"name": "live"}]
    assert rows(three, "SELECT value FROM params JOIN runs ON run = id WHERE runs.name = 'live'") == [{"value": 7}]
    assert rows(three, "SELECT last FROM metrics JOIN runs ON run = id WHERE runs.name = 'live'") == [{"last": 0.5}]


def test_deleted_runs_are_there_for_who_asks(three: GitRepo) -> None:
    three.track("rm", "one")

    assert rows(three, "SELECT count(*) AS n FROM runs") == [{"n": 2}]
    assert rows(three, "SELECT name FROM runs WHERE deleted", "--all") == [{"name": "one"}]


def test_where_runs_were_pushed_is_a_table(three: GitRepo, bare_remote: GitRepo) -> None:
    three.track("push", "one")

    assert rows(three, "SELECT name, remote FROM runs JOIN pushed ON run = id") == [{"name": "one", "remote": "origin"}]


@pytest.mark.parametrize(
    "select",
    [
        "DELETE FROM runs",
        "UPDATE runs SET name = 'x'",
        "DROP TABLE main.runs",
        "CREATE TABLE x (y)",
        "ATTACH 'other.db' AS other",
        "PRAGMA query_only = 0",
        "VACUUM INTO 'copy.db'",
        "SELECT load_extension('x')",
        "SELECT 1; SELECT 2",
        "nonsense",
        "SELECT nothing FROM runs",
        "SELECT '\ud800'",
    ],
)
def test_what_is_no_question_is_refused_in_a_line(three: GitRepo, select: str) -> None:
    code, out, err = attempt(three, "sql", select)

    assert (code, out) == (2, "")
    assert [line.split(": ")[0] for line in err.splitlines()] == ["error", "cause", "hint"]
    assert len(rows(three, "SELECT * FROM runs")) == 3
    assert not (three.path / "copy.db").exists()
    assert not (three.path / "other.db").exists()


def test_every_form_of_output_has_the_rows(three: GitRepo) -> None:
    select = "SELECT name, points FROM runs ORDER BY name"

    assert [line.split() for line in ask(three, "sql", select).splitlines()] == [
        ["name", "points"],
        ["one", "3"],
        ["three", "0"],
        ["two", "3"],
    ]
    assert ask(three, "sql", "--csv", select) == "name,points\none,3\nthree,0\ntwo,3\n"
    assert json.loads(ask(three, "sql", "--jsonl", select).splitlines()[0]) == {"name": "one", "points": 3}
    assert "| two | 3 |" in ask(three, "sql", "--md", select)
    assert ask(three, "sql", "SELECT name FROM runs WHERE 0").split() == ["name"]


def test_the_question_may_come_from_the_standard_input(three: GitRepo) -> None:
    done = run(["git", "track", "sql", "--csv", "-"], cwd=three.path, input="SELECT count(*) AS n\nFROM runs\n")

    assert done.stdout == "n\n3\n"


def test_hostile_texts_do_not_reach_the_terminal(repo: GitRepo) -> None:
    record(repo, {"name": "\x1b[31mred", "tags": ["a\x1b]0;x\x07"]})

    for options in ([], ["--md"]):
        assert "\x1b" not in ask(repo, "sql", *options, 'SELECT name, tags, name AS "\x1b[1m" FROM runs')


def test_bytes_and_texts_that_are_none_are_shown_as_texts(three: GitRepo) -> None:
    assert rows(three, "SELECT x'00ff' AS b, CAST(x'ff41' AS TEXT) AS t") == [{"b": "00ff", "t": "\ufffdA"}]
    assert attempt(three, "sql", "")[0] == attempt(three, "sql", "-- nothing")[0] == 2
