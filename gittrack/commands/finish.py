"""`git track finish`: end a run that `git track start` opened."""

from __future__ import annotations

import contextlib

import click

from gittrack import output, repo
from gittrack.commands.add import open_current
from gittrack.errors import GittrackError


@click.command("finish")
@click.option("--run", "which", metavar="RUN", help="The run; by default GITTRACK_RUN, else the one started here.")
@click.option(
    "--status",
    type=click.Choice(["finished", "failed", "interrupted"]),
    help="By default finished, or failed if the exit code is not 0.",
)
@click.option("--exit-code", type=int, help="The exit code of what was recorded.")
def command(which: str | None, status: str | None, exit_code: int | None) -> None:
    """End an open run and make its commit."""
    place = repo.open_repo()
    run = open_current(place, which)
    done = run.finish(exit_code=exit_code, quiet=True, status=status)
    with contextlib.suppress(OSError):
        if place.current_file.read_text("ascii").strip() == run.id:
            place.current_file.unlink()
    if done is None:
        raise GittrackError(
            f"run '{run.name}' could not be committed yet", hint="all of it is kept; try `git track finish` again"
        )
    output.line(run.id)
    output.warn(f"gittrack: run {run.name} {done.status}")
