"""A git that talks to a remote, with somebody who watches it.

git waits for ever for a host that went away, in each of its transports, and leaves ssh behind when it is killed. So
it runs here: what it prints is read as it comes, silence has a limit, and nothing of it is left when we are gone.
Where a person may be asked for a password git stays in our process group, which has the terminal; anywhere else it
gets a session of its own, in which nothing can ask."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gittrack import vitals
from gittrack.errors import GitFailed
from gittrack.git import GIT, Git, no_git

Progress = Callable[[str], None]

_CONNECT = 10.0  # seconds; the silence that is allowed while a connection is being made
_PACE = 16 << 20  # bytes moved for which a remote may think for a second more: it unpacks what it got
_GRACE = 2.0  # seconds that git gets to take its children and its temporary files with it
_KEPT = 1 << 16  # bytes of what git said: its complaint comes last
_PROGRESS = re.compile(r"(?:remote: )?[A-Z][A-Za-z -]*: +[0-9]+(?:%|, done\.$|$)")


@dataclass(frozen=True, slots=True)
class Done:
    """How a git command ended: `given_up` says why we ended it, or is empty."""

    returncode: int
    stdout: bytes
    stderr: bytes
    given_up: str = ""


class _Ended(BaseException):
    """A signal wants this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(
    git: Git,
    argv: list[str],
    *,
    env: Mapping[str, str],
    silence: float,
    terminal: bool,
    progress: Progress | None = None,
) -> Done:
    """Runs a git command that talks to a remote; ends it after `silence` seconds without a sign of life (0: never).

    `terminal` says that a person may be asked; `progress` is told each line of git's progress."""
    with _signals_as_exceptions(), _started(git, argv, env, terminal=terminal) as process:
        try:
            return _watch(process, silence=silence, terminal=terminal, progress=progress)
        except _Ended as exc:
            end(process, alone=not terminal)
            signal.signal(exc.number, signal.SIG_DFL)
            os.kill(os.getpid(), exc.number)
            raise
        except BaseException:
            end(process, alone=not terminal)
            raise


def needs_progress(wanted: Progress | None) -> bool:
    """Tells whether git is to print its progress: it is wanted, or nothing else here would tell that git is alive."""
    return wanted is not None or not vitals.are_told()


@contextlib.contextmanager
def _started(git: Git, argv: list[str], env: Mapping[str, str], *, terminal: bool) -> Iterator[subprocess.Popen[bytes]]:
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**git.environ, **env},
            cwd=git.place.work_tree or git.place.git_dir,
            start_new_session=not terminal,
        )
    except FileNotFoundError as exc:
        if exc.filename == GIT:
            raise no_git() from exc
        raise GitFailed(f"'{exc.filename}' is not there any more") from exc
    try:
        yield process
    finally:
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Turns signals that would end this process at once into an exception, so that git ends with it.

    A handler that somebody set stays; other threads than the main one cannot have any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> None:
        for each in ours:  # git is being ended now; a second one comes from whoever signals all of a group
            signal.signal(each, signal.SIG_IGN)
        raise _Ended(number)

    ours = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _watch(process: subprocess.Popen[bytes], *, silence: float, terminal: bool, progress: Progress | None) -> Done:
    """Reads what git prints until it ends, or until it was silent for too long."""
    listener = _Listener(progress)
    patience = _Patience(process.pid, silence, asks=terminal)
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            if stream:
                selector.register(stream, selectors.EVENT_READ)
        while True:
            wait = min(patience.tick, 1.0 if len(selector.get_map()) == 2 else 0.1)  # it closes both as it ends
            ready = selector.select(wait) if selector.get_map() else _wait(process, wait)
            for key, _ in ready:
                if not listener.read(key.fd, is_error=key.fileobj is process.stderr):
                    selector.unregister(key.fileobj)
            if not ready:
                listener.remind()
            if not ready and process.poll() is not None:
                # What holds the pipes yet stays in the background, such as a shared ssh connection.
                return Done(process.returncode, *listener.said())
            if given_up := patience.is_over(heard=bool(ready)):
                end(process, alone=not terminal)
                return Done(process.returncode, *listener.said(), given_up=given_up)


class _Patience:
    """How long git has given no sign of life, and whether that is too long.

    `asks` says that time does not count while a person is asked for a password."""

    def __init__(self, pid: int, silence: float, *, asks: bool) -> None:
        self.tick = min(silence / 12, 5.0) if silence else 1.0
        self._pid = pid
        self._silence = silence
        self._asks = asks
        self._quiet = 0.0
        self._last = time.monotonic()
        self._seen: vitals.Vitals | None = None

    def is_over(self, *, heard: bool) -> str:
        """Returns why we wait no longer, or nothing; `heard` says that git printed something just now."""
        now = time.monotonic()
        # A machine that slept, or a job that was stopped, was not silent: it was not there.
        passed, self._last = min(now - self._last, 2 * self.tick), now
        self._quiet += passed
        if heard:
            self._quiet, self._seen = 0.0, None
        if not self._silence or self._quiet < self.tick:
            return ""
        if self._seen is None or now - self._seen.time >= self.tick:
            self._look(now)
        connecting = self._seen is not None and self._seen.connecting
        moved = self._seen.work if self._seen else 0
        limit = min(self._silence, _CONNECT) if connecting else self._silence + moved // _PACE
        why = "no connection was made" if connecting else "it gave no sign of life"
        return f"{why} for {limit:g} seconds" if self._quiet >= limit else ""

    def _look(self, now: float) -> None:
        before, self._seen = self._seen, vitals.look(self._pid, now=now)
        if self._seen and (
            (before is not None and self._seen.shows_life_since(before)) or (self._asks and self._seen.asking)
        ):
            self._quiet = 0.0


def _wait(process: subprocess.Popen[bytes], seconds: float) -> list[tuple[selectors.SelectorKey, int]]:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return []


class _Listener:
    """Keeps what git prints, and tells its progress lines to whoever wants them."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._line = bytearray()
        self._latest = ""

    def read(self, fd: int, *, is_error: bool) -> bool:
        """Reads what is there; returns False at the end."""
        data = os.read(fd, 1 << 16)
        if not is_error:
            self._stdout += data
            return bool(data)
        for part in re.split(rb"(?<=[\r\n])", data):
            self._line += part
            if self._line.endswith((b"\r", b"\n")):
                self._take()
        return bool(data)

    def _take(self) -> None:
        text = self._line.decode("utf-8", "replace").strip()
        if _PROGRESS.match(text):
            self._latest = text
            self.remind()
        else:
            self._stderr += self._line
            del self._stderr[:-_KEPT]
        self._line.clear()

    def remind(self) -> None:
        """Tells the latest progress once more: who shows nothing in the first second shows it then."""
        if self._progress and self._latest:
            self._progress(self._latest)

    def said(self) -> tuple[bytes, bytes]:
        """Returns what was printed on stdout, and on stderr without the progress."""
        if self._line:
            self._take()
        return bytes(self._stdout), bytes(self._stderr)


def end(process: subprocess.Popen[bytes], *, alone: bool) -> None:
    """Ends git and what it started: politely, so that it takes away its temporary files, and then for good."""
    if process.returncode is not None:
        return
    everybody = vitals.family(process.pid)
    try:
        _send(process, everybody, signal.SIGTERM, alone=alone)
        deadline = time.monotonic() + _GRACE
        while time.monotonic() < deadline and (not everybody or any(vitals.is_there(*each) for each in everybody)):
            time.sleep(0.05)
            everybody |= vitals.family(process.pid)
    finally:  # even when Ctrl-C comes again
        _send(process, everybody, signal.SIGKILL, alone=alone)
        process.wait()


def _send(process: subprocess.Popen[bytes], everybody: set[tuple[int, str]], number: int, *, alone: bool) -> None:
    """Sends a signal; nobody waited for git yet, so its number, and its group's, are no one else's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if alone:
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)
    for pid, start in everybody:
        if pid != process.pid and vitals.is_there(pid, start):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
