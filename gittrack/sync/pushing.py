"""Our runs go to a remote: what it lacks, what changed on both sides after a join, and the code with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gittrack import packs, remote, sending
from gittrack.codec import tree
from gittrack.errors import GitFailed, GittrackError, RemoteError
from gittrack.git import Git, RefMoved, Update
from gittrack.lineage import Lineage
from gittrack.model import Code
from gittrack.refname import RUNS, Oid, RunId, mirror_prefix, run_of, run_ref
from gittrack.sending import Change
from gittrack.sync import joins, shelving, taking
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
    seen = {run: ref.oid for ref in git.refs(prefix) if (run := run_of(ref.name, prefix=prefix))}
    found = []
    for run, tip in taking.own(git).items():
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
            changes = [Change(run_ref(run), tip) for run, tip in pending.items()]
            for answer in sending.send(git, name, changes, progress=progress):
                run = RunId(answer.ref.removeprefix(RUNS))
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
            outcome = shelving.integrate(git)
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


@dataclass(frozen=True, slots=True)
class Publication:
    """What besides runs goes out with a push: commits of code, and snapshots with their uncommitted files.

    first: nothing is known to be there yet."""

    commits: int
    snapshots: Mapping[RunId, tuple[str, ...]]
    first: bool


def publication(git: Git, name: str | None, tips: Iterable[Oid], codes: Mapping[RunId, Code]) -> Publication:
    """Returns what code goes out with runs, as far as the remote is not known to have it; None: into a file.

    tips: their commits."""
    known = [f"refs/remotes/{name}/", mirror_prefix(name)] if name else []
    commits = git.count_new(tips, known=known, code=True)
    made = {code.snapshot: code.commit or git.empty_tree for code in codes.values() if code.snapshot}
    new = {snapshot: base for snapshot, base in made.items() if git.count_new([snapshot], known=known)}
    paths = {snapshot: git.changed_paths(base, snapshot) for snapshot, base in new.items()}
    found = {run: paths[code.snapshot] for run, code in codes.items() if code.snapshot in paths}
    return Publication(commits or 0, found, first=bool(commits and known and not git.refs(*known)))
