"""The rows of a history in which something was logged: found with numpy where it is loaded, else without."""

from __future__ import annotations

import sys
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.curves import Curves
from gittrack.model import Column, History


@st.composite
def tables(draw: st.DrawFn) -> History:
    """Draws a table with metrics that were logged at some of its steps, and at times a rank a row."""
    length = draw(st.integers(0, 8))
    columns: dict[str, Column] = {}
    for name in draw(st.lists(st.sampled_from("abc"), unique=True)):
        rows = array("q", sorted(draw(st.sets(st.integers(0, length - 1))) if length else ()))
        values = array("d", (10.0 * row + len(columns) for row in rows))
        columns[name] = Column(values, rows if len(rows) < length else None)
    steps = array("q", range(length))
    ranks = array("q", (step % 2 for step in steps)) if draw(st.booleans()) else None
    return History(steps, array("q", (1000 * step for step in steps)), columns, ranks=ranks)


@given(table=tables())
def test_the_rows_with_points_are_the_same_with_numpy_and_without(table: History) -> None:
    pytest.importorskip("numpy")
    with_numpy = Curves(table, run="heron")
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "numpy")
        without = Curves(table, run="heron")

    assert without.columns == with_numpy.columns
    assert repr([without[name] for name in without.columns]) == repr([with_numpy[name] for name in without.columns])
    filled = {row for column in table.columns.values() for row in (column.rows or range(len(column.values)))}
    assert list(without["step"]) == [step for step in table.steps if step in filled]
