"""What a run's process writes, while a model trains.

`log()` is one write to an append-only file: when it returns, the values are in the kernel's hands. It neither raises
nor waits; an error of ours becomes one line on stderr and a count in the run."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from gittrack import journal, leftovers, redact, values
from gittrack.codec import frame
from gittrack.model import SYSTEM
from gittrack.outcome import describe_error
from gittrack.terminal import printable

_MAX_SCHEMAS = 1024
_MAX_INT = 1 << 53
_MAX_STEP = (1 << 63) - 1
_MAX_NAMES = 500  # of one schema: the longest names of so many fit into a frame
_PLACES = {"state": "name, tags and notes", "artifact": "artifacts", "metric": "names"}
_FAST_NAMES = frozenset({"float16", "float32", "float64"})


def say(text: str) -> None:
    """Prints one line about a run on stderr, and never raises: stderr may be closed."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"gittrack: {printable(text)}\n")
        sys.stderr.flush()


Method = TypeVar("Method", bound=Callable[..., Any])


def harmless(method: Method) -> Method:
    """Makes a method of a recorder that never raises: training goes on, and what was dropped is counted and said."""

    @functools.wraps(method)
    def safe(self: Recorder, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except Exception as exc:  # noqa: BLE001 - training goes on whatever happens here
            self._call_failed(method.__name__, exc)

    return cast("Method", safe)


class _Schema:
    """The metrics of one kind of log() call, with their packer and the values of the last call."""

    __slots__ = ("last", "names", "order", "pack")

    def __init__(self, number: int, names: tuple[str, ...]) -> None:
        self.names = names
        self.pack = frame.PointPacker(number, len(names))
        self.last: tuple[float, ...] = ()
        self.order = 0


class Recorder:
    """One process's writing to one run; safe to use from several threads."""

    redacting = True  # secrets are replaced before they are written

    def __init__(
        self,
        folder: Path,
        *,
        label: str,
        shared: bool,
        first_schema: int,
        next_step: int,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self._about = dict(about or {})  # what the journal's header says of this process
        self.label = label
        self._shared = shared
        self._lock = threading.RLock()
        self._schemas: dict[tuple[Any, ...], _Schema] = {}
        # Schema numbers are unique in a journal; where processes share one, each begins somewhere else.
        self._numbers = first_schema
        self._fast: set[type] = {float, bool}
        self._fast_or_int: set[type] = {float, bool, int}
        self._earlier: dict[str, float] = {}
        self._step = next_step
        self._order = 0
        self._counts: dict[str, int] = {}
        self._said: set[str] = set()
        self._done = False
        self._writer: journal.Writer | None = None
        self._open()

    def _open(self) -> None:
        try:
            self._writer = journal.Writer(
                leftovers.home_of(self.folder), shared=self._shared, about=self._about, stalled=self._stalled
            )
        except OSError as exc:
            self._say_once("open", f"warning: cannot write to '{self.folder}' ({exc.strerror})")

    def _append(self, data: bytes, *, what: str = "values") -> bool:
        """Writes frames; on an error of the disk counts and says once, and returns False."""
        if self._writer is None and not self._done:  # after a fork
            self._open()
            self.start_syncing()
        try:
            if self._writer is None:
                raise OSError(0, "the run has ended" if self._done else "no journal")
            self._writer.append(data)
        except OSError as exc:
            self._lost("append", f"{what} of run {self.label} could not be written ({exc.strerror})")
            return False
        return True

    def _stalled(self) -> None:
        self._say_once("stalled", f"warning: the disk does not answer; values of run {self.label} wait in memory")

    def count(self, **counts: int) -> None:
        """Adds to what the run says of itself when it ends: values dropped, secrets redacted."""
        for name, number in counts.items():
            self._counts[name] = self._counts.get(name, 0) + number

    def hid(self, place: str, number: int) -> None:
        """Counts secrets that were replaced."""
        if number:
            self.count(**{f"redacted:{place}": number})

    def _clean(self, text: str, place: str) -> str:
        """Returns a text with its secrets replaced, and counts them."""
        if not self.redacting:
            return text
        clean, hidden = redact.text(text)
        self.hid(place, hidden)
        return clean

    def _lost(self, kind: str, why: str) -> None:
        self._counts["dropped"] = self._counts.get("dropped", 0) + 1
        self._say_once(kind, "warning: " + why)

    def _say_once(self, kind: str, text: str) -> None:
        if kind not in self._said and len(self._said) < 200:
            self._said.add(kind)
            say(text)

    def _note(self, kind: str, **content: Any) -> bool:
        return self._put({"t": time.time(), "k": kind, **content}, what=kind)

    def _put_params(self, given: Mapping[str, Any], now: float, *, above: tuple[str, ...] = ()) -> None:
        """Writes params, in parts if they are too many for one frame."""
        nested: Any = given
        for key in reversed(above):
            nested = {key: nested}
        try:
            data = frame.encode_json(b"J", {"t": now, "k": "params", "v": nested})
        except ValueError:
            for key, value in given.items():
                if isinstance(value, dict) and value:
                    self._put_params(value, now, above=(*above, key))
                elif len(given) > 1:
                    self._put_params({key: value}, now, above=above)
                else:
                    self._put_params({key: self._too_large(key, value)}, now, above=above)
            return
        with self._lock:
            self._append(data, what="params")

    def _too_large(self, key: str, value: Any) -> str:
        """Returns the word that stands for a value which no frame has room for."""
        self._say_once(f"large:{key}", f"warning: '{key}' is too large and is left out")
        return f"<{type(value).__name__} of {len(value)}>"

    def _put(self, note: Mapping[str, Any], *, what: str) -> bool:
        """Writes a note; one that no reader would take is counted and said."""
        if self.redacting:
            note, hidden = redact.note(note)
            self.hid(_PLACES.get(str(note["k"]), "texts"), hidden)
        try:
            data = frame.encode_json(b"J", note)
        except ValueError as exc:
            if note.get("k") == "event":
                return self._put({**note, "value": self._too_large(note["key"], note["value"])}, what=what)
            self._lost(f"large:{what}", f"{what} of run {self.label} is dropped ({exc})")
            return False
        with self._lock:
            return self._append(data, what=what)

    def log(self, data: Mapping[str, Any], step: int | None = None, commit: Any = None, **_: Any) -> None:
        """Records values at a step: numbers as points of metrics, anything else as events.

        Without `step` it takes the next one; `commit=False` leaves the step for the next call. Never raises, and
        returns when the values are in the kernel's hands: killing the process afterwards does not lose them."""
        try:
            with self._lock:
                at = self._step if step is None else step
                schema = self._schemas.get(tuple(data))
                cells = tuple(data.values())
                if (
                    schema is not None
                    and type(at) is int
                    and not self._done
                    and (self._fast.issuperset(map(type, cells)) or self._is_simple(cells))
                ):
                    point = schema.pack(time.time(), at, cells)
                    if commit is not False:
                        self._step = at + 1  # also if the disk does not take it: what follows keeps its step
                    self._writer.append(point)  # type: ignore[union-attr]
                    schema.last = cells
                    self._order = schema.order = self._order + 1
                    return
            self._log_in_full(data, step, commit=commit)
        except struct.error:  # a step of more than 64 bits
            self._log_guarded(data, step, commit=commit)
        except Exception as exc:  # noqa: BLE001 - training goes on whatever happens here
            self._call_failed("log", exc)

    def _is_simple(self, cells: tuple[Any, ...]) -> bool:
        """Tells whether values can be packed as they are: floats, or integers that a double holds exactly."""
        if not self._fast_or_int.issuperset(map(type, cells)):
            return False
        return bool(min(cells) >= -_MAX_INT and max(cells) <= _MAX_INT)

    def _call_failed(self, method: str, exc: Exception, *, of: str | None = None) -> None:
        """Counts a call that failed, and says so once; of: its key, for calls of which each means something."""
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else describe_error(type(exc), exc)
        if isinstance(exc, OSError) and exc.filename is not None:
            why = f"'{os.fsdecode(exc.filename)}': {why}"
        call = f"{method}()" if of is None else f"{method}() of '{of}'"
        kind = f"{method}:{type(exc).__name__}" + (f":{of}" if of is not None else "")
        self._lost(kind, f"a call of {call} was dropped from run {self.label} ({why})")

    @harmless
    def _log_guarded(self, data: Mapping[str, Any], step: Any, *, commit: bool | None) -> None:
        self._log_in_full(data, step, commit=commit)

    def _log_in_full(self, data: Mapping[str, Any], step: Any, *, commit: bool | None) -> None:
        """Records what the fast path does not take; other threads do not wait until images are encoded."""
        with self._lock:
            rich, at = self._log_slowly(data, step, commit=commit)
        for name, value in rich:
            self._log_rich(name, value, at)

    def _is_rich(self, value: Any) -> bool:  # noqa: ARG002 - a recorder of numbers alone knows of none
        """Tells whether a value of `log()` becomes a file rather than an event."""
        return False

    def _log_rich(self, name: str, value: Any, step: int) -> None:
        """Keeps a value of `log()` as a file."""

    def _log_slowly(
        self, data: Mapping[str, Any], step: Any, *, commit: bool | None
    ) -> tuple[list[tuple[str, Any]], int]:
        """Records what the fast path does not take; returns the values that become files, and the step."""
        if self._done:
            self._lost("ended", f"log() after run {self.label} was finished is dropped")
            return [], 0
        if not issubclass(type(data), Mapping):
            raise TypeError(f"log() takes a mapping of names to values, not {type(data).__name__}")
        now, at = time.time(), self._step_of(step)
        numbers: dict[str, float] = {}
        others: list[tuple[str, Any]] = []
        rich: list[tuple[str, Any]] = []
        found = list(itertools.islice(values.leaves(data), values.MAX_ITEMS + 1))
        if len(found) > values.MAX_ITEMS:
            self._lost("many", f"a call of log() has more than {values.MAX_ITEMS} values; the rest is left out")
        simple = True
        for name, value in found[: values.MAX_ITEMS]:
            number = values.number(value)
            if number is None:
                (rich if self._is_rich(value) else others).append((name, value))
                continue
            if name in numbers:  # two keys that are stored alike
                self._put_points(now, at, numbers)
                numbers, simple = {}, False
            simple = self._looks_fast(value) and simple
            numbers[name] = number
        key = tuple(data) if simple and not others and not rich and tuple(data) == tuple(numbers) else ()
        self._put_points(now, at, numbers, key=key)
        for name, value in others:
            self._put(self._event(now, name, value, at), what="an event")
        if commit is not False:
            self._step = at + 1
        return rich, at

    def _put_points(self, now: float, at: int, numbers: dict[str, float], *, key: tuple[Any, ...] = ()) -> None:
        """Writes one row of numbers, in parts if it is a wide one."""
        for first in range(0, len(numbers), _MAX_NAMES):
            part = dict(itertools.islice(numbers.items(), first, first + _MAX_NAMES))
            names, cells = tuple(part), tuple(part.values())
            schema = self._schema(key if len(key) == len(names) else names, names)
            if schema and self._append(schema.pack(now, at, cells)):
                schema.last = cells
                self._order = schema.order = self._order + 1

    def _looks_fast(self, value: Any) -> bool:
        """Tells whether values of this type can be packed as they are; learns numpy's scalars, but no tensors."""
        kind = type(value)
        if kind.__module__ == "numpy" and kind.__name__ in _FAST_NAMES:
            self._fast.add(kind)
            self._fast_or_int.add(kind)
        if kind is int and not -_MAX_INT <= value <= _MAX_INT:
            self._counts["rounded"] = self._counts.get("rounded", 0) + 1
        return kind in self._fast_or_int

    def _step_of(self, step: Any) -> int:
        following = min(self._step, _MAX_STEP)
        if step is None:
            return following
        number = values.number(step)
        if number is not None and math.isfinite(number):
            found = int(step) if isinstance(step, int) else int(number)
            if -_MAX_STEP - 1 <= found <= _MAX_STEP:
                return found
        self._say_once("step", f"warning: {step!r:.60} is no step; the next one is used instead")
        return following

    def _schema(self, key: tuple[Any, ...], names: tuple[str, ...]) -> _Schema | None:
        """Returns the schema of these metrics, or None if their names could not be written: no point is read then."""
        schema = self._schemas.get(key)
        if schema is None:
            if len(self._schemas) >= _MAX_SCHEMAS:
                self._fold_schemas()
            if self.redacting:
                names = self._clean_names(names)
            schema = _Schema(self._numbers, names)
            self._numbers += 1
            if not self._append(frame.encode_schema(schema.pack.schema, names)):
                return None
            self._schemas[key] = schema
        return schema

    def _clean_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Returns names of metrics without tokens in them; two that become equal stay two."""
        clean: dict[str, None] = {}
        for name in names:
            kept = self._clean(name, "names")
            while kept != name and (kept in clean or kept in names):
                kept += "*"
            clean[kept] = None
        return tuple(clean)

    def _fold_schemas(self) -> None:
        """Forgets old schemas, so that names that never repeat cannot fill the memory."""
        self._earlier.update(self._latest())
        self._schemas.clear()

    def _latest(self) -> dict[str, float]:
        found = dict(self._earlier)
        for schema in sorted(self._schemas.values(), key=lambda schema: schema.order):
            found.update(zip(schema.names, schema.last, strict=False))
        return {name: value for name, value in found.items() if not name.startswith(SYSTEM)}

    def _event(self, now: float, key: str, value: Any, step: int | None, kind: str = "text") -> dict[str, Any]:
        plain, _ = self._plain(value, key)
        return {"t": now, "k": "event", "key": key, "value": plain, "step": step, "kind": kind}

    def _plain(self, value: Any, path: str) -> tuple[Any, list[str]]:
        lossy: list[str] = []

        def note(where: str, why: str) -> None:
            lossy.append(where)
            self._say_once(f"lossy:{where}", f"warning: '{where}' {why}" if where else f"warning: a value {why}")

        return values.plain(value, lossy=note, path=path), lossy

    @harmless
    def log_system(self, sample: Mapping[str, float]) -> None:
        """Records what the machine does, at the step that was logged last; the next step stays what it was."""
        with self._lock:
            if not self._done:
                self._put_points(time.time(), max(0, self._step - 1), dict(sample))

    def flush(self) -> None:
        """Returns when all that was logged survives a power cut."""
        with self._lock:
            if self._writer and not self._done:
                try:
                    self._writer.flush()
                except OSError as exc:
                    why = f"what run {self.label} wrote may not survive a power cut ({exc.strerror})"
                    self._say_once("sync", "warning: " + why)

    def start_syncing(self) -> None:
        """Starts the side thread that makes points survive a power cut."""
        if self._writer:
            try:
                self._writer.start_syncing()
            except RuntimeError as exc:
                self._say_once("thread", f"warning: what run {self.label} writes may not survive a power cut ({exc})")
