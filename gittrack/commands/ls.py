"""`git track ls`: the runs, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import click

from gittrack import forms, output
from gittrack.commands import common
from gittrack.model import SYSTEM, Run
from gittrack.query import fields
from gittrack.terminal import printable, printable_lines

MAX_COLUMNS = 6  # of metrics, and of params; --columns and the machine forms have all


@click.command("ls", cls=common.JsonCommand)
@click.argument("runs", nargs=-1, metavar="[RUN|tag:TAG|group:GROUP]...")
@click.option("-n", "--max-count", type=click.IntRange(min=0), help="Show at most this many.")
@click.option("--sort", default="-created", show_default=True, help="Field to sort by; a '-' in front reverses.")
@click.option("--columns", help="Columns, separated by commas: fields, params.X, metrics.X[.stat].")
@common.where_option
@click.option("--status", "statuses", multiple=True, help="Only runs with this status.")
@click.option("--tag", "tags", multiple=True, help="Only runs with this tag.")
@click.option("--since", help="Only runs created since then, as git understands it ('2 weeks ago').")
@click.option("-a", "--all", "everything", is_flag=True, help="Also runs that were deleted.")
@common.json_option
@click.option("--jsonl", is_flag=True, help="Print one JSON object a line.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV with all params and metrics.")
@click.option("--md", "as_md", is_flag=True, help="Print a Markdown table.")
@click.option("--format", "template", help="Print each run by a template: %(id) %(params.lr) %(metrics.loss:min).")
@click.option("-z", "zero", is_flag=True, help="End each run of --format with NUL instead of LF.")
@common.colour_option
def command(
    runs: tuple[str, ...],
    max_count: int | None,
    sort: str,
    columns: str | None,
    where: tuple[str, ...],
    statuses: tuple[str, ...],
    tags: tuple[str, ...],
    since: str | None,
    everything: bool,
    as_json: str | None,
    jsonl: bool,
    as_csv: bool,
    as_md: bool,
    template: str | None,
    zero: bool,
    colour: str | None,
) -> None:
    """List runs, newest first."""
    place = common.open_repo()
    asked = common.condition(place, where)
    known = common.read_runs(place, deleted=everything)
    found: list[Run] = known.find_all(runs) if runs else known.runs
    start = place.git.date(since) if since else None
    found = [
        run
        for run in common.matching(found, asked)
        if (not statuses or run.status in statuses)
        and set(tags) <= set(run.tags)
        and (start is None or (then := output.moment(run.created)) is None or then.timestamp() >= start)
    ]
    key = fields.sort_key(sort)
    for run in found[:1]:
        key(run)
    found = sorted(found, key=key) if sort != "-created" or runs else found
    found = found[:max_count] if max_count is not None else found
    screen = common.screen(place, colour)
    if as_json is not None:
        objects = [forms.run_object(run) for run in found]
        screen.print(forms.dump_json(forms.select(objects, as_json) if as_json else objects))
    elif jsonl:
        for run in found:
            screen.print(forms.dump_json(forms.run_object(run), indent=None))
    elif template is not None:
        form = forms.formatter(template, now=common.now())
        screen.stream.write("".join(form(run) + ("\0" if zero else "\n") for run in found))
    elif as_csv or as_md:
        heads, rows = _chosen(columns, found) if columns else forms.wide_rows(found)
        text = forms.dump_csv(heads, rows) if as_csv else forms.dump_markdown(heads, rows)
        screen.print(printable_lines(text) if screen.terminal else text)
    elif not found:
        if not known.index:
            output.warn("no runs yet; record one with `git track run -- CMD`, or `import gittrack` in a script")
    else:
        lines = _table(screen, columns, found, now=common.now())
        screen.page(lines, common.pager(place) if screen.terminal else None)


def _chosen(columns: str, runs: Sequence[Run]) -> tuple[list[str], list[list[object]]]:
    names = [name.strip() for name in columns.split(",") if name.strip()]
    return names, [[fields.field_of(run, name) for name in names] for run in runs]


def _table(screen: output.Screen, columns: str | None, runs: Sequence[Run], *, now: datetime) -> list[str]:
    """Returns the lines of the table: what every run has, then the metrics and the params that tell runs apart."""
    if columns:
        heads, rows = _chosen(columns, runs)
        plain = [[output.number(cell) for cell in row] for row in rows]
        numeric = {at for at in range(len(heads)) if any(isinstance(row[at], int | float) for row in rows)}
        return output.table(screen, heads, plain, right=numeric)
    flats = [run.flat_params for run in runs]
    metrics, params = _metrics(runs)[:MAX_COLUMNS], _varying(flats)[:MAX_COLUMNS]
    heads = ["NAME", "ID", "STATUS", "CREATED", "TIME", "CODE", *metrics, *params, "TAGS"]
    cells: list[list[str]] = []
    colours: dict[tuple[int, int], tuple[str, ...]] = {}
    for at, (run, flat) in enumerate(zip(runs, flats, strict=True)):
        row = [
            printable(run.name) + ("*" if run.starred else ""),
            common.short(run),
            run.status if not run.deleted else "deleted",
            output.ago(run.created, now=now),
            output.span(run.duration),
            common.short_code(run),
        ]
        row += [output.number(_shown(run, name)) for name in metrics]
        row += [output.number(flat.get(name)) for name in params]
        row.append(printable(",".join(run.tags)))
        cells.append(row)
        colours[at, 1] = (output.YELLOW,)
        colours[at, 2] = (output.STATUS_COLOURS.get(run.status, ""),)
    numeric = {4, *range(6, 6 + len(metrics) + len(params))}
    return output.table(screen, heads, cells, right=numeric, colours=colours)


def _metrics(runs: Sequence[Run]) -> list[str]:
    """Returns the metrics to show: those with a goal first, then the others that are not the machine's."""
    goals: dict[str, bool] = {}
    for run in runs:
        for name, metric in run.metrics.items():
            if metric.goal or name not in goals:
                goals[name] = metric.goal is not None
    return sorted((name for name in goals if not name.startswith(SYSTEM)), key=lambda name: (not goals[name], name))


def _shown(run: Run, name: str) -> float | None:
    metric = run.metrics.get(name)
    if metric is None:
        return None
    return metric.best if metric.best is not None else metric.last


def _varying(flats: Sequence[Mapping[str, object]]) -> list[str]:
    """Returns the params whose values differ between the runs; all of them where there is one run."""
    names = {name: None for flat in flats for name in flat}
    if len(flats) == 1:
        return list(names)
    return [name for name in names if _differs([flat.get(name) for flat in flats])]


def _differs(values: Sequence[object]) -> bool:
    first = repr(values[0])
    return any(repr(value) != first for value in values)
