"""The index is what the refs are, after any change and however soon one looks."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from gittrack.git import Git
from gittrack.index import freshness, listing, state, updating
from gittrack.index.database import Database
from gittrack.index.listing import Index
from gittrack.index.shelves import At
from gittrack.objects import Objects
from gittrack.refname import RunId
from gittrack.repo import open_repo
from tests.gitcmd import GitRepo
from tests.index.making import Made, indexed, move, refs_of_runs, versions

STEPS = 60


def wander(repo: GitRepo, seed: int, *, steps: int = STEPS) -> int:
    """Changes refs in random ways and looks at once; returns after how many steps index and refs parted, or -1."""
    chance = random.Random(seed)
    made = list(versions(repo, runs=12, each=3).values())
    for step in range(steps):
        change(repo, made, chance)
        if indexed(repo) != refs_of_runs(repo):
            return step
    return -1


def change(repo: GitRepo, made: list[list[Made]], chance: random.Random) -> None:
    """Changes some refs as users, fetches and git's own housekeeping do."""
    kind = chance.choices(["move", "one", "delete", "pack", "mirror", "drop mirror", "nothing"], [4, 6, 3, 2, 3, 1, 1])[
        0
    ]
    some = chance.sample(made, chance.randint(1, 5))
    if kind == "move":
        move(repo, {f"refs/runs/{each[0].run.id}": chance.choice(each).oid for each in some})
    elif kind == "one":
        move(repo, {f"refs/runs/{some[0][0].run.id}": chance.choice(some[0]).oid})
    elif kind == "delete":
        there = repo.refs("refs/runs/")
        move(repo, dict.fromkeys((name for each in some if (name := f"refs/runs/{each[0].run.id}") in there), None))
    elif kind == "pack":
        repo.git("pack-refs", "--all", *(["--no-prune"] if chance.random() < 0.3 else []))
    elif kind == "mirror":
        remote = chance.choice(["origin", "lab"])
        move(repo, {f"refs/gittrack/{remote}/runs/{each[0].run.id}": chance.choice(each).oid for each in some})
    elif kind == "drop mirror":
        move(repo, dict.fromkeys(repo.refs("refs/gittrack/lab/"), None))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_to_refs_the_next_look_shows_it(repo: GitRepo, seed: int) -> None:
    assert wander(repo, seed) == -1


def test_a_change_that_is_not_looked_for_would_be_missed(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: an index that always takes itself for fresh."""
    monkeypatch.setattr(state, "is_fresh", lambda _git, _state: True)
    assert wander(repo, 0) >= 0


def test_changes_within_one_tick_of_the_clock_are_seen(repo: GitRepo) -> None:
    made = next(iter(versions(repo, runs=1, each=3).values()))
    ref = f"refs/runs/{made[0].run.id}"
    for _ in range(20):
        for version in made:
            (repo.path / ".git" / ref).parent.mkdir(exist_ok=True)
            (repo.path / ".git" / ref).with_suffix(".lock").write_text(version.oid + "\n", encoding="ascii")
            (repo.path / ".git" / ref).with_suffix(".lock").rename(repo.path / ".git" / ref)
            assert indexed(repo) == {version.run.id: version.oid}


def test_when_nothing_changed_git_is_not_asked(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    made = versions(repo, runs=3, each=1)
    move(repo, {f"refs/runs/{name}": found[0].oid for name, found in made.items()})
    monkeypatch.setattr(freshness, "_FINE", -1.0)  # what just changed counts as long past
    git = open_repo(repo.path).git
    Index(git).close()

    def asked(*_: object, **__: object) -> None:
        raise AssertionError("git was asked")

    for name in ("refs", "objects", "run"):
        monkeypatch.setattr(git, name, asked)
    assert len(Index(git).runs()) == 3


def test_only_the_refs_that_changed_are_read_again(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    made = list(versions(repo, runs=20, each=2).values())
    move(repo, {f"refs/runs/{each[0].run.id}": each[0].oid for each in made})
    repo.git("pack-refs", "--all")
    assert len(indexed(repo)) == 20
    read: list[str] = []
    real = updating._read

    def noted(git: Git, objects: Objects, wanted: Mapping[RunId, At]) -> updating._Found:
        read.extend(wanted)
        return real(git, objects, wanted)

    monkeypatch.setattr(updating, "_read", noted)
    move(repo, {f"refs/runs/{made[3][0].run.id}": made[3][1].oid})

    assert indexed(repo) == refs_of_runs(repo)
    assert read == [made[3][0].run.id]


def test_what_remotes_were_seen_to_have_is_told(repo: GitRepo) -> None:
    [one, two] = versions(repo, runs=2, each=2).values()
    move(
        repo,
        {
            f"refs/runs/{one[0].run.id}": one[1].oid,
            f"refs/runs/{two[0].run.id}": two[1].oid,
            f"refs/gittrack/origin/runs/{one[0].run.id}": one[1].oid,
            f"refs/gittrack/lab/runs/{one[0].run.id}": one[1].oid,
            f"refs/gittrack/origin/runs/{two[0].run.id}": two[0].oid,
        },
    )

    index = Index(open_repo(repo.path).git)
    assert {run.name: sorted(run.pushed) for run in index.runs()} == {"run-0-v1": ["lab", "origin"], "run-1-v1": []}
    assert index.apart
    move(repo, {f"refs/gittrack/origin/runs/{two[0].run.id}": two[1].oid})
    index.refresh()
    assert index.apart == ""


def test_the_best_of_a_metric_is_found_while_a_run_is_recorded(repo: GitRepo) -> None:
    made = versions(repo, runs=3, each=1)
    move(repo, {f"refs/runs/{name}": found[0].oid for name, found in made.items()})
    repo.track("start", "--name", "live")

    assert repo.track("show", "best:acc", "--format", "%(name)").stdout == "run-2-v0\n"
    assert repo.track("show", "best:min:acc", "--format", "%(name)").stdout == "run-2-v0\n"


def test_a_run_that_ends_while_one_looks_is_listed(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    name = repo.track("start").stdout.strip()
    opened = listing._opened

    def then_it_ends(git: Git) -> Database:
        found = opened(git)
        repo.track("finish")
        return found

    monkeypatch.setattr(listing, "_opened", then_it_ends)
    assert [run.id for run in Index(open_repo(repo.path).git).runs()] == [name]
