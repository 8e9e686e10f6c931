"""Joining: two people never lose an edit to each other, and it ends."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gittrack import repo, store
from gittrack.codec import tree
from gittrack.git import Git
from gittrack.index.listing import Index
from gittrack.model import Run
from gittrack.refname import Oid, RunId, mirror_prefix, run_ref
from gittrack.repo import Repo
from gittrack.sync import joins, pulling, pushing, shelving, taking
from tests.gitcmd import GitRepo
from tests.runs import record


@dataclass
class Clone:
    """A clone in this process: the services behind the commands, without their start."""

    home: GitRepo
    place: Repo
    random: int = 0

    @classmethod
    def of(cls, home: GitRepo) -> Clone:
        return cls(home, repo.open_repo(home.path), sum(home.path.name.encode()) << 8)

    def tip(self, run: RunId) -> Oid:
        return store.current_tip(self.place.git, run)

    def tag(self, run: RunId, tag: str) -> Oid:
        return self.edit(run, {"tag": [tag]})

    def edit(self, run: RunId, changes: dict[str, object]) -> Oid:
        self.random += 1
        git = self.place.git
        edited = store.edit(git, run, changes, author="A <a@b>", now=1_800_000_000.0, random=self.random, sign=False)
        assert edited.oid
        return edited.oid

    def pull(self) -> taking.Integrated:
        return pulling.pull(self.place.git, "origin")

    def push(self) -> pushing.Pushed:
        return pushing.push(self.place.git, "origin", pushing.unpushed(self.place.git, "origin"))

    def run(self) -> Run:
        [found] = Index(self.place.git, deleted=True).runs()
        return found


@pytest.fixture
def run(repo: GitRepo, bare_remote: GitRepo) -> RunId:
    """A run that is on the remote."""
    [run] = record(repo, {"name": "one"})
    repo.track("push")
    return RunId(run)


@pytest.fixture
def clones(repo: GitRepo, bare_remote: GitRepo, run: RunId, tmp_path: Path) -> list[Clone]:
    """Three clones that have the run."""
    others = [GitRepo.clone(bare_remote.path, tmp_path / name) for name in ("bob", "eve")]
    found = [Clone.of(home) for home in (repo, *others)]
    for clone in found:
        clone.pull()
    return found


def bring(source: Clone, target: Clone, run: RunId, remote: str) -> None:
    """Puts a tip of a run into another clone's mirror, as a fetch from some remote does."""
    ref = mirror_prefix(remote) + run
    target.home.git("fetch", "--quiet", str(source.home.path), f"+{run_ref(run)}:{ref}")


def test_a_descendant_is_a_fast_forward_and_an_ancestor_is_kept(clones: list[Clone], run: RunId) -> None:
    ada, bob, _ = clones
    base = ada.tip(run)
    newer = ada.tag(run, "a")
    bring(ada, bob, run, "usb")

    assert taking.decide(bob.place.git, run, base, newer) == "forward"
    assert taking.decide(bob.place.git, run, newer, base) == "keep"
    assert shelving.integrate(bob.place.git) == taking.Integrated(forwarded=(run,))
    assert bob.tip(run) == newer


def test_a_join_is_the_same_commit_wherever_it_is_made(clones: list[Clone], run: RunId) -> None:
    ada, bob, _ = clones
    ada.tag(run, "a")
    bob.tag(run, "b")
    bring(ada, bob, run, "usb")
    bring(bob, ada, run, "usb")

    assert shelving.integrate(ada.place.git).joined == (run,)
    assert shelving.integrate(bob.place.git).joined == (run,)

    assert ada.tip(run) == bob.tip(run)
    raw = ada.home.git("cat-file", "commit", run_ref(run))
    parents = [line.split()[1] for line in raw.splitlines() if line.startswith("parent ")]
    assert parents == sorted(parents)
    assert "\ncommitter gittrack <gittrack@localhost> " in raw
    assert "\nJoin: 1\nRecord: {" in raw
    assert ada.run().tags == ("a", "b")


def test_two_joins_of_the_same_edits_need_no_third(clones: list[Clone], run: RunId) -> None:
    left, right = joins_in_two_orders(clones, run)
    git = clones[0].place.git

    assert left != right
    assert git.resolve(left + "^{tree}") != left
    smaller, greater = sorted((left, right))
    assert taking.decide(git, run, smaller, greater) == "keep"
    assert taking.decide(git, run, greater, smaller) == "forward"
    trees = {clones[0].home.git("rev-parse", f"{tip}^{{tree}}") for tip in (left, right)}
    assert len(trees) == 1, "any order of joins ends in the same tree"


def joins_in_two_orders(clones: list[Clone], run: RunId) -> tuple[Oid, Oid]:
    """Returns two joins of the same three edits, made in different orders; the first clone has both."""
    ada, bob, eve = clones
    a, b, c = (clone.tag(run, tag) for clone, tag in zip(clones, "abc", strict=True))
    bring(bob, ada, run, "bob")
    bring(eve, ada, run, "eve")
    git = ada.place.git
    ab = join(git, run, a, b)
    return join(git, run, ab, c), join(git, run, a, join(git, run, b, c))


def join(git: Git, run: RunId, left: Oid, right: Oid) -> Oid:
    """Writes the join of two versions of a run, to which nothing points yet."""
    with git.objects() as objects:
        joined = joins.join(git, *(taking.examine(objects, run, oid, oid_bytes=20) for oid in (left, right)))
    git.write_pack(tree.encode_pack(joined.objects, algorithm="sha1"), keep="gittrack test")
    return joined.tip


def test_a_push_joins_what_the_remote_could_not_fast_forward(
    clones: list[Clone], run: RunId, bare_remote: GitRepo
) -> None:
    ada, bob, _ = clones
    left, right = joins_in_two_orders(clones, run)
    ada.home.git("push", "--quiet", "origin", f"{right}:{run_ref(run)}")
    ada.home.git("update-ref", run_ref(run), left)
    ada.tag(run, "more")

    assert ada.pull().joined == (), "all that the remote has is here"
    pushed = ada.push()

    assert pushed.taken == (run,)
    assert pushed.refused == ()
    assert bare_remote.git("rev-parse", run_ref(run)) == ada.tip(run)
    bob.pull()
    assert bob.tip(run) == ada.tip(run)
    assert bob.run().tags == ("a", "b", "c", "more")


def test_equal_edits_under_another_join_push_nothing(clones: list[Clone], run: RunId) -> None:
    ada = clones[0]
    left, right = sorted(joins_in_two_orders(clones, run))
    ada.home.git("push", "--quiet", "origin", f"{right}:{run_ref(run)}")
    ada.home.git("update-ref", run_ref(run), left)
    ada.pull()

    assert ada.tip(run) == left
    assert pushing.unpushed(ada.place.git, "origin") == []


def test_what_is_outside_edits_comes_from_the_later_seal(clones: list[Clone], run: RunId) -> None:
    ada, bob, _ = clones
    for clone, ended in ((ada, "2030"), (bob, "2031")):
        git = clone.home.git
        text = git("show", f"{run_ref(run)}:run.yaml")
        other = "\n".join(
            f'ended: "{ended}-01-01T00:00:00.000Z"' if "ended:" in line else line for line in text.split("\n")
        )
        blob = git("hash-object", "-w", "--stdin", input=other + "\n")
        listing = git("ls-tree", run_ref(run)).replace(git("rev-parse", f"{run_ref(run)}:run.yaml"), blob)
        tree = git("mktree", input=listing + "\n")
        message = git("log", "-1", "--format=%B", run_ref(run))
        git("update-ref", run_ref(run), git("commit-tree", tree, "-p", run_ref(run), input=message + "\n"))
        clone.tag(run, ended)
    bring(bob, ada, run, "usb")

    assert shelving.integrate(ada.place.git).joined == (run,)

    assert "2031-01-01" in ada.home.git("show", f"{run_ref(run)}:run.yaml")
    assert ada.run().tags == ("2030", "2031")


def test_a_push_that_loses_a_race_fetches_joins_and_pushes_again(
    clones: list[Clone], run: RunId, bare_remote: GitRepo
) -> None:
    ada, bob, _ = clones
    ada.tag(run, "a")
    bob.tag(run, "b")
    assert bob.push().taken == (run,)

    pushed = ada.push()

    assert (pushed.taken, pushed.joined, pushed.refused) == ((run,), (run,), ())
    assert bare_remote.git("rev-parse", run_ref(run)) == ada.tip(run)
    assert ada.run().tags == ("a", "b")


def test_more_refs_than_fit_in_one_push_all_arrive(
    repo: GitRepo, bare_remote: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITTRACK_REFS_PER_PUSH", "2")
    ids = record(repo, *({} for _ in range(5)))

    pushed = Clone.of(repo).push()

    assert sorted(pushed.taken) == sorted(ids)
    assert bare_remote.refs("refs/runs/") == repo.refs("refs/runs/")


# Histories -----------------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from(["tag", "tag", "untag", "name", "pull", "push", "carry"])),
    min_size=6,
    max_size=14,
)


@pytest.fixture
def family(repo: GitRepo, tmp_path: Path) -> Path:
    """A folder with a run in it, from which each example makes its own remote and clones."""
    record(repo, {"name": "one", "tags": ["recorded"]})
    return tmp_path


@pytest.mark.slow
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_three_clones_end_at_the_same_commits_and_lose_nothing(
    repo: GitRepo, family: Path, steps: list[tuple[int, str]]
) -> None:
    run = RunId(next(iter(repo.refs("refs/runs/"))).rpartition("/")[2])
    clones, bare = born(repo, Path(tempfile.mkdtemp(dir=family)))
    added = {f"t{number}" for number, (_, what) in enumerate(steps) if what == "tag"}
    for number, (who, what) in enumerate(steps):
        take_step(clones[who], what, run, number=number, neighbour=clones[(who + 1) % 3])

    for clone in [*clones, *clones, *clones]:
        clone.pull()
        assert clone.push().refused == ()

    settled = [clone.tip(run) for clone in clones]
    states = [clone.run() for clone in clones]
    assert {state.tags for state in states} == {states[0].tags}
    assert added <= set(states[0].tags), "a tag was lost"
    assert ("recorded" in states[0].tags) == all(what != "untag" for _, what in steps)
    assert len({state.name for state in states}) == 1
    assert len({clone.home.git("rev-parse", f"{run_ref(run)}^{{tree}}") for clone in clones}) == 1
    for clone in clones:
        clone.pull()
        assert clone.push() == pushing.Pushed()
    assert [clone.tip(run) for clone in clones] == settled, "syncing again made commits"
    if all(what != "carry" for _, what in steps):
        assert len({*settled, bare.git("rev-parse", run_ref(run))}) == 1


def born(repo: GitRepo, folder: Path) -> tuple[list[Clone], GitRepo]:
    """Returns three clones that have the runs of `repo`, and their remote."""
    bare = GitRepo.init(folder / "remote.git", "--bare")
    homes = [GitRepo.clone(repo.path, folder / name) for name in ("ada", "bob", "eve")]
    for home in homes:
        home.git("fetch", "--quiet", "origin", "refs/runs/*:refs/runs/*")
        home.git("remote", "set-url", "origin", str(bare.path))
    homes[0].git("push", "--quiet", "origin", "main", "refs/runs/*:refs/runs/*")
    return [Clone.of(home) for home in homes], bare


def take_step(clone: Clone, what: str, run: RunId, *, number: int, neighbour: Clone) -> None:
    """Does one thing that a person does."""
    if what == "tag":
        clone.tag(run, f"t{number}")
    elif what == "untag" and "recorded" in clone.run().tags:
        clone.edit(run, {"untag": ["recorded"]})
    elif what == "name":
        clone.edit(run, {"name": f"n{number}"})
    elif what == "pull":
        clone.pull()
    elif what == "push":
        clone.push()
    elif what == "carry":  # a USB stick between two of them
        bring(clone, neighbour, run, "usb")
        shelving.integrate(neighbour.place.git)
