"""Gates: code is held up only where somebody asked for it, and then always."""

from __future__ import annotations

from pathlib import Path

import pytest

from gittrack import gates, repo
from gittrack.caller import PushedRef
from gittrack.errors import UsageError
from gittrack.gates import Decision
from gittrack.refname import Oid
from tests.gitcmd import GitRepo
from tests.runs import ask, record

STANDARD = """\
metrics:
  acc: {required: true, min: 0, max: 1}
gates:
  release:
    branches: [main, "release/*"]
    paths: [train.py]
    run: true
    where: metrics.acc.max >= 0.5
"""


@pytest.fixture
def guarded(repo: GitRepo, bare_remote: GitRepo) -> GitRepo:
    """A repository with a standard that its newest commit holds, and that the remote does not have yet."""
    repo.commit({"gittrack.yaml": STANDARD}, "say what runs must have")
    return repo


def pushed(where: GitRepo, branch: str = "main", *, revision: str = "HEAD") -> PushedRef:
    local = Oid(where.git("rev-parse", revision))
    remote = Oid(where.git("rev-parse", "origin/main"))
    return PushedRef(f"refs/heads/{branch}", local, f"refs/heads/{branch}", remote if branch == "main" else None)


def decided(where: GitRepo, *updates: PushedRef, runs_pushed: bool | None = None) -> Decision:
    """Returns what is decided about a push, as a hook in the work tree asks."""
    return gates.decide(repo.open_repo(Path(where.path)), updates or [pushed(where)], runs_pushed=runs_pushed)


def good(where: GitRepo, **spec: object) -> str:
    return record(where, {"name": "good", "metrics": {"acc": [0.4, 0.6]}, **spec})[0]


def test_nobody_who_asked_for_no_gate_is_told_anything(guarded: GitRepo) -> None:
    record(guarded, {"metrics": {"acc": [7]}})

    assert decided(guarded) == Decision()
    assert decided(guarded, runs_pushed=True) == Decision()


def test_a_commit_without_the_run_that_its_standard_demands_is_blocked(guarded: GitRepo) -> None:
    guarded.git("config", "track.gate", "block")

    said = decided(guarded)

    assert said.blocked
    commit = guarded.git("rev-parse", "HEAD")[:10]
    assert said.lines[0] == (
        f"gittrack: commit {commit}: gates.release asks for a finished run of this code, and there is none"
    )
    assert said.lines[1:3] == (
        "error: what is pushed does not meet 'gittrack.yaml' in 1 point(s)",
        "cause: track.gate is 'block'",
    )
    good(guarded)
    assert decided(guarded) == Decision()


def test_a_warning_says_the_same_and_stops_nothing(guarded: GitRepo) -> None:
    guarded.git("config", "track.gate", "warn")

    said = decided(guarded)

    assert not said.blocked
    assert "there is none" in said.lines[0]
    assert said.lines[-1].startswith("warning: ")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([0.6, 2], "metrics.acc is 2, and at most 1 is asked for"),
        ([-1, 0.6], "metrics.acc is -1, and at least 0 is asked for"),
        ([0.1, 0.2], "gates.release asks for metrics.acc.max >= 0.5, and run it does not meet that"),
    ],
)
def test_a_run_that_does_not_meet_the_standard_blocks_its_commit(
    guarded: GitRepo, values: list[float], problem: str
) -> None:
    guarded.git("config", "track.gate", "block")
    record(guarded, {"name": "it", "metrics": {"acc": values}})

    said = decided(guarded)

    assert said.blocked
    assert problem in said.lines[0]


def test_a_failed_run_is_neither_judged_nor_counted(guarded: GitRepo) -> None:
    guarded.git("config", "track.gate", "block")
    record(guarded, {"name": "broken", "metrics": {"acc": [9]}, "exit_code": 1})

    said = decided(guarded)

    assert len([line for line in said.lines if line.startswith("gittrack: ")]) == 1
    assert "there is none" in said.lines[0]


def test_a_run_that_was_deleted_does_not_count_against_its_commit(guarded: GitRepo) -> None:
    guarded.git("config", "track.gate", "block")
    bad = record(guarded, {"name": "bad", "metrics": {"acc": [9]}})[0]
    good(guarded)
    assert decided(guarded).blocked

    ask(guarded, "rm", bad)

    assert decided(guarded) == Decision()


def test_a_run_of_other_code_counts_while_the_paths_of_the_gate_are_the_same(guarded: GitRepo) -> None:
    guarded.git("config", "track.gate", "block")
    good(guarded)
    guarded.commit({"README": "words\n"}, "only words")
    assert decided(guarded) == Decision()

    guarded.commit({"train.py": "other\n"}, "other code")

    assert "there is none" in decided(guarded).lines[0]


def test_uncommitted_changes_that_were_committed_afterwards_are_the_same_code(guarded: GitRepo) -> None:
    guarded.git("config", "track.gate", "block")
    (guarded.path / "train.py").write_text("better\n", encoding="utf-8")
    good(guarded)
    assert decided(guarded).blocked  # HEAD is not what ran

    guarded.commit({}, "what ran")

    assert decided(guarded) == Decision()


def test_a_gate_looks_only_at_its_branches_and_only_code_is_gated(guarded: GitRepo) -> None:
    guarded.git("config", "track.gate", "block")
    head = Oid(guarded.git("rev-parse", "HEAD"))

    assert decided(guarded, pushed(guarded, "experiment")) == Decision()
    assert decided(guarded, pushed(guarded, "release/1.0")).blocked
    assert decided(guarded, PushedRef("(delete)", None, "refs/heads/main", head)) == Decision()
    assert decided(guarded, PushedRef("refs/runs/x", head, "refs/runs/x", None)) == Decision()


def test_the_runs_of_older_commits_of_a_push_are_judged_too(guarded: GitRepo) -> None:
    guarded.git("config", "track.gate", "block")
    record(guarded, {"name": "early", "metrics": {"acc": [9]}})
    guarded.commit({"train.py": "better\n"}, "better")
    good(guarded)

    said = decided(guarded)
    assert said.blocked
    assert "run early" in said.lines[0]

    guarded.git("push", "--quiet", "origin", "HEAD~1:main")
    assert decided(guarded) == Decision()


def test_an_annotated_tag_is_judged_by_the_commit_that_it_names(guarded: GitRepo) -> None:
    guarded.git("config", "track.gate", "block")
    guarded.commit({"gittrack.yaml": STANDARD.replace("main", "refs/tags/v*")}, "gate tags")
    guarded.git("tag", "-a", "-m", "one", "v1")
    tag = PushedRef("refs/tags/v1", Oid(guarded.git("rev-parse", "v1")), "refs/tags/v1", None)

    assert decided(guarded, tag).blocked
    good(guarded)
    assert decided(guarded, tag) == Decision()


def test_a_standard_that_cannot_be_read_blocks_only_who_asked_for_it(guarded: GitRepo) -> None:
    guarded.commit({"gittrack.yaml": "metrics: {acc: {requierd: true}}\n"}, "misspell it")

    assert decided(guarded) == Decision()
    guarded.git("config", "track.gate", "warn")
    said = decided(guarded)
    assert not said.blocked
    assert said.lines[0].startswith("warning: cannot read ")
    assert "line 1: key 'metrics.acc.requierd' is not known; did you mean 'required'?" in said.lines[1]
    guarded.git("config", "track.gate", "block")
    assert decided(guarded).blocked


def test_runs_that_could_not_be_pushed_stop_code_only_where_they_are_required(guarded: GitRepo) -> None:
    said = decided(guarded, runs_pushed=False)
    assert not said.blocked
    assert said.lines[0] == "warning: the runs of this code could not be pushed; they are kept here"

    guarded.git("config", "track.pushPolicy", "require")

    said = decided(guarded, runs_pushed=False)
    assert said.blocked
    assert [line.split(": ")[0] for line in said.lines] == ["error", "cause", "hint"]
    assert decided(guarded, runs_pushed=None) == decided(guarded, runs_pushed=True) == Decision()
    gone = PushedRef("(delete)", None, "refs/heads/old", Oid(guarded.git("rev-parse", "HEAD")))
    assert decided(guarded, gone, runs_pushed=False) == Decision()


@pytest.mark.parametrize("key", ["gate", "pushPolicy"])
def test_a_setting_that_is_none_is_an_error(guarded: GitRepo, key: str) -> None:
    guarded.git("config", f"track.{key}", "perhaps")

    with pytest.raises(UsageError, match=f"track.{key} is 'perhaps'"):
        decided(guarded)


def test_what_a_run_and_a_file_say_reaches_a_terminal_escaped(guarded: GitRepo) -> None:
    guarded.git("config", "track.gate", "warn")
    guarded.commit({"gittrack.yaml": 'params: {"a\\e[31mb": {required: true}}\n'}, "odd")
    record(guarded, {"name": "x\x1b[31my"})

    said = "".join(decided(guarded).lines)

    assert "\x1b" not in said
    assert "x\\x1b[31my" in said
    assert "a\\x1b[31mb" in said
