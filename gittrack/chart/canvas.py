"""A grid of characters that has finer dots than characters.

Braille has two by four dots in a character, and all terminals that know Unicode draw it alike. Where the encoding has
no braille, three heights of plain ASCII do the same more coarsely. Every character belongs to one curve: the first that
was drawn there, so whoever draws begins with what matters most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Cell = tuple[str, int | None]  # a character, and whose it is


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What a character can show: `wide` by `high` dots; `bits[y][x]` are added up and looked up in `table`."""

    wide: int
    high: int
    bits: Sequence[Sequence[int]]
    table: Sequence[str]


BRAILLE = Glyphs(
    2,
    4,
    ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80)),
    [" ", *(chr(0x2800 + dots) for dots in range(1, 256))],
)
ASCII = Glyphs(1, 3, ((1,), (2,), (4,)), (" ", "'", "-", "/", ".", ":", "\\", "|"))


class Canvas:
    """Dots on `columns` by `rows` characters; (0, 0) is the dot at the bottom on the left."""

    def __init__(self, columns: int, rows: int, glyphs: Glyphs = BRAILLE) -> None:
        self.columns, self.rows, self.glyphs = columns, rows, glyphs
        self.width, self.height = columns * glyphs.wide, rows * glyphs.high
        self._dots = [[0] * columns for _ in range(rows)]
        self._owners: list[list[int | None]] = [[None] * columns for _ in range(rows)]
        self._marks: list[dict[int, str]] = [{} for _ in range(rows)]
        self._taken: list[list[bool]] = []

    def dot(self, x: int, y: int, owner: int | None) -> None:
        """Sets a dot; what is outside is not drawn."""
        if not (0 <= x < self.width and 0 <= y < self.height):
            return
        row, below = divmod(self.height - 1 - y, self.glyphs.high)
        column, right = divmod(x, self.glyphs.wide)
        self._dots[row][column] |= self.glyphs.bits[below][right]
        if self._owners[row][column] is None:
            self._owners[row][column] = owner

    def line(self, start: tuple[int, int], end: tuple[int, int], owner: int | None) -> None:
        """Sets the dots from one to another (J. E. Bresenham, IBM Systems Journal 4(1), 1965)."""
        (x, y), (to_x, to_y) = start, end
        if x == to_x:
            for at in range(min(y, to_y), max(y, to_y) + 1):
                self.dot(x, at, owner)
            return
        wide, high = abs(to_x - x), -abs(to_y - y)
        right, up = (1 if x < to_x else -1), (1 if y < to_y else -1)
        error = wide + high
        while True:
            self.dot(x, y, owner)
            if (x, y) == (to_x, to_y):
                return
            twice = 2 * error
            if twice >= high:
                error += high
                x += right
            if twice <= wide:
                error += wide
                y += up

    def close(self) -> None:
        """Ends the drawing of lines: `shade` leaves the characters that have dots by then as they are."""
        self._taken = [[bool(dots) for dots in row] for row in self._dots]

    def shade(self, x: int, y: int, owner: int) -> None:
        """Sets a dot where no line is."""
        row, column = (self.height - 1 - y) // self.glyphs.high, x // self.glyphs.wide
        if 0 <= row < self.rows and 0 <= column < self.columns and not self._taken[row][column]:
            self.dot(x, y, owner)

    def mark(self, x: int, y: int, text: str, owner: int) -> bool:
        """Puts a character over the dots at (x, y) unless another mark stands there; returns whether it did."""
        row = (self.height - 1 - y) // self.glyphs.high
        column = x // self.glyphs.wide
        if not (0 <= row < self.rows and 0 <= column < self.columns) or column in self._marks[row]:
            return False
        self._marks[row][column] = text
        self._owners[row][column] = owner
        return True

    def lines(self) -> list[list[Cell]]:
        """Returns the characters, row by row from the top."""
        return [
            [
                (marks.get(at) or self.glyphs.table[dots], owner)
                for at, (dots, owner) in enumerate(zip(row, owners, strict=True))
            ]
            for row, owners, marks in zip(self._dots, self._owners, self._marks, strict=True)
        ]
