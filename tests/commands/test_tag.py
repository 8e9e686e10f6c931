"""`git track tag`: tags on runs, each change a commit of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.gitcmd import GitRepo
from tests.runs import complaint, listed, record


def tags(repo: GitRepo) -> list[list[str]]:
    """Returns the tags of all runs, newest run first."""
    return [run["tags"] for run in listed(repo)]


def test_tags_are_added_listed_and_taken_back(repo: GitRepo) -> None:
    record(repo, {"name": "one", "tags": ["recorded"]}, {"name": "two"})

    repo.track("tag", "one", "best", "paper/1")
    repo.track("tag", "two", "best")

    assert tags(repo) == [["best"], ["best", "paper/1", "recorded"]]
    assert repo.track("tag").stdout == "best\t2\npaper/1\t1\nrecorded\t1\n"
    assert repo.track("tag", "one").stdout == "best\npaper/1\nrecorded\n"
    repo.track("tag", "-d", "one", "best", "recorded")
    assert tags(repo) == [["best"], ["paper/1"]]
    repo.track("tag", "one", "best")
    assert tags(repo) == [["best"], ["best", "paper/1"]]


def test_each_change_is_a_commit_of_its_author_on_top(repo: GitRepo) -> None:
    [run] = record(repo, {"name": "one"})
    recorded = repo.git("rev-parse", f"refs/runs/{run}")

    repo.track("tag", "one", "best", env={"GIT_AUTHOR_NAME": "Grace", "GIT_AUTHOR_EMAIL": "g@example.org"})
    repo.track("tag", "-d", "one", "best")
    repo.track("tag", "one", "best", "again")

    log = repo.git("log", "--format=%an", f"{recorded}..refs/runs/{run}")
    assert log.splitlines() == ["Ada Tester", "Ada Tester", "Grace"]
    assert repo.git("diff", "--name-status", recorded, f"refs/runs/{run}").count("A\tedits/") == 3
    assert len(repo.git("diff", "--name-status", recorded, f"refs/runs/{run}").splitlines()) == 3


def test_a_tag_that_is_there_already_makes_no_commit(repo: GitRepo) -> None:
    [run] = record(repo, {"name": "one", "tags": ["best"]})
    before = repo.git("rev-parse", f"refs/runs/{run}")

    repo.track("tag", "one", "best")

    assert repo.git("rev-parse", f"refs/runs/{run}") == before


def test_sets_of_runs_are_tagged_at_once(repo: GitRepo) -> None:
    record(repo, {"tags": ["old"]}, {"tags": ["old"]}, {"group": "g"})

    repo.track("tag", "tag:old", "seen")
    repo.track("tag", "group:g", "grouped")

    assert tags(repo) == [["grouped"], ["old", "seen"], ["old", "seen"]]


@pytest.mark.parametrize("tag", ["", "two words", "a,b", "x" * 201, "tab\t", "line\n", "\x1b[31m", "\u202e"])
def test_what_is_no_tag_is_refused(repo: GitRepo, tag: str) -> None:
    record(repo, {"name": "one"})

    complaint(repo.track("tag", "one", tag, check=False), exit_code=2)

    assert tags(repo) == [[]]


def test_a_tag_that_a_run_does_not_have_cannot_be_taken_back(repo: GitRepo) -> None:
    record(repo, {"name": "one"})

    complaint(repo.track("tag", "-d", "one", "none", check=False), exit_code=3)
    complaint(repo.track("tag", "nobody", "x", check=False), exit_code=3)


def test_a_running_run_can_be_tagged_and_keeps_the_tag(repo: GitRepo) -> None:
    run = repo.track("start", "--name", "open", "--tag", "first").stdout.strip()
    repo.track("tag", "open", "second")
    repo.track("edit", "open", "-m", "while it runs", "--name", "renamed")
    repo.track("tag", "-d", "open", "first", check=False)
    repo.track("tag", "-d", "renamed", "first")

    repo.track("finish")

    [found] = listed(repo)
    assert (found["id"], found["name"], found["tags"], found["note"]) == (run, "renamed", ["second"], "while it runs")
    assert len(repo.git("ls-tree", "--name-only", f"refs/runs/{run}", "edits/").splitlines()) == 3


@pytest.mark.slow
def test_edits_of_eight_processes_at_once_are_all_kept(repo: GitRepo) -> None:
    [run] = record(repo, {"name": "one"})
    script = (
        "import sys; from gittrack import cli\n"
        f"sys.exit(max(cli.run(['tag', '{run}', f'{{sys.argv[1]}}-{{number}}']) for number in range(3)))"
    )

    processes = [
        subprocess.Popen([sys.executable, "-c", script, f"p{number}"], cwd=repo.path, stderr=subprocess.PIPE)
        for number in range(8)
    ]
    errors = [process.communicate()[1] for process in processes]

    assert [(process.returncode, error) for process, error in zip(processes, errors, strict=True)] == [(0, b"")] * 8
    assert tags(repo) == [sorted(f"p{number}-{i}" for number in range(8) for i in range(3))]
    assert repo.track("fsck").stdout == ""
