"""An archive without some runs: for a secret that leaked, which hiding a run does not take back.

The commits from the first one that holds such a run on are written again. What is written depends on nothing but the
archive and the runs, so every clone that learns of a purge comes to the same commits."""

from __future__ import annotations

from collections.abc import Collection

from gittrack import archives
from gittrack.codec import archive
from gittrack.codec.tree import Object
from gittrack.commits import Commit
from gittrack.git import Git
from gittrack.objects import Objects
from gittrack.refname import Oid, RunId


def without(git: Git, tip: Oid, purged: Collection[RunId]) -> Oid:
    """Returns the newest commit of an archive that does not hold these runs; it is stored durably, without a ref."""
    size = git.place.oid_bytes
    with git.objects() as objects:
        batches = archives.read(objects, tip, oid_bytes=size).batches
        dirty = {
            batch: listed
            for batch, listed in archives.entries(objects, sorted(batches), oid_bytes=size)
            if not listed.keys().isdisjoint(purged)
        }
        if not dirty:
            return tip
        return _rewritten(git, objects, tip, dirty, purged)


def _rewritten(
    git: Git, objects: Objects, tip: Oid, dirty: dict[Oid, dict[RunId, Oid]], purged: Collection[RunId]
) -> Oid:
    bad = {oid for listed in dirty.values() for run, oid in listed.items() if run in purged}
    clean = {batch: {run: oid for run, oid in listed.items() if run not in purged} for batch, listed in dirty.items()}
    names: dict[Oid, Oid] = {}
    made: list[Object] = []
    for commit in reversed(list(archives.walk(objects, tip))):
        before = archives.read(objects, commit.oid, oid_bytes=git.place.oid_bytes)
        parents = tuple(names.get(parent, parent) for parent in commit.parents if parent not in bad)
        if parents == commit.parents and before.batches.isdisjoint(dirty):
            names[commit.oid] = commit.oid
            continue
        new, names[commit.oid] = _again(git, commit, before, parents, clean, names)
        made += new
    return archives.write(git, archives.Draft(tuple(made), names[tip]))


def _again(  # noqa: PLR0917 - one commit, and all that it depends on
    git: Git,
    commit: Commit,
    before: archives.Archive,
    parents: tuple[Oid, ...],
    clean: dict[Oid, dict[RunId, Oid]],
    names: dict[Oid, Oid],
) -> tuple[list[Object], Oid]:
    """Returns the objects of a commit of an archive without the runs, and its id."""
    batches = {batch for batch in before.batches if batch not in clean}
    count = len([parent for parent in parents if parent not in names.values()])
    return archives.composed(
        git,
        archive.clone_of(commit.message) or "",
        parents,
        batches,
        [clean[batch] for batch in sorted(before.batches & clean.keys()) if clean[batch]],
        gone=(before.deleted, before.purged),
        time=commit.time,
        count=count,
    )
