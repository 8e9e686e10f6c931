"""Runs between clones: what a remote has comes in, what it lacks goes out, and nothing is lost where both changed.

A fetch goes into a mirror of the remote; from there runs are fast-forwarded or joined into `refs/runs/`. Fetched runs
are hostile until read: one that breaks the format stays in the mirror and is named."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gittrack import packs, remote, store
from gittrack.answers import Answer
from gittrack.codec import record
from gittrack.errors import DataRefused, GitFailed, GittrackError, RemoteError
from gittrack.git import Git, RefMoved, Update
from gittrack.model import Code, fold
from gittrack.objects import Objects
from gittrack.refname import LOCAL, RUNS, Oid, RunId, mirror_prefix, run_of, run_ref
from gittrack.transfer import Progress

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


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did: the remote's answer for each run, and the error that ended it before it had them all."""

    taken: tuple[RunId, ...] = ()
    refused: tuple[tuple[RunId, str], ...] = ()
    joined: tuple[RunId, ...] = ()
    broken: RemoteError | None = None
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


def _own(git: Git) -> dict[RunId, Oid]:
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
    own = _own(git)
    pending = [(run, oid) for run, oid in commits if own.get(run) != oid]
    if not pending:
        return Integrated()
    new: dict[RunId, Oid] = {}
    refused: list[GittrackError] = []
    differing: list[tuple[RunId, Oid]] = []
    with git.objects() as objects:
        for run, oid in pending:
            if run in own:
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


def unpushed(git: Git, name: str) -> list[tuple[RunId, Oid]]:
    """Returns the runs, with their tips, that have something which was not seen on the remote."""
    prefix = mirror_prefix(name)
    seen = {run: ref.oid for ref in git.refs(prefix) if (run := run_of(ref.name, prefix=prefix))}
    found = []
    for run, tip in _own(git).items():
        there = seen.get(run)
        if there == tip or (there and not _has_more(git, tip, there)):
            continue
        found.append((run, tip))
    return found


def _has_more(git: Git, tip: Oid, there: Oid) -> bool:
    try:
        return git.count(tip, without=there) > 0
    except GitFailed:  # one of them is missing here, or is no commit: a push tells
        return True


def push(git: Git, name: str, runs: Sequence[tuple[RunId, Oid]], *, progress: Progress | None = None) -> Pushed:
    """Pushes runs to a remote; one that the remote has in another version is fetched, joined and pushed again.

    Raises RemoteError if the remote answered for none. What is `taken` was answered for by the remote."""
    taken: list[RunId] = []
    refused: list[tuple[RunId, str]] = []
    joined: list[RunId] = []
    parted: list[tuple[RunId, Oid]] = []
    pending = dict(runs)
    try:
        for attempt in range(_ATTEMPTS):
            moved: list[RunId] = []
            for run, answer in _push_in_parts(git, name, pending, progress=progress):
                if answer.taken:
                    taken.append(run)
                elif answer.moved:
                    moved.append(run)
                else:
                    refused.append((run, answer.reason))
            pending = {}
            if not moved:
                break
            if attempt + 1 == _ATTEMPTS:
                refused += [(run, "the remote keeps changing it") for run in moved]
                break
            prefix = mirror_prefix(name)
            remote.fetch(git, name, [f"+{run_ref(run)}:{prefix}{run}" for run in moved], progress=progress)
            outcome = integrate(git)
            bad = {run for run in moved if any(run in str(error) for error in outcome.refused)}
            refused += [(run, "the remote's version is refused") for run in moved if run in bad]
            joined += outcome.joined
            parted += outcome.parted
            joined += [run for run in moved if run not in bad and _join_for_push(git, run, prefix)]
            again = dict(unpushed(git, name))
            pending = {run: again[run] for run in moved if run in again and run not in bad}
            taken += [run for run in moved if run not in again]
    except RemoteError as exc:
        if not (taken or refused or joined):
            raise
        return Pushed(tuple(taken), tuple(refused), tuple(joined), broken=exc, parted=tuple(parted))
    return Pushed(tuple(taken), tuple(refused), tuple(joined), parted=tuple(parted))


def _push_in_parts(
    git: Git, name: str, pending: Mapping[RunId, Oid], *, progress: Progress | None
) -> Iterator[tuple[RunId, Answer]]:
    """Pushes some runs at a time and yields the remote's answers, each part after it was written down."""
    runs = list(pending.items())
    for at in range(0, len(runs), remote.REFS_PER_PUSH):
        part = {run_ref(run): (run, oid) for run, oid in runs[at : at + remote.REFS_PER_PUSH]}
        answers = remote.push(git, name, [(oid, ref) for ref, (_, oid) in part.items()], progress=progress)
        _remember(git, name, dict(part[answer.ref] for answer in answers if answer.taken))
        yield from ((part[answer.ref][0], answer) for answer in answers)


def _join_for_push(git: Git, run: RunId, prefix: str) -> bool:
    """Joins a run that has the remote's edits but not its joins, which no push fast-forwards; tells whether it did."""
    ours, theirs = store.current_tip(git, run), git.resolve(prefix + run)
    if theirs is None or git.is_ancestor(theirs, ours) or not git.count(ours, without=theirs):
        return False
    with git.objects() as objects:
        if check(objects, run, theirs, oid_bytes=git.place.oid_bytes):
            return False
    try:
        store.join(git, run, ours, theirs, old=ours)
    except RefMoved:  # somebody edits it now; the next attempt sees that
        return False
    return True


def _remember(git: Git, name: str, accepted: Mapping[RunId, Oid]) -> None:
    """Writes down what the remote has now."""
    prefix = mirror_prefix(name)
    seen = {ref.name: ref.oid for ref in git.refs(prefix)}
    updates = [Update(prefix + run, oid, seen.get(prefix + run)) for run, oid in accepted.items()]
    if updates:
        git.update_refs([update for update in updates if update.new != update.old], durable=False)
        packs.tidy_refs(git)


def pull(git: Git, name: str, *, progress: Progress | None = None) -> Integrated:
    """Fetches all runs of a remote and takes them in; raises RemoteError."""
    remote.fetch_runs(git, name, progress=progress)
    return integrate(git)


@dataclass(frozen=True, slots=True)
class Publication:
    """What besides runs goes out with a push: commits of code, and snapshots with their uncommitted files."""

    commits: int
    snapshots: Mapping[RunId, tuple[str, ...]]


def publication(git: Git, name: str, codes: Mapping[RunId, Code]) -> Publication:
    """Returns what code the push of these runs would publish that the remote is not known to have."""
    known = [f"refs/remotes/{name}/", mirror_prefix(name)]
    commits = {code.commit for code in codes.values() if code.commit}
    missing = git.count_new(commits, known=known) if commits else 0
    snapshots = {
        run: git.changed_paths(code.commit or git.empty_tree, code.snapshot)
        for run, code in codes.items()
        if code.snapshot and git.count_new([code.snapshot], known=known)
    }
    return Publication(missing or 0, snapshots)
