"""A floor: what was changed, stored as a tree through a copy of the user's index, durable by nothing."""

from __future__ import annotations

import shutil

from .gitstatus import GitStatus


class GitSnapshot(GitStatus):
    def capture(self, status: bytes) -> None:
        """Stores what differs; in a clean work tree there is nothing to do."""
        paths = [path_in(line) for line in status.split(b"\0") if line]
        if not paths:
            return
        index = self.folder / "out" / "index"
        shutil.copy2(self.folder / ".git" / "index", index)  # with its time, or git reads every file again
        env = {"GIT_INDEX_FILE": str(index)}
        self.ask("update-index", "--add", "--remove", "-z", "--stdin", feed=b"\0".join(paths), env=env)
        self.ask("write-tree", env=env)


def path_in(line: bytes) -> bytes:
    """Returns the path in a line of `git status --porcelain=v2`, of a file that was changed or is not tracked."""
    return line.split(b" ", 1 if line.startswith(b"?") else 8)[-1]


open_store = GitSnapshot
