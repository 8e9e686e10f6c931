"""Which commits of a branch the runs belong to, after it was rebased, amended, squashed or picked from.

A run names the commit that it was made from for ever, and a branch forgets that commit with the next rebase. So a run
whose commit is not there is looked for by rules, the surest first, and every answer says by which rule it came. What
is made from one commit is asked once, and a rule that costs git something is tried only on what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Literal, NamedTuple, TypeVar

from gittrack import changes, rewrites
from gittrack.changes import Change, Diffs, Facts
from gittrack.errors import GitFailed
from gittrack.git import Git
from gittrack.model import Run
from gittrack.porcelain import Line
from gittrack.query.fields import seconds
from gittrack.refname import Oid

K = TypeVar("K")
Rule = Literal["exact", "committed", "rewritten", "named", "tree", "patch", "squash", "author"]

_TOLD: Mapping[Rule, str] = {
    "exact": "from {old}",
    "committed": "committed later; ran on {old}",
    "rewritten": "rewritten from {old}",
    "named": "picked from {old}",
    "tree": "same tree as {old}",
    "patch": "same patch as {old}",
    "squash": "squashed from {old}",
    "author": "same author, time and subject as {old}",
}
MAX_SQUASHED = 2000  # commits that may have been the last one of a squashed branch, the newest first


class Link(NamedTuple):
    """Where a run belongs on a branch: `commit` there, by `rule`; `old` is the commit that it was made from."""

    rule: Rule
    commit: Oid
    old: Oid

    @property
    def told(self) -> str:
        """The rule in a few words."""
        return _TOLD[self.rule].format(old=self.old[:7])


class Source(NamedTuple):
    """What runs were made from."""

    commit: Oid
    snapshot: Oid | None = None


class Placed(NamedTuple):
    """The runs of a branch, and those that no rule places; without a code commit a run is in neither."""

    links: Mapping[Source, Link]
    runs: Mapping[Oid, Sequence[Run]]
    elsewhere: Sequence[Run]

    def link(self, run: Run) -> Link:
        """Returns where a run that was placed belongs."""
        return self.links[source_of(run)]


def source_of(run: Run) -> Source:
    """Returns what a run was made from; it must have a code commit."""
    return Source(run.code.commit or Oid(""), run.code.snapshot)


def place(git: Git, runs: Iterable[Run], lines: Sequence[Line]) -> Placed:
    """Returns the runs of each of the commits, which are a whole history, newest first.

    The rules are those of docs/how-to/find-runs-after-a-rebase.md. Raises GitFailed."""
    with_code = [run for run in runs if run.code.commit]
    began: dict[Source, float] = {}
    for run in with_code:
        began.setdefault(source_of(run), seconds(run.created) or 0.0)
    links = find(git, began, lines)
    placed: dict[Oid, list[Run]] = {}
    elsewhere = []
    for run in with_code:
        link = links.get(source_of(run))
        if link is None:
            elsewhere.append(run)
        else:
            placed.setdefault(link.commit, []).append(run)
    return Placed(links, placed, elsewhere)


def find(git: Git, began: Mapping[Source, float], lines: Sequence[Line]) -> dict[Source, Link]:
    """Returns where each source belongs on a history; began: when a run of it did, in Unix seconds."""
    finder = _Finder(git, began, lines)
    for rule in (finder.by_snapshot, finder.by_id):
        rule()
    if finder.left and lines:
        for rule in (finder.by_journal, finder.by_message, finder.by_tree, finder.by_patch, finder.by_author):
            rule()
            if not finder.left:
                break
    return finder.found


class _Finder:
    """The rules; each takes what it finds out of `left`."""

    def __init__(self, git: Git, began: Mapping[Source, float], lines: Sequence[Line]) -> None:
        self._git = git
        self._began = began
        self._lines = lines
        self._at = {line.oid: at for at, line in enumerate(lines)}
        self._heirs: dict[Oid, list[Oid]] = {}
        self.left = dict.fromkeys(began)
        self.found: dict[Source, Link] = {}

    # What is known --------------------------------------------------------------------------------------------------

    @cached_property
    def _by_tree(self) -> Mapping[Oid, list[int]]:
        return _grouped(self._lines, lambda line: line.tree)

    @cached_property
    def _facts(self) -> Mapping[Oid, Facts]:
        """The commits that sources and their heirs are made of, as far as they are here."""
        asked = [oid for source in self.left for oid in self._selves(source)]
        return {**self._snapshots, **changes.read(self._git, asked)}

    @cached_property
    def _snapshots(self) -> Mapping[Oid, Facts]:
        return changes.read(self._git, [source.snapshot for source in self._began if source.snapshot])

    def _selves(self, source: Source) -> list[Oid]:
        """Returns the commit of a source, and what it was rewritten to, the newest first."""
        return [*self._heirs.get(source.commit, [])[::-1], source.commit]

    def _take(self, source: Source, rule: Rule, places: Sequence[int]) -> None:
        """Links a source to the one of the places that was written nearest to the time of its own commit."""
        if not places or source not in self.left:
            return
        at = places[0]
        if len(places) > 1:
            facts = self._facts.get(source.commit)
            when = facts.authored if facts else self._began[source]
            at = min(places, key=lambda at: (abs(self._lines[at].authored - when), at))
        self.found[source] = Link(rule, self._lines[at].oid, source.commit)
        del self.left[source]

    def _places(self, oids: Iterable[Oid]) -> list[int]:
        return [self._at[oid] for oid in oids if oid in self._at]

    # The rules ------------------------------------------------------------------------------------------------------

    def by_snapshot(self) -> None:
        """What was uncommitted when it ran, and was committed as it was."""
        for source in [source for source in self.left if source.snapshot]:
            facts = self._snapshots.get(source.snapshot or Oid(""))
            if facts is None:
                continue
            own = self._at.get(source.commit, len(self._lines))
            same = self._by_tree.get(facts.tree, ())
            if own not in same:  # else all that was uncommitted was left out of the snapshot
                self._take(source, "committed", [at for at in same if at < own][-1:])  # the first that was made

    def by_id(self) -> None:
        """The commit itself."""
        for source in [source for source in self.left if source.commit in self._at]:
            self.found[source] = Link("exact", source.commit, source.commit)
            del self.left[source]

    def by_journal(self) -> None:
        """What git told the post-rewrite hook."""
        try:
            links = rewrites.read(self._git)
        except OSError as exc:
            raise GitFailed("cannot read the link journal", cause=exc.strerror) from exc
        if links:
            self._heirs = {source.commit: rewrites.heirs(links, source.commit) for source in self.left}
        for source in list(self.left):
            self._take(source, "rewritten", self._places(self._heirs.get(source.commit, ())))

    def by_message(self) -> None:
        """What `git cherry-pick -x` and `git merge --squash` wrote into a message."""
        if self._git.has_executable:
            names = changes.named(self._git, self._lines[0].oid)
            for source in list(self.left) if names else ():
                picked = [new for oid in self._selves(source) for new in names.get(oid, ())]
                self._take(source, "named", self._places(picked))

    def by_tree(self) -> None:
        """The same files."""
        for source in list(self.left):
            trees = [self._facts[oid].tree for oid in self._selves(source) if oid in self._facts]
            self._take(source, "tree", next((self._by_tree[tree] for tree in trees if tree in self._by_tree), ()))

    def by_patch(self) -> None:
        """The same change: of the commit, of what was uncommitted, or of the branch that it is a part of."""
        if not self._git.has_executable:
            return
        diffs = Diffs(self._git)
        try:
            self._by_patch(diffs)
        finally:
            diffs.save()

    def _by_patch(self, diffs: Diffs) -> None:
        tips = [oid for source in self.left for oid in (*self._selves(source), source.snapshot) if oid in self._facts]
        if not tips:
            return
        side = changes.sides(self._git, [oid for oid in tips if oid], without=self._lines[0].oid)
        forks = changes.forks(side, self._at)
        oldest = max((self._at[forks[tip]] if tip in forks else len(self._lines) for tip in tips if tip), default=0)
        match = _Matcher(diffs, self._lines[:oldest], texts=not changes.is_partial(self._git))
        alone = match.places({oid: Change(oid) for oid in tips if oid and len(self._facts[oid].parents) < 2})
        for source in list(self.left):
            self._take(source, "committed", alone.get(source.snapshot or Oid(""), ()))
        for source in list(self.left):
            self._take(source, "patch", next((alone[oid] for oid in self._selves(source) if oid in alone), ()))
        if self.left:
            self._by_squash(match, side, forks)

    def _by_squash(self, match: _Matcher, side: Mapping[Oid, tuple[Oid, ...]], forks: Mapping[Oid, Oid]) -> None:
        """One commit that changes what a branch changed, up to this commit or to a later one of that branch."""
        own = {source: [oid for oid in (*self._selves(source), source.snapshot) if oid] for source in self.left}
        wanted = {oid for oids in own.values() for oid in oids}
        after: set[Oid] = set()  # the commits that have one of the wanted in their history, or are one
        for oid, parents in side.items():
            if oid in wanted or not after.isdisjoint(parents):
                after.add(oid)
        lasts = [oid for oid in side if oid in after and oid in forks][-MAX_SQUASHED:]
        squashed = match.places({oid: Change(oid, forks[oid]) for oid in lasts})
        found: dict[Oid, list[int]] = {}
        for last, places in squashed.items():  # the nearest that follows takes a commit
            queue = [last]
            for oid in queue:
                if oid in side and oid not in found:
                    found[oid] = places
                    queue += side[oid]
        for source, oids in own.items():
            self._take(source, "squash", next((found[oid] for oid in oids if oid in found), ()))

    def by_author(self) -> None:
        """The same author, second and subject: an amended commit keeps them, whatever it changes."""
        known = _grouped(self._lines, lambda line: (line.author, line.authored, line.subject))
        for source in list(self.left):
            facts = [self._facts[oid] for oid in self._selves(source) if oid in self._facts]
            keys = [(one.author, one.authored, one.subject) for one in facts]
            self._take(source, "author", next((known[key] for key in keys if key in known), ()))


class _Matcher:
    """Changes of a history, by what they touch."""

    def __init__(self, diffs: Diffs, lines: Sequence[Line], *, texts: bool) -> None:
        """texts: whether contents may be read; without, only changes of equal contents are found."""
        self._diffs = diffs
        self._texts = texts
        touched = diffs.touched(Change(line.oid) for line in lines)
        known = [(at, touched.get(Change(line.oid))) for at, line in enumerate(lines)]
        self._lines = lines
        self._contents: dict[str, list[int]] = {}
        self._paths: dict[str, list[int]] = {}
        for at, found in known:
            if found and found.paths:
                self._contents.setdefault(found.contents, []).append(at)
                self._paths.setdefault(found.paths, []).append(at)

    def places(self, asked: Mapping[Oid, Change]) -> dict[Oid, list[int]]:
        """Returns where the history has the same change, for those that it has."""
        touched = self._diffs.touched(asked.values())
        found: dict[Oid, list[int]] = {}
        near: dict[Oid, str] = {}  # the paths of those that are of the same paths
        for oid, change in asked.items():
            what = touched.get(change)
            if what and what.contents in self._contents:
                found[oid] = self._contents[what.contents]
            elif what and what.paths in self._paths and self._texts:
                near[oid] = what.paths
        theirs = [at for paths in dict.fromkeys(near.values()) for at in self._paths[paths]]
        patches = self._diffs.patches([*(asked[oid] for oid in near), *(Change(self._lines[at].oid) for at in theirs)])
        by_patch: dict[str | None, list[int]] = {}
        for at in theirs:
            by_patch.setdefault(patches.get(Change(self._lines[at].oid)), []).append(at)
        for oid in near:
            patch = patches.get(asked[oid])
            if patch and patch in by_patch:
                found[oid] = by_patch[patch]
        return {oid: found[oid] for oid in asked if oid in found}


def _grouped(lines: Sequence[Line], key: Callable[[Line], K]) -> dict[K, list[int]]:
    found: dict[K, list[int]] = {}
    for at, line in enumerate(lines):
        found.setdefault(key(line), []).append(at)
    return found
