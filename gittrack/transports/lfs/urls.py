"""Addresses of the web, read as strictly as what they decide needs: who is meant, and what may be printed."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urlsplit

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_UNSAFE = re.compile(r"[\x00-\x20\x7f]")


def is_web(url: str) -> bool:
    """Tells whether an address is one of HTTP, with nothing in it that could be read in another way."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    host = parts.netloc.rpartition("@")[2]
    return (
        parts.scheme in ("http", "https")
        and _UNSAFE.search(url) is None
        and _HOST.fullmatch(host) is not None
        and port != 0
    )


@lru_cache(maxsize=256)
def origin(url: str) -> tuple[str, str, int]:
    """Returns scheme, host and port, which together say who is meant (RFC 6454)."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def place(url: str) -> str:
    """Returns scheme, host and port as they may be printed; a path or a query may let somebody in."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
