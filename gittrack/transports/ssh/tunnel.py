"""The user's own ssh, with an SFTP server at its far end.

Their agent, their configuration, their jump hosts and their known hosts are ssh's business, and git's settings say
which ssh that is. It is started without a shell at the other side, asks nobody who cannot answer, and is ended with
all that it started. What it says on stderr is why it failed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import unquote, urlsplit

from gittrack import answers, remote, transfer, vitals
from gittrack.errors import UsageError
from gittrack.settings import Settings
from gittrack.transports.protocol import TransportError
from gittrack.transports.ssh.packets import Broken
from gittrack.transports.ssh.sftp import Session

_CONNECT = 10.0  # seconds that a connection may take to be made
_KEPT = 1 << 16  # bytes of what ssh said
_PUTTY = ("plink", "putty", "tortoiseplink")
# As OpenSSH's own `sftp` asks for: nothing else of the user's configuration is to happen on this connection.
_OPTIONS = (
    *("-oForwardX11=no", "-oForwardAgent=no", "-oPermitLocalCommand=no", "-oClearAllForwardings=yes"),
    *("-oRemoteCommand=none", "-oRequestTTY=no"),
)
# What will not be otherwise at the next attempt.
_LASTING = (
    *("permission denied", "host key verification failed", "identification has changed", "could not resolve"),
    *("subsystem request failed", "bad configuration", "no such identity", "command not found", "too many auth"),
)
_CROWDED = ("kex_exchange_identification", "connection reset", "closed by", "ssh_exchange_identification")


class Address(NamedTuple):
    """Where an SFTP server is, and the folder there; a path that is not absolute begins in the user's home."""

    host: str
    user: str
    port: int | None
    path: str


def parse(url: str, *, label: str) -> Address:
    """Reads `ssh://[user@]host[:port]/path`, and `/~/path` for one in the home; raises UsageError."""
    try:
        parts = urlsplit(url)
        host, user, port = parts.hostname or "", unquote(parts.username or ""), parts.port
    except ValueError:
        host, user, port, parts = "", "", None, urlsplit("")
    path = unquote(parts.path)
    if not host or host.startswith("-") or user.startswith("-") or any(ord(char) < 33 for char in host + user):
        raise UsageError(f"'{label}' is no address over SSH", hint="write it as in 'ssh://user@host/path'")
    if parts.password is not None:
        raise UsageError(f"'{label}' has a password in it", hint="ssh takes none from an address; use a key")
    if parts.query or parts.fragment or "\0" in path or (path.startswith("/~") and not path.startswith("/~/")):
        raise UsageError(
            f"'{label}' has no path that SFTP knows", hint="write it as in 'ssh://host/path', or '/~/path'"
        )
    relative = path.startswith("/~/")
    clean = "/".join(word for word in (path[3:] if relative else path).split("/") if word not in ("", "."))
    if not clean or ".." in clean.split("/"):
        raise UsageError(f"'{label}' names no folder", hint="write it as in 'ssh://host/path/of/a/folder'")
    return Address(host, user, port, clean if relative else f"/{clean}")


def command(address: Address, settings: Settings, *, batch: bool) -> list[str]:
    """Returns what to run, by git's own rules: GIT_SSH_COMMAND, core.sshCommand, GIT_SSH, `ssh`.

    batch: nobody can be asked for a password."""
    line = settings.environ.get("GIT_SSH_COMMAND") or settings.git("core.sshcommand")
    program = settings.environ.get("GIT_SSH") or "ssh"
    variant = settings.environ.get("GIT_SSH_VARIANT") or settings.git("ssh.variant") or "auto"
    if variant == "auto":
        variant = remote.program(line or program)
    if variant in _PUTTY:
        options = [*(["-batch"] if batch else []), *(["-P", str(address.port)] if address.port else [])]
    else:
        options = [
            *_OPTIONS,
            *(["-oBatchMode=yes"] if batch else []),
            *(["-p", str(address.port)] if address.port else []),
        ]
    where = f"{address.user}@{address.host}" if address.user else address.host
    words = [*options, "-s", where, "sftp"]
    # git gives the line to a shell, with what is to be added as its arguments.
    return ["sh", "-c", f'{line} "$@"', line, *words] if line else [program, *words]


@dataclass(eq=False)
class Line:
    """A connection that is open, and how many use it."""

    process: subprocess.Popen[bytes]
    session: Session
    said: IO[bytes]
    alone: bool  # it is in a session of its own
    users: int = 0

    def end(self, *, politely: bool) -> str:
        """Ends ssh and all that it started; returns what it said on stderr."""
        with contextlib.suppress(OSError):
            if self.process.stdin:
                self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(2.0 if politely else 0.2)
        self.session.end(Broken("the connection was closed", how="closed"))
        transfer.end(self.process, alone=self.alone)
        # A shared connection that stays open in the background holds the pipe; then the thread and it are left alone.
        if self.session.join(1.0) and self.process.stdout:
            self.process.stdout.close()
        said = self.words()
        self.said.close()
        return said

    def words(self) -> str:
        """Returns what ssh said on stderr so far."""
        if self.said.closed:
            return ""
        return os.pread(self.said.fileno(), _KEPT, 0).decode("utf-8", "replace")


def connect(address: Address, settings: Settings, *, folder: Path, label: str, ask: bool) -> Line:
    """Opens a connection; raises TransportError.

    ask: a person may be asked for a password, if there is one at a terminal."""
    terminal = ask and remote.has_terminal()
    forced = settings.environ.get("SSH_ASKPASS_REQUIRE") in ("force", "prefer")
    argv = command(address, settings, batch=not terminal and not (ask and forced))
    said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the connection
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env={**settings.environ, "LC_ALL": "C"},
            cwd=folder,
            start_new_session=not terminal,
        )
    except OSError as exc:
        said.close()
        raise TransportError(
            f"cannot reach '{label}'",
            cause=f"{argv[0]}: {exc.strerror}",
            hint="install OpenSSH, or set core.sshCommand",
        ) from exc
    assert process.stdin is not None  # noqa: S101 - they are pipes
    assert process.stdout is not None  # noqa: S101
    silence = settings.seconds("timeout")
    session = Session(process.stdin.fileno(), process.stdout.fileno(), silence=silence)
    line = Line(process, session, said, alone=not terminal)
    try:
        session.greet(lambda waited: _give_up(process.pid, waited, silence=silence, asks=terminal))
    except Broken as exc:
        raise explain(line, exc, label=label, what="reach") from exc
    except BaseException:
        line.end(politely=False)
        raise
    return line


def _give_up(pid: int, waited: float, *, silence: float, asks: bool) -> str:
    """Returns why nobody waits any longer for a connection, or nothing; a person may take as long as they like."""
    if not silence or waited < min(silence, _CONNECT):
        return ""
    seen = vitals.look(pid, now=time.monotonic())
    if seen and asks and seen.asking:
        return ""
    if seen and seen.connecting:
        return f"no connection was made for {min(silence, _CONNECT):g} seconds"
    return f"it gave no sign of life for {silence:g} seconds" if waited >= silence else ""


def explain(line: Line, broken: Broken, *, label: str, what: str) -> TransportError:
    """Ends a connection that broke, and returns the error that says why."""
    was_greeted = what != "reach"
    said = line.end(politely=broken.how == "closed")
    cause, hint, passing = _why(broken, said, line.process.returncode, was_greeted=was_greeted)
    return TransportError(f"cannot {what} '{label}'", cause=cause, hint=hint, passing=passing)


def _why(broken: Broken, said: str, status: int | None, *, was_greeted: bool) -> tuple[str, str, bool]:
    if broken.how == "noise":
        shown = " ".join(str(broken).split())[:100]
        hint = "make its shell's start-up files (.bashrc) print nothing where there is no terminal"
        return f"it does not speak SFTP, but said: '{shown}'", hint, False
    if broken.how == "nonsense":
        return str(broken), "this is no sound SFTP server; ask its admin", False
    if broken.how == "silent":
        return str(broken), "try again later, or set track.timeout for a slow one", was_greeted
    lower = said.lower()
    if "subsystem request failed" in lower:
        return "it offers no SFTP", "ask its admin for `Subsystem sftp internal-sftp` in sshd_config", False
    if status == 127 and not was_greeted:
        return f"there is no such ssh: {said.strip()[:200]}", "check core.sshCommand and GIT_SSH_COMMAND", False
    lasting = any(word in lower for word in _LASTING)
    passing = not lasting and (was_greeted or any(word in lower for word in _CROWDED))
    if not any(text and not text.startswith("debug") for text in said.splitlines()):
        return str(broken), answers.KEPT, was_greeted
    cause, hint = answers.cause_and_hint(said.encode())
    return cause, hint, passing


@contextlib.contextmanager
def sole(path: Path) -> Iterator[bool]:
    """Yields whether no other process or thread of this machine is sending a file; the lock ends with its process."""
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:
        yield False
        return
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_sole = True
        except OSError:  # somebody has it, or the file system has no locks
            is_sole = False
        yield is_sole
    finally:
        os.close(number)
