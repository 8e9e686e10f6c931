"""`git track push`: runs to a remote."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from gittrack import output, remote
from gittrack.commands import archivable, common, enclosures
from gittrack.errors import RemoteError, UsageError
from gittrack.model import Run
from gittrack.refname import ARCHIVES, Oid, RunId, archive_of, run_ref
from gittrack.repo import Repo
from gittrack.sync import publishing, pushing
from gittrack.sync.pushing import Outgoing
from gittrack.sync.taking import Integrated
from gittrack.terminal import printable

_LISTED = 100


@click.command("push")
@click.argument("where", required=False, metavar="[REMOTE]")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--bundle", metavar="FILE", help="Write a bundle, a file that `git track pull FILE` takes in anywhere.")
@click.option("--no-artifacts", is_flag=True, help="Leave payloads here; who gets the runs cannot get their files.")
@click.option("--artifacts", "only", multiple=True, metavar="GLOB", help="Of the payloads, send only these: 'best.pt'.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be pushed.")
@click.option("-y", "--yes", is_flag=True, help="Publish code, and uncommitted files of snapshots, without asking.")
@common.quiet_option
def command(
    where: str | None,
    runs: tuple[str, ...],
    bundle: str | None,
    no_artifacts: bool,
    only: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    quiet: bool,
) -> None:
    """Push runs, with their code and the payloads of their artifacts, to a remote.

    By default all that the remote lacks, to track.remote, the branch's push remote, or origin. Payloads go first, to
    the remote's LFS server or to the store that `git track store` names."""
    if no_artifacts and only:
        raise UsageError("--no-artifacts and --artifacts do not go together")
    place = common.open_repo()
    if bundle:
        _bundle(place, Path(bundle), (where, *runs) if where else (), dry_run=dry_run, yes=yes, quiet=quiet)
        return
    if where and where not in remote.names(place.settings) and not remote.is_address(where):
        runs, where = (where, *runs), None  # `git track push RUN`
    name = remote.choose(place.settings, where, branch=place.git.branch())
    known, out = _outgoing(place, name, runs, dry_run=dry_run, quiet=quiet)
    files = None if no_artifacts else enclosures.Enclosures(place, name, only=only, quiet=quiet)
    if files and (runs or only):  # what is named is looked at again, although the remote has its commits
        files.look_again(known.find_all(runs) if runs else known.runs)
    if not (out or (files and files.again)):
        if not quiet:
            output.warn("everything up-to-date")
        return
    ids = {run for run, _ in out.all}
    by_id = {run.id: run for run in (known.index.of(ids) if len(ids) < _LISTED else known.index.brief())}
    out = _agree(place, name, out, by_id, yes=yes or dry_run)
    if dry_run:
        _list("would push", [run for run, _ in out.all], by_id)
        if files:
            files.tell_what_would_go(out)
        return
    _send(place, name, out, files, by_id, quiet=quiet)


def _send(
    place: Repo,
    name: str,
    out: Outgoing,
    files: enclosures.Enclosures | None,
    by_id: dict[RunId, Run],
    *,
    quiet: bool,
) -> None:
    """Sends payloads, then runs, and says what became of them; raises RemoteError unless all arrived."""
    if files is None:
        enclosures.tell_left(by_id.values(), name)
    else:
        out = files.send(out)
    with output.Progress(quiet=quiet) as progress:
        done = pushing.push(
            place.git, name, out.runs, shelves=out.archives, covered=out.covered, progress=progress.report
        )
    _tell(done, by_id, where=remote.label(name), quiet=quiet)
    if files:
        files.raise_held()


def _outgoing(
    place: Repo, name: str, words: Sequence[str], *, dry_run: bool, quiet: bool
) -> tuple[common.Runs, Outgoing]:
    """Returns all runs here, and what a remote lacks of those that are asked for; archives first what is much."""
    with output.Progress(quiet=quiet) as progress:
        taken_in = Integrated() if dry_run else pushing.look(place.git, name, progress=progress.report)
    if taken_in.buried and not quiet:
        output.warn(f"{len(taken_in.buried)} run(s) were deleted for good by others")
    known = common.read_runs(place, deleted=True)
    out = pushing.outgoing(place.git, name)
    if not (words or dry_run) and (archivable.as_one(place, name, out.runs) or archivable.overflow(place)):
        known = common.read_runs(place, deleted=True)
        out = pushing.outgoing(place.git, name)
    if words:  # an archive goes whole, or not at all: a run of one that is asked for gets a ref there
        wanted = {common.require_commit(run).id for run in known.find_all(words)}
        out = pushing.Outgoing(tuple((run, tip) for run, tip in out.all if run in wanted))
    return known, out


def _list(what: str, runs: Sequence[RunId], by_id: Mapping[RunId, Run]) -> None:
    for run in runs[:_LISTED]:
        output.line(f"{what} {run} {printable(by_id[run].name)}")
    if len(runs) > _LISTED:
        output.line(f"{what} {len(runs) - _LISTED} more")


def _tell(done: pushing.Pushed, by_id: dict[RunId, Run], *, where: str, quiet: bool) -> None:
    """Says what the remote answered; raises RemoteError unless it took everything."""
    if done.archived and not quiet:
        output.line(f"pushed {done.archived} archived run{'s' * (done.archived != 1)}")
    elif done.archives and not quiet:
        output.line(f"pushed {done.archives} archive{'s' * (done.archives != 1)} of runs that '{where}' has already")
    if done.freed and not quiet:
        output.line(f"freed {done.freed} ref{'s' * (done.freed != 1)} of archived runs on '{where}'")
    if not quiet:
        _list("pushed", done.taken, by_id)
    for run in done.joined if not quiet else ():
        output.warn(f"joined {run} with the edits of others")
    common.tell_parted(done.parted)
    for run, reason in done.refused:
        output.warn(f"refused {run} {by_id[run].name}: {reason}")
    if done.kept and not quiet:
        output.warn(f"warning: '{where}' keeps the refs of archived runs: {done.kept}")
    if done.broken:
        raise done.broken
    common.raise_unshelved(done, where=where)
    if done.refused:
        count = len(set(done.taken) | {run for run, _ in done.refused})
        raise RemoteError(
            f"'{where}' refused {len(done.refused)} of {count} runs",
            cause=done.refused[0][1],
            hint="everything is kept here; `git track push` tries again",
        )


def _agree(place: Repo, name: str | None, out: Outgoing, by_id: dict[RunId, Run], *, yes: bool) -> Outgoing:
    """Returns what may be pushed, after saying what code goes out with it and asking about uncommitted files.

    name: the remote; None for a bundle."""
    tips = [*(tip for _, tip in out.runs), *out.archives.values()]
    codes = {run: by_id[run].code for run, _ in out.all if run in by_id}
    what = publishing.publication(place.git, name, tips, codes)
    asks = not yes and sys.stdin.isatty() and sys.stderr.isatty()
    if what.commits and name:
        output.warn(f"publishing {what.commits} commit(s) of code that '{remote.label(name)}' does not have yet")
        if what.first and asks:
            _confirm("it has no code yet; publish it?", hint="record with track.code=none to keep the code to yourself")
    if not what.snapshots:
        return out
    policy = place.settings.choice("publishSnapshots", "ask", "true", "false")
    files = sorted({path for paths in what.snapshots.values() for path in paths})
    listed = ", ".join(files[:20]) + (f" and {len(files) - 20} more" if len(files) > 20 else "")
    if policy == "false":
        output.warn(f"left out {len(what.snapshots)} run(s) with uncommitted files (track.publishSnapshots is false)")
        runs = tuple((run, tip) for run, tip in out.runs if run not in what.snapshots)
        held = any(run in what.snapshots for run in out.archived)
        return Outgoing(runs) if held else Outgoing(runs, out.archives, out.archived, out.covered)
    if policy == "ask":
        output.warn(f"publishing uncommitted files with {len(what.snapshots)} run(s): {listed}")
        if asks:
            _confirm("publish them?", hint="commit the files, or set track.publishSnapshots")
        else:
            output.warn("hint: set track.publishSnapshots to true or false to decide once and for all")
    return out


def _confirm(question: str, *, hint: str) -> None:
    """Asks a person; raises UsageError if the answer is no."""
    if not click.confirm(question, default=False, err=True):
        raise UsageError("nothing was pushed", hint=hint)


def _bundle(place: Repo, file: Path, words: tuple[str, ...], *, dry_run: bool, yes: bool, quiet: bool) -> None:
    """Writes a bundle with the runs that are named, or with everything, and says what is in it."""
    from gittrack import bundles

    known = common.read_runs(place, deleted=True)
    runs = {run.id: run for run in (known.find_all(words) if words else known.runs) if run.oid or words}
    tips = {run.id: common.require_commit(run).oid or Oid("") for run in runs.values()}
    shelved = {} if words else {ref.name: ref.oid for ref in place.git.refs(ARCHIVES) if archive_of(ref.name)}
    out = Outgoing(tuple(tips.items()))
    if shelved:  # as they are here: what is archived stays so, and what is gone for good is told
        there = {run: tip for run, tip in tips.items() if not runs[run].archived}
        archived = {run: tip for run, tip in tips.items() if run not in there}
        out = Outgoing(tuple(there.items()), {str(archive_of(ref)): oid for ref, oid in shelved.items()}, archived)
    out = _agree(place, None, out, runs, yes=yes or dry_run)
    if not (out.runs or out.archives):
        output.warn("there are no runs to write")
        return
    if dry_run:
        for run, _ in out.all:
            output.line(f"would write {run} {printable(runs[run].name)}")
        return
    refs = {run_ref(run): tip for run, tip in out.runs} | {ARCHIVES + clone: tip for clone, tip in out.archives.items()}
    head = bundles.write(place.git, file, refs)
    if not quiet:
        output.line(f"wrote {len(out)} run(s) to {printable(str(file))}, {output.size(file.stat().st_size)}")
        enclosures.tell_missing(runs[run] for run, _ in out.all if run in runs)
    if head.needs and not quiet:
        output.warn(f"hint: this clone is shallow, so the bundle needs commit {head.needs[0]} where it is read")
