"""Our packs stay few, protected and readable, however many runs there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.reader import runs

MOST = 21
RECORD = """
import sys
import gittrack as gt

for number in range(int(sys.argv[1])):
    with gt.init(name=f"run-{number}") as run:
        run.log({"loss": number})
"""


def packs(repo: GitRepo) -> list[Path]:
    return sorted((repo.path / ".git" / "objects" / "pack").glob("*.pack"))


def check(repo: GitRepo, count: int) -> None:
    assert len(packs(repo)) <= MOST
    assert all(pack.with_suffix(".keep").read_text("utf-8").startswith("gittrack ") for pack in packs(repo))
    found = runs(repo)
    assert [run.values("loss") for run in found] == [[float(number)] for number in range(count)]
    repo.track("fsck")
    repo.git("gc", "--quiet", "--prune=now")
    assert [run.values("loss") for run in runs(repo)] == [[float(number)] for number in range(count)]
    assert repo.git("count-objects", "-v").splitlines()[0] == "count: 0"


def test_after_sixty_runs_there_are_few_packs_and_every_run_is_readable(repo: GitRepo) -> None:
    repo.python(RECORD, "60")
    check(repo, 60)


@pytest.mark.faults
def test_after_a_thousand_runs_there_are_few_packs_and_every_run_is_readable(repo: GitRepo) -> None:
    repo.python(RECORD, "1000")
    check(repo, 1000)


def test_packs_of_the_user_are_left_alone(repo: GitRepo) -> None:
    repo.git("repack", "-q", "-a", "-d")
    (mine,) = packs(repo)
    mine.with_suffix(".keep").write_text("my own reason\n", encoding="utf-8")
    repo.python(RECORD, "22")
    assert mine.exists()
    assert mine.with_suffix(".keep").read_text("utf-8") == "my own reason\n"


def test_a_merge_that_was_killed_half_way_loses_nothing(repo: GitRepo) -> None:
    repo.python(
        """
import os
from pathlib import Path
import gittrack as gt

unlinked, unlink = [], Path.unlink

def dying(path, *args, **options):
    if path.suffix in (".idx", ".pack", ".keep"):
        unlinked.append(path)
        if len(unlinked) == 7:
            os.kill(os.getpid(), 9)
    return unlink(path, *args, **options)

Path.unlink = dying
for number in range(60):
    with gt.init(name=f"run-{number}") as run:
        run.log({"loss": number})
""",
        check=False,
    )
    repo.track("ls")
    count = len(runs(repo))
    assert 20 <= count < 60
    assert [run.values("loss") for run in runs(repo)] == [[float(number)] for number in range(count)]
    repo.track("fsck")
    repo.python(RECORD, "3")
    assert len(packs(repo)) <= MOST
    repo.track("fsck")
