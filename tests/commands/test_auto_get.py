"""Large files that are shown, and those that come along with a pull."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.pointing import payloads_of, pointer_to, pointing, put
from tests.runs import ask, attempt

BEST = b"best " * 1000
LAST = b"last " * 1000


@pytest.fixture
def lab(repo: GitRepo, bare_remote: GitRepo, colleague: GitRepo, tmp_path: Path) -> Path:
    """A folder that is the store of `colleague`, who has not pulled a run with two large files yet."""
    pointing(repo, {"best.pt": BEST, "checkpoints/last.pt": LAST}, name="one")
    repo.git("push", "--quiet", "origin", "refs/runs/*:refs/runs/*")
    colleague.git("config", "track.store.lab.url", str(tmp_path / "lab"))
    put(tmp_path / "lab", BEST)
    put(tmp_path / "lab", LAST)
    return tmp_path / "lab"


def here(repo: GitRepo) -> set[str]:
    return {found.sha256 for found in payloads_of(repo).all()}


def test_a_pull_brings_no_large_files(colleague: GitRepo, lab: Path) -> None:
    ask(colleague, "pull")
    assert here(colleague) == set()


def test_a_pull_brings_what_auto_get_names(colleague: GitRepo, lab: Path) -> None:
    colleague.git("config", "track.autoGet", "best.*, none/**")
    assert "got 1 artifact, 4.9 KiB\n" in ask(colleague, "pull")
    assert here(colleague) == {pointer_to(BEST).sha256}
    assert attempt(colleague, "pull")[1:] == ("", "already up to date\n")


def test_what_does_not_come_does_not_stop_a_pull(colleague: GitRepo, lab: Path) -> None:
    put(lab, BEST).unlink()
    colleague.git("config", "track.autoGet", "**")
    code, out, err = attempt(colleague, "pull")
    assert (code, "got 1 artifact" in out) == (0, True)
    assert err.splitlines()[0].startswith("warning: artifact 'best.pt' did not come: payload ")
    assert here(colleague) == {pointer_to(LAST).sha256}


def test_show_prints_a_small_one_from_wherever_it_is(colleague: GitRepo, lab: Path) -> None:
    ask(colleague, "pull")
    assert ask(colleague, "show", "one:artifacts/best.pt") == BEST.decode()
    put(lab, LAST).unlink()
    code, out, err = attempt(colleague, "show", "one:artifacts/checkpoints/last.pt")
    assert (code, out) == (3, "")
    assert str(lab) in err


def test_show_names_the_size_of_a_large_one_and_how_to_get_it(repo: GitRepo) -> None:
    run = pointing(repo, {"big.pt": b"x" * (5 << 20)}, name="one")
    code, out, err = attempt(repo, "show", "one:artifacts/big.pt")
    assert (code, out) == (1, "")
    assert err == (
        "error: 'artifacts/big.pt' has 5.0 MiB, which is more than is shown\n"
        f"hint: `git track get {run.id}:artifacts/big.pt` writes it to a file\n"
    )
