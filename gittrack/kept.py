"""What this process logged under which path, by which a file that is logged again can be told from one that is new."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

Item = Mapping[str, Any]  # what the journal says of a file: size, and file (its copy), or sha256, or both


class Kept:
    """The files that were logged; safe to use from several threads.

    replaced: called with a path under which other content stood before, as soon as that is known. A large file is
    hashed beside the training loop, so that may be a while later."""

    def __init__(self, replaced: Callable[[str], None]) -> None:
        self._replaced = replaced
        self._items: dict[str, Item] = {}
        self._hashes: dict[str, str] = {}  # by the name of the copy
        self._open: dict[str, tuple[str, Item]] = {}  # by the name of a copy: its path, and what stood there
        self._lock = threading.Lock()

    def find(self, path: str) -> Item | None:
        """Returns what was logged last under a path."""
        return self._items.get(path)

    def sha256_of(self, item: Item) -> str | None:
        """Returns the hash of a file that was logged, if it is known by now."""
        return item.get("sha256") or self._hashes.get(str(item.get("file")))

    def put(self, path: str, item: Item) -> None:
        """Notes that a file was logged."""
        with self._lock:
            before, self._items[path] = self._items.get(path), item
        if before is not None:
            self._compare(path, before, item)

    def hashed(self, copy: str, sha256: str) -> None:
        """Notes the hash of a copy."""
        with self._lock:
            self._hashes[copy] = sha256
            path, before = self._open.pop(copy, (None, None))
            now = {"sha256": sha256}
        if path is not None and before is not None:
            self._judge(path, before, now)

    def _compare(self, path: str, before: Item, now: Item) -> None:
        if before["size"] != now["size"]:
            self._replaced(path)
            return
        with self._lock:
            if self.sha256_of(now) is None:
                self._open[str(now.get("file"))] = path, before
                return
        self._judge(path, before, now)

    def _judge(self, path: str, before: Item, now: Item) -> None:
        # Files are hashed in the order in which they were logged; one without a hash was not stored, which is said.
        known = self.sha256_of(before)
        if known is not None and known != self.sha256_of(now):
            self._replaced(path)
