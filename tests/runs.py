"""Runs for tests about reading, curating and sharing them: recorded through Python, many in one process."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
from typing import Any

from gittrack import cli
from tests.gitcmd import GitRepo

_SCRIPT = """
import json, sys
import gittrack as gt

for spec in json.loads(sys.argv[1]):
    metrics, goals = spec.pop("metrics", {}), spec.pop("goals", {})
    texts, files = spec.pop("texts", {}), spec.pop("files", {})
    exit_code = spec.pop("exit_code", 0)
    run = gt.init(**spec)
    for name, goal in goals.items():
        run.define_metric(name, goal=goal)
    for name, values in metrics.items():
        for step, value in enumerate(values):
            run.log({name: float(value)}, step=step)
    for name, text in texts.items():
        run.log({name: text}, step=0)
    for name, content in files.items():
        with open("../" + name.replace("/", "-"), "w", encoding="utf-8", newline="") as file:
            file.write(content)
        run.log_artifact("../" + name.replace("/", "-"), name=name)
    run.finish(exit_code=exit_code)
    print(run.id)
"""


def record(repo: GitRepo, *specs: dict[str, Any]) -> list[str]:
    """Records a run for each of the specs, oldest first, and returns their ids.

    A spec has the arguments of `init`, and `metrics` (name to values, one a step; `"nan"` is one), `goals`, `texts`,
    `files` (name to content) and `exit_code`."""
    return repo.python(_SCRIPT, json.dumps(specs)).stdout.split()


def attempt(repo: GitRepo, *words: str) -> tuple[int, str, str]:
    """Runs a git-track command and returns exit code, stdout and stderr; a traceback is an exception here.

    In this process, because starting Python is most of what a command costs, and tests ask all the time. What a test
    is about runs through `repo.track`."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    with contextlib.chdir(repo.path), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run(list(words))
    said = []
    for stream in (out, err):
        stream.seek(0)
        said.append(stream.read())
    return code, said[0], said[1]


def ask(repo: GitRepo, *words: str) -> str:
    """Returns what a git-track command prints on stdout; it must succeed."""
    code, out, err = attempt(repo, *words)
    assert code == 0, err
    return out


def listed(repo: GitRepo, *options: str) -> list[dict[str, Any]]:
    """Returns what `git track ls --json` prints, newest first."""
    found: list[dict[str, Any]] = json.loads(ask(repo, "ls", "--json", *options))
    return found


def shown(repo: GitRepo, run: str) -> dict[str, Any]:
    """Returns what `git track show --json RUN` prints."""
    found: dict[str, Any] = json.loads(ask(repo, "show", "--json", run))
    return found


def file_of(repo: GitRepo, path: str) -> bytes:
    """Returns the bytes of `RUN:PATH`, through plain git."""
    run, _, name = path.partition(":")
    found = subprocess.run(
        ["git", "cat-file", "blob", f"refs/runs/{run}:{name}"], cwd=repo.path, capture_output=True, check=True
    )
    return found.stdout


def complaint(done: subprocess.CompletedProcess[str], *, exit_code: int) -> str:
    """Returns the stderr of a command that failed as it should: one `error:`, no traceback, nothing on stdout."""
    lines = done.stderr.splitlines()
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == exit_code, done.stderr
    assert [line for line in lines if line.startswith("error: ")] == lines[:1], done.stderr
    assert all(line.startswith(("error: ", "cause: ", "hint: ")) for line in lines), done.stderr
    assert not lines[0].endswith("."), lines[0]
    return done.stderr
