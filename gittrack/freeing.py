"""The room of objects that nothing names any more, given back from packs of ours.

Our packs are kept, so git's own gc leaves them alone. Which objects are still needed is told by walking everything
that can name one: refs, reflogs and the index of every work tree. What lies in packs of git's own is git's to free."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from gittrack import packs
from gittrack.git import Git
from gittrack.refname import LOCAL, RUNS, Oid, RunId


class Freed(NamedTuple):
    """How many objects, and how many bytes they take on the disk; left: how many of them stay for git to free."""

    objects: int = 0
    bytes: int = 0
    left: int = 0


def versions(git: Git, runs: Collection[RunId]) -> dict[str, Oid]:
    """Returns every ref of some runs: their own, those of mirrors, and those in the trash."""
    wanted = set(runs)
    return {ref.name: ref.oid for ref in git.refs(RUNS, LOCAL) if ref.name.rpartition("/")[2] in wanted}


def candidates(git: Git, tips: Collection[Oid]) -> set[Oid]:
    """Returns objects of which some are named by these commits alone; raises GitFailed."""
    if not tips:
        return set()
    known = ("--not", "--branches", "--tags", "--remotes")
    listing = "".join(f"{tip}\n" for tip in tips).encode()
    raw = git.ask("rev-list", "--objects", "--no-object-names", "--stdin", *known, input=listing)
    return {Oid(line) for line in raw.decode().split()}


def unneeded(git: Git, found: set[Oid], *, without: Collection[str] = ()) -> set[Oid]:
    """Returns those of some objects that nothing names; `without` are refs that do not count. Raises GitFailed."""
    if not found:
        return found
    skipped = set(without)
    tips = sorted({ref.oid for ref in git.refs() if ref.name not in skipped})
    listing = "".join(f"{tip}\n" for tip in tips).encode()
    left = set(found)
    everything = ("rev-list", "--objects", "--no-object-names", "--stdin", "--reflog", "--indexed-objects")
    for oid in _lines(git.ask(*everything, *heads(git), input=listing)):
        left.discard(oid)
    return left


def heads(git: Git) -> Iterator[str]:
    """Yields the commit that every work tree has checked out."""
    for line in git.ask("worktree", "list", "--porcelain").decode("utf-8", "replace").splitlines():
        key, _, value = line.partition(" ")
        if key == "HEAD" and value.strip("0"):
            yield value


def _lines(raw: bytes) -> Iterator[Oid]:
    at = 0
    while (end := raw.find(b"\n", at)) >= 0:
        yield Oid(raw[at:end].decode())
        at = end + 1


def measure(git: Git, tips: Collection[Oid], *, ids: Collection[RunId]) -> Freed:
    """Returns what deleting runs would free; raises GitFailed."""
    found = unneeded(git, candidates(git, tips), without=versions(git, ids))
    return Freed(len(found), sum(_sizes(git, found).values()))


def _sizes(git: Git, oids: Iterable[Oid]) -> dict[Oid, int]:
    """Returns how many bytes objects take on the disk; those that are not here are left out."""
    listing = "".join(f"{oid}\n" for oid in oids).encode()
    raw = git.ask("cat-file", "--batch-check=%(objectname) %(objectsize:disk)", input=listing) if listing else b""
    pairs = (line.split() for line in raw.decode().splitlines())
    return {Oid(words[0]): int(words[1]) for words in pairs if len(words) == 2 and words[1].isdigit()}


def free(git: Git, found: set[Oid]) -> Freed:
    """Writes our packs again without those of some objects that nothing names now; raises GitFailed.

    `found` are what `candidates` returned before the refs went. Where there is no git executable nothing is done."""
    if not git.has_executable:
        return Freed()
    gone = unneeded(git, found)
    before = _sizes(git, gone)
    if gone:
        packs.leave_out(git, gone, still=lambda: unneeded(git, set(gone)) == gone)
        _renew_graph(git)
    after = _sizes(git, gone)
    freed = before.keys() - after.keys()
    return Freed(len(freed), sum(before[oid] for oid in freed), len(after))


def _renew_graph(git: Git) -> None:
    """Writes git's commit-graph again if there is one: `git fsck` complains of commits in it that are gone."""
    info = git.place.common_dir / "objects" / "info"
    if (info / "commit-graphs" / "commit-graph-chain").exists():
        git.ask("commit-graph", "write", "--reachable", "--split=replace", "--no-progress")
    if (info / "commit-graph").exists():
        git.ask("commit-graph", "write", "--reachable", "--no-progress")
