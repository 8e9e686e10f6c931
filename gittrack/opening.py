"""The live folder of a run: made with all that is known when it begins, and opened to be written to.

Code, environment and command are captured before anything trains, and in a few milliseconds."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gittrack import artifacts, capture, environment, journal, redact, repo, settings
from gittrack.codec import manifest
from gittrack.draft import draft
from gittrack.errors import UsageError
from gittrack.git import Git
from gittrack.model import Code, Run
from gittrack.pins import Pin
from gittrack.recorder import say
from gittrack.refname import RunId, run_ref
from gittrack.repo import Repo
from gittrack.resume import as_run_id, job_name
from gittrack.shared import share
from gittrack.tracker import ActiveRun

_said: set[str] = set()


def warn_once(key: str, text: str) -> None:
    """Says something that a process has to be told once."""
    if key not in _said:
        _said.add(key)
        say("warning: " + text)


def open_run(place: Repo, folder: Path, *, shared: bool = False) -> ActiveRun:
    """Returns the run in a live folder, to write to; shared: several processes write to one journal, a call each."""
    header = journal.read_header(folder)
    if not shared:
        run = ActiveRun(place, folder, header, about=about_of(header))
        pin(run, place.git, header)
        return run
    so_far = draft(journal.read(folder))
    last = so_far.history.steps[-1] + 1 if so_far.history and len(so_far.history.steps) else 0
    run = ActiveRun(place, folder, header, shared=True, next_step=last)
    run.config.merge(so_far.params)
    run.restore(so_far.state)
    return run


def create(
    place: Repo,
    wanted: Mapping[str, Any],
    *,
    command: list[str],
    now: float,
    identifier: str | None = None,
    earlier: Run | None = None,
    detached: bool = False,
    program: str | None = None,
    source: Repo | None = None,
) -> Path:
    """Captures code and environment and makes the live folder of a run; returns the folder.

    detached: no process owns the run; only `git track finish` ends it. program: what the run is of, if it is a
    command; else it is this process. source: the repository here, if that is another one, to which nothing can be
    written."""
    git = place.git
    asked = wanted.get("redact")
    redacting = place.settings.switch("redact") if asked is None else bool(asked)
    code, changes = _capture(place, source, redacting=redacting)
    unlinked = source is not None or place.settings.choice("code", "parent", "none") == "none"
    if unlinked and not changes:
        changes, left_out = capture.patch(git, code, redacting=redacting)
        code = replace(code, omitted=code.omitted + left_out)
    run_id = earlier.id if earlier else _free_id(place, identifier)
    folder = journal.live_root(git.place.common_dir) / run_id
    header = {
        **{key: value for key, value in wanted.items() if key != "redact" and value not in (None, [], "")},
        "format": 1,
        "id": run_id,
        "name": (earlier.name if earlier else None) or wanted.get("name") or repo.new_name(),
        "created": now,
        "author": place.author,
        "host": journal.process_identity()["host"],
        "user": settings.user_name(),
        "pid": os.getpid(),
        "command": command,
        "directory": environment.directory_in((source or place).git.place.work_tree),
        "code": manifest.code_facts(code),
        "code_time": git.commit_facts(code.exact)[1] if code.exact and source is None else 0,
        "process": {"detached": True} if detached else journal.process_identity(),
        "tip": earlier.oid if earlier else None,
        "job": job_name(place.git.environ),
        "inline": min(place.settings.size("inlineLimit"), artifacts.MAX_INLINE),
    }
    if place.detached:
        header |= {"folder": os.path.abspath(os.curdir)}
    header = redact.header(header) if redacting else header | {"redact": False}
    if unlinked:
        header |= {"unlinked": True}
    try:
        journal.create(folder, header)
    except FileExistsError:
        raise UsageError(
            f"run '{run_id}' is being recorded already", hint="finish it first, or start a new one"
        ) from None
    try:
        environment.write(git, place.settings, folder, program=program, redacting=redacting)
        if changes:
            (folder / "code.patch").write_bytes(changes)
            share(folder / "code.patch")
    except BaseException:  # a run is there whole or not at all
        journal.remove(folder)
        raise
    return folder


def about_of(header: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the journal of the process that begins a run says of it: its rank, if it has one."""
    return {"rank": header["rank"]} if "rank" in header else {}


def pin(run: ActiveRun, git: Git, header: Mapping[str, Any]) -> None:
    """Keeps the run's code from git's gc while it runs."""
    exact = manifest.read_code(header.get("code")).exact
    if exact is not None and not header.get("folder"):
        found = Pin(git, run.id, exact)
        with contextlib.suppress(RuntimeError):  # no thread is left; the reflog has to do
            found.start()
            run.pinning = found


def _capture(place: Repo, source: Repo | None, *, redacting: bool) -> tuple[Code, bytes]:
    """Returns the code of a run, and its uncommitted changes where they cannot be stored beside it."""
    here = source or place
    if source is None:
        code, changes = (
            Code() if place.detached else capture.capture_code(place.git, place.settings, redacting=redacting),
            b"",
        )
    else:
        code, changes = capture.capture_patch(source.git, source.settings, home=place.state_dir, redacting=redacting)
    if not here.git.has_executable:
        _warn_without_git(here, code)
    elif code.dirty and here.settings.get("dirty") == "warn":
        warn_once("dirty", "your uncommitted work is not recorded, only the commit: track.dirty is 'warn'")
    if code.omitted:
        listed = ", ".join(left.path for left in code.omitted[:5])
        more = f" and {len(code.omitted) - 5} more" if len(code.omitted) > 5 else ""
        warn_once(f"omitted:{listed}", f"left out of the snapshot of your uncommitted work: {listed}{more}")
    return code, changes


def _warn_without_git(place: Repo, code: Code) -> None:
    kept = "the commit, and that there is uncommitted work, but not that work" if code.dirty else "the commit"
    unsigned = "; its commit is not signed" if place.settings.flag("commit.gpgsign") else ""
    if place.git.place.work_tree:
        warn_once("no git", f"git is not installed, or not on PATH: the run records {kept}{unsigned}")


def _free_id(place: Repo, identifier: str | None) -> RunId:
    if identifier is None:
        return repo.new_id()
    wanted = as_run_id(identifier)
    if place.git.resolve(run_ref(wanted)) or (journal.live_root(place.git.place.common_dir) / wanted).exists():
        say(f"warning: run '{identifier}' exists already and resume was not given; a new id is used")
        return repo.new_id()
    return wanted
