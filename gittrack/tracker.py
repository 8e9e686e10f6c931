"""The run that a training script holds: its metadata, its files, its end.

With `recorder` it keeps the promise that training never dies because of us; whatever ends the process, what was
logged is there."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from gittrack import ending, redact, system, values
from gittrack.console import console
from gittrack.familiar import Familiar
from gittrack.filing import INLINE
from gittrack.model import Goal, Run
from gittrack.outcome import MAX_ERROR, how_it_ended
from gittrack.pins import Pin
from gittrack.recorder import harmless, say
from gittrack.refname import RunId
from gittrack.repo import Repo, random_bits
from gittrack.views import Params, Summary, as_mapping

_GOALS: dict[str, Goal] = {"min": "min", "minimize": "min", "max": "max", "maximize": "max"}


class ActiveRun(Familiar):
    """A run that is being recorded; made by `gittrack.init()`.

    Safe to use from several threads. After a fork the child writes into the same run, in a journal of its own."""

    starter: ClassVar[Callable[..., ActiveRun]]  # `gittrack.init`, which stands above this module

    def __init__(
        self,
        repo: Repo,
        folder: Path,
        header: Mapping[str, Any],
        *,
        attached: bool = False,
        shared: bool = False,
        resumed: bool = False,
        next_step: int = 0,
        params: Mapping[str, Any] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            folder,
            about=about,
            label=str(header["name"]),
            shared=shared,
            first_schema=random_bits() % (1 << 31) if shared else 0,
            next_step=next_step,
        )
        self.redacting = header.get("redact") is not False
        self.inline = int(header.get("inline", INLINE))
        self.id = RunId(str(header["id"]))
        self.resumed = resumed
        self.starting_step = next_step
        self.sealed: Run | None = None
        self.pinning: Pin | None = None
        self._sampler: system.Sampler | None = None
        self._repo = repo
        self._header = header
        self._attached = attached
        self._owner = True
        self._tags = tuple(header.get("tags") or ())
        self._notes: str | None = None
        self._group = header.get("group")
        self._created = float(header["created"])
        self.config = Params(self.log_params)
        self.summary = Summary(self._latest, self._summarise)
        self.config.remember(params or {})

    # What it is -----------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<gittrack run {self.label} ({self.id}){', ended' if self._done else ''}>"

    @property
    def name(self) -> str:
        """The run's name; may be set."""
        return self.label

    @name.setter
    @harmless
    def name(self, value: str) -> None:
        self.label = values.clean_text(str(value))
        self._state(name=self.label)

    @property
    def tags(self) -> tuple[str, ...]:
        """The run's tags; may be set, so `run.tags += ("best",)` works."""
        return self._tags

    @tags.setter
    @harmless
    def tags(self, value: Iterable[str]) -> None:
        self._tags = tuple(sorted({str(tag) for tag in ([value] if isinstance(value, str) else value)}))
        self._state(tags=list(self._tags))

    @property
    def notes(self) -> str | None:
        """The run's note; may be set."""
        return self._notes or self._header.get("notes")

    @notes.setter
    @harmless
    def notes(self, value: str) -> None:
        self._notes = values.clean_text(str(value))
        self._state(notes=self._notes)

    @property
    def group(self) -> str | None:
        """The group the run belongs to; may be set."""
        return self._group

    @group.setter
    @harmless
    def group(self, value: str) -> None:
        self._group = values.clean_text(str(value))
        self._state(group=self._group)

    @property
    def step(self) -> int:
        """The step that the next `log()` without a step takes."""
        return self._step

    @property
    def project(self) -> str | None:
        """The project, as W&B scripts give it."""
        return self._header.get("project")

    @property
    def entity(self) -> str | None:
        """The entity, as W&B scripts give it."""
        return self._header.get("entity")

    @property
    def job_type(self) -> str | None:
        """The kind of job, as W&B scripts give it."""
        return self._header.get("job_type")

    @property
    def dir(self) -> str:
        """A folder for the run's own files while it is recorded."""
        return str(self.folder)

    @property
    def path(self) -> str:
        """The run's ref."""
        return f"refs/runs/{self.id}"

    @property
    def url(self) -> None:
        """Always None: there is no server."""

    @property
    def start_time(self) -> float:
        """When the run began, in Unix seconds."""
        return self._created

    @property
    def ended(self) -> bool:
        """Whether the run was finished."""
        return self._done

    # Writing --------------------------------------------------------------------------------------------------------

    def _state(self, **changes: Any) -> None:
        self._note("state", v=changes)

    @harmless
    def _summarise(self, name: str, value: Any) -> None:
        number = values.number(value)
        if number is not None:
            self._note("summary", key=name, value=number)
            return
        now = time.time()
        self._put(self._event(now, name, value, None, "summary"), what="a summary")

    @harmless
    def log_params(self, params: Any = None, **more: Any) -> None:
        """Records params: a mapping (nested if you like), a dataclass, an argparse namespace, keywords.

        Params are write-once: another value for one is kept as an event, and said once."""
        given = as_mapping(params) | more
        self.config.remember(given)
        self._params(given)

    def _params(self, given: Mapping[str, Any]) -> None:
        plain, _ = self._plain(given, "")
        if self.redacting:
            plain, hidden = redact.params(plain)
            self.hid("params", hidden)
        changed = self.config.merge(plain)
        for path, value in changed:
            self._say_once(
                f"param:{path}", f"warning: param '{path}' already has a value; {value!r:.60} is kept as an event"
            )
        self._put_params(plain, time.time())

    @harmless
    def define_metric(
        self,
        name: str,
        *_args: Any,
        goal: str | None = None,
        summary: str | None = None,
        **_: Any,
    ) -> None:
        """Declares what is good for a metric: `goal="max"` or `"min"`; the name may be a pattern (`val/*`)."""
        direction = _GOALS.get(str(goal).lower()) if goal else None
        if direction is None and summary:
            direction = next((_GOALS[word] for word in str(summary).lower().split(",") if word in _GOALS), None)
        if goal and direction is None:
            self._say_once(f"goal:{name}", f"warning: goal {goal!r:.40} of metric '{name}' is neither 'min' nor 'max'")
        if direction:
            self._note("metric", name=values.clean_name(name), goal=direction)

    @harmless
    def alert(self, title: str, text: str = "", **_: Any) -> None:
        """Records a message for people, and prints it."""
        say(f"alert: {title}{': ' + text if text else ''}")
        now = time.time()
        self._put(self._event(now, str(title), str(text), self._step, "alert"), what="an alert")

    def keep_secrets(self) -> None:
        """Records from now on as given, secrets included, and says so in the run."""
        self.redacting = False
        self._state(redact=False)

    # Ending ---------------------------------------------------------------------------------------------------------

    def finish(
        self, exit_code: int | None = None, quiet: Any = None, *, status: str | None = None, **end: Any
    ) -> Run | None:
        """Ends the run and makes its commit; when it returns the run survives a power cut.

        status: `finished`, or `failed` if `exit_code` is not 0. Returns the run as recorded, or None where the run
        belongs to another process (`git track run`). Never raises: what could not be committed stays in the journal,
        and the next git-track command commits it."""
        console.end(self.folder)
        if self._sampler:
            self._sampler.stop()
        self.wait_for_files()
        with self._lock:
            if self._done:
                return self.sealed
            given: Any = exit_code
            exit_code = int(given) if isinstance(given, int) else None if given is None else 1
            status = status or ("failed" if exit_code else "finished")
            error = self._clean(str(end.pop("error", None) or ""), "error")[:MAX_ERROR]
            end = {"status": status, "exit_code": exit_code, **end} | ({"error": error} if error else {})
            if self._counts:
                self._note("count", v=self._counts)
            if self._owner:  # how a forked child ends says nothing of the run
                self._note("child" if self._attached else "end", **end)
            self._done = True
            whole = self._writer is None or self._writer.close()
        _forget(self)
        if not whole:
            say(f"warning: run {self.label} could not be committed yet (the disk does not answer)")
            say("what was written of it is kept; the next `git track` command commits it")
            return None
        if not self._owner or (self._attached and not self._about.get("ends")):
            return None
        self.sealed = ending.commit_run(
            self._repo,
            self.folder,
            label=self.label,
            journal=self._writer.path.name if self._writer else "",
            is_first=not self._attached and not self._about.get("rank"),
            is_rank="rank" in self._about,
            pin=self.pinning,
        )
        if self.sealed and (quiet is False or (quiet is None and _is_terminal())):
            say(f"run {self.label} {self.sealed.status}: git track show {self.label}")
        return self.sealed

    def start_sampling(self, *, local_rank: int = 0) -> None:
        """Starts to measure the machine, if the settings want that; does nothing without psutil."""
        if bool(self._repo.git) and self._repo.settings.switch("system"):
            sampler = system.Sampler(self.log_system, local_rank=local_rank)
            with contextlib.suppress(RuntimeError):  # no thread is left
                sampler.start()
                self._sampler = sampler

    def close(self) -> None:
        """Stops writing without ending the run: another process goes on with it."""
        self.wait_for_files()
        with self._lock:
            if self._counts:
                self._note("count", v=self._counts)
            self._done = True
            if self._writer:
                self._writer.sync()
                self._writer.close()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over name, tags, notes and group that another process set."""
        self.label = state.get("name", self.label)
        self._tags = tuple(state.get("tags", self._tags))
        self._notes = state.get("notes", self._notes)
        self._group = state.get("group", self._group)

    def child(self, **arguments: Any) -> ActiveRun:
        """Starts a run that belongs to this one (a fold, a trial); takes what `init` takes."""
        return type(self).starter(parent=self, **arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(**how_it_ended(kind, value))

    def __reduce__(self) -> tuple[Any, ...]:
        """Lets a run be handed to a spawned process, which then writes into it as a forked one does."""
        return _joined, (str(self.folder), dict(self._header), dict(self.config))

    def after_fork(self) -> None:
        """Makes the run usable in a forked child: a new lock, a journal of its own, and no right to seal."""
        self._lock = threading.RLock()
        self._owner = False
        self._about.pop("ends", None)
        self._writer = None
        self._schemas = {}
        self._counts = {}
        self.forget_files()


def _joined(folder: str, header: Mapping[str, Any], params: Mapping[str, Any]) -> ActiveRun:
    """Returns this process's handle on a run that another one began: one, however often it is handed over."""
    known = next((run for run in active if str(run.folder) == folder), None)
    if known is None:
        known = ActiveRun(Repo(None), Path(folder), header, attached=True, params=params)  # type: ignore[arg-type]
        known._owner = False  # noqa: SLF001 - of its own class
        known.start_syncing()
        active.append(known)
    return known


# Active runs, newest last; module-level functions write to the last one.
active: list[ActiveRun] = []


def _forget(run: ActiveRun) -> None:
    if run in active:
        active.remove(run)


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False
