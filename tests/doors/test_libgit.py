"""The door through libgit2 keeps the same promises, without a git executable."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from gittrack.errors import GitFailed
from gittrack.git import Git, Place, Update
from gittrack.libgit import door, locks
from gittrack.libgit.door import LibGit
from gittrack.refname import Oid
from tests.doors.suite import DoorSuite
from tests.gitcmd import GitRepo

HOLD = """
import os, sys, time
from pathlib import Path
from gittrack.libgit import locks
with locks.turn(Path(sys.argv[1]), ["refs/runs/one", "refs/runs/two"]):
    os.close(os.open(sys.argv[1] + "/refs/runs/one.lock", os.O_CREAT | os.O_EXCL))
    print("ready", flush=True)
    time.sleep(60)
"""


class TestLibGit(DoorSuite):
    def discover(self, directory: Path, environ: Mapping[str, str]) -> Place:
        return LibGit.discover(directory, environ)

    def door(self, place: Place, environ: Mapping[str, str]) -> Git:
        return LibGit(place, {**environ, "PATH": "/nowhere"})


@pytest.fixture
def killed(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> tuple[Git, Update, Path]:
    """A repository in which a process was killed between the lock of a ref and its new value."""
    monkeypatch.setattr(door, "LOCK_SECONDS", 0.2)
    git = LibGit(LibGit.discover(repo.path, os.environ), os.environ)
    (repo.path / ".git/refs/runs").mkdir(parents=True)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, repo.path / ".git"], stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"ready\n"
        holder.send_signal(signal.SIGKILL)
    return git, Update("refs/runs/one", Oid(repo.git("rev-parse", "HEAD")), None), repo.path / ".git/refs/runs/one.lock"


def test_the_lock_of_a_killed_process_goes_once_it_is_old(repo: GitRepo, killed: tuple[Git, Update, Path]) -> None:
    git, update, lock = killed
    with pytest.raises(GitFailed, match="cannot update"):
        git.update_refs([update])
    assert repo.refs("refs/runs/") == {}
    before = time.time() - locks.STALE_SECONDS - 1
    os.utime(lock, (before, before))
    git.update_refs([update])
    assert repo.refs("refs/runs/") == {"refs/runs/one": update.new}
    assert (repo.path / ".git/gittrack/moving-refs").read_bytes() == b""


def test_a_lock_that_none_of_us_left_is_never_removed(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "LOCK_SECONDS", 0.2)
    git = LibGit(LibGit.discover(repo.path, os.environ), os.environ)
    (repo.path / ".git/refs/runs").mkdir(parents=True)
    lock = repo.path / ".git/refs/runs/one.lock"
    lock.touch()
    os.utime(lock, (1, 1))
    for _ in range(2):
        with pytest.raises(GitFailed, match="cannot update"):
            git.update_refs([Update("refs/runs/one", Oid(repo.git("rev-parse", "HEAD")), None)])
    assert lock.exists()
    lock.unlink()
