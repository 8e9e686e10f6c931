"""The fields of a run, by the names that columns, sorting, queries and `--format` use.

One definition for all of them: what can be shown can be asked for, under the same name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from gittrack.errors import UsageError
from gittrack.model import Run

Kind = Literal["text", "number", "flag", "date", "tags", "any"]

STATISTICS = ("last", "min", "max", "best", "mean", "step", "count", "min_step", "max_step", "best_step")

# What a run has besides params and metrics: its kind, and where it stands in a Run.
RUN_FIELDS: Mapping[str, tuple[Kind, str]] = {
    "id": ("text", "id"),
    "name": ("text", "name"),
    "status": ("text", "status"),
    "created": ("date", "created"),
    "ended": ("date", "ended"),
    "duration": ("number", "duration"),
    "author": ("text", "author"),
    "host": ("text", "host"),
    "group": ("text", "group"),
    "note": ("text", "note"),
    "command": ("text", "command"),
    "points": ("number", "points"),
    "tags": ("tags", "tags"),
    "starred": ("flag", "starred"),
    "deleted": ("flag", "deleted"),
    "pushed": ("flag", "pushed"),
    "archived": ("flag", "archived"),
    "dirty": ("flag", "code.dirty"),
    "code.commit": ("text", "code.commit"),
    "code.branch": ("text", "code.branch"),
    "code.snapshot": ("text", "code.snapshot"),
    "commit": ("text", "oid"),
    "parent": ("text", "parent"),
    "project": ("text", "project"),
    "job_type": ("text", "job_type"),
    "exit_code": ("number", "exit_code"),
    "artifacts": ("number", "artifact_count"),
    "artifacts.size": ("number", "artifact_size"),
}
_ALIASES = {"code": "code.commit", "code.dirty": "dirty", "tag": "tags", "artifacts.count": "artifacts"}
_GET = {name: attrgetter(path) for name, (_, path) in RUN_FIELDS.items()}


class Field(NamedTuple):
    """One field: of the run itself, a param (its dotted name), or a statistic of a metric."""

    of: Literal["run", "params", "metrics"]
    name: str
    statistic: str = ""

    @property
    def kind(self) -> Kind:
        """What its values are; those of a param are anything."""
        return RUN_FIELDS[self.name][0] if self.of == "run" else "number" if self.of == "metrics" else "any"


@lru_cache(maxsize=1024)
def field(text: str) -> Field:
    """Returns the field that a text names; raises UsageError if no run can have it.

    `metrics.loss` is the last value, `metrics.loss.min` always the statistic; the metric that is called `loss.min` is
    `metrics["loss.min"]`."""
    if "[" in text:
        from gittrack.query import words  # noqa: PLC0415 - most names have no quotes, and `ls` starts without it

        quoted = words.SUBSCRIPT.fullmatch(text)
        if quoted:
            return subscript(quoted[1], words.unquote(quoted[2]), quoted[3])
    of, _, rest = text.partition(".")
    if of == "params" and rest:
        return Field("params", rest)
    if of == "metrics" and rest:
        head, _, statistic = rest.rpartition(".")
        return Field("metrics", head, statistic) if head and statistic in STATISTICS else Field("metrics", rest, "last")
    name = _ALIASES.get(text, text)
    if name in RUN_FIELDS:
        return Field("run", name)
    if of in ("params", "metrics"):
        raise UsageError(f"'{text}' needs the name of a {of[:-1]}", hint=f'write {of}.NAME or {of}["NAME"]')
    raise UsageError(f"'{text}' is no field of a run", hint=_near(text))


def subscript(of: str, name: str, rest: str) -> Field:
    """Returns the field `of["name"]rest`, where rest is a dot and a statistic, or nothing; raises UsageError."""
    if of == "params" and not rest:
        return Field("params", name)
    if of == "metrics" and (not rest or (rest[0] == "." and rest[1:] in STATISTICS)):
        return Field("metrics", name, rest[1:] or "last")
    if of == "params":
        raise UsageError(f"'{rest}' cannot follow a param", hint='put the whole name in the quotes: params["a.b"]')
    raise UsageError(f"'{rest}' is no statistic of a metric", hint="statistics: ." + " .".join(STATISTICS))


def _near(text: str) -> str:
    import difflib  # noqa: PLC0415 - only for an error

    of, dot, rest = text.partition(".")
    near = difflib.get_close_matches(of, ("metrics", "params"), n=1) if dot else []
    near = [f"{near[0]}.{rest}"] if near else difflib.get_close_matches(text, [*RUN_FIELDS, *_ALIASES], n=3, cutoff=0.7)
    if near:
        return "did you mean " + " or ".join(f"'{name}'" for name in near) + "?"
    if text.isidentifier() or "/" in text:
        return f"metrics.{text} or params.{text}? fields of the run itself: " + ", ".join(RUN_FIELDS)
    return "fields: " + ", ".join([*RUN_FIELDS, "params.X", "metrics.X"])


def value_of(run: Run, wanted: Field) -> Any:
    """Returns the value of a field as the run has it, None if it has none: tags as a tuple, dates as texts."""
    if wanted.of == "run":
        value = _GET[wanted.name](run)
        return bool(value) if wanted.name == "pushed" else value
    if wanted.of == "params":
        return run.flat_params.get(wanted.name)
    metric = run.metrics.get(wanted.name)
    return None if metric is None else getattr(metric, wanted.statistic)


def field_of(run: Run, name: str) -> object:
    """Returns a field of a run by the name that columns, sorting and `--format` use; None if it has none.

    Raises UsageError if no run can have such a field."""
    value: object = value_of(run, field(name))
    return ",".join(value) if isinstance(value, tuple) else value


def seconds(text: str | None) -> float | None:
    """Returns a timestamp as Unix seconds, UTC where it names no zone; None if it is no time."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def plain_value(value: object) -> str | int | float | None:
    """Returns a value as comparing and sorting see it; None for NaN and for what is no number and no text.

    true and false are 1 and 0; an integer that 64 bits do not hold is the double next to it, and half a character is
    `?`, as in SQLite."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else _double(value)
    if isinstance(value, float) and not math.isnan(value):
        return value
    return None


def comparable(run: Run, wanted: Field) -> str | int | float | None:
    """Returns the value of a field as comparing sees it, dates in Unix seconds; None if it cannot be compared."""
    value = value_of(run, wanted)
    return seconds(value) if wanted.kind == "date" else plain_value(value)


def reversed_text(text: str) -> str:
    """Returns a text that sorts as `text` does, the other way round."""
    return "".join(chr(0x10FFFF - ord(char)) for char in text) + chr(0x10FFFF)


def _double(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def order(text: str) -> tuple[Field, bool]:
    """Returns the field that `--sort` names, and whether the greatest comes first; raises UsageError."""
    return field(text.removeprefix("-")), text.startswith("-")


class _Down:
    """A value that sorts the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Down) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Down) and bool(other.value == self.value)

    __hash__ = None  # type: ignore[assignment] # it is only compared


def sort_key(*texts: str) -> Callable[[Run], tuple[Any, ...]]:
    """Returns the key that `--sort` means: any fields, the first foremost; `-` in front for the greatest first.

    Missing values come last, whichever the direction; numbers stand before texts, and after them when the greatest
    comes first; equal ones are newest first. Raises UsageError for a name that is no field."""
    wanted = [order(text) for text in texts]

    def key(run: Run) -> tuple[Any, ...]:
        created = seconds(run.created)
        return (*(_place(run, *each) for each in wanted), created is None, -(created or 0.0), _Down(run.id))

    return key


def _place(run: Run, wanted: Field, down: bool) -> tuple[Any, ...]:  # noqa: FBT001 - the two parts of an order
    plain = comparable(run, wanted) if wanted.kind != "tags" else plain_value(",".join(run.tags)) if run.tags else None
    if plain is None:
        return (True,)
    ranked = (isinstance(plain, str), plain)
    return (False, _Down(ranked) if down else ranked)
