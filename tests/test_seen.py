"""The log of what remotes were seen to have: what hides a rewrite is looked through, and no writer's line is lost."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gittrack import archives
from gittrack.git import Git
from gittrack.refname import Oid, RunId, new_clone_id, new_run_id
from gittrack.repo import open_repo
from gittrack.sync import seen, seenlog
from tests.gitcmd import FIRST_COMMIT_TIME, GitRepo

A, B = new_run_id(1), new_run_id(2)
CLONE = new_clone_id(3)
MIRROR = "refs/gittrack/origin/runs/"


@dataclass
class Mirror:
    """The mirror of a remote, moved by hand as a fetch would move it."""

    repo: GitRepo
    git: Git

    def commit(self, run: str, *parents: str, text: str = "") -> Oid:
        words = [word for parent in parents for word in ("-p", parent)]
        message = f"run {text}\n\nRun: {run}\nRecord: {{}}\n"
        return Oid(self.repo.git("commit-tree", "HEAD^{tree}", *words, input=message))

    def show(self, tips: dict[str, Oid]) -> list[tuple[str, str]]:
        """Lets the remote have just these; returns what is told of it."""
        for ref in self.repo.refs(MIRROR):
            self.repo.git("update-ref", "-d", ref)
        for name, oid in tips.items():
            self.repo.git("update-ref", MIRROR + name, oid)
        return [(found.name, found.kind) for found in seen.keep_up(self.git, "origin")]

    def archive(self, tip: Oid | None, runs: Sequence[tuple[RunId, Oid]], *, purged: Sequence[RunId] = ()) -> Oid:
        dated = [(run, oid, FIRST_COMMIT_TIME) for run, oid in runs]
        return archives.write(self.git, archives.extended(self.git, CLONE, tip, dated, deleted=(), purged=purged))


@pytest.fixture
def mirror(repo: GitRepo) -> Mirror:
    """The mirror of `origin`, empty."""
    return Mirror(repo, open_repo(repo.path).git)


def test_what_only_grows_or_is_archived_is_honest(mirror: Mirror) -> None:
    first, other = mirror.commit(A), mirror.commit(B)
    second = mirror.commit(A, first)
    archive = mirror.archive(None, [(A, second)])

    assert mirror.show({A: first}) == []
    assert mirror.show({A: second, B: other}) == []
    assert mirror.show({B: other, f"archive/{CLONE}": archive}) == []
    third = mirror.commit(A, second, text="an edit of what is archived")
    assert mirror.show({A: third, B: other, f"archive/{CLONE}": archive}) == []
    assert mirror.show({f"archive/{CLONE}": mirror.archive(archive, [(B, other), (A, third)])}) == []


def test_a_line_in_an_archive_without_the_commit_hides_nothing(mirror: Mirror) -> None:
    tip, other = mirror.commit(A), mirror.commit(B)
    honest = mirror.archive(None, [(B, other), (A, tip)])
    message = mirror.repo.git("log", "-1", "--format=%B", honest)
    forged = Oid(mirror.repo.git("commit-tree", f"{honest}^{{tree}}", "-p", other, input=message + "\n"))
    mirror.show({A: tip, B: other})

    assert mirror.show({f"archive/{CLONE}": forged}) == [(A, "deleted")]


def test_an_archive_that_goes_on_with_less_in_it_is_rolled_back(mirror: Mirror) -> None:
    tip = mirror.commit(A)
    archive = mirror.archive(None, [(A, tip)])
    mirror.show({f"archive/{CLONE}": archive})
    message = mirror.repo.git("log", "-1", "--format=%B", archive)
    empty = mirror.repo.git("mktree", input="")
    emptied = Oid(mirror.repo.git("commit-tree", empty, "-p", archive, input=message + "\n"))

    assert mirror.show({f"archive/{CLONE}": emptied}) == [(f"archive/{CLONE}", "rolled back")]
    assert mirror.show({f"archive/{CLONE}": archive}) == []


def test_an_archive_without_a_purged_run_is_honest_and_without_another_is_not(mirror: Mirror) -> None:
    one, two = mirror.commit(A), mirror.commit(B)
    mirror.show({f"archive/{CLONE}": mirror.archive(None, [(A, one), (B, two)])})

    purged = mirror.archive(None, [(B, two)], purged=[A])
    neither = mirror.archive(None, [], purged=[A])
    rewritten = mirror.archive(None, [(A, one), (B, two)], purged=[new_run_id(9)])

    assert mirror.show({f"archive/{CLONE}": rewritten}) == [(f"archive/{CLONE}", "replaced")]
    assert mirror.show({f"archive/{CLONE}": neither}) == [(f"archive/{CLONE}", "replaced")]
    assert mirror.show({f"archive/{CLONE}": purged}) == []


def test_a_commit_behind_another_runs_ref_does_not_keep_it(mirror: Mirror) -> None:
    """All runs are compared in one walk, which must not take one for the other."""
    tip, other = mirror.commit(A), mirror.commit(B)
    mirror.show({A: tip, B: other})

    assert mirror.show({A: mirror.commit(A, text="forged"), B: mirror.commit(B, other, tip)}) == [(A, "replaced")]


def test_a_finding_stays_until_it_is_repaired_or_accepted(mirror: Mirror) -> None:
    first = mirror.commit(A)
    second = mirror.commit(A, first)
    mirror.show({A: second})

    for _ in range(2):
        assert mirror.show({A: first}) == [(A, "rolled back")]
    assert mirror.show({}) == [(A, "deleted")]
    assert mirror.show({A: mirror.commit(A, second, text="more")}) == []
    mirror.show({A: first})
    assert [found.name for found in seen.accept(mirror.git, "origin", {B})] == []
    assert [found.name for found in seen.accept(mirror.git, "origin", {A})] == [A]
    assert mirror.show({A: first}) == []


def test_a_fetch_that_a_push_overtook_raises_no_alarm(mirror: Mirror) -> None:
    first = mirror.commit(A)
    second, other = mirror.commit(A, first), mirror.commit(B)
    mirror.show({A: first})
    before = seen.log_of(mirror.git, "origin")

    # While the fetch goes on, another process pushes; then the fetch writes what it was told at first.
    seen.note_pushed(mirror.git, "origin", {A: second, B: other})

    assert seen.keep_up(mirror.git, "origin", before=before) == []
    assert seen.examine(mirror.git, "origin") == []
    assert mirror.repo.refs(MIRROR) == {MIRROR + A: second, MIRROR + B: other}


def test_a_refused_version_is_not_the_last_seen(mirror: Mirror) -> None:
    first = mirror.commit(A)
    mirror.show({A: first})
    mirror.repo.git("update-ref", MIRROR + A, mirror.commit(A, first))

    assert seen.keep_up(mirror.git, "origin", refused={A}) == []
    assert seen.log_of(mirror.git, "origin") == {A: first}


def test_a_log_that_is_written_anew_keeps_what_holds(tmp_path: Path) -> None:
    path = tmp_path / "gittrack" / "seen" / "origin"
    path.parent.parent.mkdir()
    for number in range(800):
        seenlog.append(path, {A: oid(number), B: None if number % 2 else oid(number)}, remote="origin")

    found = seenlog.read(path)
    assert found is not None
    assert (found.remote, dict(found.tips)) == ("origin", {A: oid(799)})
    assert found.lines < 1300
    assert list(path.parent.iterdir()) == [path]


def test_writers_at_once_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "gittrack" / "seen" / "origin"
    path.parent.parent.mkdir()
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(path, number)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    found = seenlog.read(path)
    assert found is not None
    assert found.lines < 1600, "it was written anew meanwhile"
    assert dict(found.tips) == {new_run_id(writer): oid(499) for writer in range(4)} | {
        new_run_id(1000 * writer + at): oid(at) for writer in range(1, 5) for at in range(0, 500, 10)
    }


def _write(path: Path, writer: int) -> None:
    for at in range(500):
        lines: dict[str, Oid | None] = {new_run_id(writer): oid(at)}
        if at % 10 == 0:
            lines[new_run_id(1000 * (writer + 1) + at)] = oid(at)
        seenlog.append(path, lines, remote="origin")


def test_a_line_that_went_into_the_old_file_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gittrack" / "seen" / "origin"
    path.parent.parent.mkdir()
    seenlog.append(path, {A: oid(1)}, remote="origin")
    begin = seenlog._begin

    def begin_late(fd: int, size: int, remote: str) -> str:
        monkeypatch.undo()
        path.rename(path.with_name("old"))  # as another process does that writes the file anew just now
        path.write_bytes(path.with_name("old").read_bytes())
        return begin(fd, size, remote)

    monkeypatch.setattr(seenlog, "_begin", begin_late)
    seenlog.append(path, {B: oid(2)}, remote="origin")

    found = seenlog.read(path)
    assert found is not None
    assert dict(found.tips) == {A: oid(1), B: oid(2)}


def test_a_line_that_comes_while_the_file_is_written_anew_is_taken_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gittrack" / "seen" / "origin"
    path.parent.parent.mkdir()
    seenlog.append(path, dict.fromkeys([A], oid(1)), remote="origin")
    with path.open("a", encoding="ascii") as file:
        file.write(f"{oid(1)} {A}\n" * 1500)
    still = seenlog._is_still
    asked = []

    def still_but_late(name: Path, fd: int) -> bool:
        asked.append(fd)
        if len(asked) == 2:  # the first time it is asked by who appends, now by who writes anew
            with path.open("a", encoding="ascii") as file:
                file.write(f"{oid(2)} {B}\n")
        return still(name, fd)

    monkeypatch.setattr(seenlog, "_is_still", still_but_late)
    seenlog.append(path, {A: oid(3)}, remote="origin")

    found = seenlog.read(path)
    assert found is not None
    assert (len(asked), found.lines < 10, dict(found.tips)) == (2, True, {A: oid(3), B: oid(2)})


@pytest.mark.parametrize("torn", ["0123456789", f"{'1' * 40} {A}"[:-1], "\n\0\0\0", f"{'1' * 40} heads/main", "- r"])
def test_a_torn_line_costs_itself_and_no_other(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "gittrack" / "seen" / "origin"
    path.parent.parent.mkdir()
    seenlog.append(path, {A: oid(1)}, remote="origin")
    with path.open("a", encoding="ascii") as file:
        file.write(torn)
    seenlog.append(path, {B: oid(2)}, remote="origin")

    found = seenlog.read(path)
    assert found is not None
    assert dict(found.tips) == {A: oid(1), B: oid(2)}


def oid(number: int) -> Oid:
    return Oid(f"{number:040x}")
