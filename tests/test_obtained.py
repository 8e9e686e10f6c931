"""`gt.get(RUN).artifact(PATH)`: the content of what a run kept, wherever it is."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path

import pytest

import gittrack as gt
from gittrack.errors import DataRefused, GittrackError, NotFound, UsageError
from tests.gitcmd import GitRepo
from tests.nogit import without_git
from tests.runs import attempt

LARGE = b"weights " * 20_000  # a pointer; what is small is a blob


@pytest.fixture
def run(repo: GitRepo) -> gt.RecordedRun:
    """A run that kept large and small files, alone and in a folder."""
    for name, content in {"model.pt": LARGE, "out/a.bin": LARGE + b"a", "out/deep/b.txt": b"small"}.items():
        (repo.path / name).parent.mkdir(parents=True, exist_ok=True)
        (repo.path / name).write_bytes(content)
    with contextlib.chdir(repo.path), gt.init(name="first") as active:
        active.log_artifact("model.pt", type="model", aliases=["best"], metadata={"epochs": 3}, step=7)
        active.log_artifact("out")
    return gt.get("first", path=repo.path)


def test_a_file_tells_what_it_is_and_gives_its_content(run: gt.RecordedRun) -> None:
    model = run.artifact("model.pt")
    assert (model.size, model.sha256) == (len(LARGE), hashlib.sha256(LARGE).hexdigest())
    assert (model.name, model.within, model.type, model.aliases) == ("model.pt", "model.pt", "model", ("best",))
    assert (model.metadata, model.step, model.run, model.run_name) == ({"epochs": 3}, 7, run.id, "first")
    assert model.read() == LARGE
    assert model.path().read_bytes() == LARGE
    assert stat.S_IMODE(model.path().stat().st_mode) & 0o222 == 0
    with model.open() as file:
        assert file.read(8) == b"weights "
    assert repr(model) == f"<artifact first:model.pt ({run.id}), {len(LARGE)} bytes>"
    assert model == run.artifact("artifacts/model.pt")


def test_a_small_file_has_a_path_too(run: gt.RecordedRun) -> None:
    small = run.artifact("out/deep/b.txt")
    assert small.path().read_bytes() == small.read() == b"small"
    assert stat.S_IMODE(small.path().stat().st_mode) & 0o222 == 0


def test_a_folder_is_all_files_below_it(run: gt.RecordedRun, tmp_path: Path) -> None:
    out = run.artifact("out/")
    assert (out.is_folder, out.sha256, out.size) == (True, None, len(LARGE) + 6)
    assert [file.within for file in out] == ["out/a.bin", "out/deep/b.txt"]
    assert out.get_path("deep/b.txt").read() == b"small"
    assert out.get_path("deep").files[0].read() == b"small"
    for ask in (out.path, out.open, out.read):
        with pytest.raises(UsageError, match="is a folder") as caught:
            ask()
        assert "download" in (caught.value.hint or "")
    assert out.download(tmp_path / "here") == tmp_path / "here"
    assert (tmp_path / "here" / "deep" / "b.txt").read_bytes() == b"small"
    assert (tmp_path / "here" / "a.bin").read_bytes() == LARGE + b"a"


def test_without_a_path_it_is_everything(run: gt.RecordedRun, tmp_path: Path) -> None:
    assert len(run.artifact().files) == len(run.artifact("artifacts/").files) == len(run.artifacts) == 3
    run.artifact().download(tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == LARGE


def test_a_download_is_the_users_own_copy(run: gt.RecordedRun, repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.path)
    model = run.artifact("model.pt")
    made = model.download()
    assert made == Path("artifacts", run.id, "model.pt")
    made.write_bytes(b"mine")
    assert model.read() == LARGE
    assert model.download() == made
    assert made.read_bytes() == LARGE
    assert run.artifact("out/deep/b.txt").download("there") == Path("there", "b.txt")


def test_one_that_is_damaged_here_is_brought_again(run: gt.RecordedRun, repo: GitRepo, tmp_path: Path) -> None:
    model = run.artifact("model.pt")
    here = model.path()
    store = tmp_path / "store" / here.relative_to(here.parents[2])
    store.parent.mkdir(parents=True)
    store.write_bytes(LARGE)
    here.chmod(0o644)
    here.write_bytes(LARGE[::-1])
    with pytest.raises(GittrackError, match=r"model\.pt"):
        model.download(tmp_path / "out")
    assert not (tmp_path / "out" / "model.pt").exists()
    repo.git("config", "track.store.lab.url", str(tmp_path / "store"))
    again = gt.get("first", path=repo.path).artifact("model.pt")
    assert again.download(tmp_path / "out").read_bytes() == LARGE


def test_read_and_open_of_a_run_give_the_content_and_not_the_pointer(run: gt.RecordedRun) -> None:
    assert run.read("artifacts/model.pt") == LARGE
    with run.open("artifacts/model.pt") as file:
        assert file.read() == LARGE
    assert run.read("artifacts/out/deep/b.txt") == b"small"
    with run.open("params.yaml") as file:
        assert file.read() == run.read("params.yaml")


@pytest.mark.parametrize("path", ["nothing.pt", "out/c", "../run.yaml", "model.pt/x"])
def test_what_a_run_does_not_have_is_said_with_what_it_has(run: gt.RecordedRun, path: str) -> None:
    with pytest.raises(NotFound, match="has no artifact") as caught:
        run.artifact(path)
    assert "model.pt" in (caught.value.hint or "")


def test_a_pattern_is_no_single_file(run: gt.RecordedRun) -> None:
    with pytest.raises(UsageError, match="is a pattern, which means 1 file"):
        run.artifact("*.pt")


def test_a_run_without_files_and_one_that_is_recorded_say_so(repo: GitRepo) -> None:
    with contextlib.chdir(repo.path), gt.init(name="empty"), pytest.raises(GittrackError, match="still being recorded"):
        gt.get("empty").artifact("x")
    with pytest.raises(NotFound, match="has no artifacts"):
        gt.get("empty", path=repo.path).artifact()


def test_a_payload_that_is_nowhere_is_one_clear_error(run: gt.RecordedRun) -> None:
    run.artifact("model.pt").path().unlink()
    for ask in (run.artifact("model.pt").path, lambda: run.read("artifacts/model.pt")):
        with pytest.raises(GittrackError, match=r"artifact 'model\.pt' of run 'first' is not here") as caught:
            ask()
        assert "no store is known here" in str(caught.value.cause)


def test_nothing_is_downloaded_through_a_link(run: gt.RecordedRun, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "deep").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataRefused):
        run.artifact("out").download(tmp_path / "into")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_get_on_the_command_line_writes_is_the_same(run: gt.RecordedRun, repo: GitRepo, tmp_path: Path) -> None:
    code, _, err = attempt(repo, "get", "first:model.pt", "-o", str(tmp_path / "cli"))
    assert code == 0, err
    assert (tmp_path / "cli" / "model.pt").read_bytes() == run.artifact("model.pt").read()


def test_gc_deletes_copies_that_nobody_asked_for_lately_and_purge_all(run: gt.RecordedRun, repo: GitRepo) -> None:
    small = run.artifact("out/deep/b.txt")
    copy = small.path()
    assert attempt(repo, "gc", "-q")[0] == 0
    assert copy.exists()
    os.utime(copy, (1, 1))
    assert small.path() == copy  # asked for again
    assert attempt(repo, "gc", "-q")[0] == 0
    assert copy.exists()
    os.utime(copy, (1, 1))
    assert attempt(repo, "gc", "-q")[0] == 0
    assert not copy.exists()
    assert small.path() == copy
    assert attempt(repo, "gc", "-q", "--yes", "--purge", "first")[0] == 0
    assert not copy.exists()


def test_all_of_it_works_on_a_machine_without_git(run: gt.RecordedRun, repo: GitRepo) -> None:
    script = """
import gittrack as gt
assert gt.get("first").artifact("model.pt").read() == b"weights " * 20_000
with gt.init(name="second") as run:
    assert run.use_artifact("model.pt@best").size == 160_000
    run.log_text("note", "x")
"""
    done = repo.python(script, env=without_git(repo, "python"))
    assert "Traceback" not in done.stderr
    second = gt.get("second", path=repo.path)
    assert [item["path"] for item in second.facts["inputs"]] == ["model.pt"]
    assert second.read("artifacts/media/note/0.txt") == b"x"
