"""The points of many runs, read at speed.

A curve needs one file of a run, and of that file a few columns; a comparison needs them of fifty runs. One git answers
for all of them, and what was read is kept a while, because whoever looks at a curve looks again."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from array import array
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from gittrack.codec import history
from gittrack.errors import DataRefused, NotFound
from gittrack.git import Git
from gittrack.model import History, Run
from gittrack.objects import Objects
from gittrack.refname import Oid, run_ref

MAX_KEPT = 128 * 1024 * 1024  # bytes of files that are kept in memory for the next question
NUMPY_PAYS = 16 * 1024 * 1024  # bytes of a file above which importing numpy takes less time than it saves
_FILES = (history.TEXT_FILE, history.COLUMNS_FILE)


class Kept:
    """What was read and found sound, up to a number of bytes: files by blob, and the tables that were made of them.

    What was used last stays. Tables are shared with whoever asks next, so nobody changes one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._items: OrderedDict[Any, tuple[int, Any]] = OrderedDict()
        self._blobs: dict[Oid, Oid] = {}  # the blob of a commit's history: neither ever changes
        self._lock = threading.Lock()

    def file(self, commit: Oid) -> tuple[str, bytes] | None:
        """Returns name and content of the history of a commit, if it is kept."""
        found: tuple[str, bytes] | None = self._get(self._blobs.get(commit))
        return found

    def table(self, commit: Oid, metrics: frozenset[str] | None) -> History | None:
        """Returns the points of a commit, if the same ones were asked for before and are kept."""
        found: History | None = self._get((self._blobs.get(commit), metrics))
        return found

    def put_file(self, commit: Oid, blob: Oid, name: str, raw: bytes) -> None:
        """Keeps the content of the history of a commit."""
        with self._lock:
            self._blobs[commit] = blob
        self._put(blob, len(raw), (name, raw))

    def put_table(self, commit: Oid, metrics: frozenset[str] | None, table: History) -> None:
        """Keeps the points of a commit."""
        numbers = 2 * len(table.steps) + sum(
            len(column.values) + len(column.rows or ()) for column in table.columns.values()
        )
        if commit in self._blobs:
            self._put((self._blobs[commit], metrics), 8 * numbers, table)

    def _get(self, key: Any) -> Any:
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key][1]

    def _put(self, key: Any, size: int, value: Any) -> None:
        if size > self._limit:
            return
        with self._lock:
            self._size += size - self._items.pop(key, (0, None))[0]
            self._items[key] = (size, value)
            while self._size > self._limit:
                self._size -= self._items.popitem(last=False)[1][0]


_kept = Kept(MAX_KEPT)


def read(git: Git, run: Run, metrics: Collection[str] | None = None) -> History:
    """Returns the points of a run, also of one that is being recorded; see `read_each`."""
    return read_many(git, [run], metrics)[0]


def read_many(git: Git, runs: Sequence[Run], metrics: Collection[str] | None = None) -> list[History]:
    """Returns the points of each run; see `read_each`."""
    return list(read_each(git, runs, metrics))


def read_each(git: Git, runs: Sequence[Run], metrics: Collection[str] | None = None) -> Iterator[History]:
    """Yields the points of each run, one after the other: all rows, and of the columns those of `metrics` that it has.

    metrics: None for all. A run without points has an empty table. One git answers for all of them. The tables are kept
    for who asks next, and must not be changed. Raises DataRefused for what is damaged, and NotFound for a run that is
    gone."""
    asked = None if metrics is None else frozenset(metrics)
    with contextlib.ExitStack() as open_ones:
        objects: Objects | None = None
        for run in runs:
            table = _known(run.oid, asked) if run.oid else None
            if table is None:
                objects = objects or open_ones.enter_context(git.objects())
                table = _read(git, objects, run, asked)
            yield table


def _known(commit: Oid, metrics: frozenset[str] | None) -> History | None:
    """Returns the points of a commit if they, or its file, were read before."""
    table = _kept.table(commit, metrics)
    file = _kept.file(commit) if table is None else None
    if file is not None:
        table = _decoded(*file, metrics, checked=True)
        _kept.put_table(commit, metrics, table)
    return table


def _read(git: Git, objects: Objects, run: Run, metrics: frozenset[str] | None) -> History:
    tip: str | None = run.oid
    if tip is None:
        try:
            return _live(git, objects, run, metrics)
        except FileNotFoundError:  # it ended while we looked
            tip = git.resolve(run_ref(run.id))
    if tip is None:
        raise NotFound(f"run '{run.name}' is not there any more", hint="see `git track ls`")
    return _at(git, objects, Oid(tip), metrics)


def _live(git: Git, objects: Objects, run: Run, metrics: frozenset[str] | None) -> History:
    """Returns the points in the journals of a run; raises FileNotFoundError if they are gone.

    Those that a resumed run had before stand in front of them."""
    from gittrack import journal  # noqa: PLC0415 - only of a run that is being recorded
    from gittrack.codec.points import joined  # noqa: PLC0415 - as above
    from gittrack.draft import draft  # noqa: PLC0415 - as above

    live = journal.read(journal.live_root(git.place.common_dir) / run.id)
    now = draft(live).history or _empty()
    if metrics is not None:
        now = replace(now, columns={name: column for name, column in now.columns.items() if name in metrics})
    tip = live.header.get("tip")
    if not tip:
        return now
    before = _at(git, objects, Oid(tip), metrics)
    return joined(before, now) if len(before.steps) and len(now.steps) else before if len(before.steps) else now


def _at(git: Git, objects: Objects, commit: Oid, metrics: frozenset[str] | None) -> History:
    """Returns the points of a run as a commit of it has them."""
    known = _known(commit, metrics)
    if known is not None:
        return known
    for name in _FILES:
        found = objects.read(f"{commit}:{name}", limit=history.MAX_BYTES)
        if found is not None and found[1] == "blob":
            blob, _, raw = found
            table = _decoded(name, raw, metrics, checked=False)
            _kept.put_file(commit, blob, name, raw)
            _kept.put_table(commit, metrics, table)
            return table
    from gittrack import commits, store  # noqa: PLC0415 - a run without points, or a repository without all its objects

    tree = commits.read_commit(objects, commit).tree
    files = store.read_tree(objects, tree, oid_bytes=git.place.oid_bytes)
    lost = next((name for name in _FILES if name in files), None)
    if lost:
        raise DataRefused(f"'{lost}' of commit '{commit}' is missing", hint="see `git fsck`")
    return _empty()


def _decoded(name: str, raw: bytes, metrics: frozenset[str] | None, *, checked: bool) -> History:
    return history.decode(name, raw, metrics=metrics, numpy=_numpy(len(raw)), checked=checked)


def _numpy(size: int) -> Any:
    """Returns numpy if it is there and worth its import for a file of `size` bytes."""
    if size > NUMPY_PAYS:
        with contextlib.suppress(ImportError):  # it is no dependency
            importlib.import_module("numpy")
    return sys.modules.get("numpy")


def _empty() -> History:
    return History(array("q"), array("q"), {})
