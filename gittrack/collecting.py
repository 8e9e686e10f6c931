"""Payloads in a store that nothing needs any more, deleted in two steps that are two weeks apart.

A colleague may have sent a payload and not yet the run that needs it. So what nothing needs is only noted at first,
in this clone; it is deleted when it was noted two weeks ago, is that old in the store too, and is still not needed.
Only a store that is this repository's alone, as its owner said, is looked at: others may keep their files there."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from gittrack import boundary, marking, remote
from gittrack.codec.pointer import Pointer, is_sha256
from gittrack.errors import GitFailed, RemoteError
from gittrack.git import Git
from gittrack.refname import Oid
from gittrack.settings import Settings
from gittrack.shared import make_folder, share
from gittrack.sweeping import Room
from gittrack.transports.protocol import Stored, Transport

GRACE = 14 * 86400.0  # seconds
# What hosts make beside what people push: it is not fetched, and no run is in it.
_OF_HOSTS = ("refs/pull/", "refs/merge-requests/", "refs/changes/", "refs/keep-around/", "refs/pipelines/")


def may_collect(settings: Settings, store: str) -> bool:
    """Tells whether the user said that a store is this repository's alone."""
    return settings.flag(f"track.store.{store}.collect")


def tips(git: Git, name: str, settings: Settings, *, all_refs: bool) -> set[Oid]:
    """Returns what all refs of a remote name now; raises RemoteError if one of them is not here, or it cannot be asked.

    all_refs: also those that hosts make."""
    if boundary.is_cut(git.place.common_dir):
        raise GitFailed("what a store may delete cannot be told in a shallow clone", hint="`git fetch --unshallow`")
    done = remote.run(git, "ls-remote", "--quiet", "--end-of-options", name, known=settings)
    if done.returncode:
        raise remote.failed("ask", name, done)
    found: dict[Oid, str] = {}
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        oid, _, ref = line.partition("\t")
        if ref and (all_refs or not ref.startswith(_OF_HOSTS)):
            found.setdefault(Oid(oid), ref)
    asked = "".join(f"{oid}\n" for oid in found).encode()
    env = {"GIT_NO_LAZY_FETCH": "1"}
    said = git.ask("cat-file", "--batch-check=%(objectname)", input=asked, env=env).decode("ascii", "replace")
    for line in said.splitlines():
        if line.endswith(" missing"):
            ref = found[Oid(line.partition(" ")[0])]
            raise RemoteError(
                f"'{ref}' of '{remote.label(name)}' is not here, and may need what would be deleted",
                hint=f"`git fetch --tags {remote.label(name)}`, then again",
            )
    return set(found)


def collect(
    git: Git, transport: Transport, stored: Sequence[Stored], file: Path, *, tips: Collection[Oid], now: float
) -> tuple[Room, Room]:
    """Deletes what was noted two weeks ago and is still not needed, and notes what else is not; returns both.

    stored: what the store has, listed before the remote was fetched; file: where it is noted; tips: what is on the
    remote. Raises TransportError, and GitFailed or DataRefused if it cannot be told what is needed."""
    pointers = {Pointer(each.sha256, each.size): each for each in stored}
    kept = marking.needed(git, pointers, tips=tips)
    unneeded = {pointer: each for pointer, each in pointers.items() if pointer not in kept}
    since = _read(file, transport.label)
    noted = {pointer.sha256: min(since.get(pointer.sha256, now), now) for pointer in unneeded}
    due = [
        pointer
        for pointer, each in unneeded.items()
        if now - noted[pointer.sha256] >= GRACE and now - each.modified >= GRACE
    ]
    _write(file, transport.label, noted)
    for pointer in due:
        transport.delete(pointer.sha256)
        del noted[pointer.sha256]
    _write(file, transport.label, noted)
    waiting = [pointer.size for pointer in unneeded if pointer.sha256 in noted]
    return Room(len(due), sum(pointer.size for pointer in due)), Room(len(waiting), sum(waiting))


def note_file(common_dir: Path, store: str) -> Path:
    """Returns where it is noted since when nothing needs what is in a store (docs/format.md, chapter 16)."""
    return common_dir / "gittrack" / "unneeded" / f"{store}.json"


def _read(file: Path, label: str) -> dict[str, float]:
    """Returns since when payloads are not needed, in Unix seconds; nothing if that was noted of another place."""
    try:
        said: Any = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(said, dict) or said.get("v") != 1 or said.get("store") != label:
        return {}
    since = said.get("since")
    pairs = since.items() if isinstance(since, dict) else ()
    return {str(name): float(time) for name, time in pairs if is_sha256(str(name)) and isinstance(time, (int, float))}


def _write(file: Path, label: str, since: Mapping[str, float]) -> None:
    for folder in (file.parent.parent, file.parent):
        make_folder(folder)
    new = file.with_name(f"{file.name}.{os.getpid()}")
    new.write_text(json.dumps({"v": 1, "store": label, "since": dict(sorted(since.items()))}), "utf-8")
    share(new)
    new.replace(file)
