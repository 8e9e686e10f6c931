"""Charts as text: what can be read on them, with and without colour, in any width."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.chart import plot
from gittrack.chart.canvas import ASCII
from gittrack.chart.curves import Curve, drawable
from gittrack.output import width_of

NAN = math.nan


def text(rows: list[plot.Row]) -> list[str]:
    return plot.painted(rows, lambda text, *_: text)


def chart(*curves: Curve | None, look: plot.Look | None = None) -> list[str]:
    return text(plot.draw("loss", list(curves), look or plot.Look(40, 9)))


def line(*ys: float) -> Curve:
    return Curve("run", range(len(ys)), ys)


def test_a_chart_has_a_title_axes_with_round_numbers_and_the_name_of_what_stands_across() -> None:
    assert chart(line(8, 4, 2, 1, 0.5, 0.25, 0.1, 0)) == [
        "loss",
        "  │⠑⢄",
        "  │  ⠱⡀",
        "5 ┤   ⠈⠢⡀",
        "  │     ⠈⠑⠢⢄⡀",
        "  │         ⠈⠑⠢⠤⣀⣀",
        "0 ┤               ⠉⠉⠒⠒⠒⠤⠤⠤⠤⠤⠤⠤⠤⠤⣀⣀⣀⣀⣀⣀⣀⣀",
        "  └┬─────────┬──────────┬───────────────",
        "   0         2          4           step",
    ]


def test_ascii_draws_the_same() -> None:
    assert chart(line(8, 4, 2, 1, 0.5, 0.25, 0.1, 0), look=plot.Look(30, 7, glyphs=ASCII)) == [
        "loss",
        "  |'-.",
        "5 +  '-.",
        "  |     '-.",
        "0 +        ''-------..........",
        "  ++------------------+-------",
        "   0                  5   step",
    ]


def test_a_constant_stands_in_the_middle_and_a_point_alone_is_seen() -> None:
    assert chart(line(1, 1, 1), look=plot.Look(24, 6))[1:4] == [
        "1.1 ┤",
        "1.0 ┤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤",
        "0.9 ┤",
    ]
    assert "•" in chart(line(2), look=plot.Look(24, 6))[2]
    assert "*" in chart(line(2), look=plot.Look(24, 6, glyphs=ASCII))[2]


def test_a_gap_is_not_bridged() -> None:
    whole = chart(line(1, 1, 1, 1, 1), look=plot.Look(24, 6))[2]
    gap = chart(line(1, 1, NAN, 1, 1), look=plot.Look(24, 6))[2]

    assert whole == "1.0 ┤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤"
    assert gap == "1.0 ┤⠤⠤⠤⠤⠤         ⠤⠤⠤⠤⠤"


def test_without_points_the_chart_says_so() -> None:
    assert chart(None, line(), line(NAN)) == ["loss", "  no points to draw"]


def test_each_of_several_curves_has_its_letter_at_its_end() -> None:
    rows = chart(line(0, 1, 2, 3), line(3, 2, 1, 0))

    assert rows[1].endswith("a")
    assert rows[6].endswith("b")


def test_the_letters_of_curves_that_end_together_do_not_cover_each_other() -> None:
    rows = "".join(chart(*[line(*range(60)) for _ in range(5)]))

    assert all(mark in rows for mark in "abcde")


def test_a_curve_that_a_chart_has_not_leaves_the_letters_of_the_others() -> None:
    rows = "".join(chart(None, line(1, 2), line(2, 1))[1:-2])

    assert "b" in rows
    assert "c" in rows
    assert "a" not in rows


def test_a_band_is_seen_around_its_line() -> None:
    rows = chart(Curve("m", [0, 1], [5, 5], [0, 0], [10, 10]), look=plot.Look(24, 8))

    assert rows[1:6] == [
        "10 ┤⡁⠃⡁⠃⡁⠃⡁⠃⡁⠃⡁⠃⡁⠃⡁⠃⡁⠃⡁⠃",
        "   │⢀⠐⢀⠐⢀⠐⢀⠐⢀⠐⢀⠐⢀⠐⢀⠐⢀⠐⢀⠐",
        " 5 ┤⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒",
        "   │⢀⠐⢀⠐⢀⠐⢀⠐⢀⠐⢀⠐⢀⠐⢀⠐⢀⠐⢀⠐",
        " 0 ┤⡀⡂⡀⡂⡀⡂⡀⡂⡀⡂⡀⡂⡀⡂⡀⡂⡀⡂⡀⡂",
    ]


def test_a_logarithmic_axis_makes_a_line_of_an_exponential() -> None:
    rows = chart(line(*[10.0**-at for at in range(7)]), look=plot.Look(40, 10, log_y=True))

    assert rows[1:8] == [
        "    1 ┤⠉⠒⠤⣀",
        "      │    ⠉⠒⠢⠤⣀",
        "      │         ⠉⠑⠒⠤⣀⡀",
        "0.001 ┤              ⠈⠑⠒⠤⣀",
        "      │                   ⠉⠒⠤⢄⡀",
        "      │                       ⠈⠑⠢⢄⣀",
        " 1e-6 ┤                            ⠉⠑⠢⠤⣀",
    ]


@settings(max_examples=60)
@given(
    curves=st.lists(st.lists(st.floats(width=32), max_size=30), min_size=1, max_size=6),
    width=st.integers(16, 90),
    height=st.integers(5, 30),
    log_x=st.booleans(),
    log_y=st.booleans(),
    ascii_only=st.booleans(),
)
def test_no_chart_is_wider_or_higher_than_it_may_be(
    *, curves: list[list[float]], width: int, height: int, log_x: bool, log_y: bool, ascii_only: bool
) -> None:
    shown = [drawable(line(*ys), log_x=log_x, log_y=log_y)[0] for ys in curves]
    look = plot.Look(width, height, log_x=log_x, log_y=log_y)
    look = plot.Look(width, height, log_x=log_x, log_y=log_y, glyphs=ASCII) if ascii_only else look

    rows = text(plot.draw("a metric", list(shown), look, about="smoothed 0.6"))

    assert len(rows) in (2, height)
    assert all(width_of(row) <= width for row in rows)
    assert not ascii_only or all(row.isascii() for row in rows)


def test_charts_side_by_side_begin_in_the_same_column() -> None:
    left = plot.draw("left", [line(1, 2)], plot.Look(30, 8))
    right = plot.draw("right", [line(1, 2)], plot.Look(30, 8))

    rows = text(plot.beside([left, right], [30, 30]))

    assert rows[0] == "left" + " " * 28 + "right"
    assert [row[32:] for row in rows] == text(right)


def test_a_legend_names_every_curve_in_as_many_columns_as_fit() -> None:
    entries = [plot.Entry(at, f"run-{at}", "0.5") for at in range(5)]

    assert text(plot.legend(entries, width=40, lines=6, marked=True)) == [
        "a run-0  0.5   b run-1  0.5",
        "c run-2  0.5   d run-3  0.5",
        "e run-4  0.5",
    ]
    assert text(plot.legend(entries[:1], width=40, lines=6, marked=False)) == ["run-0  0.5"]


def test_a_long_legend_is_cut_and_says_how_many_are_left_out() -> None:
    entries = [plot.Entry(at, f"run-{at:02}") for at in range(60)]

    rows = text(plot.legend(entries, width=40, lines=3, marked=True))

    assert rows[0] == "a run-00   b run-01   c run-02"
    assert rows[-1] == "and 52 more"
    assert len(rows) == 4


def test_colours_and_letters_begin_again_when_they_are_used_up() -> None:
    painted = plot.painted([[("x", 0), ("y", 8), ("z", 1)]], lambda text, *codes: f"<{','.join(codes)}>{text}")

    first, again, other = painted[0].split("<")[1:]
    assert first.split(">")[0] == again.split(">")[0] != other.split(">")[0]
    assert plot.mark_of(0) == plot.mark_of(52) == "a"
