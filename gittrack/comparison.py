"""What differs between runs, as a person reads it.

Two runs stand side by side, with the change between them. Many are too wide for that, so each becomes a row, and a
thing that differs a column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gittrack import diff, output, tables
from gittrack.diff import Difference, Row
from gittrack.grid import Grid, Head, cut_middle, lay_out
from gittrack.grid import Row as Line
from gittrack.model import Run
from gittrack.tables import BEST, MARK, NONE
from gittrack.terminal import printable
from gittrack.verdict import Verdict

WORST = "!"
SIDE_BY_SIDE = 8  # runs in a pipe, which has no width
PARTS = ("params", "metrics", "code", "env", "artifacts")
_FEW = 4  # runs that are named; more are counted


@dataclass(frozen=True, slots=True)
class Comparison:
    """A difference and what is said beside it: of each run its name, and of each artifact its size in bytes.

    `unknown` are the runs that are still recorded, so that their environment and artifacts are not known."""

    found: Difference
    runs: Sequence[Run]
    names: Sequence[str]
    sizes: Sequence[Mapping[str, int]] = ()
    code: Sequence[str] = ()
    unknown: Sequence[str] = ()


def names_of(runs: Sequence[Run]) -> list[str]:
    """Returns what runs are called here: by name, and by id where two have one name."""
    names = [run.name for run in runs]
    return [run.id[:8] if names.count(run.name) > 1 else printable(run.name) for run in runs]


def lines(screen: output.Screen, this: Comparison, parts: Sequence[str], *, transpose: bool = False) -> Iterator[str]:
    """Yields what differs, part by part: params and metrics first, then where the difference may come from."""
    numbers = [
        (title, rows, same)
        for part, title, rows, same in (
            ("params", "Params", this.found.params, this.found.same_params),
            ("metrics", "Metrics", this.found.metrics, this.found.same_metrics),
        )
        if part in parts and rows
    ]
    blocks = [list(_numbers(screen, this, numbers, transpose=transpose))] if numbers else []
    if "code" in parts and (this.found.code or this.code):
        blocks.append([screen.paint("Code", output.BOLD), *_code(screen, this)])
    if "env" in parts and this.found.environment:
        title = _title(screen, "Environment", this.found.same_environment)
        rows = sorted(this.found.environment, key=lambda row: row.name.startswith("packages."))
        rows = [replace(row, name=row.name.removeprefix("packages.")) for row in rows]
        blocks.append([title, *_values(screen, this, rows, _plain)])
    if "artifacts" in parts and this.found.artifacts:
        title = _title(screen, "Artifacts", this.found.same_artifacts)
        blocks.append([title, *(_files(screen, this))])
    if not blocks:
        yield "no difference"
    for at, block in enumerate(blocks):
        yield from [""] * (at > 0)
        yield from block
    if blocks and (same := ", ".join(_same(this, parts))):
        yield ""
        yield screen.paint(f"the same: {same}", output.DIM)
    for name in this.unknown if {"env", "artifacts"} & set(parts) else ():
        yield screen.paint(
            f"run {printable(name)} is still recorded: its environment and artifacts come last", output.DIM
        )


def _same(this: Comparison, parts: Sequence[str]) -> Iterator[str]:
    """Yields the parts in which nothing differs, counted."""
    found = this.found
    counted = (
        ("params", found.params, found.same_params, "param"),
        ("metrics", found.metrics, found.same_metrics, "metric"),
        ("env", found.environment, found.same_environment, "environment"),
        ("artifacts", found.artifacts, found.same_artifacts, "artifact"),
    )
    for part, rows, count, word in counted:
        if part in parts and not rows and count:
            yield word if part == "env" else f"{count} {word}{'s' if count > 1 else ''}"
    if "code" in parts and len({run.code.exact for run in this.runs}) == 1 and this.runs[0].code.exact:
        yield "code"


def _title(screen: output.Screen, title: str, same: int) -> str:
    return screen.paint(title, output.BOLD) + (screen.paint(f"  ({same} the same)", output.DIM) if same else "")


# Params and metrics ---------------------------------------------------------------------------------------------------


def _numbers(
    screen: output.Screen, this: Comparison, parts: Sequence[tuple[str, Sequence[Row], int]], *, transpose: bool
) -> Iterator[str]:
    many = len(this.runs) > 2 and (transpose or (screen.width is None and len(this.runs) > SIDE_BY_SIDE))
    table = None if many else _side_by_side(screen, this, [row for _, rows, _ in parts for row in rows])
    if table is None or (table.hidden and len(this.runs) > 2):
        yield from _transposed(screen, this, parts)
        return
    flow = table.lines()
    yield next(flow)
    for title, rows, same in parts:
        yield _title(screen, title, same)
        for _ in rows:
            yield next(flow)
    yield from _legend(screen, (row for _, rows, _ in parts for row in rows))


def _side_by_side(screen: output.Screen, this: Comparison, rows: Sequence[Row]) -> Grid:
    """Returns the table with a column for each run; of two runs with the change between them."""
    two = len(this.runs) == 2
    heads = [
        Head("", 0, middle=True),
        *(Head(name, 1 + at, right=True, middle=True) for at, name in enumerate(this.names)),
    ]
    narrow = screen.width is not None and screen.width < 76
    heads += [Head("change", 99, right=narrow)] if two else []
    found = []
    for row in rows:
        is_metric = row in this.found.metrics
        cells, codes = _cells(row, is_metric=is_metric)
        texts = ["  " + tables.with_goal(screen, printable(row.name), row.goal), *cells]
        if two:
            texts.append(_change(row, narrow=narrow) if is_metric else "")
        found.append(Line(texts, {at + 1: code for at, code in codes.items()}))
    return lay_out(screen, heads, found)


def _transposed(
    screen: output.Screen, this: Comparison, parts: Sequence[tuple[str, Sequence[Row], int]]
) -> Iterator[str]:
    """Yields the table with a row for each run, and a column for each thing that differs."""
    rows = [(title, row) for title, some, _ in parts for row in some]
    heads = [Head("NAME", 0, middle=True)]
    for at, (title, row) in enumerate(rows):
        # Metrics with a goal, then params that most runs have, then the other metrics.
        rank = 50 + at if row.goal else 400 + at if title == "Metrics" else 130 + row.values.count(None)
        heads.append(Head(tables.with_goal(screen, row.name, row.goal), rank, tables.numeric(row.values)))
    columns = [_cells(row, is_metric=title == "Metrics") for title, row in rows]
    table = lay_out(
        screen,
        heads,
        (
            Line(
                [name, *(cells[at] for cells, _ in columns)],
                {place + 1: codes[at] for place, (_, codes) in enumerate(columns) if at in codes},
            )
            for at, name in enumerate(this.names)
        ),
    )
    for title, _, same in parts:
        if same:
            yield screen.paint(f"{title}: {same} the same", output.DIM)
    yield from table.lines()
    yield from _legend(screen, (rows[at - 1][1] for at in table.shown if at))
    said = tables.left_out(table, ["name", *(row.name for _, row in rows)], hint="--only and --csv have more")
    if said:
        yield screen.paint(said, output.DIM)


def _cells(row: Row, *, is_metric: bool) -> tuple[list[str], dict[int, tuple[str, ...]]]:
    """Returns a text for each run, the best and the worst marked, and their colours."""
    places = output.places(row.values) if is_metric else None
    texts = [NONE if value is None else output.fixed(value, places) or "''" for value in row.values]
    best, worst = row.best, row.worst
    if best is None and worst is None:
        return texts, {}
    marks = [MARK if at == best else WORST if at == worst else " " for at in range(len(texts))]
    codes: dict[int, tuple[str, ...]] = {} if worst is None else {worst: (output.RED,)}
    codes |= {} if best is None else {best: BEST}
    return [text + mark for text, mark in zip(texts, marks, strict=True)], codes


def _legend(screen: output.Screen, rows: Iterable[Row]) -> Iterator[str]:
    """Yields what the marks mean, where the worst has one."""
    if any(row.worst is not None for row in rows):
        yield screen.paint(f"{MARK} best, {WORST} worst by the goal", output.DIM)


def _change(row: Row, *, narrow: bool) -> str:
    """Returns `+0.25 (+50%) better`, or `+0.25 better`; nothing for what is no number."""
    found = diff.change(row)
    if found is None:
        return ""
    text = f"{found.by:+.{2 if narrow else 4}g}".replace("e-0", "e-").replace("e+0", "e+")
    if not narrow and found.percent is not None and abs(found.percent) < 1000:
        text += f" ({found.percent:+.2g}%)" if abs(found.percent) < 99.5 else f" ({found.percent:+.0f}%)"
    return text + ("" if found.better is None else " better" if found.better else " worse")


# Where it may come from -----------------------------------------------------------------------------------------------


def _plain(row: Row, at: int) -> str:
    value = row.values[at]
    return NONE if value is None else output.number(value) or "''"


def _short(row: Row, at: int) -> str:
    value = row.values[at]
    return NONE if value is None else printable(value[:10] if row.name != "branch" else value)


def _code(screen: output.Screen, this: Comparison) -> Iterator[str]:
    if len(this.runs) == 2:
        yield from _values(screen, this, this.found.code, _short)
    else:
        of = {at: run.code.exact for at, run in enumerate(this.runs)}
        for oid in dict.fromkeys(of.values()):
            holders = [at for at in of if of[at] == oid]
            code = this.runs[holders[0]].code
            said = code.brief or NONE
            said += f" ({printable(code.branch)})" if code.branch else ""
            yield f"  {said}  {_named(this, holders)}"
    yield from ("  " + printable(line) for line in this.code)


def _values(screen: output.Screen, this: Comparison, rows: Sequence[Row], text: Any) -> Iterator[str]:
    """Yields `name  old -> new` of two runs; of more, each value and the runs that have it."""
    items = []
    for row in rows:
        if len(this.runs) == 2:
            said = f"{text(row, 0)} -> {text(row, 1)}"
        else:
            holders: dict[str, list[int]] = {}
            for at in range(len(this.runs)):
                holders.setdefault(text(row, at), []).append(at)
            said = "; ".join(f"{value}: {_named(this, places)}" for value, places in holders.items())
        items.append((row.name, said))
    yield from _fitted(screen, output.pairs(screen, items, indent="  "))


def _named(this: Comparison, places: Sequence[int]) -> str:
    if len(places) <= _FEW:
        return ", ".join(this.names[at] for at in places)
    return f"{len(places)} runs"


def _files(screen: output.Screen, this: Comparison) -> Iterator[str]:
    """Yields for each artifact whether it changed or is only in some; its digest tells, not its date or size."""
    items = []
    for row in this.found.artifacts:
        having = [at for at, value in enumerate(row.values) if value is not None]
        sizes = [output.size(this.sizes[at][row.name]) if row.name in this.sizes[at] else "" for at in having]
        if len(having) == len(this.runs) == 2:
            said = f"changed  {sizes[0]} -> {sizes[1]}" if sizes[0] != sizes[1] else f"changed  {sizes[0]}"
        elif len({row.values[at] for at in having}) == 1:
            said = f"only in {_named(this, having)}  {sizes[0]}"
        else:
            contents = len({row.values[at] for at in having})
            said = (
                f"{contents} contents in {_named(this, having)}"
                if len(having) < len(this.runs)
                else f"{contents} contents"
            )
        items.append((row.name, said))
    yield from _fitted(screen, output.pairs(screen, items, indent="  "))


def _fitted(screen: output.Screen, found: Iterator[str]) -> Iterator[str]:
    """Yields lines, those without colour cut to the width of the terminal."""
    width = screen.width
    for line in found:
        yield line if width is None or "\x1b" in line or output.width_of(line) <= width else cut_middle(line, width)


# Verdicts -------------------------------------------------------------------------------------------------------------


def verdict(screen: output.Screen, found: Verdict, baseline: str, candidate: str) -> str:
    """Returns a line that says whether a metric is worse, and by how much."""
    word = {"worse": "worse", "different": "differs"}.get(found.answer, "ok")
    colour = output.GREEN if found.passed else output.RED
    name = printable(found.metric)
    old, new = (f"{value:.10g}" for value in (found.baseline, found.candidate))
    if found.answer == "same":
        said = f"{name} is {new} in {candidate} and in {baseline}"
    else:
        said = f"{name} is {new} in {candidate} and was {old} in {baseline}"
        if found.change == found.change and abs(found.change) != float("inf"):
            said += f": {'up' if found.change > 0 else 'down'} by {abs(found.change):.10g}"
        said += ", which is better" if found.answer == "better" else f"; {found.allowed:.10g} is allowed"
    return f"{screen.paint(word, output.BOLD, colour)}: {said}"
