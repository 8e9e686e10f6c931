"""What others have of runs becomes ours: new, fast-forwarded or joined.

A fetch goes into a mirror of the remote; from there runs go into `refs/runs/`. Fetched runs are hostile until read:
one that breaks the format stays in the mirror and is named."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from gittrack import packs, store
from gittrack.codec import record
from gittrack.errors import DataRefused, GittrackError
from gittrack.git import Git, RefMoved, Update
from gittrack.model import fold
from gittrack.objects import Objects
from gittrack.refname import LOCAL, RUNS, Oid, RunId, run_of, run_ref

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Integrated:
    """What integration did: runs that are new here, that moved forward, that were joined, and what was refused.

    parted: runs that two machines went on with, and the version of each that is not shown."""

    new: tuple[RunId, ...] = ()
    forwarded: tuple[RunId, ...] = ()
    joined: tuple[RunId, ...] = ()
    refused: tuple[GittrackError, ...] = ()
    parted: tuple[tuple[RunId, Oid], ...] = ()


def _mirrors(git: Git) -> dict[RunId, list[Oid]]:
    """Returns for each run the commits of it that were seen on remotes."""
    found: dict[RunId, list[Oid]] = {}
    for ref in git.refs(LOCAL):
        prefix, slash, _ = ref.name.rpartition("/")
        run = run_of(ref.name, prefix=prefix + slash)
        if run and prefix.endswith("/runs") and ref.oid not in found.setdefault(run, []):
            found[run].append(ref.oid)
    return found


def own(git: Git) -> dict[RunId, Oid]:
    """Returns the refs of runs here."""
    return {run: ref.oid for ref in git.refs(RUNS) if (run := run_of(ref.name))}


def integrate(git: Git) -> Integrated:
    """Takes what the mirrors hold into `refs/runs/`."""
    return take_in(git, [(run, oid) for run, oids in _mirrors(git).items() for oid in oids])


def take_in(git: Git, commits: Sequence[tuple[RunId, Oid]]) -> Integrated:
    """Takes commits of runs into `refs/runs/`: new runs, fast-forwards, joins (docs/format.md, chapter 9)."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(RefMoved):  # another process takes in the same runs right now
            return _take_in(git, commits)
    raise RefMoved("cannot take in runs from elsewhere", cause="other processes keep changing them", hint="try again")


def _take_in(git: Git, commits: Sequence[tuple[RunId, Oid]]) -> Integrated:
    here = own(git)
    pending = [(run, oid) for run, oid in commits if here.get(run) != oid]
    if not pending:
        return Integrated()
    new: dict[RunId, Oid] = {}
    refused: list[GittrackError] = []
    differing: list[tuple[RunId, Oid]] = []
    with git.objects() as objects:
        for run, oid in pending:
            if run in here:
                differing.append((run, oid))
                continue
            error = check(objects, run, oid, oid_bytes=git.place.oid_bytes)
            if error:
                refused.append(error)
            elif run in new:
                differing.append((run, oid))
            else:
                new[run] = oid
        if new:
            git.update_refs(Update(run_ref(run), oid, None) for run, oid in new.items())
            packs.tidy_refs(git)
        forwarded, joined, parted = [], [], []
        for run, oid in differing:
            try:
                outcome, hidden = _take(git, objects, run, oid)
            except GittrackError as exc:
                refused.append(exc)
            else:
                forwarded += [run] if outcome == "forward" else []
                joined += [run] if outcome == "join" else []
                parted += [(run, hidden)] if hidden else []
    return Integrated(tuple(new), tuple(forwarded), tuple(joined), tuple(refused), tuple(parted))


def _take(git: Git, objects: Objects, run: RunId, theirs: Oid) -> tuple[str, Oid | None]:
    """Brings one run that differs from a mirror up to date; returns `keep`, `forward` or `join`.

    And the version that is not shown, if two machines went on with the run."""
    try:
        store.read_commit(objects, theirs)
    except DataRefused as exc:
        raise _named(run, exc) from exc
    for _ in range(_ATTEMPTS):
        ours = git.resolve(run_ref(run))
        if ours is None:
            raise record.refused(run, "its commit is missing here", "see `git track fsck`")
        choice = decide(git, ours, theirs)
        if choice == "keep":
            return choice, None
        error = check(objects, run, theirs, oid_bytes=git.place.oid_bytes)
        if error:
            raise error
        hidden = None
        try:
            if choice == "forward":
                git.update_refs([Update(run_ref(run), theirs, ours)])
            else:
                hidden = store.recorded_twice(git, run, ours, theirs)
                store.join(git, run, ours, theirs, old=ours)
        except RefMoved:
            continue
        return choice, hidden
    raise RefMoved(f"cannot join run '{run}'", cause="other processes keep changing it", hint="try again")


def decide(git: Git, ours: Oid, theirs: Oid) -> str:
    """Returns what to do with two tips of a run: `keep` ours, `forward` to theirs, or `join`.

    Compares the commits that are no joins, so that joining ends: each join enlarges one side only."""
    if ours == theirs:
        return "keep"
    only_ours, only_theirs = git.count(ours, without=theirs), git.count(theirs, without=ours)
    if only_ours and only_theirs:
        return "join"
    if only_theirs:
        return "forward"
    if only_ours:
        return "keep"
    if git.is_ancestor(ours, theirs):
        return "forward"
    if git.is_ancestor(theirs, ours):
        return "keep"
    return "forward" if theirs < ours else "keep"


def check(objects: Objects, run: RunId, oid: Oid, *, oid_bytes: int) -> GittrackError | None:
    """Returns why a fetched run is refused, or None: its record, tree, YAML and edits are all read under limits."""
    try:
        detail = store.read_detail(objects, run, oid, oid_bytes=oid_bytes)
        if detail.facts.get("id") != run:
            return record.refused(run, "its run.yaml is that of another run")
        detail.params(), detail.metrics(), detail.artifacts()
        after = store.with_state(detail.run, fold(detail.base, detail.edits))
        record.decode_message(record.encode_message(after), run=run)  # so that an edit of ours can be read again
    except GittrackError as exc:
        return _named(run, exc)
    return None


def _named(run: RunId, error: GittrackError) -> GittrackError:
    """Returns an error that says which run it is about."""
    error.hint = error.hint or "it stays on the remote; ask who pushed it"
    if str(run) not in error.message:
        error.message = f"run '{run}' is refused: {error.message}"
    return error
