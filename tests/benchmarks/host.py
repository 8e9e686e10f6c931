"""A host for git over smart HTTP, in a process of its own: `host.py FOLDER` serves the repositories there.

Prints its address; then, for each line it is sent, how many bytes it has sent."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[2]


class Host:
    """The running host."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self._process = process
        self.address = address

    def sent(self) -> int:
        """Returns how many bytes it has sent until now."""
        if self._process.stdin is None or self._process.stdout is None:
            return 0
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def serving(folder: Path) -> Iterator[Host]:
    """Serves the repositories in a folder until the `with` block ends."""
    with subprocess.Popen(
        [sys.executable, __file__, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        address = process.stdout.readline().strip() if process.stdout else ""
        try:
            yield Host(process, address)
        finally:
            process.kill()


def main() -> None:
    """Serves until stdin ends."""
    sys.path.insert(0, str(PROJECT))
    from tests.githttp import GitHttpServer  # noqa: PLC0415 - found only now

    with GitHttpServer.start(Path(sys.argv[1])) as server:
        print(server.address, flush=True)
        for _ in sys.stdin:
            print(server.sent, flush=True)


if __name__ == "__main__":
    main()
