"""Opens a repository as git would: where it is, and whose settings hold.

libgit2 finds repositories and settings much as git does, but knows none of git's environment variables."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pygit2
from pygit2.enums import ConfigLevel

from gittrack.errors import GitFailed, NotARepository
from gittrack.git import GitMissing, Place

_WITHIN = False  # one file system, as git does
pygit2.settings.enable_fsync_gitdir(value=True)  # a ref is on disk before it has its name


def discover(directory: Path, environ: Mapping[str, str]) -> Place:
    """Returns the repository that git would find from `directory`; raises NotARepository.

    Raises GitMissing for one that libgit2 cannot read: with SHA-256, reftables, or objects that are fetched late."""
    hint = "run `git init` here, or go to a repository"
    try:
        here = os.path.realpath(directory, strict=True)
        with configured(environ):
            ceilings = environ.get("GIT_CEILING_DIRECTORIES", "")
            found = environ.get("GIT_DIR") or pygit2.discover_repository(here, _WITHIN, ceilings)
            if found is None or not os.path.exists(os.path.join(here, found)):
                raise NotARepository(f"'{directory}' is not in a git repository", hint=hint)
            repo = pygit2.Repository(os.path.join(here, found))
    except FileNotFoundError as exc:
        raise NotARepository(f"'{directory}' is not there any more") from exc
    except (pygit2.GitError, OSError, ValueError) as exc:
        owner = "name it in safe.directory in your ~/.gitconfig" if "owned" in words(exc) else None
        raise GitMissing(
            f"git is not installed, and without it '{directory}' cannot be used ({words(exc)})",
            hint=owner or "install git 2.36 or newer",
        ) from exc
    git_dir = Path(str(repo.path))
    common = git_dir
    with contextlib.suppress(OSError):  # a linked work tree
        common = Path(os.path.normpath(git_dir / (git_dir / "commondir").read_text("utf-8").strip()))
    top = environ.get("GIT_WORK_TREE") or repo.workdir
    if repo.workdir and top == repo.workdir and "GIT_DIR" in environ and "core.worktree" not in repo.config:
        top = here  # as git has it
    work_tree = Path(os.path.realpath(os.path.join(here, top))) if top else None
    if Path(here).is_relative_to(common):
        work_tree = None  # as git says of a place inside its own folder
    inside = work_tree is not None and Path(here).is_relative_to(work_tree)
    prefix = os.path.relpath(here, work_tree) + "/" if inside and Path(here) != work_tree else ""
    return Place(git_dir=git_dir, common_dir=common, work_tree=work_tree, prefix=prefix, algorithm="sha1")


@contextlib.contextmanager
def configured(environ: Mapping[str, str]) -> Iterator[None]:
    """Has libgit2 look for the user's settings where git would; it knows none of git's variables by itself."""
    home = environ.get("HOME", "")
    named = environ.get("GIT_CONFIG_GLOBAL")
    wanted = {
        ConfigLevel.GLOBAL: home if named is None else os.path.dirname(named) if is_usual(named) else "",
        ConfigLevel.XDG: os.path.join(environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "git")
        if named is None
        else "",
    }
    if environ.get("GIT_CONFIG_NOSYSTEM", "").lower() in ("1", "true", "yes", "on"):
        wanted |= {ConfigLevel.SYSTEM: "", ConfigLevel.PROGRAMDATA: ""}
    paths = pygit2.settings.search_path
    before = {level: paths[level] for level in wanted}
    changed = {level: path for level, path in wanted.items() if path != before[level]}
    for level, path in changed.items():
        paths[level] = path
    try:
        yield
    finally:
        for level in changed:  # the training script may use pygit2 itself
            paths[level] = before[level]


def is_usual(path: str) -> bool:
    """Tells whether libgit2 takes a file for the user's settings by its name."""
    return os.path.basename(path) == ".gitconfig"


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turns what pygit2 raises into GitFailed."""
    try:
        yield
    except (pygit2.GitError, KeyError, ValueError) as exc:
        raise GitFailed(what, cause=words(exc)) from exc


def words(error: Exception) -> str:
    """Returns what pygit2 says, as a cause."""
    return str(error.args[0]).rstrip(": \n") if error.args else type(error).__name__


def open_repository(place: Place, environ: Mapping[str, str]) -> pygit2.Repository:
    """Returns libgit2's view of a repository; raises GitFailed."""
    with configured(environ), translated(f"cannot open the repository '{place.git_dir}'"):
        repo = pygit2.Repository(str(place.git_dir))
        if place.work_tree and repo.workdir != f"{place.work_tree}/":
            repo.workdir = str(place.work_tree)
        return repo
