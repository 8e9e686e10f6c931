"""A field that is asked for often has an index, and answers are the same with it."""

from __future__ import annotations

import sqlite3

import pytest

from gittrack.index import database, listing, speeding
from gittrack.index.listing import Index
from gittrack.query import language
from gittrack.repo import open_repo
from tests.gitcmd import GitRepo
from tests.index.making import move, refs_of_runs, versions

ASKED = 'metrics.acc >= 10 and params.lr < 3 and params["opt.name"] == "adam"'


@pytest.fixture
def index(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> Index:
    """The index of 40 runs, in which every question is a slow one."""
    made = versions(repo, runs=40, each=2)
    move(repo, {f"refs/runs/{name}": found[0].oid for name, found in made.items()})
    monkeypatch.setattr(listing, "SLOW_SECONDS", -1.0)
    return Index(open_repo(repo.path).git)


def made(repo: GitRepo) -> list[str]:
    """Returns the expressions that have an index."""
    found = database.find(repo.path / ".git/gittrack/index")
    assert found is not None
    rows = found.connection.execute("SELECT expression FROM fast").fetchall()
    names = {name for (name,) in found.connection.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'fast_%'")}
    found.close()
    assert names == {speeding._name(expression) for (expression,) in rows}
    return [expression for (expression,) in rows]


def test_what_was_asked_for_gets_an_index_and_the_answer_stays(repo: GitRepo, index: Index) -> None:
    condition = language.parse(ASKED)
    first = index.select(condition, order=("-metrics.acc",), limit=5)

    assert [run.name for run in first] == [f"run-{number}-v0" for number in (23, 22, 21, 20, 19)]
    assert len(made(repo)) == 3
    again = Index(open_repo(repo.path).git)
    assert again.select(condition, order=("-metrics.acc",), limit=5) == first
    said = again._ask(f"EXPLAIN QUERY PLAN SELECT id FROM runs WHERE {made(repo)[0]} > 3")  # noqa: S608 - a test
    assert "USING INDEX fast_" in said[0][3] or "USING COVERING INDEX fast_" in said[0][3]


def test_there_are_never_too_many(repo: GitRepo, index: Index) -> None:
    for number in range(20):
        index.select(language.parse(f"params.p{number} > 1"))

    found = made(repo)
    assert len(found) == speeding.MOST
    assert all(f"p{number}" in " ".join(found) for number in range(12, 20)), "the newest stay"


def test_runs_that_come_later_are_found_through_it(repo: GitRepo, index: Index) -> None:
    condition = language.parse("metrics.acc == 7")
    index.select(condition)
    oids = refs_of_runs(repo)
    [seventh] = [run.id for run in index.runs() if run.name == "run-7-v0"]
    move(repo, {f"refs/runs/{seventh}": None})
    index.refresh()
    assert index.select(condition) == []
    move(repo, {f"refs/runs/{seventh}": oids[seventh]})
    index.refresh()
    assert [run.id for run in index.select(condition)] == [seventh]


def test_a_name_that_only_python_can_look_up_gets_none(repo: GitRepo, index: Index) -> None:
    assert index.select(language.parse('params["\u65e5"] > 1')) == []
    assert made(repo) == []


def test_an_index_that_cannot_be_written_is_asked_all_the_same(
    repo: GitRepo, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(speeding, "_name", full)
    assert len(index.select(language.parse("metrics.acc > 30"))) == 9
