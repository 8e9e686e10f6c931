"""Archived runs in shallow clones, runs in partial clones, and single runs of any remote."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gitcmd import GitRepo
from tests.githttp import GitHttpServer
from tests.runs import ask, attempt, listed, record, shown

Project = tuple[GitRepo, GitHttpServer, list[str]]


@pytest.fixture
def project(repo: GitRepo, http_remote: GitHttpServer) -> Iterator[Project]:
    """A repository and its remote, with three archived runs of old code, one of them edited, and a newer one."""
    remote = GitRepo(http_remote.root / "project.git")
    remote.git("config", "uploadpack.allowFilter", "true")
    old = record(repo, *({"name": f"old-{number}", "params": {"n": number}} for number in range(3)))
    ask(repo, "tag", old[0], "paper")
    for number in range(3):
        repo.commit({"train.py": f"print({number})\n", f"{number}.txt": f"{number}\n"}, f"change {number}")
    repo.git("push", "--quiet", "origin", "main")
    ask(repo, "push")
    ask(repo, "archive")
    ask(repo, "push")
    [new] = record(repo, {"name": "new"})
    ask(repo, "push")
    assert len(remote.refs("refs/runs/")) == 2
    http_remote.requests.clear()
    yield repo, http_remote, [*old, new]
    remote.fsck()


def cloned(project: Project, *options: str, name: str = "clone") -> GitRepo:
    """Makes a clone over HTTP, whose requests are then forgotten."""
    clone = GitRepo.clone(project[1].url("project.git"), project[0].path.parent / name, *options)
    project[1].requests.clear()
    return clone


def state(repo: GitRepo) -> dict[str, tuple[object, ...]]:
    """Returns what a listing says of each run."""
    return {run["id"]: (run["name"], run["params"], run["tags"], run["commit"]) for run in listed(repo)}


def commits(repo: GitRepo) -> int:
    """Returns how many commits are in the clone, whether anything names them or not."""
    kinds = repo.git("cat-file", "--batch-check=%(objecttype)", "--batch-all-objects").split()
    return kinds.count("commit")


def test_a_shallow_clone_has_archived_runs_beside_it(project: Project) -> None:
    repo, http, [paper, *_] = project
    shallow = cloned(project, "--depth=1")
    had = commits(shallow)
    ask(shallow, "fetch")
    assert state(shallow) == state(repo)
    assert shown(shallow, paper)["tags"] == ["paper"]
    assert commits(shallow) == had + 2  # the newer run and the newest commit of the archive
    assert len((shallow.path / ".git" / "shallow").read_text().split()) == 2
    shallow.fsck()
    shallow.git("gc", "--quiet", "--prune=now")
    assert state(shallow) == state(repo)
    http.requests.clear()
    assert attempt(shallow, "fetch") == (0, "", "already up to date\n")
    assert len(http.requests) == 2
    # More is archived: it comes, and history ends at the newest commit of the archive only.
    ask(repo, "archive")
    ask(repo, "push")
    ask(shallow, "fetch")
    assert state(shallow) == state(repo)
    assert len((shallow.path / ".git" / "shallow").read_text().split()) == 2
    shallow.fsck()


def test_an_archived_run_that_is_edited_in_a_shallow_clone_is_all_there(project: Project) -> None:
    repo, _, [paper, other, *_] = project
    shallow = cloned(project, "--depth=1")
    ask(shallow, "fetch")
    ask(shallow, "tag", paper, "again")
    ask(repo, "tag", paper, "theirs")
    ask(shallow, "rm", other)
    shallow.fsck()
    ask(repo, "push")
    ask(shallow, "push", "--yes")
    ask(repo, "fetch")
    assert shown(repo, paper)["tags"] == ["again", "paper", "theirs"] == shown(shallow, paper)["tags"]
    assert state(shallow) == state(repo)
    shallow.fsck()


def test_when_the_clone_is_made_whole_nothing_lies_beside_it_any_more(project: Project) -> None:
    repo, *_ = project
    shallow = cloned(project, "--depth=1")
    ask(shallow, "fetch")
    shallow.git("fetch", "--quiet", "--unshallow")
    ask(shallow, "fetch")
    assert state(shallow) == state(repo)
    assert not (shallow.path / ".git" / "gittrack" / "side.git").exists()
    shallow.fsck()


@pytest.mark.parametrize("filtered", ["blob:none", "tree:0"])
def test_a_partial_clone_asks_for_the_files_of_runs_at_once_and_for_none_of_the_code(
    project: Project, filtered: str
) -> None:
    repo, http, runs = project
    partial = cloned(project, f"--filter={filtered}", "--no-checkout")
    lacking = code_files(partial)
    assert lacking
    ask(partial, "fetch")
    asked = len(http.requests)
    assert asked <= 14
    assert state(partial) == state(repo)
    assert [shown(partial, run)["params"] for run in runs] == [shown(repo, run)["params"] for run in runs]
    assert ask(partial, "diff", runs[0], runs[1])
    if filtered == "blob:none":  # folders that a filter leaves out come as git asks for them
        assert len(http.requests) == asked
    assert code_files(partial) == lacking


def code_files(repo: GitRepo) -> set[str]:
    """Returns what a partial clone lacks of the code."""
    lines = repo.git("rev-list", "--objects", "--missing=print", "HEAD").splitlines()
    return {line for line in lines if line.startswith("?")}


@pytest.mark.parametrize("options", [[], ["--depth=1"], ["--filter=blob:none"]])
def test_a_single_run_comes_without_the_others(project: Project, options: list[str]) -> None:
    repo, http, [paper, other, _, new] = project
    clone = cloned(project, *options)
    assert ask(clone, "fetch", paper[:8]) == f"new {paper}\n"
    assert len(http.requests) <= 14
    assert state(clone) == {paper: state(repo)[paper]}
    assert ask(clone, "fetch", "origin", new, other) == f"new {new}\nnew {other}\n"
    assert state(clone) == {run: state(repo)[run] for run in (paper, other, new)}
    clone.fsck()
    ask(clone, "tag", paper, "mine")
    ask(clone, "fetch")
    assert set(state(clone)) == set(state(repo))
    assert shown(clone, paper)["tags"] == ["mine", "paper"]
    ask(clone, "push", "--yes")
    ask(repo, "fetch")
    assert state(clone) == state(repo)
    clone.fsck()


def test_a_single_run_that_is_not_there_or_may_be_several_is_said(project: Project) -> None:
    clone = cloned(project)
    code, _, said = attempt(clone, "fetch", "origin", "r000000000000")
    assert (code, said.splitlines()[0]) == (3, "error: 'origin' has no run 'r000000000000'")
    code, _, said = attempt(clone, "fetch", "origin", "r")
    assert (code, said.splitlines()[1]) == (3, "cause: an id, or at least 4 characters of it, is meant")
    assert attempt(clone, "fetch", project[2][0], project[2][0][:6])[0] == 0


def test_a_server_that_sends_only_what_refs_name_sends_the_archive(project: Project) -> None:
    repo, _, [paper, *_] = project
    clone = cloned(project)
    clone.git("config", "protocol.version", "0")
    code, out, said = attempt(clone, "fetch", paper)
    assert (code, out) == (0, "new 3 archived runs\n"), said
    assert said == "the remote sends no single archived runs, so all of its archives came\n"
    assert state(clone)[paper] == state(repo)[paper]
    shallow = cloned(project, "--depth=1", name="shallow")
    shallow.git("config", "protocol.version", "0")
    code, _, said = attempt(shallow, "fetch", paper)
    assert code == 4
    assert "git fetch --unshallow" in said
