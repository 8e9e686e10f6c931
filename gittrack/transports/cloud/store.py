"""A bucket as a store: S3 and what speaks like it, GCS, Azure, by one code through obstore.

A payload is one object, `ab/cd/<sha256>` below the prefix. No cloud shows an object before all of it has arrived, so
what was cut off is never seen. A large one goes in parts. obstore keeps the name of such an upload to itself; where we
have the keys, S3 is therefore sent its parts by `s3parts`, which finds what an earlier attempt left."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from gittrack.codec.pointer import Pointer, is_sha256
from gittrack.errors import GittrackError
from gittrack.transports.cloud import bucket, refusals
from gittrack.transports.cloud.room import Room
from gittrack.transports.protocol import CHUNK, NotThere, Source, Stored, TransportError, key

if TYPE_CHECKING:
    from gittrack.transports.cloud.s3parts import S3Parts

_ASKED_AT_ONCE = 16
_PART = 8 << 20
_PARTS = 10_000  # that S3 takes for one object
_PARTS_AT_ONCE = 3
_IN_MEMORY = 48 << 20  # bytes of parts that are under way, of all payloads together
_PAGE = 1000


class Cloud:
    """Payloads in a bucket."""

    collects = True

    def __init__(self, url: str, *, environ: Mapping[str, str]) -> None:
        """Raises UsageError for an address that is none, and NotInstalled without obstore.

        Credentials are looked for when the bucket is first spoken to: any method may raise that there are none."""
        self._place = bucket.place(url)
        self.label = self._place.label
        bucket.library(self._place)
        import obstore  # noqa: PLC0415 - an extra

        self._obstore = obstore
        self._faults = (obstore.exceptions.BaseError, OSError, ValueError)  # what its calls raise
        self._environ = environ
        self._room = Room(_IN_MEMORY)
        self._stores: bucket.Opened | None = None
        self._parts: S3Parts | None = None
        self._lock = threading.RLock()

    @property
    def _opened(self) -> bucket.Opened:
        """What speaks to the bucket."""
        with self._lock:
            if self._stores is None:
                self._stores = bucket.open_bucket(self._place, self._environ)
            return self._stores

    def exists(self, wanted: Sequence[Pointer], *, sending: bool) -> set[Pointer]:
        """Returns those that are there with the right size."""
        pool = ThreadPoolExecutor(_ASKED_AT_ONCE, thread_name_prefix="gittrack-ask")
        try:
            sizes = list(pool.map(self._size, wanted))
        finally:
            pool.shutdown(cancel_futures=True)  # after one that got no answer, the others need not wait for theirs
        found = {pointer for pointer, size in zip(wanted, sizes, strict=True) if size == pointer.size}
        if wanted and not found and not sending:
            self._ask_for_bucket()
        return found

    def size(self, pointer: Pointer) -> int | None:
        """Returns the size in bytes of what has a payload's name, or None if nothing has it."""
        return self._size(pointer)

    def _size(self, pointer: Pointer) -> int | None:
        try:
            head = self._obstore.head(self._opened.reads, self._key(pointer.sha256))
        except FileNotFoundError:
            return None
        except self._faults as exc:
            raise self._failed("read", exc) from None
        return head["size"]

    def _ask_for_bucket(self) -> None:
        """Raises TransportError if the bucket itself is not there, which is not told to who asks for an object."""
        try:
            next(iter(self._obstore.list(self._opened.reads, f"{self._place.prefix}00", chunk_size=1)), None)
        except self._faults as exc:
            answer = refusals.answer_of(exc)
            if refusals.is_no_bucket(answer):
                raise refusals.failed(self._place, "read", answer) from None

    def get(self, pointer: Pointer, *, start: int = 0) -> Generator[bytes, None, None]:
        """Yields the content from byte `start` on."""
        skipped = 0
        try:
            try:
                found = self._ask(pointer, start)
            except self._faults as exc:
                # `rclone serve s3` 1.75 gives all of it, whatever was asked for.
                if "non-partial" not in str(exc):
                    raise
                found, skipped = self._ask(pointer, 0), start
            for chunk in found.stream(min_chunk_size=CHUNK):
                if skipped >= len(chunk):
                    skipped -= len(chunk)
                    continue
                yield bytes(memoryview(chunk)[skipped:])
                skipped = 0
        except self._faults as exc:
            error = self._failed("read", exc)
            if isinstance(exc, FileNotFoundError) or isinstance(error, NotThere):
                answer = refusals.answer_of(exc)
                if not refusals.is_no_bucket(answer):
                    raise NotThere(f"'{self.label}' does not have payload {pointer.sha256[:12]}") from None
            raise error from None

    def _ask(self, pointer: Pointer, start: int) -> Any:
        """Asks for a payload; nothing of 0 bytes has a byte to begin at."""
        where = self._key(pointer.sha256)
        if not start:
            return self._obstore.get(self._opened.reads, where)
        return self._obstore.get(self._opened.reads, where, options={"range": {"offset": start}})

    def put(self, source: Source) -> None:
        """Sends a payload; a large one in parts, of which those that are there from an earlier attempt are not sent."""
        size = source.pointer.size
        if size <= _PART:
            with self._room.of(size):
                self._write(source, _Watched([b"".join(source.chunks())]), use_multipart=False)
            return
        part = part_size(size)
        sender = self._sender()
        if sender is not None:
            self._put_parts(sender, source, part)
            return
        at_once = max(1, min(_PARTS_AT_ONCE, _IN_MEMORY // 2 // part - 2))
        with self._room.of(part * (at_once + 2)):  # one is being read, and one waits until all is verified
            chunks = _Watched(_exactly(source.chunks(size=part), part))
            self._write(source, chunks, use_multipart=True, chunk_size=part, max_concurrency=at_once)

    def _sender(self) -> S3Parts | None:
        """Returns what sends parts that a later attempt finds again, or None where nothing but obstore can send."""
        if self._opened.keys is None:
            return None
        from gittrack.transports.cloud.s3parts import S3Parts  # noqa: PLC0415 - only large payloads need it

        with self._lock:
            if self._parts is None:
                signed = self._obstore.sign(self._opened.writes, "PUT", "x", timedelta(minutes=1))
                self._parts = S3Parts(self._place, self._opened.keys, signed, trust=self._opened.trust)
            return self._parts

    def _put_parts(self, parts: S3Parts, source: Source, part: int) -> None:
        try:
            parts.put(source, self._key(source.pointer.sha256), part=part, room=self._room)
        except TransportError as exc:
            # Somebody else who sent the same completed the upload, or its answer was lost.
            if not exc.passing or self._size(source.pointer) != source.pointer.size:
                raise

    def _write(self, source: Source, chunks: _Watched, **how: Any) -> None:
        """Hands content to obstore, which takes back what it began when the content ends in an error."""
        try:
            self._obstore.put(self._opened.writes, self._key(source.pointer.sha256), chunks, **how)
        except self._faults as exc:
            if chunks.error is not None:  # which is ours, and not the cloud's
                raise chunks.error from None
            raise self._failed("write to", exc) from None

    def delete(self, sha256: str) -> None:
        """Deletes a payload."""
        try:
            self._obstore.delete(self._opened.reads, self._key(sha256))
        except FileNotFoundError as exc:
            answer = refusals.answer_of(exc)
            if refusals.is_no_bucket(answer):
                raise refusals.failed(self._place, "delete from", answer) from None
        except self._faults as exc:
            raise self._failed("delete from", exc) from None

    def list(self) -> Iterator[Stored]:
        """Yields all payloads, a page of a thousand at a time."""
        prefix = self._place.prefix
        try:
            for page in self._obstore.list(self._opened.reads, prefix or None, chunk_size=_PAGE):
                for item in page:
                    name = item["path"].removeprefix(prefix)
                    sha256 = name[-64:]
                    if is_sha256(sha256) and name == key(sha256):
                        yield Stored(sha256, item["size"], item["last_modified"].timestamp())
        except self._faults as exc:
            raise self._failed("list", exc) from None

    def close(self) -> None:
        """Ends what sends parts; obstore ends by itself."""
        with self._lock:
            if self._parts is not None:
                self._parts.close()
                self._parts = None

    def _key(self, sha256: str) -> str:
        return self._place.prefix + key(sha256)

    def _failed(self, what: str, exc: Exception) -> GittrackError:
        return refusals.failed(self._place, what, refusals.answer_of(exc))


class _Watched:
    """Chunks that are handed to a library, and the error that they ended in."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except StopIteration:
            raise
        except BaseException as exc:
            self.error = exc
            raise


def part_size(size: int) -> int:
    """Returns how large the parts of a payload are: the same for everyone who sends it, and at most 10,000."""
    least = -(-size // _PARTS)
    return max(_PART, -(-least // CHUNK) * CHUNK)


def _exactly(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yields the same bytes in pieces of exactly `size`, the last one excepted: some clouds want equal parts."""
    kept = bytearray()
    for chunk in chunks:
        if not kept and len(chunk) == size:
            yield chunk
            continue
        kept += chunk
        while len(kept) >= size:
            yield bytes(kept[:size])
            del kept[:size]
    if kept:
        yield bytes(kept)
