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
from collections.abc import Collection, Sequence
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
    """Files of histories that were read and found sound, up to a number of bytes; what was used last stays."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._files: OrderedDict[Oid, tuple[str, bytes]] = OrderedDict()
        self._blobs: dict[Oid, Oid] = {}  # the blob of a commit's history: neither ever changes
        self._lock = threading.Lock()

    def get(self, commit: Oid) -> tuple[str, bytes] | None:
        """Returns name and content of a commit's history, if it is kept."""
        with self._lock:
            blob = self._blobs.get(commit)
            if blob is None:
                return None
            self._files.move_to_end(blob)
            return self._files[blob]

    def put(self, commit: Oid, blob: Oid, name: str, raw: bytes) -> None:
        """Keeps the content of a commit's history, and lets go of what was not used for longest."""
        if len(raw) > self._limit:
            return
        with self._lock:
            if blob not in self._files:
                self._files[blob] = (name, raw)
                self._size += len(raw)
            self._files.move_to_end(blob)
            self._blobs[commit] = blob
            while self._size > self._limit:
                gone, (_, old) = self._files.popitem(last=False)
                self._size -= len(old)
                self._blobs = {commit: blob for commit, blob in self._blobs.items() if blob != gone}


_kept = Kept(MAX_KEPT)


def read(git: Git, run: Run, metrics: Collection[str] | None = None) -> History:
    """Returns the points of a run, also of one that is being recorded; see `read_many`."""
    return read_many(git, [run], metrics)[0]


def read_many(git: Git, runs: Sequence[Run], metrics: Collection[str] | None = None) -> list[History]:
    """Returns the points of each run: all rows, and of the columns those of `metrics`, where the run has them.

    metrics: None for all. A run without points has an empty table. Raises DataRefused for what is damaged, and NotFound
    for a run that is gone."""
    found: list[History | None] = [_known(run, metrics) for run in runs]
    missing = [place for place, table in enumerate(found) if table is None]
    if missing:
        with git.objects() as objects:
            for place in missing:
                found[place] = _known(runs[place], metrics) or _read(git, objects, runs[place], metrics)
    return [table for table in found if table is not None]


def _known(run: Run, metrics: Collection[str] | None) -> History | None:
    """Returns the points of a run if they were read before."""
    kept = _kept.get(run.oid) if run.oid else None
    return _decoded(*kept, metrics, checked=True) if kept else None


def _read(git: Git, objects: Objects, run: Run, metrics: Collection[str] | None) -> History:
    tip: str | None = run.oid
    if tip is None:
        try:
            return _live(git, objects, run, metrics)
        except FileNotFoundError:  # it ended while we looked
            tip = git.resolve(run_ref(run.id))
    if tip is None:
        raise NotFound(f"run '{run.name}' is not there any more", hint="see `git track ls`")
    return _at(git, objects, Oid(tip), metrics)


def _live(git: Git, objects: Objects, run: Run, metrics: Collection[str] | None) -> History:
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


def _at(git: Git, objects: Objects, commit: Oid, metrics: Collection[str] | None) -> History:
    """Returns the points of a run as a commit of it has them."""
    for name in _FILES:
        found = objects.read(f"{commit}:{name}", limit=history.MAX_BYTES)
        if found is not None and found[1] == "blob":
            blob, _, raw = found
            table = _decoded(name, raw, metrics, checked=False)
            _kept.put(commit, blob, name, raw)
            return table
    from gittrack import store  # noqa: PLC0415 - a run without points, or a repository without all its objects

    tree = store.read_commit(objects, commit).tree
    files = store.read_tree(objects, tree, oid_bytes=git.place.oid_bytes)
    lost = next((name for name in _FILES if name in files), None)
    if lost:
        raise DataRefused(f"'{lost}' of commit '{commit}' is missing", hint="see `git fsck`")
    return _empty()


def _decoded(name: str, raw: bytes, metrics: Collection[str] | None, *, checked: bool) -> History:
    return history.decode(name, raw, metrics=metrics, numpy=_numpy(len(raw)), checked=checked)


def _numpy(size: int) -> Any:
    """Returns numpy if it is there and worth its import for a file of `size` bytes."""
    if size > NUMPY_PAYS:
        with contextlib.suppress(ImportError):  # it is no dependency
            importlib.import_module("numpy")
    return sys.modules.get("numpy")


def _empty() -> History:
    return History(array("q"), array("q"), {})
