"""`gittrack.yaml` as people write it: what is wrong is said with its line, and nothing is guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.codec import standardfile, yaml12
from gittrack.errors import DataRefused
from gittrack.standard import TYPES, Gate, MetricRule, ParamRule, Range, Standard

SCHEMA = json.loads((Path(__file__).parent.parent.parent / "docs/reference/gittrack.schema.json").read_text("utf-8"))


def problems(text: str) -> list[tuple[int | None, str]]:
    return [(problem.line, problem.text) for problem in standardfile.examine(text.encode()).problems]


def test_a_whole_file_becomes_a_standard() -> None:
    text = """\
format: 1
metrics:
  acc: {required: true, goal: max, min: 0, max: 1.0, finite: true, unit: "%", description: of all}
  loss:
params:
  lr: {required: true, type: float, min: 0, max: 1, choices: [0.1, 1], unit: x, description: rate}
columns: [name, params.*, metrics.acc.best]
gates:
  main: {branches: main, paths: [src], run: true, where: metrics.acc > 0.5}
  none: {}
"""
    standard = standardfile.decode(text.encode())

    assert standard.metrics == {
        "acc": MetricRule(required=True, goal="max", range=Range(0, 1), finite=True, unit="%", description="of all"),
        "loss": MetricRule(),
    }
    assert standard.params == {
        "lr": ParamRule(required=True, type="float", range=Range(0, 1), choices=(0.1, 1), unit="x", description="rate")
    }
    assert standard.columns == ("name", "params.*", "metrics.acc.best")
    main, none = standard.gates
    assert (main.branches, main.paths, main.run, main.query) == (("main",), ("src",), True, "metrics.acc > 0.5")
    assert none == Gate("none")


@pytest.mark.parametrize("text", ["", "format: 1", "metrics:", "metrics: {}\nparams:\ngates:"])
def test_an_empty_file_asks_for_nothing(text: str) -> None:
    assert standardfile.decode(text.encode()) == Standard()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("format: 2", 1, "'format' is not known to this version, which knows 1; install a newer gittrack"),
        ("format: true", 1, "'format' is not known to this version"),
        ("\nhooks: {}", 2, "key 'hooks' is not known; keys: format, metrics,"),
        ("metric: {}", 1, "key 'metric' is not known; did you mean 'metrics'?"),
        ("metrics: [a]", 1, "'metrics' is no mapping"),
        ("metrics:\n  a: 1", 2, "metrics.a is no mapping"),
        ("metrics:\n  a:\n    min: 2\n    max: 1", 2, "metrics.a has a 'min' above its 'max'"),
        ("metrics:\n  a:\n    goal: up", 3, "'metrics.a.goal' is none of: min, max"),
        ("params:\n  a:\n    type: float32", 3, "'params.a.type' is none of: int, float, bool, str, list"),
        ("metrics:\n  a:\n    required: 1", 3, "'metrics.a.required' is neither true nor false"),
        ("metrics:\n  a:\n    min: low", 3, "'metrics.a.min' is no number"),
        ("metrics:\n  a:\n    min: true", 3, "'metrics.a.min' is no number"),
        ("metrics:\n  a:\n    min: .nan", 3, "'metrics.a.min' is no number"),
        ("metrics:\n  a:\n    unit: 1", 3, "'metrics.a.unit' is no text; put it in quotes"),
        ("params:\n  a:\n    choices: []", 3, "'params.a.choices' is no list of values"),
        ("params:\n  a:\n    choices: [[1]]", 3, "'params.a.choices' is no list of values"),
        ("params:\n  a:\n    goal: min", 3, "key 'params.a.goal' is not known"),
        ("columns: {a: 1}", 1, "'columns' is no list of texts"),
        ("columns: [1]", 1, "'columns' is no list of texts"),
        ("columns: [nonsense]", 1, "'nonsense' is no field of a run"),
        ("columns: [metrics.]", 1, "'metrics.' needs the name of a metric"),
        ("gates:\n  a:\n    branches: [" + "x" * 201 + "]", 3, "'gates.a.branches' has an entry of more than 200"),
        ("gates:\n  a:\n    where: 1", 3, "'gates.a.where' is no text"),
        ("gates:\n  a:\n    where: loss <", 3, "'gates.a.where' is no query: "),
        ("gates:\n  a:\n    where: created > yesterday", 3, "'gates.a.where' is no query: "),
        ("a: &x 1", None, "anchors and aliases are not allowed"),
        ("[1]", None, "not a mapping"),
        ("a: [", None, "while parsing"),
        ("#" * (256 * 1024 + 1), None, "larger than 262144 bytes"),
    ],
)
def test_every_mistake_is_said_with_its_line(text: str, line: int | None, said: str) -> None:
    ((found, problem),) = problems(text)

    assert said in problem
    assert found == line
    with pytest.raises(DataRefused) as refused:
        standardfile.decode(text.encode(), name="x.yaml")
    assert refused.value.message == "cannot read 'x.yaml'"
    assert said in str(refused.value.cause)


def test_of_many_mistakes_the_first_are_said_and_the_others_counted() -> None:
    text = "".join(f"key{number}: 1\n" for number in range(7))

    assert [line for line, _ in problems(text)] == [1, 2, 3, 4, 5, 6, 7]
    with pytest.raises(DataRefused) as refused:
        standardfile.decode(text.encode())
    assert str(refused.value.cause).endswith("; and 2 more")


def test_the_schema_has_exactly_the_keys_and_words_that_are_known() -> None:
    assert set(SCHEMA["properties"]) == set(standardfile.TOP)
    tables = {"metric": standardfile.METRIC, "param": standardfile.PARAM, "gate": standardfile.GATE}
    for name, table in tables.items():
        assert list(SCHEMA["$defs"][name]["properties"]) == list(table)
    assert SCHEMA["$defs"]["metric"]["properties"]["goal"]["enum"] == list(standardfile.GOALS)
    assert SCHEMA["$defs"]["param"]["properties"]["type"]["enum"] == list(TYPES)


def test_the_page_names_every_key() -> None:
    page = (Path(__file__).parent.parent.parent / "docs/reference/gittrack-yaml.md").read_text("utf-8")
    tables = (standardfile.TOP, standardfile.METRIC, standardfile.PARAM, standardfile.GATE)

    assert [key for table in tables for key in table if f"`{key}`" not in page] == []
    example = page.partition("```yaml\n")[2].partition("```")[0]
    assert problems(example) == []
    jsonschema.validate(yaml12.decode(example.encode(), name="example"), SCHEMA)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(allow_nan=False, width=16),
    st.sampled_from(["min", "max", "int", "name", "metrics.acc", "metrics.acc > 0.5", "x"]),
    st.lists(st.sampled_from(["name", "x", 1, None]), max_size=2),
)
KEYS = st.sampled_from([*standardfile.METRIC, *standardfile.PARAM, *standardfile.GATE, "x"])
RULES = st.dictionaries(st.sampled_from("ab"), st.none() | st.dictionaries(KEYS, VALUES, max_size=2), max_size=2)
FILES = st.dictionaries(st.sampled_from([*standardfile.TOP, "x"]), VALUES | RULES, max_size=2)


@given(FILES)
def test_the_schema_and_the_program_agree(document: dict[str, Any]) -> None:
    found = standardfile.examine(yaml12.encode(document)).problems

    # A schema knows no query, no column, and does not compare two numbers.
    only_ours = ("is no query", "no field", "needs the name", "above its")
    wrong = [problem for problem in found if not any(words in problem.text for words in only_ours)]
    assert bool(wrong) == (not jsonschema.Draft202012Validator(SCHEMA).is_valid(document)), found


@given(st.text(max_size=200))
def test_any_text_is_judged_and_nothing_breaks(text: str) -> None:
    standardfile.examine(text.encode("utf-8", "surrogatepass"))
