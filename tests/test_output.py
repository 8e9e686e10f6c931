"""Words and tables for people."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack import output

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (0, "0"),
        (-5, "-5"),
        (10**15, "1e+15"),
        (10**400, "100000000000…"),
        (0.1, "0.1"),
        (1 / 3, "0.333333"),
        (1e-05, "1e-5"),
        (1e20, "1e+20"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ("a\nb", "a\\nb"),
        ([1, 0.5, "x"], "[1, 0.5, x]"),
        ({"a": {"b": [None]}}, "{a: {b: []}}"),
    ],
)
def test_values_in_a_table_have_six_digits(value: object, text: str) -> None:
    assert output.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((None, ""), (0.0123, "12ms"), (4.21, "4.2s"), (59.99, "60.0s"), (60, "1m 00s"), (200, "3m 20s")),
        *((3600, "1h 00m"), (47 * 3600 + 59 * 60, "47h 59m"), (200_000, "2d 07h"), (-1, "-1000ms")),
    ],
)
def test_durations_are_read_at_a_glance(seconds: float | None, text: str) -> None:
    assert output.span(seconds) == text


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        *((timedelta(seconds=1), "1 second ago"), (timedelta(seconds=89), "89 seconds ago")),
        *((timedelta(seconds=90), "2 minutes ago"), (timedelta(hours=2), "2 hours ago")),
        *((timedelta(days=3), "3 days ago"), (timedelta(days=20), "3 weeks ago"), (timedelta(days=90), "3 months ago")),
        *((timedelta(days=800), "2.2 years ago"), (timedelta(seconds=-5), "in the future")),
    ],
)
def test_times_are_told_as_git_tells_them(ago: timedelta, text: str) -> None:
    assert output.ago((NOW - ago).isoformat(), now=NOW) == text


@pytest.mark.parametrize(
    "text", [None, "", "yesterday", "2026-13-01", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"]
)
def test_a_time_that_is_none_breaks_nothing(text: str | None) -> None:
    assert isinstance(output.ago(text, now=NOW), str)
    assert isinstance(output.local_time(text), str)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (10 << 20, "10.0 MiB"), (1 << 50, "1024.0 TiB")],
)
def test_sizes_have_binary_units(count: int, text: str) -> None:
    assert output.size(count) == text


@given(st.text(), st.integers(1, 40))
def test_a_cut_text_fits(text: str, width: int) -> None:
    found = output.cut(text, width)

    assert output.width_of(found) <= width
    assert found == text or found.endswith("…")


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=4))
def test_the_columns_of_a_table_stand_in_line(rows: list[tuple[str, str, str]]) -> None:
    screen = output.Screen(stream=io.StringIO())

    lines = output.table(screen, ["A", "B", "C"], [(f"<{a}", f"<{b}", f"<{c}") for a, b, c in rows])

    assert len(lines) == len(rows) + 1
    starts = {
        tuple(output.width_of(line[:at]) for at in range(len(line)) if line[at - 2 : at + 1] == "  <")
        for line in lines[1:]
    }
    plain = all("<" not in cell and "  " not in cell and cell == cell.strip() for row in rows for cell in row)
    assert not plain or len(starts) <= 1


@pytest.mark.parametrize(
    ("choice", "terminal", "variables", "colour"),
    [
        ("auto", True, {"TERM": "xterm"}, True),
        ("auto", True, {"TERM": "dumb"}, False),
        ("auto", True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        ("auto", True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        ("auto", False, {"TERM": "xterm"}, False),
        ("auto", False, {"FORCE_COLOR": "1"}, True),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {"TERM": "xterm", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_is_chosen_by_the_flag_then_the_user_then_the_terminal(
    choice: str, terminal: bool, variables: dict[str, str], colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert output.wants_colour(choice, terminal=terminal) is colour
