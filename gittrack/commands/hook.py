"""`git track hook`: what git's hooks call. It is in no help, for no person calls it.

Whatever goes wrong here must not keep anybody from pushing code or rewriting history: every error is one line, and the
exit code lets git go on, unless the push would take runs away or a gate that somebody asked for says no."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

import click

from gittrack import caller, gates, hooks, output, prepush, repo
from gittrack.errors import GittrackError
from gittrack.gates import PushedRef
from gittrack.repo import Repo
from gittrack.settings import environment


@click.command("hook", hidden=True, context_settings={"ignore_unknown_options": True})
@click.argument("event", type=click.Choice([*hooks.EVENTS, "send"]))
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(event: str, words: tuple[str, ...]) -> int:
    """Do what gittrack does when git calls a hook: EVENT and the hook's own arguments, its input on stdin."""
    if event == "send":
        return _send(words[0])
    if environment().get(hooks.GUARD):
        return 0
    try:
        place = repo.open_repo()
        text = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read().decode("utf-8", "replace")
        return _pre_push(place, words, text) if event == "pre-push" else _post_rewrite(place, text)
    except GittrackError as exc:
        output.warn(f"gittrack: {exc.message}" + (f": {exc.cause}" if exc.cause else ""))
    except Exception as exc:  # noqa: BLE001 - a mistake of ours is no reason to stop a push
        output.warn(f"gittrack: the {event} hook failed: {type(exc).__name__}: {exc}")
    return 0


def _pre_push(place: Repo, words: Sequence[str], text: str) -> int:
    """Pushes runs along; returns the exit code for git."""
    name, url, refs = _asked(place, words, text)
    asked = caller.push()
    error = prepush.objection(place, name, url, refs, asked)
    if error:
        _tell(error.lines())
        return hooks.STOP
    decision = gates.decide(place, refs, runs_pushed=None)  # runs of code that is stopped must not publish it
    _tell(decision.lines)
    if decision.blocked:
        return hooks.STOP
    if name and not asked.trial and prepush.carries_code(refs):
        arrived = _push_along(place, name, refs, quiet=asked.quiet)
        if _are_required(place) and arrived is False:
            final = gates.decide(place, refs, runs_pushed=False)
            _tell([line for line in final.lines if line not in decision.lines])
            return hooks.STOP if final.blocked else 0
    return 0


def _are_required(place: Repo) -> bool:
    return place.settings.get("pushPolicy").lower() == "require"


def _tell(lines: Sequence[str]) -> None:
    for line in lines:
        output.warn(line)


def _push_along(place: Repo, name: str, refs: Sequence[PushedRef], *, quiet: bool) -> bool | None:
    """Pushes the runs of what is pushed, and says so; returns whether the remote has them, None if none had to go."""
    to = prepush.target(place, name)
    if to is None:
        return None
    found = prepush.along(place, name, refs, to=to)
    said, arrived = [], None
    if found.runs:
        patience = None if _are_required(place) else prepush.PATIENCE
        said = [prepush.send_apart(place, to, found.runs, patience=patience)]
        arrived = said[0].startswith("pushed ")
    if arrived and quiet:
        said.clear()
    if found.held:
        said.append(f"{found.held} run(s) with uncommitted files stay here: `git track push` asks about them")
        arrived = False
    if said:
        output.warn(f"gittrack: {'; '.join(said)}")
    return arrived


def _asked(place: Repo, words: Sequence[str], text: str) -> tuple[str, str, list[PushedRef]]:
    """Returns name and address of the remote, and the refs that are pushed, as git says them, or as pre-commit does.

    Which has taken git's words and input for itself, and says in variables what the first ref was."""
    if words:
        return words[0], words[-1], prepush.read(text)
    env = environment()
    branch, there = env.get("PRE_COMMIT_LOCAL_BRANCH", ""), env.get("PRE_COMMIT_REMOTE_BRANCH", "")
    oid = place.git.resolve(branch) if branch else None
    refs = [PushedRef(branch, oid, there, None)] if oid else prepush.read(text)
    name = env.get("PRE_COMMIT_REMOTE_NAME", "")
    return name, env.get("PRE_COMMIT_REMOTE_URL", name), refs


def _send(name: str) -> int:
    """Pushes the runs whose ids are on stdin, in a process that nobody has to wait for."""
    prepush.end_after(prepush.LONGEST)
    place = repo.open_repo()
    said = prepush.send(place.git, name, prepush.run_ids(sys.stdin.read()))
    with contextlib.suppress(OSError):
        output.line(said)
    return 0


def _post_rewrite(place: Repo, text: str) -> int:
    """Notes which commits became which."""
    from gittrack import rewrites

    words = [line.split() for line in text.splitlines()]
    rewrites.append(place.git, [(pair[0], pair[1]) for pair in words if len(pair) > 1])
    return 0
