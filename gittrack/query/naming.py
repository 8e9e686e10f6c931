"""How people name runs: the first way that matches wins.

A commit-ish needs git to be understood, so the caller hands in what git says of it."""

from __future__ import annotations

import abc
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gittrack.errors import Ambiguous, NotFound, UsageError
from gittrack.model import Goal, Run
from gittrack.query.fields import reversed_text, seconds
from gittrack.refname import RUNS, Oid, RunId, is_run_id
from gittrack.terminal import printable

MANY = 5000  # runs whose names are looked through for near ones
_PREFIX = re.compile(r"r[0-9a-z]{3,12}")
_TOO_SHORT = re.compile(r"r[0-9a-z]{1,2}")
_EARLIER = re.compile(r"@\{-([0-9]{1,6})\}")
_RANK = re.compile(r"best:(?:(min|max):)?(.+)", re.DOTALL)

CommitRuns = Callable[[str], Oid | None]


def age(run: Run) -> tuple[bool, float, str]:
    """Returns what runs are sorted by to have the newest first; those whose time cannot be read are last."""
    created = seconds(run.created)
    return (created is None, -(created or 0.0), reversed_text(run.id))


class Book(abc.ABC):
    """Runs as they are looked up by name; every list has the newest first."""

    @abc.abstractmethod
    def by_id(self, id: RunId) -> Run | None:
        """Returns the run with an id."""

    @abc.abstractmethod
    def starting(self, prefix: str) -> list[Run]:
        """Returns the runs whose ids begin with `prefix`."""

    @abc.abstractmethod
    def called(self, name: str) -> list[Run]:
        """Returns the runs with a name."""

    @abc.abstractmethod
    def of_commit(self, oid: Oid) -> Run | None:
        """Returns the newest run of a code commit or snapshot, or the run that the commit is itself."""

    @abc.abstractmethod
    def tagged(self, tag: str) -> list[Run]:
        """Returns the runs with a tag."""

    @abc.abstractmethod
    def grouped(self, group: str) -> list[Run]:
        """Returns the runs of a group."""

    @abc.abstractmethod
    def newest(self, skip: int = 0) -> Run | None:
        """Returns the newest run, or the one that many before it."""

    @abc.abstractmethod
    def between(self, older: Run | None, newer: Run | None) -> list[Run]:
        """Returns the runs from one to another, both included; without one there is no limit on that side.

        None where `older` is the newer one."""

    @abc.abstractmethod
    def goals(self, metric: str) -> set[Goal]:
        """Returns the goals that runs declare for a metric."""

    @abc.abstractmethod
    def best(self, metric: str, *, high: bool) -> Run | None:
        """Returns the run with the highest, or lowest, value that a metric ever had; of several, the newest."""

    @abc.abstractmethod
    def names(self) -> list[str]:
        """Returns names and ids, to suggest some of them; of many runs, those of the newest."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """Returns the number of runs."""


class Listed(Book):
    """Runs that are at hand, newest first."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs

    def by_id(self, id: RunId) -> Run | None:
        return next((run for run in self._runs if run.id == id), None)

    def starting(self, prefix: str) -> list[Run]:
        return [run for run in self._runs if run.id.startswith(prefix)]

    def called(self, name: str) -> list[Run]:
        return [run for run in self._runs if run.name == name]

    def of_commit(self, oid: Oid) -> Run | None:
        return next((run for run in self._runs if oid in (run.code.commit, run.code.snapshot, run.oid)), None)

    def tagged(self, tag: str) -> list[Run]:
        return [run for run in self._runs if tag in run.tags]

    def grouped(self, group: str) -> list[Run]:
        return [run for run in self._runs if run.group == group]

    def newest(self, skip: int = 0) -> Run | None:
        return self._runs[skip] if skip < len(self._runs) else None

    def between(self, older: Run | None, newer: Run | None) -> list[Run]:
        places = {run.id: at for at, run in enumerate(self._runs)}
        first = places[newer.id] if newer else 0
        last = places[older.id] if older else len(self._runs)
        return list(self._runs[first : last + 1])

    def goals(self, metric: str) -> set[Goal]:
        return {goal for run in self._runs if metric in run.metrics and (goal := run.metrics[metric].goal)}

    def best(self, metric: str, *, high: bool) -> Run | None:
        def key(run: Run) -> float:
            value = run.metrics[metric].max if high else -run.metrics[metric].min
            return -math.inf if math.isnan(value) else value

        return max((run for run in self._runs if metric in run.metrics), key=key, default=None)

    def names(self) -> list[str]:
        return [name for run in self._runs[:MANY] for name in (run.name, run.id)]

    def __len__(self) -> int:
        return len(self._runs)


def as_book(runs: Book | Sequence[Run]) -> Book:
    """Returns runs as they are looked up by name."""
    return runs if isinstance(runs, Book) else Listed(runs)


@dataclass(frozen=True, slots=True)
class Named:
    """A run, and a path in it if the name had one (`RUN:path`)."""

    run: Run
    path: str | None = None


def find(text: str, runs: Book | Sequence[Run], *, commit: CommitRuns) -> Named:
    """Returns the run that `text` names; raises NotFound or Ambiguous.

    A sequence of runs has the newest first."""
    book = as_book(runs)
    whole = _find_run(text, book, commit)
    if whole:
        return Named(whole)
    name, colon, path = text.partition(":")
    if text.startswith("best:"):  # the metric may hold a colon, so the path is what follows the last one
        name, colon, path = text.rpartition(":")
    if colon and name:
        run = _find_run(name, book, commit)
        if run:
            return Named(run, path)
    raise not_found(name if colon and name and not text.startswith(("tag:", "group:", "best:")) else text, book)


def find_all(text: str, runs: Book | Sequence[Run], *, commit: CommitRuns) -> list[Run]:
    """Returns the runs that `text` names where several are meant: `tag:x`, `group:x`, `A..B`, or one run.

    `A..B` are the runs that began between the two, both included, from A to B; without A from the oldest, without B
    to the newest."""
    book = as_book(runs)
    kind, colon, value = text.partition(":")
    if colon and kind in ("tag", "group"):
        found = book.tagged(value) if kind == "tag" else book.grouped(value)
        if not found:
            raise NotFound(f"no run has the {kind} '{value}'", hint="see `git track ls`")
        return found
    if ".." in text and text.strip(".") and not book.called(text):
        return _between(text, book, commit)
    return [find(text, book, commit=commit).run]


def _between(text: str, book: Book, commit: CommitRuns) -> list[Run]:
    first, _, last = text.partition("..")
    begin, end = (find(name, book, commit=commit).run if name else None for name in (first, last))
    return book.between(begin, end)[::-1] or book.between(end, begin)


def _find_run(text: str, book: Book, commit: CommitRuns) -> Run | None:
    if text.endswith("^") and len(text) > 1:
        return _parent(text, book, commit)
    by_id = text.removeprefix(RUNS)
    if is_run_id(by_id):
        found = book.by_id(RunId(by_id))
        if found or by_id != text:
            return found
    prefixed = book.starting(text) if _PREFIX.fullmatch(text) else []
    for candidates in (prefixed, book.called(text) if not prefixed else []):
        if len(candidates) > 1:
            raise _ambiguous(text, candidates)
        if candidates:
            return candidates[0]
    earlier = _EARLIER.fullmatch(text)
    if text == "@" or earlier:
        return book.newest(int(earlier[1]) if earlier else 0)
    ranked = _RANK.fullmatch(text)
    if ranked:
        return _best(ranked[2], ranked[1], book)
    oid = commit(text) if book else None
    return book.of_commit(oid) if oid else None


def _parent(text: str, book: Book, commit: CommitRuns) -> Run | None:
    child = _find_run(text[:-1], book, commit)
    if child is None:
        return None
    found = book.by_id(child.parent) if child.parent else None
    if found:
        return found
    raise NotFound(f"run '{child.name}' came from no other run", hint="a child run has a parent")


def _best(metric: str, direction: str | None, book: Book) -> Run | None:
    if direction is None:
        goals = book.goals(metric)
        if len(goals) == 1:
            direction = goals.pop()
        elif book.best(metric, high=True) is None:
            return None
        else:
            why = "no run declares a goal for it" if not goals else "runs declare different goals for it"
            raise UsageError(
                f"which value of '{metric}' is best is not known", cause=why, hint=f"write best:max:{metric}"
            )
    return book.best(metric, high=direction == "max")


def _ambiguous(text: str, runs: Sequence[Run]) -> Ambiguous:
    listed = ", ".join(f"{run.id} ({printable(run.name)})" for run in runs[:8])
    more = f" and {len(runs) - 8} more" if len(runs) > 8 else ""
    return Ambiguous(f"'{text}' names {len(runs)} runs", cause=listed + more, hint="use the id, or more of it")


def not_found(text: str, book: Book) -> NotFound:
    """Returns the error for a name that no run has, with the nearest names."""
    import difflib  # noqa: PLC0415 - only for an error

    near = difflib.get_close_matches(text, book.names(), n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "see `git track ls`"
    if is_run_id(text):
        hint = "if a colleague recorded it, `git track pull` first"
    if _TOO_SHORT.fullmatch(text) and book.starting(text):
        hint = "at least 4 characters of an id are needed"
    cause = f"none of {len(book)} run(s) has this id, name or commit" if book else "there are no runs here"
    return NotFound(f"no run is called '{text}'", cause=cause, hint=hint)
