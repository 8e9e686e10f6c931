"""What is asked of git besides objects and refs: the user's work tree, settings, history and differences.

One method a question, because a machine without a git executable has to answer the same questions in another way
(`libgit`); whoever asks does not know which of the two answers."""

from __future__ import annotations

import os
import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, NamedTuple

from gittrack.errors import GitFailed, UsageError
from gittrack.model import Omitted
from gittrack.refname import Oid

# A line of the message of each commit that we make besides the user's own.
NO_CODE = "^(Run: r[0-9a-z]{12}|Archive: c[0-9a-z]{12}|snapshot of uncommitted work)$"
_UNREAD = re.compile(r"^warning: could not open directory '(.*)': (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Status:
    """What `git status` said: HEAD's commit and branch, and the paths that differ from it."""

    commit: Oid | None
    branch: str | None
    changed: tuple[str, ...]
    untracked: tuple[str, ...]
    submodules: tuple[str, ...] = ()  # with uncommitted work in them
    unread: tuple[Omitted, ...] = ()  # what git could not look at


class Line(NamedTuple):
    """A commit as a log shows it; `names` are the refs that name it.

    tree, author (address) and authored (Unix seconds) are what tells a commit from its rewritten self."""

    oid: Oid
    short: str
    names: str
    subject: str
    tree: Oid
    author: str
    authored: int


_NAMES = ("HEAD", "refs/heads/", "refs/remotes/", "refs/tags/")  # of ten thousand runs, git would read each ref
_LOG = (
    *("log", "--format=%H%x00%h%x00%D%x00%T%x00%ae%x00%at%x00%s", "--encoding=UTF-8", "--no-show-signature"),
    *(f"--decorate-refs={name}" for name in _NAMES),
)


class Porcelain(ABC):
    """The questions, answered by the git executable."""

    has_executable: ClassVar[bool] = True

    @abstractmethod
    def run(
        self,
        *args: str,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        settings: Sequence[str] = (),
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs git and returns what it answered, whatever its exit code."""

    @abstractmethod
    def ask(
        self,
        *args: str,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        settings: Sequence[str] = (),
        cwd: Path | None = None,
    ) -> bytes:
        """Runs git and returns its output; raises GitFailed with git's own words as the cause."""

    @property
    def version(self) -> str | None:
        """The version of git, or None where there is none."""
        return self.ask("version").decode().split()[2]

    def config(self) -> list[tuple[str, str]]:
        """Returns every setting that holds here, in git's order: of equal keys the last one wins."""
        raw = self.run("config", "--list", "-z").stdout.decode("utf-8", "replace")
        items = (item.partition("\n") for item in raw.split("\0"))
        return [(key, value if newline else "true") for key, newline, value in items if key]

    def variable(self, name: str) -> str | None:
        """Returns one of git's own variables, `GIT_PAGER` or `GIT_EDITOR`."""
        return self.run("var", name).stdout.decode("utf-8", "replace").strip() or None

    def date(self, text: str) -> float:
        """Returns a date as git understands it (`2 weeks ago`), in Unix seconds; raises UsageError."""
        said = self.ask("rev-parse", f"--since={text}").decode("utf-8", "replace").rpartition("=")[2].strip()
        if not said.isdigit():
            raise UsageError(f"git does not understand the date '{text}'")
        return float(said)

    def branch(self) -> str | None:
        """Returns the branch that HEAD is on, or None."""
        return self.run("symbolic-ref", "--quiet", "--short", "HEAD").stdout.decode("utf-8", "replace").strip() or None

    def status(self) -> Status:
        """Returns the state of the work tree, every untracked file named."""
        told = "--porcelain=v2 --branch -z --untracked-files=all"
        done = self.run("status", *told.split(), "--no-renames", "--no-ahead-behind", "--ignore-submodules=none")
        if done.returncode:
            raise failed("status", done.stderr)
        found = _UNREAD.findall(os.fsdecode(done.stderr))
        unread = tuple(Omitted(path, f"cannot be read ({why})") for path, why in found)
        return replace(decode_status(done.stdout), unread=unread)

    def log(self, revision: str) -> Iterator[Line]:
        """Yields the commits that are reachable from `revision`, newest first."""
        raw = self.ask(*_LOG, "--end-of-options", revision)
        for line in raw.decode("utf-8", "replace").split("\n")[:-1]:
            oid, short, names, tree, author, authored, subject = line.split("\0", 6)
            yield Line(Oid(oid), short, names, subject, Oid(tree), author, int(authored or 0))

    def within(self, tip: Oid, *, without: Oid | None = None, paths: Sequence[str] = ()) -> frozenset[Oid]:
        """Returns the commits reachable from `tip` and not from `without`, those that change `paths` if there are any.

        paths: as those of `diffstat`."""
        words = ("rev-list", "--end-of-options", tip, *([f"^{without}"] if without else []), *_behind(paths))
        return frozenset(map(Oid, self.ask(*words, cwd=Path.cwd() if paths else None).decode().split()))

    def count_new(self, tips: Iterable[Oid], *, known: Iterable[str], code: bool = False) -> int | None:
        """Returns how many commits are reachable from `tips` and from no ref below `known`; None if it cannot tell.

        code: only those of code, no runs, archives and snapshots."""
        globs = [f"--glob={prefix}*" for prefix in known]
        only = ["--extended-regexp", "--invert-grep", f"--grep={NO_CODE}"] if code else []
        given = "".join(f"{oid}\n" for oid in sorted(tips)).encode()
        done = self.run("rev-list", "--count", *only, "--stdin", "--not", *globs, input=given)
        return int(done.stdout or 0) if done.returncode == 0 else None

    def ancestry(self, tips: Iterable[Oid], *, without: Iterable[Oid]) -> dict[Oid, tuple[Oid, ...]] | None:
        """Returns the commits reachable from `tips` and from none of `without`, each with its parents.

        What is missing here or is no commit is passed over; None if the rest cannot be walked."""
        asked = "".join([*(f"{oid}\n" for oid in tips), *(f"^{oid}\n" for oid in without)])
        done = self.run("rev-list", "--parents", "--ignore-missing", "--stdin", input=asked.encode())
        if done.returncode:
            return None
        lines = done.stdout.decode("ascii", "replace").splitlines()
        return {Oid(words[0]): tuple(map(Oid, words[1:])) for words in map(str.split, lines)}

    def changed_paths(self, old: Oid, new: Oid) -> tuple[str, ...]:
        """Returns the paths that differ between two commits or trees."""
        raw = self.ask("diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new)
        return tuple(path for path in raw.decode("utf-8", "replace").split("\0") if path)

    def diffstat(self, old: Oid, new: Oid, paths: Sequence[str] = ()) -> str | None:
        """Returns a summary of what differs between two commits, or None if one of them is not here.

        paths: pathspecs below the current folder, as git takes them; by default everything."""
        words = ("--stat=100", "--no-ext-diff", "--no-textconv", "--no-color", old, new, *_behind(paths))
        done = self.run("diff", *words, cwd=Path.cwd() if paths else None)
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None

    def diff(self, old: Oid, new: Oid, *, colour: bool, paths: Sequence[str] = ()) -> str:
        """Returns what differs between two commits, as a patch; `paths` as those of `diffstat`."""
        choice = "--color=always" if colour else "--no-color"
        words = (choice, "--no-ext-diff", "--no-textconv", old, new, *_behind(paths))
        return self.ask("diff", *words, cwd=Path.cwd() if paths else None).decode("utf-8", "replace")


def _behind(paths: Sequence[str]) -> tuple[str, ...]:
    """Returns paths so that none is taken for an option or a commit."""
    return ("--", *paths) if paths else ()


def decode_status(raw: bytes) -> Status:
    """Reads what `git status --porcelain=v2 --branch -z` printed."""
    head: dict[str, str] = {}
    changed, untracked, submodules = [], [], []
    for item in os.fsdecode(raw).split("\0"):
        kind, _, rest = item.partition(" ")
        if kind == "#":
            key, _, said = rest.partition(" ")
            head[key] = said
        elif kind == "?":
            untracked.append(rest)
        elif kind in ("1", "u"):
            fields = rest.split(" ", 7 if kind == "1" else 9)
            changed.append(fields[-1])
            if fields[1].startswith("S") and set(fields[1][2:]) & set("MU"):
                submodules.append(fields[-1])
    oid, name = head.get("branch.oid", "(initial)"), head.get("branch.head", "(detached)")
    return Status(
        commit=None if oid == "(initial)" else Oid(oid),
        branch=None if name == "(detached)" else name,
        changed=tuple(changed),
        untracked=tuple(untracked),
        submodules=tuple(submodules),
    )


def first_line(stderr: bytes) -> str:
    """Returns git's complaint without its prefix."""
    lines = [line for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    chosen = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[0] if lines else "")
    return chosen.removeprefix("fatal: ").removeprefix("error: ").strip()


def failed(command: str, stderr: bytes) -> GitFailed:
    """Returns the error for a git command that failed."""
    return GitFailed(f"git {command} failed", cause=first_line(stderr) or None)
