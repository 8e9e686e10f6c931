"""`git track edit`: name, note, group, star."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from gittrack.commands import common
from gittrack.commands.tag import change
from gittrack.errors import UsageError
from gittrack.repo import Repo

MAX_NOTE_BYTES = 60_000


@click.command("edit")
@click.argument("run")
@click.option("--name", help="Give the run another name.")
@click.option("-m", "--note", help="Add a note.")
@click.option("--group", help="Put the run into a group; an empty one takes it out.")
@click.option("--star/--no-star", default=None, help="Mark the run, or take the mark away.")
def command(run: str, name: str | None, note: str | None, group: str | None, star: bool | None) -> None:
    """Change a run's name, note, group or star.

    Without options, write a note in your editor. The run's own record never changes: each edit is a commit of
    its own."""
    place = common.open_repo()
    known = common.read_runs(place)
    found = known.find_all([run])
    if name is not None and (not name.strip() or len(name) > 200 or not name.isprintable()):
        raise UsageError("a name is one line of at most 200 characters")
    if name is None and note is None and group is None and star is None:
        note = _write_note(place)
    if note is not None and len(note.encode("utf-8", "replace")) > MAX_NOTE_BYTES:
        raise UsageError(f"a note has at most {MAX_NOTE_BYTES} bytes", hint="keep longer texts as an artifact")
    asked: dict[str, Any] = {"name": name, "note": note, "group": group, "star": star}
    changes = {key: value for key, value in asked.items() if value is not None}
    for item in found:
        change(place, item, changes)


def _write_note(place: Repo) -> str:
    """Returns what the user writes in git's editor; raises UsageError if it is nothing."""
    if not sys.stdin.isatty():
        raise UsageError("nothing to change", hint="give --name, --note, --group or --star")
    editor = place.git.variable("GIT_EDITOR") or "vi"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "NOTE"
        path.write_text("", "utf-8")
        subprocess.run(["sh", "-c", f'{editor} "$@"', editor, str(path)], check=False)
        note = path.read_text("utf-8", "replace").strip()
    if not note:
        raise UsageError("the note is empty; nothing was changed")
    return note
