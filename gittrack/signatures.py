"""Whether the commits of runs are signed, and well; git judges, with whatever program and keys the user trusts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gittrack.git import Git
from gittrack.lineage import Lineage
from gittrack.refname import Oid, RunId

# What git's `%G?` says of a signature that proves nothing.
_WRONG = {
    "B": "its signature is bad",
    "X": "its signature has expired",
    "Y": "it was signed with a key that has expired",
    "R": "it was signed with a key that was revoked",
    "E": "its signature cannot be checked: the key is not known here",
}


class Judged(NamedTuple):
    """A commit of a run whose signature proves nothing, and why."""

    run: RunId
    oid: Oid
    verdict: str


def check(git: Git, runs: Iterable[tuple[RunId, Oid]], *, strict: bool) -> Iterator[Judged]:
    """Yields the commits of runs with a signature that proves nothing; strict: those without one too.

    Joins and snapshots are made by gittrack and never signed: they are not judged. Raises GitFailed."""
    signed: dict[Oid, RunId] = {}
    with git.objects() as objects:
        lineage = Lineage(objects)
        for run, tip in runs:
            for oid in sorted(lineage.of(run, tip).plain):
                found = objects.read(oid)
                if found and b"\ngpgsig" in found[2].partition(b"\n\n")[0]:
                    signed[oid] = run
                elif strict:
                    yield Judged(run, oid, "it is not signed")
    if not signed:
        return
    listing = "".join(f"{oid}\n" for oid in signed).encode()
    raw = git.ask("log", "--no-walk=unsorted", "--stdin", "--format=%H %G?", input=listing)
    for line in raw.decode("utf-8", "replace").splitlines():
        name, _, verdict = line.partition(" ")
        if verdict in _WRONG:
            yield Judged(signed[Oid(name)], Oid(name), _WRONG[verdict])
