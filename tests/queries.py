"""What hypothesis draws to ask about runs: few names and few values, so that what is asked for is often there.

Every condition that the language has can also be written down, so that its reader is tested by the same draws."""

from __future__ import annotations

import functools
import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import strategies as st

from gittrack.model import STATUSES, Code, Metric, Run
from gittrack.query.condition import And, Compare, Condition, In, IsNan, Match, Not, Or, Presence, Scalar, Truth
from gittrack.query.fields import RUN_FIELDS, STATISTICS, Field
from gittrack.refname import Oid, new_run_id
from tests import strategies

PARAMS = ("a", "b", "opt.lr", "x y", 'q"', "é\\", "a[0]")
METRICS = ("m", "val/acc", "loss.min", "日本", "'")
TEXTS = ("", "a", "b", "5", "1.0", "é", "日本", '{"$float":"nan"}', "[1]", "a,b", "A", "it's", "%", "true", "\\n")
INTEGERS = (0, 1, 2, 5, -1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**400, -(10**400))
FLOATS = (
    *(0.0, -0.0, 0.1, 0.30000000000000004, 0.3, 5.0, 1e16, 9007199254740992.0, 9.223372036854775807e18, 5e-324, 1e308),
    *(math.inf, -math.inf),
)
TIMES = (
    *("2026-11-23T14:51:10.123Z", "2026-11-23T14:51:10.124Z", "2026-11-22T00:00:00.000Z", "1970-01-01T00:00:00.000Z"),
    *("2026-11-23T15:51:10.123+01:00", "no time", ""),
)
MOMENTS = (0, 0.0, 1795445470.123, 1795445470.124, 1795305600)
PATTERNS = ("a", "^$", "5", "^A", "(?i)^a$", "é|日", "[0-9]", ".", "nan", "^2026-11-23", r"\\")
OIDS = (Oid("a" * 40), Oid("b" * 40))

# Runs ---------------------------------------------------------------------------------------------------------------

VALUES: tuple[object, ...] = (
    *(*TEXTS, *INTEGERS, *FLOATS, True, False, math.nan, None),
    *([], [1], ["a"], {}, [math.nan], {"b": 1}, {"$float": 1}),
)
STEPS = (0, 1, 5, 2**53 + 1, -(2**63))
T = TypeVar("T")


def made(at: int, pick: Callable[[Sequence[T]], T]) -> Run:
    """Returns a run whose parts are picked from the few."""
    one: Callable[[Sequence[Any]], Any] = pick

    def some(names: Sequence[str], most: int) -> list[str]:
        return sorted({one(names) for _ in range(one(range(most + 1)))})

    def metric() -> Metric:
        row: list[Any] = [one(STEPS if at % 2 else (*FLOATS, math.nan)) for at in range(8)]
        return Metric._make([*row, one((None, "min", "max")), 0, None])

    return Run(
        id=new_run_id(at),
        name=one(TEXTS),
        status=one(STATUSES),
        created=one(TIMES),
        ended=one((None, *TIMES)),
        duration=one((None, 0.0, 0.1, 5.0, 1e16)),
        author=one(TEXTS),
        host=one((None, *TEXTS)),
        code=Code(
            commit=one((None, *OIDS)), branch=one((None, *TEXTS)), dirty=one((True, False)), snapshot=one((None, *OIDS))
        ),
        params={name: one(VALUES) for name in some(PARAMS, 5)},
        metrics={name: metric() for name in some(METRICS, 4)},
        tags=tuple(some(TEXTS, 2)),
        group=one((None, *TEXTS)),
        starred=one((True, False)),
        deleted=one((True, False)),
        points=one((0, 1, 5, 2**53 + 1)),
        artifact_count=one((0, 1, 2)),
        exit_code=one((None, 0, 1, 5, -9)),
        oid=one(OIDS),
        pushed=one(((), ("origin",), ("backup", "origin"))),
    )


@functools.cache
def pool(seed: int, size: int) -> list[Run]:
    """Returns runs, always the same."""
    return [made(at, random.Random(seed * size + at).choice) for at in range(size)]


@st.composite
def few_runs(draw: st.DrawFn, size: int) -> list[Run]:
    """Draws runs, the first of them as odd as runs get.

    SQLite 3.40 ends a text in JSON at NUL, so what is in JSON comes from the few even there."""
    found = [made(at, lambda options: draw(st.sampled_from(options))) for at in range(size)]
    first, odd = found[0], draw(strategies.runs())
    odd = replace(odd, params=first.params, metrics=first.metrics, tags=first.tags, oid=first.oid)
    return [replace(odd, id=first.id), *found[1:]]


# Conditions ---------------------------------------------------------------------------------------------------------

run_fields = st.sampled_from([Field("run", name) for name in RUN_FIELDS])
param_fields = st.builds(Field, st.just("params"), st.sampled_from((*PARAMS, "a.b", "a.$float")), st.just(""))
metric_fields = st.builds(Field, st.just("metrics"), st.sampled_from(METRICS), st.sampled_from(STATISTICS))
fields = param_fields | metric_fields | run_fields
operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
numbers = st.sampled_from((*INTEGERS, *FLOATS))
texts = st.sampled_from(TEXTS)


def of_kind(*kinds: str) -> st.SearchStrategy[Field]:
    """Draws fields of these kinds."""
    own = [Field("run", name) for name, (kind, _) in RUN_FIELDS.items() if kind in kinds]
    found = [st.sampled_from(own)] if own else []
    return st.one_of(*found, *[param_fields] * ("any" in kinds), *[metric_fields] * ("number" in kinds))


def scalars(field: Field) -> st.SearchStrategy[Scalar]:
    """Draws what the language lets a field be compared with."""
    if field.kind == "date":
        return st.sampled_from(MOMENTS)
    if field.kind == "any":
        return numbers | texts
    if field.name in ("commit", "code.commit", "code.snapshot"):
        return st.sampled_from(OIDS)
    if field.name == "status":
        return st.sampled_from(STATUSES)
    return texts if field.kind in ("text", "tags") else numbers


def compares(field: Field) -> st.SearchStrategy[Condition]:
    """Draws comparisons of a field with a value, either way round."""
    signs = st.sampled_from(["==", "!="]) if field.kind == "tags" else operators
    return st.builds(Compare, st.just(field), signs, scalars(field)) | st.builds(
        Compare, scalars(field), signs, st.just(field)
    )


def lists(field: Field) -> st.SearchStrategy[Condition]:
    """Draws lists of values that a field may be in."""
    return st.builds(In, st.just(field), st.lists(scalars(field), min_size=1, max_size=3).map(tuple))


tests: st.SearchStrategy[Condition] = st.one_of(
    fields.flatmap(compares),
    fields.flatmap(compares),
    fields.flatmap(lists),
    st.builds(Compare, *(of_kind("text", "any"), operators, of_kind("text", "any"))),
    st.builds(Compare, *(of_kind("number", "any", "flag", "date"), operators, of_kind("number", "any", "text"))),
    st.builds(Presence, fields),
    st.builds(IsNan, param_fields | metric_fields),
    st.builds(Match, of_kind("text", "any", "date", "tags"), st.sampled_from(PATTERNS)),
    st.builds(Truth, of_kind("number", "flag", "any")),
)
# What the language refuses, but a tree can say.
odd_tests: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Compare, *(fields, operators, numbers | texts | st.just(math.nan))),
    st.builds(Compare, *(numbers | texts | st.just(math.nan), operators, fields)),
    st.builds(In, fields, st.lists(numbers | texts | st.just(math.nan), max_size=3).map(tuple)),
    st.builds(IsNan, run_fields),
    st.builds(Match, fields, st.sampled_from(PATTERNS)),
    st.builds(Truth, fields),
)
all_tests = tests | odd_tests


def trees(leaves: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    """Draws conditions of a few tests."""
    return st.recursive(
        leaves,
        lambda inner: (
            st.builds(Not, inner)
            | st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(tuple(parts)))
            | st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts)))
        ),
        max_leaves=6,
    )


sorts = st.lists(
    st.tuples(st.sampled_from(["", "-"]), fields).map(lambda drawn: drawn[0] + written(drawn[1])),
    min_size=1,
    max_size=2,
)

# Text ---------------------------------------------------------------------------------------------------------------

_BARE = re.compile(r"""[^\s=<>~,()\[\]"'!]+""")


def written(value: Field | Scalar) -> str:
    """Returns a field or a value as the language has it."""
    if not isinstance(value, Field):
        return _quoted(value) if isinstance(value, str) else repr(value)
    if value.of == "run":
        return value.name
    suffix = "" if value.statistic in ("", "last") else f".{value.statistic}"
    ends = value.of == "metrics" and value.name.rpartition(".")[2] in STATISTICS
    bare = _BARE.fullmatch(value.name) and not (ends and not suffix)
    return f"{value.of}.{value.name}{suffix}" if bare else f"{value.of}[{_quoted(value.name)}]{suffix}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def text_of(condition: Condition) -> str:
    """Returns a condition as the language has it."""
    match condition:
        case And(parts):
            return " and ".join(f"({text_of(part)})" for part in parts)
        case Or(parts):
            return " or ".join(f"({text_of(part)})" for part in parts)
        case Not(part):
            return f"not ({text_of(part)})"
        case Compare(left, operator, right):
            return f"{written(left)} {operator} {written(right)}"
        case In(field, options):
            return f"{written(field)} in ({', '.join(map(written, options))})"
        case Presence(field):
            return f"{written(field)} is not none"
        case IsNan(field):
            return f"{written(field)} is nan"
        case Match(field, pattern):
            return f"{written(field)} ~ {written(pattern)}"
        case Truth(field):
            return written(field)
