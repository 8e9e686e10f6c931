"""What the journals of a run add up to, before it becomes files of a commit.

Several processes may have written, params may have been given twice, and a process may have died in the middle: here
all of that becomes one set of params, one table of points, one summary a metric."""

from __future__ import annotations

import fnmatch
import math
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from gittrack import journal
from gittrack.codec import tree
from gittrack.codec.pointer import Pointer, is_sha256
from gittrack.codec.points import Points, table
from gittrack.model import Artifact, Column, Event, Goal, History, Metric


class Last(NamedTuple):
    """The value of a metric that was logged last, which the table cannot tell where steps go back."""

    time: float
    value: float
    step: int


# What a note of the journal must have, by its kind.
_NEEDS: dict[str, dict[str, Any]] = {
    "params": {"v": dict},
    "state": {"v": dict},
    "count": {"v": dict},
    "event": {"key": str},
    "metric": {"name": str, "goal": str},
    "use": {"run": str, "path": str, "sha256": str, "size": int},
    "summary": {"key": str, "value": (int, float)},
    "artifact": {"path": str, "size": int},
    "stored": {"file": str, "sha256": str, "size": int},
}


_SEVERITY = {"interrupted": 1, "crashed": 2, "failed": 3}


@dataclass(slots=True)
class Draft:
    """A run as its journals tell it, before it becomes files."""

    header: Mapping[str, Any]
    params: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    goals: dict[str, Goal] = field(default_factory=dict)
    summaries: dict[str, float] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)  # that artifacts are in
    sources: dict[str, Path] = field(default_factory=dict)
    stored: dict[str, Pointer] = field(default_factory=dict)
    inputs: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)
    child: dict[str, Any] = field(default_factory=dict)
    ranks: list[Mapping[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    history: History | None = None
    lasts: dict[str, Last] = field(default_factory=dict)
    last_time: float = 0.0

    @property
    def outcome(self) -> Mapping[str, Any]:
        """How the run ended: as the worst of its ranks did. What has no end crashed."""
        own = self.end or self.child or {"status": "crashed"}
        if self.child.get("error"):  # a command tells no more than its exit code, the script in it why
            own = {"error": self.child["error"], **own}
        return worst([own, *self.ranks])


def worst(ends: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Returns the end that says most of a run that several processes made: a failure, a crash, an interruption."""
    return max(ends, key=lambda end: _SEVERITY.get(str(end.get("status")), 0))


def draft(live: journal.Live) -> Draft:
    """Returns what the journals of a live folder add up to."""
    made = Draft(live.header, params=dict(live.header.get("params", {})), last_time=live.header["created"])
    logged: list[tuple[int, Points]] = []
    for number, item in enumerate(live.journals.values()):
        rank = item.header.get("rank")
        rank = number if rank is None else rank
        if item.points:
            logged.append((rank, item.points))
            made.last_time = max(made.last_time, item.points.times[-1] / 1000)
        for name, last in _lasts(item.points).items():
            made.lasts[name] = max(made.lasts.get(name, last), last, key=lambda one: one.time)
        if item.header.get("ends"):
            ends = [note for note in item.notes if note.get("k") == "child"]
            made.ranks.append(ends[-1] if ends else {"status": "crashed"})
        made.counts["corrupt"] = made.counts.get("corrupt", 0) + item.corrupt
    notes = [
        note
        for item in live.journals.values()
        for note in item.notes
        if not (item.header.get("ends") and note.get("k") == "child")
    ]
    sound = [note for note in notes if _is_sound(note)]
    made.counts["corrupt"] = made.counts.get("corrupt", 0) + len(notes) - len(sound)
    for note in sorted(sound, key=lambda note: note["t"]):
        _take(made, note, live.folder)
        made.last_time = max(made.last_time, note["t"])
    made.history = table(logged, ranked=len(logged) > 1 or "launch" in live.header) if logged else None
    return made


def _is_sound(note: Mapping[str, Any]) -> bool:
    """Tells whether a note has what its kind needs; one of a kind from the future has."""
    kind = str(note.get("k"))
    needs: dict[str, Any] = {"t": (int, float), **_NEEDS.get(kind, {})}
    if not all(isinstance(note.get(key), kinds) for key, kinds in needs.items()):
        return False
    if kind == "artifact":
        return _is_sound_file(note)
    if kind == "stored":
        return is_sha256(note["sha256"])
    return kind != "count" or all(isinstance(count, int) for count in note["v"].values())


def _is_sound_file(note: Mapping[str, Any]) -> bool:
    """Tells whether a file that was logged has a copy, or is a payload, and a hash, or a copy that can be hashed."""
    file, sha256, large = note.get("file"), note.get("sha256"), note.get("pointer") is True
    copied = isinstance(file, str) and file.isdigit()
    hashed = isinstance(sha256, str) and is_sha256(sha256)
    sound = (copied or (large and file is None)) and (hashed or (large and copied and sha256 is None))
    return sound and tree.why_refused(note["path"]) is None


def _lasts(points: Points) -> dict[str, Last]:
    """Returns what a process logged last of each metric; its clock may have gone back, so its order counts."""
    found: dict[str, Last] = {}
    for kind, (_, step, time, cells) in sorted(points.latest.items(), key=lambda item: item[1][0]):
        names = points.names[kind]
        found.update({name: Last(time / 1000, cell, step) for name, cell in zip(names, cells, strict=True)})
    return found


def _take(made: Draft, note: Mapping[str, Any], folder: Path) -> None:
    """Adds one note of a journal to the draft."""
    kind = note.get("k")
    if kind == "params":
        changed = merge_params(made.params, note["v"])
        made.events += [Event(note["t"], path, value, None, "param") for path, value in changed]
    elif kind == "event":
        made.events.append(Event(note["t"], note["key"], note.get("value"), note.get("step"), note.get("kind", "text")))
    elif kind == "metric":
        made.goals[note["name"]] = note["goal"]
    elif kind == "summary":
        made.summaries[note["key"]] = note["value"]
    elif kind in ("artifact", "stored", "use"):
        _take_file(made, note, folder / "files")
    elif kind == "state":
        made.state |= note["v"]
    elif kind == "count":
        for name, count in note["v"].items():
            made.counts[name] = made.counts.get(name, 0) + count
    elif kind in ("end", "child"):  # child: a process that wrote into the run of another ended
        setattr(made, kind, dict(note))


def _take_file(made: Draft, note: Mapping[str, Any], copies: Path) -> None:
    """Adds a file that was logged, what became of the copy of one, or a file of another run that was used."""
    if note["k"] == "use":
        made.inputs[note["run"], note["path"]] = {key: note[key] for key in ("run", "path", "sha256", "size")}
        return
    if note["k"] == "stored":
        made.stored[note["file"]] = Pointer(note["sha256"], note["size"])
        return
    item = _artifact(note)
    if has_room(item.path, made.artifacts, made.folders):
        made.artifacts[item.path] = item
        made.folders.update(folders_above(item.path))
        made.sources.pop(item.path, None)
        if "file" in note:
            made.sources[item.path] = copies / str(note["file"])
    else:
        made.counts["dropped"] = made.counts.get("dropped", 0) + 1


def folders_above(path: str) -> list[str]:
    """Returns the folders that a path is in, the outermost first."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def has_room(path: str, files: Collection[str], folders: Collection[str]) -> bool:
    """Tells whether `path` can stand beside files, which are in these folders: no file is a folder too."""
    return path in files or not (path in folders or any(above in files for above in folders_above(path)))


def _artifact(note: Mapping[str, Any]) -> Artifact:
    return Artifact(
        path=note["path"],
        size=note["size"],
        sha256=note.get("sha256") or "",
        kind="pointer" if note.get("pointer") is True else "blob",
        name=note.get("name"),
        type=note.get("type"),
        aliases=tuple(note.get("aliases") or ()),
        metadata=note.get("metadata"),
        step=note.get("step"),
    )


def merge_params(into: dict[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Adds `new` to write-once params; returns (dotted name, value) of those that already had another value."""
    changed: list[tuple[str, Any]] = []
    for key, value in new.items():
        if key not in into:
            into[key] = value
        elif isinstance(into[key], dict) and isinstance(value, Mapping):
            changed += merge_params(into[key], value, f"{prefix}{key}.")
        elif not _same(into[key], value):
            changed.append((prefix + key, value))
    return changed


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b):
        return True
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


# Metrics ------------------------------------------------------------------------------------------------------------


def summarise(
    history: History | None,
    goals: Mapping[str, Goal],
    summaries: Mapping[str, float],
    lasts: Mapping[str, Last] | None = None,
) -> dict[str, Metric]:
    """Returns the summary of every metric, sorted by name; without `lasts`, what is newest in the table is last."""
    found: dict[str, Metric] = {}
    columns = history.columns if history else {}
    for name in sorted({*columns, *summaries}, key=lambda name: name.encode("utf-8", "replace")):
        goal = _goal(name, goals)
        if history and name in columns:
            metric = _summarise_column(columns[name], history, goal)
            if lasts and name in lasts:
                metric = metric._replace(last=lasts[name].value, step=lasts[name].step)
        else:
            value = summaries[name]
            step = history.steps[-1] if history and len(history.steps) else 0
            metric = Metric(value, step, value, step, value, step, value, 0, goal)
        if name in summaries:
            metric = metric._replace(last=summaries[name], summary=summaries[name])
        found[name] = metric
    return found


def _goal(name: str, goals: Mapping[str, Goal]) -> Goal | None:
    if name in goals:
        return goals[name]
    return next(
        (goal for pattern, goal in goals.items() if "*" in pattern and fnmatch.fnmatchcase(name, pattern)), None
    )


def _summarise_column(column: Column, history: History, goal: Goal | None) -> Metric:
    cells = column.values
    rows: Sequence[int] = range(len(cells)) if column.rows is None else column.rows
    times = history.times
    last = len(cells) - 1
    newest = max(times if column.rows is None else map(times.__getitem__, rows))
    if newest > times[rows[last]]:  # a step went back: the value logged last is not in the last row
        last = max(at for at, row in enumerate(rows) if times[row] == newest)
    low, low_at, high, high_at, mean, nan = _extremes(cells)
    steps = history.steps
    return Metric(
        last=cells[last],
        step=steps[rows[last]],
        min=low,
        min_step=steps[rows[low_at]],
        max=high,
        max_step=steps[rows[high_at]],
        mean=mean,
        count=len(cells),
        goal=goal,
        nan=nan,
    )


def _extremes(cells: array[float]) -> tuple[float, int, float, int, float, int]:
    """Returns min, its place, max, its place, mean, and the number of NaN, which the others leave out."""
    total = sum(cells)
    # NaN in the sum: there is one among the values, or there are infinities of both signs.
    numbers = array("d", (cell for cell in cells if cell == cell)) if total != total else cells
    if not numbers:
        return math.nan, 0, math.nan, 0, math.nan, len(cells)
    low, high = min(numbers), max(numbers)
    if math.isfinite(low) and math.isfinite(high):
        try:
            mean = math.fsum(numbers) / len(numbers)
        except OverflowError:
            mean = math.fsum(number / len(numbers) for number in numbers)
    else:
        mean = sum(numbers) / len(numbers)
    return low, cells.index(low), high, cells.index(high), mean, len(cells) - len(numbers)
