"""The join of two versions of a run: all edits of both (docs/format.md, chapter 9)."""

from __future__ import annotations

from typing import NamedTuple

from gittrack import capture, store
from gittrack.codec import tree
from gittrack.codec.tree import Entry, Object
from gittrack.git import Git
from gittrack.model import Edit, fold
from gittrack.refname import Oid
from gittrack.store import Detail


class Joined(NamedTuple):
    """A join that is not written yet: its objects, the commit among them, and the version that it does not show."""

    objects: list[Object]
    tip: Oid
    hidden: Oid | None


def join(git: Git, left: Detail, right: Detail) -> Joined:
    """Returns the join of two tips of a run; the recording that it shows is the one that ended later."""
    sides = first, second = sorted((left, right), key=lambda side: (side.facts.get("ended") or "", side.commit.oid))
    edits = {f"edits/{made.file}": entry for side in sides for made, entry in _edit_entries(side)}
    files = {path: entry for path, entry in second.files.items() if not path.startswith("edits/")} | edits
    everything = {made.file: made for side in sides for made in side.edits}
    after = store.with_state(second.run, fold(second.base, everything.values()))
    objects, body = store.composed(
        git,
        after,
        files,
        parents=sorted((left.commit.oid, right.commit.oid)),
        parent_time=max(side.commit.time for side in sides),
        author=capture.IDENTITY,
        time=0,
        join=True,
    )
    made = tree.make_object("commit", body, algorithm=git.place.algorithm)
    return Joined([*objects, made], made.oid, first.commit.oid if _recorded_twice(first, second) else None)


def _recorded_twice(first: Detail, second: Detail) -> bool:
    """Tells whether both versions were gone on with since they parted."""
    times = [[str(time) for time in side.facts.get("resumed") or []] for side in (first, second)]
    common = min(map(len, times))
    return times[0][:common] != times[1][:common]


def _edit_entries(side: Detail) -> list[tuple[Edit, Entry]]:
    return [(made, side.files[f"edits/{made.file}"]) for made in side.edits]
