"""Brings runs home that were recorded outside of their repository.

They come as one kept pack, are checked like runs from a stranger, and leave the detached store only when the
repository has them durably. So this can be killed at any moment and run again: no run is lost, none is there twice."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gittrack import commits, packs, store, sweeping, values
from gittrack.codec import manifest, tree
from gittrack.codec.tree import Entry, Object
from gittrack.errors import DataRefused, GittrackError
from gittrack.git import Git, Update
from gittrack.index import live
from gittrack.index.listing import Index
from gittrack.model import Run
from gittrack.objects import Objects
from gittrack.payloads import Payloads, digest_of
from gittrack.refname import Oid, RunId, run_ref
from gittrack.sync import enclosing, taking

PACK_BYTES = 64 * 1024 * 1024  # of artifacts that are moved at a time
PACK_RUNS = 500


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run in the detached store, and the folder that it was recorded in."""

    run: Run
    tip: Oid
    folder: str | None


def has_any(source: Git) -> bool:
    """Tells whether the detached store may hold a run; a wrong yes only costs a look."""
    if live.has_any(source) or (source.place.common_dir / "packed-refs").exists():
        return True
    try:
        with os.scandir(source.place.common_dir / "refs" / "runs") as found:
            return any(found)
    except OSError:
        return False


def waiting(source: Git) -> list[Waiting]:
    """Returns the runs in the detached store that have ended, newest first."""
    found: list[Waiting] = []
    if not has_any(source):
        return found
    ended = [(run, run.oid) for run in Index(source).runs() if run.oid is not None]
    with source.objects() as objects:
        for run, tip in ended:
            raw = objects.read(f"{tip}:run.yaml", limit=store.MAX_YAML)
            folder = manifest.decode_run(raw[2]).get("folder") if raw else None
            found.append(Waiting(run, tip, folder if isinstance(folder, str) else None))
    return found


def fitting(git: Git, found: Sequence[Waiting]) -> list[Waiting]:
    """Returns those that belong to this repository: recorded in one of its folders, or with code that it has."""
    roots = {git.place.work_tree, git.place.git_dir, git.place.common_dir} - {None}
    known: dict[Oid, bool] = {}
    chosen = []
    for item in found:
        inside = any(_is_inside(item.folder, root) for root in roots if root)
        commit = item.run.code.commit
        if not inside and commit is not None and commit not in known:
            known[commit] = git.has_object(commit)
        if inside or (commit is not None and known.get(commit)):
            chosen.append(item)
    return chosen


def _is_inside(folder: str | None, root: Path) -> bool:
    """Tells whether a folder is the root or below it, with no other repository in between."""
    top = values.clean_text(str(root))
    if folder is None or (folder != top and not folder.startswith(top.rstrip("/") + "/")):
        return False
    between = [part for part in folder[len(top) :].split("/") if part]
    return not any(os.path.lexists(root.joinpath(*between[:depth], ".git")) for depth in range(1, len(between) + 1))


def adopt(git: Git, source: Git, chosen: Sequence[Waiting]) -> Iterator[tuple[Waiting, GittrackError | None]]:
    """Moves runs from the detached store into the repository; yields each when it is done, or with why it was refused.

    Raises GitFailed or RefMoved if the repository cannot take runs at all; then those that were not yielded stay."""
    done: list[RunId] = []
    for part in _parts(chosen):
        _bring_payloads(git, source, part)
        tips = _transfer(git, source, [item.tip for item in part])
        outcome = taking.take_in(git, [(item.run.id, tips[item.tip]) for item in part])
        for item in part:
            error = next((error for error in outcome.refused if item.run.id in str(error)), None)
            if error is None:
                error = _let_go(source, item)
                done.append(item.run.id)
            yield item, error
    with contextlib.suppress(GittrackError, OSError):  # the runs are home; what is left there is only room
        packs.merge(git)
        packs.drop(source, done)
        sweeping.sweep(source, Payloads(source.place.common_dir), now=time.time())  # those of earlier adoptions


def _bring_payloads(git: Git, source: Git, part: Sequence[Waiting]) -> None:
    """Makes the payloads of runs those of the repository, where they are missing; raises DataRefused.

    Where both are on one file system they are linked, and no byte is copied. What is damaged stays where it is: the
    run says that it has it, and `fsck` that it is not here."""
    here, there = Payloads(git.place.common_dir), Payloads(source.place.common_dir)
    found = enclosing.of_runs(source, [(item.run.id, item.tip) for item in part], there={})
    for pointer in {pointer for paths in found.values() for pointer in paths}:
        path = there.own(pointer)
        if path is None or here.use(pointer):
            continue
        try:
            if digest_of(path) == pointer:
                here.file(path, pointer)
        except OSError as exc:
            raise DataRefused("a payload cannot be moved into the repository", cause=exc.strerror or str(exc)) from exc


def _parts(chosen: Sequence[Waiting]) -> Iterator[list[Waiting]]:
    """Yields the runs in parts that fit in memory as a pack."""
    part: list[Waiting] = []
    size = 0
    for item in chosen:
        if part and (len(part) == PACK_RUNS or size + item.run.artifact_size > PACK_BYTES):
            yield part
            part, size = [], 0
        part.append(item)
        size += item.run.artifact_size
    if part:
        yield part


def _let_go(source: Git, item: Waiting) -> GittrackError | None:
    """Takes a run out of the detached store; one that was edited there meanwhile stays, and is moved the next time."""
    try:
        source.update_refs([Update(run_ref(item.run.id), None, item.tip)])
    except GittrackError as exc:
        return GittrackError(f"run '{item.run.id}' is here, and stays in the detached store too", cause=exc.cause)
    return None


def _transfer(git: Git, source: Git, tips: Sequence[Oid]) -> Mapping[Oid, Oid]:
    """Stores the commits and all they need in the repository, protected from gc; returns their ids there."""
    if source.place.algorithm != git.place.algorithm:
        objects, names = _translated(git, source, tips)
        pack = tree.encode_pack(objects, algorithm=git.place.algorithm)
    else:
        names = {tip: tip for tip in tips}
        listing = "".join(f"{tip}\n" for tip in tips).encode()
        pack = source.ask("pack-objects", "--revs", "--stdout", "-q", input=listing)
    git.write_pack(pack, keep=packs.keep_text("adopted"))
    return names


# Into a repository with another object format ------------------------------------------------------------------------


def _translated(git: Git, source: Git, tips: Sequence[Oid]) -> tuple[list[Object], dict[Oid, Oid]]:
    """Returns the objects of runs under the ids of the repository's object format, and which became which.

    A signature speaks of the old ids, and does not come along."""
    made: list[Object] = []
    names: dict[Oid, Oid] = {}
    listing = "".join(f"{tip}\n" for tip in tips).encode()
    with source.objects() as objects:
        for oid in source.ask("rev-list", "--topo-order", "--reverse", "--stdin", input=listing).decode().split():
            commit = commits.read_commit(objects, oid)
            head, _, message = _read(objects, commit.oid).partition(b"\n\n")
            root = _translate_tree(git, source, objects, commit.tree, names, made)
            parents = [names[parent] for parent in commit.parents]
            people = [line for line in head.split(b"\n") if line.startswith((b"author ", b"committer "))]
            lines = [f"tree {root}".encode(), *(f"parent {parent}".encode() for parent in parents), *people]
            body = b"\n".join(lines) + b"\n\n" + message
            made.append(tree.make_object("commit", body, algorithm=git.place.algorithm))
            names[commit.oid] = made[-1].oid
    return made, names


def _translate_tree(  # noqa: PLR0917 - one recursion, and all of it is its state
    git: Git, source: Git, objects: Objects, oid: Oid, names: dict[Oid, Oid], made: list[Object]
) -> Oid:
    if oid not in names:
        entries = []
        for entry in tree.decode_tree(_read(objects, oid), oid_bytes=source.place.oid_bytes):
            if entry.mode in (tree.FOLDER, "040000"):
                below = _translate_tree(git, source, objects, entry.oid, names, made)
            else:
                if entry.oid not in names:
                    made.append(store.blob(git, _read(objects, entry.oid)))
                    names[entry.oid] = made[-1].oid
                below = names[entry.oid]
            entries.append(Entry(entry.mode, entry.name, below))
        made.append(tree.make_object("tree", tree.encode_tree(entries), algorithm=git.place.algorithm))
        names[oid] = made[-1].oid
    return names[oid]


def _read(objects: Objects, oid: Oid) -> bytes:
    found = objects.read(oid)
    if found is None:
        raise DataRefused(f"object '{oid}' is missing in the detached store", hint="see `git fsck` there")
    return found[2]
