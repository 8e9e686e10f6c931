"""`Artifact`: files that are logged together under one name, and used again by it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

import gittrack as gt
from gittrack.errors import UsageError
from tests.gitcmd import GitRepo
from tests.reader import named, only


def test_its_files_stand_below_its_name_and_say_what_they_belong_to(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.txt").write_text("b")
    (tmp_path / "a.txt").write_text("a")
    made = gt.Artifact("data", "dataset", description="what it is", metadata={"rows": 2})
    made.add_file(tmp_path / "a.txt")
    made.add_file(str(tmp_path / "a.txt"), name="copy/again.txt")
    made.add_dir(tmp_path / "deep")
    made.add_dir(tmp_path / "deep", name="below")
    with made.new_file("made.json") as file:
        file.write("{}")
    made.add(gt.Table(columns=["n"], data=[[1]]), "table")
    made.add(gt.Html("<p>"), "page")
    with contextlib.chdir(repo.path), gt.init() as run:
        assert run.log_artifact(made, aliases=["v1"]) is made
        assert made.wait() is made
    found = only(repo)
    items = found.yaml("artifacts.yaml")
    names = ["a.txt", "b.txt", "below/b.txt", "copy/again.txt", "made.json", "page.html", "table.csv"]
    assert list(items) == [f"data/{name}" for name in names] == sorted(made.paths)
    assert found.raw("artifacts/data/table.csv") == b"n\n1\n"
    assert found.raw("artifacts/data/made.json") == b"{}"
    for item in items.values():
        assert (item["name"], item["type"], item["aliases"]) == ("data", "dataset", ["v1"])
        assert item["metadata"] == {"description": "what it is", "rows": 2}


SCRIPT = """
import gittrack as wandb

with wandb.init(project="p", job_type="train") as run:
    model = wandb.Artifact("model", type="model", metadata={"acc": 0.9})
    with open("../model.pt", "wb") as file:
        file.write(b"weights " * 20_000)
    model.add_file("../model.pt")
    run.log_artifact(model, aliases=["latest", "best"]).wait()
    wandb.log_artifact("../model.pt", "plain.pt", "model", None)

with wandb.init(project="p", job_type="evaluate", name="use") as run:
    model = run.use_artifact("team/p/model:best", type="model")
    folder = model.download()
    with open(f"{folder}/model.pt", "rb") as file:
        assert file.read() == b"weights " * 20_000
    assert model.metadata["acc"] == 0.9 and model.type == "model" and model.name == "model"
    assert wandb.use_artifact("model:latest").download(root="there") is not None
"""


def test_a_script_that_hands_a_model_on_runs_as_it_is(repo: GitRepo) -> None:
    done = repo.python(SCRIPT)
    assert (done.stdout, done.stderr) == ("", "")
    (used,) = named(repo, "use").facts["inputs"]
    assert used["path"] == "model/model.pt"
    assert (repo.path / "there" / "model.pt").exists()


def test_what_is_no_file_is_refused_when_it_is_added(tmp_path: Path) -> None:
    made = gt.Artifact("data")
    (tmp_path / "file").write_text("x")
    for add in (
        lambda: made.add_file(tmp_path),
        lambda: made.add_file(tmp_path / "nothing"),
        lambda: made.add_dir(tmp_path / "file"),
        lambda: made.add({"a": 1}, "name"),
    ):
        with pytest.raises(UsageError):
            add()
    for name in ("/abs", "../out"):
        with pytest.raises(UsageError, match="no path in an artifact"), made.new_file(name):
            pass


def test_a_file_that_went_away_is_counted_and_training_goes_on(
    repo: GitRepo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    made = gt.Artifact("data").add_file(tmp_path / "a").add_file(tmp_path / "b")
    (tmp_path / "a").unlink()
    with contextlib.chdir(repo.path), gt.init() as run:
        run.log_artifact(made)
        run.log({"loss": 1})
    found = only(repo)
    assert (found.status, found.facts["dropped"], found.values("loss")) == ("finished", 1, [1.0])
    assert "does not exist" in capsys.readouterr().err
    assert made.paths == ["data/b"]
