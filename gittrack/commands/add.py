"""`git track add`: write to a run that `git track start` opened."""

from __future__ import annotations

from pathlib import Path

import click

from gittrack import joining, journal, opening, repo
from gittrack.codec import yaml12
from gittrack.commands import common
from gittrack.commands.tag import check_tag
from gittrack.errors import DataRefused, NotFound, UsageError
from gittrack.refname import RunId
from gittrack.tracker import ActiveRun


@click.command("add")
@click.option("--run", "which", metavar="RUN", help="The run; by default GITTRACK_RUN, else the one started here.")
@click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="A param.")
@click.option("-m", "--metric", "metrics", multiple=True, metavar="NAME=NUMBER", help="A metric's value.")
@click.option("--step", type=int, help="The step of the metrics; by default the next.")
@click.option("--tag", "tags", multiple=True, help="A tag.")
@click.option("--file", "files", multiple=True, metavar="PATH", help="A file or folder to keep.")
@click.option("--note", help="A note.")
@click.option("--no-redact", is_flag=True, help="Record secrets in these as they are.")
def command(
    which: str | None,
    params: tuple[str, ...],
    metrics: tuple[str, ...],
    step: int | None,
    tags: tuple[str, ...],
    files: tuple[str, ...],
    note: str | None,
    no_redact: bool,
) -> None:
    """Add params, metrics, tags and files to an open run."""
    if not (params or metrics or tags or files or note):
        raise UsageError("nothing to add", hint="give -p, -m, --tag, --file or --note")
    given = common.assignments(params)
    values = {name: _number(name, value) for name, value in (_pair(word) for word in metrics)}
    clean = [check_tag(tag) for tag in tags]
    for file in files:
        if not Path(file).exists():
            raise NotFound(f"there is no file '{file}'")
    run = open_current(repo.open_repo(), which)
    if no_redact and run.redacting:
        run.keep_secrets()
    if given:
        run.log_params(given)
    if values:
        run.log(values, step=step)
    if clean:
        run.tags = (*run.tags, *clean)
    kept = [path for file in files for path in run.log_artifact(file)]
    if note:
        run.notes = note
    run.close()
    if files and not kept:
        raise DataRefused("no file was kept", hint="the lines above say why")


def _pair(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise UsageError(f"'{word}' is no metric", hint="write it as name=number")
    return name, value


def _number(name: str, text: str) -> float:
    value = yaml12.resolve(text)
    if isinstance(value, bool | int | float):
        return value
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"metric '{name}' is '{text}', which is no number") from None


def open_current(place: repo.Repo, which: str | None) -> ActiveRun:
    """Returns the open run that is meant, to write to; raises NotFound."""
    wanted = which or place.git.environ.get(joining.RUN_VARIABLE)
    if wanted is None:
        try:
            wanted = place.current_file.read_text("ascii").strip()
        except OSError:
            raise NotFound("no run is open here", hint="`git track start` opens one") from None
    else:
        wanted = common.read_runs(place).find(wanted).id
    folder = journal.live_root(place.git.place.common_dir) / RunId(wanted)
    try:
        journal.read_header(folder)
    except FileNotFoundError:
        raise NotFound(
            f"run '{wanted}' is not open", cause="it has ended", hint="`git track start` opens a new one"
        ) from None
    return opening.open_run(place, folder, shared=True)
