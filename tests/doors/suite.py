"""What the door to a repository promises, whichever implementation opens it; git itself is the judge.

A subclass says what the doors are; each test is then run against it."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gittrack.codec import tree
from gittrack.errors import DataRefused, GitFailed, NotARepository
from gittrack.git import Git, Place, Ref, RefMoved, Update
from gittrack.refname import Oid
from tests.gitcmd import GitRepo

ZERO = Oid("0" * 40)


def blob(content: bytes) -> tree.Object:
    return tree.make_object("blob", content, algorithm="sha1")


def commit_of(root: Oid, *parents: Oid) -> tree.Object:
    body = tree.encode_commit(
        tree=root,
        parents=parents,
        author="Ada <a@b>",
        committer="Ada <a@b>",
        author_time=5,
        commit_time=5,
        message=b"a commit\n",
    )
    return tree.make_object("commit", body, algorithm="sha1")


def pack(*objects: tree.Object) -> bytes:
    return tree.encode_pack(objects, algorithm="sha1")


def head(repo: GitRepo) -> Oid:
    return Oid(repo.git("rev-parse", "HEAD"))


def judge(repo: GitRepo, *args: str) -> bytes:
    return subprocess.run(["git", *args], cwd=repo.path, capture_output=True, check=True).stdout


class DoorSuite(ABC):
    @abstractmethod
    def discover(self, directory: Path, environ: Mapping[str, str]) -> Place: ...

    @abstractmethod
    def door(self, place: Place, environ: Mapping[str, str]) -> Git: ...

    def open(self, repo: GitRepo | Path, **environ: str) -> Git:
        around = {**os.environ, **environ}
        return self.door(self.discover(repo if isinstance(repo, Path) else repo.path, around), around)

    # Where it is ----------------------------------------------------------------------------------------------------

    def test_a_repository_is_found_as_git_finds_it(self, repo: GitRepo) -> None:
        top = repo.path.parent
        below = repo.path / "a b" / "c"
        below.mkdir(parents=True)
        repo.git("worktree", "add", "--quiet", "-b", "other", "../other tree")
        (top / "link").symlink_to(below)
        GitRepo.init(top / "bare.git", "--bare")
        GitRepo.init(repo.path / "nested")
        places = {path: self.discover(path, os.environ) for path in (below, top / "link", top / "other tree")}
        inner = self.discover(repo.path / "nested", os.environ)
        bare = self.discover(top / "bare.git", os.environ)

        git_dir = repo.path / ".git"
        assert places[below] == places[top / "link"] == Place(git_dir, git_dir, repo.path, "a b/c/", "sha1")
        linked = git_dir / "worktrees" / "other-tree"
        assert places[top / "other tree"] == Place(linked, git_dir, top / "other tree", "", "sha1")
        assert inner.work_tree == repo.path / "nested"
        assert (bare.git_dir, bare.work_tree) == (top / "bare.git", None)
        assert self.discover(git_dir / "refs", os.environ).work_tree is None

    def test_the_environment_may_name_the_repository(self, repo: GitRepo, tmp_path: Path) -> None:
        git_dir = repo.path / ".git"
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        named = self.discover(elsewhere, {**os.environ, "GIT_DIR": str(git_dir)})
        both = self.discover(elsewhere, {**os.environ, "GIT_DIR": "../repo/.git", "GIT_WORK_TREE": str(repo.path)})
        assert (named.git_dir, named.work_tree) == (git_dir, elsewhere)
        assert (both.git_dir, both.work_tree) == (git_dir, repo.path)
        assert self.open(elsewhere, GIT_DIR=str(git_dir)).status().changed == ("train.py",)

    def test_a_submodule_is_a_repository_of_its_own(self, repo: GitRepo, empty_repo: GitRepo) -> None:
        empty_repo.commit({"library.py": "1"}, "library")
        repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(empty_repo.path), "sub")
        place = self.discover(repo.path / "sub", os.environ)
        assert (place.git_dir, place.work_tree) == (repo.path / ".git/modules/sub", repo.path / "sub")
        assert self.open(repo.path / "sub").resolve("HEAD") == head(empty_repo)

    def test_what_is_no_repository_says_so(self, repo: GitRepo, tmp_path: Path) -> None:
        (tmp_path / "plain").mkdir()
        for where, environ in (
            (tmp_path / "plain", {"GIT_CEILING_DIRECTORIES": str(tmp_path)}),
            (repo.path, {"GIT_DIR": "/nowhere"}),
        ):
            with pytest.raises(NotARepository, match="is not in a git repository"):
                self.discover(where, {**os.environ, **environ})
        with pytest.raises(NotARepository, match="is not there any more"):
            self.discover(tmp_path / "gone", os.environ)

    def test_a_bare_repository_is_made(self, tmp_path: Path) -> None:
        path = tmp_path / "new.git"
        git = self.door(Place(path, path, None, "", "sha1"), os.environ)
        git.create()
        git.write_pack(
            pack(root := tree.make_object("tree", b"", algorithm="sha1"), made := commit_of(root.oid)), keep="k"
        )
        git.update_refs([Update("refs/runs/a", made.oid, None)])
        GitRepo(path).fsck()
        assert GitRepo(path).refs() == {"refs/runs/a": made.oid}

    # Settings -------------------------------------------------------------------------------------------------------

    def test_settings_are_those_that_git_lists(self, repo: GitRepo, sealed_home: Path) -> None:
        repo.git("worktree", "add", "--quiet", "-b", "other", "../other")
        repo.git("config", "extensions.worktreeConfig", "true")
        repo.git("config", "--worktree", "track.dirty", "warn")
        (repo.path / ".git" / "extra").write_text(
            '[track]\n\tcode = none\n[remote "Lab.X"]\n\turl = x\n', encoding="utf-8"
        )
        with (repo.path / ".git" / "config").open("a", encoding="utf-8") as file:
            file.write('[include]\n\tpath = extra\n[includeIf "gitdir:repo/"]\n\tpath = extra\n')
            file.write('[commit]\n\tgpgSign\n[x]\n\ty = 1\n\ty = 2\n\tz =\n\tname = "Zoë # \\"q\\"\\n"\n')
        with (sealed_home / ".gitconfig").open("a", encoding="utf-8") as file:
            file.write(f'[includeIf "gitdir:{repo.path}/"]\n\tpath = mine\n')
        (sealed_home / "mine").write_text("[user]\n\tname = Grace\n", encoding="utf-8")

        for where in (repo.path, repo.path.parent / "other"):
            said = judge(GitRepo(where), "config", "--list", "-z").decode().split("\0")[:-1]
            expected = [
                (key, value if newline else "true") for key, newline, value in (one.partition("\n") for one in said)
            ]
            found = self.open(where).config()
            assert found[: len(expected)] == expected
            assert not {key.partition(".")[0] for key, _ in found[len(expected) :]} - {
                "core",
                "gc",
                "maintenance",
                "advice",
                "hook",
            }
        assert ("user.name", "Grace") in self.open(repo).config()

    @pytest.mark.parametrize(
        "environ",
        [
            {"GIT_CONFIG_GLOBAL": "{home}/another"},
            {"GIT_CONFIG_GLOBAL": "/dev/null"},
            {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.Name", "GIT_CONFIG_VALUE_0": "Given"},
        ],
    )
    def test_settings_come_from_where_the_environment_says(
        self, repo: GitRepo, sealed_home: Path, environ: dict[str, str]
    ) -> None:
        (sealed_home / "another").write_text("[user]\n\tname = Other\n", encoding="utf-8")
        environ = {key: value.format(home=sealed_home) for key, value in environ.items()}
        said = repo.git("config", "user.name", check=False, env=environ)
        assert dict(self.open(repo, **environ).config()).get("user.name", "") == said

    @pytest.mark.parametrize("name", ["GIT_PAGER", "GIT_EDITOR"])
    def test_pager_and_editor_are_those_of_git(self, repo: GitRepo, name: str) -> None:
        program = name.removeprefix("GIT_")
        around = {"TERM": "xterm"}
        for more in ({program: "three"}, {f"core.{program.lower()}": "two"}, {name: "one"}):
            for key, value in more.items():
                repo.git("config", key, value) if "." in key else around.update({key: value})
            assert self.open(repo, **around).variable(name) == repo.git("var", name, env=around)

    def test_dates_are_understood(self, repo: GitRepo) -> None:
        git = self.open(repo)
        assert git.date("2026-11-23T10:00:00") == 1_795_428_000
        for words, seconds in (("2 weeks ago", 14 * 86400), ("1 hour ago", 3600), ("yesterday", 86400)):
            assert abs(time.time() - seconds - git.date(words)) < 3

    # The user's code ------------------------------------------------------------------------------------------------

    def test_a_clean_tree_is_clean(self, repo: GitRepo) -> None:
        (repo.path / ".gitignore").write_text("*.log\n", encoding="utf-8")
        repo.commit({"sub/a.py": "1"}, "more")
        (repo.path / "a.log").write_text("ignored", encoding="utf-8")
        status = self.open(repo).status()
        assert (status.commit, status.branch, status.changed, status.untracked) == (head(repo), "main", (), ())

    def test_what_differs_from_the_commit_is_named(self, repo: GitRepo) -> None:
        repo.commit({name: name for name in ("deleted", "gone", "edited", "mode", "moved", "zürich")}, "files")
        repo.git("rm", "--quiet", "deleted")
        (repo.path / "gone").unlink()
        repo.git("mv", "moved", "there")
        for name in ("edited", "staged", "new", "zürich"):
            (repo.path / name).write_text("changed", encoding="utf-8")
        (repo.path / "mode").chmod(0o755)
        (repo.path / os.fsdecode(b"caf\xe9")).write_text("not UTF-8", encoding="utf-8")
        (repo.path / "folder").mkdir()
        (repo.path / "folder" / "file").write_text("x", encoding="utf-8")
        repo.git("add", "staged")
        status = self.open(repo).status()
        assert sorted(status.changed) == sorted(
            ["deleted", "gone", "moved", "there", "edited", "mode", "staged", "zürich"]
        )
        assert sorted(status.untracked) == sorted(["new", os.fsdecode(b"caf\xe9"), "folder/file"])

    def test_uncommitted_work_in_a_submodule_counts(self, repo: GitRepo, empty_repo: GitRepo) -> None:
        empty_repo.commit({"library.py": "1"}, "library")
        repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(empty_repo.path), "sub")
        repo.commit({}, "add it")
        assert self.open(repo).status().changed == ()
        (repo.path / "sub" / "library.py").write_text("2", encoding="utf-8")
        assert self.open(repo).status().changed == ("sub",)

    def test_head_may_be_unborn_or_detached(self, repo: GitRepo, empty_repo: GitRepo) -> None:
        repo.git("checkout", "--quiet", "-b", "feature/größe")
        assert (self.open(repo).branch(), self.open(repo).status().branch) == ("feature/größe", "feature/größe")
        repo.git("checkout", "--quiet", "--detach")
        assert (self.open(repo).branch(), self.open(repo).status().branch) == (None, None)
        unborn = self.open(empty_repo).status()
        assert (unborn.commit, unborn.branch) == (None, "main")
        assert self.open(empty_repo).resolve("HEAD") is None

    def test_the_users_index_is_not_touched(self, repo: GitRepo) -> None:
        (repo.path / "train.py").touch()
        index = repo.path / ".git" / "index"
        before = index.read_bytes(), index.stat().st_mtime_ns
        self.open(repo).status()
        assert (index.read_bytes(), index.stat().st_mtime_ns) == before

    def test_the_history_is_what_git_log_shows(self, repo: GitRepo) -> None:
        repo.git("tag", "v1")
        repo.git("tag", "-a", "-m", "annotated", "v2")
        repo.git("update-ref", "refs/remotes/origin/main", "HEAD")
        repo.commit({"a": "1"}, "a subject\nof two lines\n\nand a body")
        repo.git("checkout", "--quiet", "-b", "side", "HEAD~1")
        repo.commit({"b": "1"}, "side")
        repo.git("checkout", "--quiet", "main")
        repo.git("merge", "--quiet", "-m", "merge", "side")
        said = judge(repo, "log", "--format=%H%x00%h%x00%s", "main").decode().splitlines()
        lines = list(self.open(repo).log("main"))
        assert [f"{line.oid}\0{line.short}\0{line.subject}" for line in lines] == said
        assert lines[0].names == "HEAD -> main"
        assert sorted(lines[-1].names.split(", ")) == ["origin/main", "tag: v1", "tag: v2"]
        said = judge(repo, "log", "--format=%T %ae %at", "main").decode().splitlines()
        assert [f"{line.tree} {line.author} {line.authored}" for line in lines] == said

    def test_a_part_of_the_history_is_what_rev_list_says(self, repo: GitRepo) -> None:
        first = head(repo)
        second, third = (Oid(repo.commit({name: "1"}, name)) for name in "ab")
        git = self.open(repo)
        assert git.within(third) == {first, second, third}
        assert git.within(third, without=first) == {second, third}
        assert git.within(first, without=third) == frozenset()

    def test_two_commits_are_compared(self, repo: GitRepo) -> None:
        first = head(repo)
        second = Oid(repo.commit({"train.py": "other\n", "new": "1\n"}, "second"))
        git = self.open(repo)
        assert git.changed_paths(first, second) == ("new", "train.py")
        assert git.changed_paths(git.empty_tree, second) == ("new", "train.py")
        assert git.diffstat(first, second) == judge(repo, "diff", "--stat=100", first, second).decode()
        assert git.diff(first, second, colour=False) == judge(repo, "diff", first, second).decode()
        assert git.diffstat(first, ZERO) is None
        with pytest.raises(GitFailed):
            git.diff(first, ZERO, colour=False)

    def test_new_commits_are_counted(self, repo: GitRepo) -> None:
        first = head(repo)
        repo.git("update-ref", "refs/remotes/origin/main", first)
        last = Oid([repo.commit({"a": str(number)}, "more") for number in range(3)][-1])
        git = self.open(repo)
        assert git.count_new([last, first], known=["refs/remotes/origin/"]) == 3
        assert git.count_new([last], known=["refs/remotes/lab/"]) == 4
        assert git.count_new([ZERO], known=[]) is None

    # Reading --------------------------------------------------------------------------------------------------------

    def test_objects_are_read_by_name_and_never_beyond_the_limit(self, repo: GitRepo) -> None:
        (repo.path / "large").write_bytes(b"x" * 3_000_000)
        large = repo.git("hash-object", "-w", "large")
        with self.open(repo).objects() as objects:
            expected = (repo.git("rev-parse", "HEAD:train.py"), "blob", b'print("training")\n')
            assert objects.read("HEAD:train.py") == expected
            assert objects.read(ZERO) is None
            assert objects.read("no such\nname") is None
            with pytest.raises(DataRefused, match=f"cannot read '{large}'") as error:
                objects.read(large, limit=1000)
            assert error.value.cause == "it has 3000000 bytes; the limit is 1000"
            found = objects.read("HEAD")
            assert found, "the reader is in step after it skipped an object"
            assert (found[0], found[1], found[2]) == (head(repo), "commit", judge(repo, "cat-file", "commit", "HEAD"))

    def test_refs_are_listed_whether_packed_or_not(self, repo: GitRepo) -> None:
        first = head(repo)
        for name in ("refs/runs/b", "refs/runs/a", "refs/gittrack/x/runs/c", "refs/other/d"):
            repo.git("update-ref", name, first)
        repo.git("pack-refs", "--all")
        second = Oid(repo.commit({"a": "1"}, "second"))
        repo.git("update-ref", "refs/runs/b", second)
        repo.git("symbolic-ref", "refs/runs/s", "refs/runs/a")
        (repo.path / ".git/refs/runs/broken").write_text("", encoding="utf-8")
        git = self.open(repo)
        assert git.refs("refs/runs/") == [
            Ref("refs/runs/a", first),
            Ref("refs/runs/b", second),
            Ref("refs/runs/s", first),
        ]
        assert git.refs("refs/runs/", "refs/gittrack/")[0].name == "refs/gittrack/x/runs/c"
        assert git.refs("refs/none/") == []
        (repo.path / ".git/refs/runs/broken").unlink()

    def test_many_objects_are_read_in_order_with_what_is_missing_or_too_large_among_them(self, repo: GitRepo) -> None:
        oid = Oid(repo.commit({"a": "1"}, "subject\n\nbody: Zoë"))
        blob = Oid(repo.git("rev-parse", "HEAD:a"))
        missing = commit_of(Oid(repo.git("rev-parse", "HEAD^{tree}"))).oid
        with self.open(repo).objects() as objects:
            found = list(objects.read_many([oid, missing, blob] * 300))
            refused = list(objects.read_many([oid, blob], limit=10))
        first, second, third = found[:3]
        assert found == [first, second, third] * 300
        assert first is not None
        assert not isinstance(first, DataRefused)
        assert first[:2] == (oid, "commit")
        assert first[2].endswith("\n\nsubject\n\nbody: Zoë\n".encode())
        assert (second, third) == (None, (blob, "blob", b"1"))
        assert isinstance(refused[0], DataRefused)
        assert refused[1] == third

    @pytest.mark.parametrize("revision", ["HEAD", "main", "main~1", "v1", "HEAD^{/begin}", "@{0}", "main@{1}"])
    def test_a_revision_is_what_git_says_it_is(self, repo: GitRepo, revision: str) -> None:
        repo.git("tag", "-a", "-m", "one", "v1")
        repo.commit({"a": "1"}, "second")
        assert self.open(repo).resolve(revision) == repo.git("rev-parse", f"{revision}^{{commit}}")
        assert self.open(repo).resolve(head(repo)[:8]) == head(repo)

    @pytest.mark.parametrize(
        "text", ["--all", "-h", "", "HEAD..HEAD~1", "^HEAD", "HEAD:train.py", "\ud800", "a\0b", "HEAD\0", "nothing"]
    )
    def test_any_text_may_be_asked_for_as_a_revision(self, repo: GitRepo, text: str) -> None:
        assert self.open(repo).resolve(text) is None

    def test_commits_that_are_no_joins_are_counted(self, repo: GitRepo) -> None:
        base = head(repo)
        for message in ("an edit", "a join\n\nJoin: 1\nRecord: {}", "about Join: 1 in passing"):
            repo.git("commit", "--quiet", "--allow-empty", "-m", message)
        git = self.open(repo)
        assert git.count(head(repo), without=base) == 2
        assert git.count(base, without=head(repo)) == 0
        assert (git.is_ancestor(base, head(repo)), git.is_ancestor(head(repo), base)) == (True, False)
        assert (git.is_ancestor(base, base), git.is_ancestor(ZERO, base)) == (True, False)
        tree, when = repo.git("show", "-s", "--format=%T %ct", base).split()
        assert git.commit_facts(Oid(base)) == (tree, int(when))
        with pytest.raises(GitFailed):
            git.count(base, without=ZERO)

    # Writing --------------------------------------------------------------------------------------------------------

    def test_a_pack_is_checked_and_kept(self, repo: GitRepo) -> None:
        git = self.open(repo)
        contents = [b"content", b"", bytes(range(256)) * 5000]
        name = git.write_pack(pack(*map(blob, contents)), keep="gittrack test")

        stem = repo.path / ".git" / "objects" / "pack" / f"pack-{name}"
        assert stem.with_suffix(".keep").read_text(encoding="utf-8") == "gittrack test\n"
        assert [judge(repo, "cat-file", "blob", blob(content).oid) for content in contents] == contents
        repo.git("verify-pack", str(stem.with_suffix(".idx")))
        assert git.write_pack(pack(*map(blob, contents)), keep="again") == name

    def test_a_pack_of_nothing_sound_is_refused(self, repo: GitRepo) -> None:
        git = self.open(repo)
        whole = pack(blob(b"a"), blob(b"b"))
        torn = whole[:-30] + whole[-20:]
        lonely = commit_of(Oid("1" * 40))
        orphan = commit_of(Oid(repo.git("rev-parse", "HEAD^{tree}")), Oid("1" * 40))
        malformed = tree.make_object("commit", b"tree " + b"0" * 40 + b"\n\n", algorithm="sha1")
        folder = tree.make_object("tree", b"100644 a\0" + b"1" * 20, algorithm="sha1")
        for bad in (b"PACK garbage", torn, pack(lonely), pack(orphan), pack(malformed), pack(folder)):
            with pytest.raises(GitFailed):
                git.write_pack(bad, keep="gittrack test")
        assert list((repo.path / ".git" / "objects" / "pack").glob("*.idx")) == []

    def test_gc_leaves_alone_what_was_just_written(self, repo: GitRepo) -> None:
        made = blob(b"nothing refers to it yet")
        self.open(repo).write_pack(pack(made), keep="gittrack test")
        repo.git("gc", "--prune=now", "--quiet")
        assert repo.git("cat-file", "blob", made.oid) == "nothing refers to it yet"

    def test_packs_are_made_of_what_is_here(self, repo: GitRepo, tmp_path: Path) -> None:
        git = self.open(repo)
        listed = [Oid(line) for line in repo.git("rev-list", "--objects", "--no-object-names", "HEAD").split()]
        name = git.pack_objects(listed, tmp_path)
        shown = repo.git("verify-pack", "-v", str(tmp_path / f"new-{name}.idx"))
        assert all(oid in shown for oid in listed)

    def test_refs_move_all_or_none_and_only_from_where_they_were(self, repo: GitRepo) -> None:
        git = self.open(repo)
        first = head(repo)
        other = Oid(repo.commit({"a": "1"}, "other"))
        git.update_refs([Update("refs/runs/a", first, None)])
        for packed in (False, True):
            if packed:
                repo.git("pack-refs", "--all")
            for wrong in (
                Update("refs/runs/a", other, other),
                Update("refs/runs/a", other, None),
                Update("refs/runs/a", None, other),
                Update("refs/runs/none", other, first),
            ):
                with pytest.raises(RefMoved):
                    git.update_refs([Update("refs/runs/b", first, None), wrong])
            assert repo.refs("refs/runs/") == {"refs/runs/a": first}
        with pytest.raises(GitFailed):
            git.update_refs([Update("refs/runs/b", Oid("1" * 40), None)])
        git.update_refs([Update("refs/runs/a", other, first), Update("refs/runs/c", first, None)])
        assert repo.refs("refs/runs/") == {"refs/runs/a": other, "refs/runs/c": first}
        repo.git("pack-refs", "--all")
        git.update_refs([Update("refs/runs/a", None, None), Update("refs/runs/c", None, first)], durable=False)
        assert repo.refs("refs/runs/") == {}
        assert list((repo.path / ".git").rglob("*.lock")) == []

    def test_of_many_writers_one_wins_each_time(self, repo: GitRepo) -> None:
        git = self.open(repo)

        def claim(_: int) -> bool:
            try:
                git.update_refs([Update("refs/runs/one", head(repo), None)])
            except RefMoved:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(claim, range(8))) == [False] * 7 + [True]

    def test_a_ref_that_git_holds_is_waited_for(self, repo: GitRepo) -> None:
        """Whoever has `<ref>.lock` may still move the ref, so nothing is read or written before it is gone."""
        git = self.open(repo)
        first, other = head(repo), Oid(repo.commit({"a": "1"}, "other"))
        repo.git("update-ref", "refs/runs/one", first)
        lock = repo.path / ".git/refs/runs/one.lock"
        lock.write_text(f"{other}\n", encoding="utf-8")
        release = threading.Timer(0.3, lambda: lock.rename(lock.with_suffix("")))
        release.start()
        with pytest.raises(RefMoved):
            git.update_refs([Update("refs/runs/one", None, first)])
        release.join()
        assert repo.refs("refs/runs/") == {"refs/runs/one": other}

    def test_refs_are_not_lost_beside_git(self, repo: GitRepo) -> None:
        git = self.open(repo)
        oid = head(repo)
        done = threading.Event()

        def pack_refs() -> None:
            while not done.is_set():
                repo.git("pack-refs", "--all")

        packer = threading.Thread(target=pack_refs)
        packer.start()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: git.update_refs([Update(f"refs/runs/{number}", oid, None)]), range(40)))
            list(pool.map(lambda number: git.update_refs([Update(f"refs/runs/{number}", None, oid)]), range(0, 40, 2)))
        done.set()
        packer.join()
        assert sorted(repo.refs("refs/runs/")) == sorted(f"refs/runs/{number}" for number in range(1, 40, 2))
