"""How a process joins a run that another one began.

`git track run` and `start` name the run in the environment. The processes of a distributed training find it by what
their launcher told all of them: the first records the run, the others look for it and write beside it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gittrack import commits, journal, ranks, repo
from gittrack.draft import draft
from gittrack.errors import GittrackError
from gittrack.leftovers import sole
from gittrack.model import Run
from gittrack.recorder import say
from gittrack.refname import RunId, is_run_id, run_ref
from gittrack.repo import Repo
from gittrack.shared import make_folder, share
from gittrack.tracker import ActiveRun

RUN_VARIABLE = "GITTRACK_RUN"
WAIT_SECONDS = 30.0  # for the first rank to begin
_SAY_SECONDS = 3.0
_FORGET_SECONDS = 7 * 86400
_attached: set[str] = set()


def named_run(place: Repo, wanted: dict[str, Any]) -> tuple[Repo, str] | None:
    """Returns the run that the environment says this process is to write into, and where it is, if it is open.

    The first `init` of a process writes into that run; later ones start runs that belong to it."""
    run = place.git.environ.get(RUN_VARIABLE)
    if not run or not is_run_id(run):
        return None
    if run in _attached:
        wanted["parent"] = wanted["parent"] or run
        return None
    if not (journal.live_root(place.git.place.common_dir) / run).exists():
        place = repo.find_detached() or place  # where runs go that nothing else could take
    try:
        journal.read_header(journal.live_root(place.git.place.common_dir) / run)
    except (OSError, GittrackError):
        if f"gone:{run}" not in _attached:
            _attached.add(f"gone:{run}")
            say(f"warning: run '{run}' in {RUN_VARIABLE} is not open any more; a new one is recorded")
        return None
    _attached.add(run)
    return place, run


def attach(place: Repo, folder: Path, *, about: Mapping[str, Any]) -> ActiveRun:
    """Returns a run that is open already, to write to; about: what this process's journal says of it.

    Raises OSError if it is not open any more."""
    with sole(folder, wait=True):  # nobody seals it before our journal is there
        header = journal.read_header(folder)
        known = draft(journal.read(folder)).params
        first = int(header.get("first_step") or 0)
        resumed = bool(header.get("tip"))
        run = ActiveRun(
            place, folder, header, attached=True, resumed=resumed, next_step=first, params=known, about=about
        )
    run.config.merge(known)
    return run


def announce(place: Repo, launch: str, run: RunId) -> None:
    """Writes down which run the first rank of a launch records, for the others to find."""
    home = _launches(place)
    make_folder(home)
    for old in home.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > _FORGET_SECONDS:
                old.unlink()
    temporary = home / f"{launch}.{os.getpid()}"
    temporary.write_text(run, "ascii")
    share(temporary)
    temporary.replace(home / launch)


def _launches(place: Repo) -> Path:
    return place.state_dir / "launches"


def wait_for_first(places: list[Repo], rank: ranks.Rank) -> ActiveRun | tuple[Repo, Run] | None:
    """Returns the run that the first rank of this launch records; None if it begins none within half a minute.

    If the first has ended already, returns where the run is, and the run, for this rank to go on with."""
    begun = time.monotonic()
    told = False
    while True:
        for place in places:
            with contextlib.suppress(OSError, GittrackError):
                found = _run_of(place, rank)
                if found is not None:
                    return found
        waited = time.monotonic() - begun
        if waited > WAIT_SECONDS:
            say(f"warning: rank {rank.number} records nothing: rank 0 began no run within {WAIT_SECONDS:.0f} s")
            return None
        if waited > _SAY_SECONDS and not told:
            told = True
            say(f"rank {rank.number} waits for rank 0 to begin the run")
        time.sleep(0.02 if waited < 1 else 0.2)


def _run_of(place: Repo, rank: ranks.Rank) -> ActiveRun | tuple[Repo, Run] | None:
    """Returns the run of a launch, to write to or to go on with; one of an earlier launch of the same name is none."""
    file = _launches(place) / rank.launch
    run = RunId(file.read_text("ascii"))
    if not rank.unique and file.stat().st_mtime < journal.start_seconds():
        return None
    folder = journal.live_root(place.git.place.common_dir) / run
    if (folder / journal.HEADER).exists():
        return attach(place, folder, about={"rank": rank.number, "ends": True})
    tip = place.git.resolve(run_ref(run))
    if tip is None:
        return None
    with place.git.objects() as objects:
        return place, commits.read_commit(objects, tip).run(run)
