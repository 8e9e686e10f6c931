"""Files of a run come here whole: out of git, out of our store of payloads, out of git-lfs's, or out of a store."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from gittrack import obtaining, store
from gittrack.errors import DataRefused, GittrackError, NotFound
from gittrack.model import Artifact
from gittrack.obtaining import File
from gittrack.refname import Oid
from gittrack.repo import Repo, open_repo
from tests.gitcmd import GitRepo
from tests.pointing import pointing, put

LARGE = b"weights " * 20_000


def opened(repo: GitRepo) -> Repo:
    return open_repo(repo.path)


@pytest.fixture
def lab(repo: GitRepo, tmp_path: Path) -> Path:
    """A folder that is the store `lab` of `repo`."""
    repo.git("config", "track.store.lab.url", str(tmp_path / "lab"))
    return tmp_path / "lab"


def test_a_payload_comes_from_the_store_that_has_it_and_then_stays(repo: GitRepo, lab: Path) -> None:
    run = pointing(repo, {"model.pt": LARGE})
    put(lab, LARGE)
    ((path, file),) = obtaining.obtain(opened(repo), run)
    assert (path, file.read_bytes()) == ("model.pt", LARGE)
    assert stat.S_IMODE(file.stat().st_mode) & 0o222 == 0
    put(lab, LARGE).unlink()
    assert obtaining.obtain(opened(repo), run) == [("model.pt", file)]


def test_what_git_lfs_has_is_verified_and_taken_in(repo: GitRepo) -> None:
    run = pointing(repo, {"model.pt": LARGE})
    lfs = put(repo.path / ".git/lfs/objects", LARGE)
    ((_, file),) = obtaining.obtain(opened(repo), run)
    lfs.unlink()
    assert file.read_bytes() == LARGE
    assert "gittrack/objects" in str(file)


def test_what_git_lfs_has_damaged_is_not_handed_out(repo: GitRepo) -> None:
    run = pointing(repo, {"model.pt": LARGE})
    put(repo.path / ".git/lfs/objects", LARGE).write_bytes(LARGE[::-1])
    with pytest.raises(DataRefused, match="damaged"):
        obtaining.obtain(opened(repo), run)
    assert list(obtaining.payloads_of(opened(repo)).all()) == []


def test_a_small_file_is_a_read_only_copy_that_mends_itself(repo: GitRepo) -> None:
    run = pointing(repo, {}, blobs={"report.txt": b"fine"})
    ((_, file),) = obtaining.obtain(opened(repo), run, ["report.txt"])
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode) & 0o222) == (b"fine", 0)
    file.chmod(0o644)
    file.write_bytes(b"evil")
    assert obtaining.obtain(opened(repo), run, ["report.txt"])[0][1].read_bytes() == b"fine"


def test_an_error_names_the_path_and_the_stores_that_were_asked(repo: GitRepo, lab: Path) -> None:
    run = pointing(repo, {"model.pt": LARGE, "other.pt": LARGE + b"2", "here.pt": LARGE + b"3"})
    lab.mkdir()
    put(lab, LARGE + b"3")
    repo.git("config", "track.store.odd.url", "gopher://nowhere")
    with pytest.raises(GittrackError) as caught:
        obtaining.obtain(opened(repo), run)
    error = caught.value
    assert f"artifact 'model.pt' of run '{run.name}' is not here" in str(error)
    assert str(error).endswith("; nor is other.pt")
    assert str(lab) in str(error.cause)
    assert "gopher" in str(error.cause)
    assert obtaining.obtain(opened(repo), run, ["here.pt"])[0][1].read_bytes() == LARGE + b"3"


def test_a_store_that_gives_wrong_bytes_gives_nothing(repo: GitRepo, lab: Path) -> None:
    run = pointing(repo, {"model.pt": LARGE})
    put(lab, LARGE).write_bytes(LARGE[::-1])
    with pytest.raises(DataRefused, match=r"model\.pt.*wrong payload"):
        obtaining.obtain(opened(repo), run)
    assert list(obtaining.payloads_of(opened(repo)).all()) == []


def test_a_blob_that_is_not_what_the_run_says_is_refused(repo: GitRepo) -> None:
    place, run = opened(repo), pointing(repo, {}, blobs={"a.txt": b"one"})
    with place.git.objects() as objects:
        detail = store.read_detail(objects, run.id, str(run.oid), oid_bytes=20)
        (file,) = obtaining.files_of(detail)
        lying = file._replace(item=replace(file.item, sha256="0" * 64))
        with pytest.raises(DataRefused, match=r"not what artifacts\.yaml says"):
            obtaining.bring(place, detail, [lying])


PATHS = ["best.pt", "out/a.pt", "out/deep/b.pt", "out/log.txt", "odd[1].pt", "artifacts/inner.txt"]
CHOICES = {
    "best.pt": ["best.pt"],
    "/best.pt": ["best.pt"],
    "artifacts/best.pt": ["best.pt"],
    "out": ["out/a.pt", "out/deep/b.pt", "out/log.txt"],
    "out/": ["out/a.pt", "out/deep/b.pt", "out/log.txt"],
    "*.pt": ["best.pt", "out/a.pt", "out/deep/b.pt", "odd[1].pt"],
    "out/*.pt": ["out/a.pt"],
    "out/**": ["out/a.pt", "out/deep/b.pt", "out/log.txt"],
    "**/b.pt": ["out/deep/b.pt"],
    "**/best.pt": ["best.pt"],
    "odd[1].pt": ["odd[1].pt"],
    "artifacts": ["artifacts/inner.txt"],
    "artifacts/": PATHS,
    "artifacts/inner.txt": ["artifacts/inner.txt"],
    "/".join(["**"] * 30) + "/b.pt": ["out/deep/b.pt"],
}


@pytest.mark.parametrize("asked", CHOICES)
def test_paths_folders_and_patterns_mean_files(asked: str) -> None:
    files = [File(Artifact(path, 1, ""), Oid("0" * 40), None) for path in PATHS]
    if asked == "artifacts/":
        files = files[:-1]
    names = [file.path for file in obtaining.chosen(files, [asked], run="calm-heron-42")]
    assert names == CHOICES[asked][: len(files)]


@pytest.mark.parametrize("asked", ["nothing.pt", "*.onnx", "ou", "out/*/c.pt"])
def test_what_means_no_file_is_an_error_that_lists_some(asked: str) -> None:
    files = [File(Artifact(path, 1, ""), Oid("0" * 40), None) for path in PATHS]
    with pytest.raises(NotFound) as caught:
        obtaining.chosen(files, ["best.pt", asked], run="calm-heron-42")
    assert str(caught.value) == f"run 'calm-heron-42' has no artifact '{asked}'"
    assert "best.pt" in (caught.value.hint or "")
