"""A snapshot checked out is the work tree as it was, byte for byte, and whatever cannot be in it is named."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from gittrack import capture, scratch
from gittrack.model import Code
from gittrack.repo import open_repo
from tests.gitcmd import GitRepo, run
from tests.places.using import untouched
from tests.reader import only

Files = dict[bytes, tuple[str, bytes]]


def taken(of: GitRepo) -> Code:
    """Takes the snapshot of a work tree, as `init` does; nothing of the user's changes."""
    with untouched(of):
        place = open_repo(of.path)
        return capture.capture_code(place.git, place.settings)


def left_out(code: Code) -> dict[str, str]:
    return {left.path: left.why for left in code.omitted}


def content(root: Path) -> Files:
    """Returns path to kind and content of every file below a folder, git's own left out."""
    found: Files = {}
    for folder, folders, names in os.walk(os.fsencode(root)):
        folders[:] = [name for name in folders if name != b".git"]
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in [*names, *links]:
            path = os.path.join(folder, name)
            key = os.path.relpath(path, os.fsencode(root))
            if os.path.islink(path):
                found[key] = ("link", os.readlink(path))
            elif name != b".git":
                with open(path, "rb") as file:
                    kind = "program" if os.fstat(file.fileno()).st_mode & stat.S_IXUSR else "file"
                    found[key] = (kind, file.read())
    return found


def checked_out(of: GitRepo, code: Code) -> Files:
    """Returns what `git checkout` of the snapshot puts on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        of.git("worktree", "add", "--quiet", "--detach", f"{folder}/tree", str(code.exact))
        try:
            return content(Path(folder, "tree"))
        finally:
            of.git("worktree", "remove", "--force", f"{folder}/tree")


def is_whole(of: GitRepo) -> Code:
    """Asserts that the snapshot has the work tree as it lies there; returns the code."""
    code = taken(of)
    assert code.omitted == ()
    assert checked_out(of, code) == content(of.path)
    return code


# Any work tree ------------------------------------------------------------------------------------------------------

NAMES = ["a", "A", "b.py", "d", "e", "new\nline", "-x", "'\"\\", "ü", "*", ":(top)", os.fsdecode(b"\xff\xfe"), " "]
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(tuple)
contents = st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"a\r\nb\r\n", b"\0\1", b"x\n" * 9000]))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), paths, contents),
        st.tuples(st.just("program"), paths, contents),
        st.tuples(st.just("link"), paths, st.sampled_from([b"a", b"d", b"../out", b"no/where", b"/etc/hosts"])),
        st.tuples(st.just("remove"), paths, st.just(b"")),
        st.tuples(st.sampled_from(["add", "announce", "unstage"]), paths, st.just(b"")),
    ),
    max_size=12,
)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.is_symlink() or path.exists():
        path.unlink()


def do(of: GitRepo, step: tuple[str, tuple[str, ...], bytes]) -> None:
    """Does one thing that people do in a work tree; what was in its way is gone."""
    what, parts, data = step
    path = of.path.joinpath(*parts)
    if what in ("add", "announce", "unstage"):
        words = {"add": ["add"], "announce": ["add", "-N"], "unstage": ["rm", "-r", "-q", "--cached"]}[what]
        name = "/".join(parts)
        subprocess.run(
            ["git", "--literal-pathspecs", *words, "--", name], cwd=of.path, capture_output=True, check=False
        )
        return
    for above in reversed(path.parents):
        if above.is_relative_to(of.path) and (above.is_symlink() or above.is_file()):
            above.unlink()
    remove(path)
    if what == "remove":
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if what == "link":
        path.symlink_to(os.fsdecode(data))
    else:
        path.write_bytes(data)
        path.chmod(0o755 if what == "program" else 0o644)


@hypothesis.settings(max_examples=12)
@hypothesis.given(before=steps, after=steps)
def test_the_snapshot_of_any_work_tree_is_that_work_tree(before: list[object], after: list[object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        of = GitRepo.init(Path(folder, "repo"))
        for step in before:
            do(of, step)  # type: ignore[arg-type] # hypothesis knows what it draws
        of.commit({"train.py": "1\n"}, "begin")
        for step in after:
            do(of, step)  # type: ignore[arg-type] # the same
        is_whole(of)
        of.fsck()


# What becomes something else ----------------------------------------------------------------------------------------


def test_files_folders_and_links_that_took_each_others_place(repo: GitRepo) -> None:
    repo.commit({"file": "1", "folder/a": "a", "folder/b": "b", "other/a": "a", "third/x": "x", "link": "l"}, "more")
    for name in ("file", "folder", "other", "third", "link"):
        remove(repo.path / name)
    (repo.path / "real").mkdir()
    (repo.path / "real" / "a").write_text("a", encoding="utf-8")
    (repo.path / "file").mkdir()
    (repo.path / "file" / "inside").write_text("1", encoding="utf-8")
    (repo.path / "folder").symlink_to("real")  # behind which there is a file of the old name
    (repo.path / "other").write_text("a file now", encoding="utf-8")
    (repo.path / "third").symlink_to("no-such-place")
    (repo.path / "link").symlink_to("real/a")
    is_whole(repo)


def test_a_folder_that_is_a_link_in_the_middle_of_a_path(repo: GitRepo, tmp_path: Path) -> None:
    repo.commit({"data/deep/er/a": "a", "data/deep/b": "b", "data/c": "c"}, "more")
    (tmp_path / "elsewhere").mkdir()
    (repo.path / "data" / "deep").rename(tmp_path / "elsewhere" / "deep")
    (repo.path / "data" / "deep").symlink_to(tmp_path / "elsewhere" / "deep")
    is_whole(repo)


def test_what_is_staged_announced_unstaged_renamed_and_deleted(repo: GitRepo) -> None:
    repo.commit({f"{name}.py": name for name in "abcdef"}, "more")
    repo.git("mv", "a.py", "moved.py")
    repo.git("rm", "--quiet", "b.py")
    repo.git("rm", "--quiet", "--cached", "c.py")
    (repo.path / "d.py").unlink()
    for name in ("staged.py", "announced.py", "staged-and-gone.py"):
        (repo.path / name).write_text(name, encoding="utf-8")
    repo.git("add", "staged.py", "staged-and-gone.py")
    repo.git("add", "-N", "announced.py")
    (repo.path / "staged.py").write_text("and changed", encoding="utf-8")
    (repo.path / "staged-and-gone.py").unlink()
    repo.git("stash", "list")
    is_whole(repo)


def test_a_file_that_git_was_told_to_leave_alone_counts_as_unchanged(repo: GitRepo) -> None:
    repo.commit({"assumed.py": "1\n", "skipped.py": "1\n"}, "more")
    repo.git("update-index", "--assume-unchanged", "assumed.py")
    repo.git("update-index", "--skip-worktree", "skipped.py")
    for name in ("assumed.py", "skipped.py", "new.py"):
        (repo.path / name).write_text("2\n", encoding="utf-8")
    code = taken(repo)
    assert [repo.git("show", f"{code.snapshot}:{name}.py") for name in ("assumed", "skipped", "new")] == ["1", "1", "2"]


def test_a_repository_whose_path_has_a_colon_and_a_quote(tmp_path: Path) -> None:
    of = GitRepo.init(tmp_path / 'a:b"c\\d')
    of.commit({"train.py": "1\n"}, "begin")
    (of.path / "train.py").write_text("2\n", encoding="utf-8")
    is_whole(of)
    of.fsck()


# Filters ------------------------------------------------------------------------------------------------------------


def test_line_ends_encodings_and_identifiers_come_back_as_they_were(repo: GitRepo) -> None:
    attributes = "*.crlf text eol=crlf\n*.utf16 text working-tree-encoding=UTF-16\n*.auto text=auto\n*.bin -text\n"
    repo.commit({".gitattributes": attributes}, "attributes")
    (repo.path / "a.crlf").write_bytes(b"one\r\ntwo\r\n")
    (repo.path / "a.utf16").write_text("ünï\n", encoding="utf-16")
    (repo.path / "a.auto").write_bytes(b"one\ntwo\n")
    (repo.path / "a.bin").write_bytes(b"one\r\ntwo\n\0")
    code = is_whole(repo)
    assert repo.git("cat-file", "blob", f"{code.snapshot}:a.utf16") == "ünï"
    assert repo.git("cat-file", "-s", f"{code.snapshot}:a.crlf") == "8"


@pytest.mark.parametrize("setting", ["true", "input"])
def test_with_autocrlf_mixed_line_ends_are_no_reason_to_leave_a_file_out(repo: GitRepo, setting: str) -> None:
    repo.git("config", "core.autocrlf", setting)
    repo.git("config", "core.safecrlf", "true")  # `git add` refuses such a file
    (repo.path / "mixed.txt").write_bytes(b"one\r\ntwo\n")
    code = taken(repo)
    assert code.omitted == ()
    assert repo.git("cat-file", "-s", f"{code.snapshot}:mixed.txt") == "8"


def test_a_file_with_crlf_in_the_commit_keeps_it_as_git_add_does(repo: GitRepo) -> None:
    (repo.path / "old.txt").write_bytes(b"one\r\ntwo\r\n")
    repo.commit({}, "crlf in the repository")
    repo.git("config", "core.autocrlf", "true")
    (repo.path / "old.txt").write_bytes(b"one\r\ntwo\r\nthree\r\n")
    assert checked_out(repo, taken(repo))[b"old.txt"] == ("file", b"one\r\ntwo\r\nthree\r\n")
    assert repo.git("cat-file", "-s", f"{taken(repo).snapshot}:old.txt") == "17"


def test_a_file_that_is_not_in_its_encoding_is_named_and_the_others_are_kept(repo: GitRepo) -> None:
    repo.commit({".gitattributes": "*.utf16 text working-tree-encoding=UTF-16\n"}, "attributes")
    (repo.path / "bad.utf16").write_bytes(b"a\0b")
    (repo.path / "good.py").write_text("1\n", encoding="utf-8")
    code = taken(repo)
    assert list(left_out(code)) == ["bad.utf16"]
    assert repo.git("show", f"{code.snapshot}:good.py") == "1"


def test_many_files_that_git_cannot_store_are_named_without_a_command_for_each(
    repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "PATIENCE", 40)
    repo.git("config", "filter.broken.clean", "false")
    repo.git("config", "filter.broken.required", "true")
    repo.commit({".gitattributes": "*.bad filter=broken\n"}, "attributes")
    for number in range(100):
        (repo.path / f"{number:03}.bad").write_text("x", encoding="utf-8")
    (repo.path / "zzz.py").write_text("1\n", encoding="utf-8")
    monkeypatch.setenv("GIT_TRACE2_EVENT", str(repo.path.parent / "trace"))
    code = taken(repo)
    monkeypatch.delenv("GIT_TRACE2_EVENT")
    assert {f"{number:03}.bad" for number in range(100)} <= set(left_out(code))
    assert (repo.path.parent / "trace").read_text("utf-8").count('"name":"update-index"') <= 80


@pytest.fixture
def lfs(repo: GitRepo) -> GitRepo:
    if shutil.which("git-lfs") is None:
        pytest.skip("git-lfs is not installed")
    repo.git("lfs", "install", "--local", "--skip-repo")
    repo.commit({".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "old.bin": "old"}, "lfs")
    return repo


def test_files_of_git_lfs_are_pointers_and_their_content_is_where_git_lfs_keeps_it(lfs: GitRepo) -> None:
    (lfs.path / "new.bin").write_bytes(b"new weights\0" * 100)
    (lfs.path / "old.bin").write_bytes(b"changed")
    code = is_whole(lfs)
    pointer = lfs.git("cat-file", "blob", f"{code.snapshot}:new.bin")
    assert pointer.startswith("version https://git-lfs.github.com/spec/v1\noid sha256:")
    oid = pointer.split("sha256:")[1].split()[0]
    stored = lfs.path / ".git" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    assert stored.read_bytes() == b"new weights\0" * 100
    assert lfs.git("lfs", "fsck", "--objects", str(code.snapshot)) == "Git LFS fsck OK"


# What is no file ----------------------------------------------------------------------------------------------------


def test_pipes_sockets_and_devices_are_passed_by_and_named_where_a_file_was(repo: GitRepo) -> None:
    repo.commit({"was-a-file": "1\n", "was-one-too": "1\n"}, "more")
    for name in ("was-a-file", "was-one-too"):
        (repo.path / name).unlink()
    os.mkfifo(repo.path / "was-a-file")
    os.mkfifo(repo.path / "pipe")
    server = socket.socket(socket.AF_UNIX)
    with contextlib.chdir(repo.path):
        server.bind("was-one-too")
    (repo.path / "new.py").write_text("1\n", encoding="utf-8")
    code = taken(repo)
    server.close()
    assert set(left_out(code)) == {"was-a-file", "was-one-too"}
    assert repo.git("show", f"{code.snapshot}:new.py") == "1"
    for name in ("was-a-file", "was-one-too", "pipe"):
        (repo.path / name).unlink()


def test_a_folder_that_cannot_be_read_is_named(repo: GitRepo, tmp_path: Path) -> None:
    (repo.path / "closed").mkdir()
    (repo.path / "closed" / "a.py").write_text("a", encoding="utf-8")
    (repo.path / "open.py").write_text("a", encoding="utf-8")
    (repo.path / "closed").chmod(0)
    words = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = run([*words, sys.executable, "-c", "import gittrack as gt\ngt.init()"], cwd=repo.path)
    (repo.path / "closed").chmod(0o755)
    assert done.stderr == "gittrack: warning: left out of the snapshot of your uncommitted work: closed/\n"
    assert only(repo).facts["code"]["omitted"] == [{"path": "closed/", "why": "cannot be read (Permission denied)"}]


def test_files_that_change_and_vanish_meanwhile_are_in_it_as_they_were_at_some_moment(repo: GitRepo) -> None:
    texts = {f"{letter * 9000}\n" for letter in "abc"}
    stop = threading.Event()

    def work() -> None:
        for number in range(10**9):
            if stop.is_set():
                return
            for text in texts:
                (repo.path / f"f{number % 7}.py").write_text(text, encoding="utf-8")
            with contextlib.suppress(FileNotFoundError):
                (repo.path / f"f{(number + 3) % 7}.py").unlink()

    worker = threading.Thread(target=work)
    worker.start()
    place = None
    try:
        for _ in range(8):
            place = open_repo(repo.path)
            code = capture.capture_code(place.git, place.settings)
            if code.snapshot:
                repo.git("archive", "--format=tar", "--output=/dev/null", code.snapshot)
    finally:
        stop.set()
        worker.join()
    assert place


# Limits -------------------------------------------------------------------------------------------------------------


def test_files_above_the_limits_are_left_out_and_counted(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "MAX_FILES", 50)
    for number in range(1060):
        (repo.path / f"{number:04}.txt").write_text("x", encoding="utf-8")
    code = taken(repo)
    assert code.snapshot
    assert len(repo.git("ls-tree", "--name-only", code.snapshot).splitlines()) == 51
    assert len(code.omitted) == 1010
    assert code.omitted[0].path == "0050.txt"
    script = "from gittrack import capture\ncapture.MAX_FILES = 50\nimport gittrack\ngittrack.init()"
    said = run([sys.executable, "-c", script], cwd=repo.path)
    assert said.stderr.endswith(": 0050.txt, 0051.txt, 0052.txt, 0053.txt, 0054.txt and 1005 more\n")
    recorded = only(repo).facts["code"]
    assert (len(recorded["omitted"]), recorded["omitted_more"]) == (1000, 10)
    assert recorded["omitted"][0]["why"] == "more than 50 files, or 256 MiB in all"


def test_more_than_the_size_in_all_is_left_out_and_what_fits_is_kept(
    repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "MAX_TOTAL", 10_000)
    sizes = {"a.dat": 6000, "b.dat": 6000, "c.dat": 3000, "d.dat": 20_000_000}
    for name, size in sizes.items():
        with (repo.path / name).open("wb") as file:
            file.truncate(size)
    assert set(left_out(taken(repo))) == {"b.dat", "d.dat"}


def test_a_huge_file_that_is_left_out_takes_no_room_from_the_others(repo: GitRepo) -> None:
    with (repo.path / "a-data.bin").open("wb") as file:
        file.truncate(capture.MAX_TOTAL + 1)
    (repo.path / "train.py").write_text("2\n", encoding="utf-8")
    (repo.path / "z.py").write_text("new\n", encoding="utf-8")
    code = taken(repo)
    assert list(left_out(code)) == ["a-data.bin"]
    assert repo.git("show", f"{code.snapshot}:z.py") == "new"


# Ignored files that were asked for ----------------------------------------------------------------------------------


def test_ignored_files_that_were_asked_for_are_in_it_but_no_secrets(repo: GitRepo) -> None:
    repo.commit({".gitignore": "local/\n*.vocab\n*.log\n"}, "ignore")
    repo.git("config", "track.snapshotInclude", "'local/**' *.vocab 'with space.log'")
    names = ["local/deep/a.yaml", "local/.env", "x/y.vocab", "train.log", "with space.log"]
    for name in names:
        (repo.path / name).parent.mkdir(parents=True, exist_ok=True)
        (repo.path / name).write_text(name, encoding="utf-8")
    code = taken(repo)
    assert code.dirty
    listing = repo.git("ls-tree", "-r", "--name-only", str(code.snapshot)).splitlines()
    assert listing == [".gitignore", "local/deep/a.yaml", "train.py", "with space.log", "x/y.vocab"]
    assert left_out(code) == {"local/.env": "its name says that it holds secrets"}


def test_a_setting_that_git_does_not_understand_is_named_and_training_goes_on(repo: GitRepo) -> None:
    for bad in ("':(nonsense)x'", "'not closed"):
        repo.git("config", "track.snapshotInclude", bad)
        (repo.path / "new.py").write_text("1\n", encoding="utf-8")
        code = taken(repo)
        assert left_out(code)[bad].startswith("track.snapshotInclude is not understood (")
        assert repo.git("show", f"{code.snapshot}:new.py") == "1"


# One tree, one commit -----------------------------------------------------------------------------------------------


def test_equal_trees_give_one_commit_from_any_clone_work_tree_umask_and_time(repo: GitRepo, tmp_path: Path) -> None:
    clone = GitRepo.clone(repo.path, tmp_path / "clone")
    repo.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    places = [repo, clone, GitRepo(tmp_path / "linked")]
    found = set()
    for at, (place, mask) in enumerate(zip(places, (0o022, 0o077, 0o002), strict=True)):
        before = os.umask(mask)
        try:
            (place.path / "new").mkdir()
            (place.path / "new" / "b.py").write_text("b", encoding="utf-8")
            (place.path / "train.py").write_text("2\n", encoding="utf-8")
        finally:
            os.umask(before)
        os.utime(place.path / "train.py", (10**9 * at, 10**9 * at))
        found.add(taken(place).snapshot)
    assert len(found) == 1


def test_the_snapshot_needs_nothing_that_git_may_prune(repo: GitRepo) -> None:
    first, second = (f"{word} of the file\n" * 50 for word in ("one version", "another"))
    for text in (first, second):
        (repo.path / "new.py").write_text(text, encoding="utf-8")
        repo.git("add", "new.py")
    (repo.path / "new.py").write_text(first, encoding="utf-8")  # whose object lies about, and no ref knows it
    code = taken(repo)
    repo.git("reset", "--quiet")
    repo.git("gc", "--quiet", "--prune=now")
    assert repo.git("show", f"{code.snapshot}:new.py") == first.strip()
    repo.git("update-ref", "refs/runs/r0123456789ab", str(code.snapshot))
    repo.fsck()


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    return tmp_path / "trace"


def test_in_a_partial_clone_no_command_of_ours_goes_to_the_network(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path, trace: Path
) -> None:
    bare_remote.git("config", "uploadpack.allowFilter", "true")
    repo.commit({f"d{n}/{m}.py": f"{n}{m}\n" for n in range(5) for m in range(5)}, "second")
    repo.commit({f"d{n}/{m}.py": f"{m}{n}!\n" for n in range(5) for m in range(5)}, "third")
    repo.git("push", "--quiet", "origin", "main")
    partial = GitRepo.clone(f"file://{bare_remote.path}", tmp_path / "partial", "--filter=blob:none", "--sparse")
    partial.git("sparse-checkout", "set", "d0")
    for name in ("d0/0.py", "d0/new.py"):
        (partial.path / name).write_text("changed\n", encoding="utf-8")
    (partial.path / "d0" / "1.py").unlink()
    assert "fetch" in trace.read_text("utf-8")  # what git fetches is seen here
    trace.unlink()
    for _ in range(2):
        partial.python("import gittrack as gt\ngt.init()\n")
    assert "fetch" not in trace.read_text("utf-8")
    assert partial.git("show", f"{only_snapshot(partial)}:d0/new.py") == "changed"


def only_snapshot(of: GitRepo) -> str:
    parents = {of.git("rev-parse", f"{ref}^") for ref in of.refs("refs/runs/")}
    assert len(parents) == 1
    return parents.pop()
