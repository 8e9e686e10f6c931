"""`git track rm`: hide runs everywhere; nothing is lost until `gc`."""

from __future__ import annotations

import shutil
import time

import click

from gittrack import journal, output, pins
from gittrack.commands import common
from gittrack.commands.tag import change
from gittrack.errors import NotFound, UsageError
from gittrack.git import Update
from gittrack.journal import is_dead, read_heads
from gittrack.refname import LIVE


@click.command("rm")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--undo", is_flag=True, help="Bring deleted runs back.")
def command(runs: tuple[str, ...], undo: bool) -> None:
    """Delete runs; they are hidden, and can be brought back.

    Once pushed, they are hidden in every clone. `rm --undo RUN` brings one back; the commits stay."""
    place = common.open_repo()
    known = common.read_runs(place, deleted=True)
    for run in known.find_all(runs):
        if undo and not run.deleted:
            raise NotFound(f"run '{run.name}' is not deleted")
        if run.deleted and not undo:
            raise NotFound(
                f"run '{run.name}' is deleted already", hint=f"`git track rm --undo {run.name}` brings it back"
            )
        if run.oid is None:
            folder = journal.live_root(place.git.place.common_dir) / run.id
            live = read_heads(folder)
            if any(
                not process.get("detached") and not is_dead(process, touched=live.touched, now=time.time())
                for process in live.processes
            ):
                raise UsageError(f"run '{run.name}' is still being recorded", hint="stop its process first")
            shutil.rmtree(folder)
            if pins.is_pinned(place.git, run.id):
                place.git.update_refs([Update(LIVE + run.id, None, None)], durable=False)
            output.warn(f"threw away run {run.name}, which had no commit yet")
            continue
        change(place, run, {"restore": True} if undo else {"delete": True})
        output.warn(f"{'brought back' if undo else 'deleted'} run {run.name} ({run.id})")
        if not undo:
            output.warn(f"hint: `git track rm --undo {common.short(run)}` brings it back")
