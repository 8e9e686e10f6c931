"""The index lists archived runs as what they are, whatever happens to archives and refs."""

from __future__ import annotations

import random

import pytest

from gittrack import archives, purging
from gittrack.archives import Shelf
from gittrack.git import Update
from gittrack.index import shelves
from gittrack.index.listing import Index
from gittrack.refname import ARCHIVES, RunId, new_clone_id
from gittrack.repo import open_repo
from tests.gitcmd import GitRepo
from tests.index.making import Made, indexed, move, refs_of_runs, versions

STEPS = 40
CLONES = [new_clone_id(number) for number in range(3)]


def truth(repo: GitRepo, made: list[list[Made]]) -> dict[str, str | None]:
    """Returns what plain git says: refs, and of the listed versions of a run without one the latest."""
    order: dict[str, int] = {str(version.oid): at for each in made for at, version in enumerate(each)}
    listed: dict[str, str] = {}
    gone: set[str] = set()
    for tip in repo.refs(ARCHIVES).values():
        for line in repo.git("ls-tree", "-r", tip).splitlines():
            _, path = line.split("\t")
            body = repo.git("cat-file", "blob", f"{tip}:{path}").split()
            if path == "deleted":
                gone.update(body)
            elif path.startswith("runs/"):
                for run, oid in zip(body[::2], body[1::2], strict=True):
                    listed[run] = max(oid, listed.get(run, oid), key=order.__getitem__)
    refs = {run: oid for run, oid in refs_of_runs(repo).items() if "/" not in run}
    return {run: oid for run, oid in {**listed, **refs}.items() if run not in gone}


def change(repo: GitRepo, made: list[list[Made]], chance: random.Random) -> None:
    """Does one of the things that happen to runs and archives."""
    git = open_repo(repo.path).git
    some = chance.sample(made, chance.randint(1, 4))
    clone = chance.choice(CLONES)
    ref = ARCHIVES + clone
    tip = git.resolve(ref)
    kinds = ["move", "delete", "shelve", "elsewhere", "pack", "bury", "purge", "lose", "nothing"]
    kind = chance.choices(kinds, [4, 2, 5, 2, 2, 1, 1, 1, 1])[0]
    if kind == "move":
        move(repo, {f"refs/runs/{each[0].run.id}": chance.choice(each).oid for each in some})
    elif kind == "delete":
        move(repo, dict.fromkeys(name for each in some if (name := f"refs/runs/{each[0].run.id}") in repo.refs()))
    elif kind in ("shelve", "elsewhere"):
        there = repo.refs("refs/runs/")
        chosen = [(each[0].run.id, chance.choice(each).oid, 1) for each in some]
        if kind == "elsewhere":
            ref, tip = f"refs/gittrack/origin/runs/archive/{clone}", None
        draft = archives.extended(git, clone, tip, chosen)
        archives.write(git, draft)
        drop = [name for each in some if (name := f"refs/runs/{each[0].run.id}") in there and kind == "shelve"]
        move(repo, {ref: draft.tip, **dict.fromkeys(drop)})
    elif kind == "pack":
        repo.git("pack-refs", "--all")
    elif kind == "bury" and chance.random() < 0.5:
        draft = archives.extended(git, clone, tip, [], deleted=[some[0][0].run.id])
        git.update_refs([Update(ref, archives.write(git, draft), tip)])
    elif kind == "purge" and tip:
        move(repo, {ref: purging.without(git, tip, [some[0][0].run.id])})
    elif kind == "lose" and tip:
        move(repo, {ref: None})


def wander(repo: GitRepo, seed: int) -> int:
    """Returns after how many steps index and truth parted, or -1."""
    chance = random.Random(seed)
    made = list(versions(repo, runs=10, each=3).values())
    for step in range(STEPS):
        change(repo, made, chance)
        if indexed(repo) != truth(repo, made):
            return step
    return -1


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_to_archives_the_next_look_shows_it(repo: GitRepo, seed: int) -> None:
    assert wander(repo, seed) == -1


def test_an_index_that_takes_any_version_is_caught(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the newest of several archived versions is not looked for."""
    monkeypatch.setattr(shelves, "_newest", lambda _, __, found: shelves.At(min(found), batch=found[min(found)]))
    assert min(wander(GitRepo.init(repo.path / str(seed)), seed) for seed in range(3)) >= 0


def test_an_archived_run_knows_where_it_is(repo: GitRepo) -> None:
    [one, two] = versions(repo, runs=2, each=2).values()
    git = open_repo(repo.path).git
    draft = archives.extended(git, CLONES[0], None, [(each[0].run.id, each[0].oid, 1) for each in (one, two)])
    archives.write(git, draft)
    mirror = f"refs/gittrack/origin/runs/archive/{CLONES[0]}"
    move(repo, {ARCHIVES + CLONES[0]: draft.tip, mirror: draft.tip, f"refs/runs/{two[0].run.id}": two[1].oid})

    index = Index(git)

    assert {run.name: (run.archived, run.pushed) for run in index.runs()} == {
        "run-0-v0": (True, ("origin",)),
        "run-1-v1": (False, ()),
    }
    assert index.apart == ""
    move(
        repo, {mirror: archives.write(git, archives.extended(git, CLONES[0], draft.tip, [], deleted=[RunId("r" * 13)]))}
    )
    index.refresh()
    assert index.apart


def test_a_shelf_finds_one_run_as_it_finds_all(repo: GitRepo) -> None:
    made = versions(repo, runs=300, each=1)
    git = open_repo(repo.path).git
    draft = archives.extended(
        git, CLONES[0], None, [(run, found[0].oid, at) for at, (run, found) in enumerate(made.items())]
    )
    git.update_refs([Update(ARCHIVES + CLONES[0], archives.write(git, draft), None)])

    everything = Shelf(git).runs
    assert len(everything) == 300
    for run in list(made)[::37]:
        assert Shelf(git).of([run]) == {run: everything[run]} == {run: frozenset({made[run][0].oid})}
    assert Shelf(git).of([RunId("r0123456789ab")]) == {}
