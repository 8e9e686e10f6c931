"""Names that scripts written for W&B call, beside those that mean something here by themselves.

What only a server or an account makes sense of does nothing: a training that calls it goes on."""

from __future__ import annotations

import glob
import os
from enum import Enum
from typing import Any

from gittrack.errors import GittrackError
from gittrack.recorder import say
from gittrack.using import Using

Error = GittrackError


class AlertLevel(Enum):
    """How urgent an alert is; here all are recorded alike."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Settings:
    """W&B's settings, of which none means anything here; takes any and keeps them as attributes."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def termlog(string: str = "", *_: Any, **__: Any) -> None:
    """Prints a line on stderr."""
    say(str(string))


def termwarn(string: str = "", *_: Any, **__: Any) -> None:
    """Prints a warning on stderr."""
    say(f"warning: {string}")


def termerror(string: str = "", *_: Any, **__: Any) -> None:
    """Prints an error on stderr."""
    say(f"error: {string}")


class Familiar(Using):
    """The part of an active run that only scripts written for W&B call."""

    def save(self, glob_str: Any = None, base_path: Any = None, *_: Any, **__: Any) -> list[str]:
        """Keeps the files that a pattern means, as `log_artifact` does, under their paths below `base_path`."""
        kept: list[str] = []
        root = os.fspath(base_path) if base_path else os.curdir
        for path in sorted(glob.glob(os.fspath(glob_str), recursive=True)) if glob_str else []:
            name = os.path.relpath(path, root)
            if os.path.isfile(path):
                kept += self.log_artifact(path, name=os.path.basename(path) if name.startswith(os.pardir) else name)
        return kept

    def log_model(self, path: Any, name: str | None = None, aliases: Any = (), **_: Any) -> Any:
        """Keeps a file or folder as an artifact of type `model`."""
        return self.log_artifact(path, name=name, type="model", aliases=aliases)

    def log_code(self, *_: Any, **__: Any) -> None:
        """Does nothing: the run is linked to its code, uncommitted changes included."""

    def watch(self, *_: Any, **__: Any) -> None:
        """Does nothing: gradients are not recorded."""

    def unwatch(self, *_: Any, **__: Any) -> None:
        """Does nothing: gradients are not recorded."""

    def mark_preempting(self) -> None:
        """Does nothing: how a run ended is seen from how its process did."""

    def link_artifact(self, *_: Any, **__: Any) -> None:
        """Does nothing: there is no registry that an artifact could be linked to."""

    def link_model(self, path: Any, *_: Any, name: str | None = None, aliases: Any = (), **__: Any) -> Any:
        """Keeps a model as `log_model` does; it is linked nowhere."""
        return self.log_model(path, name, aliases)

    def get_url(self) -> None:
        """Returns None: there is no server."""

    def project_name(self) -> str | None:
        """Returns the project."""
        found: str | None = getattr(self, "project", None)
        return found
