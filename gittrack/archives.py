"""Archives: many old runs behind one ref, so that no push of anybody carries them all (docs/format.md, chapter 14).

An archive's commits have the runs' commits as parents, and its newest tree lists every run. Each clone writes one of
its own and keeps those of others; together they are a shelf."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from gittrack import capture, packs
from gittrack.codec import archive, tree
from gittrack.codec.tree import Entry, Object
from gittrack.commits import Commit, read_commit
from gittrack.errors import DataRefused
from gittrack.git import Git, Ref
from gittrack.lineage import Lineage
from gittrack.objects import Objects
from gittrack.refname import ARCHIVES, LOCAL, Oid, RunId, archive_of, is_clone_id, is_oid, run_ref

_MAX_TREE = 16 << 20
_FEW = 50  # runs that are looked for one by one


@dataclass(frozen=True, slots=True)
class Archive:
    """What the newest commit of an archive says: the batches that list its runs, and the runs that are gone."""

    tip: Oid
    batches: frozenset[Oid] = frozenset()
    deleted: frozenset[RunId] = frozenset()
    purged: frozenset[RunId] = frozenset()


def read(objects: Objects, tip: Oid, *, oid_bytes: int) -> Archive:
    """Returns what an archive holds; raises DataRefused."""
    try:
        return _read(objects, tip, oid_bytes=oid_bytes)
    except DataRefused as exc:
        exc.message = f"archive commit '{tip}' is refused: {exc.message}"
        raise


def _read(objects: Objects, tip: Oid, *, oid_bytes: int) -> Archive:
    commit = read_commit(objects, tip)
    if archive.clone_of(commit.message) is None:
        raise DataRefused("it is no archive")
    root = {entry.name: entry for entry in _folder(objects, commit.tree, oid_bytes=oid_bytes)}
    lists = [
        archive.decode_ids(_blob(objects, root[name].oid, limit=archive.MAX_LIST_BYTES)) if name in root else None
        for name in (archive.DELETED, archive.PURGED)
    ]
    batches: set[Oid] = set()
    if archive.RUNS in root:
        shards = _folder(objects, root[archive.RUNS].oid, oid_bytes=oid_bytes)
        for shard, raw in zip(shards, objects.read_many([each.oid for each in shards], limit=_MAX_TREE), strict=True):
            for entry in _entries_of(raw, shard.oid, oid_bytes=oid_bytes):
                batch = archive.batch_of(f"{archive.RUNS}/{shard.name}/{entry.name}")
                if batch != entry.oid:
                    raise DataRefused("an archive has a batch under another name than its id", cause=entry.name[:100])
                batches.add(batch)
    return Archive(commit.oid, frozenset(batches), lists[0] or frozenset(), lists[1] or frozenset())


def _folder(objects: Objects, oid: Oid, *, oid_bytes: int) -> list[Entry]:
    return _entries_of(objects.read(oid, limit=_MAX_TREE), oid, oid_bytes=oid_bytes)


def _entries_of(raw: object, oid: Oid, *, oid_bytes: int) -> list[Entry]:
    if isinstance(raw, DataRefused):
        raise raw
    if not isinstance(raw, tuple) or raw[1] != "tree":
        raise DataRefused(f"tree '{oid}' is missing", hint="see `git fsck`")
    try:
        return tree.decode_tree(raw[2], oid_bytes=oid_bytes)
    except ValueError as exc:
        raise DataRefused(f"tree '{oid}' is malformed") from exc


def _blob_of(git: Git, content: bytes) -> Object:
    return tree.make_object("blob", content, algorithm=git.place.algorithm)


def _blob(objects: Objects, oid: Oid, *, limit: int) -> bytes:
    found = objects.read(oid, limit=limit)
    if found is None or found[1] != "blob":
        raise DataRefused(f"blob '{oid}' is missing", hint="see `git fsck`")
    return found[2]


def entries(
    objects: Objects, batches: Sequence[Oid], *, oid_bytes: int, lenient: bool = False
) -> list[tuple[Oid, dict[RunId, Oid]]]:
    """Returns for each batch the runs that it lists, and the commit of each; raises DataRefused.

    lenient: leaves out what cannot be read. All at once, for git answers one question after the other."""
    found: list[tuple[Oid, dict[RunId, Oid]]] = []
    asked = objects.read_many(batches, limit=archive.MAX_BATCH_BYTES)
    for batch, raw in zip(batches, asked, strict=True):
        try:
            if isinstance(raw, DataRefused):
                raise raw
            if raw is None or raw[1] != "blob":
                raise DataRefused(f"blob '{batch}' is missing", hint="see `git fsck`")
            listed = archive.decode_entries(raw[2], oid_bytes=oid_bytes)
        except DataRefused:
            if not lenient:
                raise
            continue
        found.append((batch, listed))
    return found


def walk(objects: Objects, tip: Oid, *, without: Collection[Oid] = ()) -> Iterator[Commit]:
    """Yields the commits of an archive, newest first, down to those in `without`; each before all of its parents."""
    waiting, seen, order = [(tip, False)], set(without), []
    while waiting:
        oid, is_done = waiting.pop()
        if is_done:
            order.append(read_commit(objects, oid))
        elif oid not in seen:
            seen.add(oid)
            waiting.append((oid, True))
            waiting += [(parent, False) for parent in _archive_parents(objects, oid) if parent not in seen]
    yield from reversed(order)


def _archive_parents(objects: Objects, oid: Oid) -> list[Oid]:
    """Returns the parents of an archive's commit that are archives too: they come before the runs."""
    found: list[Oid] = []
    for parent in read_commit(objects, oid).parents:
        try:
            is_archive = archive.clone_of(read_commit(objects, parent).message) is not None
        except DataRefused:  # cut off in a shallow clone, or a stranger's
            break
        if not is_archive:
            break
        found.append(parent)
    return found


def parents(objects: Objects, tip: Oid, *, without: Collection[Oid]) -> set[Oid]:
    """Returns the commits that an archive keeps, down to its commits in `without`."""
    return {parent for commit in walk(objects, tip, without=without) for parent in commit.parents}


class Shelf:
    """All archives that are known in one place, as one: those of this clone, or those that a remote has."""

    def __init__(self, git: Git, prefix: str = ARCHIVES, *, tips: Mapping[str, Oid] | None = None) -> None:
        """prefix: `refs/runs/archive/`, or the same in the mirror of a remote; tips: if the caller knows them."""
        self._git = git
        self._prefix = prefix
        if tips is not None:
            self.__dict__["tips"] = dict(tips)

    @cached_property
    def tips(self) -> dict[str, Oid]:
        """The newest commit of each archive, by clone."""
        found = ((ref.name.removeprefix(self._prefix), ref.oid) for ref in self._git.refs(self._prefix))
        return {clone: oid for clone, oid in found if is_clone_id(clone)}

    @cached_property
    def archives(self) -> dict[str, Archive]:
        """Each archive, by clone; what cannot be read is left out."""
        found: dict[str, Archive] = {}
        if not self.tips:
            return found
        with self._git.objects() as objects:
            for clone, tip in self.tips.items():
                try:
                    found[clone] = read(objects, tip, oid_bytes=self._git.place.oid_bytes)
                except DataRefused:
                    continue
        return found

    @cached_property
    def batches(self) -> frozenset[Oid]:
        """What lists the runs of all of them."""
        return frozenset(batch for each in self.archives.values() for batch in each.batches)

    @cached_property
    def deleted(self) -> frozenset[RunId]:
        """The runs that are gone."""
        return frozenset(run for each in self.archives.values() for run in each.deleted)

    @cached_property
    def purged(self) -> frozenset[RunId]:
        """The runs that were taken out of archives."""
        return frozenset(run for each in self.archives.values() for run in each.purged)

    @cached_property
    def runs(self) -> dict[RunId, frozenset[Oid]]:
        """Every run that is listed, with the commits that it is listed with; those that are gone are not."""
        found: dict[RunId, frozenset[Oid]] = {}
        if not self.batches:
            return found
        with self._git.objects() as objects:
            size = self._git.place.oid_bytes
            for _, listed in entries(objects, sorted(self.batches), oid_bytes=size, lenient=True):
                for run, oid in listed.items():
                    before = found.get(run)
                    found[run] = frozenset((oid,)) if before is None else before | {oid}
        for run in self.deleted:
            found.pop(run, None)
        return found

    def of(self, runs: Collection[RunId]) -> dict[RunId, frozenset[Oid]]:
        """Returns the same of some runs."""
        if not runs or not self.batches:
            return {}
        if len(runs) > _FEW or "runs" in self.__dict__:
            return {run: self.runs[run] for run in runs if run in self.runs}
        return self.listed([run for run in runs if run not in self.deleted])

    def listed(self, runs: Collection[RunId]) -> dict[RunId, frozenset[Oid]]:
        """Returns the commits that a few runs are listed with, though they may be gone."""
        found: dict[RunId, frozenset[Oid]] = {}
        wanted = {b"%s " % run.encode(): run for run in runs}
        size = 2 * self._git.place.oid_bytes
        with self._git.objects() as objects:
            for raw in objects.read_many(sorted(self.batches), limit=archive.MAX_BATCH_BYTES):
                body = raw[2] if isinstance(raw, tuple) else b""
                for mark, run in wanted.items():
                    at = body.find(mark)
                    oid = body[at + len(mark) :][:size].decode("ascii", "replace") if at >= 0 else ""
                    if is_oid(oid) and (not at or body[at - 1 : at] == b"\n"):
                        found[run] = found.get(run, frozenset()) | {Oid(oid)}
        return found


def find(git: Git, run: RunId) -> tuple[Oid | None, Oid | None]:
    """Returns the commit that a run's ref names, and the newest commit of the run: that one, or an archived one."""
    ref = git.resolve(run_ref(run))
    if ref is not None:
        return ref, ref
    listed = Shelf(git).of([run]).get(run)
    if not listed:
        return None, None
    with git.objects() as objects:
        return None, Lineage(objects).newest(run, listed)


def mirrored(refs: Iterable[Ref]) -> dict[tuple[str, str], Oid]:
    """Returns the archives that were seen on remotes: (prefix of the mirror, clone) to commit; refs: where to look."""
    found: dict[tuple[str, str], Oid] = {}
    for ref in refs:
        head, slash, _ = ref.name.partition("/runs/")
        clone = archive_of(ref.name, prefix=head + slash)
        if clone and slash and head.startswith(LOCAL):
            found[head + slash, clone] = ref.oid
    return found


# Writing ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draft:
    """Commits of an archive that are not written yet: all objects, and the newest commit."""

    objects: tuple[Object, ...]
    tip: Oid


def extended(
    git: Git,
    clone: str,
    tip: Oid | None,
    runs: Sequence[tuple[RunId, Oid, int]],
    *,
    deleted: Iterable[RunId] = (),
    purged: Iterable[RunId] = (),
) -> Draft:
    """Returns an archive with more runs, each (id, commit, commit date in Unix seconds), and more that are gone.

    The runs are taken by commit date: git walks archives that are out of this order for hours."""
    with git.objects() as objects:
        before = read(objects, tip, oid_bytes=git.place.oid_bytes) if tip else Archive(Oid(""))
        time = read_commit(objects, tip).time if tip else 0
    gone = before.deleted | frozenset(deleted) | frozenset(purged)
    taken_out = before.purged | frozenset(purged)
    ordered = sorted(runs, key=lambda run: (run[2], run[0]))
    parts = [ordered[at : at + archive.MAX_PARENTS] for at in range(0, len(ordered), archive.MAX_PARENTS)] or [[]]
    batches = set(before.batches)
    made: list[Object] = []
    for part in parts:
        parents = [*([tip] if tip else []), *dict.fromkeys(oid for _, oid, _ in part)]
        time = max([time, *(date for _, _, date in part)])
        listed = {run: oid for run, oid, _ in part}
        objects_of, tip = composed(
            git, clone, parents, batches, [listed] if listed else [], gone=(gone, taken_out), time=time, count=len(part)
        )
        made += objects_of
    return Draft(tuple(made), tip or Oid(""))


def united(git: Git, clone: str, left: Oid, right: Oid) -> Draft:
    """Returns the union of two versions of an archive: a commit with both as parents, the same wherever it is made."""
    with git.objects() as objects:
        sides = [read(objects, oid, oid_bytes=git.place.oid_bytes) for oid in (left, right)]
        time = max(read_commit(objects, oid).time for oid in (left, right))
    batches = set(sides[0].batches | sides[1].batches)
    deleted, purged = sides[0].deleted | sides[1].deleted, sides[0].purged | sides[1].purged
    made, tip = composed(git, clone, sorted((left, right)), batches, [], gone=(deleted, purged), time=time, count=0)
    return Draft(tuple(made), tip)


def composed(
    git: Git,
    clone: str,
    parents: Sequence[Oid],
    batches: set[Oid],
    new: Sequence[Mapping[RunId, Oid]],
    *,
    gone: tuple[Iterable[RunId], Iterable[RunId]],
    time: int,
    count: int,
) -> tuple[list[Object], Oid]:
    """Returns the objects of one commit of an archive, and its id; adds its new batches to `batches`.

    gone: the runs that are deleted, and the purged ones among them; count: how many runs are among the parents."""
    files: dict[str, Object | Entry] = {}
    for listed in new:
        batch = _blob_of(git, archive.encode_entries(listed))
        batches.add(batch.oid)
        files[archive.batch_path(batch.oid)] = batch
    for oid in batches:
        files.setdefault(archive.batch_path(oid), Entry(tree.FILE, "", oid))
    for name, ids in zip((archive.DELETED, archive.PURGED), gone, strict=True):
        if raw := archive.encode_ids(ids):
            files[name] = _blob_of(git, raw)
    root, objects = tree.build(files, algorithm=git.place.algorithm)
    body = tree.encode_commit(
        tree=root,
        parents=parents,
        author=capture.IDENTITY,
        committer=capture.IDENTITY,
        author_time=time,
        commit_time=time,
        message=archive.encode_message(clone, count),
    )
    made = tree.make_object("commit", body, algorithm=git.place.algorithm)
    return [*objects, made], made.oid


def write(git: Git, draft: Draft) -> Oid:
    """Stores an archive's commits durably, without a ref yet; returns the newest."""
    pack = tree.encode_pack(draft.objects, algorithm=git.place.algorithm)
    git.write_pack(pack, keep=packs.keep_text("archive"))
    return draft.tip
