"""Brings the index up to what the refs say now.

Every writer stores what the refs looked like before it listed them, so whoever comes later sees whether anything
moved since; and it writes only if nobody else wrote since it compared, or compares again. So the index may be behind
for a moment, but it never takes old for new."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from sqlite3 import Connection
from typing import Any, NamedTuple

from gittrack.codec import record
from gittrack.errors import DataRefused
from gittrack.git import Git
from gittrack.index import database as file
from gittrack.index import freshness, schema, shelves, workers
from gittrack.index.database import Database
from gittrack.index.shelves import At, Shelves
from gittrack.index.state import State, folders, read_state
from gittrack.model import Run
from gittrack.objects import Objects
from gittrack.refname import LOCAL, RUNS, Kind, Oid, RunId, is_clone_id, is_run_id, run_of

_MAX_COMMIT = record.MAX_BYTES + 64 * 1024
_ATTEMPTS = 8
_MANY = 5000  # runs that are written at once
_PART = 250  # runs that a worker reads at once
_PARTS_A_GIT = 16


@dataclass(frozen=True, slots=True)
class Listed:
    """The refs as they are: those of runs, (run, remote) as seen, archives of both kinds; and how their files looked.

    whole: these are all; else the others are packed, and where they were."""

    look: freshness.Look
    runs: Mapping[RunId, At]
    seen: Mapping[tuple[RunId, str], At]
    archives: Mapping[str, At]
    whole: bool


def update(git: Git, database: Database, state: State) -> None:
    """Takes in what changed since `state`; raises Unusable."""
    for _ in range(_ATTEMPTS):
        if _take_in(git, database, state):
            return
        state = read_state(database)  # another process wrote: what was compared is not there any more
    raise file.Unusable("other processes keep writing it")


def fill(git: Git, database: Database) -> None:
    """Fills an empty index; raises Unusable."""
    listed = _list_all(git)
    shelved = shelves.compare(git, database.connection, listed.archives, whole=True)
    runs = {run: at for run, at in listed.runs.items() if run not in shelved.deleted}
    runs |= shelves.find(git, shelved, {}, lost=(), hot=listed.runs.keys())
    with file.translated():
        database.connection.execute("BEGIN")
        shelves.put(database.connection, shelved)
        _put(database.connection, _read_all(git, runs), listed.seen)
        database.connection.execute(_DIFFERING)
        _remember(database.connection, listed.look)
        database.connection.execute("COMMIT")


def _take_in(git: Git, database: Database, state: State) -> bool:
    """Writes what changed since `state`; returns False if another process wrote in the meantime."""
    listed = _list_loose(git, database, state) or _list_all(git)
    changes = _compare(git, database, listed)
    counter = state.counter
    wanted = list(changes.wanted.items())
    for at in range(0, max(1, len(wanted)), _MANY):  # so many at once as fit into memory
        part = changes._replace(wanted=dict(wanted[at : at + _MANY]))
        found = _join(_read_all(git, part.wanted))
        is_last = at + _MANY >= len(wanted)
        if is_last and at == 0 and not _says_anything(database, listed, part, found, state):
            return True
        with database.writing() as connection:
            if connection.execute("SELECT counter FROM state").fetchone() != (counter,):
                return False
            _apply(connection, part if at == 0 else _Changes(part.wanted, [], [], {}, [], _NONE), [found])
            _remember(connection, listed.look if is_last else listed.look._replace(taken=0.0))
            counter += 1
    return True


def _says_anything(database: Database, listed: Listed, changes: _Changes, found: _Found, state: State) -> bool:
    """Tells whether there is anything to write; not if only the same runs are still damaged."""
    if not state.look.settled or listed.look.stamps != state.look.stamps or any(changes[1:-1]):
        return True
    if changes.shelved.says_anything:
        return True
    with file.translated():
        damaged = set(database.connection.execute("SELECT id, oid FROM damaged"))
    return bool(found.rows) or any(row[:2] not in damaged for row in found.damaged)


# Listing ------------------------------------------------------------------------------------------------------------


def _list_all(git: Git) -> Listed:
    """Returns all refs, as git lists them."""
    common = git.place.common_dir
    before = freshness.loose(common)
    look = freshness.look(common, before.folders if before else ())
    refs = git.refs(RUNS, LOCAL)
    after = freshness.loose(common)  # what is a file by now is known as one: if it goes, that is noticed
    if before is None or after is None or before.folders != after.folders:
        look = look._replace(taken=0.0)  # a folder that was not looked at may change unseen
    apart = after.refs if after else {}
    return _sorted_out(look, ((ref.name, At(ref.oid, ref.name in apart)) for ref in refs), whole=True)


def _list_loose(git: Git, database: Database, state: State) -> Listed | None:
    """Returns the loose refs if nothing but them changed; None if git has to be asked for all."""
    known = state.look
    look = freshness.look(git.place.common_dir, folders(known))
    loose = freshness.loose(git.place.common_dir)
    packed = known.stamps.get(freshness.PACKED)
    if (
        not known.taken
        or loose is None
        or loose.folders != folders(known)
        or look.stamps[freshness.PACKED] != packed
        or not known.is_settled(freshness.PACKED)
        or look.stamps[freshness.TABLES]
    ):
        return None
    listed = _sorted_out(look, ((name, At(oid, loose=True)) for name, oid in loose.refs.items()), whole=False)
    with file.translated():
        select = database.connection.execute
        runs = {name for (name,) in select("SELECT id FROM runs WHERE loose UNION SELECT id FROM damaged WHERE loose")}
        seen = set(select("SELECT id, remote FROM seen WHERE loose"))
        shelved = {ref: (oid, loose) for ref, oid, loose in select("SELECT ref, oid, loose FROM archives")}
    everything = runs <= listed.runs.keys() and seen <= listed.seen.keys()
    for ref, (oid, was_loose) in shelved.items():  # an archive that moved says something of runs whose refs are packed
        at = listed.archives.get(ref)
        everything = everything and (at is None or at.oid == oid) and (at is not None or not was_loose)
    everything = everything and listed.archives.keys() <= shelved.keys()
    return listed if everything else None


def _sorted_out(look: freshness.Look, refs: Iterable[tuple[str, At]], *, whole: bool) -> Listed:
    runs: dict[RunId, At] = {}
    seen: dict[tuple[RunId, str], At] = {}
    archives: dict[str, At] = {}
    for name, at in refs:
        run = run_of(name)
        if run is not None:
            runs[run] = at
        elif is_clone_id(name.rpartition("/archive/")[2]):
            archives[name] = at
        elif name.startswith(LOCAL):
            head, _, last = name.rpartition("/runs/")
            if head.startswith(LOCAL) and is_run_id(last):
                seen[RunId(last), head.removeprefix(LOCAL).removeprefix("remote-")] = at
    return Listed(look, runs, seen, archives, whole)


# Comparing ----------------------------------------------------------------------------------------------------------


class _Changes(NamedTuple):
    """What has to be read; which rows are only held otherwise now; what is gone; the same of mirrors; of archives."""

    wanted: Mapping[RunId, At]
    moved: list[tuple[bool, Oid | None, RunId]]
    gone: list[RunId]
    seen: Mapping[tuple[RunId, str], At]
    unseen: list[tuple[RunId, str]]
    shelved: Shelves


_NONE = Shelves({}, (), frozenset(), frozenset(), frozenset(), frozenset())


class _Found(NamedTuple):
    """Rows of runs, and of what cannot be read."""

    rows: list[tuple[Any, ...]]
    damaged: list[tuple[Any, ...]]


def _compare(git: Git, database: Database, listed: Listed) -> _Changes:
    """Returns how the refs differ from the index."""
    select = database.connection.execute
    shelved = shelves.compare(git, database.connection, listed.archives, whole=listed.whole)
    hot = {run: at for run, at in listed.runs.items() if run not in shelved.deleted}
    with file.translated():
        rows = dict(_rows(database, "batch IS NULL")) if listed.whole else {}
        rows |= _rows_of(database, [run for run in hot if run not in rows])
        asked = "SELECT id, remote, oid, loose FROM seen"
        one = "SELECT id, remote, oid, loose FROM seen WHERE id = ? AND remote = ?"
        found = [select(asked)] if listed.whole else [select(one, key) for key in listed.seen]
        seen = {(name, remote): At(oid, bool(loose)) for each in found for name, remote, oid, loose in each}
    lost = {run for run in rows if rows[run].batch is None and run not in hot} if listed.whole else set()
    lost |= shelved.restored - hot.keys()
    buried: set[RunId] = set()
    now = dict(hot)
    if shelved.says_anything or (lost and shelved.all):
        with file.translated():
            for batch in shelved.lost:
                rows |= dict(_rows(database, "batch = ?", batch))
            if shelved.deleted:
                rows |= _rows_of(database, sorted(shelved.deleted))
        lost |= {
            run for run, at in rows.items() if at.batch is not None and at.batch in shelved.lost and run not in hot
        }
        buried = {run for run in rows if run in shelved.deleted}
        with file.translated():  # what new batches list may be here already, from others
            known = dict(_rows(database, "batch IS NOT NULL")) if shelved.new else {}
            known |= {run: at for run, at in rows.items() if at.batch is not None}
        placed = shelves.find(git, shelved, known, lost=lost, hot=hot.keys())
        rows |= _rows_of(database, [run for run in placed if run not in rows and run not in known])
        rows |= {run: known[run] for run in placed if run in known}
        now |= placed
    return _Changes(
        {run: at for run, at in now.items() if run not in rows or rows[run].oid != at.oid},
        [
            (at.loose, at.batch, run)
            for run, at in now.items()
            if run in rows and rows[run].oid == at.oid and rows[run] != at
        ],
        sorted((lost | buried) - now.keys()),
        {key: at for key, at in listed.seen.items() if seen.get(key) != at},
        [key for key in seen if key not in listed.seen],
        shelved,
    )


def _rows(database: Database, where: str, *values: str) -> Iterator[tuple[RunId, At]]:
    """Yields where runs were; call it within `translated`."""
    asked = f"SELECT id, oid, loose, batch FROM runs WHERE {where}"  # noqa: S608 - words of ours
    for name, oid, loose, batch in database.connection.execute(asked, values):
        yield RunId(name), At(Oid(oid), bool(loose), batch)


def _rows_of(database: Database, runs: Iterable[RunId]) -> dict[RunId, At]:
    return {name: at for run in runs for name, at in _rows(database, "id = ?", run)}


def _read_all(git: Git, wanted: Mapping[RunId, At]) -> Iterator[_Found]:
    """Yields what refs name, part by part; of very many runs on all cores."""
    items = list(wanted.items())
    parts = [dict(items[at : at + _PART]) for at in range(0, len(items), _PART)]
    opened = _Opened(git)
    try:

        def work(part: Mapping[RunId, At]) -> tuple[Any, ...]:
            return tuple(_read(git, opened.reader(), part))  # a plain one, as marshal takes it

        for rows, damaged in workers.shared(parts, work):
            yield _Found(rows, damaged)
    finally:
        opened.close()


class _Opened:
    """A git for each process, and a new one now and then: it maps what it reads, and 100,000 runs are 300 MB."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._objects: Objects | None = None
        self._owner = 0
        self._parts = 0

    def reader(self) -> Objects:
        """Returns what the next part is read through."""
        if self._owner != os.getpid():
            self._objects, self._owner, self._parts = None, os.getpid(), 0  # that of the parent is the parent's
        if self._objects is None or self._parts == _PARTS_A_GIT:
            self.close()
            self._objects, self._parts = self._git.objects().__enter__(), 0
        self._parts += 1
        return self._objects

    def close(self) -> None:
        """Ends the git of this process."""
        if self._objects is not None and self._owner == os.getpid():
            self._objects.__exit__(None, None, None)


def _join(parts: Iterable[_Found]) -> _Found:
    found = _Found([], [])
    for rows, damaged in parts:
        found.rows.extend(rows)
        found.damaged.extend(damaged)
    return found


def _read(git: Git, objects: Objects, wanted: Mapping[RunId, At]) -> _Found:
    """Returns the rows of the runs that refs name, and those of what cannot be read."""
    found = _Found([], [])
    long: list[tuple[RunId, At, Run]] = []
    asked = objects.read_many([at.oid for at in wanted.values()], limit=_MAX_COMMIT)
    for (name, at), raw in zip(wanted.items(), asked, strict=True):
        try:
            made = _decoded(raw, name, at)
        except DataRefused as exc:
            found.damaged.append((name, at.oid, at.loose, at.batch, exc.message, exc.cause, exc.hint))
            continue
        if made is not None and made[0].more:
            long.append((name, at, made[0]))
        elif made is not None:
            found.rows.append(schema.row_of(*made, loose=at.loose, batch=at.batch))
    for name, at, run in long:
        try:
            found.rows.append(schema.row_of(_completed(git, run, at.oid), "", loose=at.loose, batch=at.batch))
        except DataRefused as exc:
            found.damaged.append((name, at.oid, at.loose, at.batch, exc.message, exc.cause, exc.hint))
    return found


def _decoded(raw: tuple[Oid, Kind, bytes] | DataRefused | None, name: RunId, at: At) -> tuple[Run, str] | None:
    """Returns the run in a commit, and its record; None if it is no commit, and so no run. Raises DataRefused."""
    if isinstance(raw, DataRefused):
        raise raw
    if raw is None:
        raise record.refused(name, "its commit is missing", "see `git track fsck`")
    if raw[1] != "commit":
        return None
    message = raw[2].partition(b"\n\n")[2]
    return record.decode_message(message, run=name, oid=at.oid), record.text_of(message)


def _completed(git: Git, run: Run, oid: Oid) -> Run:
    """Returns a run with what its record left out for size, read from its tree; raises DataRefused."""
    from gittrack import store  # noqa: PLC0415 - only for records that are too long for a message

    with git.objects() as objects:
        detail = store.read_detail(objects, run.id, oid, oid_bytes=git.place.oid_bytes)
        return replace(run, params=detail.params(), metrics=detail.metrics())


# Writing ------------------------------------------------------------------------------------------------------------


_DIFFERING = (
    "INSERT OR IGNORE INTO apart SELECT seen.id FROM seen LEFT JOIN runs USING (id) WHERE runs.oid IS NOT seen.oid"
)


def _apply(connection: Connection, changes: _Changes, found: Iterable[_Found]) -> None:
    """Writes the changes, in a transaction of the caller."""
    many = connection.executemany
    many("DELETE FROM runs WHERE id = ?", ((name,) for name in changes.gone))
    many("UPDATE runs SET loose = ?, batch = ? WHERE id = ?", changes.moved)
    shelves.put(connection, changes.shelved)
    many("DELETE FROM damaged WHERE id = ?", ((name,) for name in (*changes.gone, *changes.wanted)))
    many("DELETE FROM seen WHERE id = ? AND remote = ?", changes.unseen)
    _put(connection, found, changes.seen)
    touched = {*changes.wanted, *changes.gone, *(name for name, _ in (*changes.seen, *changes.unseen))}
    many("DELETE FROM apart WHERE id = ?", ((name,) for name in touched))
    many(f"{_DIFFERING} AND seen.id = ?", ((name,) for name in touched))


def _put(connection: Connection, found: Iterable[_Found], seen: Mapping[tuple[RunId, str], At]) -> None:
    """Adds rows of runs, of what cannot be read, and of what remotes have."""
    many = connection.executemany
    for rows, damaged in found:
        many(schema.INSERT, rows)
        many("DELETE FROM runs WHERE id = ?", ((name,) for name, *_ in damaged))
        many("INSERT INTO damaged VALUES (?, ?, ?, ?, ?, ?, ?)", damaged)
    mirrors = ((name, remote, at.oid, at.loose) for (name, remote), at in seen.items())
    many("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", mirrors)


def _remember(connection: Connection, look: freshness.Look) -> None:
    """Writes down how the refs looked before they were listed."""
    connection.execute(
        "UPDATE state SET stamps = ?, taken = ?, counter = counter + 1", (json.dumps(look.stamps), look.taken)
    )
