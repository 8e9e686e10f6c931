"""`git track hook`: what git's hooks call. It is in no help, for no person calls it.

Whatever goes wrong here must not keep anybody from pushing code or rewriting history: every error is one line, and the
exit code lets git go on, unless the push would take runs away or a gate that somebody asked for says no."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from gittrack import hooks, output, repo
from gittrack.errors import GittrackError
from gittrack.repo import Repo
from gittrack.settings import environment

if TYPE_CHECKING:
    from gittrack.caller import PushedRef
    from gittrack.gates import Decision


@click.command("hook", hidden=True, context_settings={"ignore_unknown_options": True})
@click.argument("event", type=click.Choice(hooks.EVENTS))
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(event: str, words: tuple[str, ...]) -> int:
    """Do what gittrack does when git calls a hook: EVENT and the hook's own arguments, its input on stdin."""
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
    from gittrack import caller, prepush

    name, url, refs = _asked(place, words, text)
    asked = caller.push()
    error = prepush.objection(place, name, url, refs, asked)
    if error:
        _tell(error.lines())
        return hooks.STOP
    told: Sequence[str] = ()
    if place.settings.get("gate").lower() != "off":
        judged = _stopped(place, refs, runs_pushed=None, told=())  # runs of code that is stopped must not publish it
        if judged.blocked:
            return hooks.STOP
        told = judged.lines
    to = prepush.target(place, name) if name and not asked.trial and prepush.carries_code(refs) else None
    if to is None:
        return 0
    required = place.settings.get("pushPolicy").lower() == "require"
    done = prepush.push_along(place, name, refs, to=to, patience=None if required else prepush.PATIENCE)
    if done.said and not (done.arrived and asked.quiet):
        output.warn(f"gittrack: {'; '.join(done.said)}")
    if done.arrived is False and required and _stopped(place, refs, runs_pushed=False, told=told).blocked:
        return hooks.STOP
    return 0


def _stopped(place: Repo, refs: Sequence[PushedRef], *, runs_pushed: bool | None, told: Sequence[str]) -> Decision:
    """Returns what the gates say that somebody asked for, after saying it; `told` was said already."""
    from gittrack import gates

    decision = gates.decide(place, refs, runs_pushed=runs_pushed)
    _tell([line for line in decision.lines if line not in told])
    return decision


def _tell(lines: Sequence[str]) -> None:
    for line in lines:
        output.warn(line)


def _asked(place: Repo, words: Sequence[str], text: str) -> tuple[str, str, list[PushedRef]]:
    """Returns name and address of the remote, and the refs that are pushed, as git says them, or as pre-commit does.

    Which has taken git's words and input for itself, and says in variables what the first ref was."""
    from gittrack.caller import PushedRef, read_refs

    if words:
        return words[0], words[-1], read_refs(text)
    env = environment()
    branch, there = env.get("PRE_COMMIT_LOCAL_BRANCH", ""), env.get("PRE_COMMIT_REMOTE_BRANCH", "")
    oid = place.git.resolve(branch) if branch else None
    refs = [PushedRef(branch, oid, there, None)] if oid else read_refs(text)
    name = env.get("PRE_COMMIT_REMOTE_NAME", "")
    return name, env.get("PRE_COMMIT_REMOTE_URL", name), refs


def _post_rewrite(place: Repo, text: str) -> int:
    """Notes which commits became which."""
    from gittrack import rewrites

    words = [line.split() for line in text.splitlines()]
    rewrites.append(place.git, [(pair[0], pair[1]) for pair in words if len(pair) > 1])
    return 0
