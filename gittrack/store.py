"""Runs as commits: reading one whole, and writing the next commit of one.

Every change of a run goes through `commit`: it builds the tree and the record, stores all objects as one pack, and
moves the ref from exactly where it was. So a run is there whole or not at all, and nothing is ever overwritten."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from gittrack import archives, packs
from gittrack.codec import event as event_codec
from gittrack.codec import history as history_codec
from gittrack.codec import manifest, pointer, record, tree
from gittrack.codec.pointer import Pointer
from gittrack.codec.tree import Entry, Object
from gittrack.commits import Commit, read_commit
from gittrack.errors import DataRefused, GitFailed, GittrackError, NotFound
from gittrack.git import Git, RefMoved, Update, pause
from gittrack.model import Artifact, Edit, Event, History, Metric, Run, State, fold
from gittrack.objects import Objects
from gittrack.refname import LIVE, Oid, RunId, run_ref
from gittrack.signing import signed

MAX_TREE_BYTES = 16 * 1024 * 1024
MAX_YAML = 4 * 1024 * 1024
MAX_EVENTS = 256 * 1024 * 1024
_ATTEMPTS = 100


def timestamp(seconds: float) -> str:
    """Returns Unix seconds as `2026-11-23T14:51:10.123Z`."""
    moment = datetime.fromtimestamp(round(seconds * 1000) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(text: str | None) -> float | None:
    """Returns a timestamp as Unix seconds, or None if it is none."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


def command_text(argv: Sequence[str]) -> str:
    """Returns a command line as one shell-quoted text, as records hold it."""
    return shlex.join(argv)[: record.MAX_COMMAND]


# Reading ------------------------------------------------------------------------------------------------------------


def read_tree(objects: Objects, oid: Oid, *, oid_bytes: int) -> dict[str, Entry]:
    """Returns path to entry of every file of a run's tree; raises DataRefused for what a run may not have."""
    found: dict[str, Entry] = {}
    seen = 0
    folders = [("", oid)]
    decoded: dict[Oid, list[Entry]] = {}  # a stranger's tree may name one folder a thousand times
    while folders:
        prefix, folder = folders.pop()
        if folder not in decoded:
            decoded[folder] = _read_folder(objects, folder, oid_bytes=oid_bytes)
        for entry in decoded[folder]:
            seen += 1
            path = prefix + entry.name
            tree.check_path(path)
            if seen > tree.MAX_ENTRIES:
                raise DataRefused("a run's tree is too large", cause=f"more than {tree.MAX_ENTRIES} entries")
            if entry.mode in (tree.FOLDER, "040000"):
                folders.append((path + "/", entry.oid))
            elif entry.mode in (tree.FILE, tree.EXECUTABLE):
                found[path] = entry
            else:
                raise DataRefused(f"path '{path}' is not allowed in a run", cause=f"its mode is {entry.mode}")
    return found


def _read_folder(objects: Objects, folder: Oid, *, oid_bytes: int) -> list[Entry]:
    raw = objects.read(folder, limit=MAX_TREE_BYTES)
    if raw is None or raw[1] != "tree":
        raise DataRefused(f"tree '{folder}' is missing", hint="see `git fsck`")
    try:
        return tree.decode_tree(raw[2], oid_bytes=oid_bytes)
    except ValueError as exc:
        raise DataRefused(f"tree '{folder}' is malformed") from exc


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything that a run's commit holds, read as asked for."""

    run: Run
    commit: Commit
    files: Mapping[str, Entry]
    facts: Mapping[str, Any]
    edits: tuple[Edit, ...]
    objects: Objects

    def blob(self, path: str, *, limit: int = 1 << 30) -> bytes | None:
        """Returns a file of the run, or None; raises DataRefused above `limit` bytes."""
        entry = self.files.get(path)
        found = self.objects.read(entry.oid, limit=limit) if entry else None
        return found[2] if found else None

    @property
    def base(self) -> State:
        """What was recorded of the things that edits change."""
        return manifest.base_state(self.facts)

    @property
    def notes(self) -> tuple[str, ...]:
        """All notes, oldest first."""
        return fold(self.base, self.edits).notes

    def params(self) -> dict[str, Any]:
        """Returns the params, nested."""
        raw = self.blob("params.yaml", limit=MAX_YAML)
        from gittrack.codec import yaml12  # noqa: PLC0415 - only here is YAML read without a manifest

        return yaml12.decode(raw, name="params.yaml") if raw is not None else {}

    def metrics(self) -> dict[str, Metric]:
        """Returns the summary of every metric."""
        raw = self.blob("metrics.yaml", limit=MAX_YAML)
        return manifest.decode_metrics(raw) if raw is not None else {}

    def artifacts(self) -> list[Artifact]:
        """Returns what the run says of its files."""
        raw = self.blob("artifacts.yaml", limit=manifest.MANY.bytes)
        return manifest.decode_artifacts(raw) if raw is not None else []

    def pointers(self) -> dict[str, Pointer]:
        """Returns the files whose content is in a store, by their path below `artifacts/`.

        A file that only looks like a pointer, because somebody logged one, is listed as a blob and is none. Raises
        DataRefused if a pointer is not what `artifacts.yaml` says of it."""
        found = {}
        for item in self.artifacts():
            if item.kind == "pointer":
                raw = self.blob(f"artifacts/{item.path}", limit=pointer.MAX_BYTES)
                said = pointer.decode_pointer(raw) if raw is not None else None
                if said != (item.sha256, item.size):
                    raise DataRefused(
                        f"artifact '{item.path}' is not what artifacts.yaml says", hint="`git track fsck`"
                    )
                found[item.path] = said
        return found

    def events(self) -> list[Event]:
        """Returns what was logged that is no number."""
        raw = self.blob("events.jsonl", limit=MAX_EVENTS)
        return event_codec.decode_events(raw) if raw is not None else []

    def history(self) -> History | None:
        """Returns every point, or None if there is none."""
        for name in (history_codec.TEXT_FILE, history_codec.COLUMNS_FILE):
            raw = self.blob(name, limit=history_codec.MAX_BYTES)
            if raw is not None:
                return history_codec.decode(name, raw)
        return None


def read_detail(objects: Objects, run: RunId, oid: str, *, oid_bytes: int) -> Detail:
    """Returns all of a run at a commit of it; raises DataRefused."""
    commit = read_commit(objects, oid)
    files = read_tree(objects, commit.tree, oid_bytes=oid_bytes)
    found = objects.read(files["run.yaml"].oid, limit=MAX_YAML) if "run.yaml" in files else None
    if found is None:
        raise record.refused(run, "it has no run.yaml")
    edits = read_edits(objects, files)
    return Detail(commit.run(run), commit, files, manifest.decode_run(found[2]), edits, objects)


def read_edits(objects: Objects, files: Mapping[str, Entry]) -> tuple[Edit, ...]:
    """Returns the edits in a run's tree, in their order."""
    found = []
    for path, entry in files.items():
        if path.startswith("edits/"):
            raw = objects.read(entry.oid, limit=event_codec.MAX_EDIT_BYTES)
            if raw is None:
                raise DataRefused(f"'{path}' is missing", hint="see `git fsck`")
            found.append(event_codec.decode_edit(raw[2], file=path.removeprefix("edits/")))
    return tuple(sorted(found, key=lambda edit: edit.order))


# Writing ------------------------------------------------------------------------------------------------------------


def blob(git: Git, content: bytes) -> Object:
    """Returns a blob of the repository's object format, not yet written."""
    return tree.make_object("blob", content, algorithm=git.place.algorithm)


def with_state(run: Run, state: State) -> Run:
    """Returns `run` as its edits leave it."""
    return replace(
        run,
        name=state.name,
        status=state.status,
        tags=state.tags,
        group=state.group,
        note=state.notes[-1] if state.notes else None,
        starred=state.starred,
        deleted=state.deleted,
    )


def composed(
    git: Git,
    run: Run,
    files: Mapping[str, Object | Entry],
    *,
    parents: Sequence[Oid],
    parent_time: int,
    author: str,
    time: float,
    join: bool = False,
) -> tuple[list[Object], bytes]:
    """Returns the new objects of the next commit of a run, and the commit's body; arguments as those of `commit`."""
    root, objects = tree.build(files, algorithm=git.place.algorithm)
    body = tree.encode_commit(
        tree=root,
        parents=parents,
        author=author,
        committer=author,
        author_time=parent_time if join else int(time),
        commit_time=max(int(time), parent_time) if not join else parent_time,
        message=record.encode_message(run, join=join),
    )
    return objects, body


def commit(
    git: Git,
    run: Run,
    files: Mapping[str, Object | Entry],
    *,
    parents: Sequence[Oid],
    parent_time: int,
    old: Oid | None,
    author: str,
    time: float,
    sign: bool = False,
    pinned: bool = False,
) -> Oid:
    """Writes the next commit of a run durably and moves its ref from `old`; raises RefMoved if it was elsewhere.

    time: Unix seconds of the event; parent_time: the greatest commit date among the parents."""
    algorithm = git.place.algorithm
    objects, body = composed(git, run, files, parents=parents, parent_time=parent_time, author=author, time=time)
    if sign:  # git signs a commit only once its tree is there
        git.write_pack(tree.encode_pack(objects, algorithm=algorithm), keep=packs.keep_text(run.id))
        body, objects = signed(git, body), []
    made = tree.make_object("commit", body, algorithm=algorithm)
    pack = git.write_pack(tree.encode_pack([*objects, made], algorithm=algorithm), keep=packs.keep_text(run.id))
    update = Update(run_ref(run.id), made.oid, old)
    unpin = [Update(LIVE + run.id, None, None)] if pinned else []
    try:
        git.update_refs([update, *unpin])
    except RefMoved:
        raise
    except GitFailed:
        if not packs.mend(git, [pack]) and not unpin:
            raise
        git.update_refs([update])  # what stands in the way may be the lock of packed-refs, which only a deletion needs
    if not (git.place.common_dir / "objects" / "pack" / f"pack-{pack}.idx").exists():
        packs.mend(git, [pack])
    tidy(git)
    return made.oid


def tidy(git: Git) -> None:
    """Merges our packs and has refs packed where they became many; what fails is tried again the next time."""
    with contextlib.suppress(GittrackError, OSError):
        if packs.merge(git):
            packs.tidy_refs(git)


def edit(git: Git, run: RunId, changes: Mapping[str, Any], *, author: str, now: float, random: int, sign: bool) -> Run:
    """Adds one edit to a run and returns the run after it; raises NotFound.

    `untag` may be a list of tags: the edits that it takes back are looked up here."""
    for attempt in range(_ATTEMPTS):
        ref, tip = archives.find(git, run)
        if tip is None:
            raise _missing(run)
        with git.objects() as objects:
            detail = read_detail(objects, run, tip, oid_bytes=git.place.oid_bytes)
        made = make_edit(detail.base, detail.edits, changes, author=author, now=now, random=random)
        after = with_state(detail.run, fold(detail.base, [*detail.edits, made]))
        content = blob(git, event_codec.encode_edit(made))
        files: dict[str, Object | Entry] = {**detail.files, f"edits/{made.file}": content}
        try:
            oid = commit(
                git,
                after,
                files,
                parents=[tip],
                parent_time=detail.commit.time,
                old=ref,
                author=author,
                time=now,
                sign=sign,
            )
        except RefMoved:
            pause(attempt)
            continue
        return replace(after, oid=oid)
    raise RefMoved(f"cannot edit run '{run}'", cause="other processes keep changing it", hint="try again")


def make_edit(
    base: State, edits: Sequence[Edit], changes: Mapping[str, Any], *, author: str, now: float, random: int
) -> Edit:
    """Returns the edit that makes `changes`, with a clock above all others."""
    from gittrack.model import adders_of  # noqa: PLC0415 - used only here

    full = dict(changes)
    if "untag" in full:
        full["untag"] = {tag: adders_of(tag, base, edits) for tag in full["untag"]}
    clock = event_codec.next_clock(edits, now=now)
    return Edit(event_codec.edit_file(clock, random), clock, author, timestamp(now), full)


def current_tip(git: Git, run: RunId) -> Oid:
    """Returns the newest commit of a run, archived or not; raises NotFound."""
    tip = archives.find(git, run)[1]
    if tip is None:
        raise _missing(run)
    return tip


def _missing(run: RunId) -> NotFound:
    return NotFound(f"run '{run}' is not in this repository", hint="see `git track ls`")
