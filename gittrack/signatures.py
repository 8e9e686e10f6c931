"""Whether the commits of runs are signed, and well; git judges, with whatever program and keys the user trusts.

Joins and snapshots are made by gittrack and never signed. That a commit says that it is a join is not enough, or the
word would be a way around every signature: it must be the very commit that joining its parents makes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gittrack import store
from gittrack.commits import read_commit
from gittrack.errors import GittrackError
from gittrack.git import Git
from gittrack.lineage import Lineage
from gittrack.objects import Objects
from gittrack.refname import Oid, RunId
from gittrack.sync import joins

# What git's `%G?` says of a signature that speaks against a commit ...
_BAD = {"B": "its signature is bad", "R": "it was signed with a key that was revoked"}
# ... and of one that only says nothing for it.
_UNPROVEN = {
    "U": "it was signed with a key that is not trusted here",
    "X": "its signature has expired",
    "Y": "it was signed with a key that has expired",
    "E": "its signature cannot be checked: the key is not known here",
    "N": "its signature cannot be checked: no allowed signers are set",
}


class Judged(NamedTuple):
    """A commit of a run whose signature proves nothing, and why."""

    run: RunId
    oid: Oid
    verdict: str


def check(git: Git, runs: Iterable[tuple[RunId, Oid]], *, strict: bool) -> Iterator[Judged]:
    """Yields the commits of runs with a bad signature; strict: those too that no trusted signature speaks for.

    Strict is what `git merge --verify-signatures` is. Joins are not judged. Raises GitFailed."""
    signed: dict[Oid, RunId] = {}
    with git.objects() as objects:
        lineage = Lineage(objects)
        for run, tip in runs:
            found = lineage.of(run, tip)
            for oid in sorted(found.plain | found.joins):
                raw = objects.read(oid)
                if raw and b"\ngpgsig" in raw[2].partition(b"\n\n")[0]:
                    signed[oid] = run
                elif strict and oid in found.plain:
                    yield Judged(run, oid, "it is not signed")
                elif strict and not _is_join(git, objects, run, oid):
                    yield Judged(run, oid, "it is not signed, and is not the join that it says it is")
    if not signed:
        return
    listing = "".join(f"{oid}\n" for oid in signed).encode()
    words = ("log", "--no-walk=unsorted", "--stdin", "--format=%H %G?")
    said = git.ask(*words, input=listing, settings=("log.showSignature=false",))
    wrong = _BAD | _UNPROVEN if strict else _BAD
    for line in said.decode("utf-8", "replace").splitlines():
        name, _, verdict = line.partition(" ")
        if verdict in wrong:
            yield Judged(signed[Oid(name)], Oid(name), wrong[verdict])


def _is_join(git: Git, objects: Objects, run: RunId, oid: Oid) -> bool:
    """Tells whether a commit is what joining its parents makes (docs/format.md, chapter 9)."""
    try:
        parents = read_commit(objects, oid).parents
        if len(parents) != 2:
            return False
        left, right = (store.read_detail(objects, run, one, oid_bytes=git.place.oid_bytes) for one in parents)
        return joins.join(git, left, right).tip == oid
    except GittrackError:
        return False
