"""Repositories of other people, of several people, and on a disk that nobody may write to."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo, run
from tests.places.using import SCRIPT, state_of, store
from tests.reader import named, only, runs

ADA, BOB, TEAM = 54_321, 54_322, 54_320

CRASH = """
import os, sys
import gittrack as gt

run = gt.init(name=sys.argv[1], params={"lr": 0.1})
for step in range(3):
    gt.log({"loss": 1 / (step + 1)}, step=step)
run.log_artifact("train.py")
run._writer.sync()
os.kill(os.getpid(), 9)
"""


def be(person: int, home: Path, *words: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a command as another user of this machine, in their own home."""
    groups = ["--groups", str(TEAM)] if person in (ADA, BOB) else ["--clear-groups"]
    env = {
        "HOME": str(home / str(person)),
        "XDG_DATA_HOME": str(home / str(person) / "data"),
        "XDG_CONFIG_HOME": str(home / str(person) / "config"),
        "GIT_CONFIG_GLOBAL": str(home / str(person) / "gitconfig"),
        "GIT_CEILING_DIRECTORIES": str(home),
        "TMPDIR": str(home / str(person)),
        "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    become = ["setpriv", f"--reuid={person}", f"--regid={person}", *groups, "sh", "-c", 'umask 077; exec "$@"', "-"]
    return run([*become, *words], cwd=cwd, env=env, check=check)


@pytest.fixture
def world() -> Iterator[Path]:
    """A folder in which every user of the machine may go about, with a home for each of two."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can be several people")
    home = Path(tempfile.mkdtemp(prefix="people-"))
    home.chmod(0o755)
    for person in (ADA, BOB):
        (home / str(person)).mkdir()
        config = home / str(person) / "gitconfig"
        config.write_text(f"[user]\n\tname = {person}\n\temail = {person}@example.org\n", encoding="utf-8")
        for path in (home / str(person), config):
            os.chown(path, person, person)
    (home / "bin").mkdir()
    try:
        a_python_for_everybody(home)
        yield home
    finally:
        shutil.rmtree(home)


def a_python_for_everybody(home: Path) -> None:
    """Puts `python` and `git-track` where other users can run them: ours may stand in a home that is closed to them."""
    for python in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")):
        for name, words in (("python", ""), ("git-track", "-m gittrack ")):
            (home / "bin" / name).write_text(f"#!/bin/sh\nexec '{python}' {words}\"$@\"\n", encoding="utf-8")
            (home / "bin" / name).chmod(0o755)
        if be(ADA, home, "python", "-c", "import gittrack.cli, yaml", cwd=home, check=False).returncode == 0:
            return
    pytest.skip("there is no Python here that another user can run")


def belongs_to(path: Path, person: int) -> None:
    for each in [path, *path.rglob("*")]:
        os.chown(each, person, person, follow_symlinks=False)


# Somebody else's ----------------------------------------------------------------------------------------------------


def test_in_a_repository_of_another_user_training_goes_on_and_the_hint_of_git_is_said_once(world: Path) -> None:
    repo = GitRepo.init(world / "theirs")
    repo.commit({"train.py": "1\n"}, "begin")
    before = state_of(repo)
    belongs_to(repo.path, ADA)

    done = be(BOB, world, "python", "-c", SCRIPT + "gt.init(name='again').finish()\n", cwd=repo.path)
    command = be(BOB, world, "git", "track", "run", "--", "echo", "hello", cwd=repo.path)
    listing = be(BOB, world, "git", "track", "ls", cwd=repo.path, check=False)

    assert done.stdout == "trained\n"
    hint = f"git config --global --add safe.directory {repo.path}"
    assert done.stderr.count("\n") == 1
    assert done.stderr.count(hint) == 1
    assert (command.stdout, command.stderr.count(hint)) == ("hello\n", 1)
    assert listing.returncode == 128
    assert listing.stderr.splitlines()[1].startswith("cause: detected dubious ownership")
    belongs_to(repo.path, os.geteuid())
    assert {key: value for key, value in state_of(repo).items() if key != "names"} == {
        key: value for key, value in before.items() if key != "names"
    }
    assert not (repo.path / ".git" / "gittrack").exists()


def test_a_run_in_a_repository_of_another_user_comes_home_where_it_is_trusted(world: Path) -> None:
    repo = GitRepo.init(world / "theirs")
    repo.commit({"train.py": "1\n"}, "begin")
    belongs_to(repo.path, ADA)
    be(BOB, world, "python", "-c", SCRIPT, cwd=repo.path)

    for trusted in (repo.path, repo.path / ".git"):
        be(BOB, world, "git", "config", "--global", "--add", "safe.directory", str(trusted), cwd=repo.path)
    readable = be(BOB, world, "python", "-c", SCRIPT, cwd=repo.path)
    be(BOB, world, "git", "clone", "--quiet", repo.path, world / str(BOB) / "clone", cwd=world)
    clone = world / str(BOB) / "clone"
    adopted = be(BOB, world, "git", "track", "import", "--adopt", cwd=clone)
    rest = be(BOB, world, "git", "track", "import", "--adopt", "--all", cwd=clone)

    assert "nothing can be recorded in" in readable.stderr
    assert "Permission denied" in readable.stderr
    assert (adopted.stdout.count("adopted"), rest.stdout.count("adopted")) == (1, 1)


def test_a_run_that_another_user_records_right_now_does_not_hide_the_others(world: Path) -> None:
    repo = GitRepo.init(world / "theirs")
    repo.commit({"train.py": "1\n"}, "begin")
    belongs_to(repo.path, ADA)
    be(BOB, world, "git", "config", "--global", "--add", "safe.directory", str(repo.path), cwd=world)
    be(ADA, world, "python", "-c", f"import os\nos.umask(0o022)\n{SCRIPT}", cwd=repo.path)
    live = "import os\nos.umask(0o022)\nimport gittrack as gt\ngt.init(name='live')\nos.kill(os.getpid(), 9)\n"
    be(ADA, world, "python", "-c", live, cwd=repo.path, check=False)

    listing = be(BOB, world, "git", "track", "ls", cwd=repo.path)

    assert "by-script" in listing.stdout
    assert "while it is recorded" in listing.stderr
    assert "cause: Permission denied" in listing.stderr


# Everybody's --------------------------------------------------------------------------------------------------------


@pytest.fixture
def shared_repo(world: Path) -> GitRepo:
    """A repository in which a group works, made with `core.sharedRepository=group`."""
    repo = GitRepo.init(world / "ours", "--shared=group")
    repo.commit({"train.py": "1\n"}, "begin")
    for each in [repo.path, *repo.path.rglob("*")]:
        os.chown(each, ADA, TEAM)
    repo.path.chmod(0o2775)
    for person in (ADA, BOB):
        be(person, world, "git", "config", "--global", "--add", "safe.directory", str(repo.path), cwd=world)
    run(["git", "config", "--global", "--add", "safe.directory", str(repo.path)], cwd=world)
    return repo


def wrong_rights(repo: GitRepo) -> list[str]:
    """Returns what of the git directory the group can not read, and folders in which it cannot write."""
    found = []
    for path in (repo.path / ".git").rglob("*"):
        status = path.stat()
        wanted = 0o2070 if path.is_dir() else 0o040
        if status.st_mode & wanted != wanted or status.st_gid != TEAM:
            found.append(f"{path.relative_to(repo.path)} {status.st_mode:o} {status.st_gid}")
    return sorted(found)


def test_two_people_record_in_one_repository_whatever_their_umask(world: Path, shared_repo: GitRepo) -> None:
    before = wrong_rights(shared_repo)
    for person in (ADA, BOB, ADA, BOB):
        (shared_repo.path / "train.py").write_text(f"{person}\n", encoding="utf-8")
        done = be(person, world, "python", "-c", SCRIPT, cwd=shared_repo.path)
        assert (done.stdout, done.stderr) == ("trained\n", "")
        be(person, world, "git", "track", "tag", "@", f"by-{person}", cwd=shared_repo.path)
    assert wrong_rights(shared_repo) == before
    assert {found.record["tags"][0] for found in runs(shared_repo)} == {f"by-{ADA}", f"by-{BOB}"}
    be(BOB, world, "git", "gc", "--quiet", cwd=shared_repo.path)
    assert wrong_rights(shared_repo) == before
    shared_repo.fsck()
    be(ADA, world, "git", "track", "fsck", cwd=shared_repo.path)


@pytest.mark.parametrize(("first", "second"), [(ADA, BOB), (BOB, ADA)])
def test_what_one_left_when_they_crashed_the_other_seals(
    world: Path, shared_repo: GitRepo, first: int, second: int
) -> None:
    before = wrong_rights(shared_repo)
    died = be(first, world, "python", "-c", CRASH, "lost", cwd=shared_repo.path, check=False)
    assert died.returncode == -signal.SIGKILL
    assert wrong_rights(shared_repo) == before

    listing = be(second, world, "git", "track", "ls", cwd=shared_repo.path)

    assert "recovered run lost" in listing.stderr
    found = only(shared_repo)
    assert (found.status, found.values("loss"), found.raw("artifacts/train.py")) == (
        "crashed",
        [1.0, 0.5, 1 / 3],
        b"1\n",
    )
    assert list((shared_repo.path / ".git" / "gittrack" / "live").iterdir()) == []
    assert wrong_rights(shared_repo) == before
    shared_repo.fsck()


def test_the_other_may_edit_a_run_that_is_open(world: Path, shared_repo: GitRepo) -> None:
    ident = be(ADA, world, "git", "track", "start", "--name", "open", cwd=shared_repo.path).stdout.strip()
    be(BOB, world, "git", "track", "tag", ident, "seen", cwd=shared_repo.path)
    be(BOB, world, "git", "track", "add", "--run", ident, "-m", "loss=1", cwd=shared_repo.path)
    be(ADA, world, "git", "track", "add", "--run", ident, "-m", "loss=2", cwd=shared_repo.path)
    be(BOB, world, "git", "track", "finish", "--run", ident, cwd=shared_repo.path)
    found = named(shared_repo, "open")
    assert (found.record["tags"], found.values("loss")) == (["seen"], [1.0, 2.0])


def test_packs_of_several_people_are_merged_by_any_of_them(world: Path, shared_repo: GitRepo) -> None:
    script = "import gittrack as gt\nfor number in range(12):\n    gt.init().finish()\n"
    for person in (ADA, BOB):
        be(person, world, "python", "-c", script, cwd=shared_repo.path)
    assert len(runs(shared_repo)) == 24
    assert len(list((shared_repo.path / ".git" / "objects" / "pack").glob("*.pack"))) < 20
    shared_repo.fsck()


# Nobody's -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[GitRepo]:
    """A dirty repository on a file system that is mounted read-only."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if run(["mount", "-t", "tmpfs", "none", disk], cwd=tmp_path, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        repo = GitRepo.init(disk / "repo")
        repo.commit({"train.py": "1\n"}, "begin")
        (repo.path / "train.py").write_text("changed\n", encoding="utf-8")
        run(["mount", "-o", "remount,ro", disk], cwd=tmp_path)
        yield repo
    finally:
        run(["umount", disk], cwd=tmp_path)


def test_on_a_disk_that_is_read_only_training_goes_on_and_the_code_is_known(
    read_only_disk: GitRepo, tmp_path: Path
) -> None:
    repo = read_only_disk
    before = state_of(repo)
    done = run([sys.executable, "-c", SCRIPT], cwd=repo.path)
    command = run(["git", "track", "run", "--name", "by-command", "--", "echo", "hello"], cwd=repo.path)

    assert (done.stdout, command.stdout) == ("trained\n", "hello\n")
    assert (
        done.stderr == f"gittrack: warning: nothing can be recorded in '{repo.path / '.git'}' (Read-only file system)\n"
    )
    assert state_of(repo) == before
    for found in runs(store()):
        assert found.facts["code"]["commit"] == repo.git("rev-parse", "main")
        assert b"+changed" in (found.raw("code.patch") or b"")
    listing = run(["git", "track", "ls"], cwd=repo.path)
    assert "no runs yet" in listing.stderr
    assert "2 run(s) of this repository" in run(["git", "track", "status"], cwd=repo.path).stdout
    clone = GitRepo.clone(repo.path, tmp_path / "clone")
    refused = run(["git", "track", "import", "--adopt"], cwd=repo.path, check=False)
    assert refused.returncode == 128
    assert refused.stderr.startswith("error: ")
    assert clone.track("import", "--adopt").stdout.count("adopted") == 2
