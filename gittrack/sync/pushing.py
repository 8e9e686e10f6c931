"""Our runs go to a remote: archives first, then what it lacks, what changed on both sides after a join.

Deletions come in before anything goes out, so no clone that was away for long brings a run back."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gittrack import archives, packs, purging, remote, sending
from gittrack.archives import Shelf
from gittrack.codec import tree
from gittrack.errors import DataRefused, GittrackError, RemoteError
from gittrack.git import Git, RefMoved, Update
from gittrack.lineage import Lineage
from gittrack.refname import ARCHIVES, RUNS, Oid, RunId, mirror_prefix, run_of, run_ref
from gittrack.sending import Change
from gittrack.sync import joins, seen, shelving, taking
from gittrack.sync.taking import Here, Integrated
from gittrack.transfer import Progress

_ATTEMPTS = 5
_ARCHIVE = "archive/"


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did: the remote's answer for each run, and the error that ended it before it had them all.

    archived: how many runs went in archives; freed: how many refs of archived or deleted runs the remote let go;
    kept: why it let some of them not go."""

    taken: tuple[RunId, ...] = ()
    refused: tuple[tuple[RunId, str], ...] = ()
    joined: tuple[RunId, ...] = ()
    broken: RemoteError | None = None
    parted: tuple[tuple[RunId, Oid], ...] = ()
    archived: int = 0
    unshelved: tuple[tuple[str, str], ...] = ()
    freed: int = 0
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a remote is not known to have: runs with a ref of their own, archives by clone, and the runs in these.

    covered: runs whose refs it has and does not need, because its archives keep their commits."""

    runs: tuple[tuple[RunId, Oid], ...] = ()
    archives: Mapping[str, Oid] = field(default_factory=dict)
    archived: Mapping[RunId, Oid] = field(default_factory=dict)
    covered: tuple[tuple[RunId, Oid], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.runs or self.archives or self.covered)

    def __len__(self) -> int:
        return len(self.runs) + len(self.archived)

    @property
    def all(self) -> list[tuple[RunId, Oid]]:
        """All runs."""
        return [*self.runs, *self.archived.items()]


def _mirrored(git: Git, name: str) -> Here:
    """Returns the runs and archives that were seen on a remote."""
    prefix = mirror_prefix(name)
    refs = git.refs(prefix)
    runs = {run: ref.oid for ref in refs if (run := run_of(ref.name, prefix=prefix))}
    head = prefix + _ARCHIVE
    tips = {ref.name.removeprefix(head): ref.oid for ref in refs if ref.name.startswith(head)}
    return Here(runs, Shelf(git, head, tips=tips))


def look(git: Git, name: str, *, progress: Progress | None = None) -> Integrated:
    """Takes in the archives of a remote, and with them what was deleted for good; raises RemoteError."""
    try:
        remote.fetch(git, name, [f"+{ARCHIVES}*:{mirror_prefix(name)}{_ARCHIVE}*"], progress=progress)
    except RemoteError as exc:
        exc.message = exc.message.replace("cannot fetch from", "cannot push to")  # for which this is the first step
        raise
    return shelving.integrate(git)


def unpushed(git: Git, name: str) -> list[tuple[RunId, Oid]]:
    """Returns the runs with a ref of their own, with their tips, that have something which the remote lacks."""
    return _unpushed(git, name, taking.here(git), _mirrored(git, name))


def _unpushed(git: Git, name: str, now: Here, there: Here) -> list[tuple[RunId, Oid]]:
    differing = {run: tip for run, tip in now.runs.items() if there.runs.get(run) != tip}
    if not differing:
        return []
    gone = now.shelf.deleted
    behind = seen.behind(git, name, there.runs)
    news = there.shelf.tips.items() - now.shelf.tips.items()  # what archives here cover has no ref here
    shelved = there.shelf.of([run for run in differing if run not in there.runs]) if news else {}
    found = []
    with git.objects() as objects:
        lineage = Lineage(objects)
        for run, tip in differing.items():
            known = [there.runs[run]] if run in there.runs else sorted(shelved.get(run, ()))
            if run not in gone and (run in behind or not any(not _has_more(lineage, run, tip, one) for one in known)):
                found.append((run, tip))
    return found


def _has_more(lineage: Lineage, run: RunId, tip: Oid, there: Oid) -> bool:
    try:
        return lineage.has_more(run, tip, there)
    except DataRefused:  # it cannot be read here: a push tells
        return True


def outgoing(git: Git, name: str) -> Outgoing:
    """Returns what a remote is not known to have."""
    now, there = taking.here(git), _mirrored(git, name)
    archives, archived = _unshelved(git, now, there)
    # A push that was cut short may have left refs there; what has none here is not many.
    left = {run: tip for run, tip in there.runs.items() if run not in now.runs}
    covered = () if not left or _keeps_refs(git, name) else tuple(_covered(git, left, there.shelf))
    return Outgoing(tuple(_unpushed(git, name, now, there)), archives, archived, covered)


def _covered(git: Git, runs: Mapping[RunId, Oid], shelf: Shelf) -> list[tuple[RunId, Oid]]:
    """Returns those of some refs whose commits archives keep."""
    listed = shelf.of(runs.keys())
    if not listed:
        return []
    with git.objects() as objects:
        lineage = Lineage(objects)
        return [
            (run, runs[run])
            for run, oids in listed.items()
            if any(oid == runs[run] or lineage.is_ancestor(run, runs[run], oid) for oid in oids)
        ]


def _keeps_refs(git: Git, name: str) -> bool:
    """Tells whether a remote was seen to delete no refs of runs; asking it each time would be of no use."""
    return _keeping(git, name).exists()


def _keeping(git: Git, name: str) -> Path:
    return git.place.common_dir / "gittrack" / f"keeps-{mirror_prefix(name).split('/')[2]}"


def _unshelved(git: Git, now: Here, there: Here) -> tuple[dict[str, Oid], dict[RunId, Oid]]:
    """Returns the archives that a remote lacks something of, and the runs in them that it has not seen."""
    tips = {clone: tip for clone, tip in now.shelf.tips.items() if there.shelf.tips.get(clone) != tip}
    tips = {clone: tip for clone, tip in tips.items() if not _is_within(git, tip, there.shelf.tips.get(clone))}
    if not tips:
        return {}, {}
    known = there.shelf.batches
    new = sorted(
        {batch for clone in tips if clone in now.shelf.archives for batch in now.shelf.archives[clone].batches} - known
    )
    found: dict[RunId, Oid] = {}
    with git.objects() as objects:
        for _, listed in archives.entries(objects, new, oid_bytes=git.place.oid_bytes, lenient=True):
            found |= {run: oid for run, oid in listed.items() if there.runs.get(run) != oid}
    for run in now.shelf.deleted:
        found.pop(run, None)
    return tips, found


def _is_within(git: Git, tip: Oid, there: Oid | None) -> bool:
    return there is not None and git.is_ancestor(tip, there)


def push(
    git: Git,
    name: str,
    runs: Sequence[tuple[RunId, Oid]],
    *,
    shelves: Mapping[str, Oid] | None = None,
    covered: Sequence[tuple[RunId, Oid]] = (),
    progress: Progress | None = None,
) -> Pushed:
    """Pushes runs to a remote; one that the remote has in another version is fetched, joined and pushed again.

    shelves: archives that go first, by clone. The refs of runs that these keep are deleted on the remote then, and
    those that are `covered` by what it has.
    Raises RemoteError if the remote answered for none. What is `taken` was answered for by the remote."""
    pushing = _Pushing(git, name, progress)
    try:
        if shelves:
            pushing.send_archives(shelves)
        pushing.send_runs(dict(runs))
        if shelves or covered:
            pushing.free(pushing.covered() if shelves else covered)
    except RemoteError as exc:
        if not pushing.did_anything:
            raise
        return pushing.result(broken=exc)
    return pushing.result()


def free(git: Git, name: str, *, progress: Progress | None = None) -> Pushed:
    """Deletes the refs on a remote that its archives keep, and those of runs that are gone for good, with leases.

    Raises RemoteError."""
    pushing = _Pushing(git, name, progress)
    deleted = _mirrored(git, name).shelf.deleted
    there = remote.listed(git, name, progress=progress) if deleted else {}
    gone = [(run, tip) for ref, tip in there.items() if (run := run_of(ref)) in deleted and run]
    pushing.free([*pushing.covered(), *gone])
    return pushing.result()


class _Pushing:
    """One push, with what the remote answered so far."""

    def __init__(self, git: Git, name: str, progress: Progress | None) -> None:
        self._git = git
        self._name = name
        self._progress = progress
        self._prefix = mirror_prefix(name)
        self._taken: list[RunId] = []
        self._refused: list[tuple[RunId, str]] = []
        self._joined: list[RunId] = []
        self._parted: list[tuple[RunId, Oid]] = []
        self._unshelved: list[tuple[str, str]] = []
        self._archived = 0
        self._freed = 0
        self._kept = ""

    def _note(self, accepted: Mapping[str, Oid]) -> None:
        """Writes down what the remote took, so that it is noticed if it lets go of it."""
        if accepted:
            with contextlib.suppress(OSError):  # the runs are there; only a rewrite of them might go unnoticed
                seen.note_pushed(self._git, self._name, accepted)

    @property
    def did_anything(self) -> bool:
        return bool(self._taken or self._refused or self._joined or self._archived or self._freed)

    def result(self, *, broken: RemoteError | None = None) -> Pushed:
        return Pushed(
            tuple(self._taken),
            tuple(self._refused),
            tuple(self._joined),
            broken=broken,
            parted=tuple(self._parted),
            archived=self._archived,
            unshelved=tuple(self._unshelved),
            freed=self._freed,
            kept=self._kept,
        )

    def send_archives(self, shelves: Mapping[str, Oid]) -> None:
        """Sends archives; one that the remote has in another version is fetched, united and sent again."""
        pending = dict(shelves)
        for attempt in range(_ATTEMPTS):
            before, now = _mirrored(self._git, self._name), taking.here(self._git)
            _, new = _unshelved(self._git, now, before)
            changes = [
                Change(ARCHIVES + clone, tip, self._lease(now, before, clone, tip)) for clone, tip in pending.items()
            ]
            moved: list[str] = []
            refused: list[tuple[str, str]] = []
            accepted: dict[str, Oid] = {}
            for answer in sending.send(self._git, self._name, changes, progress=self._progress):
                clone = answer.ref.removeprefix(ARCHIVES)
                if answer.moved and attempt + 1 < _ATTEMPTS:
                    moved.append(clone)
                elif not answer.taken:
                    refused.append((clone, answer.reason))
                else:
                    accepted[_ARCHIVE + clone] = pending[clone]
            self._note(accepted)
            self._unshelved += refused
            if not moved and not refused:
                self._archived += len(new)
            if not moved:
                return
            look(self._git, self._name, progress=self._progress)
            tips = taking.here(self._git).shelf.tips
            pending = {clone: tips[clone] for clone in moved if clone in tips}

    def _lease(self, now: Here, before: Here, clone: str, tip: Oid) -> Oid | None:
        """Returns the remote's commit of an archive if ours replaces it: it holds runs that were purged."""
        there = before.shelf.tips.get(clone)
        purged = now.shelf.purged
        if there is None or not purged or self._git.is_ancestor(there, tip):
            return None
        clean = purging.without(self._git, there, purged)
        return there if clean != there and (clean == tip or self._git.is_ancestor(clean, tip)) else None

    def send_runs(self, pending: Mapping[RunId, Oid]) -> None:
        """Sends runs."""
        for attempt in range(_ATTEMPTS):
            moved: list[RunId] = []
            accepted: dict[str, Oid] = {}
            changes = [Change(run_ref(run), tip) for run, tip in pending.items()]
            for answer in sending.send(self._git, self._name, changes, progress=self._progress):
                run = RunId(answer.ref.removeprefix(RUNS))
                if answer.taken:
                    self._taken.append(run)
                    accepted[run] = pending[run]
                elif answer.moved:
                    moved.append(run)
                else:
                    self._refused.append((run, answer.reason))
            self._note(accepted)
            if not moved:
                return
            if attempt + 1 == _ATTEMPTS:
                self._refused += [(run, "the remote keeps changing it") for run in moved]
                return
            pending = self._caught_up(moved)

    def _caught_up(self, moved: Sequence[RunId]) -> Mapping[RunId, Oid]:
        """Takes in what the remote has of some runs; returns what has to go there again."""
        specs = [f"+{run_ref(run)}:{self._prefix}{run}" for run in moved]
        remote.fetch(self._git, self._name, specs, progress=self._progress)
        outcome = shelving.integrate(self._git)
        bad = {run for run in moved if any(run in str(error) for error in outcome.refused)}
        self._refused += [(run, "the remote's version is refused") for run in moved if run in bad]
        self._joined += outcome.joined
        self._parted += outcome.parted
        self._joined += [run for run in moved if run not in bad and _join_for_push(self._git, run, self._prefix)]
        again = dict(unpushed(self._git, self._name))
        self._taken += [run for run in moved if run not in again and run not in bad]
        return {run: again[run] for run in moved if run in again and run not in bad}

    def covered(self) -> list[tuple[RunId, Oid]]:
        """Returns the runs whose refs the remote needs no more, because its archives keep their commits."""
        there = _mirrored(self._git, self._name)
        return _covered(self._git, there.runs, there.shelf)

    def free(self, runs: Sequence[tuple[RunId, Oid]]) -> None:
        """Deletes refs of runs on the remote, each only if it is where it was seen."""
        changes = [Change(run_ref(run), None, tip) for run, tip in runs]
        for answer in sending.send(self._git, self._name, changes, progress=self._progress):
            self._freed += answer.taken
            if not answer.taken and not answer.moved:
                self._kept = answer.reason
        if runs:
            mark = _keeping(self._git, self._name)
            with contextlib.suppress(OSError):
                mark.touch() if self._kept else mark.unlink(missing_ok=True)


def _join_for_push(git: Git, run: RunId, prefix: str) -> bool:
    """Joins a run that has the remote's edits but not its joins, which no push fast-forwards; tells whether it did."""
    ref, theirs = git.resolve(run_ref(run)), git.resolve(prefix + run)
    if theirs is None or ref is None:
        return False
    size = git.place.oid_bytes
    with git.objects() as objects:
        lineage = Lineage(objects)
        if lineage.is_ancestor(run, theirs, ref) or not lineage.has_more(run, ref, theirs):
            return False
        try:
            joined = joins.join(git, *(taking.examine(objects, run, oid, oid_bytes=size) for oid in (ref, theirs)))
        except GittrackError:
            return False
    git.write_pack(tree.encode_pack(joined.objects, algorithm=git.place.algorithm), keep=packs.keep_text(run))
    try:
        git.update_refs([Update(run_ref(run), joined.tip, ref)])
    except RefMoved:  # somebody edits it now; the next attempt sees that
        return False
    return True
