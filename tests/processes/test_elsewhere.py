"""A process that we cannot see: on another machine that shares the clone, or in a container."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.gitcmd import TIMEOUT_SECONDS, GitRepo
from tests.reader import Recorded, only

SCRIPT = """
import os, sys, time
import gittrack as gt

run = gt.init(name="elsewhere", params={"lr": 0.1})
for step in range(20):
    gt.log({"loss": step / 7}, step=step)
run.log_artifact("train.py")
print("ready", flush=True)
sys.stdin.readline()
for step in range(20, 25):
    gt.log({"loss": step / 7}, step=step)
print("more", flush=True)
sys.stdin.readline()
run.log_artifact("train.py", name="later.py")
run.finish()
print("done", flush=True)
"""
PLACES = {
    "another host": ["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$0" "$@"'],
    "another container": ["unshare", "--pid", "--fork", "--mount-proc"],
}


def can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return all(
        subprocess.run([*place, "true"], capture_output=True, check=False).returncode == 0 for place in PLACES.values()
    )


pytestmark = pytest.mark.skipif(not can_unshare(), reason="only root can make namespaces here")


@contextmanager
def elsewhere(repo: GitRepo, place: str) -> Iterator[subprocess.Popen[str]]:
    """Runs the script as in another place; yields it when it has logged 20 points and waits."""
    file = repo.path.parent / "elsewhere.py"
    file.write_text(SCRIPT, encoding="utf-8")
    process = subprocess.Popen(
        [*PLACES[place], sys.executable, str(file)],
        cwd=repo.path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=TIMEOUT_SECONDS)


def silent(repo: GitRepo, process: subprocess.Popen[str], *, seconds: float) -> None:
    """Stops a process, as a suspended machine does, and lets it have been silent for so long."""
    os.killpg(process.pid, signal.SIGSTOP)
    time.sleep(0.1)
    before = time.time() - seconds
    for path in (repo.path / ".git" / "gittrack").rglob("*.journal"):
        os.utime(path, (before, before))


def assert_whole(found: Recorded, steps: int) -> None:
    assert found.points("loss") == [(step, step / 7) for step in range(steps)]


@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_was_sealed_behind_its_back_is_sealed_again_by_the_process(repo: GitRepo, place: str) -> None:
    with elsewhere(repo, place) as process:
        silent(repo, process, seconds=700)
        assert "elsewhere" in repo.track("ls").stdout
        early = only(repo)
        early_tip = repo.git("rev-parse", early.ref)
        assert early.status == "crashed"
        assert_whole(early, 20)
        repo.track("tag", "elsewhere", "seen")
        os.killpg(process.pid, signal.SIGCONT)
        out, err = process.communicate("\n\n", timeout=TIMEOUT_SECONDS)
        assert (out, err) == ("more\ndone\n", "")
    found = only(repo)
    assert found.status == "finished"
    assert_whole(found, 25)
    assert {"artifacts/train.py", "artifacts/later.py"} <= set(found.files)
    assert found.record["tags"] == ["seen"]
    assert "resumed" not in found.facts
    repo.git("merge-base", "--is-ancestor", early_tip, found.ref)
    assert "elsewhere" in repo.track("ls").stdout
    assert not list((repo.path / ".git" / "gittrack").glob("*/r*"))
    assert repo.track("fsck").returncode == 0


@pytest.mark.parametrize("place", PLACES)
def test_a_process_that_spoke_a_minute_ago_is_not_disturbed(repo: GitRepo, place: str) -> None:
    with elsewhere(repo, place) as process:
        silent(repo, process, seconds=60)
        assert "running" in repo.track("ls").stdout
        os.killpg(process.pid, signal.SIGCONT)
        assert process.communicate("\n\n", timeout=TIMEOUT_SECONDS)[0] == "more\ndone\n"
    assert_whole(only(repo), 25)


def test_what_came_after_the_seal_is_sealed_though_the_process_died(repo: GitRepo) -> None:
    with elsewhere(repo, "another host") as process:
        silent(repo, process, seconds=700)
        repo.track("ls")
        os.killpg(process.pid, signal.SIGCONT)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "more\n"
        silent(repo, process, seconds=700)
    repo.track("ls")
    found = only(repo)
    assert found.status == "crashed"
    assert_whole(found, 25)
    tip = repo.git("rev-parse", found.ref)
    repo.track("ls")
    assert repo.git("rev-parse", found.ref) == tip, "sealed once more for nothing"


def test_a_host_that_never_comes_back_leaves_nothing_for_ever(repo: GitRepo) -> None:
    with elsewhere(repo, "another host") as process:
        silent(repo, process, seconds=700)
        repo.track("ls")
    aside = Path(repo.path / ".git" / "gittrack" / "sealed")
    assert len(list(aside.iterdir())) == 1
    for path in aside.rglob("*.journal"):
        os.utime(path, (time.time() - 40 * 86400,) * 2)
    repo.track("ls")
    assert list(aside.iterdir()) == []
    assert_whole(only(repo), 20)
