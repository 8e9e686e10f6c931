"""The same door for a machine without git: libgit2 reads and compares, and moves refs under git's own locks.

Packs are written here, because pygit2 has no call that does: whole objects, checked, synced, and kept from the `gc` of
a git that comes to the same folder from elsewhere. Of the code only HEAD and whether the tree is dirty are captured:
libgit2 knows no clean filters, so a snapshot by it would be wrong without a word (docs/how-to/without-git.md)."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import pygit2

from gittrack.codec import tree
from gittrack.errors import DataRefused, GitFailed
from gittrack.git import Ref, RefMoved, Update, pause, sync_file, sync_name
from gittrack.libgit import locks
from gittrack.libgit.opening import configured, discover, translated, words
from gittrack.libgit.porcelain import LibPorcelain
from gittrack.objects import MAX_OBJECT, Objects
from gittrack.refname import Kind, Oid, is_oid

LOCK_SECONDS = 5.0  # as long as git waits for a ref that another process holds
_KINDS: Mapping[int, Kind] = {1: "commit", 2: "tree", 3: "blob"}
_SUBMODULE = "160000"
_JOIN = re.compile(rb"^Join: 1$", re.MULTILINE)


class LibGit(LibPorcelain):
    """One repository, through libgit2."""

    discover = staticmethod(discover)

    def create(self) -> None:
        """Makes the bare repository that `place` describes."""
        with configured(self.environ), translated("cannot make a repository"):
            pygit2.init_repository(str(self.place.git_dir), bare=True)

    # Reading --------------------------------------------------------------------------------------------------------

    def refs(self, *prefixes: str) -> list[Ref]:
        """Returns the refs below `prefixes`, sorted by name."""
        repo = self.open()
        names = [os.fsdecode(name) for name in repo.raw_listall_references()]
        found = []
        for name in sorted(names):
            if not prefixes or name.startswith(prefixes):
                with contextlib.suppress(pygit2.GitError, KeyError, ValueError):  # gone meanwhile, or broken
                    found.append(Ref(name, Oid(str(repo.lookup_reference(name).resolve().target))))
        return found

    def resolve(self, revision: str) -> Oid | None:
        """Returns the commit that git's own revision syntax names, or None."""
        if "\0" in revision:
            return None
        with contextlib.suppress(pygit2.GitError, KeyError, ValueError):
            return Oid(str(self.open().revparse_single(revision + "^{commit}").id))
        return None

    def commit_facts(self, oid: Oid) -> tuple[Oid, int]:
        """Returns the tree of a commit, and its commit date in Unix seconds."""
        with translated(f"cannot read commit '{oid}'"):
            commit = self.open()[oid].peel(pygit2.Commit)
            return Oid(str(commit.tree_id)), commit.commit_time

    def objects(self, *, beside: bool = True) -> LibObjects:  # noqa: ARG002 - git alone reads what lies beside
        """Returns a reader of objects; use it as a context manager."""
        return LibObjects(self.open())

    def count(self, tip: Oid, *, without: Oid) -> int:
        """Returns how many commits that are no joins are reachable from `tip` and not from `without`."""
        with translated("cannot compare two versions of a run"):
            walker = self.open().walk(tip)
            walker.hide(without)
            return sum(1 for commit in walker if not _JOIN.search(commit.raw_message))

    def is_ancestor(self, old: Oid, new: Oid) -> bool:
        """Tells whether `old` is reachable from `new`."""
        with contextlib.suppress(pygit2.GitError, KeyError, ValueError):
            return old == new or self.open().descendant_of(new, old)
        return False

    # Writing --------------------------------------------------------------------------------------------------------

    def write_pack(self, pack: bytes, *, keep: str) -> str:
        """Stores a pack durably and protected from gc; returns its name (the hash in `pack-<hash>.pack`).

        Every object is read again and every link followed first."""
        repo = self.open()
        algorithm = self.place.algorithm
        with translated("cannot store a pack"):
            items = tree.decode_pack(pack, algorithm=algorithm)
            here = {item.object.oid for item in items}
            for item in items:
                for oid in _links(item.object, oid_bytes=self.place.oid_bytes):
                    if oid not in here and not repo.odb.exists(oid):
                        raise GitFailed("cannot store a pack", cause=f"it needs {oid}, which is not here")
            index = tree.encode_index(pack, items, algorithm=algorithm)
        return self.store_pack(pack, index, keep=keep)

    def store_pack(self, pack: bytes, index: bytes, *, keep: str) -> str:
        """Stores a pack whose index was made, durably and protected from gc; returns its name.

        It is made under names that nobody reads and renamed, its index last."""
        name = pack[-self.place.oid_bytes :].hex()
        folder = self.place.common_dir / "objects" / "pack"
        folder.mkdir(exist_ok=True)
        home = self.place.common_dir / "gittrack"
        home.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="pack-", dir=home) as private:
            contents = {"keep": keep.encode() + b"\n", "pack": pack, "idx": index}
            for suffix, content in contents.items():
                _write(Path(private, suffix), content)
            if not (folder / f"pack-{name}.idx").exists():
                for suffix in contents:
                    Path(private, suffix).rename(folder / f"pack-{name}.{suffix}")
        sync_name(folder)
        return name

    def pack_objects(self, oids: Iterable[Oid], folder: Path) -> str:
        """Writes objects that are here as one pack, `new-<name>.pack` with its index, durably; returns its name."""
        with translated("cannot merge packs"):
            builder = pygit2.PackBuilder(self.open())
            for oid in oids:
                builder.add(pygit2.Oid(hex=oid))
            builder.write(str(folder))
        made = next(folder.glob("pack-*.idx"))
        for suffix in (".pack", ".idx"):
            sync_file(made.with_suffix(suffix))
            made.with_suffix(suffix).rename(folder / made.with_suffix(suffix).name.replace("pack-", "new-"))
        return made.stem.removeprefix("pack-")

    def update_refs(self, updates: Iterable[Update], *, durable: bool = True) -> None:
        """Changes refs, all or none, each from its expected old value; raises RefMoved if one has another.

        Under `<ref>.lock`, which git takes too; held by another process it is waited for as git does."""
        updates = sorted(updates)
        with locks.turn(self.place.common_dir, [change.ref for change in updates]) as abandoned:
            self._move(updates, abandoned)
        if durable:
            self.sync_refs(change.ref for change in updates if change.new)

    def _move(self, updates: Iterable[Update], abandoned: frozenset[str]) -> None:
        locks.clear(self.place.common_dir, abandoned)
        end = time.monotonic() + LOCK_SECONDS
        attempt = 0
        while True:
            try:
                self._transact(updates)
                return
            except pygit2.GitError as exc:
                held = "lock" in str(exc)
                if not held or (time.monotonic() > end and not locks.clear(self.place.common_dir, abandoned)):
                    raise GitFailed("cannot update a run's ref", cause=words(exc)) from exc
            attempt += 1
            pause(attempt)

    def _transact(self, updates: Iterable[Update]) -> None:
        repo = self.open()
        with repo.transaction() as transaction:
            for change in updates:
                transaction.lock_ref(change.ref)
            for change in updates:
                here = _target(repo, change.ref)
                if here != change.old and (change.new or change.old):
                    raise RefMoved(
                        "cannot update a run's ref",
                        cause=f"{change.ref} is at {here or 'nothing'} but expected at {change.old or 'nothing'}",
                    )
                if change.new is None:
                    if here:
                        transaction.remove(change.ref)
                elif repo.odb.exists(change.new):
                    transaction.set_target(change.ref, change.new)
                else:
                    raise GitFailed("cannot update a run's ref", cause=f"{change.new} is not here")


def _target(repo: pygit2.Repository, ref: str) -> Oid | None:
    with contextlib.suppress(KeyError):
        return Oid(str(repo.lookup_reference(ref).target))
    return None


def _links(item: tree.Object, *, oid_bytes: int) -> list[Oid]:
    """Returns the objects that an object needs; raises ValueError if it is malformed."""
    if item.kind == "blob":
        return []
    if item.kind == "tree":
        return [entry.oid for entry in tree.decode_tree(item.body, oid_bytes=oid_bytes) if entry.mode != _SUBMODULE]
    lines = item.body.partition(b"\n\n")[0].decode("utf-8", "replace").split("\n")
    found = [Oid(line.partition(" ")[2]) for line in lines if line.startswith(("tree ", "parent "))]
    if not lines[0].startswith("tree ") or not all(is_oid(oid) for oid in found):
        raise ValueError(f"commit {item.oid} is malformed")
    return found


def _write(path: Path, content: bytes) -> None:
    """Writes a file that nobody may change, durably."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    with open(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)


class LibObjects(Objects):
    """Reads objects through libgit2."""

    def __init__(self, repo: pygit2.Repository) -> None:  # it starts no process, as its base does
        self._repo = repo

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._repo.free()

    def read(self, name: str, *, limit: int = MAX_OBJECT) -> tuple[Oid, Kind, bytes] | None:
        """Returns id, kind and body of the object that `name` names, or None; raises DataRefused above `limit` bytes.

        The header is read before the object, so a body that is too large is never kept in memory."""
        if "\n" in name or "\0" in name:
            return None
        try:
            oid = pygit2.Oid(hex=name) if is_oid(name) else self._repo.revparse_single(name).id
            kind, size = self._repo.odb.read_header(oid)
        except (pygit2.GitError, KeyError, ValueError):
            return None
        if size > limit:
            raise DataRefused(f"cannot read '{name}'", cause=f"it has {size} bytes; the limit is {limit}")
        with translated("cannot read objects"):
            return Oid(str(oid)), _KINDS.get(int(kind), "blob"), self._repo.odb.read(oid)[1]

    def read_many(
        self, oids: Sequence[str], *, limit: int = MAX_OBJECT
    ) -> Iterator[tuple[Oid, Kind, bytes] | DataRefused | None]:
        """Yields what `read` returns for each id, or the DataRefused that it raises."""
        for oid in oids:
            try:
                yield self.read(oid, limit=limit)
            except DataRefused as exc:
                yield exc
