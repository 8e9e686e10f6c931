"""Which of two versions of a run has more, told by the commits that are no joins (docs/format.md, chapter 9).

`git rev-list` answers this for one pair in a process; here a thousand pairs are told apart by reading the commits of
the runs. What stands below them is code, which a later version never lacks."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from gittrack.commits import MAX_COMMIT
from gittrack.objects import Objects
from gittrack.refname import Oid, RunId

Choice = Literal["keep", "forward", "join"]
_JOIN = re.compile(rb"^Join: 1$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ancestry:
    """The commits of a run that are reachable from one: `plain` ones were recorded or are edits, the others joins."""

    plain: frozenset[Oid]
    joins: frozenset[Oid]

    def has(self, oid: Oid) -> bool:
        """Tells whether a commit is among them."""
        return oid in self.plain or oid in self.joins


class Lineage:
    """The commits of runs, each read once."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._known: dict[Oid, tuple[tuple[Oid, ...], bool] | None] = {}

    def of(self, run: RunId, tip: Oid) -> Ancestry:
        """Returns the commits of a run from `tip` down; none if `tip` is no commit of this run."""
        plain: set[Oid] = set()
        joins: set[Oid] = set()
        mark = b"\nRun: %s\n" % run.encode()
        waiting = [tip]
        while waiting:
            oid = waiting.pop()
            if oid in plain or oid in joins:
                continue
            found = self._read(oid, mark)
            if found is None:
                continue
            parents, is_join = found
            (joins if is_join else plain).add(oid)
            waiting += parents
        return Ancestry(frozenset(plain), frozenset(joins))

    def _read(self, oid: Oid, mark: bytes) -> tuple[tuple[Oid, ...], bool] | None:
        if oid not in self._known:
            raw = self._objects.read(oid, limit=MAX_COMMIT)
            head, _, message = raw[2].partition(b"\n\n") if raw and raw[1] == "commit" else (b"", b"", b"")
            parents = [line[7:].decode("ascii", "replace") for line in head.split(b"\n") if line.startswith(b"parent ")]
            is_run = mark in message
            self._known[oid] = (tuple(map(Oid, parents)), bool(_JOIN.search(message))) if is_run else None
        return self._known[oid]

    def decide(self, run: RunId, ours: Oid, theirs: Oid) -> Choice:
        """Returns what to do with two tips of a run: `keep` ours, `forward` to theirs, or `join`.

        Compares the commits that are no joins, so that joining ends: each join enlarges one side only."""
        if ours == theirs:
            return "keep"
        left, right = self.of(run, ours), self.of(run, theirs)
        if left.plain - right.plain:
            return "join" if right.plain - left.plain else "keep"
        if right.plain - left.plain or right.has(ours):
            return "forward"
        return "keep" if left.has(theirs) or ours < theirs else "forward"

    def has_more(self, run: RunId, tip: Oid, there: Oid) -> bool:
        """Tells whether `tip` has a commit that is no join and that `there` lacks."""
        return tip != there and bool(self.of(run, tip).plain - self.of(run, there).plain)

    def is_ancestor(self, run: RunId, old: Oid, new: Oid) -> bool:
        """Tells whether `old` is reachable from `new` over commits of the run."""
        return self.of(run, new).has(old)

    def newest(self, run: RunId, tips: Collection[Oid]) -> Oid:
        """Returns the tip that has all that the others have, or else the greatest; raises ValueError for none."""
        first, *others = sorted(tips)
        for other in others:
            if self.decide(run, first, other) != "keep":
                first = other
        return first
