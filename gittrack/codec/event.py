"""Events and edits as lines of JSON (docs/format.md, chapters 8 and 9)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gittrack.codec.record import check_depth, dump, load
from gittrack.errors import DataRefused
from gittrack.model import STATUSES, Edit, Event
from gittrack.refname import encode_base32

MAX_EDIT_BYTES = 64 * 1024
MAX_CLOCK = (1 << 64) - 1
_EDIT_KEYS = ("tag", "untag", "name", "group", "status", "note", "star", "delete", "restore")


def encode_events(events: Iterable[Event]) -> bytes:
    """Returns `events.jsonl`."""
    return "".join(
        dump(
            {
                "step": event.step,
                "time": round(event.time, 3),
                "key": event.key,
                "value": event.value,
                "kind": event.kind,
            }
        )
        + "\n"
        for event in events
    ).encode()


def decode_events(raw: bytes) -> list[Event]:
    """Returns the events in `events.jsonl`; raises DataRefused that names the line."""
    found = []
    for number, line in enumerate(raw.splitlines(), start=1):
        try:
            found.append(_event(load(line)))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as exc:
            raise DataRefused("cannot read 'events.jsonl'", cause=f"line {number} is malformed") from exc
    return found


def _event(facts: Any) -> Event:
    step = facts["step"]
    if step is not None and type(step) is not int:
        raise TypeError("step")
    check_depth([facts["value"]])
    return Event(
        time=float(facts["time"]),
        key=str(facts["key"]),
        value=facts["value"],
        step=step,
        kind=str(facts.get("kind", "text")),
    )


def edit_file(clock: int, random: int) -> str:
    """Returns the name of an edit's file."""
    return f"{clock:016x}-{encode_base32(random & (1 << 40) - 1, length=8)}.json"


def next_clock(edits: Iterable[Edit], *, now: float) -> int:
    """Returns a clock above every clock in `edits` and not behind `now` (Unix seconds).

    A stranger may have used the greatest clock there is: then it is taken again, and file names decide the order."""
    return min(MAX_CLOCK, max([int(now * 1000) << 16, *(edit.clock + 1 for edit in edits)]))


def encode_edit(edit: Edit) -> bytes:
    """Returns the bytes of an edit's file; raises DataRefused if no reader would take it."""
    raw = (dump({**edit.changes, "author": edit.author, "time": edit.time, "clock": edit.clock}) + "\n").encode()
    if len(raw) > MAX_EDIT_BYTES:
        raise DataRefused(
            "this is too much for one edit",
            cause=f"it takes {len(raw)} bytes; the limit is {MAX_EDIT_BYTES}",
            hint="a file can be kept with `log_artifact` or `git track add`",
        )
    return raw


def decode_edit(raw: bytes, *, file: str) -> Edit:
    """Returns the edit in a file of `edits/`; raises DataRefused if it is not well-formed."""
    try:
        if len(raw) > MAX_EDIT_BYTES:
            raise ValueError("too large")
        facts = load(raw)
        changes = {key: facts[key] for key in _EDIT_KEYS if key in facts}
        _check(changes)
        clock, author, time = facts["clock"], facts["author"], facts["time"]
        if not (type(clock) is int and 0 <= clock <= MAX_CLOCK and isinstance(author, str) and isinstance(time, str)):
            raise ValueError("clock, author or time")
        return Edit(file=file, clock=clock, author=author, time=time, changes=changes)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise DataRefused(f"cannot read 'edits/{file}'", cause=f"malformed edit ({str(exc)[:80]})") from exc


def _check(changes: dict[str, Any]) -> None:
    for key in ("name", "group", "status", "note"):
        if not isinstance(changes.get(key, ""), str):
            raise TypeError(key)
    if changes.get("status", "finished") not in STATUSES:
        raise ValueError("status")
    if not all(isinstance(tag, str) for tag in changes.get("tag", ())) or not isinstance(changes.get("tag", []), list):
        raise TypeError("tag")
    for files in changes.get("untag", {}).values():
        if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
            raise TypeError("untag")
    for key in ("star", "delete", "restore"):
        if not isinstance(changes.get(key, True), bool) or (key != "star" and changes.get(key) is False):
            raise TypeError(key)
