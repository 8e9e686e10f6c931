"""What a remote has comes in, and what it should still have and has not is said."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from gittrack import bundles, remote
from gittrack.errors import GittrackError
from gittrack.git import Git
from gittrack.refname import run_ref
from gittrack.sync import beside, seen, shelving, taking
from gittrack.sync.seen import Finding
from gittrack.sync.taking import Integrated
from gittrack.transfer import Progress

_MANY = 1000  # buried runs whose refs a fetch is told to leave where they are


@dataclass(frozen=True, slots=True)
class Pulled(Integrated):
    """What came in, and what the remote rewrote of what was seen there; our own copies of that are kept."""

    rewritten: tuple[Finding, ...] = ()


def pull(git: Git, name: str, *, progress: Progress | None = None) -> Pulled:
    """Fetches all runs of a remote and takes them in; raises RemoteError.

    What a plain fetch brought is taken in before: what is gone at the remote goes from the mirror now, and what a run
    had there must be ours by then."""
    first = Integrated()
    there, before = seen.mirrored(git, name), seen.log_of(git, name)
    if there != before:
        first = shelving.integrate(git)
        seen.keep_up(git, name, refused=_names(first.refused, there))
        before = seen.log_of(git, name)
    buried = sorted(run for run in taking.here(git).shelf.deleted if run not in there)
    had = set(beside.tips(git, name).values())
    remote.fetch_runs(git, name, without=[run_ref(run) for run in buried[-_MANY:]], progress=progress)
    beside.complete(git, name, had, progress=progress)
    second = shelving.integrate(git)
    now = seen.mirrored(git, name)
    found = seen.keep_up(git, name, before=before, refused=_names(second.refused, now)) if now != before else []
    return _pulled([first, second], found)


def catch_up(git: Git, configured: Collection[str]) -> Integrated:
    """Takes in what any fetch left in the mirrors, and writes down what was seen; configured: names of remotes."""
    done = shelving.integrate(git)
    for name in sorted({*configured, *seen.remotes(git, configured)}):
        if there := seen.mirrored(git, name):
            seen.keep_up(git, name, refused=_names(done.refused, there))
    return done


def _names(refused: Sequence[GittrackError], there: Collection[str]) -> set[str]:
    """Returns the runs of a remote that were refused; their errors say which."""
    said = "\n".join(str(error) for error in refused)
    return {key for key in there if key.rpartition("/")[2] in said} if refused else set()


def _pulled(parts: Sequence[Integrated], found: Sequence[Finding]) -> Pulled:
    """Returns one after the other as one; of runs that were refused twice, the last word."""
    once = {
        field.name: tuple(dict.fromkeys(item for part in parts for item in getattr(part, field.name)))
        for field in fields(Integrated)
        if field.name not in ("refused", "archived")
    }
    archived = sum(part.archived for part in parts)
    return Pulled(**once, refused=parts[-1].refused, archived=archived, rewritten=tuple(found))


def pull_bundle(git: Git, file: Path, *, progress: Progress | None = None) -> Integrated:
    """Takes in the runs of a bundle; raises DataRefused if it is broken or not of this project."""
    with bundles.opened(git, file, progress=progress):
        return shelving.integrate(git)
