"""What stands in a run's tree for a file whose bytes are elsewhere: a Git LFS pointer.

There is one valid encoding of each (git-lfs docs/spec.md), and hosts look for exactly that blob before they collect
what nobody needs. So nothing is ever added to it, and what differs in one byte is no pointer."""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_BYTES = 1024  # of a pointer; a larger blob is a file
MAX_SIZE = (1 << 63) - 1
_LINES = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (0|[1-9][0-9]{0,18})\n"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Pointer(NamedTuple):
    """The SHA-256 of a file's content, as 64 lower-case hex digits, and its size in bytes."""

    sha256: str
    size: int


def encode_pointer(pointer: Pointer) -> bytes:
    """Returns the canonical pointer."""
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{pointer.sha256}\nsize {pointer.size}\n"
    return text.encode("ascii")


def decode_pointer(raw: bytes) -> Pointer | None:
    """Returns what a blob points to, or None if it is no canonical pointer."""
    found = _LINES.fullmatch(raw)
    if not found or int(found[2]) > MAX_SIZE:
        return None
    return Pointer(found[1].decode(), int(found[2]))


def is_sha256(text: str) -> bool:
    """Tells whether `text` is a SHA-256 as pointers have it; anything else could be a path out of a store."""
    return _SHA256.fullmatch(text) is not None
