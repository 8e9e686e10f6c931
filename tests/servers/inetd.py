"""A listener that starts a program for each connection, as inetd does.

sshd and git's daemon both can be served so. It needs no port that was free a moment ago, and when it ends nothing of it
is left: every program it started is ended with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager


@contextmanager
def serving(argv: Sequence[str], *, env: Mapping[str, str]) -> Iterator[int]:
    """Yields a port of this machine; each connection to it is stdin and stdout of a program of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    started: list[subprocess.Popen[bytes]] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # it was shut down
                return
            with connection:
                started.append(
                    subprocess.Popen(
                        argv,
                        stdin=connection.fileno(),
                        stdout=connection.fileno(),
                        stderr=subprocess.DEVNULL,
                        env=env,
                        start_new_session=True,
                    )
                )

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
        for process in started:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a program and its process group, if it did not end by itself."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
