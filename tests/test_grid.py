"""A table that fits the screen, and numbers that stand in line."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack import grid, output, tables
from gittrack.grid import Head, Row


class Terminal(output.Screen):
    """A screen of a given width, without colour."""

    def __init__(self, width: int | None) -> None:
        super().__init__(stream=io.StringIO(), colour="never")
        self.columns = width

    @property
    def width(self) -> int | None:
        """The columns."""
        return self.columns


def drawn(width: int | None, heads: list[Head], rows: list[list[str]]) -> list[str]:
    return list(grid.lay_out(Terminal(width), heads, (Row(row) for row in rows)).lines())


HEADS = [Head("NAME", 0), Head("ID", 5), Head("acc", 1, right=True), Head("lr", 2, right=True)]


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (None, ["NAME  ID   acc   lr", "heron r123  0.5  0.1"]),
        (24, ["NAME   ID    acc   lr", "heron  r123  0.5  0.1"]),
        (21, ["NAME   ID    acc   lr", "heron  r123  0.5  0.1"]),
        (20, ["NAME   acc   lr", "heron  0.5  0.1"]),
        (14, ["NAME   acc", "heron  0.5"]),
        (9, ["NAME", "heron"]),
        (1, ["NAME", "heron"]),
    ],
)
def test_what_matters_most_stays_longest(width: int | None, lines: list[str]) -> None:
    found = drawn(width, HEADS, [["heron", "r123", "0.5", "0.1"]])

    assert [line.split() for line in found] == [line.split() for line in lines]
    assert max(map(len, found)) <= max(width or 99, len("heron"))


def test_the_columns_that_have_no_room_are_known() -> None:
    table = grid.lay_out(Terminal(14), HEADS, [Row(["heron", "r123", "0.5", "0.1"])])

    assert table.hidden == [1, 3]
    assert tables.left_out(table, ["name", "id", "metrics.acc", "params.lr"]) == "2 columns are…"
    wide = grid.lay_out(Terminal(80), HEADS, [Row(["heron", "r123", "0.5", "0.1"])])
    assert tables.left_out(wide, ["name", "id", "metrics.acc", "params.lr"]) is None
    assert tables.left_out(wide, [], more=["params.x"]) == "1 column is not shown: params.x; --columns chooses"


def test_texts_are_shortened_before_what_matters_is_left_out() -> None:
    heads = [Head("NAME", 0, middle=True), Head("acc", 1, right=True)]
    row = ["n" * 20 + "-1", "-1.23457e-10*"]

    assert drawn(37, heads, [row]) == ["NAME" + " " * 30 + "acc", "nnnnnnnnnnnnnnnnnnnn-1  -1.23457e-10*"]
    assert drawn(28, heads, [row]) == ["NAME" + " " * 20 + "acc", "nnnnnn…nnn-1  -1.23457e-10*"]
    assert drawn(20, heads, [row]) == ["NAME", "nnnnnn…nnn-1"]


@given(
    st.lists(st.tuples(st.text("aé世", max_size=40), st.floats(), st.text("b", max_size=50)), max_size=4),
    st.integers(1, 90),
)
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(
    rows: list[tuple[str, float, str]], width: int
) -> None:
    heads = [Head("A", 0), Head("a number with a long name", 1, right=True), Head("B", 2)]
    cells = [[text, output.number(number), other] for text, number, other in rows]

    lines = drawn(width, heads, cells)

    assert all(output.width_of(line) <= max(width, 12) for line in lines)
    if output.width_of(lines[0]) > 12:
        assert all(row[1] in line for row, line in zip(cells, lines[1:], strict=True))


def test_the_first_page_does_not_wait_for_the_last_row() -> None:
    asked = []

    def rows() -> Iterator[Row]:
        for at in range(10_000):
            asked.append(at)
            yield Row([f"run-{at}"])

    lines = grid.lay_out(Terminal(80), [Head("NAME")], rows()).lines()

    assert [next(lines) for _ in range(3)] == ["NAME", "run-0", "run-1"]
    assert len(asked) == grid.FIRST
    assert sum(1 for _ in lines) == 10_000 - 2


def test_a_column_grows_where_a_later_row_needs_it_and_there_is_room() -> None:
    short, later = [["x", "1"]] * grid.FIRST, [["a name that is longer", "2"]]

    assert drawn(None, [Head("N"), Head("V")], short + later)[-1] == "a name that is longer  2"
    assert drawn(30, [Head("N"), Head("V")], short + later)[-1] == "a name that is longer  2"
    assert drawn(10, [Head("N"), Head("V")], short + later)[-1] == "a name…  2"


def test_names_are_cut_in_the_middle() -> None:
    assert grid.cut_middle("encoder.layers.dropout", 11) == "encod…opout"
    assert grid.cut_middle("short", 11) == "short"
    assert grid.cut_middle("世界世界世界", 6) == "世…界"
    assert output.width_of(grid.cut_middle("\u4e16" * 9, 8)) <= 8


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.5, 0.25, None, 10.0], ["0.50", "0.25", "", "10.00"]),
        ([2.0, 3.0], ["2", "3"]),
        ([1 / 3, 100 / 3], ["0.3333", "33.3333"]),
        ([1e-5, 0.5], ["1e-5", "0.5"]),
        ([1e7, 0.5], ["1e+7", "0.5"]),
        ([0.5, float("nan"), float("inf")], ["0.5", "nan", "inf"]),
        ([0.0, -0.25], ["0.00", "-0.25"]),
        ([], []),
    ],
)
def test_the_points_of_a_column_stand_in_line_where_no_digit_is_lost(values: list[float], texts: list[str]) -> None:
    places = output.places(values)

    assert [output.fixed(value, places) for value in values] == texts


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (0.91234, 0.0041, "0.9123"),
        (0.0041, 0.0041, "0.0041"),
        (1234.5, 99.0, "1234"),
        (123456.0, 3400.0, "123500"),
        (1.5e-9, 2e-10, "1.5e-9"),
        (0.5, 0.0, "0.5"),
        (0.5, None, "0.5"),
        (None, 1.0, "-"),
        (float("nan"), 1.0, "nan"),
        (1.0, float("inf"), "1"),
        (0.0, 0.1, "0.00"),
    ],
)
def test_a_mean_has_the_digits_that_its_spread_leaves(value: float | None, spread: float | None, text: str) -> None:
    assert tables.rounded(value, spread) == text
