"""What a stranger wrote reaches a terminal as text, and nothing else."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gittrack import errors, terminal
from gittrack.errors import GittrackError
from tests.strategies import texts

ORDER = range(0x110000)
BIDI = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}


def is_unsafe(char: str) -> bool:
    """Tells whether a character does something to a terminal other than to show itself, by Unicode's own tables."""
    return char != "\t" and (
        unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(char) in BIDI
    )


def test_every_character_that_controls_is_escaped() -> None:
    unsafe = [char for char in map(chr, ORDER) if is_unsafe(char)]
    assert len(unsafe) > 2100
    assert [char for char in unsafe if not terminal.printable(char).isascii()] == []


@pytest.mark.parametrize(
    "char",
    "\xad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2066\u2069\u206a\ufeff\ufff9\U000e0041\U000e0001",
)
def test_what_cannot_be_seen_is_escaped(char: str) -> None:
    assert terminal.printable(char).startswith("\\")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("calm-heron-42", "calm-heron-42"),
        ("a\tb", "a\tb"),
        ("é日本\U0001f642", "é日本\U0001f642"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\nb\r\n", "a\\nb\\r\\n"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("\u202eexe.txt", "\\u202eexe.txt"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_is_unsafe_is_written_as_its_escape(text: str, shown: str) -> None:
    assert terminal.printable(text) == shown


@given(texts | st.text())
def test_what_is_printed_is_one_line_with_nothing_unsafe_in_it(text: str) -> None:
    shown = terminal.printable(text)
    assert not any(is_unsafe(char) for char in shown)
    assert len(shown.splitlines()) <= 1
    assert terminal.printable(shown) == shown
    shown.encode()


@given(texts | st.text())
@example("a\r\nb\n\x1b[2J\rc")
def test_lines_stay_lines_and_nothing_else_stays(text: str) -> None:
    shown = terminal.printable_lines(text)
    assert shown.count("\n") == text.count("\n")
    assert not any(is_unsafe(char) for char in shown.replace("\n", ""))


@given(st.text() | st.lists(texts, max_size=3) | st.dictionaries(texts, texts, max_size=3))
@example(["\x7f", "\U000e0041\ud800", "é\u202e"])
def test_json_is_safe_to_look_at_and_means_the_same(value: object) -> None:
    for indent in (None, 2):
        written = json.dumps(value, ensure_ascii=False, indent=indent)
        shown = terminal.printable_json(written)
        assert json.loads(shown) == value
        assert not any(is_unsafe(char) for char in shown.replace("\n", ""))


CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GittrackError)]


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind is not errors.Misread])
def test_an_error_prints_as_lines_that_cannot_do_harm(kind: type[GittrackError]) -> None:
    error = kind("cannot read '\x1b[31m'", cause="a\nb", hint="\u202e")
    assert error.lines() == ["error: cannot read '\\x1b[31m'", "cause: a\\nb", "hint: \\u202e"]
    assert kind("only this").lines() == ["error: only this"]
    assert str(kind("only this", cause="c")) == "only this"


def test_an_error_about_a_text_points_into_it_and_can_do_no_harm() -> None:
    error = errors.Misread("no '\x1b'", text="a \x1b\n日本 b", start=4, end=6, hint="\u202e")
    assert error.lines() == [
        "error: no '\\x1b'",
        "cause: a \\x1b\\n日本 b",
        "               ^~~~",
        "hint: \\u202e",
    ]
    assert errors.Misread("the query is empty", text="", start=0, end=0).lines() == ["error: the query is empty"]


@pytest.mark.parametrize(
    ("text", "start", "end", "shown", "mark"),
    [
        ("abc", 1, 2, "abc", " ^"),
        ("abc", 0, 3, "abc", "^~~"),
        ("abc", 3, 3, "abc", "   ^"),
        ("a\tb", 2, 3, "a b", "  ^"),
        ("日本", 1, 2, "日本", "  ^~"),
        ("e\u0301x", 2, 3, "e\u0301x", " ^"),
        ("0123456789abcdef", 0, 1, "01234567...", "^"),
        ("0123456789abcdef", 15, 16, "...89abcdef", "          ^"),
        ("0123456789abcdef", 8, 9, "...456789ab...", "       ^"),
        ("0123456789abcdef", 5, 16, "...12345678...", "       ^~~~"),
    ],
)
def test_a_place_in_a_text_is_pointed_at(text: str, start: int, end: int, shown: str, mark: str) -> None:
    assert terminal.pointed(text, start, end, room=14) == (shown, mark)


@given(texts, st.integers(0, 12), st.integers(0, 4), st.integers(10, 30))
def test_whatever_the_text_the_mark_stands_under_the_place(text: str, start: int, more: int, room: int) -> None:
    start = min(start, len(text))

    line, under = terminal.pointed(text, start, min(start + more, len(text)), room=room)

    assert line == terminal.printable(line)
    assert under.lstrip(" ").strip("~") == "^"
    assert line.isascii() is False or len(line) <= max(room, 16)
    if line.isascii() and start < len(text) and text[start].isalnum():
        assert line[under.index("^")] == text[start]


def test_every_kind_of_error_has_the_exit_code_that_is_documented() -> None:
    assert {kind.__name__: kind.exit_code for kind in CLASSES} == {
        "GittrackError": 1,
        "NegativeAnswer": 1,
        "UsageError": 2,
        "Misread": 2,
        "NotInstalled": 1,
        "NotFound": 3,
        "NoMetric": 3,
        "Ambiguous": 3,
        "RemoteError": 4,
        "DataRefused": 5,
        "NotARepository": 128,
        "GitFailed": 128,
    }
