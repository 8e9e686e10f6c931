"""Sharing over every kind of remote: what works over a path works over HTTP, HTTPS, SSH and git://, on bad days too.

On a bad day `push` and `pull` exit 4 in time with one error, everything is kept, nothing of ours is left running, and
the next push brings it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.runs import ask, attempt, listed, record
from tests.sharing import KINDS, NETWORK, Host, host

LIMIT = 1.0  # track.timeout where a test waits for it
SLACK = 6.0  # what a loaded machine may add


@pytest.fixture
def remote(request: pytest.FixtureRequest, repo: GitRepo, tmp_path: Path) -> Iterator[Host]:
    """The `origin` of `repo`, of the kind that the test is given, with its code."""
    with host(request.param, tmp_path / "host") as found:
        found.introduce(repo)
        repo.git("push", "--quiet", "origin", "main")
        yield found


def over(*kinds: str) -> pytest.MarkDecorator:
    """Runs a test over remotes of these kinds."""
    return pytest.mark.parametrize("remote", kinds, indirect=True)


def fails(repo: GitRepo, *words: str) -> str:
    """Asserts that a command fails as the network does, with everything kept here and nothing left running."""
    before = repo.refs("refs/runs/")
    code, out, err = attempt(repo, *words)
    lines = [line for line in err.splitlines() if not line.startswith(("refused r", "publishing "))]
    assert code == 4, err
    assert [line.split(": ")[0] for line in lines] == ["error", "cause", "hint"], err
    assert out == ""
    assert repo.refs("refs/runs/") == before
    assert running(repo) == []
    return "\n".join(lines)


def running(repo: GitRepo) -> list[str]:
    """Returns the command lines of processes that still work for gittrack on this repository."""
    mark = f"GIT_DIR={repo.path}/.git".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it ended meanwhile
            continue
    return found


def arrives(repo: GitRepo, remote: Host, run: str) -> None:
    """Asserts that the next push brings the run, once, and that both sides are sound."""
    assert ask(repo, "push").split()[:2] == ["pushed", run]
    assert remote.bare.refs("refs/runs/") == repo.refs("refs/runs/")
    assert attempt(repo, "push") == (0, "", "everything up-to-date\n")
    remote.bare.fsck()


def heavy(repo: GitRepo) -> str:
    """Records a run whose code has a file that no pack makes smaller, so that the line is busy for a while."""
    (repo.path / "noise.bin").write_bytes(os.urandom(200_000))
    repo.commit({}, "noise: add")
    return record(repo, {"name": "heavy"})[0]


@over(*KINDS)
def test_runs_and_edits_travel_both_ways(repo: GitRepo, remote: Host, tmp_path: Path) -> None:
    ids = record(repo, {"name": "one", "metrics": {"loss": [2, 1]}}, {"name": "two", "files": {"a.txt": "x"}})
    assert sorted(ask(repo, "push").split()[1::3]) == sorted(ids)
    assert all(run["pushed"] for run in listed(repo))

    clone = remote.clone(tmp_path / "clone")
    assert sorted(ask(clone, "pull").split()[1::2]) == sorted(ids)
    ask(clone, "tag", "one", "bob")
    ask(repo, "tag", "one", "ada")
    ask(clone, "push")
    code, out, err = attempt(repo, "push")

    assert (code, out.split()[:2]) == (0, ["pushed", ids[0]]), err
    assert "joined" in err
    ask(clone, "fetch")
    assert repo.refs("refs/runs/") == clone.refs("refs/runs/") == remote.bare.refs("refs/runs/")
    assert {run["name"]: run["tags"] for run in listed(clone)} == {"one": ["ada", "bob"], "two": []}
    assert running(repo) == []
    clone.fsck()


@over(*KINDS)
def test_what_a_hook_of_the_remote_says_is_shown(repo: GitRepo, remote: Host) -> None:
    one, two = record(repo, {"name": "one"}, {"name": "two"})
    hook = remote.bare.path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\ntest "$1" != refs/runs/{one} || {{ echo not this one >&2; exit 1; }}\n', "utf-8")
    hook.chmod(0o755)

    code, out, err = attempt(repo, "push")

    assert (code, out) == (4, f"pushed {two} two\n")
    assert "error: 'origin' refused 1 of 2 runs\ncause: hook declined; not this one\n" in err
    assert set(remote.bare.refs("refs/runs/")) == {f"refs/runs/{two}"}
    hook.unlink()
    arrives(repo, remote, one)


@over(*KINDS)
def test_a_remote_without_room_takes_nothing_and_says_so(repo: GitRepo, remote: Host) -> None:
    run = heavy(repo)
    remote.bare.git("config", "receive.maxInputSize", "50000")

    error = fails(repo, "push")

    # Where the line breaks because of it, what the remote said may be lost on its way.
    assert "pack exceeds maximum allowed size" in error or remote.line
    assert remote.bare.refs("refs/runs/") == {}
    remote.bare.git("config", "--unset", "receive.maxInputSize")
    arrives(repo, remote, run)


@over(*NETWORK)
def test_a_host_that_accepts_and_says_nothing_is_given_up(
    repo: GitRepo, remote: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    [run] = record(repo, {"name": "one"})
    monkeypatch.setenv("GITTRACK_TIMEOUT", str(LIMIT))
    assert remote.line
    remote.line.limit = -1

    for command in ("push", "pull"):
        began = time.monotonic()
        assert "cause: it gave no sign of life for 1 seconds" in fails(repo, command)
        assert LIMIT <= time.monotonic() - began < LIMIT + SLACK

    remote.line.heal()
    arrives(repo, remote, run)


@over(*NETWORK)
def test_a_line_that_hangs_in_the_middle_is_given_up(
    repo: GitRepo, remote: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = heavy(repo)
    monkeypatch.setenv("GITTRACK_TIMEOUT", str(LIMIT))
    assert remote.line

    remote.line.limit = 100_000
    assert "it gave no sign of life" in fails(repo, "push")
    assert remote.line.stuck.is_set()
    assert remote.bare.refs("refs/runs/") == {}

    remote.line.heal()
    clone = remote.clone(tmp_path / "clone")
    arrives(repo, remote, run)
    remote.line.limit = 100_000
    assert "it gave no sign of life" in fails(clone, "pull")
    remote.line.heal()
    assert ask(clone, "pull") == f"new {run}\n"
    clone.fsck()


@over(*NETWORK)
def test_a_server_that_dies_in_the_middle_is_an_error_at_once(repo: GitRepo, remote: Host, tmp_path: Path) -> None:
    run = heavy(repo)
    assert remote.line
    clone = remote.clone(tmp_path / "clone")

    remote.line.limit, remote.line.breaks = 100_000, True
    began = time.monotonic()
    assert "no sign of life" not in fails(repo, "push")
    assert remote.bare.refs("refs/runs/") == {}
    remote.line.heal()
    arrives(repo, remote, run)
    remote.line.limit, remote.line.breaks = 100_000, True
    assert "no sign of life" not in fails(clone, "pull")
    assert time.monotonic() - began < 20
    remote.line.heal()
    assert ask(clone, "pull") == f"new {run}\n"


@pytest.mark.slow
@over(*NETWORK)
def test_a_slow_line_is_never_cut(repo: GitRepo, remote: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = heavy(repo)
    clone = remote.clone(tmp_path / "clone")
    limit = 1.5
    monkeypatch.setenv("GITTRACK_TIMEOUT", str(limit))
    assert remote.line
    remote.line.per_second = 80_000

    began = time.monotonic()
    assert ask(repo, "push") == f"pushed {run} heavy\n"
    assert time.monotonic() - began > limit
    began = time.monotonic()
    assert ask(clone, "pull") == f"new {run}\n"
    assert time.monotonic() - began > limit
