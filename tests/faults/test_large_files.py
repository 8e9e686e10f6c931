"""Large files of a run, and the process, the power or the room on the disk that fails while they are stored.

A payload under its name is whole, always; a file that `log_artifact` returned for survives the death of the process,
and one of a finished run survives a power cut."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.disks import LoopDisk, loop_disk, small_disk
from tests.faults.injecting import Warm
from tests.faults.test_power_cut import cut_while
from tests.gitcmd import TIMEOUT_SECONDS, GitRepo
from tests.reader import Recorded, only, runs

SIZES = (70_000, 1_500_000)

# Logs files of many sizes, and tells of each when the call has returned. `torn` gives a payload its name before it is
# whole, as a plain copy does.
VICTIM = f"""
import hashlib, os, random, sys, time
import gittrack as gt
from gittrack import payloads

def content(seed):
    return hashlib.shake_256(str(seed).encode()).digest(random.Random(seed).randrange(*{SIZES}))

if sys.argv[1] == "torn":
    def place(self, temporary, pointer):
        path = self.path(pointer.sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = temporary.read_bytes()
        with path.open("wb", buffering=0) as file:
            for at in range(0, len(raw), 50_000):
                file.write(raw[at : at + 50_000])
                time.sleep(0.0005)
        temporary.unlink()
        return path

    payloads.Payloads.place = place

first = int(sys.argv[2])
told = os.open(os.environ["TOLD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
run = gt.init()
os.write(told, b"begun\\n")
for seed in range(first, first + 1000):
    with open(f"../{{first}}.bin", "wb") as file:
        file.write(content(seed))
    if run.log_artifact(f"../{{first}}.bin", name=f"{{seed}}.bin"):
        os.write(told, f"{{seed}}\\n".encode())
    if seed % 5 == 4:
        if run.finish() is not None:
            os.write(told, f"{{run.id}}\\n".encode())
        run = gt.init()
"""


def content(seed: int) -> bytes:
    return hashlib.shake_256(str(seed).encode()).digest(random.Random(seed).randrange(*SIZES))


def wrong_payloads(repo: GitRepo) -> list[str]:
    """Returns the payloads whose content is not what their name says."""
    root = repo.path / ".git/gittrack/objects"
    found = [path for path in root.glob("??/??/*") if path.is_file()]
    return [path.name for path in found if hashlib.sha256(path.read_bytes()).hexdigest() != path.name]


def kept(repo: GitRepo, found: Recorded) -> dict[str, bool]:
    """Returns for each file of a run whether its content is here."""
    said = found.yaml("artifacts.yaml")
    root = repo.path / ".git/gittrack/objects"
    return {
        path: (root / item["sha256"][:2] / item["sha256"][2:4] / item["sha256"]).exists()
        and item["sha256"] == hashlib.sha256(content(int(path.removesuffix(".bin")))).hexdigest()
        for path, item in said.items()
    }


def kill_once(repo: GitRepo, how: str, *, first: int, lines: int, after: float) -> list[str]:
    """Starts a victim, kills it some time after it told so many lines, and returns all that it had told."""
    told = repo.path.parent / f"told-{first}"
    environ = {**os.environ, "TOLD": str(told)}
    process = subprocess.Popen(
        [sys.executable, "-c", VICTIM, how, str(first)], cwd=repo.path, env=environ, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < end:
        if told.exists() and told.read_bytes().count(b"\n") >= lines:
            break
        time.sleep(0.001)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return told.read_text("ascii").split()[1:]


def kill(repo: GitRepo, how: str, times: int) -> tuple[int, list[str], list[str]]:
    """Kills victims; returns how many files were promised, which of these are lost, and which payloads are wrong."""
    chance = random.Random(times)
    promised: list[str] = []
    wrong: list[str] = []
    for turn in range(times):
        lines, after = chance.randrange(1, 8), chance.uniform(0.0, 0.03)
        told = kill_once(repo, how, first=turn * 1000, lines=lines, after=after)
        promised += [f"{word}.bin" for word in told if word.isdigit()]
        wrong += wrong_payloads(repo)
        repo.track("ls")
    there = {path for found in runs(repo) for path, whole in kept(repo, found).items() if whole}
    return len(promised), sorted(set(promised) - there), wrong


def test_no_kill_loses_a_file_that_was_logged_or_leaves_half_of_one(repo: GitRepo) -> None:
    promised, lost, wrong = kill(repo, "as it is", 6)
    assert promised > 6
    assert (lost, wrong) == ([], [])
    repo.track("fsck")


@pytest.mark.faults
def test_a_hundred_kills_lose_no_file_and_leave_no_half(repo: GitRepo) -> None:
    promised, lost, wrong = kill(repo, "as it is", 100)
    assert promised > 100
    assert (lost, wrong) == ([], [])
    repo.track("fsck")


@pytest.mark.faults
def test_a_payload_that_has_its_name_too_early_is_noticed(repo: GitRepo) -> None:
    _, _, wrong = kill(repo, "torn", 10)
    assert wrong


def test_a_file_for_which_there_is_no_room_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with small_disk(tmp_path, "size=6m") as folder:
        repo = GitRepo.init(folder / "repo")
        repo.commit({"train.py": "1\n"}, "begin")
        (tmp_path / "large.bin").write_bytes(os.urandom(8_000_000))
        (tmp_path / "fits.bin").write_bytes(os.urandom(500_000))
        script = f"""
import gittrack as gt
run = gt.init()
print(run.log_artifact({str(tmp_path / "large.bin")!r}), run.log_artifact({str(tmp_path / "fits.bin")!r}))
gt.log({{"loss": 1.0}})
"""
        done = repo.python(script)
        assert done.stdout == "[] ['fits.bin']\n"
        assert "gittrack: cause: No space left on device" in done.stderr
        found = only(repo)
        assert (found.status, found.values("loss"), found.facts["dropped"]) == ("finished", [1.0], 1)
        (payload,) = [path for path in (repo.path / ".git/gittrack/objects").rglob("*") if path.is_file()]
        assert payload.read_bytes() == (tmp_path / "fits.bin").read_bytes()
        assert not list((repo.path / ".git/gittrack/live").glob("*"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LoopDisk]:
    with loop_disk(tmp_path) as mounted:
        yield mounted


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    made = Warm()
    yield made
    made.close()


UNSYNCED = "import os\nos.fsync = os.fdatasync = lambda fd: None\n"


def cut(disk: LoopDisk, warm: Warm, tmp_path: Path, *, prelude: str, times: int) -> tuple[int, int]:
    """Cuts the power so many times while files are logged.

    Returns how many runs had finished, and how many files of them are lost or wrong."""
    repo = GitRepo.init(disk.path / "repo")
    repo.commit({"train.py": "1\n"}, "begin")
    os.sync()
    finished = bad = 0
    chance = random.Random(times)
    for turn in range(times):
        told = tmp_path / f"told-{turn}"
        code = (
            prelude + "import sys\n" + VICTIM.replace("sys.argv[1]", "'as it is'").replace("sys.argv[2]", f"{turn}000")
        )
        cut_while(disk, repo, warm, prelude + code, told, "nothing", lines=7, after=chance.uniform(0.0, 0.2))
        repo.track("ls")
        bad += len(wrong_payloads(repo))
        by_id = {found.id: found for found in runs(repo)}
        ended = [word for word in told.read_text("ascii").split() if word.startswith("r")]
        finished += len(ended)
        for word in ended:
            whole = kept(repo, by_id[word]) if word in by_id else {}
            bad += 5 - sum(whole.values())
    return finished, bad


@pytest.mark.faults
def test_no_power_cut_takes_a_file_of_a_finished_run(disk: LoopDisk, warm: Warm, tmp_path: Path) -> None:
    finished, bad = cut(disk, warm, tmp_path, prelude="", times=10)
    assert finished >= 10
    assert bad == 0


@pytest.mark.faults
def test_a_power_cut_takes_files_that_were_not_synced(disk: LoopDisk, warm: Warm, tmp_path: Path) -> None:
    _, bad = cut(disk, warm, tmp_path, prelude=UNSYNCED, times=3)
    assert bad
