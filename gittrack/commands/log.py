"""`git track log`: runs along the history of the code."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import click

from gittrack import forms, output
from gittrack.commands import common
from gittrack.errors import NotFound
from gittrack.model import Run
from gittrack.terminal import printable


@click.command("log", cls=common.JsonCommand)
@click.argument("revision", default="HEAD")
@click.option("-n", "--max-count", type=click.IntRange(min=0), help="Show at most this many commits.")
@common.json_option
@common.colour_option
def command(revision: str, max_count: int | None, as_json: str | None, colour: str | None) -> None:
    """Show the commits of a branch that have runs, with their runs."""
    place = common.open_repo()
    known = common.read_runs(place)
    screen = common.screen(place, colour)
    if place.git.resolve(revision) is None:
        raise NotFound(f"git knows no revision '{revision}'")
    by_commit: dict[str, list[Run]] = defaultdict(list)
    for run in known.runs:
        if run.code.commit:
            by_commit[run.code.commit].append(run)
    lines: list[str] = []
    objects: list[dict[str, Any]] = []
    for oid, short, names, subject in place.git.log(revision):
        runs = by_commit.pop(oid, [])
        if not runs:
            continue
        if max_count is not None and len(objects) >= max_count:
            break
        objects.append({"commit": oid, "subject": subject, "runs": [forms.run_object(run) for run in runs]})
        where = screen.paint(f" ({printable(names)})", output.CYAN) if names else ""
        lines += [f"{screen.paint(short, output.YELLOW)}{where} {printable(subject)}"]
        lines += [f"    {_line(screen, run)}" for run in runs]
    if as_json is not None:
        screen.print(forms.dump_json(forms.select(objects, as_json) if as_json else objects))
        return
    if not lines:
        output.warn(f"no runs on '{revision}'")
    elsewhere = sum(len(runs) for runs in by_commit.values())
    screen.page(lines, common.pager(place)) if lines else None
    if elsewhere and max_count is None:
        output.warn(f"{elsewhere} run(s) belong to commits that are not on '{revision}'; `git track ls` lists all")


def _line(screen: output.Screen, run: Run) -> str:
    colour = output.STATUS_COLOURS.get(run.status, "")
    goals = [(name, metric.best) for name, metric in run.metrics.items() if metric.best is not None]
    numbers = goals or [(name, metric.last) for name, metric in list(run.metrics.items())[:2]]
    parts = [
        screen.paint(common.short(run), output.YELLOW),
        printable(run.name),
        screen.paint(run.status, colour),
    ]
    parts += [f"{printable(name)} {output.number(value)}" for name, value in numbers[:3]]
    parts += [f"[{printable(', '.join(run.tags))}]"] if run.tags else []
    parts += ["uncommitted changes"] if run.code.dirty else []
    return "  ".join(parts)
