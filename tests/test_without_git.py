"""A machine without git: runs are recorded, read and curated all the same, and real git finds them sound."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.nogit import python, track, without_git
from tests.reader import only, runs
from tests.runs import attempt, record

SCRIPT = """
import gittrack as gt
with gt.init(params={"lr": 0.1, "opt": {"name": "adam"}}, tags=["a"], notes="a note") as run:
    for step in range(3):
        gt.log({"loss": 1 / (step + 1), "text": "t"})
    with open("../report.txt", "w") as file:
        file.write("report")
    run.log_artifact("../report.txt")
"""
NO_GIT = "gittrack: warning: git is not installed, or not on PATH: the run records the commit"


def listed(repo: GitRepo, *words: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(track(repo, "ls", "--json", *words).stdout)
    return found


def without_times(said: tuple[int, str, str]) -> tuple[int, str, str]:
    """Returns what was said, whatever the second, and as wide as it may be for that."""
    return said[0], re.sub(" +", " ", re.sub(r"\d+ seconds? ago", "just now", said[1])), said[2]


# Recording ----------------------------------------------------------------------------------------------------------


def test_a_run_is_the_same_commit_as_with_git(repo: GitRepo) -> None:
    repo.python(SCRIPT.replace("init(", "init(name='with', "))
    done = python(repo, SCRIPT.replace("init(", "init(name='without', "))
    with_git, without = sorted(runs(repo), key=lambda run: len(run.record["name"]))

    assert done.stderr == NO_GIT + "\n"
    assert without.files == with_git.files
    assert without.parents == with_git.parents == [repo.git("rev-parse", "HEAD")]
    people = {repo.git("show", "-s", "--format=%an <%ae> %cn <%ce>", run.ref) for run in (with_git, without)}
    assert people == {"Ada Tester <ada@example.org> Ada Tester <ada@example.org>"}
    assert list(without.record) == list(with_git.record)
    for path in ("params.yaml", "artifacts.yaml", "artifacts/report.txt"):
        assert without.raw(path) == with_git.raw(path)
    facts = without.facts
    assert facts["code"] == with_git.facts["code"]
    assert facts["code"]["dirty"] is False
    assert "git" not in without.yaml("env/environment.yaml")
    assert repo.track("fsck").stderr == "2 run(s) are sound\n"
    repo.git("gc", "--prune=now", "--quiet")
    assert without.values("loss") == [1.0, 0.5, 1 / 3]


def test_uncommitted_work_is_flagged_and_not_stored(repo: GitRepo) -> None:
    repo.git("remote", "add", "origin", "https://user:secret@example.org/lab.git")
    repo.git("checkout", "--quiet", "-b", "größe")
    (repo.path / "notes.txt").write_text("untracked", encoding="utf-8")
    done = python(repo, SCRIPT, cwd=repo.path)
    found = only(repo)
    assert done.stderr == NO_GIT + ", and that there is uncommitted work, but not that work\n"
    assert found.facts["code"] == {
        "commit": repo.git("rev-parse", "HEAD"),
        "branch": "größe",
        "remote": "https://example.org/lab.git",
        "dirty": True,
    }
    assert found.parents == [repo.git("rev-parse", "HEAD")]
    assert "uncommitted work that was not recorded" in track(repo, "show", "@").stdout


def test_a_dirty_tree_is_refused_where_that_is_the_policy(repo: GitRepo) -> None:
    (repo.path / "train.py").write_text("changed", encoding="utf-8")
    repo.git("config", "track.dirty", "refuse")
    done = track(repo, "run", "--", sys.executable, "-c", "1", check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (125, "error: the work tree has uncommitted changes")


@pytest.mark.parametrize("state", ["unborn", "detached", "linked", "bare", "folder"])
def test_every_state_of_a_repository_is_recorded(repo: GitRepo, empty_repo: GitRepo, state: str) -> None:
    where = {"unborn": empty_repo.path, "folder": repo.path / "below"}.get(state, repo.path)
    if state == "detached":
        repo.git("checkout", "--quiet", "--detach")
    elif state == "linked":
        repo.git("worktree", "add", "--quiet", "-b", "other", "../linked")
        where = repo.path.parent / "linked"
    elif state == "bare":
        repo.git("clone", "--quiet", "--bare", ".", "../bare.git")
        where = repo.path.parent / "bare.git"
    elif state == "folder":
        where.mkdir()
    python(repo, SCRIPT, cwd=where)
    found = only(GitRepo(where))
    branch = {"unborn": "main", "detached": None, "linked": "other"}.get(state, "main")
    assert (found.status, found.facts["code"].get("branch")) == ("finished", branch)
    assert found.parents == ([] if state == "unborn" else [repo.git("rev-parse", "HEAD")])
    assert found.facts.get("directory", ".") == ("below" if state == "folder" else found.facts.get("directory", "."))
    GitRepo(where).fsck()


def test_who_signs_is_told_that_the_run_is_not_signed(repo: GitRepo) -> None:
    repo.git("config", "commit.gpgSign", "true")
    assert python(repo, SCRIPT).stderr == NO_GIT + "; its commit is not signed\n"
    assert "commits of runs are not signed" in track(repo, "tag", "@", "x").stderr
    assert "gpgsig" not in repo.git("cat-file", "commit", only(repo).ref)


def test_many_runs_leave_few_packs(repo: GitRepo) -> None:
    python(repo, "import gittrack as gt\nfor n in range(30):\n    gt.init().log({'n': n})\n    gt.finish()\n")
    kept = list((repo.path / ".git/objects/pack").glob("*.keep"))
    assert len(kept) <= 20
    assert "gittrack merged" in {path.read_text(encoding="utf-8") for path in kept}
    assert sorted(found.values("n")[0] for found in runs(repo)) == list(range(30))
    assert track(repo, "fsck").stderr == "30 run(s) are sound\n"
    repo.fsck()


def test_processes_that_finish_at_once_beside_gc_lose_nothing(repo: GitRepo) -> None:
    script = "import gittrack as gt\nfor n in range(4):\n    gt.init(reinit=True).log({'n': n})\n    gt.finish()\n"
    done = False

    def collect() -> None:
        while not done:
            repo.git("gc", "--prune=now", "--quiet", check=False)

    with ThreadPoolExecutor(4) as pool:
        collector = pool.submit(collect)
        said = [work.result().stderr for work in [pool.submit(python, repo, script) for _ in range(3)]]
        done = True
        collector.result()
    assert [text.count("\n") for text in said] == [1, 1, 1]
    assert len(runs(repo)) == 12
    repo.fsck()


def test_what_a_killed_process_left_is_sealed_by_the_next_command(repo: GitRepo, tmp_path: Path) -> None:
    script = tmp_path / "victim.py"
    script.write_text(
        "import gittrack as gt, time\nrun = gt.init(params={'a': 1})\n"
        "for n in range(1000):\n    gt.log({'n': n})\nprint('ready', flush=True)\ntime.sleep(60)\n",
        encoding="utf-8",
    )
    victim = subprocess.Popen(
        [sys.executable, script], cwd=repo.path, env={**os.environ, **without_git(repo)}, stdout=subprocess.PIPE
    )
    with victim:
        assert victim.stdout
        assert victim.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 20
        while not repo.refs("refs/gittrack/live/") and time.monotonic() < deadline:
            time.sleep(0.02)
        pins = repo.refs("refs/gittrack/live/")
        victim.send_signal(signal.SIGKILL)
    assert list(pins.values()) == [repo.git("rev-parse", "HEAD")], "the code is pinned while the run is recorded"

    done = track(repo, "ls")

    assert "recovered run" in done.stderr
    found = only(repo)
    assert (found.status, len(found.values("n"))) == ("crashed", 1000)
    assert repo.refs("refs/gittrack/live/") == {}
    repo.git("gc", "--prune=now", "--quiet")


def test_a_run_goes_on_where_it_stopped(repo: GitRepo) -> None:
    first = "import gittrack as gt\nrun = gt.init(name='long')\nrun.log({'n': 0})\nrun.finish()\n"
    python(repo, first)
    python(repo, first.replace("name='long'", "resume='long'").replace("'n': 0", "'n': 1"))
    found = only(repo)
    assert found.values("n") == [0.0, 1.0]
    assert repo.git("rev-list", "--count", found.ref, "^main") == "2"


# Commands -----------------------------------------------------------------------------------------------------------


def test_a_command_is_recorded(repo: GitRepo) -> None:
    done = track(
        repo, "run", "-p", "lr=1", "--", sys.executable, "-c", "print('out'); raise SystemExit(3)", check=False
    )
    found = only(repo)
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert (found.status, found.raw("output.log")) == ("failed", b"out\n")
    assert found.facts["exit_code"] == 3


def test_a_run_is_written_step_by_step(repo: GitRepo) -> None:
    run = track(repo, "start", "--name", "shell").stdout.strip()
    track(repo, "add", "-m", "loss=0.5", "-p", "lr=1")
    assert [one["status"] for one in listed(repo)] == ["running"]
    track(repo, "finish")
    assert (only(repo).id, only(repo).values("loss")) == (run, [0.5])
    track(repo, "start", "--name", "other")
    track(repo, "rm", "other")
    assert repo.refs("refs/gittrack/") == {}


def test_runs_are_read_as_with_git(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    record(repo, {"name": "one", "metrics": {"loss": [1, 0.5]}, "files": {"a.txt": "a"}, "tags": ["t"]})
    repo.commit({"train.py": "print('other')\n"}, "change")
    (repo.path / "new.txt").write_text("new", encoding="utf-8")
    record(repo, {"name": "two", "metrics": {"loss": [2]}})
    head = repo.git("rev-parse", "--short", "HEAD")

    for words in (
        *("ls", "ls --json", "ls --csv", "ls one", f"ls {head}", "ls --since=2026-01-01", "ls --status finished tag:t"),
        *("show two", "show @{-2} --json", "show one:artifacts/a.txt", "show one:params.yaml", "fsck", "status"),
        *("log", "log --json", "log HEAD~1", "diff one two", "diff one two --json", "diff --code one two"),
        *("ls nothing", "show x", "log nowhere", "status --json", "ls --since=2.weeks.ago"),
    ):
        theirs = attempt(repo, *words.split())
        with monkeypatch.context() as patched:
            patched.setenv("PATH", without_git(repo)["PATH"])
            ours = attempt(repo, *words.split())
        *said, told = without_times(ours)
        if words == "log HEAD~1":  # which has a hint more: patches need git
            told, hint = told.split("hint: ")
            assert "patches" in hint
        assert (*said, told) == tuple(without_times(theirs)), words


def test_runs_are_curated_as_with_git(repo: GitRepo) -> None:
    [run] = record(repo, {"name": "one"})
    track(repo, "tag", "one", "best", "kept")
    track(repo, "edit", "one", "--name", "renamed", "-m", "a note", "--star")
    track(repo, "tag", "-d", "renamed", "kept")
    track(repo, "rm", run)
    assert listed(repo) == []
    track(repo, "rm", "--undo", run)
    [found] = json.loads(repo.track("ls", "--json").stdout)
    assert (found["name"], found["tags"], found["note"], found["starred"]) == ("renamed", ["best"], "a note", True)
    assert repo.git("rev-list", "--count", f"refs/runs/{run}", "^main") == "6"
    assert repo.track("fsck").stderr == "1 run(s) are sound\n"


def test_editors_of_both_kinds_lose_no_edit(repo: GitRepo) -> None:
    [run] = record(repo, {})
    with ThreadPoolExecutor(4) as pool:
        works = [pool.submit(track, repo, "tag", run, f"a{n}") for n in range(4)]
        works += [pool.submit(repo.track, "tag", run, f"b{n}") for n in range(4)]
        for work in works:
            work.result()
    assert listed(repo)[0]["tags"] == [f"{kind}{n}" for kind in "ab" for n in range(4)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["checkout", "one", "../there"], "error: git is not installed, or not on PATH"),
        (["demo"], "error: git is not installed, or not on PATH"),
    ],
)
def test_what_needs_git_says_so(repo: GitRepo, words: list[str], message: str) -> None:
    record(repo, {"name": "one"})
    done = track(repo, *words, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (128, message)
    assert done.stderr.splitlines()[-1] == "hint: install git 2.36 or newer"


def test_dates_that_only_git_understands_are_refused(repo: GitRepo) -> None:
    done = track(repo, "ls", "--since", "last tuesday", check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "error: the date 'last tuesday' is not understood without git"


def test_the_doctor_says_what_is_missing(repo: GitRepo) -> None:
    done = track(repo, "doctor", check=False)
    assert " warn  git is not on PATH: uncommitted work is not recorded" in done.stdout
    assert "hint: install git 2.36 or newer" in done.stdout
    assert "   ok  runs are recorded as Ada Tester <ada@example.org>" in done.stdout


# Where nothing can be opened ----------------------------------------------------------------------------------------


def test_outside_a_repository_the_detached_store_is_made(repo: GitRepo, sealed_home: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    done = python(repo, SCRIPT, cwd=tmp_path / "plain")
    assert "is not in a git repository; the run is recorded without code in your data folder" in done.stderr
    assert done.stderr.count("\n") == 1
    store = GitRepo(sealed_home / ".local/share/gittrack/detached.git")
    assert (only(store).status, only(store).parents) == ("finished", [])
    store.fsck()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"extensions.objectFormat": "sha256"}, "object format"),
        ({"extensions.refStorage": "reftable"}, "refstorage"),
        ({"extensions.partialClone": "origin"}, "partialclone"),
    ],
)
def test_a_repository_that_libgit2_refuses_does_not_stop_training(
    repo: GitRepo, sealed_home: Path, settings: dict[str, str], reason: str
) -> None:
    repo.git("config", "core.repositoryFormatVersion", "1")
    for key, value in settings.items():
        repo.git("config", key, value)
    repo.fsck_at_teardown = False  # this git may not know the format, and no object here has it
    done = python(repo, SCRIPT)
    assert done.stderr.count("\n") == 1
    assert "and without it" in done.stderr
    assert reason in done.stderr
    assert only(GitRepo(sealed_home / ".local/share/gittrack/detached.git")).status == "finished"
    for words in ("ls", "show @", "push", "status", "start", "tag a b", "fsck"):
        told = track(repo, *words.split(), check=False)
        assert (told.returncode, told.stderr[:6], reason in told.stderr) == (128, "error:", True)
    told = track(repo, "run", "--", "true", check=False)
    assert (told.returncode, reason in told.stderr) == (128, True)
    assert reason in track(repo, "doctor", check=False).stdout


def test_a_machine_without_libgit2_too_records_nothing_and_goes_on(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "pygit2.py").write_text("raise ImportError('libgit2.so: cannot open')\n", encoding="utf-8")
    done = python(repo, SCRIPT, env={"PYTHONPATH": str(tmp_path)})
    assert "git is not installed" in done.stderr
    assert "nothing is recorded" in done.stderr
    assert runs(repo) == []
    told = track(repo, "ls", check=False, env={"PYTHONPATH": str(tmp_path)})
    assert (told.returncode, told.stderr.splitlines()[0]) == (128, "error: git is not installed, or not on PATH")
