"""Runs for scripts and notebooks: `gittrack.runs()` and `gittrack.get()`.

Nothing is read when they are asked for, only when their answer is looked at; and no frame library is loaded but by the
call that is named after it."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from gittrack import finding, histories, repo
from gittrack.curves import Axis, Curves
from gittrack.errors import GittrackError, NoMetric, UsageError
from gittrack.frames import Frame, Series, guessed, milliseconds
from gittrack.index.listing import NEWEST_FIRST
from gittrack.model import Run
from gittrack.query import fields, naming
from gittrack.recorded import RecordedRun, chosen, curves
from gittrack.repo import Repo

if TYPE_CHECKING:
    from gittrack.query.condition import Condition

SHOWN_ROWS = 20  # in a notebook


@dataclass(frozen=True)
class _Asked:
    """Which runs are meant."""

    place: Repo
    where: Condition | None = None
    sort: str | None = None
    limit: int | None = None
    deleted: bool = False


class Runs:
    """Runs in an order: sized, sliceable, iterable; read when first looked at, and then kept as they were.

    No `collections.abc.Sequence`: polars would take one for a list of rows, and never ask for the table."""

    def __init__(self, asked: _Asked, *, found: Sequence[Run] | None = None) -> None:
        """found: the runs, where they are known already."""
        self._asked = asked
        self._found = found
        self._damaged: tuple[GittrackError, ...] = ()

    @property
    def _runs(self) -> Sequence[Run]:
        if self._found is None:
            self._found, self._damaged = _select(self._asked)
        return self._found

    @property
    def damaged(self) -> tuple[GittrackError, ...]:
        """What is wrong with runs that could not be read, and so are not among these."""
        len(self)
        return self._damaged

    def __len__(self) -> int:
        return len(self._runs)

    @overload
    def __getitem__(self, place: int) -> RecordedRun: ...
    @overload
    def __getitem__(self, place: slice) -> Runs: ...
    def __getitem__(self, place: int | slice) -> RecordedRun | Runs:
        if isinstance(place, slice):
            return Runs(self._asked, found=self._runs[place])
        return RecordedRun(self._asked.place.git, self._runs[place])

    def __iter__(self) -> Iterator[RecordedRun]:
        return (RecordedRun(self._asked.place.git, run) for run in self._runs)

    def __contains__(self, item: object) -> bool:
        """Tells whether a run, or one with this id or name, is among them."""
        if isinstance(item, RecordedRun):
            return any(run.id == item.id for run in self._runs)
        return any(item in (run.id, run.name) for run in self._runs)

    def __repr__(self) -> str:
        more = [f"  ... and {len(self) - 10} more"] if len(self) > 10 else []
        bad = [f"  ({len(self._damaged)} could not be read: see .damaged)"] if self._damaged else []
        return "\n".join([f"<{len(self)} run(s)>", *(f"  {run!r}" for run in self[:10]), *more, *bad])

    def histories(self, *metrics: str, points: int | None = None, x: Axis = "step") -> list[Curves]:
        """Returns the points of metrics of each run, in the order of the runs, read through one git process.

        Takes what `RecordedRun.history` takes; a run that has none of the metrics has a table without rows. Raises
        NoMetric if no run has one of them."""
        wanted = [_chosen_of(metrics, run) for run in self._runs]
        if metrics and self._runs and not any(wanted):
            chosen(metrics, self._runs[0])
        asked = frozenset(name for names in wanted for name in names)
        read = histories.read_each(self._asked.place.git, self._runs, asked)  # a few of them in memory at a time
        parts = zip(self._runs, read, wanted, strict=True)
        return [curves(run, table, names, points=points, x=x) for run, table, names in parts]

    # For other libraries ---------------------------------------------------------------------------------------------

    def to_dicts(self) -> list[dict[str, Any]]:
        """Returns a flat dict a run: fields, `params.x`, `metrics.x`, and `metrics.x.best` where a goal is declared."""
        with _without_collector():
            return self._frame().to_dicts()

    def to_pandas(self) -> Any:
        """Returns a pandas DataFrame, a row a run; columns as in `to_dicts`. Raises NotInstalled without pandas."""
        with _without_collector():
            return self._frame().to_pandas()

    def to_polars(self) -> Any:
        """Returns a polars DataFrame, a row a run; columns as in `to_dicts`. Raises NotInstalled without polars."""
        with _without_collector():
            return self._frame().to_polars()

    def to_arrow(self) -> Any:
        """Returns a pyarrow Table, a row a run; columns as in `to_dicts`. Raises NotInstalled without pyarrow."""
        with _without_collector():
            return self._frame().to_arrow()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Hands the table to any library that knows Arrow's C interface; by pyarrow."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def _frame(self) -> Frame:
        return frame(self._runs)

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: a table of the first 20."""
        from gittrack import notebook  # noqa: PLC0415 - only in one

        return notebook.runs(self._runs[:SHOWN_ROWS], total=len(self))


def runs(
    where: str | None = None,
    *,
    sort: str | None = None,
    limit: int | None = None,
    deleted: bool = False,
    path: str | Path | None = None,
) -> Runs:
    """Returns the runs for which `where` is true, newest first; nothing is read before they are looked at.

    where: a query, as of `git track ls --where`. sort: a field, `-` in front for the greatest first, as of `--sort`.
    limit: at most so many. deleted: those too that were deleted. path: a folder in the repository, by default the
    current one. Raises NotARepository, and UsageError for a query or a field that makes no sense."""
    if limit is not None and limit < 0:
        raise UsageError(f"a limit of {limit} runs makes no sense", hint="leave it out for all")
    if sort is not None:
        fields.sort_key(sort)
    place = _open(path)
    return Runs(_Asked(place, None if where is None else _parsed(where, place), sort, limit, deleted))


def get(text: str, *, path: str | Path | None = None) -> RecordedRun:
    """Returns the run that `text` names: id or prefix, name, `@`, `@{-1}`, `best:val/acc`, a commit, `RUN^`.

    path: a folder in the repository, by default the current one. Raises NotFound, or Ambiguous with the candidates."""
    place = _open(path)
    book = finding.caught_up(place, deleted=True)
    try:
        named = naming.find(text, book, commit=place.git.resolve)
    finally:
        book.close()
    if named.path is not None:
        hint = f"gittrack.get({text.removesuffix(':' + named.path)!r}).read({named.path!r}) returns it"
        raise UsageError(f"'{text}' is a file in a run, not a run", hint=hint)
    return RecordedRun(place.git, named.run)


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Pauses Python's collector, which would look through a million new values again and again and find no cycle."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _open(path: str | Path | None) -> Repo:
    return repo.open_repo(None if path is None else Path(path))


def _parsed(where: str, place: Repo) -> Condition:
    from gittrack.query import language  # noqa: PLC0415 - only for a query

    return language.parse(where, date=place.git.date)


def _select(asked: _Asked) -> tuple[Sequence[Run], tuple[GittrackError, ...]]:
    """Returns the runs that are meant, in order, and what could not be read."""
    book = finding.caught_up(asked.place, deleted=asked.deleted)
    try:
        return book.select(asked.where, order=(asked.sort or NEWEST_FIRST,), limit=asked.limit), tuple(book.damaged)
    finally:
        book.close()


def _chosen_of(metrics: Sequence[str], run: Run) -> list[str]:
    """Returns the metrics that are meant and that a run has."""
    found: dict[str, None] = {}
    for asked in metrics:
        with contextlib.suppress(NoMetric):
            found |= dict.fromkeys(chosen([asked], run))
    return list(found) if metrics else chosen((), run)


def frame(found: Sequence[Run]) -> Frame:
    """Returns runs as typed columns: fields, params by their dotted names, metrics by name with `.best` beside them."""
    length = len(found)
    columns = [
        Series("id", "text", [run.id for run in found]),
        Series("name", "text", [run.name for run in found]),
        Series("status", "text", [run.status for run in found]),
        Series("created", "time", [milliseconds(run.created) for run in found]),
        Series("ended", "time", [milliseconds(run.ended) for run in found]),
        Series("duration", "number", [run.duration for run in found]),
        Series("author", "text", [run.author for run in found]),
        Series("host", "text", [run.host for run in found]),
        Series("command", "text", [run.command for run in found]),
        Series("exit_code", "integer", [_small(run.exit_code) for run in found]),
        Series("group", "text", [run.group for run in found]),
        Series("tags", "texts", [run.tags for run in found]),
        Series("note", "text", [run.note for run in found]),
        Series("starred", "flag", [run.starred for run in found]),
        Series("parent", "text", [run.parent for run in found]),
        Series("code.commit", "text", [run.code.commit for run in found]),
        Series("code.branch", "text", [run.code.branch for run in found]),
        Series("code.dirty", "flag", [run.code.dirty for run in found]),
        Series("points", "integer", [_small(run.points) for run in found]),
    ]
    columns += [guessed(f"params.{name}", values) for name, values in sorted(_params(found).items())]
    columns += [Series(f"metrics.{name}", "number", values) for name, values in sorted(_metrics(found).items())]
    return Frame(columns, length=length)


def _small(value: int | None) -> int | None:
    """Returns an integer if 64 bits hold it, as those of real runs."""
    return value if value is None or -(2**63) <= value < 2**63 else None


def _params(found: Sequence[Run]) -> dict[str, list[Any]]:
    """Returns the values of each param, None where a run has none."""
    columns: dict[str, list[Any]] = {}
    for place, run in enumerate(found):
        for name, value in run.flat_params.items():
            if name not in columns:
                columns[name] = [None] * len(found)
            columns[name][place] = value
    return columns


def _metrics(found: Sequence[Run]) -> dict[str, list[float | None]]:
    """Returns the last value of each metric, and under `name.best` the best where a goal is declared."""
    columns: dict[str, list[float | None]] = {}
    best: dict[str, list[float | None]] = {}
    for place, run in enumerate(found):
        for name, metric in run.metrics.items():
            if name not in columns:
                columns[name] = [None] * len(found)
            columns[name][place] = metric.last
            if metric.goal:
                if name not in best:
                    best[name] = [None] * len(found)
                best[name][place] = metric.best
    return {f"{name}.best": values for name, values in best.items()} | columns
