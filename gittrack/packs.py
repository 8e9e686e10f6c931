"""Our packs in the user's repository: few, kept, and merged; and our refs, packed when they are many.

A pack per finished run, protected by a `.keep` file, is what survives a `git gc --prune=now` beside us. But a
thousand packs make `git status` 3.5 times slower, so beyond 20 of ours the small ones are merged into one."""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from gittrack.errors import GitFailed
from gittrack.git import Git, sync_file, sync_name
from gittrack.refname import Oid, RunId
from gittrack.shared import make_folder, share

MARK = "gittrack "
MAX_PACKS = 20
MAX_LOOSE = 256
RELEASE_BYTES = 64 * 1024 * 1024


def keep_text(what: str) -> str:
    """Returns what a `.keep` file of ours says."""
    return MARK + what


def own_packs(git: Git) -> list[Path]:
    """Returns our kept packs, smallest first."""
    found = []
    folder = git.place.common_dir / "objects" / "pack"
    for keep in folder.glob("pack-*.keep"):
        pack = keep.with_suffix(".pack")
        with contextlib.suppress(OSError):
            if keep.read_bytes().startswith(MARK.encode()):
                found.append((pack.stat().st_size, pack))
    return [pack for _, pack in sorted(found)]


def merge(git: Git) -> int:
    """Merges our smallest packs into one if there are more than 20; returns how many were merged.

    Packs grow geometrically, so that a run is copied a logarithmic number of times. The old packs go after the new
    one is durable; a crash in between leaves objects twice, which git allows. One process at a time: a lock that a
    dead process cannot leave behind."""
    packs = own_packs(git)
    if len(packs) <= MAX_PACKS:
        return 0
    with _locked(git.place.common_dir / "gittrack" / "packs.lock") as locked:
        if not locked:
            return 0
        packs = own_packs(git)
        return _merge(git, _small(packs)) if len(packs) > MAX_PACKS else 0


def _small(packs: list[Path]) -> list[Path]:
    """Returns the longest run of smallest packs of which none is larger than all smaller ones together."""
    sizes = [pack.stat().st_size for pack in packs]
    total = sizes[0]
    for at, size in enumerate(sizes[1:], start=1):
        if size > total and at >= MAX_PACKS // 2:
            return packs[:at]
        total += size
    return packs


def _merge(git: Git, packs: list[Path]) -> int:
    oids = {oid for pack in packs for oid in read_index(pack.with_suffix(".idx").read_bytes(), git.place.oid_bytes)}
    new, size = _write_merged(git, sorted(oids))
    folder = git.place.common_dir / "objects" / "pack"
    for old in packs:
        if old.name == f"pack-{new}.pack":
            continue
        _remove(old)
    if size > RELEASE_BYTES:
        with contextlib.suppress(OSError):
            (folder / f"pack-{new}.keep").unlink()
    sync_name(folder)
    return len(packs)


def _write_merged(git: Git, oids: list[Oid]) -> tuple[str, int]:
    """Writes these objects as one kept pack and returns its name and size.

    Not through index-pack, which would compare each object with the copy that is there already. The pack is made
    under names that nobody reads and renamed, its index last; git has checked these objects when they came."""
    folder = git.place.common_dir / "objects" / "pack"
    home = git.place.common_dir / "gittrack"
    with tempfile.TemporaryDirectory(prefix="pack-", dir=home) as private:
        name = git.pack_objects(oids, Path(private))
        size = Path(f"{private}/new-{name}.pack").stat().st_size
        if not (folder / f"pack-{name}.idx").exists():
            keep = folder / f"pack-{name}.keep"
            keep.write_text(keep_text("merged"), "ascii")
            share(keep)
            sync_file(keep)
            for suffix in ("pack", "rev", "idx"):
                with contextlib.suppress(FileNotFoundError):  # there is no .rev unless git writes them
                    Path(f"{private}/new-{name}.{suffix}").rename(folder / f"pack-{name}.{suffix}")
            sync_name(folder)
    return name, size


def tidy_refs(git: Git) -> bool:
    """Has git pack its refs if more than 256 of ours are files of their own; returns whether it was asked to.

    Every fetch and push of the user's reads each ref and the commit it names: beside 1,000 runs that are on a remote
    too, a fetch takes five times as long. With the refs packed and the commits in git's commit-graph it is less than
    twice. This is git's own housekeeping, which would come by itself only where the user makes loose objects."""
    refs = git.place.common_dir / "refs"
    folders = [refs / "runs", *refs.glob("gittrack/*/runs")]
    if not git.has_executable or sum(map(_count, folders)) <= MAX_LOOSE:
        return False
    git.run("maintenance", "run", "--quiet", "--task=pack-refs", "--task=commit-graph", settings=("core.fsync=all",))
    return True


def _count(folder: Path) -> int:
    try:
        return len(os.listdir(folder))
    except OSError:
        return 0


def drop(git: Git, runs: Iterable[RunId]) -> None:
    """Gives the room of runs back that are not in this repository any more; only for the detached store.

    A run's own packs hold nothing that another run needs. Merged ones are written again without what nobody names:
    kept ones are left alone by git, and so is whatever another process is writing now."""
    texts = {keep_text(run) for run in runs}
    with _locked(git.place.common_dir / "gittrack" / "packs.lock") as locked:
        if not locked or not texts:
            return
        merged = []
        for pack in own_packs(git):
            said = pack.with_suffix(".keep").read_text("utf-8").rstrip("\n")
            if said in texts:
                _remove(pack)
            elif said == keep_text("merged"):
                merged.append(pack)
        for pack in merged:
            pack.with_suffix(".keep").unlink()
        if merged:
            git.ask("repack", "-a", "-d", "-q")


def mend(git: Git, names: Iterable[str] | None = None) -> int:
    """Writes the index of packs again that lost it; returns how many. `names`: which packs, by default all.

    A `git gc` that lists the folder while a pack is put there can miss the pack, take its index for one that was left
    behind, and remove that, the `.keep` too. The pack itself stays, and so does all that is in it."""
    folder = git.place.common_dir / "objects" / "pack"
    if not git.has_executable:
        return 0
    found = (
        [folder / f"pack-{name}.pack" for name in names] if names is not None else sorted(folder.glob("pack-*.pack"))
    )
    lost = [pack for pack in found if pack.exists() and not pack.with_suffix(".idx").exists()]
    for pack in lost:
        git.ask("index-pack", f"--keep={keep_text('mended')}", str(pack), settings=("core.fsync=all",))
    return len(lost)


def leave_out(git: Git, gone: Collection[Oid], *, still: Callable[[], bool]) -> None:
    """Writes our packs that hold some objects again without them.

    still: asked when the new pack is there, whether the objects are not needed even now; the old ones stay if not."""
    with _locked(git.place.common_dir / "gittrack" / "packs.lock") as locked:
        if not locked:
            return
        holding = {}
        for pack in own_packs(git):
            oids = set(read_index(pack.with_suffix(".idx").read_bytes(), git.place.oid_bytes))
            if not oids.isdisjoint(gone):
                holding[pack] = oids
        rest = {oid for oids in holding.values() for oid in oids}.difference(gone)
        new = _write_merged(git, sorted(rest))[0] if rest else None
        if still():
            for pack in holding:
                if pack.name != f"pack-{new}.pack":
                    _remove(pack)
        sync_name(git.place.common_dir / "objects" / "pack")


def _remove(pack: Path) -> None:
    # git opens a pack through its index: first the index goes, then what it names.
    for suffix in (".idx", ".rev", ".bitmap", ".pack", ".keep"):
        with contextlib.suppress(OSError):
            pack.with_suffix(suffix).unlink()


def read_index(raw: bytes, oid_bytes: int) -> list[Oid]:
    """Returns the ids in a pack's index (git's gitformat-pack, version 2): sorted, after a table of 256 counts."""
    if raw[:8] != b"\xfftOc\0\0\0\2":
        raise GitFailed("cannot read a pack's index", cause="it is not of version 2")
    (count,) = struct.unpack_from(">I", raw, 8 + 255 * 4)
    start = 8 + 256 * 4
    return [Oid(raw[at : at + oid_bytes].hex()) for at in range(start, start + count * oid_bytes, oid_bytes)]


@contextlib.contextmanager
def _locked(path: Path):  # type: ignore[no-untyped-def] # noqa: ANN202 - a context manager of bool
    """Yields whether this process holds the lock."""
    try:
        import fcntl  # noqa: PLC0415 - not on every system

        make_folder(path.parent)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        share(path)
    except (ImportError, OSError):
        yield False
        return
    with os.fdopen(fd, "rb+", buffering=0):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
