"""Runs that nobody recorded: made with git's plumbing, as an attacker or another program would."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.gitcmd import GitRepo


def plumb(repo: GitRepo, *args: str, input: bytes = b"", env: Mapping[str, str] | None = None) -> str:
    """Returns what `git ARGS` prints, given bytes."""
    done = subprocess.run(
        ["git", *args], cwd=repo.path, input=input, env={**os.environ, **(env or {})}, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def hash_object(repo: GitRepo, kind: str, body: bytes) -> str:
    """Stores an object without a check of its content, and returns its id."""
    return plumb(repo, "hash-object", "-t", kind, "-w", "--stdin", "--literally", input=body)


def entry(mode: str, name: bytes, oid: str) -> bytes:
    """Returns one entry of a tree object."""
    return mode.encode() + b" " + name + b"\0" + bytes.fromhex(oid)


def tree_with(repo: GitRepo, tree: str, files: Mapping[str, bytes | None]) -> str:
    """Returns a tree that is `tree` with files changed, added or, with None, removed."""
    index = {"GIT_INDEX_FILE": str(Path(repo.git("rev-parse", "--absolute-git-dir"), "index-for-a-test"))}
    plumb(repo, "read-tree", tree, env=index)
    for path, content in files.items():
        if content is None:
            plumb(repo, "update-index", "--force-remove", path, env=index)
        else:
            blob = hash_object(repo, "blob", content)
            plumb(repo, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=index)
    made = plumb(repo, "write-tree", env=index)
    Path(index["GIT_INDEX_FILE"]).unlink()
    return made


def rewrite(
    repo: GitRepo,
    run: str,
    *,
    files: Mapping[str, bytes | None] | None = None,
    entries: Sequence[bytes] = (),
    message: bytes | None = None,
    tip: str | None = None,
) -> str:
    """Returns a commit like that of `run`, with other files, raw tree entries in front, or another message."""
    old = tip or repo.git("rev-parse", f"refs/runs/{run}")
    head, _, said = subprocess.run(
        ["git", "cat-file", "commit", old], cwd=repo.path, capture_output=True, check=True
    ).stdout.partition(b"\n\n")
    tree = tree_with(repo, f"{old}^{{tree}}", files or {})
    if entries:
        raw = subprocess.run(["git", "cat-file", "tree", tree], cwd=repo.path, capture_output=True, check=True).stdout
        tree = hash_object(repo, "tree", b"".join(entries) + raw)
    lines = [b"tree " + tree.encode(), *head.split(b"\n")[1:]]
    return hash_object(repo, "commit", b"\n".join(lines) + b"\n\n" + (said if message is None else message))
