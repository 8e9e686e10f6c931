"""A run that goes on: the same run, one more commit on top, nothing of before lost."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.reader import Recorded, only, runs

CRASH = """
import os
import gittrack as gt

run = gt.init(name="first", params={"lr": 0.1}, tags=["old"], notes="old note", group="g", id="experiment-7")
run.define_metric("loss", goal="min")
for step in range(3):
    gt.log({"loss": 3.0 - step})
gt.log({"text": "before"}, step=2)
open("../a.txt", "w").write("old a")
open("../b.txt", "w").write("old b")
run.log_artifact("../a.txt")
run.log_artifact("../b.txt")
run.summary["best"] = 5
"""


def go_on(repo: GitRepo, arguments: str, then: str = "gt.log({'loss': 0.5})", *, check: bool = True) -> str:
    """Runs a script that begins with `init(ARGUMENTS)`; returns what it says."""
    script = "import gittrack as gt\nrun = gt.init(" + arguments + ")\n" + textwrap.dedent(then)
    return repo.python(script, check=check).stderr


@pytest.fixture
def finished(repo: GitRepo) -> Recorded:
    repo.python(CRASH)
    return only(repo)


@pytest.mark.parametrize("by", ["id", "id prefix", "name", "wandb id", "ref"])
def test_a_run_is_found_by_what_names_it_and_its_steps_go_on(repo: GitRepo, finished: Recorded, by: str) -> None:
    arguments = {
        "id": f"resume='{finished.id}'",
        "id prefix": f"resume='{finished.id[:6]}'",
        "name": "resume='first'",
        "wandb id": "id='experiment-7', resume='allow'",
        "ref": f"resume='{finished.ref}'",
    }[by]
    before = repo.git("rev-parse", finished.ref)
    said = go_on(
        repo, arguments, "assert (run.resumed, run.starting_step, run.step) == (True, 3, 3)\ngt.log({'loss': 0.5})"
    )
    assert said == "gittrack: run first goes on at step 3\n"
    found = only(repo)
    assert found.id == finished.id
    assert found.parents[0] == before
    assert found.points("loss") == [(0, 3.0), (1, 2.0), (2, 1.0), (3, 0.5)]
    repo.track("fsck")


def test_what_was_before_is_joined_with_what_came_after(repo: GitRepo, finished: Recorded) -> None:
    repo.track("tag", "first", "edited")
    repo.track("edit", "first", "--note", "edited note", "--star")
    go_on(
        repo,
        "resume='first', params={'lr': 0.1, 'new': 1}, tags=['later'], notes='later note'",
        """
        assert (run.config.lr, run.config.new) == (0.1, 1)
        gt.log({"loss": 0.5, "acc": 1.0})
        gt.log({"text": "after"}, step=3)
        open("../b.txt", "w").write("new b")
        run.log_artifact("../b.txt")
        """,
    )
    found = only(repo)
    assert found.params == {"lr": 0.1, "new": 1}
    assert found.record["tags"] == ["edited", "later", "old"]
    assert (found.record["group"], found.record["starred"], found.record["note"]) == ("g", True, "edited note")
    assert json.loads(repo.track("show", "--json", "first").stdout)["notes"] == [
        "old note",
        "later note",
        "edited note",
    ]
    assert found.texts("text") == ["before", "after"]
    assert (found.metrics["loss"]["best"], found.metrics["loss"]["count"]) == (0.5, 4)
    assert found.metrics["best"]["last"] == 5.0
    assert found.points("acc") == [(3, 1.0)]
    assert (found.raw("artifacts/a.txt"), found.raw("artifacts/b.txt")) == (b"old a", b"new b")
    assert found.record["artifacts"] == {"count": 2, "size": 10}
    assert len(found.facts["resumed"]) == 1
    assert found.record["created"] == finished.record["created"]
    assert found.record["ended"] > finished.record["ended"]
    repo.track("fsck")


def test_a_param_that_changed_is_kept_as_an_event(repo: GitRepo, finished: Recorded) -> None:
    said = go_on(repo, "resume='first', params={'lr': 0.2}")
    assert "param 'lr' already has a value" in said
    found = only(repo)
    assert found.params == {"lr": 0.1}
    assert [(event["key"], event["value"]) for event in found.events if event["kind"] == "param"] == [("lr", 0.2)]


def test_a_run_goes_on_as_often_as_it_must(repo: GitRepo, finished: Recorded) -> None:
    for turn in range(4):
        go_on(repo, "resume='first'", f"for _ in range(2): gt.log({{'loss': {turn}}})")
    found = only(repo)
    assert found.points("loss")[3:] == [(3 + call, float(call // 2)) for call in range(8)]
    assert len(found.facts["resumed"]) == 4
    assert repo.git("rev-list", "--count", "--first-parent", found.ref, "^main") == "5"


def test_the_first_parent_of_a_resumed_run_is_its_earlier_commit_and_new_code_goes_along(
    repo: GitRepo, finished: Recorded
) -> None:
    before = repo.git("rev-parse", finished.ref)
    (repo.path / "train.py").write_text("changed\n", encoding="utf-8")
    go_on(repo, "resume='first'")
    found = only(repo)
    code = found.facts["code"]
    assert found.parents == [before, code["snapshot"]]
    assert repo.git("show", f"{found.ref}^2:train.py") == "changed"
    assert repo.git("rev-parse", f"{found.ref}^^") == repo.git("rev-parse", "main")


def test_code_that_the_earlier_commit_reaches_is_no_second_parent(repo: GitRepo, finished: Recorded) -> None:
    before = repo.git("rev-parse", finished.ref)
    go_on(repo, "resume='first'")
    assert only(repo).parents == [before]


@pytest.mark.parametrize("wish", ["True", "'auto'", "'allow'", "'must'"])
def test_the_same_command_goes_on_with_the_run_that_it_was_killed_in(repo: GitRepo, tmp_path: Path, wish: str) -> None:
    script = tmp_path / "job.py"
    script.write_text(
        f"""
import os, pathlib
import gittrack as gt

again = pathlib.Path("../again")
run = gt.init(resume={wish if wish != "'must'" else "'must' if again.exists() else None"})
for _ in range(3):
    gt.log({{"loss": 1.0}})
if not again.exists():
    again.touch()
    os._exit(1)
""",
        encoding="utf-8",
    )
    launcher = f"import os, sys\nos.execv(sys.executable, [sys.executable, {str(script)!r}, '--x', '1'])\n"
    repo.python(launcher, check=False)
    said = repo.python(launcher).stderr
    found = only(repo)
    assert "goes on at step 3" in said
    assert (found.status, len(found.values("loss"))) == ("finished", 6)
    assert [step for step, _ in found.points("loss")] == list(range(6))


def test_another_command_or_a_finished_run_is_not_gone_on_with(repo: GitRepo, finished: Recorded) -> None:
    go_on(repo, "resume='auto'")
    assert len(runs(repo)) == 2


def test_a_run_that_must_go_on_and_is_not_there_is_an_error(repo: GitRepo, finished: Recorded) -> None:
    for arguments in ("resume='must'", "id='other', resume='must'", "resume='no-such-run'"):
        said = go_on(repo, arguments, check=False)
        assert any(line.startswith("gittrack.errors.NotFound: ") for line in said.splitlines())
    assert len(runs(repo)) == 1


def test_a_run_that_never_goes_on_is_new(repo: GitRepo, finished: Recorded) -> None:
    for arguments in ("resume='never', id='experiment-7'", "resume=False", "resume=None", "id='experiment-7'"):
        go_on(repo, arguments)
    assert len(runs(repo)) == 5
    assert {run.parents[0] for run in runs(repo)} == {repo.git("rev-parse", "main")}


def test_an_id_that_is_allowed_to_go_on_begins_the_first_time(repo: GitRepo) -> None:
    for _ in range(2):
        go_on(repo, "id='mine', resume='allow'")
    assert only(repo).points("loss") == [(0, 0.5), (1, 0.5)]


def test_a_run_that_is_being_recorded_is_not_gone_on_with(repo: GitRepo) -> None:
    done = repo.python(
        """
import subprocess, sys
import gittrack as gt

run = gt.init(id="mine")
gt.log({"a": 1})
script = "import gittrack as gt\\nrun = gt.init(id='mine', resume='allow')\\ngt.log({'a': 2})"
done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
print(done.returncode, "being recorded" in done.stderr or "exists already" in done.stderr, "Traceback" in done.stderr)
"""
    )
    mine = [run for run in runs(repo) if run.values("a") == [1.0]]
    assert len(mine) == 1
    assert "True" in done.stdout


def test_an_edit_that_came_in_while_it_went_on_is_kept(repo: GitRepo, finished: Recorded) -> None:
    go_on(
        repo,
        "resume='first'",
        """
        import subprocess
        gt.log({"loss": 0.5})
        subprocess.run(["git", "track", "tag", "first", "meanwhile"], check=True, capture_output=True)
        """,
    )
    found = only(repo)
    assert "meanwhile" in found.record["tags"]
    assert found.values("loss") == [3.0, 2.0, 1.0, 0.5]


def test_a_long_history_goes_on(repo: GitRepo) -> None:
    for _ in range(2):
        go_on(repo, "id='long', resume='allow'", "for _ in range(60_000): gt.log({'loss': run.step / 7})")
    found = only(repo)
    assert "history.cols" in found.files
    assert found.points("loss") == [(step, step / 7) for step in range(120_000)]
