"""The run that a training script writes to.

This class keeps the promise that training never dies, and never waits, because of us: `log()` is one write to an
append-only file, an error of ours becomes one line on stderr and a count in the run, and whatever ends the process,
the points are there."""

from __future__ import annotations

import hashlib
import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from gittrack import artifacts, journal, redact, seal, values
from gittrack.codec import frame
from gittrack.errors import GittrackError
from gittrack.model import Goal, Run
from gittrack.refname import RunId
from gittrack.repo import Repo, random_bits
from gittrack.terminal import printable
from gittrack.views import Params, Summary, as_mapping

_MAX_SCHEMAS = 1024
_MAX_INT = 1 << 53
_MAX_STEP = (1 << 63) - 1
_FAST_NAMES = frozenset({"float16", "float32", "float64"})
_GOALS: dict[str, Goal] = {"min": "min", "minimize": "min", "max": "max", "maximize": "max"}


def say(text: str) -> None:
    """Prints one line about a run on stderr, and never raises: stderr may be closed."""
    try:
        print(f"gittrack: {printable(text)}", file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError):
        pass


class _Schema:
    """The metrics of one kind of log() call, with their packer and the values of the last call."""

    __slots__ = ("last", "names", "order", "pack")

    def __init__(self, number: int, names: tuple[str, ...]) -> None:
        self.names = names
        self.pack = frame.PointPacker(number, len(names))
        self.last: tuple[float, ...] = ()
        self.order = 0


class ActiveRun:
    """A run that is being recorded; made by `gittrack.init()`.

    Safe to use from several threads. After a fork the child writes into the same run, in a journal of its own."""

    def __init__(  # noqa: PLR0913 - each is a part of the run
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
    ) -> None:
        self.id = RunId(str(header["id"]))
        self.folder = folder
        self.resumed = resumed
        self.starting_step = next_step
        self.sealed: Run | None = None
        self._repo = repo
        self._header = header
        self._attached = attached
        self._shared = shared
        self._owner = True
        self._lock = threading.RLock()
        self._name = str(header["name"])
        self._tags = tuple(header.get("tags") or ())
        self._notes: str | None = None
        self._group = header.get("group")
        self._created = float(header["created"])
        self._schemas: dict[tuple[Any, ...], _Schema] = {}
        # Schema numbers are unique in a journal; where processes share one, each begins somewhere else.
        self._numbers = random_bits() % (1 << 31) if shared else 0
        self._fast: set[type] = {float, bool}
        self._step = next_step
        self._order = 0
        self._counts: dict[str, int] = {}
        self._said: set[str] = set()
        self._done = False
        self._before_seal: list[Callable[[], None]] = []
        self._goals: dict[str, Goal] = {}
        self._writer: journal.Writer | None = None
        self._open()
        self.config = Params(self.log_params)
        self.summary = Summary(self._latest, self._summarise)
        self.config.remember(params or {})

    # What it is -----------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<gittrack run {self._name} ({self.id}){', ended' if self._done else ''}>"

    @property
    def name(self) -> str:
        """The run's name; may be set."""
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = str(value)
        self._state(name=self._name)

    @property
    def tags(self) -> tuple[str, ...]:
        """The run's tags; may be set, so `run.tags += ("best",)` works."""
        return self._tags

    @tags.setter
    def tags(self, value: Iterable[str]) -> None:
        self._tags = tuple(sorted({str(tag) for tag in ([value] if isinstance(value, str) else value)}))
        self._state(tags=list(self._tags))

    @property
    def notes(self) -> str | None:
        """The run's note; may be set."""
        return self._notes or self._header.get("notes")

    @notes.setter
    def notes(self, value: str) -> None:
        self._notes = str(value)
        self._state(notes=self._notes)

    @property
    def group(self) -> str | None:
        """The group the run belongs to; may be set."""
        return self._group

    @group.setter
    def group(self, value: str) -> None:
        self._group = str(value)
        self._state(group=self._group)

    @property
    def step(self) -> int:
        """The step that the next `log()` without a step takes."""
        return self._step

    @property
    def project(self) -> str | None:
        return self._header.get("project")

    @property
    def entity(self) -> str | None:
        return self._header.get("entity")

    @property
    def job_type(self) -> str | None:
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

    def _open(self) -> None:
        try:
            self._writer = journal.Writer(self.folder, shared=self._shared)
        except OSError as exc:
            self._lost("open", f"cannot write to '{self.folder}' ({exc.strerror}); values are dropped")

    def _append(self, data: bytes, *, what: str = "values") -> bool:
        """Writes frames; on an error of the disk counts and says once, and returns False."""
        if self._writer is None and not self._done:
            self._open()
        try:
            if self._writer is None:
                raise OSError(0, "the run has ended" if self._done else "no journal")
            self._writer.append(data)
        except OSError as exc:
            self._lost("append", f"{what} of run {self._name} could not be written ({exc.strerror})")
            return False
        return True

    def count(self, **counts: int) -> None:
        """Adds to what the run says of itself when it ends: values dropped, secrets redacted."""
        for name, number in counts.items():
            self._counts[name] = self._counts.get(name, 0) + number

    def _lost(self, kind: str, why: str) -> None:
        self._counts["dropped"] = self._counts.get("dropped", 0) + 1
        self._say_once(kind, "warning: " + why)

    def _say_once(self, kind: str, text: str) -> None:
        if kind not in self._said and len(self._said) < 200:
            self._said.add(kind)
            say(text)

    def _note(self, kind: str, **content: Any) -> bool:
        with self._lock:
            return self._append(frame.encode_json(b"J", {"t": time.time(), "k": kind, **content}), what=kind)

    def _state(self, **changes: Any) -> None:
        self._note("state", v=changes)

    def log(self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None, **_: Any) -> None:
        """Records values at a step: numbers as points of metrics, anything else as events.

        Without `step` it takes the next one; `commit=False` leaves the step for the next call. Never raises, and
        returns when the values are in the kernel's hands: killing the process afterwards does not lose them."""
        try:
            with self._lock:
                at = self._step if step is None else step
                schema = self._schemas.get(tuple(data))
                cells = tuple(data.values())
                if schema is None or not self._fast.issuperset(map(type, cells)) or type(at) is not int or self._done:
                    self._log_slowly(data, step, commit=commit)
                    return
                self._writer.append(schema.pack(time.time(), at, cells))  # type: ignore[union-attr]
                schema.last = cells
                self._order = schema.order = self._order + 1
                if commit is not False:
                    self._step = at + 1
        except Exception as exc:  # noqa: BLE001 - training goes on whatever happens here
            self._log_failed(exc)

    def _log_failed(self, exc: Exception) -> None:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else f"{type(exc).__name__}: {exc}"
        self._lost("log:" + type(exc).__name__, f"a call of log() was dropped from run {self._name} ({why})")

    def _log_slowly(self, data: Mapping[str, Any], step: Any, *, commit: bool | None) -> None:
        """Records what the fast path does not take: the first call of a kind, and values that need a look."""
        if self._done:
            self._lost("ended", f"log() after run {self._name} was finished is dropped")
            return
        if not isinstance(data, Mapping):
            raise TypeError(f"log() takes a mapping of names to values, not {type(data).__name__}")
        now, at = time.time(), self._step_of(step)
        numbers: dict[str, float] = {}
        others: dict[str, Any] = {}
        simple = True
        for name, value in _leaves(data):
            number = values.number(value)
            if number is None:
                others[name] = value
            else:
                simple = simple and self._looks_fast(value)
                numbers[name] = number
        if numbers:
            names = tuple(numbers)
            schema = self._schema(tuple(data) if simple and not others and tuple(data) == names else names, names)
            cells = tuple(numbers.values())
            if self._append(schema.pack(now, at, cells)):
                schema.last = cells
                self._order = schema.order = self._order + 1
        for name, value in others.items():
            self._append(frame.encode_json(b"J", self._event(now, name, value, at)), what="an event")
        if commit is not False:
            self._step = at + 1

    def _looks_fast(self, value: Any) -> bool:
        """Tells whether values of this type can be packed as they are; learns numpy's scalars, but no tensors."""
        kind = type(value)
        if kind.__module__ == "numpy" and kind.__name__ in _FAST_NAMES:
            self._fast.add(kind)
        if kind is int and not -_MAX_INT <= value <= _MAX_INT:
            self._counts["rounded"] = self._counts.get("rounded", 0) + 1
        return kind in self._fast

    def _step_of(self, step: Any) -> int:
        if step is None:
            return self._step
        number = values.number(step)
        if number is None or not math.isfinite(number) or not -_MAX_STEP <= int(number) <= _MAX_STEP:
            self._say_once("step", f"warning: {step!r:.60} is no step; the next one is used instead")
            return self._step
        return int(step) if isinstance(step, int) else int(number)

    def _schema(self, key: tuple[Any, ...], names: tuple[str, ...]) -> _Schema:
        schema = self._schemas.get(key)
        if schema is None:
            if len(self._schemas) >= _MAX_SCHEMAS:
                self._fold_schemas()
            schema = self._schemas[key] = _Schema(self._numbers, names)
            self._append(frame.encode_schema(self._numbers, names), what="a metric's name")
            self._numbers += 1
        return schema

    def _fold_schemas(self) -> None:
        """Forgets old schemas, so that names that never repeat cannot fill the memory."""
        self.summary.remember(self._latest())
        self._schemas.clear()

    def _latest(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for schema in sorted(self._schemas.values(), key=lambda schema: schema.order):
            found.update(zip(schema.names, schema.last, strict=False))
        return found

    def _event(self, now: float, key: str, value: Any, step: int | None, kind: str = "text") -> dict[str, Any]:
        plain, _ = self._plain(value, key)
        return {"t": now, "k": "event", "key": key, "value": plain, "step": step, "kind": kind}

    def _summarise(self, name: str, value: Any) -> None:
        number = values.number(value)
        if number is not None:
            self._note("summary", key=name, value=number)
            return
        now = time.time()
        with self._lock:
            self._append(frame.encode_json(b"J", self._event(now, name, value, None, "summary")))

    def _plain(self, value: Any, path: str) -> tuple[Any, list[str]]:
        lossy: list[str] = []

        def note(where: str, why: str) -> None:
            lossy.append(where)
            self._say_once(f"lossy:{where}", f"warning: '{where}' {why}" if where else f"warning: a value {why}")

        return values.plain(value, lossy=note, path=path), lossy

    def log_params(self, params: Any = None, **more: Any) -> None:
        """Records params: a mapping (nested if you like), a dataclass, an argparse namespace, keywords.

        Params are write-once: another value for one is kept as an event, and said once."""
        try:
            given = as_mapping(params) | more
            self.config.remember(given)
            self._params(given)
        except Exception as exc:  # noqa: BLE001 - training goes on whatever happens here
            self._log_failed(exc)

    def _params(self, given: Mapping[str, Any]) -> None:
        plain, _ = self._plain(given, "")
        plain, hidden = redact.params(plain)
        if hidden:
            self._counts["redacted"] = self._counts.get("redacted", 0) + hidden
            self._say_once("redacted", f"{hidden} param(s) that look like secrets are recorded as '***'")
        changed = self.config.merge(plain)
        for path, value in changed:
            self._say_once(f"param:{path}", f"warning: param '{path}' already has a value; {value!r:.60} is kept as an event")
        self._note("params", v=plain)

    def define_metric(  # noqa: PLR0913 - the names that W&B gave them
        self,
        name: str,
        *args: Any,
        goal: str | None = None,
        summary: str | None = None,
        step_metric: Any = None,
        **_: Any,
    ) -> None:
        """Declares what is good for a metric: `goal="max"` or `"min"`; the name may be a pattern (`val/*`)."""
        direction = _GOALS.get(str(goal).lower()) if goal else None
        if direction is None and summary:
            direction = next((_GOALS[word] for word in str(summary).lower().split(",") if word in _GOALS), None)
        if goal and direction is None:
            self._say_once(f"goal:{name}", f"warning: goal {goal!r:.40} of metric '{name}' is neither 'min' nor 'max'")
        if direction:
            self._goals[values.clean_name(name)] = direction
            self._note("metric", name=values.clean_name(name), goal=direction)

    def log_artifact(  # noqa: PLR0913 - each describes the file
        self,
        path: Any,
        name: str | None = None,
        type: str | None = None,  # noqa: A002 - the name that W&B gave it
        *,
        aliases: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        step: int | None = None,
    ) -> list[str]:
        """Keeps a file, or all files of a folder, with the run; returns their paths in the run.

        Files above 10 MiB are refused with a line on stderr, and the run goes on without them."""
        kept: list[str] = []
        try:
            for source, target in artifacts.find(Path(path), name):
                try:
                    item = artifacts.take(source, target, self.folder / "files")
                except GittrackError as exc:
                    self._counts["dropped"] = self._counts.get("dropped", 0) + 1
                    for line in exc.lines():
                        say(line)
                    continue
                tags = [aliases] if isinstance(aliases, str) else list(aliases)
                plain, _ = self._plain(metadata, "metadata") if metadata else (None, [])
                about = {"name": name, "type": type, "aliases": tags, "metadata": plain, "step": step}
                if self._note("artifact", **item, **about):
                    kept.append(item["path"])
        except GittrackError as exc:
            for line in exc.lines():
                say(line)
        except Exception as exc:  # noqa: BLE001 - training goes on whatever happens here
            self._log_failed(exc)
        return kept

    def alert(self, title: str, text: str = "", **_: Any) -> None:
        """Records a message for people, and prints it."""
        say(f"alert: {title}{': ' + text if text else ''}")
        now = time.time()
        with self._lock:
            self._append(frame.encode_json(b"J", self._event(now, str(title), str(text), self._step, "alert")))

    def flush(self) -> None:
        """Returns when all that was logged survives a power cut."""
        with self._lock:
            if self._writer:
                try:
                    self._writer.sync()
                except OSError as exc:
                    self._lost("sync", f"the disk did not take the journal ({exc.strerror})")

    # Ending ---------------------------------------------------------------------------------------------------------

    def finish(
        self, exit_code: int | None = None, quiet: bool | None = None, *, status: str | None = None, **end: Any
    ) -> Run | None:
        """Ends the run and makes its commit; when it returns the run survives a power cut.

        status: `finished`, or `failed` if `exit_code` is not 0. Returns the run as recorded, or None where the run
        belongs to another process (`git track run`). Never raises: what could not be committed stays in the journal,
        and the next git-track command commits it."""
        with self._lock:
            if self._done:
                return self.sealed
            status = status or ("failed" if exit_code else "finished")
            end = {"status": status, "exit_code": exit_code, **end}
            if self._counts:
                self._note("count", v=self._counts)
            self._note("child" if self._attached or not self._owner else "end", **end)
            self._done = True
            if self._writer:
                self._writer.close()
        _forget(self)
        if self._attached or not self._owner:
            return None
        try:
            for action in self._before_seal:
                action()
            self.sealed = seal.seal(self._repo.git, self.folder, sign=self._repo.sign)
        except Exception as exc:  # noqa: BLE001 - the journal is whole; the next command seals it
            why = exc.cause or exc.message if isinstance(exc, GittrackError) else f"{type(exc).__name__}: {exc}"
            say(f"warning: run {self._name} could not be committed yet ({why})")
            say("all its points are kept; the next `git track` command commits it")
            return None
        if quiet is False or (quiet is None and _is_terminal()):
            say(f"run {self._name} {status}: git track show {self._name}")
        return self.sealed

    def close(self) -> None:
        """Stops writing without ending the run: another process goes on with it."""
        with self._lock:
            if self._counts:
                self._note("count", v=self._counts)
            self._done = True
            if self._writer:
                self._writer.sync()
                self._writer.close()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over name, tags, notes and group that another process set."""
        self._name = state.get("name", self._name)
        self._tags = tuple(state.get("tags", self._tags))
        self._notes = state.get("notes", self._notes)
        self._group = state.get("group", self._group)

    def child(self, **arguments: Any) -> ActiveRun:
        """Starts a run that belongs to this one (a fold, a trial); takes what `init` takes."""
        from gittrack.start import init  # noqa: PLC0415 - it starts runs of this class

        return init(parent=self, **arguments)

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(**how_it_ended(kind, value))

    def after_fork(self) -> None:
        """Makes the run usable in a forked child: a new lock, a journal of its own, and no right to seal."""
        self._lock = threading.RLock()
        self._owner = False
        self._writer = None
        self._schemas = {}
        self._counts = {}

    def start_syncing(self) -> None:
        """Starts the side thread that makes points survive a power cut."""
        if self._writer:
            self._writer.start_syncing()


# Active runs, newest last; module-level functions write to the last one.
active: list[ActiveRun] = []


def _forget(run: ActiveRun) -> None:
    if run in active:
        active.remove(run)


def how_it_ended(kind: type[BaseException] | None, value: BaseException | None) -> dict[str, Any]:
    """Returns status, exit code and error for what ended a `with` block or a process."""
    if kind is None:
        return {"status": "finished"}
    if issubclass(kind, KeyboardInterrupt):
        return {"status": "interrupted", "signal": "SIGINT"}
    if issubclass(kind, SystemExit):
        code = getattr(value, "code", None)
        number = code if isinstance(code, int) else 1 if code is not None else 0
        return {"status": "failed" if number else "finished", "exit_code": number}
    if issubclass(kind, GeneratorExit):
        return {"status": "finished"}
    return {"status": "failed", "error": describe_error(kind, value)}


def describe_error(kind: type[BaseException], value: BaseException | None) -> str:
    """Returns an exception as one line of at most 500 characters, without secrets of known shapes."""
    try:
        text = f"{kind.__name__}: {value}" if str(value) else kind.__name__
    except Exception:  # noqa: BLE001 - a user's __str__ may raise anything
        text = kind.__name__
    return redact.text(" ".join(text.split())[:500])[0]


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


def _leaves(data: Mapping[Any, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yields the values of a nested mapping with dotted names."""
    for key, value in data.items():
        name = prefix + values.clean_name(key)
        if isinstance(value, Mapping) and value and depth < values.MAX_DEPTH:
            yield from _leaves(value, name + ".", depth + 1)
        else:
            yield values.clean_name(name), value


def id_for(text: str) -> RunId:
    """Returns the run id that stands for an id of another tracker, always the same one."""
    from gittrack.refname import new_run_id  # noqa: PLC0415 - rarely needed

    return new_run_id(int.from_bytes(hashlib.sha256(b"run " + text.encode("utf-8", "replace")).digest()[:8], "big"))
