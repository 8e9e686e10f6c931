"""The door to objects and refs: what it promises to the layers above."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gittrack import repo as repository
from gittrack.codec import tree
from gittrack.errors import DataRefused, GitFailed, NotARepository
from gittrack.git import Git, RefMoved, Update, discover
from gittrack.refname import Oid
from tests.gitcmd import GitRepo


@pytest.fixture
def git(repo: GitRepo) -> Git:
    return repository.open_repo(repo.path).git


def test_a_repository_is_found_from_below_and_from_a_work_tree(repo: GitRepo) -> None:
    below = repo.path / "a b" / "c"
    below.mkdir(parents=True)
    repo.git("worktree", "add", "--quiet", "-b", "other", "../other tree")

    place = discover(below, dict(os.environ))
    other = discover(repo.path.parent / "other tree", dict(os.environ))

    assert (place.work_tree, place.prefix, place.common_dir) == (repo.path, "a b/c/", repo.path / ".git")
    assert other.common_dir == repo.path / ".git"
    assert other.git_dir != other.common_dir
    assert (place.algorithm, place.oid_bytes) == ("sha1", 20)


def test_what_is_no_repository_says_so(tmp_path: Path, repo: GitRepo) -> None:
    with pytest.raises(NotARepository) as error:
        discover(tmp_path, dict(os.environ))
    assert [line.split(": ")[0] for line in error.value.lines()] == ["error", "cause", "hint"]
    with pytest.raises(NotARepository, match="is not in a git repository"):
        discover(repo.path, {**os.environ, "GIT_DIR": "/nowhere"})


def test_without_git_it_says_what_to_install(repo: GitRepo) -> None:
    with pytest.raises(GitFailed, match="git is not installed"):
        discover(repo.path, {"PATH": str(repo.path)})


def test_objects_are_read_by_name_and_never_beyond_the_limit(repo: GitRepo, git: Git) -> None:
    (repo.path / "large").write_bytes(b"x" * 3_000_000)
    large = repo.git("hash-object", "-w", "large")
    with git.objects() as objects:
        assert objects.read("HEAD:train.py") == (repo.git("rev-parse", "HEAD:train.py"), "blob", b'print("training")\n')
        assert objects.read("0" * 40) is None
        assert objects.read("no such\nname") is None
        with pytest.raises(DataRefused, match=f"cannot read '{large}'") as error:
            objects.read(large, limit=1000)
        assert error.value.cause == "it has 3000000 bytes; the limit is 1000"
        found = objects.read("HEAD")
        assert found, "the reader is in step after it skipped an object"
        assert found[1] == "commit"


def test_a_pack_is_checked_and_kept(repo: GitRepo, git: Git) -> None:
    made = tree.make_object("blob", b"content", algorithm="sha1")
    name = git.write_pack(tree.encode_pack([made], algorithm="sha1"), keep="gittrack test")

    assert repo.git("cat-file", "blob", made.oid) == "content"
    assert (repo.path / ".git" / "objects" / "pack" / f"pack-{name}.keep").read_text(
        encoding="utf-8"
    ) == "gittrack test\n"
    broken = tree.make_object("commit", b"tree " + b"0" * 40 + b"\n\n", algorithm="sha1")
    with pytest.raises(GitFailed, match="git index-pack failed"):
        git.write_pack(tree.encode_pack([broken], algorithm="sha1"), keep="gittrack test")
    with pytest.raises(GitFailed):
        git.write_pack(b"PACK garbage", keep="gittrack test")


def test_refs_move_all_or_none_and_only_from_where_they_were(repo: GitRepo, git: Git) -> None:
    head = Oid(repo.git("rev-parse", "HEAD"))
    other = Oid(repo.commit({"a": "1"}, "other"))
    git.update_refs([Update("refs/runs/a", head, None)])

    for wrong in ([Update("refs/runs/a", other, other)], [Update("refs/runs/a", other, None)]):
        with pytest.raises(RefMoved):
            git.update_refs([Update("refs/runs/b", head, None), *wrong])
    assert repo.refs("refs/runs/") == {"refs/runs/a": head}
    git.update_refs([Update("refs/runs/a", other, head), Update("refs/runs/c", head, None)])
    assert repo.refs("refs/runs/") == {"refs/runs/a": other, "refs/runs/c": head}
    git.update_refs([Update("refs/runs/a", None, None), Update("refs/runs/c", None, head)])
    assert repo.refs("refs/runs/") == {}


def test_of_many_writers_one_wins_each_time(repo: GitRepo, git: Git) -> None:
    head = Oid(repo.git("rev-parse", "HEAD"))

    def claim(_: int) -> bool:
        try:
            git.update_refs([Update("refs/runs/one", head, None)])
        except RefMoved:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(claim, range(8))) == [False] * 7 + [True]


def test_the_users_settings_and_hooks_stay_out_of_our_calls(repo: GitRepo, git: Git) -> None:
    hook = repo.path / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)

    git.update_refs([Update("refs/runs/a", Oid(repo.git("rev-parse", "HEAD")), None)])

    assert list(repo.refs("refs/runs/")) == ["refs/runs/a"]
    hook.unlink()


@pytest.mark.parametrize("kind", ["basic", "extended", "fixed", "perl"])
def test_joins_are_told_from_edits_whatever_grep_is_set_to(repo: GitRepo, kind: str) -> None:
    repo.git("config", "grep.patternType", kind)
    repo.git("config", "grep.extendedRegexp", "true")
    git = repository.open_repo(repo.path).git
    base = Oid(repo.git("rev-parse", "HEAD"))
    for message in ("an edit", "a join\n\nJoin: 1\nRecord: {}", "about Join: 1 in passing"):
        repo.git("commit", "--quiet", "--allow-empty", "-m", message)

    assert git.count(Oid(repo.git("rev-parse", "HEAD")), without=base) == 2


@pytest.mark.parametrize(
    "text", ["--all", "-h", "HEAD\n", "", "HEAD..HEAD~1", "^HEAD", ":/training", "HEAD:train.py", "\ud800", "a\0b"]
)
def test_any_text_may_be_asked_for_as_a_revision(git: Git, text: str) -> None:
    found = git.resolve(text)

    assert found is None or len(found) == 40
