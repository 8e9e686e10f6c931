"""`git track log`: runs along the history of the code."""

from __future__ import annotations

import json
import re

from tests import nogit as without_git
from tests.gitcmd import GitRepo
from tests.runs import ask, attempt, complaint, record
from tests.terminals import on_a_terminal


def test_runs_stand_under_the_commit_they_were_made_from(repo: GitRepo) -> None:
    record(repo, {"name": "old", "metrics": {"acc": [0.5, 0.25]}, "goals": {"acc": "max"}, "tags": ["t"]})
    repo.commit({"train.py": "2\n"}, "between, without runs")
    repo.commit({"train.py": "3\n"}, "newest")
    (repo.path / "train.py").write_text("4\n", encoding="utf-8")
    record(repo, {"name": "dirty"})

    lines = repo.track("log").stdout.splitlines()

    assert [line.split(" ", 1)[1] for line in (lines[0], lines[2])] == ["(HEAD -> main) newest", "train: begin"]
    assert lines[1].endswith("dirty  finished  uncommitted changes")
    assert lines[3].endswith("old  finished  acc 0.5  [t]")
    assert len(lines) == 4


def test_runs_of_other_branches_are_counted(repo: GitRepo) -> None:
    record(repo, {"name": "here"})
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit({"side.py": "1\n"}, "side")
    record(repo, {"name": "there"})

    done = repo.track("log", "main")

    assert "there" not in done.stdout
    assert done.stderr == ("1 run(s) belong to commits that are not on 'main'; `git track log --unplaced` lists them\n")
    assert repo.track("log", "-n", "1", "side").stdout.count("\n") == 2


def test_a_branch_without_runs_and_a_name_that_is_none(repo: GitRepo) -> None:
    done = repo.track("log")
    assert (done.stdout, done.stderr) == ("", "no runs on 'HEAD'\n")
    for name in ("no-such-branch", "a..b", "main..b", "main...main"):
        complaint(repo.track("log", name, check=False), exit_code=3)
    assert repo.track("log", "--output=evil", check=False).returncode == 2
    assert not (repo.path / "evil").exists()


def test_a_repository_without_a_commit_has_no_log(empty_repo: GitRepo) -> None:
    complaint(empty_repo.track("log", check=False), exit_code=3)


def told(repo: GitRepo, *words: str) -> list[str]:
    """Returns the lines of the log without the ids that they begin with."""
    return [line.strip().split(" ", 1)[1].strip() for line in ask(repo, "log", *words).splitlines()]


def test_amended_and_picked_commits_keep_their_runs_and_say_why(repo: GitRepo) -> None:
    repo.git("checkout", "--quiet", "-b", "side")
    old = repo.commit({"lr.py": "1\n"}, "lr")
    record(repo, {"name": "ran", "metrics": {"acc": [0.5]}, "tags": ["t"]})
    repo.git("checkout", "--quiet", "main")
    repo.commit({"main.py": "1\n"}, "main goes on")
    repo.git("cherry-pick", "--no-commit", "side")
    repo.git("commit", "--quiet", "-m", "picked")

    assert told(repo) == ["(HEAD -> main) picked", f"ran  finished  acc 0.5  (same patch as {old[:7]})  [t]"]
    (found,) = json.loads(ask(repo, "log", "--json"))
    assert found["commit"] == repo.git("rev-parse", "HEAD")
    assert [(one["name"], one["link"]) for one in found["runs"]] == [("ran", {"rule": "patch", "commit": old})]
    (found,) = json.loads(ask(repo, "log", "--json=runs", "side"))
    assert found["runs"][0]["link"] == {"rule": "exact", "commit": old}


def test_the_hook_that_init_installs_follows_a_rebase(repo: GitRepo) -> None:
    repo.track("init", "--yes")
    old = repo.commit({"lr.py": "1\n"}, "lr")
    record(repo, {"name": "ran"})
    (repo.path / "lr.py").write_text("2\n", encoding="utf-8")
    repo.git("commit", "--quiet", "--amend", "--all", "--reset-author", "-m", "rate")
    assert told(repo) == ["(HEAD -> main) rate", f"ran  finished  (rewritten from {old[:7]})"]


def test_runs_that_no_rule_places_are_listed_on_request(repo: GitRepo) -> None:
    record(repo, {"name": "here"})
    assert attempt(repo, "log", "--unplaced") == (0, "", "every run has its commit there\n")
    repo.git("checkout", "--quiet", "-b", "side")
    side = repo.commit({"side.py": "1\n"}, "side")
    record(repo, {"name": "there"})
    assert told(repo, "--unplaced", "main") == ["side", "there  finished"]
    (found,) = json.loads(ask(repo, "log", "--unplaced", "--json", "main"))
    assert (found["commit"], found["subject"], found["runs"][0]["link"]) == (side, "side", None)


def test_a_range_and_paths_limit_the_commits_as_in_git_log(repo: GitRepo) -> None:
    for name in ("one", "two", "three"):
        repo.commit({f"{name}.py": "1\n"}, name)
        record(repo, {"name": f"run-{name}"})
    repo.git("tag", "middle", "HEAD~1")
    begin = told(repo, "HEAD~2..middle")
    assert begin == ["(tag: middle) two", "run-two  finished"]
    assert told(repo, "HEAD~1..") == ["(HEAD -> main) three", "run-three  finished"]
    assert told(repo, "--", "one.py") == ["one", "run-one  finished"]
    assert told(repo, "main", "--", "*.py")[::2] == ["(HEAD -> main) three", "(tag: middle) two", "one"]
    assert told(repo, "middle..main", "--", "one.py", "three.py")[::2] == ["(HEAD -> main) three"]
    assert attempt(repo, "log", "--", "none.py") == (0, "", "no runs on 'HEAD'\n")
    assert told(repo, "-n", "1")[::2] == ["(HEAD -> main) three"]


def test_a_log_fits_the_terminal(repo: GitRepo) -> None:
    repo.commit({"a": "1\n"}, "a subject that goes on and on until no terminal has room for it")
    record(repo, {"name": "a-run-with-a-name", "metrics": {"accuracy": [0.5]}, "tags": ["a-long-tag", "another"]})
    code, seen = on_a_terminal(["git", "track", "log", "-n", "1"], cwd=repo.path, columns=40)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", seen.decode()).splitlines()
    assert code == 0
    assert [len(line) <= 40 for line in lines] == [True, True]
    assert lines[0].endswith("…")
    assert "a-run-with-a-name" in lines[1]


def test_a_commit_that_was_rewritten_names_the_run(repo: GitRepo) -> None:
    old = repo.commit({"a": "1\n"}, "begn")
    record(repo, {"name": "ran"})
    repo.git("commit", "--quiet", "--amend", "-m", "begin")
    code, out, err = attempt(repo, "show", "--json=name", "HEAD")
    assert (code, json.loads(out)) == (0, {"name": "ran"})
    assert err == f"no run was made from 'HEAD' itself; the one shown: same tree as {old[:7]}\n"
    code, out, err = attempt(repo, "show", "--json=name", old)
    assert (code, err) == (0, "")
    assert attempt(repo, "show", "HEAD~1")[0] == 3


def test_without_git_trees_and_notes_still_place_runs(repo: GitRepo) -> None:
    old = repo.commit({"a": "1\n"}, "begn")
    record(repo, {"name": "amended"})
    repo.git("commit", "--quiet", "--amend", "-m", "begin")
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit({"b": "1\n"}, "side")
    record(repo, {"name": "aside"})
    done = without_git.track(repo, "log", "main")
    assert done.stdout.splitlines()[1].endswith(f"amended  finished  (same tree as {old[:7]})")
    assert done.stderr.splitlines()[-1] == (
        "hint: patches are compared where git is installed, which may place some of them"
    )
