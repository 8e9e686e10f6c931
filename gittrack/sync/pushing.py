"""Our runs go to a remote: what it lacks, what changed on both sides after a join, and the code with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gittrack import packs, remote, store
from gittrack.answers import Answer
from gittrack.errors import GitFailed, RemoteError
from gittrack.git import Git, RefMoved, Update
from gittrack.model import Code
from gittrack.refname import Oid, RunId, mirror_prefix, run_of, run_ref
from gittrack.sync import seen, taking
from gittrack.transfer import Progress

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did: the remote's answer for each run, and the error that ended it before it had them all."""

    taken: tuple[RunId, ...] = ()
    refused: tuple[tuple[RunId, str], ...] = ()
    joined: tuple[RunId, ...] = ()
    broken: RemoteError | None = None
    parted: tuple[tuple[RunId, Oid], ...] = ()


def unpushed(git: Git, name: str) -> list[tuple[RunId, Oid]]:
    """Returns the runs, with their tips, that have something which was not seen on the remote."""
    prefix = mirror_prefix(name)
    mirror = {run: ref.oid for ref in git.refs(prefix) if (run := run_of(ref.name, prefix=prefix))}
    behind = seen.behind(git, name, mirror)
    found = []
    for run, tip in taking.own(git).items():
        there = mirror.get(run)
        if there == tip or (there and run not in behind and not _has_more(git, tip, there)):
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
            outcome = taking.integrate(git)
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
        if taking.check(objects, run, theirs, oid_bytes=git.place.oid_bytes):
            return False
    try:
        store.join(git, run, ours, theirs, old=ours)
    except RefMoved:  # somebody edits it now; the next attempt sees that
        return False
    return True


def _remember(git: Git, name: str, accepted: Mapping[RunId, Oid]) -> None:
    """Writes down what the remote has now."""
    prefix = mirror_prefix(name)
    mirror = {ref.name: ref.oid for ref in git.refs(prefix)}
    updates = [Update(prefix + run, oid, mirror.get(prefix + run)) for run, oid in accepted.items()]
    if updates:
        git.update_refs([update for update in updates if update.new != update.old], durable=False)
        seen.note_pushed(git, name, {str(run): oid for run, oid in accepted.items()})
        packs.tidy_refs(git)


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
