"""The append-only record of a live run.

A training job can be killed at any moment, so each point is in the kernel's hands before log() returns, and a
reader stops at the first torn frame. This file knows nothing of git; `store.seal` turns a journal into a commit."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gittrack import stalls
from gittrack.codec import frame
from gittrack.errors import DataRefused
from gittrack.git import sync_file
from gittrack.refname import is_run_id
from gittrack.settings import host_name
from gittrack.shared import make_folder, share

SYNC_SECONDS = 0.5  # P2 promises one second
BEAT_SECONDS = 30
SILENT_SECONDS = 600  # a process on another host that was silent for so long is dead
HEADER = "run.json"
_CHUNK = 1024 * 1024
MAX_HEADER = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Live:
    """What the live folder of a run held when it was read."""

    folder: Path
    header: dict[str, Any]
    journals: dict[str, frame.Journal] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    touched: float = 0.0

    @property
    def processes(self) -> list[dict[str, Any]]:
        """The processes that wrote, oldest journal first."""
        return [journal.header for journal in self.journals.values() if journal.header]


def process_identity() -> dict[str, Any]:
    """Returns what tells this process from every other, also after its pid was given to another."""
    return {
        "host": host_name(),
        "boot": _read("/proc/sys/kernel/random/boot_id"),
        "space": _link("/proc/self/ns/pid"),
        "pid": os.getpid(),
        "start": start_time(os.getpid()),
    }


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text("ascii").strip()
    except OSError:
        return None


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def start_time(pid: int) -> int | None:
    """Returns when a process began, in clock ticks since boot, or None if it is gone (or there is no /proc)."""
    stat = _read(f"/proc/{pid}/stat")
    if stat is None:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def start_seconds() -> float:
    """Returns when this process began, in Unix seconds; 0 where the system does not say."""
    start, since = start_time(os.getpid()), _read("/proc/uptime")
    if start is None or since is None:
        return 0.0
    return time.time() - float(since.split()[0]) + start / os.sysconf("SC_CLK_TCK") - 0.02


def is_dead(process: Mapping[str, Any], *, touched: float, now: float) -> bool:
    """Tells whether a process can write no more.

    Exact on the same host; on another, after ten minutes without a heartbeat (`touched`, Unix seconds)."""
    known = is_gone(process)
    return now - touched > SILENT_SECONDS if known is None else known


def is_gone(process: Mapping[str, Any]) -> bool | None:
    """Tells whether a process is no more; None if it runs where we cannot see it."""
    if process.get("detached"):
        return False
    here = process_identity()
    if process.get("host") != here["host"]:
        return None
    if process.get("boot") != here["boot"]:
        return True
    if process.get("space") != here["space"]:
        return None
    pid = process.get("pid")
    if not isinstance(pid, int):
        return True
    if here["start"] is not None:
        return start_time(pid) != process.get("start")
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def live_root(common_dir: Path) -> Path:
    """Returns the folder that holds the live folders of all runs of a repository."""
    return common_dir / "gittrack" / "live"


def sealed_root(common_dir: Path) -> Path:
    """Returns the folder of runs that were sealed while a process that we cannot see may still write to them."""
    return common_dir / "gittrack" / "sealed"


def run_folders(root: Path) -> list[Path]:
    """Returns the folders of runs below `live_root` or `sealed_root`, oldest first."""
    try:
        found = [path for path in root.iterdir() if is_run_id(path.name)]
    except OSError:
        return []
    with contextlib.suppress(OSError):
        found.sort(key=lambda path: path.stat().st_ctime)
    return found


def create(folder: Path, header: Mapping[str, Any]) -> None:
    """Makes the live folder of a run; raises FileExistsError if the run has one already."""
    if not folder.parent.is_dir():
        make_folder(folder.parent.parent)
        make_folder(folder.parent)
    folder.mkdir()
    share(folder)
    try:
        write_header(folder, header)
    except BaseException:
        remove(folder)
        raise


def remove(folder: Path) -> None:
    """Removes a live folder. The header goes first: without it the folder is nobody's run."""
    import shutil  # noqa: PLC0415 - 3 ms, and not needed to record

    with contextlib.suppress(OSError):
        (folder / HEADER).unlink()
    shutil.rmtree(folder, ignore_errors=True)


def write_header(folder: Path, header: Mapping[str, Any]) -> None:
    """Writes `run.json` whole or not at all."""
    temporary = folder / f"{HEADER}.{os.getpid()}"
    temporary.write_text(json.dumps(header), "utf-8")
    share(temporary)
    temporary.replace(folder / HEADER)


def read_header(folder: Path) -> dict[str, Any]:
    """Returns the header; raises FileNotFoundError if the run is not there (yet), DataRefused if it is damaged."""
    raw = (folder / HEADER).read_bytes()
    try:
        header = json.loads(raw) if len(raw) <= MAX_HEADER else None
    except ValueError:
        header = None
    if not isinstance(header, dict) or "id" not in header:
        raise DataRefused(
            f"cannot read '{folder / HEADER}'", cause="it is damaged", hint="the journals beside it are kept"
        )
    return header


def read(folder: Path) -> Live:
    """Returns all that is in a live folder; what is damaged is counted, not fatal."""
    header = read_header(folder)
    journals, sizes, touched = {}, {}, 0.0
    for path in sorted(folder.glob("*.journal"), key=lambda path: (len(path.name), path.name)):
        with path.open("rb", buffering=0) as file:
            journals[path.name] = frame.decode(iter(functools.partial(file.read, _CHUNK), b""))
        sizes[path.name] = journals[path.name].size
        touched = max(touched, path.stat().st_mtime)
    return Live(folder, header, journals, sizes, touched or (folder / HEADER).stat().st_mtime)


def read_heads(folder: Path) -> Live:
    """Returns a live folder with only the journals' headers read; enough to tell who is alive."""
    header = read_header(folder)
    journals, sizes, touched = {}, {}, 0.0
    for path in sorted(folder.glob("*.journal"), key=lambda path: (len(path.name), path.name)):
        with path.open("rb") as file:
            journals[path.name] = frame.decode(file.read(4096))
        status = path.stat()
        sizes[path.name] = status.st_size
        touched = max(touched, status.st_mtime)
    return Live(folder, header, journals, sizes, touched or (folder / HEADER).stat().st_mtime)


def seal_name(live: Live) -> str:
    """Returns what names these journals at this length (docs/format.md, chapter 12)."""
    lines = sorted(f"{name} {size}\n" for name, size in live.sizes.items())
    created = f"{live.header['created']}\n"
    return hashlib.sha256("".join([created, *lines]).encode()).hexdigest()[:16]


def is_closed(path: Path) -> bool:
    """Tells whether the process that wrote a journal has ended the run for itself: nothing follows that note."""
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 16384))
        notes = frame.decode(file.read()).notes
    return bool(notes) and notes[-1].get("k") in ("end", "child")


def _above_standard(fd: int) -> int:
    """Returns a descriptor above 2: where the standard streams are closed, whoever prints would print into it."""
    if fd > 2:
        return fd
    import fcntl  # noqa: PLC0415 - rare

    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(fd)


class Writer:
    """The journal of one process of one run.

    `append` is one write: when it returns, the bytes survive the death of the process. A side thread syncs them to
    the disk within a second. Errors of the disk come out of `append` as OSError; the caller counts them."""

    def __init__(
        self,
        folder: Path,
        *,
        shared: bool = False,
        about: Mapping[str, Any] | None = None,
        stalled: Callable[[], None] = lambda: None,
    ) -> None:
        """about: what the header says besides the process: `rank`, and `ends` if it will note how it ended.

        stalled: called when the disk stops answering."""
        self.folder = folder
        self.fd = -1
        self.unsynced: list[Path] = []  # files that a note will name
        self._behind: stalls.Behind | None = None
        self._stalled = stalled
        if shared:
            self._join()
        else:
            self._create()
            self.append(frame.encode_json(b"H", {**process_identity(), **(about or {})}))
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._named = False

    def _create(self) -> None:
        number = len(list(self.folder.glob("*.journal"))) + 1
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        while True:
            try:
                self.path = self.folder / f"{number}.journal"
                self.fd = _above_standard(os.open(self.path, flags, 0o600))
            except FileExistsError:
                number += 1
            else:
                share(self.path)
                return

    def _join(self) -> None:
        """Opens the one journal that commands append to, a call each; no process owns it."""
        self.path = self.folder / "0.journal"
        self.fd = _above_standard(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600))
        share(self.path)
        if os.fstat(self.fd).st_size == 0:
            self.append(frame.encode_json(b"H", {"detached": True}))

    def append(self, data: bytes) -> None:
        """Writes whole frames; raises OSError if the disk does not take them."""
        if self._behind:
            self._behind.append(data)
            return
        done = os.write(self.fd, data)
        while done < len(data):  # a nearly full disk takes a part; a reader skips the broken frame
            done += os.write(self.fd, data[done:])

    def start_syncing(self) -> None:
        """Starts the side threads; idempotent. Raises RuntimeError if the system has none left."""
        if self._thread is None:
            if stalls.may_stall(self.path):
                self._behind = stalls.Behind(self.fd, self._stalled)
            thread = threading.Thread(target=self._keep_synced, name="gittrack-sync", daemon=True)
            thread.start()
            self._thread = thread

    def _keep_synced(self) -> None:
        beat = size = 0.0
        while not self._stop.wait(SYNC_SECONDS):
            with contextlib.suppress(OSError):
                now = os.fstat(self.fd).st_size
                if now != size:
                    self.sync()
                    size, beat = now, time.monotonic()
                elif time.monotonic() - beat > BEAT_SECONDS:
                    os.utime(self.fd)
                    beat = time.monotonic()

    def flush(self) -> None:
        """Makes what was appended survive a power cut; raises OSError, also where the disk does not answer."""
        if self._behind is None:
            self.sync()
            return
        syncing = threading.Thread(target=self._sync_quietly, name="gittrack-flush", daemon=True)
        syncing.start()
        syncing.join(stalls.END_SECONDS)
        if syncing.is_alive():
            raise OSError(errno.EAGAIN, "the disk does not answer")

    def _sync_quietly(self) -> None:
        with contextlib.suppress(OSError):
            self.sync()

    def sync(self) -> None:
        """Makes what was appended survive a power cut; raises OSError."""
        if self._behind:
            self._behind.drain(stalls.END_SECONDS)
        while self.unsynced:
            file = self.unsynced.pop(0)
            try:
                for path in (file, file.parent):
                    sync_file(path)
            except OSError:
                self.unsynced.insert(0, file)
                raise
        if not self._named:  # first what the journal is of no use without
            for path in (self.folder / HEADER, *self.folder.glob("env/*")):
                sync_file(path)
        (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(self.fd)
        if not self._named:
            for folder in (self.folder, self.folder.parent):
                sync_file(folder)
            self._named = True

    def close(self) -> bool:
        """Ends the side threads and the file; nothing may be appended after this.

        Returns whether all was written; where the disk does not answer, what waits in memory is given up."""
        self._stop.set()
        if self._behind and not self._behind.close():
            return False  # to close the file would wait for the disk, too
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=2)
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            with contextlib.suppress(OSError):
                os.close(fd)
        return True
