"""Columns in the libraries that people compute with: one meaning in all of them."""

from __future__ import annotations

import math
import sys
from array import array
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack import frames
from gittrack.errors import NotInstalled
from gittrack.frames import Frame, Series, guessed
from tests.strategies import plain_values, texts

MOMENT = datetime(2026, 11, 23, 14, 51, 10, 123000, UTC)


def frame(*columns: Series, length: int = 3) -> Frame:
    return Frame(columns, length=length)


EVERYTHING = frame(
    Series("text", "text", ["a", None, "\ud800"]),
    Series("whole", "integer", [1, 2, 2**53 + 1]),
    Series("gap", "integer", [1, None, 2**53 + 1]),
    Series("number", "number", [0.5, None, math.nan]),
    Series("flag", "flag", [True, False, True]),
    Series("maybe", "flag", [True, None, False]),
    Series("time", "time", [1795445470123, None, 0]),
    Series("tags", "texts", [("a", "b"), (), ("c",)]),
    Series("mixed", "any", [1, "1", [0.5, None]]),
    Series("steps", "integer", array("q", [1, 2, 3])),
    Series("curve", "number", array("d", [0.1, 0.2, math.nan])),
    Series("sparse", "number", array("d", [0.1, math.nan]), array("q", [0, 2])),
)


def test_pandas_columns_have_the_types_that_people_compute_with() -> None:
    pytest.importorskip("pandas")
    made = EVERYTHING.to_pandas()
    types = {name: str(made[name].dtype) for name in made if name != "text"}
    assert types == {
        "whole": "int64",
        "gap": "Int64",
        "number": "float64",
        "flag": "bool",
        "maybe": "boolean",
        "time": "datetime64[ms, UTC]",
        "tags": "object",
        "mixed": "object",
        "steps": "int64",
        "curve": "float64",
        "sparse": "float64",
    }
    assert made["gap"][2] == made["whole"][2] == 2**53 + 1
    assert made["time"][0].to_pydatetime() == MOMENT
    assert list(made["time"].isna()) == [False, True, False]
    assert list(made["text"].isna()) == [False, True, False]
    assert made["text"][2] == "\\ud800"
    assert (made["tags"][0], made["mixed"][2]) == (["a", "b"], [0.5, None])
    assert list(made["sparse"].isna()) == [False, True, True]


def test_in_arrow_what_is_missing_is_null_and_nan_is_not() -> None:
    pytest.importorskip("pyarrow")
    made = EVERYTHING.to_arrow()
    assert {field.name: str(field.type) for field in made.schema} == {
        "text": "string",
        "whole": "int64",
        "gap": "int64",
        "number": "double",
        "flag": "bool",
        "maybe": "bool",
        "time": "timestamp[ms, tz=UTC]",
        "tags": "list<item: string>",
        "mixed": "string",
        "steps": "int64",
        "curve": "double",
        "sparse": "double",
    }
    nulls = {name: made[name].null_count for name in made.column_names if made[name].null_count}
    assert nulls == {"text": 1, "gap": 1, "number": 1, "maybe": 1, "time": 1, "sparse": 1}
    assert made["mixed"].to_pylist() == ["1", "1", "[0.5, null]"]
    assert made["gap"].to_pylist() == [1, None, 2**53 + 1]


def test_polars_says_the_same_as_arrow() -> None:
    pytest.importorskip("pyarrow")
    polars = pytest.importorskip("polars")
    made, other = EVERYTHING.to_polars(), polars.from_arrow(EVERYTHING.to_arrow())
    assert made.schema == other.schema
    assert made.equals(other)


def test_dicts_hold_plain_values() -> None:
    first, second, third = EVERYTHING.to_dicts()
    assert (first["time"], first["tags"], first["whole"]) == (MOMENT, ["a", "b"], 1)
    assert second == {
        **dict.fromkeys(("text", "gap", "number", "maybe", "time", "sparse")),
        "whole": 2,
        "flag": False,
        "tags": [],
        "mixed": "1",
        "steps": 2,
        "curve": 0.2,
    }
    assert (third["mixed"], third["text"]) == ([0.5, None], "\ud800")


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_no_rows_are_a_frame_with_columns(library: str) -> None:
    pytest.importorskip(library)
    empty = frame(*(Series(s.name, s.kind, [], None) for s in EVERYTHING.columns.values()), length=0)
    made = getattr(empty, {"pyarrow": "to_arrow"}.get(library, f"to_{library}"))()
    assert (len(made), len(made.schema if library == "pyarrow" else made.columns)) == (0, 12)
    assert empty.to_dicts() == []


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", None], "text"),
        ([True, None], "flag"),
        ([1, None, 2], "integer"),
        ([1, 2.5, None], "number"),
        ([1, 2**63], "any"),
        ([1.5, 10**400], "number"),
        ([True, 1], "any"),
        ([1, "1"], "any"),
        ([[1, 2], None], "any"),
        ([None, None], "any"),
    ],
)
def test_a_params_column_has_the_narrowest_type_that_holds_it(values: list[Any], kind: str) -> None:
    found = guessed("lr", values)
    assert found.kind == kind
    assert 10**400 not in values or found.values == [1.5, math.inf]


@given(st.lists(plain_values(texts) | st.none(), min_size=1, max_size=5), texts)
def test_no_params_are_too_odd_for_any_library(values: list[Any], name: str) -> None:
    polars, arrow, pandas = map(pytest.importorskip, ("polars", "pyarrow", "pandas"))
    made = frame(guessed(name, values), length=len(values))
    assert len(made.to_dicts()) == len(made.to_pandas()) == len(made.to_polars()) == len(made.to_arrow()) == len(values)
    assert isinstance(made.to_polars(), polars.DataFrame)
    assert isinstance(made.to_arrow(), arrow.Table)
    assert isinstance(made.to_pandas(), pandas.DataFrame)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5))
def test_no_time_is_too_far_away(times: list[int]) -> None:
    pytest.importorskip("pandas")
    made = frame(Series("time", "time", array("q", times)), length=len(times))
    assert len(made.to_dicts()) == len(made.to_pandas()) == len(times)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_library_that_is_missing_is_an_error_that_says_how_to_get_it(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError) as missing:
        getattr(EVERYTHING, {"pyarrow": "to_arrow"}.get(library, f"to_{library}"))()
    assert isinstance(missing.value, NotInstalled)
    assert missing.value.lines()[0] == f"error: '{library}' is not installed"
    assert missing.value.hint == f"pip install {library}"


def test_a_time_without_a_zone_or_that_is_none_is_no_time() -> None:
    assert frames.moment("2026-11-23T14:51:10.123Z") == MOMENT
    assert frames.moment("2026-11-23T15:51:10.123+01:00") == MOMENT
    for text in (None, "", "yesterday", "2026-11-23", "0001-01-01T00:00:00+23:59"):
        assert frames.moment(text) is None
