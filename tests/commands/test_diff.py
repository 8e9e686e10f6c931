"""`git track diff`: what differs between runs."""

from __future__ import annotations

import json

from tests.gitcmd import GitRepo
from tests.runs import complaint, record


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
    assert ["acc", "(max)", "0.5", "0.75", "*", "+0.25"] in found
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
    assert ["acc", "(max)", "0.5", "0.75", "*", "-"] in found


def test_the_machine_forms(repo: GitRepo) -> None:
    ids = two(repo)

    found = json.loads(repo.track("diff", "--json", "one", "two").stdout)
    assert found["runs"] == ids
    assert {"name": "lr", "values": [0.1, 0.2], "goal": None, "best": None} in found["params"]
    assert {"name": "acc", "values": [0.5, 0.75], "goal": "max", "best": ids[1]} in found["metrics"]
    assert [row["name"] for row in found["artifacts"]] == ["m.txt"]
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
    record(repo, {"name": "done", "params": {"lr": 0.1}})
    repo.track("start", "--name", "open", "-p", "lr=0.2")

    assert ["lr", "0.1", "0.2"] in words(repo.track("diff", "done", "open").stdout)
