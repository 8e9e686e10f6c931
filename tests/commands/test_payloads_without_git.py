"""Large files on a machine without git: they are got and looked at, and nothing is deleted."""

from __future__ import annotations

from pathlib import Path

from tests.gitcmd import GitRepo
from tests.nogit import track
from tests.pointing import keep, pointing, put
from tests.runs import complaint

WEIGHTS = b"weights " * 1000


def test_what_works_without_git_and_what_does_not(repo: GitRepo, tmp_path: Path) -> None:
    pointing(repo, {"model.pt": WEIGHTS}, name="one")
    repo.git("config", "track.store.lab.url", str(tmp_path / "lab"))
    put(tmp_path / "lab", WEIGHTS)
    unneeded = keep(repo, b"old" * 100)

    assert track(repo, "get", "one").stdout == "wrote one/model.pt, 7.8 KiB\n"
    assert (repo.path / "one/model.pt").read_bytes() == WEIGHTS
    assert track(repo, "show", "one:artifacts/model.pt").stdout == WEIGHTS.decode()
    assert "lab" in track(repo, "store", "ls").stdout
    assert "put      ok" in track(repo, "store", "check").stdout
    assert "2 payload(s) are sound" in track(repo, "fsck", "--artifacts").stderr
    assert "payloads stay: which are needed cannot be told without git" in track(repo, "gc").stderr
    assert unneeded.exists()
    for words in (("store", "add", "b", str(tmp_path / "b")), ("store", "rm", "lab")):
        error = complaint(track(repo, *words, check=False), exit_code=128)
        assert error.startswith("error: git is not installed, or not on PATH\n")
