"""Many processes record in one clone beside everything that tidies, archives, lists and pushes: each run is finished.

With locks that work, and on a file system whose `flock` fails, as some network ones do."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from gittrack import packs
from gittrack.index.database import LOCK_SECONDS
from tests.faults.killing import kill_one
from tests.gitcmd import GitRepo
from tests.reader import only
from tests.runs import ask, listed

RECORD = """
import sys
import gittrack as gt

for number in range(int(sys.argv[2])):
    with gt.init(name=f"run-{sys.argv[1]}-{number}") as run:
        for step in range(5):
            run.log({"loss": number + step / 100})
    assert run.sealed is not None, number
"""
BESIDE = (
    "while [ ! -e '{stop}' ]; do git gc --quiet --prune=now; sleep 0.1; done",
    "while [ ! -e '{stop}' ]; do git track archive -q; git track ls; sleep 0.1; done",
    "while [ ! -e '{stop}' ]; do git track push -q; sleep 0.1; done",
)
# Every Python looks for a module of this name when it starts.
NO_LOCKS = """
import errno, fcntl

def flock(file, operation):
    raise OSError(errno.{reason}, "flock does not work here")

fcntl.flock = flock
"""


def without_locks(folder: Path, reason: str) -> dict[str, str]:
    """Returns the environment in which `flock` fails in every Python."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(NO_LOCKS.format(reason=reason), encoding="utf-8")
    return {"PYTHONPATH": str(folder)}


@contextmanager
def busy(repo: GitRepo, stop: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Tidies, archives, lists and pushes all the time."""
    started = [
        subprocess.Popen(
            ["sh", "-c", script.format(stop=stop)],
            cwd=repo.path,
            env={**os.environ, **env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for script in BESIDE
    ]
    try:
        yield
    finally:
        stop.touch()
        for process in started:
            process.wait(120)


def recorded(repo: GitRepo, tmp_path: Path, *, writers: int, each: int, env: Mapping[str, str]) -> None:
    """Has so many processes record so many runs each; none may fail or have anything to say, and all are there."""
    script = tmp_path / "record.py"
    script.write_text(RECORD, encoding="utf-8")
    with busy(repo, tmp_path / "stop", env):
        started = [
            subprocess.Popen(
                [sys.executable, script, str(number), str(each)],
                cwd=repo.path,
                env={**os.environ, **env},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(writers)
        ]
        said = [(process.communicate(timeout=1200)[1], process.returncode) for process in started]
    assert [each for each in said if each != ("", 0)] == []
    names = {f"run-{writer}-{number}" for writer in range(writers) for number in range(each)}
    found = listed(repo)
    assert (len(found), {run["name"] for run in found}) == (len(names), names)
    assert {(run["status"], run["metrics"]["loss"]["count"]) for run in found} == {("finished", 5)}
    repo.fsck()
    ask(repo, "fsck")


def shared(repo: GitRepo, colleague: GitRepo) -> None:
    """Asserts that a colleague gets all runs, each once."""
    ask(repo, "push")
    ask(colleague, "pull")
    there, here = (sorted(run["id"] for run in listed(each)) for each in (colleague, repo))
    assert there == here
    assert len(set(here)) == len(here)


@pytest.mark.parametrize("reason", [None, "ENOLCK"], ids=["locks", "no locks"])
def test_writers_finish_beside_all_that_tidies(
    repo: GitRepo, colleague: GitRepo, tmp_path: Path, reason: str | None
) -> None:
    env = without_locks(tmp_path / "site", reason) if reason else {}
    recorded(repo, tmp_path, writers=4, each=3, env=env)
    shared(repo, colleague)


@pytest.mark.faults
@pytest.mark.parametrize("reason", [None, "ENOLCK", "ENOSYS"])
def test_64_writers_of_20_runs_finish_beside_all_that_tidies(
    repo: GitRepo, colleague: GitRepo, tmp_path: Path, reason: str | None
) -> None:
    env = without_locks(tmp_path / "site", reason) if reason else {}
    recorded(repo, tmp_path, writers=64, each=20, env=env)
    shared(repo, colleague)


def test_a_crashed_run_is_recovered_where_no_locks_work(repo: GitRepo, tmp_path: Path) -> None:
    kill_one(repo, tmp_path / "victim.py", after=0.01)
    assert repo.track("ls", env=without_locks(tmp_path / "site", "ENOLCK")).returncode == 0
    assert only(repo).status == "crashed"


def test_a_listing_does_not_wait_for_locks_that_cannot_be_had(repo: GitRepo, tmp_path: Path) -> None:
    env = without_locks(tmp_path / "site", "ENOLCK")
    began = time.monotonic()
    assert repo.track("ls", env=env).returncode == 0
    assert time.monotonic() - began < LOCK_SECONDS


def test_what_goes_wrong_under_a_lock_is_told_as_it_is(tmp_path: Path) -> None:
    lock = contextlib.ExitStack()
    assert lock.enter_context(packs._locked(tmp_path / "lock"))
    assert not lock.__exit__(OSError, OSError("no room"), None)


def test_locks_really_fail_in_this_harness(tmp_path: Path) -> None:
    env = without_locks(tmp_path / "site", "ENOLCK")
    code = "import fcntl, sys; fcntl.flock(sys.stdin, fcntl.LOCK_SH)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "flock does not work here" in done.stderr
