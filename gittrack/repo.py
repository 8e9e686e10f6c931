"""Opens a repository and hands out what belongs to it. It has attributes and no verbs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gittrack.git import GIT, Git, GitMissing, Place, discover, no_git
from gittrack.refname import RunId, new_run_id, new_run_name
from gittrack.settings import Settings, environment, identity, read_settings

if TYPE_CHECKING:
    from gittrack.libgit.door import LibGit

_places: dict[tuple[object, ...], tuple[type[Git], Place]] = {}


@dataclass(frozen=True)
class Repo:
    """One git repository; `detached` is the one in the user's data folder."""

    git: Git
    detached: bool = False

    @cached_property
    def settings(self) -> Settings:
        """Git config and environment."""
        return read_settings(self.git)

    @cached_property
    def author(self) -> str:
        """`Name <address>` of the user."""
        return identity(self.settings)

    @property
    def sign(self) -> bool:
        """Whether the user signs commits, and git is there to do it."""
        return self.git.has_executable and self.settings.flag("commit.gpgsign")

    @property
    def state_dir(self) -> Path:
        """The folder of ours in the common git dir."""
        return self.git.place.common_dir / "gittrack"

    @property
    def current_file(self) -> Path:
        """Where the run that `git track start` opened in this work tree is written down."""
        return self.git.place.git_dir / "gittrack" / "current"


def open_repo(directory: Path | None = None) -> Repo:
    """Returns the repository at `directory`, by default the current one; raises NotARepository.

    What git answered is remembered while directory, PATH and git's variables are the same."""
    environ = environment()
    where = Path(directory or os.getcwd())
    key = (str(where), environ.get("PATH"), *sorted(item for item in environ.items() if item[0].startswith("GIT_")))
    known = _places.get(key)
    if known is None or not known[1].git_dir.exists():
        known = _places[key] = _discover(where, environ)
    door, place = known
    return Repo(door(place, environ))


def _discover(where: Path, environ: Mapping[str, str]) -> tuple[type[Git], Place]:
    """Returns the door to the repository at `where`: git, or libgit2 on a machine without git."""
    try:
        return Git, discover(where, environ)
    except GitMissing as exc:
        return _libgit(exc), _libgit(exc).discover(where, environ)


def _libgit(why: GitMissing) -> type[LibGit]:
    """Returns the door for a machine without git; raises `why` if libgit2 cannot be loaded either."""
    try:
        from gittrack.libgit.door import LibGit  # noqa: PLC0415 - 80 ms, and only where there is no git
    except ImportError as exc:
        raise why from exc
    return LibGit


def detached_repo() -> Repo:
    """Returns the bare repository in the user's data folder, for runs that were recorded outside any repository.

    Raises OSError or GitFailed if it cannot be made."""
    import tempfile  # noqa: PLC0415 - only once

    found = find_detached()
    if found is not None:
        return found
    place = _detached_place()
    with tempfile.TemporaryDirectory(prefix="new-", dir=_made(place.git_dir.parent)) as folder:
        # Made beside and renamed: of several processes that need it at once, none sees half of it.
        new = Path(folder, "detached.git")
        _git(replace(place, git_dir=new, common_dir=new)).create()
        try:
            new.rename(place.git_dir)
        except OSError:
            if not (place.git_dir / "HEAD").exists():
                raise
    return Repo(_git(place), detached=True)


def find_detached() -> Repo | None:
    """Returns the bare repository in the user's data folder if there is one."""
    place = _detached_place()
    return Repo(_git(place), detached=True) if (place.git_dir / "HEAD").exists() else None


def _detached_place() -> Place:
    environ = environment()
    home = Path(environ.get("XDG_DATA_HOME") or Path(environ.get("HOME", "/")) / ".local" / "share")
    path = home / "gittrack" / "detached.git"
    return Place(git_dir=path, common_dir=path, work_tree=None, prefix="", algorithm="sha1")


def _git(place: Place) -> Git:
    environ = {key: value for key, value in environment().items() if key not in ("GIT_DIR", "GIT_WORK_TREE")}
    door: type[Git] = Git if shutil.which(GIT, path=environ.get("PATH")) else _libgit(no_git())
    return door(place, environ)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def random_bits() -> int:
    """Returns 128 random bits from the system."""
    return int.from_bytes(os.urandom(16))


def new_id() -> RunId:
    """Returns the id of a new run."""
    return new_run_id(random_bits())


def new_name() -> str:
    """Returns a name for a new run."""
    return new_run_name(random_bits())
