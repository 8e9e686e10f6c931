"""Hosts that take only branches, and repositories that are for runs alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from gittrack.refname import prefix_fault
from tests.gitcmd import GitRepo
from tests.nogit import track
from tests.runs import ask, attempt, listed, record
from tests.sharing import host
from tests.terminals import on_a_terminal
from tests.test_sending import add_hook

BRANCHES = "refs/heads/runs/"
ONLY_BRANCHES = 'case "$1" in refs/heads/*) ;; *) echo only branches here >&2; exit 1;; esac'

# Names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["path", "http", "ssh"])
def test_on_a_host_that_takes_only_branches_runs_are_branches_there_and_runs_here(
    repo: GitRepo, tmp_path: Path, kind: str
) -> None:
    with host(kind, tmp_path / "host") as remote:
        remote.introduce(repo)
        repo.git("push", "--quiet", "origin", "main")
        add_hook(remote.bare, "update", ONLY_BRANCHES)
        [run] = record(repo, {"name": "one"})
        code, _, err = attempt(repo, "push")
        assert (code, "only branches here" in err) == (4, True)

        repo.git("config", "track.refPrefix", BRANCHES)
        assert ask(repo, "push") == f"pushed {run} one\n"
        clone = remote.clone(tmp_path / "clone")
        clone.git("config", "track.refPrefix", BRANCHES)
        assert ask(clone, "pull") == f"new {run}\n"
        ask(clone, "tag", "one", "there")
        ask(clone, "push")
        ask(repo, "tag", "one", "here")
        assert "joined" in attempt(repo, "push")[2]
        ask(clone, "pull")

        assert set(remote.bare.refs()) == {"refs/heads/main", f"{BRANCHES}{run}"}
        assert set(clone.refs("refs/runs/")) == {f"refs/runs/{run}"}
        assert listed(clone)[0]["tags"] == ["here", "there"]
        assert attempt(repo, "push") == (0, "", "everything up-to-date\n")
        assert attempt(clone, "push") == (0, "", "everything up-to-date\n")
        assert all(run["pushed"] for run in [*listed(repo), *listed(clone)])


def test_two_remotes_may_call_runs_differently(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    other = GitRepo.init(tmp_path / "other.git", "--bare")
    repo.git("remote", "add", "Lab.one", str(other.path))
    repo.git("config", "remote.Lab.one.trackRefPrefix", "refs/lab/")
    [run] = record(repo, {"name": "one"})

    ask(repo, "push", "origin")
    ask(repo, "push", "Lab.one")

    assert set(bare_remote.refs()) == {"refs/heads/main", f"refs/runs/{run}"}
    assert set(other.refs()) == {f"refs/lab/{run}"}


def test_without_git_runs_are_called_as_the_host_wants_too(repo: GitRepo, bare_remote: GitRepo) -> None:
    [run] = record(repo, {"name": "one"})
    repo.git("config", "track.refPrefix", BRANCHES)

    assert f"pushed {run} one" in track(repo, "push").stdout
    assert set(bare_remote.refs()) == {"refs/heads/main", f"{BRANCHES}{run}"}
    assert "everything up-to-date" in track(repo, "push").stderr
    done = track(repo, "push", "--bundle", "x.bundle", check=False)
    assert "error: cannot write a bundle without git" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "bad",
    ["runs/", "refs/runs", "refs/", "refs/heads/", "refs/gittrack/x/", "refs/a b/", "refs/a..b/", "refs//", "refs/.a/"],
)
def test_a_place_where_runs_cannot_be_is_refused(repo: GitRepo, bare_remote: GitRepo, bad: str) -> None:
    record(repo, {"name": "one"})
    repo.git("config", "track.refPrefix", bad)

    for command in ("push", "fetch"):
        code, out, err = attempt(repo, command)
        assert (code, out) == (2, "")
        assert f"error: track.refPrefix is '{bad}', which" in err or "where other refs are" in err
        assert "hint: set it to" in err
    assert set(bare_remote.refs()) == {"refs/heads/main"}


def test_a_prefix_is_what_git_takes_for_refs() -> None:
    for good in ("refs/runs/", "refs/heads/runs/", "refs/heads/team-a/runs_2/", "refs/x@y/"):
        assert prefix_fault(good) is None
    for bad in ("refs/a.lock/", "refs/a./", "refs/a*/", "refs/é/", "refs/runs/\n", "-refs/runs/", ""):
        assert prefix_fault(bad)


# A repository for runs ------------------------------------------------------------------------------------------------


@pytest.fixture
def lab(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> GitRepo:
    """An empty repository for the runs of `repo`, by its address."""
    lab = GitRepo.init(tmp_path / "lab.git", "--bare")
    repo.git("config", "track.remote", str(lab.path))
    return lab


def test_runs_go_to_their_own_repository_and_the_code_once(
    repo: GitRepo, bare_remote: GitRepo, lab: GitRepo, tmp_path: Path
) -> None:
    repo.commit({"train.py": "print(2)\n"}, "train: go on")
    [one] = record(repo, {"name": "one"})

    code, out, err = attempt(repo, "push")
    assert (code, out) == (0, f"pushed {one} one\n")
    assert err == f"publishing 2 commit(s) of code that '{lab.path}' does not have yet\n"
    [two] = record(repo, {"name": "two"})
    assert attempt(repo, "push") == (0, f"pushed {two} two\n", "")

    assert set(lab.refs()) == {f"refs/runs/{one}", f"refs/runs/{two}"}
    assert set(bare_remote.refs()) == {"refs/heads/main"}
    assert f"all on '{lab.path}'" in ask(repo, "status")
    colleague = GitRepo.clone(bare_remote.path, tmp_path / "colleague")
    colleague.git("config", "track.remote", str(lab.path))
    assert len(ask(colleague, "pull").splitlines()) == 2


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 2), (b"y\n", 0)])
def test_the_first_push_to_it_asks_on_a_terminal(repo: GitRepo, lab: GitRepo, answer: bytes, code: int) -> None:
    record(repo, {"name": "one"})

    said = on_a_terminal(["git", "track", "push"], cwd=repo.path, keys=answer, when=b"publish it?")

    assert said[0] == code, said
    assert b"publishing 1 commit(s) of code" in said[1]
    assert bool(lab.refs()) == (code == 0)


def test_code_that_was_kept_out_of_the_runs_does_not_go(repo: GitRepo, lab: GitRepo) -> None:
    repo.git("config", "track.code", "none")
    [run] = record(repo, {"name": "one"})

    assert attempt(repo, "push") == (0, f"pushed {run} one\n", "")

    assert lab.git("rev-list", "--count", "--all") == "1"


def test_a_password_in_the_address_is_never_shown(repo: GitRepo) -> None:
    record(repo, {"name": "one"})
    repo.git("config", "track.remote", "https://ada:hunter2@127.0.0.1:1/x.git")

    said = [attempt(repo, *words) for words in (["status"], ["status", "--json"], ["push"], ["pull"])]

    assert [code for code, _, _ in said] == [0, 0, 4, 4]
    assert not any("hunter2" in text for one in said for text in one[1:])
