"""An artifact that is logged again is a new version; what replaces a file says so."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

import gittrack as gt
from gittrack import versions
from gittrack.errors import NotFound
from tests.gitcmd import GitRepo
from tests.reader import named, only

LARGE = b"weights " * 20_000


def content(epoch: int, *, large: bool) -> bytes:
    return bytes([epoch]) + (LARGE if large else b"small")


@pytest.mark.parametrize("large", [False, True])
def test_the_loop_that_logs_a_model_each_epoch_keeps_every_one(repo: GitRepo, tmp_path: Path, large: bool) -> None:
    made = []
    with contextlib.chdir(repo.path), gt.init(name="train") as run:
        for epoch in range(3):
            (tmp_path / "m.pt").write_bytes(content(epoch, large=large))
            model = gt.Artifact("model", type="model")
            model.add_file(tmp_path / "m.pt")
            made.append(run.log_artifact(model, aliases=[f"e{epoch}", "best"]))
    assert [(one.version, one.paths) for one in made] == [
        ("v0", ["model/m.pt"]),
        ("v1", ["model-v1/m.pt"]),
        ("v2", ["model-v2/m.pt"]),
    ]
    items = only(repo).yaml("artifacts.yaml")
    assert {path: item["aliases"] for path, item in items.items()} == {
        "model/m.pt": ["e0", "best"],
        "model-v1/m.pt": ["e1", "best"],
        "model-v2/m.pt": ["e2", "best"],
    }
    assert {item["name"] for item in items.values()} == {"model"}
    asked = {"best": 2, "latest": 2, "v0": 0, "v1": 1, "v2": 2, "e0": 0, "e1": 1}
    with contextlib.chdir(repo.path), gt.init(name="use") as run:
        for alias, epoch in asked.items():
            found = run.use_artifact(f"model:{alias}")
            assert (found.version, found.name) == (f"v{epoch}", "model")
            assert (found.download(tmp_path / alias) / "m.pt").read_bytes() == content(epoch, large=large)
        assert run.use_artifact("m.pt@best").read() == content(2, large=large)
        with pytest.raises(NotFound):
            run.use_artifact("model:v3")
    repo.track("fsck")


@pytest.mark.parametrize("large", [False, True])
def test_equal_content_is_no_new_version_and_adds_its_aliases(repo: GitRepo, tmp_path: Path, large: bool) -> None:
    with contextlib.chdir(repo.path), gt.init() as run:
        model = gt.Artifact("model")
        for alias in ("one", "two"):
            (tmp_path / "m.pt").write_bytes(content(1, large=large))  # with a time of its own
            model = run.log_artifact(gt.Artifact("model").add_file(tmp_path / "m.pt"), aliases=[alias])
        assert model.version == "v0"
        model = gt.Artifact("model").add_file(tmp_path / "m.pt")
        model.add_file(tmp_path / "m.pt", "again.pt")
        assert run.log_artifact(model).version == "v1"
    items = only(repo).yaml("artifacts.yaml")
    assert {path: item.get("aliases") for path, item in items.items()} == {
        "model/m.pt": ["one", "two"],
        "model-v1/m.pt": None,
        "model-v1/again.pt": None,
    }


def test_a_name_that_looks_like_a_version_of_another_takes_no_place_from_it(repo: GitRepo, tmp_path: Path) -> None:
    with contextlib.chdir(repo.path), gt.init() as run:
        for text, name in (("a", "model-v1"), ("b", "model"), ("c", "model"), ("d", "model-v2")):
            (tmp_path / "m.pt").write_text(text)
            run.log_artifact(gt.Artifact(name).add_file(tmp_path / "m.pt"))
    found = only(repo)
    kept = {path: found.raw(f"artifacts/{path}") for path in found.yaml("artifacts.yaml")}
    assert kept == {
        "model-v1/m.pt": b"a",
        "model/m.pt": b"b",
        "model-v2/m.pt": b"c",
        "model-v2-v1/m.pt": b"d",
    }


def test_a_resumed_run_goes_on_counting(repo: GitRepo, tmp_path: Path) -> None:
    contents = [b"1", LARGE + b"1", LARGE + b"1", LARGE + b"2"]
    identifier = None
    for number, each in enumerate(contents):
        (tmp_path / "m.pt").write_bytes(each)
        with contextlib.chdir(repo.path), gt.init(name="train", resume=identifier) as run:
            run.log_artifact(gt.Artifact("model").add_file(tmp_path / "m.pt"), aliases=[f"r{number}"])
        identifier = run.id
    items = named(repo, "train").yaml("artifacts.yaml")
    assert {path: item["aliases"] for path, item in items.items()} == {
        "model/m.pt": ["r0"],
        "model-v1/m.pt": ["r1", "r2"],
        "model-v2/m.pt": ["r3"],
    }


def test_where_versions_stand() -> None:
    for number in (0, 1, 12):
        assert versions.number_of("model", f"{versions.folder('model', number)}/deep/m.pt") == number
    for path in ("model", "models/m.pt", "model-v0/m.pt", "model-v01/m.pt", "model-vx/m.pt", "other/model/m.pt"):
        assert versions.number_of("model", path) is None


@pytest.mark.parametrize("large", [False, True])
def test_a_file_that_replaces_another_says_so_once_for_each_path(
    repo: GitRepo,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    large: bool,
) -> None:
    with contextlib.chdir(repo.path), gt.init() as run:
        for epoch in (1, 1, 2, 3):
            (tmp_path / "last.pt").write_bytes(content(epoch, large=large))
            run.log_artifact(tmp_path / "last.pt")
            run.log_artifact(tmp_path / "last.pt", name=f"model-{epoch}.pt")
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "gittrack: warning: 'last.pt' was logged before with other content, which the newest replaces; "
        'to keep both, give each a name: name=f"last-{step}.pt"'
    )


def test_what_this_run_logged_itself_is_not_there_until_it_ended(
    repo: GitRepo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "d.csv").write_text("1")
    with contextlib.chdir(repo.path):
        with gt.init(name="first") as run:
            run.log_artifact(gt.Artifact("ds").add_file(tmp_path / "d.csv"), aliases=["prod"])
            for asked in ("ds:prod", "team/p/ds:latest", "ds:v0", "ds@prod"):
                with pytest.raises(NotFound, match="is not there yet") as caught:
                    run.use_artifact(asked)
                assert caught.value.cause == "'ds' was logged by run 'first' itself, which has not ended"
            with pytest.raises(NotFound, match="no run is called"):
                run.use_artifact("ds:other")
        with gt.init(name="second") as run:
            run.log_artifact(gt.Artifact("ds").add_file(tmp_path / "d.csv"), aliases=["prod"])
            assert run.use_artifact("ds:prod").run_name == "first"
    assert capsys.readouterr().err.count("'ds' was logged by run 'second' itself, which has not ended") == 1
