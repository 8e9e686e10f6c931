"""A table that fits the screen.

It is laid out from its first rows, so that the first page of ten thousand runs is there before the last run is
looked at. Where there is little room the columns that matter less are left out, whole: half a number is a lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from gittrack import output
from gittrack.terminal import printable

FIRST = 500  # rows that the columns are chosen by
_LIMITS = (32, 24, 18, 12)  # of a text, tried in this order until what matters has room
_NUMBER = 13  # the longest that `output.number` writes, and a mark: never cut
_MATTERS = 120  # columns of a smaller rank are worth shorter texts
_GAP = 2


class Head(NamedTuple):
    """A column: what stands above it, and what it is worth where there is little room (smaller stays longer).

    right: of numbers, which are never cut; middle: texts that are too long lose their middle and not their end."""

    text: str
    rank: int = 0
    right: bool = False
    middle: bool = False


class Row(NamedTuple):
    """The texts of a row, safe for a terminal, and the colours of some."""

    texts: Sequence[str]
    codes: Mapping[int, tuple[str, ...]] = {}


class Grid:
    """A laid out table; `hidden` are the places of the columns that have no room."""

    def __init__(
        self,
        screen: output.Screen,
        heads: Sequence[Head],
        first: list[Row],
        rest: Iterator[Row],
        widths: dict[int, int],
    ) -> None:
        self.screen = screen
        self.heads = heads
        self.shown = sorted(widths)
        self.hidden = [at for at in range(len(heads)) if at not in widths]
        self._first = first
        self._rest = rest
        self.widths = widths

    def lines(self) -> Iterator[str]:
        """Yields the head and then line by line; columns grow where a later row needs it and there is room."""
        codes = dict.fromkeys(self.shown, (output.BOLD,))
        yield self._line([cut_middle(head.text, self.widths.get(at, 0)) for at, head in enumerate(self.heads)], codes)
        rows = self._first
        while rows:
            for row in rows:
                yield self._line(row.texts, row.codes)
            rows = list(islice(self._rest, FIRST))
            self._grow(rows)

    def _line(self, texts: Sequence[str], codes: Mapping[int, tuple[str, ...]]) -> str:
        parts = []
        for at in self.shown:
            text, width, right = texts[at], self.widths[at], self.heads[at].right
            taken = len(text) if text.isascii() else output.width_of(text)
            if taken > width and not (right and taken <= _NUMBER):
                text = cut_middle(text, width) if self.heads[at].middle else output.cut(text, width)
                taken = output.width_of(text)
            space = " " * (width - taken)
            if self.screen.colour and at in codes:
                text = self.screen.paint(text, *codes[at])
            parts.append(space + text if right else text + space)
        return "  ".join(parts).rstrip()

    def _grow(self, rows: Sequence[Row]) -> None:
        room = self.screen.width
        left = None if room is None else room - sum(self.widths.values()) - _GAP * (len(self.shown) - 1)
        for at in self.shown:
            wanted = max((output.width_of(row.texts[at]) for row in rows), default=0)
            more = max(0, min(wanted, _limit(self.heads[at], _LIMITS[0], room)) - self.widths[at])
            more = more if left is None else min(more, left)
            self.widths[at] += more
            left = None if left is None else left - more


def lay_out(screen: output.Screen, heads: Sequence[Head], rows: Iterable[Row]) -> Grid:
    """Returns the table, its columns chosen and measured by the first rows; without a width nothing is left out."""
    flow = iter(rows)
    first = list(islice(flow, FIRST))
    heads = [head._replace(text=printable(head.text)) for head in heads]
    natural = {
        at: max([output.width_of(head.text), *(output.width_of(row.texts[at]) for row in first)])
        for at, head in enumerate(heads)
    }
    room = screen.width
    shown, widths = list(natural), natural
    for limit in _LIMITS:
        widths = {at: min(width, _limit(heads[at], limit, room)) for at, width in natural.items()}
        if room is None:
            break
        shown = fitting(widths, heads, room)
        if all(at in shown for at, head in enumerate(heads) if head.rank < _MATTERS):
            break
    return Grid(screen, heads, first, flow, {at: widths[at] for at in shown})


def _limit(head: Head, limit: int, room: int | None) -> int:
    return 200 if room is None else max(limit, _NUMBER) if head.right else limit


def fitting(widths: Mapping[int, int], heads: Sequence[Head], room: int) -> list[int]:
    """Returns the places of the columns that fit, in their order: the one that matters most always does."""
    shown: list[int] = []
    for at in sorted(widths, key=lambda at: (heads[at].rank, at)):
        needed = widths[at] + (_GAP if shown else 0)
        if needed <= room or not shown:
            shown.append(at)
            room -= needed
    return sorted(shown)


def cut_middle(text: str, width: int) -> str:
    """Returns a text that takes at most `width` columns, its middle replaced by `…`.

    For names of runs, params and metrics, which begin alike and end alike."""
    if output.width_of(text) <= width or width < 5:
        return output.cut(text, width)
    half = (width - 1) // 2
    tail = text[len(text) - half :]
    while output.width_of(tail) > half:
        tail = tail[1:]
    return output.cut(text, width - output.width_of(tail)) + tail
