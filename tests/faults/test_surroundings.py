"""What a training runs on goes away or goes wrong: room on the disk, its folder, the repository, clock and machine.

Training goes on, what was dropped is counted and said, and no date or duration is nonsense."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.disks import loop_disk, need, small_disk
from tests.gitcmd import GitRepo, run
from tests.reader import only, runs

PRELUDE = """
import os, sys
import gittrack as gt

run = gt.init(name="here", params={"lr": 0.1})
for step in range(10):
    gt.log({"loss": step})
run.flush()
if run.pinning:
    run.pinning.hurry()
"""
FILL = """
def fill():
    with open("filler", "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass

def fill_inodes():
    os.mkdir("many")
    try:
        for number in range(10**6):
            os.mkdir(f"many/{number}")
    except OSError:
        pass

def make_room():
    import shutil
    shutil.rmtree("many", ignore_errors=True)
    if os.path.exists("filler"):
        os.unlink("filler")
"""
END = "\nprint('trained')\nsys.exit(3)\n"


def train(repo: GitRepo, script: str, *, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a training that must come to its own end, and returns what it said."""
    done = repo.python(PRELUDE + script + END, check=False, env=env)
    assert "Traceback" not in done.stderr, done.stderr
    assert (done.returncode, done.stdout) == (3, "trained\n"), done.stderr
    return done


def make_repo(folder: Path) -> GitRepo:
    made = GitRepo.init(folder / "repo", "--template=")
    made.commit({"train.py": "print('training')\n"}, "train: begin")
    return made


# Room ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("full", ["fill", "fill_inodes"])
def test_a_disk_that_is_full_for_a_while_costs_what_was_logged_then(tmp_path: Path, full: str) -> None:
    with small_disk(tmp_path, "size=4m,nr_inodes=600") as disk:
        repo = make_repo(disk)
        script = f"""
{full}()
text = "x" * 5000
for step in range(10, 20):
    gt.log({{"loss": step}}, step=step)
    gt.log({{"text": text}}, step=step)
os.path.exists("plot") or run.log_artifact("train.py")
make_room()
for step in range(20, 30):
    gt.log({{"loss": step}}, step=step)
run.finish()
"""
        done = train(repo, FILL + script)
        found = only(repo)
        assert found.status == "finished"
        kept = found.values("loss")
        assert kept[:10] + kept[-10:] == [float(step) for step in [*range(10), *range(20, 30)]]
        dropped = 10 - (len(kept) - 20) + 10 - len(found.texts("text")) + ("artifacts/train.py" not in found.files)
        assert found.facts.get("dropped", 0) == dropped
        assert dropped > 0
        assert len(done.stderr.splitlines()) in range(1, 5)
        repo.track("fsck")
        repo.fsck()


@pytest.mark.parametrize("full", ["fill", "fill_inodes"])
def test_a_disk_that_stays_full_keeps_the_journal_for_when_there_is_room(tmp_path: Path, full: str) -> None:
    with small_disk(tmp_path, "size=4m,nr_inodes=600") as disk:
        repo = make_repo(disk)
        done = train(repo, FILL + f"{full}()\ngt.log({{'loss': 10}})\nrun.finish()\n")
        assert "could not be committed yet" in done.stderr
        shutil.rmtree(repo.path / "many", ignore_errors=True)
        (repo.path / "filler").unlink(missing_ok=True)
        repo.track("ls")
        assert only(repo).values("loss")[:10] == [float(step) for step in range(10)]
        assert only(repo).status in ("finished", "crashed")  # there may have been no room for the word that it ended
        repo.fsck()


@pytest.mark.parametrize("full", ["fill", "fill_inodes"])
def test_a_run_that_begins_on_a_full_disk_is_recorded_elsewhere(tmp_path: Path, full: str, sealed_home: Path) -> None:
    with small_disk(tmp_path, "size=4m,nr_inodes=600") as disk:
        repo = make_repo(disk)
        script = FILL + f"run.finish()\n{full}()\nwith gt.init(name='second') as run:\n    run.log({{'loss': 1}})\n"
        done = train(repo, script)
        assert "nothing can be recorded in" in done.stderr
        detached = GitRepo(sealed_home / ".local" / "share" / "gittrack" / "detached.git")
        assert (only(detached).record["name"], only(detached).values("loss")) == ("second", [1.0])
        assert only(repo).record["name"] == "here"
        repo.fsck()


def test_a_disk_that_turns_read_only_keeps_what_was_written(tmp_path: Path) -> None:
    with loop_disk(tmp_path) as disk:
        repo = make_repo(disk.path)
        os.sync()
        script = f"""
import subprocess
subprocess.run(["mount", "-o", "remount,abort", {str(disk.path)!r}], check=True)
for step in range(10, 20):
    gt.log({{"loss": step}})
    gt.log({{"text": "x"}}, step=step)
run.flush()
run.finish()
"""
        done = train(repo, script)
        assert "could not be written" in done.stderr or "was dropped" in done.stderr
        assert "could not be committed yet" in done.stderr
        disk.unmount()
        disk.mount()
        repo.track("ls")
        assert only(repo).values("loss") == [float(step) for step in range(10)]
        assert only(repo).status == "crashed"
        repo.fsck()


# The place ----------------------------------------------------------------------------------------------------------


def test_a_live_folder_that_vanishes_stops_nobody_and_is_said(repo: GitRepo) -> None:
    done = train(
        repo, "import shutil\nshutil.rmtree(run.dir)\ngt.log({'loss': 1})\nrun.log_artifact('train.py')\nrun.finish()\n"
    )
    assert "its folder is gone" in done.stderr
    assert "are kept" not in done.stderr
    repo.track("ls")
    assert runs(repo) == []


@pytest.mark.parametrize("what", [".git", "."], ids=["the repository", "the work tree"])
def test_a_repository_that_vanishes_stops_nobody_and_is_said(tmp_path: Path, what: str) -> None:
    repo = make_repo(tmp_path)
    vanish = f"import shutil\nshutil.rmtree({str((repo.path / what).resolve())!r})\n"
    done = train(
        repo, vanish + "gt.log({'loss': 1})\nrun.finish()\nwith gt.init() as again:\n    again.log({'a': 1})\n"
    )
    assert "its folder is gone" in done.stderr


def test_a_repository_that_is_moved_is_told_of_its_run_by_the_next_command(tmp_path: Path) -> None:
    repo = make_repo(tmp_path)
    moved = tmp_path / "moved"
    train(repo, f"os.rename({str(repo.path)!r}, {str(moved)!r})\ngt.log({{'loss': 10}})\nrun.finish()\n")
    there = GitRepo(moved)
    there.track("ls")
    assert only(there).values("loss") == [float(step) for step in range(11)]
    there.fsck()


# The clock ----------------------------------------------------------------------------------------------------------


def fake_clock(start: str = "+0") -> dict[str, str]:
    """Returns the environment in which a process and all that it starts have another time."""
    if shutil.which("faketime") is None:
        pytest.skip("'faketime' is not installed")
    listing = subprocess.run(["faketime", "-f", start, "env"], capture_output=True, text=True, check=True).stdout
    found = dict(
        line.partition("=")[::2] for line in listing.splitlines() if line.startswith(("LD_PRELOAD", "FAKETIME"))
    )
    return {**found, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"}


@pytest.mark.parametrize("jump", ["+1d", "-1d"])
def test_a_clock_that_jumps_by_a_day_makes_no_nonsense(repo: GitRepo, tmp_path: Path, jump: str) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0", encoding="ascii")
    env = fake_clock() | {"FAKETIME_TIMESTAMP_FILE": str(clock)}
    env.pop("FAKETIME", None)
    script = f"""
import time
before = time.time()
with open({str(clock)!r}, "w") as file:
    file.write({jump!r})
assert abs(time.time() - before) > 80000, "this clock does not jump"
for step in range(10, 20):
    gt.log({{"loss": step}})
run.finish()
"""
    train(repo, script, env=env)
    found = only(repo)
    assert found.status == "finished"
    assert found.values("loss") == [float(step) for step in range(20)]
    assert found.record["duration"] >= 0
    assert found.record["ended"] >= found.record["created"]
    assert int(repo.git("show", "-s", "--format=%ct", found.ref)) >= int(repo.git("show", "-s", "--format=%ct", "main"))
    repo.track("fsck")
    repo.track("ls")
    repo.fsck()


@pytest.mark.parametrize("year", ["1970", "2038", "2107"])
def test_a_run_of_any_year_is_recorded_and_listed(repo: GitRepo, year: str) -> None:
    env = fake_clock(f"@{year}-02-20 10:00:00")
    train(repo, "run.finish()\n", env=env)
    found = only(repo)
    assert found.record["created"].startswith(f"{year}-02-20T10:00:")
    assert 0 <= found.record["duration"] < 60
    assert repo.git("show", "-s", "--format=%ad", "--date=format:%Y", found.ref) == year
    repo.track("tag", found.id, "old", env=env)
    repo.track("fsck", env=env)
    assert "old" in repo.track("ls").stdout  # and in the real year too
    repo.track("show", found.id)
    repo.fsck()


# The machine --------------------------------------------------------------------------------------------------------

WAITING = PRELUDE + "print('ready', flush=True)\nsys.stdin.readline()\n"


@contextmanager
def waiting(repo: GitRepo) -> Iterator[subprocess.Popen[str]]:
    """A training that waits in the middle."""
    with subprocess.Popen(
        [sys.executable, "-c", WAITING], cwd=repo.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_a_dead_process_whose_pid_was_given_to_another_is_dead(repo: GitRepo) -> None:
    need()
    last = Path("/proc/sys/kernel/ns_last_pid")
    if not last.exists():
        pytest.skip("this kernel does not let pids be chosen")
    with waiting(repo) as victim:
        repo.track("ls")
        assert runs(repo) == []  # it lives
        victim.kill()
        victim.wait()
    for _ in range(50):  # another process may take the pid before us
        last.write_text(str(victim.pid - 1), encoding="ascii")
        with subprocess.Popen(["sleep", "60"]) as other:
            try:
                if other.pid == victim.pid:
                    repo.track("ls")
                    break
            finally:
                other.kill()
    else:
        pytest.skip("the pid could not be had again")
    assert only(repo).status == "crashed"


def test_a_process_of_before_a_reboot_is_dead(repo: GitRepo, tmp_path: Path) -> None:
    need("unshare")
    boot = tmp_path / "boot_id"
    boot.write_text("00000000-1111-2222-3333-444444444444\n", encoding="ascii")
    real = "/proc/sys/kernel/random/boot_id"
    with waiting(repo):
        repo.track("ls")
        assert runs(repo) == []  # it lives
        command = f"mount --bind '{boot}' {real} && grep -q 1111 {real} && exec git track ls"
        rebooted = run(["unshare", "--mount", "sh", "-c", command], cwd=repo.path, check=False)
        if "grep" in rebooted.stderr or "mount:" in rebooted.stderr:
            pytest.skip(f"this machine cannot pretend that it was rebooted ({rebooted.stderr.strip()})")
        assert rebooted.returncode == 0
        assert only(repo).status == "crashed"
        assert only(repo).values("loss") == [float(step) for step in range(10)]
