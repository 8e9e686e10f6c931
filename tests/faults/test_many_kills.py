"""kill -9 at a thousand random moments of trainings in one to eight processes: whatever was promised is there."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.injecting import Warm, home_of
from tests.gitcmd import GitRepo
from tests.reader import Recorded, only, runs

PARTS, MOMENTS = 10, 100
KINDS = ("forks", "scripts")
LONGEST = 0.25  # seconds: init, training, finish
TRAINING_SECONDS = 0.04
POINTS = 1_000_000
RECOVERY_SECONDS = 2


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    made = Warm()
    yield made
    made.close()


@pytest.fixture
def template() -> Iterator[Path]:
    """A repository with one commit, in memory where there is some: what is killed is copied from it."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of our own in it
    with tempfile.TemporaryDirectory(dir=memory) as scratch:
        box = Path(scratch, "template")
        (box / "home").mkdir(parents=True)
        shutil.copy(Path.home() / ".gitconfig", box / "home")
        GitRepo.init(box / "repo", "--template=").commit({"train.py": "print('training')\n"}, "train: begin")
        yield box


def kill_at(warm: Warm, box: Path, kind: str, *, processes: int, moment: float, seconds: float) -> None:
    """Starts a training, and kills all its processes at a moment of it."""
    gate = box / "gate"
    gate.write_text("!", encoding="ascii")
    code = f"import victim\nvictim.train({kind!r}, {processes}, {seconds})\n"
    env = {**os.environ, **home_of(box), "TOLD": str(box / "told")}
    files = {"out": os.devnull, "err": str(box / "err"), "gate": str(gate), "folder": str(box / "repo")}
    pid = warm.start({"code": code, "argv": ["train.py"], "env": env, **files})
    time.sleep(moment)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    warm.status()
    end = time.monotonic() + 10
    while time.monotonic() < end:  # the others of its group are reaped by somebody else
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.001)
    raise AssertionError("somebody survived")


def check(box: Path, warm: Warm, *, by_process: bool) -> tuple[int, int]:
    """Recovers, and returns how many calls of log() were promised in all, and how many are lost."""
    let_time_pass(box / "repo" / ".git")
    warm.command(box / "repo", home_of(box), "ls")
    repo = GitRepo(box / "repo")
    found = runs(repo)
    promised = lost = 0
    for told in box.glob("told-run-*"):
        words = told.read_text("ascii").split()
        named = [run for run in found if run.record["name"] == "victim-" + told.name.rpartition("-")[2]]
        assert len(named) == 1 or not words
        assert all(run.status in ("finished", "finished" if "finish" in words else "crashed") for run in named)
    for told in box.glob("told-[0-9]*"):
        me = int(told.name.rpartition("-")[2])
        (run,) = [run for run in found if run.record["name"] == f"victim-{me if by_process else 0}"]
        calls = told.stat().st_size
        promised += calls
        lost += len(set(range(calls)) - numbers(run, me))
    repo.fsck()
    assert list((box / "repo" / ".git" / "gittrack" / "live").glob("*/run.json")) == []
    assert "Traceback" not in (box / "err").read_text("utf-8")
    return promised, lost


def numbers(run: Recorded, me: int) -> set[int]:
    """Returns which calls of a process are in a run, each with all of what it logged."""
    texts = {int(text) for text in run.texts(f"text{me}")}
    kept = set()
    for row in run.rows:
        if f"n{me}" in row:
            number = int(row[f"n{me}"])
            assert (row["step"], row["inverse"]) == (number, 1 / (number + 1))
            if number % 100 or number in texts:
                kept.add(number)
    return kept


def let_time_pass(git_dir: Path) -> None:
    """An hour later: the locks of a git that was killed are nobody's."""
    for lock in git_dir.rglob("*.lock"):
        os.utime(lock, (time.time() - 3600, time.time() - 3600))


def many(warm: Warm, template: Path, *, seed: int, count: int, kinds: tuple[str, ...], longest: float) -> None:
    chance = random.Random(seed)
    total = 0
    for number in range(count):
        box = template.parent / f"at-{number}"
        shutil.copytree(template, box, symlinks=True)
        kind, processes = chance.choice(kinds), chance.randint(1, 8)
        moment = chance.uniform(0, longest)
        kill_at(warm, box, kind, processes=processes, moment=moment, seconds=TRAINING_SECONDS)
        promised, lost = check(box, warm, by_process=kind == "scripts")
        assert lost == 0, (kind, processes, moment)
        total += promised
        shutil.rmtree(box)
    assert total > 100 * count


def test_whenever_processes_are_killed_nothing_is_lost(warm: Warm, template: Path) -> None:
    many(warm, template, seed=0, count=6, kinds=KINDS, longest=LONGEST)


@pytest.mark.faults
@pytest.mark.parametrize("part", range(PARTS))
def test_a_thousand_kills_of_one_to_eight_processes_lose_nothing(warm: Warm, template: Path, part: int) -> None:
    many(warm, template, seed=1 + part, count=MOMENTS, kinds=KINDS, longest=LONGEST)


@pytest.mark.faults
def test_kills_of_spawned_processes_lose_nothing(warm: Warm, template: Path) -> None:
    many(warm, template, seed=99, count=20, kinds=("spawned",), longest=2)


# A million points ---------------------------------------------------------------------------------------------------

DYING = """
import os
import gittrack as gt

run = gt.init()
names = [f"metric_{number}" for number in range(10)]
for step in range(100_000):
    gt.log({name: step / 7 for name in names})
os.kill(os.getpid(), 9)
"""


@pytest.mark.faults
def test_a_million_points_are_recovered_in_two_seconds(repo: GitRepo) -> None:
    repo.python(DYING, check=False)
    process = subprocess.Popen([sys.executable, "-m", "gittrack", "ls"], cwd=repo.path, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)  # with its gits, which it waits for
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert only(repo).record["points"] == POINTS
    assert used.ru_utime + used.ru_stime < RECOVERY_SECONDS
