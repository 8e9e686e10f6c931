"""`git track start`, `add`, `finish`: a run of a shell script."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.gitcmd import GitRepo, run
from tests.runs import complaint, file_of, listed, record, shown

SCRIPT = """
set -e
run=$(git track start -p lr=0.1 --name shell --tag sh --group g -m 'a note')
export GITTRACK_RUN=$run
for step in 1 2 3; do
  git track add -m loss=0.$step -m acc=1e-$step --step $step
done
git track add -p opt.name=adam --tag late --note later
printf report > ../report.md
git track add --file ../report.md
git track finish
echo "run=$run"
"""


def test_a_shell_script_records_a_run(repo: GitRepo) -> None:
    done = run(["sh", "-c", SCRIPT], cwd=repo.path)

    [found] = listed(repo)
    assert done.stdout.splitlines() == [found["id"], f"run={found['id']}"]
    assert (found["name"], found["status"], found["tags"], found["group"]) == ("shell", "finished", ["late", "sh"], "g")
    assert found["params"] == {"lr": 0.1, "opt.name": "adam"}
    loss = found["metrics"]["loss"]
    assert (loss["last"], loss["step"], loss["min"], loss["count"]) == (0.3, 3, 0.1, 3)
    assert [line.split("\t")[0] for line in file_of(repo, f"{found['id']}:history.tsv").decode().splitlines()] == [
        *("step", "1", "2", "3")
    ]
    path = next(path for path in shown(repo, "@")["files"] if path.endswith("report.md"))
    assert file_of(repo, f"{found['id']}:{path}") == b"report"
    assert repo.track("fsck").stdout == ""
    assert repo.refs("refs/gittrack/") == {}


def test_without_a_step_each_add_takes_the_next(repo: GitRepo) -> None:
    repo.track("start")
    for value in ("1", "nan", "-inf"):
        repo.track("add", "-m", f"loss={value}")
    repo.track("finish")

    metric = listed(repo)[0]["metrics"]["loss"]
    assert (metric["step"], metric["count"], metric["last"], metric["max"]) == (2, 3, "-inf", 1)


def test_the_status_follows_the_exit_code_or_is_given(repo: GitRepo) -> None:
    for options in (("--exit-code", "3"), ("--status", "interrupted"), ()):
        repo.track("start")
        repo.track("finish", *options)

    found = [(run["status"], run["exit_code"]) for run in listed(repo)]
    assert [status for status, _ in found] == ["finished", "interrupted", "failed"]
    assert found[2][1] == 3


def test_an_open_run_survives_other_commands_and_is_the_newest(repo: GitRepo) -> None:
    record(repo, {"name": "done"})
    opened = repo.track("start", "--name", "open").stdout.strip()

    repo.track("ls")
    repo.track("status")

    assert (listed(repo)[0]["id"], listed(repo)[0]["status"]) == (opened, "running")
    repo.track("add", "--run", "open", "-m", "x=1")
    repo.track("finish", "--run", opened[:6])
    assert listed(repo)[0]["status"] == "finished"


def test_several_open_runs_are_told_apart_by_name(repo: GitRepo) -> None:
    repo.track("start", "--name", "one")
    repo.track("start", "--name", "two")
    repo.track("add", "--run", "one", "-p", "a=1")
    repo.track("add", "-p", "a=2")
    repo.track("finish", "--run", "one")
    repo.track("finish")

    assert {found["name"]: found["params"] for found in listed(repo)} == {"one": {"a": 1}, "two": {"a": 2}}


def test_adds_of_many_processes_are_all_kept(repo: GitRepo) -> None:
    repo.track("start")

    def add(number: int) -> int:
        return repo.track("add", "-m", f"m{number}={number}", "-p", f"p{number}={number}").returncode

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(add, range(16))) == [0] * 16
    repo.track("finish")

    [found] = listed(repo)
    assert found["params"] == {f"p{number}": number for number in range(16)}
    assert {name: metric["last"] for name, metric in found["metrics"].items()} == {f"m{n}": n for n in range(16)}


def test_python_writes_into_a_run_of_the_shell(repo: GitRepo) -> None:
    opened = repo.track("start", "-p", "a=1").stdout.strip()
    script = "import gittrack as gt\nwith gt.init(params={'b': 2}) as run: gt.log({'loss': 1}); print(run.id)"

    assert repo.python(script, env={"GITTRACK_RUN": opened}).stdout.strip() == opened
    assert listed(repo)[0]["status"] == "running"
    repo.track("finish")

    [found] = listed(repo)
    assert (found["params"], found["metrics"]["loss"]["count"]) == ({"a": 1, "b": 2}, 1)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("add",), 2),
        (("add", "-m", "loss"), 2),
        (("add", "-m", "loss=high"), 2),
        (("add", "-m", "=1"), 2),
        (("add", "-p", "lr"), 2),
        (("add", "-m", "a=1", "--step", "x"), 2),
        (("add", "--tag", "two words"), 2),
        (("add", "--file", "not-there"), 3),
        (("add", "--run", "nobody", "-m", "a=1"), 3),
        (("finish", "--status", "crashed"), 2),
    ],
)
def test_what_cannot_be_added_is_refused_and_the_run_goes_on(repo: GitRepo, words: tuple[str, ...], code: int) -> None:
    repo.track("start")

    complaint(repo.track(*words, check=False), exit_code=code)

    repo.track("finish")
    [found] = listed(repo)
    assert (found["params"], found["metrics"], found["status"]) == ({}, {}, "finished")


def test_without_an_open_run_add_and_finish_say_so(repo: GitRepo) -> None:
    record(repo, {"name": "done"})

    for words in (("add", "-m", "a=1"), ("finish",)):
        assert "`git track start` opens one" in complaint(repo.track(*words, check=False), exit_code=3)
    error = complaint(repo.track("finish", "--run", "done", check=False), exit_code=3)
    assert "cause: it has ended" in error


def test_finish_says_nothing_on_stdout_but_the_id(repo: GitRepo) -> None:
    opened = repo.track("start")
    done = repo.track("finish")

    assert opened.stdout == done.stdout
    assert opened.stderr.startswith("gittrack: run ")
    assert "is open; `git track finish` ends it" in opened.stderr


def test_a_param_given_twice_keeps_the_first(repo: GitRepo) -> None:
    repo.track("start", "-p", "lr=1")

    done = repo.track("add", "-p", "lr=2")
    repo.track("finish")

    assert "'lr' already has a value" in done.stderr
    assert listed(repo)[0]["params"] == {"lr": 1}
    assert [(event["key"], event["value"]) for event in shown(repo, "@")["events"]] == [("lr", 2)]


def test_each_work_tree_has_its_own_open_run(repo: GitRepo) -> None:
    repo.git("worktree", "add", "--quiet", "../other")
    here = repo.track("start").stdout.strip()
    other = repo.path.parent / "other"
    there = repo.track("start", cwd=other).stdout.strip()

    assert repo.track("finish").stdout.strip() == here
    assert repo.track("finish", cwd=other).stdout.strip() == there


def test_a_process_that_dies_does_not_end_a_detached_run(repo: GitRepo) -> None:
    subprocess.run(
        ["sh", "-c", "git track start --name long; kill -KILL $$"], cwd=repo.path, check=False, capture_output=True
    )

    repo.track("add", "-m", "loss=1")

    assert [found["status"] for found in listed(repo)] == ["running"]
    repo.track("finish")
    assert [found["status"] for found in listed(repo)] == ["finished"]
