"""Whatever kind of repository a script is started in: training goes on, and the run has its code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import add_origin
from tests.gitcmd import GitRepo, run
from tests.places.using import SCRIPT, store, untouched, use
from tests.reader import only, runs
from tests.runs import attempt


def git_version() -> tuple[int, int]:
    found = re.search(r"(\d+)\.(\d+)", run(["git", "version"], cwd=Path.cwd()).stdout)
    assert found
    return int(found[1]), int(found[2])


def dirty(repo: GitRepo) -> None:
    (repo.path / "train.py").write_text("changed\n", encoding="utf-8")
    (repo.path / "new.py").write_text("new\n", encoding="utf-8")


def has_both(repo: GitRepo, snapshot: object, folder: str = "") -> None:
    assert repo.git("show", f"{snapshot}:{folder}train.py") == "changed"
    assert repo.git("show", f"{snapshot}:{folder}new.py") == "new"


def test_a_dirty_repository_with_a_remote(repo: GitRepo, bare_remote: GitRepo) -> None:
    dirty(repo)
    used = use(repo, remote=bare_remote)
    assert used.said == ""
    assert used.code["commit"] == repo.git("rev-parse", "main")
    has_both(bare_remote, used.code["snapshot"])


def test_no_commits_yet(empty_repo: GitRepo, tmp_path: Path) -> None:
    remote = GitRepo.init(tmp_path / "remote.git", "--bare")
    empty_repo.git("remote", "add", "origin", str(remote.path))
    dirty(empty_repo)
    used = use(empty_repo, remote=remote)
    assert (used.code["branch"], used.code["dirty"]) == ("main", True)
    assert "commit" not in used.code
    has_both(remote, used.code["snapshot"])


def test_a_detached_head(repo: GitRepo, bare_remote: GitRepo) -> None:
    repo.commit({"b.py": "b\n"}, "second")
    repo.git("checkout", "--quiet", "--detach", "HEAD~1")
    dirty(repo)
    used = use(repo, remote=bare_remote)
    assert used.code["commit"] == repo.git("rev-parse", "HEAD")
    assert "branch" not in used.code


def test_a_bare_repository(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    bare = GitRepo.clone(bare_remote.path, tmp_path / "bare.git", "--bare")
    used = use(bare, remote=bare_remote)
    assert used.code["commit"] == repo.git("rev-parse", "main")
    assert (used.code["branch"], used.code["dirty"]) == ("main", False)


def test_a_linked_work_tree(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "--quiet", "-b", "other", str(tmp_path / "linked"))
    linked = GitRepo(tmp_path / "linked")
    dirty(linked)
    with untouched(repo):
        used = use(linked, remote=bare_remote)
    assert used.code["branch"] == "other"
    has_both(repo, used.code["snapshot"])
    assert "by-script" in attempt(repo, "ls")[1]


@pytest.fixture
def super_repo(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> GitRepo:
    """A repository with `repo` in it as the submodule `lib`."""
    outer = GitRepo.init(tmp_path / "super")
    outer.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(bare_remote.path), "lib")
    outer.commit({"main.py": "1\n"}, "begin")
    return outer


def test_inside_of_a_submodule(super_repo: GitRepo, bare_remote: GitRepo) -> None:
    sub = GitRepo(super_repo.path / "lib")
    dirty(sub)
    with untouched(super_repo):
        used = use(sub, remote=bare_remote)
    assert used.code["commit"] == sub.git("rev-parse", "HEAD")
    has_both(bare_remote, used.code["snapshot"])
    assert runs(super_repo) == []


def test_beside_a_submodule_with_uncommitted_work(super_repo: GitRepo, tmp_path: Path) -> None:
    remote = GitRepo.init(tmp_path / "super.git", "--bare")
    add_origin(super_repo, str(remote.path))
    sub = GitRepo(super_repo.path / "lib")
    dirty(sub)
    with untouched(sub):
        used = use(super_repo, remote=remote)
    assert used.code["omitted"] == [{"path": "lib", "why": "a submodule with uncommitted work in it"}]
    moved = sub.commit({}, "moved")
    used = use(super_repo, remote=remote)
    assert "omitted" not in used.code
    assert super_repo.git("rev-parse", f"{used.code['snapshot']}:lib") == moved


def test_a_sub_folder(repo: GitRepo, bare_remote: GitRepo) -> None:
    (repo.path / "deep" / "er").mkdir(parents=True)
    dirty(repo)
    used = use(repo, cwd=repo.path / "deep" / "er", remote=bare_remote)
    assert used.script.facts["directory"] == "deep/er"
    has_both(repo, used.code["snapshot"])


def test_a_shallow_clone(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    repo.commit({"b.py": "b\n"}, "second")
    repo.git("push", "--quiet", "origin", "main")
    shallow = GitRepo.clone(f"file://{bare_remote.path}", tmp_path / "shallow", "--depth=1")
    dirty(shallow)
    used = use(shallow, remote=bare_remote)
    assert shallow.git("rev-parse", "--is-shallow-repository") == "true"
    has_both(bare_remote, used.code["snapshot"])


@pytest.mark.parametrize("sparse", [False, True], ids=["whole", "sparse"])
def test_a_partial_clone_fetches_nothing_to_record(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path, sparse: bool
) -> None:
    bare_remote.git("config", "uploadpack.allowFilter", "true")
    bare_remote.git("config", "uploadpack.allowAnySHA1InWant", "true")
    repo.commit({"in/a.py": "a\n", "out/b.py": "b\n", "out/deep/c.py": "c\n"}, "second")
    repo.commit({"in/a.py": "aa\n", "out/deep/c.py": "cc\n"}, "third")
    repo.git("push", "--quiet", "origin", "main")
    options = ["--filter=blob:none", *(["--sparse"] if sparse else [])]
    partial = GitRepo.clone(f"file://{bare_remote.path}", tmp_path / "partial", *options)
    if sparse:
        partial.git("sparse-checkout", "set", "in")
        (partial.path / "in" / "a.py").write_text("changed\n", encoding="utf-8")
    dirty(partial)
    missing = partial.git("rev-list", "--objects", "--all", "--missing=print").count("?")
    assert missing > 0
    away = bare_remote.path.rename(tmp_path / "away.git")
    used = use(partial)
    assert used.said == ""
    assert partial.git("rev-list", "--objects", "--all", "--missing=print").count("?") == missing
    has_both(partial, used.code["snapshot"])
    away.rename(bare_remote.path)
    assert attempt(partial, "push")[0] == 0
    has_both(bare_remote, used.code["snapshot"])


def test_sha256(tmp_path: Path) -> None:
    repo = GitRepo.init(tmp_path / "new", "--object-format=sha256")
    repo.commit({"train.py": "1\n"}, "begin")
    remote = GitRepo.init(tmp_path / "new.git", "--bare", "--object-format=sha256")
    add_origin(repo, str(remote.path))
    dirty(repo)
    used = use(repo, remote=remote)
    assert len(str(used.code["snapshot"])) == 64


def test_reftable(tmp_path: Path) -> None:
    repo = GitRepo.init(tmp_path / "new", *(["--ref-format=reftable"] if git_version() >= (2, 45) else []))
    if git_version() >= (2, 45):
        repo.commit({"train.py": "1\n"}, "begin")
        dirty(repo)
        used = use(repo)
        has_both(repo, used.code["snapshot"])
        return
    # As a newer git made it, and this one meets it.
    config = repo.path / ".git" / "config"
    before = config.read_text("utf-8").replace("repositoryformatversion = 0", "repositoryformatversion = 1")
    config.write_text(before + "[extensions]\n\trefStorage = reftable\n", encoding="utf-8")
    used = use(repo, into=store())
    assert used.said == (
        f"gittrack: warning: git refuses the repository of '{repo.path}'; the run is recorded without code "
        "in your data folder (unknown repository extension found: refstorage; a newer git may know it)\n"
    )
    assert used.script.facts["folder"] == str(repo.path)
    _, _, error = attempt(repo, "ls")
    assert error.splitlines()[0] == f"error: git refuses the repository of '{repo.path}'"
    assert error.splitlines()[1] == "cause: unknown repository extension found: refstorage"
    config.write_text(before, encoding="utf-8")
    assert attempt(repo, "import", "--adopt")[1].count("adopted") == 2


# Named, moved, configured -------------------------------------------------------------------------------------------


def test_git_dir_and_work_tree_in_the_environment(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dirty(repo)
    outside = tmp_path / "outside"
    outside.mkdir()
    monkeypatch.setenv("GIT_DIR", str(repo.path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(repo.path))
    used = use(repo, cwd=outside, remote=bare_remote)
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_WORK_TREE")
    has_both(bare_remote, used.code["snapshot"])
    assert "directory" not in used.script.facts


def test_a_git_dir_that_is_a_relative_path(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    dirty(repo)
    (repo.path / ".git").rename(repo.path / "real.git")
    (repo.path / "real.git" / "info" / "exclude").write_text("real.git\n", encoding="utf-8")
    monkeypatch.setenv("GIT_DIR", "real.git")
    monkeypatch.setenv("GIT_WORK_TREE", ".")
    run([sys.executable, "-c", SCRIPT], cwd=repo.path)
    has_both(repo, only(repo).facts["code"]["snapshot"])
    (repo.path / "real.git").rename(repo.path / ".git")
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_WORK_TREE")


def test_a_work_tree_that_core_worktree_names(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (repo.path / "train.py").rename(tree / "train.py")
    repo.git("config", "core.worktree", str(tree))
    dirty(GitRepo(tree))
    used = use(repo, cwd=repo.path / ".git", remote=bare_remote)
    has_both(repo, used.code["snapshot"])
    repo.git("config", "--unset", "core.worktree")


def test_a_bare_repository_that_git_takes_only_when_it_is_named(
    repo: GitRepo, bare_remote: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.git("config", "--global", "safe.bareRepository", "explicit")
    trained = run([sys.executable, "-c", SCRIPT], cwd=bare_remote.path)
    assert trained.stdout == "trained\n"
    assert "(cannot use bare repository" in trained.stderr
    monkeypatch.setenv("GIT_DIR", str(store().path))
    assert only(store()).status == "finished"
    monkeypatch.setenv("GIT_DIR", str(bare_remote.path))
    used = use(bare_remote)
    assert used.code["commit"] == repo.git("--git-dir=.git", "rev-parse", "main")
    monkeypatch.delenv("GIT_DIR")
    repo.git("config", "--global", "--unset", "safe.bareRepository")


RAW = b"m\xfcnchen-\xff \n'\"$HOME"


def test_a_folder_a_branch_and_files_that_are_not_utf_8(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), RAW)))
    repo = GitRepo.init(folder)
    repo.commit({"train.py": "1\n"}, "begin")
    subprocess.run([b"git", b"checkout", b"-q", b"-b", b"zweig-\xfc\xff"], cwd=folder, check=True)
    dirty(repo)
    Path(os.fsdecode(os.path.join(os.fsencode(folder), b"caf\xe9.py"))).write_bytes(b"x")
    (repo.path / "ünïcode-日本.py").write_text("x", encoding="utf-8")
    deep = repo.path / "täglich" / os.fsdecode(b"tief-\xe9")
    deep.mkdir(parents=True)
    used = use(repo, cwd=deep)
    has_both(repo, used.code["snapshot"])
    assert used.code["branch"] == "zweig-\\udcfc\\udcff"
    assert used.script.record["code"]["branch"] == used.code["branch"]
    assert used.script.facts["directory"] == "täglich/tief-\\udce9"
    listing = subprocess.run(
        ["git", "ls-tree", "-r", "-z", "--name-only", str(used.code["snapshot"])],
        cwd=folder,
        capture_output=True,
        check=True,
    ).stdout.split(b"\0")
    assert {b"caf\xe9.py", "ünïcode-日本.py".encode()} < set(listing)


def test_runs_of_a_folder_whose_name_is_not_utf_8_come_home(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), RAW)))
    folder.mkdir()
    run([sys.executable, "-c", SCRIPT], cwd=folder)
    run(["git", "init", "--quiet"], cwd=folder)
    assert "by-script" in attempt(GitRepo(folder), "import", "--adopt")[1]


# In the middle of something -----------------------------------------------------------------------------------------


@pytest.fixture
def forked(repo: GitRepo) -> GitRepo:
    """A repository whose branches `main` and `other` changed the same line."""
    repo.git("checkout", "--quiet", "-b", "other")
    repo.commit({"train.py": "theirs\n"}, "theirs")
    repo.git("checkout", "--quiet", "main")
    repo.commit({"train.py": "ours\n"}, "ours")
    return repo


@pytest.mark.parametrize("words", ["merge other", "rebase other", "cherry-pick other"])
def test_in_the_middle_of_a_conflict(forked: GitRepo, words: str) -> None:
    assert "CONFLICT" in run(["git", *words.split()], cwd=forked.path, check=False).stdout
    used = use(forked)
    assert used.code["commit"] == forked.git("rev-parse", "HEAD")
    assert "<<<<<<< " in forked.git("show", f"{used.code['snapshot']}:train.py")


def test_in_the_middle_of_a_bisect_and_of_an_interactive_rebase(forked: GitRepo) -> None:
    forked.git("bisect", "start", "HEAD", "HEAD~1")
    assert use(forked).code["commit"] == forked.git("rev-parse", "HEAD")
    forked.git("bisect", "reset")
    forked.git("rebase", "--quiet", "-i", "HEAD~1", env={"GIT_SEQUENCE_EDITOR": "sed -i 's/^pick/edit/'"}, check=False)
    used = use(forked)
    assert (forked.path / ".git" / "rebase-merge").exists()
    assert "branch" not in used.code
    forked.git("rebase", "--abort")


def test_beside_a_git_that_holds_the_lock_of_the_index(repo: GitRepo) -> None:
    dirty(repo)
    lock = repo.path / ".git" / "index.lock"
    lock.write_bytes(b"")
    used = use(repo)
    has_both(repo, used.code["snapshot"])
    assert lock.read_bytes() == b""


def test_in_a_sparse_checkout_with_a_sparse_index(repo: GitRepo) -> None:
    repo.commit({"in/a.py": "a\n", "out/b.py": "b\n"}, "more")
    repo.git("sparse-checkout", "set", "--cone", "--sparse-index", "in")
    dirty(repo)
    used = use(repo)
    has_both(repo, used.code["snapshot"])
    assert repo.git("show", f"{used.code['snapshot']}:out/b.py") == "b"


def test_with_a_split_index_and_caches_of_the_users(repo: GitRepo) -> None:
    for name in ("core.splitIndex", "core.untrackedCache", "core.fsmonitor", "index.threads", "feature.manyFiles"):
        repo.git("config", name, "true")
    repo.git("update-index", "--split-index", "--untracked-cache")
    dirty(repo)
    (repo.path / "other.py").write_text("x", encoding="utf-8")
    repo.git("add", "other.py")
    has_both(repo, use(repo).code["snapshot"])
    repo.git("fsmonitor--daemon", "stop", check=False)


# Called by git ------------------------------------------------------------------------------------------------------


def hook(repo: GitRepo, name: str, script: Path) -> None:
    file = repo.path / ".git" / "hooks" / name
    file = file if file.parent.exists() else repo.path / "hooks" / name
    file.write_text(f"#!/bin/sh\n'{sys.executable}' '{script}' >&2\n", encoding="utf-8")
    file.chmod(0o755)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "training.py"
    file.write_text(SCRIPT, encoding="utf-8")
    return file


def test_after_a_partial_commit_the_run_has_the_new_commit(repo: GitRepo, script: Path) -> None:
    hook(repo, "post-commit", script)
    dirty(repo)
    repo.git("commit", "--quiet", "-m", "change", "train.py")  # git gives the hook an index of its own
    code = only(repo).facts["code"]
    assert code["commit"] == repo.git("rev-parse", "main")
    has_both(repo, code["snapshot"])
    assert repo.git("status", "--porcelain") == "?? new.py"


def test_before_a_push_and_inside_of_what_receives_it(repo: GitRepo, bare_remote: GitRepo, script: Path) -> None:
    hook(repo, "pre-push", script)
    hook(bare_remote, "pre-receive", script)  # there the new objects are in quarantine
    hook(bare_remote, "post-receive", script)
    before = repo.git("rev-parse", "main")
    after = repo.commit({"b.py": "b\n"}, "second")
    repo.git("push", "--quiet", "origin", "main")
    assert only(repo).facts["code"]["commit"] == after
    assert [found.facts["code"]["commit"] for found in runs(bare_remote)] == [before, after]
    assert list(bare_remote.path.glob("objects/tmp_objdir-*")) == []


def test_inside_of_rebase_exec(repo: GitRepo, script: Path) -> None:
    repo.commit({"b.py": "b\n"}, "second")
    repo.commit({"c.py": "c\n"}, "third")
    repo.git("rebase", "--quiet", "--exec", f"'{sys.executable}' '{script}'", "HEAD~2")
    commits = [found.facts["code"]["commit"] for found in runs(repo)]
    assert commits == repo.git("rev-list", "--reverse", "HEAD", "-2").split()
