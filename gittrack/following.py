"""A run that is being recorded, read as it grows.

`journal.read` parses all that a run has logged, which takes seconds where it is much; whoever looks every second would
take a core. A follower remembers where it was, reads each byte of each journal once, and keeps no points: only what
`Rolling` makes of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from gittrack import journal
from gittrack.chart.rolling import Rolling
from gittrack.codec import frame
from gittrack.codec.points import Points

_PIECE = 1024 * 1024


class Follower:
    """One live run; `read` takes in what came since.

    metrics: a curve for each; goals: the metrics that have one; name: the newest; step: the last;
    began: in Unix seconds."""

    def __init__(self, folder: Path, metrics: dict[str, Rolling] | None = None) -> None:
        """metrics: what came before, if the run was followed already; raises FileNotFoundError, DataRefused."""
        header = journal.read_header(folder)
        self.folder = folder
        self.began = float(header["created"])
        self.metrics: dict[str, Rolling] = {} if metrics is None else metrics
        self.goals: set[str] = set()
        self.step: int | None = None
        self.name = str(header.get("name") or header["id"])
        self._journals: dict[str, tuple[frame.Reader, int]] = {}

    def read(self) -> bool:
        """Takes in what was written since the last call; returns whether that was anything.

        Raises FileNotFoundError if the run is not recorded here any more."""
        before = sum(reader.journal.size for reader, _ in self._journals.values())
        with os.scandir(self.folder) as entries:
            found = sorted(entry.name for entry in entries if entry.name.endswith(".journal"))
        for name in found:
            self._read_journal(name)
        return sum(reader.journal.size for reader, _ in self._journals.values()) != before

    def _read_journal(self, name: str) -> None:
        reader, offset = self._journals.get(name) or (frame.Reader(), 0)
        with (self.folder / name).open("rb", buffering=0) as file:
            file.seek(offset)
            while piece := file.read(_PIECE):
                offset += len(piece)
                reader.take(piece)
                self._take(reader.drain())
        self._journals[name] = (reader, offset)

    def _take(self, new: frame.Journal) -> None:
        for note in new.notes:
            self._take_note(note)
        for names, steps, columns in _stretches(new.points):
            self.step = steps[-1]
            for metric, cells in zip(names, columns, strict=True):
                self.metrics.setdefault(metric, Rolling()).extend(steps, cells)

    def _take_note(self, note: dict[str, Any]) -> None:
        with contextlib.suppress(
            KeyError, TypeError, AttributeError
        ):  # a note that is malformed is the seal's to count
            if note["k"] == "state":
                self.name = str(note["v"].get("name") or self.name)
            elif note["k"] == "metric":
                self.goals.add(str(note["name"]))


def _stretches(points: Points) -> Iterator[tuple[tuple[str, ...], Any, list[Any]]]:
    """Yields names, steps and a column of values a name, of rows of one kind that stand one behind the other."""
    if points.kinds is None:
        kinds = [(0, len(points))] if len(points) else []
    else:
        kinds = [(kind, sum(1 for _ in rows)) for kind, rows in groupby(points.kinds)]
    row = cell = 0
    for kind, rows in kinds:
        names = points.names[kind]
        end = cell + rows * len(names)
        yield (
            names,
            points.steps[row : row + rows],
            [points.cells[cell + at : end : len(names)] for at in range(len(names))],
        )
        row, cell = row + rows, end
