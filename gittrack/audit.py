"""Whether a run is what it says: its record, its tree and its files must agree.

`git fsck` checks git's objects; this checks what they mean."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from gittrack import archives, store
from gittrack.codec import history as history_codec
from gittrack.codec import manifest, pointer
from gittrack.draft import summarise
from gittrack.errors import GittrackError
from gittrack.git import Git
from gittrack.model import Metric, fold
from gittrack.objects import Objects
from gittrack.refname import RUNS, Oid, RunId, archive_of, run_of


def check_all(git: Git) -> Iterator[tuple[str, str]]:
    """Yields (ref, problem) for every run and archive that is not sound; other refs are not looked at."""
    size = git.place.oid_bytes
    refs = git.refs(RUNS)
    with git.objects() as objects:
        own = {run: ref for ref in refs if (run := run_of(ref.name))}
        for run, ref in own.items():
            yield from ((ref.name, problem) for problem in check(objects, run, ref.oid, oid_bytes=size))
        checked: set[tuple[RunId, Oid]] = set()
        for ref in refs:
            if archive_of(ref.name):
                yield from (
                    (ref.name, problem) for problem in _check_archive(objects, ref.oid, checked, oid_bytes=size)
                )


def _check_archive(objects: Objects, tip: Oid, checked: set[tuple[RunId, Oid]], *, oid_bytes: int) -> Iterator[str]:
    """Yields what is wrong with an archive, and with the runs in it that are not `checked` yet."""
    try:
        found = archives.read(objects, tip, oid_bytes=oid_bytes)
        kept = archives.parents(objects, tip, without=())
        for _, listed in archives.entries(objects, sorted(found.batches), oid_bytes=oid_bytes):
            for run, oid in listed.items():
                if oid not in kept:
                    yield f"it lists run {run} at {oid}, which it does not keep"
                elif (run, oid) not in checked:
                    checked.add((run, oid))
                    yield from (f"run {run}: {problem}" for problem in check(objects, run, oid, oid_bytes=oid_bytes))
    except GittrackError as exc:
        yield f"{exc.message}{': ' + exc.cause if exc.cause else ''}"


def check(objects: Objects, run: RunId, oid: Oid, *, oid_bytes: int) -> Iterator[str]:
    """Yields what is wrong with a run at a commit."""
    try:
        detail = store.read_detail(objects, run, oid, oid_bytes=oid_bytes)
        yield from _check_record(detail)
        yield from _check_history(detail)
        yield from _check_artifacts(detail)
        detail.events()
    except GittrackError as exc:
        yield f"{exc.message}{': ' + exc.cause if exc.cause else ''}"


def _check_record(detail: store.Detail) -> Iterator[str]:
    run, facts = detail.run, detail.facts
    state = fold(detail.base, detail.edits)
    expected = store.with_state(run, state)
    for name in ("name", "status", "tags", "group", "starred", "deleted", "note"):
        said, true = getattr(run, name), getattr(expected, name)
        if said != true and not (name == "note" and str(true or "").startswith(str(said or ""))):
            yield f"the record says {name} is {said!r:.80}, the tree says {true!r:.80}"
    for name in ("id", "created", "ended", "author"):
        if facts.get(name) != getattr(run, name) and not (name == "author" and not run.author):
            yield f"the record's '{name}' is not that of run.yaml"
    code = manifest.read_code(facts.get("code"))
    if (code.commit, code.snapshot, code.dirty) != (run.code.commit, run.code.snapshot, run.code.dirty):
        yield "the record's code is not that of run.yaml"
    if not run.more:
        if repr(detail.params()) != repr(dict(run.params)):
            yield "the record's params are not those of params.yaml"
        if _comparable(detail.metrics()) != _comparable(run.metrics):
            yield "the record's metrics are not those of metrics.yaml"


def _comparable(metrics: Mapping[str, Metric]) -> str:
    rows = {name: (m.last, m.step, m.min, m.max, m.mean, m.count, m.goal) for name, m in metrics.items()}
    return repr(rows)


def _check_history(detail: store.Detail) -> Iterator[str]:
    both = [name for name in (history_codec.TEXT_FILE, history_codec.COLUMNS_FILE) if name in detail.files]
    if len(both) == 2:
        yield "it has two histories"
    history = detail.history()
    points = history.points if history else 0
    if points != detail.run.points:
        yield f"the record says {detail.run.points} points, the history has {points}"
    metrics = detail.metrics()
    goals = {name: metric.goal for name, metric in metrics.items() if metric.goal}
    chosen = {name: metric.summary for name, metric in metrics.items() if metric.summary is not None}
    computed = summarise(history, goals, chosen)
    for name, metric in metrics.items():
        if name not in computed or not _close(metric, computed[name]):
            yield f"metric '{name}' in metrics.yaml is not what the history says"


def _close(a: Metric, b: Metric) -> bool:
    exact = all(repr(getattr(a, name)) == repr(getattr(b, name)) for name in ("min", "max", "count", "nan"))
    return exact and (repr(a.mean) == repr(b.mean) or abs(a.mean - b.mean) <= 1e-9 * max(abs(a.mean), abs(b.mean)))


def _check_artifacts(detail: store.Detail) -> Iterator[str]:
    listed = {item.path: item for item in detail.artifacts()}
    stored = {path.removeprefix("artifacts/") for path in detail.files if path.startswith("artifacts/")}
    for path in sorted(stored ^ set(listed)):
        yield f"artifact '{path}' is {'not listed' if path in stored else 'missing'}"
    for path in sorted(stored & set(listed)):
        if listed[path].kind == "pointer":
            raw = detail.blob(f"artifacts/{path}", limit=pointer.MAX_BYTES)
            if raw is None or pointer.decode_pointer(raw) != (listed[path].sha256, listed[path].size):
                yield f"artifact '{path}' has another pointer than artifacts.yaml says"
            continue
        content = detail.blob(f"artifacts/{path}")
        if (
            content is None
            or len(content) != listed[path].size
            or hashlib.sha256(content).hexdigest() != listed[path].sha256
        ):
            yield f"artifact '{path}' is not what artifacts.yaml says"
