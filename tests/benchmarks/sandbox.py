"""A home, an environment and repositories of our own.

Whoever runs the benchmarks has settings, credentials and run stores: none is read or written.
No tool reaches the network either: what asks for a proxy finds a closed port."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")
SEALED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "DO_NOT_TRACK": "1",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "no_proxy": "localhost,127.0.0.1",
}
# A tool's files must not make the work tree dirty: none of them would be tracked in real life.
IGNORED = "out/\n__pycache__/\n"
FOLDERS, FILES = 10, 10


@dataclass(frozen=True)
class Sandbox:
    """The folder in which everything happens, and what is in the environment there."""

    root: Path
    env: Mapping[str, str]

    def repository(self, name: str, *, folders: int = FOLDERS, files: int = FILES) -> Path:
        """Returns a new repository with one commit of a project, by default a small one."""
        folder = self.root / name
        for place in range(folders):
            package = folder / "src" / f"part{place}"
            package.mkdir(parents=True)
            for number in range(files):
                (package / f"module{number}.py").write_text(f"VALUE = {place * number}\n" * 40)
        (folder / ".gitignore").write_text(IGNORED)
        (folder / "out").mkdir()
        for words in ("init -q", "add .", "commit -qm project"):
            self.git(folder, *words.split())
        return folder

    def git(self, folder: Path, *words: str) -> str:
        """Runs git in one of the repositories and returns what it prints."""
        done = subprocess.run(["git", *words], cwd=folder, env=self.env, check=True, capture_output=True, text=True)
        return done.stdout

    def fsck(self, folder: Path) -> list[str]:
        """Returns what git finds wrong with a repository."""
        words = ["git", "fsck", "--full", "--strict", "--no-dangling", "--no-progress"]
        done = subprocess.run(words, cwd=folder, env=self.env, check=False, capture_output=True, text=True)
        said = (done.stdout + done.stderr).splitlines()
        return said or ([f"exit code {done.returncode}"] if done.returncode else [])


def make(root: Path) -> Sandbox:
    """Returns a sandbox in an empty folder."""
    home = root / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Bench\n\temail = bench@example.com\n[init]\n\tdefaultBranch = main\n"
    )
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return Sandbox(root, {**kept, **SEALED, "HOME": str(home)})


def size(folder: Path) -> tuple[int, int]:
    """Returns what `du` would say of a folder: bytes in the files, and bytes in blocks."""
    apparent = blocks = 0
    for parent, _, files in os.walk(folder):
        for path in [parent, *(os.path.join(parent, name) for name in files)]:
            try:
                found = os.lstat(path)
            except FileNotFoundError:
                continue  # git and SQLite remove temporary files behind our back
            apparent += found.st_size
            blocks += found.st_blocks * 512
    return apparent, blocks
