"""How far a transfer of several files is, told in one line."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


class _Stopped(BaseException):
    """Nobody waits for this transfer any more."""


@dataclass(slots=True)
class Meter:
    """How far a transfer is: counts bytes from several threads, and says so in one line at most five times a second."""

    total: int
    files: int
    tell: Callable[[str], None] | None = None
    done: int = 0
    finished: int = 0
    _since: float = field(default_factory=time.monotonic)
    _told: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    def stop(self) -> None:
        """Makes every transfer that counts here end at its next chunk."""
        self._stopped = True

    def add(self, count: int) -> None:
        """Counts bytes; a negative number takes back what has to be moved again."""
        if self._stopped:
            raise _Stopped
        with self._lock:
            self.done += count
            if self.tell is None:
                return
            now = time.monotonic()
            if now - self._told < 0.2:
                return
            self._told = now
            self.tell(self.line(now))

    def wait(self, seconds: float) -> None:
        """Waits before something is tried again, and says for how long still; ends when the transfer is stopped."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._stopped:
                raise _Stopped
            with self._lock:
                if self.tell is not None:
                    self._told = time.monotonic()  # so that what others move does not hide it at once
                    self.tell(f"{self._moved()}, waiting to try again ({math.ceil(left)} s)")
            time.sleep(min(left, 0.2))

    def end_one(self) -> None:
        """Counts a file that arrived."""
        with self._lock:
            self.finished += 1

    def line(self, now: float) -> str:
        """Returns the line: files, bytes, rate, and the time that is left at that rate."""
        passed = max(now - self._since, 1e-3)
        rate = self.done / passed
        left = (self.total - self.done) / rate if rate > 0 else 0.0
        rest = f", {_clock(left)} left" if 0 < left < 360_000 else ""
        return f"{self._moved()}, {_size(rate)}/s{rest}"

    def _moved(self) -> str:
        return f"artifacts: {self.finished}/{self.files}, {_size(self.done)} of {_size(self.total)}"


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
