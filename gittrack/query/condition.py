"""What a query means, as a tree of values.

The parser makes it, the evaluator judges runs by it, the index compiles it to SQL; none of them knows another, so a
page or a script can hand over a condition without writing text first."""

from __future__ import annotations

from typing import Any, Literal, dataclass_transform

from gittrack.query.fields import Field

Scalar = str | int | float  # true and false are 1 and 0; a date is Unix seconds
Operator = Literal["==", "!=", "<", "<=", ">", ">="]


@dataclass_transform(frozen_default=True)
class _Node:
    """A frozen dataclass in all but how it is made: nine of those take 7 ms, a tenth of what `ls` may."""

    __match_args__: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        cls.__match_args__ = tuple(cls.__annotations__)  # type: ignore[misc] # mypy makes them up too

    def __init__(self, *values: Any) -> None:
        self.__dict__.update(zip(self.__match_args__, values, strict=True))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot change '{name}'")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.__dict__.values()))})"


class And(_Node):
    """All of the parts hold."""

    parts: tuple[Condition, ...]


class Or(_Node):
    """One of the parts holds."""

    parts: tuple[Condition, ...]


class Not(_Node):
    """The part does not hold; unknown if the part is."""

    part: Condition


class Compare(_Node):
    """Two operands stand in this order; of tags, `==` asks for one that is equal. At least one is a field."""

    left: Field | Scalar
    operator: Operator
    right: Field | Scalar


class In(_Node):
    """The field is one of the values; of tags, one of them is."""

    field: Field
    values: tuple[Scalar, ...]


class Presence(_Node):
    """The run has this field, whatever its value; never unknown."""

    field: Field


class IsNan(_Node):
    """The field is there and is not a number: the run diverged."""

    field: Field


class Match(_Node):
    """The regular expression is found in the text of the field; of tags, in one of them."""

    field: Field
    pattern: str


class Truth(_Node):
    """The field is a number other than 0; unknown for a text."""

    field: Field


Condition = And | Or | Not | Compare | In | Presence | IsNan | Match | Truth


def fields_of(condition: Condition) -> list[Field]:
    """Returns the fields that a condition looks at, each once."""
    found: dict[Field, None] = {}
    waiting: list[Any] = [condition]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Field):
            found[item] = None
        elif isinstance(item, _Node):
            waiting += item.__dict__.values()
        elif type(item) is tuple:
            waiting += item
    return list(found)
