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

from gittrack import capture, environment, exits, index, journal, query, redact, repo, seal, settings, store, values
from gittrack.codec import manifest, yaml12
from gittrack.draft import draft
from gittrack.errors import DataRefused, GitFailed, GittrackError, NotFound, UsageError
from gittrack.git import Git
from gittrack.model import Code, Run
from gittrack.pins import Pin
from gittrack.recorder import say
from gittrack.refname import RunId, is_run_id, run_id_for, run_ref
from gittrack.repo import Repo
from gittrack.tracker import ActiveRun, active
from gittrack.version import VERSION
from gittrack.views import read_params

RUN_VARIABLE = "GITTRACK_RUN"
_KNOWN_ELSEWHERE = frozenset(
    (
        "settings config_exclude_keys config_include_keys allow_val_change save_code tensorboard sync_tensorboard "
        "monitor_gym force anonymous magic dir space_id"
    ).split()
)
_said: set[str] = set()
_attached: set[str] = set()
_machine: dict[str, Any] = {}


def _warn_once(key: str, text: str) -> None:
    if key not in _said:
        _said.add(key)
        say("warning: " + text)


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
    **others: Any,
) -> ActiveRun:
    """Starts recording a run and returns it; `gittrack.log()` and the like write to it from now on.

    params (or config): a mapping, namespace, dataclass or YAML file. resume: a run's id or name to go on with;
    `"must"`, `"allow"`, `"auto"` or True as in W&B. mode: `"disabled"` records nothing.
    A run that was not finished is finished first, unless `reinit="create_new"` or `parent` is given.
    Raises UsageError if `track.dirty` is `refuse` and the work tree is dirty, NotFound if `resume` names no run."""
    for key, value in others.items():
        if key not in _KNOWN_ELSEWHERE and value is not None:
            _warn_once(f"init:{key}", f"init() does not know '{key}'; it is left out")
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
    place = _open()
    if place is None:
        return _disabled(wanted, params)
    attached, earlier = None, None
    try:
        attached = _attach(place, environ.get(RUN_VARIABLE), wanted, params)
        earlier = _find_earlier(place, identifier, resume) if attached is None else None
    except (OSError, GitFailed, DataRefused) as exc:
        say(f"warning: a new run is recorded, for the one to go on with cannot be read ({_why(exc)})")
    if attached:
        return attached
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
    detached = _detached()
    try:
        return _record(detached, wanted, earlier=None, identifier=identifier) if detached else None
    except Exception as exc:  # noqa: BLE001 - the same
        say(f"warning: nothing is recorded ({_why(exc)})")
        return None


def _why(exc: Exception) -> str:
    if isinstance(exc, GittrackError):
        return exc.cause or exc.message
    return getattr(exc, "strerror", None) or str(exc)


def _open() -> Repo | None:
    """Returns the repository here, or the detached one in the user's data folder; None if neither can be had."""
    try:
        return repo.open_repo()
    except (OSError, GittrackError) as exc:
        what = exc.message if isinstance(exc, GittrackError) else f"the repository cannot be opened ({_why(exc)})"
        _warn_once("detached", f"{what}; the run is recorded without code in your data folder")
        return _detached()


def _detached() -> Repo | None:
    try:
        return repo.detached_repo()
    except (OSError, GittrackError) as exc:
        say(f"warning: nothing is recorded ({exc})")
        return None


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


def _attach(place: Repo, run: str | None, wanted: dict[str, Any], params: Mapping[str, Any]) -> ActiveRun | None:
    """Returns the run that `git track run` or `start` opened around this process, to write into; None if there is none.

    The first `init` of a process writes into that run; later ones start runs that belong to it."""
    if not run or not is_run_id(run):
        return None
    folder = journal.live_root(place.git.place.common_dir) / run
    try:
        header = journal.read_header(folder)
    except (OSError, GittrackError):
        _warn_once("attach", f"run '{run}' in {RUN_VARIABLE} is not open any more; a new one is recorded")
        return None
    if run in _attached:
        wanted["parent"] = wanted["parent"] or run
        return None
    _attached.add(run)
    known = draft(journal.read(folder)).params
    with contextlib.suppress(OSError):
        write_environment(place, folder)  # this process is what is recorded, not the command around it
    found = ActiveRun(place, folder, header, attached=True, params=known)
    found.config.merge(known)
    for key in ("name", "notes", "group"):
        if wanted[key]:
            setattr(found, key, wanted[key])
    if wanted["tags"]:
        found.tags = tuple({*found.tags, *wanted["tags"]})
    if params:
        found.log_params(params)
    return found


# Resuming -----------------------------------------------------------------------------------------------------------


def _find_earlier(place: Repo, identifier: str | None, resume: Any) -> Run | None:
    """Returns the run to go on with, or None to start a new one; raises NotFound if one was demanded."""
    if resume in (None, False, "never", ""):
        return None
    seal.recover(place.git, now=time.time(), sign=place.sign)
    runs = [run for run in index.read(place.git).runs if run.status != "running"]
    if identifier:
        chosen = _as_run_id(identifier)
        found = next((run for run in runs if run.id == chosen), None)
    elif resume in (True, "auto", "allow", "must"):
        command, _ = redact.command(_command())
        same = store.command_text(command)
        found = next((r for r in runs if r.status in ("crashed", "interrupted") and r.command == same), None)
    else:
        return query.find(str(resume), runs, commit=place.git.resolve).run
    if found is None and resume == "must":
        raise NotFound("there is no run to resume", hint="leave out resume='must' to start a new one")
    return found


def _as_run_id(identifier: str) -> RunId:
    return RunId(identifier) if is_run_id(identifier) else run_id_for(identifier)


def _command() -> list[str]:
    """Returns the command line of this process, with the interpreter's options."""
    original = list(getattr(sys, "orig_argv", None) or sys.argv)
    return [os.path.basename(original[0]), *original[1:]] if original else []


# Recording ----------------------------------------------------------------------------------------------------------


def _record(place: Repo, wanted: Mapping[str, Any], *, earlier: Run | None, identifier: str | None) -> ActiveRun:
    """Makes the live folder of a new run, or of one that goes on, and returns the run."""
    now = time.time()
    command, hidden = redact.command(_command())
    live = create(place, wanted, command=command, now=now, identifier=identifier, earlier=earlier)
    try:
        run = open_run(place, live) if earlier is None else _go_on(place, live, earlier)
    except BaseException:  # a run is there whole or not at all
        journal.remove(live)
        raise
    if hidden:
        run.count(redacted=hidden)
    return run


def _go_on(place: Repo, folder: Path, earlier: Run) -> ActiveRun:
    """Returns an earlier run in its new live folder, with what it had."""
    header = journal.read_header(folder)
    with place.git.objects() as objects:
        detail = store.read_detail(objects, earlier.id, str(earlier.oid), oid_bytes=place.git.place.oid_bytes)
        history, params = detail.history(), detail.params()
    last = max(history.steps) + 1 if history and len(history.steps) else 0
    run = ActiveRun(place, folder, header, resumed=True, next_step=last, params=params)
    run.config.merge(params)
    pin(run, place.git, header)
    say(f"run {earlier.name} goes on at step {last}")
    return run


def open_run(place: Repo, folder: Path, *, shared: bool = False) -> ActiveRun:
    """Returns the run in a live folder, to write to; shared: several processes write to one journal, a call each."""
    header = journal.read_header(folder)
    if not shared:
        run = ActiveRun(place, folder, header)
        pin(run, place.git, header)
        return run
    so_far = draft(journal.read(folder))
    last = so_far.history.steps[-1] + 1 if so_far.history and len(so_far.history.steps) else 0
    run = ActiveRun(place, folder, header, shared=True, next_step=last)
    run.config.merge(so_far.params)
    run.restore(so_far.state)
    return run


def create(
    place: Repo,
    wanted: Mapping[str, Any],
    *,
    command: list[str],
    now: float,
    identifier: str | None = None,
    earlier: Run | None = None,
    detached: bool = False,
    program: str | None = None,
) -> Path:
    """Captures code and environment and makes the live folder of a run; returns the folder.

    detached: no process owns the run; only `git track finish` ends it. program: what the run is of, if it is a
    command; else it is this process."""
    git = place.git
    code = _capture(place)
    run_id = earlier.id if earlier else _free_id(place, identifier)
    folder = journal.live_root(git.place.common_dir) / run_id
    header = {
        **{key: value for key, value in wanted.items() if value not in (None, [], "")},
        "format": 1,
        "id": run_id,
        "name": (earlier.name if earlier else None) or wanted.get("name") or repo.new_name(),
        "created": now,
        "author": place.author,
        "host": journal.process_identity()["host"],
        "user": settings.user_name(),
        "pid": os.getpid(),
        "command": command,
        "directory": environment.directory_in(git.place.work_tree),
        "code": manifest.code_facts(code),
        "code_time": git.commit_time(code.exact) if code.exact else 0,
        "process": {"detached": True} if detached else journal.process_identity(),
        "tip": earlier.oid if earlier else None,
    }
    unlinked = place.settings.choice("code", "parent", "none") == "none"
    if unlinked:
        header |= {"unlinked": True}
    try:
        journal.create(folder, header)
    except FileExistsError:
        raise UsageError(
            f"run '{run_id}' is being recorded already", hint="finish it first, or start a new one"
        ) from None
    try:
        write_environment(place, folder, program=program)
        if unlinked and (changes := capture.patch(git, code)):
            (folder / "code.patch").write_bytes(changes)
    except BaseException:  # a run is there whole or not at all
        journal.remove(folder)
        raise
    return folder


def pin(run: ActiveRun, git: Git, header: Mapping[str, Any]) -> None:
    """Keeps the run's code from git's gc while it runs."""
    exact = manifest.read_code(header.get("code")).exact
    if exact is not None:
        run.pinning = Pin(git, run.id, exact)
        run.pinning.start()


def _capture(place: Repo) -> Code:
    code = capture.capture_code(place.git, place.settings)
    if code.omitted:
        listed = ", ".join(left.path for left in code.omitted[:5])
        more = f" and {len(code.omitted) - 5} more" if len(code.omitted) > 5 else ""
        _warn_once(f"omitted:{listed}", f"left out of the snapshot of your uncommitted work: {listed}{more}")
    if code.dirty and place.settings.get("dirty") == "warn":
        _warn_once("dirty", "your uncommitted work is not recorded, only the commit: track.dirty is 'warn'")
    return code


def _free_id(place: Repo, identifier: str | None) -> RunId:
    if identifier is None:
        return repo.new_id()
    wanted = _as_run_id(identifier)
    if place.git.resolve(run_ref(wanted)) or (journal.live_root(place.git.place.common_dir) / wanted).exists():
        say(f"warning: run '{identifier}' exists already and resume was not given; a new id is used")
        return repo.new_id()
    return wanted


def write_environment(place: Repo, folder: Path, *, program: str | None = None) -> None:
    """Writes what goes into `env/`, as it will stand in the commit.

    Of this process; or, with the path of a `program` that is about to be run, of the Python that will run it."""
    if not _machine:
        _machine.update(environment.machine(), git=place.git.ask("version").decode().split()[2])
    facts = {**_machine, "gittrack": VERSION, "variables": environment.variables(place.settings)}
    packages: list[str] = []
    if program is None:
        packages = environment.packages()
    else:
        del facts["python"]
        python = environment.interpreter_of(program)
        if python is not None:
            facts = {"python": {"version": python.version, "executable": python.executable}, **facts}
            packages = environment.packages(python.folders)
    env = folder / "env"
    env.mkdir(exist_ok=True)
    (env / "environment.yaml").write_bytes(yaml12.encode({key: value for key, value in facts.items() if value}))
    (env / "packages.txt").write_text("".join(f"{line}\n" for line in packages), "utf-8")
    for name, content in environment.lock_files(place.git.place.work_tree).items():
        (env / name).write_bytes(content)
