"""The way into an LFS server: where its API is, and who we are there.

A remote over SSH says both when it is asked for them; anywhere else the address is known, and a password is asked for
when the server wants one. Neither is ever sent to another origin than the API's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from gittrack import remote as remotes
from gittrack.git import Git
from gittrack.settings import Settings
from gittrack.transports.lfs import sshpass
from gittrack.transports.lfs.credentials import Login, Pass
from gittrack.transports.lfs.http import Answer, Http
from gittrack.transports.lfs.urls import is_web, origin


@dataclass(frozen=True, slots=True)
class Door:
    """Where the API is now, and what is sent along: as ssh said, or with a pass of `git credential`."""

    base: str
    headers: Mapping[str, str]
    entry: sshpass.Entry | None = None
    used: Pass | None = None


class Access:
    """The ways into one server, for uploads and for downloads; several threads use it."""

    def __init__(self, url: str, *, http: Http, git: Git, settings: Settings, remote: str | None) -> None:
        self.url = _without_account(url).rstrip("/")
        self._http, self._git, self._settings = http, git, settings
        self._lock = threading.Lock()
        self._logins: dict[str, Login] = {}
        there = remotes.address(settings, remote) if remote else ""
        # A server that is named stands for itself; one that is guessed from a remote over SSH is asked for there.
        named = (settings.git(f"remote.{remote}.lfsurl") or settings.git("lfs.url") or "") if remote else ""
        self._accounts = [each for each in (url, named, there) if is_web(each)]
        at = sshpass.find(named or there) if remote else None
        self._ssh = sshpass.SshPass(at, git=git, settings=settings) if at else None

    def door(self, operation: str, *, unlike: sshpass.Entry | None = None) -> Door:
        """Returns the way in for `upload` or `download`; unlike: one that was refused. Raises TransportError."""
        entry = self._ssh.entry(operation, unlike=unlike) if self._ssh else None
        base = (entry.href if entry else "") or self.url
        extra = self._http.extra_headers(base)
        if entry is not None and entry.headers:
            return Door(base, {**extra, **entry.headers}, entry)
        if has_authorization(extra):  # the user's own settings say who they are, as those of CI do
            return Door(base, extra, entry)
        used = self._login(base).current()
        return Door(base, {**extra, **used.headers}, entry, used)

    def let_in(self, operation: str, ask: Callable[[Door], Answer]) -> Answer:
        """Asks, and asks again with another pass as long as one is wanted and there is one."""
        door = self.door(operation)
        while True:
            answer = ask(door)
            if answer.status != 401 or origin(answer.url) != origin(door.base):
                if answer.status < 400 and door.used is not None:
                    self._login(door.base).accepted(door.used)
                return answer
            again = self._another(operation, door, answer)
            if again is None:
                return answer
            with answer:
                answer.finish()
            door = again

    def _another(self, operation: str, door: Door, answer: Answer) -> Door | None:
        if door.entry is not None and door.entry.headers:
            again = self.door(operation, unlike=door.entry)
            return None if again.headers == door.headers else again
        if door.used is None or not self._login(door.base).refused(door.used, wanted=answer.challenges()):
            return None
        return self.door(operation)

    def _login(self, base: str) -> Login:
        with self._lock:
            if base not in self._logins:
                # Helpers know the remote by its address, and one with a user in it says who is meant.
                there = [each for each in reversed(self._accounts) if origin(each) == origin(base)]
                account = next((each for each in there if "@" in each), next(iter(there), None))
                self._logins[base] = Login(base, git=self._git, settings=self._settings, account=account)
            return self._logins[base]


def has_authorization(headers: Mapping[str, str]) -> bool:
    """Tells whether headers say who we are."""
    return any(name.lower() == "authorization" for name in headers)


def _without_account(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
