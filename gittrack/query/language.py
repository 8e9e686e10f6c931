"""The language of `--where`: text in, condition out, and errors that point at the character.

It is a subset of Python's expressions with names as people give them to metrics (`val/acc`, `train-size`), so it is
read by hand: Python's own parser would see a division there. Nothing is ever evaluated here; a date is resolved by a
function that the caller hands in, because git's reading of "2 weeks ago" is not ours to repeat
(docs/reference/query.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, NoReturn, cast

from gittrack.errors import Misread, UsageError
from gittrack.query import fields, words
from gittrack.query.condition import (
    And,
    Compare,
    Condition,
    In,
    IsNan,
    Match,
    Not,
    Operator,
    Or,
    Presence,
    Scalar,
    Truth,
)
from gittrack.query.fields import Field
from gittrack.query.words import Token, pattern

MAX_LENGTH = 64 * 1024  # characters
MAX_DEPTH = 50  # parentheses and nots; SQLite's own parser gives up at 86
MAX_TESTS = 500  # SQLite's limit is an expression 1,000 deep
MAX_VALUES = 5000  # in lists, of all together

_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# git takes a text that says nothing of a date for now; this much has to be in it.
_DATE = re.compile(
    r"[0-9]|now|day|noon|midnight|tea|never|last|second|minute|hour|week|month|year"
    r"|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mon|tue|wed|thu|fri|sat|sun"
)
_CLOSING = {"(": ")", "[": "]"}


class _Operand(NamedTuple):
    value: Field | Scalar | None
    start: int
    end: int


def parse(text: str, *, date: Callable[[str], float] | None = None) -> Condition:
    """Returns the condition that a query states, as in `parse('metrics.acc > 0.9 and "paper" in tags')`.

    date: what turns a text that a date is compared with into Unix seconds, and raises UsageError if it is none; times
    as runs record them need none. Raises Misread, which is a UsageError and knows the place."""
    if len(text) > MAX_LENGTH:
        raise UsageError(f"a query has at most {MAX_LENGTH} characters", cause=f"this one has {len(text)}")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise Misread("a query is valid Unicode", text=text, start=exc.start, end=exc.end) from None
    return _Parser(text, date).whole()


def moment(text: str, date: Callable[[str], float] | None) -> float:
    """Returns a date as Unix seconds: an exact one, or what git makes of it; raises UsageError.

    git takes gibberish for now, and 13 months for some date, so it is asked only about what looks like one."""
    hint = 'write it as git does: "2026-11-23", "2 weeks ago", "yesterday"'
    if _MOMENT.fullmatch(text):
        exact = fields.seconds(text)
        if exact is not None:
            return exact
        raise UsageError(f"'{text}' is in no calendar", hint=hint)
    if _DAY.fullmatch(text) and fields.seconds(text) is None:
        raise UsageError(f"'{text}' is in no calendar", hint=hint)
    if date is None or len(text) > 100 or not text.isprintable() or not _DATE.search(text.lower()):
        raise UsageError("this is no date", hint=hint)
    try:
        # git reads a day as this time of that day.
        return date(f"{text} 00:00:00" if _DAY.fullmatch(text) else text)
    except UsageError as exc:
        exc.hint = hint
        raise


class _Parser:
    def __init__(self, text: str, date: Callable[[str], float] | None) -> None:
        self.text = text
        self.date = date
        self.tokens = list(words.split(text))
        self.at = 0
        self.depth = 0
        self.tests = 0
        self.values = 0

    def _fail(self, message: str, start: int, end: int, *, hint: str | None = None) -> NoReturn:
        raise Misread(message, text=self.text, start=start, end=end, hint=hint)

    def _unexpected(self, expected: str) -> NoReturn:
        token = self._peek()
        said = f"'{token.text[:40]}'" if token.kind != "end" else "the end"
        if token.kind != "end" and len(token.text) > 40:
            said = "this"
        self._fail(f"expected {expected} before {said}", token.start, token.end, hint=words.HINTS.get(token.text))

    # Words ----------------------------------------------------------------------------------------------------------

    def _peek(self, ahead: int = 0) -> Token:
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def _next(self) -> Token:
        token = self._peek()
        self.at += 1
        return token

    def _is(self, *words: str, ahead: int = 0) -> bool:
        token = self._peek(ahead)
        return token.kind != "text" and token.text in words

    def _took(self, word: str) -> bool:
        if self._is(word):
            self.at += 1
            return True
        return False

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        token = self.tokens[self.at - 1]
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._fail(f"a query is nested at most {MAX_DEPTH} deep", token.start, token.end)
        yield
        self.depth -= 1

    # Conditions -----------------------------------------------------------------------------------------------------

    def whole(self) -> Condition:
        if self._peek().kind == "end":
            self._fail("the query is empty", 0, 0, hint='for example: metrics.loss < 0.1 and status == "finished"')
        found = self._or()
        if self._peek().kind != "end":
            self._unexpected("'and' or 'or'")
        return found

    def _or(self) -> Condition:
        parts = [self._and()]
        while self._took("or"):
            parts.append(self._and())
        return Or(tuple(parts)) if len(parts) > 1 else parts[0]

    def _and(self) -> Condition:
        parts = [self._not()]
        while self._took("and"):
            parts.append(self._not())
        return And(tuple(parts)) if len(parts) > 1 else parts[0]

    def _not(self) -> Condition:
        if self._took("not"):
            with self._deeper():
                return Not(self._not())
        if self._took("("):
            with self._deeper():
                found = self._or()
                if not self._took(")"):
                    self._unexpected("'and', 'or' or ')'")
                return found
        return self._test()

    def _count(self, token: Token) -> None:
        self.tests += 1
        if self.tests > MAX_TESTS:
            self._fail(f"a query has at most {MAX_TESTS} comparisons", token.start, token.end)

    def _test(self) -> Condition:
        left = self._operand("a field")
        if self._is("=", "==", "!=", "<", "<=", ">", ">="):
            return self._chain(left)
        self._count(self._peek())
        if self._took("~"):
            return self._match(left)
        if self._took("is"):
            return self._presence(left)
        if self._is("not") and self._is("in", ahead=1):
            self.at += 2
            return Not(self._membership(left))
        if self._took("in"):
            return self._membership(left)
        if not isinstance(left.value, Field):
            self._unexpected("a comparison")
        if left.value.kind in ("text", "date", "tags"):
            named = self.text[left.start : left.end]
            self._fail(
                f"'{named}' is not true or false",
                left.start,
                left.end,
                hint=f"write `{named} is not none`, or compare it",
            )
        return Truth(left.value)

    def _chain(self, left: _Operand) -> Condition:
        parts = []
        while self._is("=", "==", "!=", "<", "<=", ">", ">="):
            operator = self._next()
            if operator.text == "=":
                self._fail("'=' compares nothing", operator.start, operator.end, hint=words.HINTS["="])
            self._count(operator)
            right = self._operand("a value", after=left)
            parts.append(self._compare(left, operator, right))
            left = right
        return And(tuple(parts)) if len(parts) > 1 else parts[0]

    def _compare(self, left: _Operand, operator: Token, right: _Operand) -> Compare:
        for operand in (left, right):
            if operand.value is None or operand.value != operand.value:
                word = self.text[operand.start : operand.end]
                said = f"nothing is equal to {word}, less or greater"
                self._fail(
                    said, operand.start, operand.end, hint=f"write `is {word.lower()}` or `is not {word.lower()}`"
                )
        sides = [left, right]
        for at, (one, other) in enumerate(((left, right), (right, left))):
            if isinstance(one.value, Field):
                if one.value.kind == "tags" and (operator.text not in ("==", "!=") or isinstance(other.value, Field)):
                    hint = 'write tag == "x", tag != "x" or "x" in tags'
                    self._fail("tags are compared with one text", operator.start, operator.end, hint=hint)
                if not isinstance(other.value, Field):
                    sides[1 - at] = other._replace(value=self._fitting(one.value, other))
        if not any(isinstance(side.value, Field) for side in sides):
            self._fail("no field of a run is compared here", left.start, right.end)
        known = [cast("Field | Scalar", side.value) for side in sides]
        return Compare(known[0], cast("Operator", operator.text), known[1])

    def _match(self, left: _Operand) -> Match:
        token = self._next()
        if token.kind != "text":
            self.at -= 1
            self._unexpected("a regular expression in quotes")
        if not isinstance(left.value, Field) or left.value.kind in ("number", "flag"):
            self._fail("only a text is matched with '~'", left.start, left.end)
        expression = self._unquoted(token)
        try:
            pattern(expression)
        except ValueError as exc:
            self._fail(f"this is no regular expression: {exc}", token.start, token.end)
        return Match(left.value, expression)

    def _presence(self, left: _Operand) -> Condition:
        negative = self._took("not")
        word = self._peek().text
        if word not in ("none", "None", "nan", "NaN") or self._peek().kind == "text":
            self._unexpected("'none' or 'nan'")
        if not isinstance(left.value, Field):
            self._fail("only a field is there or not", left.start, left.end)
        if word in ("nan", "NaN") and left.value.of == "run":
            self._fail("only params and metrics can be nan", left.start, left.end)
        self.at += 1
        found: Condition = IsNan(left.value) if word in ("nan", "NaN") else Presence(left.value)
        return found if negative == (word in ("none", "None")) else Not(found)

    def _membership(self, left: _Operand) -> Condition:
        token = self._peek()
        if token.text not in _CLOSING or token.kind != "mark":
            right = self._operand("a list", after=left)
            if isinstance(right.value, Field) and right.value.kind == "tags" and isinstance(left.value, str):
                return Compare(right.value, "==", left.value)
            hint = 'write name in ("a", "b"), or "x" in tags; a part of a text is found by name ~ "part"'
            self._fail("what follows 'in' is no list", right.start, right.end, hint=hint)
        if not isinstance(left.value, Field):
            self._fail("only a field can be in a list", left.start, left.end, hint='of tags, write `"x" in tags`')
        self.at += 1
        values = []
        while not self._is(_CLOSING[token.text]):
            item = self._operand("a value", after=left)
            if isinstance(item.value, Field) or item.value is None or item.value != item.value:
                self._fail("a list has numbers and texts", item.start, item.end)
            values.append(self._fitting(left.value, item))
            if not self._took(",") and not self._is(_CLOSING[token.text]):
                self._unexpected(f"',' or '{_CLOSING[token.text]}'")
        end = self._next().end
        self.values += len(values)
        if not values or self.values > MAX_VALUES:
            said = "an empty list has nothing in it" if not values else f"lists have at most {MAX_VALUES} values"
            self._fail(said, token.start, end)
        return In(left.value, tuple(values))

    # Operands -------------------------------------------------------------------------------------------------------

    def _operand(self, expected: str, *, after: _Operand | None = None) -> _Operand:
        """Reads a field, a number or a text; after: what it is compared with, for the hint."""
        token = self._peek()
        if token.kind == "text":
            self.at += 1
            return _Operand(self._unquoted(token), token.start, token.end)
        if token.kind != "word" or token.text in words.KEYWORDS or (len(token.text) < 3 and token.text in words.HINTS):
            self._unexpected(expected)
        self.at += 1
        if token.text in words.LITERALS:
            return _Operand(words.LITERALS[token.text], token.start, token.end)
        try:
            number = words.number(token)
        except ValueError:
            self._fail(f"'{token.text[:40]}' is no number", token.start, token.end)
        if number is not None:
            return _Operand(number, token.start, token.end)
        return self._field(token, after=after)

    def _field(self, token: Token, *, after: _Operand | None) -> _Operand:
        start, end = token.start, token.end
        try:
            if token.text not in ("params", "metrics") or not self._is("["):
                return _Operand(fields.field(token.text), start, end)
            name, closing, suffix = self._peek(1), self._peek(2), self._peek(3)
            if name.kind != "text" or closing.text != "]":
                self.at += 1 if name.kind != "text" else 2
                self._unexpected("a name in quotes" if name.kind != "text" else "']'")
            self.at += 3
            end, rest = closing.end, ""
            if suffix.kind == "word" and suffix.start == end:
                self.at += 1
                end, rest = suffix.end, suffix.text
            return _Operand(fields.subscript(token.text, self._unquoted(name), rest), start, end)
        except Misread:
            raise
        except UsageError as exc:
            hint = words.HINTS.get(token.text) or exc.hint
            textual = after and isinstance(after.value, Field) and after.value.kind not in ("number", "flag")
            if textual and "." not in token.text and "did you mean" not in (exc.hint or ""):
                hint = f'a text is put in quotes: "{token.text[:40]}"'
            self._fail(exc.message, start, end, hint=hint)

    def _unquoted(self, token: Token) -> str:
        try:
            return words.unquote(token.text)
        except UsageError as exc:
            self._fail(exc.message, token.start, token.end, hint=exc.hint)

    def _fitting(self, field: Field, operand: _Operand) -> Scalar:
        """Returns a literal as it is compared with a field; one of another kind would be equal to nothing, ever."""
        value = cast("Scalar", operand.value)
        if field.kind == "date":
            return self._moment(operand) if isinstance(value, str) else value
        if field.kind in ("number", "flag") and isinstance(value, str):
            self._fail("a number is compared with a text here", operand.start, operand.end, hint="leave the quotes out")
        if field.kind in ("text", "tags") and not isinstance(value, str):
            self._fail("a text is compared with a number here", operand.start, operand.end, hint="put it in quotes")
        return value

    def _moment(self, operand: _Operand) -> float:
        try:
            return moment(str(operand.value), self.date)
        except UsageError as exc:
            self._fail(exc.message, operand.start, operand.end, hint=exc.hint)
