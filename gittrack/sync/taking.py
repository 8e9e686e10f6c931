"""What others have of runs becomes ours: new, fast-forwarded or joined.

A fetch goes into a mirror of the remote; from there runs go into `refs/runs/`. Fetched runs are hostile until read:
one that breaks the format stays in the mirror and is named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from gittrack import packs, store
from gittrack.archives import Shelf
from gittrack.codec import record, tree
from gittrack.codec.tree import Object
from gittrack.commits import read_commit
from gittrack.errors import DataRefused, GittrackError
from gittrack.git import Git, Ref, RefMoved, Update
from gittrack.lineage import Choice, Lineage
from gittrack.model import fold
from gittrack.objects import Objects
from gittrack.refname import ARCHIVES, LOCAL, RUNS, Oid, RunId, archive_of, run_of, run_ref
from gittrack.sync import joins
from gittrack.sync.moving import move

_ATTEMPTS = 5
_MANY = 1000  # joins that are written at once


@dataclass(frozen=True, slots=True)
class Integrated:
    """What integration did: runs that are new here, that moved forward, that were joined, and what was refused.

    parted: runs that two machines went on with, and the version of each that is not shown; archived: how many runs
    are new here in archives; buried: runs that were here and that somebody else deleted for good."""

    new: tuple[RunId, ...] = ()
    forwarded: tuple[RunId, ...] = ()
    joined: tuple[RunId, ...] = ()
    refused: tuple[GittrackError, ...] = ()
    parted: tuple[tuple[RunId, Oid], ...] = ()
    archived: int = 0
    buried: tuple[RunId, ...] = ()


@dataclass(slots=True)
class _Outcome:
    new: list[RunId] = field(default_factory=list)
    forwarded: list[RunId] = field(default_factory=list)
    joined: list[RunId] = field(default_factory=list)
    refused: list[GittrackError] = field(default_factory=list)
    parted: list[tuple[RunId, Oid]] = field(default_factory=list)

    def frozen(self) -> Integrated:
        new, forwarded, joined = (tuple(dict.fromkeys(each)) for each in (self.new, self.forwarded, self.joined))
        return Integrated(new, forwarded, joined, tuple(self.refused), tuple(self.parted))


@dataclass(frozen=True, slots=True)
class Here:
    """The refs of runs here, and the archives, from one look."""

    runs: dict[RunId, Oid]
    shelf: Shelf


def here(git: Git, refs: Iterable[Ref] | None = None) -> Here:
    """Returns the refs of runs and archives as they are now, or as they are among `refs`."""
    refs = git.refs(RUNS) if refs is None else refs
    tips = {clone: ref.oid for ref in refs if (clone := archive_of(ref.name))}
    return Here(_runs(refs), Shelf(git, ARCHIVES, tips=tips))


def own(git: Git) -> dict[RunId, Oid]:
    """Returns the refs of runs here."""
    return _runs(git.refs(RUNS))


def _runs(refs: Iterable[Ref]) -> dict[RunId, Oid]:
    return {run: ref.oid for ref in refs if (run := run_of(ref.name))}


def mirrors(refs: Iterable[Ref]) -> list[tuple[RunId, Oid]]:
    """Returns the commits of runs that were seen on remotes, each once; refs: those to look among."""
    found: dict[tuple[RunId, Oid], None] = {}
    for ref in refs:
        prefix, slash, _ = ref.name.rpartition("/")
        run = run_of(ref.name, prefix=prefix + slash)
        if run and prefix.startswith(LOCAL) and prefix.endswith("/runs"):
            found[run, ref.oid] = None
    return list(found)


def take_in(git: Git, commits: Sequence[tuple[RunId, Oid]], *, now: Here | None = None) -> Integrated:
    """Takes commits of runs into `refs/runs/`: new runs, fast-forwards, joins (docs/format.md, chapter 9).

    now: what is here, if the caller just looked."""
    outcome = _Outcome()
    waiting = [(run, oid) for run, oid in commits if now is None or now.runs.get(run) != oid]
    failures = 0
    while waiting:
        left = _round(git, waiting, outcome)
        failures += len(left) >= len(waiting)
        if failures == _ATTEMPTS:
            raise RefMoved(
                "cannot take in runs from elsewhere", cause="other processes keep changing them", hint="try again"
            )
        waiting = left
    return outcome.frozen()


def _round(git: Git, commits: Sequence[tuple[RunId, Oid]], outcome: _Outcome) -> list[tuple[RunId, Oid]]:
    """Takes in one version of each run; returns what is left: the others, and those whose ref moved meanwhile."""
    now = here(git)
    gone = now.shelf.deleted if any(now.runs.get(run) != oid for run, oid in commits) else frozenset()
    first: dict[RunId, Oid] = {}
    left: list[tuple[RunId, Oid]] = []
    for run, oid in commits:
        if now.runs.get(run) == oid or run in gone or first.get(run) == oid:
            continue
        if run in first or len(first) == _MANY * 10:
            left.append((run, oid))
        else:
            first[run] = oid
    if first:
        archived = now.shelf.of([run for run in first if run not in now.runs])
        with git.objects() as objects:
            taking = _Taking(git, objects)
            for run, oid in first.items():
                try:
                    taking.take(run, now.runs.get(run), archived.get(run, frozenset()), oid)
                except GittrackError as exc:
                    outcome.refused.append(_named(run, exc))
                if len(taking.joins) >= _MANY:
                    left += taking.write(outcome)
            left += taking.write(outcome)
        packs.tidy_refs(git)
    return left


class _Plan(NamedTuple):
    """What becomes of a run: the version of others that it is about, and what a join does not show."""

    choice: Choice | Literal["new"]
    run: RunId
    theirs: Oid
    update: Update
    hidden: Oid | None = None


class _Taking:
    """What one round is about to do, written together: a thousand joins are one pack and one change of refs."""

    def __init__(self, git: Git, objects: Objects) -> None:
        self._git = git
        self._objects = objects
        self._lineage = Lineage(objects)
        self.joins: list[Object] = []
        self._plans: list[_Plan] = []

    def take(self, run: RunId, ref: Oid | None, archived: frozenset[Oid], theirs: Oid) -> None:
        """Plans what becomes of a run that is at `ref` here, or archived, and of which `theirs` came."""
        mine = [ref] if ref else sorted(archived)
        if not ref and mine:
            mine = self._heads(run, mine)
            if theirs not in archived and all(self._lineage.decide(run, tip, theirs) != "keep" for tip in mine):
                mine = [tip for tip in mine if self._lineage.decide(run, tip, theirs) == "join"] + [theirs]
            if len(mine) == 1 and mine[0] in archived:
                return
        elif not ref:
            self._examined(run, theirs)
            self._plans.append(_Plan("new", run, theirs, Update(run_ref(run), theirs, None)))
            return
        if ref:
            read_commit(self._objects, theirs)
            if not self._lineage.of(run, theirs).has(theirs):
                raise record.refused(run, "what the remote has in its place is no commit of it")
            self._require(run, ref)
            choice = self._lineage.decide(run, ref, theirs)
            if choice == "keep":
                return
            mine = [theirs] if choice == "forward" else [ref, theirs]
        if len(mine) == 1:
            self._examined(run, mine[0])
            self._plans.append(_Plan("forward", run, theirs, Update(run_ref(run), mine[0], ref)))
            return
        joined = joins.join(self._git, self._examined(run, mine[0]), self._examined(run, mine[1]))
        self.joins += joined.objects
        self._plans.append(_Plan("join", run, theirs, Update(run_ref(run), joined.tip, ref), joined.hidden))

    def _heads(self, run: RunId, tips: Sequence[Oid]) -> list[Oid]:
        """Returns those of several versions that no other has all of."""
        heads: list[Oid] = []
        for tip in tips:
            choices = [self._lineage.decide(run, head, tip) for head in heads]
            if "keep" not in choices:
                heads = [head for head, choice in zip(heads, choices, strict=True) if choice == "join"] + [tip]
        return heads

    def _require(self, run: RunId, tip: Oid) -> None:
        try:
            read_commit(self._objects, tip)
        except DataRefused as exc:
            raise record.refused(run, "its commit is missing here", "see `git track fsck`") from exc

    def _examined(self, run: RunId, oid: Oid) -> store.Detail:
        return examine(self._objects, run, oid, oid_bytes=self._git.place.oid_bytes)

    def write(self, outcome: _Outcome) -> list[tuple[RunId, Oid]]:
        """Writes what was planned; returns the versions of runs whose refs moved meanwhile."""
        plans, self._plans = self._plans, []
        if self.joins:
            pack = tree.encode_pack(self.joins, algorithm=self._git.place.algorithm)
            self._git.write_pack(pack, keep=packs.keep_text("joins"))
            self.joins = []
        came_true = set(move(self._git, [plan.update for plan in plans]))
        done = [plan for plan in plans if plan.update in came_true]
        store.tidy(self._git)
        for choice, run, _, _, hidden in done:
            kind = outcome.joined if choice == "join" else outcome.new if choice == "new" else outcome.forwarded
            kind.append(run)
            outcome.parted += [(run, hidden)] if hidden else []
        kept = {plan.run for plan in done}
        return [(plan.run, plan.theirs) for plan in plans if plan.run not in kept]


def decide(git: Git, run: RunId, ours: Oid, theirs: Oid) -> Choice:
    """Returns what to do with two tips of a run: `keep` ours, `forward` to theirs, or `join`."""
    with git.objects() as objects:
        return Lineage(objects).decide(run, ours, theirs)


def examine(objects: Objects, run: RunId, oid: Oid, *, oid_bytes: int) -> store.Detail:
    """Returns a fetched run; raises GittrackError if it is refused.

    Its record, tree, YAML and edits are all read under limits."""
    detail = store.read_detail(objects, run, oid, oid_bytes=oid_bytes)
    if detail.facts.get("id") != run:
        raise record.refused(run, "its run.yaml is that of another run")
    detail.params(), detail.metrics(), detail.artifacts()
    after = store.with_state(detail.run, fold(detail.base, detail.edits))
    record.decode_message(record.encode_message(after), run=run)  # so that an edit of ours can be read again
    return detail


def _named(run: RunId, error: GittrackError) -> GittrackError:
    """Returns an error that says which run it is about."""
    error.hint = error.hint or "it stays on the remote; ask who pushed it"
    if str(run) not in error.message:
        error.message = f"run '{run}' is refused: {error.message}"
    return error
