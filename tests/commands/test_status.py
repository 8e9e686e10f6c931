"""`git track status`: what runs and what is not pushed."""

from __future__ import annotations

import json

from tests.gitcmd import GitRepo
from tests.runs import complaint, record


def test_an_empty_repository_has_nothing_to_tell(empty_repo: GitRepo) -> None:
    assert empty_repo.track("status").stdout == "0 run(s), nothing being recorded.\n"
    assert json.loads(empty_repo.track("status", "--json").stdout) == {
        "running": [],
        "remote": None,
        "unpushed": [],
        "detached": 0,
        "runs": 0,
    }


def test_what_runs_and_what_is_not_pushed_is_listed(repo: GitRepo, bare_remote: GitRepo) -> None:
    ids = record(repo, {"name": "one"}, {"name": "two"})
    repo.track("push", "one")
    repo.track("start", "--name", "open")

    text = repo.track("status").stdout

    assert text.splitlines()[0] == "Being recorded:"
    assert "open  running" in text
    assert "Not pushed to 'origin' (`git track push` does):" in text.splitlines()
    assert "two" in text
    assert "one" not in text
    found = json.loads(repo.track("status", "--json").stdout)
    assert (found["remote"], found["unpushed"], found["runs"]) == ("origin", [ids[1]], 3)
    assert [run["name"] for run in found["running"]] == ["open"]
    repo.track("finish")


def test_when_all_is_pushed_it_says_so(repo: GitRepo, bare_remote: GitRepo) -> None:
    record(repo, {"name": "one"})
    repo.track("push")

    assert repo.track("status").stdout == "1 run(s), nothing being recorded, all on 'origin'.\n"


def test_an_edit_or_a_delete_of_a_pushed_run_is_unpushed_again(repo: GitRepo, bare_remote: GitRepo) -> None:
    ids = record(repo, {"name": "one"}, {"name": "two"})
    repo.track("push")
    repo.track("tag", "one", "x")
    repo.track("rm", "two")

    assert sorted(json.loads(repo.track("status", "--json").stdout)["unpushed"]) == sorted(ids)


def test_outside_a_repository_it_exits_128(repo: GitRepo) -> None:
    error = complaint(repo.track("status", cwd=repo.path.parent, check=False), exit_code=128)

    assert error.splitlines()[1].startswith("cause: not a git repository")
    assert error.splitlines()[2].startswith("hint: ")
