"""A command that is run and recorded: its output passes through untouched, its signals reach it, its end is told.

The child sees a terminal where we have one, stays in our process group (so Ctrl-C and Ctrl-Z work as ever), and what
it writes is copied byte for byte."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gittrack.printed import Log

_CHUNK = 65536
_DRAIN_SECONDS = 5.0
_ECHO_SECONDS = 1.0
_FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCONT", "SIGWINCH")


class NotStarted(Exception):
    """The command could not be started; `exit_code` is 126 or 127, as a shell has it."""

    def __init__(self, exit_code: int, reason: str) -> None:
        super().__init__(reason)
        self.exit_code = exit_code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit code, or the signal that killed it."""

    exit_code: int | None
    signal: str | None

    @property
    def status(self) -> str:
        """`finished`, `failed`, `interrupted` if somebody ended it, or `crashed` if it was killed or broke down."""
        if self.signal is None:
            return "failed" if self.exit_code else "finished"
        asked = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGXCPU")
        return "interrupted" if self.signal in asked else "crashed"

    @property
    def code_for_shell(self) -> int:
        """What we exit with: the child's own code, or 128 and the signal's number."""
        return 128 + signal.Signals[self.signal] if self.signal else self.exit_code or 0


@contextlib.contextmanager
def held_signals() -> Iterator[set[signal.Signals]]:
    """Holds back what people send, until the run is committed; yields the signals that were held back before.

    A scheduler or a second Ctrl-C would otherwise end us between the end of the command and the commit."""
    numbers = _forwarded()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers | {signal.SIGCHLD})
    try:
        yield {signal.Signals(number) for number in before}
    finally:
        while signal.sigtimedwait(numbers, 0):
            pass  # it was for the command, which has ended
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _forwarded() -> set[signal.Signals]:
    return {getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)}


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Log,
    started: Callable[[int], None],
    mask: set[signal.Signals],
) -> Ended:
    """Runs a command to its end, under `held_signals`; raises NotStarted. `started` is called with its pid.

    Signals that were sent to us are passed on; those of the terminal reach the child by themselves.
    mask: the signals that the child is to begin with held back."""
    path = shutil.which(command[0], path=env.get("PATH"))
    if path is None:
        if os.sep in command[0] and os.path.exists(command[0]):
            raise NotStarted(126, "it is a folder" if os.path.isdir(command[0]) else "it is not executable")
        raise NotStarted(127, "no such command")
    # One tap for both where both go to one place, so that lines stay in the order they were written.
    taps = [_Tap(1, log)] if _is_same_file(1, 2) else [_Tap(1, log), _Tap(2, log)]
    try:
        process = subprocess.Popen(  # the user's own command
            command,
            executable=path,
            env=env,
            stdout=taps[0].child_end,
            stderr=taps[-1].child_end,
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, mask),  # noqa: PLW1509 - no thread runs now
        )
    except OSError as exc:
        for tap in taps:
            tap.abandon()
        code = 127 if isinstance(exc, FileNotFoundError) else 126
        raise NotStarted(code, exc.strerror or str(exc)) from exc
    for tap in taps:
        tap.start()
    started(process.pid)
    try:
        _wait(process, _forwarded(), taps)
    finally:
        for tap in taps:
            tap.finish()
    code = process.returncode
    if code < 0:
        with contextlib.suppress(ValueError):
            return Ended(None, signal.Signals(-code).name)
    return Ended(code, None)


def _wait(process: subprocess.Popen[bytes], numbers: set[signal.Signals], taps: Sequence[_Tap]) -> None:
    """Waits for the child, passing on what people send to us."""
    typed: dict[int, float] = {}
    while process.poll() is None:
        found = signal.sigtimedwait(numbers | {signal.SIGCHLD}, 1.0)
        if found is None or found.si_signo == signal.SIGCHLD:
            continue
        if found.si_signo == signal.SIGWINCH:
            for tap in taps:
                tap.copy_size()
        elif found.si_code > 0:  # the kernel sent it for a terminal, to the child too
            typed[found.si_signo] = time.monotonic()
        elif found.si_pid == os.getppid() and time.monotonic() < typed.get(found.si_signo, 0.0) + _ECHO_SECONDS:
            continue  # the terminal reached `git` as well, which sends it to us once more
        else:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(found.si_signo)


def _is_same_file(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:  # one of them is closed
        return False


class _Tap:
    """Copies one stream of the child to ours and to the log; a terminal of its own where ours is one."""

    def __init__(self, fd: int, log: Log) -> None:
        self.fd = fd
        self.log = log
        self.thread: threading.Thread | None = None
        self.is_terminal = os.isatty(fd)
        if self.is_terminal:
            import pty  # noqa: PLC0415 - only where there are terminals
            import tty  # noqa: PLC0415 - as above

            self.our_end, self.child_end = pty.openpty()
            tty.setraw(self.child_end)
            self.copy_size()
        else:
            self.our_end, self.child_end = os.pipe()

    def copy_size(self) -> None:
        """Gives the child's terminal the size of ours."""
        if self.is_terminal:
            import fcntl  # noqa: PLC0415 - as above
            import termios  # noqa: PLC0415 - as above

            with contextlib.suppress(OSError):
                size = fcntl.ioctl(self.fd, termios.TIOCGWINSZ, b"\0" * 8)
                fcntl.ioctl(self.our_end, termios.TIOCSWINSZ, size)

    def start(self) -> None:
        """Begins copying; the child has its end now."""
        os.close(self.child_end)
        self.thread = threading.Thread(target=self._copy, name=f"gittrack-output-{self.fd}", daemon=True)
        self.thread.start()

    def _copy(self) -> None:
        open_ = True
        while True:
            try:
                data = os.read(self.our_end, _CHUNK)
            except OSError:  # EIO: the last holder of the terminal is gone
                return
            if not data:
                return
            self.log.write(data, self.fd)
            while data and open_:
                try:
                    data = data[os.write(self.fd, data) :]
                except OSError:  # our own reader is gone; the command still runs to its end
                    open_ = False

    def finish(self) -> None:
        """Waits until all is copied; a grandchild that keeps the stream open is not waited for long."""
        if self.thread:
            self.thread.join(_DRAIN_SECONDS)

    def abandon(self) -> None:
        """Closes both ends; there is no child."""
        os.close(self.our_end)
        os.close(self.child_end)


def options_of(command: Sequence[str]) -> dict[str, object]:
    """Returns the long options of a command line as params: `--lr 0.1`, `--lr=0.1`, `--flag`.

    Values are texts; an option that is given twice has a list."""
    found: dict[str, object] = {}
    words = list(command[1:])
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            break
        if not word.startswith("--"):
            continue
        name, equals, value = word[2:].partition("=")
        if not name:
            continue
        if not equals:
            following = words[at] if at < len(words) else None
            if following is not None and _is_value(following):
                value = following
                at += 1
            else:
                value = "true"
        if name in found:
            earlier = found[name]
            found[name] = [*earlier, value] if isinstance(earlier, list) else [earlier, value]
        else:
            found[name] = value
    return found


def _is_value(word: str) -> bool:
    """Tells whether a word is the value of the option before it: no option, or a negative number."""
    if not word.startswith("-") or word == "-":
        return True
    try:
        float(word)
    except ValueError:
        return False
    return True
