"""A disk that hangs, as a network mount does whose server is away: training goes on, and so does the end of it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.disks import HangingDisk, hanging_disk
from tests.gitcmd import GitRepo
from tests.reader import only

LONGEST = 0.05  # seconds that a call of log() may take
EXIT_SECONDS = 10
FLUSH_SECONDS = 5  # that a call of flush() may take

# Stops for a word from the test where the disk is to be stopped, and where it is to go on.
SCRIPT = """
import sys, time
import gittrack as gt

calls, how = int(sys.argv[1]), sys.argv[2]
run = gt.init(name="hung")
for step in range(100):
    gt.log({"loss": step})
run.flush()
run.pinning.join()

def tell(what):
    print(what, flush=True)
    sys.stdin.readline()

tell("before")
slowest, begin = 0.0, time.perf_counter()
for step in range(100, 100 + calls):
    before = time.perf_counter()
    gt.log({"loss": step})
    slowest = max(slowest, time.perf_counter() - before)
tell(f"{slowest} {time.perf_counter() - begin}")
if how == "texts":
    gt.log({"text": "late"})
elif how == "flush":
    run.flush()
run.finish()
print("trained", flush=True)
sys.exit(3)
"""


@dataclass
class Script:
    """A training script that waits for a word after each line that it prints."""

    process: subprocess.Popen[str]

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@contextmanager
def training(repo: GitRepo, script: str, *args: str) -> Iterator[Script]:
    """Starts a script in the repository; at the end of the block it is over, whatever it was waiting for."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-c", script, *args]
    with subprocess.Popen(command, cwd=repo.path, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield Script(process)
        finally:
            process.kill()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[HangingDisk]:
    with hanging_disk(tmp_path) as mounted:
        yield mounted


@pytest.fixture
def remote_repo(disk: HangingDisk) -> GitRepo:
    """A repository with one commit on the disk that hangs."""
    made = GitRepo.init(disk.path / "repo")
    made.commit({"train.py": "print('training')\n"}, "train: begin")
    return made


@contextmanager
def time_limit(disk: HangingDisk, script: Script, seconds: float) -> Iterator[None]:
    """Kills the script, and lets the disk go on, if the block takes longer."""

    def end_it() -> None:
        disk.go_on()
        script.process.kill()

    watcher = threading.Timer(seconds, end_it)
    watcher.start()
    try:
        yield
    finally:
        watcher.cancel()
        watcher.join()


def timings(line: str) -> tuple[float, float]:
    """Returns the slowest call of log() and what all took; a script that was killed told nothing."""
    assert line, "log() never came back"
    slowest, total = map(float, line.split())
    return slowest, total


def test_log_does_not_wait_for_a_disk_that_hangs(remote_repo: GitRepo, disk: HangingDisk) -> None:
    found = []
    for _ in range(3):  # another process may have had the processor for so long; who waits for a disk waits each time
        with training(remote_repo, SCRIPT, "2000", "") as script, time_limit(disk, script, 10):
            script.line()
            disk.stop()
            script.go_on()
            found.append(timings(script.line()))
            disk.go_on()
            script.go_on()
            script.process.wait(30)
        if found[-1][0] < LONGEST:
            break
    slowest, total = found[-1]
    assert slowest < LONGEST
    assert total < 1  # it waits once, not in each call


def test_a_disk_that_goes_on_gets_everything_or_it_is_counted(remote_repo: GitRepo, disk: HangingDisk) -> None:
    with training(remote_repo, SCRIPT, "20000", "texts") as script, time_limit(disk, script, 15):
        script.line()
        disk.stop()
        script.go_on()
        timings(script.line())
        disk.go_on()
        script.go_on()
        assert script.line() == "trained"
        _, said = script.process.communicate(timeout=30)
        assert script.process.returncode == 3
    assert "Traceback" not in said
    assert "hung" in said
    found = only(remote_repo)
    assert found.status == "finished"
    kept = found.values("loss")
    assert kept[:100] == [float(step) for step in range(100)]
    assert kept == sorted(set(kept))
    assert found.facts.get("dropped", 0) == 20_101 - len(kept) - len(found.texts("text"))


@pytest.mark.parametrize("how", ["finish", "flush"])
def test_a_script_ends_though_the_disk_still_hangs(remote_repo: GitRepo, disk: HangingDisk, how: str) -> None:
    with training(remote_repo, SCRIPT, "500", how) as script, time_limit(disk, script, 25):
        script.line()
        disk.stop()
        script.go_on()
        timings(script.line())
        begin = time.monotonic()
        script.go_on()
        assert script.line() == "trained"
        _, said = script.process.communicate(timeout=30)
        assert time.monotonic() - begin < EXIT_SECONDS + (FLUSH_SECONDS if how == "flush" else 0)
        assert script.process.returncode == 3
    assert "Traceback" not in said
    assert "git track" in said  # the next command commits it
    disk.go_on()
    remote_repo.track("ls")
    assert only(remote_repo).values("loss")[:100] == [float(step) for step in range(100)]
    remote_repo.track("fsck")
    remote_repo.fsck()


def test_this_harness_holds_up_who_writes_to_the_disk_himself(remote_repo: GitRepo, disk: HangingDisk) -> None:
    plain = "import sys\nfile = open('plain', 'w')\nprint(1, flush=True)\nsys.stdin.readline()\n"
    plain += "file.write('x')\nfile.flush()\nprint(2, flush=True)\n"
    with training(remote_repo, plain) as script:
        assert script.line() == "1"
        disk.stop()
        script.go_on()
        with pytest.raises(subprocess.TimeoutExpired):
            script.process.wait(1)
        disk.go_on()
        assert script.line() == "2"
