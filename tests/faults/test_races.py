"""`finish()` beside a git that packs, prunes and rewrites refs all the time, and beside other runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.reader import runs

HOUSEKEEPING = "while [ ! -e '{stop}' ]; do git gc --quiet --prune=now; git pack-refs --all; done 2>/dev/null"
# All at the same time, as by several users and cron jobs.
BUSY = (
    "while [ ! -e '{stop}' ]; do git gc --quiet --prune=now; done 2>/dev/null",
    "while [ ! -e '{stop}' ]; do git repack -q -a -d; done 2>/dev/null",
    "while [ ! -e '{stop}' ]; do git pack-refs --all; done 2>/dev/null",
)

# One script for a run each, so that each run begins and ends beside the housekeeping.
RECORD = """
import sys
import gittrack as gt

for number in range(int(sys.argv[1])):
    with gt.init(name=f"run-{number}") as run:
        for step in range(20):
            run.log({"loss": number + step / 100})
    assert run.sealed is not None, number
"""

# What a tracker does that writes an object after the other: each lies about unreachable until the ref is there.
LOOSE = """
import subprocess, sys

def git(*args, text=None):
    return subprocess.run(["git", *args], input=text, capture_output=True, text=True, check=True).stdout.strip()

failed = 0
for number in range(int(sys.argv[1])):
    try:
        lines = []
        for file in range(12):
            blob = git("hash-object", "-w", "--stdin", text=f"run {number} file {file}\\n")
            lines.append(f"100644 blob {blob}\\tfile-{file}")
        tree = git("mktree", text="\\n".join(lines) + "\\n")
        commit = git("commit-tree", "-m", f"run {number}", tree)
        git("update-ref", f"refs/loose/{number}", commit)
    except subprocess.CalledProcessError:
        failed += 1
print(failed)
"""


@contextmanager
def housekeeping(repo: GitRepo, tmp_path: Path, *loops: str) -> Iterator[None]:
    """Runs `git gc --prune=now` and `git pack-refs --all` in a loop, or other loops beside each other."""
    stop = tmp_path / "stop"
    scripts = [loop.format(stop=stop) for loop in loops or (HOUSEKEEPING,)]
    processes = [subprocess.Popen(["sh", "-c", script], cwd=repo.path) for script in scripts]
    try:
        yield
    finally:
        stop.touch()
        for process in processes:
            process.wait(60)


def recorded_beside_it(repo: GitRepo, tmp_path: Path, *, count: int) -> None:
    with housekeeping(repo, tmp_path):
        done = repo.python(RECORD, str(count))
    assert done.stderr == ""
    found = runs(repo)
    assert [run.record["name"] for run in found] == [f"run-{number}" for number in range(count)]
    for number, run in enumerate(found):
        assert run.values("loss") == [number + step / 100 for step in range(20)]
    repo.fsck()
    repo.track("fsck")
    repo.git("gc", "--quiet", "--prune=now")
    repo.fsck()


def test_runs_survive_a_git_that_collects_garbage_beside_them(repo: GitRepo, tmp_path: Path) -> None:
    recorded_beside_it(repo, tmp_path, count=20)


def test_this_harness_sees_what_loose_objects_lose(repo: GitRepo, tmp_path: Path) -> None:
    script = tmp_path / "loose.py"
    script.write_text(LOOSE, encoding="utf-8")
    repo.fsck_at_teardown = False
    harmed = False
    for _ in range(5):
        with housekeeping(repo, tmp_path):
            done = subprocess.run(
                [sys.executable, script, "20"], cwd=repo.path, capture_output=True, text=True, check=True
            )
        (tmp_path / "stop").unlink()
        fsck = subprocess.run(["git", "fsck", "--no-progress"], cwd=repo.path, capture_output=True, check=False)
        harmed = int(done.stdout) > 0 or fsck.returncode != 0
        if harmed:
            break
    assert harmed


@pytest.mark.faults
def test_many_runs_survive_a_git_that_collects_garbage_beside_them(repo: GitRepo, tmp_path: Path) -> None:
    recorded_beside_it(repo, tmp_path, count=200)


def recorded_at_once(repo: GitRepo, tmp_path: Path, *, processes: int, each: int) -> None:
    """Lets so many processes record so many runs each, and asserts that none of them had anything to complain about."""
    script = tmp_path / "record.py"
    script.write_text(RECORD, encoding="utf-8")
    started = [
        subprocess.Popen([sys.executable, script, str(each)], cwd=repo.path, stderr=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    failed = []
    for process in started:
        _, said = process.communicate(timeout=600)
        failed += [(process.returncode, said)] if (process.returncode, said) != (0, "") else []
    assert failed == []
    found = runs(repo)
    assert len(found) == processes * each
    for run in found:
        number = int(run.record["name"].removeprefix("run-"))
        assert run.values("loss") == [number + step / 100 for step in range(20)]


def test_runs_of_many_processes_at_once_are_all_there(repo: GitRepo, tmp_path: Path) -> None:
    recorded_at_once(repo, tmp_path, processes=5, each=6)
    repo.track("fsck")


@pytest.mark.faults
@pytest.mark.parametrize(("processes", "each"), [(8, 15), (64, 3)])
def test_many_processes_record_beside_a_git_that_tidies_up(
    repo: GitRepo, tmp_path: Path, processes: int, each: int
) -> None:
    with housekeeping(repo, tmp_path, *BUSY):
        recorded_at_once(repo, tmp_path, processes=processes, each=each)
    repo.fsck()
    repo.track("fsck")
    repo.git("gc", "--quiet", "--prune=now")
    repo.fsck()


def test_eight_processes_record_beside_a_git_that_tidies_up(repo: GitRepo, tmp_path: Path) -> None:
    with housekeeping(repo, tmp_path, *BUSY):
        recorded_at_once(repo, tmp_path, processes=8, each=1)
    repo.fsck()
    repo.track("fsck")
