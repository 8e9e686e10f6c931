"""The points of runs that were recorded, that are being recorded, and that a stranger made."""

from __future__ import annotations

import contextlib
import math
from array import array
from collections.abc import Sequence
from dataclasses import replace

import pytest

import gittrack
from gittrack import histories
from gittrack.codec import history
from gittrack.errors import DataRefused, NotFound
from gittrack.git import Git
from gittrack.index.listing import Index
from gittrack.model import Column, History, Run
from gittrack.objects import Objects
from gittrack.refname import Oid
from gittrack.repo import open_repo
from tests.gitcmd import GitRepo
from tests.recording import make
from tests.rewriting import rewrite


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> histories.Kept:
    """What this test read, and no other."""
    kept = histories.Kept(1024 * 1024)
    monkeypatch.setattr(histories, "_kept", kept)
    return kept


def door(repo: GitRepo) -> Git:
    return open_repo(repo.path).git


def listed(repo: GitRepo) -> Sequence[Run]:
    """Returns all runs, oldest first."""
    return Index(door(repo)).runs()[::-1]


def values(table: History, metric: str) -> list[float]:
    return list(table.columns[metric].values)


def long(count: int) -> bytes:
    """Returns a history in columns, of one metric that counts."""
    steps = array("q", range(count))
    return history.encode_columns(History(steps, steps, {"loss": Column(array("d", steps))}))


def test_all_points_of_a_run_are_read(repo: GitRepo) -> None:
    run = make(repo, {"loss": [3, 2, math.inf], "acc": [0.5, 0.25]})
    table = histories.read(door(repo), run)
    assert list(table.steps) == [0, 1, 2]
    assert (values(table, "loss"), values(table, "acc")) == ([3, 2, math.inf], [0.5, 0.25])


def test_only_the_metrics_that_are_asked_for_are_there(repo: GitRepo) -> None:
    run = make(repo, {"loss": [3, 2], "acc": [0.5]})
    assert set(histories.read(door(repo), run, ["acc"]).columns) == {"acc"}
    assert set(histories.read(door(repo), run, ["acc", "none"]).columns) == {"acc"}


def test_many_runs_are_read_through_one_git(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [make(repo, {"loss": [number, 0.5]}) for number in range(5)]
    git = door(repo)
    started = []
    opened = Git.objects

    def counted(self: Git) -> Objects:
        started.append(self)
        return opened(self)

    monkeypatch.setattr(Git, "objects", counted)
    found = histories.read_many(git, runs, ["loss"])
    assert [values(table, "loss") for table in found] == [[number, 0.5] for number in range(5)]
    assert len(started) == 1
    assert histories.read_many(git, runs[1:3], ["loss"]) == found[1:3]
    assert len(started) == 1, "what was read is kept"


def test_a_run_without_points_has_an_empty_table(repo: GitRepo) -> None:
    run = make(repo, params={"lr": 1})
    assert histories.read(door(repo), run) == History(array("q"), array("q"), {})


def test_a_run_that_is_being_recorded_is_read_from_its_journal(repo: GitRepo) -> None:
    with contextlib.chdir(repo.path), gittrack.init() as run:
        run.log({"loss": 1.5, "acc": 0.1}, step=3)
        (running,) = listed(repo)
        assert running.oid is None
        assert values(histories.read(door(repo), running, ["loss"]), "loss") == [1.5]
        run.log({"loss": 0.5}, step=4)
        assert values(histories.read(door(repo), running, ["loss"]), "loss") == [1.5, 0.5]
    assert values(histories.read(door(repo), running), "loss") == [1.5, 0.5], "it ended while we looked"


def test_a_run_that_is_gone_on_with_has_its_earlier_points_too(repo: GitRepo) -> None:
    first = make(repo, {"loss": [3, 2]})
    with contextlib.chdir(repo.path), gittrack.init(resume=first.id) as run:
        before = next(run for run in listed(repo) if run.id == first.id)
        assert values(histories.read(door(repo), before), "loss") == [3, 2]
        run.log({"loss": 1})
        assert values(histories.read(door(repo), before, ["loss"]), "loss") == [3, 2, 1]


def test_a_run_that_is_gone_is_not_found(repo: GitRepo) -> None:
    gone = make(repo, {"loss": [1]})
    run = Run(gone.id, "heron", "running", "")
    repo.git("update-ref", "-d", f"refs/runs/{gone.id}")
    with pytest.raises(NotFound, match="heron"):
        histories.read(door(repo), run)


def test_a_damaged_history_is_refused_each_time_it_is_asked_for(repo: GitRepo) -> None:
    made = make(repo, {"loss": [1]})
    oid = rewrite(repo, made.id, files={"history.tsv": None, "history.cols": long(9)[:-1] + b"!"})
    run = replace(made, oid=Oid(oid))
    for _ in range(2):
        with pytest.raises(DataRefused) as refused:
            histories.read(door(repo), run, ["loss"])
        assert refused.value.cause == "its checksum is wrong"


def test_a_history_whose_blob_is_missing_is_no_run_without_points(repo: GitRepo) -> None:
    repo.fsck_at_teardown = False
    made = make(repo, {"loss": [1]})
    oid = rewrite(repo, made.id, files={"history.tsv": b"step\ttime\tloss\n1\t1.000\t2\n"})
    blob = repo.git("rev-parse", f"{oid}:history.tsv")
    (repo.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    run = replace(made, oid=Oid(oid))
    with pytest.raises(DataRefused, match=r"history\.tsv.* is missing"):
        histories.read(door(repo), run)


def test_a_commit_that_is_missing_is_no_run_without_points(repo: GitRepo) -> None:
    run = make(repo, {"loss": [1]})
    with pytest.raises(DataRefused, match="is missing"):
        histories.read(door(repo), replace(run, oid=Oid("1" * 40)))


def test_what_is_kept_is_bounded_and_what_was_used_last_stays() -> None:
    kept = histories.Kept(100)
    first, second, third = Oid("1" * 40), Oid("2" * 40), Oid("3" * 40)
    kept.put_file(first, first, "history.tsv", bytes(40))
    kept.put_file(second, second, "history.tsv", bytes(40))
    assert kept.file(first)
    kept.put_file(third, third, "history.tsv", bytes(40))
    assert [bool(kept.file(oid)) for oid in (first, second, third)] == [True, False, True]
    kept.put_file(second, second, "history.tsv", bytes(101))
    assert kept.file(second) is None, "more than all room"


def test_two_commits_with_one_history_keep_it_once() -> None:
    kept = histories.Kept(100)
    blob = Oid("b" * 40)
    for number in "123":
        kept.put_file(Oid(number * 40), blob, "history.cols", bytes(80))
    assert all(kept.file(Oid(number * 40)) for number in "123")


def test_a_table_counts_as_the_numbers_it_has(repo: GitRepo) -> None:
    kept = histories.Kept(100)
    commit = Oid("1" * 40)
    steps = array("q", range(4))  # 4 steps, 4 times, and 4 or 5 values of 8 bytes
    table = History(steps, steps, {"a": Column(array("d", steps))})
    kept.put_file(commit, commit, "history.tsv", b"")
    kept.put_table(commit, frozenset("a"), table)
    assert kept.table(commit, frozenset("a")) is table
    assert kept.table(commit, None) is None
    steps = array("q", range(5))
    kept.put_table(commit, None, History(steps, steps, {"a": Column(array("d", steps))}))
    assert kept.table(commit, None) is None, "it does not fit"


def test_a_metric_that_is_asked_for_next_comes_from_the_same_file(
    repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(repo, {"loss": [3, 2], "acc": [0.5, 0.75]})
    git = door(repo)
    first = histories.read(git, run, ["loss"])
    monkeypatch.setattr(Git, "objects", None)
    assert histories.read(git, run, ["loss"]) is first
    assert values(histories.read(git, run, ["acc"]), "acc") == [0.5, 0.75]
