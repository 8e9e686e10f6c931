"""Three clones, two remotes and a stick, in this process, and what people do with them.

What they do goes through the functions behind the commands. Nothing here waits for a disk or starts Python, so a
whole history takes about a second."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from gittrack import archives, audit, bundles, freeing, repo, store
from gittrack.clone import clone_id
from gittrack.codec import manifest
from gittrack.codec.tree import Entry, Object
from gittrack.commands import common, shelving
from gittrack.commits import read_commit
from gittrack.model import Run
from gittrack.refname import RUNS, Oid, RunId, archive_of, mirror_prefix, new_run_id, run_of
from gittrack.repo import Repo
from gittrack.settings import host_name
from gittrack.sync import burying, pulling, pushing, taking
from gittrack.sync import shelving as taking_archives
from tests.gitcmd import GitRepo
from tests.runs import record

DAY = 86_400
NOON = 1_800_000_000  # Unix seconds
REMOTES = ("one", "two")
ROUNDS = 10  # of everybody with everybody; more means that it does not end


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
        """Returns the runs that are here, archived or not, and the newest commit of each."""
        git = self.place.git
        now = taking.here(git)
        ids = now.runs.keys() | now.shelf.runs.keys()
        return {run: store.current_tip(git, run) for run in sorted(ids)}

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

    # What people do ------------------------------------------------------------------------------------------------

    def begin(self, clone: Clone) -> RunId:
        """Records another run: what the first one recorded under another id."""
        first, run = _first(), new_run_id(clone.random())
        git = clone.place.git
        facts = {**first.facts, "id": run, "name": f"run {clone.name}{clone.made}"}
        contents = {**first.files, "run.yaml": manifest.encode_run(facts)}
        files: dict[str, Object | Entry] = {path: store.blob(git, content) for path, content in contents.items()}
        oid = store.commit(
            git,
            replace(first.run, id=run, name=facts["name"]),
            files,
            parents=list(first.parents),
            parent_time=first.time,
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
        facts = {**detail.facts, "ended": ended, "resumed": [*detail.facts.get("resumed", []), ended]}
        files: dict[str, Object | Entry] = {**detail.files, "run.yaml": store.blob(git, manifest.encode_run(facts))}
        oid = store.commit(
            git,
            replace(detail.run, ended=ended),
            files,
            parents=[tip],
            parent_time=detail.commit.time,
            old=ref,
            author=clone.author,
            time=self.now,
        )
        self.commits[run].add(oid)

    def pull(self, clone: Clone, remote: str) -> taking.Integrated:
        """Does what `git track pull` does."""
        done = pulling.pull(clone.place.git, remote)
        assert done.refused == ()
        return done

    def push(self, clone: Clone, remote: str) -> pushing.Pushed:
        """Does what `git track push` does."""
        git = clone.place.git
        assert pushing.look(git, remote).refused == ()
        out = pushing.outgoing(git, remote)
        done = pushing.push(git, remote, out.runs, shelves=out.archives, covered=out.covered) if out else _NOTHING
        assert (done.refused, done.broken, done.unshelved, done.kept) == ((), None, (), "")
        return done

    def archive(self, clone: Clone, *, keep: int) -> None:
        """Does what `git track archive --keep` does."""
        place = self.named(clone)
        wanted, _ = shelving.archivable(place, common.read_runs(place, deleted=True).index.brief()[keep:])
        if wanted:
            shelving.archive(place, wanted)

    def bury(self, clone: Clone) -> None:
        """Does what `git track gc` does: what is deleted goes for good."""
        place = self.named(clone)
        gone = {run.id for run in common.read_runs(place, deleted=True).index.brief() if run.deleted}
        found = burying.bury(place.git, shelving.own_id(place), gone)
        freeing.free(place.git, found)
        self.buried |= gone

    def named(self, clone: Clone) -> Repo:
        """Returns the services of a clone that has the same id whenever its history is told again."""
        place = clone.place
        clone_id(place.git, host=host_name(), random=clone.number)
        return place

    def save(self, clone: Clone) -> None:
        """Writes all runs to the stick."""
        refs = {ref.name: ref.oid for ref in clone.place.git.refs(RUNS) if run_of(ref.name) or archive_of(ref.name)}
        if refs:
            bundles.write(clone.place.git, self.stick, refs)

    def load(self, clone: Clone) -> taking.Integrated:
        """Takes in what is on the stick, if there is something."""
        if not self.stick.exists():
            return taking.Integrated()
        done = pulling.pull_bundle(clone.place.git, self.stick)
        assert done.refused == ()
        return done

    @property
    def stick(self) -> Path:
        """The bundle."""
        return self.folder / "stick.bundle"

    def fetch_only(self, clone: Clone, remote: str) -> None:
        """Does a plain `git fetch` with the refspec that `init` offers; runs are joined by the next command."""
        clone.home.git("fetch", "--quiet", remote, f"+{RUNS}*:{mirror_prefix(remote)}*")

    def look(self, clone: Clone) -> None:
        """Does what the next command does before it looks."""
        assert taking_archives.integrate(clone.place.git).refused == ()

    def tidy(self, clone: Clone) -> None:
        """Lets git collect its garbage."""
        clone.home.git("gc", "--quiet", "--prune=now")

    # What must be true ---------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Has everybody sync, and asserts that all is well then."""
        self.settle()
        self.check()

    def settle(self) -> None:
        """Has everybody sync with everybody, until a round of it says that it did nothing, and moved and made nothing.

        An old stick that turns up again in the end changes nothing either."""
        for clone in self.clones:
            self.load(clone)
        before = self.state()
        for _ in range(ROUNDS):
            done = [(self.pull(clone, remote), self.push(clone, remote)) for clone in self.clones for remote in REMOTES]
            after = self.state()
            if after == before and all(moved == (taking.Integrated(), _NOTHING) for moved in done):
                break
            before = after
        else:
            raise AssertionError(f"after {ROUNDS} rounds of everybody with everybody it goes on")
        assert [self.load(clone) for clone in self.clones] == [taking.Integrated()] * len(self.clones)
        assert _refs(self.state()) == _refs(after)

    def check(self) -> None:
        """Asserts that all agree, that nobody lost anything, and that git finds nothing wrong."""
        for clone in self.clones:
            self.check_clone(clone)
        for home in self.homes():
            home.fsck()

    def check_clone(self, clone: Clone) -> None:
        """Asserts that a clone has every run, every commit that was made of it, and every edit; and no more."""
        git, tips = clone.place.git, clone.runs()
        assert taking.here(git).shelf.deleted == self.buried
        assert set(tips) == self.commits.keys() - self.buried
        assert {run.id: run.oid for run in common.read_runs(clone.place, deleted=True).index.brief()} == tips
        assert list(audit.check_all(git)) == []
        first = self.clones[0].runs() if clone is not self.clones[0] else tips
        for run, tip in tips.items():
            args = ("rev-list", "--invert-grep", "--grep=^Join: 1$", tip, "--not", "--branches", "--remotes")
            assert set(clone.home.git(*args).split()) == self.commits[run], f"commits of {run} in {clone.name}"
            listed = clone.home.git("ls-tree", "-r", tip, "--", "edits").splitlines()
            found = {line.partition("\t")[2]: line.split()[2] for line in listed}
            assert set(found) == set(self.edits[run]), f"edits of {run} in {clone.name}"
            asked = [f"{oid}:{path}" for path, oid in self.edits[run].items()]
            same = clone.home.git("rev-parse", *asked).split() if asked else []
            assert dict(zip(self.edits[run], same, strict=True)) == found
            with git.objects() as ours, self.clones[0].place.git.objects() as theirs:
                trees = read_commit(ours, tip).tree, read_commit(theirs, first[run]).tree
            assert trees[0] == trees[1], f"run {run} differs in {clone.name}"

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


_NOTHING = pushing.Pushed()


def _refs(state: list[tuple[str, list[str]]]) -> list[str]:
    return [refs for refs, _ in state]


# Making one ---------------------------------------------------------------------------------------------------------


@contextmanager
def world() -> Iterator[World]:
    """Yields a world in which everybody has one run; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="clones-", dir=_memory()) as base:
        folder = Path(base, "world")
        shutil.copytree(_template(), folder)
        clones = [Clone(name, GitRepo(folder / name), number) for number, name in enumerate(("ada", "bob", "eve"), 1)]
        made = World(folder, clones, {name: GitRepo(folder / f"{name}.git") for name in REMOTES})
        made.commits = {_first().run.id: {_first().oid}}
        made.edits = {_first().run.id: {}}
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


class _First(NamedTuple):
    """The run that everybody has from the beginning, and what it recorded."""

    run: Run
    oid: Oid
    facts: dict[str, Any]
    files: dict[str, bytes]
    parents: tuple[Oid, ...]
    time: int


@functools.cache
def _first() -> _First:
    git = repo.open_repo(_template() / "ada").git
    [(run, oid)] = taking.own(git).items()
    with git.objects() as objects:
        detail = store.read_detail(objects, run, oid, oid_bytes=git.place.oid_bytes)
        files = {path: detail.blob(path) or b"" for path in detail.files}
    return _First(detail.run, oid, dict(detail.facts), files, detail.commit.parents, detail.commit.time)
