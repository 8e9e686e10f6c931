"""gittrack: experiment tracking that is part of git.

`import gittrack as gt` costs next to nothing: every name is loaded when it is first used, because a training script
imports us before it knows whether it will record."""

from __future__ import annotations

from gittrack.version import VERSION as __version__  # noqa: N811 - the name that Python looks for

TYPE_CHECKING = False  # as typing has it; importing typing would take 5 ms
if TYPE_CHECKING:
    from typing import Any

    from gittrack.api import alert as alert
    from gittrack.api import define_metric as define_metric
    from gittrack.api import finish as finish
    from gittrack.api import log as log
    from gittrack.api import log_artifact as log_artifact
    from gittrack.api import log_audio as log_audio
    from gittrack.api import log_figure as log_figure
    from gittrack.api import log_html as log_html
    from gittrack.api import log_image as log_image
    from gittrack.api import log_params as log_params
    from gittrack.api import log_table as log_table
    from gittrack.api import log_text as log_text
    from gittrack.api import log_video as log_video
    from gittrack.api import login as login
    from gittrack.api import save as save
    from gittrack.api import track as track
    from gittrack.api import unwatch as unwatch
    from gittrack.api import use_artifact as use_artifact
    from gittrack.api import watch as watch
    from gittrack.bundle import Artifact as Artifact
    from gittrack.errors import GittrackError as GittrackError
    from gittrack.familiar import AlertLevel as AlertLevel
    from gittrack.familiar import Error as Error
    from gittrack.familiar import Settings as Settings
    from gittrack.familiar import termerror as termerror
    from gittrack.familiar import termlog as termlog
    from gittrack.familiar import termwarn as termwarn
    from gittrack.mediatypes import Audio as Audio
    from gittrack.mediatypes import Histogram as Histogram
    from gittrack.mediatypes import Html as Html
    from gittrack.mediatypes import Image as Image
    from gittrack.mediatypes import Table as Table
    from gittrack.mediatypes import Video as Video
    from gittrack.obtained import RecordedArtifact as RecordedArtifact
    from gittrack.reading import Runs as Runs
    from gittrack.reading import get as get
    from gittrack.reading import runs as runs
    from gittrack.recorded import RecordedRun as RecordedRun
    from gittrack.start import init as init
    from gittrack.tracker import ActiveRun as ActiveRun

    run: ActiveRun | None
    config: Any
    summary: Any

_HOMES = {
    "ActiveRun": "gittrack.tracker",
    "AlertLevel": "gittrack.familiar",
    "Artifact": "gittrack.bundle",
    "Audio": "gittrack.mediatypes",
    "Error": "gittrack.familiar",
    "GittrackError": "gittrack.errors",
    "Histogram": "gittrack.mediatypes",
    "Html": "gittrack.mediatypes",
    "Image": "gittrack.mediatypes",
    "RecordedArtifact": "gittrack.obtained",
    "RecordedRun": "gittrack.recorded",
    "Runs": "gittrack.reading",
    "Settings": "gittrack.familiar",
    "Table": "gittrack.mediatypes",
    "Video": "gittrack.mediatypes",
    "alert": "gittrack.api",
    "define_metric": "gittrack.api",
    "finish": "gittrack.api",
    "get": "gittrack.reading",
    "init": "gittrack.start",
    "log": "gittrack.api",
    "log_artifact": "gittrack.api",
    "log_audio": "gittrack.api",
    "log_figure": "gittrack.api",
    "log_html": "gittrack.api",
    "log_image": "gittrack.api",
    "log_params": "gittrack.api",
    "log_table": "gittrack.api",
    "log_text": "gittrack.api",
    "log_video": "gittrack.api",
    "login": "gittrack.api",
    "runs": "gittrack.reading",
    "save": "gittrack.api",
    "termerror": "gittrack.familiar",
    "termlog": "gittrack.familiar",
    "termwarn": "gittrack.familiar",
    "track": "gittrack.api",
    "unwatch": "gittrack.api",
    "use_artifact": "gittrack.api",
    "watch": "gittrack.api",
}
__all__ = [*_HOMES, "__version__", "config", "run", "summary"]  # noqa: PLE0604 - all are texts


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used."""
    if name in ("run", "config", "summary"):
        return _of_current_run(name)
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'gittrack' has no attribute '{name}'")
    from importlib import import_module  # noqa: PLC0415 - `import gittrack` loads nothing it does not need

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def _of_current_run(name: str) -> Any:
    """Returns `run` (None where there is none), or `config` or `summary` of the current run."""
    from gittrack import api, tracker  # noqa: PLC0415 - as above

    if name == "run":
        return tracker.active[-1] if tracker.active else None
    return getattr(api.current(), name)


def __dir__() -> list[str]:
    return sorted(__all__)
