"""Where a run goes that no repository takes: into a store of the user's own, from which it can be brought home.

Training goes on whatever is wrong with the place it was started in, and the user is told once."""

from __future__ import annotations

from gittrack import journal, repo
from gittrack.errors import GittrackError
from gittrack.recorder import say
from gittrack.repo import Repo

_said: set[str] = set()


def open_place(run: str | None) -> Repo | None:
    """Returns the repository here, or the detached one in the user's data folder; None if neither can be had.

    run: the id of a run that is open around this process, whose command said already where it is recorded."""
    try:
        place = repo.open_repo()
        place.settings  # noqa: B018 - read now, where it is known what to do if they cannot be read
    except (OSError, GittrackError) as exc:
        store = detached()
        around = store and run and (journal.live_root(store.git.place.common_dir) / run).exists()
        text = without_code(exc)
        if store and not around and text not in _said:
            _said.add(text)
            say(f"warning: {text}")
        return store
    return place


def without_code(error: GittrackError | OSError) -> str:
    """Returns what to say of a run where no repository can be opened."""
    if isinstance(error, OSError):
        why = error.strerror or str(error)
        return f"the repository cannot be opened ({why}); the run is recorded without code in your data folder"
    text = f"{error.message}; the run is recorded without code in your data folder"
    why = "; ".join(filter(None, (error.cause, error.hint))) if "refuses" in error.message else ""
    return f"{text} ({why})" if why else text


def detached() -> Repo | None:
    """Returns the store in the user's data folder, or None, after saying so, if nothing can be written there."""
    try:
        return repo.detached_repo()
    except (OSError, GittrackError) as exc:
        say(f"warning: nothing is recorded ({exc})")
        return None
