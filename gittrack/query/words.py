"""The words of a query: what its characters say before anybody asks what they mean.

A name runs up to white space, a comparison, a comma, a bracket or a quote, so that the names people give to metrics
need no quoting."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from gittrack.errors import Misread, UsageError

# Every backslash escapes what these are; before anything else it stays, so that "\d" and "\." are regular expressions.
_ESCAPE = re.compile(r"\\(?:([\\\"'ntr])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))")
_PLAIN_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
SUBSCRIPT = re.compile(rf"(params|metrics)\s*\[\s*({QUOTED})\s*\](.*)", re.DOTALL)
KEYWORDS = frozenset("and or not in is".split())
LITERALS: dict[str, int | float | None] = {
    "true": 1,
    "True": 1,
    "false": 0,
    "False": 0,
    "none": None,
    "None": None,
    "inf": math.inf,
    "+inf": math.inf,
    "-inf": -math.inf,
    "nan": math.nan,
    "NaN": math.nan,
}
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    | (?P<text>{QUOTED})
    | (?P<operator>[=!<>]=|[<>~=])
    | (?P<mark>[(),\[\]])
    | (?P<word>(?:[^\s=<>~,()\[\]"'!]|!(?!=))+)""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"[+-]?\.?[0-9]")
HINTS = {
    "=": "equal is ==",
    "==": "for none and nan write `is none`, `is nan`",
    "~": 'a regular expression follows its field: name ~ "^heron"',
    "&": "write `and`",
    "&&": "write `and`",
    "AND": "write `and`",
    "|": "write `or`",
    "||": "write `or`",
    "OR": "write `or`",
    "NOT": "write `not`",
    "!": "write `not`",
    "IN": "write `in`",
    "IS": "write `is`",
    "like": 'write ~ and a regular expression: name ~ "^heron"',
    "LIKE": 'write ~ and a regular expression: name ~ "^heron"',
    "+": "there is no arithmetic",
    "-": "there is no arithmetic",
    "*": "there is no arithmetic",
    "/": "there is no arithmetic",
    "[": 'a name with a bracket is written params["a[0]"]',
}


class Token(NamedTuple):
    """One word: `text`, `operator`, `mark`, `word` or `end`, and its place in characters."""

    kind: str
    text: str
    start: int
    end: int


def split(text: str) -> Iterator[Token]:
    """Yields the words of a query, the last of the kind `end`; raises Misread where there is none."""
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            here = text[at]
            said = "this text has no closing quote" if here in "\"'" else f"'{here}' has no meaning here"
            end = len(text) if here in "\"'" else at + 1
            raise Misread(said, text=text, start=at, end=end, hint=HINTS.get(here))
        at = found.end()
        if found.lastgroup and found.lastgroup != "space":
            yield Token(found.lastgroup, found.group(), found.start(), at)
    yield Token("end", "", at, at)


def number(token: Token) -> int | float | None:
    """Returns the number that a word is, None if it begins like none; raises ValueError for half a number."""
    if not _NUMBER.match(token.text):
        return None
    try:
        return int(token.text)
    except ValueError:  # an integer may also have too many digits to be one
        return float(token.text)


def unquote(text: str) -> str:
    """Returns what a text in quotes stands for; raises UsageError for half a character."""

    def plain(found: re.Match[str]) -> str:
        if found[1]:
            return _PLAIN_ESCAPES.get(found[1], found[1])
        return chr(int(found[2] or found[3] or found[4], 16))

    try:
        value = _ESCAPE.sub(plain, text[1:-1])
        value.encode()
    except (ValueError, OverflowError):
        raise UsageError("this text is not valid Unicode", hint="an escape in it is no character") from None
    return value


@lru_cache(maxsize=128)
def pattern(text: str) -> re.Pattern[str]:
    """Returns a regular expression, compiled; raises ValueError for what is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what may mean something else in Python's future
        try:
            return re.compile(text)
        except (re.error, OverflowError, RecursionError) as exc:
            raise ValueError(str(exc)) from exc
