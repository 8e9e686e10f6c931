"""`git track init`: plain git brings runs and takes them along."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import click

from gittrack import hooks, output, setup
from gittrack.commands import common
from gittrack.errors import UsageError
from gittrack.hooks import Hook
from gittrack.repo import Repo
from gittrack.terminal import printable

_PURPOSE = {
    "pre-push": "`git push` takes along the runs of the code it pushes",
    "post-rewrite": "`git rebase` and `git commit --amend` say what became of commits that have runs",
}


@click.command("init")
@click.argument("where", required=False, metavar="[REMOTE]")
@click.option("--hooks/--no-hooks", "with_hooks", default=True, help="Whether to install git hooks; by default yes.")
@click.option("--standard", is_flag=True, help="Write a starter of gittrack.yaml, the project's standard.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be done.")
@click.option("-y", "--yes", is_flag=True, help="Do it without asking.")
@click.option("--remove", is_flag=True, help="Take out again all that was put in.")
@common.quiet_option
def command(
    where: str | None, with_hooks: bool, standard: bool, dry_run: bool, yes: bool, remove: bool, quiet: bool
) -> None:
    """Let plain `git pull` and `git push` share runs.

    Shows what it would change in this clone, and asks. Recording needs none of it, and nothing else is changed."""
    place = common.open_repo()
    if remove:
        _remove(place, dry_run=dry_run, quiet=quiet)
        return
    found = setup.plan(place, where, with_hooks=with_hooks, with_standard=standard)
    if not (quiet and (yes or found.is_empty)):
        for line in _told(found):
            output.line(printable(line))
    if found.is_empty or dry_run:
        return
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError("nothing was done", cause="nobody can be asked", hint="`git track init -y` does it")
        if not click.confirm("do this?", default=True, err=True):
            raise UsageError("nothing was done")
    setup.carry_out(place, found)
    if not quiet:
        output.line("done; `git track init --remove` takes it back.")


def _told(found: setup.Plan) -> Iterator[str]:
    """Yields the lines that say what is to be done, what not, and what there is to know."""
    if found.is_empty and not found.by_hand:
        yield "everything is set up."
    for key, value in found.fetch:
        yield f"`git pull` and `git fetch` bring the runs of '{found.remote}'"
        yield f"    git config --add {key} '{value}'"
    for hook in found.hooks:
        yield _PURPOSE[hook.event]
        yield from (f"    {line}" for line in _how(hook))
    if found.hidden:
        yield "`git log` leaves out the names of our refs beside commits"
        yield from (f"    git config --add {key} '{value}'" for key, value in found.hidden)
    if found.standard:
        yield f"a starter of the project's standard, for you to commit: {found.standard}"
    for hook in found.by_hand:
        yield f"{_PURPOSE[hook.event]}: only if you add a line, for {hook.why}"
        yield from (f"    {line}" for line in _by_hand(hook))
    yield from (f"note: {note}" for note in found.notes)
    if not found.is_empty:
        yield "note: `git log --all` and graph views show the commits of runs; to leave them out:"
        yield "    git log --exclude='refs/runs/*' --exclude='refs/gittrack/*' --all"


def _how(hook: Hook) -> list[str]:
    if hook.action == "settings":
        return [f"git config --add {key} '{value}'" for key, value in hooks.settings(hook.event)]
    words = {"create": "a new file", "insert": "a marked block in", "replace": "the block of today in"}
    return [f"{words[hook.action]} {hook.path}"]


def _by_hand(hook: Hook) -> list[str]:
    """Returns the line to add, in the words of whoever manages the hooks."""
    folder, line = str(hook.path.parent) if hook.path else "", hooks.line(hook.event)
    if folder == os.devnull:
        return ["it says that no hooks are run: `git config --unset core.hooksPath` first"]
    if "lefthook" in hook.why:
        words = "{1} {2}" if hook.event == "pre-push" else "{1}"
        return [
            "in lefthook.yml:",
            f"{hook.event}: {{jobs: [{{name: gittrack, run: git-track hook {hook.event} {words}, use_stdin: true}}]}}",
        ]
    if ".husky" in folder:
        return [f"at the end of .husky/{hook.event}:", line]
    return [f"at the end of {hook.path}:", line]


def _remove(place: Repo, *, dry_run: bool, quiet: bool) -> None:
    done = setup.read_done(place)
    if dry_run:
        for key, value in done.settings:
            output.line(printable(f"would take out {key} {value}"))
        for path in hooks.blocks(place.git):
            output.line(printable(f"would take our block out of {path}"))
        return
    said = setup.remove(place)
    for line in said if not quiet else ():
        output.line(printable(f"took out {line}"))
    for hook in hooks.survey(place.git):
        if hook.action == "present" and hook.path:
            output.warn(f"left: the line in '{hook.path}', which somebody else put there")
    if not said and not quiet:
        output.warn("there was nothing of ours")
