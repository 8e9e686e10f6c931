"""`git track start`: a run for a script that adds to it step by step."""

from __future__ import annotations

from typing import Any

import click

from gittrack import output, repo
from gittrack.commands import common
from gittrack.commands.run import begin
from gittrack.commands.tag import check_tag
from gittrack.journal import read_header
from gittrack.opening import pin
from gittrack.shared import make_folder, share


@click.command("start")
@click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="A param.")
@click.option("--name", help="A name for the run.")
@click.option("--tag", "tags", multiple=True, help="A tag.")
@click.option("--group", help="The group the run belongs to.")
@click.option("-m", "--note", help="A note.")
@click.option("--no-redact", is_flag=True, help="Record secrets as they are.")
def command(
    params: tuple[str, ...],
    name: str | None,
    tags: tuple[str, ...],
    group: str | None,
    note: str | None,
    no_redact: bool,
) -> None:
    """Start a run for a script to add to, and print its id.

    `git track add` writes to it, `git track finish` ends it. With GITTRACK_RUN set to the id, Python's
    gittrack.init() writes into it too."""
    place = repo.open_repo()
    given = common.assignments(params)
    wanted: dict[str, Any] = {"name": name, "tags": [check_tag(tag) for tag in tags], "group": group, "notes": note}
    wanted["redact"] = False if no_redact else None
    run = begin(place, wanted, (), detached=True)
    if given:
        run.log_params(given)
    pin(run, place.git, read_header(run.folder))
    run.close()
    if run.pinning:
        run.pinning.hurry()
    make_folder(place.current_file.parent)
    place.current_file.write_text(f"{run.id}\n", "ascii")
    share(place.current_file)
    output.line(run.id)
    output.warn(f"gittrack: run {run.name} is open; `git track finish` ends it")
