"""`git track log`: runs along the history of the code."""

from __future__ import annotations

from tests.gitcmd import GitRepo
from tests.runs import complaint, record


def test_runs_stand_under_the_commit_they_were_made_from(repo: GitRepo) -> None:
    record(repo, {"name": "old", "metrics": {"acc": [0.5, 0.25]}, "goals": {"acc": "max"}, "tags": ["t"]})
    repo.commit({"train.py": "2\n"}, "between, without runs")
    repo.commit({"train.py": "3\n"}, "newest")
    (repo.path / "train.py").write_text("4\n", encoding="utf-8")
    record(repo, {"name": "dirty"})

    lines = repo.track("log").stdout.splitlines()

    assert [line.split(" ", 1)[1] for line in (lines[0], lines[2])] == ["(HEAD -> main) newest", "train: begin"]
    assert lines[1].endswith("dirty  finished  uncommitted changes")
    assert lines[3].endswith("old  finished  acc 0.5  [t]")
    assert len(lines) == 4


def test_runs_of_other_branches_are_counted(repo: GitRepo) -> None:
    record(repo, {"name": "here"})
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit({"side.py": "1\n"}, "side")
    record(repo, {"name": "there"})

    done = repo.track("log", "main")

    assert "there" not in done.stdout
    assert done.stderr == ("1 run(s) belong to commits that are not on 'main'; `git track log --unplaced` lists them\n")
    assert repo.track("log", "-n", "1", "side").stdout.count("\n") == 2


def test_a_branch_without_runs_and_a_name_that_is_none(repo: GitRepo) -> None:
    done = repo.track("log")
    assert (done.stdout, done.stderr) == ("", "no runs on 'HEAD'\n")
    for name in ("no-such-branch", "a..b", "main..b", "main...main"):
        complaint(repo.track("log", name, check=False), exit_code=3)
    assert repo.track("log", "--output=evil", check=False).returncode == 2
    assert not (repo.path / "evil").exists()


def test_a_repository_without_a_commit_has_no_log(empty_repo: GitRepo) -> None:
    complaint(empty_repo.track("log", check=False), exit_code=3)
