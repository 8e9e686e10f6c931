"""Runs in shallow clones: they come, they go, and the clone is as deep as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.runs import ask, attempt, listed, record, shown

DEPTH = 12


@pytest.fixture
def history(repo: GitRepo, bare_remote: GitRepo) -> tuple[GitRepo, GitRepo, list[str]]:
    """A repository with a history, its remote, and three runs there: of an old commit, with an edit, of the newest."""
    repo.commit({f"old/{number}.txt": f"{number}\n" for number in range(20)}, "add files")
    [first] = record(repo, {"name": "first", "params": {"lr": 0.1}, "metrics": {"loss": [3, 2, 1]}})
    for number in range(DEPTH):
        repo.commit({"train.py": f'print("{number}")\n', f"old/{number}.txt": "changed\n"}, f"change {number}")
    (repo.path / "train.py").write_text("uncommitted\n", encoding="utf-8")
    [dirty] = record(repo, {"name": "dirty", "metrics": {"loss": [3, 2]}})
    repo.git("checkout", "--quiet", "train.py")
    for number in range(DEPTH):
        repo.commit({"train.py": f'print("more {number}")\n'}, f"more {number}")
    [newest] = record(repo, {"name": "newest", "metrics": {"loss": [1]}})
    ask(repo, "tag", first, "paper")
    ask(repo, "edit", first, "--note", "the one")
    repo.git("push", "--quiet", "origin", "main")
    assert attempt(repo, "push", "--yes")[0] == 0
    return repo, bare_remote, [first, dirty, newest]


def shallow_clone(remote: GitRepo, *options: str, url: str = "") -> GitRepo:
    """Makes a clone beside the remote; a path is no shallow clone, so by default over file://."""
    remote.git("config", "uploadpack.allowFilter", "true")
    return GitRepo.clone(url or f"file://{remote.path}", remote.path.parent / "shallow", *options)


def code_objects(repo: GitRepo) -> set[str]:
    """Returns everything that is here of the code."""
    return set(repo.git("rev-list", "--objects", "HEAD", "--branches", "--remotes").split("\n"))


@pytest.mark.parametrize("options", [["--depth=1"], ["--depth=3"], ["--depth=1", "--filter=blob:none"]])
def test_runs_come_and_the_history_of_code_does_not(
    history: tuple[GitRepo, GitRepo, list[str]], options: list[str]
) -> None:
    repo, remote, runs = history
    shallow = shallow_clone(remote, *options)
    commits, before = shallow.git("rev-list", "--count", "--all"), shallow.git("count-objects", "-v")
    depth = shallow.git("rev-list", "--count", "HEAD")
    had = code_objects(shallow)
    ask(shallow, "fetch")
    assert {run["id"]: run for run in listed(shallow)} == {run["id"]: run for run in listed(repo)}
    assert [shown(shallow, run)["metrics"] for run in runs] == [shown(repo, run)["metrics"] for run in runs]
    assert shallow.git("rev-list", "--count", "HEAD") == depth
    assert code_objects(shallow) == had
    # five commits of runs and nothing else: no commit of code came.
    assert int(shallow.git("rev-list", "--count", "--all")) == int(commits) + 5, before
    shallow.fsck()
    assert attempt(shallow, "fetch") == (0, "", "already up to date\n")
