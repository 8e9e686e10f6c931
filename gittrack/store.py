"""Runs as commits: reading one whole, and writing the next commit of one.

Every change of a run goes through `commit`: it builds the tree and the record, stores all objects as one pack, and
moves the ref from exactly where it was. So a run is there whole or not at all, and nothing is ever overwritten."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from gittrack import capture, packs
from gittrack.codec import event as event_codec
from gittrack.codec import history as history_codec
from gittrack.codec import manifest, record, tree
from gittrack.codec.tree import Entry, Object
from gittrack.errors import DataRefused, GitFailed, GittrackError, NotFound
from gittrack.git import Git, RefMoved, Update, pause
from gittrack.model import Artifact, Edit, Event, History, Metric, Run, State, fold
from gittrack.objects import Objects
from gittrack.refname import LIVE, Oid, RunId, run_ref
from gittrack.signing import signed

MAX_COMMIT = record.MAX_BYTES + 64 * 1024
MAX_TREE_BYTES = 16 * 1024 * 1024
MAX_YAML = 4 * 1024 * 1024
MAX_EVENTS = 256 * 1024 * 1024
_HEADER_DATE = re.compile(rb"^committer .*> ([0-9]+) [-+][0-9]{4}$", re.MULTILINE)
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


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of a run."""

    oid: Oid
    tree: Oid
    parents: tuple[Oid, ...]
    time: int
    message: bytes

    def run(self, run: RunId) -> Run:
        """Returns the run as this commit records it; raises DataRefused."""
        return record.decode_message(self.message, run=run, oid=self.oid)


def read_commit(objects: Objects, oid: str) -> Commit:
    """Returns a commit; raises DataRefused if it is none."""
    found = objects.read(oid, limit=MAX_COMMIT)
    if found is None or found[1] != "commit":
        raise DataRefused(f"'{oid}' is no commit, or is missing", hint="see `git fsck`")
    head, _, message = found[2].partition(b"\n\n")
    date = _HEADER_DATE.search(head)
    lines = head.split(b"\n")
    trees = [line[5:].decode("ascii", "replace") for line in lines if line.startswith(b"tree ")]
    if len(trees) != 1 or date is None:
        raise DataRefused(f"commit '{oid}' is malformed")
    parents = tuple(Oid(line[7:].decode("ascii", "replace")) for line in lines if line.startswith(b"parent "))
    return Commit(found[0], Oid(trees[0]), parents, int(date[1]), message)


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
        raw = self.blob("artifacts.yaml", limit=MAX_YAML)
        return manifest.decode_artifacts(raw) if raw is not None else []

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
    join: bool = False,
    sign: bool = False,
    pinned: bool = False,
) -> Oid:
    """Writes the next commit of a run durably and moves its ref from `old`; raises RefMoved if it was elsewhere.

    time: Unix seconds of the event; parent_time: the greatest commit date among the parents."""
    algorithm = git.place.algorithm
    root, objects = tree.build(files, algorithm=algorithm)
    body = tree.encode_commit(
        tree=root,
        parents=parents,
        author=author,
        committer=author,
        author_time=parent_time if join else int(time),
        commit_time=max(int(time), parent_time) if not join else parent_time,
        message=record.encode_message(run, join=join),
    )
    if sign:  # git signs a commit only once its tree is there
        git.write_pack(tree.encode_pack(objects, algorithm=algorithm), keep=packs.keep_text(run.id))
        body, objects = signed(git, body), []
    made = tree.make_object("commit", body, algorithm=algorithm)
    git.write_pack(tree.encode_pack([*objects, made], algorithm=algorithm), keep=packs.keep_text(run.id))
    update = Update(run_ref(run.id), made.oid, old)
    unpin = [Update(LIVE + run.id, None, None)] if pinned else []
    try:
        git.update_refs([update, *unpin])
    except RefMoved:
        raise
    except GitFailed:
        if not unpin:
            raise
        git.update_refs([update])  # what stands in the way may be the lock of packed-refs, which only a deletion needs
    with contextlib.suppress(GittrackError, OSError):  # the run is safe; the next one tries again
        if packs.merge(git):
            packs.tidy_refs(git)
    return made.oid


def edit(git: Git, run: RunId, changes: Mapping[str, Any], *, author: str, now: float, random: int, sign: bool) -> Run:
    """Adds one edit to a run and returns the run after it; raises NotFound.

    `untag` may be a list of tags: the edits that it takes back are looked up here."""
    for attempt in range(_ATTEMPTS):
        tip = current_tip(git, run)
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
                old=tip,
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
    """Returns the newest commit of a run; raises NotFound."""
    tip = git.resolve(run_ref(run))
    if tip is None:
        raise NotFound(f"run '{run}' is not in this repository", hint="see `git track ls`")
    return tip


def join(git: Git, run: RunId, left: Oid, right: Oid, *, old: Oid | None) -> Oid:
    """Writes the join of two tips of a run (docs/format.md, chapter 9) and moves its ref from `old`."""
    sides = first, second = _sides(git, run, left, right)
    edits = {f"edits/{made.file}": entry for side in sides for made, entry in _edit_entries(side)}
    files = {path: entry for path, entry in second.files.items() if not path.startswith("edits/")} | edits
    everything = {made.file: made for side in (first, second) for made in side.edits}
    after = with_state(second.run, fold(second.base, everything.values()))
    return commit(
        git,
        after,
        files,
        parents=sorted((left, right)),
        parent_time=max(side.commit.time for side in sides),
        old=old,
        author=capture.IDENTITY,
        time=0,
        join=True,
    )


def _sides(git: Git, run: RunId, left: Oid, right: Oid) -> tuple[Detail, Detail]:
    """Returns two versions of a run: the one whose recording a join shows is the second."""
    with git.objects() as objects:
        sides = [read_detail(objects, run, oid, oid_bytes=git.place.oid_bytes) for oid in (left, right)]
    first, second = sorted(sides, key=lambda side: (side.facts.get("ended") or "", side.commit.oid))
    return first, second


def recorded_twice(git: Git, run: RunId, left: Oid, right: Oid) -> Oid | None:
    """Returns the version of a run that a join does not show, if both were gone on with since they parted."""
    first, second = _sides(git, run, left, right)
    times = [[str(time) for time in side.facts.get("resumed") or []] for side in (first, second)]
    common = min(map(len, times))
    return first.commit.oid if times[0][:common] != times[1][:common] else None


def _edit_entries(side: Detail) -> list[tuple[Edit, Entry]]:
    return [(made, side.files[f"edits/{made.file}"]) for made in side.edits]
