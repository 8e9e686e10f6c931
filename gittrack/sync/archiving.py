"""Runs go into the archive of this clone, and their refs go away (docs/format.md, chapter 14)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gittrack import archives, packs, store
from gittrack.commits import read_commit
from gittrack.errors import DataRefused
from gittrack.git import Git, RefMoved, Update
from gittrack.lineage import Lineage
from gittrack.refname import ARCHIVES, Oid, RunId, run_ref
from gittrack.sync import taking
from gittrack.sync.moving import move

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Archived:
    """What archiving did: the archive's newest commit, and the runs whose refs went away."""

    tip: Oid | None = None
    runs: tuple[RunId, ...] = ()


def archive(
    git: Git,
    clone: str,
    runs: Iterable[tuple[RunId, Oid]],
    *,
    deleted: Iterable[RunId] = (),
    purged: Iterable[RunId] = (),
) -> Archived:
    """Adds runs, at the commits that they are at now, to the archive of this clone; and runs that are gone for good.

    A crash leaves the archive as it was, or runs that are in it and have their refs yet, which the next one removes."""
    wanted, gone = list(runs), frozenset(deleted) | frozenset(purged)
    for _ in range(_ATTEMPTS):
        try:
            return _archive(git, clone, wanted, gone, frozenset(purged))
        except RefMoved:  # another process archives
            continue
    raise RefMoved("cannot archive", cause="other processes keep archiving", hint="try again")


def _archive(
    git: Git, clone: str, runs: Sequence[tuple[RunId, Oid]], gone: frozenset[RunId], purged: frozenset[RunId]
) -> Archived:
    now = taking.here(git)
    known = now.shelf.of([run for run, _ in runs])
    tip = now.shelf.tips.get(clone)
    fresh = [(run, oid) for run, oid in runs if oid not in known.get(run, ()) and run not in now.shelf.deleted]
    with git.objects() as objects:
        dated = [(run, oid, read_commit(objects, oid).time) for run, oid in fresh]
    new = gone - (now.shelf.archives[clone].deleted if clone in now.shelf.archives else frozenset())
    if dated or new or purged:
        draft = archives.extended(git, clone, tip, dated, deleted=new, purged=purged)
        tip = archives.write(git, draft)
        git.update_refs([Update(ARCHIVES + clone, tip, now.shelf.tips.get(clone))])  # durably, before any ref goes
    drops = [Update(run_ref(run), None, oid) for run, oid in runs if now.runs.get(run) == oid]
    drops += [Update(run_ref(run), None, now.runs[run]) for run in gone if run in now.runs and run not in dict(runs)]
    done = move(git, drops)
    packs.tidy_refs(git)
    store.tidy(git)
    return Archived(tip, tuple(RunId(update.ref.rpartition("/")[2]) for update in done))


def covered(git: Git) -> list[tuple[RunId, Oid]]:
    """Returns the runs that have a ref though an archive has all of them: what a crash may leave."""
    now = taking.here(git)
    listed = now.shelf.of(now.runs.keys())
    found: list[tuple[RunId, Oid]] = []
    if not listed:
        return found
    with git.objects() as objects:
        lineage = Lineage(objects)
        for run, oids in listed.items():
            ours = now.runs[run]
            if ours in oids or any(_has_all(lineage, run, oid, ours) for oid in oids):
                found.append((run, ours))
    return found


def _has_all(lineage: Lineage, run: RunId, archived: Oid, ours: Oid) -> bool:
    try:
        return lineage.decide(run, ours, archived) == "forward"
    except DataRefused:
        return False
