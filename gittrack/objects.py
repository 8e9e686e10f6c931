"""Reading objects: one git for many of them, with their size known before they are in memory."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from gittrack.errors import DataRefused, GitFailed
from gittrack.refname import Kind, Oid

MAX_OBJECT = 1024 * 1024 * 1024
_AHEAD = 250  # ids; twice as many fit into a pipe while nobody reads it


class Objects:
    """Reads objects through one `git cat-file --batch`."""

    def __init__(self, git: Sequence[str], environ: Mapping[str, str], folder: Path) -> None:
        """git: how to call it; environ and folder: its environment and where it runs."""
        self._process = subprocess.Popen(
            [*git, "cat-file", "--batch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
            cwd=folder,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.wait()

    def read(self, name: str, *, limit: int = MAX_OBJECT) -> tuple[Oid, Kind, bytes] | None:
        """Returns id, kind and body of the object that `name` names, or None; raises DataRefused above `limit` bytes.

        The size comes before the body, and a body that is too large is never kept in memory here."""
        send, receive = self._process.stdin, self._process.stdout
        if send is None or receive is None or "\n" in name:
            return None
        _ask(send, [name])
        return _answer(receive, name, limit)

    def read_many(
        self, oids: Sequence[str], *, limit: int = MAX_OBJECT
    ) -> Iterator[tuple[Oid, Kind, bytes] | DataRefused | None]:
        """Yields what `read` returns for each id, or the DataRefused that it raises; git works ahead of the caller."""
        send, receive = self._process.stdin, self._process.stdout
        if send is None or receive is None:
            return
        _ask(send, oids[:_AHEAD])
        for at in range(0, len(oids), _AHEAD):
            _ask(send, oids[at + _AHEAD : at + 2 * _AHEAD])
            for oid in oids[at : at + _AHEAD]:
                try:
                    yield _answer(receive, oid, limit)
                except DataRefused as exc:
                    yield exc


def _ask(send: IO[bytes], names: Sequence[str]) -> None:
    try:
        send.write(b"".join(name.encode("utf-8", "surrogateescape") + b"\n" for name in names))
        send.flush()
    except OSError as exc:
        raise GitFailed("cannot read objects", cause="git cat-file ended") from exc


def _answer(receive: IO[bytes], name: str, limit: int) -> tuple[Oid, Kind, bytes] | None:
    words = receive.readline().split()
    if not words:
        raise GitFailed("cannot read objects", cause="git cat-file ended", hint="see `git fsck`")
    if len(words) != 3 or not words[2].isdigit():
        return None
    size = int(words[2])
    if size > limit:
        _skip(receive, size + 1)
        raise DataRefused(f"cannot read '{name}'", cause=f"it has {size} bytes; the limit is {limit}")
    body = receive.read(size)
    receive.read(1)
    kind: Any = words[1].decode()
    return Oid(words[0].decode()), kind, body


def _skip(stream: IO[bytes], size: int) -> None:
    while size > 0:
        size -= len(stream.read(min(size, 1 << 20)) or b"x" * size)
