"""Large payloads on their way to S3, in parts that a later attempt finds again.

obstore sends parts too, but keeps the id of the upload to itself and takes it back when it fails, so that what was cut
off begins anew. Here the bucket is the record: an upload that is open for the same name is gone on with, whoever began
it, and a part is sent only if the one that is there has another hash. No file here has to survive for that.

The requests are those of S3's API reference: ListMultipartUploads, CreateMultipartUpload, ListParts, UploadPart,
CompleteMultipartUpload and AbortMultipartUpload. Where to send them, obstore says: it knows all ways to write an
address."""

from __future__ import annotations

import contextlib
import hashlib
import html
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

import urllib3

from gittrack.errors import DataRefused
from gittrack.transports.cloud import refusals, sigv4
from gittrack.transports.cloud.awsprofile import Keys
from gittrack.transports.cloud.bucket import Place
from gittrack.transports.cloud.refusals import Answer
from gittrack.transports.cloud.room import Room
from gittrack.transports.protocol import Source, TransportError

AT_ONCE = 8
_ATTEMPTS = 4
_CONNECT, _SILENCE = 5.0, 60.0  # seconds
_PIECE = 256 << 10  # bytes after which a part that nobody waits for any more is given up
_LARGEST_ANSWER = 4 << 20  # a page of a thousand parts is a tenth of that
_PART, _UPLOAD = (re.compile(f"<{name}>(.*?)</{name}>", re.DOTALL) for name in ("Part", "Upload"))

Block = Sequence[bytes]  # one part, in the chunks that it was read in


class _Stopped(Exception):
    """Nobody waits for this part any more."""


class _Sent(NamedTuple):
    """What came back: the ETag and the text."""

    etag: str
    text: str


class _Open(NamedTuple):
    """An upload that is not completed; there: the ETags of the parts that the bucket has, by their numbers."""

    name: str
    id: str
    there: dict[int, str]


class S3Parts:
    """Sends payloads to one bucket; safe to use from several threads."""

    def __init__(self, where: Place, keys: Callable[[], Keys], signed: str, *, trust: str | None) -> None:
        """signed: an address of the object `x` that obstore signed; trust: a file of certificates, if not the system's.

        Such an address says host, path and region, whatever style of address is set."""
        parts = urlsplit(signed)
        self._where = where
        self._keys = keys
        self._root = f"{parts.scheme}://{parts.netloc}"
        self._host = parts.netloc
        self._path = parts.path.removesuffix("x")
        self._region = parse_qs(parts.query)["X-Amz-Credential"][0].split("/")[2]
        self._pools = urllib3.PoolManager(
            maxsize=2 * AT_ONCE,
            retries=False,
            timeout=urllib3.Timeout(connect=_CONNECT, read=_SILENCE),
            ca_certs=trust,
        )
        self._workers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="gittrack-part")

    def close(self) -> None:
        """Ends the connections."""
        self._workers.shutdown(cancel_futures=True)
        self._pools.clear()

    def put(self, source: Source, name: str, *, part: int, room: Room) -> None:
        """Sends a payload as the object `name`, in parts of `part` bytes, each of which takes room while it is here.

        Raises DataRefused if it is not what its pointer says, and TransportError; what was sent is taken back unless
        the next attempt can go on from there."""
        found = self._find(name)
        upload = found or self._create(name)
        try:
            self._complete(upload, self._send(upload, source, part, room))
        except DataRefused:
            self._abort(upload)
            raise
        except TransportError as exc:
            if not exc.passing:
                self._abort(upload)
                # What is refused may be only what the earlier attempt left: `rclone serve s3` replaces no part.
                exc.passing = found is not None
            raise

    # An upload --------------------------------------------------------------------------------------------------------

    def _find(self, name: str) -> _Open | None:
        """Returns the upload that was begun last for a name, or None; some servers and rights do not tell."""
        try:
            said = self._ask("GET", "", {"uploads": "", "prefix": name}).text
            found = [text for text in _UPLOAD.findall(said) if _value(text, "Key") == name]
            if not found:
                return None
            upload = _value(max(found, key=lambda text: _value(text, "Initiated")), "UploadId")
            return _Open(name, upload, dict(self._parts(name, upload)))
        except TransportError as exc:
            if exc.passing and exc.cause != refusals.GONE:
                raise
            return None

    def _parts(self, name: str, upload: str) -> Iterator[tuple[int, str]]:
        """Yields number and ETag of the parts that the bucket has."""
        marker = "0"
        while True:
            said = self._ask("GET", name, {"uploadId": upload, "part-number-marker": marker}).text
            for text in _PART.findall(said):
                yield int(_value(text, "PartNumber") or 0), _value(text, "ETag").strip('"')
            following = _value(said, "NextPartNumberMarker")
            if _value(said, "IsTruncated") != "true" or not following.isdigit() or int(following) <= int(marker):
                return
            marker = following

    def _create(self, name: str) -> _Open:
        said = self._ask("POST", name, {"uploads": ""}).text
        if not (upload := _value(said, "UploadId")):
            raise self._nonsense()
        return _Open(name, upload, {})

    def _send(self, upload: _Open, source: Source, part: int, room: Room) -> dict[int, str]:
        """Sends the parts that are not there; returns the ETags of all."""
        etags: dict[int, str] = {}
        running: dict[Future[str], int] = {}
        stopped = threading.Event()

        def collect(futures: Sequence[Future[str]]) -> None:
            for future in futures:
                etags[running.pop(future)] = future.result()

        try:
            for number, block in enumerate(_blocks(source, part, room), 1):
                future = self._workers.submit(self._send_part, upload, number, block, stopped)
                future.add_done_callback(lambda _: room.give(part))
                running[future] = number
                del block  # or it would be held while the next one is read
                collect([future for future in running if future.done()])
            collect(list(running))
        except BaseException:
            stopped.set()
            for future in running:
                future.cancel()
            wait(running)
            raise
        return etags

    def _send_part(self, upload: _Open, number: int, block: Block, stopped: threading.Event) -> str:
        there = upload.there.get(number)
        # The ETag of a part is its MD5, unless the bucket encrypts with a key of its own: then it is sent again.
        if there and there == _digest("md5", block):
            return f'"{there}"'
        sent = self._ask("PUT", upload.name, {"partNumber": str(number), "uploadId": upload.id}, block, stopped)
        if not sent.etag:
            raise self._nonsense()
        return sent.etag

    def _complete(self, upload: _Open, etags: Mapping[int, str]) -> None:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{html.escape(etag)}</ETag></Part>"
            for number, etag in sorted(etags.items())
        )
        body = f'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{parts}</CompleteMultipartUpload>'
        said = self._ask("POST", upload.name, {"uploadId": upload.id}, [body.encode()]).text
        if "<CompleteMultipartUploadResult" not in said:  # a failure comes with status 200, because it comes late
            code = refusals.code_in(said)
            raise refusals.failed(self._where, "write to", Answer(500, code, said)) if code else self._nonsense()

    def _abort(self, upload: _Open) -> None:
        with contextlib.suppress(TransportError):
            self._ask("DELETE", upload.name, {"uploadId": upload.id})

    def _nonsense(self) -> TransportError:
        return TransportError(f"cannot write to '{self._where.label}'", cause="what came was no answer of S3")

    # A request --------------------------------------------------------------------------------------------------------

    def _ask(
        self,
        method: str,
        name: str,
        query: Mapping[str, str],
        block: Block = (),
        stopped: threading.Event | None = None,
    ) -> _Sent:
        """Sends a request about an object, or with '' about the bucket, again if that may help.

        Raises TransportError if it is refused or gets no answer."""
        path = self._path + quote(name, safe="/") if name else self._path.rstrip("/") or "/"
        request = sigv4.Request(method, self._host, path, query)
        digest = _digest("sha256", block)
        for attempt in range(_ATTEMPTS):
            answer = self._once(request, digest, partial(_pieces, block, stopped), sum(map(len, block)))
            if isinstance(answer, _Sent):
                return answer
            error = refusals.failed(self._where, "write to", answer)
            is_passing = isinstance(error, TransportError) and error.passing and error.cause != refusals.GONE
            if not is_passing or attempt + 1 == _ATTEMPTS:
                raise error
            time.sleep(0.3 * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        raise AssertionError("the last attempt returns or raises")

    def _once(
        self, request: sigv4.Request, digest: str, body: Callable[[], Iterator[memoryview]], length: int
    ) -> _Sent | Answer:
        """Sends a request; returns what came back, or what is known of why nothing did."""
        headers = sigv4.headers(request, self._keys(), region=self._region, digest=digest, now=datetime.now(UTC))
        headers["content-length"] = str(length)
        try:
            with contextlib.closing(
                self._pools.urlopen(
                    request.method,
                    f"{self._root}{request.path}?{request.encoded_query}",
                    body=body() if length else None,
                    headers=headers,
                    redirect=False,
                    preload_content=False,
                )
            ) as answer:
                text = answer.read(_LARGEST_ANSWER).decode("utf-8", "replace")
                answer.drain_conn()
        except urllib3.exceptions.HTTPError as exc:
            return Answer(0, "", "", _sign(exc))
        if 200 <= answer.status < 300:
            return _Sent(answer.headers.get("ETag", ""), text)
        return Answer(answer.status, refusals.code_in(text), text)


def _blocks(source: Source, part: int, room: Room) -> Iterator[Block]:
    """Yields a payload in parts; room is taken for each before it is read, and given back by whoever gets it."""
    chunks: list[bytes] = []
    missing = 0
    try:
        for chunk in source.chunks():
            view = memoryview(chunk)
            while view:
                if not missing:
                    room.take(part)
                    missing = part
                piece = view[:missing]
                chunks.append(chunk if len(piece) == len(chunk) else bytes(piece))
                missing -= len(piece)
                view = view[len(piece) :]
                if not missing:
                    whole, chunks = chunks, []
                    yield whole
                    del whole  # the same
        if missing:
            missing = 0
            yield chunks
    finally:
        if missing:
            room.give(part)


def _pieces(block: Block, stopped: threading.Event | None) -> Iterator[memoryview]:
    for chunk in block:
        for start in range(0, len(chunk), _PIECE):
            if stopped and stopped.is_set():
                raise _Stopped
            yield memoryview(chunk)[start : start + _PIECE]


def _digest(name: str, block: Block) -> str:
    digest = hashlib.new(name, usedforsecurity=name != "md5")
    for chunk in block:
        digest.update(chunk)
    return digest.hexdigest()


def _value(text: str, name: str) -> str:
    """Returns what stands in the first element of a name; answers of S3 are flat enough for that."""
    found = re.search(f"<{name}>([^<]*)</{name}>", text)
    return html.unescape(found[1]) if found else ""


def _sign(exc: urllib3.exceptions.HTTPError) -> str:
    """Returns what kind of failure it was, as `refusals` looks for it; its own words hold addresses."""
    kinds = {
        urllib3.exceptions.ConnectTimeoutError: "TimedOut",
        urllib3.exceptions.NameResolutionError: "dns error",
        urllib3.exceptions.NewConnectionError: "tcp connect error",
        urllib3.exceptions.TimeoutError: "TimedOut",
        urllib3.exceptions.SSLError: "certificate",
    }
    return next((sign for kind, sign in kinds.items() if isinstance(exc, kind)), "")
