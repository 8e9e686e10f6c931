"""Memory that several transfers share, so that eight large files at once take no more of it than one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Room:
    """So many bytes; whoever wants some waits until there are enough. One that wants more than all gets all."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._changed = threading.Condition()

    def take(self, wanted: int) -> None:
        """Waits for so many bytes, and takes them."""
        count = min(wanted, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= count)
            self._free -= count

    def give(self, taken: int) -> None:
        """Gives back what was taken."""
        with self._changed:
            self._free += min(taken, self._size)
            self._changed.notify_all()

    @contextlib.contextmanager
    def of(self, wanted: int) -> Iterator[None]:
        """Holds so many bytes."""
        self.take(wanted)
        try:
            yield
        finally:
            self.give(wanted)
