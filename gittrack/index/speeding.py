"""Indexes on the fields that people ask for, made when a question took long.

Nobody can say beforehand which of a hundred metrics will be asked for, and an index on each would make every update
slow. So a question that had to look into every record is answered as it is, and the next one of its kind at once."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterable

from gittrack.index import conditions
from gittrack.index.database import Database, Unusable
from gittrack.query.fields import Field

MOST = 8  # indexes; each costs a look into the record whenever a run is written


def speed_up(database: Database, fields: Iterable[Field]) -> None:
    """Makes an index for each of these params and metrics that has none; the oldest ones go when there are too many."""
    if database.path is None or not database.writable:
        return
    wanted = [conditions.expression(field) for field in fields if field.of != "run"]
    with contextlib.suppress(Unusable), database.writing() as connection:
        known = [expression for (expression,) in connection.execute("SELECT expression FROM fast ORDER BY rowid")]
        new = [expression for expression in dict.fromkeys(wanted) if expression not in known and _is_stored(expression)]
        for expression in known[: max(0, len(known) + len(new) - MOST)]:
            connection.execute(f"DROP INDEX IF EXISTS {_name(expression)}")
            connection.execute("DELETE FROM fast WHERE expression = ?", (expression,))
        for expression in new[:MOST]:
            connection.execute(f"CREATE INDEX {_name(expression)} ON runs ({expression}, created_at, id)")
            connection.execute("INSERT INTO fast VALUES (?)", (expression,))
        if new:
            connection.execute("PRAGMA analysis_limit = 400")
            connection.execute("ANALYZE")


def _is_stored(expression: str) -> bool:
    """Tells whether an index can be on an expression: not on one that calls into Python."""
    return "track_" not in expression


def _name(expression: str) -> str:
    return f"fast_{zlib.crc32(expression.encode()):08x}"
