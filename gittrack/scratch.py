"""A private index and object folder, in which git stores files that the user did not add.

git itself does it, so that clean filters, modes and links are right; the user's own index is only copied. What comes
out is a pack that holds all that the user's last commit does not: an object that merely lies about in the repository,
such as a file that was once added and then changed, may be pruned at any moment."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from gittrack.codec.tree import Object
from gittrack.git import Git
from gittrack.model import Omitted
from gittrack.refname import Oid

PATIENCE = 200  # commands of git, to find the files that it cannot store
_SETTINGS = (
    "core.splitIndex=false",  # else git writes half of the private index into the user's git directory
    "core.untrackedCache=false",
    "core.safecrlf=false",  # what git warns of at `git add` is no reason to leave a file out
)


@contextlib.contextmanager
def opened(git: Git, home: Path) -> Iterator[Scratch]:
    """Yields a scratch in `home`, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="snapshot-", dir=home) as folder:
        yield Scratch(git, Path(folder))


class Scratch:
    """A copy of the user's index, and the objects that are made with it."""

    def __init__(self, git: Git, folder: Path) -> None:
        self.git = git
        self.objects = folder / "objects"
        self.objects.mkdir()
        self.calls = 0
        with contextlib.suppress(FileNotFoundError):
            _copy_with_time(git.place.git_dir / "index", folder / "index")
        self.env = {
            "GIT_INDEX_FILE": str(folder / "index"),
            "GIT_OBJECT_DIRECTORY": str(self.objects),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": _listed(git.place.common_dir / "objects"),
        }

    def restore(self, paths: Sequence[str], commit: Oid | None) -> None:
        """Gives files the version of the commit, or takes them out if it has none."""
        if paths:
            args = ("reset", "--quiet", *([commit] if commit else []), "--pathspec-from-file=-", "--pathspec-file-nul")
            env = {**self.env, "GIT_LITERAL_PATHSPECS": "1"}
            self.git.ask(*args, input=_joined(paths), env=env, settings=_SETTINGS)

    def add(self, paths: Sequence[str]) -> tuple[Omitted, ...]:
        """Takes files as they lie in the work tree, without those that are gone; returns what git cannot store."""
        if not paths:
            return ()
        self.calls += 1
        args = ("update-index", "--add", "--remove", "--replace", "-z", "--stdin")
        done = self.git.run(*args, input=_joined(paths), env=self.env, settings=_SETTINGS)
        if done.returncode == 0:
            return ()
        if len(paths) > 1 and self.calls < PATIENCE:
            half = len(paths) // 2
            return self.add(paths[:half]) + self.add(paths[half:])
        if len(paths) == 1 and self._is_gone(paths[0]):
            gone = ("update-index", "--force-remove", "-z", "--stdin")
            self.git.ask(*gone, input=_joined(paths), env=self.env, settings=_SETTINGS)
            return ()
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = f"git cannot store it ({said[-1][:120] if said else 'unknown reason'})"
        return tuple(Omitted(path, why) for path in paths)

    def _is_gone(self, path: str) -> bool:
        """Tells whether a folder of the path is none any more; git looks no further behind a symbolic link."""
        above = Path(self.git.place.work_tree or "", path).parents
        return any(folder.is_symlink() for folder in list(above)[: path.count("/")])

    def write_tree(self) -> Oid:
        """Returns the tree of all that is in the index now."""
        # It need not look for each file's object: the pack is checked as a whole when it comes in.
        return Oid(self.git.ask("write-tree", "--missing-ok", env=self.env, settings=_SETTINGS).decode().strip())

    def pack(self, commit: Object, *, without: Oid | None) -> bytes:
        """Returns a pack of a commit and all it needs that another one does not have."""
        path = self.objects / commit.oid[:2] / commit.oid[2:]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(zlib.compress(b"commit %d\0" % len(commit.body) + commit.body))
        wanted = f"{commit.oid}\n" + (f"^{without}\n" if without else "")
        return self.git.ask("pack-objects", "--revs", "--stdout", "-q", input=wanted.encode(), env=self.env)


def _copy_with_time(source: Path, target: Path) -> None:
    """Copies the index with its own time, by which git knows which entries may be stale; git may replace it now."""
    with source.open("rb") as reader, target.open("wb") as writer:
        status = os.fstat(reader.fileno())
        writer.write(reader.read())
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _joined(paths: Sequence[str]) -> bytes:
    return os.fsencode("\0".join(paths))


def _listed(path: Path) -> str:
    """Returns a path as an item of a list in which a colon stands between two."""
    text = str(path)
    if ":" not in text:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
