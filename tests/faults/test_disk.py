"""A disk that is full: training goes on, what was dropped is counted and said, and the rest is kept."""

from __future__ import annotations

import subprocess

from tests.gitcmd import GitRepo
from tests.reader import only, runs

# A limit on the size of files is a full disk for whoever may not pass it: a write takes what fits, the next one fails.
PRELUDE = """
import os, resource, signal
import gittrack as gt

def fill(bytes_left):
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(journal).st_size + bytes_left, resource.RLIM_INFINITY))

def make_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

run = gt.init(name="full")
journal = os.path.join(run.dir, "1.journal")
for step in range(10):
    gt.log({"loss": step})
run.pinning.join()
"""


def record(repo: GitRepo, script: str) -> subprocess.CompletedProcess[str]:
    done = repo.python(PRELUDE + script + "\nprint('trained')\n")
    assert "Traceback" not in done.stderr
    assert done.stdout == "trained\n"
    return done


def test_what_does_not_fit_is_counted_and_said_once(repo: GitRepo) -> None:
    done = record(
        repo,
        """
fill(100)
for step in range(10, 50):
    gt.log({"loss": step})
    gt.log({"text": "x"}, step=step)
run.config.late = 1
make_room()
for step in range(50, 60):
    gt.log({"loss": step}, step=step)
""",
    )
    assert len(done.stderr.splitlines()) <= 3
    assert "File too large" in done.stderr
    found = only(repo)
    assert found.status == "finished"
    kept = [int(value) for value in found.values("loss")]
    assert kept[:10] == list(range(10))
    assert kept[-10:] == list(range(50, 60))
    texts = len(found.texts("text"))
    assert found.facts["dropped"] == 40 - (len(kept) - 20) + 40 - texts + 1
    repo.track("fsck")


def test_a_disk_that_stays_full_keeps_what_was_written_for_the_next_command(repo: GitRepo) -> None:
    done = record(
        repo, "fill(0)\nfor step in range(10, 20): gt.log({'loss': step})\nrun.finish()\ngt.init(name='next')\n"
    )
    assert "could not be committed yet" in done.stderr
    assert runs(repo) == []
    repo.track("ls")
    found = next(run for run in runs(repo) if run.record["name"] == "full")
    assert found.values("loss") == [float(step) for step in range(10)]
    repo.track("fsck")


def test_a_disk_that_fills_up_during_finish_keeps_everything(repo: GitRepo) -> None:
    done = record(repo, "fill(200)\nrun.finish()\n")
    assert "could not be committed yet" in done.stderr
    repo.track("ls")
    found = only(repo)
    assert (found.status, found.values("loss")) == ("finished", [float(step) for step in range(10)])
    repo.fsck()


def test_an_artifact_that_does_not_fit_is_refused_and_said(repo: GitRepo) -> None:
    done = record(
        repo,
        """
with open("../big.bin", "wb") as file:
    file.write(bytes(100_000))
fill(5000)
assert run.log_artifact("../big.bin") == []
make_room()
assert run.log_artifact("../big.bin", name="again.bin") == ["again.bin"]
""",
    )
    assert "artifact '../big.bin' is not kept" in done.stderr
    found = only(repo)
    assert [path for path in found.files if path.startswith("artifacts/")] == ["artifacts/again.bin"]
    assert found.facts["dropped"] == 1
    repo.track("fsck")


def test_a_run_that_cannot_even_begin_does_not_stop_training(repo: GitRepo) -> None:
    script = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
import gittrack as gt

run = gt.init(params={"lr": 0.1})
for step in range(10):
    gt.log({"loss": step})
print(run.config.lr, run.summary["loss"] if "loss" in run.summary else None)
"""
    done = repo.python(script)
    assert done.stdout.startswith("0.1 ")
    assert "Traceback" not in done.stderr
    assert done.stderr != ""


def test_files_that_run_out_do_not_stop_training(repo: GitRepo) -> None:
    script = """
import resource
import gittrack as gt

first = gt.init(name="first")
gt.log({"a": 1})
first.pinning.join()
held = []
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
try:
    while True:
        held.append(open("/dev/null"))
except OSError:
    pass
for step in range(5):
    gt.log({"a": step})
first.finish()
second = gt.init(name="second")
second.log({"a": 1})
second.finish()
held.clear()
print("trained")
"""
    done = repo.python(script)
    assert done.stdout == "trained\n"
    assert "Traceback" not in done.stderr
    repo.track("ls")
    first = next(run for run in runs(repo) if run.record["name"] == "first")
    assert len(first.values("a")) == 6
