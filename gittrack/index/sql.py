"""Questions in SQL, for whom the query language is not enough (docs/reference/index.md).

They see views that stay as they are documented when the tables below change, may only read, and touch nothing but this
index: no other file, no setting, no extension."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gittrack.codec import record
from gittrack.errors import UsageError
from gittrack.index import schema
from gittrack.model import Run

_COLUMNS = (
    "id name status created created_at ended ended_at duration author host code_commit code_branch code_snapshot dirty "
    "command exit_code group_name note parent project job_type starred deleted artifact_count artifact_size points "
    "tags params metrics"
).split()
_VIEWS = """
CREATE TEMP VIEW runs AS
    SELECT {columns} FROM main.runs WHERE {shown} AND id NOT IN (SELECT id FROM live)
    UNION ALL SELECT {columns} FROM live WHERE {shown};
CREATE TEMP VIEW params AS
    SELECT runs.id AS run, one.key AS name, one.value AS value FROM runs, json_each(runs.params) AS one;
CREATE TEMP VIEW tags AS SELECT runs.id AS run, one.value AS tag FROM runs, json_each(runs.tags) AS one;
CREATE TEMP VIEW metrics AS
    SELECT run, name, {statistics}, goal, CASE goal WHEN 'max' THEN max WHEN 'min' THEN min END AS best FROM (
        SELECT runs.id AS run, one.key AS name, {extracted}, json_extract(one.value, '$[8]') AS goal
        FROM runs, json_each(runs.metrics) AS one);
CREATE TEMP VIEW pushed AS
    SELECT seen.id AS run, seen.remote FROM main.seen JOIN main.runs USING (id, oid)
    UNION SELECT runs.id AS run, batches.remote FROM main.batches JOIN main.runs USING (batch) WHERE remote != '';
"""
_STATISTICS = "last step min min_step max max_step mean count".split()
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_FORBIDDEN_FUNCTIONS = {"load_extension", "writefile", "readfile", "edit", "fts3_tokenizer"}
_STEPS = 200_000  # of SQLite's machine between two looks at whether Ctrl-C was pressed


@dataclass(frozen=True, slots=True)
class Answer:
    """The columns and rows that a question in SQL gave."""

    heads: list[str]
    rows: list[tuple[Any, ...]]


def ask(connection: sqlite3.Connection, text: str) -> Answer:
    """Returns what one SELECT over the views of `prepare` gives; raises UsageError, with what SQLite says of it.

    The connection is of no other use then."""
    connection.set_authorizer(_authorize)
    connection.set_progress_handler(lambda: 0, _STEPS)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    try:
        cursor = connection.execute(text)
        rows = cursor.fetchall()
    except (sqlite3.Error, sqlite3.Warning, ValueError) as exc:  # ValueError: no text that SQLite takes
        if "interrupted" in str(exc):
            raise KeyboardInterrupt from exc
        raise UsageError("cannot answer this", cause=_told(exc), hint="see `git track sql -h` for the tables") from exc
    if not cursor.description:
        raise UsageError("there is no question", hint="see `git track sql -h`")
    plain = [tuple(value.hex() if isinstance(value, bytes) else value for value in row) for row in rows]
    return Answer([column[0] for column in cursor.description], plain)


def prepare(connection: sqlite3.Connection, live: Sequence[Run], *, deleted: bool) -> None:
    """Makes the views.

    live: runs that have no row; deleted: shows those that were deleted too."""
    values = {name: f"json_extract(one.value, '$[{at}]')" for at, name in enumerate(_STATISTICS)}
    # What is no number (NaN is not, in JSON) has no value in SQL.
    extracted = ", ".join(
        f"CASE WHEN typeof({value}) IN ('integer', 'real') THEN {value} END AS {name}" for name, value in values.items()
    )
    names = ", ".join(name for name in schema.COLUMNS)
    connection.execute(f"CREATE TEMP TABLE live AS SELECT {names}, tags, metrics FROM main.runs WHERE 0")  # noqa: S608 - words of ours
    put = f"INSERT INTO live VALUES ({', '.join('?' * (len(schema.COLUMNS) + 2))})"  # noqa: S608 - words of ours
    for run in live:
        row = schema.row_of(run, record.dump(record.encode(run)))
        facts = record.encode(run)
        parts = (record.dump(facts.get("tags", [])), schema.dump(facts.get("metrics", {})))
        connection.execute(put, (*row, *parts))
    connection.executescript(
        _VIEWS.format(
            columns=", ".join(_COLUMNS),
            shown="1" if deleted else "NOT deleted",
            statistics=", ".join(_STATISTICS),
            extracted=extracted,
        )
    )


def _authorize(action: int, _first: str | None, second: str | None, _database: str | None, _by: str | None) -> int:
    if action not in _ALLOWED or (action == sqlite3.SQLITE_FUNCTION and second in _FORBIDDEN_FUNCTIONS):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _told(exc: Exception) -> str:
    text = str(exc)
    return "it may only read: one SELECT" if "not authorized" in text or "one statement" in text else text
