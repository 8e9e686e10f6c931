"""The code of a run is what lay in the work tree when it began; the user's repository does not notice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.gitcmd import GitRepo, run
from tests.reader import Recorded, only, runs

SCRIPT = "import gittrack as gt\ngt.init()\ngt.log({'loss': 1.0})\n"
EXECUTABLE, PLAIN, LINK = "100755", "100644", "120000"


def recorded(repo: GitRepo, *, cwd: Path | None = None, said: str = "") -> Recorded:
    """Records a run and returns it; `said` is what it says on stderr."""
    done = repo.python(SCRIPT, cwd=cwd)
    assert done.stderr == (f"gittrack: {said}\n" if said else "")
    return runs(repo)[-1]


def snapshot_of(repo: GitRepo, *, said: str = "") -> str:
    """Records a run of a dirty tree and returns its snapshot, which stands between it and the code commit."""
    found = recorded(repo, said=said)
    code = found.facts["code"]
    assert (code["dirty"], found.parents) == (True, [code["snapshot"]])
    assert found.record["code"]["snapshot"] == code["snapshot"]
    return str(code["snapshot"])


def files(repo: GitRepo, commit: str) -> dict[str, str]:
    """Returns the content of every file of a commit."""
    names = repo.git("ls-tree", "-r", "-z", "--name-only", commit).split("\0")
    return {name: repo.git("show", f"{commit}:{name}") for name in names if name}


def modes(repo: GitRepo, commit: str) -> dict[str, str]:
    lines = repo.git("ls-tree", "-r", "-z", commit).split("\0")
    return {line.split("\t")[1]: line.split(" ")[0] for line in lines if line}


def write(repo: GitRepo, **content: str) -> None:
    """Writes files; `__` in a name stands for a dot, `_in_` for a slash turned round: `b_in_a` is `a/b`."""
    for name, text in content.items():
        inner, _, folder = name.partition("_in_")
        path = repo.path / folder / inner.replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


# What is in a snapshot ----------------------------------------------------------------------------------------------


def test_a_clean_tree_needs_no_snapshot(repo: GitRepo) -> None:
    found = recorded(repo)
    assert found.parents == [repo.git("rev-parse", "main")]
    assert found.facts["code"] == {"commit": found.parents[0], "branch": "main", "dirty": False}


def test_a_snapshot_has_the_changed_the_new_and_not_the_deleted_files(repo: GitRepo) -> None:
    head = repo.commit({"a.py": "a\n", "gone.py": "gone\n", "staged.py": "1\n", "same.py": "same\n"}, "more")
    write(repo, a__py="changed\n", staged__py="2\n", new__py="new\n", deep__py_in_folder="deep\n")
    (repo.path / "gone.py").unlink()
    repo.git("add", "staged.py")
    write(repo, staged__py="3\n")
    snapshot = snapshot_of(repo)
    assert files(repo, snapshot) == {
        "a.py": "changed",
        "staged.py": "3",
        "new.py": "new",
        "folder/deep.py": "deep",
        "same.py": "same",
        "train.py": 'print("training")',
    }
    assert repo.git("rev-parse", f"{snapshot}^") == head
    assert repo.git("log", "-1", "--format=%an <%ae> %cn %s|%at %ct", snapshot) == (
        "gittrack <gittrack@localhost> gittrack snapshot of uncommitted work|"
        + repo.git("log", "-1", "--format=%ct %ct", head)
    )


def test_a_snapshot_keeps_modes_and_links(repo: GitRepo) -> None:
    repo.commit({"tool.sh": "#!/bin/sh\n", "was-file": "x"}, "more")
    (repo.path / "tool.sh").chmod(0o755)
    (repo.path / "was-file").unlink()
    (repo.path / "was-file").symlink_to("train.py")
    (repo.path / "broken").symlink_to("no/where")
    (repo.path / "outside").symlink_to("/etc/passwd")
    snapshot = snapshot_of(repo)
    assert modes(repo, snapshot) == {
        "tool.sh": EXECUTABLE,
        "was-file": LINK,
        "broken": LINK,
        "outside": LINK,
        "train.py": PLAIN,
    }
    assert repo.git("show", f"{snapshot}:outside") == "/etc/passwd"


def test_names_with_anything_in_them_are_in_the_snapshot(repo: GitRepo) -> None:
    names = ["with space", "new\nline", "tab\t", "'quote\"", "ünïcode", "-dash", "a\\b", ":(top)x", "*.py", "#x"]
    for name in names:
        (repo.path / name).write_text("x", encoding="utf-8")
    raw = os.path.join(os.fsencode(repo.path), b"not-\xff-utf8")
    with open(raw, "wb") as file:
        file.write(b"x")
    listing = subprocess.run(
        ["git", "ls-tree", "-r", "-z", "--name-only", snapshot_of(repo)], cwd=repo.path, capture_output=True, check=True
    ).stdout.split(b"\0")
    assert set(listing) == {*(name.encode() for name in names), b"not-\xff-utf8", b"train.py", b""}


def test_ignored_files_are_not_in_the_snapshot(repo: GitRepo) -> None:
    repo.commit({".gitignore": "*.log\ndata/\n"}, "ignore")
    write(repo, a__log="no", big_in_data="no", b__py="yes")
    assert set(files(repo, snapshot_of(repo))) == {".gitignore", "b.py", "train.py"}


def test_files_that_were_only_announced_to_git_are_in_the_snapshot(repo: GitRepo) -> None:
    write(repo, new__py="new\n")
    repo.git("add", "--intent-to-add", "new.py")
    assert files(repo, snapshot_of(repo))["new.py"] == "new"


def test_files_in_conflict_are_in_the_snapshot_as_they_lie_there(repo: GitRepo) -> None:
    repo.git("checkout", "--quiet", "-b", "other")
    repo.commit({"train.py": "theirs\n"}, "theirs")
    repo.git("checkout", "--quiet", "main")
    repo.commit({"train.py": "ours\n"}, "ours")
    repo.git("merge", "other", check=False)
    assert "<<<<<<< HEAD" in files(repo, snapshot_of(repo))["train.py"]


def test_clean_filters_and_line_ends_are_those_of_git_add(repo: GitRepo) -> None:
    upper = f"'{sys.executable}' -c \"import sys; sys.stdout.write(sys.stdin.read().upper())\""
    repo.git("config", "filter.upper.clean", upper)
    repo.git("config", "filter.upper.required", "true")
    repo.commit({".gitattributes": "*.up filter=upper\n*.txt text eol=crlf\n"}, "attributes")
    (repo.path / "a.up").write_text("shout\n", encoding="utf-8")
    (repo.path / "b.txt").write_bytes(b"one\r\ntwo\r\n")
    snapshot = snapshot_of(repo)
    assert repo.git("show", f"{snapshot}:a.up") == "SHOUT"
    assert repo.git("cat-file", "-s", f"{snapshot}:b.txt") == "8"
    repo.git("add", "--all")
    assert repo.git("write-tree") == repo.git("rev-parse", f"{snapshot}^{{tree}}")


def test_a_file_whose_filter_fails_is_left_out_and_the_others_are_kept(repo: GitRepo) -> None:
    repo.git("config", "filter.broken.clean", "false")
    repo.git("config", "filter.broken.required", "true")
    repo.commit({".gitattributes": "*.bad filter=broken\n"}, "attributes")
    write(repo, a__bad="a", b__py="b")
    snapshot = snapshot_of(repo, said="warning: left out of the snapshot of your uncommitted work: a.bad")
    assert set(files(repo, snapshot)) == {".gitattributes", "b.py", "train.py"}
    assert [left["path"] for left in only(repo).facts["code"]["omitted"]] == ["a.bad"]


def test_a_change_of_the_same_length_in_the_same_instant_is_seen(repo: GitRepo) -> None:
    repo.git("config", "core.trustctime", "false")
    repo.git("config", "core.checkStat", "minimal")
    train, index = repo.path / "train.py", repo.path / ".git" / "index"
    size = train.stat().st_size
    moment = 1_700_000_000 * 10**9
    os.utime(train, ns=(moment, moment))
    repo.git("update-index", "--refresh")
    os.utime(index, ns=(moment, moment))  # as if git wrote the index in the instant of the file
    with train.open("r+", encoding="utf-8") as file:
        file.write("X" * (size - 1))
    os.utime(train, ns=(moment, moment))
    assert files(repo, snapshot_of(repo))["train.py"] == "X" * (size - 1)


def test_many_files_are_one_snapshot(repo: GitRepo) -> None:
    for number in range(1500):
        (repo.path / f"file-{number}.txt").write_text(str(number), encoding="utf-8")
    assert len(files_listed(repo, snapshot_of(repo))) == 1501


def files_listed(repo: GitRepo, commit: str) -> list[str]:
    return repo.git("ls-tree", "-r", "--name-only", commit).splitlines()


# What is left out ---------------------------------------------------------------------------------------------------

SECRETS = (
    *(".env", ".env.local", "prod.env", "id_rsa", "deploy/id_ed25519", "server.pem", "tls.key", ".netrc", ".npmrc"),
    *(
        "credentials.json",
        "secrets.yaml",
        "service-account-7.json",
        ".aws/config",
        ".ssh/known",
        "token",
        "API_KEY.txt",
    ),
)
NO_SECRETS = (
    ".env.example",
    "id_rsa.pub",
    "keys.py",
    "tokenizer.json",
    "secretary.py",
    "monkey.txt",
    "environment.yml",
)


def test_files_named_like_secrets_are_left_out_said_once_and_recorded(repo: GitRepo) -> None:
    for name in (*SECRETS, *NO_SECRETS):
        (repo.path / name).parent.mkdir(exist_ok=True)
        (repo.path / name).write_text(f"hunter2 in {name}", encoding="utf-8")
    done = repo.python(SCRIPT + "gt.init()\n")
    assert done.stderr.count("left out of the snapshot") == 1
    for found in runs(repo):
        code = found.facts["code"]
        assert set(files(repo, code["snapshot"])) == {*NO_SECRETS, "train.py"}
        assert {left["path"] for left in code["omitted"]} == set(SECRETS)
        assert {left["why"] for left in code["omitted"]} == {"its name says that it holds secrets"}


def test_a_secret_that_is_staged_or_changed_is_left_out_too(repo: GitRepo) -> None:
    repo.commit({"tracked.pem": "public beginning\n", "deleted.pem": "committed\n"}, "oops")
    write(repo, __env="STAGED=hunter2\n", tracked__pem="hunter2\n", a__py="a\n")
    repo.git("add", ".env", "tracked.pem")
    write(repo, tracked__pem="hunter2 and more\n")
    repo.git("rm", "--quiet", "--cached", "deleted.pem")
    (repo.path / "deleted.pem").unlink()
    before = repo.git("diff", "--cached", "--name-status")
    snapshot = snapshot_of(
        repo, said="warning: left out of the snapshot of your uncommitted work: .env, deleted.pem, tracked.pem"
    )
    kept = files(repo, snapshot)
    assert ".env" not in kept
    assert (kept["tracked.pem"], kept["a.py"]) == ("public beginning", "a")
    assert repo.git("diff", "--cached", "--name-status") == before


def test_a_tree_that_differs_in_a_secret_alone_has_no_snapshot(repo: GitRepo) -> None:
    write(repo, __env="KEY=hunter2")
    found = recorded(repo, said="warning: left out of the snapshot of your uncommitted work: .env")
    code = found.facts["code"]
    assert (code["dirty"], found.parents) == (True, [code["commit"]])
    assert "snapshot" not in code
    assert code["omitted"] == [{"path": ".env", "why": "its name says that it holds secrets"}]


def test_a_huge_untracked_file_is_left_out_and_the_limit_can_be_set(repo: GitRepo) -> None:
    with (repo.path / "data.bin").open("wb") as file:
        file.truncate(11 * 1024 * 1024)
    found = recorded(repo, said="warning: left out of the snapshot of your uncommitted work: data.bin")
    (left,) = found.facts["code"]["omitted"]
    assert (left["path"], left["size"]) == ("data.bin", 11 * 1024 * 1024)
    repo.git("config", "track.snapshotLimit", "20M")
    assert set(files_listed(repo, snapshot_of(repo))) == {"data.bin", "train.py"}


def test_a_tracked_file_is_kept_whatever_its_size(repo: GitRepo) -> None:
    repo.commit({"big.txt": "x"}, "big")
    (repo.path / "big.txt").write_text("y" * 12 * 1024 * 1024, encoding="utf-8")
    assert repo.git("cat-file", "-s", f"{snapshot_of(repo)}:big.txt") == str(12 * 1024 * 1024)


def test_virtual_environments_are_left_out_as_one(repo: GitRepo) -> None:
    for name in ("pyvenv.cfg", "bin/python", "lib/site.py"):
        (repo.path / "venv" / name).parent.mkdir(parents=True, exist_ok=True)
        (repo.path / "venv" / name).write_text("x", encoding="utf-8")
    write(repo, a__py="a\n")
    snapshot = snapshot_of(repo, said="warning: left out of the snapshot of your uncommitted work: venv/")
    assert set(files(repo, snapshot)) == {"a.py", "train.py"}
    assert only(repo).facts["code"]["omitted"] == [{"path": "venv/", "why": "a virtual environment"}]


def test_a_repository_inside_of_the_repository_is_left_out(repo: GitRepo) -> None:
    inner = GitRepo.init(repo.path / "vendor" / "lib")
    inner.commit({"a.py": "a"}, "inner")
    write(repo, a__py="a\n")
    snapshot = snapshot_of(repo, said="warning: left out of the snapshot of your uncommitted work: vendor/lib/")
    assert set(files(repo, snapshot)) == {"a.py", "train.py"}


def test_a_submodule_is_kept_at_its_commit_and_what_is_uncommitted_in_it_is_said(repo: GitRepo, tmp_path: Path) -> None:
    library = GitRepo.init(tmp_path / "library")
    library.commit({"lib.py": "1\n"}, "library")
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.path), "lib")
    repo.commit({}, "submodule")
    inside = GitRepo(repo.path / "lib")
    moved = inside.commit({"lib.py": "2\n"}, "moved")
    assert repo.git("ls-tree", snapshot_of(repo), "lib") == f"160000 commit {moved}\tlib"
    (repo.path / "lib" / "lib.py").write_text("3\n", encoding="utf-8")
    found = recorded(repo, said="warning: left out of the snapshot of your uncommitted work: lib")
    assert found.facts["code"]["omitted"] == [{"path": "lib", "why": "a submodule with uncommitted work in it"}]


def test_an_unreadable_file_is_left_out_and_said(repo: GitRepo, tmp_path: Path) -> None:
    write(repo, a__py="a\n", hidden__txt="x")
    (repo.path / "hidden.txt").chmod(0)
    script = tmp_path / "s.py"
    script.write_text(SCRIPT, encoding="utf-8")
    words = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = run([*words, sys.executable, script], cwd=repo.path)
    assert done.stderr == "gittrack: warning: left out of the snapshot of your uncommitted work: hidden.txt\n"
    assert set(files(repo, only(repo).parents[0])) == {"a.py", "train.py"}


# The user's repository does not notice ------------------------------------------------------------------------------


def test_the_users_index_head_stash_and_work_tree_are_untouched(repo: GitRepo) -> None:
    repo.commit({"a.py": "a\n", "b.py": "b\n"}, "more")
    write(repo, a__py="stashed\n")
    repo.git("stash")
    write(repo, a__py="staged\n", new__py="new\n")
    repo.git("add", "a.py")
    write(repo, a__py="worked on\n", b__py="worked on\n")
    git = repo.path / ".git"
    os.utime(repo.path / "train.py")  # its entry in the index is stale now; `git status` would refresh it
    watched = [git / name for name in ("index", "HEAD", "logs/HEAD", "config", "refs/stash")]
    before = [(path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in watched]
    tree = {path: path.stat().st_mtime_ns for path in repo.path.rglob("*") if ".git" not in path.parts}
    listing = sorted(path.name for path in git.iterdir())
    snapshot_of(repo)
    assert [(path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in watched] == before
    assert {path: path.stat().st_mtime_ns for path in repo.path.rglob("*") if ".git" not in path.parts} == tree
    assert sorted(path.name for path in git.iterdir()) == sorted([*listing, "gittrack"])
    assert list((git / "gittrack").glob("snapshot-*")) == []


def test_equal_trees_give_one_snapshot(repo: GitRepo) -> None:
    write(repo, new__py="new\n")
    first, second = snapshot_of(repo), snapshot_of(repo)
    write(repo, new__py="newer\n")
    other = snapshot_of(repo)
    write(repo, new__py="new\n")
    assert (first, first) == (second, snapshot_of(repo))
    assert other != first


def test_equal_trees_give_one_snapshot_in_every_clone(repo: GitRepo, tmp_path: Path) -> None:
    clone = GitRepo.clone(repo.path, tmp_path / "clone")
    clone.git("config", "user.name", "Somebody Else")
    for each in (repo, clone):
        write(each, new__py="new\n")
    assert snapshot_of(repo) == snapshot_of(clone)


def test_a_snapshot_survives_amending_and_collecting_garbage(repo: GitRepo) -> None:
    write(repo, new__py="new\n")
    snapshot = snapshot_of(repo)
    repo.git("add", "--all")
    repo.git("commit", "--quiet", "--amend", "-m", "amended")
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "--quiet", "--prune=now")
    assert files(repo, snapshot)["new.py"] == "new"
    assert files(repo, f"{snapshot}^") == {"train.py": 'print("training")'}


def test_the_code_of_a_run_that_is_still_running_survives_amending_and_collecting_garbage(repo: GitRepo) -> None:
    write(repo, new__py="new\n")
    repo.python(
        SCRIPT
        + """
import subprocess

gt.run.pinning.join()
for words in ("add --all", "commit -q --amend -m amended", "reflog expire --expire=now --all", "gc -q --prune=now"):
    subprocess.run(["git", *words.split()], check=True)
"""
    )
    found = only(repo)
    assert files(repo, found.facts["code"]["snapshot"])["new.py"] == "new"
    assert repo.git("rev-parse", "main") != found.facts["code"]["commit"]


# Kinds of repositories ----------------------------------------------------------------------------------------------


def test_before_the_first_commit_the_snapshot_is_all_there_is(empty_repo: GitRepo) -> None:
    write(empty_repo, train__py="1\n")
    snapshot = snapshot_of(empty_repo)
    assert files(empty_repo, snapshot) == {"train.py": "1"}
    assert empty_repo.git("log", "--format=%H %ct", snapshot) == f"{snapshot} 0"
    assert only(empty_repo).facts["code"]["branch"] == "main"


def test_an_empty_repository_is_enough(empty_repo: GitRepo) -> None:
    found = recorded(empty_repo)
    assert (found.status, found.parents) == ("finished", [])


def test_a_detached_head_has_no_branch(repo: GitRepo) -> None:
    repo.git("checkout", "--quiet", "--detach")
    code = recorded(repo).facts["code"]
    assert code == {"commit": repo.git("rev-parse", "HEAD"), "dirty": False}


def test_a_folder_below_the_top_sees_the_whole_tree(repo: GitRepo) -> None:
    write(repo, b__py_in_sub="b\n", a__py="a\n")
    found = recorded(repo, cwd=repo.path / "sub")
    assert set(files(repo, found.parents[0])) == {"sub/b.py", "a.py", "train.py"}
    assert found.facts["directory"] == "sub"


def test_a_linked_work_tree_has_its_own_code_and_the_same_runs(repo: GitRepo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "--quiet", "-b", "other", str(tmp_path / "linked"))
    linked = GitRepo(tmp_path / "linked")
    write(linked, only_here__py="x\n")
    write(repo, only_there__py="x\n")
    snapshot = snapshot_of(linked)
    assert set(files(repo, snapshot)) == {"only_here.py", "train.py"}
    found = only(repo)
    assert found.facts["code"]["branch"] == "other"
    assert not (repo.path / ".git" / "worktrees" / "linked" / "gittrack").exists()


def test_in_a_bare_repository_the_commit_is_recorded(repo: GitRepo, tmp_path: Path) -> None:
    bare = GitRepo.clone(repo.path, tmp_path / "bare.git", "--bare")
    found = recorded(bare)
    assert found.facts["code"]["commit"] == repo.git("rev-parse", "main")
    assert found.parents == [repo.git("rev-parse", "main")]
    bare.fsck()


def test_a_sparse_tree_keeps_the_files_that_are_not_checked_out(repo: GitRepo) -> None:
    repo.commit({"in/a.py": "a\n", "out/b.py": "b\n"}, "more")
    repo.git("sparse-checkout", "set", "in")
    write(repo, a__py_in_in="changed\n")
    assert files(repo, snapshot_of(repo)) == {"in/a.py": "changed", "out/b.py": "b", "train.py": 'print("training")'}


def test_a_split_index_and_the_users_own_settings_do_no_harm(repo: GitRepo) -> None:
    for name, value in {
        "core.splitIndex": "true",
        "status.showUntrackedFiles": "no",
        "status.relativePaths": "false",
        "diff.noprefix": "true",
        "core.quotePath": "true",
        "color.ui": "always",
        "core.untrackedCache": "true",
        "diff.ignoreSubmodules": "all",
        "core.fsmonitor": "true",
        "core.hooksPath": "hooks",
    }.items():
        repo.git("config", name, value)
    repo.git("update-index", "--split-index")
    write(repo, new__py="new\n", train__py="changed\n")
    assert files(repo, snapshot_of(repo)) == {"new.py": "new", "train.py": "changed"}


# Settings -----------------------------------------------------------------------------------------------------------


def test_track_dirty_warn_records_the_commit_and_says_so(repo: GitRepo) -> None:
    repo.git("config", "track.dirty", "warn")
    write(repo, new__py="new\n")
    done = repo.python(SCRIPT + "gt.init()\n")
    assert done.stderr.count("uncommitted work is not recorded") == 1
    for found in runs(repo):
        assert (found.facts["code"]["dirty"], found.parents) == (True, [repo.git("rev-parse", "main")])
        assert "snapshot" not in found.facts["code"]


def test_track_dirty_refuse_refuses_only_a_dirty_tree(repo: GitRepo) -> None:
    repo.git("config", "track.dirty", "refuse")
    assert recorded(repo).status == "finished"
    write(repo, new__py="new\n")
    assert repo.python(SCRIPT, check=False).returncode == 1
    assert len(runs(repo)) == 1


def test_track_code_none_keeps_a_patch_and_no_code(repo: GitRepo, tmp_path: Path) -> None:
    repo.git("config", "track.code", "none")
    repo.git("config", "diff.noprefix", "true")
    write(repo, train__py="changed\n", new__py="new\n")
    (repo.path / "binary.dat").write_bytes(bytes(range(256)))
    found = recorded(repo)
    head = repo.git("rev-parse", "main")
    assert found.parents == []
    assert (found.facts["code"]["commit"], found.facts["code"]["dirty"]) == (head, True)
    assert repo.git("log", "--format=%H", found.ref) == repo.git("rev-parse", found.ref)
    clone = GitRepo.clone(repo.path, tmp_path / "clone")
    patch = tmp_path / "code.patch"
    patch.write_bytes(found.raw("code.patch") or b"")
    clone.git("apply", str(patch))
    for name in ("train.py", "new.py", "binary.dat"):
        assert (clone.path / name).read_bytes() == (repo.path / name).read_bytes()


def test_track_code_none_before_the_first_commit_keeps_a_patch_of_everything(empty_repo: GitRepo) -> None:
    empty_repo.git("config", "track.code", "none")
    write(empty_repo, train__py="1\n")
    found = recorded(empty_repo)
    assert found.parents == []
    assert b"+++ b/train.py" in (found.raw("code.patch") or b"")


def test_track_code_none_on_a_clean_tree_keeps_the_id_of_the_commit(repo: GitRepo) -> None:
    repo.git("config", "track.code", "none")
    found = recorded(repo)
    assert (found.parents, found.facts["code"]["commit"]) == ([], repo.git("rev-parse", "main"))
    assert "code.patch" not in found.files


ADDRESSES = {
    "https://ada:hunter2@example.org:8443/a/b.git": "https://example.org:8443/a/b.git",
    "https://ghp_hunter2@github.com/a/b": "https://github.com/a/b",
    "https://example.org/a/b.git?private_token=hunter2": "https://example.org/a/b.git",
    "ssh://git:hunter2@example.org/a": "ssh://git@example.org/a",
    "git@github.com:a/b.git": "git@github.com:a/b.git",
    "../remote.git": "../remote.git",
    "https://[hunter2": "https://[hunter2",
    "https://u:hunter2@[bad/x": "https://***@[bad/x",
}


def test_the_address_of_the_remote_is_recorded_without_credentials(repo: GitRepo) -> None:
    script = f"""
import subprocess
import gittrack as gt

for address in {list(ADDRESSES)!r}:
    subprocess.run(["git", "config", "remote.origin.url", address], check=True)
    gt.init().finish()
"""
    assert repo.python(script).stderr == ""
    assert [found.facts["code"]["remote"] for found in runs(repo)] == list(ADDRESSES.values())


def test_the_remote_is_that_of_the_branch(repo: GitRepo) -> None:
    repo.git("config", "remote.origin.url", "https://example.org/origin")
    repo.git("config", "remote.Other.url", "https://example.org/other")
    repo.git("config", "branch.main.remote", "Other")
    assert recorded(repo).facts["code"]["remote"] == "https://example.org/other"
