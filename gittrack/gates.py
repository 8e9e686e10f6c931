"""Whether code may be pushed: its runs meet the project's standard, and are shared too.

A gate that is asked for must hold wherever the push starts, so it is decided here and not in a hook's shell script;
and nobody who asked for none is ever held up. The standard is read from the very commit that is judged: who relaxes
it does so in a commit that others see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gittrack import commits, store
from gittrack import standard as rules
from gittrack.caller import PushedRef
from gittrack.codec import standardfile
from gittrack.errors import DataRefused, GittrackError
from gittrack.git import Git
from gittrack.index.listing import Index
from gittrack.model import Run
from gittrack.objects import Objects
from gittrack.query.condition import And, Compare, In, Or
from gittrack.query.fields import Field
from gittrack.refname import Oid
from gittrack.repo import Repo
from gittrack.standard import Finding, Gate, Standard
from gittrack.terminal import printable

MOST_COMMITS = 10_000  # that one push is looked at for
MOST_CODES = 1000  # of the newest runs whose code is compared with a commit's
MOST_LINES = 20
_FINISHED = Compare(Field("run", "status"), "==", "finished")


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a push is stopped, and what to print on stderr, safe for a terminal."""

    blocked: bool = False
    lines: tuple[str, ...] = ()


def decide(place: Repo, updates: Sequence[PushedRef], *, runs_pushed: bool | None) -> Decision:
    """Returns whether a push of code may go on, by `track.gate` and `track.pushPolicy`.

    runs_pushed: whether the remote took the runs of the code; None if none had to be pushed, or nobody tried.
    Raises UsageError if a setting is none of its words."""
    gate = place.settings.choice("gate", "off", "warn", "block")
    policy = place.settings.choice("pushPolicy", "warn", "require")
    blocked = False
    lines: list[str] = []
    if gate != "off":
        blocked, lines = _judged(place, updates, block=gate == "block")
    if runs_pushed is False and any(_is_code(update) for update in updates):
        blocked = blocked or policy == "require"
        lines += _unpushed(require=policy == "require")
    return Decision(blocked, tuple(printable(line) for line in lines))


def _is_code(update: PushedRef) -> bool:
    return update.local is not None and update.remote_ref.startswith(("refs/heads/", "refs/tags/"))


def _unpushed(*, require: bool) -> list[str]:
    if require:
        return [
            "error: the runs of this code could not be pushed, so the code is not either",
            "cause: track.pushPolicy is 'require'",
            "hint: `git track push` says why; `git push --no-verify` pushes the code alone",
        ]
    return [
        "warning: the runs of this code could not be pushed; they are kept here",
        "hint: `git track push` tries again",
    ]


def _judged(place: Repo, updates: Sequence[PushedRef], *, block: bool) -> tuple[bool, list[str]]:
    """Returns whether the standard stops a push, and what to say of what is pushed."""
    try:
        found = check_push(place.git, updates)
    except DataRefused as exc:  # a standard that cannot be read: whoever asked for a gate has none
        lines = exc.lines()
        return block, lines if block else [line.replace("error:", "warning:", 1) for line in lines]
    if not found:
        return False, []
    more = [f"gittrack: and {len(found) - MOST_LINES} more"] if len(found) > MOST_LINES else []
    lines = [*(f"gittrack: {finding}" for finding in found[:MOST_LINES]), *more]
    if block:
        lines += [
            f"error: what is pushed does not meet '{rules.FILE}' in {len(found)} point(s)",
            "cause: track.gate is 'block'",
            "hint: `git track check` says the same; a run that should not count goes with `git track rm`",
        ]
    else:
        lines.append(f"warning: what is pushed does not meet '{rules.FILE}' in {len(found)} point(s)")
    return block, lines


def check_push(git: Git, updates: Sequence[PushedRef]) -> list[Finding]:
    """Returns what of the code that is being pushed is not as its own standard asks; raises DataRefused.

    Each tip is judged by the gates of the branch it goes to, and the finished runs of all commits that no remote is
    known to have by what runs must have."""
    found: dict[str, Finding] = {}
    judge: _Judge | None = None
    with git.objects() as objects:
        for update in updates:
            if not _is_code(update) or update.local is None:
                continue
            tip = git.resolve(update.local)
            standard = standard_of(objects, tip) if tip else None
            if tip is None or standard is None:
                continue
            judge = judge or _Judge(git, objects, Index(git))
            new = _new_commits(git, tip, [one.remote for one in updates if one.remote])
            findings = [one for run in judge.of_commits(new) for one in rules.judge(standard, judge.complete(run))]
            findings += judge.commit(standard, tip, ref=update.remote_ref)
            found |= {str(finding): finding for finding in findings}
    return list(found.values())


def check_commit(git: Git, commit: Oid, *, standard: Standard | None = None) -> list[Finding] | None:
    """Returns what of one commit, and of its finished runs, is not as the standard asks, whatever the branch.

    standard: by default the commit's own; None is returned if it has none. Raises DataRefused."""
    with git.objects() as objects:
        standard = standard or standard_of(objects, commit)
        if standard is None:
            return None
        judge = _Judge(git, objects, Index(git))
        runs = judge.fitting(Gate(""), commit)
        findings = [one for run in runs for one in rules.judge(standard, judge.complete(run))]
        return [*findings, *judge.commit(standard, commit, ref=None)]


def check_runs(git: Git, standard: Standard, runs: Sequence[Run]) -> list[Finding]:
    """Returns what of these runs is not as the standard asks."""
    with git.objects() as objects:
        judge = _Judge(git, objects, None)
        return [finding for run in runs for finding in rules.judge(standard, judge.complete(run))]


def standard_of(objects: Objects, commit: Oid) -> Standard | None:
    """Returns the standard that a commit holds, None if it holds none; raises DataRefused if it cannot be read."""
    found = objects.read(f"{commit}:{rules.FILE}", limit=standardfile.MAX_BYTES)
    if found is None or found[1] != "blob":
        return None
    return standardfile.decode(found[2], name=f"{commit[:10]}:{rules.FILE}")


def standard_here(git: Git) -> Standard | None:
    """Returns the standard in the work tree, or that of HEAD where there is no work tree; raises DataRefused."""
    raw = file_here(git)
    if raw is not None:
        return standardfile.decode(raw)
    tip = git.resolve("HEAD") if git.place.work_tree is None else None
    if tip is None:
        return None
    with git.objects() as objects:
        return standard_of(objects, tip)


def file_here(git: Git) -> bytes | None:
    """Returns the bytes of `gittrack.yaml` in the work tree, at most one more than it may have; None without one."""
    if git.place.work_tree is None:
        return None
    try:
        with open(git.place.work_tree / rules.FILE, "rb") as file:
            return file.read(standardfile.MAX_BYTES + 1)
    except OSError:
        return None


def _new_commits(git: Git, tip: Oid, known: Sequence[Oid]) -> list[Oid]:
    """Returns the commits that a push of a tip brings to where no remote-tracking branch knows them, newest first."""
    there = [oid for oid in dict.fromkeys(known) if git.has_object(oid)]
    raw = git.ask("rev-list", f"--max-count={MOST_COMMITS}", tip, "--not", *there, "--remotes")
    return [Oid(line) for line in raw.decode("ascii").split()]


class _Judge:
    """Finds the runs of commits, and what they are judged by."""

    def __init__(self, git: Git, objects: Objects, index: Index | None) -> None:
        self.git = git
        self.objects = objects
        self.index = index
        self._trees: dict[Oid, Oid | None] = {}
        self._newest: list[Run] | None = None

    def complete(self, run: Run) -> Run:
        """Returns a run with all its params and metrics, of which a large one has left some out of its record."""
        if not run.more or run.oid is None:
            return run
        detail = store.read_detail(self.objects, run.id, run.oid, oid_bytes=self.git.place.oid_bytes)
        return replace(run, params=detail.params(), metrics=detail.metrics())

    def of_commits(self, commits: Sequence[Oid]) -> list[Run]:
        """Returns the finished runs that were made from one of these commits, with uncommitted changes or without."""
        if self.index is None or not commits:
            return []
        fields = (Field("run", "code.commit"), Field("run", "code.snapshot"))
        found: dict[str, Run] = {}
        for at in range(0, len(commits), MOST_CODES):
            oids = tuple(map(str, commits[at : at + MOST_CODES]))
            asked = And((_FINISHED, Or(tuple(In(one, oids) for one in fields))))
            found |= {run.id: run for run in self.index.select(asked)}
        return list(found.values())

    def fitting(self, gate: Gate, commit: Oid) -> list[Run]:
        """Returns the finished runs whose code is that of a commit, in all that a gate looks at, newest first."""
        if self.index is None:
            return []
        if self._newest is None:
            self._newest = self.index.select(_FINISHED, limit=MOST_CODES)
        candidates = {run.id: run for run in [*self.of_commits([commit]), *self._newest]}
        same: dict[Oid, bool] = {}
        found = []
        for run in candidates.values():
            code = run.code.exact
            if code is None:
                continue
            if code not in same:
                same[code] = self._same(gate, code, commit)
            if same[code]:
                found.append(run)
        return sorted(found, key=lambda run: run.created, reverse=True)

    def commit(self, standard: Standard, commit: Oid, *, ref: str | None) -> list[Finding]:
        """Returns which gates a commit does not pass on its way to a ref."""
        return rules.judge_commit(
            standard, commit, ref=ref, runs=lambda gate: [self.complete(run) for run in self.fitting(gate, commit)]
        )

    def _same(self, gate: Gate, code: Oid, commit: Oid) -> bool:
        if code == commit:
            return True
        trees = self._tree(code), self._tree(commit)
        if trees[0] is None or trees[0] == trees[1]:
            return trees[0] is not None
        if not gate.paths:
            return False
        try:
            changed = self.git.changed_paths(code, commit)
        except GittrackError:  # a part of that code is not here, as in a partial clone
            return False
        return not any(gate.looks_at(path) for path in changed)

    def _tree(self, commit: Oid) -> Oid | None:
        if commit not in self._trees:
            try:
                self._trees[commit] = commits.read_commit(self.objects, commit).tree
            except DataRefused:
                self._trees[commit] = None
        return self._trees[commit]
