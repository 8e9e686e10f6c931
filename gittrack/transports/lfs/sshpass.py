"""Who we are to the LFS server of a remote over SSH: `git-lfs-authenticate`, asked through the user's ssh.

The host says where its server is, and what lets us in there for some minutes (git-lfs docs/api/server-discovery.md).
A host that does not know the command has its server, if there is one, at the address guessed from the remote's."""

from __future__ import annotations

import json
import re
import shlex
import threading
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from gittrack import answers, redact, remote, transfer
from gittrack.git import Git
from gittrack.settings import Settings
from gittrack.transports.lfs.batch import seconds_left
from gittrack.transports.lfs.http import clean_headers
from gittrack.transports.lfs.urls import is_web
from gittrack.transports.protocol import TransportError

_SCP = re.compile(r"((?:[^@/:]+@)?(?:\[[^\]]+\]|[^/:@\[]+)):(?!//)(.+)", re.DOTALL)
_UNKNOWN = re.compile(rb"unrecognized command|unknown (?:git )?command|command not found|not allowed", re.IGNORECASE)
_MARGIN = 5.0  # seconds before its end from which on a pass is not used any more
_MOST = 1 << 16


class At(NamedTuple):
    """A repository on a host: what ssh is told (`user@host`), the port or None, and the path there."""

    host: str
    port: int | None
    path: str


class Entry(NamedTuple):
    """Where the LFS server is ('' for where it is guessed), what is sent with each request, and until when."""

    href: str
    headers: Mapping[str, str]
    good_until: float


def find(url: str) -> At | None:
    """Returns the repository that an address of SSH names, or None if it is none that could be asked."""
    if "://" in url:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return None
        if parts.scheme not in ("ssh", "git+ssh", "ssh+git") or not parts.hostname:
            return None
        user = f"{unquote(parts.username)}@" if parts.username else ""
        path = unquote(parts.path)
        found = At(user + parts.hostname, port, path.removeprefix("/") if path.startswith("/~") else path)
    else:
        words = _SCP.fullmatch(url)
        if words is None:
            return None
        found = At(words[1].replace("[", "").replace("]", ""), None, words[2])
    # What begins with a dash would be an option of ssh, or of the command there (CVE-2017-1000117).
    unsafe = found.host.startswith("-") or "@-" in found.host or found.path.startswith("-")
    return None if unsafe or not f"{found.host}{found.path}".isprintable() else found


class SshPass:
    """What lets us in, asked for when it is needed and again before it ends; several threads use it."""

    def __init__(self, at: At, *, git: Git, settings: Settings) -> None:
        self._at, self._git, self._settings = at, git, settings
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()

    def entry(self, operation: str, *, unlike: Entry | None = None) -> Entry:
        """Returns the way in for `upload` or `download`; unlike: one that was refused. Raises TransportError."""
        with self._lock:
            found = self._entries.get(operation)
            if found is None or found is unlike or found.good_until < time.monotonic():
                found = self._entries[operation] = self._asked(operation)
            return found

    def _asked(self, operation: str) -> Entry:
        said = f"git-lfs-authenticate {shlex.quote(self._at.path)} {operation}"
        env, _ = remote.asking(self._git, self._settings)
        done = transfer.run(
            self._git,
            command(self._at, said, environ={**self._git.environ, **env}, settings=self._settings),
            env=env,
            silence=self._settings.seconds("timeout"),
            terminal=remote.has_terminal(),
        )
        if done.returncode == 127 or (done.returncode and _UNKNOWN.search(done.stderr)):
            return Entry("", {}, float("inf"))
        if done.returncode or done.given_up:
            cause, hint = answers.cause_and_hint(done.stderr)
            raise self._failed(done.given_up or cause, hint)
        try:
            found = json.loads(done.stdout[:_MOST])
            href, headers = found.get("href") or "", clean_headers(found.get("header"))
            if not isinstance(href, str) or (href and not is_web(href)) or headers is None:
                raise ValueError("what it answers cannot be used")
        except (ValueError, AttributeError, RecursionError) as exc:
            raise self._failed("what git-lfs-authenticate answers there makes no sense") from exc
        left = seconds_left(found, date=time.time())
        return Entry(href.rstrip("/"), headers, time.monotonic() + max(left - _MARGIN, 1.0))

    def _failed(self, cause: str, hint: str | None = None) -> TransportError:
        where = redact.address(f"ssh://{self._at.host}")
        return TransportError(f"cannot ask '{where}' for its LFS server", cause=cause, hint=hint)


def command(at: At, said: str, *, environ: Mapping[str, str], settings: Settings) -> list[str]:
    """Returns the command line that says something to a host, through the ssh that git would take (git(1), GIT_SSH)."""
    line = environ.get("GIT_SSH_COMMAND") or ("" if environ.get("GIT_SSH") else settings.git("core.sshcommand") or "")
    program = line or environ.get("GIT_SSH") or "ssh"
    words = shlex.split(program) if line else [program]
    kind = (environ.get("GIT_SSH_VARIANT") or settings.git("ssh.variant") or "auto").lower()
    if kind == "auto":
        kind = re.split(r"[/\\]", words[0])[-1].removesuffix(".exe").lower() if words else "ssh"
    flag = "-P" if kind in ("plink", "putty", "tortoiseplink") else "-p"
    options = [] if at.port is None or kind == "simple" else [flag, str(at.port)]
    if kind == "tortoiseplink":
        options.insert(0, "-batch")
    return [*(["sh", "-c", f'{line} "$@"', "ssh"] if line else [program]), *options, at.host, said]
