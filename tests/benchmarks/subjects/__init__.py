"""What a benchmark asks of a tool, so that every tool does the same work.

Some tools open a run and close it, others call a function that is the run; `record(params, body)` fits both. A subject
is imported by the tool's own interpreter, and imports the tool only when it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

Points = dict[int, dict[str, float]]


class Log(Protocol):
    """Logs one step; the tool's own function wherever its signature fits."""

    def __call__(self, metrics: dict[str, float], /, *, step: int) -> object: ...


@dataclass(frozen=True)
class Live:
    """A run that is open."""

    log: Log
    log_artifact: Callable[[Path], object] | None = None


@dataclass(frozen=True)
class Found:
    """What can be read back after the process that recorded it is gone."""

    points: Points = field(default_factory=dict)
    status: str = ""


class Subject(Protocol):
    """A tool, with its store in one folder."""

    def record(self, params: Mapping[str, float], body: Callable[[Live], None], /) -> None:
        """Opens a run, lets the body log to it, and returns when the tool says that it is finished."""
        ...

    def read(self) -> Found:
        """Returns every point in the store."""
        ...
