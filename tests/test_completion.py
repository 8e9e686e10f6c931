"""Completion as git starts it: through `_git_track` in bash, with git's own variables set."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo, run

SCRIPT = Path(__file__).parent.parent / "docs" / "completion" / "bash" / "git-track"


def completions(repo: GitRepo, *words: str, cwd: Path | None = None) -> list[str]:
    """Returns what bash offers for the last of the words, as git's completion calls us."""
    at = words.index("track")
    shell = f"""
        source {shlex.quote(str(SCRIPT))}
        words=({shlex.join(words)}) cword={len(words) - 1} __git_cmd_idx={at}
        __git_C_args=({shlex.join(words[1:at])})
        _git_track
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return run(["bash", "--norc", "-c", shell], cwd=cwd or repo.path).stdout.split()


@pytest.mark.parametrize(("typed", "expected"), [("sta", "status"), ("pus", "push"), ("f", "fsck")])
def test_commands_are_completed(repo: GitRepo, typed: str, expected: str) -> None:
    assert expected in completions(repo, "git", "track", typed)


def test_options_are_completed(repo: GitRepo) -> None:
    assert "--help" in completions(repo, "git", "track", "ls", "--he")


def test_words_of_git_before_track_are_no_part_of_the_command(repo: GitRepo) -> None:
    assert "status" in completions(repo, "git", "-C", str(repo.path), "track", "sta", cwd=repo.path.parent)
