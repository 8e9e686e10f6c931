"""Killed between any two steps of git: `archive`, `gc` and the push of an archive lose no run, and can be repeated."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.gitcmd import GitRepo
from tests.runs import ask, listed, record

# Stands before the real git and counts: at call N it kills whoever asked, before git did its work or after it.
WRAPPER = """#!/bin/sh
number=1
until mkdir "$CRASH_FOLDER/$number" 2>/dev/null; do number=$((number + 1)); done
if [ "$number" = "$CRASH_AT" ]; then
    case "$CRASH_HOW $*" in before* | *cat-file*) ;; *) REAL "$@" >/dev/null 2>&1 ;; esac
    kill -9 "$PPID"
    exit 137
fi
exec REAL "$@"
"""
COMMANDS = {
    "archive": ("archive",),
    "push": ("push",),
    "gc": ("gc", "--remote"),
    "purge": ("gc", "--purge", "leak", "--remote", "--yes"),
}


@dataclass(frozen=True)
class Box:
    """A clone and its remote, which can be copied."""

    root: Path

    @property
    def repo(self) -> GitRepo:
        return GitRepo(self.root / "repo")

    @property
    def bare(self) -> GitRepo:
        return GitRepo(self.root / "remote.git")

    def copy(self, to: Path) -> Box:
        shutil.copytree(self.root, to, symlinks=True)
        made = Box(to)
        made.repo.git("remote", "set-url", "origin", str(made.bare.path))
        return made

    def names(self) -> list[str]:
        return sorted(run["name"] for run in listed(self.repo))

    def words(self, what: str) -> list[str]:
        """Returns a command; the run that it purges goes by its id, which it keeps when it is gone."""
        file = self.root / "leak"
        return [file.read_text("ascii") if word == "leak" else word for word in COMMANDS[what]]

    def crash(self, what: str, *, at: int, how: str = "before") -> int:
        """Runs a command whose call of git number `at` kills it; returns how many calls there were."""
        tools = self.root / "tools"
        tools.mkdir()
        real = str(shutil.which("git"))
        (tools / "git").write_text(WRAPPER.replace("REAL", real), "ascii")
        (tools / "git").chmod(0o755)
        counted = self.root / "calls"
        counted.mkdir()
        env = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
        env |= {"CRASH_FOLDER": str(counted), "CRASH_AT": str(at), "CRASH_HOW": how}
        subprocess.run(
            ["git-track", *self.words(what)], cwd=self.repo.path, env=env, capture_output=True, check=False, timeout=60
        )
        calls = len(list(counted.iterdir()))
        shutil.rmtree(tools)
        shutil.rmtree(counted, ignore_errors=True)  # a git that lost its parent may still count
        return calls


def box(what: str, root: Path) -> Box:
    """Returns a clone in which a command has something to do."""
    root.mkdir()
    bare = GitRepo.init(root / "remote.git", "--bare")
    repo = GitRepo.init(root / "repo")
    repo.commit({"train.py": "print()\n"}, "code")
    repo.git("remote", "add", "origin", str(bare.path))
    repo.git("push", "-q", "-u", "origin", "main")
    specs: list[dict[str, Any]] = [{"name": name, "params": {"x": name}} for name in ("one", "two", "three", "leak")]
    (root / "leak").write_text(record(repo, *specs)[-1], "ascii")
    ask(repo, "push")
    if what != "archive":
        ask(repo, "archive")
    if what in ("gc", "purge"):
        ask(repo, "push")
        record(repo, {"name": "later"})
    if what == "gc":
        ask(repo, "rm", "leak")
    return Box(root)


def survives(made: Box, what: str, crash: tuple[int, str], to: Path, *, expected: list[str]) -> None:
    """Crashes a command once; asserts that nothing is lost, and that the same command finishes the work."""
    tried = made.copy(to)
    tried.crash(what, at=crash[0], how=crash[1])
    shown = set(tried.names())
    assert set(expected) <= shown, (what, crash)
    assert ask(tried.repo, "fsck") == ""
    ask(tried.repo, *tried.words(what))
    for command in (("push",), ("pull",)):
        ask(tried.repo, *command)
    assert tried.names() == expected, (what, crash)
    other = GitRepo.clone(tried.bare.path, to / "other")
    ask(other, "pull")
    assert sorted(run["name"] for run in listed(other)) == expected
    for each in (tried.repo, tried.bare, other):
        each.fsck()
    assert [name for name in tried.bare.refs("refs/runs/") if "/archive/" not in name] in ([], later(tried))
    shutil.rmtree(to, ignore_errors=True)


def later(tried: Box) -> list[str]:
    return [name for name in tried.repo.refs("refs/runs/") if "/archive/" not in name]


def test_the_box_sees_a_crash_that_loses_runs(tmp_path: Path) -> None:
    """The control: refs that go before the archive is there."""
    made = box("archive", tmp_path / "box")
    tried = made.copy(tmp_path / "tried")
    for name in tried.repo.refs("refs/runs/"):
        tried.repo.git("update-ref", "-d", name)
    for name in tried.repo.refs("refs/gittrack/"):
        tried.repo.git("update-ref", "-d", name)
    with pytest.raises(AssertionError):
        assert set(made.names()) <= set(tried.names())


@pytest.mark.parametrize(("what", "step"), [("archive", 7), ("push", 11), ("gc", 17), ("purge", 41)])
def test_a_crash_at_some_steps_loses_nothing(tmp_path: Path, what: str, step: int) -> None:
    crash_at_every(tmp_path, what, step=step)


@pytest.mark.faults
@pytest.mark.parametrize("what", COMMANDS)
def test_a_crash_at_any_step_loses_nothing(tmp_path: Path, what: str) -> None:
    crash_at_every(tmp_path, what, step=1)


def crash_at_every(tmp_path: Path, what: str, *, step: int) -> None:
    made = box(what, tmp_path / "box")
    expected = made.names()
    if what == "purge":
        expected = [name for name in expected if name != "leak"]
    calls = made.copy(tmp_path / "count").crash(what, at=0)
    assert calls > 5
    for at in range(1, calls + 1, step):
        for how in ("before", "after"):
            survives(made, what, (at, how), tmp_path / f"{at}-{how}", expected=expected)
