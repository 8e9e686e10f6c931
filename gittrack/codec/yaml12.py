"""The YAML subset of docs/format.md, chapter 5.

Writing is our own, because the bytes are part of the format: they must not change with a library's version, and
must mean the same to readers of YAML 1.1 and 1.2. Reading goes through libyaml's events under limits, because a
fetched run is hostile input: 673 bytes of merge keys cost PyYAML's loader 47 s, and 400 kB of `[` crash it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from gittrack.errors import DataRefused

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 32
MAX_NODES = 100_000
MAX_DIGITS = 1300
# A key that is not marked as one may have 1,024 characters.
MAX_SIMPLE_KEY = 1000


class Limits(NamedTuple):
    """How much of a file a reader takes: bytes, and mappings, lists, keys and values together."""

    bytes: int
    nodes: int


LIMITS = Limits(MAX_BYTES, MAX_NODES)

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+@%=-]*(?: [A-Za-z0-9_./+@%=-]+)*")
_RESERVED = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_ESCAPED = re.compile('["\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}

_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {"": None, "~": None}
_WORDS |= dict.fromkeys(("null", "Null", "NULL"))
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True)
_WORDS |= dict.fromkeys(("false", "False", "FALSE"), False)
_WORDS |= {form: float("nan") for form in (".nan", ".NaN", ".NAN")}
_WORDS |= {sign + form: float(sign + "inf") for sign in ("", "+", "-") for form in (".inf", ".Inf", ".INF")}


def encode(document: Mapping[str, Any]) -> bytes:
    """Returns the one encoding of a mapping of plain values; `fitting` tells what of it a reader takes."""
    lines: list[str] = []
    _write_mapping(document, "", lines)
    return ("\n".join(lines) + "\n" if lines else "{}\n").encode("utf-8")


def fitting(document: Mapping[str, Any], *, limits: Limits = LIMITS) -> Mapping[str, Any]:
    """Returns a mapping without those entries that would take it over a reader's limits."""
    if _count(document) <= limits.nodes // 20 and len(repr(document)) <= limits.bytes // 16:
        return document  # far from the limits: what is written is at most six times as long, and the indents
    kept: dict[str, Any] = {}
    room, nodes = limits.bytes, limits.nodes - 1
    for key, item in document.items():
        size, count = len(encode({key: item})), 1 + _count(item)
        if size <= room and count <= nodes:
            kept[key] = item
            room, nodes = room - size, nodes - count
    return kept


def _count(value: Any) -> int:
    if isinstance(value, Mapping):
        return 1 + len(value) + sum(map(_count, value.values()))
    return 1 + (sum(map(_count, value)) if isinstance(value, list | tuple) else 0)


def _write_mapping(value: Mapping[str, Any], indent: str, lines: list[str]) -> None:
    for key, item in value.items():
        head = text(key)
        if len(head) > MAX_SIMPLE_KEY:
            lines.append(f"{indent}? {head}")
            head = ""
        _write_item(f"{indent}{head}:", item, indent, lines)


def _write_item(head: str, item: Any, indent: str, lines: list[str]) -> None:
    if isinstance(item, Mapping) and item:
        lines.append(head)
        _write_mapping(item, indent + "  ", lines)
    elif isinstance(item, list | tuple) and any(isinstance(part, Mapping | list | tuple) for part in item):
        lines.append(head)
        for part in item:
            _write_entry(part, indent, lines)
    else:
        lines.append(f"{head} {_inline(item)}")


def _write_entry(part: Any, indent: str, lines: list[str]) -> None:
    """Writes one item of a block list: its first line stands behind the dash."""
    if isinstance(part, Mapping) and part:
        below: list[str] = []
        _write_mapping(part, indent + "  ", below)
        below[0] = f"{indent}- {below[0].lstrip(' ')}"
        lines.extend(below)
    elif isinstance(part, list | tuple) and any(isinstance(inner, Mapping | list | tuple) for inner in part):
        lines.append(f"{indent}-")
        for inner in part:
            _write_entry(inner, indent + "  ", lines)
    else:
        lines.append(f"{indent}- {_inline(part)}")


def _inline(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(scalar(part) for part in value) + "]"
    return "{}" if isinstance(value, Mapping) else scalar(value)


def scalar(value: Any) -> str:
    """Returns null, a bool, a number or a text as YAML."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float(value)
    return text(str(value))


def _float(value: float) -> str:
    if value != value:
        return ".nan"
    written = repr(value)
    if "inf" in written:
        return written.replace("inf", ".inf")
    mantissa, exponent, power = written.partition("e")
    return written if not exponent or "." in mantissa else f"{mantissa}.0e{power}"


def text(value: str) -> str:
    """Returns a text plain where that is unmistakable, else in double quotes."""
    if _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
        return value
    return '"' + _ESCAPED.sub(_escape, value) + '"'


def _escape(found: re.Match[str]) -> str:
    char = found.group()
    code = ord(char)
    if 0xD800 <= code < 0xE000:  # half a character: no reader of YAML takes it, so it becomes the text of its escape
        return f"\\\\u{code:04x}"
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def decode(raw: bytes, *, name: str, limits: Limits = LIMITS) -> dict[str, Any]:
    """Returns the mapping in `raw`; raises DataRefused, which names the file `name`, for anything else."""
    return _decode(raw, name, _Reader, limits)[0]


def decode_with_lines(raw: bytes, *, name: str) -> tuple[dict[str, Any], Mapping[tuple[str, ...], int]]:
    """Returns what `decode` does, and for the path of keys to each value the line, from 1, that its key stands in.

    For files that people write: a complaint can then say where. Keys within lists have no line."""
    return _decode(raw, name, _LineReader, LIMITS)


def _decode(
    raw: bytes, name: str, kind: type[_Reader], limits: Limits
) -> tuple[dict[str, Any], Mapping[tuple[str, ...], int]]:
    if len(raw) > limits.bytes:
        raise _refused(name, f"larger than {limits.bytes} bytes")
    import yaml  # noqa: PLC0415 - 21 ms, and recording never reads YAML

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(raw)
    reader = kind(loader, yaml, name, limits.nodes)
    try:
        value = reader.document()
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as exc:
        raise _refused(name, " ".join(str(exc).split())[:200]) from exc
    finally:
        loader.dispose()
    if not isinstance(value, dict):
        raise _refused(name, "not a mapping")
    return value, reader.lines


def _refused(name: str, cause: str) -> DataRefused:
    return DataRefused(f"cannot read '{name}'", cause=cause)


class _Reader:
    """Builds plain values from parser events, refusing what the format leaves out."""

    def __init__(self, loader: Any, yaml: Any, name: str, most: int) -> None:
        self.next = loader.get_event
        self.yaml = yaml
        self.name = name
        self.nodes = 0
        self.most = most
        self.lines: dict[tuple[str, ...], int] = {}

    def document(self) -> Any:
        yaml = self.yaml
        self.next()
        if isinstance(self.next(), yaml.StreamEndEvent):
            return {}
        value = self.node(self.next(), 0)
        self.next()
        if not isinstance(self.next(), yaml.StreamEndEvent):
            raise _refused(self.name, "more than one document")
        return value

    def node(self, event: Any, depth: int) -> Any:
        yaml = self.yaml
        self.nodes += 1
        if self.nodes > self.most:
            raise _refused(self.name, f"more than {self.most} nodes")
        if depth > MAX_DEPTH:
            raise _refused(self.name, f"nested deeper than {MAX_DEPTH}")
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _refused(self.name, "anchors and aliases are not allowed")
        if event.tag is not None:
            raise _refused(self.name, "tags are not allowed")
        if isinstance(event, yaml.ScalarEvent):
            return resolve(event.value) if event.implicit[0] and not event.style else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(event := self.next(), yaml.SequenceEndEvent):
                items.append(self.node(event, depth + 1))
            return items
        return self.mapping(depth)

    def mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := self.next(), self.yaml.MappingEndEvent):
            if not isinstance(event, self.yaml.ScalarEvent):
                raise _refused(self.name, "a key is not a text")
            self.node(event, depth + 1)  # for its limits
            key = event.value
            if key == "<<" and not event.style:
                raise _refused(self.name, "merge keys are not allowed")
            if key in found:
                raise _refused(self.name, f"key '{key[:80]}' twice")
            found[key] = self.value(event, depth + 1)
        return found

    def value(self, key: Any, depth: int) -> Any:  # noqa: ARG002 - whoever keeps lines looks at the key
        return self.node(self.next(), depth)


class _LineReader(_Reader):
    """Keeps the line of each key that is not within a list."""

    path: tuple[str, ...] = ()

    def value(self, key: Any, depth: int) -> Any:
        outer = self.path
        self.path = (*outer, key.value)
        self.lines.setdefault(self.path, key.start_mark.line + 1)
        try:
            return super().value(key, depth)
        finally:
            self.path = outer


def resolve(plain: str) -> Any:
    """Returns the value of a plain scalar by the YAML 1.2 core schema."""
    if plain in _WORDS:
        return _WORDS[plain]
    if _FLOAT.fullmatch(plain) and not _INTEGER.fullmatch(plain):
        return float(plain)
    if len(plain) > MAX_DIGITS:
        return plain
    if _INTEGER.fullmatch(plain):
        return int(plain)
    if _OCTAL.fullmatch(plain):
        return int(plain, 8)
    return int(plain, 16) if _HEX.fullmatch(plain) else plain
