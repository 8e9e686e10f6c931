"""Runs go for good: their ids into the archive's list, which only grows and which every sync reads, then all else."""

from __future__ import annotations

import time
from collections.abc import Collection

from gittrack import archives, freeing, purging
from gittrack.archives import Shelf
from gittrack.git import Git, RefMoved, Update
from gittrack.refname import ARCHIVES, LOCAL, RUNS, TRASH, Oid, RunId
from gittrack.sync import archiving, taking
from gittrack.sync.moving import move

TRASH_DAYS = 14  # for which what others deleted for good is kept here
_DAY = 86_400
_ATTEMPTS = 5


def bury(git: Git, clone: str, runs: Collection[RunId], *, purged: Collection[RunId] = ()) -> set[Oid]:
    """Deletes runs for good, and what is older than 14 days in the trash; returns objects to `freeing.free`.

    purged: those of them that are taken out of every archive here too. Raises GitFailed or RefMoved."""
    now = taking.here(git)
    runs = {*runs, *(now.shelf.deleted & now.runs.keys())}  # what a crash left of an earlier time goes too
    refs = freeing.versions(git, runs)
    old = {ref.name: ref.oid for ref in git.refs(TRASH) if _day(ref.name) < time.time() // _DAY - TRASH_DAYS}
    listed = Shelf(git).listed(purged)
    tips = {*refs.values(), *old.values(), *(oid for oids in listed.values() for oid in oids)}
    found = freeing.candidates(git, tips) if git.has_executable else set()
    if runs:
        archiving.archive(git, clone, [], deleted=runs, purged=purged)  # durably, before anything goes
    if purged:
        _purge(git, frozenset(purged))
    gone = {ref: oid for ref, oid in {**refs, **old}.items() if not ref.startswith(RUNS)}
    move(git, [Update(ref, None, oid) for ref, oid in gone.items()])
    return found


def _day(ref: str) -> float:
    number = ref.removeprefix(TRASH).partition("/")[0]
    return int(number) if number.isdigit() else 0


def _purge(git: Git, runs: frozenset[RunId]) -> None:
    """Writes the archives here again without some runs, and forgets what was seen of them on remotes."""
    for _ in range(_ATTEMPTS):
        tips = Shelf(git).tips
        clean = {clone: purging.without(git, tip, runs) for clone, tip in tips.items()}
        changes = [Update(ARCHIVES + clone, clean[clone], tip) for clone, tip in tips.items() if clean[clone] != tip]
        try:
            if changes:
                git.update_refs(changes)
            return
        except RefMoved:  # another process archives
            continue
    raise RefMoved("cannot purge", cause="other processes keep archiving", hint="try again")


def seen_with(git: Git, runs: Collection[RunId]) -> list[str]:
    """Returns the mirrors of remotes whose archives still hold some runs: these keep their objects here too."""
    found: set[str] = set()
    for (prefix, clone), tip in archives.mirrored(git.refs(LOCAL)).items():
        if Shelf(git, prefix + "archive/", tips={clone: tip}).listed(runs):
            found.add(prefix.removeprefix(LOCAL).partition("/")[0].removeprefix("remote-"))
    return sorted(found)


def archived_on_remotes(git: Git, runs: Collection[RunId]) -> set[RunId]:
    """Returns those of some runs of which an archive on a remote has some version."""
    found: set[RunId] = set()
    for (prefix, clone), tip in archives.mirrored(git.refs(LOCAL)).items():
        found |= Shelf(git, prefix + "archive/", tips={clone: tip}).listed(runs).keys()
    return found
