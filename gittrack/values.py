"""What people hand to a tracker, made plain.

Params and logged values arrive as anything: torch scalars, dataclasses, argparse namespaces, OmegaConf trees,
cycles. A training run must not die of that, so every value becomes null, bool, int, float, text, list or mapping,
and what could not be kept exactly is named once."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

MAX_DEPTH = 24
MAX_ITEMS = 20_000
MAX_TEXT = 64 * 1024
MAX_NAME_BYTES = 512

_HALF = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
SEED_NAMES = frozenset({"seed", "random_seed", "random_state", "rng_seed", "manual_seed", "global_seed"})


def clean_name(name: Any) -> str:
    """Returns a metric's or param's name as it is stored.

    Control characters become escapes; above 512 bytes of UTF-8 the name is cut and ends in 8 digits of its hash."""
    text = name if type(name) is str else _as_text(name)
    if text.isascii() and text.isprintable() and 0 < len(text) <= MAX_NAME_BYTES:
        return text
    text = _CONTROL.sub(_escape, text) or "(empty)"
    raw = text.encode("utf-8")
    if len(raw) <= MAX_NAME_BYTES:
        return text
    digest = hashlib.sha256(raw).hexdigest()[:8]
    return raw[: MAX_NAME_BYTES - 9].decode("utf-8", "ignore") + "~" + digest


def _as_text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"<{type(value).__qualname__}>"


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def clean_text(value: str) -> str:
    """Returns a text as it is stored: halves of characters, which UTF-8 has no bytes for, become escapes."""
    return value if value.isascii() else _HALF.sub(_escape, value)


def clean_texts(value: Any) -> Any:
    """Returns plain values with every text in them as it is stored."""
    if isinstance(value, Mapping):
        return {key: clean_texts(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_texts(item) for item in value]
    return clean_text(value) if isinstance(value, str) else value


def number(value: Any) -> float | None:
    """Returns `value` as a double, or None if it is no single number.

    Scalars of torch, numpy and jax are asked for their `.item()`; none of them is imported."""
    kind = type(value)
    if kind is float:
        return float(value)
    if kind is int or kind is bool:
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if issubclass(kind, str | bytes | bytearray | complex) or value is None:
        return None
    try:
        item = getattr(value, "item", None)
        if callable(item):
            value = item()
            return number(value) if type(value) in (float, int, bool) else None
        return float(value) if hasattr(kind, "__float__") else None
    except Exception:  # noqa: BLE001 - a user's object may raise anything; then it is no number
        return None


def plain(value: Any, *, lossy: Callable[[str, str], None], path: str = "") -> Any:
    """Returns `value` as null, bool, int, float, text, list or dict with text keys.

    `lossy(path, why)` is called for each value that is stored as something other than what it was."""
    return _Plain(lossy).convert(value, path, 0)


class _Plain:
    def __init__(self, lossy: Callable[[str, str], None]) -> None:
        self.lossy = lossy
        self.open: set[int] = set()
        self.items = 0

    def convert(self, value: Any, path: str, depth: int) -> Any:
        self.items += 1
        kind = type(value)
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            return self._integer(value, path)
        if issubclass(kind, str):
            return self._text(str.__str__(value), path)  # of an enum the text, not its name
        if id(value) in self.open:
            self.lossy(path, "refers to itself")
            return "<cycle>"
        if depth > MAX_DEPTH:
            self.lossy(path, f"nested deeper than {MAX_DEPTH}")
            return f"<{type(value).__qualname__}>"
        self.open.add(id(value))
        try:
            return self._object(value, path, depth)
        finally:
            self.open.discard(id(value))

    def _integer(self, value: int, path: str) -> int | str:
        if value.bit_length() <= 4096:
            return value
        self.lossy(path, "an integer of more than 4,096 bits is kept as hexadecimal text")
        return hex(value)

    def _text(self, value: str, path: str) -> str:
        if len(value) > MAX_TEXT:
            self.lossy(path, f"text longer than {MAX_TEXT} characters is cut")
        return clean_text(value[:MAX_TEXT])

    def _object(self, value: Any, path: str, depth: int) -> Any:
        try:
            return self._known(value, path, depth)
        except Exception as exc:  # noqa: BLE001 - a user's object may raise anything
            self.lossy(path, f"cannot be read ({type(exc).__name__})")
            return f"<{type(value).__qualname__}>"

    def _known(self, value: Any, path: str, depth: int) -> Any:  # noqa: C901, PLR0912 - a line a kind reads best
        if isinstance(value, int | float):  # subclasses: numpy.float64, IntEnum
            base: int | float = int(value) if isinstance(value, int) else float(value)
            return self.convert(base, path, depth)
        if isinstance(value, Mapping) or (hasattr(value, "keys") and hasattr(value, "__getitem__")):
            return self._mapping(((key, value[key]) for key in value.keys()), path, depth)  # noqa: SIM118
        if isinstance(value, list | tuple):
            return self._list(value, path, depth)
        if isinstance(value, set | frozenset):
            return self._list(sorted(value, key=repr), path, depth)
        if isinstance(value, bytes | bytearray):
            self.lossy(path, "bytes are kept as hexadecimal text")
            return self._text(bytes(value).hex(), path)
        if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
            return self._mapping(((name, getattr(value, name)) for name in value.__dataclass_fields__), path, depth)
        if hasattr(value, "isoformat"):
            return str(value.isoformat())
        if hasattr(value, "__fspath__"):
            return self._text(str(value.__fspath__()), path)
        if hasattr(value, "dtype") and hasattr(value, "tolist"):
            return self._array(value, path, depth)
        if callable(getattr(value, "item", None)):
            return self.convert(value.item(), path, depth + 1)
        if type(value).__name__ in ("Namespace", "SimpleNamespace") and hasattr(value, "__dict__"):
            return self._mapping(vars(value).items(), path, depth)
        if hasattr(value, "model_dump"):
            return self.convert(value.model_dump(), path, depth + 1)
        if hasattr(value, "name") and hasattr(value, "value") and hasattr(type(value), "__members__"):
            return self.convert(value.value, path, depth + 1)
        if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
            return f"{value.__module__}.{value.__qualname__}"
        if hasattr(value, "__iter__") and not hasattr(value, "__next__") and hasattr(value, "__len__"):
            return self._list(value, path, depth)
        self.lossy(path, f"'{type(value).__qualname__}' is kept as text")
        return self._text(_describe(value), path)

    def _list(self, items: Iterable[Any], path: str, depth: int) -> list[Any]:
        found: list[Any] = []
        for at, item in enumerate(items):
            if self._is_full(path):
                break
            found.append(self.convert(item, f"{path}[{at}]", depth + 1))
        return found

    def _mapping(self, items: Iterable[tuple[Any, Any]], path: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, item in items:
            if self._is_full(path):
                break
            name = clean_name(key)
            below = f"{path}.{name}" if path else name
            if name in found:
                self.lossy(below, "is the name of two values; the last is kept")
            found[name] = self.convert(item, below, depth + 1)
        return found

    def _is_full(self, path: str) -> bool:
        if self.items < MAX_ITEMS:
            return False
        if self.items == MAX_ITEMS:
            self.lossy(path, f"has more than {MAX_ITEMS} values; the rest is left out")
            self.items += 1  # said once
        return True

    def _array(self, value: Any, path: str, depth: int) -> Any:
        size = getattr(value, "size", None)
        count = size() if callable(size) else size
        if callable(getattr(value, "numel", None)):
            count = value.numel()
        if not isinstance(count, int) or count > 1000:
            self.lossy(path, "an array of more than 1,000 elements is kept as its shape")
            return f"<{type(value).__name__} {tuple(value.shape)} {value.dtype}>"
        return self.convert(value.tolist(), path, depth + 1)


def _describe(value: Any) -> str:
    """Returns repr without the address, so that equal objects read equal in two runs."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a user's __repr__ may raise anything
        return f"<{type(value).__qualname__}>"
    return re.sub(r" at 0x[0-9a-f]+", "", text[: MAX_TEXT + 1])


def leaves(data: Mapping[Any, Any], prefix: str = "", above: tuple[int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yields the values of a nested mapping with dotted names; what holds itself, or is too deep, as a word."""
    above = (*above, id(data))
    for key, value in data.items():
        name = prefix + clean_name(key)
        if not issubclass(type(value), Mapping) or not value:
            yield clean_name(name), value
        elif id(value) in above:
            yield clean_name(name), "<cycle>"
        elif len(above) > MAX_DEPTH:
            yield clean_name(name), f"<{type(value).__qualname__}>"
        else:
            yield from leaves(value, name + ".", above)


def seeds_in(params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the params whose last name component is that of a random seed, flat."""
    found: dict[str, Any] = {}

    def walk(value: Mapping[str, Any], prefix: str) -> None:
        for key, item in value.items():
            if isinstance(item, Mapping):
                walk(item, f"{prefix}{key}.")
            elif key.rpartition(".")[2].lower() in SEED_NAMES and isinstance(item, int | str):
                found[prefix + key] = item

    walk(params, "")
    return found
