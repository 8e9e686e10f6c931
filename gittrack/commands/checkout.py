"""`git track checkout`: the code of a run, in a work tree of its own."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from gittrack import output
from gittrack.commands import common
from gittrack.errors import GitFailed, NotFound, UsageError
from gittrack.porcelain import first_line
from gittrack.terminal import printable


@click.command("checkout")
@click.argument("run")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
def command(run: str, folder: Path | None) -> None:
    """Check out the exact code of a run in a work tree of its own.

    Uncommitted and untracked files are there too. Your own work tree, branch and index stay as they are. FOLDER
    is by default beside the repository."""
    place = common.open_repo()
    git = place.git
    found = common.read_runs(place).find(run)
    code = found.code.exact
    if code is None:
        raise NotFound(f"run '{found.name}' has no code", cause="it was recorded without a commit")
    if git.resolve(code) is None:
        raise NotFound(
            f"the code of run '{found.name}' is not here",
            cause=f"commit {code} is missing",
            hint="`git track pull` from where the run came from",
        )
    top = git.place.work_tree or git.place.common_dir
    target = folder or top.parent / f"{top.name}-{found.id}"
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"'{target}' exists already", hint="name another folder")
    done = git.run("worktree", "add", "--detach", "--quiet", str(target.absolute()), code, cwd=Path.cwd())
    if done.returncode:
        raise GitFailed(f"cannot check out the code of run '{found.name}'", cause=first_line(done.stderr))
    what = "the uncommitted work included" if found.code.snapshot else "as it was committed"
    output.line(printable(str(target)))
    output.warn(f"the code of run {found.name}, {what}, at {code[:10]}")
    omitted = (
        "some files were left out of the snapshot; `git track show` lists them"
        if found.code.dirty and not found.code.snapshot
        else ""
    )
    if omitted:
        output.warn(f"warning: {omitted}")
    output.warn(f"hint: `git worktree remove {shlex.quote(str(target))}` takes it away again")
