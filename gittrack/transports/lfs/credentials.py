"""Who we are to a web server: what its address says, or what `git credential` knows.

git asks the user's helpers, and a person only where there is a terminal. What was right is kept by the helpers, what
was wrong is forgotten by them, as after a `git push`. It is never printed, and meant for one origin."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from gittrack import remote
from gittrack.git import Git
from gittrack.settings import Settings


class Pass(NamedTuple):
    """What is sent along with a request; `number` tells this one from those before it."""

    number: int
    headers: dict[str, str]


class Login:
    """Who we are at one address; several threads use it, and one of them asks."""

    def __init__(self, url: str, *, git: Git, settings: Settings, account: str | None = None) -> None:
        """account: an address of the same server that may have a user and a password in it, as remotes do."""
        self._git, self._settings = git, settings
        self._url = account or url
        self._lock = threading.Lock()
        self._number = 0
        self._asked = 0  # how often git was
        self._read_netrc = False
        self._headers: dict[str, str] = {}
        self._known: list[str] = []  # what git said, to be given back to it
        self._told = False  # whether git knows that it was right
        self._over = False  # there is nobody else to ask
        parts = urlsplit(self._url)
        if parts.password is not None:
            self._headers = _basic(unquote(parts.username or ""), unquote(parts.password))
            self._over = True
        elif settings.git(f"lfs.{url}.access") == "basic":  # git-lfs notes it, to spare everybody the first refusal
            self._next(())

    def current(self) -> Pass:
        """Returns what is known now; nothing at all where nobody has asked for it yet."""
        with self._lock:
            return Pass(self._number, self._headers)

    def refused(self, used: Pass, *, wanted: Sequence[str] = ()) -> bool:
        """Hears that a pass was not enough, and returns whether there is another one to try.

        wanted: the `WWW-Authenticate` headers of the refusal."""
        with self._lock:
            if used.number != self._number:  # another thread has got a new one meanwhile
                return True
            if self._over:
                return False
            if self._known:
                self._git_credential("reject", self._known)
            return self._next(wanted)

    def accepted(self, used: Pass) -> None:
        """Hears that a pass was good, so that git may keep it."""
        if self._told or not used.headers:
            return
        with self._lock:
            if used.number == self._number and self._known and not self._told:
                self._git_credential("approve", self._known)
            self._told = True

    def _next(self, wanted: Sequence[str]) -> bool:
        """Asks git for a pass, twice at most: what a helper had may be out of date, and the next one be new.

        Before that what `~/.netrc` says is tried, as git does (curl reads it)."""
        parts = urlsplit(self._url)
        if not self._read_netrc:
            self._read_netrc = True
            found = _of_netrc(parts.hostname or "", parts.username, self._settings.environ.get("HOME", ""))
            if found:
                self._headers, self._number = found, self._number + 1
                return True
        if not self._git.has_executable or self._asked >= 2:
            self._over = True
            return False
        host = parts.netloc.rpartition("@")[2]
        asked = ["capability[]=authtype", f"url={urlunsplit((parts.scheme, host, parts.path, '', ''))}"]
        if parts.username:
            asked.append(f"username={unquote(parts.username)}")
        asked += [f"wwwauth[]={line}" for line in wanted if line.isprintable()]
        answer = [] if any("\n" in line or "\0" in line for line in asked) else self._git_credential("fill", asked)
        said = dict(line.partition("=")[::2] for line in answer)
        self._number += 1
        self._asked += 1
        self._known, self._told = answer, False
        if said.get("authtype") and said.get("credential"):
            self._headers = {"Authorization": f"{said['authtype']} {said['credential']}"}
        elif "username" in said and "password" in said:
            self._headers = _basic(said["username"], said["password"])
        else:
            self._headers, self._known, self._over = {}, [], True
        return bool(self._headers)

    def _git_credential(self, action: str, lines: Sequence[str]) -> list[str]:
        env, settings = remote.asking(self._git, self._settings)
        said = "".join(f"{line}\n" for line in (*lines, "")).encode()
        done = self._git.run("credential", action, input=said, env=env, settings=settings)
        return done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else []


def _of_netrc(host: str, user: str | None, home: str) -> dict[str, str]:
    """Returns what `~/.netrc` knows of a host, or nothing."""
    file = os.path.join(home, ".netrc")
    if not home or not os.path.isfile(file):
        return {}
    import netrc  # noqa: PLC0415 - few have such a file

    try:
        found = netrc.netrc(file).authenticators(host)
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError):
        return {}
    if found is None or (user and unquote(user) != found[0]):
        return {}
    return _basic(found[0] or "", found[2] or "")


def _basic(user: str, password: str) -> dict[str, str]:
    """Returns the header of RFC 7617."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")}
