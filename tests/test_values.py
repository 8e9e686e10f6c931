"""What people hand to a tracker, made plain: nothing raises, and what changed is named."""

from __future__ import annotations

import argparse
import datetime
import decimal
import enum
import fractions
import json
import math
import pathlib
from collections import OrderedDict, UserDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gittrack import values
from gittrack.codec import yaml12
from tests.strategies import mappings, plain_values, texts

Said = list[tuple[str, str]]


def plain(value: Any, path: str = "") -> tuple[Any, Said]:
    said: Said = []
    return values.plain(value, lossy=lambda where, why: said.append((where, why)), path=path), said


class Mood(enum.Enum):
    GOOD = "good"


class Level(enum.IntEnum):
    LOW = 1


class Colour(enum.StrEnum):
    RED = "red"


@dataclass
class Optimiser:
    name: str = "adam"
    betas: tuple[float, ...] = (0.9, 0.999)
    nested: dict[str, Any] = field(default_factory=lambda: {"eps": 1e-8})


class Model:
    """As pydantic's models are."""

    def model_dump(self) -> dict[str, Any]:
        return {"lr": 0.1}


class Tensor:
    """As torch's are: numel, dtype, shape, tolist."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.dtype = shape, "torch.float32"

    def numel(self) -> int:
        return math.prod(self.shape)

    def size(self) -> tuple[int, ...]:
        return self.shape

    def tolist(self) -> list[float]:
        return [0.5] * math.prod(self.shape)


class Scalar:
    """As jax's scalars are, without a dtype."""

    def item(self) -> float:
        return 0.25


class Tree:
    """As OmegaConf's configs are: keys and items, and no Mapping."""

    def keys(self) -> list[str]:
        return ["a", "b"]

    def __getitem__(self, key: str) -> int:
        return {"a": 1, "b": 2}[key]


class Ring:
    """A sequence that is no list."""

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[int]:
        return iter((1, 2))


class Opaque:
    pass


class Angry:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Furious:
    def keys(self) -> list[str]:
        raise RuntimeError("no")

    def __getitem__(self, key: str) -> int:
        return 1


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.array([1, 2]), [1, 2]),
        (np.array(0.5), 0.5),
        (Scalar(), 0.25),
        (Tensor((2,)), [0.5, 0.5]),
        (Level.LOW, 1),
        (Mood.GOOD, "good"),
        (Colour.RED, "red"),
        ((1, (2,)), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset("ba"), ["a", "b"]),
        (deque([1, 2]), [1, 2]),
        (range(3), [0, 1, 2]),
        (Ring(), [1, 2]),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (UserDict({"a": 1}), {"a": 1}),
        (Tree(), {"a": 1, "b": 2}),
        ({2: "a", None: "b", True: "c", (1, 2): "d"}, {"2": "a", "None": "b", "True": "c", "(1, 2)": "d"}),
        (SimpleNamespace(a=[1]), {"a": [1]}),
        (Optimiser(), {"name": "adam", "betas": [0.9, 0.999], "nested": {"eps": 1e-8}}),
        (argparse.Namespace(lr=0.1, deep=argparse.Namespace(a=1)), {"lr": 0.1, "deep": {"a": 1}}),
        (Model(), {"lr": 0.1}),
        (pathlib.PurePosixPath("data/train"), "data/train"),
        (datetime.date(2026, 11, 23), "2026-11-23"),
        (datetime.timedelta(1), "datetime.timedelta(days=1)"),
        (Optimiser, "test_values.Optimiser"),
        (math.sqrt, "math.sqrt"),
        (b"\x00\xff", "00ff"),
        (decimal.Decimal("0.1"), "Decimal('0.1')"),
        (fractions.Fraction(1, 3), "Fraction(1, 3)"),
        (1 + 2j, "(1+2j)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_training_scripts_hold_becomes_plain(value: Any, kept: Any) -> None:
    found, _ = plain(value)
    assert repr(found).replace("tests.", "") == repr(kept)


@pytest.mark.parametrize(
    ("value", "kept", "why"),
    [
        (Opaque(), "<tests.test_values.Opaque object>", "'Opaque' is kept as text"),
        (iter([1]), "<list_iterator object>", "'list_iterator' is kept as text"),
        (Angry(), "<Angry>", "'Angry' is kept as text"),
        (Furious(), "<Furious>", "cannot be read (RuntimeError)"),
        (b"\x01", "01", "bytes are kept as hexadecimal text"),
        (2**4096, hex(2**4096), "an integer of more than 4,096 bits is kept as hexadecimal text"),
        ("x" * 70_000, "x" * 65_536, "text longer than 65536 characters is cut"),
        (np.zeros((40, 40)), "<ndarray (40, 40) float64>", "an array of more than 1,000 elements is kept as its shape"),
        (
            Tensor((9, 999)),
            "<Tensor (9, 999) torch.float32>",
            "an array of more than 1,000 elements is kept as its shape",
        ),
        ({1: "a", "1": "b"}, {"1": "b"}, "is the name of two values; the last is kept"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_kept_as_it_was_is_named(value: Any, kept: Any, why: str) -> None:
    found, said = plain({"a": value})
    assert found == {"a": kept}
    assert [reason for _, reason in said] == [why]
    assert said[0][0] in ("a", "a.1")


@given(plain_values(texts))
def test_plain_values_stay_as_they_are(value: Any) -> None:
    found, said = plain(value)
    assert said == []
    assert repr(found) == repr(values.clean_texts(cleaned_names(value)))


def cleaned_names(value: Any) -> Any:
    """Returns plain values with their names as they are stored."""
    if isinstance(value, dict):
        found = {values.clean_name(key): cleaned_names(item) for key, item in value.items()}
        assume(len(found) == len(value))  # two names may be written the same
        return found
    return [cleaned_names(item) for item in value] if isinstance(value, list) else value


ODD = st.sampled_from([Opaque(), Angry(), Mood.GOOD, 2**5000, {3, "a"}]) | texts | st.floats()


@given(st.dictionaries(texts | st.integers() | st.none(), ODD | st.lists(ODD, max_size=3), max_size=4))
def test_whatever_comes_out_can_be_written_and_read(value: dict[Any, Any]) -> None:
    found, _ = plain(value)
    assert repr(yaml12.decode(yaml12.encode(found), name="params.yaml")) == repr(found)
    assert repr(json.loads(json.dumps(found))) == repr(found)


def test_a_value_that_refers_to_itself_ends() -> None:
    cycle: dict[str, Any] = {"a": 1}
    cycle["self"] = {"again": [cycle]}
    assert plain(cycle) == ({"a": 1, "self": {"again": ["<cycle>"]}}, [("self.again[0]", "refers to itself")])


def test_the_same_value_twice_is_no_cycle() -> None:
    shared = [1]
    assert plain({"a": shared, "b": shared}) == ({"a": [1], "b": [1]}, [])


def test_what_is_nested_deeper_than_a_reader_follows_becomes_text() -> None:
    deep: Any = 1
    for _ in range(200):
        deep = {"a": deep}
    found, said = plain(deep)
    assert [why for _, why in said] == ["nested deeper than 24"]
    assert yaml12.decode(yaml12.encode(found), name="params.yaml") == found


@pytest.mark.parametrize(
    "many",
    [list(range(300_000)), {str(n): n for n in range(300_000)}, [[n] for n in range(300_000)], set(range(300_000))],
)
def test_more_values_than_a_reader_takes_are_left_out_and_that_is_said_once(many: Any) -> None:
    found, said = plain({"before": 1, "many": many, "after": 2})
    ((where, why),) = said
    assert where.startswith("many")
    assert why == "has more than 20000 values; the rest is left out"
    assert list(found) == ["before", "many"]
    assert len(yaml12.decode(yaml12.encode(found), name="params.yaml")["many"]) > 9_000


# Names --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("val/acc", "val/acc"),
        ("a b", "a b"),
        ("é", "é"),
        ("", "(empty)"),
        (7, "7"),
        (None, "None"),
        ("a\tb\n", "a\\x09b\\x0a"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x85\u2028", "\\x85\\u2028"),
        ("a\ud800", "a\\ud800"),
        (Colour.RED, "red"),
        (Angry(), "<Angry>"),
    ],
)
def test_a_name_has_no_control_characters(name: Any, kept: str) -> None:
    assert values.clean_name(name) == kept


@given(texts | st.text(min_size=100, max_size=600) | st.text("é日\U0001f642", min_size=150, max_size=300))
def test_a_name_fits_and_stays_as_it_is_the_second_time(name: str) -> None:
    kept = values.clean_name(name)
    assert 0 < len(kept.encode()) <= 512
    assert values.clean_name(kept) == kept
    assert not any(char < " " or "\x7f" <= char < "\xa0" for char in kept)


def test_two_long_names_with_one_beginning_stay_two() -> None:
    names = [values.clean_name("é" * 600 + end) for end in "ab"]
    assert names[0] != names[1]
    assert [name[-9] for name in names] == ["~", "~"]


@given(texts)
def test_a_text_as_it_is_stored_has_bytes_and_is_no_other_if_it_had_some_already(text: str) -> None:
    kept = values.clean_text(text)
    kept.encode()
    assert kept == text or any("\ud800" <= char <= "\udfff" for char in text)
    assert values.clean_text(kept) == kept


# Numbers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (True, 1.0),
        (-0.0, -0.0),
        (math.nan, math.nan),
        (2**53 + 1, 9007199254740992.0),
        (10**400, math.inf),
        (-(10**400), -math.inf),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7.0),
        (np.bool_(False), 0.0),
        (np.array([[3]]), 3.0),
        (Level.LOW, 1.0),
        (decimal.Decimal("0.5"), 0.5),
        (fractions.Fraction(1, 4), 0.25),
        (Scalar(), 0.25),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_scalar_of_any_library_is_a_number(value: Any, number: float) -> None:
    assert repr(values.number(value)) == repr(number)


class Deceiver:
    def item(self) -> float:
        raise ValueError("only one element tensors can be converted to Python scalars")


class Boaster:
    def __float__(self) -> float:
        raise OverflowError


class Talker:
    def item(self) -> str:
        return "0.5"


@pytest.mark.parametrize(
    "value",
    [None, "0.5", b"1", bytearray(b"1"), 1j, [1], {}, np.array([1, 2]), Deceiver(), Boaster(), Talker(), Opaque(), int],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_single_number_is_none(value: Any) -> None:
    assert values.number(value) is None


# Leaves and seeds ---------------------------------------------------------------------------------------------------


def test_leaves_have_dotted_names() -> None:
    data = {"loss": 1, "val": {"acc": 2, "per\nclass": {"a": 3}}, "none": {}}
    assert list(values.leaves(data)) == [("loss", 1), ("val.acc", 2), ("val.per\\x0aclass.a", 3), ("none", {})]


def test_leaves_of_a_mapping_in_itself_end() -> None:
    cycle: dict[str, Any] = {}
    cycle["a"] = cycle
    assert list(values.leaves({"top": cycle, "b": 1})) == [("top.a", "<cycle>"), ("b", 1)]


def test_leaves_that_are_too_deep_become_a_word() -> None:
    deep: Any = 1
    for _ in range(values.MAX_DEPTH + 2):
        deep = {"a": deep}
    ((name, value),) = values.leaves(deep)
    assert (name.count("a"), value) == (values.MAX_DEPTH + 1, "<dict>")


@given(mappings())
def test_seeds_are_found_by_the_last_part_of_their_name(params: dict[str, Any]) -> None:
    given_params = {"seed": 1, "a": {"random_state": "x", "b.Seed": 2}, "seeds": 3, "seed_everything": 4, "x": params}
    found = values.seeds_in(given_params | {"data": {"seed": [1], "manual_seed": 1.5, "rng_seed": True}})
    assert {"seed": 1, "a.random_state": "x", "a.b.Seed": 2, "data.rng_seed": True}.items() <= found.items()
    assert not {"seeds", "seed_everything", "data.seed", "data.manual_seed"} & set(found)
