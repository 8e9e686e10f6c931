"""`git track checkout`: the code of a run, in a work tree of its own."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from gittrack import boundary, output, remote, shallows
from gittrack.commands import common
from gittrack.errors import GitFailed, NotFound, RemoteError, UsageError
from gittrack.porcelain import first_line
from gittrack.refname import Oid
from gittrack.repo import Repo
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
    is_here = git.has_object(code)
    if not is_here and not (git.has_executable and boundary.is_cut(git.place.common_dir)):
        raise NotFound(
            f"the code of run '{found.name}' is not here",
            cause=f"commit {code} is missing",
            hint="`git track pull` from where the run came from",
        )
    top = git.place.work_tree or git.place.common_dir
    target = folder or top.parent / f"{top.name}-{found.id}"
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"'{target}' exists already", hint="name another folder")
    with contextlib.nullcontext() if is_here else _fetched(place, found.name, code):
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


@contextlib.contextmanager
def _fetched(place: Repo, run: str, code: Oid) -> Iterator[None]:
    """Has the code of a run come into a shallow clone, that commit alone."""
    where = remote.choose(place.settings, None, branch=place.git.branch())
    bring = remote.shallow_bring(place.git, where)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(shallows.code(place.git, code, bring))
        except RemoteError as exc:
            exc.message = f"the code of run '{run}' is not here, and {exc.message}"
            raise
        yield
