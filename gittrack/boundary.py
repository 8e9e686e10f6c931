"""Where the history of a shallow clone ends, and the runs that lie beside such a clone.

A run's first commit has code as its parent, and in a shallow clone that code may not be there. Then git is told, in the
same file in which it keeps where the user's own history ends, that this commit has no parents here. Archived runs have
no ref, so they need no such line: their objects are in a store of their own that only gittrack reads, so that the
user's `git fetch` does not name 100,000 of them to a server each time, and `git gc` does not throw them away."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gittrack.errors import GitFailed
from gittrack.refname import Oid, is_oid
from gittrack.shared import share

if TYPE_CHECKING:
    from gittrack.git import Git
    from gittrack.objects import Objects

KEEP = "gittrack beside"
_FILE = "shallow"  # git's gitformat-signature and shallow pages: an id a line
_PATIENCE = 5.0  # seconds that somebody else may hold git's lock of it
MAX_COMMIT = (1 << 20) + 64 * 1024


def is_cut(common_dir: Path) -> bool:
    """Tells whether a clone is shallow."""
    try:
        return (common_dir / _FILE).stat().st_size > 0
    except OSError:
        return False


def ends(common_dir: Path) -> frozenset[Oid]:
    """Returns the commits that have no parents here, whatever they say."""
    try:
        lines = (common_dir / _FILE).read_text("ascii", "replace").split()
    except OSError:
        return frozenset()
    return frozenset(Oid(line) for line in lines if is_oid(line))


def end_at(common_dir: Path, new: Collection[Oid], *, no_more: Collection[Oid] = ()) -> None:
    """Has history end at these commits too, and not end any more at others; raises GitFailed.

    Under git's own lock, and durably: a ref to a commit whose parents are missing comes after."""
    path, lock = common_dir / _FILE, common_dir / f"{_FILE}.lock"
    if set(new) <= ends(common_dir) and not set(no_more) & ends(common_dir):
        return
    with _locked(lock) as fd:
        lines = (ends(common_dir) | set(new)) - (set(no_more) - set(new))
        os.write(fd, "".join(f"{oid}\n" for oid in sorted(lines)).encode())
        os.fsync(fd)
        share(lock)
        lock.replace(path)


@contextlib.contextmanager
def _locked(lock: Path) -> Iterator[int]:
    """Yields the open lock file, which is gone afterwards unless it was renamed."""
    deadline = time.monotonic() + _PATIENCE
    fd = _created(lock)
    while fd is None:
        if time.monotonic() > deadline:
            hint = "if no other git is at work here, remove it"
            raise GitFailed("cannot change where history ends", cause=f"'{lock}' is there", hint=hint)
        time.sleep(0.05)
        fd = _created(lock)
    try:
        yield fd
    finally:
        os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            lock.unlink()


def _created(lock: Path) -> int | None:
    with contextlib.suppress(FileExistsError):
        return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    return None


# Beside the clone ---------------------------------------------------------------------------------------------------


def side(common_dir: Path) -> Path:
    """Returns the folder of objects beside a shallow clone."""
    return common_dir / "gittrack" / "side.git" / "objects"


def environment(common_dir: Path) -> dict[str, str]:
    """Returns what lets git read what lies beside a shallow clone; nothing where there is none."""
    path = side(common_dir)
    return {"GIT_ALTERNATE_OBJECT_DIRECTORIES": listed(path)} if path.is_dir() else {}


def listed(path: Path) -> str:
    """Returns a path as an item of a list in which a colon stands between two."""
    text = str(path)
    if ":" not in text:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def parents_of(body: bytes) -> tuple[Oid, ...]:
    """Returns the parents that a commit names."""
    lines = body.partition(b"\n\n")[0].split(b"\n")
    return tuple(Oid(line[7:].decode("ascii", "replace")) for line in lines if line.startswith(b"parent "))


def settle(git: Git, tips: Iterable[Oid]) -> None:
    """Brings commits that are about to get a ref into the clone, with the commits of theirs that lie beside it.

    Else the user's own git would find a ref to what it does not have."""
    common = git.place.common_dir
    if not side(common).is_dir():
        return
    with git.objects() as everything, git.objects(beside=False) as here:
        found, missing = _beside(everything, here, list(tips), ends(common))
    if not found:
        return
    stops = sorted(oid for oid, parents in found.items() if set(parents) & missing)
    end_at(common, stops)
    lines = [f"--shallow {oid}" for oid in {*stops, *ends(common)}]
    above = {parent for parents in found.values() for parent in parents} - found.keys() - missing
    lines += [*(oid for oid in found), *(f"^{oid}" for oid in above)]
    pack = git.ask("pack-objects", "--revs", "--stdout", "-q", input=("\n".join(lines) + "\n").encode())
    git.write_pack(pack, keep=KEEP)


def _beside(
    everything: Objects, here: Objects, tips: Sequence[Oid], stops: Collection[Oid]
) -> tuple[dict[Oid, tuple[Oid, ...]], set[Oid]]:
    """Returns the commits that only lie beside, each with its parents, and the parents that are nowhere.

    stops: commits here that have no parents here."""
    found: dict[Oid, tuple[Oid, ...]] = {}
    missing: set[Oid] = set()
    waiting, seen = list(tips), set(tips)
    while waiting:
        oid = waiting.pop()
        own = here.read(oid, limit=MAX_COMMIT)
        body = own or everything.read(oid, limit=MAX_COMMIT)
        if body is None:
            missing.add(oid)
            continue
        if own is None:
            found[oid] = parents_of(body[2])
        elif oid not in tips or oid in stops:
            continue  # what it stands on was settled when it came, or is not wanted here
        for parent in parents_of(body[2]):
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return found, missing
