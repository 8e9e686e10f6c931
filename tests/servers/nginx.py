"""nginx with fcgiwrap and `git http-backend`: the web server that git's own manual describes, as hosts run it.

It wants a password for everything, and speaks plain HTTP on one port and TLS on another.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.servers import inetd

USER, PASSWORD = "ada", "pa55word-of-ada"

_CONFIG = """\
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    fastcgi_temp_path {folder}/fastcgi;
    proxy_temp_path {folder}/proxy;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    server {{
        listen 127.0.0.1:{http};
        listen 127.0.0.1:{https} ssl;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        auth_basic tests;
        auth_basic_user_file {folder}/users;
        location / {{
            fastcgi_pass unix:{folder}/cgi;
            fastcgi_read_timeout 600;
            fastcgi_param SCRIPT_FILENAME {backend};
            fastcgi_param GIT_PROJECT_ROOT {root};
            fastcgi_param GIT_HTTP_EXPORT_ALL 1;
            fastcgi_param PATH_INFO $uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param REMOTE_USER $remote_user;
            fastcgi_param REMOTE_ADDR $remote_addr;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """A server that is running."""

    http: int
    https: int
    certificate: Path


@contextmanager
def nginx(root: Path) -> Iterator[Nginx]:
    """Serves the repositories in `root`, for reading and writing, to whoever knows the password."""
    path = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
    programs = {name: shutil.which(name, path=path) for name in ("nginx", "fcgiwrap", "openssl")}
    missing = [name for name, found in programs.items() if found is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as short:  # the name of a socket is at most 107 bytes long
        yield from _serve(Path(short), root, programs)


def _serve(folder: Path, root: Path, programs: Mapping[str, str | None]) -> Iterator[Nginx]:
    (folder / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n", encoding="utf-8")
    _make_certificate(folder)
    with ExitStack() as ending:
        _start([str(programs["fcgiwrap"]), "-c", "4", "-s", f"unix:{folder}/cgi"], folder, ending)
        _wait_for((folder / "cgi").exists)
        for _ in range(5):
            http, https = _free_ports()
            config = _CONFIG.format(folder=folder, root=root, http=http, https=https, backend=_backend())
            (folder / "nginx.conf").write_text(config, encoding="utf-8")
            server = _start(
                [str(programs["nginx"]), "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"],
                folder,
                ending,
            )
            if _wait_for(partial(_answers, https), unless=server):
                yield Nginx(http, https, folder / "certificate.pem")
                return
        pytest.fail((folder / "error.log").read_text(encoding="utf-8"))


def _backend() -> Path:
    found = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout
    return Path(found.strip(), "git-http-backend")


def _make_certificate(folder: Path) -> None:
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(["openssl", "req", "-x509", *kind, *names, *files], capture_output=True, check=True)


def _start(argv: list[str], folder: Path, ending: ExitStack) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        argv,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
        start_new_session=True,
    )
    ending.callback(inetd.end, process)
    return process


def _free_ports() -> tuple[int, int]:
    """Returns two ports that were free just now; nginx tells if one is taken meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _wait_for(condition: Callable[[], bool], *, unless: subprocess.Popen[bytes] | None = None) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (unless is None or unless.poll() is None):
        if condition():
            return True
        time.sleep(0.01)
    return False
