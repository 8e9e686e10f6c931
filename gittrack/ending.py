"""How the process that recorded a run commits it.

The last one that writes to a run commits it; Ctrl-C waits until that is done. What cannot be committed now stays in
the journal, for the next command."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from gittrack import autopush, leftovers, redact, seal
from gittrack.errors import GittrackError
from gittrack.model import Run
from gittrack.pins import Pin
from gittrack.recorder import say
from gittrack.refname import RunId
from gittrack.repo import Repo

RANKS_SECONDS = 3.0  # how long the first rank waits for the others to end


def commit_run(
    place: Repo, folder: Path, *, label: str, journal: str, is_first: bool, is_rank: bool, pin: Pin | None
) -> Run | None:
    """Commits a run and returns it; None, with a line on stderr, if that is left to another process. Never raises.

    journal: the name of this process's own, which is closed; is_first: whether this process began the run;
    is_rank: whether it is one of a distributed training."""
    try:
        with _uninterrupted():
            here = leftovers.home_of(folder)
            try:
                run = _seal_as_last(place, here, own=journal, pin=pin, patience=RANKS_SECONDS if is_first else 0.0)
            except FileNotFoundError:
                run = seal.sealed_already(place.git, RunId(folder.name)) if is_rank else None  # by another rank
                if run is None:
                    raise
            if run is None and is_first:
                say(f"run {label} is committed when the other ranks have ended")
            if run is not None:
                autopush.note(place, run.id)
            return run
    except Exception as exc:  # noqa: BLE001 - the journal is whole; the next command seals it
        if not leftovers.home_of(folder).exists():
            say(f"warning: run {label} could not be committed: its folder is gone ('{folder}')")
            say("where the repository was moved, the next `git track` command there commits it")
            return None
        why = exc.cause or exc.message if isinstance(exc, GittrackError) else f"{type(exc).__name__}: {exc}"
        say(f"warning: run {label} could not be committed yet ({why})")
        say("all its points are kept; the next `git track` command commits it")
        return None


def _seal_as_last(place: Repo, folder: Path, *, own: str, pin: Pin | None, patience: float) -> Run | None:
    """Seals a run if no other process writes to it; the ranks of a training are waited for, `patience` seconds."""
    until = time.monotonic() + patience
    while True:
        if not leftovers.holding_up(folder, now=time.time(), own=own):
            if pin:
                pin.cancel()
            run = seal.seal(place.git, folder, own=own, sign=place.sign)
            if run is not None:
                if run.redacted:
                    say(redact.told(run.redacted))
                return run
        if time.monotonic() >= until:
            return None
        time.sleep(0.02)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Holds back Ctrl-C while a run is committed, from us and from the git that we start; it counts afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    pressed: list[int] = []
    takes_it = threading.current_thread() is threading.main_thread() and handler is not None
    if takes_it:  # other threads may get the signal, and Python would raise it here
        signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # what we start inherits that
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if takes_it:
            signal.signal(signal.SIGINT, handler)
        if pressed:
            signal.raise_signal(signal.SIGINT)
