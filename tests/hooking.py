"""Repositories whose hooks are ours, and plain git in them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gittrack import hooks
from tests.gitcmd import GitRepo, run


def install(repo: GitRepo, *events: str) -> None:
    """Puts our hooks into a repository, as `git track init` does, and nothing else."""
    for event in events or hooks.EVENTS:
        file = repo.path / ".git" / "hooks" / event
        file.parent.mkdir(exist_ok=True)
        file.write_text(hooks.whole(event), "utf-8")
        file.chmod(0o755)


def call_git(folder: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a git on PATH, from a new folder, that is the one here but calls itself another version."""
    folder.mkdir()
    answer = f'for word; do test "$word" != version || exec echo git version {version}; done'
    (folder / "git").write_text(f'#!/bin/sh\n{answer}\nexec {shutil.which("git")} "$@"\n', "utf-8")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def push(repo: GitRepo, *words: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs plain `git push WORDS`."""
    return run(["git", "push", *words], cwd=repo.path, check=check, env=env)


def ours(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Returns what the hook said."""
    return [line.removeprefix("gittrack: ") for line in done.stderr.splitlines() if line.startswith("gittrack: ")]


def runs_of(repo: GitRepo) -> dict[str, str]:
    """Returns the runs of a repository, refname to oid."""
    return repo.refs("refs/runs/")
