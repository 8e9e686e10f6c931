"""`git track pull`: the same as fetch, under the name that git users look for."""

from __future__ import annotations

import click

from gittrack.commands import common
from gittrack.commands.fetch import fetch


@click.command("pull")
@click.argument("where", required=False, metavar="[REMOTE | FILE]")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@common.quiet_option
def command(where: str | None, runs: tuple[str, ...], quiet: bool) -> None:
    """Fetch runs from a remote or a bundle, under the name that git users look for.

    The same as `git track fetch`; your branch and work tree stay as they are."""
    fetch(where, runs, quiet=quiet)
