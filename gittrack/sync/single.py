"""Some runs of a remote and not the rest: those that have a ref there, and those that only an archive keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gittrack import boundary, remote, shallows
from gittrack.archives import Shelf
from gittrack.errors import NotFound, RemoteError, UsageError
from gittrack.git import Git
from gittrack.refname import Oid, RunId, archive_of, is_run_id, mirror_prefix, run_of, run_ref
from gittrack.sync import beside, shelving
from gittrack.sync.taking import Integrated
from gittrack.transfer import Progress

_SHORTEST = 4  # characters of an id, as everywhere
_REFUSED = "unadvertised object"  # what a server of protocol v0 says of a commit that no ref names


@dataclass(frozen=True, slots=True)
class Some(Integrated):
    """What came in of the runs that were asked for; whole: their archives had to come with them."""

    whole: bool = False


def pull(git: Git, name: str, words: Sequence[str], *, progress: Progress | None = None) -> Some:
    """Fetches runs of a remote by their ids, or by what these begin with, and takes them in.

    Raises NotFound for one that the remote does not have, UsageError for one that may be several, RemoteError."""
    if not git.has_executable:
        raise RemoteError("cannot fetch single runs without git", hint="`git track fetch` brings all of them")
    there = remote.listed(git, name, progress=progress)
    hot = {run: oid for ref, oid in there.items() if (run := run_of(ref))}
    archives = {clone: oid for ref, oid in there.items() if (clone := archive_of(ref))}
    archived: Mapping[RunId, frozenset[Oid]] = {}
    if archives and not all(is_run_id(word) and word in hot for word in words):
        archived = _archived(git, name, archives, progress=progress)
    chosen = [_named(word, {*hot, *archived}, remote.label(name)) for word in words]
    before = set(beside.tips(git, name).values())
    mirror = mirror_prefix(name)
    if direct := [run for run in chosen if run in hot]:
        remote.fetch(git, name, [f"+{run_ref(run)}:{mirror}{run}" for run in direct], progress=progress)
    beside.complete_files(git, name, before, progress=progress)
    done = shelving.integrate(git)
    whole = False
    rest = {run: sorted(archived[run]) for run in chosen if run not in hot}
    while rest and not whole:  # one that is listed with two commits comes twice, and is joined
        now = {f"{mirror}{run}": oids.pop() for run, oids in rest.items()}
        rest = {run: oids for run, oids in rest.items() if oids}
        whole = not _by_id(git, name, now, progress=progress)
        if whole:
            specs = [f"+refs/runs/archive/{clone}:{mirror}archive/{clone}" for clone in archives]
            remote.fetch(git, name, specs, progress=progress)
        beside.complete_files(git, name, before, progress=progress)
        done = _added(done, shelving.integrate(git))
    found = {each: getattr(done, each) for each in ("new", "forwarded", "joined", "refused", "parted")}
    return Some(**found, archived=done.archived, buried=done.buried, whole=whole)


def _archived(
    git: Git, name: str, archives: Mapping[str, Oid], *, progress: Progress | None
) -> dict[RunId, frozenset[Oid]]:
    """Returns the archived runs of a remote: the newest commit of an archive lists them all, and only that comes."""
    bring = remote.shallow_bring(git, name, progress=progress)
    with shallows.view(git, [], lone=True) as view:
        bring(view, sorted(archives.values()))
        return Shelf(view, tips=archives).runs


def _named(word: str, runs: set[RunId], where: str) -> RunId:
    found = sorted(run for run in runs if run.startswith(word)) if len(word) >= _SHORTEST else []
    if not found:
        cause = "" if len(word) >= _SHORTEST else f"an id, or at least {_SHORTEST} characters of it, is meant"
        hint = "runs that are not here yet are named by their ids"
        raise NotFound(f"'{where}' has no run '{word}'", cause=cause or None, hint=hint)
    if len(found) > 1:
        raise UsageError(f"'{word}' may be several runs of '{where}'", cause=", ".join(found[:5]))
    return found[0]


def _by_id(git: Git, name: str, wanted: Mapping[str, Oid], *, progress: Progress | None) -> bool:
    """Fetches commits that no ref of the remote names; returns False if it takes wishes for refs only."""
    try:
        if boundary.is_cut(git.place.common_dir):
            shallows.fetch(git, wanted, remote.shallow_bring(git, name, progress=progress))
        else:
            remote.fetch(git, name, [f"+{oid}:{ref}" for ref, oid in wanted.items()], progress=progress)
    except RemoteError as exc:
        if _REFUSED not in f"{exc.message} {exc.cause}":
            raise
        if boundary.is_cut(git.place.common_dir):
            exc.hint = (
                "`git fetch --unshallow` makes the clone whole, then all runs come; or ask whoever runs the server"
            )
            raise
        return False
    return True


def _added(one: Integrated, two: Integrated) -> Integrated:
    """Returns what came first and second as one."""
    parts = {each: (*getattr(one, each), *getattr(two, each)) for each in ("new", "forwarded", "joined", "parted")}
    return replace(two, **parts, archived=one.archived + two.archived, buried=(*one.buried, *two.buried))
