"""The list of all runs: those in git, and those that have no commit yet.

Reads one process's answer and parses one line of JSON a run; no object is opened here. What cannot be read is
listed as damaged, so that one bad run never hides the others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gittrack import journal, seal, store
from gittrack.codec import record
from gittrack.errors import DataRefused, GittrackError
from gittrack.git import Git
from gittrack.model import Run
from gittrack.refname import LOCAL, RUNS, Oid, run_of


@dataclass(frozen=True, slots=True)
class Listing:
    """All runs, newest first, and what could not be read."""

    runs: tuple[Run, ...]
    damaged: tuple[GittrackError, ...]


def read(git: Git, *, deleted: bool = False) -> Listing:
    """Returns every run of the repository; those that were deleted only if asked for."""
    runs: list[Run] = []
    damaged: list[GittrackError] = []
    mirrors = _mirrors(git)
    for ref, message in git.messages(RUNS):
        run_id = run_of(ref.name)
        if run_id is None:
            continue
        try:
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


def _mirrors(git: Git) -> dict[tuple[str, Oid], tuple[str, ...]]:
    """Returns for each (run's ref, commit) the remotes that were seen to have it."""
    found: dict[tuple[str, Oid], tuple[str, ...]] = {}
    for ref in git.refs(LOCAL):
        head, _, name = ref.name.rpartition("/runs/")
        if head:
            remote = head.removeprefix(LOCAL).removeprefix("remote-")
            key = (RUNS + name, ref.oid)
            found[key] = (*found.get(key, ()), remote)
    return found


def _complete(git: Git, runs: list[Run], damaged: list[GittrackError]) -> list[Run]:
    """Returns the runs with what their records left out for size read from their trees."""
    if not any(run.more for run in runs):
        return runs
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


def read_live(git: Git) -> tuple[list[Run], list[GittrackError]]:
    """Returns the runs that have no commit yet, and what of them is damaged."""
    runs: list[Run] = []
    damaged: list[GittrackError] = []
    for folder in seal.live_folders(git):
        with contextlib.suppress(FileNotFoundError):  # it ended while we looked
            try:
                runs.append(seal.preview(journal.read(folder)))
            except GittrackError as exc:
                damaged.append(exc)
            except (KeyError, TypeError, ValueError, AttributeError) as exc:
                damaged.append(DataRefused(f"cannot read '{folder}'", cause=f"its header is malformed ({exc})"))
    return runs, damaged


def of_ids(runs: Iterable[Run]) -> dict[str, Run]:
    """Returns runs by their id."""
    return {run.id: run for run in runs}
