"""Lists of runs, and of groups of runs, as a person reads them.

What counts is seen first: the best of a column is marked, by a sign and not by colour alone, and what has no room
is counted in the last line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from gittrack import columns, grid, output
from gittrack.columns import Column
from gittrack.grid import Grid, Head, Row
from gittrack.model import Goal, Run
from gittrack.terminal import printable

if TYPE_CHECKING:
    from gittrack.grouping import Grouped

MARK = "*"  # the best of a column
BEST = (output.BOLD, output.GREEN)
NONE = "-"


def of_runs(
    screen: output.Screen,
    chosen: Sequence[Column],
    runs: Sequence[Run],
    *,
    now: datetime,
    rest: Iterable[Run] = (),
    best: Mapping[str, float | None] | None = None,
) -> Grid:
    """Returns the table of runs; the best of each column with a goal is marked.

    rest: runs that follow, looked at when their turn comes; best: then the best value by the column's name."""
    tops = {
        at: columns.best((column.value(run, {}) for run in runs), column.goal) if best is None else best[column.name]
        for at, column in enumerate(chosen)
        if column.goal
    }
    valued = ((run, _values(run, chosen)) for run in chain(runs, rest))
    first = list(islice(valued, grid.FIRST))
    right = {
        at for at, column in enumerate(chosen) if column.name == "duration" or numeric(row[at] for _, row in first)
    }
    heads = [
        Head(with_goal(screen, column.head, column.goal), column.rank, at in right, middle=column.name == "name")
        for at, column in enumerate(chosen)
    ]

    decimals = {
        at: output.places(row[at] for _, row in first)
        for at, column in enumerate(chosen)
        if column.name.startswith("metrics.")
    }

    def rows() -> Iterator[Row]:
        for run, values in chain(first, valued):
            texts = [_text(column.name, run, value, now) for column, value in zip(chosen, values, strict=True)]
            for at, count in decimals.items():
                texts[at] = output.fixed(values[at], count)
            codes = {at: code for at, column in enumerate(chosen) if (code := _codes(column.name, run))}
            for at, top in tops.items():
                if top is not None:
                    is_best = values[at] == top
                    texts[at] += MARK if is_best else " "
                    if is_best:
                        codes[at] = BEST
            yield Row(texts, codes)

    return grid.lay_out(screen, heads, rows())


def _values(run: Run, chosen: Sequence[Column]) -> list[Any]:
    params = run.flat_params
    return [column.value(run, params) for column in chosen]


def numeric(values: Iterable[Any]) -> bool:
    """Tells whether there are numbers among values and nothing else."""
    kinds = {type(value) for value in values if value is not None}
    return bool(kinds) and kinds <= {int, float}


def with_goal(screen: output.Screen, name: str, goal: Goal | None) -> str:
    """Returns a metric's name with an arrow that says which way is better."""
    if goal is None:
        return name
    arrows = {"max": "\u2191", "min": "\u2193"} if screen.unicode else {"max": "^", "min": "v"}
    return f"{name} {arrows[goal]}"


def _text(name: str, run: Run, value: Any, now: datetime) -> str:
    """Returns a cell: what everybody reads in one way is shortened to that."""
    if name == "name":
        return printable(run.name) + ("*" if run.starred else "")
    if name == "id":
        return run.id[:8]
    if name == "status":
        return "deleted" if run.deleted else printable(run.status)
    if name in ("created", "ended"):
        return output.ago(value, now=now)
    if name == "duration":
        return output.span(run.duration)
    if name == "code":
        return printable(run.code.brief)
    return output.number(value)


def _codes(name: str, run: Run) -> tuple[str, ...]:
    if name == "id":
        return (output.YELLOW,)
    if name == "status" and run.status in output.STATUS_COLOURS:
        return (output.STATUS_COLOURS[run.status],)
    return ()


# Groups -------------------------------------------------------------------------------------------------------------


def of_groups(screen: output.Screen, grouped: Grouped) -> Grid:
    """Returns the table of groups: what they share, how many runs, and the aggregates of each measure."""
    from gittrack.grouping import AGGREGATES  # noqa: PLC0415 - only for groups

    by, measures, agg, groups = grouped.by, grouped.measures, grouped.agg, grouped.groups
    keys = [[output.number(value) if value is not None else NONE for value in group.key] for group in groups]
    heads = [
        Head(name.removeprefix("params."), at, numeric(group.key[at] for group in groups)) for at, name in enumerate(by)
    ]
    heads.append(Head("RUNS", 50, right=True))
    parts = [[str(len(group.runs)) for group in groups]]
    codes: dict[int, dict[int, tuple[str, ...]]] = {}
    for place, measure in enumerate(measures):
        counts = [len(group.values[place]) for group in groups]
        words = [word for word in agg if word != "count" or counts != [len(group.runs) for group in groups]]
        rank = (100 if measure.goal else 330) + place
        for at, word in enumerate(_joined(words)):
            label = word if screen.unicode else word.replace("\u00b1", "+-")
            heads.append(Head(f"{with_goal(screen, measure.head, measure.goal)} {label}", rank + 40 * at, right=True))
            cells = [_summary(screen, group.values[place], word) for group in groups]
            if word.startswith("mean"):
                means = [AGGREGATES["mean"](group.values[place]) for group in groups]
                top = columns.best(means, measure.goal)
                if top is not None:
                    cells = [cell + (MARK if mean == top else " ") for cell, mean in zip(cells, means, strict=True)]
                    codes[len(heads) - 1] = {row: BEST for row, mean in enumerate(means) if mean == top}
            parts.append(cells)
    rows = [
        Row([*key, *texts], {at: marked[row] for at, marked in codes.items() if row in marked})
        for row, (key, *texts) in enumerate(zip(keys, *parts, strict=True))
    ]
    return grid.lay_out(screen, heads, rows)


def _joined(words: Sequence[str]) -> list[str]:
    """Returns the aggregates as columns: a mean stands with the first spread that was asked for."""
    spread = next((word for word in words if word in ("std", "ci")), None)
    if spread is None or "mean" not in words:
        return list(words)
    return [f"mean \u00b1 {spread}" if word == "mean" else word for word in words if word != spread]


def _summary(screen: output.Screen, values: Sequence[float], word: str) -> str:
    from gittrack.grouping import AGGREGATES  # noqa: PLC0415 - only for groups

    if not values:
        return "0" if word == "count" else NONE
    if not word.startswith("mean "):
        value = AGGREGATES[word](values)
        return NONE if value is None else output.number(value)
    middle, spread = AGGREGATES["mean"](values), AGGREGATES[word.rpartition(" ")[2]](values)
    sign = "\u00b1" if screen.unicode else "+-"
    return f"{rounded(middle, spread)} {sign} {rounded(spread, spread)}"


def rounded(value: float | None, spread: float | None) -> str:
    """Returns a number to the place of the second digit of its spread, as measurements are given."""
    if value is None:
        return NONE
    if not spread or not math.isfinite(spread) or not math.isfinite(value):
        return output.number(value)
    places = 1 - math.floor(math.log10(spread))
    if not 0 <= places <= 6 or abs(value) >= 1e9:
        return output.number(float(f"{value:.{max(1, min(15, places + _magnitude(value)))}g}"))
    return f"{value:.{places}f}"


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value))) + 1 if value else 1


# The last line --------------------------------------------------------------------------------------------------------


def left_out(
    table: Grid, names: Sequence[str], *, more: Sequence[str] = (), hint: str = "--columns chooses"
) -> str | None:
    """Returns the line that says which columns are not there, and how to see them; None if all are.

    names: how the columns are called; more: those that had no column to begin with."""
    hidden = [names[at] for at in sorted(table.hidden, key=lambda at: table.heads[at].rank)] + list(more)
    if not hidden:
        return None
    count = f"{len(hidden)} column{'s are' if len(hidden) > 1 else ' is'} not shown"
    hint = f"; {hint}"
    width = table.screen.width or 160
    listed = f"{count}: {printable(', '.join(hidden))}"
    return output.cut(listed, max(width - len(hint), len(count))) + hint if width > 60 else output.cut(listed, width)
