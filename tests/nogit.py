"""Commands and scripts on a machine without a git executable: its PATH has nothing but what a test puts there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.gitcmd import GitRepo, run


def without_git(repo: GitRepo, *programs: str) -> dict[str, str]:
    """Returns the environment of a machine that has these programs, and no git."""
    folder = repo.path.parent / "no-git"
    folder.mkdir(exist_ok=True)
    for name in programs:
        found = shutil.which(name)
        assert found, f"{name} is not here"
        if not (folder / name).exists():
            (folder / name).symlink_to(found)
    return {"PATH": str(folder)}


def track(
    repo: GitRepo, *words: str, check: bool = True, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs `git-track WORDS` where there is no git."""
    program = Path(sys.executable).with_name("git-track")
    return run([program, *words], cwd=cwd or repo.path, check=check, env={**without_git(repo), **(env or {})})


def python(
    repo: GitRepo, script: str, *, check: bool = True, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a training script where there is no git."""
    return repo.python(script, check=check, cwd=cwd, env={**without_git(repo), **(env or {})})
