"""A long list, a page at a time: the first page waits for no other, and knows what is best all the same."""

from __future__ import annotations

import math
import re

import pytest

from gittrack.index.listing import Index
from gittrack.model import Goal
from gittrack.repo import open_repo
from tests.gitcmd import GitRepo
from tests.index import making
from tests.runs import ask, record
from tests.terminals import on_a_terminal


def opened(repo: GitRepo) -> Index:
    return Index(open_repo(repo.path).git)


@pytest.fixture
def many(repo: GitRepo) -> GitRepo:
    """A repository with more runs than the first page is laid out from."""
    made = making.versions(repo, runs=620, each=1)
    lines = "".join(f"create refs/runs/{run} {found[0].oid}\n" for run, found in made.items())
    repo.git("update-ref", "--stdin", input=lines)
    return repo


def test_a_long_list_on_a_terminal_is_the_list_that_a_pipe_has(many: GitRepo) -> None:
    many.git("config", "core.pager", "sed s/^/paged:/")

    _, seen = on_a_terminal(["git", "track", "ls"], cwd=many.path, columns=100, rows=20)

    lines = seen.decode().splitlines()
    assert all(line.startswith("paged:") for line in lines)
    names = ask(many, "ls", "--format", "%(name)").split()
    assert [line.removeprefix("paged:").split()[0] for line in lines[1:]] == names
    assert len(names) == 620
    assert [line for line in lines if "*" in line] == lines[1:2], "the best of all, not of each page"
    assert len({re.search(r"finished", line).start() for line in lines[1:] if "finished" in line}) == 1  # type: ignore[union-attr]


def test_a_list_is_read_as_it_is_looked_at_and_goes_on_where_the_index_is_damaged(many: GitRepo) -> None:
    index = opened(many)
    whole = index.runs()
    index._database.connection.execute("UPDATE runs SET record = '{}' WHERE name = ?", (whole[400].name,))
    count = "SELECT count(*) FROM runs WHERE record = '{}'"

    flow = index.each()
    first = [next(flow) for _ in range(300)]
    damaged = index._ask(count)

    assert damaged == [(1,)], "the run after them was not looked at, or the index would have been made again"
    assert first + list(flow) == whole
    assert index._ask(count) == [(0,)]


EVIL = ('a"b', "\u4e16\u754c", "a\\b", "a.b[0]", "$", "x' OR 1 --", "with space")


def test_the_extremes_of_a_metric_are_those_of_all_runs_whatever_its_name(repo: GitRepo) -> None:
    record(
        repo,
        {"metrics": {"m": [3, 1, 2], "only": [5], **{name: [1] for name in EVIL}}},
        {"metrics": {"m": [8, 7], "bad": ["nan"], "odd": ["nan", 1], **{name: [2] for name in EVIL}}},
        {"metrics": {"m": [-4, 9], "odd": ["inf", 2]}},
    )
    index = opened(repo)

    def extremes(name: str, statistic: Goal) -> tuple[float, float] | None:
        return index.extremes(name, statistic)

    assert (extremes("m", "max"), extremes("m", "min")) == ((3, 9), (-4, 7))
    assert extremes("only", "max") == (5, 5)
    assert (extremes("none", "max"), extremes("bad", "max"), extremes("\ud800", "max")) == (None, None, None)
    assert extremes("odd", "max") == (1, math.inf)
    assert [extremes(name, "max") for name in EVIL] == [(1, 2)] * len(EVIL)


def test_a_run_that_is_still_recorded_counts_for_the_extremes(repo: GitRepo) -> None:
    record(repo, {"metrics": {"m": [1]}})
    repo.track("start", "--name", "open")
    repo.track("add", "-m", "m=7")

    assert opened(repo).extremes("m", "max") == (1, 7)
    repo.track("rm", "@{-1}")
    assert opened(repo).extremes("m", "max") == (7, 7)
    assert [run.name for run in opened(repo).each()] == ["open"]
