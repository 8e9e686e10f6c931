"""The power goes: what `finish()` returned for is there, whole; an unfinished run lacks its last second at most.

The file system drops whatever was not synced and is mounted again, as after a real cut. In one of its two modes names
and sizes were written and data was not, which makes empty files of what somebody forgot to sync."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.disks import CUTS, LoopDisk, loop_disk
from tests.faults.injecting import Warm
from tests.gitcmd import GitRepo
from tests.reader import Recorded, runs

STEPS = 20
PROMISED_SECONDS = 1.0

FINISHING = f"""
import os
import gittrack as gt

told = os.open(os.environ["TOLD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
while True:
    run = gt.init(params={{"lr": 0.1}})
    for step in range({STEPS}):
        gt.log({{"loss": step}})
    run.log_artifact("train.py")
    if run.finish() is not None:
        os.write(told, run.id.encode() + b"\\n")
"""
LOGGING = """
import os, time
import gittrack as gt

told = os.open(os.environ["TOLD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
run = gt.init(params={"lr": 0.1})
os.write(told, b"init\\n")
step = 0
while True:
    gt.log({"loss": step})
    os.write(told, f"{time.monotonic()}\\n".encode())
    step += 1
    time.sleep(0.001)
"""
# What is written without a sync, by us and by git: the harness must see what that costs.
UNSYNCED = """
import os
from gittrack import git

os.fsync = os.fdatasync = lambda fd: None
really = git.Git.run

def run(self, *args, settings=(), **options):
    return really(self, *args, settings=[word.replace("=all", "=none") for word in settings], **options)

git.Git.run = run
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LoopDisk]:
    with loop_disk(tmp_path) as mounted:
        yield mounted


@pytest.fixture(scope="module")
def warm_process() -> Iterator[Warm]:
    warm = Warm()
    yield warm
    warm.close()


@pytest.fixture
def there(disk: LoopDisk) -> GitRepo:
    """A repository on the disk, which has been there for a while."""
    made = GitRepo.init(disk.path / "repo")
    made.commit({"train.py": "print('training')\n"}, "train: begin")
    os.sync()
    return made


@contextmanager
def at_work(warm: Warm, repo: GitRepo, code: str, told: Path) -> Iterator[None]:
    """Runs a script that does not end by itself; at the end of the block it is killed."""
    gate = told.with_suffix(".gate")
    gate.write_text("!", encoding="ascii")
    nowhere = {"out": os.devnull, "err": os.devnull, "gate": str(gate)}
    environ = {**os.environ, "TOLD": str(told)}
    pid = warm.start({"code": code, "argv": ["train.py"], "folder": str(repo.path), "env": environ, **nowhere})
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        warm.status()


def wait_for(told: Path, lines: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if told.exists() and told.read_bytes().count(b"\n") >= lines:
            return
        time.sleep(0.0005)
    raise AssertionError("the script does not tell that it goes on")


def cut_while(  # noqa: PLR0917 - the parts of one experiment
    disk: LoopDisk, repo: GitRepo, warm: Warm, code: str, told: Path, how: str, *, lines: int, after: float
) -> float:
    """Cuts the power `after` seconds from when a script told so many lines; returns when. The disk is there again."""
    with at_work(warm, repo, code, told):
        wait_for(told, lines)
        time.sleep(after)
        disk.cut(how)
        moment = time.monotonic()
    disk.unmount()
    disk.mount()
    return moment


def empty_files(repo: GitRepo) -> list[str]:
    """Returns the empty files of git's, without those of what was not finished: locks, packs that nobody needs."""
    git_dir = repo.path / ".git"
    found = [path for name in ("objects", "refs") for path in (git_dir / name).rglob("*") if path.is_file()]
    found += [path for path in (git_dir / "packed-refs", git_dir / "HEAD", git_dir / "index") if path.exists()]
    empty = [path for path in found if path.stat().st_size == 0]
    empty = [path for path in empty if not path.name.startswith(("tmp_", ".tmp")) and path.suffix != ".lock"]
    return [str(path.relative_to(git_dir)) for path in empty if path.suffix != ".keep" or is_needed(repo, path)]


def is_needed(repo: GitRepo, keep: Path) -> bool:
    """Tells whether the pack that a `.keep` stands for has a commit of a run in it."""
    if not keep.with_suffix(".idx").exists():
        return False
    with keep.with_suffix(".idx").open("rb") as index:
        listing = subprocess.run(["git", "show-index"], stdin=index, capture_output=True, text=True, check=False).stdout
    return any(oid in listing for oid in repo.refs("refs/runs/").values())


def let_time_pass(repo: GitRepo) -> None:
    """An hour later, what was half begun and half removed is nobody's any more."""
    git_dir, hour_ago = repo.path / ".git", time.time() - 3600
    for path in [*(git_dir / "refs").rglob("*.lock"), *(git_dir / "gittrack" / "live").glob("*")]:
        os.utime(path, (hour_ago, hour_ago))


def is_whole(found: Recorded | None) -> bool:
    if found is None or found.status != "finished" or found.raw("artifacts/train.py") is None:
        return False
    return found.values("loss") == [float(step) for step in range(STEPS)]


def lost_of(repo: GitRepo, told: Path) -> tuple[int, int]:
    """Returns how many finished runs are lost, and how many there were."""
    words = told.read_text("ascii").split("\n")[:-1]
    found = {recorded.id: recorded for recorded in runs(repo)}
    return sum(not is_whole(found.get(word)) for word in words), len(words)


def cut_after_finish(disk: LoopDisk, repo: GitRepo, warm: Warm, tmp_path: Path, how: str, *, times: int) -> int:
    """Cuts the power so many times, each at another moment after a finish; returns how many runs had finished."""
    chance = random.Random(how)
    finished = 0
    for number in range(times):
        told = tmp_path / f"told-{number}"
        cut_while(disk, repo, warm, FINISHING, told, how, lines=1 + number % 3, after=chance.uniform(0, 0.05))
        assert empty_files(repo) == []
        repo.fsck()
        lost, acknowledged = lost_of(repo, told)
        assert lost == 0
        finished += acknowledged
        let_time_pass(repo)
        warm.command(repo.path, {}, "ls")  # what was not finished is sealed
        repo.fsck()
        for ref in repo.refs("refs/runs/"):  # so that what is read stays short
            repo.git("update-ref", "-d", ref)
    return finished


@pytest.mark.parametrize("how", CUTS)
def test_a_finished_run_survives_a_power_cut(
    disk: LoopDisk, there: GitRepo, warm_process: Warm, tmp_path: Path, how: str
) -> None:
    assert cut_after_finish(disk, there, warm_process, tmp_path, how, times=4) >= 4


@pytest.mark.faults
@pytest.mark.parametrize("how", CUTS)
def test_a_hundred_and_fifty_power_cuts_lose_no_finished_run(
    disk: LoopDisk, there: GitRepo, warm_process: Warm, tmp_path: Path, how: str
) -> None:
    assert cut_after_finish(disk, there, warm_process, tmp_path, how, times=150) >= 150


@pytest.mark.parametrize("how", CUTS)
def test_this_harness_sees_what_is_lost_without_syncs(
    disk: LoopDisk, there: GitRepo, warm_process: Warm, tmp_path: Path, how: str
) -> None:
    there.fsck_at_teardown = False
    told = tmp_path / "told"
    cut_while(disk, there, warm_process, UNSYNCED + FINISHING, told, how, lines=3, after=0)
    try:
        lost, finished = lost_of(there, told)
    except AssertionError:  # git cannot even list the refs
        lost = finished = 3
    assert lost == finished >= 3


@pytest.mark.faults
@pytest.mark.parametrize("how", CUTS)
def test_an_unfinished_run_lacks_its_last_second_at_most_every_time(
    disk: LoopDisk, there: GitRepo, warm_process: Warm, tmp_path: Path, how: str
) -> None:
    chance = random.Random(how)
    for number in range(15):
        last_second(disk, there, warm_process, tmp_path / f"told-{number}", how, after=chance.uniform(0, 3))


@pytest.mark.parametrize("how", CUTS)
def test_an_unfinished_run_lacks_its_last_second_at_most(
    disk: LoopDisk, there: GitRepo, warm_process: Warm, tmp_path: Path, how: str
) -> None:
    last_second(disk, there, warm_process, tmp_path / "told", how, after=1.6)


def last_second(disk: LoopDisk, repo: GitRepo, warm: Warm, told: Path, how: str, *, after: float) -> None:
    """Cuts the power while a run logs, and asserts that the points of all but the last second are in it."""
    moment = cut_while(disk, repo, warm, LOGGING, told, how, lines=1, after=after)
    times = [float(word) for word in told.read_text("ascii").split("\n")[1:-1]]
    assert empty_files(repo) == []
    repo.fsck()
    let_time_pass(repo)
    warm.command(repo.path, {}, "ls")
    found = [recorded for recorded in runs(repo) if recorded.params.get("lr") == 0.1]
    promised = sum(at < moment - PROMISED_SECONDS for at in times)
    if promised:
        assert [recorded.status for recorded in found] == ["crashed"]
        kept = found[0].values("loss")
        assert kept == [float(step) for step in range(len(kept))]
        assert len(kept) >= promised
    repo.fsck()
    warm.command(repo.path, {}, "fsck")
    assert list((repo.path / ".git" / "gittrack" / "live").iterdir()) == []
    for ref in repo.refs("refs/runs/"):
        repo.git("update-ref", "-d", ref)
