"""`git track import`: runs that were recorded elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from gittrack import adoption, output, repo, seal
from gittrack.commands import common
from gittrack.errors import DataRefused, GittrackError, NotFound, UsageError
from gittrack.index import live
from gittrack.model import Run
from gittrack.query import naming
from gittrack.repo import Repo
from gittrack.terminal import printable


@click.command("import")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--adopt", is_flag=True, help="Runs that were recorded outside of any repository.")
@click.option("--all", "everything", is_flag=True, help="Also those that do not look like this repository's.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say which runs would come.")
def command(runs: tuple[str, ...], adopt: bool, everything: bool, dry_run: bool) -> None:
    """Bring runs in that were recorded elsewhere.

    A run that finds no repository, or none that it can write to, is recorded in a store in your data folder.
    `git track import --adopt` moves such runs into this repository: those that you name, or else those that were
    recorded in one of its folders or with one of its commits. They keep their ids, edits and dates."""
    if not adopt:
        raise UsageError("what to import is not clear", hint="`git track import --adopt` brings detached runs home")
    if runs and everything:
        raise UsageError("--all and names of runs exclude each other")
    here = common.open_repo()
    source = repo.find_detached()
    if source is not None and source.git.place.git_dir == here.git.place.git_dir:
        raise UsageError("this is the detached store itself", hint="go to the repository that the runs belong to")
    found = _waiting(source) if source else []
    chosen = _choose(here, source, found, runs, everything=everything)
    if dry_run:
        for item in chosen:
            output.line(f"would adopt {item.run.id} {printable(item.run.name)}")
    elif source:
        _adopt(here, source, chosen)
    if not chosen:
        output.warn("nothing to adopt")
    others = len(found) - len(chosen)
    if source and others and not runs:
        output.warn(f"hint: {others} run(s) were recorded elsewhere: name them, or give --all")
        output.warn(f"hint: `git --git-dir={printable(str(source.git.place.git_dir))} track ls` lists them")


def _waiting(source: Repo) -> list[adoption.Waiting]:
    """Returns the runs that have ended; first commits what dead processes left, and says what still runs."""
    seal.recover(source.git, now=time.time(), sign=source.sign)
    recorded, damaged = live.read(source.git)
    for error in damaged:
        common.report(error, label="warning")
    if recorded:
        output.warn(f"{len(recorded)} run(s) are still being recorded and stay there: {_names(recorded)}")
    return adoption.waiting(source.git)


def _names(live: Sequence[Run]) -> str:
    return ", ".join(printable(run.name) for run in live[:5]) + (", ..." if len(live) > 5 else "")


def _choose(
    here: Repo, source: Repo | None, found: list[adoption.Waiting], runs: tuple[str, ...], *, everything: bool
) -> list[adoption.Waiting]:
    if not runs:
        return found if everything else adoption.fitting(here.git, found)
    listed = [item.run for item in found]
    git = (source or here).git
    wanted = set()
    for text in runs:
        try:
            wanted |= {run.id for run in naming.find_all(text, listed, commit=git.resolve)}
        except NotFound:
            if not _is_here(here, text):
                raise
            output.warn(f"'{printable(text)}' is here already")
    return [item for item in found if item.run.id in wanted]


def _is_here(here: Repo, text: str) -> bool:
    try:
        return bool(common.read_runs(here).find_all([text]))
    except NotFound:
        return False


def _adopt(here: Repo, source: Repo, chosen: Sequence[adoption.Waiting]) -> None:
    refused: list[GittrackError] = []
    for item, error in adoption.adopt(here.git, source.git, chosen):
        if error is None:
            output.line(f"adopted {item.run.id} {printable(item.run.name)}")
        else:
            refused.append(error)
            common.report(error, label="warning")
    if refused:
        raise DataRefused(f"{len(refused)} run(s) stay in the detached store", hint="the others are here")
