"""What `git track ls -n 20` costs before it does anything: modules, processes, calls of the system.

Counts, because they are the same on a busy machine. A module that is new in the list here is a decision: each is read
and run by every listing, and a hundred of them are most of what a person waits for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.index.making import move, versions
from tests.runs import ask

OURS = """
    __init__ boundary cli errors forms git grid locks model objects output porcelain refname repo settings shared stalls
    tables terminal version columns codec codec.record commands commands.common commands.ls
    index index.database index.freshness index.listing index.live index.schema index.state
    query query.fields query.naming
"""
# Each of these takes a millisecond or more to import, and a listing has no use for it.
COSTLY = """
    argparse asyncio concurrent csv decimal email hashlib html http logging multiprocessing numbers random secrets
    socket ssl statistics tempfile textwrap traceback unittest xml zipfile
"""
WHERE = ("--where", "metrics.acc > 0.9 and params.lr < 1e-3", "--sort", "-metrics.acc")
ASKED = ("rev-parse", "config")  # where the repository is, and what its settings are
LOADED = """
import sys
from gittrack import cli
code = cli.run(["ls", "-n", "20", *sys.argv[1:]])
names = sorted(sys.modules)
import json
print(json.dumps(names), file=sys.stderr)
sys.exit(code)
"""


def filled(repo: GitRepo, runs: int) -> None:
    """Gives the repository runs, and an index in which nothing is open."""
    made = versions(repo, runs=runs, each=1)
    move(repo, {f"refs/runs/{name}": one.oid for name, (one,) in made.items()})
    repo.git("pack-refs", "--all")
    settle(repo)


def settle(repo: GitRepo) -> None:
    """Lists until the index is as it stays; a listing just after refs moved does not believe their times."""
    ask(repo, "ls", "-n", "20")
    time.sleep(0.1)
    ask(repo, "ls", "-n", "20")


def loaded(repo: GitRepo, *words: str) -> list[str]:
    """Returns the modules of a process that has listed 20 runs into a pipe."""
    done = repo.python(LOADED, *words)
    assert len(done.stdout.splitlines()) == 21, done.stdout
    names: list[str] = json.loads(done.stderr.splitlines()[-1])
    return names


def roots(modules: list[str]) -> set[str]:
    """Returns the packages of modules."""
    return {name.partition(".")[0] for name in modules}


def test_a_warm_listing_into_a_pipe_imports_these_modules_of_ours_and_no_other(repo: GitRepo) -> None:
    filled(repo, 30)

    found = {name for name in loaded(repo) if name.partition(".")[0] == "gittrack"}

    assert found == {"gittrack" if name == "__init__" else f"gittrack.{name}" for name in OURS.split()}


@pytest.mark.parametrize("words", [(), WHERE], ids=["newest", "where"])
def test_a_listing_imports_click_and_no_other_library(repo: GitRepo, words: tuple[str, ...]) -> None:
    filled(repo, 30)
    words = tuple(word.replace("acc > 0.9", "acc >= 0").replace("1e-3", "1e3") for word in words)

    # What a .pth file of the environment loads into every Python is not ours.
    always = json.loads(repo.python("import sys, json; print(json.dumps(list(sys.modules)))").stdout)
    found = roots(loaded(repo, *words)) - roots(always)

    assert found - sys.stdlib_module_names == {"gittrack", "click"}
    assert found & set(COSTLY.split()) == set()


def test_a_warm_listing_starts_git_twice_and_asks_it_for_no_run(repo: GitRepo) -> None:
    filled(repo, 30)
    trace = repo.path.parent / "trace"

    repo.track("ls", "-n", "20", env={"GIT_TRACE2_EVENT": str(trace)})

    events = [json.loads(line) for line in trace.read_text(encoding="utf-8").splitlines()]
    argvs = [event["argv"] for event in events if event["event"] == "start"]
    assert argvs[0][1:] == ["track", "ls", "-n", "20"]
    assert [[word for word in argv if word in ASKED] for argv in argvs[1:]] == [["rev-parse"], ["config"]], argvs


def test_a_warm_listing_needs_no_object(repo: GitRepo) -> None:
    filled(repo, 30)
    before = ask(repo, "ls", "--json", "-n", "20")
    objects, aside = repo.path / ".git" / "objects", repo.path.parent / "aside"

    objects.rename(aside)
    objects.mkdir()
    try:
        assert ask(repo, "ls", "--json", "-n", "20") == before
    finally:
        objects.rmdir()
        aside.rename(objects)


def test_a_warm_listing_makes_as_many_system_calls_for_many_runs_as_for_a_few(
    repo: GitRepo, empty_repo: GitRepo, tmp_path: Path
) -> None:
    program = shutil.which("git-track")
    assert program is not None
    filled(repo, 25)
    few = system_calls([program, "ls", "-n", "20"], repo.path, tmp_path)
    more = versions(repo, runs=500, each=1)
    move(repo, {f"refs/runs/{name}": one.oid for name, (one,) in more.items()})
    repo.git("pack-refs", "--all")
    settle(repo)

    many = system_calls([program, "ls", "-n", "20"], repo.path, tmp_path)
    floor = system_calls([sys.executable, "-c", "import click, sqlite3, json"], repo.path, tmp_path)

    assert many < 1.05 * few
    assert many < 3 * floor


def system_calls(words: list[str], folder: Path, scratch: Path) -> int:
    """Returns how many calls a command and its processes make; skips the test where nobody counts them."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    counts = scratch / "counts"
    for _ in range(2):  # the first may write compiled modules
        subprocess.run(
            ["strace", "-f", "-qq", "-c", "-o", counts, *words], cwd=folder, check=False, capture_output=True
        )
    if not counts.exists() or not counts.stat().st_size:
        pytest.skip("strace may not trace here")
    last = counts.read_text().splitlines()[-1].split()
    assert last[-1] == "total", last
    return int(last[3])
