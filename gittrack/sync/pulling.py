"""What a remote has comes in, and what it should still have and has not is said."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields

from gittrack import remote
from gittrack.errors import GittrackError
from gittrack.git import Git
from gittrack.sync import seen, taking
from gittrack.sync.seen import Finding
from gittrack.sync.taking import Integrated
from gittrack.transfer import Progress


@dataclass(frozen=True, slots=True)
class Pulled(Integrated):
    """What came in, and what the remote rewrote of what was seen there; our own copies of that are kept."""

    rewritten: tuple[Finding, ...] = ()


def pull(git: Git, name: str, *, progress: Progress | None = None) -> Pulled:
    """Fetches all runs of a remote and takes them in; raises RemoteError.

    What a plain fetch brought is taken in before: what is gone at the remote goes from the mirror now, and what a run
    had there must be ours by then."""
    first = Integrated()
    if seen.mirrored(git, name) != seen.log_of(git, name):
        first = taking.integrate(git)
        seen.keep_up(git, name, refused=_names(first.refused, git, name))
    before = seen.log_of(git, name)
    remote.fetch_runs(git, name, progress=progress)
    second = taking.integrate(git)
    found = seen.keep_up(git, name, before=before, refused=_names(second.refused, git, name))
    return _pulled([first, second], found)


def catch_up(git: Git, configured: Collection[str]) -> Pulled:
    """Takes in what any fetch left in the mirrors, and writes down what was seen; configured: names of remotes."""
    done = taking.integrate(git)
    found = []
    for name in sorted({*configured, *seen.remotes(git, configured)}):
        if seen.mirrored(git, name):
            found += seen.keep_up(git, name, refused=_names(done.refused, git, name))
    return _pulled([done], found)


def _names(refused: Sequence[GittrackError], git: Git, name: str) -> set[str]:
    """Returns the runs of a remote that were refused; their errors say which."""
    if not refused:
        return set()
    said = "\n".join(str(error) for error in refused)
    return {key for key in seen.mirrored(git, name) if key.rpartition("/")[2] in said}


def _pulled(parts: Sequence[Integrated], found: Sequence[Finding]) -> Pulled:
    """Returns one after the other as one; of runs that were refused twice, the last word."""
    joined = {
        field.name: tuple(dict.fromkeys(item for part in parts for item in getattr(part, field.name)))
        for field in fields(Integrated)
    }
    return Pulled(**joined | {"refused": parts[-1].refused, "rewritten": tuple(found)})
