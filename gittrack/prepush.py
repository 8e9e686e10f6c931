"""Runs go along with the code they were made by, when plain `git push` sends it.

A push of code is the moment at which people share; nobody should have to remember a second command. But what was
pushed cannot be taken back, so only runs go whose code is going, or is there, and only to a remote that takes runs;
files that were never committed stay until somebody said that they may go. And nobody waits: what takes longer than
`PATIENCE` goes on by itself while git pushes the code (docs/decisions/0014-runs-go-before-their-code.md)."""

from __future__ import annotations

import json
import os
import select
import signal
import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from gittrack import remote as remotes
from gittrack.caller import Push, PushedRef
from gittrack.errors import GittrackError, NegativeAnswer, NotFound, RemoteError
from gittrack.git import Git
from gittrack.hooks import GUARD
from gittrack.refname import LOCAL, RUNS, Oid, RunId, mirror_prefix, run_of
from gittrack.repo import Repo
from gittrack.settings import Settings

if TYPE_CHECKING:
    from gittrack.model import Code

PATIENCE = 5.0  # seconds that a push of code waits for its runs
LONGEST = 600.0  # seconds after which a push of runs that went on by itself is ended


@dataclass(frozen=True, slots=True)
class Along:
    """The runs that go along, with their tips, and how many stay because of uncommitted files in them."""

    runs: tuple[tuple[RunId, Oid], ...] = ()
    held: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the runs of a push: what is to be said, and whether they arrived; None if none had to go."""

    said: tuple[str, ...] = ()
    arrived: bool | None = None


def objection(place: Repo, name: str, url: str, refs: Sequence[PushedRef], asked: Push) -> GittrackError | None:
    """Returns why a push is stopped, or None: it takes runs away from the remote, or names what is ours alone.

    Both are what `git push --mirror` does, and nobody else would find out why their runs are gone."""
    git = place.git
    prefix = remotes.prefix(place.settings, name)
    local = [ref.remote_ref for ref in refs if ref.remote_ref.startswith(LOCAL)]
    if local:
        return NegativeAnswer(
            f"this push names {_counted(local)}, which is of this clone alone",
            cause=f"below {LOCAL} stands what was seen on remotes; `git push --mirror` sends it, and deletes runs",
            hint="push branches and tags by name, and runs with `git track push`; `--no-verify` insists",
        )
    try:
        unsaid = _unsaid(place, name, url, prefix) if _mirrors(place, name, refs, asked, prefix) else []
    except RemoteError as exc:
        exc.message = f"it is not clear whether this push deletes runs: {exc.message}"
        return exc
    deleted = [ref.remote_ref for ref in refs if ref.local is None and ref.remote_ref.startswith((RUNS, prefix))]
    if deleted or unsaid:
        return NegativeAnswer(
            f"this push deletes {_counted(deleted or unsaid)} on the remote",
            cause="a run belongs to everybody who has the remote; that it is not in this clone says nothing",
            hint="push branches and tags by name; `git track rm` deletes a run everywhere, `--no-verify` insists",
        )
    back = [
        ref.remote_ref
        for ref in refs
        if ref.remote_ref.startswith(RUNS) and ref.local and ref.remote and not git.is_ancestor(ref.remote, ref.local)
    ]
    if back:
        return NegativeAnswer(
            f"this push takes {_counted(back)} back to what it was before",
            cause="a run only grows; what others said of it since would be lost",
            hint="`git track push` joins both versions; `--no-verify` insists",
        )
    return None


def _mirrors(place: Repo, name: str, refs: Sequence[PushedRef], asked: Push, prefix: str) -> bool:
    """Tells whether a push may delete what this clone does not have. git does not name such refs to the hook.

    Where the system does not show the words of the push, one that names refs of remotes is taken for a mirror."""
    specs = [*asked.words[1:], *(value for key, value in place.git.config() if key == f"remote.{name}.push")]
    pruned = asked.prune and any(_covers(spec, prefix) for spec in specs)
    seen = any(ref.remote_ref.startswith("refs/remotes/") for ref in refs)
    return asked.mirror or pruned or seen or place.settings.flag(f"remote.{name}.mirror")


def _covers(spec: str, prefix: str) -> bool:
    """Tells whether the right side of a refspec matches refs below a prefix."""
    head, star, _ = spec.rpartition(":")[2].partition("*")
    return bool(star) and (prefix.startswith(head) or head.startswith(prefix))


def _unsaid(place: Repo, name: str, url: str, prefix: str) -> list[str]:
    """Returns the runs of a remote that have no ref of their name here; raises RemoteError."""
    where = url if place.settings.git(f"remote.{name}.pushurl") else name
    here = {ref.name for ref in place.git.refs(RUNS)} if prefix == RUNS else set()
    return [ref for ref in remotes.listed(place.git, where) if ref not in here]


def _counted(refs: Sequence[str]) -> str:
    return f"'{refs[0]}'" + (f" and {len(refs) - 1} more" if len(refs) > 1 else "")


def carries_code(refs: Sequence[PushedRef]) -> bool:
    """Tells whether a push is one that runs go along with: not one of runs alone, nor one that only deletes.

    A push that has nothing to send is one too: runs may have been made since the last."""
    return not refs or any(ref.local and not ref.remote_ref.startswith((RUNS, LOCAL)) for ref in refs)


def target(place: Repo, name: str) -> str | None:
    """Returns the remote that the runs of a push to `name` go to, or None if they stay.

    That is `track.remote` once it has runs, or `name` if it is the one that `git track push` takes by itself, or has
    runs, or was set up by `git track init`. So that no run goes to where code is only deployed."""
    chosen = place.settings.get("remote")
    if chosen and chosen != name:
        return chosen if _has_runs(place.git, chosen) else None
    if _has_runs(place.git, name) or (f"remote.{name}.fetch", refspec(place.settings, name)) in place.git.config():
        return name
    try:
        return name if remotes.choose(place.settings, None, branch=place.git.branch()) == name else None
    except NotFound:
        return None


def refspec(settings: Settings, name: str) -> str:
    """Returns what makes plain `git fetch` bring the runs of a remote into our mirror of it."""
    return f"+{remotes.prefix(settings, name)}*:{mirror_prefix(name)}*"


def _has_runs(git: Git, name: str) -> bool:
    return bool(git.refs(mirror_prefix(name)))


def along(place: Repo, name: str, refs: Sequence[PushedRef], *, to: str) -> Along:
    """Returns the runs that `to` lacks and whose code is there, or is among what is pushed to `name`."""
    from gittrack.index.listing import Index  # noqa: PLC0415 - most pushes have no new runs, and need not load this
    from gittrack.sync import pushing  # noqa: PLC0415 - as above

    git = place.git
    pending = pushing.unpushed(git, to)
    codes = {run.id: run.code for run in Index(git, deleted=True).of({run for run, _ in pending})}
    known = [prefix for each in dict.fromkeys((name, to)) for prefix in (f"refs/remotes/{each}/", mirror_prefix(each))]
    tips = [oid for ref in refs for oid in (ref.local, ref.remote) if oid]
    missing = _missing(git, {code.commit for code in codes.values() if code.commit}, tips, known)
    ready = [(run, tip) for run, tip in pending if run in codes and codes[run].commit not in missing]
    publish = place.settings.choice("publishSnapshots", "ask", "true", "false")
    if publish == "true":
        return Along(tuple(ready))
    snapshots = {code.snapshot for run, _ in ready if (code := codes[run]).snapshot}
    private = _missing(git, {oid for oid in snapshots if oid}, tips, known)
    kept = tuple((run, tip) for run, tip in ready if not _holds(codes[run], private))
    return Along(kept, held=len(ready) - len(kept) if publish == "ask" else 0)


def _differ(git: Git, to: str) -> bool:
    """Tells whether a run here is not as it was seen on a remote."""
    prefix = mirror_prefix(to)
    refs = git.refs(RUNS, prefix)
    there = {run: ref.oid for ref in refs if (run := run_of(ref.name, prefix=prefix))}
    return any((run := run_of(ref.name)) and there.get(run) != ref.oid for ref in refs)


def _holds(code: Code, snapshots: set[Oid]) -> bool:
    return code.snapshot is not None and code.snapshot in snapshots


def _missing(git: Git, commits: Iterable[Oid], tips: Sequence[Oid], known: Sequence[str]) -> set[Oid]:
    """Returns those commits that are reachable neither from `tips` nor from a ref below one of `known`."""
    wanted = sorted(set(commits))
    if not wanted:
        return set()
    lines = "".join(f"{line}\n" for line in (*wanted, *(f"^{tip}" for tip in tips)))
    globs = (f"--glob={prefix}*" for prefix in known)
    done = git.run("rev-list", "--ignore-missing", "--stdin", "--not", *globs, input=lines.encode())
    if done.returncode:
        return set(wanted)  # what cannot be told is not sent
    return set(wanted).intersection(done.stdout.decode("ascii", "replace").split())


# Sending --------------------------------------------------------------------------------------------------------------


def push_along(
    place: Repo, name: str, refs: Sequence[PushedRef], *, to: str, patience: float | None = PATIENCE
) -> Outcome:
    """Pushes the runs of what is pushed to `name` to the remote `to`, in a process of its own.

    patience: the seconds to wait for it, or None to wait until it ends."""
    if not _differ(place.git, to):
        return Outcome()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _be_the_child(place, name, refs, to=to, writing=writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        try:
            if not select.select([answer], [], [], patience)[0]:
                return Outcome(("runs are still being pushed, in the background",), arrived=False)
            text = answer.read()
        except BaseException:  # Ctrl-C: the code does not go, so the runs must not either
            os.killpg(child, signal.SIGTERM)
            raise
    os.waitpid(child, 0)
    if not text:
        return Outcome(("runs stay here; `git track push` says why",), arrived=False)
    said, arrived = json.loads(text)
    return Outcome(tuple(said), arrived)


def _be_the_child(place: Repo, name: str, refs: Sequence[PushedRef], *, to: str, writing: int) -> NoReturn:
    """Pushes runs, says what became of it, and ends: in a session of its own, where nothing can ask for a password."""
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(nothing, fd)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # the hook went on without us
        _end_after(LONGEST)
        place.git.environ[GUARD] = "1"
        done = _push_along(place, name, refs, to=to)
        os.write(writing, json.dumps([done.said, done.arrived]).encode())
    finally:
        os._exit(0)


def _end_after(seconds: float) -> None:
    """Ends this process after a time, with the git that it waits for."""
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    timer.start()


def _push_along(place: Repo, name: str, refs: Sequence[PushedRef], *, to: str) -> Outcome:
    try:
        found = along(place, name, refs, to=to)
        done = _send(place, to, {run for run, _ in found.runs}) if found.runs else Outcome()
    except GittrackError as exc:
        return Outcome((f"runs stay here: {_because(exc)}; `git track push` tries again",), arrived=False)
    if not found.held:
        return done
    stay = (
        f"{found.held} run(s) with uncommitted files stay here: `git track push` asks, track.publishSnapshots decides"
    )
    return Outcome((*done.said, stay), arrived=False)


def _send(place: Repo, name: str, wanted: Collection[RunId]) -> Outcome:
    """Pushes runs whose payloads are stored; raises GittrackError if the remote answered for none."""
    from gittrack.sync import enclosing, pushing  # noqa: PLC0415 - as above

    git = place.git
    pushing.look(git, name)  # what was deleted for good must not come back
    pending = [(run, tip) for run, tip in pushing.unpushed(git, name) if run in wanted]
    # Checkpoints of gigabytes are not what a push of code should bring along: a run goes when its files went.
    found = enclosing.of_runs(git, pending, there=enclosing.there(git, name))
    unstored = found.keys() - enclosing.stored(git, place.settings, name, found) if found else set()
    pending = [(run, tip) for run, tip in pending if run not in unstored]
    stay = (f"{len(unstored)} run(s) with artifacts stay here: `git track push` sends both",) if unstored else ()
    if not pending:
        return Outcome(stay, arrived=False)
    done = pushing.push(git, name, pending)
    if done.broken:
        return Outcome((f"some runs stay here: {_because(done.broken)}; `git track push` tries again",), arrived=False)
    where = remotes.label(name)
    if done.refused:
        count = f"{len(done.refused)} of {len(pending)} run(s)"
        said = f"'{where}' refused {count}: {done.refused[0][1]}; `git track push` tries again"
        return Outcome((said,), arrived=False)
    return Outcome((f"pushed {len(pending)} run(s) to '{where}'", *stay), arrived=not stay)


def _because(error: GittrackError) -> str:
    return f"{error.message}: {error.cause}" if error.cause else error.message
