"""Secrets, recognised by their shape or by the name they stand under, before anything reaches a commit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

REDACTED = "***"
_MIN_TOKEN = 8

# Whatever stands under these names is a secret …
_SECRET = re.compile(
    r"(^|[-_.])(password|passwd|passphrase|secret|api[-_]?key|apikey|access[-_]?key|secret[-_]?key|private[-_]?key|"
    r"auth[-_]?token|access[-_]?token|bearer|client[-_]?secret)$",
    re.IGNORECASE,
)
# … and under these only what is long enough for one, and no word of a tokenizer: `<|endoftext|>` is none.
_MAYBE_SECRET = re.compile(r"(^|[-_.])(token|credentials?|pat)$", re.IGNORECASE)
_SPECIAL = re.compile(r"<.*>|\[.*\]", re.DOTALL)
_TOKENS = re.compile(
    r"((?<![A-Za-z0-9])(?:"  # `mask-rcnn-…` has no `sk-` key in it
    r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{20,}"
    r"|sk-(?=[A-Za-z0-9_-]*[0-9])(?=[A-Za-z0-9_-]*[A-Za-z0-9]{16})[A-Za-z0-9_-]{20,}"  # `sk-learn-…` is none
    r"|xox[abprs]-[A-Za-z0-9-]{10,}|AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}"
    r"|AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]{20,}|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{40,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[\s\S]{0,20000}?-----END [A-Z ]*PRIVATE KEY-----)?)"
)
_URL_USER = re.compile(r"(?<=://)[^/?#\s]+@")


def text(value: str) -> tuple[str, int]:
    """Returns a text with tokens of known shapes and credentials in addresses replaced, and how many there were."""
    if "://" not in value and not _TOKENS.search(value):
        return value, 0
    value, tokens = _TOKENS.subn(REDACTED, value)
    count = tokens

    def hide(found: re.Match[str]) -> str:
        nonlocal count
        if found.group() == "git@":
            return "git@"
        count += 1
        return f"{REDACTED}@"

    return _URL_USER.sub(hide, value), count


def is_secret(name: str, value: str) -> bool:
    """Tells whether the value of an option or param of this name is a secret."""
    if _SECRET.search(name):
        return bool(value)
    if not _MAYBE_SECRET.search(name) or len(value) < _MIN_TOKEN:
        return False
    return not value.isspace() and not _SPECIAL.fullmatch(value)


def command(argv: Iterable[str]) -> tuple[list[str], int]:
    """Returns a command line with the values of secret options replaced, and how many there were."""
    found: list[str] = []
    count = 0
    option = ""
    for word in argv:
        name, equals, value = word.partition("=")
        if option and not word.startswith("-") and is_secret(option, word):
            found.append(REDACTED)
            count += 1
        elif equals and is_secret(name, value):
            found.append(f"{name}={REDACTED}")
            count += 1
        else:
            clean, more = text(word)
            found.append(clean)
            count += more
        option = word if word.startswith("-") and not equals else ""
    return found, count


def params(given: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Returns plain params with secrets replaced, by name and by shape, and how many there were."""
    count = 0

    def clean(value: Any, name: str) -> Any:
        nonlocal count
        if isinstance(value, dict):
            return {key: clean(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [clean(item, name) for item in value]
        if not isinstance(value, str):
            return value
        if is_secret(name, value):
            count += 1
            return REDACTED
        kept, found = text(value)
        count += found
        return kept

    return {key: clean(value, key) for key, value in given.items()}, count


def address(url: str) -> str:
    """Returns a remote's address without user and password; `git@host:path` keeps its user, which is no secret."""
    if "://" not in url:
        return url
    from urllib.parse import urlsplit, urlunsplit  # noqa: PLC0415 - only when a run begins

    try:
        parts = urlsplit(url)
    except ValueError:
        return text(url)[0]
    host = parts.netloc.rpartition("@")[2]
    user = parts.username if parts.scheme in ("ssh", "git+ssh") else None
    return urlunsplit((parts.scheme, f"{user}@{host}" if user else host, parts.path, "", ""))
