"""Schedulers, Ctrl-C and the kernel end processes in the middle; what was done is there, and the next try goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.gitcmd import TIMEOUT_SECONDS, GitRepo
from tests.reader import Recorded, only, runs

TRAINING = """
import os, signal, sys, time
import gittrack as gt

run = gt.init(name="job", resume="auto", params={"lr": 0.1})
for step in range(run.step, 30):
    gt.log({"loss": 1.0 / (step + 1)}, step=step)
    if step == 9 and not run.resumed:
        print("ready", flush=True)
        time.sleep(60)
"""


@pytest.fixture
def training(repo: GitRepo) -> Path:
    file = repo.path.parent / "training.py"
    file.write_text(TRAINING, encoding="utf-8")
    return file


def begin(repo: GitRepo, file: Path, **env: str) -> subprocess.Popen[str]:
    """Starts the script and returns when it has logged ten points and waits."""
    process = subprocess.Popen(
        [sys.executable, str(file)],
        cwd=repo.path,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def preempt(process: subprocess.Popen[str], number: signal.Signals) -> int:
    begun = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=TIMEOUT_SECONDS)
    assert time.monotonic() - begun < 10
    return process.returncode


def again(repo: GitRepo, file: Path, **env: str) -> None:
    subprocess.run(
        [sys.executable, str(file)], cwd=repo.path, env={**os.environ, **env}, check=True, timeout=TIMEOUT_SECONDS
    )


def assert_whole(found: Recorded) -> None:
    assert found.status == "finished"
    assert found.points("loss") == [(step, 1.0 / (step + 1)) for step in range(30)]


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGUSR2", "SIGTERM", "SIGHUP", "SIGXCPU", "SIGINT", "SIGKILL"])
def test_a_job_that_was_preempted_goes_on_where_it_stopped(repo: GitRepo, training: Path, name: str) -> None:
    number = signal.Signals[name]
    assert preempt(begin(repo, training), number) == -number
    repo.track("ls")
    first = only(repo)
    assert first.status == ("crashed" if name == "SIGKILL" else "interrupted")
    assert first.facts.get("signal") == (None if name == "SIGKILL" else name)
    assert len(first.values("loss")) == 10
    again(repo, training)
    assert_whole(only(repo))


def test_the_tasks_of_a_job_array_go_on_each_with_its_own_run(repo: GitRepo, training: Path) -> None:
    def task(number: int, array: str) -> dict[str, str]:
        return {"SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": str(number), "SLURM_JOB_NAME": "sweep"}

    processes = [begin(repo, training, **task(number, "100")) for number in range(3)]
    for process in processes:
        preempt(process, signal.SIGTERM)
    before = {run.facts["job"]: run.id for run in runs(repo)}
    assert sorted(before) == ["sweep[0]", "sweep[1]", "sweep[2]"]
    for number in (2, 0, 1):
        again(repo, training, **task(number, "200"))
    found = runs(repo)
    assert {run.facts["job"]: run.id for run in found} == before
    for run in found:
        assert_whole(run)


def test_a_handler_of_the_users_comes_first(repo: GitRepo) -> None:
    done = repo.python(
        """
import signal, os
asked = []
signal.signal(signal.SIGUSR1, lambda *_: asked.append("checkpoint"))
import gittrack as gt
gt.init()
os.kill(os.getpid(), signal.SIGUSR1)
gt.log({"loss": 1.0})
print(asked)
"""
    )
    assert done.stdout == "['checkpoint']\n"
    assert only(repo).status == "finished"


def test_a_handler_that_python_does_not_know_of_is_left_alone(repo: GitRepo) -> None:
    done = repo.python(
        """
import faulthandler, os, signal
faulthandler.register(signal.SIGUSR1)
import gittrack as gt
gt.init()
os.kill(os.getpid(), signal.SIGUSR1)
print("alive")
"""
    )
    assert done.stdout == "alive\n"
    assert "most recent call first" in done.stderr
    assert only(repo).status == "finished"


IMPATIENT = """
import os, signal, subprocess, sys, threading, time
import gittrack as gt
import gittrack.git

run = gt.init(name="impatient")
for step in range(10):
    gt.log({"loss": step})
ask = gittrack.git.Git.write_pack
def slow(*args, **more):
    for _ in range(5):  # somebody who presses Ctrl-C while the run is being committed
        os.killpg(os.getpgrp(), signal.SIGINT)
        time.sleep(0.05)
    return ask(*args, **more)
gittrack.git.Git.write_pack = slow
"""


@pytest.mark.parametrize("how", ["raise KeyboardInterrupt", "with run: raise KeyboardInterrupt", "run.finish()"])
def test_ctrl_c_while_a_run_is_committed_waits_for_it(repo: GitRepo, how: str) -> None:
    file = repo.path.parent / "impatient.py"
    file.write_text(IMPATIENT + how, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, file],
        cwd=repo.path,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGINT, done.stderr
    found = only(repo)
    assert found.status == ("finished" if how == "run.finish()" else "interrupted")
    assert len(found.values("loss")) == 10


def test_a_run_that_the_kernel_kills_for_its_memory_is_there(repo: GitRepo, tmp_path: Path) -> None:
    group = Path("/sys/fs/cgroup/memory/gittrack-test")
    limit = group / "memory.limit_in_bytes"
    if not limit.parent.parent.exists():
        group = Path("/sys/fs/cgroup/gittrack-test")
        limit = group / "memory.max"
    try:
        group.mkdir()
        limit.write_text(str(96 << 20), encoding="ascii")
    except OSError:
        pytest.skip("no memory group can be made here")
    try:
        script = f"""
from pathlib import Path
Path({str(group / "cgroup.procs")!r}).write_text("0")
import gittrack as gt
run = gt.init(name="greedy")
for step in range(100):
    gt.log({{"loss": step}})
held = [bytearray(b"x" * (32 << 20)) for _ in range(100)]
"""
        assert repo.python(script, check=False).returncode == -signal.SIGKILL
    finally:
        for _ in range(50):
            try:
                group.rmdir()
            except OSError:
                time.sleep(0.1)
            else:
                break
    repo.track("ls")
    found = only(repo)
    assert (found.status, len(found.values("loss"))) == ("crashed", 100)
