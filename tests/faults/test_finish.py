"""kill -9 during `finish()`: the next command finishes it, once, and git finds nothing wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gitcmd import TIMEOUT_SECONDS, GitRepo
from tests.reader import only, runs

POINTS = 40

# Kills itself at the n-th event of the interpreter inside of finish(), with all of its group or alone; 0 counts them.
VICTIM = f"""
import os, signal, sys
import gittrack as gt

when, victims = int(sys.argv[1]), sys.argv[2]
run = gt.init(params={{"lr": 0.1}}, tags=["t"])
for step in range({POINTS}):
    gt.log({{"loss": step / 7}})
run.log_artifact(__file__, name="script.py")
run.pinning.join()
count = 0

def watch(frame, event, argument):
    global count
    count += 1
    if count == when:
        (os.killpg if victims == "group" else os.kill)(os.getpid(), signal.SIGKILL)

sys.setprofile(watch)
run.finish()
sys.setprofile(None)
print(count)
"""


def finish_and_die(repo: GitRepo, script: Path, *, when: int, victims: str = "self") -> int | None:
    """Runs a victim; returns how many events its finish() has, or None if it died."""
    script.write_text(VICTIM, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, script, str(when), victims],
        cwd=repo.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
    if process.returncode == 0:
        return int(output)
    assert process.returncode == -signal.SIGKILL
    return None


def check_that_it_is_whole(repo: GitRepo) -> None:
    """Asserts that after the next command there is one sound commit of the one run, and nothing left to do."""
    repo.track("ls")
    found = only(repo)
    assert found.points("loss") == [(step, step / 7) for step in range(POINTS)]
    assert found.raw("artifacts/script.py") == VICTIM.encode()
    assert found.status in ("finished", "crashed")  # crashed: it died before it had said that it ended
    assert repo.git("rev-list", "--count", found.ref, "^main") == "1"
    repo.track("fsck")  # the second command has nothing left to do
    assert repo.git("rev-list", "--count", found.ref, "^main") == "1"
    repo.fsck()
    assert list((repo.path / ".git" / "gittrack" / "live").iterdir()) == []
    repo.git("update-ref", "-d", found.ref)


def at_stages(repo: GitRepo, tmp_path: Path, *, stages: int, victims: str) -> None:
    total = finish_and_die(repo, tmp_path / "victim.py", when=0)
    assert total is not None
    assert total > 500
    check_that_it_is_whole(repo)
    died = 0
    for stage in range(stages):
        when = 1 + total * stage // stages
        died += finish_and_die(repo, tmp_path / "victim.py", when=when, victims=victims) is None
        check_that_it_is_whole(repo)
    assert died >= stages - 1  # the number of events varies a little


@pytest.mark.parametrize("victims", ["self", "group"])
def test_a_finish_that_was_killed_is_finished_by_the_next_command(repo: GitRepo, tmp_path: Path, victims: str) -> None:
    at_stages(repo, tmp_path, stages=4, victims=victims)


@pytest.mark.faults
@pytest.mark.parametrize("victims", ["self", "group"])
def test_a_finish_may_be_killed_at_any_stage(repo: GitRepo, tmp_path: Path, victims: str) -> None:
    at_stages(repo, tmp_path, stages=120, victims=victims)


# git itself is killed -----------------------------------------------------------------------------------------------

FAILING_GIT = """#!/bin/sh
# The user's git, of which one command is killed once.
for word; do
    if [ "$word" = "{command}" ] && mkdir "{once}" 2>/dev/null; then
        {before}
        kill -9 $$
    fi
done
exec "{git}" "$@"
"""


@pytest.mark.parametrize("done_first", [False, True], ids=["before it worked", "after it worked"])
@pytest.mark.parametrize("command", ["index-pack", "update-ref"])
def test_a_git_that_is_killed_under_us_costs_nothing(
    repo: GitRepo, tmp_path: Path, command: str, done_first: bool
) -> None:
    git = subprocess.run(["sh", "-c", "command -v git"], capture_output=True, text=True, check=True).stdout.strip()
    folder = tmp_path / "bin"
    folder.mkdir()
    text = FAILING_GIT.format(
        command=command, once=tmp_path / "once", git=git, before=f'"{git}" "$@" >/dev/null' if done_first else ":"
    )
    (folder / "git").write_text(text, encoding="utf-8")
    (folder / "git").chmod(0o755)
    script = "import os\nimport gittrack as gt\nrun = gt.init()\ngt.log({'a': 1})\nrun.pinning.join()\n"
    script += f"os.environ['PATH'] = {str(folder)!r} + ':' + os.environ['PATH']\n"
    script += "run._repo.git.environ['PATH'] = os.environ['PATH']\nrun.finish()\ngt.init(name='next').finish()\n"
    done = repo.python(script)
    assert (tmp_path / "once").exists()
    assert "Traceback" not in done.stderr
    repo.track("ls")
    found = [run for run in runs(repo) if run.record["name"] != "next"]
    assert [(run.status, run.values("a")) for run in found] == [("finished", [1.0])]
    assert len(runs(repo)) == 2
    assert repo.git("rev-list", "--count", found[0].ref, "^main") == "1"
    assert list((repo.path / ".git" / "gittrack" / "live").iterdir()) == []


@pytest.mark.faults  # our git waits five seconds for it
def test_a_lock_that_somebody_else_holds_costs_nothing(repo: GitRepo) -> None:
    script = """
import os
import gittrack as gt

run = gt.init(name="mine")
gt.log({"a": 1})
run.pinning.join()
lock = f".git/refs/runs/{run.id}.lock"
os.makedirs(".git/refs/runs", exist_ok=True)
open(lock, "w").close()
run.finish()
os.unlink(lock)
"""
    done = repo.python(script, env={"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "a.b", "GIT_CONFIG_VALUE_0": "c"})
    assert "could not be committed yet" in done.stderr
    assert runs(repo) == []
    repo.track("ls")
    assert (only(repo).status, only(repo).values("a")) == ("finished", [1.0])


def test_what_finish_could_not_commit_is_committed_while_the_process_lives_on(repo: GitRepo) -> None:
    done = repo.python(
        """
import os, subprocess
import gittrack as gt

run = gt.init(name="mine")
gt.log({"a": 1})
run.pinning.join()
os.rename(".git/objects/pack", ".git/objects/elsewhere")
open(".git/objects/pack", "w").close()
assert run.finish() is None
os.unlink(".git/objects/pack")
os.rename(".git/objects/elsewhere", ".git/objects/pack")
print(subprocess.run(["git", "track", "ls"], capture_output=True, text=True, check=True).stderr)
"""
    )
    assert "could not be committed yet" in done.stderr
    assert (only(repo).status, only(repo).values("a")) == ("finished", [1.0])
    assert os.listdir(repo.path / ".git" / "gittrack" / "live") == []
