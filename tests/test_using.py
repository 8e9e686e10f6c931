"""`use_artifact`: what a run used of others is part of what is known of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import gittrack as gt
from gittrack import journal
from gittrack.codec import manifest
from gittrack.errors import Ambiguous, GittrackError, NotFound, UsageError
from tests.gitcmd import GitRepo
from tests.reader import named
from tests.runs import ask, shown

WEIGHTS = b"weights " * 20_000


def train(repo: GitRepo, name: str, content: bytes = WEIGHTS, **about: Any) -> str:
    """Records a run that keeps `model.pt`, and returns its id."""
    (repo.path / "model.pt").write_bytes(content)
    with contextlib.chdir(repo.path), gt.init(name=name) as run:
        run.log_artifact("model.pt", **about)
    (repo.path / "model.pt").unlink()
    return run.id


def fact(run: str, path: str = "model.pt", content: bytes = WEIGHTS) -> dict[str, Any]:
    return {"run": run, "path": path, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def test_what_was_used_is_recorded_shown_and_handed_out(repo: GitRepo) -> None:
    first = train(repo, "first")
    with contextlib.chdir(repo.path), gt.init(name="second") as run:
        model = run.use_artifact("first:model.pt")
        assert model.read() == WEIGHTS
        run.use_artifact("first:artifacts/model.pt")  # the same again is no second input
    found = named(repo, "second")
    assert found.facts["inputs"] == [fact(first)]
    assert shown(repo, "second")["inputs"] == [fact(first)]
    lines = ask(repo, "show", "second").splitlines()
    assert lines[lines.index("Inputs") + 1].split() == [f"{first}:model.pt", "156.2", "KiB"]
    assert gt.get("second", path=repo.path).facts["inputs"] == [fact(first)]
    assert shown(repo, "first")["inputs"] == []
    repo.track("fsck")


def test_a_folder_is_an_input_for_each_of_its_files(repo: GitRepo) -> None:
    (repo.path / "data").mkdir()
    for name in ("a", "b"):
        (repo.path / "data" / name).write_text(name)
    with contextlib.chdir(repo.path):
        with gt.init(name="first") as first:
            first.log_artifact("data")
        with gt.init(name="second"):
            assert [file.read() for file in gt.use_artifact("first:data")] == [b"a", b"b"]
        with gt.init(name="third") as third:
            third.use_artifact("first")
            assert third.use_artifact(gt.get("first").artifact("data/a")).read() == b"a"
    both = [fact(first.id, f"data/{name}", name.encode()) for name in ("a", "b")]
    assert named(repo, "second").facts["inputs"] == named(repo, "third").facts["inputs"] == both


def test_an_alias_is_that_of_the_newest_run_that_gave_it(repo: GitRepo) -> None:
    train(repo, "old", b"old", aliases=["prod"])
    new = train(repo, "new", b"new", aliases=["prod", "v2"])
    train(repo, "newest", b"newest", aliases=["v3"])
    with contextlib.chdir(repo.path), gt.init(name="user") as run:
        assert run.use_artifact("model.pt@prod").read() == b"new"
        assert run.use_artifact("model.pt:v2").run == new
        assert run.use_artifact("team/project/model.pt:v3").read() == b"newest"
        assert run.use_artifact("model.pt:latest").read() == b"newest"
        with pytest.raises(NotFound, match=r"no artifact 'model\.pt' has the alias 'staging'") as caught:
            run.use_artifact("model.pt@staging")
        assert caught.value.cause == "aliases of that name: prod, v2, v3"
        with pytest.raises(NotFound, match="no artifact 'other' has the alias 'prod'"):
            run.use_artifact("other@prod")
        with pytest.raises(NotFound, match="no run is called 'nobody'"):
            run.use_artifact("nobody:model.pt")
    assert {item["run"] for item in named(repo, "user").facts["inputs"]} >= {new}


def test_a_name_that_several_files_have_is_ambiguous(repo: GitRepo) -> None:
    with contextlib.chdir(repo.path):
        with gt.init(name="first") as run:
            for step in (1, 2):
                run.log_text("note", str(step), step=step)
        with gt.init() as run, pytest.raises(Ambiguous, match="the name of 2 files") as caught:
            run.use_artifact("note:latest")
    assert "media/note/1.txt" in (caught.value.cause or "")


def test_a_run_that_is_deleted_gives_no_alias(repo: GitRepo) -> None:
    train(repo, "old", b"old", aliases=["prod"])
    train(repo, "bad", b"bad", aliases=["prod"])
    ask(repo, "rm", "bad")
    with contextlib.chdir(repo.path), gt.init() as run:
        assert run.use_artifact("model.pt@prod").read() == b"old"


def test_what_cannot_be_found_stops_the_script_and_leaves_no_input(repo: GitRepo) -> None:
    train(repo, "first")
    with contextlib.chdir(repo.path), gt.init(name="second") as run:
        for text in ("first:nothing.pt", "nobody", "nobody@prod", "first:../run.yaml"):
            with pytest.raises(NotFound):
                run.use_artifact(text)
        with pytest.raises(GittrackError, match="still being recorded"):
            run.use_artifact("second:model.pt")
        with pytest.raises(UsageError, match="int is no artifact"):
            run.use_artifact(3)  # type: ignore[arg-type]
    assert "inputs" not in named(repo, "second").facts


def test_a_resumed_run_keeps_what_it_used_before(repo: GitRepo) -> None:
    one, two = train(repo, "one", b"1"), train(repo, "two", b"2")
    with contextlib.chdir(repo.path):
        with gt.init(name="third") as run:
            run.use_artifact("one:model.pt")
        with gt.init(resume=run.id) as run:
            run.use_artifact("two:model.pt")
            run.use_artifact("one:model.pt")
    assert named(repo, "third").facts["inputs"] == [fact(one, content=b"1"), fact(two, content=b"2")]


def test_a_run_that_died_tells_what_it_used(repo: GitRepo) -> None:
    first = train(repo, "first")
    repo.python(
        """
import os, signal
import gittrack as gt
run = gt.init(name="dead")
run.use_artifact("first:model.pt")
os.kill(os.getpid(), signal.SIGKILL)
""",
        check=False,
    )
    ask(repo, "ls")
    found = named(repo, "dead")
    assert (found.status, found.facts["inputs"]) == ("crashed", [fact(first)])


def test_the_content_comes_from_the_store_when_it_is_asked_for(repo: GitRepo, tmp_path: Path) -> None:
    train(repo, "first")
    payload = next((repo.path / ".git/gittrack/objects").glob("??/??/*"))
    store = tmp_path / "lab" / payload.relative_to(payload.parents[2])
    store.parent.mkdir(parents=True)
    payload.rename(store)
    repo.git("config", "track.store.lab.url", str(tmp_path / "lab"))
    with contextlib.chdir(repo.path), gt.init() as run:
        model = run.use_artifact("first:model.pt")
        assert not payload.exists()
        assert model.path() == payload
        assert payload.read_bytes() == WEIGHTS


@pytest.mark.parametrize("said", [3, "text", [1, "x", None], {"a": 1}])
def test_inputs_that_are_none_do_no_harm(said: Any) -> None:
    assert manifest.read_inputs({"inputs": said}) == []


def test_a_note_without_what_it_needs_is_counted_as_corrupt(repo: GitRepo) -> None:
    with contextlib.chdir(repo.path), gt.init(name="odd") as run:
        run._note("use", run="r0123456789ab", path="x", size=1)
    assert named(repo, "odd").facts["corrupt"] == 1


def test_a_live_run_that_used_something_can_be_read_and_listed(repo: GitRepo) -> None:
    train(repo, "first")
    with contextlib.chdir(repo.path), gt.init(name="live") as run:
        run.use_artifact("first:model.pt")
        assert json.loads(ask(repo, "show", "--json", "live"))["status"] == "running"
        notes = [note for item in journal.read(run.folder).journals.values() for note in item.notes]
        assert [note["path"] for note in notes if note["k"] == "use"] == ["model.pt"]


def test_inputs_come_back_from_run_yaml() -> None:
    inputs = [fact("r0123456789ab"), fact("r0123456789ac", "naïve: [x].pt", b"")]
    assert manifest.read_inputs(manifest.decode_run(manifest.encode_run({"id": "r1", "inputs": inputs}))) == inputs
