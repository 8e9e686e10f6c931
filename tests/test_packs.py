"""Our packs in the user's repository: few, protected, and never without what they held."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gittrack import packs, repo
from gittrack.git import Git
from tests.gitcmd import GitRepo
from tests.runs import listed, record


def opened(home: GitRepo) -> Git:
    return repo.open_repo(home.path).git


def pack_files(home: GitRepo) -> set[str]:
    return {path.name for path in (home.path / ".git" / "objects" / "pack").iterdir()}


def test_a_pack_of_a_run_is_kept_and_says_whose_it_is(repo: GitRepo) -> None:
    [run] = record(repo, {})

    [pack] = packs.own_packs(opened(repo))

    assert pack.with_suffix(".keep").read_text(encoding="utf-8").strip() == f"gittrack {run}"
    assert repo.git("count-objects", "-v").splitlines()[0] == "count: 3", "the code commit's objects, and none of ours"


def test_beyond_twenty_the_small_ones_become_one(repo: GitRepo) -> None:
    ids = record(repo, *({"metrics": {"m": [number]}} for number in range(30)))

    own = packs.own_packs(opened(repo))

    assert len(own) <= packs.MAX_PACKS
    assert "gittrack merged" in {path.with_suffix(".keep").read_text(encoding="utf-8").strip() for path in own}
    assert sorted(found["id"] for found in listed(repo)) == sorted(ids)
    assert repo.track("fsck").stderr == "30 run(s) are sound\n"
    stems = {name.partition(".")[0] for name in pack_files(repo)}
    assert {f"{stem}.idx" for stem in stems} <= pack_files(repo), "nothing is left of the packs that were merged"


def test_merging_again_and_again_copies_a_run_only_a_few_times(repo: GitRepo) -> None:
    git = opened(repo)
    record(repo, *({} for _ in range(21)))
    sizes = sorted(path.stat().st_size for path in packs.own_packs(git))

    assert packs.merge(git) == 0, "20 or fewer are left alone"
    assert len(sizes) <= packs.MAX_PACKS
    assert packs.own_packs(git) == sorted(packs.own_packs(git), key=lambda path: path.stat().st_size)


def test_many_refs_of_ours_are_packed_and_runs_go_on(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "MAX_LOOSE", 3)
    ids = record(repo, {}, {}, {})
    assert not packs.tidy_refs(opened(repo)), "three are few"
    ids += record(repo, {})
    before = repo.git("for-each-ref")

    assert packs.tidy_refs(opened(repo))

    assert repo.git("for-each-ref") == before
    assert not list(Path(repo.path, ".git", "refs").glob("runs/*"))
    ids += record(repo, {})
    repo.track("tag", ids[0], "best")
    assert sorted(found["id"] for found in listed(repo)) == sorted(ids)
    assert repo.track("fsck").stderr == "5 run(s) are sound\n"


def test_recording_packs_refs_that_became_many(repo: GitRepo) -> None:
    [first] = record(repo, {})
    seen = repo.path / ".git" / "refs" / "gittrack" / "origin" / "runs"
    seen.mkdir(parents=True)
    tip = repo.git("rev-parse", f"refs/runs/{first}")
    for number in range(packs.MAX_LOOSE):
        (seen / f"{first[:-3]}{number:03}").write_text(tip + "\n", encoding="ascii")

    record(repo, *({} for _ in range(packs.MAX_PACKS)))

    assert not list(seen.glob("*"))
    assert len(repo.git("for-each-ref", "refs/gittrack/origin").splitlines()) == packs.MAX_LOOSE
    assert len(repo.git("for-each-ref", "refs/runs").splitlines()) == packs.MAX_PACKS + 1


def test_a_large_merged_pack_is_given_to_git(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "RELEASE_BYTES", 0)
    monkeypatch.setattr(packs, "MAX_PACKS", 2)
    ids = record(repo, {}, {}, {}, {}, {})

    assert packs.merge(opened(repo)) > 0

    merged = {path.stem for path in Path(repo.path, ".git", "objects", "pack").glob("*.pack")}
    kept = {path.stem for path in packs.own_packs(opened(repo))}
    assert len(merged - kept) >= 1, "a merged pack has no .keep of ours"
    repo.git("gc", "--quiet", "--prune=now")
    assert sorted(found["id"] for found in listed(repo)) == sorted(ids)


def test_packs_of_others_are_not_touched(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.git("repack", "-a", "-d", "--quiet")
    theirs = pack_files(repo)
    [name] = [name for name in theirs if name.endswith(".pack")]
    keep = repo.path / ".git" / "objects" / "pack" / name.replace(".pack", ".keep")
    keep.write_text("mine\n", encoding="utf-8")
    monkeypatch.setattr(packs, "MAX_PACKS", 1)
    record(repo, {}, {}, {})

    packs.merge(opened(repo))

    assert theirs | {keep.name} <= pack_files(repo)
    assert keep.read_text(encoding="utf-8") == "mine\n"


def test_a_merge_that_another_process_does_is_not_waited_for(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    record(repo, {}, {}, {})
    monkeypatch.setattr(packs, "MAX_PACKS", 1)
    lock = repo.path / ".git" / "gittrack" / "packs.lock"
    with lock.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert packs.merge(opened(repo)) == 0
    assert packs.merge(opened(repo)) > 0


@pytest.mark.slow
def test_recording_beside_gc_loses_nothing(repo: GitRepo) -> None:
    collecting = subprocess.Popen(
        ["sh", "-c", "while git gc --quiet --prune=now; do :; done"],
        cwd=repo.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        ids = record(repo, *({"metrics": {"m": [number]}} for number in range(25)))
        assert collecting.poll() is None, "gc failed"
    finally:
        collecting.terminate()
        collecting.wait()
    for lock in Path(repo.path, ".git").glob("*.lock"):
        lock.unlink()

    assert sorted(found["id"] for found in listed(repo)) == sorted(ids)
    assert repo.track("fsck").stderr == "25 run(s) are sound\n"
