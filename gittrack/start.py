"""How a run begins.

`init` captures the code before anything trains, in a few milliseconds, and never stops a training script: without a
repository, or where nothing can be written, it records elsewhere or nothing, and says so once."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gittrack import (
    elsewhere,
    environment,
    exits,
    joining,
    journal,
    opening,
    ranks,
    repo,
    settings,
    store,
    values,
)
from gittrack import redact as redactor  # `init` has an argument of that name
from gittrack.console import console
from gittrack.errors import DataRefused, GitFailed, GittrackError, UsageError
from gittrack.model import Run
from gittrack.recorder import say
from gittrack.refname import RunId
from gittrack.repo import Repo
from gittrack.resume import find_earlier, job_name
from gittrack.tracker import ActiveRun, active
from gittrack.views import read_params

_KNOWN_ELSEWHERE = frozenset(
    (
        "settings config_exclude_keys config_include_keys allow_val_change save_code tensorboard sync_tensorboard "
        "monitor_gym force anonymous magic dir space_id"
    ).split()
)
_turns: list[int] = []


def init(
    project: str | None = None,
    *,
    params: Any = None,
    config: Any = None,
    name: str | None = None,
    id: str | None = None,
    tags: Any = None,
    notes: str | None = None,
    group: str | None = None,
    job_type: str | None = None,
    entity: str | None = None,
    parent: ActiveRun | str | None = None,
    resume: bool | str | None = None,
    reinit: bool | str | None = None,
    mode: str | None = None,
    redact: bool | None = None,
    **others: Any,
) -> ActiveRun:
    """Starts recording a run and returns it; `gittrack.log()` and the like write to it from now on.

    params (or config): a mapping, namespace, dataclass or YAML file. resume: a run's id or name to go on with;
    `"must"`, `"allow"`, `"auto"` or True as in W&B. mode: `"disabled"` records nothing.
    redact: False records secrets as they are; by default `track.redact` decides.
    A run that was not finished is finished first, unless `reinit="create_new"` or `parent` is given.
    Raises UsageError if `track.dirty` is `refuse` and the work tree is dirty, NotFound if `resume` names no run."""
    for key, value in others.items():
        if key not in _KNOWN_ELSEWHERE and value is not None:
            opening.warn_once(f"init:{key}", f"init() does not know '{key}'; it is left out")
    if reinit in ("return_previous", False) and active:
        return active[-1]
    if parent is None and reinit != "create_new":
        for open_run in [run for run in active if not run.ended]:
            say(f"run {open_run.name} was still open and is finished before the next one begins")
            open_run.finish()
    given = read_params(params, config, complain=lambda why: say("warning: " + why))
    wanted = {
        "tags": sorted({str(tag) for tag in ([tags] if isinstance(tags, str) else tags or ())}),
        "parent": _parent_id(parent),
        "redact": redact,
    }
    texts = {"name": name, "notes": notes, "group": group, "project": project, "entity": entity, "job_type": job_type}
    wanted |= {key: None if value is None else values.clean_text(str(value)) for key, value in texts.items()}
    run = _start(wanted, given, identifier=id, resume=resume, disabled=mode == "disabled")
    active.append(run)
    exits.watch()
    run.start_syncing()
    return run


ActiveRun.starter = staticmethod(init)


def _parent_id(parent: ActiveRun | str | None) -> str | None:
    if parent is None or isinstance(parent, str):
        return parent
    return str(parent.id)


def _start(
    wanted: dict[str, Any],
    params: Mapping[str, Any],
    *,
    identifier: str | None,
    resume: bool | str | None,
    disabled: bool,
) -> ActiveRun:
    environ = settings.environment()
    if disabled or environ.get("GITTRACK_MODE") == "disabled":
        return _disabled(wanted, params)
    place = elsewhere.open_place(environ.get(joining.RUN_VARIABLE))
    if place is None:
        return _disabled(wanted, params)
    rank = _rank(environ)
    try:
        named = joining.named_run(place, wanted)
        if named:
            return _attach(*named, wanted, params, rank=rank)
    except (OSError, GitFailed, DataRefused) as exc:
        say(f"warning: a new run is recorded, for the one that is open cannot be written to ({_why(exc)})")
    policy = place.settings.choice("ranks", "all", "first", "each")
    if rank and policy != "each":
        if rank.number:
            return _beside_the_first(place, rank, params, records=policy == "all")
        wanted |= {"launch": rank.launch, "rank": rank.number} if policy == "all" else {}
    earlier = None
    try:
        earlier = find_earlier(place, identifier, resume, commands=_command_texts(), job=job_name(environ))
    except (OSError, GitFailed, DataRefused) as exc:
        say(f"warning: a new run is recorded, for the one to go on with cannot be read ({_why(exc)})")
    run = _record_somewhere(place, wanted, earlier=earlier, identifier=identifier)
    if run is None:
        return _disabled(wanted, params)
    if params:
        run.log_params(params)
    return run


def _record_somewhere(
    place: Repo, wanted: Mapping[str, Any], *, earlier: Run | None, identifier: str | None
) -> ActiveRun | None:
    """Begins a run here or, where nothing can be written, in the user's data folder; None if there neither."""
    try:
        return _record(place, wanted, earlier=earlier, identifier=identifier)
    except UsageError:
        raise
    except Exception as exc:  # noqa: BLE001 - training begins whatever happens here
        say(f"warning: nothing can be recorded in '{place.git.place.common_dir}' ({_why(exc)})")
    store_of_own = elsewhere.detached()
    if store_of_own is None:
        return None
    try:
        return _record(store_of_own, wanted, earlier=None, identifier=identifier, source=place)
    except Exception as exc:  # noqa: BLE001 - the same
        say(f"warning: nothing is recorded ({_why(exc)})")
        return None


def _why(exc: Exception) -> str:
    if isinstance(exc, GittrackError):
        return exc.cause or exc.message
    return getattr(exc, "strerror", None) or str(exc)


def _rank(environ: Mapping[str, str]) -> ranks.Rank | None:
    """Returns which process of a distributed training this is, if it is one."""
    if not any(name in environ for name in ranks.VARIABLES):
        return None
    _turns.append(len(_turns))
    parent = ranks.parent_process(journal.start_time(os.getppid()))
    return ranks.read_rank(environ, parent=parent, turn=_turns[-1])


def _attach(
    place: Repo, named: str, wanted: Mapping[str, Any], params: Mapping[str, Any], *, rank: ranks.Rank | None
) -> ActiveRun:
    """Returns the run that `git track run` or `start` opened around this process, to write into."""
    folder = journal.live_root(place.git.place.common_dir) / named
    run = joining.attach(place, folder, about={"rank": rank.number} if rank else {})
    if wanted["redact"] is False and run.redacting:
        run.keep_secrets()
    if not rank or rank.number == 0:
        with contextlib.suppress(OSError):  # this process is what is recorded, not the command around it
            environment.write(place.git, place.settings, folder, redacting=run.redacting)
        for key in ("name", "notes", "group"):
            if wanted[key]:
                setattr(run, key, wanted[key])
        if wanted["tags"]:
            run.tags = tuple({*run.tags, *wanted["tags"]})
    if params:
        run.log_params(params)
    return run


def _beside_the_first(place: Repo, rank: ranks.Rank, params: Mapping[str, Any], *, records: bool) -> ActiveRun:
    """Returns the run of the first rank, to write beside it; one that records nothing where that is not wanted."""
    places = [place]
    with contextlib.suppress(OSError, GittrackError):  # where the first went if it cannot write here
        places.append(repo.detached_repo())
    while records:
        found = joining.wait_for_first(places, rank)
        if found is None:
            break
        if isinstance(found, tuple):  # the first has ended; this is a late part of its run
            begun = {"launch": rank.launch, "rank": rank.number, "first_step": 0}
            try:
                found = _record(found[0], begun, earlier=found[1], identifier=None)
            except UsageError:  # another late one was faster
                continue
        else:
            found.start_sampling(local_rank=rank.local)
        if params:
            found.log_params(params)
        return found
    return _disabled({}, params)


def _disabled(wanted: Mapping[str, Any], params: Mapping[str, Any]) -> ActiveRun:
    """Returns a run that works like any other and leaves nothing behind."""
    import tempfile  # noqa: PLC0415 - only here

    try:
        folder = Path(tempfile.mkdtemp(prefix="gittrack-disabled-"))
    except OSError:  # no room anywhere
        folder = Path(os.devnull)
    header = {**wanted, "id": repo.new_id(), "name": wanted.get("name") or "disabled", "created": time.time()}
    run = ActiveRun(Repo(None), folder, header, attached=True, params=params)  # type: ignore[arg-type]
    atexit.register(_remove, folder)
    return run


def _remove(folder: Path) -> None:
    import shutil  # noqa: PLC0415 - only here

    shutil.rmtree(folder, ignore_errors=True)


def _command() -> list[str]:
    """Returns the command line of this process, with the interpreter's options."""
    original = list(getattr(sys, "orig_argv", None) or sys.argv)
    return [os.path.basename(original[0]), *original[1:]] if original else []


def _command_texts() -> set[str]:
    """Returns the command line as records may have it, with its secrets replaced or not."""
    return {store.command_text(words) for words in (_command(), redactor.command(_command())[0])}


# Recording ----------------------------------------------------------------------------------------------------------


def _record(
    place: Repo,
    wanted: Mapping[str, Any],
    *,
    earlier: Run | None,
    identifier: str | None,
    source: Repo | None = None,
) -> ActiveRun:
    """Makes the live folder of a new run, or of one that goes on, and returns the run."""
    heard = place.settings.switch("output") and not wanted.get("rank")
    if heard:
        console.prepare()  # it gets ready while the code is captured
    now = time.time()
    params: dict[str, Any] = {}
    if earlier is not None:
        with place.git.objects() as objects:
            detail = store.read_detail(objects, earlier.id, str(earlier.oid), oid_bytes=place.git.place.oid_bytes)
            history, params = detail.history(), detail.params()
        wanted = {"first_step": max(history.steps) + 1 if history and len(history.steps) else 0, **wanted}
    live = opening.create(
        place, wanted, command=_command(), now=now, identifier=identifier, earlier=earlier, source=source
    )
    try:
        if "launch" in wanted:
            joining.announce(place, wanted["launch"], RunId(live.name))
        if earlier is None:
            run = opening.open_run(place, live)
        else:
            header = journal.read_header(live)
            run = ActiveRun(
                place,
                live,
                header,
                resumed=True,
                next_step=header["first_step"],
                params=params,
                about=opening.about_of(header),
            )
            run.config.merge(params)
            opening.pin(run, place.git, header)
            if not header.get("rank"):
                say(f"run {earlier.name} goes on at step {header['first_step']}")
    except BaseException:  # a run is there whole or not at all
        journal.remove(live)
        raise
    if heard:
        console.begin(run.folder)
    if not wanted.get("parent"):
        run.start_sampling(local_rank=wanted.get("rank", 0))
    return run
