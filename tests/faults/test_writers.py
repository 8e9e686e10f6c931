"""Many processes record in one clone, while others list, tidy up and archive; with `flock`, and where it fails.

On a network file system `flock` may be refused, or granted to everybody at once. Nothing that is recorded may hang on
it, so both are put in its place here."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.test_races import RECORD
from tests.gitcmd import GitRepo
from tests.runs import ask, listed

LOCKS = {
    "works": "",
    "refused": "def flock(fd, operation):\n    raise OSError(errno.ENOLCK, 'no locks available')\n",
    "granted to all": "def flock(fd, operation):\n    pass\n",
}
OTHERS = """
while [ ! -e '{stop}' ]; do
  for command in 'git track ls --json' 'git gc --quiet' 'git track archive --quiet --keep 5'; do
    $command >'{said}' 2>&1 || {{ echo "$command"; cat '{said}'; }} >>'{failures}'
  done
done
"""


@pytest.fixture(params=LOCKS)
def locks(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Puts something in the place of `flock`, in every Python that is started."""
    if LOCKS[request.param]:
        site = tmp_path / "site"
        site.mkdir()
        module = f"import errno, fcntl\n\n{LOCKS[request.param]}\nfcntl.flock = flock\n"
        (site / "sitecustomize.py").write_text(module, encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(site))
    return str(request.param)


@contextmanager
def others(repo: GitRepo, tmp_path: Path) -> Iterator[None]:
    """Lists, tidies up and archives in a loop; asserts that none of it failed."""
    stop, said, failures = (tmp_path / name for name in ("stop", "said", "failures"))
    failures.touch()
    script = OTHERS.format(stop=stop, said=said, failures=failures)
    process = subprocess.Popen(["sh", "-c", script], cwd=repo.path)
    try:
        yield
    finally:
        stop.touch()
        process.wait(300)
    assert failures.read_text("utf-8") == ""


def written(repo: GitRepo, tmp_path: Path, *, processes: int, each: int) -> None:
    """Lets processes record runs at once, and asserts that each run was finished and is listed."""
    script = tmp_path / "record.py"
    script.write_text(RECORD, encoding="utf-8")
    with others(repo, tmp_path):
        started = [
            subprocess.Popen([sys.executable, script, str(each)], cwd=repo.path, stderr=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        ends = [(process.communicate(timeout=1800)[1], process.returncode) for process in started]
    assert Counter(ends) == {("", 0): processes}
    found = listed(repo)
    assert len({entry["id"] for entry in found}) == len(found) == processes * each
    assert Counter(entry["name"] for entry in found) == {f"run-{number}": processes for number in range(each)}
    assert {(entry["status"], entry["metrics"]["loss"]["count"]) for entry in found} == {("finished", 20)}
    assert any(entry["archived"] for entry in found)
    ask(repo, "fsck")


@pytest.mark.slow
@pytest.mark.parametrize("locks", ["works", "refused"], indirect=True)
def test_eight_writers_finish_every_run(repo: GitRepo, tmp_path: Path, locks: str) -> None:
    written(repo, tmp_path, processes=8, each=4)


@pytest.mark.faults
def test_sixty_four_writers_finish_every_run(repo: GitRepo, tmp_path: Path, locks: str) -> None:
    written(repo, tmp_path, processes=64, each=20)


def test_the_stand_in_for_flock_is_what_every_process_sees(repo: GitRepo, tmp_path: Path, locks: str) -> None:
    script = """
import fcntl, sys
with open(sys.argv[1], "w") as one, open(sys.argv[1], "w") as two:
    try:
        fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("refused")
        sys.exit()
    try:
        fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("works")
    else:
        print("granted to all")
"""
    assert repo.python(script, str(tmp_path / "lock")).stdout.strip() == locks
