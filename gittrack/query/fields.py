"""The fields of a run, by the names that columns, sorting, queries and `--format` use."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

from gittrack.errors import UsageError
from gittrack.model import Run


def seconds(text: str | None) -> float | None:
    """Returns a timestamp as Unix seconds, UTC where it names no zone; None if it is no time."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def sort_key(text: str) -> Callable[[Run], tuple[bool, float, str]]:
    """Returns the key that `--sort` means: `created`, `name`, `duration`, `metrics.x[.stat]`, `params.x`.

    Missing values come last, whichever the direction; raises UsageError for a name that is none of these."""
    down = text.startswith("-")
    name = text.removeprefix("-")

    def key(run: Run) -> tuple[bool, float, str]:
        value = field_of(run, name)
        if isinstance(value, bool | int | float) and not (isinstance(value, float) and math.isnan(value)):
            number = _double(value)
            return (False, -number if down else number, "")
        if isinstance(value, str):
            return (False, 0.0, reversed_text(value) if down else value)
        return (True, 0.0, "")

    return key


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def reversed_text(text: str) -> str:
    """Returns a text that sorts as `text` does, the other way round."""
    return "".join(chr(0x10FFFF - ord(char)) for char in text) + chr(0x10FFFF)


_FIELDS = (
    "id",
    "name",
    "status",
    "created",
    "ended",
    "duration",
    "author",
    "host",
    "group",
    "note",
    "command",
    "points",
)


def field_of(run: Run, name: str) -> object:
    """Returns a field of a run by the name that columns, sorting and `--format` use; None if it has none.

    Raises UsageError if no run can have such a field."""
    kind, dot, rest = name.partition(".")
    if dot and kind == "params":
        return run.flat_params.get(rest)
    if dot and kind == "metrics":
        return _metric_field(run, rest)
    if name in _FIELDS:
        value: object = getattr(run, name)
        return value
    if name in ("code", "code.commit"):
        return run.code.commit
    if name == "code.branch":
        return run.code.branch
    if name in ("dirty", "code.dirty"):
        return run.code.dirty
    if name == "starred":
        return run.starred
    if name == "tags":
        return ",".join(run.tags)
    raise UsageError(
        f"'{name}' is no field of a run", hint="fields: " + ", ".join((*_FIELDS, "code", "params.X", "metrics.X"))
    )


def _metric_field(run: Run, name: str) -> object:
    metric = run.metrics.get(name)
    if metric is not None:
        return metric.last
    head, _, statistic = name.rpartition(".")
    metric = run.metrics.get(head)
    if metric is not None and statistic in (
        "last",
        "min",
        "max",
        "best",
        "mean",
        "step",
        "count",
        "min_step",
        "max_step",
    ):
        value: object = getattr(metric, statistic)
        return value
    return None
