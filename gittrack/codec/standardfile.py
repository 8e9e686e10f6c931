"""`gittrack.yaml`, the project's standard, as its people write it (docs/reference/gittrack-yaml.md).

What is misspelt would ask for nothing and nobody would notice, so a key that is not known is an error, and all errors
of a file are told at once, with their lines. There is no key for a command, a credential or an address."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gittrack.codec import yaml12
from gittrack.errors import DataRefused, Misread, UsageError
from gittrack.query import fields, language
from gittrack.standard import FILE, TYPES, Gate, MetricRule, ParamRule, Range, Standard

MAX_BYTES = 256 * 1024
MAX_PATTERN = 200  # characters of a pattern
FORMAT = 1
GOALS = ("min", "max")

# The keys there are, with the kind of their values; docs/reference/gittrack.schema.json is checked against this table.
TOP = {"format": "format", "metrics": "section", "params": "section", "columns": "texts", "gates": "section"}
METRIC = {
    "required": "bool",
    "goal": "goal",
    "min": "number",
    "max": "number",
    "finite": "bool",
    "unit": "text",
    "description": "text",
}
PARAM = {
    "required": "bool",
    "type": "type",
    "min": "number",
    "max": "number",
    "choices": "scalars",
    "unit": "text",
    "description": "text",
}
GATE = {"branches": "texts", "paths": "texts", "run": "bool", "where": "query"}

_Lines = Mapping[tuple[str, ...], int]


class Problem(NamedTuple):
    """What is wrong with a file, and in which line, where that is known."""

    line: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a file says as far as it is sound, and everything that is wrong with it."""

    standard: Standard
    problems: tuple[Problem, ...]


def decode(raw: bytes, *, name: str = FILE) -> Standard:
    """Returns the standard in a file; raises DataRefused, which names all that is wrong with it."""
    found = examine(raw, name=name)
    if found.problems:
        said = "; ".join(located(problem) for problem in found.problems[:5])
        more = f"; and {len(found.problems) - 5} more" if len(found.problems) > 5 else ""
        raise DataRefused(f"cannot read '{name}'", cause=said + more, hint="`git track check --schema` says it all")
    return found.standard


def located(problem: Problem) -> str:
    """Returns a problem with its line, for people."""
    return f"line {problem.line}: {problem.text}" if problem.line else problem.text


def examine(raw: bytes, *, name: str = FILE) -> Decoded:
    """Returns what a file says and what is wrong with it; what is no YAML at all is one problem."""
    if len(raw) > MAX_BYTES:
        return Decoded(Standard(), (Problem(None, f"larger than {MAX_BYTES} bytes"),))
    try:
        document, lines = yaml12.decode_with_lines(raw, name=name)
    except DataRefused as exc:
        return Decoded(Standard(), (Problem(None, exc.cause or exc.message),))
    reader = _Reader(lines)
    standard = reader.standard(document)
    return Decoded(standard, tuple(sorted(reader.problems, key=lambda found: found.line or 0)))


class _Reader:
    """Turns the plain values of a file into a standard, and writes down what is wrong on the way."""

    def __init__(self, lines: _Lines) -> None:
        self.lines = lines
        self.problems: list[Problem] = []

    def wrong(self, path: tuple[str, ...], text: str) -> None:
        line = next((self.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.lines), None)
        self.problems.append(Problem(line, text))

    def standard(self, document: Mapping[str, Any]) -> Standard:
        top = self.known((), document, TOP)
        columns = tuple(top.get("columns", ()))
        for column in columns:
            try:
                fields.field(column) if "*" not in column else None
            except UsageError as exc:
                self.wrong(("columns",), f"{exc.message}{f' ({exc.hint})' if exc.hint else ''}")
        return Standard(
            metrics=dict(self.each("metrics", top, METRIC, _metric)),
            params=dict(self.each("params", top, PARAM, _param)),
            columns=columns,
            gates=tuple(gate for _, gate in self.each("gates", top, GATE, _gate)),
        )

    def each(
        self, section: str, top: Mapping[str, Any], table: Mapping[str, str], make: Callable[[str, dict[str, Any]], Any]
    ) -> list[tuple[str, Any]]:
        found = []
        for name, facts in top.get(section, {}).items():
            path = (section, name)
            if facts is not None and not isinstance(facts, dict):
                self.wrong(path, f"{section}.{name} is no mapping")
                continue
            known = self.known(path, facts or {}, table)
            if known.get("min", -float("inf")) > known.get("max", float("inf")):
                self.wrong(path, f"{section}.{name} has a 'min' above its 'max'")
            found.append((name, make(name, known)))
        return found

    def known(self, path: tuple[str, ...], facts: Mapping[str, Any], table: Mapping[str, str]) -> dict[str, Any]:
        """Returns what of a mapping is known and well formed; the rest is written down as wrong."""
        found = {}
        for key, value in facts.items():
            here = (*path, key)
            if key not in table:
                near = difflib.get_close_matches(key, table, n=1)
                hint = f"did you mean '{near[0]}'?" if near else "keys: " + ", ".join(table)
                self.wrong(here, f"key '{'.'.join(here)[:200]}' is not known; {hint}")
                continue
            try:
                found[key] = _KINDS[table[key]](value)
            except UsageError as exc:
                self.wrong(here, f"'{'.'.join(here)[:200]}' {exc.message}")
        return found


def _metric(_: str, facts: dict[str, Any]) -> MetricRule:
    return MetricRule(range=Range(facts.pop("min", None), facts.pop("max", None)), **facts)


def _param(_: str, facts: dict[str, Any]) -> ParamRule:
    return ParamRule(range=Range(facts.pop("min", None), facts.pop("max", None)), **facts)


def _gate(name: str, facts: dict[str, Any]) -> Gate:
    query = facts.pop("where", None)
    where, text = query or (None, "")
    return Gate(name, where=where, query=text, **facts)


# Kinds of values ----------------------------------------------------------------------------------------------------


def _format(value: Any) -> int:
    if value != FORMAT or isinstance(value, bool):
        raise UsageError(f"is not known to this version, which knows {FORMAT}; install a newer gittrack")
    return FORMAT


def _section(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError("is no mapping")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError("is neither true nor false")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise UsageError("is no number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError("is no text; put it in quotes")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) and item for item in items):
        raise UsageError("is no list of texts")
    if any(len(item) > MAX_PATTERN for item in items):
        raise UsageError(f"has an entry of more than {MAX_PATTERN} characters")
    return tuple(items)


def _scalars(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list) or not value or any(isinstance(item, dict | list) for item in value):
        raise UsageError("is no list of values")
    return tuple(value)


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in allowed:
            raise UsageError(f"is none of: {', '.join(allowed)}")
        return str(value)

    return check


def _query(value: Any) -> tuple[Any, str]:
    text = _text(value)
    try:
        return language.parse(text), text
    except Misread as exc:
        raise UsageError(f"is no query: {exc.message}, at '{text[exc.start :][:20]}'") from exc


_KINDS: Mapping[str, Callable[[Any], Any]] = {
    "format": _format,
    "section": _section,
    "bool": _bool,
    "number": _number,
    "text": _text,
    "texts": _texts,
    "scalars": _scalars,
    "goal": _one_of(*GOALS),
    "type": _one_of(*TYPES),
    "query": _query,
}
