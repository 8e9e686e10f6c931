"""The YAML files of a run: what is there comes back, what is missing or odd is refused or made plain."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gittrack.codec import manifest, yaml12
from gittrack.errors import DataRefused
from gittrack.model import Artifact, Code, Metric, Omitted, State
from gittrack.refname import Oid
from gittrack.values import clean_name
from tests.strategies import artifacts, metrics, plain_values, texts, whole_texts

METRIC = Metric(last=0.5, step=3, min=0.25, min_step=1, max=2.0, max_step=0, mean=0.75, count=4)
OID = Oid("a" * 40)


@given(
    st.dictionaries(
        whole_texts.map(clean_name),
        st.builds(Metric._replace, metrics, nan=st.integers(0, 9), summary=st.none() | st.floats()),
        max_size=4,
    )
)
def test_metrics_come_back_and_stand_sorted_by_name(given_metrics: dict[str, Metric]) -> None:
    raw = manifest.encode_metrics(given_metrics)
    found = manifest.decode_metrics(raw)
    assert repr(found) == repr({name: given_metrics[name] for name in sorted(given_metrics, key=str.encode)})
    assert manifest.encode_metrics(found) == raw
    assert list(yaml.safe_load(raw)) == list(found)


def test_a_metric_says_what_is_best_only_where_there_is_a_goal() -> None:
    made = {"b": METRIC, "a": METRIC._replace(goal="max", nan=1, summary=0.5)}
    assert manifest.encode_metrics(made).decode() == (
        "a:\n  last: 0.5\n  step: 3\n  min: 0.25\n  min_step: 1\n  max: 2.0\n  max_step: 0\n"
        "  best: 2.0\n  best_step: 0\n  mean: 0.75\n  count: 4\n  nan: 1\n  goal: max\n  summary: 0.5\n"
        "b:\n  last: 0.5\n  step: 3\n  min: 0.25\n  min_step: 1\n  max: 2.0\n  max_step: 0\n  mean: 0.75\n  count: 4\n"
    )


SOUND = "last: 1, step: 1, min: 1, min_step: 1, max: 1, max_step: 1, mean: 1, count: 1"


@pytest.mark.parametrize(
    "facts",
    [
        "5",
        "[1]",
        "null",
        "word",
        "{last: 1}",
        "{" + SOUND.replace("last: 1", "last: x") + "}",
        "{" + SOUND.replace("step: 1,", "step: .inf,", 1) + "}",
        "{" + SOUND.replace("count: 1", "count: .nan") + "}",
        "{" + SOUND.replace("mean: 1", "mean: " + "9" * 400) + "}",
        "{" + SOUND.replace("mean: 1", "mean: [1]") + "}",
        "{" + SOUND + ", nan: x}",
        "{" + SOUND + ", summary: [1]}",
    ],
)
def test_a_metric_without_its_numbers_is_refused_by_name(facts: str) -> None:
    with pytest.raises(DataRefused) as refused:
        manifest.decode_metrics(f"loss: {{{SOUND}}}\nval/acc: {facts}\n".encode())
    assert refused.value.lines() == ["error: cannot read 'metrics.yaml'", "cause: metric 'val/acc' is incomplete"]


def test_a_goal_that_is_none_is_left_out() -> None:
    assert manifest.decode_metrics(f"a: {{{SOUND}, goal: [up]}}\n".encode())["a"].goal is None


@given(st.lists(artifacts, max_size=4, unique_by=lambda item: item.path))
def test_artifacts_come_back_sorted_by_path(items: list[Artifact]) -> None:
    raw = manifest.encode_artifacts(items)
    found = manifest.decode_artifacts(raw)
    plain = [replace(item, metadata=item.metadata or None) for item in items]
    assert repr(found) == repr(sorted(plain, key=lambda item: item.path))
    assert manifest.encode_artifacts(found) == raw


@pytest.mark.parametrize("facts", ["5", "[1]", "null", "{}", "{size: big}", "{size: 1.5}"])
def test_an_artifact_without_a_size_is_refused_by_path(facts: str) -> None:
    with pytest.raises(DataRefused) as refused:
        manifest.decode_artifacts(f"plots/roc.png: {facts}\n".encode())
    assert refused.value.cause == "artifact 'plots/roc.png' is incomplete"


@given(st.dictionaries(st.sampled_from(["name", "type", "kind", "aliases", "metadata", "sha256"]), plain_values(texts)))
def test_whatever_an_artifact_says_of_itself_is_text(facts: dict[str, Any]) -> None:
    raw = yaml12.encode({"a": {"size": 1} | facts})
    (item,) = manifest.decode_artifacts(raw)
    assert all(isinstance(text, str) for text in (item.kind, item.sha256, *item.aliases))
    assert all(text is None or isinstance(text, str) for text in (item.name, item.type))
    assert item.metadata is None or isinstance(item.metadata, dict)


def test_run_yaml_has_its_keys_in_their_order_and_none_without_a_value() -> None:
    given_facts = dict.fromkeys(reversed(manifest.RUN_KEYS), "x") | {"unknown": 1}
    assert list(yaml.safe_load(manifest.encode_run(given_facts))) == manifest.RUN_KEYS
    empty: dict[str, Any] = {
        "id": "r1",
        "tags": [],
        "notes": (),
        "seeds": {},
        "group": None,
        "exit_code": 0,
        "name": "",
    }
    assert manifest.encode_run(empty) == b'format: 1\nid: r1\nname: ""\nexit_code: 0\n'


def test_a_command_line_that_is_too_long_for_a_reader_does_not_hide_the_run() -> None:
    raw = manifest.encode_run({"id": "r1", "command": ["x"] * 200_000, "name": "n"})
    assert manifest.decode_run(raw) == {"format": 1, "id": "r1", "name": "n"}


@pytest.mark.parametrize("raw", [b"format: 2\n", b"format: one\n", b"id: r1\n", b""])
def test_a_run_of_another_format_is_refused_with_a_hint(raw: bytes) -> None:
    with pytest.raises(DataRefused) as refused:
        manifest.decode_run(raw)
    assert refused.value.hint == "install a newer gittrack"


@given(
    st.dictionaries(
        st.sampled_from(["name", "status", "tags", "group", "notes", "code"]), plain_values(texts), max_size=6
    )
)
def test_whatever_run_yaml_says_becomes_a_state_of_texts(facts: dict[str, Any]) -> None:
    state = manifest.base_state(facts)
    assert all(isinstance(text, str) for text in (state.name, state.status, *state.tags, *state.notes))
    assert state.group is None or isinstance(state.group, str)


def test_what_edits_change_is_read_from_run_yaml() -> None:
    facts = {"name": "n", "status": "failed", "tags": ["b", "a"], "group": "g", "notes": ["one", "two"]}
    assert manifest.base_state(facts) == State("n", "failed", ("b", "a"), "g", ("one", "two"))
    assert manifest.base_state({}) == State("", "")


CODES = (
    Code(),
    Code(OID, "main", "https://example.org/x.git", dirty=True, snapshot=Oid("b" * 64)),
    Code(OID, omitted=(Omitted("data.bin", "too large", 5), Omitted(".env", "a secret"), Omitted("e", "w", 0))),
)


@pytest.mark.parametrize("code", CODES)
def test_code_comes_back(code: Code) -> None:
    assert manifest.read_code(manifest.code_facts(code)) == code
    assert manifest.read_code(yaml12.decode(yaml12.encode(manifest.code_facts(code)), name="run.yaml")) == code


def test_only_the_first_thousand_files_that_were_left_out_are_named() -> None:
    facts = manifest.code_facts(Code(OID, omitted=tuple(Omitted(f"f{n}", "too large", n) for n in range(30_000))))
    assert len(facts["omitted"]) == 1000
    assert facts["omitted_more"] == 29_000
    assert manifest.decode_run(manifest.encode_run({"id": "r1", "code": facts}))["code"] == facts


@pytest.mark.parametrize("facts", [None, "main", [], 5, {}, {"omitted": [1, "x", None]}, {"omitted": {"a": 1}}])
def test_code_that_is_no_mapping_is_no_code(facts: object) -> None:
    assert manifest.read_code(facts) == Code()


@pytest.mark.parametrize("key", ["commit", "snapshot"])
@pytest.mark.parametrize("oid", ["--upload-pack=x", "main", "A" * 40, "a" * 39, 5, "", math.nan])
def test_what_is_no_object_id_is_refused(key: str, oid: object) -> None:
    with pytest.raises(DataRefused, match=r"run\.yaml"):
        manifest.read_code({key: oid})
