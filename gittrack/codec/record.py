"""The commit message of a run (docs/format.md, chapters 2 and 3).

Listing 100,000 runs must not parse 300,000 YAML documents, so each commit carries its run's state as one line of
JSON that a single `git for-each-ref` prints."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gittrack.errors import DataRefused
from gittrack.model import STATUSES, SYSTEM, Code, Metric, Run
from gittrack.refname import Oid, RunId, is_oid, is_run_id
from gittrack.terminal import printable

MAX_BYTES = 1024 * 1024
MAX_INLINE = 64 * 1024
MAX_NOTE = 1000
MAX_COMMAND = 500
MAX_DEPTH = 32
_GOALS = ("min", "max")
_KINDS = [float, int] * 4  # of a metric's numbers, in a record
_DEEP = frozenset({dict, list})
_MARK = "\nRecord: "
_TAG = "$float"
_LIKE_TAG = re.compile(r"\$+float")  # a name of the user's that looks like the tag gets one more `$`
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def encode_message(run: Run, *, join: bool = False) -> bytes:
    """Returns the whole commit message of `run`."""
    lines = [subject(run), "", f"Run: {run.id}"]
    if run.code.commit:
        lines.append(f"Code: {run.code.commit}")
    if join:
        lines.append("Join: 1")
    record = dump(encode(run))
    if len(record) > MAX_INLINE:
        record = dump(encode(_shorten(run)))
    return ("\n".join(lines) + _MARK + record + "\n").encode("utf-8", "replace")


def _shorten(run: Run) -> Run:
    """Returns `run` with the larger of params and metrics left out, then both, until its record is small."""
    params, metrics = len(dump(run.params)), len(run.metrics) * 100
    run = replace(run, more=True, params={}) if params >= metrics else replace(run, more=True, metrics={})
    return run if len(dump(encode(run))) <= MAX_INLINE else replace(run, params={}, metrics={})


def subject(run: Run) -> str:
    """Returns the first line, for people who read `git log`."""
    text = f"run {run.name}: {run.status}"
    chosen = next((name for name, metric in run.metrics.items() if metric.goal), None) or next(
        (name for name in run.metrics if not name.startswith(SYSTEM)), None
    )
    if chosen:
        metric = run.metrics[chosen]
        text += f", {chosen} {metric.best if metric.best is not None else metric.last:.6g}"
    return printable(text).replace("\t", " ")[:120].rstrip()


def encode(run: Run) -> dict[str, Any]:
    """Returns the record as the object of chapter 3."""
    code = {
        "commit": run.code.commit,
        "snapshot": run.code.snapshot,
        "branch": run.code.branch,
        "dirty": run.code.dirty or None,
    }
    full: dict[str, Any] = {
        "v": 1,
        "id": run.id,
        "name": run.name,
        "status": run.status,
        "created": run.created,
        "ended": run.ended,
        "duration": run.duration,
        "author": run.author,
        "host": run.host,
        "code": {key: value for key, value in code.items() if value is not None},
        "command": run.command[:MAX_COMMAND] if run.command else None,
        "params": run.params,
        "metrics": {
            name: [m.last, m.step, m.min, m.min_step, m.max, m.max_step, m.mean, m.count, m.goal]
            for name, m in run.metrics.items()
        },
        "tags": list(run.tags),
        "group": run.group,
        "parent": run.parent,
        "project": run.project,
        "job_type": run.job_type,
        "note": run.note[:MAX_NOTE] if run.note else None,
        "starred": run.starred or None,
        "deleted": run.deleted or None,
        "artifacts": _artifacts(run) if run.artifact_count else None,
        "points": run.points or None,
        "exit_code": run.exit_code,
        "seal": run.seal,
        "more": run.more or None,
    }
    return {key: value for key, value in full.items() if value is not None and value not in ({}, [])}


def _artifacts(run: Run) -> dict[str, int]:
    pointers = {"pointers": run.artifact_pointers} if run.artifact_pointers else {}
    return {"count": run.artifact_count, "size": run.artifact_size, **pointers}


def dump(value: Any) -> str:
    """Returns plain values as one line of ASCII JSON; numbers that are not finite become `{"$float": …}`."""
    try:
        text = _dump(value)
    except ValueError:
        text = ""
    return text if text and not _has_tag(text) else _dump(_tagged(value))


def _tagged(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_TAG: repr(value)}
    if isinstance(value, Mapping):
        return {"$" + key if _is_like_tag(value) else key: _tagged(item) for key, item in value.items()}
    return [_tagged(item) for item in value] if isinstance(value, list | tuple) else value


def load(text: str | bytes) -> Any:
    """Returns what `dump` was given; raises ValueError, TypeError, KeyError or RecursionError for anything else."""
    if isinstance(text, bytes):
        text = text.decode()
    return (_WITH_TAGS if _has_tag(text) else _PLAIN)(text)


def _has_tag(text: str | bytes) -> bool:
    return b'$float"' in text if isinstance(text, bytes) else '$float"' in text


def _is_like_tag(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and _LIKE_TAG.fullmatch(next(iter(value))) is not None


def _untagged(value: dict[str, Any]) -> Any:
    if not _is_like_tag(value):
        return value
    ((key, item),) = value.items()
    return _NON_FINITE[item] if key == _TAG else {key[1:]: item}


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_dump = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
# Made once: to make a decoder takes a third of the time that reading a record does.
_PLAIN = json.JSONDecoder(parse_constant=_no_constant).decode
_WITH_TAGS = json.JSONDecoder(object_hook=_untagged, parse_constant=_no_constant).decode


def check_depth(value: Any, room: int = MAX_DEPTH) -> None:
    """Raises ValueError for values nested deeper than those who walk them can follow."""
    items = value.values() if type(value) is dict else value
    if not _DEEP.intersection(map(type, items)):
        return
    for item in items:
        if type(item) in (dict, list):
            if room == 0:
                raise ValueError(f"nested deeper than {MAX_DEPTH}")
            check_depth(item, room - 1)


def decode_message(message: bytes, *, run: RunId, oid: Oid | None = None) -> Run:
    """Returns the run that a commit message describes; raises DataRefused if it describes none, or another."""
    if len(message) > MAX_BYTES:
        raise refused(run, f"its record is larger than {MAX_BYTES} bytes")
    head, mark, record = message.rpartition(_MARK.encode())
    if not mark or _MARK.encode() in head or record.count(b"\n") > 1:
        raise refused(run, "its commit has no record, or more than one")
    try:
        facts = load(record)
        return decode(facts, run=run, oid=oid)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as exc:
        raise refused(run, f"its record is malformed ({' '.join(str(exc).split())[:100]})") from exc


def text_of(message: bytes) -> str:
    """Returns the record in a commit message that was read already."""
    return message.rpartition(_MARK.encode())[2].decode().rstrip("\n")


def is_join(message: bytes) -> bool:
    """Tells whether a commit message is that of a join."""
    return b"\nJoin: 1\n" in message


def decode(facts: Mapping[str, Any], *, run: RunId, oid: Oid | None = None) -> Run:
    """Returns the run that a record's object describes; raises DataRefused, and what malformed values raise."""
    if facts["v"] != 1:
        raise refused(run, f"record version {facts['v']!r:.40} is not known", hint="install a newer gittrack")
    if facts["id"] != run:
        raise refused(run, f"its record is that of '{facts['id']!s:.40}'")
    code = facts.get("code") or {}
    artifacts = facts.get("artifacts") or {}
    status = facts["status"]
    params = facts.get("params", {})
    if status not in STATUSES or not isinstance(params, dict):
        raise ValueError(f"status {status!r}")
    check_depth(params)
    return Run(
        id=run,
        name=_text(facts["name"]),
        status=status,
        created=_text(facts["created"]),
        ended=_maybe(facts.get("ended")),
        duration=None if facts.get("duration") is None else _finite(facts["duration"]),
        author=_text(facts.get("author", "")),
        host=_maybe(facts.get("host")),
        code=Code(
            commit=_oid(code.get("commit")),
            branch=_maybe(code.get("branch")),
            dirty=bool(code.get("dirty", False)),
            snapshot=_oid(code.get("snapshot")),
        ),
        command=_maybe(facts.get("command")),
        params=params,
        metrics={_text(name): _metric(row) for name, row in facts.get("metrics", {}).items()},
        tags=tuple(_text(tag) for tag in facts.get("tags", ())),
        group=_maybe(facts.get("group")),
        parent=_run(facts.get("parent")),
        project=_maybe(facts.get("project")),
        job_type=_maybe(facts.get("job_type")),
        note=_maybe(facts.get("note")),
        starred=bool(facts.get("starred", False)),
        deleted=bool(facts.get("deleted", False)),
        artifact_count=int(artifacts.get("count", 0)),
        artifact_size=int(artifacts.get("size", 0)),
        artifact_pointers=int(artifacts.get("pointers", 0)),
        points=int(facts.get("points", 0)),
        exit_code=None if facts.get("exit_code") is None else int(facts["exit_code"]),
        seal=_maybe(facts.get("seal")),
        more=bool(facts.get("more", False)),
        oid=oid,
    )


def refused(run: RunId, cause: str, hint: str | None = None) -> DataRefused:
    """Returns the error for a run that cannot be read."""
    return DataRefused(f"cannot read run '{run}'", cause=cause, hint=hint)


def _metric(row: list[Any]) -> Metric:
    last, step, low, low_step, high, high_step, mean, count, goal = row
    if [*map(type, row)][:8] == _KINDS and (goal is None or goal in _GOALS):  # as we write it, and nearly always
        return Metric(*row)
    return Metric(
        last=float(last),
        step=int(step),
        min=float(low),
        min_step=int(low_step),
        max=float(high),
        max_step=int(high_step),
        mean=float(mean),
        count=int(count),
        goal=goal if goal in ("min", "max") else None,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _finite(value: Any) -> float:
    if not math.isfinite(number := float(value)):
        raise ValueError(f"{number} seconds")
    return number


def _maybe(value: Any) -> str | None:
    return None if value is None else _text(value)


def _oid(value: Any) -> Oid | None:
    if value is None:
        return None
    if not is_oid(_text(value)):
        raise ValueError(f"{value!r} is no object id")
    return Oid(value)


def _run(value: Any) -> RunId | None:
    if value is None:
        return None
    if not is_run_id(_text(value)):
        raise ValueError(f"{value!r} is no run id")
    return RunId(value)
