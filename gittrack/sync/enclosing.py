"""The payloads that runs point to, which go to their stores before the runs go to a remote.

So that whoever sees a pointer can have what it points to. Every version of a run is looked at that the remote does not
have: hosts ask for each pointer that a push brings, not for those of the newest commit alone."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from gittrack import carrying, stores
from gittrack.carrying import Carried
from gittrack.codec.pointer import Pointer
from gittrack.commits import read_commit
from gittrack.errors import DataRefused, GittrackError, NotFound
from gittrack.git import Git
from gittrack.objects import Objects
from gittrack.payloads import Payloads
from gittrack.refname import Oid, RunId, mirror_prefix, run_of
from gittrack.settings import Settings
from gittrack.store import read_detail
from gittrack.stores import StoreAt
from gittrack.transports.protocol import TransportError

Progress = Callable[[str], None]
Paths = Mapping[Pointer, str]  # of a run: its payloads, each with a path that it has there


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the payloads of runs.

    stores: what each store got, by its name; held: the runs that must stay, and why; lacking: runs that the remote has
    already, with a path whose payload is neither here nor in a store."""

    stores: Mapping[str, Carried] = field(default_factory=dict)
    held: Mapping[RunId, GittrackError] = field(default_factory=dict)
    lacking: Mapping[RunId, str] = field(default_factory=dict)


def of_runs(git: Git, runs: Sequence[tuple[RunId, Oid]], *, there: Mapping[RunId, Oid]) -> dict[RunId, Paths]:
    """Returns the payloads of runs at some commits, those without any left out.

    there: what a remote has of runs; what these commits have is not looked at. Raises DataRefused."""
    found: dict[RunId, Paths] = {}
    with git.objects() as objects:
        for run, tip in runs:
            paths = _of_run(objects, run, tip, there=there.get(run), oid_bytes=git.place.oid_bytes)
            if paths:
                found[run] = paths
    return found


def _of_run(objects: Objects, run: RunId, tip: Oid, *, there: Oid | None, oid_bytes: int) -> Paths:
    found: dict[Pointer, str] = {}
    seen: set[Oid | None] = {there}
    looked: set[tuple[Oid, ...]] = set()
    waiting = [tip]
    while waiting:
        oid = waiting.pop()
        if oid in seen:
            continue
        seen.add(oid)
        commit = read_commit(objects, oid)
        try:
            known = commit.run(run)
        except DataRefused:  # the code that it was made from
            continue
        # The code is not there in a shallow clone, and has no payloads of runs anywhere.
        waiting += [parent for parent in commit.parents if parent not in (known.code.commit, known.code.snapshot)]
        if not known.artifact_pointers:
            continue
        detail = read_detail(objects, run, oid, oid_bytes=oid_bytes)
        parts = tuple(sorted(entry.oid for path, entry in detail.files.items() if path.startswith("artifacts")))
        if parts not in looked:  # most commits of a run are edits, and change none of them
            looked.add(parts)
            for path, pointer in detail.pointers().items():
                found.setdefault(pointer, path)
    return found


def there(git: Git, name: str) -> dict[RunId, Oid]:
    """Returns the runs that a remote was seen to have, with the commits that it has."""
    prefix = mirror_prefix(name)
    return {run: ref.oid for ref in git.refs(prefix) if (run := run_of(ref.name, prefix=prefix))}


def send(
    git: Git,
    settings: Settings,
    name: str,
    runs: Mapping[RunId, Paths],
    *,
    published: Collection[RunId] = (),
    only: Sequence[str] = (),
    progress: Progress | None = None,
) -> Sent:
    """Sends the payloads of runs to their stores, those that these lack.

    published: runs that the remote has; a payload that is nowhere to be had does not keep edits of them from going
    there. only: patterns of paths; other payloads stay here, and do not hold up their runs."""
    payloads = Payloads(git.place.common_dir, beside=stores.of_git_lfs(git, settings))
    wanted = {run: _chosen(paths, only) for run, paths in runs.items()}
    pointers = dict.fromkeys(pointer for paths in wanted.values() for pointer in paths)
    done: dict[str, Carried] = {}
    failed: dict[Pointer, GittrackError] = {}
    for store, part in stores.for_sending(settings, name, pointers):
        if store is None:
            failed |= dict.fromkeys(part, _no_store(name))
            continue
        try:
            with closing(stores.open_store(git, store, settings)) as transport:
                carried = carrying.send(payloads, transport, part, progress=progress)
        except GittrackError as exc:
            failed |= dict.fromkeys(part, exc)
        else:
            done[store.name] = carried
            failed |= dict(carried.failed)
    held: dict[RunId, GittrackError] = {}
    lacking: dict[RunId, str] = {}
    for run, paths in wanted.items():
        bad = next((pointer for pointer in paths if pointer in failed), None)
        if bad is None:
            continue
        if run in published and not payloads.find(bad) and not isinstance(failed[bad], TransportError):
            lacking[run] = paths[bad]
        else:
            held[run] = failed[bad]
    return Sent(done, held, lacking)


def stored(git: Git, settings: Settings, name: str, runs: Mapping[RunId, Paths]) -> set[RunId]:
    """Returns those of some runs whose payloads are all in their stores; raises GittrackError if one does not say."""
    known: set[Pointer] = set()
    pointers = dict.fromkeys(pointer for paths in runs.values() for pointer in paths)
    for store, part in stores.for_sending(settings, name, pointers):
        if store is not None:
            with closing(stores.open_store(git, store, settings)) as transport:
                known |= transport.exists(part, sending=False)
    return {run for run, paths in runs.items() if known.issuperset(paths)}


def store_names(settings: Settings, name: str, runs: Mapping[RunId, Paths]) -> dict[StoreAt | None, list[Pointer]]:
    """Returns which payloads of runs would go to which store."""
    pointers = dict.fromkeys(pointer for paths in runs.values() for pointer in paths)
    return dict(stores.for_sending(settings, name, pointers))


def _chosen(paths: Paths, only: Sequence[str]) -> Paths:
    if not only:
        return paths
    return {pointer: path for pointer, path in paths.items() if any(_fits(path, pattern) for pattern in only)}


def _fits(path: str, pattern: str) -> bool:
    """Tells whether a pattern means a path: all of it, its last part, or a folder that it is in."""
    pattern = pattern.removeprefix("artifacts/").rstrip("/")
    if fnmatch.fnmatchcase(path, pattern) or path.startswith(pattern + "/"):
        return True
    return "/" not in pattern and fnmatch.fnmatchcase(path.rpartition("/")[2], pattern)


def _no_store(name: str) -> NotFound:
    return NotFound(
        f"there is no store for the artifacts of runs that go to '{name}'",
        hint="`git track store add NAME URL` names one; `git track push --no-artifacts` sends the runs alone",
    )
