"""`git track sql`: the index in SQL."""

from __future__ import annotations

import sys

import click

from gittrack import forms, output
from gittrack.commands import common
from gittrack.terminal import printable, printable_lines


@click.command("sql", cls=common.JsonCommand)
@click.argument("select")
@click.option("-a", "--all", "everything", is_flag=True, help="Also runs that were deleted.")
@common.json_option
@click.option("--jsonl", is_flag=True, help="Print one JSON object a line.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--md", "as_md", is_flag=True, help="Print a Markdown table.")
@common.colour_option
def command(
    select: str,
    everything: bool,
    as_json: str | None,
    jsonl: bool,
    as_csv: bool,
    as_md: bool,
    colour: str | None,
) -> None:
    """Ask the index of all runs in SQL; it can only be read.

    \b
    runs(id, name, status, created, ended, duration, author, host, command,
         code_commit, code_branch, dirty, exit_code, group_name, note, parent,
         starred, points, tags, params, metrics, ...)
    params(run, name, value)   metrics(run, name, last, min, max, mean, best,
         step, count, goal, ...)   tags(run, tag)   pushed(run, remote)

    \b
    git track sql "SELECT runs.name, value FROM runs
                   JOIN params ON run = id WHERE params.name = 'lr'"

    SELECT is one question in SQLite's SQL; `-` reads it from the standard input."""
    place = common.open_repo()
    known = common.read_runs(place, deleted=everything)
    text = sys.stdin.read() if select == "-" else select
    answer = known.index.sql(text)
    screen = common.screen(place, colour)
    objects = [dict(zip(answer.heads, row, strict=True)) for row in answer.rows]
    if as_json is not None:
        screen.print(forms.dump_json(forms.select(objects, as_json) if as_json else objects))
    elif jsonl:
        for item in objects:
            screen.print(forms.dump_json(item, indent=None))
    elif as_csv or as_md:
        whole = forms.dump_csv(answer.heads, answer.rows) if as_csv else forms.dump_markdown(answer.heads, answer.rows)
        screen.print(printable_lines(whole) if screen.terminal else whole)
    elif answer.heads:
        cells = [[output.number(cell) for cell in row] for row in answer.rows]
        right = {at for at in range(len(answer.heads)) if any(isinstance(row[at], int | float) for row in answer.rows)}
        lines = output.table(screen, [printable(head) for head in answer.heads], cells, right=right)
        screen.page(lines, common.pager(place) if screen.terminal else None)
