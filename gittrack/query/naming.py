"""How people name runs (the first way that matches wins), over runs as values.

A commit-ish needs git to be understood, so the caller hands in what git says of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gittrack.errors import Ambiguous, NotFound, UsageError
from gittrack.model import Goal, Run
from gittrack.refname import RUNS, Oid, is_run_id
from gittrack.terminal import printable

MIN_PREFIX = 4
_EARLIER = re.compile(r"@\{-([0-9]{1,6})\}")
_RANK = re.compile(r"best:(?:(min|max):)?(.+)", re.DOTALL)

CommitRuns = Callable[[str], Oid | None]


@dataclass(frozen=True, slots=True)
class Named:
    """A run, and a path in it if the name had one (`RUN:path`)."""

    run: Run
    path: str | None = None


def find(text: str, runs: Sequence[Run], *, commit: CommitRuns) -> Named:
    """Returns the run that `text` names, among `runs` (newest first); raises NotFound or Ambiguous."""
    whole = _find_run(text, runs, commit)
    if whole:
        return Named(whole)
    name, colon, path = text.partition(":")
    if text.startswith("best:"):  # the metric may hold a colon, so the path is what follows the last one
        name, colon, path = text.rpartition(":")
    if colon and name:
        run = _find_run(name, runs, commit)
        if run:
            return Named(run, path)
    raise not_found(name if colon and name and not text.startswith(("tag:", "group:", "best:")) else text, runs)


def find_all(text: str, runs: Sequence[Run], *, commit: CommitRuns) -> list[Run]:
    """Returns the runs that `text` names where several are meant: `tag:x`, `group:x`, `A..B`, or one run.

    `A..B` are the runs that began between the two, both included, from A to B; without A from the oldest, without B
    to the newest."""
    kind, colon, value = text.partition(":")
    if colon and kind in ("tag", "group"):
        found = [run for run in runs if (value in run.tags if kind == "tag" else value == run.group)]
        if not found:
            raise NotFound(f"no run has the {kind} '{value}'", hint="see `git track ls`")
        return found
    if ".." in text and text.strip(".") and not any(run.name == text for run in runs):
        return _between(text, runs, commit)
    return [find(text, runs, commit=commit).run]


def _between(text: str, runs: Sequence[Run], commit: CommitRuns) -> list[Run]:
    first, _, last = text.partition("..")
    places = {run.id: at for at, run in enumerate(runs)}
    begin = places[find(first, runs, commit=commit).run.id] if first else len(runs) - 1
    end = places[find(last, runs, commit=commit).run.id] if last else 0
    return list(runs[end : begin + 1])[::-1] if begin >= end else list(runs[begin : end + 1])


def _find_run(text: str, runs: Sequence[Run], commit: CommitRuns) -> Run | None:
    if text.endswith("^") and len(text) > 1:
        return _parent(text, runs, commit)
    by_id = text.removeprefix(RUNS)
    if is_run_id(by_id):
        found = next((run for run in runs if run.id == by_id), None)
        if found or by_id != text:
            return found
    prefixed = [run for run in runs if run.id.startswith(text)] if len(text) >= MIN_PREFIX and text[0] == "r" else []
    for candidates in (prefixed, [run for run in runs if run.name == text]):
        if len(candidates) > 1:
            raise _ambiguous(text, candidates)
        if candidates:
            return candidates[0]
    if text == "@" and runs:
        return runs[0]
    earlier = _EARLIER.fullmatch(text)
    if earlier:
        return runs[int(earlier[1])] if int(earlier[1]) < len(runs) else None
    ranked = _RANK.fullmatch(text)
    if ranked:
        return _best(ranked[2], ranked[1], runs)
    oid = commit(text) if runs else None
    return next((run for run in runs if oid and oid in (run.code.commit, run.code.snapshot, run.oid)), None)


def _parent(text: str, runs: Sequence[Run], commit: CommitRuns) -> Run | None:
    child = _find_run(text[:-1], runs, commit)
    if child is None:
        return None
    found = next((run for run in runs if run.id == child.parent), None)
    if child.parent and found:
        return found
    raise NotFound(f"run '{child.name}' came from no other run", hint="a child run has a parent")


def _best(metric: str, direction: str | None, runs: Iterable[Run]) -> Run | None:
    having = [run for run in runs if metric in run.metrics]
    if not having:
        return None
    goals: set[Goal] = {goal for run in having if (goal := run.metrics[metric].goal)}
    if direction is None and len(goals) != 1:
        why = "no run declares a goal for it" if not goals else "runs declare different goals for it"
        raise UsageError(f"which value of '{metric}' is best is not known", cause=why, hint=f"write best:max:{metric}")
    high = (direction or goals.pop()) == "max"

    def key(run: Run) -> float:
        value = run.metrics[metric].max if high else -run.metrics[metric].min
        return -math.inf if math.isnan(value) else value

    return max(having, key=key)


def _ambiguous(text: str, runs: Sequence[Run]) -> Ambiguous:
    listed = ", ".join(f"{run.id} ({printable(run.name)})" for run in runs[:8])
    more = f" and {len(runs) - 8} more" if len(runs) > 8 else ""
    return Ambiguous(f"'{text}' names {len(runs)} runs", cause=listed + more, hint="use the id, or more of it")


def not_found(text: str, runs: Sequence[Run]) -> NotFound:
    """Returns the error for a name that no run has, with the nearest names."""
    import difflib  # noqa: PLC0415 - only for an error

    near = difflib.get_close_matches(text, [name for run in runs[:5000] for name in (run.name, run.id)], n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "see `git track ls`"
    if is_run_id(text):
        hint = "if a colleague recorded it, `git track pull` first"
    cause = f"none of {len(runs)} run(s) has this id, name or commit" if runs else "there are no runs here"
    return NotFound(f"no run is called '{text}'", cause=cause, hint=hint)
