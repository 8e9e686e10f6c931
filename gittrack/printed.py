"""What a run printed, as a terminal would show it in the end, the first and the last MiB of it.

This file is also a program: the copier, a small process that stands between a training script and its terminal. The
script's output goes on to where it went before; if the script is killed, what it printed last still gets there and
into the log. It starts in milliseconds, so it imports nothing of ours."""

from __future__ import annotations

import contextlib
import io
import os
import re
import select
import signal
import sys
import threading
import time
from pathlib import Path

HEAD_BYTES = 1024 * 1024
TAIL_BYTES = 1024 * 1024
NAME = "output.log"
_TAIL = "output.tail."
_CHUNK = 65536
_WRITE_SECONDS = 0.5  # how often a line that is not complete is written
_MAX_LINE = 65536
_MOST_WAITING = 8 * 1024 * 1024
_PATIENCE_SECONDS = 1.0
_ROWS, _TALL_ROWS = 8, 64  # how far up a progress display may go: one that draws, and one that went up
_TOKENS = re.compile(
    rb"\r?\n|\r|\x08+|\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][0-9A-B]|\x1b[=>78cM]"
    rb"|[^\r\n\x08\x1b]+|\x1b"
)
_CUT = re.compile(rb"\r\Z|\x1b(?:\[[0-9;?]*[ -/]*|\][^\x07\x1b]{0,200}\x1b?|[()])?\Z")
_UP = re.compile(rb"\x1b\[([0-9]*)A")


class Screen:
    """Lines that may still be written over: a progress bar is one line, however often it was drawn."""

    def __init__(self) -> None:
        self._rows: list[bytearray] = [bytearray()]
        self._row = 0
        self._over = False  # the next text replaces its line
        self._drawn = False  # it is a display: lines near the end may change
        self._tall = False  # something went up: lines above may change too
        self._cut = b""

    def feed(self, data: bytes) -> bytes:
        """Takes output and returns the lines that nothing will change any more."""
        data, self._cut = self._cut + data, b""
        if cut := _CUT.search(data):
            data, self._cut = data[: cut.start()], data[cut.start() :]
        at_end = self._row == len(self._rows) - 1 and not self._over
        if at_end and b"\r" not in data and b"\x1b" not in data and b"\b" not in data:
            first, *more = data.split(b"\n")
            self._rows[-1] += first
            self._rows += map(bytearray, more)
            self._row += len(more)
        else:
            for token in _TOKENS.findall(data):
                self._take(token)
        return self._finished()

    def _take(self, token: bytes) -> None:
        row = self._rows[self._row]
        if token[-1:] == b"\n":
            self._row += 1
            self._over = False
            if self._row == len(self._rows):
                self._rows.append(bytearray())
            else:
                self._over = True
        elif token == b"\r":
            self._over = self._drawn = True
        elif token[:1] == b"\b":
            del row[max(0, len(row) - len(token)) :]
        elif token[:1] == b"\x1b":
            if up := _UP.fullmatch(token):
                self._row = max(0, self._row - int(up[1] or b"1"))
                self._tall = self._over = True
            elif token == b"\x1b[?25l":  # the cursor is hidden
                self._drawn = True
            elif token in (b"\x1b[2K", b"\x1b[K", b"\x1b[0K") and (self._over or token == b"\x1b[2K"):
                row.clear()
        else:
            if self._over:
                row.clear()
                self._over = False
            row += token

    def _finished(self) -> bytes:
        keep = _TALL_ROWS if self._tall else _ROWS if self._drawn else 1
        count = max(0, min(len(self._rows) - keep, self._row))
        done = b"".join(bytes(row) + b"\n" for row in self._rows[:count])
        del self._rows[:count]
        self._row -= count
        if sum(map(len, self._rows)) > _MAX_LINE:
            done += self.rest
            self._rows, self._row = [bytearray()], 0
        return done

    @property
    def rest(self) -> bytes:
        """The lines that may still change, the last one without an end."""
        return b"\n".join(bytes(row) for row in self._rows)


def _opened(path: Path) -> io.FileIO:
    """Opens a file to write, with the rights that gittrack.shared gives; this file imports nothing of ours."""
    file = path.open("wb", buffering=0)
    with contextlib.suppress(OSError):
        around = path.parent.stat().st_mode
        if around & 0o020:
            os.fchmod(file.fileno(), 0o660 | around & 0o004)
    return file


class Log:
    """The log of a run's output, in its live folder: the beginning in one file, the end in pieces that are renewed.

    It is on disk as it comes, so that whoever seals the run finds it. A thread writes it, so that a disk that stops
    answering holds nobody up; what it cannot take is left out. Safe from several threads; never raises."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changed = threading.Condition()
        self._waiting: list[tuple[int, bytes]] = []
        self._waiting_size = 0
        self._wanted = self._flushed = 0  # how often `flush` was called, and done
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self._screens: dict[int, Screen] = {}
        self._size = 0  # of what is complete
        self._head = _opened(folder / NAME)
        self._tail: io.FileIO | None = None  # the piece that is written to
        self._pieces: list[Path] = []

    def write(self, data: bytes, stream: int = 1) -> None:
        """Takes a piece of output; the lines of one stream are not torn by those of another."""
        with self._changed:
            if self._is_closed or self._waiting_size > _MOST_WAITING:
                return
            self._waiting.append((stream, data))
            self._waiting_size += len(data)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="gittrack-log", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self) -> None:
        """Returns when all that was taken is on disk, also lines that are not complete; or after a moment."""
        with self._changed:
            if self._thread is not None:
                self._wanted += 1
                number = self._wanted
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._flushed >= number, _PATIENCE_SECONDS)

    def close(self) -> None:
        """Ends the log."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(_PATIENCE_SECONDS)
            if self._thread.is_alive():
                return  # to close a file would wait for the disk, too
        self._head.close()
        if self._tail:
            self._tail.close()

    def _has_work(self) -> bool:
        return bool(self._waiting) or self._is_closed or self._wanted > self._flushed

    def _run(self) -> None:
        written = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work, _WRITE_SECONDS)
                parts, self._waiting, self._waiting_size = self._waiting, [], 0
                is_last, wanted = self._is_closed, self._wanted
                late = not parts or wanted > self._flushed
            with contextlib.suppress(OSError, ValueError):
                for stream, part in parts:
                    self._keep(self._screens.setdefault(stream, Screen()).feed(part))
                if late or is_last or time.monotonic() - written > _WRITE_SECONDS:
                    self._keep_rest()
                    written = time.monotonic()
            with self._changed:
                self._flushed = wanted
                self._changed.notify_all()
                if is_last and not self._waiting:
                    return

    def _keep(self, data: bytes) -> None:
        if data and self._size < HEAD_BYTES:
            part, data = data[: HEAD_BYTES - self._size], data[HEAD_BYTES - self._size :]
            self._head.seek(self._size)
            self._head.write(part)
            self._head.truncate()
            self._size += len(part)
        for at in range(0, len(data), TAIL_BYTES):
            part = data[at : at + TAIL_BYTES]
            if self._tail is None or self._tail.tell() >= TAIL_BYTES:
                self._next_piece()
            if self._tail:
                self._tail.write(part)
            self._size += len(part)

    def _next_piece(self) -> None:
        if self._tail:
            self._tail.close()
        else:
            self._head.truncate(HEAD_BYTES)
        path = self._folder / f"{_TAIL}{self._size}"
        self._tail = _opened(path)
        self._pieces.append(path)
        while len(self._pieces) > 2:
            self._pieces.pop(0).unlink()

    def _keep_rest(self) -> None:
        """Writes what may still change behind what is complete; it is written over later."""
        rest = b"\n".join(filter(None, (screen.rest for screen in self._screens.values())))
        file, at = (self._head, self._size) if self._tail is None else (self._tail, self._tail.tell())
        if rest and (file is self._tail or at + len(rest) <= HEAD_BYTES + _MAX_LINE):
            file.seek(at)
            file.write(rest)
            file.truncate()
            file.seek(at)


def read(folder: Path) -> bytes:
    """Returns the log in a live folder; raises FileNotFoundError if there is none.

    What lies between its beginning and its end is left out, and the number of those bytes stands there."""
    found = (folder / NAME).read_bytes()
    pieces = sorted((int(path.name.removeprefix(_TAIL)), path) for path in folder.glob(_TAIL + "*"))
    if not pieces:
        return found
    start = pieces[0][0]
    tail = b"".join(path.read_bytes() for _, path in pieces)
    start, tail = start + max(0, len(tail) - TAIL_BYTES), tail[-TAIL_BYTES:]
    if start > HEAD_BYTES:
        found += f"\n[... {start - HEAD_BYTES} bytes left out ...]\n".encode()
    return found + tail


# The copier ---------------------------------------------------------------------------------------------------------


class Copier:
    """Copies streams to where they went before, and into the log while there is one."""

    def __init__(self, control: int, streams: dict[int, int]) -> None:
        self._control = control
        self._streams = streams  # where to read: where to write
        self._log: Log | None = None
        self._sizes_at = 0.0

    def run(self) -> None:
        """Copies until nobody holds the streams any more."""
        waiting = select.poll()
        for fd in [self._control, *self._streams]:
            waiting.register(fd, select.POLLIN)
        with contextlib.suppress(OSError):
            os.write(self._control, b"k")  # ready
        while self._streams:
            ready = {fd for fd, _ in waiting.poll(1000)}
            if self._control in ready and not self._obey():
                waiting.unregister(self._control)
                os.close(self._control)
                self._control = -1
            for fd in ready & set(self._streams):
                if not self._copy(fd):
                    waiting.unregister(fd)
                    os.close(fd)
                    del self._streams[fd]
        if self._log:
            self._log.close()

    def _copy(self, fd: int) -> bool:
        """Copies what there is to read; returns whether more may come."""
        try:
            data = os.read(fd, _CHUNK)
        except OSError:  # EIO: the last holder of the terminal is gone
            return False
        if not data:
            return False
        if self._log:
            self._log.write(data, fd)
        self._copy_size(fd)
        try:
            while data:
                data = data[os.write(self._streams[fd], data) :]
        except OSError:  # its reader is gone: the script is to see that as it would without us
            with contextlib.suppress(OSError):
                os.write(self._control, b"x%d" % self._streams[fd])
            return False
        return True

    def _copy_size(self, fd: int) -> None:
        """Gives the script's terminal the size of the real one."""
        if time.monotonic() - self._sizes_at > 0.25 and os.isatty(fd):
            import fcntl  # noqa: PLC0415 - only where there are terminals
            import termios  # noqa: PLC0415 - as above

            self._sizes_at = time.monotonic()
            with contextlib.suppress(OSError):
                size = fcntl.ioctl(self._streams[fd], termios.TIOCGWINSZ, b"\0" * 8)
                fcntl.ioctl(fd, termios.TIOCSWINSZ, size)

    def _obey(self) -> bool:
        """Does what the script asks for: `L folder`, a log begins; `S`, it ends when all is copied; answers each."""
        try:
            words = os.read(self._control, _CHUNK)
        except OSError:
            return False
        for word in words.split(b"\n")[:-1]:
            if self._log:
                self._drain()
                self._log.close()
                self._log = None
            if word[:2] == b"L ":
                with contextlib.suppress(OSError):
                    self._log = Log(Path(os.fsdecode(word[2:])))
            with contextlib.suppress(OSError):
                os.write(self._control, b"k")
        return bool(words)

    def _drain(self) -> None:
        """Copies all that was printed so far."""
        waiting = select.poll()
        for fd in self._streams:
            waiting.register(fd, select.POLLIN)
        for _ in range(10_000):
            ready = [fd for fd, _ in waiting.poll(0)]
            if not ready:
                return
            for fd in ready:
                if not self._copy(fd):
                    waiting.unregister(fd)


def main() -> None:
    """Runs the copier: its arguments are the control socket and pairs `from:to` of descriptors."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGPIPE", "SIGUSR1", "SIGUSR2", "SIGTTOU", "SIGTSTP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.chdir("/")
    control, *pairs = sys.argv[1:]
    Copier(int(control), {int(a): int(b) for a, b in (pair.split(":") for pair in pairs)}).run()


if __name__ == "__main__":
    main()
