"""What survives a power cut, counted in system calls: a file is durable after its sync, its name after its folder's."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo, run
from tests.reader import only

CALL = re.compile(r"^(\d+) +(\w+)\((.*)\) += 0$")
PATH = re.compile(r"<([^>]*)>|\"([^\"]*)\"")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="strace is of Linux")


@dataclass(frozen=True)
class Call:
    """A system call that succeeded: by whom, which, on what (for a rename: the new name)."""

    process: int
    name: str
    path: str


def traced(repo: GitRepo, tmp_path: Path, script: str) -> list[Call]:
    """Runs a script and returns its syncs and renames, with those of the gits that it starts, in order."""
    if shutil.which("strace") is None:
        pytest.fail("strace is not installed")
    (tmp_path / "s.py").write_text(script, encoding="utf-8")
    log = tmp_path / "trace"
    calls = "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir"
    run(
        ["strace", "-f", "-y", "-q", "-s", "4096", "-o", log, "-e", calls, sys.executable, tmp_path / "s.py"],
        cwd=repo.path,
    )
    found = []
    for line in log.read_text("utf-8").splitlines():
        call = CALL.match(re.sub(r" <unfinished \.\.\.>$", ") = 0", line))
        if call:
            paths = ["".join(path) for path in PATH.findall(call[3])]
            if paths:
                found.append(Call(int(call[1]), call[2], paths[-1]))
    return found


def place(calls: list[Call], name: str, ending: str) -> int:
    """Returns where in the order of things the last such call stands."""
    found = [at for at, call in enumerate(calls) if call.name in name.split("|") and re.search(ending + "$", call.path)]
    assert found, (name, ending, calls)
    return found[-1]


FINISH = "import gittrack as gt\nrun = gt.init()\ngt.log({'a': 1})\nrun.pinning.join()\nrun.finish()\n"


@pytest.mark.parametrize("dirty", [False, True])
def test_finish_syncs_the_pack_the_ref_and_their_folders_in_this_order(
    repo: GitRepo, tmp_path: Path, dirty: bool
) -> None:
    if dirty:
        (repo.path / "new.py").write_text("new\n", encoding="utf-8")
    calls = traced(repo, tmp_path, FINISH)
    ref = only(repo).ref
    pack = place(calls, "fsync", r"objects/pack/tmp_pack_\w+")
    index = place(calls, "fsync", r"objects/pack/tmp_idx_\w+")
    named = place(calls, "link|linkat|rename|renameat", r"objects/pack/pack-\w+\.idx")
    folder = place(calls, "fsync", "/objects/pack")
    lock = place(calls, "fsync", ref + r"(\.lock)?")
    moved = place(calls, "rename|renameat|renameat2", "/" + ref)
    runs = place(calls, "fsync", "/refs/runs")
    top = place(calls, "fsync", "/refs")
    gone = place(calls, "unlink|unlinkat", r"run\.json")
    assert max(pack, index) < named < folder < moved < runs < gone
    assert lock < gone
    assert top < gone  # the first run makes the folder refs/runs


def test_finish_makes_no_more_syncs_than_it_needs(repo: GitRepo, tmp_path: Path) -> None:
    traced(repo, tmp_path, FINISH)
    calls = [call for call in traced(repo, tmp_path, FINISH) if call.name in ("fsync", "fdatasync")]
    of_finish = [call for call in calls if "/live/" not in call.path]
    assert len(of_finish) <= 8, of_finish


def test_points_are_synced_within_a_second_and_never_by_log_itself(repo: GitRepo, tmp_path: Path) -> None:
    script = """
import os, time
import gittrack as gt

run = gt.init()
for step in range(1000):
    gt.log({"loss": step})
time.sleep(1.0)
os._exit(0)
"""
    calls = traced(repo, tmp_path, script)
    journal = place(calls, "fdatasync|fsync", r"\.journal")
    folder = place(calls, "fsync", r"/gittrack/live/r\w+")
    live = place(calls, "fsync", "/gittrack/live")
    main = min(call.process for call in calls)
    assert journal < folder < live
    assert calls[journal].process != main
    assert sum(call.path.endswith(".journal") for call in calls) <= 4


def test_flush_returns_after_the_sync(repo: GitRepo, tmp_path: Path) -> None:
    script = "import os\nimport gittrack as gt\nrun = gt.init()\ngt.log({'a': 1})\nrun.flush()\nos._exit(0)\n"
    calls = traced(repo, tmp_path, script)
    place(calls, "fdatasync|fsync", r"\.journal")
    place(calls, "fsync", r"/gittrack/live/r\w+")


def test_an_artifact_is_as_durable_as_a_point(repo: GitRepo, tmp_path: Path) -> None:
    script = "import os\nimport gittrack as gt\nrun = gt.init()\nrun.log_artifact(__file__)\nrun.flush()\nos._exit(0)\n"
    calls = traced(repo, tmp_path, script)
    assert place(calls, "fdatasync|fsync", r"/files/1") < place(calls, "fdatasync|fsync", r"\.journal")
    place(calls, "fsync", "/files")
