"""What is the user's stays as it is, whatever a command does: promise P5 of the design.

Index, HEAD, work tree, stash, branches, tags, settings and hooks are read before and after each command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.runs import attempt, record

COMMANDS = (
    "ls",
    "ls --json",
    "status",
    "show one",
    "diff one two",
    "log HEAD",
    "start --name open",
    "finish",
    "tag one good",
    "tag -d one good",
    "edit two --note said",
    "push --yes",
    "push --bundle ../runs.bundle",
    "archive --keep 1",
    "push --yes",
    "tag one better",
    "archive",
    "pull",
    "pull ../runs.bundle",
    "fetch",
    "rm two",
    "rm --undo two",
    "rm two",
    "gc",
    "gc --remote",
    "push --yes",
    "gc --purge one --yes",
    "gc --remote",
    "fsck",
    "doctor",
    "init --yes",
    "init --remove",
)


def theirs(repo: GitRepo) -> dict[str, str | bytes]:
    """Returns all that is the user's: files of the work tree and of git, and refs."""
    found: dict[str, str | bytes] = {
        str(path.relative_to(repo.path)): path.read_bytes()
        for path in sorted(repo.path.rglob("*"))
        if path.is_file() and _is_theirs(path.relative_to(repo.path))
    }
    found["refs"] = repo.git("for-each-ref", "refs/heads", "refs/tags", "refs/stash", "refs/remotes", "refs/notes")
    found["stash"] = repo.git("stash", "list")
    found["HEAD of HEAD"] = repo.git("rev-parse", "HEAD", "--symbolic-full-name", "HEAD")
    return found


def _is_theirs(path: Path) -> bool:
    """Tells whether a file is the user's; objects are everybody's, and refs are asked for."""
    if path.parts[0] != ".git":
        return True
    return path.parts[1] not in ("objects", "refs", "gittrack", "packed-refs") and path.parts[1:3] != ("logs", "refs")


@pytest.fixture
def busy(repo: GitRepo, bare_remote: GitRepo) -> GitRepo:
    """A repository in which somebody is in the middle of something."""
    repo.commit({"data.txt": "one\n", ".gitignore": "ignored\n"}, "data: one")
    repo.git("branch", "other")
    repo.git("tag", "v1")
    (repo.path / "data.txt").write_text("stashed\n", encoding="utf-8")
    repo.git("stash", "push", "--quiet", "-m", "for later")
    (repo.path / "data.txt").write_text("staged\n", encoding="utf-8")
    repo.git("add", "data.txt")
    for name in ("data.txt", "untracked", "ignored"):
        (repo.path / name).write_text("in the work tree\n", encoding="utf-8")
    record(repo, {"name": "one", "metrics": {"loss": [1, 2]}}, {"name": "two"})
    return repo


TOUCHES = {
    "the index": ("add", "untracked"),
    "the stash": ("stash", "drop", "--quiet"),
    "a branch": ("branch", "--force", "other", "HEAD~1"),
    "a tag": ("tag", "-d", "v1"),
    "HEAD": ("symbolic-ref", "HEAD", "refs/heads/other"),
    "the settings": ("config", "user.name", "Somebody Else"),
    "the work tree": ("checkout", "--", "data.txt"),
}


@pytest.mark.parametrize("what", TOUCHES)
def test_each_touch_would_be_seen(busy: GitRepo, what: str) -> None:
    """The control."""
    before = theirs(busy)
    busy.git(*TOUCHES[what])
    assert theirs(busy) != before


@pytest.mark.slow
def test_no_command_touches_what_is_the_users(busy: GitRepo) -> None:
    before = theirs(busy)
    for command in COMMANDS:
        code, out, err = attempt(busy, *command.split())
        assert code == 0, (command, out, err)
        if command == "init --yes":  # which changes what it says, until it is removed
            assert theirs(busy) != before
            continue
        assert theirs(busy) == before, command
        busy.fsck()
    assert attempt(busy, "ls", "--json")[1].strip() != "[]"
