"""`git track check`: a run that lacks what the project asks for is found, and said where a machine reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gittrack.standard import FILE
from tests.gitcmd import GitRepo, run
from tests.runs import ask, attempt, complaint, record

STANDARD = """\
metrics:
  val/acc: {required: true, goal: max, min: 0, max: 1, finite: true, unit: "%"}
params:
  lr: {required: true, type: float, min: 0, max: 1}
  opt.name: {choices: [adam, sgd]}
gates:
  shown:
    run: true
    where: metrics.val/acc.max > 0.5
"""
GOOD: dict[str, Any] = {
    "name": "good",
    "params": {"lr": 0.1, "opt": {"name": "adam"}},
    "metrics": {"val/acc": [0.4, 0.9]},
}


@pytest.fixture
def guarded(repo: GitRepo) -> GitRepo:
    """A repository that says what runs must have."""
    repo.commit({FILE: STANDARD}, "say what runs must have")
    return repo


def found(where: GitRepo, *words: str) -> list[str]:
    """Returns what `git track check` finds; its exit code must say the same."""
    code, out, err = attempt(where, "check", *words)
    assert code == (1 if out else 0), err
    assert err.startswith("error: " if out else ("all is as", "nothing is wrong", "there is no"))
    return out.splitlines()


def test_a_run_that_meets_the_standard_passes(guarded: GitRepo) -> None:
    record(guarded, GOOD)

    assert (
        found(guarded) == found(guarded, "good") == found(guarded, "--all") == found(guarded, "--commit", "HEAD") == []
    )


def test_everything_that_is_not_as_asked_is_said_at_once(guarded: GitRepo) -> None:
    [bad] = record(
        guarded, {"name": "bad", "params": {"lr": "fast", "opt": {"name": "lion"}}, "metrics": {"loss": [1]}}
    )

    assert found(guarded, "bad") == [
        f"run bad ({bad}): metrics.val/acc is missing",
        f"run bad ({bad}): params.lr is 'fast', and the type float is asked for",
        f"run bad ({bad}): params.opt.name is 'lion', and one of 'adam', 'sgd' is asked for",
    ]
    assert found(guarded)[-1].endswith("asks for metrics.val/acc.max > 0.5, and run bad does not meet that")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([0.9, 1.5, 0.9], "metrics.val/acc is 1.5 %, and at most 1 % is asked for"),
        ([0.9, -1, 0.9], "metrics.val/acc is -1 %, and at least 0 % is asked for"),
        ([0.9, "nan"], "metrics.val/acc is nan, and a finite number is asked for"),
    ],
)
def test_all_values_of_a_metric_are_looked_at(guarded: GitRepo, values: list[Any], problem: str) -> None:
    [it] = record(guarded, GOOD | {"name": "it", "metrics": {"val/acc": values}})

    assert found(guarded, "it") == [f"run it ({it}): {problem}"]


def test_a_goal_that_is_another_one_is_said(guarded: GitRepo) -> None:
    [it] = record(guarded, GOOD | {"name": "it", "goals": {"val/acc": "min"}})

    assert found(guarded, "it") == [f"run it ({it}): metrics.val/acc has the goal min, and the standard says max"]


def test_a_run_whose_record_has_not_all_of_it_is_read_whole(guarded: GitRepo) -> None:
    params = {"lr": 0.1, **{f"p{number}": "x" * 100 for number in range(800)}}
    record(guarded, GOOD | {"params": params})

    assert found(guarded, "good") == []


def test_a_commit_without_a_run_is_a_finding_under_a_gate(guarded: GitRepo) -> None:
    record(guarded, GOOD)
    head = guarded.commit({"train.py": "other\n"}, "other code")

    assert found(guarded) == [
        f"commit {head[:10]}: gates.shown asks for a finished run of this code, and there is none"
    ]
    assert found(guarded, "--commit", "HEAD~1") == []


def test_a_commit_is_judged_by_its_own_standard_and_head_by_the_one_at_hand(guarded: GitRepo) -> None:
    record(guarded, GOOD)
    (guarded.path / FILE).write_text("metrics: {other: {required: true}}\n", encoding="utf-8")

    assert [line.partition("): ")[2] for line in found(guarded)] == ["metrics.other is missing"]
    assert found(guarded, "--commit", "HEAD") == []


def test_all_runs_are_those_that_finished_and_were_not_deleted(guarded: GitRepo) -> None:
    record(guarded, GOOD, {"name": "failed", "exit_code": 1}, {"name": "gone"})
    ask(guarded, "rm", "gone")

    assert found(guarded, "--all") == []
    assert [line.partition(" (")[0] for line in found(guarded, "failed")] == ["run failed"] * 2


def test_without_a_standard_nothing_is_asked(repo: GitRepo) -> None:
    record(repo, GOOD)

    for words in ((), ("good",), ("--all",), ("--commit", "HEAD")):
        assert found(repo, *words) == []
    assert ask(repo, "check", "--json") == "[]\n"


def test_json_has_every_finding_with_its_run_or_commit(guarded: GitRepo) -> None:
    [bad] = record(guarded, {"name": "bad", "params": {"lr": 1}, "metrics": {"val/acc": [0.1]}})

    code, out, _ = attempt(guarded, "check", "--json")

    assert code == 1
    assert json.loads(out) == [
        {
            "run": None,
            "name": None,
            "commit": guarded.git("rev-parse", "HEAD"),
            "field": "gates.shown",
            "problem": "asks for metrics.val/acc.max > 0.5, and run bad does not meet that",
        }
    ]
    record(guarded, {"name": "worse", "params": {"lr": 7}})
    code, out, _ = attempt(guarded, "check", "worse", "--json=run,field")
    assert [each["field"] for each in json.loads(out)] == ["metrics.val/acc", "params.lr"]
    assert bad not in out


def test_a_bare_repository_is_judged_by_the_standard_of_head(guarded: GitRepo, bare_remote: GitRepo) -> None:
    record(guarded, GOOD | {"metrics": {}})
    guarded.git("push", "--quiet", "origin", "main")
    ask(guarded, "push")

    assert [line.partition("): ")[2] for line in found(bare_remote, "good")] == ["metrics.val/acc is missing"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("nobody",), 3),
        (("--commit", "nothing"), 3),
        (("--schema", "nothing.yaml"), 3),
        (("good", "--all"), 2),
        (("--all", "--commit", "HEAD"), 2),
        (("--schema", "--all"), 2),
    ],
)
def test_words_that_do_not_fit_are_errors(guarded: GitRepo, words: tuple[str, ...], code: int) -> None:
    record(guarded, GOOD)

    complaint(guarded.track("check", *words, check=False), exit_code=code)


# The file itself ------------------------------------------------------------------------------------------------------


def test_a_file_that_is_sound_passes_where_no_repository_is(guarded: GitRepo) -> None:
    outside = guarded.path.parent / "outside"
    outside.mkdir()
    (outside / "a.yaml").write_text(STANDARD, encoding="utf-8")

    assert run(["git", "track", "check", "--schema", "a.yaml"], cwd=outside).stderr == "nothing is wrong\n"
    assert found(guarded, "--schema") == []


def test_every_mistake_of_a_file_is_said_with_its_line(guarded: GitRepo) -> None:
    wrong = "metrics:\n  acc:\n    goal: up\n    requird: yes\nhooks:\n  run: rm -rf\n"
    (guarded.path / FILE).write_text(wrong, encoding="utf-8")

    assert found(guarded, "--schema") == [
        f"{FILE}:3: 'metrics.acc.goal' is none of: min, max",
        f"{FILE}:4: key 'metrics.acc.requird' is not known; did you mean 'required'?",
        f"{FILE}:5: key 'hooks' is not known; keys: format, metrics, params, columns, gates",
    ]
    code, out, _ = attempt(guarded, "check", "--schema", "--json=line")
    assert (code, json.loads(out)) == (1, [{"line": 3}, {"line": 4}, {"line": 5}])
    error = complaint(guarded.track("check", check=False), exit_code=5)
    assert "line 3: 'metrics.acc.goal' is none of: min, max; line 4: " in error


def test_what_a_file_says_reaches_no_terminal_raw(guarded: GitRepo) -> None:
    (guarded.path / FILE).write_text('"\\e[31mx": 1\n', encoding="utf-8")

    out = attempt(guarded, "check", "--schema")[1]

    assert "\\x1b[31mx" in out
    assert "\x1b" not in out


def test_without_a_file_it_says_how_to_start_one(repo: GitRepo) -> None:
    assert "git track init --standard" in complaint(repo.track("check", "--schema", check=False), exit_code=3)
