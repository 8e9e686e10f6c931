"""The packets of SFTP version 3: numbers, texts and attributes in bytes that somebody else made.

Nothing in them is believed: each length is held against what is there, and what does not fit ends the session."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple, Protocol

MOST = (256 << 10) + 1024  # bytes of a packet; OpenSSH sends no more than 256 KiB
_MOST_PAIRS = 1000
_SIZE, _OWNER, _MODE, _TIMES, _EXTENDED = 0x1, 0x2, 0x4, 0x8, 0x80000000
_END, _MISSING = 1, 2
_WORDS = {
    1: "there is no more",
    2: "no such file or folder",
    3: "permission denied",
    4: "it failed, and does not say why",
    5: "it did not understand the request",
    6: "it has no connection",
    7: "it lost its connection",
    8: "it cannot do this",
}
NOTHING = struct.pack(">I", 0)  # attributes that say nothing


class Kind(IntEnum):
    """What a packet is (section 3 of the draft)."""

    INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT = range(1, 11)
    OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME = range(11, 19)
    STATUS, HANDLE, DATA, NAME, ATTRS = range(101, 106)
    EXTENDED, EXTENDED_REPLY = 200, 201


class Broken(Exception):
    """A session that cannot be used any more.

    how: `closed`, `silent`, `nonsense`, or `noise`, when what came at first is not SFTP but what somebody printed."""

    def __init__(self, why: str, *, how: str) -> None:
        super().__init__(why)
        self.how = how


class Refused(Exception):
    """A request that the server answered with an error."""

    def __init__(self, code: int, said: str) -> None:
        usual = _WORDS.get(code, f"it answered with error {code}")
        # OpenSSH says in `said` what the code says.
        plain = said.strip().lower() in ("", "failure", "permission denied", "no such file", "end of file")
        super().__init__(usual if plain else f"{usual}: {said.strip()[:200]}")
        self.code = code

    @property
    def is_end(self) -> bool:
        """Whether it was the end of a file or of a folder."""
        return self.code == _END

    @property
    def is_missing(self) -> bool:
        """Whether there is no such file."""
        return self.code == _MISSING

    @property
    def is_unexplained(self) -> bool:
        """Whether the server only said that it failed."""
        return self.code == 4


class Attributes(NamedTuple):
    """What a server says of a file: size in bytes, mode with its type, Unix seconds; None for what it does not say."""

    size: int | None
    mode: int | None
    modified: int | None

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, as far as was said."""
        return self.mode is None or stat.S_ISREG(self.mode) or not stat.S_IFMT(self.mode)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.mode is not None and stat.S_ISDIR(self.mode)


class Reader:
    """Reads a packet from its begin to its end; raises Broken where it ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _take(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        if len(found) < count:
            raise Broken("it sent a packet that is cut", how="nonsense")
        self._at += count
        return found

    def byte(self) -> int:
        """Returns a number of one byte."""
        return self._take(1)[0]

    def int32(self) -> int:
        """Returns a number of four bytes."""
        return int.from_bytes(self._take(4), "big")

    def int64(self) -> int:
        """Returns a number of eight bytes."""
        return int.from_bytes(self._take(8), "big")

    def string(self) -> bytes:
        """Returns bytes that stand after their length."""
        return self._take(self.int32())

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        """Yields names and values to the end."""
        count = 0
        while self._at < len(self._data) and count < _MOST_PAIRS:
            yield self.string(), self.string()
            count += 1

    def attributes(self) -> Attributes:
        """Returns what is said of a file."""
        flags = self.int32()
        size = self.int64() if flags & _SIZE else None
        if flags & _OWNER:
            self._take(8)
        mode = self.int32() if flags & _MODE else None
        modified = None
        if flags & _TIMES:
            self._take(4)
            modified = self.int32()
        if flags & _EXTENDED:
            for _ in range(min(self.int32(), _MOST_PAIRS)):
                self.string()
                self.string()
        return Attributes(size, mode, modified)

    def names(self) -> Iterator[tuple[bytes, Attributes]]:
        """Yields the names of an answer to READDIR, without the line that is made for people."""
        for _ in range(self.int32()):
            name = self.string()
            self.string()
            yield name, self.attributes()


class _Answer(Protocol):
    @property
    def kind(self) -> int: ...
    @property
    def body(self) -> Reader: ...


def expected(answer: _Answer, kind: Kind) -> Reader:
    """Returns the body of an answer that has to be of a kind; raises Refused, or Broken if it is of another."""
    if answer.kind == Kind.STATUS:
        code = answer.body.int32()
        if code == 0 and kind == Kind.STATUS:
            return answer.body
        if code != 0:
            try:
                said = answer.body.string().decode("utf-8", "replace")
            except Broken:  # of versions before 3 it is not there
                said = ""
            raise Refused(code, said)
    elif answer.kind == kind:
        return answer.body
    raise Broken("it answered something else than was asked", how="nonsense")


def length_of(head: bytes) -> int:
    """Returns the length of the packet that follows; raises Broken if it can be none."""
    length = int.from_bytes(head, "big")
    if not 5 <= length <= MOST:
        raise Broken("it sent a packet of an impossible length", how="nonsense")
    return length


def text(value: str | bytes) -> bytes:
    """Returns a text or a handle as it stands in a packet: its length, and its bytes."""
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return struct.pack(">I", len(raw)) + raw


def mode_only(mode: int) -> bytes:
    """Returns attributes that only say the rights."""
    return struct.pack(">II", _MODE, mode)
