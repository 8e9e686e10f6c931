"""The tables of the index, and a run as a row of them (docs/reference/index.md).

Params and metrics are JSON, because there are as many names as people think of; what every run has is a column.
`VERSION` changes with anything here: an index of another version is not read but made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gittrack.codec import record
from gittrack.model import Code, Metric, Run
from gittrack.query.fields import seconds
from gittrack.refname import Oid, RunId

VERSION = 1

TABLES = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY, oid TEXT, name TEXT, status TEXT, created TEXT, created_at REAL, ended TEXT, ended_at REAL,
    duration REAL, author TEXT, host TEXT, code_commit TEXT, code_branch TEXT, code_snapshot TEXT, dirty INTEGER,
    command TEXT, exit_code INTEGER, group_name TEXT, note TEXT, parent TEXT, project TEXT, job_type TEXT,
    starred INTEGER, deleted INTEGER, artifact_count INTEGER, artifact_size INTEGER, points INTEGER,
    tags TEXT, params TEXT, metrics TEXT, loose INTEGER
);
CREATE TABLE seen (id TEXT, remote TEXT, oid TEXT, loose INTEGER, PRIMARY KEY (id, remote)) WITHOUT ROWID;
CREATE TABLE apart (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE damaged (id TEXT PRIMARY KEY, oid TEXT, loose INTEGER, message TEXT, cause TEXT, hint TEXT);
CREATE TABLE fast (expression TEXT PRIMARY KEY, name TEXT);
CREATE TABLE state (stamps TEXT, taken REAL, counter INTEGER);
INSERT INTO state VALUES ('{}', 0, 0);
"""
INDEXES = """
CREATE INDEX refs ON runs (id, oid, loose);
CREATE INDEX loose ON runs (id) WHERE loose;
CREATE INDEX newest ON runs (created_at, id);
CREATE INDEX named ON runs (name);
CREATE INDEX grouped ON runs (group_name) WHERE group_name IS NOT NULL;
CREATE INDEX coded ON runs (code_commit);
CREATE INDEX snapshots ON runs (code_snapshot) WHERE code_snapshot IS NOT NULL;
"""
COLUMNS = (
    "id oid name status created created_at ended ended_at duration author host code_commit code_branch code_snapshot "
    "dirty command exit_code group_name note parent project job_type starred deleted artifact_count artifact_size "
    "points tags params metrics loose"
).split()
INSERT = f"INSERT OR REPLACE INTO runs ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - words of ours

_READ = [name for name in COLUMNS if name not in ("created_at", "ended_at", "loose")]
_PUSHED = "(SELECT group_concat(remote, char(10)) FROM seen WHERE seen.id = runs.id AND seen.oid = runs.oid)"
_HEAD = _READ.index("command") + 1
SELECTED = ", ".join([*(f"runs.{name}" for name in _READ), _PUSHED])  # what `run_of` takes

# SQLite reads `9e999` as an infinity, and so does Python; JSON has no other way to write one.
_INFINITIES = (('{"$float":"inf"}', "9e999"), ('{"$float":"-inf"}', "-9e999"))


def row_of(run: Run, *, loose: bool = False) -> tuple[Any, ...]:
    """Returns the row of a run, in the order of `COLUMNS`."""
    code = run.code
    row = (
        run.id,
        run.oid,
        run.name,
        run.status,
        run.created,
        seconds(run.created),
        run.ended,
        seconds(run.ended),
        run.duration,
        run.author,
        run.host,
        code.commit,
        code.branch,
        code.snapshot,
        code.dirty,
        run.command,
        run.exit_code,
        run.group,
        run.note,
        run.parent,
        run.project,
        run.job_type,
        run.starred,
        run.deleted,
        run.artifact_count,
        run.artifact_size,
        run.points,
        _dump(run.tags),
        _dump(run.flat_params),
        _dump({name: metric[:9] for name, metric in run.metrics.items()}),
        loose,
    )
    return tuple(_storable(value) if isinstance(value, str | int) else value for value in row)


def run_of(row: tuple[Any, ...]) -> Run:
    """Returns the run of a row of `SELECTED`; its params are flat. Raises ValueError if the row is damaged."""
    head, rest = row[:_HEAD], row[_HEAD:]
    name, oid, title, status, created, ended, duration, author, host, commit, branch, snapshot, dirty, command = head
    exit_code, group, note, parent, project, job_type, starred, deleted, count, size, points, *parts = rest
    tags, params, metrics, pushed = parts
    return Run(
        id=RunId(name),
        name=title,
        status=status,
        created=created,
        ended=ended,
        duration=duration,
        author=author,
        host=host,
        code=Code(commit=commit, branch=branch, dirty=bool(dirty), snapshot=snapshot),
        command=command,
        params=load(params),
        metrics={key: Metric(*values) for key, values in load(metrics).items()},
        tags=tuple(load(tags)),
        group=group,
        parent=parent,
        project=project,
        job_type=job_type,
        note=note,
        starred=bool(starred),
        deleted=bool(deleted),
        artifact_count=count,
        artifact_size=size,
        points=points,
        exit_code=exit_code,
        oid=Oid(oid),
        pushed=tuple(pushed.split("\n")) if pushed else (),
    )


def load(text: str) -> Any:
    """Returns what a JSON column holds; raises ValueError if it is none."""
    return record.load(text)


def _dump(value: Mapping[str, Any] | tuple[str, ...]) -> str:
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = '$float"'
    if '$float"' in text:
        text = record.dump(value)
        for tag, number in _INFINITIES:
            text = text.replace(tag, number)
    return _dump(_whole(record.load(text))) if "\\ud" in text and _is_torn(text) else text


def _is_torn(text: str) -> bool:
    """Tells whether JSON has halves of characters, which SQLite cannot hand back."""
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return _storable(value) if isinstance(value, str) else value


def _storable(value: str | int) -> Any:
    """Returns what SQLite can hold for a text or an integer."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    return value if -(1 << 63) <= value < 1 << 63 else float(value) if abs(value) < 1 << 1023 else None
