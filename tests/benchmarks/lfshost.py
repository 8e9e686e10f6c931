"""An LFS server in a process of its own: prints its address, and forgets what it has for each line it is sent."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[2]


class LfsHost:
    """The running server."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.url = url

    def forget(self) -> int:
        """Makes it forget all payloads; returns how many it had."""
        if self._process.stdin is None or self._process.stdout is None:
            return 0
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def serving() -> Iterator[LfsHost]:
    """Runs a server until the `with` block ends."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        url = process.stdout.readline().strip() if process.stdout else ""
        try:
            yield LfsHost(process, url)
        finally:
            process.kill()


def main() -> None:
    """Serves until stdin ends."""
    sys.path.insert(0, str(PROJECT))
    from tests.servers.lfs import lfs_server  # noqa: PLC0415 - found only now

    with lfs_server() as server:
        print(server.url, flush=True)
        for _ in sys.stdin:
            print(len(server.payloads), flush=True)
            for each in (server.payloads, server.sent, server.requests):
                each.clear()


if __name__ == "__main__":
    main()
