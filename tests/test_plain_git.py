"""Plain `git pull` brings runs, and plain `git push` takes them along, once `git track init` was run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.hooking import push, runs_of
from tests.recording import make
from tests.runs import ask, listed, shown
from tests.sharing import host


@pytest.mark.parametrize("kind", ["path", "http", "ssh"])
def test_two_people_share_runs_with_plain_git_alone(repo: GitRepo, tmp_path: Path, kind: str) -> None:
    with host(kind, tmp_path) as there:
        there.introduce(repo)
        repo.git("push", "--quiet", "--set-upstream", "origin", "main")
        there.bare.git("symbolic-ref", "HEAD", "refs/heads/main")
        bob = there.clone(tmp_path / "bob")
        for each in (repo, bob):
            ask(each, "init", "-y")

        repo.commit({"train.py": "2\n"}, "better")
        make(repo, {"loss": [2, 1]}, name="one")
        push(repo)
        assert runs_of(there.bare) == runs_of(repo) != {}

        bob.git("pull", "--quiet")
        assert [(run["name"], run["metrics"]["loss"]["last"]) for run in listed(bob)] == [("one", 1)]
        ask(bob, "tag", "one", "paper")
        make(bob, name="two")
        push(bob)

        ask(repo, "edit", "one", "--star")
        repo.git("pull", "--quiet")
        assert {run["name"] for run in listed(repo)} == {"one", "two"}
        assert (shown(repo, "one")["tags"], shown(repo, "one")["starred"]) == (["paper"], True)
        push(repo)
        bob.git("fetch", "--quiet")
        assert shown(bob, "one")["starred"]
        assert runs_of(bob) == runs_of(repo) == runs_of(there.bare)
        for each in (repo, bob):
            each.fsck()


def test_a_fetch_that_prunes_loses_no_run(repo: GitRepo, bare_remote: GitRepo) -> None:
    ask(repo, "init", "-y")
    make(repo, name="here alone")
    push(repo, "--no-verify")
    repo.git("fetch", "--prune")
    repo.git("pull", "--quiet", "--prune")
    assert [run["name"] for run in listed(repo)] == ["here alone"]


def test_a_clone_that_has_our_refspec_pulls_the_branch_as_before(repo: GitRepo, colleague: GitRepo) -> None:
    ask(colleague, "init", "-y")
    repo.commit({"train.py": "2\n"}, "better")
    repo.git("push", "--quiet")
    colleague.git("pull", "--quiet")
    assert colleague.git("rev-parse", "HEAD") == repo.git("rev-parse", "HEAD")
