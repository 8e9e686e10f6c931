"""Tables of every library become CSV that an ordinary reader of CSV reads back."""

from __future__ import annotations

import csv
import datetime
import enum
import io
import json
import math
from typing import Any

import pytest

from gittrack import tabular


def written(value: Any, columns: list[str] | None = None) -> tuple[list[list[str]], dict[str, Any]]:
    """Returns what a reader of CSV reads of a table, and what is said of it."""
    out = io.StringIO(newline="")
    about = tabular.write(tabular.rows_of(value, columns), out)
    return list(csv.reader(io.StringIO(out.getvalue(), newline=""))), about


ROWS = [["name", "loss", "epoch"], ["a", "0.1", "1"], ["b", "nan", "2"]]
DATA = {"name": ["a", "b"], "loss": [0.1, math.nan], "epoch": [1, 2]}
KINDS = [("name", "text"), ("loss", "number"), ("epoch", "integer")]


def frames() -> list[str]:
    return ["pandas", "polars", "polars lazy", "pyarrow", "columns", "mappings", "rows", "numpy"]


def made(kind: str) -> Any:
    """Returns `DATA` as a table of a library."""
    rows = list(zip(*DATA.values(), strict=True))
    match kind.partition(" ")[0]:
        case "pandas":
            return pytest.importorskip("pandas").DataFrame(DATA)
        case "polars":
            frame = pytest.importorskip("polars").DataFrame(DATA)
            return frame.lazy() if kind.endswith("lazy") else frame
        case "pyarrow":
            return pytest.importorskip("pyarrow").table(DATA)
        case "columns":
            return DATA
        case "mappings":
            return [dict(zip(DATA, row, strict=True)) for row in rows]
        case "numpy":
            kinds = [("name", "U8"), ("loss", "f8"), ("epoch", "i8")]
            return pytest.importorskip("numpy").array(rows, dtype=kinds)
        case _:
            return rows


@pytest.mark.parametrize("kind", frames())
def test_a_table_of_any_library_is_the_same_csv(kind: str) -> None:
    rows, about = written(made(kind), list(DATA) if kind == "rows" else None)
    assert rows == ROWS
    assert about == {"rows": 2, "columns": [{"name": name, "kind": of} for name, of in KINDS]}


def test_an_index_of_pandas_that_says_something_is_a_column() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [1.5]}, index=["row"])
    assert written(frame)[0] == [["index", "x"], ["row", "1.5"]]
    assert written(frame.rename_axis("who"))[0][0] == ["who", "x"]
    both = pandas.DataFrame({("x", "mean"): [1]}, index=pandas.MultiIndex.from_tuples([("a", 2)], names=["k", "n"]))
    assert written(both)[0] == [["k", "n", "x.mean"], ["a", "2", "1"]]


def test_missing_values_are_empty_cells() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": pandas.array([1, None], dtype="Int64"), "t": [pandas.NaT, pandas.Timestamp(0)]})
    rows, about = written(frame)
    assert rows[1:] == [["1", ""], ["", "1970-01-01T00:00:00"]]
    assert [column["kind"] for column in about["columns"]] == ["integer", "text"]


class Colour(enum.Enum):
    RED = "red"


def test_every_value_has_one_form_that_says_what_it_is() -> None:
    day = datetime.date(2026, 11, 24)
    cells = [
        True,
        2**70,
        -0.1,
        "ä\n,\"'",
        [1, {"a": None}],
        {"k": (1, 2)},
        day,
        Colour.RED,
        b"raw",
        None,
        "half \ud800",
    ]
    rows, _ = written([cells])
    shown = ["true", str(2**70), "-0.1", "ä\n,\"'", '[1, {"a": null}]', '{"k": [1, 2]}', "2026-11-24", "Colour.RED"]
    assert rows[1] == [*shown, "b'raw'", "", "half ?"]
    assert json.loads(rows[1][4]) == cells[4]


def test_scalars_and_arrays_of_numpy_and_torch_are_what_they_hold() -> None:
    numpy = pytest.importorskip("numpy")
    rows, about = written([[numpy.float32(0.5), numpy.int8(-3), numpy.bool_(True), numpy.arange(2)]])
    assert rows[1] == ["0.5", "-3", "true", "[0, 1]"]
    assert [column["kind"] for column in about["columns"]] == ["number", "integer", "flag", "json"]
    assert written(numpy.eye(2))[0] == [["column 1", "column 2"], ["1.0", "0.0"], ["0.0", "1.0"]]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_text_that_a_spreadsheet_would_run_is_quoted(text: str) -> None:
    rows, _ = written({text: [text, -1, -1.5]})
    assert [row[0] for row in rows] == ["'" + text, "'" + text, "-1", "-1.5"]


def test_kinds_that_mix_are_said_to() -> None:
    _, about = written({"a": [1, 2.5], "b": [1, "x"], "c": [None, None]})
    assert [column["kind"] for column in about["columns"]] == ["number", "mixed", "empty"]


def test_rows_and_columns_of_other_lengths_are_filled_up() -> None:
    assert written([[1], [1, 2]])[0] == [["column 1", "column 2"], ["1", ""], ["1", "2"]]
    assert written({"a": [1, 2], "b": 3})[0] == [["a", "b"], ["1", "3"], ["2", ""]]
    assert written([{"a": 1}, {"b": 2}])[0] == [["a", "b"], ["1", ""], ["", "2"]]
    assert written([], ["a"]) == ([["a"]], {"rows": 0, "columns": [{"name": "a", "kind": "empty"}]})


def test_rows_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "MAX_ROWS", 3)
    rows, about = written({"a": range(10)})
    assert len(rows) == 4
    assert (about["rows"], about["left_out"]) == (3, 7)


@pytest.mark.parametrize("value", [3, "text", None, [1, 2], object()])
def test_what_is_no_table_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="is no table"):
        written(value)


def test_names_must_be_as_many_as_columns() -> None:
    with pytest.raises(ValueError, match="3 names for 2 columns"):
        written([[1, 2]], ["a", "b", "c"])
