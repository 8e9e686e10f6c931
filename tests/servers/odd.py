"""Web servers that are no git hosts: one that gives the same answer to everything, and a proxy."""

from __future__ import annotations

import base64
import contextlib
import http.client
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """Runs an HTTP server; yields its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def answering(status: int, *, headers: dict[str, str] | None = None, body: bytes = b"") -> Iterator[int]:
    """Runs a server that answers every request alike (`{path}` in a header is what was asked for); yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value.replace("{path}", self.path))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with listening(Handler) as port:
        yield port


@dataclass
class Proxy:
    """A proxy that is running, and what it was asked for."""

    port: int
    seen: list[str] = field(default_factory=list)


@contextmanager
def proxy(*, user: str = "", password: str = "") -> Iterator[Proxy]:
    """Runs an HTTP proxy that forwards plain requests and makes tunnels; with a user it wants the password."""
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if user else None

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:
            if not self._is_welcome():
                return
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port)), 10) as far:
                self.send_response(200)
                self.end_headers()
                _join(self.connection, far)
            self.close_connection = True

        def do_GET(self) -> None:
            if not self._is_welcome():
                return
            _forward(self)

        def do_POST(self) -> None:
            self.do_GET()

        def _is_welcome(self) -> bool:
            if expected is not None and self.headers.get("Proxy-Authorization") != expected:
                self.send_response(407)
                self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return False
            found.seen.append(f"{self.command} {self.path}")
            return True

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with listening(Handler) as port:
        found = Proxy(port)
        yield found


def _forward(asked: BaseHTTPRequestHandler) -> None:
    """Asks the server that was meant, and passes its answer on."""
    body = asked.rfile.read(int(asked.headers.get("Content-Length", "0")))
    parts = urlsplit(asked.path)
    kept = {name: value for name, value in asked.headers.items() if not name.lower().startswith("proxy-")}
    far = http.client.HTTPConnection(str(parts.hostname), parts.port or 80, timeout=60)
    far.request(asked.command, parts.path + (f"?{parts.query}" if parts.query else ""), body, kept)
    answer = far.getresponse()
    content = answer.read()
    asked.send_response(answer.status)
    for name, value in answer.getheaders():
        if name.lower() not in ("content-length", "transfer-encoding", "connection"):
            asked.send_header(name, value)
    asked.send_header("Content-Length", str(len(content)))
    asked.end_headers()
    asked.wfile.write(content)
    far.close()


def _join(near: Any, far: socket.socket) -> None:
    """Passes bytes both ways until one side ends."""
    with contextlib.suppress(OSError):
        while True:
            ready, _, _ = select.select([near, far], [], [], 60)
            if not ready:
                return
            for source in ready:
                if not (data := source.recv(1 << 16)):
                    return
                (far if source is near else near).sendall(data)
