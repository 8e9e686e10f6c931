"""`git track rm`: hidden, not lost."""

from __future__ import annotations

from tests.gitcmd import GitRepo
from tests.runs import complaint, listed, record


def test_a_deleted_run_is_hidden_and_comes_back(repo: GitRepo) -> None:
    run, _ = record(repo, {"name": "one", "tags": ["t"]}, {"name": "two"})
    recorded = repo.git("rev-parse", f"refs/runs/{run}")

    done = repo.track("rm", "one")

    assert f"git track rm --undo {run[:8]}" in done.stderr
    assert [found["name"] for found in listed(repo)] == ["two"]
    assert "one" not in repo.track("log").stdout
    assert repo.track("tag").stdout == ""
    complaint(repo.track("tag", "one", "x", check=False), exit_code=3)
    repo.track("rm", "--undo", "one")
    assert [found["name"] for found in listed(repo)] == ["two", "one"]
    assert repo.git("rev-list", "--count", f"{recorded}..refs/runs/{run}") == "2"
    assert repo.git("merge-base", recorded, f"refs/runs/{run}") == recorded


def test_several_are_deleted_at_once(repo: GitRepo) -> None:
    record(repo, {"tags": ["bad"]}, {"tags": ["bad"]}, {"name": "good"})

    repo.track("rm", "tag:bad")

    assert [found["name"] for found in listed(repo)] == ["good"]


def test_deleting_twice_and_restoring_what_is_not_deleted_are_errors(repo: GitRepo) -> None:
    record(repo, {"name": "one"})
    complaint(repo.track("rm", "--undo", "one", check=False), exit_code=3)
    repo.track("rm", "one")

    assert "`git track rm --undo one`" in complaint(repo.track("rm", "one", check=False), exit_code=3)
    complaint(repo.track("rm", "nobody", check=False), exit_code=3)
    complaint(repo.track("rm", check=False), exit_code=2)


def test_an_open_run_is_thrown_away_with_its_pin(repo: GitRepo) -> None:
    (repo.path / "train.py").write_text("dirty\n", encoding="utf-8")
    run = repo.track("start", "--name", "open").stdout.strip()
    assert list(repo.refs("refs/gittrack/live/")) == [f"refs/gittrack/live/{run}"]

    repo.track("rm", "open")

    assert (listed(repo, "-a"), repo.refs("refs/gittrack/"), repo.refs("refs/runs/")) == ([], {}, {})
    complaint(repo.track("add", "-m", "loss=1", check=False), exit_code=3)
    complaint(repo.track("finish", check=False), exit_code=3)


def test_a_run_whose_process_lives_is_not_thrown_away(repo: GitRepo) -> None:
    done = repo.track("run", "--name", "busy", "--", "git", "track", "rm", "busy", check=False)

    assert done.returncode == 2
    assert "still being recorded" in done.stderr
    assert [found["name"] for found in listed(repo)] == ["busy"]
