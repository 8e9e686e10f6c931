"""Whether a remote still has what it was seen to have: who may push there may also rewrite and delete.

What was seen is compared with what the mirror says. A run or archive that only grew is as it should be, and so is one
that went into an archive, was buried or purged. Everything else was done by force, and is said until it is repaired or
accepted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gittrack import archives, boundary, remote
from gittrack.archives import Archive, Shelf
from gittrack.codec import archive as archive_codec
from gittrack.commits import MAX_COMMIT, read_commit
from gittrack.errors import DataRefused
from gittrack.git import Git, RefMoved, Update
from gittrack.objects import Objects
from gittrack.refname import Oid, RunId, mirror_prefix
from gittrack.sync import seenlog

Kind = Literal["deleted", "rolled back", "moved by force", "replaced"]
ARCHIVE = "archive/"
_MAX_STEPS = 10_000  # commits of one run that are looked at for where it begins
_MAX_PATH = 1000  # commits; a run that grew has a few more than it had
_Pair = tuple[Oid, Oid]  # older, newer


@dataclass(frozen=True, slots=True)
class Finding:
    """A run or an archive that a remote does not have any more as it was seen there.

    name: a run's id, or `archive/` and a clone's id; seen: the tip last seen; now: what is there instead; runs: how
    many runs it concerns."""

    remote: str
    name: str
    kind: Kind
    seen: Oid
    now: Oid | None = None
    runs: int = 1


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a comparison found, and what the log has to learn: None is what needs no more looking for."""

    findings: tuple[Finding, ...]
    changes: Mapping[str, Oid | None]


def mirrored(git: Git, name: str) -> dict[str, Oid]:
    """Returns the runs and archives in the mirror of a remote, named as in the log."""
    prefix = mirror_prefix(name)
    found = ((ref.name.removeprefix(prefix), ref.oid) for ref in git.refs(prefix))
    return {name: oid for name, oid in found if seenlog.is_name(name)}


def examine(git: Git, name: str) -> list[Finding]:
    """Returns what a remote rewrote, as far as its mirror tells; fetches nothing and writes nothing."""
    return list(_judge(git, name).findings)


def log_of(git: Git, name: str) -> dict[str, Oid]:
    """Returns the tips last seen on a remote, by name; none if it has no log."""
    seen = seenlog.read(seenlog.path_of(git, name))
    return dict(seen.tips) if seen else {}


def remotes(git: Git, configured: Collection[str]) -> list[str]:
    """Returns the remotes that have a log: those of `configured`, and those that were given as an address."""
    found = []
    for path in sorted((git.place.common_dir / "gittrack" / "seen").glob("*")):
        seen = seenlog.read(path) if not path.name.endswith(".new") else None
        for name in configured:
            if seenlog.path_of(git, name).name == path.name:
                found.append(name)
                break
        else:
            if seen and seen.remote and remote.is_address(seen.remote):
                found.append(seen.remote)
    return found


# Writing ------------------------------------------------------------------------------------------------------------


def keep_up(
    git: Git, name: str, *, before: Mapping[str, Oid] | None = None, refused: Collection[str] = ()
) -> list[Finding]:
    """Writes down what a remote has now, and returns what it rewrote, which stays in the log as it was seen.

    before: the log as it was when the fetch began; what was pushed since is newer than what the fetch brought.
    refused: runs that were not taken in, of which the version that was accepted before is the last seen."""
    if before is not None:
        _restore(git, name, before)
    judgement = _judge(git, name)
    changes = {key: oid for key, oid in judgement.changes.items() if key not in refused}
    if changes:
        seenlog.append(seenlog.path_of(git, name), changes, remote=remote.label(name))
    return list(judgement.findings)


def note_pushed(git: Git, name: str, accepted: Mapping[str, Oid]) -> None:
    """Writes down what a remote took of us, each name as in the log.

    What does not hold the version last seen there stays a finding."""
    known = log_of(git, name)
    pairs = {(known[key], oid) for key, oid in accepted.items() if known.get(key, oid) != oid}
    forward = _descending(git, pairs)
    changes = {
        key: oid
        for key, oid in accepted.items()
        if key not in known or (known[key] != oid and (known[key], oid) in forward)
    }
    if changes:
        seenlog.append(seenlog.path_of(git, name), changes, remote=remote.label(name))


def accept(git: Git, name: str, names: Collection[str] | None = None) -> list[Finding]:
    """Takes what a remote has now for what it should have; returns the findings that this ends.

    names: which of them, as in the log; by default all."""
    judgement = _judge(git, name)
    ended = [finding for finding in judgement.findings if names is None or finding.name in names]
    now = mirrored(git, name)
    changes = dict(judgement.changes) | {finding.name: now.get(finding.name) for finding in ended}
    if changes:
        seenlog.append(seenlog.path_of(git, name), changes, remote=remote.label(name))
    return ended


def behind(git: Git, name: str, there: Mapping[RunId, Oid]) -> set[RunId]:
    """Returns the runs of which a remote has less than was seen there; `there` is what the mirror says.

    Joins say nothing of their own, so nobody who compares edits notices that one is gone."""
    known = log_of(git, name)
    pairs = {(known[run], oid) for run, oid in there.items() if known.get(run, oid) != oid}
    if not pairs:
        return set()
    forward = _descending(git, pairs)
    return {run for run, oid in there.items() if known.get(run, oid) != oid and (known[run], oid) not in forward}


def _restore(git: Git, name: str, before: Mapping[str, Oid]) -> None:
    """Gives the mirror back what another process pushed, and wrote there, while a fetch that knew of less went on."""
    newer = {key: oid for key, oid in log_of(git, name).items() if before.get(key) != oid}
    if not newer:
        return
    now = mirrored(git, name)
    old = {(now[key], oid) for key, oid in newer.items() if now.get(key, oid) != oid}
    forward = _descending(git, old)
    prefix = mirror_prefix(name)
    updates = [
        Update(prefix + key, oid, now.get(key))
        for key, oid in newer.items()
        if key not in now or (now[key], oid) in forward
    ]
    if updates:
        try:
            git.update_refs(updates, durable=False)
        except RefMoved:  # by yet another one, who knows it too
            return


# Judging ------------------------------------------------------------------------------------------------------------


def _judge(git: Git, name: str) -> Judgement:
    known = log_of(git, name)  # before the mirror, which is written first: so the log is never the newer one
    now = mirrored(git, name)
    changes: dict[str, Oid | None] = {key: oid for key, oid in now.items() if key not in known}
    moved = {key: seen for key, seen in known.items() if now.get(key) != seen}
    if not moved:
        return Judgement((), changes)
    forward = _descending(git, {(seen, now[key]) for key, seen in moved.items() if key in now})
    grown = {key for key, seen in moved.items() if key in now and (seen, now[key]) in forward}
    there = _There(git, name, now)
    findings: list[Finding] = []
    for key in moved:
        if key in grown and not key.startswith(ARCHIVE):
            changes[key] = now[key]
    runs = {RunId(key): seen for key, seen in moved.items() if key not in grown and not key.startswith(ARCHIVE)}
    kept = there.holds(runs)
    for run, seen in runs.items():
        if run in kept:
            changes[run] = now.get(run)
        else:
            findings.append(there.finding(run, seen, runs=1))
    for key, seen in moved.items():
        if key.startswith(ARCHIVE):
            lost = there.lost(key, seen, grown=key in grown)
            if lost is None:
                changes[key] = now.get(key)
            else:
                findings.append(there.finding(key, seen, runs=lost))
    return Judgement(tuple(sorted(findings, key=lambda each: each.name)), changes)


class _There:
    """What a remote has now, by its mirror."""

    def __init__(self, git: Git, name: str, now: Mapping[str, Oid]) -> None:
        self._git = git
        self._name = name
        self._now = now
        self._shelf = Shelf(git, mirror_prefix(name) + ARCHIVE)

    @cached_property
    def _gone(self) -> frozenset[RunId]:
        """The runs that were buried, there or here."""
        return self._shelf.deleted | Shelf(self._git).deleted

    @cached_property
    def _listed(self) -> dict[RunId, set[Oid]]:
        """What the archives list, and have: a line of text alone keeps no commit."""
        if not self._shelf.tips:
            return {}
        found = _entries(self._git, self._shelf.archives.values())
        held = _held(self._git, {oid for oids in found.values() for oid in oids}, self._tips)
        return {run: oids & held for run, oids in found.items() if oids & held}

    @cached_property
    def _tips(self) -> set[Oid]:
        return {each.tip for each in self._shelf.archives.values()}

    def holds(self, runs: Mapping[RunId, Oid]) -> set[RunId]:
        """Returns the runs of which nothing is missing: a version is in an archive, or the run was buried."""
        if not runs:
            return set()
        listed = self._listed
        forward = _descending(self._git, {(seen, oid) for run, seen in runs.items() for oid in listed.get(run, ())})
        return {
            run
            for run, seen in runs.items()
            if run in self._gone or any((seen, oid) in forward for oid in listed.get(run, ()))
        }

    def lost(self, key: str, seen: Oid, *, grown: bool) -> int | None:
        """Returns how many runs are missing of those that an archive listed; None if it changed as archives do."""
        with self._git.objects() as objects:
            try:
                old = archives.read(objects, seen, oid_bytes=self._git.place.oid_bytes)
            except DataRefused:  # a purge took its objects away, or it never was one
                return None if grown or self._shelf.purged else 0
        readable = key.removeprefix(ARCHIVE) in self._shelf.archives or key not in self._now
        linear = (grown and readable) or bool(_held(self._git, {seen}, self._tips))
        before = _entries(self._git, [old])
        missing = set(before) - self._still_here(before) - self._gone if self._is_smaller(old) else set()
        missing |= old.deleted - self._shelf.deleted
        if missing:
            return len(missing)
        if linear or (self._shelf.purged - old.purged) & before.keys():
            return None
        return len(before)

    def _is_smaller(self, old: Archive) -> bool:
        """Tells whether an archive listed what no archive lists now, or lists it without having it."""
        return not old.batches <= self._shelf.batches or not _held(self._git, {old.tip}, self._tips)

    def _still_here(self, before: Mapping[RunId, set[Oid]]) -> set[RunId]:
        """Returns the runs of an archive all of whose versions are there, in an archive or behind their own ref."""
        own = {run: {self._now[run]} for run in before if run in self._now}
        present = {run: self._listed.get(run, set()) | own.get(run, set()) for run in before}
        pairs = {(old, new) for run, oids in before.items() for old in oids for new in present[run]}
        forward = _descending(self._git, pairs)
        return {
            run
            for run, oids in before.items()
            if all(any((old, new) in forward for new in present[run]) for old in oids)
        }

    def finding(self, key: str, seen: Oid, *, runs: int) -> Finding:
        """Returns what was done to a run or an archive by force."""
        now = self._now.get(key)
        if now is None and not key.startswith(ARCHIVE):
            now = min(self._listed.get(RunId(key), set()), default=None)
        kind: Kind = "replaced"
        if now is None:
            kind = "deleted"
        elif self._git.is_ancestor(now, seen) or self._git.is_ancestor(seen, now):
            kind = "rolled back"  # the second: an archive that goes on from what it was, with less in it
        else:
            with self._git.objects() as objects:
                begins = {_root(objects, key, oid) for oid in (seen, now)}
            kind = "moved by force" if len(begins) == 1 and None not in begins else "replaced"
        return Finding(remote.label(self._name), key, kind, seen, now, runs)


def _root(objects: Objects, key: str, tip: Oid) -> Oid | None:
    """Returns the commit that a run or an archive begins with, by first parents; None if `tip` is none of it."""
    begin: Oid | None = None
    oid = tip
    for _ in range(_MAX_STEPS):
        try:
            commit = read_commit(objects, oid)
        except DataRefused:
            break
        if key.startswith(ARCHIVE):
            if archive_codec.clone_of(commit.message) is None:
                break
        elif f"\nRun: {key}\n".encode() not in commit.message:
            break
        begin = commit.oid
        if not commit.parents:
            break
        oid = commit.parents[0]
    return begin


def _entries(git: Git, wanted: Iterable[Archive]) -> dict[RunId, set[Oid]]:
    """Returns each run that archives list, with the commits that it is listed with; what cannot be read lists none."""
    found: dict[RunId, set[Oid]] = {}
    done: set[Oid] = set()
    with git.objects() as objects:
        for each in wanted:
            try:
                for _, listed in archives.entries(objects, sorted(each.batches - done), oid_bytes=git.place.oid_bytes):
                    for run, oid in listed.items():
                        found.setdefault(run, set()).add(oid)
            except DataRefused:
                continue
            done |= each.batches
    return found


def _held(git: Git, oids: Collection[Oid], tips: Collection[Oid]) -> set[Oid]:
    """Returns those commits that are reachable from one of the tips."""
    if not oids or not tips:
        return set()
    ordered = sorted(oids)
    with git.objects() as objects:
        asked = objects.read_many(ordered, limit=MAX_COMMIT)
        commits = {oid for oid, found in zip(ordered, asked, strict=True) if isinstance(found, tuple)}
    if boundary.is_cut(git.place.common_dir):  # history ends at archives; what they list came from there by its id
        return commits
    outside = git.ancestry(commits, without=tips)
    return set() if outside is None else {oid for oid in commits if oid not in outside}


def _descending(git: Git, pairs: Collection[_Pair]) -> set[_Pair]:
    """Returns the pairs of which the second has the first among its ancestors, or is it.

    Thousands of runs that got an edit cost one git: a path from one to the other in what is new proves it. Where no
    path is found, because somebody crafted runs that share commits, git is asked for that one pair."""
    equal = {pair for pair in pairs if pair[0] == pair[1]}
    open_ = sorted(set(pairs) - equal)
    if not open_:
        return equal
    if boundary.is_cut(git.place.common_dir):
        return equal | _descending_in_shallow(git, open_)
    graph = git.ancestry({new for _, new in open_}, without={old for old, _ in open_}) or {}
    return equal | {(old, new) for old, new in open_ if _path(graph, new, old) or git.is_ancestor(old, new)}


def _descending_in_shallow(git: Git, pairs: Collection[_Pair]) -> set[_Pair]:
    """Returns the same pairs where git sees no parents of a run's first commit, nor what lies beside the clone."""
    graph: dict[Oid, tuple[Oid, ...]] = {}
    waiting = [new for _, new in pairs]
    with git.objects() as objects:
        while waiting:
            oid = waiting.pop()
            raw = None if oid in graph else objects.read(oid, limit=MAX_COMMIT)
            if raw and raw[1] == "commit" and (b"\nRun: " in raw[2] or archive_codec.clone_of(raw[2])):
                graph[oid] = boundary.parents_of(raw[2])
                waiting += graph[oid]
    return {(old, new) for old, new in pairs if _path(graph, new, old)}


def _path(graph: Mapping[Oid, tuple[Oid, ...]], start: Oid, end: Oid) -> bool:
    """Tells whether parents lead from one commit to another, within a thousand steps."""
    seen, waiting = {start}, [start]
    while waiting and len(seen) < _MAX_PATH:
        for parent in graph.get(waiting.pop(), ()):
            if parent == end:
                return True
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return False
