"""Secrets, replaced before anything reaches a commit.

They are known by their shape (`shapes`), by the name they stand under (`secretnames`), by the option they are given to
(`secretwords`), or as the password of an address. What is replaced is counted, so that it can be said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gittrack import secretnames, secretwords, shapes
from gittrack.secretnames import is_secret
from gittrack.shapes import Span, lazy

__all__ = ["REDACTED", "address", "command", "first", "is_secret", "params", "path", "raw", "text"]

REDACTED = "***"
_MARK = REDACTED.encode()
_SHORTEST = 8
_LONG_WORD = lazy(r"[\w.~+/=$%@:-]{14}")
_USER_AND_PASSWORD = lazy(rb"://(?!\*\*\*@)([^/?#\s\"'`<>\\:]{0,500}+:[^/?#\s\"'`<>\\]{0,2000})@(?!sha256:)")
_USER = lazy(rb"://(?!\*\*\*@|git@)([^/?#\s\"'`<>\\:]{1,500})@")
_WEB = lazy(rb"(?:https?|[\w.-]{1,20}\+https?|wss?)$", re.IGNORECASE)
_IDENTIFIER = lazy(rb"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_GROUP = lazy(r"(?:^|[_.-])(?:secrets|credentials|creds|passwords|api_?keys|access_?keys)$", re.IGNORECASE)
_PLACEHOLDER = lazy(
    rb"(?:[^:]*:)?(?:\W*(?:user(?:name)?|pass(?:word|wd)?|pw|pwd|secret|token|xxx+|changeme|example|my|your|the)?\W*){1,4}|"
    rb".*[{}$<>%(\[].*",
    re.IGNORECASE,
)


def raw(data: bytes, *, names: bool = True) -> tuple[bytes, int]:
    """Returns bytes of a text with the secrets in them replaced, and how many there were.

    names: look also for what is secret by the name it stands under; a list of packages has too many such names."""
    spans = [*_find(data), *(_by_name(data) if names else ())]
    found = _merged(spans)
    if _MARK in data:  # what was replaced before is not counted again
        found = [(start, end) for start, end in found if data[start:end] != _MARK]
    if not found:
        return data, 0
    parts, at = [], 0
    for start, end in found:
        parts += [data[at:start], _MARK]
        at = end
    return b"".join([*parts, data[at:]]), len(found)


def _find(data: bytes) -> Iterator[Span]:
    yield from shapes.find(data)
    if b"://" in data:
        yield from _addresses(data)


def _by_name(data: bytes) -> Iterator[Span]:
    yield from secretnames.find(data)
    yield from secretwords.find(data)


def _merged(spans: list[Span]) -> list[tuple[int, int]]:
    """Returns where secrets stand, those that overlap as one."""
    found: list[tuple[int, int]] = []
    begin = last = 0
    for start, end, _ in sorted(spans):
        if start < last:
            last = max(end, last)
        elif end > start:
            found.append((begin, last))
            begin, last = start, end
    return [*found[1:], (begin, last)] if last else []


def _addresses(data: bytes) -> Iterator[Span]:
    """Yields user and password of addresses; `git@` and the user of a database without a password are no secrets."""
    what = "a password in an address"
    yield from (Span(*found.span(1), what) for found in _USER_AND_PASSWORD.finditer(data))
    for found in _USER.finditer(data):
        if _WEB.search(data[max(0, found.start() - 30) : found.start()]):  # there a user alone is often a token
            yield Span(*found.span(1), what)


def text(value: str) -> tuple[str, int]:
    """Returns a text with the secrets in it replaced, and how many there were."""
    if len(value) < _SHORTEST or not (
        "=" in value or ":" in value or _LONG_WORD.search(value) or "-" in value or "@" in value
    ):
        return value, 0
    data = value.encode("utf-8", "surrogatepass")
    clean, count = raw(data)
    return (clean.decode("utf-8", "surrogatepass"), count) if count else (value, 0)


def path(value: str) -> tuple[str, int]:
    """Returns a path that has no token in it, and how many there were; it stays a path."""
    found = _merged([*shapes.find(value.encode("utf-8", "surrogatepass"))])
    if not found:
        return value, 0
    clean, count = raw(value.encode("utf-8", "surrogatepass"), names=False)
    return clean.replace(_MARK, b"redacted").decode("utf-8", "surrogatepass"), count


def first(data: bytes) -> tuple[str, int] | None:
    """Returns what the first secret in the bytes of a file looks like, and its line; None if there is none.

    Only what is sure: tokens of known shapes, private keys, passwords in addresses that are no placeholders, and
    random values under a secret's name."""
    found = [*shapes.find(data)]
    if b"://" in data:
        found += [span for span in _addresses(data) if _is_sure_user(data[span.start : span.end])]
    found += [span for span in secretnames.find(data) if _is_sure(data[span.start : span.end])]
    if not found:
        return None
    start, _, what = min(found, key=lambda span: (span.start, -span.end))
    return what, data.count(b"\n", 0, start) + 1


def _is_sure_user(user: bytes) -> bool:
    """Tells whether what stands before the `@` of an address has a password in it, and not the word for one."""
    return not _PLACEHOLDER.fullmatch(user) if b":" in user else _is_sure(user)


def _is_sure(value: bytes) -> bool:
    """Tells whether a value is as random as only keys are."""
    if _IDENTIFIER.fullmatch(value) or b"0123456789" in value:
        return False
    if len(value) < 16 or re.search(rb"[\s{}$<>()]", value):
        return False
    digits = len(re.findall(rb"[0-9]", value))
    mixed = re.search(rb"[a-z]", value) and re.search(rb"[A-Z]", value)
    hexadecimal = re.fullmatch(rb"[0-9a-f]{32,}", value)
    return bool(digits >= 2 and (mixed or hexadecimal or len(value) >= 24))


def command(argv: Iterable[str]) -> tuple[list[str], int]:
    """Returns a command line with the secrets in it replaced, and how many there were."""
    words = list(argv)
    starts = dict(secretwords.hidden(words))
    found: list[str] = []
    count = 0
    for number, word in enumerate(words):
        at = starts.get(number)
        clean, more = text(word) if at is None else (word[:at] + REDACTED, int(word[at:] != REDACTED))
        found.append(clean)
        count += more
    return found, count


def params(given: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Returns plain params with secrets replaced, by name and by shape, in keys too, and how many there were."""
    count = 0

    def clean(value: Any, name: str) -> Any:
        nonlocal count
        if isinstance(value, dict):
            return clean_mapping(value, name)
        if isinstance(value, list):
            if any(isinstance(item, str) and item.startswith("-") for item in value) and all(
                isinstance(item, str) for item in value
            ):
                value, found = command(value)
                count += found
            return [clean(item, name) for item in value]
        if not isinstance(value, str) or value == REDACTED:
            return value
        if is_secret(name, value):
            count += 1
            return REDACTED
        kept, found = text(value)
        count += found
        return kept

    def clean_mapping(mapping: Mapping[str, Any], above: str) -> dict[str, Any]:
        nonlocal count
        result: dict[str, Any] = {}
        for key, item in mapping.items():
            kept, found = text(key)
            count += found
            while found and kept in result:
                kept += "*"
            # Whatever stands below `secrets:` is one, and `wandb: {key: …}` is a key of W&B.
            own = is_secret(key, "a1" * _SHORTEST) or not _GROUP.search(above)
            result[kept] = clean(item, _below(above, key) if own else above)
        return result

    return clean_mapping(given, ""), count


def note(given: Mapping[str, Any]) -> tuple[Mapping[str, Any], int]:
    """Returns a note of the journal with secrets replaced, and how many there were."""
    if given.get("k") != "event":
        return params(given)
    clean, count = params({given["key"]: given.get("value")})
    ((key, value),) = clean.items()
    return ({**given, "key": key, "value": value}, count) if count else (given, 0)


def header(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the header of a run with secrets replaced; `redacted` counts them, by place."""
    kept = dict(given)
    kept["command"], in_command = command(given["command"])
    texts = {
        key: given[key] for key in ("name", "tags", "notes", "group", "project", "entity", "job_type") if key in given
    }
    clean, in_texts = params(texts)
    about = {key: given[key] for key in ("directory",) if given.get(key)}
    about |= {key: text for key, text in given["code"].items() if key in ("branch", "remote")}
    clean_about, in_about = params(about)
    kept |= clean | {key: value for key, value in clean_about.items() if key in given}
    kept["code"] = {**given["code"], **{key: value for key, value in clean_about.items() if key in given["code"]}}
    places = {"command": in_command, "name, tags and notes": in_texts, "code": in_about}
    found = {place: count for place, count in places.items() if count}
    return kept | ({"redacted": found} if found else {})


def edit(changes: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Returns an edit of a run with secrets in what it adds replaced, and how many there were."""
    given = {key: value for key, value in changes.items() if key != "untag"}
    clean, count = params(given)
    return {**changes, **clean}, count


def told(places: Mapping[str, int]) -> str:
    """Returns what is said of secrets that were replaced: how many, and where."""
    count = sum(places.values())
    what = "1 secret was" if count == 1 else f"{count} secrets were"
    return f"{what} replaced by {REDACTED} (in {', '.join(sorted(places))})"


def _below(above: str, key: str) -> str:
    """Returns the name that a key has with the one it stands below, where that says more."""
    return f"{above.rpartition('.')[2]}.{key}" if above and len(key) <= 6 else key


def address(url: str) -> str:
    """Returns a remote's address without user and password; `git@host:path` keeps its user, which is no secret."""
    if "://" not in url:
        return text(url)[0]
    from urllib.parse import urlsplit, urlunsplit  # noqa: PLC0415 - only when a run begins

    try:
        parts = urlsplit(url)
    except ValueError:
        return text(url)[0]
    host = parts.netloc.rpartition("@")[2]
    user = parts.username if parts.scheme in ("ssh", "git+ssh") else None
    return text(urlunsplit((parts.scheme, f"{user}@{host}" if user else host, parts.path, "", "")))[0]
