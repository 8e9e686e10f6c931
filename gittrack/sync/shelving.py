"""What the archives of others say is taken in: more archived runs, and runs that are gone for good.

A run whose commit an archive of this clone keeps needs no ref any more. That it does keep it is looked up among the
parents of the archive's commits: what a stranger merely lists keeps nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gittrack import archives, boundary, packs, purging
from gittrack.archives import Shelf
from gittrack.errors import DataRefused, GittrackError
from gittrack.git import Git, Ref, RefMoved, Update
from gittrack.lineage import Lineage
from gittrack.objects import Objects
from gittrack.refname import ARCHIVES, LOCAL, RUNS, TRASH, Oid, RunId, run_ref
from gittrack.sync import taking
from gittrack.sync.moving import move
from gittrack.sync.taking import Here, Integrated

_ATTEMPTS = 5
_DAY = 86_400


def integrate(git: Git) -> Integrated:
    """Takes what the mirrors hold into `refs/runs/`: archives, deletions, then runs."""
    refs = git.refs(RUNS, LOCAL)
    shelved = _take_archives(git, refs)
    now = taking.here(git, refs) if shelved is None else None
    shelved = shelved or _Shelved()
    found = [*taking.mirrors(refs), *shelved.apart]
    done = taking.take_in(git, found, now=now) if found else Integrated()
    return replace(
        done, refused=(*shelved.refused, *done.refused), archived=shelved.archived, buried=tuple(shelved.buried)
    )


@dataclass(slots=True)
class _Shelved:
    """What taking in archives did; apart: archived versions of runs that are not yet one with what is here."""

    refused: list[GittrackError] = field(default_factory=list)
    apart: list[tuple[RunId, Oid]] = field(default_factory=list)
    archived: int = 0
    buried: list[RunId] = field(default_factory=list)


def _take_archives(git: Git, refs: Sequence[Ref]) -> _Shelved | None:
    """Takes in the archives of mirrors; returns None if there is nothing new in them."""
    for attempt in range(_ATTEMPTS):
        refs = git.refs(RUNS, LOCAL) if attempt else refs
        seen = archives.mirrored(refs)
        now = taking.here(git, refs)
        wanted = {(clone, oid) for (_, clone), oid in seen.items() if now.shelf.tips.get(clone) != oid}
        if not wanted:
            return None
        try:
            return _shelve(git, now, wanted)
        except RefMoved:  # another process takes them in, or archives
            continue
    raise RefMoved("cannot take in archives", cause="other processes keep changing them", hint="try again")


def _shelve(git: Git, now: Here, wanted: set[tuple[str, Oid]]) -> _Shelved:
    done = _Shelved()
    with git.objects() as objects:
        purged = set(now.shelf.purged)
        good: list[tuple[str, Oid]] = []
        for clone, oid in sorted(wanted):
            try:
                found = archives.read(objects, oid, oid_bytes=git.place.oid_bytes)
                new = sorted(found.batches - now.shelf.batches)
                archives.entries(objects, new, oid_bytes=git.place.oid_bytes)  # all is read before any of it counts
                purged |= found.purged
                good.append((clone, oid))
            except DataRefused as exc:
                exc.message = (
                    exc.message if "refused" in exc.message else f"archive '{clone}' is refused: {exc.message}"
                )
                exc.hint = exc.hint or "it stays on the remote; ask who pushed it"
                done.refused.append(exc)
    tips = dict(now.shelf.tips)
    if purged:
        tips = {clone: purging.without(git, tip, purged) for clone, tip in tips.items()}
    for clone, theirs in good:
        tips[clone] = _merged(git, clone, tips.get(clone), purging.without(git, theirs, purged) if purged else theirs)
    changes = [
        Update(ARCHIVES + clone, tip, now.shelf.tips.get(clone))
        for clone, tip in tips.items()
        if now.shelf.tips.get(clone) != tip
    ]
    after = Shelf(git, tips=tips)
    if changes:
        git.update_refs(changes)  # first, and durably: only then may refs of runs go
    with git.objects() as objects:
        _drop(git, objects, now, after, done)
    return done


def _merged(git: Git, clone: str, ours: Oid | None, theirs: Oid) -> Oid:
    """Returns an archive that has what both versions of it have."""
    if ours is None or ours == theirs or git.is_ancestor(ours, theirs):
        return theirs
    if git.is_ancestor(theirs, ours):
        return ours
    if boundary.is_cut(git.place.common_dir):  # what came between may be missing, so what they list tells
        with git.objects() as objects:
            left, right = (archives.read(objects, oid, oid_bytes=git.place.oid_bytes) for oid in (ours, theirs))
        if left.batches <= right.batches and left.deleted <= right.deleted and left.purged <= right.purged:
            return theirs
    return archives.write(git, archives.united(git, clone, ours, theirs))


def _drop(git: Git, objects: Objects, now: Here, after: Shelf, done: _Shelved) -> None:
    """Removes the refs of runs that the archives keep, or that are gone."""
    gone = after.deleted
    done.buried += sorted(run for run in now.runs if run in gone)
    new = sorted(after.batches - now.shelf.batches)
    kept: set[Oid] = set()
    if new:
        for tip in after.tips.values():
            kept |= archives.parents(objects, tip, without=frozenset(now.shelf.tips.values()))
    buried = {run: now.runs[run] for run in done.buried}
    drops = {run: Update(run_ref(run), None, oid) for run, oid in buried.items()}
    lineage = Lineage(objects)
    batches = archives.entries(objects, new, oid_bytes=git.place.oid_bytes, lenient=True)
    here = gone | now.runs.keys() | now.shelf.runs.keys()
    done.archived += len({run for _, listed in batches for run in listed} - here)
    for _, listed in batches:
        for run, oid in listed.items():
            ours = now.runs.get(run)
            if run in gone:
                continue
            if ours and oid in kept and (ours == oid or _is_newer(git, objects, lineage, run, ours, oid)):
                drops[run] = Update(run_ref(run), None, ours)  # once, though it was archived, edited and archived again
            elif ours != oid and (ours or now.shelf.runs.get(run, {oid}) != {oid}):
                done.apart.append((run, oid))
    if drops:
        if buried:
            git.update_refs(_into_trash(git, buried))
        move(git, list(drops.values()))  # one that somebody edits just now stays
        packs.tidy_refs(git)


def _is_newer(git: Git, objects: Objects, lineage: Lineage, run: RunId, ours: Oid, theirs: Oid) -> bool:  # noqa: PLR0917
    """Tells whether an archived version has all that ours has, and is sound."""
    if lineage.decide(run, ours, theirs) != "forward":
        return False
    try:
        taking.examine(objects, run, theirs, oid_bytes=git.place.oid_bytes)
    except GittrackError:
        return False
    return True


def _into_trash(git: Git, buried: Mapping[RunId, Oid]) -> list[Update]:
    """Returns what keeps runs for a while that somebody else deleted for good: whoever did so may have been wrong."""
    today = f"{TRASH}{int(time.time()) // _DAY}/"
    there = {ref.name: ref.oid for ref in git.refs(today)}
    found = [Update(today + run, oid, there.get(today + run)) for run, oid in buried.items()]
    return [update for update in found if update.new != update.old]
