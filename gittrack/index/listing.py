"""All runs of a repository, through the index: those that have a commit, and those that have none yet.

Only the rows that are asked for become runs. What cannot be read is listed as damaged, so that one bad run never hides
the others; and where the index itself cannot be read, it is made again, at last in memory."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gittrack.errors import DataRefused, GitFailed, GittrackError
from gittrack.git import Git
from gittrack.index import database as file
from gittrack.index import live, schema, state
from gittrack.index.database import Database, Unusable
from gittrack.model import Goal, Run
from gittrack.query import fields, naming
from gittrack.query.fields import seconds
from gittrack.refname import Oid, RunId

if TYPE_CHECKING:
    from gittrack.index.sql import Answer
    from gittrack.query.condition import Condition

NEWEST_FIRST = "-created"
_NEWEST = "created_at DESC, id DESC"
SLOW_SECONDS = 0.02  # what a question takes at most before an index is made for the next one
_SOME = 100  # rows that are fetched at once


class Index(naming.Book):
    """The runs of a repository as they are now, newest first; those that were deleted only if asked for."""

    def __init__(self, git: Git, *, deleted: bool = False) -> None:
        self._git = git
        self._deleted = deleted
        self._functions: Sequence[tuple[str, int, Callable[..., Any]]] = ()
        self._look()

    def refresh(self) -> None:
        """Looks again."""
        self.close()
        self._look()

    def _look(self) -> None:
        # First the runs without a commit: one that ends now is in both, and never in neither.
        found, broken = live.read(self._git)
        self._live_runs = sorted(found, key=naming.age), broken
        self._database = _opened(self._git)

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    # Everything -----------------------------------------------------------------------------------------------------

    @property
    def live(self) -> list[Run]:
        """The runs that have no commit yet, newest first."""
        return [run for run in self._live_runs[0] if self._deleted or not run.deleted]

    @property
    def damaged(self) -> list[GittrackError]:
        """What could not be read."""
        rows = self._ask("SELECT message, cause, hint FROM damaged ORDER BY id")
        found: list[GittrackError] = [DataRefused(message, cause=cause, hint=hint) for message, cause, hint in rows]
        return found + self._live_runs[1]

    @property
    def apart(self) -> str:
        """What changes when a remote is seen to have a run in another version than the one here; '' if none has."""
        rows = self._ask(
            "SELECT seen.id, seen.remote, seen.oid, runs.oid FROM apart JOIN seen USING (id) LEFT JOIN runs USING (id) "
            "ORDER BY 1, 2"
        )
        rows += self._ask(
            "SELECT there.ref, there.oid, here.oid FROM archives AS there LEFT JOIN archives AS here "
            "ON here.ref = 'refs/runs/archive/' || substr(there.ref, -13) "
            "WHERE there.ref NOT LIKE 'refs/runs/%' AND there.oid IS NOT here.oid ORDER BY 1"
        )
        text = "\n".join(" ".join(map(str, row)) for row in rows).encode()
        return f"{zlib.crc32(text):08x}{zlib.adler32(text):08x}-{len(text)}" if rows else ""

    def runs(self) -> list[Run]:
        """Returns all runs."""
        return self.select()

    def each(self) -> Iterator[Run]:
        """Yields all runs, each made when its turn comes: who looks at some of many does not wait for the others."""
        given = 0
        if not self.live:
            asked = f"SELECT {schema.SELECTED} FROM runs WHERE {self._shown()} ORDER BY {_NEWEST}"  # noqa: S608 - words of ours
            try:
                with file.translated():
                    rows = self._database.connection.execute(asked)
                while some := self._fetched(rows):
                    for row in some:
                        yield schema.run_of(row)
                        given += 1
                return
            except (Unusable, ValueError, TypeError):
                self._rebuild()
        yield from self.runs()[given:]

    def _fetched(self, rows: Any) -> list[tuple[Any, ...]]:
        with file.translated():
            found: list[tuple[Any, ...]] = rows.fetchmany(_SOME)
            return found

    def select(
        self, asked: Condition | None = None, *, order: Sequence[str] = (NEWEST_FIRST,), limit: int | None = None
    ) -> list[Run]:
        """Returns the runs that a condition matches, sorted by fields; raises UsageError for a field that is none."""
        if asked is None and tuple(order) == (NEWEST_FIRST,):
            return self._merged(self._committed("1", limit=limit), self.live, limit)
        from gittrack.index import conditions  # noqa: PLC0415 - most lists are of all runs, newest first

        where, values = conditions.where(asked) if asked else ("1", [])
        terms = conditions.order(*order)
        self._functions = conditions.FUNCTIONS
        self._teach()
        began = time.perf_counter()
        found = self._committed(where, values, order=terms, limit=limit)
        if time.perf_counter() - began > SLOW_SECONDS:
            self._speed_up(asked, order)
        live = self._matching(asked)
        return sorted([*found, *live], key=fields.sort_key(*order))[:limit] if live else found

    def _matching(self, asked: Condition | None) -> list[Run]:
        """Returns the runs without a commit that a condition matches."""
        live = self.live
        if asked is None or not live:
            return live
        from gittrack.query import evaluate  # noqa: PLC0415 - only for conditions

        return [run for run in live if evaluate.matches(asked, run)]

    def _speed_up(self, asked: Condition | None, order: Sequence[str]) -> None:
        """Makes the next question of this kind quick."""
        from gittrack.index import speeding  # noqa: PLC0415 - as above
        from gittrack.query import condition  # noqa: PLC0415 - as above

        sorted_by = [fields.order(text)[0] for text in order]
        speeding.speed_up(self._database, [*sorted_by, *(condition.fields_of(asked) if asked else ())])

    def _teach(self) -> None:
        """Hands SQLite the functions that conditions call."""
        for name, arguments, function in self._functions:
            self._database.connection.create_function(name, arguments, function, deterministic=True)

    def of(self, ids: Collection[RunId]) -> list[Run]:
        """Returns the runs with these ids, newest first."""
        if len(ids) > _SOME:
            return [run for run in self.runs() if run.id in ids]
        marks = ", ".join("?" * len(ids))
        return self._merged(
            self._committed(f"id IN ({marks})", [*ids]), [run for run in self.live if run.id in ids], None
        )

    def brief(self) -> list[Run]:
        """Returns the runs that have a commit, newest first, without what they measured: for who looks at very many."""
        asked = f"SELECT {schema.BRIEF} FROM runs WHERE {self._shown()} ORDER BY {_NEWEST}"  # noqa: S608 - words of ours
        return [schema.brief_of(row) for row in self._ask(asked)]

    def count(self, *, deleted: bool | None = None) -> int:
        """Returns how many runs there are; deleted: whether to count those that were deleted, by default as listed."""
        everything = self._deleted if deleted is None else deleted
        asked = f"SELECT count(*) FROM runs WHERE {self._shown()}" + ("" if everything else " AND NOT runs.deleted")  # noqa: S608 - words of ours
        ((found,),) = self._ask(asked)
        return int(found) + len([run for run in self._live_runs[0] if everything or not run.deleted])

    def sql(self, text: str) -> Answer:
        """Returns what a question in SQL gives (docs/reference/index.md); raises UsageError. Closes the index."""
        from gittrack.index import sql  # noqa: PLC0415 - only for who asks in SQL

        try:
            with file.translated():
                sql.prepare(self._database.connection, self._live_runs[0], deleted=self._deleted)
        except Unusable:
            self._rebuild()
            sql.prepare(self._database.connection, self._live_runs[0], deleted=self._deleted)
        return sql.ask(self._database.connection, text)

    # Naming (see `query.naming`) ------------------------------------------------------------------------------------

    def by_id(self, id: RunId) -> Run | None:
        return next(iter(self._named("id = ?", id, [run for run in self.live if run.id == id])), None)

    def starting(self, prefix: str) -> list[Run]:
        live = [run for run in self.live if run.id.startswith(prefix)]
        return self._named("id >= ?1 AND id < ?1 || '~'", prefix, live)

    def called(self, name: str) -> list[Run]:
        return self._named("name = ?", name, [run for run in self.live if run.name == name])

    def of_commit(self, oid: Oid) -> Run | None:
        live = [run for run in self.live if oid in (run.code.commit, run.code.snapshot)]
        return next(iter(self._named("?1 IN (code_commit, code_snapshot, oid)", oid, live)), None)

    def tagged(self, tag: str) -> list[Run]:
        live = [run for run in self.live if tag in run.tags]
        return self._named("EXISTS (SELECT 1 FROM json_each(record, '$.tags') WHERE value = ?)", tag, live)

    def grouped(self, group: str) -> list[Run]:
        return self._named("group_name = ?", group, [run for run in self.live if run.group == group])

    def newest(self, skip: int = 0) -> Run | None:
        found = self.select(limit=skip + 1)
        return found[skip] if skip < len(found) else None

    def between(self, older: Run | None, newer: Run | None) -> list[Run]:
        bounds = [(sign, run) for sign, run in ((">=", older), ("<=", newer)) if run]
        values = [value for _, run in bounds for value in (seconds(run.created), run.id)]
        if None in values:  # a time that nobody can read is older than all, which SQL does not say
            return naming.Listed(self.runs()).between(older, newer)
        where = " AND ".join(f"(created_at, id) {sign} (?, ?)" for sign, _ in bounds) or "1"
        first, last = naming.age(newer) if newer else None, naming.age(older) if older else None
        live = [
            run
            for run in self.live
            if (first is None or naming.age(run) >= first) and (last is None or naming.age(run) <= last)
        ]
        return self._merged(self._committed(where, values), live, None)

    def goals(self, metric: str) -> set[Goal]:
        if not _is_text(metric):
            return set()
        asked = f"SELECT DISTINCT json_extract(one.value, '$[8]') FROM runs, json_each(record, '$.metrics') AS one WHERE {self._shown()} AND one.key = ?"  # noqa: S608, E501 - words of ours
        found: set[Goal] = {goal for (goal,) in self._ask(asked, (metric,)) if goal in ("min", "max")}
        return found | naming.Listed(self.live).goals(metric)

    def best(self, metric: str, *, high: bool) -> Run | None:
        at, order = (4, "DESC") if high else (2, "ASC")
        value = (
            f"(SELECT json_extract(one.value, '$[{at}]') FROM json_each(record, '$.metrics') AS one WHERE one.key = ?1)"  # noqa: S608 - words of ours
        )
        where = "EXISTS (SELECT 1 FROM json_each(record, '$.metrics') AS one WHERE one.key = ?1)"
        order = f"typeof({value}) IN ('integer', 'real') DESC, {value} {order}, {_NEWEST}"
        committed = self._committed(where, (metric,), order=order, limit=1) if _is_text(metric) else []
        live = [run for run in self.live if metric in run.metrics]
        return naming.Listed(sorted([*committed, *live], key=naming.age)).best(metric, high=high)

    def extremes(self, metric: str, statistic: Goal) -> tuple[float, float] | None:
        """Returns the least and the greatest that a metric's `min` or `max` is in any run; None if no run has it.

        Without making a run of each row: a list shows its first page while it knows which value is the best."""
        at = 2 if statistic == "min" else 4
        if metric.isascii() and metric.isprintable() and not set('"\\') & set(metric):  # what a path can say
            inner, value = "SELECT json_extract(record, ?) AS v FROM runs WHERE ", f'$.metrics."{metric}"[{at}]'
        else:
            inner = f"SELECT json_extract(one.value, '$[{at}]') AS v FROM runs, json_each(record, '$.metrics') AS one WHERE one.key = ? AND "  # noqa: S608, E501 - words of ours
            value = metric
        asked = f"SELECT min(v), max(v) FROM ({inner}{self._shown()}) WHERE typeof(v) IN ('integer', 'real')"  # noqa: S608 - words of ours
        rows = self._ask(asked, (value,)) if _is_text(metric) else [(None, None)]
        live = [getattr(run.metrics[metric], statistic) for run in self.live if metric in run.metrics]
        found = [value for value in (*rows[0], *live) if value is not None and value == value]
        return (min(found), max(found)) if found else None

    def before(self, run: Run) -> Run | None:
        """Returns the run that is next older."""
        older = self._committed("(created_at, id) < (?, ?)", (fields.seconds(run.created), run.id), limit=1)
        live = [one for one in self.live if naming.age(one) > naming.age(run)]
        return next(iter(self._merged(older, live, 1)), None)

    def names(self) -> list[str]:
        rows = self._ask(f"SELECT name, id FROM runs WHERE {self._shown()} ORDER BY {_NEWEST} LIMIT {naming.MANY}")  # noqa: S608 - words of ours
        return [name for row in rows for name in row] + [name for run in self.live for name in (run.name, run.id)]

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return bool(self.live or self._ask(f"SELECT 1 FROM runs WHERE {self._shown()} LIMIT 1"))  # noqa: S608 - words of ours

    def _named(self, where: str, value: str, live: list[Run]) -> list[Run]:
        if not _is_text(value):
            return live
        return self._merged(self._committed(where, (value,)), live, None)

    # Rows -----------------------------------------------------------------------------------------------------------

    def _shown(self) -> str:
        """Returns the condition for rows that are listed: a live run stands for its earlier commit."""
        parts = [] if self._deleted else ["NOT runs.deleted"]
        if self._live_runs[0]:
            parts.append(f"runs.id NOT IN ({', '.join(repr(str(run.id)) for run in self._live_runs[0])})")
        return " AND ".join(parts) or "1"

    def _committed(
        self, where: str, values: Sequence[Any] = (), *, order: str = _NEWEST, limit: int | None = None
    ) -> list[Run]:
        asked = f"SELECT {schema.SELECTED} FROM runs WHERE {self._shown()} AND ({where}) ORDER BY {order}"  # noqa: S608 - conditions of ours
        if limit is not None:
            asked += f" LIMIT {limit:d}"
        rows = self._ask(asked, values)
        try:
            return [schema.run_of(row) for row in rows]
        except (ValueError, TypeError):
            self._rebuild()
            return [schema.run_of(row) for row in self._ask(asked, values)]

    def _merged(self, committed: list[Run], live: Iterable[Run], limit: int | None) -> list[Run]:
        added = list(live)
        found = sorted([*committed, *added], key=naming.age) if added else committed
        return found[:limit] if limit is not None else found

    def _ask(self, asked: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            with file.translated():
                return self._database.connection.execute(asked, values).fetchall()
        except Unusable:
            self._rebuild()
        try:
            with file.translated():
                return self._database.connection.execute(asked, values).fetchall()
        except Unusable as exc:
            raise GitFailed("cannot read the index of runs", cause=str(exc)) from exc

    def _rebuild(self) -> None:
        """Makes the index again, because this one is damaged."""
        self._database.close()
        try:
            self._database = _made(self._git, file.home(self._git.place.common_dir, self._git.environ))
        except Unusable:
            self._database = _in_memory(self._git)
        self._teach()


def _opened(git: Git) -> Database:
    """Returns an index that says what the refs say now."""
    folder = file.home(git.place.common_dir, git.environ)
    found = file.find(folder)
    if found is not None:
        try:
            return _brought_up(git, found)
        except Unusable:
            found.close()
    try:
        return _made(git, folder)
    except Unusable:
        return _in_memory(git)


def _brought_up(git: Git, database: Database) -> Database:
    known = state.read_state(database)
    if state.is_fresh(git, known):
        return database
    from gittrack.index import updating  # noqa: PLC0415 - most listings find the index fresh

    if not database.writable:
        database = file.copied(database)
    updating.update(git, database, known)
    return database


def _made(git: Git, folder: Any) -> Database:
    from gittrack.index import updating  # noqa: PLC0415 - as above

    database = file.create(folder)
    try:
        updating.fill(git, database)
        database.publish()
    except BaseException:
        file.discard(database)
        raise
    return database


def _in_memory(git: Git) -> Database:
    try:
        return _made(git, None)
    except Unusable as exc:
        raise GitFailed("cannot index the runs", cause=str(exc)) from exc


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
