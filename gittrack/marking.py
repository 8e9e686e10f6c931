"""Which payloads something still needs.

A payload is named by a pointer, and a pointer has one encoding, so git's id of its blob is known without reading it.
What git can reach is therefore asked for by id alone: no blob is opened, and in a partial clone none is fetched.
Where what can be reached cannot be told, this fails, and whoever asked deletes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

from gittrack import archives, boundary, freeing, journal
from gittrack.codec import frame, tree
from gittrack.codec.pointer import Pointer, encode_pointer
from gittrack.commits import read_commit
from gittrack.errors import GitFailed
from gittrack.git import Git
from gittrack.objects import Objects
from gittrack.refname import LOCAL, RUNS, Oid, archive_of

_CHUNK = 1 << 20
_WALK = ("rev-list", "--objects", "--no-object-names", "--missing=print", "--stdin", "--reflog", "--indexed-objects")


def needed(
    git: Git, pointers: Collection[Pointer], *, without: Collection[str] = (), tips: Collection[Oid] = ()
) -> set[Pointer]:
    """Returns those of some payloads that a ref, a reflog, a work tree or a run that is not sealed yet needs.

    without: refs that do not count; tips: commits that do, besides. Raises GitFailed, DataRefused or OSError if it
    cannot be told."""
    # The journals first: a run that is sealed between the two has its ref when the refs are read.
    names = noted(git.place.common_dir)
    found = {pointer for pointer in pointers if pointer.sha256 in names}
    return found | named(git, set(pointers) - found, without=without, tips=tips)


def noted(common_dir: Path) -> set[str]:
    """Returns the hashes of all files that runs note which have not ended, or whose end could not be written yet.

    Raises OSError if a journal cannot be read."""
    found: set[str] = set()
    for root in (journal.live_root(common_dir), journal.sealed_root(common_dir)):
        for path in (path for folder in journal.run_folders(root) for path in folder.glob("*.journal")):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:  # gone: it was sealed meanwhile
                notes = frame.decode(iter(lambda: file.read(_CHUNK), b"")).notes
                found.update(str(note["sha256"]) for note in notes if "sha256" in note)
    return found


def named(
    git: Git, pointers: Collection[Pointer], *, without: Collection[str] = (), tips: Collection[Oid] = ()
) -> set[Pointer]:
    """Returns those of some payloads to which git reaches a pointer; arguments and errors as those of `needed`."""
    if not pointers:
        return set()
    if not git.has_executable:
        raise GitFailed("which payloads are needed cannot be told without git", hint="install git 2.36 or newer")
    algorithm = git.place.algorithm
    by_oid = {tree.make_object("blob", encode_pointer(one), algorithm=algorithm).oid.encode(): one for one in pointers}
    skipped = set(without)
    starts = sorted({*(ref.oid for ref in git.refs() if ref.name not in skipped), *tips})
    listing = "".join(f"{oid}\n" for oid in [*starts, *_beside(git)]).encode()
    heads = tuple(freeing.heads(git))
    missing = False
    found: set[Pointer] = set()
    for line in _walked(git, *heads, listing=listing):
        missing |= line.startswith(b"?")
        if line.removeprefix(b"?") in by_oid:
            found.add(by_oid[line.removeprefix(b"?")])
    if missing and any(
        line.startswith(b"?") for line in _walked(git, "--filter=blob:none", *heads, listing=listing)
    ):  # not only files, whose ids are known all the same
        raise GitFailed(
            "which payloads are needed cannot be told",
            cause="folders or commits are not in this clone",
            hint="see `git fsck`",
        )
    return found


def _walked(git: Git, *words: str, listing: bytes) -> list[bytes]:
    """Returns the ids of what can be reached; `?` stands before what is not here."""
    return git.ask(*_WALK, *words, input=listing, env={"GIT_NO_LAZY_FETCH": "1"}).split()


def _beside(git: Git) -> Iterator[Oid]:
    """Yields the trees of archived runs that lie beside a shallow clone: git thinks that archives have no parents."""
    if not boundary.is_cut(git.place.common_dir):
        return
    refs = git.refs(RUNS, LOCAL)
    tips = {ref.oid for ref in refs if archive_of(ref.name)} | set(archives.mirrored(refs).values())
    size = git.place.oid_bytes
    with git.objects() as objects:
        batches = {batch for tip in tips for batch in archives.read(objects, tip, oid_bytes=size).batches}
        listed = archives.entries(objects, sorted(batches), oid_bytes=size)
        yield from _trees(objects, {oid for _, runs in listed for oid in runs.values()})


def _trees(objects: Objects, commits: Collection[Oid]) -> Iterator[Oid]:
    """Yields the tree of each commit of some runs, down to their first ones."""
    waiting, seen = list(commits), set(commits)
    while waiting:
        commit = read_commit(objects, waiting.pop())
        yield commit.tree
        for parent in commit.parents:
            if parent not in seen and _is_run(objects, parent):
                seen.add(parent)
                waiting.append(parent)


def _is_run(objects: Objects, oid: Oid) -> bool:
    found = objects.read(oid, limit=boundary.MAX_COMMIT)
    return found is not None and b"\nRecord: " in found[2]
