"""`git track fetch`: runs from a remote."""

from __future__ import annotations

import click

from gittrack import output, remote
from gittrack.commands import common, rewrites
from gittrack.errors import DataRefused
from gittrack.sync import pulling


@click.command("fetch")
@click.argument("where", required=False, metavar="[REMOTE]")
@common.quiet_option
def command(where: str | None, quiet: bool) -> None:
    """Fetch runs from a remote.

    What others changed is joined with what you did."""
    fetch(where, quiet=quiet)


def fetch(where: str | None, *, quiet: bool) -> None:
    """Fetches and says what came; a run that breaks the format is named and left out."""
    place = common.open_repo()
    name = remote.choose(place.settings, where, branch=place.git.branch())
    with output.Progress(quiet=quiet) as progress:
        done = pulling.pull(place.git, name, progress=progress.report)
    for label, runs in (("new", done.new), ("updated", done.forwarded), ("joined", done.joined)):
        if quiet:
            break
        for run in runs[:20]:
            output.line(f"{label} {run}")
        if len(runs) > 20:
            output.line(f"{label} {len(runs) - 20} more")
    common.tell_parted(done.parted)
    for text in rewrites.tell(done.rewritten):
        output.warn(f"warning: {text}")
    for error in done.refused:
        common.report(error, label="warning")
    if done.refused:
        raise DataRefused(
            f"{len(done.refused)} run(s) from '{remote.label(name)}' were refused", hint="the others are here"
        )
    if done.rewritten:
        raise rewrites.error(done.rewritten)
    if not (quiet or done.new or done.forwarded or done.joined):
        output.warn("already up to date")
