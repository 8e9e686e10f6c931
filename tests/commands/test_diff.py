"""`git track diff`: what differs between runs."""

from __future__ import annotations

import json
import re

import pytest

from gittrack import output
from tests.gitcmd import GitRepo
from tests.runs import ask, attempt, complaint, record
from tests.terminals import on_a_terminal


def two(repo: GitRepo) -> list[str]:
    """Records two runs that differ in code, a param and a metric, oldest first."""
    first = record(
        repo,
        {
            "name": "one",
            "params": {"lr": 0.1, "seed": 1, "only": "x"},
            "metrics": {"acc": [0.5], "same": [1]},
            "goals": {"acc": "max"},
            "files": {"m.txt": "a"},
        },
    )
    repo.commit({"train.py": 'print("better")\n'}, "train: better")
    second = record(
        repo,
        {
            "name": "two",
            "params": {"lr": 0.2, "seed": 1},
            "metrics": {"acc": [0.75], "same": [1]},
            "goals": {"acc": "max"},
            "files": {"m.txt": "b"},
        },
    )
    return first + second


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_two_runs_are_compared_in_every_part(repo: GitRepo) -> None:
    two(repo)

    text = repo.track("diff", "one", "two").stdout

    found = words(text)
    assert ["Params", "(1", "the", "same)"] in found
    assert ["lr", "0.1", "0.2"] in found
    assert ["only", "x", "-"] in found
    assert ["acc", "\u2191", "0.50", "0.75*", "+0.25", "(+50%)", "better"] in found
    assert "seed" not in text
    assert "train.py | 2 +-" in text
    assert ["Artifacts"] in found
    assert repo.track("diff", "@{-1}", "@").stdout == text == repo.track("diff").stdout


def test_one_run_is_compared_with_the_one_before_it(repo: GitRepo) -> None:
    two(repo)

    assert repo.track("diff", "two").stdout == repo.track("diff", "one", "two").stdout


def test_three_runs_stand_side_by_side(repo: GitRepo) -> None:
    two(repo)
    record(repo, {"name": "three", "params": {"lr": 0.2, "seed": 2}})

    found = words(repo.track("diff", "one", "two", "three").stdout)

    assert ["one", "two", "three"] in found
    assert ["lr", "0.1", "0.2", "0.2"] in found
    assert ["seed", "1", "1", "2"] in found
    assert ["acc", "\u2191", "0.50", "0.75*", "-"] in found


def test_the_machine_forms(repo: GitRepo) -> None:
    ids = two(repo)

    found = json.loads(repo.track("diff", "--json", "one", "two").stdout)
    assert found["runs"] == ids
    assert {"name": "lr", "values": [0.1, 0.2], "goal": None, "best": None} in found["params"]
    assert {"name": "acc", "values": [0.5, 0.75], "goal": "max", "best": ids[1]} in found["metrics"]
    assert [(row["name"], row["sizes"]) for row in found["artifacts"]] == [("m.txt", [1, 1])]
    assert (found["differs"], found["verdicts"]) == (True, [])
    assert (found["same"]["params"], found["same"]["metrics"]) == (1, 1)
    assert found["same"]["environment"] > 10
    assert json.loads(repo.track("diff", "--json=params", "one", "two").stdout) == {"params": found["params"]}
    head, rule, *rows = repo.track("diff", "--md", "one", "two").stdout.splitlines()
    assert (head, rule) == ("|  | one | two |", "| --- | --- | --- |")
    assert "| params.lr | 0.1 | 0.2 |" in rows


def test_code_is_the_patch_between_the_exact_code_of_both(repo: GitRepo) -> None:
    two(repo)
    (repo.path / "train.py").write_text("dirty\n", encoding="utf-8")
    (repo.path / "new.py").write_text("untracked\n", encoding="utf-8")
    record(repo, {"name": "three"})

    assert repo.track("diff", "--code", "one", "two").stdout.splitlines()[-2:] == [
        '-print("training")',
        '+print("better")',
    ]
    patch = repo.track("diff", "--code", "two", "three").stdout
    assert "+dirty\n" in patch
    assert "+untracked\n" in patch
    complaint(repo.track("diff", "--code", "one", "two", "three", check=False), exit_code=2)


def test_exit_code_is_1_for_a_difference(repo: GitRepo) -> None:
    two(repo)
    record(
        repo,
        {"name": "two-again", "params": {"lr": 0.2, "seed": 1}},
        {"name": "two-more", "params": {"lr": 0.2, "seed": 1}},
    )

    def code(*args: str) -> int:
        return repo.track("diff", "--exit-code", *args, check=False).returncode

    assert code("one", "two") == 1
    assert code("two-again", "two-more") == 0
    assert code("--code", "one", "two") == 1
    assert code("--code", "two-again", "two-more") == 0
    assert repo.track("diff", "two-again", "two-more").stdout == "no difference\n"


def test_what_cannot_be_compared_is_an_error(repo: GitRepo) -> None:
    complaint(repo.track("diff", check=False), exit_code=3)
    record(repo, {"name": "alone"})
    complaint(repo.track("diff", "alone", check=False), exit_code=2)
    complaint(repo.track("diff", "alone", "nobody", check=False), exit_code=3)


def test_the_attributes_and_drivers_of_the_code_run_nothing(repo: GitRepo) -> None:
    repo.commit({".gitattributes": "*.py diff=evil\n"}, "attributes")
    repo.git("config", "diff.evil.command", "touch ran-a-driver; true")
    repo.git("config", "diff.evil.textconv", "touch ran-a-textconv; cat")
    two(repo)

    repo.track("diff", "--code", "one", "two")
    repo.track("diff", "one", "two")

    assert sorted(path.name for path in repo.path.iterdir()) == [".git", ".gitattributes", "train.py"]


def test_running_runs_can_be_compared(repo: GitRepo) -> None:
    record(repo, {"name": "done", "params": {"lr": 0.1}, "files": {"m.txt": "a"}})
    repo.track("start", "--name", "open", "-p", "lr=0.2")

    text = repo.track("diff", "done", "open").stdout

    assert ["lr", "0.1", "0.2"] in words(text)
    assert "run open is still recorded: its environment and artifacts come last" in text
    assert "Environment" not in text
    assert "m.txt" not in text


def five(repo: GitRepo) -> None:
    """Records five runs that differ in two params and a metric with a goal, in one code but for the last."""
    specs = [
        {
            "name": f"run-{at}",
            "params": {"lr": 10.0**-at, "opt": "adam" if at % 2 else "sgd", "same": 1},
            "metrics": {"acc": [value], "loss": [1 - value]},
            "goals": {"acc": "max"},
            "tags": ["set"],
        }
        for at, value in enumerate((0.5, 0.75, 0.25, 0.625, 0.5))
    ]
    record(repo, *specs[:4])
    repo.commit({"train.py": 'print("better")\n', "other.py": "1\n"}, "train: better")
    record(repo, specs[4])


def test_of_many_runs_the_best_and_the_worst_are_marked_and_who_shares_what(repo: GitRepo) -> None:
    five(repo)

    text = ask(repo, "diff", "tag:set")
    found = words(text)

    assert ["run-0", "run-1", "run-2", "run-3", "run-4"] in found, "a set stands in the order of time"
    assert ["acc", "\u2191", "0.500", "0.750*", "0.250!", "0.625", "0.500"] in found
    assert "* best, ! worst by the goal" in text
    assert [repo.git("rev-parse", "HEAD~1")[:7], "(main)", "run-0,", "run-1,", "run-2,", "run-3"] in found
    assert [repo.git("rev-parse", "HEAD")[:7], "(main)", "run-4"] in found
    assert text.splitlines()[-1] == "the same: environment"


@pytest.mark.parametrize("columns", [40, 60, 78])
def test_where_many_runs_do_not_fit_each_becomes_a_row(repo: GitRepo, columns: int) -> None:
    record(
        repo,
        *(
            {
                "name": f"a-run-with-a-long-name-{at}",
                "params": {f"p{i}": at for i in range(9)},
                "metrics": {"m": [at]},
                "goals": {"m": "max"},
            }
            for at in range(5)
        ),
    )

    _, seen = on_a_terminal(["git", "track", "diff", "@{-4}..@"], cwd=repo.path, columns=columns)

    lines = seen.decode().splitlines()
    head = lines[0].split()
    assert head[0] == "NAME"
    assert "m" in head, "what somebody aims for stays longest"
    assert [line.split()[0][-2:] for line in lines[1:6]] == [f"-{at}" for at in range(5)]
    assert lines[5].split()[-1] == "4*"
    assert all(output.width_of(line) <= columns for line in lines)
    assert columns == 78 or any("columns are not" in line for line in lines)


def test_transposed_on_request_and_in_a_pipe_where_runs_are_many(repo: GitRepo) -> None:
    five(repo)

    found = words(ask(repo, "diff", "run-0", "run-1", "run-2", "--transpose", "--only", "params,metrics"))
    piped = words(ask(repo, "diff", "@{-4}..@"))
    record(repo, *({"params": {"lr": at}} for at in range(9)))
    many = words(ask(repo, "diff", "@{-8}..@"))

    assert found[:5] == [
        ["Params:", "1", "the", "same"],
        ["NAME", "lr", "opt", "acc", "\u2191", "loss"],
        ["run-0", "1", "sgd", "0.50", "0.50"],
        ["run-1", "0.1", "adam", "0.75*", "0.25"],
        ["run-2", "0.01", "sgd", "0.25!", "0.75"],
    ]
    assert ["run-0", "run-1", "run-2", "run-3", "run-4"] in piped
    assert many[0] == ["NAME", "lr"]


def test_only_the_parts_that_are_asked_for_are_compared(repo: GitRepo) -> None:
    two(repo)

    assert "Params" not in ask(repo, "diff", "--only", "metrics,code", "one", "two")
    assert json.loads(ask(repo, "diff", "--only", "metrics", "--json", "one", "two"))["params"] == []
    record(repo, {"name": "again", "params": {"lr": 0.2, "seed": 1}, "metrics": {"acc": [0.1]}})
    assert attempt(repo, "diff", "--exit-code", "--only", "params", "two", "again")[0] == 0
    assert attempt(repo, "diff", "--exit-code", "--only", "metrics", "two", "again")[0] == 1


def test_paths_limit_what_is_said_of_the_code(repo: GitRepo) -> None:
    five(repo)
    (repo.path / "sub").mkdir()

    patch = ask(repo, "diff", "--code", "run-0", "run-4", "--", "other.py")
    stat = ask(repo, "diff", "run-0", "run-4", "--", "train.py")
    below = repo.track("diff", "--code", "run-0", "run-4", "--", "../*.py", cwd=repo.path / "sub").stdout

    assert patch.startswith("diff --git a/other.py b/other.py")
    assert "train.py" not in patch
    assert " train.py | 2 +-" in stat
    assert "other.py" not in stat
    assert below.count("diff --git") == 2
    assert ask(repo, "diff", "--code", "run-0", "run-4", "--", "nothing.py") == ""


def test_artifacts_are_told_apart_by_their_content(repo: GitRepo) -> None:
    record(
        repo,
        {"name": "a", "files": {"same.txt": "x", "model.txt": "12", "old.txt": "1"}},
        {"name": "b", "files": {"same.txt": "x", "model.txt": "3", "new.txt": "123"}},
        {"name": "c", "files": {"same.txt": "x", "model.txt": "12"}},
    )

    found = words(ask(repo, "diff", "a", "b"))
    many = words(ask(repo, "diff", "a", "b", "c"))

    assert ["Artifacts", "(1", "the", "same)"] in found
    assert ["model.txt", "changed", "2", "B", "->", "1", "B"] in found
    assert ["old.txt", "only", "in", "a", "1", "B"] in found
    assert ["new.txt", "only", "in", "b", "3", "B"] in found
    assert ["model.txt", "2", "contents"] in many
    assert ["new.txt", "only", "in", "b", "3", "B"] in many


def test_of_the_environment_only_what_differs_is_shown(repo: GitRepo) -> None:
    repo.track("run", "--name", "one", "--", "true", env={"TZ": "UTC"})
    repo.track("run", "--name", "two", "--", "true", env={"TZ": "Asia/Tokyo"})

    text = ask(repo, "diff", "one", "two", "--only", "env")

    assert re.match(r"Environment  \(\d+ the same\)\n  variables.TZ  UTC -> Asia/Tokyo\n$", text)


def test_hostile_names_reach_no_terminal(repo: GitRepo) -> None:
    evil = "\x1b[31m\u202e\n"
    record(
        repo,
        *(
            {
                "name": evil + str(at),
                "params": {evil: evil * at},
                "metrics": {evil: [at]},
                "goals": {evil: "max"},
                "files": {f"{at}.txt": "x"},
            }
            for at in range(3)
        ),
    )

    for words_ in (("@", "@{-1}"), ("@", "@{-1}", "@{-2}"), ("@", "@{-1}", "--metric", evil)):
        _, out, err = attempt(repo, "diff", *words_)
        assert re.findall("[\x00-\x08\x0b-\x1f\u202e]", out + err) == []


# A gate ---------------------------------------------------------------------------------------------------------------


def test_a_metric_that_is_worse_beyond_the_tolerance_exits_1_and_says_by_how_much(repo: GitRepo) -> None:
    record(
        repo,
        {"name": "main", "metrics": {"acc": [0.9], "time": [10]}, "goals": {"acc": "max"}},
        {"name": "topic", "metrics": {"acc": [0.898], "time": [12]}, "goals": {"acc": "max"}},
    )

    def said(*words: str) -> tuple[int, str]:
        code, out, err = attempt(repo, "diff", "--exit-code", *words)
        assert err == ""
        return code, out

    worse = "worse: acc is 0.898 in topic and was 0.9 in main: down by 0.002; 0.001 is allowed\n"
    within = "ok: acc is 0.898 in topic and was 0.9 in main: down by 0.002; 0.002 is allowed\n"
    assert said("main", "topic", "--metric", "acc", "--tolerance", "0.001") == (1, worse)
    assert said("main", "topic", "--metric", "acc", "--tolerance", "0.002") == (0, within)
    assert said("main", "topic", "--metric", "acc", "--tolerance", "1%")[0] == 0
    assert said("topic", "main", "--metric", "acc")[1].endswith("up by 0.002, which is better\n")
    assert said("main", "topic", "--metric", "time", "--tolerance", "1")[1].startswith("differs: time is 12 in topic")
    assert said("main", "topic", "--metric", "time", "--goal", "min")[0] == 1
    assert said("main", "topic", "--metric", "time", "--goal", "max")[0] == 0
    code, text = said("main", "topic", "--metric", "time", "--metric", "acc", "--tolerance", "10%")
    assert (code, [line.split(":")[0] for line in text.splitlines()]) == (1, ["differs", "ok"])
    assert attempt(repo, "diff", "main", "topic", "--metric", "acc")[0] == 0, "without --exit-code it only says"


def test_the_verdict_stands_in_the_json_too(repo: GitRepo) -> None:
    record(repo, {"name": "a", "metrics": {"acc": [0.9]}}, {"name": "b", "metrics": {"acc": ["nan"]}})

    code, out, _ = attempt(repo, "diff", "--exit-code", "--metric", "acc", "--json=verdicts", "a", "b")

    (found,) = json.loads(out)["verdicts"]
    assert code == 1
    assert (found["metric"], found["candidate"], found["answer"], found["passed"]) == ("acc", "nan", "different", False)


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (("--metric", "none"), 3),
        (("--metric", "acc.median"), 3),
        (("--metric", "only"), 3),
        (("--metric", "acc", "--tolerance", "much"), 2),
        (("--metric", "acc", "--tolerance=-1"), 2),
        (("--tolerance", "1"), 2),
        (("--goal", "max"), 2),
        (("--goal", "up", "--metric", "acc"), 2),
        (("--only", "nonsense"), 2),
        (("--only", ""), 2),
        (("c", "--metric", "acc"), 2),
    ],
)
def test_a_question_that_cannot_be_answered_is_an_error(repo: GitRepo, words: tuple[str, ...], exit_code: int) -> None:
    record(
        repo,
        {"name": "a", "metrics": {"acc": [0.9], "only": [1]}},
        {"name": "b", "metrics": {"acc": [1]}},
        {"name": "c", "metrics": {"acc": [1]}},
    )

    code, out, err = attempt(repo, "diff", "--exit-code", "a", "b", *words)

    assert (code, out) == (exit_code, "")
    assert "error: " in err


def test_more_runs_than_anybody_can_compare_are_refused(repo: GitRepo) -> None:
    record(repo, *({"params": {"n": at}} for at in range(51)))

    code, _, err = attempt(repo, "diff", "@{-50}..@")

    assert code == 2
    assert "error: diff compares at most 50 runs, and these are 51" in err
    assert "no difference" not in ask(repo, "diff", "@{-49}..@", "--only", "params")


def test_on_a_narrow_terminal_it_still_says_better_or_worse(repo: GitRepo) -> None:
    two(repo)

    _, seen = on_a_terminal(["git", "track", "diff", "one", "two"], cwd=repo.path, columns=40)

    assert ["acc", "\u2191", "0.50", "0.75*", "+0.25", "better"] in words(seen.decode())


def test_the_newest_run_passes_the_gate_against_the_best_when_it_is_the_best(repo: GitRepo) -> None:
    record(
        repo,
        {"name": "old", "metrics": {"acc": [0.5]}, "goals": {"acc": "max"}},
        {"name": "new", "metrics": {"acc": [0.9]}, "goals": {"acc": "max"}},
    )

    assert attempt(repo, "diff", "--exit-code", "--metric", "acc", "best:acc", "@")[0] == 0
    assert attempt(repo, "diff", "--exit-code", "--metric", "acc", "best:acc", "old")[0] == 1


def test_the_gate_says_when_a_run_did_not_finish(repo: GitRepo) -> None:
    ids = record(
        repo,
        {"name": "good", "metrics": {"acc": [0.5]}, "goals": {"acc": "max"}},
        {"name": "bad", "metrics": {"acc": [0.9]}, "goals": {"acc": "max"}, "exit_code": 1},
    )

    code, _, err = attempt(repo, "diff", "--exit-code", "--metric", "acc", "good", "bad")
    assert code == 0
    assert err == f"warning: run {ids[1]} did not finish; what it reached is compared\n"
