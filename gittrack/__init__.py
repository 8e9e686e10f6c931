"""gittrack: experiment tracking that is part of git.

`import gittrack as gt` costs next to nothing: every name is loaded when it is first used, because a training script
imports us before it knows whether it will record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from gittrack.errors import GittrackError as GittrackError
    from gittrack.start import alert as alert
    from gittrack.start import define_metric as define_metric
    from gittrack.start import finish as finish
    from gittrack.start import init as init
    from gittrack.start import log as log
    from gittrack.start import log_artifact as log_artifact
    from gittrack.start import log_params as log_params
    from gittrack.start import login as login
    from gittrack.start import track as track
    from gittrack.start import watch as watch
    from gittrack.tracker import ActiveRun as ActiveRun
    from gittrack.tracker import ActiveRun as Run

    run: ActiveRun | None
    config: Any
    summary: Any

_HOMES = {
    "ActiveRun": "gittrack.tracker",
    "GittrackError": "gittrack.errors",
    "alert": "gittrack.start",
    "define_metric": "gittrack.start",
    "finish": "gittrack.start",
    "init": "gittrack.start",
    "log": "gittrack.start",
    "log_artifact": "gittrack.start",
    "log_params": "gittrack.start",
    "login": "gittrack.start",
    "track": "gittrack.start",
    "watch": "gittrack.start",
}
__all__ = [*_HOMES, "__version__", "config", "run", "summary"]  # noqa: PLE0604, PLE0605 - all are texts


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used."""
    if name in ("run", "config", "summary"):
        return _of_current_run(name)
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'gittrack' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def _of_current_run(name: str) -> Any:
    """Returns `run` (None where there is none), or `config` or `summary` of the current run."""
    from gittrack import start

    if name == "run":
        return start.active[-1] if start.active else None
    return getattr(start.current(), name)


def __dir__() -> list[str]:
    return sorted(__all__)
