"""Changes of refs go to a remote, as many at a time as it takes.

Hosts limit the refs of a push, and its bytes; one ref that a hook refuses can take two hundred others with it; a line
can break when half of them have arrived. So a part that was refused as a whole, or cut, is halved, down to one ref;
after a cut the remote is asked what it has, and what it took is written down before the next part goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gittrack import answers, packs, remote, transfer
from gittrack.answers import Answer
from gittrack.errors import RemoteError
from gittrack.git import Git, RefMoved, Update, pause
from gittrack.refname import RUNS, Oid, mirror_prefix
from gittrack.settings import Settings, read_settings
from gittrack.transfer import Progress

_ATTEMPTS = 5
_PATIENCE = 12  # parts in a row of which nothing was taken; by then 200 refs have become one


@dataclass(frozen=True, slots=True)
class Change:
    """What a ref of runs is to become on a remote, by its name here; `new` None deletes it there.

    With a `lease` only if the remote has that commit, which may then be left behind; without one only forward."""

    ref: str
    new: Oid | None
    lease: Oid | None = None


@dataclass(slots=True)
class _Pace:
    """How many refs go at a time: half as many after a failure, and twice as many again when that went well."""

    size: int
    most: int
    good: int = 0
    bad: int = 0
    grown: bool = False

    def succeed(self) -> None:
        """Takes note of a part of which something was taken."""
        self.good, self.bad = self.good + 1, 0
        if self.good >= 2 and self.size < self.most:
            self.size, self.good, self.grown = min(2 * self.size, self.most), 0, True

    def fail(self, refs: int) -> None:
        """Takes note of a part of so many refs of which nothing was taken."""
        self.good, self.bad = 0, self.bad + 1
        self.size = max(1, refs // 2)
        if self.grown:  # and so found the limit
            self.most, self.grown = self.size, False


def send(git: Git, name: str, changes: Iterable[Change], *, progress: Progress | None = None) -> Iterator[Answer]:
    """Sends changes to a remote and yields its answer for each, by the ref's name here, once it is written down.

    Raises RemoteError if the remote cannot be reached any more; what was yielded before holds."""
    known = read_settings(git)
    limit = known.count("refsPerPush")
    pace = _Pace(limit, limit)
    pending, took = list(changes), False
    given_up: RemoteError | None = None
    while pending:
        part = pending[: pace.size]
        found, error = _push(git, name, part, known=known, progress=progress)
        if error:
            found = _arrived(git, name, part, error)
        refusal = _refusal(found.values()) if not error else ""
        settled = {} if refusal and len(part) > 1 else _excused(git, name, part, found)
        taken = [change for change in part if change.ref in settled and settled[change.ref].taken]
        _remember(git, name, taken)
        took = took or bool(taken)
        yield from settled.values()
        pending = [*(change for change in part if change.ref not in settled), *pending[len(part) :]]
        if taken:
            pace.succeed()
        elif error or refusal:
            pace.fail(len(part))
        if pace.bad >= _PATIENCE:
            if error:
                raise error
            yield from (Answer(change.ref, taken=False, reason=refusal) for change in pending)
            return
        if error and len(part) == 1 and not taken:
            given_up = error
            yield Answer(pending.pop(0).ref, taken=False, reason=error.cause or error.message)
    if given_up and not took:
        raise given_up


def _push(
    git: Git, name: str, part: Sequence[Change], *, known: Settings, progress: Progress | None
) -> tuple[dict[str, Answer], RemoteError | None]:
    """Pushes some changes; returns the answers, or why there are none if the line broke.

    Raises RemoteError where another try is of no use."""
    there = remote.prefix(known, name)
    names = {there + change.ref.removeprefix(RUNS): change for change in part}
    if not git.has_executable:
        return _push_without_git(git, name, names), None
    settings = () if remote.is_address(name) else (f"remote.{name}.mirror=false",)
    args = ["--porcelain", "--no-verify"] + ["--progress"] * transfer.needs_progress(progress)
    args += [f"--force-with-lease={ref}:{change.lease}" for ref, change in names.items() if change.lease]
    specs = [f"{change.new or ''}:{ref}" for ref, change in names.items()]
    command = ("push", *args, "--end-of-options", name, *specs)
    done = remote.run(git, *command, known=known, settings=settings, progress=progress)
    answered = answers.read(done.stdout)
    if not names.keys() <= answered.keys():
        error = remote.failed("push to", name, done)
        if done.given_up or error.hint != answers.KEPT:
            raise error
        return {}, error
    said = answers.remote_words(done.stderr)
    return {change.ref: _told(answered[ref], change.ref, said) for ref, change in names.items()}, None


def _told(answer: Answer, ref: str, said: str) -> Answer:
    """Returns an answer under the ref's name here, with what the remote's hooks said if it is a refusal."""
    reason = f"{answer.reason}; {said}" if said and not answer.taken else answer.reason
    return replace(answer, ref=ref, reason=reason)


def _push_without_git(git: Git, name: str, names: Mapping[str, Change]) -> dict[str, Answer]:
    from gittrack.libgit import sharing  # noqa: PLC0415 - dulwich, and only where there is no git

    if any(change.new is None or change.lease for change in names.values()):
        hint = "install git 2.36 or newer"
        raise RemoteError(f"cannot delete or replace refs on '{remote.label(name)}' without git", hint=hint)
    refs = [(change.new, ref) for ref, change in names.items() if change.new]
    silence = read_settings(git).seconds("timeout")
    reasons = sharing.push(git, name, refs, terminal=remote.has_terminal(), silence=silence)
    return {names[ref].ref: Answer(names[ref].ref, taken=not why, reason=why) for ref, why in reasons.items()}


def _refusal(found: Iterable[Answer]) -> str:
    """Returns why all refs of a part were refused as one, or nothing if each was judged by itself."""
    reasons = {"" if answer.taken or answer.moved or answer.alone else answer.reason for answer in found}
    return reasons.pop() if len(reasons) == 1 else ""


def _look(git: Git, name: str, part: Sequence[Change]) -> dict[str, Oid]:
    """Returns what the remote has of some refs, by their names here; our mirror has it too then.

    With a star, which stands for nothing, git passes over a ref that is not there, and a server tells these alone."""
    mirror = mirror_prefix(name)
    ends = {change.ref.removeprefix(RUNS) for change in part}
    remote.fetch(git, name, [f"+{RUNS}{end}*:{mirror}{end}*" for end in sorted(ends)], prune=git.has_executable)
    return {RUNS + ref.name.removeprefix(mirror): ref.oid for ref in git.refs(*(mirror + end for end in sorted(ends)))}


def _arrived(git: Git, name: str, part: Sequence[Change], error: RemoteError) -> dict[str, Answer]:
    """Returns the answers for what arrived all the same before the line broke; raises `error` if it is still broken."""
    try:
        there = _look(git, name, part)
    except RemoteError as exc:
        raise error from exc
    return {
        change.ref: Answer(change.ref, taken=True, reason="") for change in part if there.get(change.ref) == change.new
    }


def _excused(git: Git, name: str, part: Sequence[Change], found: Mapping[str, Answer]) -> Mapping[str, Answer]:
    """Returns the answers, and what somebody else deleted already is deleted."""
    stale = [change for change in part if change.new is None and change.ref in found and found[change.ref].moved]
    there = _look(git, name, stale) if stale else {}
    gone = {change.ref: Answer(change.ref, taken=True, reason="") for change in stale if change.ref not in there}
    return {**found, **gone}


def _remember(git: Git, name: str, taken: Sequence[Change]) -> None:
    """Writes down what the remote has now."""
    mirror = mirror_prefix(name)
    wanted = {mirror + change.ref.removeprefix(RUNS): change.new for change in taken}
    for attempt in range(_ATTEMPTS if wanted else 0):
        seen = {ref.name: ref.oid for ref in git.refs(*wanted)}
        updates = [Update(ref, new, seen.get(ref)) for ref, new in wanted.items() if seen.get(ref) != new]
        try:
            if updates:
                git.update_refs(updates, durable=False)
        except RefMoved:  # another process pushes the same
            if attempt + 1 == _ATTEMPTS:
                raise
            pause(attempt)
        else:
            break
    if wanted:
        packs.tidy_refs(git)
