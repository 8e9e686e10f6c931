"""Runs that are pushed when they have ended, where the user asked for it (`track.autoPush`).

Training must not wait for a network, nor end because of one. So a run that ended leaves its id in a folder, and a
process of its own pushes what lies there: after a while, because a sweep ends runs by the dozen; one process at a time;
silently, and with nobody to ask. What fails stays in the folder, and a later command starts another process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator

from gittrack import repo
from gittrack.errors import GittrackError
from gittrack.refname import RunId, is_run_id
from gittrack.repo import Repo
from gittrack.settings import environment
from gittrack.shared import make_folder, share

FOLDER = "autopush"
_LOCK = "autopush.lock"  # its content: how often in a row it failed
_PATIENCE = 6  # delays at most that a push is put off while runs go on ending
_DOUBLINGS = 8  # of the time until a failed push is tried again
_START = 'nohup "$@" </dev/null >/dev/null 2>&1 &'


# In the process that recorded, or in a command -----------------------------------------------------------------------


def note(place: Repo, run: RunId) -> None:
    """Notes that a run has ended, and has it pushed if the user wants that; never raises, and never waits."""
    with contextlib.suppress(GittrackError, OSError, subprocess.SubprocessError):
        if place.detached or not place.settings.switch("autoPush"):
            return
        folder = place.state_dir / FOLDER
        make_folder(folder)
        (folder / run).touch()
        share(folder / run)
        _start(place)


def retry(place: Repo) -> None:
    """Starts another try if runs wait for one, the later the more often it failed; never raises."""
    with contextlib.suppress(GittrackError, OSError, subprocess.SubprocessError):
        if not _waiting(place) or not place.settings.switch("autoPush"):
            return
        delay = place.settings.seconds("autoPushDelay") * 2 ** min(_failures(place), _DOUBLINGS)
        lock = place.state_dir / _LOCK
        if not lock.exists() or time.time() - lock.stat().st_mtime > delay:
            _start(place)


def _start(place: Repo) -> None:
    """Starts the process that pushes, as nobody's child; one that is at work already sees what was noted."""
    with _locked(place) as free:
        if not free or not sys.executable:
            return
    git = place.git
    nobody = {"GIT_ASKPASS": "false", "SSH_ASKPASS_REQUIRE": "never", "GIT_TERMINAL_PROMPT": "0"}
    where = {key: value for key, value in git.environ.items() if key in ("GIT_DIR", "GIT_WORK_TREE")}
    subprocess.run(
        ["sh", "-c", _START, "sh", sys.executable, "-P", "-m", "gittrack.autopush"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=git.place.work_tree or git.place.git_dir,
        env={**environment(), **where, **nobody},
        start_new_session=True,
        timeout=5,
        check=False,
    )


def _waiting(place: Repo) -> dict[RunId, float]:
    """Returns the runs that wait to be pushed, and when they were noted."""
    found: dict[RunId, float] = {}
    with contextlib.suppress(OSError), os.scandir(place.state_dir / FOLDER) as entries:
        for entry in entries:
            if is_run_id(entry.name):
                with contextlib.suppress(OSError):
                    found[RunId(entry.name)] = entry.stat().st_mtime
    return found


def _failures(place: Repo) -> int:
    try:
        said = (place.state_dir / _LOCK).read_text("ascii").strip()
    except (OSError, ValueError):
        return 0
    return int(said) if said.isdigit() and len(said) < 4 else 0


@contextlib.contextmanager
def _locked(place: Repo) -> Iterator[bool]:
    """Yields whether no other process pushes; where the system has no such locks, nothing is ever pushed by itself."""
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:
        yield False
        return
    path = place.state_dir / _LOCK
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        share(path)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        yield False
        return
    try:
        yield True
    finally:
        os.close(fd)


# In the process that pushes ------------------------------------------------------------------------------------------


def main() -> None:
    """Pushes what waits, until nothing does or a push failed."""
    with contextlib.suppress(OSError):
        os.nice(10)
    place = repo.open_repo()
    failed: set[RunId] = set()
    while not failed and _waiting(place):  # what was noted between the last look and the release is seen here
        with _locked(place) as free:
            if not free:
                return
            while (waiting := _settled(place)) and not failed:
                failed = _try(place, waiting)


def _settled(place: Repo) -> set[RunId]:
    """Returns the runs that wait, once no other has ended for a while."""
    delay = place.settings.seconds("autoPushDelay")
    until = time.time() + _PATIENCE * delay
    while waiting := _waiting(place):
        now = time.time()
        left = min(max(waiting.values()) + delay, until, now + delay) - now
        if left <= 0:
            return set(waiting)
        time.sleep(left)
    return set()


def _try(place: Repo, waiting: Collection[RunId]) -> set[RunId]:
    """Pushes runs and forgets those that need not be tried again; returns the others."""
    try:
        left = _push(place, waiting)
    except GittrackError:
        left = set(waiting)
    for run in set(waiting) - left:
        (place.state_dir / FOLDER / run).unlink(missing_ok=True)
    failures = _failures(place) + 1 if left else 0
    (place.state_dir / _LOCK).write_text(f"{failures}\n", "ascii")
    return left


def _push(place: Repo, waiting: Collection[RunId]) -> set[RunId]:
    """Pushes runs; returns those that the remote did not take.

    What `git track push` would ask about waits for it: uncommitted files, and the first code that a remote gets."""
    from gittrack import remote  # noqa: PLC0415 - whoever notes a run needs none of this
    from gittrack.index.listing import Index  # noqa: PLC0415 - as above
    from gittrack.sync import enclosing, publishing, pushing  # noqa: PLC0415 - as above

    git = place.git
    name = remote.choose(place.settings, None, branch=git.branch())
    pushing.look(git, name)  # what was deleted for good must not come back
    codes = {run.id: run.code for run in Index(git, deleted=True).of(waiting)}
    pending = [(run, tip) for run, tip in pushing.unpushed(git, name) if run in codes]
    if not pending:
        return set()
    codes = {run: codes[run] for run, _ in pending}
    what = publishing.publication(git, name, [tip for _, tip in pending], codes)
    if what.first:
        return set()
    if place.settings.choice("publishSnapshots", "ask", "true", "false") != "true":
        pending = [(run, tip) for run, tip in pending if run not in what.snapshots]
    if not pending:
        return set()
    found = enclosing.of_runs(git, pending, there=enclosing.there(git, name))
    held = enclosing.send(git, place.settings, name, found).held if found else {}
    done = pushing.push(git, name, [(run, tip) for run, tip in pending if run not in held])
    return {run for run, _ in pending} - set(done.taken)


if __name__ == "__main__":
    main()
