"""Snapshots beside a git that adds, commits and prunes all the time: each is whole, and the user never notices."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo, run
from tests.reader import runs

pytestmark = pytest.mark.faults

GC = "while [ ! -e '{stop}' ]; do git gc --quiet --prune=now; done 2>/dev/null"
# Not beside a gc: git's own `add` and `commit` lose to one what they are writing.
WORK = """
n=0
while [ ! -e '{stop}' ]; do
  n=$((n + 1))
  echo $n > theirs.py
  git add --all || echo "add failed" >> '{failed}'
  echo $n again > theirs.py
  git add theirs.py || echo "add failed" >> '{failed}'
  git commit --quiet -m $n || echo "commit failed" >> '{failed}'
  git rm --quiet --cached theirs.py && git reset --quiet
done 2>>'{failed}'
"""

RECORD = """
import sys
from pathlib import Path
import gittrack as gt

for number in range(int(sys.argv[1])):
    for file in range(6):
        Path(f"mine-{number % 3}-{file}.py").write_text(f"{number} {file}\\n" * 50)
    run = gt.init(name=f"run-{number}")
    assert run.finish() is not None, number
"""

# What a tracker does that lets git write into the repository's own object folder, and names the result afterwards.
LOOSE = """
import os, subprocess, sys
from pathlib import Path

env = {**os.environ, "GIT_INDEX_FILE": os.path.abspath(".git/own-index")}

def git(*args):
    return subprocess.run(["git", *args], env=env, capture_output=True, text=True, check=True).stdout.strip()

failed = 0
for number in range(int(sys.argv[1])):
    for file in range(6):
        Path(f"mine-{number % 3}-{file}.py").write_text(f"{number} {file}\\n" * 50)
    try:
        git("read-tree", "HEAD")
        git("add", "--all")
        commit = git("commit-tree", "-p", "HEAD", "-m", str(number), git("write-tree"))
        git("update-ref", f"refs/loose/{number}", commit)
    except subprocess.CalledProcessError:
        failed += 1
print(failed)
"""


@contextmanager
def busy(repo: GitRepo, tmp_path: Path, loop: str) -> Iterator[Path]:
    """Runs a shell loop in the repository until the block ends; yields the file in which it complains."""
    stop, failed = tmp_path / "stop", tmp_path / "failed"
    failed.touch()
    process = subprocess.Popen(["sh", "-c", loop.format(stop=stop, failed=failed)], cwd=repo.path)
    try:
        yield failed
    finally:
        stop.touch()
        process.wait(120)
        stop.unlink()


@pytest.mark.parametrize("loop", [GC, WORK], ids=["gc", "add and commit"])
def test_each_snapshot_is_whole_and_no_command_of_the_users_fails(repo: GitRepo, tmp_path: Path, loop: str) -> None:
    repo.commit({"theirs.py": "0\n"}, "theirs")
    script = tmp_path / "record.py"
    script.write_text(RECORD, encoding="utf-8")
    with busy(repo, tmp_path, loop) as failed:
        done = run([sys.executable, script, "40"], cwd=repo.path)
    assert "could not be committed" not in done.stderr
    assert failed.read_text("utf-8") == ""
    found = runs(repo)
    assert [item.record["name"] for item in found] == [f"run-{number}" for number in range(40)]
    repo.fsck()
    repo.git("gc", "--quiet", "--prune=now")
    repo.fsck()
    for number, item in enumerate(found):
        (tree,) = item.parents  # the snapshot; or the commit, where the user was faster
        for file in range(6):
            assert repo.git("show", f"{tree}:mine-{number % 3}-{file}.py").splitlines() == [f"{number} {file}"] * 50


def test_this_harness_sees_what_loose_objects_lose(repo: GitRepo, tmp_path: Path) -> None:
    repo.commit({"theirs.py": "0\n"}, "theirs")
    repo.fsck_at_teardown = False
    script = tmp_path / "loose.py"
    script.write_text(LOOSE, encoding="utf-8")
    for _ in range(5):
        with busy(repo, tmp_path, GC):
            done = run([sys.executable, script, "40"], cwd=repo.path)
        fsck = subprocess.run(["git", "fsck", "--no-progress"], cwd=repo.path, capture_output=True, check=False)
        if int(done.stdout) > 0 or fsck.returncode:
            return
    pytest.fail("nothing was lost: the harness proves nothing")
