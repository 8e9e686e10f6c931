"""`git track doctor`: whether everything around is in order."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gittrack import hooks
from gittrack import repo as repos
from tests.gitcmd import GitRepo, run
from tests.hooking import call_git, install
from tests.runs import ask, record


def test_a_healthy_repository_is_healthy(repo: GitRepo, bare_remote: GitRepo) -> None:
    record(repo, {})

    done = repo.track("doctor")

    assert "   ok  runs are recorded as Ada Tester <ada@example.org>" in done.stdout.splitlines()
    assert "   ok  remote 'origin'" in done.stdout.splitlines()
    assert "   ok  1 run(s) in git, 1 pack(s) of ours" in done.stdout.splitlines()
    assert "wrong" not in done.stdout
    assert done.stderr == ""


def test_outside_a_repository_it_still_looks_at_the_machine(tmp_path: Path) -> None:
    done = run(["git", "track", "doctor"], cwd=tmp_path)

    assert "this is not a git repository" in done.stdout
    assert "git version" in done.stdout


def test_a_refspec_that_loses_runs_on_prune_is_wrong(repo: GitRepo, bare_remote: GitRepo) -> None:
    repo.git("config", "--add", "remote.origin.fetch", "+refs/runs/*:refs/runs/*")

    done = repo.track("doctor", check=False)

    assert done.returncode == 1
    assert done.stderr == "error: 1 thing(s) are wrong\n"
    assert "wrong  remote 'origin' fetches straight into refs/runs/" in done.stdout
    assert "hint: use +refs/runs/*:refs/gittrack/origin/runs/*" in done.stdout


def test_every_refspec_is_looked_at_not_only_the_last(repo: GitRepo, bare_remote: GitRepo) -> None:
    repo.git("config", "--unset-all", "remote.origin.fetch")
    repo.git("config", "--add", "remote.origin.fetch", "+refs/runs/*:refs/runs/*")
    repo.git("config", "--add", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")

    assert repo.track("doctor", check=False).returncode == 1


def test_a_mirror_an_alias_and_no_identity_are_warnings(repo: GitRepo, bare_remote: GitRepo, sealed_home: Path) -> None:
    repo.git("config", "remote.origin.mirror", "true")
    repo.git("config", "alias.track", "log")
    (sealed_home / ".gitconfig").write_text("", encoding="utf-8")

    text = repo.track("doctor").stdout

    assert " warn  remote 'origin' is a mirror" in text
    assert " warn  alias.track is set" in text
    assert " warn  git does not know who you are" in text


def test_git_track_that_is_not_on_path_is_wrong(repo: GitRepo) -> None:
    program = shutil.which("git-track")
    git = shutil.which("git")
    assert program
    assert git
    only_git = repo.path.parent / "bin"
    only_git.mkdir()
    (only_git / "git").symlink_to(git)

    done = run([program, "doctor"], cwd=repo.path, env={"PATH": str(only_git)}, check=False)
    nothing = run([program, "doctor"], cwd=repo.path, env={"PATH": str(only_git) + os.sep + "none"}, check=False)

    assert (done.returncode, nothing.returncode) == (1, 1)
    assert "wrong  git-track is not on PATH" in done.stdout
    assert " warn  git is not on PATH" in nothing.stdout
    assert "Traceback" not in done.stderr + nothing.stderr


def test_it_says_whether_plain_git_shares_runs(repo: GitRepo, bare_remote: GitRepo) -> None:
    assert "plain git leaves runs alone; `git track init` lets" in ask(repo, "doctor")

    ask(repo, "init", "-y")
    lines = ask(repo, "doctor").splitlines()
    assert "   ok  `git pull` brings the runs of 'origin'" in lines
    assert {"   ok  the pre-push hook is in place", "   ok  the post-rewrite hook is in place"} <= set(lines)


def test_hooks_that_went_and_refspecs_that_moved_are_warnings(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_git(tmp_path / "usual", "2.39.5", monkeypatch)
    ask(repo, "init", "-y")
    repo.git("remote", "rename", "origin", "upstream")
    repo.git("config", "core.hooksPath", "elsewhere")

    text = ask(repo, "doctor")

    assert " warn  remote 'upstream' brings runs to where another remote has them" in text
    assert " warn  the pre-push hook is not in place: core.hooksPath is " in text
    ask(repo, "init", "--remove")
    assert "plain git leaves runs alone" in ask(repo, "doctor")


def test_hooks_in_settings_that_git_is_too_old_for_are_warnings(repo: GitRepo, bare_remote: GitRepo) -> None:
    for event in hooks.EVENTS:
        for key, value in hooks.settings(event):
            repo.git("config", key, value)

    text = ask(repo, "doctor")

    if hooks.version(repos.open_repo(repo.path).git) < hooks.SETTINGS_SINCE:
        assert " warn  the pre-push hook is not in place: git takes hooks from its settings since 2.54" in text
    else:
        assert "   ok  the pre-push hook is in place" in text


def test_a_block_of_another_version_is_a_warning(repo: GitRepo, bare_remote: GitRepo) -> None:
    ask(repo, "init", "-y", "--no-hooks")
    install(repo)
    file = repo.path / ".git" / "hooks" / "pre-push"
    file.write_text(file.read_text("utf-8").replace("gittrack_say", "gittrack_says"), "utf-8")

    assert " warn  the pre-push hook is that of another version" in ask(repo, "doctor")
    ask(repo, "init", "-y")
    assert "warn  the pre-push" not in ask(repo, "doctor")
