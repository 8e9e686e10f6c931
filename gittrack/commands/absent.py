"""Says which params and metrics that were asked for no run has: a name that is misspelt looks like an empty answer."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from gittrack import output
from gittrack.columns import full
from gittrack.index.listing import Index
from gittrack.model import Run
from gittrack.query import fields
from gittrack.query.condition import Presence
from gittrack.query.fields import Field

_LOOKED_AT = 500  # runs whose names are looked through for near ones


def warn(index: Index, asked: Iterable[Field]) -> None:
    """Warns of each of these fields that no run has, with the nearest names."""
    known: dict[str, list[str]] = {}
    for field in dict.fromkeys(asked):
        if field.of == "run" or index.select(Presence(field), limit=1):
            continue
        if not known:
            runs = index.select(limit=_LOOKED_AT)
            known["params"] = sorted({name for run in runs for name in run.flat_params})
            known["metrics"] = sorted({name for run in runs for name in run.metrics})
        output.warn(f"warning: no run has {full(field.of, field.name)}")
        near = difflib.get_close_matches(field.name, known[field.of], n=3)
        if near:
            output.warn("hint: did you mean " + " or ".join(full(field.of, name) for name in near) + "?")


def without_value(runs: Sequence[Run], asked: Iterable[Field]) -> list[Field]:
    """Returns those of the fields that none of these runs has a value of."""
    return [field for field in asked if all(fields.value_of(run, field) is None for run in runs)]
