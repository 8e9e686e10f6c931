"""`git track fetch`: runs from a remote."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gittrack import output, remote
from gittrack.commands import autoget, common, verify
from gittrack.errors import DataRefused, NotFound, UsageError
from gittrack.refname import is_run_id
from gittrack.repo import Repo
from gittrack.sync import pulling, single
from gittrack.sync.pulling import Pulled
from gittrack.sync.single import Some
from gittrack.sync.taking import Integrated


@click.command("fetch")
@click.argument("where", required=False, metavar="[REMOTE | FILE]")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@common.quiet_option
def command(where: str | None, runs: tuple[str, ...], quiet: bool) -> None:
    """Fetch runs from a remote, or from a bundle.

    A bundle is a file that `git track push --bundle` wrote. What others changed is joined with what you did.
    RUN is the id of a run there, or the beginning of one: then nothing else comes, also if it is archived."""
    fetch(where, runs, quiet=quiet)


def fetch(where: str | None, runs: tuple[str, ...], *, quiet: bool) -> None:
    """Fetches and says what came; a run that breaks the format is named and left out."""
    place = common.open_repo()
    if where and _may_be_run(where) and where not in remote.names(place.settings) and not os.path.isfile(where):
        runs, where = (where, *runs), None  # `git track fetch RUN`
    name, done = _taken_in(place, where, runs, quiet=quiet)
    if not quiet:
        _tell(done)
    common.tell_parted(done.parted)
    autoget.bring(place, [*done.new, *done.forwarded, *done.joined], quiet=quiet)
    found = done.rewritten if isinstance(done, Pulled) else ()
    for text in verify.tell(found):
        output.warn(f"warning: {text}")
    for error in done.refused:
        common.report(error, label="warning")
    if done.refused:
        raise DataRefused(
            f"{len(done.refused)} run(s) from '{remote.label(name)}' were refused", hint="the others are here"
        )
    if found:
        raise verify.rewritten(found)


def _taken_in(place: Repo, where: str | None, runs: tuple[str, ...], *, quiet: bool) -> tuple[str, Integrated]:
    """Takes in what a remote has, or a file that is called so and no remote; returns its name and what came."""
    with output.Progress(quiet=quiet) as progress:
        if where and where not in remote.names(place.settings) and os.path.isfile(where):
            if runs:
                raise UsageError("a bundle comes as a whole", hint="leave out the runs")
            return where, pulling.pull_bundle(place.git, Path(where).absolute(), progress=progress.report)
        try:
            name = remote.choose(place.settings, where, branch=place.git.branch())
        except NotFound as exc:
            exc.hint = f"and no file of this name; {exc.hint}" if where else exc.hint
            raise
        if runs:
            return name, single.pull(place.git, name, runs, progress=progress.report)
        return name, pulling.pull(place.git, name, progress=progress.report)


def _may_be_run(word: str) -> bool:
    """Tells whether a word is an id of a run, or the beginning of one."""
    return is_run_id(word + "r000000000000"[len(word) :]) and len(word) >= 4


def _tell(done: Integrated) -> None:
    """Says what came."""
    for label, runs in (("new", done.new), ("updated", done.forwarded), ("joined", done.joined)):
        for run in runs[:20]:
            output.line(f"{label} {run}")
        if len(runs) > 20:
            output.line(f"{label} {len(runs) - 20} more")
    if done.archived:
        output.line(f"new {done.archived} archived run{'s' * (done.archived != 1)}")
    if isinstance(done, Some) and done.whole:
        output.warn("the remote sends no single archived runs, so all of its archives came")
    if done.buried:
        output.warn(f"{len(done.buried)} run(s) were deleted for good by others")
    rewritten = done.rewritten if isinstance(done, Pulled) else ()
    if not (done.refused or rewritten or done.new or done.forwarded or done.joined or done.archived or done.buried):
        output.warn("already up to date")
