"""Connections to one web server, made as git would make them, and made so that a server cannot abuse them.

They are kept in a pool for several threads. Beside urllib3's own they have three properties: an answer that is
announced for ever ends, sending may take as long as the remote may be silent, and a small request is one packet."""

from __future__ import annotations

import http.client
import math
import ssl
import time
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import urllib3
import urllib3.connection
from urllib3 import exceptions

from gittrack.transports.lfs.urls import is_web, place
from gittrack.transports.lfs.ways import Way
from gittrack.transports.protocol import TransportError

_INTERIM = 20  # answers with 1xx before the real one
_TRAILING = 200  # lines behind a body, or between two reads of it
_JOINED = 1 << 16  # bytes of a body that are sent together with its headers

Connections = urllib3.PoolManager | urllib3.HTTPConnectionPool


def make(way: Way, url: str, *, at_once: int, silence: float) -> urllib3.PoolManager:
    """Returns what keeps the connections to the origin of `url`; silence: seconds, 0 for ever."""
    kept: dict[str, Any] = {"num_pools": 2, "maxsize": at_once + 1}
    if url.startswith("https:"):
        kept["ssl_context"] = _trust(way, url)
        if not way.verify:
            urllib3.disable_warnings(exceptions.InsecureRequestWarning)
            kept |= {"cert_reqs": "CERT_NONE", "assert_hostname": False}
    made = urllib3.PoolManager(**kept) if way.proxy is None else _proxied(way.proxy, url, kept)
    made.pool_classes_by_scheme = _pools(silence)
    return made


def _proxied(proxy: str, url: str, kept: dict[str, Any]) -> urllib3.ProxyManager:
    if not is_web(proxy):
        raise TransportError(
            f"cannot reach '{place(url)}' through the proxy '{place(proxy)}'",
            cause="it is no HTTP proxy, and no other is spoken here",
            hint="set http.proxy to an HTTP proxy, or to '' for none",
        )
    parts = urlsplit(proxy)
    said = None
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        said = urllib3.make_headers(proxy_basic_auth=login)
    return urllib3.ProxyManager(place(proxy), proxy_headers=said, **kept)


def _trust(way: Way, url: str) -> ssl.SSLContext:
    try:
        found = ssl.create_default_context(cafile=way.authorities, capath=way.authorities_folder)
        if way.certificate:
            # ssl would ask on the terminal for the passphrase of a key, in the middle of everything.
            found.load_cert_chain(way.certificate, way.key, password=lambda: "")
    except (OSError, ValueError) as exc:
        raise TransportError(
            f"cannot make a safe connection to '{place(url)}'",
            cause=f"the files of http.sslCAInfo or http.sslCert cannot be used: {getattr(exc, 'strerror', exc)}",
        ) from exc
    if not way.verify:
        found.check_hostname = False
        found.verify_mode = ssl.CERT_NONE
    return found


class _Lines:
    """The head of an answer, line by line, until a moment: one that comes drop by drop would go on for weeks."""

    def __init__(self, file: Any, ends: float) -> None:
        self._file, self._ends = file, ends

    def readline(self, most: int) -> bytes:
        line = b""
        while len(line) < most and not line.endswith(b"\n"):
            if time.monotonic() > self._ends:
                raise http.client.HTTPException("its answer comes drop by drop")
            there = self._file.peek(1)
            if not there:
                break
            end = there.find(b"\n") + 1 or len(there)
            line += self._file.read(min(end, most - len(line)))
        return line

    def close(self) -> None:
        self._file.close()


class _Body:
    """The body of an answer in chunks, behind which stand lines that must have an end too (RFC 9112, 7.1.2)."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._lines = 0

    def readline(self, *most: int) -> bytes:
        self._lines += 1
        if self._lines > _TRAILING:
            raise http.client.HTTPException("what it sends behind its answer does not end")
        line: bytes = self._file.readline(*most)
        return line

    def __getattr__(self, name: str) -> Any:
        self._lines = 0  # a chunk is read
        return getattr(self._file, name)


class _Response(http.client.HTTPResponse):
    """An answer whose head has an end, and before which not endlessly many others come."""

    patience = math.inf  # seconds
    _interim = 0

    def begin(self) -> None:
        self._begin()
        if self.chunked and self.fp is not None:
            self.fp = cast("Any", _Body(self.fp))

    def _begin(self) -> None:
        file: Any = self.fp
        if b"\r\n\r\n" in file.peek(1):  # all of it came in one packet, as it does nearly always
            super().begin()
            return
        lines: Any = _Lines(file, time.monotonic() + self.patience)
        self.fp = lines
        try:
            super().begin()
        finally:
            if self.fp is lines:  # it was not closed meanwhile
                self.fp = file

    def _read_status(self) -> tuple[str, int, str]:
        self._interim += 1
        if self._interim > _INTERIM:
            raise http.client.HTTPException("it announces an answer and never gives it")
        found: tuple[str, int, str] = super()._read_status()  # type: ignore[misc] # the loop around it has no end
        return found


class _Sending:
    """A connection that sends the headers of a small body along with it, since a packet each is what costs most."""

    _has_body = False
    _held: bytes | None = None

    def putheader(self, header: Any, *values: Any) -> None:
        if header in ("Content-Length", b"Content-Length"):
            self._has_body = values != ("0",)
        super().putheader(header, *values)  # type: ignore[misc] # of the connection that this is mixed into

    def endheaders(self, *args: Any, **more: Any) -> None:
        self._held = b"" if self._has_body else None
        self._has_body = False
        super().endheaders(*args, **more)  # type: ignore[misc] # the same

    def send(self, data: Any) -> None:
        held, self._held = self._held, None
        if held is None:
            super().send(data)  # type: ignore[misc] # the same
        elif not held and isinstance(data, bytes):
            self._held = data
        elif held and isinstance(data, bytes) and len(data) <= _JOINED:
            super().send(held + data)  # type: ignore[misc] # the same
        else:
            super().send(held)  # type: ignore[misc] # the same
            super().send(data)  # type: ignore[misc] # the same

    def getresponse(self) -> Any:
        held, self._held = self._held, None
        if held:  # the body never came
            super().send(held)  # type: ignore[misc] # the same
        return super().getresponse()  # type: ignore[misc] # the same


def _pools(silence: float) -> dict[str, Any]:
    """Returns the kinds of connections: once they are made, sending may take as long as the remote may be silent."""

    class Response(_Response):
        patience = 4 * silence or math.inf

    class Plain(_Sending, urllib3.connection.HTTPConnection):
        response_class = Response

        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(silence or None)

    class Safe(_Sending, urllib3.connection.HTTPSConnection):
        response_class = Response

        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(silence or None)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SafePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Safe

    return {"http": PlainPool, "https": SafePool}
