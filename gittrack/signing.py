"""Commits signed as the user signs theirs; git does it, with whatever program and key the user chose."""

from __future__ import annotations

import tempfile

from gittrack.git import Git
from gittrack.shared import make_folder


def signed(git: Git, commit: bytes) -> bytes:
    """Returns a commit's body signed as the user signs commits; raises GitFailed if the signature fails.

    git makes the signed commit in a private object folder, which goes away."""
    head, _, message = commit.partition(b"\n\n")
    fields = [line.decode("utf-8", "surrogateescape").split(" ", 1) for line in head.split(b"\n")]
    args = [part for key, value in fields if key == "parent" for part in ("-p", value)]
    env: dict[str, str] = {}
    for key, value in fields:
        if key in ("author", "committer"):
            name, _, rest = value.partition(" <")
            address, _, date = rest.partition("> ")
            env |= {
                f"GIT_{key.upper()}_NAME": name,
                f"GIT_{key.upper()}_EMAIL": address,
                f"GIT_{key.upper()}_DATE": "@" + date,
            }
    home = git.place.common_dir / "gittrack"
    make_folder(home)
    with tempfile.TemporaryDirectory(prefix="sign-", dir=home) as folder:
        env["GIT_OBJECT_DIRECTORY"] = folder
        env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = str(git.place.common_dir / "objects")
        oid = git.ask("commit-tree", "-S", *args, "-F", "-", fields[0][1], input=message, env=env).decode().strip()
        return git.ask("cat-file", "commit", oid, env=env)
