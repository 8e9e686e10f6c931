"""The list of all runs: those in git, and those that have no commit yet.

Reads one process's answer and parses one line of JSON a run; no object is opened here. What cannot be read is
listed as damaged, so that one bad run never hides the others."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gittrack.codec import record
from gittrack.errors import DataRefused, GittrackError
from gittrack.git import Git, Ref
from gittrack.model import Run
from gittrack.refname import LOCAL, RUNS, Oid, is_run_id, run_of


@dataclass(frozen=True, slots=True)
class Listing:
    """All runs, newest first, and what could not be read."""

    runs: tuple[Run, ...]
    damaged: tuple[GittrackError, ...]


def all_refs(git: Git) -> list[Ref]:
    """Returns the refs of runs here and of what was seen on remotes."""
    return git.refs(RUNS, LOCAL)


def stamp(refs: Iterable[Ref]) -> str:
    """Returns what changes when any of these refs does."""
    text = "".join(f"{ref.oid} {ref.name}\n" for ref in refs).encode()
    return f"{zlib.crc32(text):08x}{zlib.adler32(text):08x}-{len(text)}"


def is_behind(refs: Iterable[Ref]) -> bool:
    """Tells whether a remote was seen to have a run in another version than the one here, or one that is not here."""
    refs = list(refs)
    own = {ref.name: ref.oid for ref in refs if ref.name.startswith(RUNS)}
    return any(own.get(name) != oid for name, oid in seen(refs))


def seen(refs: Iterable[Ref]) -> dict[tuple[str, Oid], tuple[str, ...]]:
    """Returns for each (run's ref, commit) the remotes that were seen to have it."""
    found: dict[tuple[str, Oid], tuple[str, ...]] = {}
    for ref in refs:
        head, _, name = ref.name.rpartition("/runs/")
        if head.startswith(LOCAL) and is_run_id(name):
            remote = head.removeprefix(LOCAL).removeprefix("remote-")
            key = (RUNS + name, ref.oid)
            found[key] = (*found.get(key, ()), remote)
    return found


def read(git: Git, *, deleted: bool = False, refs: Iterable[Ref] | None = None) -> Listing:
    """Returns every run of the repository; those that were deleted only if asked for.

    refs: what `all_refs` returned, where it was asked already."""
    runs: list[Run] = []
    damaged: list[GittrackError] = []
    mirrors = seen(all_refs(git) if refs is None else refs)
    for ref, message in git.messages(RUNS):
        run_id = run_of(ref.name)
        if run_id is None:
            continue
        try:
            if message is None:
                raise record.refused(run_id, "its commit is missing", "see `git track fsck`")
            run = record.decode_message(message, run=run_id, oid=ref.oid)
        except DataRefused as exc:
            damaged.append(exc)
        else:
            runs.append(replace(run, pushed=mirrors[ref.name, ref.oid]) if (ref.name, ref.oid) in mirrors else run)
    runs = _complete(git, runs, damaged)
    known = {run.id for run in runs}
    live, broken = read_live(git)
    running = {run.id: run for run in live}
    merged = [*(run for run in runs if run.id not in running), *live]
    shown = [run for run in merged if deleted or not run.deleted]
    shown.sort(key=lambda run: (run.created, run.id), reverse=True)
    return Listing(tuple(shown), (*damaged, *(error for error in broken if str(error) not in known)))


def _complete(git: Git, runs: list[Run], damaged: list[GittrackError]) -> list[Run]:
    """Returns the runs with what their records left out for size read from their trees."""
    if not any(run.more for run in runs):
        return runs
    from gittrack import store  # noqa: PLC0415 - only for records that are too long for a message

    complete = []
    with git.objects() as objects:
        for run in runs:
            if not run.more or run.oid is None:
                complete.append(run)
                continue
            try:
                detail = store.read_detail(objects, run.id, run.oid, oid_bytes=git.place.oid_bytes)
                complete.append(replace(run, params=detail.params(), metrics=detail.metrics()))
            except DataRefused as exc:
                damaged.append(exc)
                complete.append(run)
    return complete


def has_live(git: Git) -> bool:
    """Tells whether there may be a run that has no commit yet, or of which more may have come."""
    for name in ("live", "sealed"):
        with contextlib.suppress(OSError), os.scandir(git.place.common_dir / "gittrack" / name) as found:
            if any(found):
                return True
    return False


def read_live(git: Git) -> tuple[list[Run], list[GittrackError]]:
    """Returns the runs that have no commit yet, and what of them is damaged."""
    runs: list[Run] = []
    damaged: list[GittrackError] = []
    if not has_live(git):
        return runs, damaged
    from gittrack import journal, seal  # noqa: PLC0415 - only while something is recorded

    for folder in journal.run_folders(journal.live_root(git.place.common_dir)):
        with contextlib.suppress(FileNotFoundError):  # it ended while we looked
            try:
                runs.append(seal.preview(journal.read(folder)))
            except GittrackError as exc:
                damaged.append(exc)
            except PermissionError as exc:  # somebody else's
                damaged.append(DataRefused(f"cannot read run '{folder.name}' while it is recorded", cause=exc.strerror))
            except (KeyError, TypeError, ValueError, AttributeError) as exc:
                damaged.append(DataRefused(f"cannot read '{folder}'", cause=f"its header is malformed ({exc})"))
    return runs, damaged
