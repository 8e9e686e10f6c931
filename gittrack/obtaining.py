"""Files of runs, brought to this machine: small ones out of git, large ones from the stores that have them.

Whoever wants a file gets the path of one that is whole, verified, and read-only, because others read the same one.
What is not here is fetched when it is asked for, and not before."""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gittrack import remote, store
from gittrack.codec.pointer import Pointer
from gittrack.errors import DataRefused, GittrackError, NotFound
from gittrack.model import Artifact, Run
from gittrack.payloads import Payloads
from gittrack.refname import Oid
from gittrack.repo import Repo
from gittrack.shared import make_folder, share
from gittrack.store import Detail
from gittrack.transports.protocol import Source, Transport

Progress = Callable[[str], None]
MAX_BLOB = 1 << 30  # bytes of a file in git
_ROOT = "artifacts/"
_MAGIC = frozenset("*?[")
_COMPARED = 1000  # paths with which one that is none is compared: that takes some 50 ms
_LIKE = 0.6  # of 1: what difflib calls close


class File(NamedTuple):
    """One file of a run: what the run says of it, its blob, and where its content is if the blob only points to it."""

    item: Artifact
    oid: Oid
    pointer: Pointer | None

    @property
    def path(self) -> str:
        """Its path below `artifacts/`."""
        return self.item.path


# Which files ---------------------------------------------------------------------------------------------------------


def files_of(detail: Detail) -> list[File]:
    """Returns the files of a run, sorted by path; raises DataRefused for a pointer that is not what it should be.

    One that `artifacts.yaml` does not name, for its limits, is there all the same; then its size is 0, for unknown."""
    said = {item.path: item for item in detail.artifacts()}
    pointers = detail.pointers()
    found = []
    for name, entry in sorted(detail.files.items()):
        if name.startswith(_ROOT):
            path = name.removeprefix(_ROOT)
            found.append(File(said.get(path) or Artifact(path, 0, ""), entry.oid, pointers.get(path)))
    return found


def chosen(files: Sequence[File], wanted: Sequence[str], *, run: str) -> list[File]:
    """Returns the files that paths, folders and patterns mean, each once; all without any. Raises NotFound.

    `*` in a pattern means any characters but `/`, and `**` those too. A path may begin with `artifacts/`. run: the
    name that errors have."""
    if not wanted:
        return list(files)
    found: dict[str, File] = {}
    for asked in wanted:
        fitting = _fitting(files, asked)
        if not fitting:
            raise _no_such(files, asked, run=run)
        found |= {file.path: file for file in fitting}
    return list(found.values())


def _fitting(files: Sequence[File], asked: str) -> list[File]:
    clean = asked.strip("/")
    for path in (clean, clean.removeprefix(_ROOT) if clean + "/" != _ROOT else ""):
        fitting = [file for file in files if not path or file.path == path or file.path.startswith(path + "/")]
        if not fitting and _MAGIC & set(path):
            fitting = [file for file in files if matches(file.path, path)]
        if fitting:
            return fitting
    return []


def matches(path: str, pattern: str) -> bool:
    """Tells whether a path fits a pattern: `*.pt` in any folder, `out/*.pt` in that one, `out/**` all below it."""
    if "/" not in pattern:
        return fnmatch.fnmatchcase(path.rpartition("/")[2], pattern)
    return _match_parts(path.split("/"), pattern.split("/"))


def _match_parts(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    # The rest of the path that each beginning of the pattern can leave; as sets, so that `**/**/**` costs no more.
    left = {0}
    for pattern in patterns:
        if pattern == "**":
            left = set(range(min(left), len(parts) + 1)) if left else left
        else:
            left = {at + 1 for at in left if at < len(parts) and fnmatch.fnmatchcase(parts[at], pattern)}
    return len(parts) in left


def _no_such(files: Sequence[File], asked: str, *, run: str) -> NotFound:
    if not files:
        return NotFound(f"run '{run}' has no artifact '{asked}'", cause="it has none at all")
    return NotFound(f"run '{run}' has no artifact '{asked}'", hint=suggestion([file.path for file in files], asked))


def suggestion(paths: Sequence[str], asked: str) -> str:
    """Returns the hint for a path that is none of some paths: the one that may be meant, and those that are nearest."""
    import difflib  # noqa: PLC0415 - only for an error

    matcher = difflib.SequenceMatcher(b=asked.strip("/").removeprefix(_ROOT))

    def likeness(text: str) -> float:
        matcher.set_seq1(text)
        return matcher.ratio()

    # A name may be meant without its folder.
    near = {path: max(likeness(path), likeness(path.rpartition("/")[2])) for path in paths[:_COMPARED]}
    found = sorted(near, key=lambda path: -near[path])
    meant = f"did you mean '{found[0]}'? " if found and near[found[0]] >= _LIKE else ""
    return f"{meant}it has: {', '.join(found[:12])}" + (f" and {len(paths) - 12} more" if len(paths) > 12 else "")


# Bringing them -------------------------------------------------------------------------------------------------------


def obtain(
    place: Repo, run: Run, wanted: Sequence[str] = (), *, progress: Progress | None = None
) -> list[tuple[str, Path]]:
    """Returns the path of each wanted file of a run below `artifacts/`, and a read-only file here with its content.

    wanted: paths, folders and patterns; all files without any. Raises NotFound for one that means no file, and what
    `bring` raises."""
    with reading(place, run) as detail:
        files = chosen(files_of(detail), wanted, run=run.name)
        return list(zip((file.path for file in files), bring(place, detail, files, progress=progress), strict=True))


@contextlib.contextmanager
def reading(place: Repo, run: Run) -> Iterator[Detail]:
    """Yields all of a run; raises GittrackError while it is recorded."""
    if run.oid is None:
        raise GittrackError(f"run '{run.name}' is still being recorded", hint="ask again when it ended")
    with place.git.objects() as objects:
        yield store.read_detail(objects, run.id, run.oid, oid_bytes=place.git.place.oid_bytes)


def bring(place: Repo, detail: Detail, files: Sequence[File], *, progress: Progress | None = None) -> list[Path]:
    """Returns a read-only file here for each of some files of a run; brings those that are elsewhere.

    Raises a GittrackError that names the path, and the stores that were asked, if one cannot be had; the others are
    here then all the same."""
    payloads = payloads_of(place)
    missing = {file.pointer: file.path for file in files if file.pointer and not payloads.find(file.pointer)}
    if missing:
        _bring_missing(place, payloads, missing, run=detail.run, progress=progress)
    return [
        _payload(payloads, file.pointer, file.path) if file.pointer else _blob(place, detail, file) for file in files
    ]


def payloads_of(place: Repo) -> Payloads:
    """Returns the payloads of a clone, those of git-lfs beside them."""
    from gittrack import stores  # noqa: PLC0415 - not needed to say which files there are

    return Payloads(place.git.place.common_dir, beside=stores.of_git_lfs(place.git, place.settings))


def _bring_missing(
    place: Repo, payloads: Payloads, missing: dict[Pointer, str], *, run: Run, progress: Progress | None
) -> None:
    from gittrack import carrying  # noqa: PLC0415 - only where something is missing

    transports, closed = opened(place)
    try:
        done = carrying.bring(payloads, transports, missing, progress=progress)
    except OSError as exc:
        raise DataRefused(f"artifacts of run '{run.name}' cannot be kept", cause=exc.strerror or str(exc)) from exc
    finally:
        for transport in transports:
            transport.close()
    if not done.failed:
        return
    pointer, error = done.failed[0]
    error.message = f"artifact '{missing[pointer]}' of run '{run.name}' is not here: {error.message}"
    if len(done.failed) > 1:
        others = ", ".join(missing[pointer] for pointer, _ in done.failed[1:9])
        error.message += f"; nor {'are' if len(done.failed) > 2 else 'is'} {others}"
        error.message += f" and {len(done.failed) - 9} more" if len(done.failed) > 9 else ""
    error.cause = "; ".join([*([error.cause] if error.cause else []), *closed]) or None
    raise error


def opened(place: Repo) -> tuple[list[Transport], list[str]]:
    """Returns the stores that may have a payload, and why some of them cannot be asked at all."""
    from gittrack import stores  # noqa: PLC0415 - only where something is missing

    settings = place.settings
    names = remote.names(settings)
    with contextlib.suppress(GittrackError):
        first = remote.choose(settings, None, branch=place.git.branch())
        names = [first, *(name for name in names if name != first)]
    opened: list[Transport] = []
    closed = []
    for known in stores.for_reading(settings, names):
        try:
            opened.append(stores.open_store(place.git, known, settings))
        except GittrackError as exc:
            closed.append(exc.message)
    return opened, closed


def _payload(payloads: Payloads, pointer: Pointer, path: str) -> Path:
    """Returns our own file of a payload; what only git-lfs has is taken in, for `git lfs prune` may delete it."""
    found = payloads.own(pointer)
    if found is not None:
        return found
    beside = payloads.find(pointer)
    if beside is None:
        raise NotFound(f"the content of artifact '{path}' went away while it was read", hint="ask again")
    number, temporary = payloads.temporary()
    try:
        with os.fdopen(number, "wb") as out:
            for chunk in Source(pointer, beside).chunks():
                out.write(chunk)
        share(temporary)
        return payloads.place(temporary, pointer)
    except OSError as exc:
        raise DataRefused(f"artifact '{path}' cannot be kept", cause=exc.strerror or str(exc)) from exc
    finally:
        temporary.unlink(missing_ok=True)


def _blob(place: Repo, detail: Detail, file: File) -> Path:
    """Returns a file with the content of a blob, which is a copy that may be deleted at any time.

    Raises DataRefused if it is not what `artifacts.yaml` says: two files could then pass for one."""
    content = read_blob(detail, file)
    name = hashlib.sha256(content).hexdigest()
    folder = place.state_dir / "copies"
    path = folder / name
    try:
        if path.is_file() and not path.is_symlink() and path.read_bytes() == content:
            with contextlib.suppress(OSError):
                os.utime(path)
            return path
        for above in (place.state_dir, folder):
            make_folder(above)
        number, temporary = tempfile.mkstemp(dir=folder, prefix="tmp-")
        try:
            with os.fdopen(number, "wb") as out:
                out.write(content)
                os.fchmod(out.fileno(), 0o444)
            share(Path(temporary))
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as exc:
        raise DataRefused(f"artifact '{file.path}' cannot be kept", cause=exc.strerror or str(exc)) from exc
    return path


def forget_copies(place: Repo, *, before: float) -> None:
    """Deletes the copies of small files that nobody asked for since a time, in Unix seconds."""
    with contextlib.suppress(FileNotFoundError), os.scandir(place.state_dir / "copies") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_mtime < before:
                    os.unlink(entry.path)


def read_blob(detail: Detail, file: File) -> bytes:
    """Returns the content of a file that is a blob of the run; raises DataRefused if it is not what the run says."""
    content = detail.blob(_ROOT + file.path, limit=MAX_BLOB)
    if content is None:
        raise DataRefused(f"artifact '{file.path}' is missing in git", hint="see `git fsck`")
    said = file.item.sha256
    if said and (hashlib.sha256(content).hexdigest() != said or len(content) != file.item.size):
        raise DataRefused(f"artifact '{file.path}' is not what artifacts.yaml says", hint="`git track fsck`")
    return content
