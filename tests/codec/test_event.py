"""Events and edits: a line of JSON each, and a clock that only goes forward."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gittrack.codec import event, record
from gittrack.errors import DataRefused
from gittrack.model import Edit, Event, State, fold
from tests.strategies import edit_lists, edits, events, plain_values, texts

FILE = "0000000000000001-00000000.json"
EDIT: dict[str, Any] = {"author": "Ada <ada@example.org>", "time": "2026-11-23T14:51:10.123Z", "clock": 1}
EVENT: dict[str, Any] = {"step": 1, "time": 1.5, "key": "k", "value": "v", "kind": "text"}


@given(st.lists(events, max_size=5))
@example([Event(1.0, "k", {"a": [math.nan, {"$float": "inf"}]}, None, "summary"), Event(math.inf, "\n", "\r\n", -1)])
def test_events_come_back_from_a_line_each(given_events: list[Event]) -> None:
    raw = event.encode_events(given_events)
    assert raw.isascii()
    assert raw.count(b"\n") == len(given_events)
    assert repr(event.decode_events(raw)) == repr(given_events)
    assert event.encode_events(event.decode_events(raw)) == raw


def test_the_time_of_an_event_has_at_most_three_decimals() -> None:
    raw = event.encode_events([Event(1763909470.123456, "k", "v", 7)])
    assert raw == b'{"step":7,"time":1763909470.123,"key":"k","value":"v","kind":"text"}\n'


def test_an_event_without_a_kind_is_a_text() -> None:
    facts = {key: value for key, value in EVENT.items() if key != "kind"}
    assert event.decode_events(json.dumps(facts).encode()) == [Event(1.5, "k", "v", 1, "text")]


HOSTILE_EVENTS = {
    "no JSON": b"{",
    "no utf-8": b'"\xff"',
    "a list": b"[]",
    "a word": b'"x"',
    "no key": json.dumps({**EVENT, "key": 1} | {"value": 1}).encode().replace(b'"key"', b'"other"'),
    "a step that is a text": json.dumps({**EVENT, "step": "\x1b[31m"}).encode(),
    "a step that is true": json.dumps({**EVENT, "step": True}).encode(),
    "a time that is a text": json.dumps({**EVENT, "time": "soon"}).encode(),
    "a time that no double holds": json.dumps({**EVENT, "time": 10**400}).encode(),
    "a value that is deep": json.dumps(EVENT).encode().replace(b'"v"', b"[" * 40 + b"]" * 40),
    "a value that is very deep": json.dumps(EVENT).encode().replace(b'"v"', b"[" * 90_000 + b"]" * 90_000),
    "an empty line": b"",
}


@pytest.mark.parametrize("line", HOSTILE_EVENTS.values(), ids=list(HOSTILE_EVENTS))
def test_a_hostile_event_is_refused_by_its_line(line: bytes) -> None:
    sound = json.dumps(EVENT).encode()
    with pytest.raises(DataRefused) as refused:
        event.decode_events(sound + b"\n" + line + b"\n" + sound + b"\n")
    assert refused.value.lines() == ["error: cannot read 'events.jsonl'", "cause: line 2 is malformed"]


@given(
    st.binary(max_size=60)
    | st.dictionaries(st.sampled_from(list(EVENT)), plain_values(texts)).map(
        lambda changed: record.dump(EVENT | changed).encode()
    )
)
def test_no_bytes_get_anything_but_events_or_a_refusal(raw: bytes) -> None:
    try:
        found = event.decode_events(raw)
    except DataRefused:
        return
    again = event.decode_events(event.encode_events(found))
    assert [(one.key, repr(one.value), one.step) for one in again] == [
        (one.key, repr(one.value), one.step) for one in found
    ]


@given(edits())
def test_an_edit_comes_back_from_one_line(edit: Edit) -> None:
    raw = event.encode_edit(edit)
    assert raw.isascii()
    assert raw.count(b"\n") == 1
    assert event.decode_edit(raw, file=edit.file) == edit
    assert event.encode_edit(event.decode_edit(raw, file=edit.file)) == raw


def test_an_edit_of_a_kind_that_is_not_known_changes_nothing() -> None:
    raw = json.dumps({**EDIT, "colour": "red"}).encode()
    edit = event.decode_edit(raw, file=FILE)
    assert edit.changes == {}
    base = State(name="n", status="finished")
    assert fold(base, [edit]) == base


@pytest.mark.parametrize(
    "changes",
    [
        {"clock": -1},
        {"clock": 1 << 64},
        {"clock": 1.0},
        {"clock": True},
        {"clock": None},
        {"author": None},
        {"time": 5},
        {"name": 5},
        {"group": None},
        {"status": ["finished"]},
        {"status": "lost"},
        {"note": {"a": 1}},
        {"tag": "best"},
        {"tag": [1]},
        {"tag": None},
        {"tag": {"best": 1}},
        {"untag": ["best"]},
        {"untag": {"best": "run.yaml"}},
        {"untag": {"best": [1]}},
        {"star": {"$float": []}},
        {"star": "yes"},
        {"delete": False},
        {"restore": 1},
    ],
    ids=str,
)
def test_a_malformed_edit_is_refused_by_its_file(changes: dict[str, Any]) -> None:
    with pytest.raises(DataRefused, match=FILE):
        event.decode_edit(json.dumps(EDIT | changes).encode(), file=FILE)


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"5", b"\xff", b"[" * 50_000, b" " * 65_537 + b"{}"])
def test_what_is_no_edit_is_refused_by_its_file(raw: bytes) -> None:
    with pytest.raises(DataRefused) as refused:
        event.decode_edit(raw, file=FILE)
    assert refused.value.message == f"cannot read 'edits/{FILE}'"


@given(
    st.binary(max_size=60)
    | st.dictionaries(st.sampled_from([*EDIT, *event._EDIT_KEYS]), plain_values(texts)).map(
        lambda changed: record.dump(EDIT | changed).encode()
    )
)
def test_no_bytes_get_anything_but_an_edit_or_a_refusal(raw: bytes) -> None:
    try:
        edit = event.decode_edit(raw, file=FILE)
    except DataRefused:
        return
    fold(State(name="n", status="finished"), [edit])


def test_an_edit_that_no_reader_would_take_is_not_written() -> None:
    room = event.MAX_EDIT_BYTES - len(event.encode_edit(Edit(FILE, 1, "a", "t", {"note": ""})))
    event.decode_edit(event.encode_edit(Edit(FILE, 1, "a", "t", {"note": "x" * room})), file=FILE)
    with pytest.raises(DataRefused, match="one edit"):
        event.encode_edit(Edit(FILE, 1, "a", "t", {"note": "x" * (room + 1)}))


@given(st.integers(0, event.MAX_CLOCK), st.integers(0))
def test_files_of_edits_sort_as_their_clocks(clock: int, random: int) -> None:
    name = event.edit_file(clock, random)
    assert len(name) == len(FILE)
    assert int(name[:16], 16) == clock
    if clock:
        assert event.edit_file(clock - 1, random) < name


@given(edit_lists, st.floats(0, 4e9))
def test_the_next_clock_exceeds_every_clock_and_the_time(before: list[Edit], now: float) -> None:
    clock = event.next_clock(before, now=now)
    assert all(clock > edit.clock for edit in before)
    assert clock >= int(now * 1000) * 65_536


def test_a_stranger_who_used_the_last_clock_does_not_stop_others() -> None:
    last = Edit(event.edit_file(event.MAX_CLOCK, 0), event.MAX_CLOCK, "a", "t", {})
    clock = event.next_clock([last], now=1.0)
    edit = Edit(event.edit_file(clock, 1), clock, "a", "t", {"name": "after"})
    assert event.decode_edit(event.encode_edit(edit), file=edit.file) == edit
    assert fold(State(name="n", status="finished"), [edit, last]).name == "after"
