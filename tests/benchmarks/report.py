"""Tables of figures: for a terminal, for the docs, for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Cell = float | int | str | None


@dataclass(frozen=True)
class Row:
    """What one tool, or one floor, took."""

    name: str
    kind: str
    cells: Mapping[str, Cell]
    note: str = ""


@dataclass(frozen=True)
class Goal:
    """One of several goals of a benchmark; the value is None where nothing was measured that it could be held to."""

    text: str
    value: float | None
    under: float
    unit: str

    @property
    def reached(self) -> bool | None:
        """Whether it was reached."""
        return None if self.value is None else self.value < self.under


@dataclass(frozen=True)
class Table:
    """One benchmark. `columns` maps the key of a cell to its title, in the order of printing."""

    name: str
    title: str
    columns: Mapping[str, str]
    rows: Sequence[Row]
    goal: str = ""
    reached: bool | None = None
    notes: Sequence[str] = field(default_factory=tuple)
    goals: Sequence[Goal] = field(default_factory=tuple)


def with_ratio(rows: Sequence[Row], key: str, into: str = "ratio") -> list[Row]:
    """Returns the rows with a ratio to gittrack, or to the first row where that is not there."""
    bases = [row for row in rows if row.kind == "ours"] or rows[:1]
    base = bases[0].cells.get(key) if bases else None
    if not isinstance(base, float | int) or base <= 0:
        return list(rows)
    ratios = []
    for row in rows:
        value = row.cells.get(key)
        ratio = f"{figure(value / base)}x" if isinstance(value, float | int) else None
        ratios.append(replace(row, cells={**row.cells, into: ratio}))
    return ratios


def ours(rows: Sequence[Row], key: str) -> float | None:
    """Returns gittrack's figure."""
    for row in rows:
        value = row.cells.get(key)
        if row.kind == "ours" and isinstance(value, float | int):
            return value
    return None


def figure(value: Cell) -> str:
    """Returns a figure with as many digits as mean something."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or not value else f"{value:.3f}"


def grid(table: Table) -> list[list[str]]:
    """Returns the cells as text, the titles first; a column that says nothing is left out."""
    keys = [key for key in table.columns if any(row.cells.get(key) is not None for row in table.rows)]
    lines = [["", *(table.columns[key] for key in keys)]]
    lines += [[row.name, *(figure(row.cells.get(key)) for key in keys)] for row in table.rows]
    if any(row.note for row in table.rows):
        for line, note in zip(lines, ["", *(row.note for row in table.rows)], strict=True):
            line.append(note)
    return lines


ANSWERS = {True: "reached", False: "MISSED", None: "not measured"}


def verdicts(table: Table) -> list[str]:
    """Returns the goals and whether each was reached."""
    whole = [f"to reach: {table.goal}: {ANSWERS[table.reached]}"] if table.goal else []
    return whole + [verdict(goal) for goal in table.goals]


def verdict(goal: Goal) -> str:
    """Returns one of several goals, what was measured, and whether that reaches it."""
    found = "" if goal.value is None else f"{figure(goal.value)} {goal.unit}, "
    return f"to reach: {goal.text} under {figure(goal.under)} {goal.unit}: {found}{ANSWERS[goal.reached]}"


def all_reached(goals: Sequence[Goal]) -> bool | None:
    """Returns whether every goal was reached; None if that is not known of one and none was missed."""
    found = {goal.reached for goal in goals}
    return False if False in found else None if None in found else True


def as_text(table: Table) -> str:
    """Returns the table for a terminal: names to the left, figures to the right."""
    lines = grid(table)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    noted = any(row.note for row in table.rows)
    out = [f"{table.name}: {table.title}"]
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        cells[0] = line[0].ljust(widths[0])
        if noted:
            cells[-1] = line[-1]
        out.append("  " + "  ".join(cells).rstrip())
    out += [f"  {text}" for text in (*table.notes, *verdicts(table))]
    return "\n".join(out)


def as_markdown(facts: Mapping[str, str], tables: Sequence[Table]) -> str:
    """Returns the tables for a page of the docs."""
    out = [f"Measured by `make bench` on {'; '.join(facts.values())}.", ""]
    for table in tables:
        head, *body = grid(table)
        rule = [":--", *("--:" for _ in head[1:])]
        if any(row.note for row in table.rows):
            rule[-1] = ":--"
        said = [f"- {text}" for text in (*table.notes, *verdicts(table))]
        cells = [head, rule, *body]
        out += [f"## {table.name}: {table.title}", ""]
        out += [f"| {' | '.join(line)} |" for line in cells]
        out += ["", *said, ""]
    return "\n".join(out).rstrip() + "\n"


def as_json(facts: Mapping[str, str], tables: Sequence[Table]) -> dict[str, Any]:
    """Returns everything for a program, figures as they were measured."""
    return {
        "version": 1,
        "machine": dict(facts),
        "benchmarks": [
            {
                "name": table.name,
                "title": table.title,
                "columns": dict(table.columns),
                "rows": [{"name": row.name, "kind": row.kind, "note": row.note, **row.cells} for row in table.rows],
                "goal": table.goal,
                "reached": table.reached,
                "goals": [{**asdict(goal), "reached": goal.reached} for goal in table.goals],
                "notes": list(table.notes),
            }
            for table in tables
        ],
    }


def heading(facts: Mapping[str, str]) -> str:
    """Returns the lines above the first table."""
    return "\n".join(facts.values())


def absent(names: Sequence[str], *, peers_given: bool) -> str:
    """Returns which tools are not measured."""
    hint = "" if peers_given else " (`--peers DIR` names their environments)"
    return f"not installed, left out: {', '.join(names)}{hint}"
