"""Curves on axes, as rows of text.

A chart must be read without colour too: in a log, on paper, by whoever does not tell red from green. So each of several
curves has a letter, which stands on the curve and in the legend."""

from __future__ import annotations

import math
import string
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from gittrack.chart.canvas import BRAILLE, Canvas, Glyphs
from gittrack.chart.curves import Curve
from gittrack.chart.scale import Kind, Scale, Tick, scale_of, ticks
from gittrack.output import cut, width_of

MARKS = string.ascii_lowercase + string.ascii_uppercase
LEAST_WIDTH = 16
MARKED = 8  # of more curves than these each has a letter at its end only
# Blue, vermilion, green, orange, purple, sky blue, yellow, grey: after Okabe and Ito ("Color Universal Design", 2002),
# for those who do not see all colours, at a lightness that shows on black and on white.
COLOURS = tuple(f"38;5;{number}" for number in (32, 166, 36, 208, 169, 74, 178, 245))
Ink = int | Literal["plain", "dim", "bold"]  # the number of a curve, or what is not a curve's
Row = list[tuple[str, Ink]]


@dataclass(frozen=True, slots=True)
class Look:
    """How a chart is drawn: `width` columns and `height` lines with title and axes, all of them at least a few.

    x_kind: `span` if xs are seconds."""

    width: int
    height: int
    log_x: bool = False
    log_y: bool = False
    x_label: str = "step"
    x_kind: Kind = "number"
    glyphs: Glyphs = BRAILLE

    @property
    def dots(self) -> int:
        """How many dots stand side by side, at most."""
        return self.width * self.glyphs.wide


def mark_of(number: int) -> str:
    """Returns the letter of a curve; after 52 they begin again."""
    return MARKS[number % len(MARKS)]


def draw(title: str, curves: Sequence[Curve | None], look: Look, *, about: str = "") -> list[Row]:
    """Returns the rows of a chart, none of them wider than it may be.

    curves: as `drawable` leaves them; None where this chart has none of a number that others have. title, about, and
    the labels of curves are safe to print already."""
    width = max(look.width, LEAST_WIDTH)
    head = _title(_cut(title, width, look.glyphs), about, width)
    shown = [(number, curve) for number, curve in enumerate(curves) if curve is not None]
    axes = _axes([curve for _, curve in shown], look)
    if axes is None:
        return [head, [(_cut("  no points to draw", width, look.glyphs), "dim")]]
    across, up = axes
    rows = max(2, look.height - 3)
    labels = _labels_up(ticks(up, max(2, min(rows // 2, 8))), up, rows)
    left = min(max((width_of(text) for text in labels.values()), default=0), width // 2)
    columns = width - left - 2
    canvas = Canvas(columns, rows, look.glyphs)
    _paint_curves(canvas, shown, across, up, several=len(curves) > 1)
    lines: list[Row] = [head]
    glyphs = _axis_glyphs(look.glyphs)
    for number, cells in enumerate(canvas.lines()):
        label = labels.get(number, "")
        lines.append(
            [
                (_cut(label, left, look.glyphs).rjust(left) + " " + (glyphs.tick_up if label else glyphs.up), "dim"),
                *_joined((text, "dim" if owner is None else owner) for text, owner in cells),
            ]
        )
    return [*lines, *_bottom(across, left, columns, _cut(look.x_label, columns, look.glyphs), glyphs)]


def _cut(text: str, width: int, glyphs: Glyphs) -> str:
    return cut(text, width).replace("…", "…" if glyphs is BRAILLE else "~")


def _title(title: str, about: str, width: int) -> Row:
    room = width - width_of(title) - 2
    return [(title, "bold"), ("  " + about, "dim")] if about and width_of(about) <= room else [(title, "bold")]


@dataclass(frozen=True, slots=True)
class _AxisGlyphs:
    up: str
    tick_up: str
    corner: str
    across: str
    tick_across: str


def _axis_glyphs(glyphs: Glyphs) -> _AxisGlyphs:
    return _AxisGlyphs("│", "┤", "└", "─", "┬") if glyphs is BRAILLE else _AxisGlyphs("|", "+", "+", "-", "+")


def _axes(curves: Sequence[Curve], look: Look) -> tuple[Scale, Scale] | None:
    """Returns the axes that have all points on them; None if there are none."""
    xs = [end for curve in curves for at in _ends(curve.ys) for end in (curve.xs[at],)]
    ys = [value for curve in curves for value in curve.ys if value == value]
    if not ys:
        return None
    for curve in curves:
        for edge in (curve.low, curve.high):
            ys += [value for value in edge or () if math.isfinite(value) and (value > 0 or not look.log_y)]
    across = scale_of(min(xs), max(xs), log=look.log_x, kind=look.x_kind)
    return across, scale_of(min(ys), max(ys), log=look.log_y)


def _ends(ys: Sequence[float]) -> Iterable[int]:
    """Yields the places of the first and the last value that is no gap."""
    for places in (range(len(ys)), range(len(ys) - 1, -1, -1)):
        found = next((at for at in places if ys[at] == ys[at]), None)
        if found is not None:
            yield found


def _labels_up(found: Sequence[Tick], scale: Scale, rows: int) -> dict[int, str]:
    """Returns the labels by the row that they stand at."""
    return {rows - 1 - round(scale.place(value) * (rows - 1)): label for value, label in found}


Dots = list[tuple[int, int]]


def _paint_curves(
    canvas: Canvas, shown: Sequence[tuple[int, Curve]], across: Scale, up: Scale, *, several: bool
) -> None:
    """Draws lines, then bands where no line is, then letters upon the lines."""

    def dot_of(x: float, y: float) -> tuple[int, int]:
        return round(across.place(x) * (canvas.width - 1)), round(up.place(y) * (canvas.height - 1))

    paths = {number: _strokes(curve, dot_of) for number, curve in shown}
    for number, stroke in ((number, stroke) for number, strokes in paths.items() for stroke in strokes):
        canvas.dot(*stroke[0], number)
        for start, end in pairwise(stroke):
            canvas.line(start, end, number)
    canvas.close()
    for number, curve in shown:
        _paint_band(canvas, curve, number, dot_of, up)
    if several:
        _put_marks(canvas, paths)
    alone = "•" if canvas.glyphs is BRAILLE else "*"
    for number, stroke in ((number, stroke) for number, strokes in paths.items() for stroke in strokes):
        if len(set(stroke)) == 1:  # one dot is hard to see
            canvas.mark(*stroke[0], mark_of(number) if several else alone, number)


def _strokes(curve: Curve, dot_of: Callable[[float, float], tuple[int, int]]) -> list[Dots]:
    """Returns the dots of a curve, a list for each piece between gaps."""
    strokes: list[Dots] = [[]]
    for x, y in zip(curve.xs, curve.ys, strict=True):
        if y == y:
            strokes[-1].append(dot_of(x, y))
        elif strokes[-1]:
            strokes.append([])
    return [stroke for stroke in strokes if stroke]


def _put_marks(canvas: Canvas, paths: dict[int, list[Dots]]) -> None:
    """Puts each curve's letter at its end, and, where curves are few, here and there along it."""
    paths = {number: strokes for number, strokes in paths.items() if strokes}
    for number, strokes in paths.items():
        dots = [dot for stroke in strokes for dot in stroke]
        any(canvas.mark(*dot, mark_of(number), number) for dot in reversed(dots))
    if len(paths) > MARKED:
        return
    every = max(canvas.width // 3, 24 * canvas.glyphs.wide)
    for turn, (number, strokes) in enumerate(paths.items()):
        dots = [dot for stroke in strokes for dot in stroke]
        for x in range(every * (turn + 1) // (len(paths) + 1), dots[-1][0] - every // 3, every):
            at = min(bisect_left(dots, (x, 0)), len(dots) - 1)
            if abs(dots[at][0] - x) < every // 6:
                canvas.mark(*dots[at], mark_of(number), number)


def _paint_band(
    canvas: Canvas, curve: Curve, number: int, dot_of: Callable[[float, float], tuple[int, int]], up: Scale
) -> None:
    """Fills a band with one dot in a character, and draws its edges with every other dot."""
    if curve.low is None or curve.high is None:
        return

    def within(value: float) -> float:
        return min(max(value, up.low), up.high)

    edges = [
        (dot_of(x, within(low)), dot_of(x, within(high))[1])
        for x, low, high in zip(curve.xs, curve.low, curve.high, strict=True)
    ]
    for ((x, low), high), ((to_x, to_low), to_high) in pairwise(edges):
        for at in range(x, to_x + 1):
            part = (at - x) / max(1, to_x - x)
            bottom, top = round(low + (to_low - low) * part), round(high + (to_high - high) * part)
            if top - bottom > 1 and at % 2 == number % 2:
                canvas.shade(at, bottom, number)
                canvas.shade(at, top, number)
            for y in range(bottom + 1, top):
                if (y + 2 * (at // 2 % 2) + number) % canvas.glyphs.high == 0 and at % 2 == (number + y // 4) % 2:
                    canvas.shade(at, y, number)


def _joined(pieces: Iterable[tuple[str, Ink]]) -> Row:
    """Returns pieces with neighbours of one ink joined; spaces take the ink beside them."""
    row: Row = []
    for text, ink in pieces:
        if row and (row[-1][1] == ink or text == " "):
            row[-1] = (row[-1][0] + text, row[-1][1])
        else:
            row.append((text, ink))
    return row


def _bottom(scale: Scale, left: int, columns: int, name: str, glyphs: _AxisGlyphs) -> list[Row]:
    """Returns the axis and, below it, its labels and its name at the end."""
    axis = [glyphs.across] * columns
    end = columns - width_of(name) - 2
    texts = [" "] * (columns + left + 2)
    free = 0
    for value, label in ticks(scale, max(2, columns // 8)):
        column = round(scale.place(value) * (columns - 1))
        start = max(left + 2 + column - len(label) // 2, 0)
        if start < free or start + len(label) > left + 2 + end:
            continue
        axis[column] = glyphs.tick_across
        texts[start : start + len(label)] = label
        free = start + len(label) + 2
    row = "".join(texts).rstrip()
    row += " " * (left + 2 + columns - width_of(name) - width_of(row)) + name
    return [[(" " * (left + 1) + glyphs.corner + "".join(axis), "dim")], [(row, "dim")]]


def beside(charts: Sequence[Sequence[Row]], widths: Sequence[int], *, gap: int = 2) -> list[Row]:
    """Returns charts side by side; each takes as many columns as `widths` says."""
    rows: list[Row] = []
    for at in range(max(map(len, charts))):
        row: Row = []
        for number, (chart, width) in enumerate(zip(charts, widths, strict=True)):
            own = chart[at] if at < len(chart) else []
            filled = width - sum(width_of(text) for text, _ in own) + gap
            row += [*own, (" " * filled, "plain")] if number < len(charts) - 1 else own
        rows.append(row)
    return rows


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a legend: whose it is, and a number beside it."""

    number: int
    label: str
    note: str = ""


def legend(entries: Sequence[Entry], *, width: int, lines: int, marked: bool, glyphs: Glyphs = BRAILLE) -> list[Row]:
    """Returns what the letters mean, in as many columns as fit; of too many entries the first, and how many more."""
    if not entries:
        return []
    if any(width_of(entry.label) + width_of(entry.note) + 4 > width for entry in entries):
        entries = [Entry(entry.number, entry.label) for entry in entries]
    texts = [
        ((mark_of(entry.number) + " ") if marked else "") + entry.label + (f"  {entry.note}" if entry.note else "")
        for entry in entries
    ]
    widest = min(max(map(width_of, texts)), width)
    across = max(1, (width + 3) // (widest + 3))
    shown = len(texts) if len(texts) <= across * lines else max(1, across * lines - 1)
    rows: list[Row] = []
    for at, text in enumerate(texts[:shown]):
        if at % across == 0:
            rows.append([])
        filled = _cut(text, widest, glyphs)
        last = at % across == across - 1 or at == shown - 1
        gap = "" if last else " " * (widest - width_of(filled) + 3)
        rows[-1] += [(filled, entries[at].number), (gap, "plain")] if gap else [(filled, entries[at].number)]
    if shown < len(texts):
        rows.append([(_cut(f"and {len(texts) - shown} more", width, glyphs), "dim")])
    return rows


def painted(rows: Iterable[Row], paint: Callable[..., str]) -> list[str]:
    """Returns rows as lines; paint: given a text and the codes of its colour, returns it coloured or as it is."""
    return ["".join(paint(text, *_codes(ink)) for text, ink in row).rstrip() for row in rows]


def _codes(ink: Ink) -> tuple[str, ...]:
    if isinstance(ink, int):
        return (COLOURS[ink % len(COLOURS)],)
    return {"plain": (), "dim": ("2",), "bold": ("1",)}[ink]
