"""A server that speaks S3, in processes of its own: `bucket.py rclone` or `bucket.py moto`.

Prints the environment that opens it, as JSON, and serves until stdin ends."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[2]


@contextmanager
def serving(kind: str) -> Iterator[dict[str, str]]:
    """Runs a server until the `with` block ends; yields the environment that opens it, an empty one if it cannot."""
    with subprocess.Popen(
        [sys.executable, __file__, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        said = process.stdout.readline() if process.stdout else ""
        try:
            yield json.loads(said or "{}")
        finally:
            if process.stdin:
                process.stdin.close()
            process.wait()


def main() -> None:
    """Serves until stdin ends."""
    sys.path.insert(0, str(PROJECT))
    from tests.servers import buckets  # noqa: PLC0415 - found only now

    kinds = {"rclone": buckets.rclone, "moto": buckets.moto}
    with kinds[sys.argv[1]]() as server:
        print(json.dumps(dict(server.environ)), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
