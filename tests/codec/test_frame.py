"""The journal: a process may die between any two bytes, and a disk may flip one."""

from __future__ import annotations

import itertools
import json
import math
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gittrack.codec import frame
from gittrack.codec.points import Points
from tests.strategies import floats, plain_values, texts

Point = tuple[int, int, tuple[str, ...], tuple[float, ...]]
HEADER = {"host": "h", "pid": 7, "start": None}
NOTES: list[dict[str, Any]] = [{"t": 1.5, "k": "params", "v": {"lr": 0.1}}, {"t": 2.5, "k": "end", "x": math.inf}]


def frames() -> list[bytes]:
    """Returns the frames of a small journal: header, schema (twice), points, notes."""
    pack = frame.PointPacker(3, 2)
    schema = frame.encode_schema(3, ("loss", "val/acc"))
    half = len(schema) // 2
    return [
        frame.encode_json(b"H", HEADER),
        schema[:half],
        schema[half:],
        pack(1.0, 0, (0.5, -0.0)),
        frame.encode_json(b"J", NOTES[0]),
        pack(2.0, 2**63 - 1, (math.inf, 5e-324)),
        pack(3.0, -(2**63), (1e308, 0.1)),
        frame.encode_json(b"J", NOTES[1]),
    ]


POINTS: list[Point] = [
    (0, 1000, ("loss", "val/acc"), (0.5, -0.0)),
    (2**63 - 1, 2000, ("loss", "val/acc"), (math.inf, 5e-324)),
    (-(2**63), 3000, ("loss", "val/acc"), (1e308, 0.1)),
]
WHOLE = b"".join(frames())


def test_a_whole_journal_is_read_in_the_order_it_was_written() -> None:
    assert repr(frame.decode(WHOLE)) == repr(frame.Journal(HEADER, Points.of(POINTS), NOTES, corrupt=0, torn=0))


@given(
    st.lists(st.tuples(texts, floats), max_size=5, unique_by=lambda cell: cell[0]),
    st.floats(0, 4e9),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**32 - 1),
)
def test_a_point_comes_back_to_the_last_bit(
    cells: list[tuple[str, float]], time: float, step: int, schema: int
) -> None:
    names, values = tuple(name for name, _ in cells), tuple(value for _, value in cells)
    raw = frame.encode_schema(schema, names) + frame.PointPacker(schema, len(names))(time, step, values)
    assert repr(list(frame.decode(raw).points)) == repr([(step, int(time * 1000), names, values)])


@given(st.dictionaries(texts, plain_values(texts), max_size=4))
def test_a_note_comes_back_whatever_is_in_it(note: dict[str, Any]) -> None:
    assert repr(frame.decode(frame.encode_json(b"J", note)).notes) == repr([note])


@pytest.mark.parametrize("values", [("x",), (None,), (10**400,), (1.0, 2.0), ()])
def test_what_is_no_row_of_doubles_is_not_packed(values: tuple[Any, ...]) -> None:
    with pytest.raises((struct.error, TypeError, OverflowError)):
        frame.PointPacker(0, 1)(1.0, 0, values)


@pytest.mark.parametrize("step", [2**63, -(2**63) - 1])
def test_a_step_of_more_than_64_bits_is_not_packed(step: int) -> None:
    with pytest.raises(struct.error):
        frame.PointPacker(0, 1)(1.0, step, (1.0,))


def test_what_no_reader_would_take_is_not_framed() -> None:
    room = frame.MAX_PAYLOAD - len(b'J{"a":""}')
    assert frame.decode(frame.encode_json(b"J", {"a": "x" * room})).notes == [{"a": "x" * room}]
    with pytest.raises(ValueError, match="1048576"):
        frame.encode_json(b"J", {"a": "x" * (room + 1)})
    with pytest.raises(ValueError, match="200000 metrics"):
        frame.PointPacker(0, 200_000)
    with pytest.raises(ValueError, match="1048576"):
        frame.encode_schema(0, tuple(f"metric{number}" for number in range(100_000)))


def test_a_journal_that_is_cut_anywhere_keeps_every_whole_frame() -> None:
    ends = [0, *itertools.accumulate(map(len, frames()))]
    for size in range(len(WHOLE) + 1):
        whole = sum(end <= size for end in ends) - 1
        journal = frame.decode(WHOLE[:size])
        kept = frame.decode(b"".join(frames()[:whole]))
        assert repr((journal.header, journal.points, journal.notes)) == repr((kept.header, kept.points, kept.notes))
        assert (journal.corrupt, journal.torn) == (0, size - ends[whole])


def found(journal: frame.Journal) -> list[str]:
    """Returns what can be lost of a journal, a text each."""
    return [repr(journal.header), *map(repr, journal.points), *map(repr, journal.notes)]


def test_one_flipped_bit_loses_at_most_the_frame_it_hits_and_is_counted() -> None:
    starts = list(itertools.accumulate(map(len, frames()), initial=0))
    every = found(frame.decode(WHOLE))
    for at, bit in itertools.product(range(len(WHOLE)), range(8)):
        hit = sum(start <= at for start in starts) - 1
        raw = bytearray(WHOLE)
        raw[at] ^= 1 << bit
        journal = frame.decode(bytes(raw))
        lost = [text for text in every if text not in found(journal)]
        assert len(lost) == (0 if hit in (1, 2) else 1), (at, bit)  # a schema is there twice
        assert [text for text in found(journal) if text not in every] == (["{}"] if hit == 0 else []), (at, bit)
        # The last frame cannot be told from a torn one.
        expected = (0, True) if hit == len(frames()) - 1 else (1, False)
        assert (journal.corrupt, journal.torn > 0) == expected, (at, bit)


def test_noise_between_frames_is_one_corrupt_frame_each_time() -> None:
    first, *rest = frames()
    journal = frame.decode(first + b"noise" + frame.MARK + b"noise" + b"".join(rest[:-1]) + frame.MARK * 9 + rest[-1])
    assert list(journal.points) == POINTS
    assert (journal.corrupt, journal.torn) == (2, 0)


def test_points_whose_names_were_lost_are_counted() -> None:
    header, _, _, *rest = frames()
    journal = frame.decode(header + b"".join(rest))
    assert list(journal.points) == []
    assert journal.corrupt == 3


WRONG = {
    "a note that is no JSON": b"J[",
    "a note that is a list": b"J[]",
    "a note that is deep": b"J" + b"[" * 100_000,
    "a note that is no text": b"J\xff",
    "a header that is a number": b"H5",
    "a schema without names": b"K\0\0\0\0",
    "a schema without a number": b"K",
    "a schema that is no list": b"K\0\0\0\0" + json.dumps({"a": 1}).encode(),
    "a schema with a number as name": b"K\0\0\0\0[1]",
    "a point that is too short": b"P\3\0",
    "a point with a value too many": frame.PointPacker(3, 3)(1.0, 1, (1.0, 2.0, 3.0))[10:],
    "a point with a value too few": frame.PointPacker(3, 1)(1.0, 1, (1.0,))[10:],
    "a kind that is not known": b"Z{}",
    "nothing but a kind": b"J",
}


@pytest.mark.parametrize("payload", WRONG.values(), ids=list(WRONG))
def test_a_sound_frame_with_a_wrong_payload_is_skipped_and_counted(payload: bytes) -> None:
    every = frames()
    journal = frame.decode(b"".join([*every[:5], frame.encode(payload), *every[5:]]))
    assert repr(journal) == repr(frame.Journal(HEADER, Points.of(POINTS), NOTES, corrupt=1, torn=0))


def test_an_empty_payload_is_no_frame() -> None:
    assert frame.decode(frame.encode(b"") + WHOLE).corrupt == 1


@given(st.binary(max_size=300))
@example(b"")
@example(frame.MARK * 20)
@example(frame.MARK + b"\xff" * 8)
def test_no_bytes_raise(raw: bytes) -> None:
    journal = frame.decode(raw)
    assert journal.torn <= len(raw)
    assert list(frame.decode(raw + WHOLE).points) == POINTS


@given(st.lists(st.tuples(st.sampled_from(b"HKPJZ\xff"), st.binary(max_size=60)), max_size=6))
def test_no_payloads_raise(payloads: list[tuple[int, bytes]]) -> None:
    raw = b"".join(frame.encode(bytes([kind]) + payload) for kind, payload in payloads)
    journal = frame.decode(raw)
    assert journal.torn == 0
    assert journal.corrupt + len(journal.points) + len(journal.notes) <= len(payloads)
    assert all(type(note) is dict for note in [journal.header, *journal.notes])


# Long journals ------------------------------------------------------------------------------------------------------


def long_journal(kinds: int, rows: int) -> list[bytes]:
    """Returns the frames of a journal with many rows, of which every `kinds`-th is of another kind."""
    made = [frame.encode_json(b"H", HEADER), frame.encode_schema(1, ("loss",)), frame.encode_schema(2, ("a", "b"))]
    one, other = frame.PointPacker(1, 1), frame.PointPacker(2, 2)
    for row in range(rows):
        time = 1e9 + row / 8
        made.append(other(time, row, (row / 3, -row)) if row % kinds == kinds - 1 else one(time, row, (row / 7,)))
    return made


def plainly(kinds: int, rows: range) -> list[Point]:
    """Returns what `long_journal` holds."""
    return [
        (row, int((1e9 + row / 8) * 1000), ("a", "b"), (row / 3, float(-row)))
        if row % kinds == kinds - 1
        else (row, int((1e9 + row / 8) * 1000), ("loss",), (row / 7,))
        for row in rows
    ]


@pytest.mark.parametrize("kinds", [2, 3, 20, 100, 100_000])
def test_many_points_are_read_as_each_of_them_is(kinds: int) -> None:
    assert list(frame.decode(b"".join(long_journal(kinds, 10_000))).points) == plainly(kinds, range(10_000))


@given(st.integers(1, 60), st.integers(1, 300), st.integers(1, 200))
def test_a_journal_may_come_in_pieces_of_any_size(kinds: int, rows: int, size: int) -> None:
    raw = b"".join(long_journal(kinds + 1, rows))
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    assert repr(frame.decode(pieces)) == repr(frame.decode(raw))
    assert frame.decode(pieces).size == len(raw)
    assert repr(frame.decode(frame.encode(b"x" * 3000)[:-1] + raw)) == repr(
        frame.decode([frame.encode(b"x" * 3000)[:-1], *pieces])
    )


@given(st.integers(0, 12_000), st.integers(0, 7), st.integers(50, 500))
def test_one_flipped_bit_among_many_points_loses_one(at: int, bit: int, size: int) -> None:
    made = long_journal(1000, 300)
    raw = bytearray(b"".join(made))
    ends = list(itertools.accumulate(map(len, made)))
    at = ends[2] + at % (len(raw) - ends[2])
    raw[at] ^= 1 << bit
    hit = sum(end <= at for end in ends) - 3
    for journal in (
        frame.decode(bytes(raw)),
        frame.decode([bytes(raw[n : n + size]) for n in range(0, len(raw), size)]),
    ):
        assert list(journal.points) == [row for row in plainly(1000, range(300)) if row[0] != hit]
        assert (journal.corrupt, journal.torn > 0) == ((0, True) if hit == 299 else (1, False))


def test_a_time_that_is_none_is_counted() -> None:
    pack = frame.PointPacker(1, 1)
    rows = [pack(math.nan if row in (3, 40) else 1.0, row, (0.5,)) for row in range(60)]
    journal = frame.decode(frame.encode_schema(1, ("loss",)) + b"".join(rows))
    assert (len(journal.points), journal.corrupt) == (58, 2)
