"""Three clones, two remotes and a stick, in this process, and what people do with them.

What they do goes through the functions behind the commands. Nothing here waits for a disk or starts Python, so a
whole history takes about a second, and a thousand of them some minutes."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gittrack import archives, bundles, freeing, repo, store
from gittrack import clone as clone_ids
from gittrack.codec import manifest
from gittrack.codec.tree import Entry, Object
from gittrack.refname import RUNS, Oid, RunId, mirror_prefix, new_run_id, run_ref
from gittrack.repo import Repo
from gittrack.sync import archiving, burying, pulling, pushing, taking
from tests.gitcmd import GitRepo
from tests.runs import record

DAY = 86_400
NOON = 1_800_000_000  # Unix seconds
REMOTES = ("one", "two")
STICK = "stick.bundle"
ROUNDS = 8  # of everybody with everybody; more means that it does not end


@dataclass
class Clone:
    """A clone, and what was done in it."""

    name: str
    home: GitRepo
    number: int
    made: int = 0

    @property
    def author(self) -> str:
        """The person."""
        return f"{self.name} <{self.name}@example.org>"

    @property
    def place(self) -> Repo:
        """The services behind the commands."""
        return repo.open_repo(self.home.path)

    def runs(self) -> dict[RunId, Oid]:
        """Returns the runs that are here, archived or not, and where each is now."""
        git = self.place.git
        now = taking.here(git)
        ids = {*now.runs, *now.shelf.runs} - now.shelf.deleted
        return {run: store.current_tip(git, run) for run in ids}

    def id(self) -> str:
        """Returns the name of this clone's archive."""
        return clone_ids.clone_id(self.place.git, host="here", random=self.random())

    def random(self) -> int:
        """Returns a number that nobody else draws."""
        self.made += 1
        return self.number << 32 | self.made


@dataclass
class World:
    """Everybody, the present time in Unix seconds, and all that was done: what nobody may lose."""

    folder: Path
    clones: list[Clone]
    remotes: dict[str, GitRepo]
    now: int = NOON
    edits: dict[RunId, dict[str, Oid]] = field(default_factory=dict)  # file name to the commit that adds it
    commits: dict[RunId, set[Oid]] = field(default_factory=dict)
    buried: set[RunId] = field(default_factory=set)

    @property
    def first(self) -> RunId:
        """The run that everybody has from the beginning; others are made from it, so it stays."""
        return next(iter(_first()))

    # What people do ------------------------------------------------------------------------------------------------

    def begin(self, clone: Clone) -> RunId:
        """Records another run: the first one's tree under another id."""
        git, run = clone.place.git, new_run_id(clone.random())
        [(first, oid)] = _first().items()
        with git.objects() as objects:
            detail = store.read_detail(objects, first, oid, oid_bytes=git.place.oid_bytes)
        facts = {**detail.facts, "id": run, "name": f"run {clone.name}{clone.made}"}
        files: dict[str, Object | Entry] = {**detail.files, "run.yaml": store.blob(git, manifest.encode_run(facts))}
        oid = store.commit(
            git,
            replace(detail.run, id=run, name=facts["name"]),
            files,
            parents=list(detail.commit.parents),
            parent_time=detail.commit.time,
            old=None,
            author=clone.author,
            time=self.now,
        )
        self.commits[run] = {oid}
        self.edits[run] = {}
        return run

    def edit(self, clone: Clone, run: RunId, changes: dict[str, Any]) -> None:
        """Changes a run."""
        git = clone.place.git
        after = store.edit(git, run, changes, author=clone.author, now=self.now, random=clone.random(), sign=False)
        assert after.oid
        added = git.ask("diff-tree", "--name-only", "--no-commit-id", "-r", "--diff-filter=A", after.oid).decode()
        self.edits[run][added.strip()] = after.oid
        self.commits[run].add(after.oid)

    def go_on(self, clone: Clone, run: RunId) -> None:
        """Resumes a run and ends it again, as a seal does: another `run.yaml`, the edits as they were."""
        git = clone.place.git
        ref, tip = archives.find(git, run)
        assert tip
        with git.objects() as objects:
            detail = store.read_detail(objects, run, tip, oid_bytes=git.place.oid_bytes)
        ended = store.timestamp(self.now)
        facts = {
            **detail.facts,
            "ended": ended,
            "resumed": [*detail.facts.get("resumed", []), ended],
            "host": clone.name,
        }
        files: dict[str, Object | Entry] = {**detail.files, "run.yaml": store.blob(git, manifest.encode_run(facts))}
        oid = store.commit(
            git,
            replace(detail.run, ended=ended, host=clone.name),
            files,
            parents=[tip],
            parent_time=detail.commit.time,
            old=ref,
            author=clone.author,
            time=self.now,
        )
        self.commits[run].add(oid)

    def pull(self, clone: Clone, remote: str) -> bool:
        """Does what `git track pull` does; tells whether anything came."""
        done = pulling.pull(clone.place.git, remote)
        assert (done.refused, done.rewritten) == ((), ())
        return done != pulling.Pulled()

    def push(self, clone: Clone, remote: str) -> bool:
        """Does what `git track push` does; tells whether it did anything."""
        git = clone.place.git
        came = pushing.look(git, remote)
        assert came.refused == ()
        out = pushing.outgoing(git, remote)
        if not out:
            return came != taking.Integrated()
        pushed = pushing.push(git, remote, out.runs, shelves=out.archives, covered=out.covered)
        assert (pushed.refused, pushed.unshelved, pushed.broken, pushed.kept) == ((), (), None, "")
        return True

    def save(self, clone: Clone) -> None:
        """Writes all there is to the stick, as `git track push --bundle` does."""
        refs = clone.place.git.refs(RUNS)
        bundles.write(clone.place.git, self.folder / STICK, {ref.name: ref.oid for ref in refs})

    def load(self, clone: Clone) -> None:
        """Takes in what is on the stick, if there is one."""
        if (self.folder / STICK).exists():
            assert pulling.pull_bundle(clone.place.git, self.folder / STICK).refused == ()

    def archive(self, clone: Clone, run: RunId) -> None:
        """Archives a run."""
        git = clone.place.git
        archiving.archive(git, clone.id(), [(run, store.current_tip(git, run))])

    def bury(self, clone: Clone, run: RunId) -> None:
        """Deletes a run for good, and frees its room."""
        git = clone.place.git
        freeing.free(git, burying.bury(git, clone.id(), [run]))
        self.buried.add(run)

    def free(self, clone: Clone, remote: str) -> None:
        """Does what `git track gc --remote` does there."""
        git = clone.place.git
        pushing.look(git, remote)
        pushing.push(git, remote, [], shelves=pushing.outgoing(git, remote).archives)
        assert pushing.free(git, remote).kept == ""

    def fetch_only(self, clone: Clone, remote: str) -> None:
        """Does a plain `git fetch` with the refspec that `init` offers; runs are joined by the next command."""
        clone.home.git("fetch", "--quiet", remote, f"+{RUNS}*:{mirror_prefix(remote)}*")

    def look(self, clone: Clone) -> None:
        """Does what the next command does before it looks."""
        assert pulling.catch_up(clone.place.git, REMOTES).refused == ()

    def tidy(self, clone: Clone) -> None:
        """Lets git collect its garbage."""
        clone.home.git("gc", "--quiet", "--prune=now")

    # What must be true ---------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Brings everybody to the same state and looks at it."""
        self.settle()
        self.check()

    def settle(self) -> None:
        """Has everybody sync with everybody, until a round does nothing, and makes no object."""
        self.save(self.clones[0])
        for clone in self.clones:
            self.load(clone)
        before = self.state()
        for _ in range(ROUNDS):
            done = [(self.pull(clone, remote), self.push(clone, remote)) for clone in self.clones for remote in REMOTES]
            after = self.state()
            if after == before and not any(pulled or pushed for pulled, pushed in done):
                return
            before = after
        raise AssertionError(f"after {ROUNDS} rounds of everybody with everybody it goes on")

    def check(self) -> None:
        """Asserts that all agree, that nobody lost anything, and that git finds nothing wrong."""
        for clone in self.clones:
            self.check_clone(clone)
        tips = {clone.name: clone.runs() for clone in self.clones}
        for run in self.commits.keys() - self.buried:
            trees = {who.name: who.home.git("rev-parse", f"{tips[who.name][run]}^{{tree}}") for who in self.clones}
            assert len(set(trees.values())) == 1, f"run {run} differs: {trees}"
        for name, remote in self.remotes.items():
            self.free(self.clones[0], name)
            assert not {run_ref(run) for run in self.buried} & remote.refs(RUNS).keys()
        for home in self.homes():
            home.fsck()

    def check_clone(self, clone: Clone) -> None:
        """Asserts that a clone has every run, every commit that was made of it, and every edit; and no more."""
        tips = clone.runs()
        assert set(tips) == self.commits.keys() - self.buried
        for run, tip in tips.items():
            args = ("rev-list", "--invert-grep", "--grep=^Join: 1$", tip, "--not", "--branches", "--remotes")
            assert set(clone.home.git(*args).split()) == self.commits[run], f"commits of {run} in {clone.name}"
            listed = clone.home.git("ls-tree", "-r", tip, "--", "edits").splitlines()
            found = {line.partition("\t")[2]: line.split()[2] for line in listed}
            assert set(found) == set(self.edits[run]), f"edits of {run} in {clone.name}"
            asked = [f"{oid}:{path}" for path, oid in self.edits[run].items()]
            same = clone.home.git("rev-parse", *asked).split() if asked else []
            assert dict(zip(self.edits[run], same, strict=True)) == found

    def homes(self) -> list[GitRepo]:
        """Returns all repositories."""
        return [*(clone.home for clone in self.clones), *self.remotes.values()]

    def state(self) -> list[tuple[str, list[str]]]:
        """Returns the refs of each repository, and its objects: loose ones, and packs."""
        found = []
        for home in self.homes():
            objects = home.path / ".git" / "objects" if (home.path / ".git").exists() else home.path / "objects"
            files = sorted(file.name for file in objects.glob("*/*") if file.suffix in ("", ".pack"))
            found.append((home.git("for-each-ref"), files))
        return found


# Making one ---------------------------------------------------------------------------------------------------------


@contextmanager
def world() -> Iterator[World]:
    """Yields a world in which everybody has one run; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="clones-", dir=_memory()) as base:
        folder = Path(base, "world")
        shutil.copytree(_template(), folder)
        clones = [Clone(name, GitRepo(folder / name), number) for number, name in enumerate(("ada", "bob", "eve"), 1)]
        made = World(folder, clones, {name: GitRepo(folder / f"{name}.git") for name in REMOTES})
        made.commits = {run: {oid} for run, oid in _first().items()}
        made.edits = {run: {} for run in _first()}
        yield made


def _memory() -> str | None:
    """Returns a folder that is no disk, where there is one: these worlds are not about surviving a power cut."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - mkdtemp makes its own folder there


@functools.cache
def _template() -> Path:
    """Returns a world that is copied for each history; it stays until this process ends."""
    base = tempfile.TemporaryDirectory(prefix="template-", dir=_memory())
    _kept.append(base)
    folder = Path(base.name)
    home = GitRepo.init(folder / "ada", "--template=")
    home.commit({"train.py": "print('training')\n"}, "train: begin")
    record(home, {"name": "one", "tags": ["recorded"], "metrics": {"loss": [1, 2]}})
    for remote in REMOTES:
        GitRepo.init(folder / f"{remote}.git", "--bare", "--template=")
        home.git("remote", "add", remote, f"../{remote}.git")
        home.git("push", "--quiet", remote, "main", f"{RUNS}*:{RUNS}*")
        home.git("fetch", "--quiet", remote)
    shutil.rmtree(home.path / ".git" / "gittrack")
    for name in ("bob", "eve"):
        shutil.copytree(home.path, folder / name)
    return folder


_kept: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def _first() -> dict[RunId, Oid]:
    """Returns the run that everybody has from the beginning."""
    refs = GitRepo(_template() / "ada").refs(RUNS)
    return {RunId(name.removeprefix(RUNS)): Oid(oid) for name, oid in refs.items()}
