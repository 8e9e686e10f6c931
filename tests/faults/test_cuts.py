"""Pushes and fetches that are cut at any byte: no run is there by half, none twice, and the next try brings the rest.

Each cut has a remote and a clone of its own, made by copying; the line between them is reset, closed or goes silent
after a number of bytes that a seed draws."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gittrack.refname import RUNS
from tests.gitcmd import GitRepo, run
from tests.runs import ask, attempt, listed
from tests.servers.relay import Relay, relay
from tests.sharing import host
from tests.test_sending import record_noisy

PARTS, CUTS_OF_A_PART = 10, 50
KINDS = ("http", "git")
COUNT, SIZE = 6, 8_000  # runs, and bytes of a file in each that no pack makes smaller
EARLY = 2_000  # bytes, in which the two sides agree on what goes


@dataclass(frozen=True)
class Worlds:
    """A clone with runs and one without, a remote with them and one without, all to be copied; and where to serve."""

    folder: Path
    served: Path
    scheme: str
    port: int
    ids: frozenset[str]

    @contextmanager
    def made(self, *, way: str, limit: int | None, how: str) -> Iterator[tuple[GitRepo, GitRepo, Relay]]:
        """Yields a clone, its remote and the line between them, which goes bad in this way; all go away again."""
        clone = GitRepo(self.folder / "copy")
        bare = GitRepo(self.served / "copy.git")
        try:
            shutil.copytree(self.folder / f"{way}-clone", clone.path)
            shutil.copytree(self.folder / f"{way}-bare", bare.path)
            with relay(self.port) as line:
                line.limit, line.breaks, line.resets = limit, how == "closed", how == "reset"
                clone.git("config", "remote.origin.url", f"{self.scheme}://127.0.0.1:{line.port}/copy.git")
                yield clone, bare, line
        finally:
            shutil.rmtree(clone.path, ignore_errors=True)
            shutil.rmtree(bare.path, ignore_errors=True)


@contextmanager
def worlds(kind: str, repo: GitRepo, folder: Path) -> Iterator[Worlds]:
    """Yields what is copied for each cut: six runs, half of which are archived."""
    ids = record_noisy(repo, COUNT, size=SIZE)
    ask(repo, "archive", *ids[: COUNT // 2])
    with host(kind, folder) as served:
        repo.git("remote", "add", "origin", str(served.bare.path))
        repo.git("config", "track.timeout", "1")
        repo.git("push", "--quiet", "origin", "main")
        shutil.copytree(repo.path, folder / "push-clone")
        shutil.copytree(served.bare.path, folder / "push-bare")
        shutil.copytree(repo.path, folder / "fetch-clone")
        for ref in repo.refs(RUNS):
            GitRepo(folder / "fetch-clone").git("update-ref", "-d", ref)
        fresh = GitRepo(folder / "fetch-clone")
        for keep in (fresh.path / ".git" / "objects" / "pack").glob("*.keep"):
            keep.unlink()
        shutil.rmtree(fresh.path / ".git" / "gittrack")
        fresh.git("gc", "--quiet", "--prune=now")
        ask(repo, "push")
        shutil.copytree(served.bare.path, folder / "fetch-bare")
        assert served.line
        yield Worlds(folder, served.bare.path.parent, kind, served.line.target, frozenset(ids))


def check(clone: GitRepo, bare: GitRepo, ids: frozenset[str]) -> set[str]:
    """Asserts that each run that can be seen is whole and there once, on both sides; returns those on the second."""
    for home in (clone, bare):
        done = run(["git", "fsck", "--connectivity-only", "--no-dangling"], cwd=home.path, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        code, out, err = attempt(home, "fsck")
        assert code == 0, out + err
    seen = [[entry["id"] for entry in listed(home)] for home in (clone, bare)]
    for each in seen:
        assert len(each) == len(set(each))
        assert set(each) <= ids
    return set(seen[0]) & set(seen[1])


def measured(made: Worlds, way: str) -> int:
    """Returns how many bytes go over the line, both ways together, if nothing cuts it."""
    with made.made(way=way, limit=None, how="closed") as (clone, bare, line):
        ask(clone, way)
        assert check(clone, bare, made.ids) == made.ids
        return line.passed


def cut_many(made: Worlds, seed: int, *, count: int) -> int:
    """Cuts so many transfers and asserts that each is completed by a plain retry; returns how many broke off."""
    draw = random.Random(seed)
    size = {way: measured(made, way) for way in ("push", "fetch")}
    broke = 0
    for _ in range(count):
        way, how = draw.choice(("push", "fetch")), draw.choice(("reset", "closed", "silent"))
        limit = draw.randrange(draw.choice((EARLY, size[way])))
        with made.made(way=way, limit=limit, how=how) as (clone, bare, line):
            code, _, err = attempt(clone, way)
            assert code in (0, 4), (way, how, limit, err)
            broke += code != 0
            check(clone, bare, made.ids)
            line.heal()
            for _ in range(2):
                code, _, err = attempt(clone, way)
                assert code == 0, (way, how, limit, err)
            assert ("up-to-date" if way == "push" else "up to date") in err, (way, how, limit, err)
            assert check(clone, bare, made.ids) == made.ids, (way, how, limit)
            assert clone.refs(RUNS) == bare.refs(RUNS), (way, how, limit)
    return broke


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_cut_pushes_and_fetches_are_completed_by_the_next_try(repo: GitRepo, tmp_path: Path, kind: str) -> None:
    with worlds(kind, repo, tmp_path / "host") as made:
        assert cut_many(made, 0, count=10) >= 3


@pytest.mark.faults
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", range(1, PARTS // 2 + 1))
def test_five_hundred_cuts_leave_no_run_by_half(repo: GitRepo, tmp_path: Path, kind: str, part: int) -> None:
    with worlds(kind, repo, tmp_path / "host") as made:
        assert cut_many(made, part, count=CUTS_OF_A_PART) >= CUTS_OF_A_PART // 3


def test_a_run_that_is_there_by_half_or_twice_would_be_seen(repo: GitRepo, tmp_path: Path) -> None:
    ids = record_noisy(repo, 2, size=10)
    bare = GitRepo.init(tmp_path / "bare.git", "--bare")
    repo.git("remote", "add", "origin", str(bare.path))
    repo.git("push", "--quiet", "origin", "main")
    ask(repo, "push")
    assert check(repo, bare, frozenset(ids)) == set(ids)
    tip = bare.refs(RUNS)[RUNS + ids[0]]

    bare.git("update-ref", f"{RUNS}r0123456789ab", tip)
    with pytest.raises(AssertionError, match="r0123456789ab"):
        check(repo, bare, frozenset(ids))
    bare.git("update-ref", "-d", f"{RUNS}r0123456789ab")

    body = bare.git("cat-file", "commit", tip)
    half = "tree " + "1" * 40 + "\n" + body.partition("\n")[2] + "\n"  # what a writer of single objects may leave
    commit = bare.git("hash-object", "-t", "commit", "-w", "--stdin", input=half)
    bare.git("update-ref", RUNS + ids[0], commit)
    with pytest.raises(AssertionError, match="broken link"):
        check(repo, bare, frozenset(ids))
