"""The user's work tree, settings and history, as libgit2 tells them.

The answers are git's, except where only git runs the user's own programs: filters, textconv, a signature."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar, NoReturn

import pygit2
from pygit2.enums import ConfigLevel, DiffStatsFormat, FileStatus, ReferenceType, SortMode

from gittrack.errors import UsageError
from gittrack.git import Git, no_git
from gittrack.libgit.opening import configured, is_usual, open_repository, translated
from gittrack.porcelain import NO_CODE, Line, Status
from gittrack.refname import Oid

_AGO = re.compile(r"(\d+)[ .](second|minute|hour|day|week|month|year)s?[ .]ago", re.IGNORECASE)
_SECONDS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "week": 7 * 86400,
    "month": 30 * 86400,
    "year": 365 * 86400,
}


class LibPorcelain(Git):
    """What `Porcelain` asks, answered by libgit2."""

    has_executable: ClassVar[bool] = False

    def run(self, *args: Any, **_: Any) -> NoReturn:
        """Raises GitMissing: only the executable can do what is asked."""
        error = no_git()
        error.cause = f"`git {args[0]}` is needed for this"
        raise error

    def ask(self, *args: Any, **_: Any) -> NoReturn:
        """Raises GitMissing, as `run` does."""
        self.run(*args)

    def open(self) -> pygit2.Repository:
        """Returns the repository, opened anew: safe from several threads and after a fork."""
        return open_repository(self.place, self.environ)

    @property
    def version(self) -> str | None:
        """None: there is no git."""
        return None

    def config(self) -> list[tuple[str, str]]:
        """Returns every setting that holds here, in git's order."""
        with configured(self.environ), translated("cannot read git's settings"):
            entries = [(entry.raw_level, _pair(entry)) for entry in self.open().config]
            named = self.environ.get("GIT_CONFIG_GLOBAL")
            extra = named and not is_usual(named) and os.path.isfile(named)
            users = [_pair(entry) for entry in pygit2.Config(str(named))] if extra else []
        outer = [pair for level, pair in entries if level < ConfigLevel.LOCAL]
        inner = [pair for level, pair in entries if level >= ConfigLevel.LOCAL]
        count = self.environ.get("GIT_CONFIG_COUNT", "0")
        given = range(int(count) if count.isdigit() else 0)
        last = [(self.environ.get(f"GIT_CONFIG_KEY_{n}"), self.environ.get(f"GIT_CONFIG_VALUE_{n}")) for n in given]
        return [*outer, *users, *inner, *((key.lower(), value) for key, value in last if key and value is not None)]

    def variable(self, name: str) -> str | None:
        """Returns one of git's own variables, `GIT_PAGER` or `GIT_EDITOR`, found as git finds it."""
        settings = dict(self.config())
        if name == "GIT_PAGER":
            found = (self.environ.get("GIT_PAGER"), settings.get("core.pager"), self.environ.get("PAGER"), "less")
        else:
            names = ("GIT_EDITOR", "VISUAL", "EDITOR")
            first, *others = (self.environ.get(key) for key in names)
            found = (first, settings.get("core.editor"), next(filter(None, others), None), "vi")
        return next(filter(None, found), None)

    def date(self, text: str) -> float:
        """Returns a date (ISO 8601, `yesterday`, `2 weeks ago`) in Unix seconds; raises UsageError."""
        ago = _AGO.fullmatch(text.strip())
        if ago:
            return time.time() - int(ago[1]) * _SECONDS[ago[2].lower()]
        if text.strip().lower() in ("now", "yesterday"):
            return time.time() - 86400 * (text.strip().lower() == "yesterday")
        try:
            return datetime.fromisoformat(text.strip()).timestamp()
        except ValueError:
            hint = "write it as 2026-11-23, or as '2 weeks ago'; other words need git"
            raise UsageError(f"the date '{text}' is not understood without git", hint=hint) from None

    # The user's code ------------------------------------------------------------------------------------------------

    def branch(self) -> str | None:
        """Returns the branch that HEAD is on, or None."""
        with translated("cannot read HEAD"):
            head = self.open().lookup_reference("HEAD")
        if head.type != ReferenceType.SYMBOLIC or not isinstance(head.raw_target, bytes):
            return None
        return os.fsdecode(head.raw_target).removeprefix("refs/heads/")

    def status(self) -> Status:
        """Returns the state of the work tree; one that libgit2 cannot read counts as changed.

        Files of filters that only git runs (LFS) may be listed as changed although git would not list them."""
        repo = self.open()
        commit = self.resolve("HEAD")
        try:
            found = repo.status(untracked_files="all", ignored=False)
        except (pygit2.GitError, ValueError, OSError):  # a sparse index, for one
            return Status(commit, self.branch(), ("",), ())
        new = [path for path, flags in found.items() if flags == FileStatus.WT_NEW]
        changed = [path for path, flags in found.items() if flags & ~(FileStatus.WT_NEW | FileStatus.IGNORED)]
        return Status(commit, self.branch(), tuple(sorted(changed)), tuple(sorted(new)))

    def log(self, revision: str) -> Iterator[Line]:
        """Yields the commits that are reachable from `revision`, newest first."""
        repo = self.open()
        names = self._decorations()
        with translated(f"cannot read the history of '{revision}'"):
            for commit in repo.walk(str(self.resolve(revision)), SortMode.TIME):
                oid = Oid(str(commit.id))
                paragraph = commit.raw_message.strip().split(b"\n\n")[0].decode("utf-8", "replace")
                subject = " ".join(paragraph.splitlines())
                tree, author = Oid(str(commit.tree_id)), commit.author
                name = ", ".join(names.get(oid, ()))
                address = author.raw_email.decode("utf-8", "replace")
                yield Line(oid, commit.short_id, name, subject, tree, address, author.time)

    def within(self, tip: Oid, *, without: Oid | None = None, paths: Sequence[str] = ()) -> frozenset[Oid]:
        """Returns the commits reachable from `tip` and not from `without`; raises UsageError for paths."""
        if paths:
            raise _without_paths()
        with translated("cannot read the history"):
            walker = self.open().walk(tip)
            if without:
                walker.hide(without)
            return frozenset(Oid(str(commit.id)) for commit in walker)

    def _decorations(self) -> dict[Oid, list[str]]:
        found: dict[Oid, list[str]] = {}
        repo = self.open()
        head, branch = self.resolve("HEAD"), self.branch()
        if head:
            found[head] = [f"HEAD -> {branch}" if branch else "HEAD"]
        for prefix, label in (("refs/tags/", "tag: "), ("refs/remotes/", ""), ("refs/heads/", "")):
            for ref in self.refs(prefix):
                name = ref.name.removeprefix(prefix)
                if prefix != "refs/heads/" or name != branch:
                    found.setdefault(_peeled(repo, ref.oid), []).append(label + name)
        return found

    def count_new(self, tips: Iterable[Oid], *, known: Iterable[str], code: bool = False) -> int | None:
        """Returns how many commits are reachable from `tips` and from no ref below `known`; None if it cannot tell.

        code: only those of code, no runs, archives and snapshots."""
        repo = self.open()
        try:
            walker = repo.walk(None)
            for tip in tips:
                walker.push(tip)
            for ref in self.refs(*known):
                if ref.oid in repo:
                    walker.hide(ref.oid)
            ours = re.compile(NO_CODE.encode(), re.MULTILINE)
            return sum(1 for commit in walker if not (code and ours.search(commit.raw_message)))
        except (pygit2.GitError, KeyError, ValueError):
            return None

    def ancestry(self, tips: Iterable[Oid], *, without: Iterable[Oid]) -> dict[Oid, tuple[Oid, ...]] | None:
        """Returns the commits reachable from `tips` and from none of `without`, each with its parents."""
        repo = self.open()
        try:
            walker = repo.walk(None)
            for oid in tips:
                if isinstance(repo.get(oid), pygit2.Commit):
                    walker.push(oid)
            for oid in without:
                if isinstance(repo.get(oid), pygit2.Commit):
                    walker.hide(oid)
            return {Oid(str(each.id)): tuple(Oid(str(parent)) for parent in each.parent_ids) for each in walker}
        except (pygit2.GitError, KeyError, ValueError):
            return None

    def changed_paths(self, old: Oid, new: Oid) -> tuple[str, ...]:
        """Returns the paths that differ between two commits or trees."""
        with translated("cannot compare two commits"):
            deltas = self._diff(old, new).deltas
            return tuple(sorted({_path(delta) for delta in deltas}))

    def diffstat(self, old: Oid, new: Oid, paths: Sequence[str] = ()) -> str | None:
        """Returns a summary of what differs between two commits, or None if one of them is not here."""
        if paths:
            raise _without_paths()
        try:
            return self._diff(old, new).stats.format(DiffStatsFormat.FULL, 100)
        except (pygit2.GitError, KeyError, ValueError):
            return None

    def diff(self, old: Oid, new: Oid, *, colour: bool, paths: Sequence[str] = ()) -> str:  # noqa: ARG002 - git paints
        """Returns what differs between two commits, as a patch without colours."""
        if paths:
            raise _without_paths()
        with translated("cannot compare two commits"):
            return self._diff(old, new).patch or ""

    def _diff(self, old: Oid, new: Oid) -> pygit2.Diff:
        repo = self.open()
        after = repo[new].peel(pygit2.Tree)
        if old == self.empty_tree:
            return after.diff_to_tree(swap=True)
        return repo[old].peel(pygit2.Tree).diff_to_tree(after)


def _without_paths() -> UsageError:
    return UsageError("paths need git itself", cause="only git knows what its pathspecs mean", hint="leave them out")


def _peeled(repo: pygit2.Repository, oid: Oid) -> Oid:
    """Returns the commit that a tag names, or what is no tag itself."""
    with contextlib.suppress(pygit2.GitError, KeyError, ValueError):
        return Oid(str(repo[oid].peel(pygit2.Commit).id))
    return oid


def _pair(entry: Any) -> tuple[str, str]:
    """Returns key and value of a setting; one without a value is true, as in git."""
    value = entry.raw_value
    return entry.raw_name.decode("utf-8", "replace"), "true" if value is None else value.decode("utf-8", "replace")


def _path(delta: pygit2.DiffDelta) -> str:
    return delta.new_file.raw_path.decode("utf-8", "replace")
