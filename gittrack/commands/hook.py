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
    if _is_stopped(place, refs, runs_pushed=None):  # runs of code that is stopped must not publish it
        return hooks.STOP
    arrived = None
    if name and not asked.trial and prepush.carries_code(refs):
        arrived = _push_along(place, name, refs, quiet=asked.quiet)
    stopped = arrived is False and _are_required(place) and _is_stopped(place, refs, runs_pushed=False)
    return hooks.STOP if stopped else 0


def _is_stopped(place: Repo, refs: Sequence[PushedRef], *, runs_pushed: bool | None) -> bool:
    """Tells whether a gate that somebody asked for stops the push, and says why."""
    if place.settings.get("gate").lower() == "off" and runs_pushed is None:
        return False
    from gittrack import gates

    decision = gates.decide(place, refs, runs_pushed=runs_pushed)
    _tell(decision.lines)
    return decision.blocked


def _are_required(place: Repo) -> bool:
    return place.settings.get("pushPolicy").lower() == "require"


def _tell(lines: Sequence[str]) -> None:
    for line in lines:
        output.warn(line)


def _push_along(place: Repo, name: str, refs: Sequence[PushedRef], *, quiet: bool) -> bool | None:
    """Pushes the runs of what is pushed, and says so; returns whether the remote has them, None if none had to go."""
    from gittrack import prepush

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
