"""Promise P9: what a remote rewrites or deletes is noticed each time, and honest work never raises an alarm."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from gittrack import store
from gittrack.git import Update
from gittrack.refname import RunId, new_clone_id, run_of
from gittrack.repo import open_repo
from gittrack.sync import archiving, burying, pulling, pushing, seen, seenlog, taking
from tests.gitcmd import GitRepo
from tests.index.making import Made, versions

KINDS = ("deleted", "rolled back", "moved by force", "replaced")
MIRROR = "+refs/runs/*:refs/gittrack/origin/runs/*"


@dataclass
class Person:
    """Somebody with a clone, in this process."""

    home: GitRepo
    clone: str
    edits: int = 0

    def pull(self) -> tuple[seen.Finding, ...]:
        return pulling.pull(open_repo(self.home.path).git, "origin").rewritten

    def push(self) -> None:
        git = open_repo(self.home.path).git
        pushing.look(git, "origin")
        out = pushing.outgoing(git, "origin")
        done = pushing.push(git, "origin", out.runs, shelves=out.archives, covered=out.covered)
        assert (done.refused, done.unshelved, done.broken) == ((), (), None)

    def runs(self) -> list[RunId]:
        now = taking.here(open_repo(self.home.path).git)
        return sorted({*now.runs, *now.shelf.runs} - now.shelf.deleted)

    def edit(self, run: RunId) -> None:
        self.edits += 1
        changes = {"tag": [f"{self.home.path.name}{self.edits}"]}
        author, number = f"{self.home.path.name} <a@b>", self.edits * 7 + len(self.home.path.name)
        git = open_repo(self.home.path).git
        store.edit(git, run, changes, author=author, now=1.8e9 + self.edits, random=number, sign=False)

    def add(self, made: list[Made]) -> None:
        git = open_repo(self.home.path).git
        git.update_refs([Update(f"refs/runs/{made[0].run.id}", made[0].oid, None)])

    def archive(self, runs: list[RunId]) -> None:
        git = open_repo(self.home.path).git
        own = taking.own(git)
        archiving.archive(git, self.clone, [(run, own[run]) for run in runs if run in own])

    def bury(self, run: RunId) -> None:
        burying.bury(open_repo(self.home.path).git, self.clone, [run])


class Team:
    """Two people, a remote, and runs that wait to be made."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.bare = GitRepo.init(folder / "hub.git", "--bare")
        self.people: list[Person] = []
        for at, name in enumerate(("ada", "bobby")):
            home = GitRepo.init(folder / name)
            home.git("remote", "add", "origin", str(self.bare.path))
            self.people.append(Person(home, new_clone_id(seed * 10 + at)))
        self.waiting = list(versions(self.people[0].home, runs=60, each=1).values())
        for _ in range(8):
            self.people[0].add(self.waiting.pop())
        for person in (*self.people, *self.people):
            person.push()
            person.pull()

    def work(self) -> None:
        """Does one honest thing, and syncs now and then."""
        person = self.chance.choice(self.people)
        runs = person.runs()
        what = self.chance.choices(["edit", "add", "archive", "bury", "rest"], [10, 1, 2, 0.3, 3])[0]
        if what == "edit" and runs:
            person.edit(self.chance.choice(runs))
        elif what == "add" and self.waiting and person is self.people[0]:
            person.add(self.waiting.pop())
        elif what == "archive":
            person.archive(self.chance.sample(runs, min(len(runs), 3)))
        elif what == "bury" and len(runs) > 5:
            person.bury(self.chance.choice(runs))
        if self.chance.random() < 0.5:
            person.push()

    def tamper(self) -> str:
        """Does something by force on the host; returns the run, or archive, that it was done to."""
        bare, chance = self.bare, self.chance
        refs = bare.refs("refs/runs/")
        ref = chance.choice(sorted(refs))
        kind = chance.choice(KINDS)
        head = ref.removeprefix("refs/runs/")
        parents = bare.git("log", "-1", "--format=%P", ref).split()
        if kind == "deleted" or not parents:
            bare.git("update-ref", "-d", ref)
        elif kind == "rolled back" and self._is_same(ref, parents[0]):
            bare.git("update-ref", ref, parents[0])
        else:
            message = bare.git("log", "-1", "--format=%B", ref)
            kept = ["-p", parents[0]] if kind == "moved by force" and self._is_same(ref, parents[0]) else []
            who = ("-c", "user.name=Mallory", "-c", f"user.email=m{chance.random()}@example.org")
            made = bare.git(*who, "commit-tree", f"{ref}^{{tree}}", *kept, input=message + "\n")
            bare.git("update-ref", ref, made)
        return head

    def _is_same(self, ref: str, parent: str) -> bool:
        said = self.bare.git("log", "-1", "--format=%B", parent)
        return (f"Run: {run_of(ref)}" in said) if run_of(ref) else ("\nArchive: " in said)


def alarms(folder: Path, *, seed: int, syncs: int) -> int:
    """Returns how many of so many honest syncs raised an alarm."""
    folder.mkdir()
    team = Team(folder, seed)
    found = 0
    for _ in range(syncs):
        team.work()
        person = team.chance.choice(team.people)
        if team.chance.random() < 0.2:
            person.home.git("fetch", "-q", "--prune", "origin", MIRROR)
        found += bool(person.pull())
    for each in (team.bare, *(person.home for person in team.people)):
        each.fsck()
    return found


def noticed(folder: Path, *, seed: int, tampers: int) -> int:
    """Returns how many of so many acts of force were told, each by the next fetch, and repaired by the next push."""
    folder.mkdir()
    team = Team(folder, seed)
    ada, bob = team.people
    found = 0
    for _ in range(tampers):
        for person in (ada, bob, ada):  # all is as it should be
            person.push()
            person.pull()
        before = {run: store.current_tip(open_repo(ada.home.path).git, run) for run in ada.runs()}
        head = team.tamper()
        if team.chance.random() < 0.3:  # something honest comes with the same fetch
            others = [run for run in bob.runs() if run != head]
            bob.edit(team.chance.choice(others))
            git = open_repo(bob.home.path).git
            pushing.push(git, "origin", [(run, tip) for run, tip in pushing.unpushed(git, "origin") if run != head])
        if team.chance.random() < 0.3:
            ada.home.git("fetch", "-q", "--prune", "origin", MIRROR)
        found += head in {finding.name for finding in ada.pull()}
        for run, tip in before.items():
            assert (
                ada.home.git("merge-base", "--is-ancestor", tip, store.current_tip(open_repo(ada.home.path).git, run))
                == ""
            )
        ada.push()
        left = ada.pull()
        assert left == (), left
        bob.pull()
        team.work()
    return found


def test_every_tamper_is_noticed(tmp_path: Path) -> None:
    assert noticed(tmp_path / "a", seed=1, tampers=12) == 12


def test_honest_syncs_raise_no_alarm(tmp_path: Path) -> None:
    assert alarms(tmp_path / "a", seed=2, syncs=40) == 0


def test_without_the_log_tampers_would_go_unnoticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    monkeypatch.setattr(seenlog, "read", lambda _path: None)
    assert noticed(tmp_path / "a", seed=1, tampers=3) == 0


@pytest.mark.faults
def test_two_hundred_tampers_are_noticed(tmp_path: Path) -> None:
    assert sum(noticed(tmp_path / str(seed), seed=seed, tampers=50) for seed in range(4)) == 200


@pytest.mark.faults
def test_a_thousand_honest_syncs_raise_no_alarm(tmp_path: Path) -> None:
    assert sum(alarms(tmp_path / str(seed), seed=seed, syncs=250) for seed in range(4)) == 0
