"""Fixtures: a sealed home, repositories in it, and remotes.

Whoever runs the tests has a name, hooks, signing keys, aliases and a tracker of their own. None of it may
reach a test, and no test may reach theirs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.gitcmd import GitRepo
from tests.githttp import GitHttpServer

# The same examples in each run: a red build is about the change in it. HYPOTHESIS_PROFILE=explore looks
# for new ones.
hypothesis.settings.register_profile("repeat", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))

LEAKING_PREFIXES = ("GIT_", "GITTRACK_", "WANDB_", "XDG_", "LC_", "AWS_", "AZURE_", "GOOGLE_", "GCE_")
LEAKING_NAMES = (
    *("EDITOR", "VISUAL", "PAGER", "BROWSER", "EMAIL", "SSH_ASKPASS", "SSH_AUTH_SOCK"),
    *("SSH_ASKPASS_REQUIRE", "GCM_INTERACTIVE", "no_proxy", "NO_PROXY"),
    *("COLUMNS", "LINES", "TERM", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR"),
    *("LANG", "LANGUAGE", "CI", "SLURM_JOB_ID", "RANK", "LOCAL_RANK", "WORLD_SIZE"),
    *("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
)
GLOBAL_CONFIG = """\
[user]
	name = Ada Tester
	email = ada@example.org
[init]
	defaultBranch = main
[commit]
	gpgSign = false
[gc]
	autoDetach = false
[maintenance]
	autoDetach = false
"""


@pytest.fixture(autouse=True)
def sealed_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HOME; nothing of the outer environment that git or gittrack would read."""
    for name in list(os.environ):
        if name in LEAKING_NAMES or name.startswith(LEAKING_PREFIXES):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    config = home / ".gitconfig"
    config.write_text(GLOBAL_CONFIG, encoding="utf-8")
    sealed = {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_TERMINAL_PROMPT": "0",
        # git must not take a repository above the temporary folder for the test's.
        "GIT_CEILING_DIRECTORIES": str(tmp_path_factory.getbasetemp()),
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
        # `git track` is the one installed beside this Python.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    for name, value in sealed.items():
        monkeypatch.setenv(name, value)
    return home


@pytest.fixture
def empty_repo(tmp_path: Path) -> Iterator[GitRepo]:
    """A repository without a commit."""
    yield from closed_with_fsck(GitRepo.init(tmp_path / "empty"))


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[GitRepo]:
    """A repository with one commit on `main` that holds `train.py`."""
    fresh = GitRepo.init(tmp_path / "repo")
    fresh.commit({"train.py": 'print("training")\n'}, "train: begin")
    yield from closed_with_fsck(fresh)


@pytest.fixture
def bare_remote(repo: GitRepo, tmp_path: Path) -> Iterator[GitRepo]:
    """A bare repository: the `origin` of `repo`, with its code."""
    bare = GitRepo.init(tmp_path / "remote.git", "--bare")
    add_origin(repo, str(bare.path))
    yield from closed_with_fsck(bare)


@pytest.fixture
def colleague(bare_remote: GitRepo, tmp_path: Path) -> Iterator[GitRepo]:
    """Another person's clone of `bare_remote`."""
    clone = GitRepo.clone(bare_remote.path, tmp_path / "colleague")
    clone.git("config", "user.name", "Bob Colleague")
    clone.git("config", "user.email", "bob@example.org")
    yield from closed_with_fsck(clone)


@pytest.fixture
def http_remote(repo: GitRepo, tmp_path: Path) -> Iterator[GitHttpServer]:
    """A smart HTTP server whose `project.git` is the `origin` of `repo`, with its code."""
    with GitHttpServer.start(tmp_path / "served") as server:
        bare = server.add_repository("project.git")
        add_origin(repo, server.url("project.git"))
        yield server
        bare.fsck()


def add_origin(repo: GitRepo, url: str) -> None:
    """Names `url` as the repository's `origin` and pushes `main` there."""
    repo.git("remote", "add", "origin", url)
    repo.git("push", "--quiet", "--set-upstream", "origin", "main")


def closed_with_fsck(repo: GitRepo) -> Iterator[GitRepo]:
    """Yields the repository to a test, and asks git afterwards whether it is sound."""
    yield repo
    if repo.fsck_at_teardown:
        repo.fsck()
