"""The archives in the index: which batches they list, and so which runs without a ref there are.

A batch never changes, so it is read once; an archive that moved forward has a few new ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from sqlite3 import Connection
from typing import NamedTuple

from gittrack import archives
from gittrack.errors import DataRefused
from gittrack.git import Git
from gittrack.index import database as file
from gittrack.lineage import Lineage
from gittrack.refname import ARCHIVES, LOCAL, Oid, RunId


class At(NamedTuple):
    """Where a run is: its commit, whether its ref is a file of its own; the batch that lists it, if it has no ref."""

    oid: Oid
    loose: bool = False
    batch: Oid | None = None


@dataclass(frozen=True, slots=True)
class Shelves:
    """The refs of archives that moved or are new, with what they say; and those that are gone.

    new, lost: batches of this clone's archives that were not there before, or are not there any more; all: those that
    are; deleted: the runs that are gone for good; restored: those that no archive says are gone any more."""

    read: Mapping[str, tuple[At, archives.Archive]]
    unread: tuple[str, ...]
    new: frozenset[Oid]
    lost: frozenset[Oid]
    all: frozenset[Oid]
    deleted: frozenset[RunId]
    restored: frozenset[RunId] = frozenset()
    looser: tuple[tuple[bool, str], ...] = ()

    @property
    def says_anything(self) -> bool:
        """Whether anything is to be written."""
        return bool(self.read or self.unread or self.looser)


def remote_of(ref: str) -> str:
    """Returns the remote in whose mirror an archive's ref is, as the index calls it; '' for one of this clone."""
    if ref.startswith(ARCHIVES):
        return ""
    return ref.removeprefix(LOCAL).partition("/runs/")[0].removeprefix("remote-")


def compare(git: Git, connection: Connection, listed: Mapping[str, At], *, whole: bool) -> Shelves:
    """Returns how the archives differ from the index; whole: what is not listed is gone. Raises Unusable."""
    select = connection.execute
    with file.translated():
        known = {ref: At(oid, bool(loose)) for ref, oid, loose in select("SELECT ref, oid, loose FROM archives")}
        before = {
            ref: {batch for (batch,) in select("SELECT batch FROM batches WHERE ref = ?", (ref,))} for ref in known
        }
        gone = {ref: {run for (run,) in select("SELECT id FROM gone WHERE ref = ?", (ref,))} for ref in known}
    moved = {ref: at for ref, at in listed.items() if ref not in known or known[ref].oid != at.oid}
    unread = tuple(ref for ref in known if ref not in listed) if whole else ()
    read = dict(_read(git, moved)) if moved else {}
    after = {ref: batches for ref, batches in before.items() if ref not in unread}
    after |= {ref: set(each.batches) for ref, (_, each) in read.items()}
    lists = {ref: runs for ref, runs in gone.items() if ref not in unread}
    lists |= {ref: set(each.deleted) for ref, (_, each) in read.items()}
    old, new = _own(before), _own(after)
    looser = (
        (at.loose, ref) for ref, at in listed.items() if ref in known and known[ref] == (at.oid, not at.loose, None)
    )
    deleted = _own(lists)
    return Shelves(read, unread, new - old, old - new, new, deleted, _own(gone) - deleted, tuple(looser))


def _own(found: Mapping[str, Collection[Oid] | Collection[RunId]]) -> frozenset:  # type: ignore[type-arg]
    return frozenset(each for ref, several in found.items() if ref.startswith(ARCHIVES) for each in several)


def _read(git: Git, moved: Mapping[str, At]) -> Iterable[tuple[str, tuple[At, archives.Archive]]]:
    with git.objects() as objects:
        for ref, at in moved.items():
            try:
                yield ref, (at, archives.read(objects, at.oid, oid_bytes=git.place.oid_bytes))
            except DataRefused:  # `fsck` names it
                yield ref, (at, archives.Archive(at.oid))


def find(
    git: Git, shelves: Shelves, known: Mapping[RunId, At], *, lost: Collection[RunId], hot: Collection[RunId]
) -> dict[RunId, At]:
    """Returns where archived runs are that the index does not know so.

    known: rows of archived runs; lost: runs that had a ref, or a batch, which is gone; hot: runs that have a ref."""
    found: dict[RunId, dict[Oid, Oid]] = {}
    with git.objects() as objects:

        def take(batches: Iterable[Oid], wanted: Collection[RunId] | None) -> None:
            ordered = sorted(batches)
            for batch, listed in archives.entries(objects, ordered, oid_bytes=git.place.oid_bytes, lenient=True):
                for run, oid in listed.items():
                    if (wanted is None or run in wanted) and run not in hot and run not in shelves.deleted:
                        found.setdefault(run, {})[oid] = batch

        take(shelves.new, None)
        if lost:
            take(shelves.all - shelves.new, lost)
        lineage = Lineage(objects)
        for run, versions in found.items():
            at = known.get(run)
            if at is not None and at.batch not in shelves.lost and at.batch is not None:
                versions.setdefault(at.oid, at.batch)
        return {run: _newest(lineage, run, versions) for run, versions in found.items()}


def _newest(lineage: Lineage, run: RunId, versions: Mapping[Oid, Oid]) -> At:
    oid = next(iter(versions)) if len(versions) == 1 else lineage.newest(run, versions.keys())
    return At(oid, batch=versions[oid])


def put(connection: Connection, shelves: Shelves) -> None:
    """Writes down what the archives say, in a transaction of the caller."""
    many = connection.executemany
    for ref in (*shelves.unread, *shelves.read):
        for table in ("archives", "batches", "gone"):
            connection.execute(f"DELETE FROM {table} WHERE ref = ?", (ref,))  # noqa: S608 - words of ours
    many("UPDATE archives SET loose = ? WHERE ref = ?", shelves.looser)
    for ref, (at, each) in shelves.read.items():
        connection.execute("INSERT INTO archives VALUES (?, ?, ?)", (ref, at.oid, at.loose))
        many("INSERT INTO batches VALUES (?, ?, ?)", ((batch, ref, remote_of(ref)) for batch in each.batches))
        many("INSERT INTO gone VALUES (?, ?)", ((run, ref) for run in each.deleted))
    if shelves.read or shelves.unread:
        connection.execute("DELETE FROM damaged WHERE id IN (SELECT id FROM gone WHERE ref LIKE 'refs/runs/%')")
        connection.execute("DELETE FROM damaged WHERE batch NOT IN (SELECT batch FROM batches WHERE remote = '')")
