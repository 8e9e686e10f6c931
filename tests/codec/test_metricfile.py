"""Metrics that a program in any language wrote to a file."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from gittrack.codec import metricfile
from gittrack.errors import DataRefused
from tests.strategies import plain_values, whole_texts

ONE = [(None, {"loss": 0.5, "acc": 1})]
SERIES = [(0, {"loss": 0.5}), (1, {"loss": 0.25})]


def decode(text: str | bytes, name: str = "metrics.json") -> list[metricfile.Row]:
    return metricfile.decode(text if isinstance(text, bytes) else text.encode(), name=name)


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("m.json", '{"loss": 0.5, "acc": 1}', ONE),
        ("m", '{"loss": 0.5, "acc": 1}', ONE),
        ("m.json", '\ufeff{"loss": 0.5, "acc": 1}', ONE),
        ("m.json", '{"val": {"loss": NaN, "n": {"a": 1}}}', [(None, {"val.loss": math.nan, "val.n.a": 1})]),
        ("m.json", '[{"step": 3, "loss": 0.5}, {"loss": 1}]', [(3, {"loss": 0.5}), (None, {"loss": 1})]),
        ("m.json", '{"loss": [0.5, 0.25]}', SERIES),
        ("m.json", '{"step": [10, 20.0], "loss": [0.5, 0.25]}', [(10, {"loss": 0.5}), (20, {"loss": 0.25})]),
        ("m.json", '{"step": [10], "loss": [0.5, 0.25]}', [(10, {"loss": 0.5}), (1, {"loss": 0.25})]),
        ("m.json", '{"a": [1], "b": [2, 3]}', [(0, {"a": 1, "b": 2}), (1, {"b": 3})]),
        ("m.json", '{"step": [1, 2]}', [(0, {"step": 1}), (1, {"step": 2})]),
        ("m.json", '{"loss": [0.5, 0.25], "final": 1}', [*SERIES, (None, {"final": 1})]),
        ("m.json", '{"loss": []}', []),
        ("m.json", '{"tags": ["a"], "loss": 1}', [(None, {"tags": ["a"], "loss": 1})]),
        ("m.json", '{"flags": [true], "loss": 1}', [(None, {"flags": [True], "loss": 1})]),
        ("m.json", "{}", [(None, {})]),
        ("m.json", "[]", []),
        ("m.json", '{"loss": 0.5}\n\n{"loss": 0.25}\n', [(None, {"loss": 0.5}), (None, {"loss": 0.25})]),
        ("m.jsonl", '{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}', [(1, {"loss": 0.5}), (2, {"loss": 0.25})]),
        ("m.NDJSON", '{"loss": 0.5}\n', [(None, {"loss": 0.5})]),
        ("m.yaml", "loss: 0.5\nacc: 1\n", ONE),
        ("m.yml", "---\nloss: 0.5\nacc: 1\n", ONE),
        ("m.yaml", "- loss: 0.5\n- loss: 0.25\n", [(None, {"loss": 0.5}), (None, {"loss": 0.25})]),
        ("m.yaml", "---\n- {loss: 0.5}\n- loss: 0.25\n", [(None, {"loss": 0.5}), (None, {"loss": 0.25})]),
        ("m.yaml", "[{loss: 0.5},\n{loss: 0.25}]\n", [(None, {"loss": 0.5}), (None, {"loss": 0.25})]),
        ("m.yaml", "# first\n\n  # second\n- loss: 0.5\n  # third\n", [(None, {"loss": 0.5})]),
        ("m.yaml", "loss: [0.5, 0.25]\n", SERIES),
        ("m.yaml", "loss: 1e-3\n", [(None, {"loss": 0.001})]),
        ("m.csv", "loss,acc\n0.5,1\n", [(None, {"loss": 0.5, "acc": 1.0})]),
        (
            "m.csv",
            '\ufeffstep,"a, b",note\r\n1,0.5,good\r\n\r\n2,,\r\n',
            [(1, {"a, b": 0.5, "note": "good"}), (None, {"step": 2.0})],
        ),
        ("m.CSV", " epoch , loss ,\n 1 , nan ,x\n", [(1, {"epoch": 1.0, "loss": math.nan})]),
        (
            "m.tsv",
            "epoch\tloss\n1\t0.5\n1.5\t0.25\n",
            [(1, {"epoch": 1.0, "loss": 0.5}), (None, {"epoch": 1.5, "loss": 0.25})],
        ),
        ("m.csv", "loss\n", []),
        ("m.csv", "a,b,c\ntrue,null,0x10\n", [(None, {"a": True, "b": None, "c": 16})]),
    ],
)
def test_what_programs_write_becomes_points(name: str, text: str, rows: list[metricfile.Row]) -> None:
    assert repr(decode(text, name)) == repr(rows)


@pytest.mark.parametrize("key", ["step", "global_step", "_step", "iteration", "iter"])
def test_a_step_by_any_usual_name_is_the_step(key: str) -> None:
    assert decode(json.dumps([{key: 7, "loss": 0.5}])) == [(7, {"loss": 0.5})]


def test_an_epoch_is_the_step_and_stays_a_metric() -> None:
    assert decode('[{"epoch": 7, "loss": 0.5}]') == [(7, {"epoch": 7, "loss": 0.5})]


@pytest.mark.parametrize("step", [1.5, math.nan, math.inf, "1", None, True, [1]])
def test_what_is_no_step_stays_what_it_was(step: object) -> None:
    assert repr(decode(json.dumps([{"step": step, "loss": 0.5}]))) == repr([(None, {"step": step, "loss": 0.5})])


HOSTILE = {
    "nothing": ("m.json", ""),
    "no JSON": ("m.json", "{"),
    "a number": ("m.json", "5"),
    "a list of numbers": ("m.json", "[1, 2]"),
    "two lines that are no objects": ("m.json", "[1]\n[2]"),
    "a line that is no JSON": ("m.json", '{"a": 1}\n{"a"'),
    "no utf-8": ("m.json", b"\xff\xff\xff"),
    "deep JSON": ("m.json", "[" * 100_000),
    "deep lines": ("m.jsonl", '{"a":' * 100_000),
    "an integer of 5,000 digits": ("m.json", '{"a": ' + "1" * 5000 + "}"),
    "a step that no double holds": ("m.json", '{"a": 1, "step": 1' + "0" * 400 + "}"),
    "steps that are infinite": ("m.json", '{"a": [1], "step": [Infinity]}'),
    "steps that are no numbers": ("m.json", '{"a": [1], "step": [NaN]}'),
    "no YAML": ("m.yaml", "a: ["),
    "a list of words": ("m.yaml", "- a\n"),
    "an alias": ("m.yaml", "a: &x 1\nb: *x\n"),
    "deep YAML": ("m.yaml", "[" * 100_000),
    "deep dashes": ("m.yaml", "- " * 100_000),
    "an empty table": ("m.csv", ""),
    "a table without names": ("m.csv", ",,\n1,2,3\n"),
    "a row that is too short": ("m.csv", "a,b\n1\n"),
    "a row that is too long": ("m.csv", "a,b\n1,2\n1,2,3\n"),
    "a cell that is too long": ("m.csv", "a\n" + "x" * 200_000),
    "a table that is no utf-8": ("m.tsv", b"a\n\xff\n"),
}


@pytest.mark.parametrize(("name", "text"), HOSTILE.values(), ids=list(HOSTILE))
def test_what_is_no_metrics_is_refused_in_one_line_that_names_the_file(name: str, text: str | bytes) -> None:
    with pytest.raises(DataRefused) as refused:
        decode(text, name)
    assert f"'{name}'" in refused.value.message
    assert len("".join(refused.value.lines())) < 500


def test_a_row_of_another_length_is_named_by_its_line() -> None:
    with pytest.raises(DataRefused) as refused:
        decode("a,b\n1,2\n1,2,3\n", "m.csv")
    assert refused.value.cause == "line 3 has 3 cells, the first has 2"


ENDINGS = st.sampled_from(["m.json", "m.jsonl", "m.yaml", "m.csv", "m.tsv", "m"])


@given(ENDINGS, st.binary(max_size=120) | st.text(max_size=60).map(str.encode))
@example("m.yaml", b"-\x85")
@example("m.yaml", b"[\x85a: &x")
def test_no_bytes_get_anything_but_rows_or_a_refusal(name: str, raw: bytes) -> None:
    try:
        rows = decode(raw, name)
    except DataRefused:
        return
    assert all(step is None or type(step) is int for step, _ in rows)
    assert all(type(values) is dict for _, values in rows)


ROWS = st.lists(
    st.dictionaries(whole_texts | st.sampled_from(metricfile._STEPS), plain_values(whole_texts), max_size=4)
)


@given(ENDINGS, ROWS | st.dictionaries(whole_texts, plain_values(whole_texts)))
def test_no_values_get_anything_but_rows_or_a_refusal(name: str, document: Any) -> None:
    text = json.dumps(document) if "json" in name or name == "m" else yaml.safe_dump(document, allow_unicode=True)
    try:
        rows = decode(text, name)
    except DataRefused:
        return
    assert all(step is None or type(step) is int for step, _ in rows)
