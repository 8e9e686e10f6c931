"""Faults on a machine without git: nothing of a run is half-visible or lost, and it is durable once it is there."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.test_power import FINISH, place, traced
from tests.gitcmd import GitRepo
from tests.nogit import track, without_git
from tests.reader import only

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="strace is of Linux")

CALLS = "fsync,rename,link,unlink,ftruncate,pwrite64"
VICTIM = """
import gittrack as gt
run = gt.init()
gt.log({"n": 1})
run.pinning.join()
import os; os.mkdir("../here")
run.finish()
"""


def test_finish_syncs_the_pack_the_ref_and_their_folders_in_this_order(
    repo: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("PATH", without_git(repo, "strace")["PATH"])
        calls = traced(repo, tmp_path, FINISH)
    ref = only(repo).ref
    written = [place(calls, "fsync", f"gittrack/pack-\\w+/{part}") for part in ("keep", "pack", "idx")]
    kept, packed, named = (
        place(calls, "rename", rf"objects/pack/pack-\w+\.{part}") for part in ("keep", "pack", "idx")
    )
    folder = place(calls, "fsync", "/objects/pack")
    lock = place(calls, "fsync", ref + r"\.lock")
    moved = place(calls, "link|rename", "/" + ref)
    runs, top = place(calls, "fsync", "/refs/runs"), place(calls, "fsync", "/refs")
    gone = place(calls, "unlink|unlinkat", r"run\.json")
    assert max(written) < kept < packed < named < folder < lock < moved < min(runs, top)
    assert max(runs, top) < gone


@pytest.mark.faults
def test_killed_at_any_system_call_nothing_is_lost(repo: GitRepo, tmp_path: Path) -> None:
    script = tmp_path / "victim.py"
    script.write_text(VICTIM, encoding="utf-8")
    positions = calls_of_finish(repo, script)
    clear(repo)
    killed, git_dir = 0, repo.path / ".git"
    for name, number in positions:
        killed += kill_at(repo, script, name, number)
        repo.fsck()
        track(repo, "ls")
        assert only(repo).values("n") == [1.0], (name, number)
        left = locks_of(git_dir)
        known = (git_dir / "gittrack" / "moving-refs").read_text("utf-8").split()
        assert left <= {f"{ref}.lock" for ref in known}, "what is left is known, and goes when it is old"
        repo.fsck()
        age(git_dir)
        track(repo, "tag", "@", "later")
        assert locks_of(git_dir) == set()
        clear(repo)
    assert {"fsync", "rename", "link", "unlink", "ftruncate"} <= {name for name, _ in positions}
    assert killed > 0.9 * len(positions), "the calls come in the same order each time"


def calls_of_finish(repo: GitRepo, script: Path) -> list[tuple[str, int]]:
    """Returns the system calls that change files while a run is finished: name, and the how manyeth of that name."""
    log = script.with_suffix(".trace")
    program = ["strace", "-f", "-q", "-o", str(log), "-e", f"trace={CALLS},mkdir", sys.executable, str(script)]
    subprocess.run(program, cwd=repo.path, env={**os.environ, **without_git(repo, "strace")}, check=True)
    lines = [line.split(maxsplit=1) for line in log.read_text("utf-8").splitlines()]
    [main] = [process for process, text in lines if '"../here"' in text]
    counts: Counter[str] = Counter()
    found: list[tuple[str, int]] = []
    begun = False
    for name, text in [(text.partition("(")[0], text) for process, text in lines if process == main]:
        begun = begun or '"../here"' in text
        if name in CALLS.split(","):
            counts[name] += 1
            found += [(name, counts[name])] if begun else []
    return found


def kill_at(repo: GitRepo, script: Path, name: str, number: int) -> bool:
    """Runs the script and kills it when it begins this system call; tells whether it came so far."""
    inject = f"inject={name}:signal=KILL:when={number}"
    program = [
        "strace",
        "-f",
        "-q",
        "-o",
        "/dev/null",
        "-e",
        f"trace={name}",
        "-e",
        inject,
        sys.executable,
        str(script),
    ]
    env = {**os.environ, **without_git(repo, "strace")}
    return subprocess.run(program, cwd=repo.path, env=env, capture_output=True, check=False).returncode != 0


def locks_of(git_dir: Path) -> set[str]:
    return {path.relative_to(git_dir).as_posix() for path in (git_dir / "refs").rglob("*.lock")}


def age(git_dir: Path) -> None:
    """Makes the locks that are left as old as they are for somebody who comes a minute later."""
    for name in locks_of(git_dir):
        os.utime(git_dir / name, (1, 1))


def clear(repo: GitRepo) -> None:
    for ref in repo.refs("refs/runs/"):
        repo.git("update-ref", "-d", ref)
    with contextlib.suppress(FileNotFoundError):  # the thread that pins the code was killed before
        (repo.path.parent / "here").rmdir()
