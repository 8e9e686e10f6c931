"""Our hooks beside those of git-lfs, pre-commit and Husky, each of them installed for real."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from gittrack import hooks
from tests.gitcmd import GitRepo, run
from tests.hooking import call_git, ours, push, runs_of
from tests.recording import make
from tests.runs import ask, attempt

HUSKY = Path(sys.prefix) / "node" / "node_modules" / "husky" / "bin.js"
CHECK = """\
repos:
- repo: local
  hooks:
  - id: check
    name: check
    language: system
    entry: sh -c '{check}'
    stages: [pre-push]
    always_run: true
    pass_filenames: false
"""


# A git from 2.54 on would take our hooks from its settings, where they are in nobody's way.
pytestmark = pytest.mark.usefixtures("older_git")


@pytest.fixture
def older_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that calls itself 2.53."""
    call_git(tmp_path / "older", "2.53.0", monkeypatch)


def hook_of(repo: GitRepo, event: str = "pre-push") -> Path:
    return repo.path / ".git" / "hooks" / event


@pytest.fixture
def pre_commit() -> str:
    """The program of the pre-commit framework."""
    program = Path(sys.executable).with_name("pre-commit")
    if not program.exists():
        pytest.skip("pre-commit is not installed")
    return str(program)


@pytest.fixture
def husky() -> str:
    """The program of Husky."""
    if shutil.which("node") is None or not HUSKY.exists():
        pytest.skip("Husky is not installed: `make husky`")
    return str(HUSKY)


# git-lfs --------------------------------------------------------------------------------------------------------------


def test_git_lfs_uploads_its_files_and_the_runs_go_along(repo: GitRepo, bare_remote: GitRepo) -> None:
    if shutil.which("git-lfs") is None:
        pytest.skip("git-lfs is not installed")
    repo.git("remote", "set-url", "origin", bare_remote.path.as_uri())
    repo.git("lfs", "install", "--local")
    before = hook_of(repo).read_bytes()
    ask(repo, "init", "-y")
    repo.git("lfs", "track", "*.bin")
    repo.commit({"weights.bin": "heavy\n"}, "weights")
    make(repo, name="one")

    done = push(repo)

    assert ours(done) == ["pushed 1 run(s) to 'origin'"]
    assert runs_of(bare_remote) == runs_of(repo)
    assert [path for path in (bare_remote.path / "lfs" / "objects").rglob("*") if path.is_file()]
    ask(repo, "init", "--remove")
    assert hook_of(repo).read_bytes() == before
    assert hook_of(repo, "post-merge").exists()  # which is of git-lfs alone


def test_a_git_lfs_that_is_gone_stops_the_push_as_it_did_before(repo: GitRepo, bare_remote: GitRepo) -> None:
    if shutil.which("git-lfs") is None:
        pytest.skip("git-lfs is not installed")
    repo.git("lfs", "install", "--local")
    hook = hook_of(repo)
    hook.write_text(hook.read_text("utf-8").replace("command -v git-lfs", "command -v git-lfs-that-is-gone"), "utf-8")
    ask(repo, "init", "-y")
    make(repo, name="one")
    repo.commit({"train.py": "2\n"}, "better")

    done = push(repo, check=False)

    assert done.returncode == 1
    assert "git-lfs" in done.stderr
    assert runs_of(bare_remote) == {}


# pre-commit -----------------------------------------------------------------------------------------------------------


def configure(repo: GitRepo, check: str, *, more: str = "") -> None:
    """Commits a configuration of pre-commit with one check before pushes."""
    repo.commit({".pre-commit-config.yaml": CHECK.format(check=check) + more}, "configure")


@pytest.mark.slow
@pytest.mark.parametrize("first", ["pre-commit", "gittrack"])
def test_checks_of_pre_commit_run_and_the_runs_go_along(
    repo: GitRepo, bare_remote: GitRepo, pre_commit: str, first: str
) -> None:
    configure(repo, "touch ../checked")
    install = [pre_commit, "install", "--hook-type", "pre-push"]
    if first == "pre-commit":
        run(install, cwd=repo.path)
        ask(repo, "init", "-y")
    else:
        ask(repo, "init", "-y")
        run(install, cwd=repo.path)
    assert ask(repo, "init") == "everything is set up.\n"
    make(repo, name="one")

    done = push(repo)

    assert (repo.path.parent / "checked").exists()
    assert ours(done) == ["pushed 1 run(s) to 'origin'"]
    assert runs_of(bare_remote) == runs_of(repo)
    ask(repo, "init", "--remove")
    run([pre_commit, "uninstall", "--hook-type", "pre-push"], cwd=repo.path)
    assert not hook_of(repo).exists()


@pytest.mark.slow
def test_a_check_of_pre_commit_that_fails_stops_code_and_runs(
    repo: GitRepo, bare_remote: GitRepo, pre_commit: str
) -> None:
    configure(repo, "false")
    run([pre_commit, "install", "--hook-type", "pre-push"], cwd=repo.path)
    ask(repo, "init", "-y")
    make(repo, name="one")

    done = push(repo, check=False)

    assert done.returncode == 1
    assert "Failed" in done.stdout
    assert runs_of(bare_remote) == {}
    assert bare_remote.refs("refs/heads/") != repo.refs("refs/heads/")


@pytest.mark.slow
def test_runs_go_along_as_a_hook_of_pre_commit(repo: GitRepo, bare_remote: GitRepo, pre_commit: str) -> None:
    manifest = Path(__file__).parent.parent / ".pre-commit-hooks.yaml"
    run([pre_commit, "validate-manifest", str(manifest)], cwd=repo.path)
    entry = manifest.read_text("utf-8").partition("- id: gittrack-push")[2].partition("\n- id:")[0]
    offered = f"  - id: gittrack-push{entry}".replace("\n  ", "\n    ").replace("language: python", "language: system")
    configure(repo, "true", more=offered)
    run([pre_commit, "install", "--hook-type", "pre-push"], cwd=repo.path)
    make(repo, name="one")

    push(repo)

    assert runs_of(bare_remote) == runs_of(repo) != {}
    assert bare_remote.refs("refs/heads/") == repo.refs("refs/heads/")


# Husky ----------------------------------------------------------------------------------------------------------------


def test_husky_keeps_its_folder_and_the_line_it_is_given_takes_runs_along(
    repo: GitRepo, bare_remote: GitRepo, husky: str
) -> None:
    run(["node", husky], cwd=repo.path)
    assert repo.git("config", "core.hooksPath") == ".husky/_"

    said = ask(repo, "init", "-y")

    for event in hooks.EVENTS:
        assert f"    at the end of .husky/{event}:\n    {hooks.line(event)}\n" in said
    assert not hook_of(repo).exists()
    (repo.path / ".husky" / "pre-push").write_text(f"touch ../checked\n{hooks.line('pre-push')}\n", "utf-8")
    (repo.path / ".husky" / "post-rewrite").write_text(f"{hooks.line('post-rewrite')}\n", "utf-8")
    repo.commit({}, "hooks")
    make(repo, name="one")
    assert ask(repo, "init") == "everything is set up.\n"
    assert ours(push(repo)) == ["pushed 1 run(s) to 'origin'"]
    assert (repo.path.parent / "checked").exists()
    assert runs_of(bare_remote) == runs_of(repo)
    run(["git", "commit", "--amend", "--quiet", "-m", "again"], cwd=repo.path)
    assert (repo.path / ".git" / "gittrack" / "rewrites").exists()
    assert "somebody else put there" in attempt(repo, "init", "--remove")[2]


def test_a_check_of_husky_that_fails_stops_code_and_runs(repo: GitRepo, bare_remote: GitRepo, husky: str) -> None:
    run(["node", husky], cwd=repo.path)
    (repo.path / ".husky" / "pre-push").write_text(f"false\n{hooks.line('pre-push')}\n", "utf-8")
    repo.commit({}, "hooks")
    make(repo, name="one")

    assert push(repo, check=False).returncode == 1

    assert bare_remote.refs() != repo.refs("refs/heads/")
    assert runs_of(bare_remote) == {}
