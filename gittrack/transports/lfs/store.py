"""The LFS server that belongs to a git host: the batch API of git-lfs over HTTP, and its basic transfer.

A server is asked for a hundred payloads at a time, and answers where each one goes; what it said is kept until the
payload is there. Payloads are streamed both ways. An upload that is cut off begins again, since no host can do better;
a download goes on. Nothing can be listed or deleted there: hosts do that themselves."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gittrack import redact
from gittrack.codec.pointer import Pointer
from gittrack.git import Git
from gittrack.settings import Settings
from gittrack.transports.lfs import refusals, suggested
from gittrack.transports.lfs.access import Access, Door, has_authorization
from gittrack.transports.lfs.batch import TYPE, Action, Offer, Refusal, decode_answer, encode_request
from gittrack.transports.lfs.http import Answer, Body, Http
from gittrack.transports.lfs.urls import is_web, origin, place
from gittrack.transports.protocol import NotThere, Source, Stored, TransportError

_MOST = 100  # objects in a batch, as git-lfs has it
_REMEMBERED = 2000  # offers that wait to be used
_PIECE = 1 << 18  # bytes handed to a connection at a time: a slow line must take them before it counts as silent
_UPLOAD, _DOWNLOAD = "upload", "download"
_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")


@dataclass(frozen=True, slots=True)
class _Deed:
    """A request that a server has offered to take: `name` is that of its action."""

    operation: str
    name: str
    method: str
    pointer: Pointer
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    source: Source | None = None


class Lfs:
    """Payloads on an LFS server."""

    collects = False

    def __init__(self, url: str, *, git: Git, settings: Settings, remote: str | None) -> None:
        """url: the base of the API; remote: the git remote that it belongs to. Raises TransportError for no address."""
        self.label = redact.address(url)
        self._git, self._settings, self._remote = git, settings, remote
        if not is_web(url):
            raise TransportError(f"'{self.label}' is no address of an LFS server", hint="it begins with https://")
        self._http = Http(git, settings, remote=remote)
        self._access = Access(url, http=self._http, git=git, settings=settings, remote=remote)
        self._offers: OrderedDict[tuple[str, Pointer], Offer] = OrderedDict()
        self._most = _MOST
        self._lock = threading.Lock()

    # The protocol ---------------------------------------------------------------------------------------------------

    def exists(self, wanted: Sequence[Pointer], *, sending: bool) -> set[Pointer]:
        """Returns those that the server has; what it has against one of them is said when that one is moved."""
        operation = _UPLOAD if sending else _DOWNLOAD
        found = set()
        for first in range(0, len(wanted), _MOST):
            for pointer, offer in self._batch(wanted[first : first + _MOST], operation).items():
                if _is_there(offer, sending=sending):
                    found.add(pointer)
                if not (sending and _is_there(offer, sending=True)):
                    self._remember(operation, pointer, offer)
        return found

    def get(self, pointer: Pointer, *, start: int = 0) -> Generator[bytes, None, None]:
        """Yields the content from byte `start` on."""
        offer = self._offered(_DOWNLOAD, pointer)
        if offer.download is None:
            raise NotThere(f"'{self.label}' does not have payload {pointer.sha256[:12]}")
        answer = self._do(_got(pointer, start), offer)
        if answer.status == 416:  # a server that cannot begin there can begin at the beginning
            with answer:
                answer.finish()
            answer = self._do(_got(pointer, 0), offer)
        with answer:
            if answer.status in (404, 410):
                raise NotThere(f"'{self.label}' does not have payload {pointer.sha256[:12]}")
            if answer.status not in (200, 206):
                raise self._refused("get", pointer, answer)
            skipped = start - _begin(answer, pointer, start)
            for chunk in answer.chunks():
                if skipped < len(chunk):
                    yield chunk[skipped:]
                skipped = max(skipped - len(chunk), 0)
        self._forget(_DOWNLOAD, pointer)

    def put(self, source: Source) -> None:
        """Sends a payload, and has the server verify it where it wants to."""
        pointer = source.pointer
        offer = self._offered(_UPLOAD, pointer)
        if offer.upload is not None:
            headers = {"Accept": TYPE, "Content-Type": "application/octet-stream"}
            with self._do(_Deed(_UPLOAD, "upload", "PUT", pointer, headers, source=source), offer) as answer:
                if not 200 <= answer.status < 300:
                    raise self._refused("send", pointer, answer)
                answer.finish()
            offer = offer.sent()
            self._remember(_UPLOAD, pointer, offer)  # if it is to be tried again, then only what follows
        if offer.verify is not None:
            headers = {"Accept": TYPE, "Content-Type": TYPE}
            body = json.dumps({"oid": pointer.sha256, "size": pointer.size}).encode()
            with self._do(_Deed(_UPLOAD, "verify", "POST", pointer, headers, body=body), offer) as answer:
                if not 200 <= answer.status < 300:
                    raise self._refused("verify", pointer, answer)
                answer.finish()
        self._forget(_UPLOAD, pointer)

    def delete(self, sha256: str) -> None:
        """Raises TransportError: there is no way to ask for it."""
        raise TransportError(
            f"cannot delete payload {sha256[:12]} from '{self.label}'",
            cause="an LFS server has no command for it",
            hint="the host deletes what no pointer names any more, or its settings page does",
        )

    def list(self) -> Iterator[Stored]:
        """Raises TransportError: there is no way to ask for it."""
        raise TransportError(f"cannot list '{self.label}'", cause="an LFS server has no command for it")

    def close(self) -> None:
        """Ends all connections."""
        self._http.close()

    # Asking ---------------------------------------------------------------------------------------------------------

    def _offered(self, operation: str, pointer: Pointer) -> Offer:
        """Returns what the server offers for one payload, asked again if that is too old; raises what it refuses."""
        with self._lock:
            offer = self._offers.get((operation, pointer))
        if offer is None or not offer.is_good(time.monotonic()):
            offer = self._batch([pointer], operation)[pointer]
            self._remember(operation, pointer, offer)
        if offer.refusal is not None:
            self._forget(operation, pointer)
            if operation == _DOWNLOAD and offer.refusal.status in (404, 410):
                raise NotThere(f"'{self.label}' does not have payload {pointer.sha256[:12]}")
            what = "send" if operation == _UPLOAD else "get"
            raise refusals.of_object(what, self.label, pointer, offer.refusal)
        return offer

    def _remember(self, operation: str, pointer: Pointer, offer: Offer) -> None:
        with self._lock:
            self._offers[operation, pointer] = offer
            self._offers.move_to_end((operation, pointer))
            while len(self._offers) > _REMEMBERED:
                self._offers.popitem(last=False)

    def _forget(self, operation: str, pointer: Pointer) -> None:
        with self._lock:
            self._offers.pop((operation, pointer), None)

    def _batch(self, pointers: Sequence[Pointer], operation: str) -> dict[Pointer, Offer]:
        """Returns what the server offers; a batch that it does not take as a whole is halved."""
        if not pointers:
            return {}
        if len(pointers) > self._most:
            middle = self._most
            return self._batch(pointers[:middle], operation) | self._batch(pointers[middle:], operation)
        body = encode_request(pointers, sending=operation == _UPLOAD)
        with self._ask(operation, "/objects/batch", body) as answer:
            if answer.status in (413, 422):
                if len(pointers) == 1:
                    return {pointers[0]: Offer(refusal=Refusal(answer.status, answer.message()))}
                if answer.status == 413:
                    self._most = max(1, min(self._most, len(pointers)) // 2)
            elif answer.status != 200:
                raise self._no_api(operation, answer)
            else:
                return self._read(answer, pointers)
        middle = len(pointers) // 2
        return self._batch(pointers[:middle], operation) | self._batch(pointers[middle:], operation)

    def _read(self, answer: Answer, pointers: Sequence[Pointer]) -> dict[Pointer, Offer]:
        secure = answer.url.startswith("https:")
        try:
            said = answer.json()
            return decode_answer(said, pointers, secure=secure, now=time.monotonic(), date=refusals.date_of(answer))
        except ValueError as exc:
            raise TransportError(
                f"'{self.label}' does not answer as an LFS server", cause=str(exc), hint=self._elsewhere()
            ) from exc

    def _ask(self, operation: str, path: str, body: bytes) -> Answer:
        """Returns the answer of the API, with who we are told where it wants to know."""
        headers = {"Accept": TYPE, "Content-Type": TYPE}

        def ask(door: Door) -> Answer:
            return self._http.follow("POST", door.base + path, headers={**headers, **door.headers}, body=body)

        try:
            return self._access.let_in(operation, ask)
        except TransportError as exc:
            hint = None if exc.passing else self._elsewhere()
            if hint is None:
                raise
            raise TransportError(exc.message, cause=exc.cause, hint=hint) from exc

    # Doing ----------------------------------------------------------------------------------------------------------

    def _do(self, deed: _Deed, offer: Offer) -> Answer:
        """Does what an offer says, and once more by a new offer where this one is not good any more."""
        action = offer.action(deed.name)
        answer = self._done(deed, action, offer) if action else None
        if answer is not None and answer.status not in (401, 403, 410):
            return answer
        fresh = self._batch([deed.pointer], deed.operation)[deed.pointer]
        again = fresh.action(deed.name)
        if answer is not None:
            if again is None or again == action:
                return answer
            with answer:
                answer.finish()
        elif again is None:
            raise NotThere(f"'{self.label}' does not have payload {deed.pointer.sha256[:12]}")
        self._remember(deed.operation, deed.pointer, fresh)
        return self._done(deed, again, fresh)

    def _done(self, deed: _Deed, action: Action, offer: Offer) -> Answer:
        def ask(own: Mapping[str, str]) -> Answer:
            sent = _merged(deed.headers, own, action.headers)
            if deed.method == "GET":
                return self._http.follow("GET", action.href, headers=sent)
            if deed.source is None:
                return self._http.ask(deed.method, action.href, headers=sent, body=deed.body)
            return self._sent(deed.source, action, sent)

        # It says itself who we are, or goes to where that is nobody's business.
        if offer.known or has_authorization(action.headers) or not self._is_ours(deed.operation, action.href):
            return ask({})
        return self._access.let_in(deed.operation, lambda door: ask(door.headers))

    def _is_ours(self, operation: str, href: str) -> bool:
        return origin(href) == origin(self._access.door(operation).base)

    def _sent(self, source: Source, action: Action, headers: dict[str, str]) -> Answer:
        reading = _Reading(source)
        content: Body = iter(reading) if source.pointer.size else b""
        if not (action.chunked and source.pointer.size):
            headers["Content-Length"] = str(source.pointer.size)
        try:
            return self._http.ask("PUT", action.href, headers=headers, body=content)
        except _Unreadable:
            assert reading.error is not None  # noqa: S101 - it is what made the exception
            raise reading.error from None

    # Errors ---------------------------------------------------------------------------------------------------------

    def _refused(self, what: str, pointer: Pointer, answer: Answer) -> TransportError:
        where = self.label if origin(answer.url) == origin(self._access.url) else place(answer.url)
        return refusals.of_answer(f"{what} payload {pointer.sha256[:12]}", where, answer)

    def _no_api(self, operation: str, answer: Answer) -> TransportError:
        hint = self._elsewhere() if answer.status == 404 else None
        return refusals.of_api(operation, self.label, answer, has_git=self._git.has_executable, hint=hint)

    def _elsewhere(self) -> str | None:
        """Returns the hint that `.lfsconfig` names another server, if it does, and nobody here has agreed to it."""
        return suggested.hint(self._git, self._settings, self._access.url) if self._remote else None


class _Unreadable(Exception):
    """The file that is being sent cannot be read; an OSError would be taken for one of the network."""


class _Reading:
    """The content of a source, with its errors told from those of the connection that it goes into."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.error: OSError | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._source.chunks(size=_PIECE)
        except OSError as exc:
            self.error = exc
            raise _Unreadable from exc


def _got(pointer: Pointer, start: int) -> _Deed:
    headers = {"Accept": "application/octet-stream", **({"Range": f"bytes={start}-"} if start else {})}
    return _Deed(_DOWNLOAD, "download", "GET", pointer, headers)


def _is_there(offer: Offer, *, sending: bool) -> bool:
    """Tells whether an offer means that the server has a payload, or has something else to say of it when it is got."""
    if offer.refusal is not None:
        return not sending and offer.refusal.status not in (404, 409, 410, 422)
    return offer.upload is None and offer.verify is None if sending else offer.download is not None


def _begin(answer: Answer, pointer: Pointer, start: int) -> int:
    """Returns at which byte the body begins; raises TransportError for one that cannot be what is wanted."""

    def wrong(why: str) -> TransportError:
        return TransportError(f"'{place(answer.url)}' gives no payload {pointer.sha256[:12]}", cause=why)

    if answer.is_encoded():
        raise wrong(f"it is encoded as '{answer.header('Content-Encoding')}', which nobody asked for")
    begin, length = 0, answer.length()
    if answer.status == 206:
        found = _RANGE.fullmatch(answer.header("Content-Range").strip())
        if not found or int(found[1]) != start or (found[3] != "*" and int(found[3]) != pointer.size):
            raise wrong(f"it gives another part of it: '{answer.header('Content-Range')[:80]}'")
        begin = start
    is_page = answer.header("Content-Type").partition(";")[0].strip().lower() == "text/html"
    if is_page and length != pointer.size - begin:  # a page that somebody logged has its size
        raise wrong("what comes is a web page; does something between here and there want a login?")
    if length is not None and length != pointer.size - begin:
        raise wrong(f"it has {length + begin} bytes there, and {pointer.size} by its pointer")
    return begin


def _merged(*given: Mapping[str, str]) -> dict[str, str]:
    """Returns headers, of which later ones replace earlier ones, however they are written."""
    found: dict[str, tuple[str, str]] = {}
    for headers in given:
        found |= {name.lower(): (name, value) for name, value in headers.items()}
    return dict(found.values())
