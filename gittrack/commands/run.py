"""`git track run`: record any command."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import click

from gittrack import child, elsewhere, joining, opening, output, printed, repo
from gittrack.codec import metricfile
from gittrack.commands import common
from gittrack.commands.tag import check_tag
from gittrack.errors import DataRefused, GittrackError, NotARepository, UsageError
from gittrack.tracker import ActiveRun


class NotRecorded(GittrackError):
    """The run could not begin; the command was not started."""

    exit_code = 125


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.option(
    "-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="A param; wins over the command's options."
)
@click.option(
    "--metrics", "metric_files", multiple=True, metavar="FILE", help="A JSON, YAML, CSV or TSV file the command writes."
)
@click.option("--artifact", "artifacts", multiple=True, metavar="PATH", help="A file or folder to keep when it ends.")
@click.option("--name", help="A name for the run.")
@click.option("--tag", "tags", multiple=True, help="A tag.")
@click.option("--group", help="The group the run belongs to.")
@click.option("-m", "--note", help="A note.")
@click.option("--no-redact", is_flag=True, help="Record secrets as they are, in output, command and params.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] CMD...")
def command(
    params: tuple[str, ...],
    metric_files: tuple[str, ...],
    artifacts: tuple[str, ...],
    name: str | None,
    tags: tuple[str, ...],
    group: str | None,
    note: str | None,
    no_redact: bool,
    command: tuple[str, ...],
) -> int:
    """Run a command and record it.

    Records exit code, output, duration, params and metrics. Params come from -p and from the command's own long
    options. The command's exit code is passed on; 125 is an error of ours, 126 and 127 mean that the command
    could not be started."""
    given = _params(command, params)
    wanted: dict[str, Any] = {"name": name, "tags": [check_tag(tag) for tag in tags], "group": group, "notes": note}
    wanted["redact"] = False if no_redact else None
    try:
        run = _begin_somewhere(wanted, command)
    except GittrackError as exc:
        exc.exit_code = 128 if exc.exit_code == 128 else 125
        raise
    except OSError as exc:
        raise NotRecorded("cannot record a run here", cause=f"'{exc.filename}': {exc.strerror}") from exc
    run.log_params(given)
    if run.pinning:
        run.pinning.hurry()  # a thread that was started before would still take the signals
    with child.held_signals() as mask:
        return _record(run, list(command), metric_files, artifacts, mask=mask)


def _begin_somewhere(wanted: dict[str, Any], command: tuple[str, ...]) -> ActiveRun:
    """Starts a run around a command: in the user's data folder, if there is no repository that takes it."""
    try:
        place = repo.open_repo()
    except NotARepository as exc:
        output.warn(f"gittrack: warning: {elsewhere.without_code(exc)}")
        return begin(repo.detached_repo(), wanted, command)
    try:
        return begin(place, wanted, command)
    except UsageError:
        raise
    except (GittrackError, OSError) as exc:
        why = exc.cause or exc.message if isinstance(exc, GittrackError) else exc.strerror
        output.warn(f"gittrack: warning: nothing can be recorded in '{place.git.place.common_dir}' ({why})")
        return begin(repo.detached_repo(), wanted, command, source=place)


def begin(
    place: repo.Repo,
    wanted: dict[str, Any],
    command: tuple[str, ...],
    *,
    detached: bool = False,
    source: repo.Repo | None = None,
) -> ActiveRun:
    """Starts a run around a command (or, detached, around nothing) and returns it.

    source: the repository here, if that is another one, to which nothing can be written."""
    environ = place.git.environ
    outer = environ.get(joining.RUN_VARIABLE)
    wanted = {**wanted, "parent": outer or None}
    program = shutil.which(command[0]) or command[0] if command else None
    words, now = list(command), time.time()
    folder = opening.create(place, wanted, command=words, now=now, detached=detached, program=program, source=source)
    return opening.open_run(place, folder, shared=detached)


def _params(command: tuple[str, ...], params: tuple[str, ...]) -> dict[str, Any]:
    """Returns the command's long options with `-p` over them, values read as YAML scalars."""

    def value_of(key: str, text: Any) -> Any:
        return (
            [common.param_value(key, item) for item in text]
            if isinstance(text, list)
            else common.param_value(key, text)
        )

    return {key: value_of(key, value) for key, value in child.options_of(command).items()} | common.assignments(params)


def _record(
    run: ActiveRun,
    command: list[str],
    metric_files: tuple[str, ...],
    artifacts: tuple[str, ...],
    *,
    mask: set[signal.Signals],
) -> int:
    before = {file: _stamp(Path(file)) for file in metric_files}
    log = printed.Log(run.folder)
    env = {**os.environ, joining.RUN_VARIABLE: run.id}
    sys.stdout.flush()
    try:
        ended = child.run(command, env=env, log=log, started=lambda _pid: _started(run), mask=mask)
    except child.NotStarted as exc:
        log.close()
        run.finish(exit_code=exc.exit_code, quiet=True, status="failed", error=f"could not be started: {exc.reason}")
        output.warn(f"error: cannot run '{command[0]}'")
        output.warn(f"cause: {exc.reason}")
        return exc.exit_code
    log.close()
    for file in metric_files:
        _read_metrics(run, Path(file), before[file])
    for path in artifacts:
        _keep(run, path)
    end = {"signal": ended.signal} if ended.signal else {}
    run.finish(exit_code=ended.exit_code, quiet=True, status=ended.status, **end)
    output.warn(f"gittrack: run {run.name} ({run.id}) {ended.status}")
    return ended.code_for_shell


def _started(run: ActiveRun) -> None:
    """Starts what goes on beside the command; before, these threads would have taken its signals."""
    run.start_syncing()
    run.start_sampling()


def _stamp(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        status = path.stat()
        return status.st_mtime_ns, status.st_size
    return None


def _read_metrics(run: ActiveRun, path: Path, before: tuple[int, int] | None) -> None:
    """Logs what the command wrote to its metrics file; a file it did not touch is not its result."""
    now = _stamp(path)
    if now is None:
        output.warn(f"warning: the command wrote no metrics to '{path}'")
        return
    if now == before:
        output.warn(f"warning: '{path}' was there before and the command did not change it; its metrics are left out")
        return
    try:
        if now[1] > metricfile.MAX_BYTES:
            raise DataRefused(
                f"cannot read metrics from '{path}'", cause=f"it is larger than {metricfile.MAX_BYTES} bytes"
            )
        for step, values in metricfile.decode(path.read_bytes(), name=str(path)):
            run.log(values, step=step)
    except OSError as exc:
        output.warn(f"warning: cannot read metrics from '{path}': {exc.strerror}")
    except DataRefused as exc:
        common.report(exc, label="warning")


def _keep(run: ActiveRun, pattern: str) -> None:
    """Keeps the files that a path or a pattern names."""
    import glob

    found = (
        [pattern]
        if os.path.lexists(pattern)
        else sorted(p for p in glob.glob(pattern, recursive=True) if os.path.isfile(p))
    )
    if not found:
        output.warn(f"warning: there is no artifact '{pattern}'")
    for path in found:
        run.log_artifact(path, name=None if path == pattern else path.lstrip("./"))
