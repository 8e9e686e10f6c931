"""What a shallow or partial clone needs besides a fetch: archived runs, and files that a filter left out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from gittrack import boundary, remote, shallows
from gittrack.archives import Shelf
from gittrack.errors import DataRefused
from gittrack.git import Git
from gittrack.refname import Oid, RunId, archive_of, mirror_prefix
from gittrack.settings import Settings, read_settings
from gittrack.shared import share
from gittrack.transfer import Progress

_A_FETCH = 2000  # ids on one command line
_ROUNDS = 8  # a tree, the trees below it, their files; a server that ignores filters needs one


def tips(git: Git, name: str) -> dict[str, Oid]:
    """Returns what the mirror of a remote has."""
    return {ref.name: ref.oid for ref in git.refs(mirror_prefix(name))}


def complete(git: Git, name: str, before: Collection[Oid], *, progress: Progress | None = None) -> None:
    """Brings what a plain fetch of runs left out: `before` are the tips that its mirror had; raises RemoteError."""
    if not git.has_executable:
        return
    if boundary.is_cut(git.place.common_dir):
        _bring_archived(git, name, progress=progress)
        return
    store = boundary.side(git.place.common_dir).parent
    if store.is_dir():  # the clone is whole now: `git fetch --unshallow` was here, and a fetch of ours
        _let_go(git, store)
    complete_files(git, name, before, progress=progress)


def complete_files(git: Git, name: str, before: Collection[Oid], *, progress: Progress | None = None) -> None:
    """Brings the files of runs that a partial clone left out; `before` as that of `complete`."""
    known = read_settings(git)
    if is_partial(known) and not boundary.is_cut(git.place.common_dir):
        _bring_files(git, name, before, known, progress=progress)


def is_partial(known: Settings) -> bool:
    """Tells whether a clone leaves objects out until they are asked for."""
    return "extensions.partialclone" in known.values or any(
        key.startswith("remote.") and key.endswith(".promisor") for key in known.values
    )


def _let_go(git: Git, store: Path) -> None:
    git.environ.pop("GIT_ALTERNATE_OBJECT_DIRECTORIES", None)
    shutil.rmtree(store, ignore_errors=True)


def _archived(git: Git, mirror: dict[str, Oid], prefix: str) -> dict[Oid, RunId]:
    """Returns the archived runs in a mirror; one that cannot be read is left out, and named later."""
    found: dict[Oid, RunId] = {}
    names = {clone: oid for ref, oid in mirror.items() if (clone := archive_of(ref, prefix=prefix))}
    for clone, tip in names.items():
        try:
            shelf = Shelf(git, tips={clone: tip})
            found |= {oid: run for run, oids in shelf.runs.items() for oid in oids}
        except DataRefused:
            continue
    return found


def _bring_archived(git: Git, name: str, *, progress: Progress | None) -> None:
    prefix = mirror_prefix(name)
    mirror = tips(git, name)
    done = boundary.side(git.place.common_dir).parent / "complete"
    wanted = {oid for ref, oid in mirror.items() if archive_of(ref, prefix=prefix)}
    if wanted <= _read(done):
        return
    shallows.gather(git, _archived(git, mirror, prefix), remote.shallow_bring(git, name, progress=progress))
    new = done.with_name(f"complete.{os.getpid()}")
    new.write_text("".join(f"{oid}\n" for oid in sorted(_read(done) | wanted)), "ascii")
    share(new)
    new.replace(done)


def _read(file: Path) -> set[Oid]:
    """Returns the archives whose runs are all here."""
    try:
        return {Oid(line) for line in file.read_text("ascii", "replace").split()}
    except OSError:
        return set()


def _bring_files(git: Git, name: str, before: Collection[Oid], known: Settings, *, progress: Progress | None) -> None:
    """Brings the files of the runs that are new in a mirror, in a few requests and nothing of the code's."""
    prefix = mirror_prefix(name)
    new = {ref: oid for ref, oid in tips(git, name).items() if oid not in before}
    _bring_trees(git, name, set(new.values()), known, progress=progress)
    if any(archive_of(ref, prefix=prefix) for ref in new):
        _bring_trees(git, name, set(_archived(git, new, prefix)), known, progress=progress)


def _bring_trees(git: Git, name: str, commits: Collection[Oid], known: Settings, *, progress: Progress | None) -> None:
    for _ in range(_ROUNDS):
        missing = _missing(git, commits)
        if not missing:
            return
        for at in range(0, len(missing), _A_FETCH):
            remote.bring_objects(git, name, missing[at : at + _A_FETCH], known=known, progress=progress)


def _missing(git: Git, commits: Collection[Oid]) -> list[Oid]:
    """Returns what is not here of the trees of some commits, as far as it is known yet."""
    env = {"GIT_NO_LAZY_FETCH": "1"}  # git < 2.39.4 does not know it, and fetches one by one
    with git.objects() as objects:
        asked = objects.read_many(sorted(commits), limit=boundary.MAX_COMMIT)
        bodies = [raw[2] for raw in asked if isinstance(raw, tuple) and raw[1] == "commit"]
    roots = sorted({Oid(body[5:].partition(b"\n")[0].decode("ascii", "replace")) for body in bodies})
    given = "".join(f"{oid}\n" for oid in roots).encode()
    lines = git.run("cat-file", "--batch-check=%(objecttype)", input=given, env=env).stdout.decode().splitlines()
    missing = [oid for oid, line in zip(roots, lines, strict=False) if line.endswith("missing")]
    if missing or not roots:  # git does not look below what it lacks
        return missing
    found = git.run("rev-list", "--objects", "--missing=print", "--stdin", input=given, env=env).stdout.splitlines()
    return sorted({Oid(line[1:].decode()) for line in found if line.startswith(b"?")})
