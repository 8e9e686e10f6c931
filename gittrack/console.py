"""The output of a training script, into the log of its run.

What the process writes to its descriptors goes through the copier (`printed`), a process of its own: a thread would
take the last words of a crash with it. Where Python's streams are no descriptors (a notebook), something that listens
stands in their place. The terminal sees the same bytes, and stays a terminal."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gittrack import printed
from gittrack.settings import environment

_ANSWER_SECONDS = 2.0
_DESCRIPTORS = (1, 2)
_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "SYSTEMROOT", "LANG", "LC_ALL")


class Console:
    """Hears what this process prints, for one run at a time."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self._pid = os.getpid()
        self._control: socket.socket | None = None
        self._answers = threading.Semaphore(0)
        self._originals: dict[int, int] = {}  # descriptor: a second one of what stood there
        self._ends: dict[int, int] = {}  # descriptor: what takes its place
        self._ours: dict[int, int] = {}  # descriptor: the other end of that
        self._diverted: dict[int, tuple[int, int]] = {}  # descriptor: what stands there now
        self._heard: list[str] = []
        self._log: printed.Log | None = None

    def prepare(self) -> None:
        """Starts the copier, if there will be something to copy; `begin` finds it ready a few milliseconds later."""
        if self._control is None and self._pid == os.getpid() and _streams_are_descriptors() and _python():
            try:
                self._start_copier()
            except (OSError, ValueError, RuntimeError, subprocess.SubprocessError):  # nothing left
                self._let_go()

    def begin(self, folder: Path) -> None:
        """Writes what is printed from now on into the log in `folder`; does nothing while another run's log is kept."""
        if self.folder is not None or self._pid != os.getpid():
            return
        if not _streams_are_descriptors():
            self._hear(folder)
        elif self._diverted or self._divert():
            self._flush()
            if self._tell(b"L " + os.fsencode(folder) + b"\n"):
                self.folder = folder

    def end(self, folder: Path) -> None:
        """Ends the log in `folder`: when it returns, all that was printed is there, and where it belongs."""
        if self.folder != folder or self._pid != os.getpid():
            return
        self._flush()
        self.folder = None
        if self._log is None:
            self._tell(b"S\n")
            return
        for name in self._heard:
            stream = getattr(sys, name)
            if isinstance(stream, _Heard):
                setattr(sys, name, stream._stream)  # noqa: SLF001 - of its own module
        self._heard.clear()
        self._log.close()
        self._log = None

    def close(self) -> None:
        """Puts the process's descriptors back, when it exits."""
        if self._pid != os.getpid():
            return
        if self.folder is not None:
            self.end(self.folder)
        self._flush()
        self._restore()
        if self._control is not None:
            self._tell(b"S\n")
            self._let_go()

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()

    def _tell(self, word: bytes) -> bool:
        """Asks the copier for something; returns whether it was done."""
        if self._control is None:
            return False
        try:
            self._control.sendall(word)
        except OSError:
            return False
        return self._answers.acquire(timeout=_ANSWER_SECONDS)

    # Descriptors ----------------------------------------------------------------------------------------------------

    def _start_copier(self) -> None:
        present = [fd for fd in _DESCRIPTORS if _identity(fd) is not None]
        self._originals = {fd: _second(fd) for fd in present}
        for fd in present:
            if fd == 2 and 1 in self._ends and os.path.sameopenfile(1, 2):
                self._ends[2] = os.dup(self._ends[1])  # one stream, so that lines stay in their order
            else:
                self._ours[fd], self._ends[fd] = _channel(fd)
        if not present:
            return
        self._control, there = socket.socketpair()
        pairs = [(ours, self._originals[fd]) for fd, ours in self._ours.items()]
        program = [
            _python() or "",
            "-S",
            "-s",
            "-P",
            printed.__file__,
            str(there.fileno()),
            *(f"{a}:{b}" for a, b in pairs),
        ]
        with there:
            # Not a child of ours: a script that waits for all of its own would wait for ever.
            subprocess.run(
                ["/bin/sh", "-c", '"$@" &', "sh", *program],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[there.fileno(), *(fd for pair in pairs for fd in pair)],
                env={name: value for name, value in environment().items() if name in _KEPT},
                cwd="/",
                start_new_session=True,
                check=True,
            )
        threading.Thread(target=self._listen, args=(self._control,), name="gittrack-console", daemon=True).start()

    def _divert(self) -> bool:
        """Puts the copier between this process and where its output goes, once it is ready; returns whether it is."""
        if self._control is None or not self._ends or not self._answers.acquire(timeout=_ANSWER_SECONDS):
            return False
        self._flush()
        for fd, end in self._ends.items():
            os.dup2(end, fd)
            self._diverted[fd] = _identity(fd) or (0, 0)
            os.close(end)
        self._ends.clear()
        return True

    def _listen(self, control: socket.socket) -> None:
        """Takes the copier's answers; if somebody killed it, everything is as it was before."""
        while True:
            try:
                said = control.recv(64)
            except OSError:
                said = b""
            for _ in range(said.count(b"k")):
                self._answers.release()
            if b"x" in said or not said:
                self._drop_our_ends(drain=not said)
            if not said:
                self._answers.release()  # whoever waits for an answer: all is copied, and the copier has ended
                return

    def _restore(self) -> None:
        for fd, ours in list(self._diverted.items()):
            with contextlib.suppress(OSError):
                if _identity(fd) == ours:  # somebody else may have put it elsewhere meanwhile
                    os.dup2(self._originals[fd], fd)
        self._diverted.clear()

    def _drop_our_ends(self, *, drain: bool) -> None:
        """Closes the ends that we keep so that no write fails before we know; drain: nobody else reads them."""
        if drain:
            self._restore()
        for fd, ours in list(self._ours.items()):
            with contextlib.suppress(OSError, KeyError):
                if drain:
                    os.set_blocking(ours, False)
                    while left := os.read(ours, 65536):
                        os.write(self._originals[fd], left)
            with contextlib.suppress(OSError, KeyError):
                os.close(self._ours.pop(fd))

    def _let_go(self) -> None:
        for fd in (*self._originals.values(), *self._ends.values(), *self._ours.values()):
            with contextlib.suppress(OSError):
                os.close(fd)
        for known in (self._originals, self._ends, self._ours):
            known.clear()
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_RDWR)
            self._control.close()
            self._control = None

    # Python's streams -------------------------------------------------------------------------------------------------

    def _hear(self, folder: Path) -> None:
        """Listens to Python's streams."""
        try:
            log = self._log = printed.Log(folder)
        except OSError:
            return
        self.folder = folder
        for number, name in zip(_DESCRIPTORS, ("stdout", "stderr"), strict=True):
            stream = getattr(sys, name)
            if stream is not None:
                setattr(sys, name, _Heard(stream, log, number))
                self._heard.append(name)


class _Heard:
    """A stream of Python's, all that is written to which goes into a log too.

    In its place, not in its `write`: IPython puts that back at the end of each cell."""

    def __init__(self, stream: Any, log: printed.Log, number: int) -> None:
        self._number = number
        self._stream = stream
        self._log = log

    def write(self, text: str) -> Any:
        """Writes as the stream does."""
        if isinstance(text, str):
            self._log.write(text.encode("utf-8", "backslashreplace"), self._number)
        return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes each line."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Any:
        return iter(self._stream)


def _streams_are_descriptors() -> bool:
    """Tells whether Python prints to the process's own descriptors, or to none at all."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
    for stream, fd in zip(streams, _DESCRIPTORS, strict=False):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if stream.fileno() == fd:
                return True
    return not streams


def _python() -> str | None:
    """Returns the Python that can run the copier, or None where this process is another program."""
    name = os.path.basename(sys.executable or "")
    return sys.executable if name.startswith(("python", "pypy")) and os.path.exists("/bin/sh") else None


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _second(fd: int) -> int:
    """Returns a second descriptor for a stream, above the standard ones."""
    import fcntl  # noqa: PLC0415 - not on every system

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)


def _channel(fd: int) -> tuple[int, int]:
    """Returns what the copier reads, and what takes the place of `fd`: a terminal where that was one."""
    if not os.isatty(fd):
        ours, theirs = os.pipe()
        if min(ours, theirs) > max(_DESCRIPTORS):
            return ours, theirs
        found = _second(ours), _second(theirs)  # a standard stream is closed, and these took its place
        os.close(ours)
        os.close(theirs)
        return found
    import fcntl  # noqa: PLC0415 - only where there are terminals
    import pty  # noqa: PLC0415 - as above
    import termios  # noqa: PLC0415 - as above
    import tty  # noqa: PLC0415 - as above

    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    with contextlib.suppress(OSError):
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8))
    return ours, theirs


console = Console()
