"""What a condition means for a run: true, false, or unknown.

Three values, as in SQL: what is missing is neither less nor greater, `not` makes nothing known of it, and only what is
true matches. This file is the definition; the index compiles conditions to SQL that gives the same answer for very
many runs, and is tested against it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

from gittrack.model import Run
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
from gittrack.query.fields import Field, comparable, plain_value, value_of
from gittrack.query.words import pattern

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matches(condition: Condition, run: Run) -> bool:
    """Tells whether a condition is true for a run; what is unknown is not."""
    return truth(condition, run) is True


def truth(condition: Condition, run: Run) -> bool | None:
    """Returns whether a condition is true or false for a run; None if that is unknown."""
    match condition:
        case And(parts):
            return _not(_any(_not(truth(part, run)) for part in parts))
        case Or(parts):
            return _any(truth(part, run) for part in parts)
        case Not(part):
            return _not(truth(part, run))
        case Presence(field):
            return value_of(run, field) not in (None, ())
        case IsNan(field):
            value = value_of(run, field)
            return None if value in (None, ()) else bool(value != value)
        case Truth(field):
            value = comparable(run, field)
            return None if value is None or isinstance(value, str) else value != 0
        case Match(field, expression):
            return _match(field, expression, run)
        case In(field, values):
            return _any(_compare(field, "==", value, run) for value in values)
        case Compare(left, sign, right):
            return _compare(left, sign, right, run)


def _not(known: bool | None) -> bool | None:  # noqa: FBT001 - it is the third value of a bool
    return None if known is None else not known


def _any(known: Iterable[bool | None]) -> bool | None:
    found: bool | None = False
    for each in known:
        if each:
            return True
        found = None if each is None else found
    return found


def _comparable(operand: Field | Scalar, run: Run) -> str | int | float | None:
    return comparable(run, operand) if isinstance(operand, Field) else plain_value(operand)


def _compare(left: Field | Scalar, sign: Operator, right: Field | Scalar, run: Run) -> bool | None:
    if sign == "!=":
        return _not(_compare(left, "==", right, run))
    for field, other in ((left, right), (right, left)):
        if isinstance(field, Field) and field.kind == "tags":
            return sign == "==" and other in _tags(run)
    one, two = _comparable(left, run), _comparable(right, run)
    if one is None or two is None:
        return None
    if sign == "==":
        return one == two
    return _ORDER[sign](one, two) if isinstance(one, str) == isinstance(two, str) else None


def _match(field: Field, expression: str, run: Run) -> bool | None:
    search = pattern(expression).search
    if field.kind == "tags":
        return any(search(tag) for tag in _tags(run))
    value = plain_value(value_of(run, field))
    return search(value) is not None if isinstance(value, str) else None


def _tags(run: Run) -> list[str]:
    return [str(plain_value(tag)) for tag in run.tags]
