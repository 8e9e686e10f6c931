"""`git track gc`: bury what was deleted, free its room, and archive what became much."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Sequence

import click

from gittrack import freeing, obtaining, output, remote
from gittrack.commands import archivable, common, room
from gittrack.errors import NotFound, UsageError
from gittrack.model import Run
from gittrack.query.fields import seconds
from gittrack.refname import LOCAL, RunId, is_run_id
from gittrack.repo import Repo
from gittrack.sync import burying, pushing
from gittrack.terminal import printable

_LISTED = 20
_COPIES_KEPT = 3600.0  # seconds; a script may be about to open the file whose path it has


@click.command("gc")
@click.option("--keep", multiple=True, metavar="QUERY", help="Also delete the runs for which this is not true.")
@click.option("--older-than", metavar="AGE", help="Also delete runs created before: 90d, 12h, 2w, or a date of git.")
@click.option("--purge", multiple=True, metavar="RUN", help="Take a run out of archives too: a secret leaked.")
@click.option("--remote", "where", is_flag=False, flag_value="", metavar="[REMOTE]", help="Free its refs there too.")
@click.option("--artifacts", is_flag=True, help="Also free payloads here that a store has too.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be deleted, and what that would free.")
@click.option("-y", "--yes", is_flag=True, help="Delete without asking.")
@common.quiet_option
def command(
    keep: tuple[str, ...],
    older_than: str | None,
    purge: tuple[str, ...],
    where: str | None,
    artifacts: bool,
    dry_run: bool,
    yes: bool,
    quiet: bool,
) -> None:
    """Delete for good what `git track rm` hid, and free its room.

    Every clone that syncs learns of it, and none brings such a run back. With --keep or --older-than runs that nobody
    hid go too: with both, those that are older and do not match. --purge also rewrites the archives that hold a run.
    Large files that no run, branch, tag or stash needs go as well, an hour after they were used last."""
    place = common.open_repo()
    name = remote.choose(place.settings, where or None, branch=place.git.branch()) if where is not None else None
    known = common.read_runs(place, deleted=True)
    purged, leaked = _leaked(known, purge)
    victims = {run.id: run for run in (*_chosen(place, known, keep, older_than), *purged) if run.oid}
    asked = bool(keep or older_than or purge)
    runs = list(victims.values())
    if dry_run or asked:
        _tell(place, runs, leaked, dry_run=dry_run)
    if dry_run:
        room.tell(place, without=freeing.versions(place.git, list(victims)), release=artifacts)
        return
    if asked:
        _ask(len({*victims, *leaked}), yes=yes)
    found = burying.bury(place.git, archivable.own_id(place), {*victims, *leaked}, purged=leaked)
    if not quiet:
        _list("deleted", runs)
    archived = archivable.overflow(place)
    if archived and not quiet:
        output.line(f"archived {_count(archived)}")
    if name is not None:
        _free_remote(place, name, quiet=quiet)
    freed = freeing.free(place.git, found)
    if not quiet:
        _tell_freed(freed)
    obtaining.forget_copies(place, before=time.time() - (0 if leaked else _COPIES_KEPT))
    more = room.free(place, release=artifacts, quiet=quiet)
    if not (runs or freed.objects or more or quiet):
        output.warn("nothing to delete")
    if name is not None:
        room.free_stores(place, name, quiet=quiet)
    _tell_held(place, leaked)


def _leaked(known: common.Runs, words: Sequence[str]) -> tuple[list[Run], set[RunId]]:
    """Returns the runs to purge, and their ids: one that was deleted for good before is known by its id alone."""
    runs: list[Run] = []
    ids: set[RunId] = set()
    for word in words:
        try:
            runs.append(known.find(word))
        except NotFound:
            if not is_run_id(word):
                raise
            ids.add(RunId(word))
    return runs, {*ids, *(run.id for run in runs)}


def _tell_held(place: Repo, leaked: Collection[RunId]) -> None:
    for each in burying.seen_with(place.git, leaked) if leaked else ():
        output.warn(f"warning: archives on '{each}' still hold what was purged")
        output.warn(f"hint: `git track gc --remote {each}` replaces them")


def _ask(count: int, *, yes: bool) -> None:
    """Raises UsageError unless a person agrees."""
    if yes or not count:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("nothing was deleted", hint="`--yes` deletes without asking, `--dry-run` only looks")
    if not click.confirm(f"delete {_count(count)} for good?", default=False, err=True):
        raise UsageError("nothing was deleted")


def _list(what: str, runs: Sequence[Run]) -> None:
    for run in runs[:_LISTED]:
        output.line(f"{what} {run.id} {printable(run.name)}")
    if len(runs) > _LISTED:
        output.line(f"{what} {len(runs) - _LISTED} more")


def _chosen(place: Repo, known: common.Runs, keep: Sequence[str], older_than: str | None) -> list[Run]:
    """Returns the runs that are to go: the hidden ones, and those that options name."""
    runs = known.index.brief()
    found = [run for run in runs if run.deleted]
    if not (keep or older_than):
        return found
    kept = {run.id for query in keep for run in known.index.select(common.condition(place, [query]))}
    before = common.before(place, older_than)
    found += [
        run
        for run in runs
        if not run.deleted
        and run.status != "running"
        and run.id not in kept
        and (before is None or (seconds(run.created) or 0) < before)
    ]
    return found


def _tell(place: Repo, runs: Sequence[Run], leaked: Collection[RunId], *, dry_run: bool) -> None:
    """Says what goes, and what that frees."""
    would = "would delete" if dry_run else "deleting"
    _list(would, runs)
    refs = freeing.versions(place.git, [run.id for run in runs])
    seen = {ref.rpartition("/")[2] for ref in refs if ref.startswith(LOCAL)}
    seen |= burying.archived_on_remotes(place.git, [run.id for run in runs])
    alone = sum(1 for run in runs if not run.pushed and run.id not in seen)
    if alone:
        output.warn(f"on no remote: {_count(alone)} of these")
    shelved = sum(run.archived and run.id not in leaked for run in runs)
    if shelved:
        output.warn(f"archived: {_count(shelved)} of these; --purge frees that room too")
    found = freeing.measure(place.git, [run.oid for run in runs if run.oid], ids=[run.id for run in runs])
    verb = "would free" if dry_run else "freeing"
    more = " or more, with what archives hold" if leaked else ""
    output.line(f"{verb} {_count(len(runs))}, {found.objects} objects, {output.size(found.bytes)}{more}")


def _tell_freed(freed: freeing.Freed) -> None:
    if freed.objects:
        output.line(f"freed {freed.objects} objects, {output.size(freed.bytes)}")
    if freed.left:
        output.warn(f"{freed.left} objects are in packs of git's own; `git gc` frees them in time")


def _free_remote(place: Repo, name: str, *, quiet: bool) -> None:
    """Brings the deletions to a remote, and frees the refs that it needs no more."""
    with output.Progress(quiet=quiet) as progress:
        pushing.look(place.git, name, progress=progress.report)
        sent = pushing.push(
            place.git, name, [], shelves=pushing.outgoing(place.git, name).archives, progress=progress.report
        )
        done = pushing.free(place.git, name, progress=progress.report)
    freed = sent.freed + done.freed
    if freed and not quiet:
        output.line(f"freed {freed} refs on '{remote.label(name)}'")
    if sent.archives and not quiet:
        output.line(f"sent {sent.archives} archive(s) to '{remote.label(name)}'")
    hint = f"what goes is gone here; `git track gc --remote {name}` sends it again when '{name}' allows it"
    common.raise_unshelved(sent, where=remote.label(name), hint=hint)
    if sent.kept or done.kept:
        output.warn(f"warning: '{remote.label(name)}' keeps refs: {sent.kept or done.kept}")


def _count(number: int) -> str:
    return f"{number} run{'s' * (number != 1)}"
