"""What a store must be able to do, whatever it is made of.

A payload is named by the SHA-256 of its content, so a store never has to replace one, and two that put the same one
at once do no harm. Whoever calls verifies: `Source` on the way out, `carrying` on the way in. Every kind passes the
same tests (tests/transports/suite.py)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from gittrack.codec.pointer import Pointer
from gittrack.errors import DataRefused, NotFound, RemoteError

CHUNK = 1 << 20  # bytes that are read or sent at a time

Report = Callable[[int], None]  # hears how many more bytes are moved


class TransportError(RemoteError):
    """A store could not be reached, refused, or broke off.

    passing: trying again may help; wait: not before so many seconds have passed, as the store said."""

    def __init__(
        self,
        message: str,
        *,
        cause: str | None = None,
        hint: str | None = None,
        passing: bool = False,
        wait: float = 0.0,
    ) -> None:
        super().__init__(message, cause=cause, hint=hint)
        self.passing = passing
        self.wait = wait


class NotThere(TransportError):
    """A store does not have what was asked for."""

    exit_code = NotFound.exit_code


class Stored(NamedTuple):
    """A payload that lies in a store; modified: Unix seconds, by the store's clock."""

    sha256: str
    size: int
    modified: float


class Source:
    """A payload that is to be sent, read from a file and verified while it is read.

    A store that keeps what it was sent only when it has all of it keeps nothing wrong: the last chunk is handed out
    only when the whole is known to be what the pointer says."""

    def __init__(self, pointer: Pointer, path: Path, *, report: Report | None = None) -> None:
        self.pointer = pointer
        self.path = path
        self._report = report or (lambda _: None)

    def chunks(self, *, start: int = 0, size: int = CHUNK) -> Iterator[bytes]:
        """Yields the content from byte `start` on, in chunks of at most `size` bytes.

        All of it is read, since all of it is hashed. Raises DataRefused if it is not what the pointer says, and
        OSError if it cannot be read."""
        digest = hashlib.sha256()
        at = 0
        held = b""
        with self.path.open("rb", buffering=0) as file:
            while chunk := file.read(size):
                digest.update(chunk)
                at += len(chunk)
                if at > self.pointer.size:
                    break
                fresh = chunk[max(0, start - (at - len(chunk))) :]
                self._report(len(chunk) - len(fresh))
                if held:
                    self._report(len(held))
                    yield held
                held = fresh
        if at != self.pointer.size or digest.hexdigest() != self.pointer.sha256:
            raise DataRefused(
                f"payload {self.pointer.sha256[:12]} is damaged here", cause="its bytes are not what its pointer says"
            )
        if held:
            self._report(len(held))
            yield held


class Transport(Protocol):
    """One place where payloads are; safe to use from several threads at once.

    Every method raises TransportError if the place does not do what it is asked for."""

    label: str  # what is printed: never with a password in it
    collects: bool  # whether `list` and `delete` are possible at all

    def exists(self, wanted: Sequence[Pointer], *, sending: bool) -> set[Pointer]:
        """Returns those of some payloads that are there, whole.

        sending: the others will be put next, else those that are there will be got next; a store that has to be
        asked for each may ask for both at once."""

    def get(self, pointer: Pointer, *, start: int = 0) -> Generator[bytes, None, None]:
        """Yields the content of a payload from byte `start` on, as it comes; raises NotThere.

        What comes is not verified, and may be longer or shorter than it should be."""

    def put(self, source: Source) -> None:
        """Stores a payload; when this returns, it is there whole and stays there.

        What a put that was cut off has sent is gone on from, where the store can do that."""

    def delete(self, sha256: str) -> None:
        """Deletes a payload; one that is not there is no error."""

    def list(self) -> Iterator[Stored]:
        """Yields all payloads that are there; whatever else lies there is passed over."""

    def close(self) -> None:
        """Ends what is open; nothing else may be called after it."""


@runtime_checkable
class Measures(Protocol):
    """A place that can tell how large a payload is there, be it the right size or not."""

    def size(self, pointer: Pointer) -> int | None:
        """Returns the size in bytes of what has a payload's name, or None if nothing has it."""


def key(sha256: str) -> str:
    """Returns the path of a payload below the root of a store, as git-lfs lays them out: `ab/cd/<sha256>`."""
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"
