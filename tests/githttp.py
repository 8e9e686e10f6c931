"""A smart HTTP server for git, as a host runs one, on this machine only.

A folder as a remote hides what HTTP does differently: stateless negotiation, gzipped and chunked requests,
no shared file system. So this serves `git http-backend`, git's own server, through the CGI that it speaks.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.gitcmd import TIMEOUT_SECONDS, GitRepo


@dataclass(frozen=True)
class Request:
    """One request as it came in: what tests count."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class GitHttpServer:
    """Serves every repository in `root` for reading and writing."""

    root: Path
    address: str
    requests: list[Request] = field(default_factory=list)
    sent: int = 0  # bytes of all answers, without their headers

    @classmethod
    @contextmanager
    def start(cls, root: Path) -> Iterator[GitHttpServer]:
        """Serves `root` on a free port until the `with` block ends."""
        root.mkdir(parents=True, exist_ok=True)
        listener = _Listener(("127.0.0.1", 0), _Handler)
        listener.served = cls(root, f"http://127.0.0.1:{listener.server_port}")
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield listener.served
        finally:
            listener.shutdown()
            listener.server_close()
            thread.join()

    def add_repository(self, name: str) -> GitRepo:
        """Makes an empty bare repository that accepts pushes."""
        bare = GitRepo.init(self.root / name, "--bare")
        bare.git("config", "http.receivepack", "true")
        return bare

    def url(self, name: str) -> str:
        """Returns the address of the repository `name`."""
        return f"{self.address}/{name}"


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    served: GitHttpServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a client that went away: tests break connections on purpose."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    # With 1.1 git keeps the connection and sends large bodies in chunks, as it does to a real host.
    protocol_version = "HTTP/1.1"
    server: _Listener

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the requests are kept in a list."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(chunks)

    def _answer(self, body: bytes) -> None:
        served = self.server.served
        served.requests.append(Request(self.command, self.path, dict(self.headers.items())))
        done = subprocess.run(
            ["git", "http-backend"],
            env=self._cgi_environment(served.root, len(body)),
            input=body,
            capture_output=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if line]
        status = next((value for name, value in headers if name == "Status"), "200 OK")
        if done.returncode != 0 or not headers:
            status, content = "500 git http-backend failed", done.stderr
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            if name not in {"Status", "Content-Length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        served.sent += len(content)

    def _cgi_environment(self, root: Path, length: int) -> dict[str, str]:
        parts = urlsplit(self.path)
        protocol = self.headers.get("Git-Protocol", "")
        return {
            **os.environ,
            "GATEWAY_INTERFACE": "CGI/1.1",
            "GIT_PROJECT_ROOT": str(root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "tester",
            "REMOTE_ADDR": "127.0.0.1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            # http-backend inflates by itself.
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            # git < 2.36 reads only GIT_PROTOCOL, which web servers had to set.
            "HTTP_GIT_PROTOCOL": protocol,
            "GIT_PROTOCOL": protocol,
        }
