"""The commit message of a run: one line of JSON that lists it, and nothing that a stranger writes there can hurt."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gittrack.codec import record
from gittrack.errors import DataRefused
from gittrack.model import Code, Metric, Run
from gittrack.refname import Oid, RunId
from tests.strategies import plain_values, runs, texts

ID = RunId("r0123456789ab")
PLAIN = Run(id=ID, name="calm-heron-42", status="finished", created="2026-11-23T14:51:10.123Z", artifact_count=1)
METRIC = Metric(last=0.5, step=3, min=0.25, min_step=1, max=2.0, max_step=0, mean=0.75, count=4)


def message(**changed: Any) -> bytes:
    """Returns a message whose record has these values in place of sound ones."""
    facts = {"v": 1, "id": ID, "name": "n", "status": "finished", "created": "c"} | changed
    return f"run n: finished\n\nRun: {ID}\nRecord: {json.dumps(facts)}\n".encode()


def decode(raw: bytes) -> Run:
    return record.decode_message(raw, run=ID)


@given(runs(st.just(ID)))
@example(replace(PLAIN, params={"a": {"$float": "nan"}, "b": {"$$float": [math.nan]}, "c": {"$float": 1, "d": 2}}))
@example(replace(PLAIN, params={"$float": math.inf, "lone": "\ud800", "big": 10**1200}, duration=0.0, exit_code=0))
def test_a_message_tells_the_whole_run(run: Run) -> None:
    assert repr(decode(record.encode_message(run))) == repr(run)


@given(runs(st.just(ID)), st.booleans())
def test_a_message_is_utf8_with_one_record_in_its_last_line(run: Run, join: bool) -> None:
    raw = record.encode_message(run, join=join)
    lines = raw.decode().split("\n")
    assert lines.pop() == ""
    subject, empty, *trailers = lines
    assert subject.startswith("run ")
    assert len(subject) <= 120
    assert not any(char < " " or "\x7f" <= char < "\xa0" for char in subject)
    assert empty == ""
    assert trailers[-1].startswith("Record: {")
    assert trailers[-1].isascii()
    assert [line.partition(":")[0] for line in trailers] == [
        "Run",
        *(["Code"] if run.code.commit else []),
        *(["Join"] if join else []),
        "Record",
    ]
    assert record.is_join(raw) == join


@given(plain_values(texts))
def test_values_come_back_from_one_line_of_ascii(value: object) -> None:
    text = record.dump(value)
    assert text.isascii()
    assert "\n" not in text
    assert repr(record.load(text)) == repr(value)
    assert repr(record.load(text.encode())) == repr(value)
    assert record.dump(record.load(text)) == text
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, '{"$float":"nan"}'),
        ([1, -math.inf], '[1,{"$float":"-inf"}]'),
        ({"a": {"b": math.inf}}, '{"a":{"b":{"$float":"inf"}}}'),
        ({"$float": "nan"}, '{"$$float":"nan"}'),
        ({"$$float": {"$float": 1}}, '{"$$$float":{"$$float":1}}'),
        ({"$float": 1, "b": 2}, '{"$float":1,"b":2}'),
        ({"$ float": 1}, '{"$ float":1}'),
        ("$float", '"$float"'),
        (-0.0, "-0.0"),
        ("\ud800é", '"\\ud800\\u00e9"'),
    ],
)
def test_what_json_has_no_word_for_is_tagged(value: object, text: str) -> None:
    assert record.dump(value) == text
    assert repr(record.load(text)) == repr(value)


def test_keys_stand_in_the_order_of_the_format_and_empty_ones_are_left_out() -> None:
    full = replace(
        PLAIN,
        ended="e",
        duration=1.5,
        author="Ada <ada@example.org>",
        host="h",
        code=Code(Oid("a" * 40), "main", dirty=True, snapshot=Oid("b" * 40)),
        command="train",
        params={"lr": 0.1},
        metrics={"loss": METRIC._replace(goal="min")},
        tags=("x",),
        group="g",
        parent=ID,
        project="p",
        job_type="j",
        note="n",
        starred=True,
        deleted=True,
        artifact_size=5,
        points=4,
        exit_code=0,
        seal="s",
        more=True,
    )
    facts = record.encode(full)
    assert (
        list(facts)
        == (
            "v id name status created ended duration author host code command params metrics tags group parent project "
            "job_type note starred deleted artifacts points exit_code seal more"
        ).split()
    )
    assert facts["metrics"] == {"loss": [0.5, 3, 0.25, 1, 2.0, 0, 0.75, 4, "min"]}
    assert list(facts["code"]) == ["commit", "snapshot", "branch", "dirty"]
    assert list(record.encode(replace(PLAIN, artifact_count=0))) == ["v", "id", "name", "status", "created", "author"]


@pytest.mark.parametrize(
    ("metrics", "subject"),
    [
        ({}, "run calm-heron-42: finished"),
        ({"loss": METRIC}, "run calm-heron-42: finished, loss 0.5"),
        ({"loss": METRIC, "acc": METRIC._replace(goal="max")}, "run calm-heron-42: finished, acc 2"),
        ({"a\tb\x1b[31m\n": METRIC}, "run calm-heron-42: finished, a b\\x1b[31m\\n 0.5"),
        ({"x" * 200: METRIC}, "run calm-heron-42: finished, " + "x" * 91),
    ],
)
def test_the_subject_tells_people_how_it_went(metrics: dict[str, Metric], subject: str) -> None:
    assert record.subject(replace(PLAIN, metrics=metrics)) == subject


def test_a_long_command_or_note_is_cut_in_the_record() -> None:
    run = decode(record.encode_message(replace(PLAIN, command="c" * 600, note="n" * 1200)))
    assert (run.command, run.note) == ("c" * 500, "n" * 1000)


MANY_PARAMS = {f"p{number}": "x" * 50 for number in range(2000)}
MANY_METRICS = {f"m{number}": METRIC for number in range(2000)}


@pytest.mark.parametrize(
    ("params", "metrics", "kept"),
    [
        (MANY_PARAMS, {"loss": METRIC}, ({}, {"loss": METRIC})),
        ({"lr": 0.1}, MANY_METRICS, ({"lr": 0.1}, {})),
        (MANY_PARAMS, MANY_METRICS, ({}, {})),
    ],
)
def test_a_record_that_would_be_too_long_sends_the_reader_to_the_tree(
    params: dict[str, Any], metrics: dict[str, Metric], kept: tuple[object, object]
) -> None:
    raw = record.encode_message(replace(PLAIN, params=params, metrics=metrics))
    run = decode(raw)
    assert run.more
    assert (run.params, run.metrics) == kept
    assert len(raw) < record.MAX_INLINE


ROW = [1, 1, 1, 1, 1, 1, 1, 1, None]
DEEP: Any = {}
for _ in range(record.MAX_DEPTH + 2):
    DEEP = {"a": DEEP}
HOSTILE = {
    "another version": message(v=2),
    "another run": message(id="r00000000000z"),
    "no name": message(name=None),
    "a name that is no text": message(name=["x"]),
    "a status that is none": message(status="won"),
    "a status that is a list": message(status=[]),
    "no time": message(created=5),
    "params that are a list": message(params=[1]),
    "params that are deep": message(params=DEEP),
    "metrics that are a list": message(metrics=[1]),
    "a metric without numbers": message(metrics={"a": [1]}),
    "a metric with texts": message(metrics={"a": ["x", *ROW[1:]]}),
    "a step that is infinite": message(metrics={"a": [1, {"$float": "inf"}, *ROW[2:]]}),
    "a step that is no number": message(metrics={"a": [1, {"$float": "nan"}, *ROW[2:]]}),
    "a value that no double holds": message(metrics={"a": [10**400, *ROW[1:]]}),
    "a duration that is infinite": message(duration={"$float": "inf"}),
    "a duration that no double holds": message(duration=10**400),
    "a tag for a number that is none": message(params={"a": {"$float": "1"}}),
    "a tag for a list": message(params={"a": {"$float": [1]}}),
    "code that is a list": message(code=[1]),
    "a commit that is an option": message(code={"commit": "--upload-pack=x"}),
    "a commit that is a number": message(code={"commit": 1}),
    "a parent that is no run": message(parent="main"),
    "tags that are a number": message(tags=5),
    "a tag that is a number": message(tags=[5]),
    "artifacts that are a list": message(artifacts=[1]),
    "an exit code that is a text": message(exit_code="x"),
    "a list": b"x\n\nRecord: []\n",
    "no JSON": b"x\n\nRecord: {\n",
    "JSON of Python": message(params={"a": math.nan}),
    "more than 100,000 brackets": b"x\n\nRecord: " + b"[" * 100_001 + b"\n",
    "no utf-8": b"x\n\nRecord: \xff\n",
    "an integer of 5,000 digits": b'x\n\nRecord: {"v":' + b"1" * 5000 + b"}\n",
    "no record": b"x\n\nRun: " + ID.encode() + b"\n",
    "nothing": b"",
    "a record first": message().partition(b"\n\n")[2].partition(b"\n")[2],
    "two records": message() + b"\nRecord: {}\n",
    "a line after the record": message() + b"Signed-off-by: x\n",
    "two lines after the record": message() + b"a\nb\n",
    "more than 1 MiB": message(params={"a": "x" * record.MAX_BYTES}),
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_message_is_refused_in_one_line_that_names_the_run(raw: bytes) -> None:
    with pytest.raises(DataRefused) as refused:
        decode(raw)
    assert ID in refused.value.message
    assert len("".join(refused.value.lines())) < 500


def test_a_newer_record_says_what_to_do() -> None:
    with pytest.raises(DataRefused) as refused:
        decode(message(v=2))
    assert refused.value.lines() == [
        f"error: cannot read run '{ID}'",
        "cause: record version 2 is not known",
        "hint: install a newer gittrack",
    ]


@given(st.binary(max_size=100))
def test_no_bytes_behind_the_trailer_get_anything_but_a_refusal(raw: bytes) -> None:
    with pytest.raises(DataRefused):
        decode(b"x\n\nRecord: " + raw)


@given(
    st.dictionaries(
        st.sampled_from((*record.encode(PLAIN), "params", "metrics", "code", "tags", "duration", "parent", "seal")),
        plain_values(texts) | st.just([1, 1, 1, 1, 1, 1, 1, 1, 1]),
    )
)
def test_no_values_in_a_record_get_anything_but_a_run_or_a_refusal(facts: dict[str, Any]) -> None:
    sound = {"v": 1, "id": ID, "name": "n", "status": "finished", "created": "c"}
    raw = b"x\n\nRecord: " + record.dump(sound | facts).encode() + b"\n"
    try:
        run = decode(raw)
    except DataRefused:
        return
    again = decode(record.encode_message(run))
    assert run.more or again.more or repr(again.params) == repr(run.params)


def test_unknown_keys_are_skipped() -> None:
    assert decode(message(colour="red")) == decode(message())


def test_a_goal_that_is_none_is_left_out() -> None:
    assert decode(message(metrics={"a": [*ROW[:8], ["min"]]})).metrics["a"].goal is None
