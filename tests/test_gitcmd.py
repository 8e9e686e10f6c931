"""The fixtures keep what they promise: a sealed home, and a check that notices damage."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo


def test_fsck_notices_a_lost_object(repo: GitRepo) -> None:
    blob = repo.git("rev-parse", "HEAD:train.py")
    (repo.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    repo.fsck_at_teardown = False

    with pytest.raises(AssertionError, match="git fsck"):
        repo.fsck()


def test_equal_tests_make_equal_commits(tmp_path: Path) -> None:
    first, second = (GitRepo.init(tmp_path / name) for name in ("first", "second"))

    assert first.commit({"a": "1"}, "one") == second.commit({"a": "1"}, "one")


def test_nothing_of_the_outer_environment_reaches_git(repo: GitRepo, sealed_home: Path) -> None:
    origins = repo.git("config", "--list", "--show-origin").splitlines()

    assert {line.split("\t")[0] for line in origins} == {f"file:{sealed_home}/.gitconfig", "file:.git/config"}
    assert [name for name in os.environ if name.startswith(("GITTRACK_", "WANDB_"))] == []


def test_a_script_runs_in_the_repository_and_stands_outside_of_it(repo: GitRepo) -> None:
    done = repo.python("import os, sys; print(os.getcwd(), sys.argv[1], os.environ['MODE'])", "x", env={"MODE": "m"})

    assert done.stdout.split() == [str(repo.path), "x", "m"]
    assert repo.git("status", "--porcelain") == ""


def test_a_colleague_has_the_code_and_a_name_of_their_own(repo: GitRepo, colleague: GitRepo) -> None:
    assert colleague.git("rev-parse", "HEAD") == repo.git("rev-parse", "HEAD")
    assert colleague.git("config", "user.email") != repo.git("config", "user.email")


def test_a_failed_command_shows_what_it_printed(repo: GitRepo) -> None:
    with pytest.raises(AssertionError, match=r"exited 3(?s:.*)some trouble"):
        repo.python("import sys; print('some trouble', file=sys.stderr); sys.exit(3)")
    assert repo.python("raise SystemExit(3)", check=False).returncode == 3


def test_the_python_of_the_tests_comes_first_on_path() -> None:
    found = subprocess.run(
        ["python3", "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == sys.prefix
