"""What hypothesis draws: params, histories, records, edits and paths as people and programs really make them.

Each strategy leans on the odd ends of its kind, for the ordinary middle works by itself."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from gittrack.codec import event, history
from gittrack.model import STATUSES, Artifact, Code, Column, Edit, Event, Goal, History, Metric, Run, State
from gittrack.refname import Oid, RunId, new_run_id
from gittrack.values import clean_name

# What looks like something else to one reader or another.
ODD_TEXTS = (
    *("", " ", "null", "Null", "~", "true", "Yes", "NO", "on", "Off", "y", "N", "none", "nan", ".nan", ".inf", "-.INF"),
    *("1", "-1", "+1", "1_000", "0x1f", "0o17", "017", "1e3", "1.5", ".5", "1:30", "2001-01-01", "=", "=x", "<<"),
    *("- a", "-", "?", "? a", ":", "a: b", "a:b", "a #b", "#", "# a", "&a", "*a", "!a", "!!str a", "|", ">", "%", "@"),
    *("`", "'", '"', "''", '""', "\\", "{}", "[]", "{a: 1}", "[a]", ",", "a, b", "---", "...", "--- a", " a", "a "),
    *("a\nb", "\n", "a\tb", "\t", "\r\n", "\x00", "\x1b[31m", "\x7f", "\x85", "\xa0", "\xad", "\u2028", "\u2029"),
    *("\ufeff", "\ufffe", "\uffff", "\ufffd", "\u200b", "\u202e", "é", "日本", "\U0001f642", "a/b", "a.b", "x" * 2000),
    *("step", "time", "rank", "==", "rank\t", "$float", "$$float", '{"$float":"nan"}', "\nRecord: {}", "Join: 1"),
)
ODD_FLOATS = (0.0, -0.0, 0.1, 1.0, -1.0, 1e16, 1e-5, 1e22, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308)
ODD_INTEGERS = (0, 1, -1, 2**31, 2**53 + 1, -(2**63), 2**63, 2**64, 10**400, -(2**4096) + 1)

# UTF-8 has no bytes for halves of characters; YAML has no way to write them.
whole_texts = st.sampled_from(ODD_TEXTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
texts = whole_texts | st.text(st.characters(), max_size=6) | st.just("\ud800") | st.just("a\udc80")
floats = st.sampled_from(ODD_FLOATS) | st.floats()
integers = st.sampled_from(ODD_INTEGERS) | st.integers()


def plain_values(of_texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Draws null, bools, numbers, texts, and lists and mappings of them."""
    scalars = st.none() | st.booleans() | integers | floats | of_texts
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(of_texts, inner, max_size=4),
        max_leaves=12,
    )


def mappings(of_texts: st.SearchStrategy[str] = whole_texts) -> st.SearchStrategy[dict[str, Any]]:
    """Draws params: nested mappings of plain values."""
    return st.dictionaries(of_texts, plain_values(of_texts), max_size=6)


# Histories ----------------------------------------------------------------------------------------------------------

int64s = st.sampled_from((0, 1, -1, 2**63 - 1, -(2**63))) | st.integers(-(2**63), 2**63 - 1)
names = st.sampled_from(("loss", "val/acc", "step", "time", "rank", "=x", "==", "=step", "a b", "é")) | texts.map(
    clean_name
)


@st.composite
def columns(draw: Callable[..., Any], rows: int) -> Column:
    """Draws the points of one metric: in every row, or in some."""
    present = draw(st.lists(st.booleans(), min_size=rows, max_size=rows).filter(any))
    values = floats if draw(st.booleans()) else st.floats(width=32)
    count = sum(present)
    return Column(
        array("d", draw(st.lists(values, min_size=count, max_size=count))),
        None if count == rows else array("q", [row for row, there in enumerate(present) if there]),
    )


@st.composite
def histories(draw: Callable[..., Any]) -> History:
    """Draws any table that the format can hold."""
    rows = draw(st.integers(1, 20))
    table = st.lists(int64s, min_size=rows, max_size=rows).map(lambda drawn: array("q", drawn))
    return History(
        steps=draw(table),
        times=draw(table),
        ranks=draw(st.none() | table),
        columns=draw(st.dictionaries(names, columns(rows), max_size=4)),
    )


points = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 2),
        st.integers(0, 1),
        st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True).map(tuple),
    ).flatmap(
        lambda head: st.tuples(
            *map(st.just, head),
            st.tuples(*[st.floats(allow_nan=False)] * len(head[3])),
        )
    ),
    max_size=20,
)


def as_rows(table: History) -> list[tuple[int, int, int | None, dict[str, str]]]:
    """Returns a history row by row, cells by `repr`, so that two are equal when every bit is (and NaN is NaN)."""
    cells: list[dict[str, str]] = [{} for _ in table.steps]
    for name in sorted(table.columns):
        column = table.columns[name]
        for row, value in zip(column.rows or range(len(table.steps)), column.values, strict=True):
            cells[row][name] = repr(value)
    ranks: list[int | None] = [None] * len(cells) if table.ranks is None else list(table.ranks)
    return list(zip(table.steps, table.times, ranks, cells, strict=True))


def encoded(table: History) -> bytes:
    """Returns the bytes of the columns form, which is one to one."""
    return history.encode_columns(table)


# Runs ---------------------------------------------------------------------------------------------------------------

run_ids = st.integers(0, 2**60 - 1).map(new_run_id)
oids = st.sampled_from((40, 64)).flatmap(
    lambda size: st.text("0123456789abcdef", min_size=size, max_size=size).map(Oid)
)
goals: st.SearchStrategy[Goal | None] = st.sampled_from([None, "min", "max"])
times = st.sampled_from(("2026-11-23T14:51:10.123Z", "1970-01-01T00:00:00.000Z"))
steps = st.integers(-(2**63), 2**63 - 1)
metrics = st.builds(
    Metric,
    last=floats,
    step=steps,
    min=floats,
    min_step=steps,
    max=floats,
    max_step=steps,
    mean=floats,
    count=st.integers(0, 2**40),
    goal=goals,
    nan=st.just(0),
    summary=st.none(),
)
codes = st.builds(
    Code,
    commit=st.none() | oids,
    branch=st.none() | texts,
    remote=st.none(),
    dirty=st.booleans(),
    snapshot=st.none() | oids,
    omitted=st.just(()),
)


def runs(id: st.SearchStrategy[RunId] = run_ids) -> st.SearchStrategy[Run]:
    """Draws runs as a record tells them whole: without what only the tree or the clone knows."""
    given = texts.filter(bool)
    return st.builds(
        Run,
        id=id,
        name=texts,
        status=st.sampled_from(STATUSES),
        created=times,
        ended=st.none() | times,
        duration=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        author=texts,
        host=st.none() | texts,
        code=codes,
        command=st.none() | given.map(lambda text: text[:500]),
        params=mappings(texts),
        metrics=st.dictionaries(texts, metrics, max_size=3),
        tags=st.lists(texts, max_size=3, unique=True).map(lambda tags: tuple(sorted(tags))),
        group=st.none() | texts,
        parent=st.none() | run_ids,
        project=st.none() | texts,
        job_type=st.none() | texts,
        note=st.none() | given.map(lambda text: text[:1000]),
        starred=st.booleans(),
        deleted=st.booleans(),
        artifact_count=st.integers(1, 9),
        artifact_size=st.integers(0, 2**60),
        points=st.integers(0, 2**60),
        exit_code=st.none() | st.integers(-255, 255),
        seal=st.none() | st.just("0123456789abcdef"),
        more=st.just(False),
        oid=st.none(),
        pushed=st.just(()),
    )


events = st.builds(
    Event,
    time=st.integers(-(2**40), 2**40).map(lambda ms: ms / 1000) | st.just(math.inf),
    key=texts,
    value=plain_values(texts),
    step=st.none() | steps,
    kind=st.sampled_from(("text", "param", "alert", "summary")),
)
artifacts = st.builds(
    Artifact,
    path=whole_texts.filter(bool),
    size=st.integers(0, 2**60),
    sha256=st.just("0" * 64),
    kind=st.just("blob"),
    name=st.none() | whole_texts,
    type=st.none() | whole_texts,
    aliases=st.lists(whole_texts, max_size=2).map(tuple),
    metadata=st.none() | mappings().filter(bool),
    step=st.none() | steps,
)

# Edits --------------------------------------------------------------------------------------------------------------

tags = st.sampled_from(("best", "paper", "x"))
states = st.builds(
    State,
    name=texts,
    status=st.sampled_from(STATUSES),
    tags=st.lists(tags, max_size=2, unique=True).map(lambda drawn: tuple(sorted(drawn))),
    group=st.none() | texts.filter(bool),
    notes=st.lists(texts, max_size=2).map(tuple),
    starred=st.booleans(),
    deleted=st.booleans(),
)
# Few clocks and few random parts, so that edits meet, and untag names files that are there.
edit_files = st.builds(event.edit_file, st.integers(0, 3), st.integers(0, 2))
changes: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"tag": st.lists(tags, max_size=2)}),
    st.fixed_dictionaries(
        {"untag": st.dictionaries(tags, st.lists(edit_files | st.just("run.yaml"), max_size=3), max_size=2)}
    ),
    st.fixed_dictionaries({"name": texts}),
    st.fixed_dictionaries({"group": texts}),
    st.fixed_dictionaries({"note": texts}),
    st.fixed_dictionaries({"status": st.sampled_from(STATUSES)}),
    st.fixed_dictionaries({"star": st.booleans()}),
    st.just({"delete": True}),
    st.just({"restore": True}),
    st.just({}),
)


@st.composite
def edits(draw: Callable[..., Any]) -> Edit:
    """Draws one edit, whose file is named after its clock."""
    clock = draw(st.integers(0, 3))
    file = event.edit_file(clock, draw(st.integers(0, 2)))
    return Edit(file, clock, draw(texts), draw(times), draw(changes))


edit_lists = st.lists(edits(), max_size=8, unique_by=lambda edit: edit.file)

# Paths --------------------------------------------------------------------------------------------------------------

HOSTILE_PATHS = (
    *("", "/", "/etc/passwd", "a//b", "a/", "./a", "a/.", "..", "../a", "a/../b", ".. /a", ". ", "...", "a/ /b"),
    *(".git", ".GIT", ".Git ", ".git.", ".git . .", "a/.git/config", "git~1", "GIT~1", "git~12/a", ".g\u200cit"),
    *("\u200e.git", ".gi\ufefft", "CON", "con.txt", "a/NUL", "aux.", "Com1.log", "lpt\u00b9", "con .txt", "conin$"),
    *("a:b", "c:/windows", "a\\b", "..\\a", "a\nb", "a\tb", "\x00", "a\x1b[31m", "a\x7f", "a\x85"),
    *("x" * 5000, "é" * 2049, "/".join("a" * 65), "a\udcff", "\ud800"),
)
HARMLESS_PATHS = (
    *("a", "run.yaml", "a/b/c", "artifacts/model.pt", "a b", "-a", ".gitignore", ".github/x", "git", "git~x", "a.git"),
    *("console", "com", "com10", "nullable", "aux_loss.txt", "é/日本", "a'b", 'a"b', "x" * 4096, "/".join("a" * 64)),
    *("...a", "a..b", ".a"),
)
components = st.sampled_from(("a", "b", "a-b", "a.txt", "é", "z", "日本", "A")) | st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\:"), min_size=1, max_size=8
)
paths = st.lists(components, min_size=1, max_size=4).map("/".join)
