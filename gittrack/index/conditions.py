"""A condition as SQL over the table `runs`, with every value bound.

SQL's NULL is unknown as ours is, but a comparison of SQLite's also orders texts behind numbers, and takes a NaN, a list
and a mapping for texts, as JSON writes them. So a condition is compiled to what is certainly true, and a negated one to
what is certainly false: `not` is pushed down to the comparisons, which say it themselves. `query.evaluate` is the
definition, and the tests compare the two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from gittrack.codec import record
from gittrack.index import schema
from gittrack.query import fields, words
from gittrack.query.condition import (
    And,
    Compare,
    Condition,
    In,
    IsNan,
    Match,
    Not,
    Or,
    Presence,
    Scalar,
    Truth,
)
from gittrack.query.fields import Field

Bound: TypeAlias = str | int | float | None

_COLUMNS = {
    "created": "created_at",
    "ended": "ended_at",
    "group": "group_name",
    "commit": "oid",
    "code.commit": "code_commit",
    "code.branch": "code_branch",
    "code.snapshot": "code_snapshot",
    "artifacts": "artifact_count",
    "artifacts.size": "artifact_size",
    "pushed": f"EXISTS ({schema.REMOTES})",
    "archived": "runs.batch IS NOT NULL",
    # What sorting sees; conditions look into the list.
    "tags": "(SELECT group_concat(value, ',') FROM json_each(record, '$.tags'))",
}
_AT = {"last": 0, "step": 1, "min": 2, "min_step": 3, "max": 4, "max_step": 5, "mean": 6, "count": 7}
_GOAL = 8
_BEST = {"best": ("min", "max"), "best_step": ("min_step", "max_step")}
_NAN = """'{"$float":"nan"}'"""
_NEWEST = {"created_at": "DESC", "id": "DESC"}
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NEVER = "0"


class _Sql(NamedTuple):
    """A piece of SQL, the values that its question marks stand for, how deep it is nested, and what joins its parts."""

    text: str
    values: tuple[Bound, ...] = ()
    depth: int = 0
    joint: str = ""


def where(condition: Condition) -> tuple[str, list[Bound]]:
    """Returns SQL that is true for the rows of the runs that a condition matches, and the values to bind."""
    found = _known(condition, true=True)
    return found.text, list(found.values)


def order(*sorts: str) -> str:
    """Returns the terms of ORDER BY that `--sort` means, the first field foremost: what is missing last.

    What is equal in all of them is newest first. Raises UsageError for a name that is no field."""
    terms: dict[str, str] = {}
    for field, down in map(fields.order, sorts):
        terms.setdefault(expression(field), "DESC" if down else "ASC NULLS LAST")
    for term, direction in _NEWEST.items():
        terms.setdefault(term, direction)
    return ", ".join(f"{term} {direction}" for term, direction in terms.items())


def expression(field: Field) -> str:
    """Returns the one SQL expression for what a field is compared and sorted by, so that an index on it serves both.

    It is NULL for what is missing and for what cannot be compared: NaN, a list, a mapping."""
    if field.of == "run":
        return _COLUMNS.get(field.name, field.name)
    if not _is_plain(field.name):
        return _called(field, "value")
    if field.of == "params":
        found = _extracted(field)
        kind = f"json_type({found.removeprefix('json_extract(')}"
        return f"CASE {kind} WHEN 'object' THEN NULL WHEN 'array' THEN NULL ELSE {found} END"
    return f"nullif({_extracted(field)}, {_NAN})"


# Stored values ------------------------------------------------------------------------------------------------------


def _is_plain(name: str) -> bool:
    """Tells whether JSON writes a name as it is; only then does SQLite find it by a path."""
    return name.isascii() and name.isprintable() and bool(name) and not set(name) & set("\"'\\")


def _extracted(field: Field) -> str:
    """Returns what JSON has for a plain name: NULL, a number, a text, or the text of a list or mapping."""
    if field.of == "params":
        return f"""json_extract(params, '$."{field.name}"')"""
    if field.statistic in _BEST:
        low, high = (_extracted(field._replace(statistic=each)) for each in _BEST[field.statistic])
        return f"CASE {_goal(field)} WHEN 'min' THEN {low} WHEN 'max' THEN {high} END"
    return f"""json_extract(record, '$.metrics."{field.name}"[{_AT[field.statistic]}]')"""


def _goal(field: Field) -> str:
    return f"""json_extract(record, '$.metrics."{field.name}"[{_GOAL}]')"""


def _called(field: Field, wanted: str) -> str:
    column = "params" if field.of == "params" else "record"
    name = f"CAST(x'{field.name.encode().hex()}' AS TEXT)"
    return f"track_{field.of}({column}, {name}, '{field.statistic}', '{wanted}')"


def _stored(field: Field) -> str:
    """Returns an expression that is NULL if a run does not have the field, and the text `nan` for NaN."""
    if field.of == "run":
        return field.name if field.kind == "date" else expression(field)
    return _extracted(field) if _is_plain(field.name) else _called(field, "stored")


def param(params: str, name: str, _: str, wanted: str) -> Bound:
    """Returns a param of a row, for names that no path of SQLite's finds.

    wanted: `value`, as `expression` says, or `stored`, which is not NULL for NaN, lists and mappings either."""
    return _as(wanted, record.load(params).get(name))


def metric(text: str, name: str, statistic: str, wanted: str) -> Bound:
    """Returns the statistic of a metric of a row, as `param` does."""
    row = record.load(text).get("metrics", {}).get(name)
    if row is None:
        return None
    if statistic in _BEST:
        low, high = _BEST[statistic]
        statistic = {"min": low, "max": high}.get(row[_GOAL], "")
    return _as(wanted, row[_AT[statistic]] if statistic else None)


def _as(wanted: str, value: Any) -> Bound:
    plain = fields.plain_value(value)
    return plain if plain is not None or value is None or wanted == "value" else record.dump(value)


def matches(pattern: str, value: object) -> bool | None:
    """Tells whether a regular expression is found in a text; None for anything else. SQL's `value REGEXP pattern`."""
    return words.pattern(pattern).search(value) is not None if isinstance(value, str) else None


# What a connection has to know before it is asked: name, number of arguments, function; the same answer every time.
FUNCTIONS: tuple[tuple[str, int, Callable[..., Bound]], ...] = (
    ("regexp", 2, matches),
    ("track_params", 4, param),
    ("track_metrics", 4, metric),
)


# Conditions ---------------------------------------------------------------------------------------------------------


def _known(condition: Condition, *, true: bool) -> _Sql:
    """Returns SQL for that a condition is certainly true, or certainly false."""
    match condition:
        case Not(part):
            return _known(part, true=not true)
        case And(parts) | Or(parts):
            joint = "AND" if isinstance(condition, And) == true else "OR"
            return _joined(joint, [_known(part, true=true) for part in parts])
        case Presence(field):
            return _present(field, true=true)
        case IsNan(field):
            return _nan(field, true=true)
        case Truth(field):
            return _numeric(field, "<>" if true else "=", 0)
        case Match(field, pattern):
            return _matched(field, pattern, true=true)
        case In(field, values):
            return _listed(field, values, true=true)
        case Compare(left, operator, right):
            true, operator = (true, operator) if operator != "!=" else (not true, "==")
            if isinstance(left, Field):
                return _compared(left, operator, right, true=true)
            return _compared(right, _MIRRORED.get(operator, operator), left, true=true)


def _joined(joint: str, parts: Sequence[_Sql]) -> _Sql:
    """Returns parts joined by AND or OR.

    The deepest come first, because SQLite's parser then keeps no more than it must; then those that read columns, then
    params, then records, because SQLite asks in this order, and parsing JSON is most of what a condition costs."""
    found = sorted(parts, key=lambda part: (-part.depth, "(record," in part.text, "(params," in part.text))
    closed = [joint == "AND" and part.joint == "OR" for part in found]
    texts = [f"({part.text})" if each else part.text for part, each in zip(found, closed, strict=True)]
    depth = max(part.depth + each for part, each in zip(found, closed, strict=True))
    return _Sql(f" {joint} ".join(texts), tuple(value for part in found for value in part.values), depth, joint)


def _both(*parts: _Sql) -> _Sql:
    return _joined("AND", parts)


def _either(*parts: _Sql) -> _Sql:
    return _joined("OR", parts)


def _compared(field: Field | Scalar, operator: str, other: Field | Scalar, *, true: bool) -> _Sql:
    """Returns SQL for that `field operator other` is true, or false; operator: `==` or one that orders."""
    if not isinstance(field, Field):
        raise TypeError(f"{field!r} is no field")
    if field.kind == "tags" or (isinstance(other, Field) and other.kind == "tags"):
        return _tagged(other if field.kind == "tags" else field, operator, true=true)
    if operator == "==":
        operator = "=" if true else "<>"
    elif not true:
        operator = _OPPOSITE[operator]
    if isinstance(other, Field):
        return _related(field, operator, other)
    plain = fields.plain_value(other)
    if plain is None:
        return _Sql(_NEVER)
    return _textual(field, operator, plain) if isinstance(plain, str) else _numeric_or_text(field, operator, plain)


def _numeric(field: Field, operator: str, value: float) -> _Sql:
    """Returns SQL for that a field is a number that stands so to another; false where it is a text."""
    found = _Sql(f"{expression(field)} {operator} ?", (value,))
    if field.kind in ("text", "tags"):
        return _Sql(_NEVER)
    if field.kind == "any" and operator in (">", ">=", "<>"):
        return _both(found, _is_number(field))
    return found


def _numeric_or_text(field: Field, operator: str, value: float) -> _Sql:
    """Returns the same; where the operator is `<>`, a text is another value too."""
    if operator != "<>":
        return _numeric(field, operator, value)
    if field.kind == "text":
        return _Sql(f"{expression(field)} IS NOT NULL")
    return _Sql(f"{expression(field)} <> ?", (value,))


def _textual(field: Field, operator: str, value: str) -> _Sql:
    found = _Sql(f"{expression(field)} {operator} ?", (value,))
    if field.kind == "any":
        return _both(found, _is_text(field)) if operator in ("<", "<=") else found
    if field.kind == "text":
        return found
    return _Sql(f"{expression(field)} IS NOT NULL") if operator == "<>" else _Sql(_NEVER)


def _related(one: Field, operator: str, two: Field) -> _Sql:
    """Returns SQL for that two fields stand so to each other; SQLite must not take `5` for 5 or the other way round."""
    found = _Sql(f"{expression(one)} {operator} {expression(two)}")
    kinds = {"text" if field.kind == "text" else "any" if field.kind == "any" else "number" for field in (one, two)}
    there = (_Sql(f"{expression(one)} IS NOT NULL"), _Sql(f"{expression(two)} IS NOT NULL"))
    if kinds == {"any"}:
        alike = _Sql(f"({_is_number(one).text}) = ({_is_number(two).text})")
        return found if operator in ("=", "<>") else _both(found, alike)
    if len(kinds) == 1:
        return found
    if "any" not in kinds:
        return _both(*there) if operator == "<>" else _Sql(_NEVER)
    param = one if one.kind == "any" else two
    alike, other = (_is_number(param), _is_text(param)) if "number" in kinds else (_is_text(param), _is_number(param))
    return _both(_either(found, other), *there) if operator == "<>" else _both(found, alike)


def _is_number(field: Field) -> _Sql:
    return _Sql(f"{expression(field)} < ''")


def _is_text(field: Field) -> _Sql:
    return _Sql(f"{expression(field)} >= ''")


def _listed(field: Field, values: Sequence[Scalar], *, true: bool) -> _Sql:
    plain = [value for value in map(fields.plain_value, values) if value is not None]
    if field.kind == "tags":
        return _tag(f"value IN ({', '.join('?' * len(plain))})", *plain, true=true)
    if field.kind != "any":
        plain = [value for value in plain if isinstance(value, str) == (field.kind == "text")]
    if not true and any(fields.plain_value(value) is None for value in values):
        return _Sql(_NEVER)  # whether it is a NaN is unknown
    if not values:
        return _Sql("0" if true else "1")
    if not plain:
        return _Sql(_NEVER if true else f"{expression(field)} IS NOT NULL")
    marks = ", ".join("?" * len(plain))
    return _Sql(f"{expression(field)} {'IN' if true else 'NOT IN'} ({marks})", tuple(plain))


def _tagged(value: Field | Scalar, operator: str, *, true: bool) -> _Sql:
    plain = None if isinstance(value, Field) else fields.plain_value(value)
    if plain is None or operator != "==":
        return _Sql("0" if true else "1")
    return _tag("value = ?", plain, true=true)


def _tag(asked: str, *values: Bound, true: bool) -> _Sql:
    """Returns SQL for that there is a tag of which something holds, or that there is none."""
    found = f"EXISTS (SELECT 1 FROM json_each(record, '$.tags') WHERE {asked})"  # noqa: S608 - words of ours
    return _Sql(found if true else f"NOT {found}", values)


def _present(field: Field, *, true: bool) -> _Sql:
    if field.kind == "tags":
        return _tag("1", true=true)
    return _Sql(f"{_stored(field)} IS {'NOT ' if true else ''}NULL")


def _nan(field: Field, *, true: bool) -> _Sql:
    if field.of == "run":
        return _Sql(_NEVER) if true else _present(field, true=True)
    comparable = f"{expression(field)} IS {'' if true else 'NOT '}NULL"  # a text may look like a NaN
    said = _Sql(f"{_stored(field)} {'=' if true else '<>'} {_NAN}")
    return (_both if true else _either)(said, _Sql(comparable))


def _matched(field: Field, pattern: str, *, true: bool) -> _Sql:
    if field.kind == "tags":
        return _tag("value REGEXP ?", pattern, true=true)
    text = field.name if field.kind == "date" else expression(field)
    return _Sql(f"{'' if true else 'NOT '}({text} REGEXP ?)", (pattern,))
