"""What a benchmark asks of a tool, so that every tool does the same work.

Some tools open a run and close it, others call a function that is the run; `record(params, body)` fits both. A subject
is imported by the tool's own interpreter, and imports the tool only when it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

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


@dataclass(frozen=True)
class Ended:
    """A run that is over: its params, and the values of its metrics, a step each."""

    params: Mapping[str, float]
    curves: Mapping[str, Sequence[float]]


@runtime_checkable
class Bulk(Protocol):
    """A tool whose store can be filled faster than runs can be recorded."""

    def fill(self, runs: Iterable[Ended], count: int, /) -> None:
        """Stores so many runs, as if they had been recorded."""
        ...


class Tabular(Subject, Protocol):
    """A tool that gives all its runs as a data frame."""

    def frame(self) -> Any:
        """Returns a pandas DataFrame, a row a run."""
        ...


class Curved(Subject, Protocol):
    """A tool that gives the points of a metric as arrays, of two columns or more, a row a point."""

    reading: Sequence[str]  # the modules that are imported before anything is timed

    def curve(self, metric: str, /) -> Callable[[], Any]:
        """Opens the one run that has the metric; returns what reads its points, all of them."""
        ...

    def curves(self, metric: str, points: int, /) -> list[Any]:
        """Returns the points of every run that has the metric, `points` of each at most if the tool can do that."""
        ...
