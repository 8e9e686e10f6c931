"""`git track status`: what runs, what is unfinished, what is not pushed."""

from __future__ import annotations

import click

from gittrack import forms, output, remote
from gittrack.commands import common
from gittrack.errors import NotFound
from gittrack.model import SYSTEM, Run
from gittrack.sync import pushing
from gittrack.terminal import printable

_MANY = 100


@click.command("status", cls=common.JsonCommand)
@common.json_option
@common.colour_option
def command(as_json: str | None, colour: str | None) -> None:
    """Show which runs are being recorded and which are not pushed yet."""
    place = common.open_repo()
    known = common.read_runs(place, deleted=True)
    screen = common.screen(place, colour)
    running = known.index.live
    try:
        name = remote.choose(place.settings, None, branch=place.git.branch())
        waiting = {run for run, _ in pushing.outgoing(place.git, name).all}
    except NotFound:
        name, waiting = "", set()
    detached = common.count_detached(place)
    unpushed = (
        known.index.of(waiting) if len(waiting) < _MANY else [run for run in known.index.brief() if run.id in waiting]
    )
    total = known.index.count(deleted=False)
    if as_json is not None:
        facts = {
            "running": [forms.run_object(run) for run in running],
            "remote": remote.label(name) if name else None,
            "unpushed": [run.id for run in unpushed],
            "detached": detached,
            "runs": total,
        }
        screen.print(forms.dump_json(forms.select([facts], as_json)[0] if as_json else facts))
        return
    lines = []
    if running:
        lines += ["Being recorded:", *(f"  {_line(screen, run)}" for run in running), ""]
    if unpushed:
        lines += [f"Not pushed to '{printable(remote.label(name))}' (`git track push` does):"]
        lines += [f"  {_line(screen, run)}" for run in unpushed[:10]]
        lines += [f"  and {len(unpushed) - 10} more"] if len(unpushed) > 10 else []
        lines += [""]
    if detached:
        lines += [f"{detached} run(s) of this repository were recorded outside of it:"]
        lines += ["  `git track import --adopt` brings them home", ""]
    if not name and total:
        lines.append("No remote to push runs to.")
    if not running and not unpushed:
        lines.append(
            f"{total} run(s), nothing being recorded"
            + (f", all on '{printable(remote.label(name))}'." if name and total else ".")
        )
    screen.print([line for at, line in enumerate(lines) if line or at < len(lines) - 1])


def _line(screen: output.Screen, run: Run) -> str:
    colour = output.STATUS_COLOURS.get(run.status, "")
    results = [(name, metric) for name, metric in run.metrics.items() if not name.startswith(SYSTEM)]
    metrics = [f"{printable(name)} {output.number(metric.last)}" for name, metric in results[:3]]
    status = "deleted" if run.deleted else run.status
    parts = [
        screen.paint(common.short(run), output.YELLOW),
        printable(run.name),
        screen.paint(status, colour),
        output.ago(run.created, now=common.now()),
        *metrics,
    ]
    return "  ".join(parts)
