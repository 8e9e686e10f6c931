"""The files of a run, copied beside its journal when they are logged.

A file is kept as it was when `log_artifact` was called, whatever happens to it afterwards; one that changes while it
is copied is refused. Nothing that is not an ordinary file is opened."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gittrack import capture, redact
from gittrack.codec import tree
from gittrack.errors import DataRefused, NotFound
from gittrack.shared import make_folder, share

MAX_BYTES = 10 * 1024 * 1024
_CHUNK = 1 << 20
_SCANNED = 1 << 20


class Taken(NamedTuple):
    """A file that was copied: what the journal says of it, the secrets replaced in its path, and a warning."""

    item: dict[str, Any]
    hidden: int
    warning: str | None


def find(source: Path, name: str | None) -> Iterator[tuple[Path, str]]:
    """Yields each file of a file or folder with its path in the run; raises NotFound, or OSError if it cannot look.

    A file's path is its name; files of a folder stand below the folder's name. `name` replaces the first component.
    A folder that cannot be read is yielded itself, so that it is not passed over in silence."""
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
        for file in sorted(files):
            path = Path(folder) / file
            yield path, f"{top}/{path.relative_to(source).as_posix()}"
    for error in unread:
        yield Path(error.filename), f"{top}/{Path(error.filename).relative_to(source).as_posix()}"


def take_checked(source: Path, target: str, folder: Path, *, redacting: bool) -> Taken:
    """Copies a file as `take` does; raises DataRefused also if its name says that it holds secrets.

    A text that holds one is kept, for it was logged on purpose, by its content's hash; there is a warning then."""
    if not redacting:
        return Taken(take(source, target, folder), 0, None)
    if capture.is_secret(target):
        raise DataRefused(
            f"artifact '{target}' is not kept",
            cause="its name says that it holds secrets",
            hint="if it holds none, give it another name with name=",
        )
    target, hidden = redact.path(target)
    item = take(source, target, folder)
    found = capture.find_secret((folder / item["file"]).read_bytes()) if item["size"] <= _SCANNED else None
    warning = found and f"artifact '{target}' holds what looks like {found[0]}, line {found[1]}; it is kept as it is"
    return Taken(item, hidden, warning)


def take(source: Path, target: str, folder: Path) -> dict[str, Any]:
    """Copies a file into `folder` and returns what the journal says of it: path, file, size, sha256.

    Raises DataRefused if the run may not have the file."""
    why = tree.why_refused(target)
    if why:
        raise DataRefused(f"artifact '{target}' is not kept", cause=why, hint="give it another name with name=")
    try:
        before = os.stat(source)
        if not stat.S_ISREG(before.st_mode):
            raise DataRefused(f"artifact '{source}' is not kept", cause="it is no ordinary file")
        if before.st_size > MAX_BYTES:
            raise DataRefused(
                f"artifact '{source}' is not kept",
                cause=f"it has {before.st_size} bytes; the limit is {MAX_BYTES} (10 MiB)",
                hint="keep it elsewhere and log its path as a param",
            )
        return {"path": target, **_copy(source, before, folder)}
    except OSError as exc:
        raise DataRefused(f"artifact '{source}' is not kept", cause=exc.strerror or str(exc)) from exc


def _copy(source: Path, before: os.stat_result, folder: Path) -> dict[str, Any]:
    make_folder(folder)
    digest = hashlib.sha256()
    size = 0
    with source.open("rb") as reader:
        number, writer = _new_file(folder)
        share(folder / number)
        with os.fdopen(writer, "wb") as out:
            while chunk := reader.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                if size > MAX_BYTES:
                    break
                out.write(chunk)
        after = os.fstat(reader.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or size != before.st_size:
        (folder / number).unlink()
        raise DataRefused(f"artifact '{source}' is not kept", cause="it changed while it was read", hint="log it again")
    return {"file": number, "size": size, "sha256": digest.hexdigest()}


def _new_file(folder: Path) -> tuple[str, int]:
    number = len(os.listdir(folder)) + 1
    while True:
        try:
            return str(number), os.open(
                folder / str(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
            )
        except FileExistsError:
            number += 1
