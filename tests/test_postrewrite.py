"""The post-rewrite hook: git's rebase and amend are noted, and never stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from gittrack import repo as repos
from gittrack import rewrites
from tests.gitcmd import GitRepo, run
from tests.hooking import install


def noted(repo: GitRepo) -> dict[str, tuple[str, ...]]:
    """Returns what the link journal says."""
    return {str(old): tuple(map(str, news)) for old, news in rewrites.read(repos.open_repo(repo.path).git).items()}


@pytest.fixture
def hooked(repo: GitRepo) -> GitRepo:
    """A repository with our post-rewrite hook."""
    install(repo, "post-rewrite")
    return repo


def test_an_amended_commit_is_noted(hooked: GitRepo) -> None:
    old = hooked.commit({"train.py": "2\n"}, "better")
    hooked.git("commit", "--quiet", "--amend", "-m", "best")
    assert noted(hooked) == {old: (hooked.git("rev-parse", "HEAD"),)}


def test_every_commit_of_a_rebase_is_noted_from_a_work_tree_too(hooked: GitRepo, tmp_path: Path) -> None:
    hooked.git("worktree", "add", "--quiet", "-b", "topic", str(tmp_path / "side"))
    side = GitRepo(tmp_path / "side")
    old = [side.commit({f"{name}.py": "1\n"}, name) for name in "ab"]
    hooked.commit({"other.py": "1\n"}, "other")

    side.git("rebase", "--quiet", "main")

    new = side.git("rev-list", "--reverse", "main..topic").split()
    assert noted(hooked) == {one: (other,) for one, other in zip(old, new, strict=True)}


def test_a_journal_that_cannot_be_written_stops_no_rewrite(hooked: GitRepo) -> None:
    (hooked.path / ".git" / "gittrack").write_text("in the way", "utf-8")
    done = run(["git", "commit", "--amend", "-m", "best"], cwd=hooked.path)
    assert [line for line in done.stderr.splitlines() if line.startswith("gittrack: ")]
    assert hooked.git("log", "--format=%s", "-1") == "best"
