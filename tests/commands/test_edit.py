"""`git track edit`: what is said of a run changes, what was recorded does not."""

from __future__ import annotations

import pytest

from tests.gitcmd import GitRepo
from tests.runs import complaint, listed, record, shown
from tests.terminals import on_a_terminal


def test_name_note_group_and_star_are_edited(repo: GitRepo) -> None:
    [run] = record(repo, {"name": "one", "notes": "recorded", "group": "old"})
    recorded = repo.git("rev-parse", f"refs/runs/{run}")

    repo.track("edit", "one", "--name", "calm name", "-m", "first", "--group", "new", "--star")
    repo.track("edit", "calm name", "-m", "second\nline")

    found = shown(repo, run)
    assert (found["name"], found["group"], found["starred"]) == ("calm name", "new", True)
    assert found["notes"] == ["recorded", "first", "second\nline"]
    assert repo.git("rev-list", "--count", f"{recorded}..refs/runs/{run}") == "2"
    assert repo.git("show", f"refs/runs/{run}:run.yaml") == repo.git("show", f"{recorded}:run.yaml")
    repo.track("edit", "calm name", "--no-star", "--group", "")
    assert (listed(repo)[0]["starred"], listed(repo)[0]["group"]) == (False, None)


def test_the_history_of_edits_reads_in_plain_git(repo: GitRepo) -> None:
    [run] = record(repo, {"name": "one"})
    repo.track("edit", "one", "--name", "two")

    subjects = repo.git("log", "--format=%s", f"refs/runs/{run}").splitlines()

    assert subjects == ["run two: finished", "run one: finished", "train: begin"]
    edit = repo.git("log", "-1", "-p", "--format=", f"refs/runs/{run}")
    assert '+{"name":"two","author":"Ada Tester <ada@example.org>","time":"' in edit


@pytest.mark.parametrize("words", [("--name", ""), ("--name", "a\nb"), ("--name", "n" * 201), ("-m", "n" * 60_001), ()])
def test_what_cannot_be_set_is_refused(repo: GitRepo, words: tuple[str, ...]) -> None:
    [run] = record(repo, {"name": "one"})

    complaint(repo.track("edit", "one", *words, check=False), exit_code=2)

    assert repo.git("rev-list", "--count", f"refs/runs/{run}") == "2"


def test_a_note_is_written_in_gits_editor(repo: GitRepo) -> None:
    record(repo, {"name": "one"})
    repo.git("config", "core.editor", "printf 'from the editor\\n' >")

    code, output = on_a_terminal(["env", "TERM=xterm", "git", "track", "edit", "one"], cwd=repo.path)

    assert (code, output) == (0, b"")
    assert listed(repo)[0]["note"] == "from the editor"


def test_an_empty_note_changes_nothing(repo: GitRepo) -> None:
    [run] = record(repo, {"name": "one"})
    repo.git("config", "core.editor", "true")

    code, output = on_a_terminal(["env", "TERM=xterm", "git", "track", "edit", "one"], cwd=repo.path)

    assert code == 2
    assert output.startswith(b"error: the note is empty; nothing was changed")
    assert repo.git("rev-list", "--count", f"refs/runs/{run}") == "2"


def test_the_greatest_clock_wins_even_if_a_clock_is_ahead(repo: GitRepo) -> None:
    record(repo, {"name": "one"})
    for name in ("two", "three", "four"):
        repo.track("edit", "@", "--name", name)

    assert listed(repo)[0]["name"] == "four"
    assert repo.track("fsck").stdout == ""
