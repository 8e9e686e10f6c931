"""`git track checkout`: the exact code of a run, and nothing else moves."""

from __future__ import annotations

import os
from pathlib import Path

from tests.gitcmd import GitRepo, run
from tests.runs import complaint, record

FILES = {
    "train.py": b"print('dirty')\n",
    "data/crlf.txt": b"a\r\nb\r\n",
    "data/every byte.bin": bytes(range(256)),
    "data/\u00fcml\u00e4ut.txt": b"no line end",
    "deep/er/empty": b"",
    ".hidden": b"x\n",
}


def files_in(top: Path) -> dict[str, tuple[bytes, bool]]:
    """Returns path to (content or link, executable) of all files but git's."""
    found = {}
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name != ".git"]
        for name in names:
            path = Path(folder, name)
            if name != ".git":
                content = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
                found[str(path.relative_to(top))] = (content, not path.is_symlink() and os.access(path, os.X_OK))
    return found


def state_of(repo: GitRepo) -> list[str]:
    """Returns everything that a user would be angry to see changed."""
    index = (repo.path / ".git" / "index").read_bytes().hex()
    commands = (("rev-parse", "HEAD"), ("symbolic-ref", "HEAD"), ("status", "--porcelain"), ("stash", "list"))
    said = [repo.git(*command, env={"GIT_OPTIONAL_LOCKS": "0"}) for command in commands]
    return [index, *said, repo.git("for-each-ref", "refs/heads", "refs/tags")]


def make_dirty(repo: GitRepo) -> None:
    """Changes, adds, stages and removes files, of every kind that git knows."""
    repo.commit({"removed.txt": "x\n", "moved.txt": "y\n", "staged.txt": "1\n", ".gitignore": "*.log\n"}, "more files")
    for name, content in FILES.items():
        path = repo.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (repo.path / "removed.txt").unlink()
    repo.git("mv", "moved.txt", "elsewhere.txt")
    (repo.path / "staged.txt").write_text("2\n", encoding="utf-8")
    repo.git("add", "staged.txt")
    (repo.path / "staged.txt").write_text("3\n", encoding="utf-8")
    (repo.path / "run.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    (repo.path / "run.sh").chmod(0o755)
    (repo.path / "link").symlink_to("data/crlf.txt")
    (repo.path / "dangling").symlink_to("nowhere")
    (repo.path / "ignored.log").write_text("not code\n", encoding="utf-8")


def test_the_exact_tree_comes_back_dirty_and_untracked_files_included(repo: GitRepo) -> None:
    make_dirty(repo)
    expected = files_in(repo.path)
    expected.pop("ignored.log")
    before = state_of(repo)

    record(repo, {"name": "dirty"})
    assert state_of(repo) == before
    repo.git("checkout", "--quiet", "--force", "HEAD")
    repo.git("clean", "-fdq")
    before = state_of(repo)
    done = repo.track("checkout", "dirty", "../code of it")

    assert files_in(repo.path.parent / "code of it") == expected
    assert state_of(repo) == before
    assert done.stdout == "../code of it\n"
    assert "git worktree remove '../code of it'" in done.stderr
    run(["sh", "-c", "git worktree remove '../code of it'"], cwd=repo.path)


def test_by_default_it_stands_beside_the_repository(repo: GitRepo) -> None:
    [run_id] = record(repo, {"name": "clean"})

    target = repo.track("checkout", "clean").stdout.strip()

    assert Path(target) == repo.path.parent / f"repo-{run_id}"
    assert files_in(Path(target)) == files_in(repo.path)
    assert repo.git("-C", target, "rev-parse", "HEAD") == repo.git("rev-parse", "HEAD")
    assert "exists already" in complaint(repo.track("checkout", "clean", check=False), exit_code=2)


def test_code_that_is_not_here_is_one_clear_error(repo: GitRepo) -> None:
    [run_id] = record(repo, {"name": "lost"})
    tip = repo.git("rev-parse", f"refs/runs/{run_id}")
    message = repo.git("log", "-1", "--format=%B", tip)
    missing = message.replace(repo.git("rev-parse", "HEAD"), "1234567890" * 4)
    orphan = repo.git("commit-tree", f"{tip}^{{tree}}", input=missing + "\n")
    repo.git("update-ref", f"refs/runs/{run_id}", orphan)

    error = complaint(repo.track("checkout", "lost", "../code", check=False), exit_code=3)

    assert error.splitlines()[0] == "error: the code of run 'lost' is not here"
    assert error.splitlines()[1] == f"cause: commit {'1234567890' * 4} is missing"
    assert not (repo.path.parent / "code").exists()


def test_a_run_without_code_and_a_bad_folder_are_errors(repo: GitRepo, empty_repo: GitRepo) -> None:
    record(empty_repo, {"name": "first"})
    (repo.path.parent / "full").mkdir()
    (repo.path.parent / "full" / "file").write_text("mine", encoding="utf-8")
    record(repo, {"name": "x"})

    done = empty_repo.track("checkout", "first", "../code", check=False)
    assert "Traceback" not in done.stderr
    complaint(repo.track("checkout", "x", "../full", check=False), exit_code=2)
    complaint(repo.track("checkout", "x", "../full/file/below", check=False), exit_code=128)
    complaint(repo.track("checkout", "nobody", check=False), exit_code=3)
    assert (repo.path.parent / "full" / "file").read_text(encoding="utf-8") == "mine"


def test_hooks_of_the_repository_do_not_run(repo: GitRepo) -> None:
    hook = repo.path / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch ../hook-ran\n", encoding="utf-8")
    hook.chmod(0o755)
    record(repo, {"name": "x"})

    repo.track("checkout", "x")

    assert not (repo.path.parent / "hook-ran").exists()


def test_in_a_folder_below_the_top_a_relative_path_means_what_it_says(repo: GitRepo) -> None:
    record(repo, {"name": "x"})
    below = repo.path / "below"
    below.mkdir()

    repo.track("checkout", "x", "../../code", cwd=below)

    assert files_in(repo.path.parent / "code") == files_in(repo.path)
