"""Payloads that come and go while processes are killed and race: none that a run needs is lost, none is half there."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.pointing import keep, payloads_of, pointing, put
from tests.runs import ask

CONTENTS = {f"{number}.bin": random.Random(number).randbytes(700_000 + number) for number in range(12)}

# Records runs of one file each, of few contents, and deletes each run again: what one run leaves another begins with.
RECORDER = """
import os, random, subprocess, sys, time
import gittrack as gt

chance = random.Random(int(sys.argv[1]))
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    name = f"../{chance.randrange(3)}.bin"
    run = gt.init()
    run.log_artifact(name)
    run.finish()
    sha256 = os.path.basename(name)
    pointer = subprocess.run(
        ["git", "cat-file", "blob", f"refs/runs/{run.id}:artifacts/{sha256}"], capture_output=True, check=True
    ).stdout.split(b"sha256:")[1][:64].decode()
    path = f".git/gittrack/objects/{pointer[:2]}/{pointer[2:4]}/{pointer}"
    for _ in range(20):  # it may be aside for a moment
        if os.path.exists(path):
            break
        time.sleep(0.02)
    else:
        print("lost", run.id, flush=True)
    time.sleep(chance.uniform(0, 0.4))
    subprocess.run(["git", "update-ref", "-d", f"refs/runs/{run.id}"], check=True)
    print("done", flush=True)
    time.sleep(chance.uniform(0, 0.8))
"""

# Sweeps without a pause, and takes for unused what was not used for so many seconds. `naive` looks once, and deletes.
SWEEPER = """
import sys, time
from gittrack import sweeping
from gittrack.payloads import Payloads
from gittrack.repo import open_repo

git = open_repo().git
payloads = Payloads(git.place.common_dir)
sweeping.LEAST_AGE = float(sys.argv[3])
end = time.monotonic() + float(sys.argv[2])
freed = 0
while time.monotonic() < end:
    now = time.time()
    if sys.argv[1] == "naive":
        for found in sweeping.unneeded(git, payloads, now=now):
            time.sleep(0.05)
            payloads.remove(found.sha256)
            freed += 1
    else:
        freed += sweeping.sweep(git, payloads, now=now).files
print(freed)
"""


def race(repo: GitRepo, how: str, *, seconds: float, least: float) -> tuple[int, int, int]:
    """Records and sweeps at once; returns how many runs were recorded, how many lost theirs, and what was swept."""
    for number in range(3):
        (repo.path.parent / f"{number}.bin").write_bytes(CONTENTS[f"{number}.bin"])
    environ = {**os.environ, "GITTRACK_SYSTEM": "false"}
    recorders = [
        subprocess.Popen(
            [sys.executable, "-c", RECORDER, str(seed), str(seconds)],
            cwd=repo.path,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for seed in (1, 2)
    ]
    sweeper = repo.python(SWEEPER, how, str(seconds), str(least))
    said = [line for process in recorders for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in recorders] == [0, 0]
    return said.count("done"), sum(line.startswith("lost") for line in said), int(sweeper.stdout)


@pytest.mark.faults
def test_a_run_that_logs_while_a_sweep_goes_on_has_its_file(repo: GitRepo) -> None:
    recorded, lost, swept = race(repo, "as it is", seconds=30, least=0.5)
    assert recorded > 10
    assert swept > 3
    assert lost == 0


@pytest.mark.faults
def test_a_sweep_that_looks_once_takes_files_away(repo: GitRepo) -> None:
    _, lost, swept = race(repo, "naive", seconds=30, least=-1.0)
    assert swept > 3
    assert lost > 0


# Kills ----------------------------------------------------------------------------------------------------------------


def wrong_below(folder: Path) -> list[str]:
    """Returns the files with a name of the run's whose content is not the run's."""
    found = [path for path in folder.rglob("*.bin") if path.is_file()]
    return [path.name for path in found if path.read_bytes() != CONTENTS[path.name]]


def wrong_payloads(repo: GitRepo) -> list[str]:
    payloads = payloads_of(repo)
    found = [payloads.path(each.sha256) for each in payloads.all()]
    return [path.name for path in found if hashlib.sha256(path.read_bytes()).hexdigest() != path.name]


def kill(repo: GitRepo, *words: str, after: float) -> bool:
    """Runs a command and kills it; returns False if it had ended before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gittrack", *words],
        cwd=repo.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(after)
    ended = process.poll() is not None
    if not ended:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return not ended


def killed_gets(repo: GitRepo, lab: Path, times: int) -> int:
    """Kills `get` at moments in all of its length; returns how often it was at work, and asserts what must hold."""
    pointing(repo, CONTENTS, name="one")
    for content in CONTENTS.values():
        put(lab, content)
    repo.git("config", "track.store.lab.url", str(lab))
    chance = random.Random(times)
    since = time.monotonic()
    ask(repo, "get", "one", "-o", "out")
    length = time.monotonic() - since + 0.4
    killed = 0
    for _ in range(times):
        _forget(repo, chance)
        killed += kill(repo, "get", "one", "-o", "out", after=chance.uniform(0.1, length))
        assert (wrong_below(repo.path / "out"), wrong_payloads(repo)) == ([], [])
    ask(repo, "get", "one", "-o", "out")
    assert {path.name: path.read_bytes() for path in (repo.path / "out").glob("*.bin")} == CONTENTS
    return killed


def _forget(repo: GitRepo, chance: random.Random) -> None:
    """Deletes some of what came before, so that there is something to do."""
    for folder in (repo.path / "out", payloads_of(repo).root):
        for path in folder.rglob("*"):
            if path.is_file() and ".part" not in path.name and chance.random() < 0.7:
                path.unlink()


@pytest.mark.faults
def test_a_get_that_is_killed_leaves_nothing_half_under_a_name(repo: GitRepo, tmp_path: Path) -> None:
    assert killed_gets(repo, tmp_path / "lab", 60) > 20


@pytest.mark.faults
def test_a_sweep_that_is_killed_loses_nothing_that_is_needed(repo: GitRepo, tmp_path: Path) -> None:
    pointing(repo, CONTENTS, name="one")
    for content in CONTENTS.values():
        keep(repo, content)
    script = """
import time
from gittrack import sweeping
from gittrack.payloads import Payloads
from gittrack.repo import open_repo
from gittrack.transports.folder import Folder
from pathlib import Path

git = open_repo().git
payloads = Payloads(git.place.common_dir)
lab = Folder(Path("../lab"))
while True:
    sweeping.release(git, payloads, [lab], now=time.time() + 4000)
"""
    half = list(CONTENTS.values())[:6]
    chance = random.Random(1)
    for _ in range(25):
        for content in half:
            put(tmp_path / "lab", content)
            keep(repo, content)
        process = subprocess.Popen([sys.executable, "-c", script], cwd=repo.path, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.2, 0.8))
        process.kill()
        process.wait()
        assert wrong_payloads(repo) == []
    ask(repo, "gc")  # puts back what lay aside
    here = {each.sha256 for each in payloads_of(repo).all()}
    assert {hashlib.sha256(content).hexdigest() for content in list(CONTENTS.values())[6:]} <= here
