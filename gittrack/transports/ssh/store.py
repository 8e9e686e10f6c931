"""A folder on another machine as a store, over SSH: no account but the one that the team has, nothing to install.

The layout is that of `folder`, so both can be used for one place. A payload is written beside, synced where the server
can do that, held against its size and renamed; SFTP has no hash, so that its bytes are right is known from here: they
were verified as they were read, over a line that does not change them, into a file that nobody else writes.

A part is gone on from by the clone that began it. What a crash of the server may have taken from it is sent again: of
all before the last whole 16 MiB but one it was heard, before more was sent, that it is safe (see `_trusted`)."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256 as hash_of

from gittrack import redact
from gittrack.codec.pointer import Pointer, is_sha256
from gittrack.errors import DataRefused
from gittrack.git import Git
from gittrack.settings import Settings, host_name
from gittrack.transports.protocol import NotThere, Source, Stored, TransportError, key
from gittrack.transports.ssh import sftp, tunnel
from gittrack.transports.ssh.packets import Attributes, Broken, Refused
from gittrack.transports.ssh.sftp import Session
from gittrack.transports.ssh.tunnel import Line

_SYNC_EVERY = 16 << 20  # bytes
_LINES = 4  # connections at most: each has a window of 2 MiB in OpenSSH, whatever the distance
_ANOTHER_FROM = 4 << 20  # bytes of a payload for which one more connection is worth its handshake
_LISTED_AT_ONCE = 8  # folders
_INCOMING = ".incoming"
_SHARED = 0o020  # the group may write


class Ssh:
    """Payloads below a folder of another machine."""

    collects = True

    def __init__(self, url: str, *, git: Git, settings: Settings) -> None:
        """url: `ssh://[user@]host[:port]/path`, or `/~/path` below the home there; raises UsageError."""
        self.label = redact.address(url)
        self._address = tunnel.parse(url, label=self.label)
        self._root = self._address.path
        self._settings = settings
        self._place = git.place.common_dir
        self._lock = threading.Lock()  # of the lines
        self._opening = threading.Lock()
        self._making = threading.Lock()
        self._lines: list[Line] = []
        self._most = _LINES
        self._was_reached = False
        self._closed = False
        self._made: dict[str, int] = {}  # folders that are there, and the mode of the root for the root

    # The protocol ----------------------------------------------------------------------------------------------------

    def exists(self, wanted: Sequence[Pointer], *, sending: bool) -> set[Pointer]:  # noqa: ARG002 - as the protocol says
        """Returns those that are there with the right size."""
        if not wanted:
            return set()
        with self._session("ask") as session:
            found = session.lstat_all([self._path(pointer.sha256) for pointer in wanted])
        return {pointer for pointer, there in zip(wanted, found, strict=True) if _is(there, pointer)}

    def get(self, pointer: Pointer, *, start: int = 0) -> Generator[bytes, None, None]:
        """Yields the content from byte `start` on."""
        path = self._path(pointer.sha256)
        with self._session("get from", size=pointer.size - start) as session:
            there = session.lstat(path)
            if there is None or not there.is_file:
                raise self._lacks(pointer)
            try:
                handle = session.open(path, sftp.READ)
            except Refused as exc:
                if exc.is_missing:
                    raise self._lacks(pointer) from exc
                raise
            try:
                yield from session.read(handle, start=start, size=pointer.size)
            finally:
                with contextlib.suppress(Broken):
                    session.close(handle)

    def put(self, source: Source) -> None:
        """Sends a payload; goes on from what an earlier attempt of this clone left, where that is safe there."""
        pointer = source.pointer
        known = f"{self._root}/{_INCOMING}/{pointer.sha256}.{self._own(source)}.part"
        with self._session("send to", size=pointer.size) as session, tunnel.sole(source.path) as is_sole:
            self._prepare(session)
            goes_on = is_sole and session.can_sync and pointer.size > 2 * _SYNC_EVERY
            part = known if goes_on else f"{known.removesuffix('.part')}-{secrets.token_hex(4)}.part"
            is_kept = False
            try:
                start = self._trusted(session, part, pointer) if goes_on else 0
                self._write(session, part, source, start=start)
                self._name(session, part, pointer)
                is_kept = True
            except Refused as exc:
                raise self._refused(session, exc, pointer) from exc
            except Broken:
                is_kept = True  # what is not gone on from lies there until it is old
                raise
            except DataRefused:
                raise
            except BaseException:
                is_kept = goes_on
                raise
            finally:
                if not is_kept:
                    with contextlib.suppress(Refused, Broken):
                        session.remove(part)

    def delete(self, sha256: str) -> None:
        """Deletes a payload, and the folders that become empty."""
        path = self._path(sha256)
        with self._session("delete from") as session:
            try:
                session.remove(path)
            except Refused as exc:
                if not exc.is_missing:
                    raise
            for folder in (path.rpartition("/")[0], path.rpartition("/")[0].rpartition("/")[0]):
                self._made.pop(folder, None)
                with contextlib.suppress(Refused):
                    session.remove_folder(folder)

    def list(self) -> Iterator[Stored]:
        """Yields all payloads."""
        with self._session("list") as session, ThreadPoolExecutor(_LISTED_AT_ONCE) as pool:
            firsts = self._folders(session, self._root)
            for seconds in pool.map(lambda first: self._folders(session, f"{self._root}/{first}"), firsts):
                yield from (found for batch in pool.map(lambda at: _payloads(session, at), seconds) for found in batch)

    def close(self) -> None:
        """Ends all connections, also under those who use them."""
        with self._lock:
            self._closed = True
            lines, self._lines = self._lines, []
        for line in lines:
            line.end(politely=not line.users)

    # Sending ---------------------------------------------------------------------------------------------------------

    def _own(self, source: Source) -> str:
        """Returns what tells our parts from those of other clones, and those of one file from those of another."""
        status = os.stat(source.path)
        text = f"{host_name()}\0{self._place}\0{status.st_dev}\0{status.st_ino}"
        return hash_of(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def _trusted(self, session: Session, part: str, pointer: Pointer) -> int:
        """Returns how many bytes of a part are safe on the server's disk, however it ended.

        A sync is asked for at each `_SYNC_EVERY` bytes, and awaited before more than `sftp.WINDOW` bytes after it are
        sent. So in a part that has begun a stretch all stretches before the last one are safe."""
        there = session.lstat(part)
        if there is None or not there.is_file or not there.size or there.size > pointer.size:
            return 0
        return max(0, ((there.size - 1) // _SYNC_EVERY - 1) * _SYNC_EVERY)

    def _write(self, session: Session, part: str, source: Source, *, start: int) -> None:
        flags = sftp.WRITE | sftp.CREATE | (0 if start else sftp.TRUNCATE)
        handle = session.open(part, flags)
        try:
            size = session.write(
                handle,
                source.chunks(start=start),
                start=start,
                sync_every=_SYNC_EVERY,
                mode=0o400 | (self._made[self._root] & 0o044),
            )
        except BaseException:
            with contextlib.suppress(Broken):
                session.close(handle)
            raise
        if size != source.pointer.size:
            raise TransportError(
                f"cannot send to '{self.label}'",
                cause=f"{size} of {source.pointer.size} bytes arrived there",
                passing=True,
            )

    def _name(self, session: Session, part: str, pointer: Pointer) -> None:
        """Gives a part that is whole its name."""
        path = self._path(pointer.sha256)
        for is_last in (False, True):
            self._make(session, path.rpartition("/")[0].rpartition("/")[0])
            self._make(session, path.rpartition("/")[0])
            try:
                session.rename(part, path)
                break
            except Refused:
                if _is(session.lstat(path), pointer):  # somebody was faster, and this server replaces nothing
                    session.remove(part)
                    return
                if is_last:
                    raise
                for folder in list(self._made):  # somebody deleted another payload, and the folder with it
                    if folder != self._root:
                        self._made.pop(folder, None)
        if not _is(session.lstat(path), pointer):
            raise TransportError(f"cannot send to '{self.label}'", cause="what was sent is not there", passing=True)

    def _prepare(self, session: Session) -> None:
        """Makes the root, whose parent must be there, and the folder for parts."""
        with self._making:
            if self._root not in self._made:
                with contextlib.suppress(Refused):
                    session.make_folder(self._root)
                there = session.stat(self._root)
                if there.mode is not None and not there.is_folder:
                    raise TransportError(f"cannot send to '{self.label}'", cause="a file is where the folder should be")
                self._made[self._root] = 0o755 if there.mode is None else there.mode & 0o7777
            self._make(session, f"{self._root}/{_INCOMING}")

    def _make(self, session: Session, folder: str) -> None:
        """Makes a folder, as open to the group as the root is, if it is not known to be there."""
        if folder in self._made:
            return
        mode = self._made[self._root]
        try:
            session.make_folder(folder)
            if mode & _SHARED:
                session.set_mode(folder, mode)
        except Refused:
            there = session.lstat(folder)
            if there is None or not there.is_folder:
                raise
        self._made[folder] = mode

    # Listing ---------------------------------------------------------------------------------------------------------

    def _folders(self, session: Session, folder: str) -> Sequence[str]:
        """Returns the names of the folders of two hex digits in a folder, or their paths below the first level."""
        try:
            names = sorted(name.decode("ascii", "replace") for name, _ in session.listing(folder))
        except Refused as exc:
            if exc.is_missing or folder != self._root:  # it was deleted meanwhile, or is a file
                return []
            raise
        wanted = [name for name in names if len(name) == 2 and not name.strip("0123456789abcdef")]
        return wanted if folder == self._root else [f"{folder}/{name}" for name in wanted]

    # Connections -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _session(self, what: str, *, size: int = 0) -> Iterator[Session]:
        """Lends a session, and says in our words what goes wrong with it."""
        line = self._borrow(size)
        try:
            yield line.session
        except Broken as exc:
            with self._lock:
                is_first = line in self._lines
                self._lines = [each for each in self._lines if each is not line]
            if not is_first:  # somebody else ends it
                raise TransportError(f"cannot {what} '{self.label}'", cause=str(exc), passing=not self._closed) from exc
            raise tunnel.explain(line, exc, label=self.label, what=what) from exc
        except Refused as exc:
            raise TransportError(f"cannot {what} '{self.label}'", cause=str(exc), hint=_hint(exc)) from exc
        finally:
            with self._lock:
                line.users -= 1

    def _borrow(self, size: int) -> Line:
        """Returns a connection with few users; opens one if there is none, or for a large payload one more."""
        while True:
            with self._lock:
                if self._closed:
                    raise TransportError(f"cannot reach '{self.label}'", cause="the store was closed")
                broken = [line for line in self._lines if line.session.is_broken and not line.users]
                self._lines = [line for line in self._lines if line not in broken]
                usable = [line for line in self._lines if not line.session.is_broken]
                best = min(usable, key=lambda line: line.users, default=None)
                if broken and best is None:
                    raise tunnel.explain(broken[0], broken[0].session.why(), label=self.label, what="reach")
                for line in broken:
                    line.end(politely=False)
                has_to = best is None
                wants = best is not None and best.users > 0 and size >= _ANOTHER_FROM and len(usable) < self._most
                if best is not None and not wants:
                    best.users += 1
                    return best
            # One at a time: sshd drops those who come while many are not logged in yet (MaxStartups).
            if self._opening.acquire(blocking=has_to):
                try:
                    self._open(one_more=not has_to)
                finally:
                    self._opening.release()
            elif best is not None:
                with self._lock:
                    if best in self._lines and not best.session.is_broken:
                        best.users += 1
                        return best

    def _open(self, *, one_more: bool) -> None:
        """Opens a connection, unless somebody did just now; that there will be no second one is no error."""
        with self._lock:
            if not one_more and any(not line.session.is_broken for line in self._lines):
                return
        try:
            # A person is asked once: for the first one.
            line = tunnel.connect(
                self._address, self._settings, folder=self._place, label=self.label, ask=not self._was_reached
            )
        except TransportError as exc:
            if one_more:
                self._most = 1
                return
            if self._was_reached and not exc.passing:
                exc.passing = "Permission denied" not in str(exc.cause)
            raise
        if line.session.is_broken:
            raise tunnel.explain(line, line.session.why(), label=self.label, what="use")
        self._was_reached = True
        with self._lock:
            if not self._closed:
                self._lines.append(line)
                return
        line.end(politely=False)

    # Words -----------------------------------------------------------------------------------------------------------

    def _path(self, sha256: str) -> str:
        return f"{self._root}/{key(sha256)}"

    def _lacks(self, pointer: Pointer) -> NotThere:
        return NotThere(f"'{self.label}' does not have payload {pointer.sha256[:12]}")

    def _refused(self, session: Session, exc: Refused, pointer: Pointer) -> TransportError:
        """Returns the error for a payload that the server did not take; it seldom says that its disk is full."""
        free = None
        hint: str | None
        if exc.is_unexplained:
            with contextlib.suppress(Refused, Broken):
                free = session.space(self._root)
        if free is not None and free < pointer.size:
            cause, hint = "its disk is full", "make room there, then try again"
        else:
            cause, hint = str(exc), _hint(exc)
        return TransportError(f"cannot send to '{self.label}'", cause=cause, hint=hint)


def _payloads(session: Session, folder: str) -> Sequence[Stored]:
    """Returns the payloads in a folder; none if it was deleted meanwhile."""
    start = "".join(folder.split("/")[-2:])
    try:
        names = sorted((name.decode("ascii", "replace"), there) for name, there in session.listing(folder))
    except Refused:
        return []
    return [
        Stored(name, there.size or 0, there.modified or 0)
        for name, there in names
        if is_sha256(name) and name.startswith(start) and there.is_file
    ]


def _is(there: Attributes | None, pointer: Pointer) -> bool:
    return there is not None and there.is_file and there.size == pointer.size


def _hint(exc: Refused) -> str | None:
    if exc.is_missing:
        return "make the folder around it there, if the path is right"
    if exc.code == 3:
        return "ask whoever owns the folder there to let you write to it, or to your group"
    return "look whether its disk is full, or your quota there" if exc.is_unexplained else None
