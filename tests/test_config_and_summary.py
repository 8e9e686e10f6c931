"""`run.config` and `run.summary`: what a script reads back of the run it records."""

from __future__ import annotations

import textwrap

import pytest

from tests.gitcmd import GitRepo
from tests.reader import Recorded, only


def recorded(repo: GitRepo, script: str) -> Recorded:
    """Runs a script that asserts what it reads, and returns its run."""
    done = repo.python("import argparse\nimport gittrack as gt\n" + textwrap.dedent(script))
    assert (done.stdout, done.stderr) == ("", "")
    return only(repo)


def test_config_is_read_by_item_and_by_attribute(repo: GitRepo) -> None:
    recorded(
        repo,
        """
        run = gt.init(params={"lr": 0.1, "opt": {"name": "adam", "deep": {"x": 1}}, "layers": [1, 2]})
        assert run.config is gt.config
        assert run.config.lr == run.config["lr"] == run.config.get("lr") == 0.1
        assert run.config.opt.name == run.config["opt"]["name"] == "adam"
        assert run.config.opt.deep.x == 1
        assert run.config.layers == [1, 2]
        assert "lr" in run.config and "no" not in run.config and len(run.config) == 3
        assert list(run.config) == list(run.config.keys()) == ["lr", "opt", "layers"]
        given = {"lr": 0.1, "opt": {"name": "adam", "deep": {"x": 1}}, "layers": [1, 2]}
        assert dict(**run.config) == run.config.as_dict() == given
        assert run.config.get("no", 5) == 5 and getattr(run.config, "no", 6) == 6
        assert repr(run.config).startswith("{'lr': 0.1")
        for read in (lambda: run.config.no, lambda: run.config.opt.no):
            try:
                read()
            except AttributeError as exc:
                assert "no param 'no'" in str(exc)
            else:
                raise AssertionError
        """,
    )


def test_what_is_set_on_config_is_a_param(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        run = gt.init()
        run.config.lr = 0.1
        run.config["batch size"] = 32
        run.config.update({"opt": {"name": "adam"}})
        run.config.update(argparse.Namespace(depth=3), epochs=5)
        run.config.update({"opt": {"beta": 0.9}}, allow_val_change=True)
        run.config.setdefaults({"lr": 5, "seed": 7})
        assert run.config.setdefault("late", 1) == 1
        gt.log_params({"a": 1}, b=2)
        gt.log_params(c=3)
        assert (run.config.lr, run.config.seed, run.config.a, run.config.c) == (0.1, 7, 1, 3)
        """,
    )
    assert found.params == {
        "lr": 0.1,
        "batch size": 32,
        "opt": {"name": "adam", "beta": 0.9},
        "depth": 3,
        "epochs": 5,
        "seed": 7,
        "late": 1,
        "a": 1,
        "b": 2,
        "c": 3,
    }


def test_a_param_cannot_be_taken_back(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        run = gt.init(params={"lr": 0.1})
        try:
            del run.config["lr"]
        except TypeError:
            pass
        else:
            raise AssertionError
        """,
    )
    assert found.params == {"lr": 0.1}


def test_the_script_reads_what_it_set_last_and_the_run_keeps_what_was_first(repo: GitRepo) -> None:
    done = repo.python(
        "import gittrack as gt\nrun = gt.init(params={'lr': 0.1})\nrun.config.lr = 0.2\nassert run.config.lr == 0.2\n"
    )
    assert done.stderr == "gittrack: warning: param 'lr' already has a value; 0.2 is kept as an event\n"
    assert only(repo).params == {"lr": 0.1}


def test_a_secret_is_read_back_by_the_script_alone(repo: GitRepo) -> None:
    done = repo.python(
        "import gittrack as gt\nrun = gt.init(params={'api_key': 'hunter2'})\nassert run.config.api_key == 'hunter2'\n"
    )
    assert done.stderr == "gittrack: 1 secret was replaced by *** (in params)\n"
    assert only(repo).params == {"api_key": "***"}


@pytest.mark.parametrize("given", ["argparse.Namespace(lr=0.1)", "Settings()", "Wandb()"])
def test_params_may_be_anything_that_reads_like_a_mapping(repo: GitRepo, given: str) -> None:
    found = recorded(
        repo,
        f"""
        import dataclasses

        @dataclasses.dataclass
        class Settings:
            lr: float = 0.1

        class Wandb:
            def keys(self): return ["lr"]
            def __getitem__(self, key): return 0.1

        run = gt.init(params={given})
        assert run.config.lr == 0.1
        """,
    )
    assert found.params == {"lr": 0.1}


def test_the_summary_has_the_last_values(repo: GitRepo) -> None:
    recorded(
        repo,
        """
        run = gt.init()
        assert len(run.summary) == 0
        for step in range(3):
            gt.log({"loss": 1.0 - step, "acc": step})
            gt.log({"loss": 5.0})
        assert run.summary is gt.summary
        assert run.summary["loss"] == run.summary.loss == run.summary.get("loss") == 5.0
        assert dict(run.summary) == {"loss": 5.0, "acc": 2}
        assert "loss" in run.summary and "no" not in run.summary
        assert getattr(run.summary, "no", None) is None
        """,
    )


def test_what_is_set_in_the_summary_takes_the_place_of_the_last_value(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        run = gt.init()
        for value in (3.0, 1.0, 2.0):
            gt.log({"loss": value, "acc": value})
        run.summary["loss"] = 0.5
        run.summary.best_epoch = 7
        run.summary.update({"auc": 0.9, "verdict": "good"}, f1=0.8)
        assert (run.summary.loss, run.summary.best_epoch, run.summary["verdict"]) == (0.5, 7, "good")
        """,
    )
    loss = found.metrics["loss"]
    assert (loss["last"], loss["summary"], loss["min"], loss["count"]) == (0.5, 0.5, 1.0, 3)
    assert {name: found.metrics[name]["last"] for name in ("acc", "best_epoch", "auc", "f1")} == {
        "acc": 2.0,
        "best_epoch": 7.0,
        "auc": 0.9,
        "f1": 0.8,
    }
    assert found.record["metrics"]["auc"][0] == 0.9
    summaries = [(event["key"], event["value"]) for event in found.events if event["kind"] == "summary"]
    assert summaries == [("verdict", "good")]
    repo.track("fsck")


def test_the_last_setting_of_a_summary_holds(repo: GitRepo) -> None:
    found = recorded(repo, "run = gt.init()\nfor value in range(5): run.summary['best'] = value\n")
    assert found.metrics["best"]["last"] == 4.0
