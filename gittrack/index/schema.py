"""The tables of the index, and a run as a row of them (docs/reference/index.md).

Params and metrics are JSON, because there are as many names as people think of; what every run has is a column.
`VERSION` changes with anything here: an index of another version is not read but made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gittrack.codec import record
from gittrack.model import Code, Run
from gittrack.query.fields import seconds
from gittrack.refname import Oid, RunId

VERSION = 2

# A record is the one of the commit message, except that an infinity is `9e999`, which SQLite and Python read as one.
# `params` are flat; `tags` and `metrics` are there for `git track sql`, and take no room.
TABLES = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY, oid TEXT, name TEXT, status TEXT, created TEXT, created_at REAL, ended TEXT, ended_at REAL,
    duration REAL, author TEXT, host TEXT, code_commit TEXT, code_branch TEXT, code_snapshot TEXT, dirty INTEGER,
    command TEXT, exit_code INTEGER, group_name TEXT, note TEXT, parent TEXT, project TEXT, job_type TEXT,
    starred INTEGER, deleted INTEGER, artifact_count INTEGER, artifact_size INTEGER, points INTEGER, loose INTEGER,
    batch TEXT, params TEXT, record TEXT,
    tags TEXT AS (coalesce(json_extract(record, '$.tags'), '[]')),
    metrics TEXT AS (coalesce(json_extract(record, '$.metrics'), '{}'))
);
CREATE TABLE seen (id TEXT, remote TEXT, oid TEXT, loose INTEGER, PRIMARY KEY (id, remote)) WITHOUT ROWID;
CREATE TABLE apart (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE archives (ref TEXT PRIMARY KEY, oid TEXT, loose INTEGER) WITHOUT ROWID;
CREATE TABLE batches (batch TEXT, ref TEXT, remote TEXT, PRIMARY KEY (batch, ref)) WITHOUT ROWID;
CREATE TABLE gone (id TEXT, ref TEXT, PRIMARY KEY (id, ref)) WITHOUT ROWID;
CREATE TABLE damaged (id TEXT PRIMARY KEY, oid TEXT, loose INTEGER, batch TEXT, message TEXT, cause TEXT, hint TEXT);
CREATE TABLE fast (expression TEXT);
CREATE TABLE state (stamps TEXT, taken REAL, counter INTEGER);
INSERT INTO state VALUES ('{}', 0, 0);
"""
INDEXES = """
CREATE INDEX refs ON runs (id, oid, loose);
CREATE INDEX loose ON runs (id) WHERE loose;
CREATE INDEX own ON runs (id) WHERE batch IS NULL;
CREATE INDEX newest ON runs (created_at, id);
CREATE INDEX named ON runs (name);
CREATE INDEX grouped ON runs (group_name) WHERE group_name IS NOT NULL;
CREATE INDEX coded ON runs (code_commit);
CREATE INDEX snapshots ON runs (code_snapshot) WHERE code_snapshot IS NOT NULL;
"""
COLUMNS = (
    "id oid name status created created_at ended ended_at duration author host code_commit code_branch code_snapshot "
    "dirty command exit_code group_name note parent project job_type starred deleted artifact_count artifact_size "
    "points loose batch params record"
).split()
INSERT = f"INSERT OR REPLACE INTO runs ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - words of ours

# A remote has a run whose ref there is at its commit, or whose batch is in an archive there.
REMOTES = (
    "SELECT remote FROM seen WHERE seen.id = runs.id AND seen.oid = runs.oid "
    "UNION SELECT remote FROM batches WHERE batches.batch = runs.batch AND remote != ''"
)
_PUSHED = f"(SELECT group_concat(remote, char(10)) FROM ({REMOTES}))"  # noqa: S608 - words of ours
SELECTED = f"runs.id, runs.oid, runs.batch IS NOT NULL, runs.params, runs.record, {_PUSHED}"  # what `run_of` takes

BRIEF = (
    "runs.id, runs.oid, runs.name, runs.status, runs.created, runs.ended, runs.code_commit, runs.code_snapshot, "
    f"runs.deleted, runs.batch IS NOT NULL, {_PUSHED}"  # what `brief_of` takes
)

# SQLite reads `9e999` as an infinity, and so does Python; JSON has no other way to write one.
_INFINITIES = (('{"$float":"inf"}', "9e999"), ('{"$float":"-inf"}', "-9e999"))


def row_of(run: Run, text: str, *, loose: bool = False, batch: Oid | None = None) -> tuple[Any, ...]:
    """Returns the row of a run, in the order of `COLUMNS`; `text` is its record, as the commit message has it."""
    code = run.code
    row: tuple[Any, ...] = (
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
        loose,
        batch,
    )
    plain = not run.more and '$float"' not in text and "\\ud" not in text and text.isascii()
    if plain and max(run.points, run.artifact_count, run.artifact_size, run.exit_code or 0) < 1 << 63:
        return (*row, dump(run.flat_params), text)
    return (*(_storable(value) if isinstance(value, str | int) else value for value in row), *_normal(run))


def run_of(row: tuple[Any, ...]) -> Run:
    """Returns the run of a row of `SELECTED`; its params are flat. Raises ValueError if the row is damaged."""
    name, oid, archived, params, text, pushed = row
    try:
        run = record.decode({**record.load(text), "params": record.load(params)}, run=RunId(name), oid=Oid(oid))
    except (TypeError, KeyError, AttributeError, OverflowError, RecursionError) as exc:
        raise ValueError(str(exc)) from exc
    if pushed or archived:
        return replace(run, pushed=tuple(pushed.split("\n")) if pushed else (), archived=bool(archived))
    return run


def brief_of(row: tuple[Any, ...]) -> Run:
    """Returns the run of a row of `BRIEF`: what it is called and where it is, and nothing of what it measured."""
    name, oid, called, status, created, ended, commit, snapshot, deleted, archived, pushed = row
    return Run(
        id=RunId(name),
        name=called,
        status=status,
        created=created,
        ended=ended,
        code=Code(commit=commit, snapshot=snapshot, dirty=snapshot is not None),
        deleted=bool(deleted),
        oid=Oid(oid),
        pushed=tuple(pushed.split("\n")) if pushed else (),
        archived=bool(archived),
    )


def _normal(run: Run) -> tuple[str, str]:
    """Returns flat params and record of a run without what SQLite cannot hold."""
    return dump(_whole(run.flat_params)), dump(_whole(record.encode(replace(run, more=False))))


def dump(value: Mapping[str, Any]) -> str:
    """Returns JSON as SQLite reads it, infinities included."""
    text = record.dump(value)
    if '$float"' in text:
        for tag, number in _INFINITIES:
            text = text.replace(tag, number)
    return text


def _whole(value: Any) -> Any:
    """Returns plain values without halves of characters, which SQLite cannot hand back."""
    if isinstance(value, Mapping):
        return {_whole(key): _whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return _storable(value) if type(value) is str else value


def _storable(value: str | int) -> Any:
    """Returns what SQLite can hold for a text or an integer."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    return value if -(1 << 63) <= value < 1 << 63 else float(value) if abs(value) < 1 << 1023 else None
