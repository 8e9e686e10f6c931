"""kill -9 at random moments: whatever `log()` returned for is in the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.killing import kill_one, moments
from tests.gitcmd import GitRepo
from tests.reader import only, runs


def lost_and_told(repo: GitRepo, tmp_path: Path, *, after: float, how: str = "journal") -> tuple[int, int]:
    """Kills one process; returns how many calls that `log()` returned for are lost, and how many there were."""
    death = kill_one(repo, tmp_path / "victim.py", after=after, how=how)
    repo.track("ls")
    found = only(repo)
    assert found.status == "crashed"
    kept = {int(row["n"]): row for row in found.rows if "n" in row}
    for number, row in kept.items():
        assert (row["step"], row["loss"], row["acc"]) == (number, 1.0 / (number + 1), -number)
    texts = {int(text) for text in found.texts("text")}
    lost = [n for n in range(death.calls) if n not in kept or (n % 100 == 0 and n not in texts)]
    repo.fsck()
    repo.git("update-ref", "-d", found.ref)
    return len(lost), death.calls


@pytest.mark.parametrize("after", moments(15, seed=1, longest=0.03))
def test_no_point_is_lost_after_log_returned(repo: GitRepo, tmp_path: Path, after: float) -> None:
    lost, told = lost_and_told(repo, tmp_path, after=after)
    assert (lost, told > 0) == (0, True)


def test_this_harness_sees_what_a_buffer_loses(repo: GitRepo, tmp_path: Path) -> None:
    lost, told = lost_and_told(repo, tmp_path, after=0.05, how="buffered")
    assert 0 < lost <= told


@pytest.mark.faults
def test_a_hundred_kills_lose_nothing(repo: GitRepo, tmp_path: Path) -> None:
    deaths = [lost_and_told(repo, tmp_path, after=after) for after in moments(100, seed=2, longest=0.25)]
    assert sum(lost for lost, _ in deaths) == 0
    assert sum(told for _, told in deaths) > 100_000


def test_killed_processes_do_not_disturb_one_another(repo: GitRepo, tmp_path: Path) -> None:
    told = [kill_one(repo, tmp_path / "victim.py", after=0.01).calls for _ in range(3)]
    said = repo.track("status").stderr
    assert said.count("recovered run") == 3
    assert [run.status for run in runs(repo)] == ["crashed"] * 3
    assert all(len(run.values("n")) >= calls for run, calls in zip(runs(repo), told, strict=True))


def test_two_commands_at_once_seal_a_dead_run_once(repo: GitRepo, tmp_path: Path) -> None:
    kill_one(repo, tmp_path / "victim.py", after=0.02)
    repo.git(
        "-c",
        "alias.four=!for n in 1 2 3 4; do git track ls >/dev/null 2>&1 & done; wait",
        "four",
    )
    assert repo.git("rev-list", "--count", only(repo).ref, "^main") == "1"
    assert list((repo.path / ".git" / "gittrack" / "live").iterdir()) == []
