"""`git track pull`: a colleague sees the same run, byte for byte, and can go on from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import add_origin
from tests.gitcmd import GitRepo
from tests.githttp import GitHttpServer
from tests.runs import ask, attempt, listed, record, shown


def told(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns what runs say, without what only this clone knows."""
    return [{key: value for key, value in run.items() if key != "pushed"} for run in runs]


@pytest.fixture(params=["path", "http"])
def pair(request: pytest.FixtureRequest, repo: GitRepo, tmp_path: Path) -> tuple[GitRepo, GitRepo]:
    """A repository and a colleague's clone of its remote, over a path and over smart HTTP."""
    if request.param == "http":
        server: GitHttpServer = request.getfixturevalue("http_remote")
        url = server.url("project.git")
    else:
        url = str(GitRepo.init(tmp_path / "remote.git", "--bare").path)
        add_origin(repo, url)
    clone = GitRepo.clone(url, tmp_path / "clone")
    clone.git("config", "user.name", "Bob Colleague")
    clone.git("config", "user.email", "bob@example.org")
    return repo, clone


def test_a_colleague_sees_the_same_runs_and_gets_the_exact_code(pair: tuple[GitRepo, GitRepo]) -> None:
    repo, clone = pair
    (repo.path / "train.py").write_text("dirty\n", encoding="utf-8")
    (repo.path / "new.bin").write_bytes(bytes(range(256)))
    record(
        repo,
        {"name": "one", "params": {"lr": 0.1, "s": "\u00fc"}, "metrics": {"loss": [3, "nan", 1]}, "tags": ["t"]},
        {"name": "two", "files": {"out/a.txt": "x"}, "exit_code": 2},
    )
    repo.track("edit", "one", "-m", "a note")
    repo.track("push", "--yes")

    clone.track("pull")

    assert told(listed(clone)) == told(listed(repo))
    assert clone.refs("refs/runs/") == repo.refs("refs/runs/")
    assert told([shown(clone, "one")]) == told([shown(repo, "one")])
    clone.track("checkout", "one", "../code")
    assert (clone.path.parent / "code" / "new.bin").read_bytes() == bytes(range(256))
    assert (clone.path.parent / "code" / "train.py").read_text(encoding="utf-8") == "dirty\n"
    assert clone.track("fsck").stderr == "2 run(s) are sound\n"
    clone.fsck()


@pytest.mark.slow
def test_edits_on_both_sides_are_joined_and_both_end_at_the_same_commits(pair: tuple[GitRepo, GitRepo]) -> None:
    repo, clone = pair
    record(repo, {"name": "one", "tags": ["old"]}, {"name": "two"})
    ask(repo, "push")
    ask(clone, "pull")
    ask(repo, "tag", "one", "ada")
    ask(repo, "edit", "one", "-m", "from ada", "--name", "renamed")
    ask(clone, "tag", "one", "bob")
    ask(clone, "tag", "-d", "one", "old")
    ask(clone, "edit", "one", "-m", "from bob")
    ask(clone, "tag", "two", "bob")
    ask(repo, "push")

    done = clone.track("push")

    assert "joined r" in done.stderr
    repo.track("pull")
    assert repo.refs("refs/runs/") == clone.refs("refs/runs/")
    first = shown(repo, "renamed")
    assert (first["tags"], set(first["notes"])) == (["ada", "bob"], {"from ada", "from bob"})
    assert told(listed(clone)) == told(listed(repo))
    before = repo.refs("refs/runs/")
    for each in (clone, repo, clone):
        ask(each, "pull")
        assert attempt(each, "push") == (0, "", "everything up-to-date\n")
    assert repo.refs("refs/runs/") == clone.refs("refs/runs/") == before
    joins = repo.git("log", "--format=%an %ae", "--grep=^Join: 1$", f"refs/runs/{first['id']}")
    assert joins == "gittrack gittrack@localhost"


def test_a_delete_travels_and_so_does_its_undoing(pair: tuple[GitRepo, GitRepo]) -> None:
    repo, clone = pair
    record(repo, {"name": "one"})
    ask(repo, "push")
    ask(clone, "pull")
    repo.track("rm", "one")
    repo.track("push")
    clone.track("pull")
    assert (listed(clone), len(listed(clone, "-a"))) == ([], 1)

    clone.track("rm", "--undo", "one")
    clone.track("push")
    repo.track("pull")
    assert [run["name"] for run in listed(repo)] == ["one"]


def test_a_colleague_goes_on_where_only_they_have_the_newest_edit(pair: tuple[GitRepo, GitRepo]) -> None:
    repo, clone = pair
    [run] = record(repo, {"name": "one"})
    ask(repo, "push")
    ask(clone, "pull")
    clone.track("edit", "one", "--star")
    clone.track("push")

    assert repo.track("pull").stdout == f"updated {run}\n"
    assert listed(repo)[0]["starred"] is True
