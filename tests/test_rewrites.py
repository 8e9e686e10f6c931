"""The link journal: what the post-rewrite hook is told, kept for whoever asks later."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

from gittrack import rewrites
from gittrack.git import Git, discover
from gittrack.refname import Oid
from tests.gitcmd import GitRepo, run


def door(repo: GitRepo, path: Path | None = None) -> Git:
    return Git(discover(path or repo.path, os.environ), os.environ)


def oid(number: int, length: int = 40) -> Oid:
    return Oid(f"{number:0{length}x}")


def journal(repo: GitRepo) -> Path:
    return repo.path / ".git" / "gittrack" / "rewrites"


def test_what_was_noted_is_read_back_in_order_and_once(repo: GitRepo) -> None:
    git = door(repo)
    assert rewrites.read(git) == {}
    assert rewrites.append(git, []) == 0
    assert not journal(repo).exists()

    assert rewrites.append(git, [(oid(1), oid(2)), (oid(3), oid(2)), (oid(1), oid(2))]) == 2
    assert rewrites.append(git, iter([(oid(1), oid(5)), (oid(1), oid(2))])) == 2

    assert rewrites.read(git) == {oid(1): (oid(2), oid(5)), oid(3): (oid(2),)}


def test_what_is_no_pair_of_commits_is_passed_over(repo: GitRepo) -> None:
    pairs = [(oid(1), "main"), ("--x", oid(2)), (oid(0), oid(1)), (oid(1), oid(0)), (oid(3), oid(3)), ("", "")]
    assert rewrites.append(door(repo), [*pairs, (oid(1, 64), oid(2, 64)), (oid(1) + "\n", oid(2))]) == 0
    assert not journal(repo).exists()


def test_a_torn_line_costs_itself_and_no_other(repo: GitRepo) -> None:
    git = door(repo)
    rewrites.append(git, [(oid(1), oid(2))])
    for torn in (f"\n{oid(3)} {oid(4)}"[:-1], f"\n{oid(3)[:7]}", f"\n{oid(3)} ", "\n\0\xff"):
        with journal(repo).open("ab") as file:
            file.write(torn.encode("latin-1"))
        rewrites.append(git, [(oid(5), oid(6))])
    assert rewrites.read(git) == {oid(1): (oid(2),), oid(5): (oid(6),)}


def _write(path: str, writer: int) -> None:
    git = Git(discover(Path(path), os.environ), os.environ)
    for batch in range(20):
        first = 1000 * writer + 50 * batch + 1
        rewrites.append(git, [(oid(number), oid(number + 1_000_000)) for number in range(first, first + 50)])


def test_writers_at_once_lose_nothing(repo: GitRepo) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(str(repo.path), number)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    expected = {number for writer in range(4) for number in range(1000 * writer + 1, 1000 * writer + 1001)}
    assert rewrites.read(door(repo)) == {oid(number): (oid(number + 1_000_000),) for number in expected}


def test_work_trees_share_one_journal(repo: GitRepo) -> None:
    repo.git("worktree", "add", "--quiet", "-b", "other", "../other")
    rewrites.append(door(repo, repo.path.parent / "other"), [(oid(1), oid(2))])
    assert rewrites.read(door(repo)) == {oid(1): (oid(2),)}


def test_a_shared_repository_lets_the_group_write_on(tmp_path: Path) -> None:
    shared = GitRepo.init(tmp_path / "shared", "--shared=group")
    rewrites.append(door(shared), [(oid(1), oid(2))])
    assert journal(shared).stat().st_mode & 0o060 == 0o060


def test_longer_ids_are_kept_where_commits_have_them(tmp_path: Path) -> None:
    long = GitRepo.init(tmp_path / "long", "--object-format=sha256")
    assert rewrites.append(door(long), [(oid(1, 64), oid(2, 64)), (oid(1), oid(2))]) == 1
    assert rewrites.read(door(long)) == {oid(1, 64): (oid(2, 64),)}


def test_heirs_are_all_that_a_commit_became(repo: GitRepo) -> None:
    links = {oid(1): (oid(2), oid(3)), oid(2): (oid(4),), oid(3): (oid(4),), oid(4): (oid(1), oid(5))}
    assert rewrites.heirs(links, oid(1)) == [oid(2), oid(3), oid(4), oid(5)]
    assert rewrites.heirs(links, oid(5)) == []


def test_the_map_of_filter_repo_is_read_too(repo: GitRepo) -> None:
    folder = repo.path / ".git" / "filter-repo"
    folder.mkdir()
    lines = [f"{'old':<40} new", f"{oid(1)} {oid(2)}", f"{oid(3)} {oid(0)}", f"{oid(4)} {oid(4)}"]
    (folder / "commit-map").write_text("\n".join(lines) + "\n", encoding="ascii")
    rewrites.append(door(repo), [(oid(2), oid(5))])
    assert rewrites.read(door(repo)) == {oid(1): (oid(2),), oid(2): (oid(5),)}
    assert run(["git", "status", "--porcelain"], cwd=repo.path).stdout == ""
