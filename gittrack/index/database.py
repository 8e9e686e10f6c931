"""The file that holds the index: made, found again, written by one process at a time, and given up when in doubt.

It may be deleted, cut, overwritten, or left by another version, and nothing that it says may then be believed. So a
file is never repaired: a new one gets a new name, `current` tells the name with the size and time that the file had
when one of us wrote it last, and a file that looks otherwise is not ours any more. Where no file can be kept (a
read-only repository, no room left) the index lives in memory."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from gittrack.index import schema
from gittrack.shared import make_folder, share
from gittrack.stalls import may_stall

FOLDER = "index"
POINTER = "current"
LOCK = "lock"
LOCK_SECONDS = 10.0
_OLD_SECONDS = 3600.0  # a file that nobody points to is removed when it is older
_BUSY_SECONDS = 5.0


class Unusable(Exception):
    """An index file that cannot be read or written; the runs themselves are not touched by that."""


class Database:
    """An open index. `path` is None in memory; `writable` tells whether what is found out can be kept."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None, *, writable: bool) -> None:
        self.connection = connection
        self.path = path
        self.writable = writable

    def close(self) -> None:
        """Closes the file."""
        self.connection.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yields the connection in a transaction that no other process is in; raises Unusable."""
        with translated(), _alone(self.path.parent if self.path else None):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
            except BaseException:
                self.connection.rollback()
                raise
            self.connection.commit()
            if self.path and (_pointer(self.path.parent) or {}).get("file") == self.path.name:
                _point_to(self.path)

    def publish(self) -> None:
        """Makes a file that was just filled the one that others find; raises Unusable."""
        path = self.path
        if path is None:
            return
        with translated():
            self.connection.executescript(schema.INDEXES)
            _sync(path)
            self.connection.execute("PRAGMA journal_mode = DELETE")
            self.connection.execute("PRAGMA synchronous = NORMAL")
            with _alone(path.parent):
                before = (_pointer(path.parent) or {}).get("file")
                share(path)
                _point_to(path)
                _remove_others(path, before)


def home(common: Path, environ: Mapping[str, str]) -> Path | None:
    """Returns the folder for the index of a repository, or None if it has to live in memory.

    SQLite needs locks that work, which disks of other machines only promise: there the index is on a disk of this
    machine, in a folder that nobody else may enter."""
    if not may_stall(common):
        return common / "gittrack" / FOLDER
    base = Path(environ.get("XDG_RUNTIME_DIR") or environ.get("TMPDIR") or "/tmp")  # noqa: S108 - what is there is checked
    own = base / f"gittrack-{os.getuid()}"
    try:
        if may_stall(base):
            return None
        own.mkdir(mode=0o700, exist_ok=True)
        found = os.lstat(own)
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        return None  # somebody else made it
    import hashlib  # noqa: PLC0415 - only here

    return own / hashlib.sha256(os.fsencode(common)).hexdigest()[:24]


def find(folder: Path | None) -> Database | None:
    """Returns the index that is in a folder, if there is one that can be believed."""
    if folder is None:
        return None
    said = _pointer(folder)
    if said is None:
        return None
    path = folder / str(said.get("file"))
    if not _is_as_left(path, said):
        try:
            with _alone(folder):  # whoever is writing says so when it is written
                said = _pointer(folder)
        except Unusable:
            return None
        if said is None or not _is_as_left(path, said):
            return None
    writable = os.access(folder, os.W_OK) and os.access(path, os.W_OK)
    try:
        with translated():
            connection = _connect(path, mode="rw" if writable else "ro")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
    except Unusable:
        return None
    if version != schema.VERSION:
        connection.close()
        return None
    return Database(connection, path, writable=writable)


def create(folder: Path | None) -> Database:
    """Returns an empty index that nobody else sees before it is published; raises Unusable."""
    with translated():
        if folder is None:
            connection = _connect(None)
            connection.executescript(schema.TABLES + schema.INDEXES)
            return Database(connection, None, writable=True)
        make_folder(folder.parent)
        make_folder(folder)
        path = folder / f"{os.urandom(6).hex()}.db"
        connection = _connect(path, mode="rwc")
        connection.executescript("PRAGMA page_size = 16384; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        connection.executescript(f"{schema.TABLES} PRAGMA user_version = {schema.VERSION};")
        return Database(connection, path, writable=True)


def copied(database: Database) -> Database:
    """Returns a copy in memory of an index that cannot be written; raises Unusable."""
    with translated():
        copy = _connect(None)
        database.connection.backup(copy)
        database.close()
        return Database(copy, None, writable=True)


def discard(database: Database) -> None:
    """Removes a file that could not be filled."""
    with contextlib.suppress(sqlite3.Error):
        database.close()
    if database.path:
        for path in (database.path, Path(f"{database.path}-journal")):
            with contextlib.suppress(OSError):
                path.unlink()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turns what SQLite and the disk say into Unusable."""
    try:
        yield
    except (sqlite3.Error, OSError) as exc:
        raise Unusable(str(exc)) from exc


def _connect(path: Path | None, mode: str = "") -> sqlite3.Connection:
    name = ":memory:"
    if path:
        # As a URI, whose bytes may be any: importing urllib for this would take longer than the query.
        name = "file:" + "".join(f"%{byte:02x}" for byte in os.fsencode(path)) + f"?mode={mode}"
    connection = sqlite3.connect(
        name, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=path is not None
    )
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _pointer(folder: Path) -> dict[str, object] | None:
    try:
        said = json.loads((folder / POINTER).read_bytes())
    except (OSError, ValueError):
        return None
    is_ours = isinstance(said, dict) and said.get("version") == schema.VERSION
    return said if is_ours and os.path.basename(str(said.get("file"))) == said.get("file") else None


def _is_as_left(path: Path, said: dict[str, object]) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (said.get("size"), said.get("changed"))


def _point_to(path: Path) -> None:
    found = os.stat(path)
    said = {"version": schema.VERSION, "file": path.name, "size": found.st_size, "changed": found.st_mtime_ns}
    new = path.with_name(f"{POINTER}.{path.name}.{os.getpid()}")
    new.write_bytes(json.dumps(said).encode())
    share(new)
    new.rename(path.with_name(POINTER))


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove_others(path: Path, before: object) -> None:
    """Removes the file that was pointed to before, and others unless a process may be filling them just now."""
    for other in path.parent.iterdir():
        if other.name in (path.name, POINTER, LOCK):
            continue
        with contextlib.suppress(OSError):
            if other.name == before or other.stat().st_mtime < time.time() - _OLD_SECONDS:
                other.unlink()


@contextlib.contextmanager
def _alone(folder: Path | None) -> Iterator[None]:
    """Holds the lock that every writer of a folder holds; raises Unusable if it cannot be had."""
    if folder is None:
        yield
        return
    try:
        import fcntl  # noqa: PLC0415 - not on every system

        fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (ImportError, OSError) as exc:
        raise Unusable(str(exc)) from exc
    try:
        share(folder / LOCK)
        end = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as exc:
                if time.monotonic() > end or exc.errno not in (errno.EAGAIN, errno.EACCES):  # it has no locks
                    raise Unusable(str(exc)) from exc
                time.sleep(0.005)
        yield
    finally:
        os.close(fd)
