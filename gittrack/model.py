"""What a run is, as values.

Everything here is immutable and knows nothing of git, files or clocks, so that listing, comparing and joining can
be reasoned about, and tested, without a repository."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from gittrack.refname import Oid, RunId

Goal = Literal["min", "max"]
STATUSES = ("running", "finished", "failed", "interrupted", "crashed")

RECORDED = "run.yaml"  # stands for the tags a run was recorded with, in an untag edit

SYSTEM = "system/"  # what metrics of the machine begin with; they are no results


class Metric(NamedTuple):
    """The summary of one metric of one run.

    min, max, mean and best leave out NaN; where several points share an extreme, the first holds."""

    last: float
    step: int
    min: float
    min_step: int
    max: float
    max_step: int
    mean: float
    count: int  # type: ignore[assignment] # a tuple has a method of this name; ours is the number of points
    goal: Goal | None = None
    nan: int = 0
    summary: float | None = None

    @property
    def best(self) -> float | None:
        """The value nearest the goal; None without a goal."""
        return {"min": self.min, "max": self.max}.get(self.goal or "")

    @property
    def best_step(self) -> int | None:
        """The step of the best value; None without a goal."""
        return {"min": self.min_step, "max": self.max_step}.get(self.goal or "")

    def facts(self) -> dict[str, Any]:
        """Returns the metric as it stands in `metrics.yaml`: what has no value is left out."""
        facts: dict[str, Any] = {
            "last": self.last,
            "step": self.step,
            "min": self.min,
            "min_step": self.min_step,
            "max": self.max,
            "max_step": self.max_step,
        }
        if self.goal:
            facts |= {"best": self.best, "best_step": self.best_step}
        facts |= {"mean": self.mean, "count": self.count}
        if self.nan:
            facts["nan"] = self.nan
        if self.goal:
            facts["goal"] = self.goal
        if self.summary is not None:
            facts["summary"] = self.summary
        return facts


@dataclass(frozen=True, slots=True)
class Omitted:
    """A file that was left out of a snapshot."""

    path: str
    why: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Code:
    """The code a run was made from."""

    commit: Oid | None = None
    branch: str | None = None
    remote: str | None = None
    dirty: bool = False
    snapshot: Oid | None = None
    omitted: tuple[Omitted, ...] = ()

    @property
    def exact(self) -> Oid | None:
        """The commit whose tree is the code, uncommitted changes included."""
        return self.snapshot or self.commit

    @property
    def brief(self) -> str:
        """The commit as `1a2b3c4`, with `*` if there were uncommitted changes."""
        return (self.commit or "")[:7] + ("*" if self.dirty else "")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a run; `path` is relative to the run's `artifacts/`, `size` in bytes."""

    path: str
    size: int
    sha256: str
    kind: str = "blob"
    name: str | None = None
    type: str | None = None
    aliases: tuple[str, ...] = ()
    metadata: Mapping[str, Any] | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something logged that is no number; `time` in Unix seconds."""

    time: float
    key: str
    value: Any
    step: int | None = None
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Edit:
    """One thing a person said about a run after it was recorded (docs/format.md, chapter 9)."""

    file: str
    clock: int
    author: str
    time: str
    changes: Mapping[str, Any]

    @property
    def order(self) -> tuple[int, str]:
        """What edits are sorted by."""
        return (self.clock, self.file)


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its record tells it: enough to list, sort and compare."""

    id: RunId
    name: str
    status: str
    created: str
    ended: str | None = None
    duration: float | None = None
    author: str = ""
    host: str | None = None
    code: Code = Code()
    command: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    group: str | None = None
    parent: RunId | None = None
    project: str | None = None
    job_type: str | None = None
    note: str | None = None
    starred: bool = False
    deleted: bool = False
    artifact_count: int = 0
    artifact_size: int = 0
    artifact_pointers: int = 0
    points: int = 0
    exit_code: int | None = None
    seal: str | None = None
    more: bool = False
    oid: Oid | None = None
    pushed: tuple[str, ...] = ()
    archived: bool = False
    redacted: Mapping[str, int] = field(default_factory=dict, compare=False)  # by place; only of a run just sealed

    @property
    def flat_params(self) -> dict[str, Any]:
        """The params with nested names joined by dots."""
        return flatten(self.params)


@dataclass(frozen=True, slots=True)
class State:
    """What of a run can be edited."""

    name: str
    status: str
    tags: tuple[str, ...] = ()
    group: str | None = None
    notes: tuple[str, ...] = ()
    starred: bool = False
    deleted: bool = False


def fold(base: State, edits: Iterable[Edit]) -> State:
    """Returns `base` after `edits`, whatever the order they come in."""
    ordered = sorted(edits, key=lambda edit: edit.order)
    taken_back: set[tuple[str, str]] = set()
    for edit in ordered:
        for tag, files in _mapping(edit.changes.get("untag")).items():
            taken_back.update((tag, file) for file in files if isinstance(file, str))
    tags = {tag for tag in base.tags if (tag, RECORDED) not in taken_back}
    latest: dict[str, Any] = {}
    notes = list(base.notes)
    for edit in ordered:
        tags.update(tag for tag in edit.changes.get("tag") or () if (tag, edit.file) not in taken_back)
        for key in ("name", "group", "status", "star"):
            if key in edit.changes:
                latest[key] = edit.changes[key]
        if "note" in edit.changes:
            notes.append(edit.changes["note"])
        if "delete" in edit.changes or "restore" in edit.changes:
            latest["deleted"] = "delete" in edit.changes
    return State(
        name=latest.get("name", base.name),
        status=latest.get("status", base.status),
        tags=tuple(sorted(tags)),
        group=latest.get("group", base.group) or None,
        notes=tuple(notes),
        starred=bool(latest.get("star", base.starred)),
        deleted=latest.get("deleted", base.deleted),
    )


def adders_of(tag: str, base: State, edits: Iterable[Edit]) -> list[str]:
    """Returns the edit files (or `run.yaml`) that an untag of `tag` has to name."""
    found = [edit.file for edit in edits if tag in (edit.changes.get("tag") or ())]
    return sorted([*found, RECORDED] if tag in base.tags else found)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


@dataclass(frozen=True, slots=True)
class Column:
    """The points of one metric: `values[i]` stands in row `rows[i]`; rows None means one in every row."""

    values: array[float]
    rows: array[int] | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Every point of a run: a row per (step, time), a column per metric.

    steps: int64 array, one per row; times: int64 array, Unix milliseconds; ranks: int64 array or None."""

    steps: array[int]
    times: array[int]
    columns: Mapping[str, Column]
    ranks: array[int] | None = None

    @property
    def points(self) -> int:
        """The number of values."""
        return sum(len(column.values) for column in self.columns.values())

    def series(self, metric: str) -> list[tuple[int, float, float]]:
        """Returns (step, Unix seconds, value) of every point of `metric`, in row order; raises KeyError."""
        column = self.columns[metric]
        rows: Sequence[int] = range(len(self.steps)) if column.rows is None else column.rows
        return [
            (self.steps[row], self.times[row] / 1000, value) for row, value in zip(rows, column.values, strict=True)
        ]


def flatten(nested: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a nested mapping as one level with dotted names.

    Where `{"a.b": 1, "a": {"b": 2}}` would collide, the literal dot of the first is written with a backslash."""
    if dict not in {type(item) for item in nested.values()} and type(nested) is dict:
        return dict(nested)  # one level already, as most params are
    found: dict[str, Any] = {}
    count = _flatten_into(found, nested, "")
    return found if len(found) == count else _flatten_clashing(nested)


_LEAVES = frozenset({str, int, float, bool, list, type(None)})


def _flatten_into(found: dict[str, Any], nested: Mapping[str, Any], prefix: str) -> int:
    """Adds what is in a mapping under dotted names; returns how many values that were."""
    count = 0
    for key, item in nested.items():
        if type(item) not in _LEAVES and isinstance(item, Mapping) and item:  # the first question is quicker
            count += _flatten_into(found, item, f"{prefix}{key}.")
        else:
            found[prefix + key] = item
            count += 1
    return count


def _flatten_clashing(nested: Mapping[str, Any]) -> dict[str, Any]:
    leaves = list(_leaves(nested, ()))
    names = [".".join(path) for path, _ in leaves]
    while len(set(names)) < len(names):  # each round escapes one more of every clash, and no two escapes are equal
        often = Counter(names)
        names = [_escaped(path) if often[name] > 1 else name for name, (path, _) in zip(names, leaves, strict=True)]
    return dict(zip(names, (item for _, item in leaves), strict=True))


def _escaped(path: tuple[str, ...]) -> str:
    return ".".join(key.replace("\\", "\\\\").replace(".", "\\.") for key in path)


def _leaves(nested: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, item in nested.items():
        if isinstance(item, Mapping) and item:
            yield from _leaves(item, (*path, key))
        else:
            yield (*path, key), item
