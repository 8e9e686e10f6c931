"""Dots on a grid of characters."""

from __future__ import annotations

from gittrack.chart.canvas import ASCII, Canvas, Glyphs


def text(canvas: Canvas) -> list[str]:
    return ["".join(char for char, _ in row) for row in canvas.lines()]


def test_every_dot_of_a_braille_character_is_its_own() -> None:
    seen = set()
    for x in range(2):
        for y in range(4):
            canvas = Canvas(1, 1)
            canvas.dot(x, y, 0)
            seen.add(text(canvas)[0])
    assert seen == set("⠁⠂⠄⡀⠈⠐⠠⢀")


def test_the_first_dot_is_at_the_bottom_on_the_left() -> None:
    canvas = Canvas(2, 2)
    canvas.dot(0, 0, 0)
    canvas.dot(3, 7, 0)

    assert text(canvas) == [" ⠈", "⡀ "]


def test_what_is_outside_is_not_drawn() -> None:
    canvas = Canvas(2, 1)
    for x, y in ((-1, 0), (0, -1), (4, 0), (0, 4)):
        canvas.dot(x, y, 0)
        assert canvas.mark(x, y, "a", 0) is False

    assert text(canvas) == ["  "]


def test_a_line_has_no_hole_and_is_the_same_from_both_ends() -> None:
    for end in ((15, 3), (3, 15), (9, 9), (15, 0), (0, 15)):
        there, back = Canvas(8, 4), Canvas(8, 4)
        there.line((0, 0), end, 0)
        back.line(end, (0, 0), 0)
        dots = sum((ord(char) - 0x2800).bit_count() for row in text(there) for char in row if char != " ")
        assert dots == max(end) + 1
        assert sum((ord(char) - 0x2800).bit_count() for row in text(back) for char in row if char != " ") == dots


def test_a_character_belongs_to_who_drew_there_first_and_a_mark_to_its_own() -> None:
    canvas = Canvas(3, 1)
    canvas.line((0, 0), (5, 0), 7)
    canvas.line((0, 3), (5, 3), 8)

    assert [owner for _, owner in canvas.lines()[0]] == [7, 7, 7]
    assert canvas.mark(2, 3, "b", 8)
    assert canvas.lines()[0][1] == ("b", 8)
    assert not canvas.mark(3, 0, "a", 7), "a second mark on the same character"


def test_a_band_leaves_the_characters_of_lines_as_they_are() -> None:
    canvas = Canvas(2, 1)
    canvas.dot(0, 0, 0)
    canvas.close()
    for x in range(4):
        canvas.shade(x, 3, 1)

    assert canvas.lines()[0] == [("⡀", 0), ("⠉", 1)]


def test_without_braille_three_heights_are_told_apart() -> None:
    canvas = Canvas(5, 1, ASCII)
    for x, y in ((0, 0), (1, 1), (2, 2), (3, 0), (3, 1), (3, 2)):
        canvas.dot(x, y, 0)

    assert text(canvas) == [".-'| "]


def test_every_sum_of_dots_has_a_character() -> None:
    for glyphs in (Canvas(1, 1).glyphs, ASCII):
        assert isinstance(glyphs, Glyphs)
        assert sum(bit for row in glyphs.bits for bit in row) == len(glyphs.table) - 1
        assert all(len(char) == 1 for char in glyphs.table)
