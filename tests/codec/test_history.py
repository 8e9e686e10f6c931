"""The table of every point: two forms, the same table, to the last bit."""

from __future__ import annotations

import contextlib
import json
import math
import struct
import zlib
from array import array
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gittrack.codec import history, shuffle
from gittrack.codec.points import Points, build, joined, rows_of
from gittrack.codec.points import table as table_of
from gittrack.errors import DataRefused
from gittrack.model import Column, History
from tests.strategies import as_rows, histories, points

Rows = list[tuple[int, int, int, tuple[str, ...], tuple[float, ...]]]


def table(
    steps: list[int], columns: dict[str, list[float | None]], *, times: list[int] | None = None, ranks: Any = None
) -> History:
    """Returns a history from lists; None is a missing cell."""
    return History(
        steps=array("q", steps),
        times=array("q", [1_700_000_000_000 + step for step in steps] if times is None else times),
        ranks=None if ranks is None else array("q", ranks),
        columns={
            name: Column(
                array("d", [cell for cell in cells if cell is not None]),
                array("q", [row for row, cell in enumerate(cells) if cell is not None]) if None in cells else None,
            )
            for name, cells in columns.items()
        },
    )


EXTREME = table(
    [2**63 - 1, -(2**63), 0, 2**63 - 1],
    {"a": [math.nan, -0.0, 5e-324, -math.inf], "b": [None, 1e308, None, 0.1]},
    times=[-(2**63), 2**63 - 1, -1, 0],
    ranks=[-1, 2**63 - 1, -(2**63), 0],
)


@given(histories())
@example(EXTREME)
@example(table([], {}))
@example(table([1], {}))
@example(table([1], {"step": [1.0], "=step": [2.0], "==step": [3.0], "loss": [4.0]}))
@example(table([1, 2], {"step": [1.0, 2.0], "time": [None, 3.0], "rank": [4.0, None], "=x": [5.0, 6.0], "==": [7, 8]}))
def test_both_forms_hold_the_same_table(made: History) -> None:
    text, columns = history.encode_text(made), history.encode_columns(made)
    assert as_rows(history.decode(history.TEXT_FILE, text)) == as_rows(made)
    assert as_rows(history.decode(history.COLUMNS_FILE, columns)) == as_rows(made)


def bits(made: History) -> tuple[Any, ...]:
    """Returns all that is in a table, to the last bit: NaN of different bits are different here."""
    columns = {name: (column.values.tobytes(), column.rows) for name, column in made.columns.items()}
    return made.steps, made.times, made.ranks, columns


@given(histories())
@example(EXTREME)
@example(table([], {}))
@example(table([1, 2], {"a": [0.5, None], "b": [0.1, None]}))
def test_numpy_reads_the_same_bits(made: History) -> None:
    numpy = pytest.importorskip("numpy")
    raw = history.encode_columns(made)
    assert bits(history.decode_columns(raw, numpy=numpy)) == bits(history.decode_columns(raw))


def test_numbers_that_are_none_keep_their_bits_with_numpy_and_without() -> None:
    numpy = pytest.importorskip("numpy")
    wide = struct.pack("<2Q", 0x7FF8_0000_0000_0001, 0xFFF8_0000_DEAD_0000)
    narrow = struct.pack("<2I", 0x7FC0_0001, 0xFFC0_0000)
    raw = columns_by_hand(
        2,
        STEP,
        TIME,
        ({"name": "a", "type": "f64", "count": 2}, shuffled(wide, 8)),
        ({"name": "b", "type": "f32", "count": 2}, shuffled(narrow, 4)),
    )
    without, with_it = history.decode_columns(raw), history.decode_columns(raw, numpy=numpy)
    assert bits(without) == bits(with_it)
    assert without.columns["a"].values.tobytes() == wide


@given(histories(), st.data())
def test_only_the_metrics_that_are_asked_for_are_read(made: History, data: st.DataObject) -> None:
    asked = data.draw(st.sets(st.sampled_from([*made.columns, "not there"])))
    expected = {name: column for name, column in made.columns.items() if name in asked}
    for name, encode in (("history.tsv", history.encode_text), ("history.cols", history.encode_columns)):
        found = history.decode(name, encode(made), metrics=asked)
        assert as_rows(found) == as_rows(History(made.steps, made.times, expected, made.ranks))


def test_a_changed_byte_of_a_metric_that_is_not_asked_for_is_noticed() -> None:
    raw = history.encode_columns(table([1, 2], {"a": [0.1, 0.2], "z": [0.3, 0.4]}))
    with pytest.raises(DataRefused, match=r"history\.cols") as refused:
        history.decode("history.cols", raw[:-1] + b"!", metrics={"a"})
    assert refused.value.cause == "its checksum is wrong"


@given(histories())
def test_each_form_has_one_way_to_be_written(made: History) -> None:
    for name, encode in (("history.tsv", history.encode_text), ("history.cols", history.encode_columns)):
        raw = encode(made)
        again = history.decode(name, raw)
        assert encode(again) == raw
        shuffled = dict(sorted(again.columns.items(), reverse=True))
        assert encode(History(again.steps, again.times, shuffled, again.ranks)) == raw


def test_the_text_form_is_as_the_format_says() -> None:
    made = table([-1, 0, 7], {"loss": [1.0, -0.0, 1e-5], "é": [None, math.nan, math.inf], "step": [1e16, 0.1, 2.5]})
    assert history.encode_text(made).decode() == (
        "step\ttime\tloss\t=step\té\n"
        "-1\t1699999999.999\t1\t1e+16\t\n"
        "0\t1700000000.000\t-0\t0.1\tnan\n"
        "7\t1700000000.007\t1e-05\t2.5\tinf\n"
    )


def test_a_rank_stands_before_the_metrics_and_a_metric_called_rank_does_not() -> None:
    made = table([1], {"rank": [5.0]}, ranks=[2])
    assert history.encode_text(made) == b"step\ttime\trank\t=rank\n1\t1700000000.001\t2\t5\n"
    assert history.encode_text(table([1], {"rank": [5.0]})) == b"step\ttime\t=rank\n1\t1700000000.001\t5\n"


def test_times_before_1970_read_back() -> None:
    made = table([0, 0, 0], {"a": [1.0, 2.0, 3.0]}, times=[-1500, -1, 0])
    assert [line.split("\t")[1] for line in history.encode_text(made).decode().splitlines()[1:]] == [
        "-1.500",
        "-0.001",
        "0.000",
    ]


def columns_by_hand(rows: int, *columns: tuple[dict[str, Any], bytes]) -> bytes:
    data = b"".join(body for _, body in columns)
    heads = [head | {"size": len(body)} for head, body in columns]
    about = {"rows": rows, "crc32": zlib.crc32(data), "columns": heads}
    return b"gittrack columns 1\n" + json.dumps(about, separators=(",", ":")).encode() + b"\n" + data


def shuffled(raw: bytes, width: int) -> bytes:
    return b"".join(raw[byte::width] for byte in range(width))


def test_the_columns_form_is_as_the_format_says() -> None:
    made = table([2**63 - 1, -(2**63), 5], {"f": [0.5, None, math.nan], "d": [0.1, 0.2, -0.0]}, times=[0, 5, 3])
    assert history.encode_columns(made) == columns_by_hand(
        3,
        # The second delta is -(2^64 - 1): modulo 2^64 it is 1.
        ({"name": "step", "type": "i64", "count": 3}, shuffled(struct.pack("<3q", 2**63 - 1, 1, 5 - 2**63), 8)),
        ({"name": "time", "type": "i64", "count": 3}, shuffled(struct.pack("<3q", 0, 5, -2), 8)),
        ({"name": "d", "type": "f64", "count": 3}, shuffled(struct.pack("<3d", 0.1, 0.2, -0.0), 8)),
        ({"name": "f", "type": "f32", "count": 2}, b"\x05" + shuffled(struct.pack("<2f", 0.5, math.nan), 4)),
    )


@pytest.mark.parametrize("rows", [3, 7, 8, 9, 16, 17])
def test_a_bitmap_has_row_0_in_the_lowest_bit_of_its_first_byte(rows: int) -> None:
    first, last = [0.5] + [None] * (rows - 1), [None] * (rows - 1) + [0.5]
    raw = history.encode_columns(table(list(range(rows)), {"a": first, "b": last}))
    size, half = -(-rows // 8), struct.pack("<f", 0.5)
    assert raw.endswith((1).to_bytes(size, "little") + half + (1 << (rows - 1)).to_bytes(size, "little") + half)


def test_the_narrow_type_is_used_only_where_it_keeps_every_bit() -> None:
    def kind(*values: float) -> str:
        raw = history.encode_columns(table(list(range(len(values))), {"a": list(values)}))
        found: str = json.loads(raw.split(b"\n")[1])["columns"][2]["type"]
        return found

    assert kind(0.5, 1e10, -0.0, math.nan, math.inf) == "f32"
    assert kind(0.5, 0.1) == "f64"
    assert kind(math.nan, 0.1) == "f64"
    assert kind(1e300) == "f64"
    assert kind(5e-324) == "f64"


@pytest.mark.parametrize("start", [0, 1_700_000_000_000])
def test_the_file_is_text_up_to_a_mebibyte_and_columns_above(start: int) -> None:
    def made(rows: int) -> History:
        return table([5] * rows, {"a": [0.1] * rows}, times=[start] * rows)

    line = len(f"5\t{start // 1000}.000\t0.1\n")
    rows = (history.MAX_TEXT - len("step\ttime\ta\n")) // line
    name, raw = history.encode(made(rows))
    assert (name, len(raw) <= history.MAX_TEXT) == ("history.tsv", True)
    name, raw = history.encode(made(rows + 1))
    assert (name, raw[:19]) == ("history.cols", b"gittrack columns 1\n")
    assert len(history.encode_text(made(rows + 1))) > history.MAX_TEXT


def test_a_table_that_is_much_too_long_for_text_is_columns_at_once() -> None:
    name, raw = history.encode(table([1] * 100_000, {"a": [0.123456789] * 100_000, "b": [1.0] * 100_000}))
    assert name == "history.cols"
    assert history.decode(name, raw).points == 200_000


SMALL = table([1, 2], {"a": [0.5, None], "b": [0.1, 0.2]})
TEXTS = {
    "nothing": b"",
    "no end": b"step\ttime\n1\t2.000",
    "no names": b"\n",
    "other names": b"time\tstep\n",
    "a name twice": b"step\ttime\ta\ta\n1\t2.000\t3\t4\n",
    "a name that needs no mark": b"step\ttime\t=a\n1\t2.000\t3\n",
    "a name that needs a mark": b"step\ttime\ta\trank\n1\t2.000\t3\t4\n",
    "a cell too few": b"step\ttime\ta\n1\t2.000\n",
    "a cell too many": b"step\ttime\n1\t2.000\t3\n",
    "an empty line": b"step\ttime\n\n",
    "no step": b"step\ttime\n\t2.000\n",
    "a step of a half": b"step\ttime\n1.5\t2.000\n",
    "a step of 64 bits and more": b"step\ttime\n9223372036854775808\t2.000\n",
    "a step of 5,000 digits": b"step\ttime\n" + b"1" * 5000 + b"\t2.000\n",
    "a step of Python": b"step\ttime\n1_0\t2.000\n",
    "a step with a space": b"step\ttime\n 1\t2.000\n",
    "a time without decimals": b"step\ttime\n1\t2\n",
    "a time with two decimals": b"step\ttime\n1\t2.00\n",
    "a time with an exponent": b"step\ttime\n1\t2.0e1\n",
    "a rank of a half": b"step\ttime\trank\n1\t2.000\t0.5\n",
    "a word": b"step\ttime\ta\n1\t2.000\tbig\n",
    "a long word for infinity": b"step\ttime\ta\n1\t2.000\tINFINITY\n",
    "digits of another script": "step\ttime\ta\n1\t2.000\t\u0665\n".encode(),
    "an empty column": b"step\ttime\ta\n1\t2.000\t\n",
    "a column without rows": b"step\ttime\ta\n",
    "a carriage return": b"step\ttime\ta\n1\t2.000\t3\r\n",
    "no utf-8": b"step\ttime\t\xff\n1\t2.000\t3\n",
}


@pytest.mark.parametrize("raw", TEXTS.values(), ids=list(TEXTS))
def test_text_that_is_no_table_is_refused(raw: bytes) -> None:
    with pytest.raises(DataRefused, match=r"history\.tsv"):
        history.decode("history.tsv", raw)


STEP = ({"name": "step", "type": "i64", "count": 2}, bytes(16))
TIME = ({"name": "time", "type": "i64", "count": 2}, bytes(16))
COLUMNS = {
    "nothing": b"",
    "only the first line": b"gittrack columns 1\n",
    "another version": columns_by_hand(2, STEP, TIME).replace(b"columns 1", b"columns 2"),
    "no JSON": b"gittrack columns 1\n{\n",
    "a list": b"gittrack columns 1\n[]\n",
    "deep JSON": b"gittrack columns 1\n" + b"[" * 100_000 + b"\n",
    "a wrong checksum": columns_by_hand(2, STEP, TIME)[:-1] + b"x",
    "a cut": columns_by_hand(2, STEP, TIME)[:-1],
    "more than the columns": columns_by_hand(2, STEP, TIME, ({"name": "a"}, b"x")).replace(
        b',{"name":"a","size":1}', b""
    ),
    "no time": columns_by_hand(2, STEP),
    "step twice": columns_by_hand(2, STEP, STEP, TIME),
    "a metric of integers": columns_by_hand(2, STEP, TIME, ({"name": "a", "type": "i64", "count": 2}, bytes(16))),
    "a step of doubles": columns_by_hand(2, TIME, ({"name": "step", "type": "f64", "count": 2}, bytes(16))),
    "a step with holes": columns_by_hand(2, ({"name": "step", "type": "i64", "count": 1}, b"\x01" + bytes(8)), TIME),
    "a type that is not known": columns_by_hand(2, STEP, TIME, ({"name": "a", "type": "f16", "count": 2}, bytes(4))),
    "a type that is a list": columns_by_hand(2, STEP, TIME, ({"name": "a", "type": [], "count": 2}, bytes(4))),
    "a name that is a number": columns_by_hand(2, STEP, TIME, ({"name": 5, "type": "f32", "count": 2}, bytes(8))),
    "a name that needs no mark": columns_by_hand(2, STEP, TIME, ({"name": "=a", "type": "f32", "count": 2}, bytes(8))),
    "an empty column": columns_by_hand(2, STEP, TIME, ({"name": "a", "type": "f32", "count": 0}, b"\0")),
    "a metric twice": columns_by_hand(2, STEP, TIME, *[({"name": "a", "type": "f32", "count": 2}, bytes(8))] * 2),
    "too many values": columns_by_hand(2, STEP, TIME, ({"name": "a", "type": "f32", "count": 3}, bytes(12))),
    "a negative count": columns_by_hand(2, STEP, TIME, ({"name": "a", "type": "f32", "count": -1}, b"")),
    "a bitmap of fewer": columns_by_hand(2, STEP, TIME, ({"name": "a", "type": "f32", "count": 1}, b"\0" + bytes(4))),
    "a bitmap of more": columns_by_hand(2, STEP, TIME, ({"name": "a", "type": "f32", "count": 1}, b"\3" + bytes(4))),
    "a bitmap beyond the rows": columns_by_hand(
        2, STEP, TIME, ({"name": "a", "type": "f32", "count": 1}, b"\4" + bytes(4))
    ),
    "as many rows as there are atoms": columns_by_hand(10**80, STEP, TIME),
    "a number of rows that is infinite": columns_by_hand(2, STEP, TIME).replace(b'"rows":2', b'"rows":Infinity'),
    "a negative size": columns_by_hand(2, STEP, TIME).replace(b'"size":16', b'"size":-9'),
}


@pytest.mark.parametrize("raw", COLUMNS.values(), ids=list(COLUMNS))
def test_bytes_that_are_no_columns_are_refused(raw: bytes) -> None:
    for numpy in (None, pytest.importorskip("numpy")):
        with pytest.raises(DataRefused, match=r"history\.cols"):
            history.decode("history.cols", raw, numpy=numpy)


def test_the_columns_by_hand_are_sound_where_nothing_is_wrong() -> None:
    assert history.decode("history.cols", columns_by_hand(2, STEP, TIME)).steps == array("q", [0, 0])


def test_a_file_above_the_limit_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_BYTES", 10)
    with pytest.raises(DataRefused) as refused:
        history.decode("history.tsv", b"x" * 11)
    assert refused.value.cause == "larger than 10 bytes"


@given(st.sampled_from(["history.tsv", "history.cols"]), st.binary(max_size=200))
def test_no_bytes_get_anything_but_a_refusal(name: str, raw: bytes) -> None:
    with pytest.raises(DataRefused):
        history.decode(name, raw)


@given(
    st.sampled_from(["history.tsv", "history.cols"]),
    histories(),
    st.integers(0),
    st.binary(max_size=3),
)
def test_changed_bytes_get_a_table_or_a_refusal(name: str, made: History, at: int, put: bytes) -> None:
    raw = (history.encode_text if name == "history.tsv" else history.encode_columns)(made)
    at %= len(raw)
    try:
        found = history.decode(name, raw[:at] + put + raw[at + 1 :])
    except DataRefused:
        return
    encode = history.encode_text if name == "history.tsv" else history.encode_columns
    assert as_rows(history.decode(name, encode(found))) == as_rows(found)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "name": st.sampled_from(["step", "time", "rank", "a", "=step", "="]) | st.none(),
                "type": st.sampled_from(["i64", "f64", "f32"]) | st.none(),
                "count": st.integers(-1, 3),
                "size": st.integers(-9, 25),
            }
        ),
        max_size=5,
    ),
    st.integers(-1, 3),
    st.binary(max_size=64),
)
def test_no_header_of_columns_gets_anything_but_a_table_or_a_refusal(
    heads: list[dict[str, Any]], rows: int, data: bytes
) -> None:
    about = {"rows": rows, "crc32": zlib.crc32(data), "columns": heads}
    raw = history.MAGIC + json.dumps(about).encode() + b"\n" + data
    for numpy in (None, pytest.importorskip("numpy")):
        with contextlib.suppress(DataRefused):
            assert len(as_rows(history.decode("history.cols", raw, numpy=numpy))) == rows


@given(histories())
def test_the_order_of_bytes_in_memory_does_not_reach_the_file(made: History) -> None:
    """Where the machine has the other order, every column is turned before it is written, and after it is read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shuffle, "_LITTLE", not shuffle._LITTLE)
        turned = history.encode_columns(made)
        for numpy in (None, pytest.importorskip("numpy")):
            assert as_rows(history.decode_columns(turned, numpy=numpy)) == as_rows(made)
        assert history.encode_columns(table([1], {}, times=[0])).endswith(bytes(7) + b"\1" + bytes(8))
    assert history.encode_columns(table([1], {}, times=[0])).endswith(b"\1" + bytes(15))


# Building -----------------------------------------------------------------------------------------------------------


def test_rows_are_sorted_by_step_then_time_and_keep_the_order_they_were_logged_in() -> None:
    made = build(
        [
            (2, 10, 0, ("a",), (1.0,)),
            (1, 20, 0, ("a",), (2.0,)),
            (1, 10, 0, ("b", "a"), (3.0, 4.0)),
            (1, 20, 0, ("a",), (5.0,)),
            (1, 20, 0, ("b",), (6.0,)),
        ],
        ranked=False,
    )
    assert as_rows(made) == [
        (1, 10, None, {"a": "4.0", "b": "3.0"}),
        (1, 20, None, {"a": "2.0"}),
        (1, 20, None, {"a": "5.0", "b": "6.0"}),
        (2, 10, None, {"a": "1.0"}),
    ]


def test_points_of_two_processes_never_share_a_row() -> None:
    made = build([(1, 10, 0, ("a",), (1.0,)), (1, 10, 1, ("b",), (2.0,))], ranked=True)
    assert as_rows(made) == [(1, 10, 0, {"a": "1.0"}), (1, 10, 1, {"b": "2.0"})]


@given(points, st.booleans())
def test_no_point_is_lost_or_made_up(drawn: Rows, ranked: bool) -> None:
    made = build(drawn, ranked=ranked)
    expected = [
        (step, time, name, repr(value))
        for step, time, _, names, values in drawn
        for name, value in zip(names, values, strict=True)
    ]
    found = [(step, time, name, cell) for step, time, _, cells in as_rows(made) for name, cell in cells.items()]
    assert sorted(found) == sorted(expected)
    assert made.points == len(expected)
    assert [row[:2] for row in as_rows(made)] == sorted(row[:2] for row in as_rows(made))


@given(points)
def test_a_series_keeps_the_order_it_was_logged_in(drawn: Rows) -> None:
    made = build(drawn, ranked=False)
    for name in made.columns:
        logged = [
            (step, time / 1000, values[names.index(name)])
            for step, time, _, names, values in sorted(drawn, key=lambda point: point[:2])
            if name in names
        ]
        assert made.series(name) == logged


@given(points, st.booleans())
def test_a_table_taken_apart_is_built_again_the_same(drawn: Rows, ranked: bool) -> None:
    made = build(drawn, ranked=ranked)
    assume(ranked or not any(rank for _, _, rank, _, _ in drawn))
    assert as_rows(build(rows_of(made), ranked=ranked)) == as_rows(made)


def test_a_run_that_goes_on_keeps_the_rows_it_had() -> None:
    before = build(
        [(0, 0, 0, ("b",), (0.0,)), (5, 9, 0, ("a",), (1.0,)), (5, 9, 0, ("b", "a"), (2.0, 3.0))], ranked=False
    )
    more = build([(6, 10, 0, ("a",), (4.0,))], ranked=False)
    assert as_rows(joined(before, more)) == [*as_rows(before), *as_rows(more)]


@given(points, points, st.booleans())
def test_a_run_that_went_on_has_the_table_of_both(drawn: Rows, then: Rows, ranked: bool) -> None:
    assume(drawn and then)
    before, after = build(drawn, ranked=ranked), build(then, ranked=ranked)
    assume(ranked or not any(rank for _, _, rank, _, _ in [*drawn, *then]))
    assert as_rows(joined(before, after)) == as_rows(build([*rows_of(before), *rows_of(after)], ranked=ranked))


rare = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 1), st.sampled_from([("a",), ("b",), ("a", "b"), ("c",)])), max_size=6
)


@given(rare, st.integers(1, 60), st.booleans())
def test_rows_of_another_kind_among_many_make_the_same_table(
    others: list[tuple[int, int, tuple[str, ...]]], every: int, ranked: bool
) -> None:
    rows: list[tuple[int, int, tuple[str, ...], tuple[float, ...]]] = []
    for number in range(200):
        rows.append((number // 2, 1000 + number // 3, ("a",), (float(number),)))
        if number % every == 0 and others:
            step, time, names = others[number // every % len(others)]
            rows += [(number // 2 + step // 3, 1000 + number // 3 + time, names, tuple(map(float, range(len(names)))))]
    expected = build([(step, time, 4, names, cells) for step, time, names, cells in rows], ranked=ranked)
    ordered = sorted(rows, key=lambda row: row[:2])
    assert as_rows(table_of([(4, Points.of(ordered))], ranked=ranked)) == as_rows(expected)
