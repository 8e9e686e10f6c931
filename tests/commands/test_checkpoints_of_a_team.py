"""Large files from one person's training to another's folder, and out of the way again, through each kind of store."""

from __future__ import annotations

import contextlib
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import gittrack
from gittrack.commands import common
from tests import gitcmd
from tests.gitcmd import GitRepo
from tests.pointing import payloads_of
from tests.recording import make
from tests.runs import ask, attempt
from tests.servers import buckets
from tests.servers.lfs import lfs_server

PAGE = Path(__file__).parent.parent.parent / "docs/how-to/share-checkpoints.md"
WEIGHTS = bytes(range(256)) * 1000


def train(repo: GitRepo, name: str) -> None:
    """Records a run that logs a checkpoint, and removes the file that it wrote."""
    (repo.path / "model.pt").write_bytes(WEIGHTS)
    (repo.path / "checkpoints").mkdir()
    (repo.path / "checkpoints/last.pt").write_bytes(WEIGHTS[::-1])
    make(repo, {"val/acc": [0.5]}, goals={"val/acc": "max"}, name=name, files=["model.pt", "checkpoints"])
    (repo.path / "model.pt").unlink()
    shutil.rmtree(repo.path / "checkpoints")


def here(repo: GitRepo) -> int:
    return len(list(payloads_of(repo).all()))


def hours_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "now", lambda: datetime.now(UTC) + timedelta(hours=2))


def travels(repo: GitRepo, colleague: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pushes from one clone, gets in another, makes room there, and gets again."""
    train(repo, "one")
    ask(repo, "push", "--yes")
    ask(colleague, "pull")
    assert here(colleague) == 0
    for _ in range(2):
        ask(colleague, "get", "one")
        assert (colleague.path / "one/model.pt").read_bytes() == WEIGHTS
        assert (colleague.path / "one/checkpoints/last.pt").read_bytes() == WEIGHTS[::-1]
        assert here(colleague) == 2
        shutil.rmtree(colleague.path / "one")
        with monkeypatch.context() as patched:
            hours_later(patched)
            assert "freed 2 payloads" in ask(colleague, "gc", "--artifacts")
        assert here(colleague) == 0
    assert attempt(colleague, "fsck", "--artifacts")[0] == 0


def test_through_the_folder_that_the_remote_brings_along(
    repo: GitRepo, colleague: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    travels(repo, colleague, monkeypatch)


def test_through_an_lfs_server(repo: GitRepo, colleague: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    with lfs_server() as server:
        for each in (repo, colleague):
            each.git("config", "remote.origin.lfsurl", server.url)
        travels(repo, colleague, monkeypatch)
        said = ask(repo, "store", "check")
        assert [line.split()[:2] for line in said.splitlines()[1:4]] == [
            [word, "ok,"] for word in ("put", "exists", "get")
        ]
        assert "delete   not possible there: 4096 bytes stay, " in said


def test_through_a_bucket(repo: GitRepo, colleague: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    with buckets.moto() as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        for each in (repo, colleague):
            ask(each, "store", "add", "lab", f"s3://{buckets.BUCKET}/lab")
        travels(repo, colleague, monkeypatch)
        assert "delete   ok" in ask(repo, "store", "check", "lab")
        assert attempt(repo, "store", "check", "lab")[2] == ""


def test_large_ones_go_to_the_store_that_takes_them(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    lab, big = tmp_path / "lab", tmp_path / "big"
    ask(repo, "store", "add", "lab", str(lab))
    ask(repo, "store", "add", "big", str(big), "--min-size", "200K")
    (repo.path / "small.pt").write_bytes(WEIGHTS[:100_000])
    (repo.path / "large.pt").write_bytes(WEIGHTS)
    make(repo, name="one", files=["small.pt", "large.pt"])
    ask(repo, "push", "--yes")
    sizes = [[path.stat().st_size for path in store.rglob("*") if path.is_file()] for store in (lab, big)]
    assert sizes == [[100_000], [len(WEIGHTS)]]


def test_the_page_about_it_runs_from_top_to_bottom(
    repo: GitRepo, bare_remote: GitRepo, colleague: GitRepo, tmp_path: Path
) -> None:
    stores, share, room, clean, check = _blocks(tmp_path)
    for disk in ("lab", "big"):
        (tmp_path / disk).mkdir()
    for each in (repo, colleague):
        _shell(each, stores)
    _train_with_alias(repo, "bold-ox-7", "prod")
    train(repo, "calm-heron-42")
    ask(repo, "push", "--yes")
    _shell(colleague, share)
    assert (colleague.path / "bold-ox-7/model.pt").read_bytes() == WEIGHTS
    assert (colleague.path / "model.pt").read_bytes() == WEIGHTS
    assert (colleague.path / "calm-heron-42/model.pt").read_bytes() == WEIGHTS
    assert (colleague.path / "models/model.pt").read_bytes() == WEIGHTS
    assert (colleague.path / "checkpoints/last.pt").read_bytes() == WEIGHTS[::-1]
    for block in (room, clean, check):
        _shell(colleague, block)
    assert here(colleague) == 2  # an hour has not passed


def _train_with_alias(repo: GitRepo, name: str, alias: str) -> None:
    """Records a run whose checkpoint has an alias."""
    (repo.path / "model.pt").write_bytes(WEIGHTS)
    with contextlib.chdir(repo.path), gittrack.init(name=name) as run:
        run.log_artifact("model.pt", aliases=[alias])
    (repo.path / "model.pt").unlink()


def _blocks(tmp_path: Path) -> list[str]:
    """Returns the commands of the page, with stores that can be had here."""
    text = (
        PAGE.read_text("utf-8").replace("/shared/lab", f"{tmp_path}/lab").replace("s3://our-bucket", f"{tmp_path}/big")
    )
    return re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def _shell(repo: GitRepo, script: str) -> str:
    return gitcmd.run(["sh", "-ec", script], cwd=repo.path).stdout
