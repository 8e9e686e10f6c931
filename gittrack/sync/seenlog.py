"""What was last seen on each remote, so that a rewrite there is noticed (docs/format.md, chapter 15).

Not the mirror of the remote, which any `git fetch` of the user moves and prunes: a file that only we write. It only
grows, so that several processes may write it at once and a crash tears at most its last line; now and then it is
written anew with what still holds."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gittrack.git import Git, sync_name
from gittrack.refname import LOCAL, Oid, is_clone_id, is_run_id, mirror_prefix
from gittrack.shared import make_folder, share

VERSION = 1
GONE = "-"
_LINE = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64}|-) (\S+)")
_SPARE_LINES = 1000  # that hold no more, before the file is written anew
_SPARE_BYTES = 64 * _SPARE_LINES


@dataclass(frozen=True, slots=True)
class Seen:
    """A log as it was read: the remote that it is about, and the tip last seen of each run and archive there.

    A name is a run's id, or `archive/` and the id of the clone that wrote it."""

    remote: str | None
    tips: Mapping[str, Oid]
    lines: int = 0


def is_name(text: str) -> bool:
    """Tells whether the log keeps a ref, named without what stands before it: a run or an archive."""
    return is_run_id(text) or (text.startswith("archive/") and is_clone_id(text.removeprefix("archive/")))


def path_of(git: Git, remote: str) -> Path:
    """Returns the log of a remote."""
    component = mirror_prefix(remote).removeprefix(LOCAL).removesuffix("/runs/")
    return git.place.common_dir / "gittrack" / "seen" / component


def read(path: Path) -> Seen | None:
    """Returns what a log says, or None if there is none; a line that was torn is passed over."""
    try:
        return _decode(path.read_bytes())
    except FileNotFoundError:
        return None


def _decode(raw: bytes) -> Seen:
    lines = raw.decode("utf-8", "replace").split("\n")
    tips: dict[str, Oid] = {}
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None or not is_name(found[2]):
            continue
        if found[1] == GONE:
            tips.pop(found[2], None)
        else:
            tips[found[2]] = Oid(found[1])
    return Seen(_remote(lines[0]), tips, len(lines))


def _remote(line: str) -> str | None:
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said["remote"] if isinstance(said, dict) and isinstance(said.get("remote"), str) else None


def append(path: Path, changes: Mapping[str, Oid | None], *, remote: str) -> None:
    """Writes down what was seen, durably; None is what is gone, and no longer looked for. Raises OSError.

    remote: what the log is about, as it may be printed."""
    text = "".join(f"{oid or GONE} {name}\n" for name, oid in changes.items())
    for folder in (path.parent.parent, path.parent):
        make_folder(folder)
    while True:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            size = os.fstat(fd).st_size
            _write(fd, (_begin(fd, size, remote) + text).encode())
            os.fsync(fd)
            written = _is_still(path, fd)
        finally:
            os.close(fd)
        if size == 0:
            share(path)
            sync_name(path.parent)
        if written:
            break
        # Another process wrote the file anew meanwhile: what was written went into the old one.
    if size > _SPARE_BYTES:
        _compact(path, remote)


def _begin(fd: int, size: int, remote: str) -> str:
    """Returns what must come before a line: the head of a new file, or the end of a line that was torn."""
    if not size:
        return _head(remote)
    return "" if os.pread(fd, 1, size - 1) == b"\n" else "\n"


def _head(remote: str) -> str:
    return json.dumps({"v": VERSION, "remote": remote}) + "\n"


def _write(fd: int, raw: bytes) -> None:
    while raw:
        raw = raw[os.write(fd, raw) :]


def _is_still(path: Path, fd: int) -> bool:
    """Tells whether an open file is the one that the path names."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _compact(path: Path, remote: str) -> None:
    """Writes a log anew if most of its lines hold no more.

    Without a lock, for not every file system has them: who appends looks afterwards whether the file is still the one,
    and what was appended between our reading and our renaming is appended again."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as old:
        seen = _decode(old.read())
        if seen.lines < 2 * len(seen.tips) + _SPARE_LINES:
            return
        new = path.with_name(f"{path.name}.{os.getpid()}.new")
        with new.open("wb") as file:
            lines = "".join(f"{oid} {name}\n" for name, oid in sorted(seen.tips.items()))
            file.write((_head(seen.remote or remote) + lines).encode())
            file.flush()
            os.fsync(file.fileno())
        share(new)
        if not _is_still(path, old.fileno()):
            new.unlink()
            return
        new.replace(path)
        sync_name(path.parent)
        if late := old.read():
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                _write(fd, late)
                os.fsync(fd)
            finally:
                os.close(fd)
