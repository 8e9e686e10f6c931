"""An LFS server that lets nothing through: what it is sent must be what was announced, to the byte and to the header.

It can be told to misbehave in any way (`Lfs.rules`): a rule is asked before the server does what it should, and
returns whether it has answered instead."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import re
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TYPE = "application/vnd.git-lfs+json"
BASE = "/project.git/info/lfs"
TOKEN = "let-me-in-by-action"
MOST = 100
_OID = re.compile(r"[0-9a-f]{64}")

Rule = Callable[["Handler"], bool]


@dataclass
class Request:
    """What was asked."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class LfsServer:
    """A server that is running: what it has, what it was asked, and how it is to behave."""

    port: int = 0
    scheme: str = "http"
    payloads: dict[str, bytes] = field(default_factory=dict)
    sent: dict[str, bytes] = field(default_factory=dict)  # and not verified yet
    requests: list[Request] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    password: str = ""  # of the user `ada`; with one, the API wants it
    most: int = MOST  # objects in a batch
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)  # objects, by their oid
    verifies: bool = True
    life: int | None = None  # seconds that actions are good for
    storage: str = ""  # the origin where payloads go, if not here
    change: Callable[[dict[str, Any]], object] = lambda _: None  # changes an answer to a batch
    ranges: bool = True
    signatures: Iterator[int] = field(default_factory=itertools.count)

    @property
    def address(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The base of the API."""
        return self.address + BASE

    def asked(self, method: str, path: str = "") -> list[Request]:
        """Returns the requests of a kind, whose paths begin with `path`."""
        return [each for each in self.requests if each.method == method and each.path.startswith(path)]

    def batches(self) -> list[Request]:
        return self.asked("POST", f"{BASE}/objects/batch")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for an answer
    disable_nagle_algorithm = True
    server: _Listener

    def do_POST(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the requests are kept in a list."""

    @property
    def told(self) -> LfsServer:
        return self.server.told

    def say(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> bool:
        """Answers."""
        self.send_response(status)
        given = {"Content-Length": str(len(body)), **(headers or {})}
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        return True

    def say_json(self, status: int, said: object, headers: dict[str, str] | None = None) -> bool:
        return self.say(status, json.dumps(said).encode(), {"Content-Type": TYPE, **(headers or {})})

    def body(self) -> bytes:
        """Reads what was sent along."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _serve(self) -> None:
        told = self.told
        told.requests.append(Request(self.command, self.path, dict(self.headers.items())))
        if any(rule(self) for rule in list(told.rules)):
            return
        if self.path.partition("?")[0] == f"{BASE}/objects/batch" and self.command == "POST":
            self._batch(self.body())
        elif self.path.startswith("/storage/") and self.command in ("GET", "PUT"):
            self._store() if self.command == "PUT" else self._load()
        elif self.path.startswith("/verify/") and self.command == "POST":
            self._verify(self.body())
        else:
            self.body()
            self.say_json(404, {"message": "not found"})

    def _is_known(self) -> bool:
        wanted = "Basic " + base64.b64encode(f"ada:{self.told.password}".encode()).decode()
        return not self.told.password or self.headers.get("Authorization") == wanted

    def _batch(self, raw: bytes) -> bool:
        told = self.told
        if not self._is_known():
            headers = {"LFS-Authenticate": 'Basic realm="lfs"', "WWW-Authenticate": 'Basic realm="lfs"'}
            return self.say_json(401, {"message": "who are you?"}, headers)
        kind = self.headers.get("Content-Type", "").partition(";")[0]
        if TYPE not in self.headers.get("Accept", "") or kind != TYPE:
            return self.say_json(406, {"message": "this is no LFS request"})
        wanted = json.loads(raw)
        objects, sending = wanted["objects"], wanted["operation"] == "upload"
        if len(objects) > told.most:
            return self.say_json(413, {"message": f"at most {told.most} objects"})
        if wanted["operation"] not in ("upload", "download") or "basic" not in wanted.get("transfers", ["basic"]):
            return self.say_json(422, {"message": "this is no operation"})
        if not all(_OID.fullmatch(each["oid"]) and isinstance(each["size"], int) for each in objects):
            return self.say_json(422, {"message": "this is no object"})
        answer = {"transfer": "basic", "objects": [self._offer(each, sending=sending) for each in objects]}
        told.change(answer)
        return self.say_json(200, answer)

    def _offer(self, wanted: dict[str, Any], *, sending: bool) -> dict[str, Any]:
        told, oid = self.told, wanted["oid"]
        found = {"oid": oid, "size": wanted["size"]}
        if oid in told.refused:
            code, message = told.refused[oid]
            return {**found, "error": {"code": code, "message": message}}
        if not sending and len(told.payloads.get(oid, b"")) != wanted["size"]:
            return {**found, "error": {"code": 404, "message": "it is not here"}}
        if sending and oid in told.payloads:
            return found
        more = {"header": {"X-Token": TOKEN}, **({"expires_in": told.life} if told.life is not None else {})}
        storage = f"{told.storage or told.address}/storage/{oid}?signature={next(told.signatures)}"
        actions = {"upload" if sending else "download": {"href": storage, **more}}
        if sending and told.verifies:
            actions["verify"] = {"href": f"{told.address}/verify/{oid}", **more}
        return {**found, "actions": actions}

    def _has_token(self) -> bool:
        return self.headers.get("X-Token") == TOKEN or self.say_json(403, {"message": "no token"}) is None

    def _store(self) -> None:
        told, oid, raw = self.told, self._oid(), self.body()
        if not self._has_token():
            return
        if hashlib.sha256(raw).hexdigest() != oid:
            self.say_json(400, {"message": "this has another hash"})
            return
        (told.sent if told.verifies else told.payloads)[oid] = raw
        self.say(200)

    def _verify(self, raw: bytes) -> None:
        told, oid, said = self.told, self._oid(), json.loads(raw)
        if not self._has_token():
            return
        if oid not in told.sent or said != {"oid": oid, "size": len(told.sent[oid])}:
            self.say_json(404, {"message": "this was not sent"})
            return
        told.payloads[oid] = told.sent[oid]
        self.say(200)

    def _load(self) -> None:
        raw = self.told.payloads.get(self._oid())
        if not self._has_token():
            return
        if raw is None:
            self.say_json(404, {"message": "it is not here"})
            return
        found = re.fullmatch(r"bytes=([0-9]+)-", self.headers.get("Range", ""))
        if found and self.told.ranges:
            start = int(found[1])
            if start >= len(raw):
                self.say(416, headers={"Content-Range": f"bytes */{len(raw)}"})
            else:
                self.say(206, raw[start:], {"Content-Range": f"bytes {start}-{len(raw) - 1}/{len(raw)}"})
            return
        self.say(200, raw, {"Content-Type": "application/octet-stream"})

    def _oid(self) -> str:
        return self.path.partition("?")[0].rpartition("/")[2]


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    told: LfsServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a client that went away: tests break connections on purpose."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def lfs_server(*, password: str = "", certificate: Path | None = None, key: Path | None = None) -> Iterator[LfsServer]:
    """Runs a server; with a certificate it speaks TLS."""
    listener = _Listener(("127.0.0.1", 0), Handler)
    listener.told = LfsServer(listener.server_port, password=password)
    if certificate:
        listener.told.scheme = "https"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield listener.told
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


# Rules --------------------------------------------------------------------------------------------------------------


def times(count: int, rule: Rule, *, method: str = "", path: str = "") -> Rule:
    """Returns a rule that holds for the first requests of a kind; count 0: for all."""
    left = [count]
    lock = threading.Lock()

    def limited(handler: Handler) -> bool:
        if method not in ("", handler.command) or not handler.path.startswith(path):
            return False
        with lock:
            if count and not left[0]:
                return False
            left[0] -= 1
        return rule(handler)

    return limited


def status(code: int, message: str = "", **headers: str) -> Rule:
    """Returns a rule that answers with a status; `Retry_After` in `headers` is `Retry-After`."""

    def answer(handler: Handler) -> bool:
        handler.body()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return handler.say_json(code, {"message": message}, named)

    return answer


def early(code: int) -> Rule:
    """Returns a rule that answers and hangs up before it has read what is sent."""

    def answer(handler: Handler) -> bool:
        handler.close_connection = True
        return handler.say_json(code, {"message": "no more of it"}, {"Connection": "close"})

    return answer


def raw(data: bytes) -> Rule:
    """Returns a rule that answers with these bytes, whatever they are, and hangs up."""

    def answer(handler: Handler) -> bool:
        handler.body()
        handler.close_connection = True
        handler.wfile.write(data)
        handler.wfile.flush()
        return True

    return answer


def cut(after: int) -> Rule:
    """Returns a rule that gives the payload that is asked for, and hangs up after so many bytes of it."""

    def answer(handler: Handler) -> bool:
        content = handler.told.payloads[handler._oid()]
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:after])
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)
        return True

    return answer


def stall(until: threading.Event) -> Rule:
    """Returns a rule that reads what comes and answers nothing, until an event."""

    def answer(handler: Handler) -> bool:
        handler.body()
        handler.close_connection = True
        until.wait(30)
        return True

    return answer
