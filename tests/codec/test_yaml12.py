"""YAML: what we write means one thing to every reader, and what we read cannot hurt."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from gittrack.codec import yaml12
from gittrack.errors import DataRefused
from tests.strategies import mappings, texts, whole_texts

ODD_KEYS = {"": 1, "1": 2, "1.5": 3, "null": 4, "true": 5, "<<": 6, "=": 7, "a: b": 8, "~": 9, "0x1f": 10, "- a": 11}
DEEP: Any = [[[{"a": [[1, []], {}, [{}], {"b": {"c": [[]]}}]}]]]


def decode(raw: bytes) -> dict[str, Any]:
    return yaml12.decode(raw, name="params.yaml")


@given(mappings())
@example(ODD_KEYS)
@example({"deep": DEEP, "list": [[1, 2], [3]], "empty": {}, "none": None})
@example({"n": [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e16, 1e-5, 123456789.0], "i": 10**400})
def test_what_is_written_reads_back_the_same(document: dict[str, Any]) -> None:
    assert repr(decode(yaml12.encode(document))) == repr(document)


@given(mappings())
@example(ODD_KEYS)
@example({"deep": DEEP})
@pytest.mark.parametrize("loader", [yaml.CSafeLoader, yaml.SafeLoader])
def test_a_reader_of_yaml_1_1_sees_the_same_values(loader: Any, document: dict[str, Any]) -> None:
    assert repr(yaml.load(yaml12.encode(document), Loader=loader)) == repr(document)  # noqa: S506 - both are safe


@given(mappings())
def test_writing_what_was_read_gives_the_same_bytes(document: dict[str, Any]) -> None:
    raw = yaml12.encode(document)
    assert yaml12.encode(decode(raw)) == raw


@given(texts)
@example("\ud800")
@example("a\udc80\udfffb")
def test_half_a_character_is_stored_as_its_escape(value: str) -> None:
    escaped = "".join(f"\\u{ord(char):04x}" if "\ud800" <= char <= "\udfff" else char for char in value)
    assert decode(yaml12.encode({value: value})) == {escaped: escaped}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"),
        (True, "true"),
        (0, "0"),
        (1.0, "1.0"),
        (1e16, "1.0e+16"),
        (1.5e-7, "1.5e-07"),
        (-0.0, "-0.0"),
        (math.nan, ".nan"),
        (-math.inf, "-.inf"),
        ("adam w", "adam w"),
        ("a/b.c+d@e%f=g-h_i", "a/b.c+d@e%f=g-h_i"),
        ("No", '"No"'),
        ("1e5", '"1e5"'),
        ("", '""'),
        (" a", '" a"'),
        ("a  b", '"a  b"'),
        ('"\\\n\t\r\x7f\u2028', '"\\"\\\\\\n\\t\\x0d\\x7f\\u2028"'),
        ([], "[]"),
        ({}, "{}"),
        (("a", 1), "[a, 1]"),
    ],
)
def test_each_value_has_one_way_to_be_written(value: object, written: str) -> None:
    assert yaml12.encode({"a": value}) == f"a: {written}\n".encode()


def test_lists_of_mappings_have_their_dashes_at_the_indent_of_the_key() -> None:
    document = {"a": {"b": [{"c": 1, "d": [2]}, [3, [4]], [], {}, 5]}, "e": []}
    assert yaml12.encode(document).decode() == (
        "a:\n  b:\n  - c: 1\n    d: [2]\n  -\n    - 3\n    - [4]\n  - []\n  - {}\n  - 5\ne: []\n"
    )


@given(st.text("ab\"\\\n'é", min_size=480, max_size=600), st.sampled_from([1, {"b": 1}, [1], [[1], {"c": 2}]]))
@example("x" * 1001, {"b": [{"c": 1}]})
@example('"' * 512, 1)
@example("d" * 4096, {"kind": "blob"})
def test_a_key_of_any_length_reads_back(key: str, value: object) -> None:
    document = {key: value, "list": [{key: value, "after": 1}, {"after": {key: value}}]}
    raw = yaml12.encode(document)
    assert decode(raw) == document
    assert yaml.load(raw, Loader=yaml.CSafeLoader) == document


@pytest.mark.parametrize(
    ("plain", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("+1", 1),
        ("-17", -17),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("Yes", "Yes"),
        ("NULL", None),
        ("~", None),
        ("", None),
        ("True", True),
        ("FALSE", False),
        (".INF", math.inf),
        ("-.inf", -math.inf),
        ("2001-01-01", "2001-01-01"),
        ("9" * 1300, int("9" * 1300)),
        ("9" * 1301, "9" * 1301),
        ("0x" + "f" * 1299, "0x" + "f" * 1299),
        ("0o" + "7" * 1299, "0o" + "7" * 1299),
    ],
)
def test_plain_words_are_read_by_the_core_schema_of_yaml_1_2(plain: str, value: object) -> None:
    assert repr(decode(f"a: {plain}\n".encode())) == repr({"a": value})


@pytest.mark.parametrize("raw", [b"", b"# nothing\n", b"\n\n", b"{}\n", b"---\n{}\n...\n"])
def test_a_file_without_entries_is_an_empty_mapping(raw: bytes) -> None:
    assert decode(raw) == {}


def test_a_quoted_word_is_a_text() -> None:
    assert decode(b'a: \'1\'\n"null": "true"\n\'<<\': "<<"\n') == {"a": "1", "null": "true", "<<": "<<"}


HOSTILE = {
    "an alias": (b"a: &x [1]\nb: *x\n", "aliases"),
    "an anchor": (b"a: &x 1\n", "aliases"),
    "an anchor on a key": (b"&x a: 1\n", "aliases"),
    "a billion laughs": (b"a: &a [x]\n" + b"".join(b"b%d: &b%d [*a, *a]\n" % (i, i) for i in range(99)), "aliases"),
    "a merge key": (b"<<: {a: 1}\n", "merge"),
    "many merge keys": (b"a:\n" + b"  <<: {b: 1}\n" * 50, "merge"),
    "a tag": (b"a: !!python/object/apply:os.system [ls]\n", "tags"),
    "a tag on a mapping": (b"!!map {a: 1}\n", "tags"),
    "a tag that names nothing": (b"a: ! 5\n", "tags"),
    "a tag of its own": (b"%TAG ! tag:example.org,2000:\n---\na: !b c\n", "tags"),
    "400 kB of [": (b"[" * 400_000, "deeper"),
    "400 kB of [ below a key": (b"a: " + b"[" * 400_000, "deeper"),
    "400 kB of {": (b"{" * 400_000, "key is not a text"),
    "400 kB of dashes": (b"- " * 200_000, "deeper"),
    "400 kB of question marks": (b"? " * 200_000, "key is not a text"),
    "400 kB of quotes": (b'"' * 400_000, ""),
    "mappings in mappings": (b"".join(b" " * depth + b"a:\n" for depth in range(800)), "deeper"),
    "a key twice": (b"a: 1\nb: 2\na: 3\n", "key 'a' twice"),
    "a key twice in two spellings": (b'a: 1\n"\\x61": 2\n', "key 'a' twice"),
    "a long key twice": (b"? " + b"a" * 100_000 + b"\n: 1\n? " + b"a" * 100_000 + b"\n: 1\n", "twice"),
    "two documents": (b"a: 1\n---\nb: 2\n", "more than one document"),
    "a list": (b"- 1\n", "not a mapping"),
    "a word": (b"word\n", "not a mapping"),
    "a list as a key": (b"? [a]\n: 1\n", "key is not a text"),
    "a control character": (b"a: \x00\n", ""),
    "no utf-8": (b"a: \xff\n", ""),
    "half a character": (b'a: "\\ud800"\n', ""),
    "more than 4 MiB": (b"a: " + b"x" * 4 * 1024 * 1024, "larger than 4194304 bytes"),
}


@pytest.mark.parametrize(("raw", "why"), HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_yaml_is_refused_at_once_and_in_one_line(raw: bytes, why: str) -> None:
    taken = []
    for _ in range(3):  # the quickest of three, for the machine has other things to do
        begun = time.process_time()
        with pytest.raises(DataRefused) as refused:
            decode(raw)
        taken.append(time.process_time() - begun)
        assert why in str(refused.value.cause)
        assert "params.yaml" in refused.value.message
        assert len("".join(refused.value.lines())) < 500
    assert min(taken) < 0.05


def test_depth_and_number_of_nodes_are_limited_exactly() -> None:
    def deep(levels: int) -> bytes:
        return b"a: " + b"[" * levels + b"]" * levels + b"\n"

    assert decode(deep(yaml12.MAX_DEPTH))
    with pytest.raises(DataRefused, match="params"):
        decode(deep(yaml12.MAX_DEPTH + 1))
    room = yaml12.MAX_NODES - 3  # the mapping, its key and its list
    assert len(decode(b"a: [" + b"1," * room + b"]\n")["a"]) == room
    with pytest.raises(DataRefused) as refused:
        decode(b"a: [" + b"1," * (room + 1) + b"]\n")
    assert "more than 100000 nodes" in str(refused.value.cause)


@given(st.binary(max_size=200))
def test_no_bytes_get_anything_but_a_mapping_or_a_refusal(raw: bytes) -> None:
    try:
        found = decode(raw)
    except DataRefused:
        return
    assert isinstance(found, dict)


WORDS = rb"""a b : - ? [ ] { } , & * ! | > % @ ` ' " # ~ . <<: --- ... \ 1 null""".split()
SCRAPS = [*WORDS, b"\n", b"\n  ", b" ", b"\t", b"\x00", b"\xff", b"\xc3\xa9"]


@given(st.lists(st.sampled_from(SCRAPS), max_size=40).map(b"".join))
def test_no_pieces_of_yaml_get_anything_but_a_mapping_or_a_refusal(raw: bytes) -> None:
    try:
        found = decode(raw)
    except DataRefused:
        return
    assert repr(decode(yaml12.encode(found))) == repr(found)


@given(mappings(), st.integers(0, 400), st.integers(0, 255))
def test_a_changed_byte_gets_a_mapping_or_a_refusal(document: dict[str, Any], at: int, byte: int) -> None:
    raw = bytearray(yaml12.encode(document))
    raw[at % len(raw)] = byte
    try:
        assert isinstance(decode(bytes(raw)), dict)
    except DataRefused:
        return


def test_what_would_break_a_readers_limits_is_left_out() -> None:
    many = list(range(60_000))
    document = {"first": many, "second": many, "third": {"a": [1]}, "text": "x" * 5_000_000, "last": 1}
    kept = yaml12.fitting(document)
    assert list(kept) == ["first", "third", "last"]
    assert decode(yaml12.encode(kept)) == kept


@given(mappings())
def test_what_fits_is_left_whole(document: dict[str, Any]) -> None:
    assert repr(yaml12.fitting(document)) == repr(document)


def test_exactly_what_a_reader_takes_fits() -> None:
    room = yaml12.MAX_NODES - 3
    for count, kept in ((room, 1), (room + 1, 0)):
        assert len(yaml12.fitting({"a": [1] * count})) == kept
    room = yaml12.MAX_BYTES - len('a: ""\n')
    for count, kept in ((room, 1), (room + 1, 0)):
        document = yaml12.fitting({"a": " " * count})
        assert len(document) == kept
        assert decode(yaml12.encode(document)) == document


@given(whole_texts)
def test_a_text_takes_one_line(value: str) -> None:
    assert "\n" not in yaml12.text(value)
    assert yaml12.encode({"a": value}).count(b"\n") == 1
