"""Runs recorded in the process of the test: a hundred times quicker than a script that is started for each."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import gittrack
from gittrack.model import Run
from tests.gitcmd import GitRepo


def make(
    repo: GitRepo,
    metrics: Mapping[str, Sequence[float]] | None = None,
    *,
    goals: Mapping[str, str] | None = None,
    files: Sequence[str] = (),
    exit_code: int = 0,
    **wanted: Any,
) -> Run:
    """Records a run and returns it.

    metrics: name to values, one a step; files: paths of files that it keeps; wanted: what `init` takes."""
    with contextlib.chdir(repo.path):
        run = gittrack.init(**wanted)
        for name, goal in (goals or {}).items():
            run.define_metric(name, goal=goal)
        for step in range(max(map(len, (metrics or {}).values()), default=0)):
            run.log({name: values[step] for name, values in (metrics or {}).items() if step < len(values)}, step=step)
        for path in files:
            run.log_artifact(path)
        made = run.finish(exit_code=exit_code)
    assert made is not None
    return made
