"""`git track archive`: many old runs behind one ref."""

from __future__ import annotations

import click

from gittrack import output
from gittrack.commands import common
from gittrack.model import Run
from gittrack.query.fields import seconds


@click.command("archive")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@common.where_option
@click.option("--older-than", metavar="AGE", help="Only runs that ended before: 90d, 12h, 2w, or a date of git.")
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="Leave the newest N runs their refs.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be archived.")
@common.quiet_option
def command(
    runs: tuple[str, ...],
    where: tuple[str, ...],
    older_than: str | None,
    keep: int | None,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Put runs that have ended into the archive of this clone.

    They are listed, shown, compared and edited as before, but have no ref of their own: every ref costs each push of
    each teammate a little. By default all; the next `git track push` shares the archive and frees the refs there.
    Past track.maxRefs runs, `push` and `gc` archive the older half by themselves."""
    place = common.open_repo()
    known = common.read_runs(place, deleted=True)
    asked = common.condition(place, where)
    found = known.find_all(runs) if runs else known.index.select(asked) if asked else known.index.brief()
    found = common.matching(found, asked) if runs else found
    before = common.before(place, older_than)
    chosen = [run for run in found if before is None or (seconds(run.ended or run.created) or 0) < before]
    from gittrack.commands import archivable

    wanted, left_out = archivable.choose(place, chosen[keep or 0 :])
    if left_out and not quiet:
        output.warn(f"left out {left_out} run(s) with uncommitted files (track.publishSnapshots is false)")
    if dry_run:
        output.line(f"would archive {_count(wanted)}")
        return
    if not wanted:
        if not quiet:
            output.warn("nothing to archive")
        return
    done = archivable.archive(place, wanted)
    if not quiet:
        output.line(f"archived {done} run{'s' * (done != 1)}")


def _count(runs: list[Run]) -> str:
    return f"{len(runs)} run{'s' * (len(runs) != 1)}"
