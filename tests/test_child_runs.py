"""Runs that belong to a run: folds, trials, the seeds of a sweep."""

from __future__ import annotations

import sys

from tests.gitcmd import GitRepo, run
from tests.reader import named, runs


def test_a_child_run_says_whose_it_is_and_leaves_the_parent_open(repo: GitRepo) -> None:
    repo.python(
        """
import gittrack as gt

parent = gt.init(name="cv", group="folds")
for fold in range(3):
    with parent.child(name=f"fold-{fold}", params={"fold": fold}, tags=["fold"]) as child:
        child.log({"acc": fold / 10})
        gt.log({"loss": fold})  # the run that was started last
    parent.log({"acc": fold / 10})
gt.log({"mean": 0.1})
"""
    )
    found = runs(repo)
    assert [each.record["name"] for each in found] == ["cv", "fold-0", "fold-1", "fold-2"]
    parent, *children = found
    assert [each.record["parent"] for each in children] == [parent.id] * 3
    assert [each.facts["parent"] for each in children] == [parent.id] * 3
    assert [each.params for each in children] == [{"fold": fold} for fold in range(3)]
    assert [each.values("loss") for each in children] == [[0.0], [1.0], [2.0]]
    assert parent.values("acc") == [0.0, 0.1, 0.2]
    assert parent.values("mean") == [0.1]
    assert "parent" not in parent.record


def test_a_child_that_fails_leaves_the_parent_to_go_on(repo: GitRepo) -> None:
    repo.python(
        """
import gittrack as gt

with gt.init(name="parent") as parent:
    for name in ("bad", "good"):
        try:
            with parent.child(name=name):
                if name == "bad":
                    raise RuntimeError("diverged")
        except RuntimeError:
            pass
"""
    )
    assert {each.record["name"]: each.status for each in runs(repo)} == {
        "parent": "finished",
        "bad": "failed",
        "good": "finished",
    }


def test_children_that_are_open_at_the_end_end_with_the_parent(repo: GitRepo) -> None:
    repo.python("import gittrack as gt\nrun = gt.init()\nrun.child().child()\nraise SystemExit", check=False)
    first, second, third = runs(repo)
    assert [each.status for each in (first, second, third)] == ["finished"] * 3
    assert (second.record["parent"], third.record["parent"]) == (first.id, second.id)


def test_a_run_may_be_given_its_parent_by_id(repo: GitRepo) -> None:
    repo.python("import gittrack as gt\nparent = gt.init(name='p')\ngt.init(name='c', parent=str(parent.id))\n")
    assert named(repo, "c").record["parent"] == named(repo, "p").id


def test_further_runs_of_a_recorded_command_belong_to_its_run(repo: GitRepo) -> None:
    script = (
        "import gittrack as gt\nfor lr in (1, 2, 3):\n    with gt.init(params={'lr': lr}) as run: run.log({'x': lr})\n"
    )
    (repo.path.parent / "sweep.py").write_text(script, encoding="utf-8")
    run(["git", "track", "run", "--", sys.executable, "../sweep.py"], cwd=repo.path)
    found = runs(repo)
    outer = next(each for each in found if "parent" not in each.record)
    assert (outer.params["lr"], outer.values("x")) == (1, [1.0])
    assert [(each.params["lr"], each.record["parent"]) for each in found if each is not outer] == [
        (2, outer.id),
        (3, outer.id),
    ]
