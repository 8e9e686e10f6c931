"""Runs push themselves when they have ended, if the user asked for it: together, silently, and never in the way."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gittrack.refname import RUNS
from tests.gitcmd import GitRepo
from tests.runs import ask, attempt, listed, record
from tests.servers.nginx import nginx
from tests.terminals import on_a_terminal
from tests.test_sending import add_hook, calls
from tests.test_sharing import running

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="the pushing process is found in /proc")


def until(condition: Callable[[], bool]) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def waiting(repo: GitRepo) -> list[str]:
    """Returns the runs that wait to be pushed."""
    folder = repo.path / ".git" / "gittrack" / "autopush"
    return sorted(os.listdir(folder)) if folder.exists() else []


def is_idle(repo: GitRepo) -> bool:
    """Tells whether nothing pushes in the background."""
    return not any("gittrack.autopush" in line for line in running(repo))


@pytest.fixture
def auto(repo: GitRepo, bare_remote: GitRepo) -> Iterator[GitRepo]:
    """`repo`, which pushes by itself after a tenth of a second; nothing of it runs when the test is over."""
    repo.git("config", "track.autoPush", "true")
    repo.git("config", "track.autoPushDelay", "0.1")
    yield repo
    until(lambda: is_idle(repo))


def test_a_run_is_pushed_when_it_has_ended_from_wherever_it_was_recorded(auto: GitRepo, bare_remote: GitRepo) -> None:
    record(auto, {"name": "python"})
    assert auto.track("run", "--name", "shell", "--", "true").returncode == 0
    auto.track("start", "--name", "steps")
    auto.track("finish")

    until(lambda: len(bare_remote.refs(RUNS)) == 3)
    until(lambda: is_idle(auto))

    assert bare_remote.refs(RUNS) == auto.refs(RUNS)
    assert waiting(auto) == []
    assert all(run["pushed"] for run in listed(auto))


def test_the_payloads_of_a_run_go_before_it(auto: GitRepo, bare_remote: GitRepo) -> None:
    record(auto, {"files": {"model.txt": "m" * 100_000}})

    until(lambda: len(bare_remote.refs(RUNS)) == 1)

    (payload,) = (path for path in (bare_remote.path / "lfs/objects").glob("??/??/*") if path.is_file())
    assert payload.read_text("ascii") == "m" * 100_000


def test_without_being_asked_for_nothing_is_pushed(repo: GitRepo, bare_remote: GitRepo) -> None:
    record(repo, {})

    assert is_idle(repo)
    assert waiting(repo) == []
    assert not (repo.path / ".git" / "gittrack" / "autopush.lock").exists()
    assert bare_remote.refs(RUNS) == {}


def test_runs_that_end_together_go_as_one_push(auto: GitRepo, bare_remote: GitRepo) -> None:
    auto.git("config", "track.autoPushDelay", "1.5")
    file = add_hook(bare_remote, "post-receive", "true")

    record(auto, *({} for _ in range(6)))

    until(lambda: len(bare_remote.refs(RUNS)) == 6 and is_idle(auto))
    assert calls(file) == 1


def test_a_run_that_ends_while_another_is_pushed_is_pushed_too(auto: GitRepo, bare_remote: GitRepo) -> None:
    file = add_hook(bare_remote, "pre-receive", "sleep 1")
    record(auto, {})
    until(file.exists)

    record(auto, {})

    until(lambda: len(bare_remote.refs(RUNS)) == 2)
    assert calls(file) == 2


def test_the_end_of_a_run_does_not_wait_for_the_push(auto: GitRepo, bare_remote: GitRepo) -> None:
    file = add_hook(bare_remote, "pre-receive", "sleep 2; exit 1")

    done = auto.python("import gittrack as gt\nwith gt.init() as run:\n    pass\n")

    assert bare_remote.refs(RUNS) == {}
    assert "push" not in done.stderr
    until(file.exists)
    until(lambda: is_idle(auto))
    assert len(waiting(auto)) == 1


def test_what_failed_is_silent_and_tried_again_by_a_later_command_less_and_less_often(
    auto: GitRepo, bare_remote: GitRepo
) -> None:
    away = bare_remote.path.rename(bare_remote.path.with_name("away.git"))
    lock = auto.path / ".git" / "gittrack" / "autopush.lock"
    [run] = record(auto, {"name": "one"})
    until(lambda: lock.exists() and lock.read_text("ascii") == "1\n")
    until(lambda: is_idle(auto))
    assert waiting(auto) == [run]

    away.rename(bare_remote.path)
    auto.git("config", "track.autoPushDelay", "60")
    ask(auto, "ls")
    assert is_idle(auto), "it is too early for another try"
    auto.git("config", "track.autoPushDelay", "0.1")
    long_ago = time.time() - 1
    os.utime(lock, (long_ago, long_ago))
    code, _, err = attempt(auto, "ls")

    assert (code, err) == (0, "")
    until(lambda: set(bare_remote.refs(RUNS)) == {RUNS + run})
    until(lambda: waiting(auto) == [])
    assert lock.read_text("ascii") == "0\n"


def test_uncommitted_files_wait_for_a_push_by_hand(auto: GitRepo, bare_remote: GitRepo) -> None:
    [clean] = record(auto, {"name": "clean"})
    (auto.path / "train.py").write_text("secret\n", encoding="utf-8")
    [dirty] = record(auto, {"name": "dirty"})

    until(lambda: set(bare_remote.refs(RUNS)) == {RUNS + clean})
    until(lambda: waiting(auto) == [])
    until(lambda: is_idle(auto))
    assert set(bare_remote.refs(RUNS)) == {RUNS + clean}

    auto.git("config", "track.publishSnapshots", "true")
    [other] = record(auto, {"name": "other"})
    until(lambda: set(bare_remote.refs(RUNS)) == {RUNS + clean, RUNS + other})
    assert ask(auto, "push") == f"pushed {dirty} dirty\n"


def test_the_first_code_that_a_remote_gets_waits_for_a_push_by_hand(auto: GitRepo, tmp_path: Path) -> None:
    lab = GitRepo.init(tmp_path / "lab.git", "--bare")
    auto.git("config", "track.remote", str(lab.path))
    [one] = record(auto, {"name": "one"})
    until(lambda: waiting(auto) == [])
    until(lambda: is_idle(auto))
    assert lab.refs() == {}

    assert ask(auto, "push") == f"pushed {one} one\n"
    [two] = record(auto, {"name": "two"})
    until(lambda: set(lab.refs()) == {RUNS + one, RUNS + two})


def test_a_push_that_is_killed_loses_nothing(auto: GitRepo, bare_remote: GitRepo) -> None:
    file = add_hook(bare_remote, "pre-receive", "sleep 1")
    [run] = record(auto, {"name": "one"})
    until(file.exists)
    mark = f"GIT_DIR={auto.path}/.git".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            mine = (
                mark in (folder / "environ").read_bytes() and b"gittrack.autopush" in (folder / "cmdline").read_bytes()
            )
        except OSError:
            continue
        if mine:
            os.kill(int(folder.name), signal.SIGKILL)
    until(lambda: is_idle(auto))
    assert waiting(auto) == [run]

    lock = auto.path / ".git" / "gittrack" / "autopush.lock"
    os.utime(lock, (1, 1))
    ask(auto, "ls")

    until(lambda: waiting(auto) == [])
    assert set(bare_remote.refs(RUNS)) == {RUNS + run}
    until(lambda: running(auto) == [])


def test_one_process_pushes_at_a_time(auto: GitRepo, bare_remote: GitRepo) -> None:
    folder = auto.path / ".git" / "gittrack"
    folder.mkdir(exist_ok=True)
    with (folder / "autopush.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        [run] = record(auto, {})
        assert is_idle(auto)
        assert waiting(auto) == [run]

    os.utime(folder / "autopush.lock", (1, 1))
    ask(auto, "ls")
    until(lambda: set(bare_remote.refs(RUNS)) == {RUNS + run})


def test_it_never_asks(auto: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    bare_remote.git("config", "http.receivepack", "true")
    asked, helper = tmp_path / "asked", tmp_path / "askpass"
    helper.write_text(f"#!/bin/sh\ntouch {asked}\necho x\n", "utf-8")
    helper.chmod(0o755)
    auto.git("config", "core.askPass", str(helper))
    script = f"export GIT_ASKPASS={helper} SSH_ASKPASS={helper} GIT_TERMINAL_PROMPT=1; exec git track run -- true"
    with nginx(bare_remote.path.parent) as server:
        auto.git("config", "remote.origin.url", f"http://127.0.0.1:{server.http}/{bare_remote.path.name}")

        code, output = on_a_terminal(["sh", "-c", script], cwd=auto.path)

        assert (code, b"Username" in output) == (0, False), output
        lock = auto.path / ".git" / "gittrack" / "autopush.lock"
        until(lambda: lock.read_text("ascii") == "1\n")
        until(lambda: is_idle(auto))
    assert len(waiting(auto)) == 1
    assert not asked.exists()


def test_the_users_own_files_are_not_loaded_by_it(auto: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    trap = "import pathlib\npathlib.Path('loaded').touch()\n"
    auto.commit({"subprocess.py": trap, "gittrack/__init__.py": trap}, "code: call it as the library is called")
    auto.track("run", "--name", "one", "--", "true")

    until(lambda: len(bare_remote.refs(RUNS)) == 1)
    assert not (auto.path / "loaded").exists()


def test_a_bad_setting_does_not_touch_training(auto: GitRepo, bare_remote: GitRepo) -> None:
    auto.git("config", "track.autoPush", "maybe")

    [run] = record(auto, {})

    assert set(auto.refs(RUNS)) == {RUNS + run}
    assert bare_remote.refs(RUNS) == {}
