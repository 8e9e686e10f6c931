"""A run that is read, as a script or a notebook holds it.

What a listing tells is there at once; what only the run's tree has (files, events, nested params, points) is read from
git when it is asked for, and nothing before."""

from __future__ import annotations

import fnmatch
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from gittrack import histories
from gittrack.curves import Axis, Curves, no_metric
from gittrack.errors import GittrackError, NotFound
from gittrack.frames import moment
from gittrack.git import Git
from gittrack.model import SYSTEM, Artifact, Code, Event, History, Metric, Run
from gittrack.refname import RunId
from gittrack.repo import Repo
from gittrack.terminal import printable

if TYPE_CHECKING:
    from gittrack.obtained import RecordedArtifact
    from gittrack.store import Detail

T = TypeVar("T")
MAX_FILE = 1 << 30  # bytes of a file that are read at once


class RecordedRun:
    """One run, recorded or being recorded; made by `gittrack.runs()` and `gittrack.get()`.

    It is what the run was when it was read, and does not change; ask again for what came since."""

    def __init__(self, git: Git, run: Run) -> None:
        """run: as a listing tells it."""
        self._git = git
        self._run = run

    def __repr__(self) -> str:
        run = self._run
        shown = [name for name in run.metrics if not name.startswith(SYSTEM)]
        shown.sort(key=lambda name: run.metrics[name].goal is None)
        values = "".join(f", {printable(name)} {_value(run.metrics[name]):.6g}" for name in shown[:3])
        return f"<run {printable(run.name)} ({run.id}): {run.status}{values}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecordedRun) and self._run == other._run

    def __hash__(self) -> int:
        return hash(self._run.id)

    # What a listing tells --------------------------------------------------------------------------------------------

    @property
    def id(self) -> RunId:
        """The id, which never changes."""
        return self._run.id

    @property
    def name(self) -> str:
        """The name."""
        return self._run.name

    @property
    def status(self) -> str:
        """`running`, `finished`, `failed`, `interrupted` or `crashed`."""
        return self._run.status

    @property
    def created(self) -> datetime | None:
        """When it began, with UTC as the time zone."""
        return moment(self._run.created)

    @property
    def ended(self) -> datetime | None:
        """When it ended, with UTC as the time zone; None while it is recorded."""
        return moment(self._run.ended)

    @property
    def duration(self) -> float | None:
        """How long it took, in seconds."""
        return self._run.duration

    @property
    def author(self) -> str:
        """`Name <address>` of who recorded it."""
        return self._run.author

    @property
    def host(self) -> str | None:
        """The machine it was recorded on."""
        return self._run.host

    @property
    def command(self) -> str | None:
        """The command line, shell-quoted; at most 500 characters."""
        return self._run.command

    @property
    def exit_code(self) -> int | None:
        """The exit code of its process, where known."""
        return self._run.exit_code

    @property
    def code(self) -> Code:
        """The code it was made from: `commit`, `branch`, `dirty`, `snapshot`, and `exact`, which has it all."""
        return self._run.code

    @property
    def commit(self) -> str | None:
        """The run's own newest commit; None if it has none yet."""
        return self._run.oid

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags, sorted."""
        return self._run.tags

    @property
    def group(self) -> str | None:
        """The group."""
        return self._run.group

    @property
    def project(self) -> str | None:
        """The project, as W&B scripts give it."""
        return self._run.project

    @property
    def job_type(self) -> str | None:
        """The kind of job, as W&B scripts give it."""
        return self._run.job_type

    @property
    def parent(self) -> RunId | None:
        """The id of the run it came from."""
        return self._run.parent

    @property
    def note(self) -> str | None:
        """The newest note, at most 1,000 characters; `notes` has all of all."""
        return self._run.note

    @property
    def starred(self) -> bool:
        """Whether somebody starred it."""
        return self._run.starred

    @property
    def deleted(self) -> bool:
        """Whether it was deleted, and can still be brought back."""
        return self._run.deleted

    @property
    def points(self) -> int:
        """The number of values in its history."""
        return self._run.points

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The summary of each metric: `.last`, `.min`, `.max`, `.mean`, `.best`, `.count`, and the steps of them."""
        return self._run.metrics

    @property
    def summary(self) -> dict[str, float]:
        """The last value of each metric."""
        return {name: metric.last for name, metric in self._run.metrics.items()}

    @property
    def flat_params(self) -> dict[str, Any]:
        """The params with nested names joined by dots."""
        return self._run.flat_params

    # What its tree tells ---------------------------------------------------------------------------------------------

    @cached_property
    def params(self) -> dict[str, Any]:
        """The params, nested as they were given."""
        flat = self._run.flat_params
        if not any("." in name for name in flat):
            return flat  # one level; nothing was joined
        if self._run.oid is None:
            return dict(self._run.params)
        return self._detail(lambda detail: detail.params())

    @property
    def config(self) -> dict[str, Any]:
        """The params, by W&B's name."""
        return self.params

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """All notes, oldest first."""
        if self._run.oid is None:
            return (self._run.note,) if self._run.note else ()
        return self._detail(lambda detail: detail.notes)

    @cached_property
    def artifacts(self) -> tuple[Artifact, ...]:
        """What it says of its files: `path` below `artifacts/`, `size` in bytes, `sha256`, `type`, `metadata`."""
        return tuple(self._detail(lambda detail: detail.artifacts())) if self._run.artifact_count else ()

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """What was logged that is no number, oldest first; raises GittrackError while it is recorded."""
        return tuple(self._detail(lambda detail: detail.events()))

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """All that `run.yaml` says: seeds, processes, the error, what was dropped (docs/format.md, chapter 6)."""
        return self._detail(lambda detail: detail.facts)

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The paths of all its files, sorted; raises GittrackError while it is recorded."""
        return tuple(sorted(self._detail(lambda detail: detail.files)))

    def artifact(self, path: str = "") -> RecordedArtifact:
        """Returns a file or folder below `artifacts/`: its content comes when it is asked for. Raises NotFound."""
        from gittrack import finding, obtained  # noqa: PLC0415 - only for files

        place = Repo(self._git)
        return obtained.RecordedArtifact(place, finding.below(place, self._run, path))

    def read(self, path: str) -> bytes:
        """Returns a file of the run: `params.yaml`, `output.log`, `artifacts/model.pt`; raises NotFound.

        Of one whose content is in a store, that content; raises a GittrackError if it cannot be had."""
        found = self._content(path)
        return found if isinstance(found, bytes) else found.read_bytes()

    def open(self, path: str) -> BinaryIO:
        """Returns a file of the run as a binary file object; raises what `read` raises."""
        found = self._content(path)
        return io.BytesIO(found) if isinstance(found, bytes) else found.open("rb")

    def _content(self, path: str) -> bytes | Path:
        """Returns the content of a file, or the file here that has it; raises NotFound."""
        from gittrack import obtaining  # noqa: PLC0415 - only for files
        from gittrack.codec.tree import why_refused  # noqa: PLC0415 - as above

        self._commit()
        name = path.strip("/")
        place = Repo(self._git)
        with obtaining.reading(place, self._run) as detail:
            if name.startswith("artifacts/") and name in detail.files:
                files = [file for file in obtaining.files_of(detail) if f"artifacts/{file.path}" == name]
                if files[0].pointer:
                    return obtaining.bring(place, detail, files)[0]
            found = detail.blob(name, limit=MAX_FILE) if why_refused(name) is None else None
        if found is None:
            hint = "files: " + ", ".join(self.files[:12])
            raise NotFound(f"run '{self.name}' has no file '{path}'", hint=hint)
        return found

    def history(self, *metrics: str, points: int | None = None, x: Axis = "step") -> Curves:
        """Returns the points of metrics, all of them: a row per (step, time), a column per metric.

        Without names: all but those of the machine (`system/...`). A name may be a pattern (`val/*`). points: at most
        so many for each metric, the extremes among them; x: `step` or `time`, along which they are thinned out.
        Raises NoMetric, which is a KeyError too."""
        names = chosen(metrics, self._run)
        return curves(self._run, histories.read(self._git, self._run, names), names, points=points, x=x)

    def _commit(self) -> str:
        if self._run.oid is None:
            raise GittrackError(f"run '{self.name}' is still being recorded", hint="ask again when it ended")
        return self._run.oid

    def _detail(self, of: Callable[[Detail], T]) -> T:
        """Returns something of the run's tree; raises GittrackError while it is recorded."""
        from gittrack.store import read_detail  # noqa: PLC0415 - only for what a listing does not tell

        commit = self._commit()
        with self._git.objects() as objects:
            return of(read_detail(objects, self._run.id, commit, oid_bytes=self._git.place.oid_bytes))

    def _repr_html_(self) -> str:
        """Returns what a notebook shows of it."""
        from gittrack import notebook  # noqa: PLC0415 - only in one

        return notebook.run(self._run)


def chosen(metrics: Sequence[str], run: Run) -> list[str]:
    """Returns the metrics of a run that names and patterns mean, each once; raises NoMetric for one that means none."""
    known = [name for name, metric in run.metrics.items() if metric.count]
    if not metrics:
        return [name for name in known if not name.startswith(SYSTEM)]
    found: dict[str, None] = {}
    for asked in metrics:
        fitting = [asked] if asked in known else [name for name in known if fnmatch.fnmatchcase(name, asked)]
        if not fitting:
            raise no_metric(asked, known, of=f"run '{run.name}'")
        found |= dict.fromkeys(fitting)
    return list(found)


def curves(run: Run, history: History, names: Sequence[str], *, points: int | None, x: Axis) -> Curves:
    """Returns the points of a run as they are handed out, its columns in the order of `names`."""
    columns = {name: history.columns[name] for name in names if name in history.columns}
    table = Curves(History(history.steps, history.times, columns, history.ranks), run=run.name)
    return table if points is None else table.downsample(points, x=x)


def _value(metric: Metric) -> float:
    return metric.last if metric.best is None else metric.best
