"""Which git push a hook runs for: read from command lines, as git itself would read them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gittrack import caller
from gittrack.caller import Push, PushedRef
from gittrack.refname import Oid
from tests.gitcmd import GitRepo, run


@pytest.mark.parametrize(
    ("words", "trial", "quiet"),
    [
        ("git push", False, False),
        ("git push --dry-run origin main", True, False),
        ("git push origin main -n", True, False),
        ("/usr/libexec/git-core/git push -fnq", True, True),
        ("git -C sub -c push.default=current push --dry", True, False),
        ("git --git-dir x.git --no-pager push --dr", True, False),
        ("git push --dry-run --no-dry-run", False, False),
        ("git push --quiet --no-quiet origin", False, False),
        ("git push -o n origin", False, False),
        ("git push -on origin", False, False),
        ("git push -fon origin", False, False),
        ("git push --push-option -n origin", False, False),
        ("git push --repo -n", False, False),
        ("git push --delete origin x", False, False),
        ("git push origin -- -n", False, False),
        ("git-push -n", True, False),
    ],
)
def test_a_push_says_in_its_words_whether_it_is_a_trial(words: str, trial: bool, quiet: bool) -> None:
    found = caller.read(words.split())
    assert found
    assert (found.trial, found.quiet) == (trial, quiet)


def test_a_push_says_what_it_mirrors_and_names() -> None:
    assert caller.read("git push --mirror lab".split()) == Push(mirror=True, words=("lab",))
    assert caller.read("git push --pru --mi --no-mirror x a:b -- -c".split()) == Push(
        prune=True, words=("x", "a:b", "-c")
    )
    assert caller.read("git push --progress --porcelain".split()) == Push()


@pytest.mark.parametrize(
    "words", ["", "git", "git -C push status", "git commit push", "sh -c push", "git track push -n"]
)
def test_what_is_no_push_of_git_is_none(words: str) -> None:
    assert caller.read(words.split()) is None


def test_the_nearest_push_above_is_the_one_that_is_meant() -> None:
    table = {9: (7, ["sh", "hook"]), 7: (5, ["git", "push", "-n"]), 5: (1, ["git", "push", "-q"])}
    assert caller.nearest(9, table.get) == Push(trial=True)
    assert caller.nearest(5, table.get) == Push(quiet=True)
    assert caller.nearest(4, table.get) == Push()


def test_a_chain_of_processes_without_an_end_is_left() -> None:
    assert caller.nearest(9, lambda _: (9, ["sh"])) == Push()


@pytest.mark.parametrize("ask", ["_from_proc", "_from_ps"])
def test_the_system_tells_parent_and_words_of_a_process(ask: str) -> None:
    found = getattr(caller, ask)(os.getpid())
    if found is None:
        pytest.skip("this system does not tell")
    parent, words = found
    assert parent == os.getppid()
    assert words
    assert getattr(caller, ask)(2**22 + 1) is None


def test_a_hook_finds_its_git_through_shells_and_aliases(repo: GitRepo, bare_remote: GitRepo) -> None:
    script = repo.path.parent / "tell.py"
    script.write_text("from gittrack import caller\nprint(caller.push())\n", "utf-8")
    hook = repo.path / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n(env '{sys.executable}' '{script}'; true) >'{repo.path.parent}/told'\n", "utf-8")
    hook.chmod(0o755)
    repo.git("config", "alias.try", "push --dry-run")
    told = Path(repo.path.parent, "told")
    for words, trial in ((["try", "origin"], True), (["push", "origin"], False)):
        run(["git", *words], cwd=repo.path)
        assert told.read_text("utf-8") == f"{Push(trial=trial, words=('origin',))}\n"


def test_lines_of_git_are_read_and_others_passed_over() -> None:
    one, none = "1" * 40, "0" * 40
    text = f"HEAD~2 {one} refs/heads/a {none}\n(delete) {none} refs/runs/x {one}\n\nnonsense\na b c d\n"
    assert caller.read_refs(text) == [
        PushedRef("HEAD~2", Oid(one), "refs/heads/a", None),
        PushedRef("(delete)", None, "refs/runs/x", Oid(one)),
    ]
    assert caller.read_refs("") == []
