"""`git track fsck`: whether the runs here are sound."""

from __future__ import annotations

import click

from gittrack import audit, index, output
from gittrack.commands import common
from gittrack.errors import NegativeAnswer
from gittrack.terminal import printable


@click.command("fsck")
def command() -> None:
    """Check that every run is sound.

    Its record, tree, history and files must agree; exits with 1 if those of one do not. What git checks itself
    (hashes, links) is left to `git fsck`."""
    place = common.open_repo()
    problems = list(audit.check_all(place.git))
    for ref, problem in problems:
        output.line(f"{printable(ref)}: {printable(problem)}")
    live, damaged = index.read_live(place.git)
    for error in damaged:
        output.line("\n".join(error.lines()))
    if problems or damaged:
        raise NegativeAnswer(
            f"{len({ref for ref, _ in problems}) + len(damaged)} run(s) are not sound",
            hint="`git track pull` brings sound copies back",
        )
    total = len(index.read(place.git, deleted=True).runs)
    output.warn(f"{total} run(s) are sound" + (f", {len(live)} of them being recorded" if live else ""))
