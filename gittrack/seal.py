"""From the live folder of a run to its commit.

The same code serves finish() and the next command after a crash: whatever a process left in its journal becomes a
run, with the status that the journal's end tells, or `crashed` where it has none. Sealing twice makes one commit."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gittrack import archives, capture, commits, filed, journal, pins, sidefiles, store, values
from gittrack.codec import attributes, manifest, tree, yaml12
from gittrack.codec import event as event_codec
from gittrack.codec import history as history_codec
from gittrack.codec.pointer import Pointer, encode_pointer
from gittrack.codec.points import Points, joined
from gittrack.codec.tree import Entry, Object
from gittrack.draft import Draft, Last, draft, folders_above, has_room, merge_params, summarise, worst
from gittrack.errors import DataRefused, GittrackError
from gittrack.git import Git, RefMoved
from gittrack.journal import run_folders
from gittrack.leftovers import discard, holding_up, is_spent, remove_rest, sole, was_sealed, writers
from gittrack.model import Code, Event, Metric, Run, State, fold
from gittrack.refname import Oid, RunId, run_ref
from gittrack.shared import make_folder, share


def seal(git: Git, folder: Path, *, own: str, sign: bool = False) -> Run | None:
    """Makes the commit of what is in a live folder, then removes the folder; returns the run.

    None if it is held up by another process than the one with the journal `own`. Raises OSError or GittrackError,
    and then the folder stays as it was."""
    try:
        with sole(folder, wait=True):  # whoever joins a run holds it too
            return None if holding_up(folder, now=time.time(), own=own) else seal_held(git, folder, sign=sign)
    except FileNotFoundError:  # another process was faster
        found = None if folder.joinpath(journal.HEADER).exists() else sealed_already(git, RunId(folder.name))
        if found is None:
            raise
        return found


def sealed_already(git: Git, run: RunId) -> Run | None:
    """Returns a run as it stands in git, or None if it does not."""
    tip = archives.find(git, run)[1]
    if tip is None:
        return None
    with git.objects() as objects:
        return commits.read_commit(objects, tip).run(run)


def seal_held(git: Git, folder: Path, *, sign: bool = False) -> Run:
    """Seals as `seal` does, for who holds the folder already (`leftovers.sole`)."""
    live = journal.read(folder)
    run = RunId(live.header["id"])
    name = journal.seal_name(live)
    made = draft(live)
    for item in live.journals.values():
        item.points = Points()  # they are in the draft's table now
    for _ in range(20):
        ref, earlier = _earlier(git, run, expected=live.header.get("tip"))
        if earlier is not None and earlier.seal == name:
            git.sync_refs([run_ref(run)])  # whoever wrote it may have died before he did
            discard(git.place.common_dir, live, seal=name)
            return earlier
        with contextlib.suppress(RefMoved):
            sealed = _write(git, live, made, name, (ref, earlier.oid if earlier else None), sign=sign)
            discard(git.place.common_dir, live, seal=name)
            return sealed
    raise RefMoved(f"cannot seal run '{run}'", cause="other processes keep changing it", hint="try again")


def _earlier(git: Git, run: RunId, *, expected: str | None) -> tuple[Oid | None, Run | None]:
    """Returns the run as it stands in git already, if it does, behind the commit of its ref, if it has one."""
    loose = git.place.common_dir / run_ref(run)
    if expected is None and not loose.exists() and not _maybe_packed(git, run):
        return None, None
    ref, tip = archives.find(git, run)
    if tip is None:
        return None, None
    with git.objects() as objects:
        return ref, commits.read_commit(objects, tip).run(run)


def _maybe_packed(git: Git, run: RunId) -> bool:
    """Tells whether a run without a loose ref may have one; a wrong yes only costs a question to git."""
    try:
        return run.encode() in (git.place.common_dir / "packed-refs").read_bytes()
    except OSError:
        return True if (git.place.common_dir / "reftable").exists() else False  # noqa: SIM210 - reads as what it says


def _write(
    git: Git, live: journal.Live, made: Draft, name: str, at: tuple[Oid | None, Oid | None], *, sign: bool
) -> Run:
    """Writes what was sealed; at: the commit of the run's ref, and the run's newest, which may be archived."""
    header, (ref, tip) = live.header, at
    run = RunId(header["id"])
    files: dict[str, Object | Entry] = {}
    parents, parent_time = _first_parents(header)
    edits: tuple[Any, ...] = ()
    filed.settle(made, live)
    facts = _facts(header, made, live)
    code = manifest.read_code(header.get("code"))
    if tip is not None:
        # What was sealed of these journals before is in them still: it is not gone on from, but sealed again.
        begun = header.get("tip") if was_sealed(live.folder) else tip
        with git.objects() as objects:
            now = store.read_detail(objects, run, tip, oid_bytes=git.place.oid_bytes)
            if begun:
                before = now if begun == tip else store.read_detail(objects, run, begun, oid_bytes=git.place.oid_bytes)
                _continue(made, facts, before)
                files |= before.files
            files |= {path: entry for path, entry in now.files.items() if path.startswith("edits/")}
        # The code that it went on with comes along, unless the earlier commit brings it.
        parents = [tip, *(oid for oid in parents if not git.is_ancestor(oid, tip))]
        parent_time, edits = max(now.commit.time, parent_time), now.edits
    params = yaml12.fitting(made.params)
    if len(params) < len(made.params):  # no reader would take the rest
        facts["dropped"] = (facts.get("dropped") or 0) + len(made.params) - len(params)
        made.params = dict(params)
    taken = manifest.fitting_artifacts(made.artifacts.values())
    for path in [path for path in made.artifacts if path not in taken]:  # a file that nothing is known of is none
        del made.artifacts[path]
        made.sources.pop(path, None)
        files.pop(f"artifacts/{path}", None)
        facts["dropped"] = (facts.get("dropped") or 0) + 1
    metrics = summarise(made.history, made.goals, made.summaries, made.lasts)
    edits, edit_files = _live_edits(live.folder, edits)
    base = manifest.base_state(facts)
    state = fold(base, edits)
    described = store.with_state(_describe(run, facts, made, metrics, code, name), state)

    for old in (history_codec.TEXT_FILE, history_codec.COLUMNS_FILE) if made.history else ():
        files.pop(old, None)
    files.pop(attributes.FILE, None)
    side, hidden = sidefiles.read(live)
    places = sidefiles.replaced(header, made, hidden)
    facts["redacted"] = (facts.get("redacted") or 0) + sum(places.values()) or None
    content = _content(side, made, facts, metrics) | edit_files
    files |= {path: store.blob(git, raw) for path, raw in content.items() if tree.why_refused(path) is None}
    oid = store.commit(
        git,
        described,
        files,
        parents=parents,
        parent_time=parent_time,
        old=ref,
        author=header.get("author", capture.IDENTITY),
        time=store.seconds(described.ended) or made.last_time,
        sign=sign,
        pinned=pins.is_pinned(git, run),
    )
    return replace(described, oid=oid, redacted=places)


def _content(
    side: Mapping[str, bytes], made: Draft, facts: Mapping[str, Any], metrics: Mapping[str, Metric]
) -> dict[str, bytes]:
    """Returns the files of the run's tree (docs/format.md, chapter 4) that this seal writes."""
    found = dict(side)
    found["run.yaml"] = manifest.encode_run(facts)
    found["params.yaml"] = yaml12.encode(made.params)
    if metrics:
        found["metrics.yaml"] = manifest.encode_metrics(metrics)
    if made.history:
        name, raw = history_codec.encode(made.history, spend=True)
        found[name] = raw
    if made.events:
        found["events.jsonl"] = event_codec.encode_events(made.events)
    if made.artifacts:
        found["artifacts.yaml"] = manifest.encode_artifacts(made.artifacts.values())
    for path, source in made.sources.items():
        found[f"artifacts/{path}"] = source.read_bytes()
    pointers = [path for path, item in made.artifacts.items() if item.kind == "pointer"]
    for path in pointers:
        found[f"artifacts/{path}"] = encode_pointer(Pointer(made.artifacts[path].sha256, made.artifacts[path].size))
    if pointers:
        found[attributes.FILE] = attributes.encode(pointers, made.artifacts)
    return found


def _first_parents(header: Mapping[str, Any]) -> tuple[list[Oid], int]:
    """Returns the parents of a run's first commit, and their commit date."""
    code = manifest.read_code(header.get("code"))
    if code.exact is None or header.get("unlinked"):
        return [], 0
    return [code.exact], int(header.get("code_time", 0))


def _facts(header: Mapping[str, Any], made: Draft, live: journal.Live) -> dict[str, Any]:
    """Returns what goes into `run.yaml`."""
    ended = max(made.end.get("t") or made.last_time, header["created"])  # the clock may have been set back
    state = {**{key: header.get(key) for key in ("name", "group", "tags", "notes")}, **made.state}
    facts: dict[str, Any] = {
        "id": header["id"],
        "status": made.outcome.get("status", "crashed"),
        "created": store.timestamp(header["created"]),
        "ended": store.timestamp(ended),
        "duration": max(0.0, round(ended - header["created"], 3)),
        "code": {key: value for key, value in header.get("code", {}).items() if value not in (None, [])},
        "inputs": list(made.inputs.values())[: manifest.MAX_INPUTS],
        "seeds": values.seeds_in(made.params) | _hash_seed(live.folder),
        "processes": [
            {key: process[key] for key in ("host", "pid", "rank") if process.get(key) is not None}
            for process in live.processes
        ]
        if len(live.journals) > 1 or header.get("launch")
        else [],
    }
    facts |= {key: value for key, value in state.items() if value not in (None, [], ())}
    for key in "author host user pid command directory folder project entity job job_type launch parent".split():
        facts[key] = header.get(key)
    for key in ("exit_code", "signal", "error"):
        facts[key] = made.outcome.get(key, made.child.get(key))
    for key in ("dropped", "corrupt", "rounded", "redacted"):
        facts[key] = made.counts.get(key) or None
    facts["redact"] = False if header.get("redact") is False or made.state.get("redact") is False else None
    facts["notes"] = [facts["notes"]] if isinstance(facts.get("notes"), str) else facts.get("notes")
    return {key: values.clean_texts(value) for key, value in facts.items()}


def _hash_seed(folder: Path) -> dict[str, str]:
    with contextlib.suppress(OSError):
        for line in (folder / "env" / "environment.yaml").read_text("utf-8").splitlines():
            key, _, value = line.strip().partition(": ")
            if key == "PYTHONHASHSEED":
                return {key: value.strip('"')}
    return {}


def _continue(made: Draft, facts: dict[str, Any], before: store.Detail) -> None:
    """Puts what a resumed run had before in front of what it has now."""
    old = before.facts
    params = before.params()
    changed = merge_params(params, made.params)
    made.events = (
        before.events() + [Event(made.header["created"], *item, None, "param") for item in changed] + made.events
    )
    made.params = params
    history = before.history()
    made.history = joined(history, made.history) if history and made.history else history or made.history
    for name, metric in before.metrics().items():
        if metric.goal:
            made.goals.setdefault(name, metric.goal)
        if metric.summary is not None:
            made.summaries.setdefault(name, metric.summary)
        made.lasts.setdefault(name, Last(0.0, metric.last, metric.step))
    kept = {item.path: item for item in before.artifacts()}
    folders = {above for path in kept for above in folders_above(path)}
    for path in [path for path in made.artifacts if not has_room(path, kept, folders)]:
        del made.artifacts[path]
        made.sources.pop(path, None)
        facts["dropped"] = (facts.get("dropped") or 0) + 1
    made.artifacts = kept | made.artifacts
    facts["redacted"] = (facts.get("redacted") or 0) + int(old.get("redacted") or 0) or None
    facts["redact"] = False if old.get("redact") is False else facts.get("redact")
    if facts.get("launch") and facts["launch"] == old.get("launch"):  # a late part of the same run
        facts |= {key: worst([old, facts]).get(key) for key in ("status", "exit_code", "signal", "error")}
        facts["processes"] = [*old.get("processes", []), *facts["processes"]]
    else:
        facts["resumed"] = [*old.get("resumed", []), facts["created"]]
    for key in ("created", "parent", "project", "entity", "job_type", "group"):
        facts[key] = old.get(key) or facts.get(key)
    used = manifest.read_inputs(old)
    facts["inputs"] = [*used, *(one for one in facts["inputs"] if one not in used)][: manifest.MAX_INPUTS]
    facts["name"] = made.state.get("name") or old.get("name")
    facts["tags"] = sorted({*old.get("tags", []), *(facts.get("tags") or [])})
    facts["notes"] = [*old.get("notes", []), *(facts.get("notes") or [])]
    facts["duration"] = round(float(old.get("duration") or 0) + facts["duration"], 3)


def _describe(  # noqa: PLR0917 - parts of one thing
    run: RunId, facts: Mapping[str, Any], made: Draft, metrics: Mapping[str, Metric], code: Code, name: str
) -> Run:
    """Returns the run as its record will tell it."""
    return Run(
        id=run,
        name=facts["name"],
        status=facts["status"],
        created=facts["created"],
        ended=facts["ended"],
        duration=facts["duration"],
        author=facts.get("author") or "",
        host=facts.get("host"),
        code=code,
        command=store.command_text(facts["command"]) if facts.get("command") else None,
        params=made.params,
        metrics=metrics,
        parent=facts.get("parent"),
        project=facts.get("project"),
        job_type=facts.get("job_type"),
        artifact_count=len(made.artifacts),
        artifact_size=sum(item.size for item in made.artifacts.values()),
        artifact_pointers=sum(item.kind == "pointer" for item in made.artifacts.values()),
        points=made.history.points if made.history else 0,
        exit_code=facts.get("exit_code"),
        seal=name,
    )


def _live_edits(folder: Path, before: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, bytes]]:
    """Returns all edits, and the files of those that were made while the run was live."""
    found, files = list(before), {}
    for path in sorted((folder / "edits").glob("*.json")):
        raw = path.read_bytes()
        with contextlib.suppress(DataRefused):
            found.append(event_codec.decode_edit(raw, file=path.name))
            files[f"edits/{path.name}"] = raw
    return tuple(found), files


def preview(live: journal.Live) -> Run:
    """Returns a run that has no commit yet, as a listing shows it."""
    made = draft(live)
    facts = _facts(live.header, made, live)
    metrics = summarise(made.history, made.goals, made.summaries, made.lasts)
    code = manifest.read_code(live.header.get("code"))
    run = _describe(RunId(live.header["id"]), facts, made, metrics, code, "")
    edits, _ = _live_edits(live.folder, ())
    running = replace(store.with_state(run, fold(manifest.base_state(facts), edits)), seal=None)
    return running if made.end else replace(running, status="running", ended=None, duration=None)


def edit_live(folder: Path, changes: Mapping[str, Any], *, author: str, now: float, random: int) -> State:
    """Adds an edit to a run that has no commit yet; it becomes part of the first one."""
    live = journal.read(folder)
    base = manifest.base_state(_facts(live.header, draft(live), live))
    edits, _ = _live_edits(folder, ())
    made = store.make_edit(base, edits, changes, author=author, now=now, random=random)
    make_folder(folder / "edits")
    (folder / "edits" / made.file).write_bytes(event_codec.encode_edit(made))
    share(folder / "edits" / made.file)
    return fold(base, [*edits, made])


def recover(git: Git, *, now: float, sign: bool = False) -> list[Run]:
    """Seals every run whose processes are all dead; returns those. What cannot be sealed stays for the next time."""
    sealed = []
    common = git.place.common_dir
    for folder in [*run_folders(journal.live_root(common)), *run_folders(journal.sealed_root(common))]:
        remove_rest(folder, now=now)
        with contextlib.suppress(OSError, GittrackError, KeyError, TypeError, ValueError), sole(folder) as held:
            if held and not writers(folder, now=now) and not is_spent(folder, now=now):
                sealed.append(seal_held(git, folder, sign=sign))
    return sealed
