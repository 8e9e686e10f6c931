"""A repository as its user sees it: the real `git`, and `git track` through it.

Tests go through the executables because the product's promise is about them: what another git reads,
what `git fsck` says, what a shell gets as an exit code. Nothing here imports gittrack.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# A hung command is a failure with a message, not a job that CI kills an hour later.
TIMEOUT_SECONDS = 120

# 2026-01-01T00:00:00Z; each code commit is a minute later than the one before, so that equal tests
# make equal commits.
FIRST_COMMIT_TIME = 1_767_225_600


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Runs a command on top of the sealed environment; with `check`, a failure shows its output."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        input="" if input is None else input,
        capture_output=True,
        check=False,
        encoding="utf-8",
        errors="backslashreplace",
        timeout=TIMEOUT_SECONDS,
    )
    if check and done.returncode != 0:
        command = " ".join(str(part) for part in argv)
        raise AssertionError(
            f"`{command}` exited {done.returncode}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
        )
    return done


@dataclass
class GitRepo:
    """A repository with a work tree, or a bare one."""

    path: Path
    # Set it to False in a test that corrupts the repository on purpose.
    fsck_at_teardown: bool = True
    _commits: int = field(default=0, repr=False)

    @classmethod
    def init(cls, path: Path, *options: str) -> GitRepo:
        """Makes a repository at `path` with `git init OPTIONS`."""
        path.mkdir(parents=True)
        run(["git", "init", "--quiet", *options, "."], cwd=path)
        return cls(path)

    @classmethod
    def clone(cls, url: str | Path, path: Path, *options: str) -> GitRepo:
        """Clones `url` to `path` with `git clone OPTIONS`."""
        run(["git", "clone", "--quiet", *options, str(url), str(path)], cwd=path.parent)
        return cls(path)

    def git(
        self,
        *args: str,
        check: bool = True,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Returns what `git ARGS` prints on stdout, stripped."""
        return run(["git", *args], cwd=self.path, check=check, input=input, env=env).stdout.strip()

    def commit(self, files: Mapping[str, str], message: str) -> str:
        """Writes the files, commits them and all else in the work tree, and returns the oid."""
        for name, text in files.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        self.git("add", "--all")
        when = f"{FIRST_COMMIT_TIME + 60 * self._commits} +0000"
        self._commits += 1
        self.git(
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            message,
            env={"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when},
        )
        return self.git("rev-parse", "HEAD")

    def track(
        self,
        *args: str,
        check: bool = True,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs `git track ARGS`: the installed command, found by git on PATH."""
        return run(["git", "track", *args], cwd=cwd or self.path, check=check, env=env, input=input)

    def python(
        self,
        script: str,
        *args: str,
        check: bool = True,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a training script in the repository, from a file that stands outside of it."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "script.py")
            file.write_text(script, encoding="utf-8")
            return run([sys.executable, file, *args], cwd=cwd or self.path, check=check, env=env)

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """Returns the refs under `prefix`, refname to oid."""
        listing = self.git("for-each-ref", "--format=%(refname) %(objectname)", prefix)
        return dict(line.split(" ", 1) for line in listing.splitlines())

    def fsck(self) -> None:
        """Asserts that git finds nothing wrong."""
        done = run(
            ["git", "fsck", "--strict", "--no-dangling", "--no-progress"],
            cwd=self.path,
            check=False,
        )
        complaints = [
            line
            for line in (done.stdout + done.stderr).splitlines()
            # Said of a repository without commits.
            if not line.startswith("notice: ")
        ]
        assert (done.returncode, complaints) == (0, []), f"git fsck in {self.path}"
