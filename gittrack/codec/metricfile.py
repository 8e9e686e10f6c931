"""Metrics that a program in any language wrote to a file: JSON, JSON lines, YAML, CSV or TSV.

A mapping of numbers is one point; a list of mappings, or a table, is a point a row at its `step` (or `epoch`, or its
place); a mapping of lists (as Keras keeps its history) is a series a name."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from gittrack.codec import yaml12
from gittrack.errors import DataRefused
from gittrack.model import flatten

MAX_BYTES = 256 * 1024 * 1024
_STEPS = ("step", "global_step", "_step", "epoch", "iteration", "iter")

Row = tuple[int | None, dict[str, Any]]


def decode(raw: bytes, *, name: str) -> list[Row]:
    """Returns (step or None, values) rows; raises DataRefused that names the file and what is wrong."""
    ending = name.rpartition(".")[2].lower()
    try:
        if ending in ("csv", "tsv"):
            return list(_table(raw, "\t" if ending == "tsv" else ","))
        if ending in ("yaml", "yml"):
            return list(_rows(_yaml(raw, name)))
        if ending in ("jsonl", "ndjson"):
            return list(_rows(_lines(raw)))
        return list(_rows(_json(raw)))
    except (ValueError, TypeError, OverflowError, RecursionError, csv.Error) as exc:
        raise DataRefused(f"cannot read metrics from '{name}'", cause=" ".join(str(exc).split())[:200]) from exc


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        lines = [line for line in raw.splitlines() if line.strip()]
        if len(lines) > 1 and all(line.lstrip().startswith(b"{") for line in lines):
            return _lines(raw)
        raise


def _lines(raw: bytes) -> list[Any]:
    return [json.loads(line) for line in raw.splitlines() if line.strip()]


def _yaml(raw: bytes, name: str) -> Any:
    # A list at the top is wrapped, for a document of ours is a mapping.
    lines = [line for line in raw.splitlines() if line.strip() != b"---"]
    first = next((line for line in lines if line.strip() and not line.lstrip().startswith(b"#")), b"")
    if first.lstrip().startswith((b"-", b"[")):
        body = b"\n".join(b"  " + line for line in lines)
        return yaml12.decode(b"rows:\n" + body + b"\n", name=name)["rows"]
    return yaml12.decode(raw, name=name)


def _table(raw: bytes, separator: str) -> Iterable[Row]:
    reader = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), delimiter=separator)
    heads = [head.strip() for head in next(reader, [])]
    if not any(heads):
        raise ValueError("it has no line of names")
    for number, cells in enumerate(reader, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(heads):
            raise ValueError(f"line {number} has {len(cells)} cells, the first has {len(heads)}")
        values = {head: _cell(cell) for head, cell in zip(heads, cells, strict=True) if head and cell.strip()}
        yield _with_step(values)


def _cell(cell: str) -> Any:
    text = cell.strip()
    try:
        return float(text)
    except ValueError:
        return yaml12.resolve(text)


def _rows(document: Any) -> Iterable[Row]:
    if isinstance(document, list):
        for item in document:
            if not isinstance(item, Mapping):
                raise TypeError("a list of metrics holds mappings")
            yield _with_step(flatten(item))
        return
    if not isinstance(document, Mapping):
        raise TypeError("it holds neither a mapping nor a list")
    flat = flatten(document)
    series = {key: value for key, value in flat.items() if isinstance(value, list)}
    if series and all(_is_number(item) for value in series.values() for item in value):
        steps = next((series.pop(key) for key in _STEPS if key in series and len(series) > 1), None)
        for at in range(max(len(value) for value in series.values())):
            step = int(steps[at]) if steps and at < len(steps) else at
            yield step, {key: value[at] for key, value in series.items() if at < len(value)}
        flat = {key: value for key, value in flat.items() if not isinstance(value, list)}
        if not flat:
            return
    yield _with_step(flat)


def _with_step(values: dict[str, Any]) -> Row:
    for key in _STEPS:
        step = values.get(key)
        if len(values) > 1 and _is_number(step) and math.isfinite(step) and float(step).is_integer():
            rest = {name: value for name, value in values.items() if name != key or key == "epoch"}
            return int(step), rest
    return None, values


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
