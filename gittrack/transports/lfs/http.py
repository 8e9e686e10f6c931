"""Requests to web servers that are not trusted: streamed, bounded, and sent nowhere else than they are meant for.

A connection is kept and used again, by several threads at once. What a server sends is read up to a limit; where it
sends us is gone to only by the rules of RFC 9110, never from https to http, and without what was meant for it alone.
None of urllib3's exceptions leaves it."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import threading
import time
from collections.abc import Generator, Iterable, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3 import exceptions

from gittrack.answers import without_secrets
from gittrack.git import Git
from gittrack.settings import Settings
from gittrack.transports.lfs.connections import Connections, make
from gittrack.transports.lfs.urls import is_web, origin, place
from gittrack.transports.lfs.ways import Way, way_to
from gittrack.transports.protocol import CHUNK, TransportError
from gittrack.version import VERSION

MOST_JSON = 16 << 20  # bytes of an answer that is JSON
_MOST_ERROR = 1 << 16  # bytes of an answer that says what is wrong
_MOST_MESSAGE = 300  # characters of it that are printed
_REDIRECTS = 5
_CONNECT = 10.0  # seconds
_ANYWHERE = frozenset(("accept", "accept-encoding", "content-length", "content-type", "range", "user-agent"))
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_OURS = frozenset(("host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect"))
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")

Body = bytes | Iterable[bytes] | None


def clean_headers(given: object) -> dict[str, str] | None:
    """Returns headers that a server wants on a request to it, or None if they are none; what is ours is left out."""
    if given is None:
        return {}
    if not isinstance(given, dict) or len(given) > 64:
        return None
    found = {}
    for name, value in given.items():
        if not isinstance(value, str) or not _NAME.fullmatch(name) or _BAD_VALUE.search(value) or len(value) > 1 << 14:
            return None
        if name.lower() not in _OURS:
            found[name] = value
    return found


class Answer:
    """What a server answered; use it as a context manager, which lets its connection be used again or ends it."""

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str, silence: float) -> None:
        self.status = response.status
        self.url = url  # that answered, after redirects
        self._response = response
        self._silence = silence

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        if kind is None and self._response.closed:  # read to its end
            self._response.release_conn()
        else:
            self._response.close()

    def header(self, name: str) -> str:
        """Returns a header, or ''."""
        return self._response.headers.get(name, "")

    def challenges(self) -> list[str]:
        """Returns how the server wants to know who we are."""
        return self._response.headers.getlist("WWW-Authenticate")

    def length(self) -> int | None:
        """Returns how many bytes the body has as the server says, or None if it does not say it."""
        text = self.header("Content-Length").strip()
        return int(text) if re.fullmatch("[0-9]{1,19}", text) else None

    def is_encoded(self) -> bool:
        """Tells whether the body is packed, which was never asked for."""
        return self.header("Content-Encoding").strip().lower() not in ("", "identity")

    def chunks(self) -> Generator[bytes, None, None]:
        """Yields the body; raises TransportError when it breaks off, as far as HTTP can tell."""
        with _translated(self.url, self._silence):
            while chunk := self._response.read(CHUNK, decode_content=False):
                yield chunk

    def read(self, most: int) -> bytes:
        """Returns the body; raises TransportError if it is larger than `most` bytes, or comes drop by drop."""
        if (self.length() or 0) > most:
            raise self._too_much(most)
        found = bytearray()
        ends = time.monotonic() + 4 * self._silence
        with _translated(self.url, self._silence):
            while chunk := self._response.read1(1 << 16, decode_content=False):
                found += chunk
                if len(found) > most:
                    raise self._too_much(most)
                if self._silence and time.monotonic() > ends:
                    raise TransportError(f"'{place(self.url)}' is too slow", cause=f"{len(found)} bytes came")
        return bytes(found)

    def json(self) -> object:
        """Returns the body as JSON; raises ValueError if it is none, and TransportError."""
        if self.is_encoded():
            raise ValueError(f"it is encoded as '{self.header('Content-Encoding')}'")
        raw = self.read(MOST_JSON)
        try:
            return json.loads(raw)
        except (ValueError, RecursionError) as exc:
            kind = self.header("Content-Type").partition(";")[0].strip()
            raise ValueError(f"what came is '{kind or 'nothing known'}' and no JSON") from exc

    def message(self) -> str:
        """Returns what the server says is wrong, in one line and without secrets, or ''."""
        try:
            said = json.loads(self.read(_MOST_ERROR))
        except (ValueError, RecursionError, TransportError):
            return ""
        text = said.get("message") if isinstance(said, dict) else None
        return without_secrets(" ".join(text.split()))[:_MOST_MESSAGE] if isinstance(text, str) else ""

    def finish(self) -> None:
        """Reads the little that is left, so that the connection can be used again."""
        with contextlib.suppress(TransportError):
            self.read(_MOST_ERROR)

    def _too_much(self, most: int) -> TransportError:
        return TransportError(f"'{place(self.url)}' answers too much", cause=f"more than {most >> 10} KiB")


class Http:
    """A client: its connections, and how git would make them."""

    def __init__(self, git: Git, settings: Settings, *, remote: str | None = None, at_once: int = 8) -> None:
        self._git, self._settings, self._remote = git, settings, remote
        self._silence = settings.seconds("timeout")
        self._timeout = urllib3.Timeout(
            connect=min(_CONNECT, self._silence) if self._silence else None, read=self._silence or None
        )
        self._at_once = at_once
        self._managers: list[urllib3.PoolManager] = []
        self._pools: dict[tuple[str, str, int], Connections] = {}
        self._ways: dict[tuple[str, str, int], Way] = {}
        self._lock = threading.Lock()

    def extra_headers(self, url: str) -> dict[str, str]:
        """Returns what `http.extraHeader` adds for an address."""
        pairs = (line.partition(":") for line in self._way(url).headers)
        return clean_headers({name.strip(): value.strip() for name, _, value in pairs}) or {}

    def ask(self, method: str, url: str, *, headers: Mapping[str, str], body: Body = None) -> Answer:
        """Returns the answer to one request, whatever its status; raises TransportError if there is none."""
        sent = {"User-Agent": f"gittrack/{VERSION}", "Accept-Encoding": "identity", **headers}
        with _translated(url, self._silence):
            to, target = self._connections(url)
            response = to.urlopen(
                method,
                target,
                body=body,
                headers=sent,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=self._timeout,
            )
        return Answer(response, url, self._silence)

    def follow(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """Returns the answer to a request that may be sent elsewhere: at most five times, and never to less safety.

        Another origin gets neither who we are nor what else was meant for the first one."""
        start = url
        for _ in range(_REDIRECTS + 1):
            answer = self.ask(method, url, headers=headers, body=body)
            # RFC 9110, 15.4: with 301 and 302 a POST may stay a POST, with 303 it may not.
            if answer.status not in (301, 302, 307, 308) and not (answer.status == 303 and method == "GET"):
                return answer
            with answer:
                answer.finish()
                target = _joined(url, answer.header("Location"))
            if not answer.header("Location") or not is_web(target):
                raise TransportError(
                    f"'{place(url)}' sends us elsewhere, but not to a web address",
                    cause="its Location is no address of HTTP",
                )
            if url.startswith("https:") and not target.startswith("https:"):
                raise TransportError(
                    f"'{place(url)}' sends us to '{place(target)}', which is not encrypted", cause="it is not followed"
                )
            if origin(target) != origin(url):
                headers = {name: value for name, value in headers.items() if name.lower() in _ANYWHERE}
            url = target
        raise TransportError(f"'{place(start)}' sends us in circles", cause=f"more than {_REDIRECTS} redirects")

    def close(self) -> None:
        """Ends all connections."""
        with self._lock:
            for manager in self._managers:
                manager.clear()
            self._managers.clear()
            self._pools.clear()

    def _way(self, url: str) -> Way:
        with self._lock:
            key = origin(url)
            if key not in self._ways:
                self._ways[key] = way_to(url, git=self._git, settings=self._settings, remote=self._remote)
            return self._ways[key]

    def _connections(self, url: str) -> tuple[Connections, str]:
        """Returns what a request goes through, and what of its address is said there."""
        key = origin(url)
        found = self._pools.get(key)
        if found is None:
            way = self._way(url)
            with self._lock:
                made = make(way, url, at_once=self._at_once, silence=self._silence)
                self._managers.append(made)
                # To look for the connections to an origin takes longer than to send a small request there.
                found = self._pools[key] = made if way.proxy else made.connection_from_url(place(url))
        if isinstance(found, urllib3.PoolManager):
            return found, url
        parts = urlsplit(url)
        return found, f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"


def _joined(url: str, said: str) -> str:
    """Returns where a server sends us; nothing for what is no address at all."""
    try:
        return urljoin(url, said)
    except ValueError:
        return ""


@contextlib.contextmanager
def _translated(url: str, silence: float) -> Generator[None, None, None]:
    try:
        yield
    except (exceptions.HTTPError, http.client.HTTPException, ssl.SSLError) as exc:
        raise _failed(url, exc, silence) from exc


def _failed(url: str, exc: Exception, silence: float) -> TransportError:
    """Returns what a person is told of a connection that failed."""
    there = f"cannot reach '{place(url)}'"
    if isinstance(exc, exceptions.ProxyError):
        inner = exc.original_error
        return TransportError(there, cause=f"the proxy: {_words(inner)}", hint="see http.proxy and https_proxy")
    if isinstance(exc, exceptions.NameResolutionError):
        return TransportError(there, cause="no host of this name is known")
    if isinstance(exc, exceptions.NewConnectionError):
        return TransportError(there, cause=_words(exc))
    if isinstance(exc, exceptions.ConnectTimeoutError):
        return TransportError(there, cause="it does not answer", hint="is the address right, and the network there?")
    if isinstance(exc, exceptions.SSLError | ssl.SSLError):
        hint = "http.sslCAInfo names a file with the authorities to believe"
        return TransportError(f"cannot make a safe connection to '{place(url)}'", cause=_words(exc), hint=hint)
    if isinstance(exc, exceptions.ReadTimeoutError):
        hint = "everything is kept here; try again later, or set track.timeout for a slow remote"
        cause = f"no sign of life for {silence:g} seconds"
        return TransportError(f"'{place(url)}' does not answer any more", cause=cause, hint=hint)
    inner = exc.args[1] if isinstance(exc, exceptions.ProtocolError) and len(exc.args) > 1 else exc
    if isinstance(inner, TimeoutError):
        hint = "everything is kept here; try again later, or set track.timeout for a slow remote"
        return TransportError(f"'{place(url)}' takes nothing any more", cause=_words(inner), hint=hint)
    broke = isinstance(inner, OSError | http.client.IncompleteRead | http.client.RemoteDisconnected)
    if broke:
        return TransportError(f"'{place(url)}' broke off", cause=_words(inner), passing=True)
    return TransportError(f"'{place(url)}' does not speak HTTP", cause=_words(inner))


def _words(exc: BaseException) -> str:
    """Returns what an error says, without what it says of Python."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"its certificate is not believed: {exc.verify_message}"
    inner = exc.__cause__ or exc.__context__
    if isinstance(exc, exceptions.HTTPError) and isinstance(inner, OSError):
        return _words(inner)
    if isinstance(exc, exceptions.SSLError) and exc.args and isinstance(exc.args[0], Exception):
        return _words(exc.args[0])
    if isinstance(exc, http.client.RemoteDisconnected):
        return "it hung up without an answer"
    if isinstance(exc, http.client.IncompleteRead):
        return "the answer is cut off"
    return without_secrets((getattr(exc, "strerror", None) or str(exc) or type(exc).__name__)[:_MOST_MESSAGE])
