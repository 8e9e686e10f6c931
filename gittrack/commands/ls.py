"""`git track ls`: the runs, newest first, or what groups of them have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from gittrack import columns, forms, output
from gittrack.columns import Column
from gittrack.commands import common
from gittrack.errors import UsageError
from gittrack.model import Run
from gittrack.query import fields
from gittrack.repo import Repo
from gittrack.terminal import printable_lines

if TYPE_CHECKING:
    from gittrack.grouping import Grouped
    from gittrack.index.listing import Index
    from gittrack.query.condition import Condition


@click.command("ls", cls=common.JsonCommand)
@click.argument("runs", nargs=-1, metavar="[RUN|tag:TAG|group:GROUP|A..B]...")
@click.option("-n", "--max-count", type=click.IntRange(min=0), help="Show at most this many.")
@click.option("--sort", help="Fields to sort by, separated by commas; a '-' in front reverses.  [default: -created]")
@click.option("--columns", "wanted", help="Columns, separated by commas: fields, params.X, metrics.X[.stat], params.*.")
@common.where_option
@click.option("--status", "statuses", multiple=True, help="Only runs with this status.")
@click.option("--tag", "tags", multiple=True, help="Only runs with this tag.")
@click.option("--since", help="Only runs created since then, as git understands it ('2 weeks ago').")
@click.option("-a", "--all", "everything", is_flag=True, help="Also runs that were deleted.")
@click.option("--group-by", metavar="FIELDS", help="Show one row for the runs that agree in these fields.")
@click.option("--agg", metavar="NAMES", help="What of a group: mean, std, ci, min, max, median, count.")
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
    sort: str | None,
    wanted: str | None,
    where: tuple[str, ...],
    statuses: tuple[str, ...],
    tags: tuple[str, ...],
    since: str | None,
    everything: bool,
    group_by: str | None,
    agg: str | None,
    as_json: str | None,
    jsonl: bool,
    as_csv: bool,
    as_md: bool,
    template: str | None,
    zero: bool,
    colour: str | None,
) -> None:
    """List runs, newest first.

    On a terminal the columns are the metrics with a goal, a few others, and the params that vary, as many as fit;
    the best value of a goal has a `*`. With --group-by there is one row for the runs that agree, as those of one
    setting with several seeds, and --sort may name an aggregate: 'std(metrics.loss)'."""
    if agg and not group_by:
        raise UsageError("--agg needs groups", hint="add --group-by params.X")
    place = common.open_repo()
    common.ask_settings(place)
    asked = common.condition(place, where, statuses=statuses, tags=tags, since=since)
    known = common.read_runs(place, deleted=everything)
    screen = common.screen(place, colour)
    form = "json" if as_json is not None else "jsonl" if jsonl else "csv" if as_csv else "md" if as_md else None
    order = ["-created"]
    if not group_by:
        with _of_setting("sort", sort):
            order = columns.sorting(sort or place.settings.get("sort"))
    limit = None if group_by else max_count
    table = not (form or group_by or template)
    # A pipe has no first page, and its settings are not waited for before there are runs.
    names = wanted or (_configured(place) if table and screen.terminal else None)
    paged = table and screen.terminal and not names
    shown = _which(known, runs, asked=asked, order=order, limit=limit, paged=paged)
    if shown is None and table:
        output.warn("no runs yet; record one with `git track run -- CMD`, or `import gittrack` in a script")
    shown = shown or Shown([])
    found = shown.first
    _warn_of_absent(known, found, asked=asked, order=order, named=(group_by, wanted))
    if group_by:
        if template is not None:
            raise UsageError("--format prints runs, and these are groups", hint="use --csv, --json or --jsonl")
        grouped = _groups(found, by=group_by, agg=agg, wanted=wanted, sort=sort, limit=max_count)
        _print_groups(place, screen, grouped, form=form, selected=as_json)
    elif template is not None:
        write = forms.formatter(template, now=common.now())
        screen.stream.write("".join(write(run) + ("\0" if zero else "\n") for run in found))
    elif form in ("json", "jsonl"):
        _print_objects(screen, [forms.run_object(run) for run in found], as_json, form)
    elif form:
        heads, rows = _chosen(wanted, found) if wanted else forms.wide_rows(found)
        _print_sheet(screen, heads, rows, form)
    elif found:
        screen.page(
            _lines(place, screen, shown, wanted, names, order), common.pager(place) if screen.terminal else None
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """The runs of a list: all, or the first of those that an index has."""

    first: list[Run]
    index: Index | None = None

    def rest(self) -> Iterator[Run]:
        """Yields the runs that follow the first."""
        known = {run.id for run in self.first}
        if self.index:
            yield from (run for run in self.index.each() if run.id not in known)

    def best(self, chosen: Sequence[Column]) -> dict[str, float | None] | None:
        """Returns the best value of each column with a goal, over all; None where all are at hand."""
        if self.index is None:
            return None
        found: dict[str, float | None] = {}
        for column in chosen:
            if column.goal and column.metric is not None:
                ends = self.index.extremes(column.metric, column.goal)
                found[column.name] = columns.best(ends, column.goal) if ends else None
        return found


def _which(
    known: common.Runs,
    words: Sequence[str],
    *,
    asked: Condition | None,
    order: Sequence[str],
    limit: int | None,
    paged: bool,
) -> Shown | None:
    """Returns the runs that are meant, in their order; None if there are none at all.

    paged: whether the first are wanted at once, and the rest when their turn comes."""
    if words:
        return Shown(sorted(common.matching(known.find_all(words), asked), key=fields.sort_key(*order))[:limit])
    if paged and limit is None and asked is None and list(order) == ["-created"]:
        first = known.index.select(limit=columns.SAMPLE)
        return Shown(first, known.index if len(first) == columns.SAMPLE else None) if first else None
    found = known.index.select(asked, order=order, limit=limit)
    return Shown(found) if found or known.index else None


def _warn_of_absent(
    known: common.Runs,
    found: Sequence[Run],
    *,
    asked: Condition | None,
    order: Sequence[str],
    named: Sequence[str | None],
) -> None:
    """Says which of the params and metrics that were asked for no run has, where the answer looks like that."""
    looked_for = [fields.order(text)[0] for text in order]
    for text in filter(None, named):
        looked_for += [fields.field(name) for name in columns.split(text) if "*" not in name]
    looked_for = [field for field in looked_for if field.of != "run"]
    if asked is not None and not found:
        from gittrack.query.condition import fields_of

        looked_for += fields_of(asked)
    if looked_for:
        from gittrack.commands import absent

        absent.warn(known.index, absent.without_value(found, looked_for))


@contextlib.contextmanager
def _of_setting(key: str, text: str | None) -> Iterator[None]:
    """Lets an error about a field say that it stands in a setting, where no option (`text`) was given."""
    try:
        yield
    except UsageError as exc:
        exc.cause = exc.cause or (None if text else f"it stands in the setting track.{key}")
        raise


def _configured(place: Repo) -> str:
    """Returns the columns that the user's settings name, or else the project's standard."""
    chosen = place.settings.get("columns")
    tree = place.git.place.work_tree
    if chosen or tree is None or not (tree / "gittrack.yaml").exists():  # `standard` is costly to ask for its name
        return chosen
    from gittrack import gates
    from gittrack.errors import DataRefused

    try:
        standard = gates.standard_here(place.git)
    except DataRefused as exc:
        common.report(exc, label="warning")
        return ""
    return ", ".join(standard.columns) if standard else ""


def _lines(
    place: Repo, screen: output.Screen, shown: Shown, wanted: str | None, names: str | None, order: Sequence[str]
) -> Iterator[str]:
    """Yields the lines of the table for people, and what had no room in it."""
    from gittrack import tables

    runs, names = shown.first, _configured(place) if names is None else names
    with _of_setting("columns", wanted):
        chosen = columns.named(names, runs) if names else columns.chosen(runs, order)
    table = tables.of_runs(screen, chosen, runs, now=common.now(), rest=shown.rest(), best=shown.best(chosen))
    yield from table.lines()
    more = [] if names else columns.without(runs, chosen)
    called = [column.name for column in chosen]
    hint = "a wider terminal shows them" if names else "--columns chooses"
    yield from _footer(screen, tables.left_out(table, called, more=more, hint=hint))


def _footer(screen: output.Screen, said: str | None) -> Iterator[str]:
    """Yields the line for the reader; where none sits there, it is a hint beside the table."""
    if said and screen.terminal:
        yield screen.paint(said, output.DIM)
    elif said:
        output.warn(f"hint: {said}")


def _chosen(wanted: str, runs: Sequence[Run]) -> tuple[list[str], list[list[Any]]]:
    named = columns.named(wanted, runs)
    flats = ((run, run.flat_params) for run in runs)
    return [column.name for column in named], [[column.value(run, flat) for column in named] for run, flat in flats]


def _print_objects(
    screen: output.Screen, objects: Sequence[Mapping[str, Any]], selected: str | None, form: str
) -> None:
    if form == "jsonl":
        for item in objects:
            screen.print(forms.dump_json(item, indent=None))
    else:
        screen.print(forms.dump_json(forms.select(objects, selected) if selected else objects))


def _print_sheet(screen: output.Screen, heads: Sequence[str], rows: Sequence[Sequence[Any]], form: str) -> None:
    text = forms.dump_csv(heads, rows) if form == "csv" else forms.dump_markdown(heads, rows)
    screen.print(printable_lines(text) if screen.terminal else text)


def _groups(
    runs: Sequence[Run], *, by: str, agg: str | None, wanted: str | None, sort: str | None, limit: int | None
) -> Grouped:
    from gittrack import grouping

    names, words = columns.split(by), grouping.aggregates(agg or grouping.DEFAULT)
    default = [column for column in columns.chosen(runs) if column.metric is not None] if runs else []
    measures = grouping.measures_of(runs, columns.named(wanted, runs) if wanted else default)
    found = grouping.gather(runs, names, measures)
    found = grouping.arranged(found, names, measures, sort=sort or "", agg=words)
    return grouping.Grouped(tuple(names), tuple(measures), tuple(words), tuple(found[:limit]))


def _print_groups(
    place: Repo, screen: output.Screen, grouped: Grouped, *, form: str | None, selected: str | None
) -> None:
    from gittrack import tables

    if form in ("json", "jsonl"):
        _print_objects(screen, forms.group_objects(grouped), selected, form)
    elif form:
        _print_sheet(screen, *forms.group_rows(grouped), form)
    elif grouped.groups:
        table = tables.of_groups(screen, grouped)
        said = tables.left_out(table, [head.text for head in table.heads])
        screen.page([*table.lines(), *_footer(screen, said)], common.pager(place) if screen.terminal else None)
