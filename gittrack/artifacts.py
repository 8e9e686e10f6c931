"""The files of a run, copied beside its journal when they are logged.

A file is kept as it was when `log_artifact` was called, whatever happens to it afterwards; one that changes while it
is copied is refused. Nothing that is not an ordinary file is opened. What is larger than the inline limit is placed
here and hashed elsewhere (`filing`): its content goes to the payloads, and git gets a pointer."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gittrack import capture, hashes, placing, redact
from gittrack.codec import tree
from gittrack.errors import DataRefused, NotFound
from gittrack.shared import make_folder, share

MAX_INLINE = 10 * 1024 * 1024  # bytes; what git itself is made to hold
_CHUNK = 1 << 20
_SCANNED = 1 << 20
_numbers: dict[Path, int] = {}  # of the next file in a folder, for to count thousands of them each time takes long


def find(source: Path, name: str | None) -> Iterator[tuple[Path, str]]:
    """Yields each file of a file or folder with its path in the run; raises NotFound, or OSError if it cannot look.

    A file's path is its name; files of a folder stand below the folder's name. `name` replaces the first component.
    A folder that cannot be read is yielded itself, and so is a link to a folder, so that neither is passed over in
    silence."""
    try:
        os.lstat(source)
    except FileNotFoundError:
        raise NotFound(f"artifact '{source}' does not exist", hint=f"the current folder is '{Path.cwd()}'") from None
    top = name or Path(os.path.abspath(source)).name
    if not source.is_dir():
        yield source, top
        return
    unread: list[OSError] = []
    for folder, folders, files in os.walk(source, onerror=unread.append):
        folders.sort()
        links = [below for below in folders if os.path.islink(os.path.join(folder, below))]
        for file in sorted([*files, *links]):
            path = Path(folder) / file
            yield path, f"{top}/{path.relative_to(source).as_posix()}"
    for error in unread:
        yield Path(error.filename), f"{top}/{Path(error.filename).relative_to(source).as_posix()}"


def check_link(path: Path, root: Path) -> None:
    """Raises DataRefused for a file of a folder that is a link out of it: whoever shares the folder may not know."""
    if path == root or not path.is_symlink():
        return
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise DataRefused(f"artifact '{path}' is not kept", cause="it is a link to a folder", hint="log that folder")
    if not target.is_relative_to(os.path.realpath(root)):
        raise DataRefused(
            f"artifact '{path}' is not kept",
            cause=f"it is a link out of '{root}'",
            hint="log what it links to by its own path",
        )


def checked(source: Path, target: str, *, redacting: bool) -> tuple[os.stat_result, str, int]:
    """Returns what a file is, its path in the run, and how many secrets were replaced in that.

    Raises DataRefused if the run may not have it."""
    hidden = 0
    if redacting:
        if capture.is_secret(target):
            raise DataRefused(
                f"artifact '{target}' is not kept",
                cause="its name says that it holds secrets",
                hint="if it holds none, give it another name with name=",
            )
        target, hidden = redact.path(target)
    why = tree.why_refused(target)
    if why:
        raise DataRefused(f"artifact '{target}' is not kept", cause=why, hint="give it another name with name=")
    try:
        status = os.stat(source)
    except OSError as exc:
        raise not_kept(source, exc) from exc
    if not stat.S_ISREG(status.st_mode):
        raise DataRefused(f"artifact '{source}' is not kept", cause="it is no ordinary file")
    return status, target, hidden


def not_kept(source: Path, exc: OSError) -> DataRefused:
    """Returns the error for a file that the system does not let us read, or a copy that it does not let us write."""
    return DataRefused(f"artifact '{source}' is not kept", cause=exc.strerror or str(exc))


def warning(target: str, copy: Path, size: int) -> str | None:
    """Returns a warning if a copy holds what looks like a secret: it was logged on purpose, so it is kept."""
    found = capture.find_secret(copy.read_bytes()) if size <= _SCANNED else None
    return found and f"artifact '{target}' holds what looks like {found[0]}, line {found[1]}; it is kept as it is"


def take(source: Path, before: os.stat_result, folder: Path) -> dict[str, Any]:
    """Copies a small file into `folder` and returns what the journal says of it: file, size, sha256.

    before: what `checked` found. Raises DataRefused."""
    try:
        return _copy(source, before, folder)
    except OSError as exc:
        raise not_kept(source, exc) from exc


def _copy(source: Path, before: os.stat_result, folder: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    size = 0
    with os.fdopen(placing.open_regular(source), "rb") as reader:
        number, writer = new_file(folder)
        with os.fdopen(writer, "wb") as out:
            while chunk := reader.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                if size > before.st_size:
                    break
                out.write(chunk)
        after = os.fstat(reader.fileno())
    if not hashes.same(before, after) or size != before.st_size:
        (folder / number).unlink()
        raise placing.changed(source)
    return {"file": number, "size": size, "sha256": digest.hexdigest()}


def new_file(folder: Path) -> tuple[str, int]:
    """Makes the next of the numbered files in `folder`; returns its name and a descriptor to write to it."""
    make_folder(folder)
    name, number = _new_file(folder)
    share(folder / name)
    return name, number


def _new_file(folder: Path) -> tuple[str, int]:
    number = _numbers.get(folder) or len(os.listdir(folder)) + 1
    while True:
        try:
            made = os.open(folder / str(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:  # of another process
            number += 1
            continue
        _numbers[folder] = number + 1
        return str(number), made
