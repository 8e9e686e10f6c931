"""What git and the disk need for a run, without us: the floor under finish().

The same number of bytes in the same number of objects, through the two git commands that make
it durable."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import tempfile
import time
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMMIT, TREE, BLOB = 1, 2, 3
KINDS = {COMMIT: "commit", TREE: "tree", BLOB: "blob"}
DURABLE = ("-c", "core.fsync=all", "-c", "core.fsyncMethod=fsync")


class GitFloor:
    """A bare repository to which packs of the size of a run are added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pack_bytes = 0
        git("init", "--quiet", "--bare", "--object-format=sha1", str(folder))

    def measure(self, turn: int, table: str) -> dict[str, float]:
        """Returns the seconds of each floor, once."""
        pack, commit = run_as_pack(turn, table)
        self.pack_bytes = len(pack)
        at = ("--git-dir", str(self.folder))
        return {
            "index-pack": timed(lambda: git(*at, "index-pack", "--stdin", "--keep", feed=pack)),
            "update-ref": timed(lambda: git(*at, *DURABLE, "update-ref", f"refs/runs/r{turn}", commit)),
            "folders": timed(self._sync_folders),
            "fsync": timed(lambda: write_synced(self.folder / "synced", bytes(100_000))),
            "spawn": 2 * timed(lambda: git("version")),
        }

    def _sync_folders(self) -> None:
        for name in ("objects/pack", "refs/runs"):
            handle = os.open(self.folder / name, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)


def git(*words: str, feed: bytes = b"") -> None:
    """Runs git, its output thrown away."""
    subprocess.run(["git", *words], input=feed, check=True, capture_output=True)


def timed(act: Callable[[], object]) -> float:
    """Returns the seconds that it takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def write_synced(file: Path, data: bytes) -> None:
    """Writes a file through to the disk."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(handle, data)
    os.fsync(handle)
    os.close(handle)


def run_as_pack(turn: int, table: str) -> tuple[bytes, str]:
    """Returns a pack with the objects of a run of ten metrics, and the id of its commit."""
    source = random.Random(turn)
    history = f"{turn}\n{table}".encode()
    blobs = [history, *(source.randbytes(900).hex().encode() for _ in range(12))]
    entries = b"".join(
        f"100644 file{place:02}\0".encode() + bytes.fromhex(object_id(BLOB, blob)) for place, blob in enumerate(blobs)
    )
    who = "a <a@example.com> 1700000000 +0000"
    text = f"tree {object_id(TREE, entries)}\nauthor {who}\ncommitter {who}\n\nrun {turn}\n"
    commit = text.encode()
    objects = [(COMMIT, commit), (TREE, entries), *((BLOB, blob) for blob in blobs)]
    body = b"PACK" + (2).to_bytes(4, "big") + len(objects).to_bytes(4, "big")
    body += b"".join(header(kind, len(data)) + zlib.compress(data) for kind, data in objects)
    return body + hashlib.sha1(body).digest(), object_id(COMMIT, commit)  # noqa: S324  git's own


def object_id(kind: int, data: bytes) -> str:
    """Returns git's name for an object."""
    head = f"{KINDS[kind]} {len(data)}\0".encode()
    return hashlib.sha1(head + data).hexdigest()  # noqa: S324  git's own


def header(kind: int, size: int) -> bytes:
    """Returns the first bytes of an object in a pack: its kind, and its size in groups of bits."""
    found = bytearray()
    byte, size = kind << 4 | size & 15, size >> 4
    while size:
        found.append(byte | 128)
        byte, size = size & 127, size >> 7
    return bytes([*found, byte])


@contextmanager
def git_processes() -> Iterator[tuple[Callable[[], None], Callable[[], tuple[int, float]]]]:
    """Lets git itself say how often it was started after a moment, and how long that ran."""
    with tempfile.TemporaryDirectory() as folder:
        earlier: set[Path] = set()

        def begin() -> None:
            earlier.update(Path(folder).iterdir())

        def started() -> tuple[int, float]:
            files = set(Path(folder).iterdir()) - earlier
            events = [json.loads(line) for file in files for line in file.read_text().splitlines()]
            ends = [event["t_abs"] for event in events if event["event"] == "atexit"]
            return len(ends), sum(ends)

        # From the start of the run: the environment may be read once, by init().
        os.environ["GIT_TRACE2_EVENT"] = folder
        try:
            yield begin, started
        finally:
            del os.environ["GIT_TRACE2_EVENT"]
