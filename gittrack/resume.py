"""Which earlier run a script goes on with.

A scheduler that preempts a job starts it again with the same command: `resume="auto"` finds what it was doing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from gittrack import seal, store
from gittrack.errors import NotFound
from gittrack.model import Run
from gittrack.query import naming
from gittrack.refname import RunId, is_run_id, run_id_for
from gittrack.repo import Repo

_ENDED_EARLY = ("crashed", "interrupted")


def find_earlier(
    place: Repo, identifier: str | None, resume: Any, *, commands: set[str], job: str | None
) -> Run | None:
    """Returns the run to go on with, or None to start a new one; raises NotFound if one was demanded.

    commands: the command line of this process, in the ways that records may hold it; job: what the scheduler calls
    this job, if there is one."""
    if resume in (None, False, "never", ""):
        return None
    from gittrack.index.listing import Index  # noqa: PLC0415 - recording needs no SQLite, and most runs resume nothing

    seal.recover(place.git, now=time.time(), sign=place.sign)
    runs = [run for run in Index(place.git).runs() if run.status != "running"]
    if identifier:
        chosen = as_run_id(identifier)
        found = next((run for run in runs if run.id == chosen), None)
    elif resume in (True, "auto", "allow", "must"):
        found = _last_of_command(place, runs, commands=commands, job=job)
    else:
        return naming.find(str(resume), runs, commit=place.git.resolve).run
    if found is None and resume == "must":
        raise NotFound("there is no run to resume", hint="leave out resume='must' to start a new one")
    return found


def _last_of_command(place: Repo, runs: list[Run], *, commands: set[str], job: str | None) -> Run | None:
    """Returns the newest run of this command that ended early; of the tasks of a job array, the one of this task."""
    for run in runs:
        if run.status in _ENDED_EARLY and run.command in commands and _job_of(place, run) == job:
            return run
    return None


def _job_of(place: Repo, run: Run) -> str | None:
    """Returns what the scheduler called the job that a run was recorded in."""
    with place.git.objects() as objects:
        detail = store.read_detail(objects, run.id, str(run.oid), oid_bytes=place.git.place.oid_bytes)
    found = detail.facts.get("job")
    return found if isinstance(found, str) else None


def job_name(environ: Mapping[str, str]) -> str | None:
    """Returns what the scheduler calls the job of this process: the same when it is started again.

    A task of an array is its number in it, whatever the array is called when it is submitted anew."""
    for array, task in (("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"), ("PBS_ARRAY_ID", "PBS_ARRAY_INDEX")):
        if task in environ and array in environ:
            return f"{environ.get('SLURM_JOB_NAME', environ.get('PBS_JOBNAME', ''))}[{environ[task]}]"
    if environ.get("LSB_JOBINDEX", "0") != "0":
        return f"{environ.get('LSB_JOBNAME', '')}[{environ['LSB_JOBINDEX']}]"
    if environ.get("SGE_TASK_ID", "undefined") != "undefined":
        return f"{environ.get('JOB_NAME', '')}[{environ['SGE_TASK_ID']}]"
    return None


def as_run_id(identifier: str) -> RunId:
    """Returns the id of a run that was given one: itself if it has our form, else one made of it."""
    return RunId(identifier) if is_run_id(identifier) else run_id_for(identifier)
