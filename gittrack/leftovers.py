"""The folders of runs whose processes are gone, or may be.

A process on this machine is dead or alive, and the kernel says which. One on another machine that shares the clone can
only be silent; if its run was sealed meanwhile, what it still writes stays, until it seals its run again itself."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gittrack import journal
from gittrack.codec import frame
from gittrack.errors import DataRefused
from gittrack.shared import make_folder, share

MARK = "sealed.json"
KEEP_SECONDS = 30 * 86400  # how long a folder waits for a process that may never come back


def writers(folder: Path, *, now: float, besides: str = "") -> list[Mapping[str, Any]]:
    """Returns the processes that can still write into a run's folder; `besides`: the caller's own journal."""
    live = journal.read_heads(folder)
    heads = {name: item.header for name, item in live.journals.items() if item.header}
    found: list[Mapping[str, Any]] = [
        process
        for name, process in heads.items()
        if name != besides
        and not journal.is_closed(folder / name)
        and not journal.is_dead(process, touched=live.touched, now=now)
    ]
    owner = live.header.get("process", {})
    if not any(is_same(process, owner) for process in heads.values()):  # it is about to begin its journal
        found += [] if journal.is_dead(owner, touched=live.touched, now=now) else [owner]
    return found


def holding_up(folder: Path, *, now: float, own: str) -> list[Mapping[str, Any]]:
    """Returns the processes that a seal waits for: the one that began the run, and its ranks.

    Others (the workers of a pool) may live for long and write no more; what they do write later is sealed then."""
    others = writers(folder, now=now, besides=own)
    owner = journal.read_header(folder).get("process", {}) if others else {}
    return [process for process in others if process.get("ends") or is_same(process, owner)]


def is_same(process: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tells whether two descriptions are of one process."""
    return all(process.get(key) == other.get(key) for key in ("host", "boot", "space", "pid", "start", "detached"))


def _may_grow(folder: Path, live: journal.Live) -> bool:
    """Tells whether a process may still write into a folder, as far as we can see."""
    heads = {name: item.header for name, item in live.journals.items()}
    return any(not journal.is_gone(head) and not journal.is_closed(folder / name) for name, head in heads.items())


def discard(common_dir: Path, live: journal.Live, *, seal: str) -> None:
    """Removes a run's folder after it was sealed as `seal`; sets it aside if a process may still write to it."""
    folder = live.folder
    if _may_grow(folder, live):
        with contextlib.suppress(OSError):
            (folder / MARK).write_text(json.dumps({"seal": seal}), "ascii")
            share(folder / MARK)
            home = journal.sealed_root(common_dir)
            make_folder(home)
            folder.rename(home / folder.name)
        return
    journal.remove(folder)


def remove_rest(folder: Path, *, now: float) -> None:
    """Removes what is left of a run where nothing happens any more: of a removal that was killed, or of a beginning.

    A power cut in the first half second of a run leaves an empty header and nothing beside it."""
    with contextlib.suppress(OSError):
        if now - folder.stat().st_mtime > journal.SILENT_SECONDS and _is_rest(folder):
            journal.remove(folder)


def _is_rest(folder: Path) -> bool:
    try:
        journal.read_header(folder)
    except FileNotFoundError:
        return True
    except DataRefused:
        found = [frame.decode(path.read_bytes()) for path in folder.glob("*.journal")]
        return not any(item.points or item.notes for item in found)
    return False


def was_sealed(folder: Path) -> bool:
    """Tells whether a folder was set aside, so that its first part is in a commit already."""
    return (folder / MARK).exists()


def home_of(folder: Path) -> Path:
    """Returns where a live folder is now: where it was, or where it was set aside."""
    if not (folder / journal.HEADER).exists():
        aside = journal.sealed_root(folder.parent.parent.parent) / folder.name
        if (aside / journal.HEADER).exists():
            return aside
    return folder


def is_spent(folder: Path, *, now: float) -> bool:
    """Tells whether nothing came into a folder since it was set aside; removes it if nothing can, or after a month."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        before = json.loads((folder / MARK).read_bytes()).get("seal")
        live = journal.read_heads(folder)
        if before != journal.seal_name(live):
            return False
        if now - live.touched > KEEP_SECONDS or not _may_grow(folder, live):
            shutil.rmtree(folder, ignore_errors=True)
        return True
    return False


@contextlib.contextmanager
def sole(folder: Path, *, wait: bool = False) -> Iterator[bool]:
    """Yields whether no other process seals this folder now; True where a file system has no such locks."""
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:
        yield True
        return
    with folder.joinpath(journal.HEADER).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as exc:
            yield exc.errno not in (errno.EAGAIN, errno.EACCES)
            return
        yield True
