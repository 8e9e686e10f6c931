"""A git that talks to a remote is watched: on a terminal, by signals, and by its signs of life."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gittrack import vitals
from gittrack.vitals import Vitals
from tests.gitcmd import GitRepo
from tests.runs import ask, attempt, record
from tests.servers.nginx import PASSWORD, USER, nginx
from tests.servers.sshd import new_key, sshd
from tests.sharing import Host, host
from tests.terminals import on_a_terminal
from tests.test_sharing import arrives, fails, heavy, running

needs_proc = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux tells what a process does")


@pytest.fixture(params=["https", "ssh"])
def remote(request: pytest.FixtureRequest, repo: GitRepo, tmp_path: Path) -> Iterator[Host]:
    """The `origin` of `repo`, over a line that can go bad."""
    with host(request.param, tmp_path / "host") as found:
        found.introduce(repo)
        repo.git("push", "--quiet", "origin", "main")
        yield found


# Asking ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def asking(repo: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitRepo]:
    """A repository whose `origin` wants a password that nobody wrote down; yields the bare one."""
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "1")
    bare = GitRepo.init(tmp_path / "served" / "project.git", "--bare")
    bare.git("config", "http.receivepack", "true")
    with nginx(bare.path.parent) as server:
        repo.git("remote", "add", "origin", f"http://127.0.0.1:{server.http}/project.git")
        yield bare


@needs_proc
def test_on_a_terminal_git_asks_and_waits_for_the_answer(
    repo: GitRepo, asking: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [run] = record(repo, {"name": "one"})
    monkeypatch.setenv("GITTRACK_TIMEOUT", "0.6")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))

    code, output = on_a_terminal(
        ["git", "track", "push", "-y"],
        cwd=repo.path,
        keys=USER.encode() + b"\n",
        when=b"Username for",
        more=[(b"Password for", PASSWORD.encode() + b"\n")],
        pause=1.5,
    )

    assert (code, f"pushed {run} one" in output.decode()) == (0, True), output
    assert PASSWORD.encode() not in output
    assert output.count(b"Password for") == 1
    assert not [name for name in os.listdir(tmp_path / "temporary") if name.startswith("gittrack-")]
    assert running(repo) == []
    assert set(asking.refs("refs/runs/")) == {f"refs/runs/{run}"}


@needs_proc
def test_on_a_terminal_ssh_asks_for_the_passphrase(
    repo: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [run] = record(repo, {"name": "one"})
    bare = GitRepo.init(tmp_path / "served" / "project.git", "--bare")
    monkeypatch.setenv("GITTRACK_TIMEOUT", "1")
    with sshd(tmp_path / "ssh") as server:
        for name in ("key", "key.pub"):
            (server.folder / name).unlink()
        new_key(server.folder / "key", passphrase="correct horse")
        (server.folder / "authorized_keys").write_bytes((server.folder / "key.pub").read_bytes())
        repo.git("config", "core.sshCommand", server.command)
        repo.git("remote", "add", "origin", f"ssh://127.0.0.1:{server.port}{bare.path}")

        code, output = on_a_terminal(
            ["git", "track", "push", "-y"],
            cwd=repo.path,
            keys=b"correct horse\n",
            when=b"passphrase for",
            more=[(b"passphrase for", b"correct horse\n")],  # ssh is called to look and to push
            pause=1.8,
        )

    assert (code, f"pushed {run} one" in output.decode()) == (0, True), output


@pytest.mark.parametrize("command", ["git track push </dev/null", "set -m; git track push & wait $!"])
def test_nothing_asks_where_nobody_can_answer_even_if_a_terminal_is_near(
    repo: GitRepo, asking: GitRepo, command: str
) -> None:
    record(repo, {"name": "one"})

    code, output = on_a_terminal(["sh", "-c", command], cwd=repo.path)

    assert code == 4, output
    assert b"\nUsername for" not in output
    assert b"error: cannot push to 'origin'" in output
    assert running(repo) == []


# Ending ---------------------------------------------------------------------------------------------------------------


def when(condition: Callable[[], bool]) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("words", ["push", "push </dev/null"])
def test_ctrl_c_ends_a_push_and_the_next_one_brings_everything(repo: GitRepo, remote: Host, words: str) -> None:
    run = heavy(repo)
    assert remote.line
    remote.line.limit = 100_000

    code, output = on_a_terminal(
        ["sh", "-c", f"exec git-track {words}"], cwd=repo.path, keys=b"\x03", when=b"publishing", pause=1.5
    )

    assert remote.line.stuck.is_set()
    assert (code, output.count(b"error: ")) == (130, 1), output
    assert b"error: interrupted" in output
    assert running(repo) == []
    remote.line.heal()
    arrives(repo, remote, run)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_us_ends_git_too(repo: GitRepo, remote: Host, number: signal.Signals) -> None:
    run = heavy(repo)
    assert remote.line
    remote.line.limit = 100_000
    process = subprocess.Popen(["git-track", "push"], cwd=repo.path, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    when(remote.line.stuck.is_set)
    assert running(repo) != []

    process.send_signal(number)
    time.sleep(0.05)
    process.send_signal(number)  # `git track` passes on what its group got

    assert process.communicate(timeout=30)[1].count(b"\n") == 1  # what is published, and no traceback
    assert process.returncode == -number
    assert running(repo) == []
    remote.line.heal()
    arrives(repo, remote, run)


def test_what_a_remote_took_around_a_ref_that_breaks_the_line_is_called_pushed(
    repo: GitRepo, bare_remote: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = sorted(record(repo, {"name": "one"}, {"name": "two"}, {"name": "three"}))
    monkeypatch.setenv("GITTRACK_REFS_PER_PUSH", "1")
    hook = bare_remote.path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\ntest "$1" != refs/runs/{ids[1]} || kill -9 $PPID\n', encoding="utf-8")
    hook.chmod(0o755)

    code, out, err = attempt(repo, "push")

    assert (code, out.split()[1::3]) == (4, [ids[0], ids[2]])
    assert "error: 'origin' refused 1 of 3 runs" in err
    assert set(bare_remote.refs("refs/runs/")) == {f"refs/runs/{ids[0]}", f"refs/runs/{ids[2]}"}
    hook.unlink()
    assert ask(repo, "push").split()[1::3] == ids[1:2]


# Progress -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_long_transfer_on_a_terminal_shows_how_far_it_is(repo: GitRepo, remote: Host, tmp_path: Path) -> None:
    run = heavy(repo)
    clone = remote.clone(tmp_path / "clone")
    assert remote.line
    remote.line.per_second = 120_000

    code, output = on_a_terminal(["git", "track", "push"], cwd=repo.path)
    assert code == 0
    assert b"\rWriting objects: " in output
    assert output.rstrip().splitlines()[-1].strip() == f"pushed {run} heavy".encode()

    assert on_a_terminal(["git", "track", "pull", "-q"], cwd=clone.path) == (0, b"")
    assert clone.refs("refs/runs/") == repo.refs("refs/runs/")


def test_a_short_transfer_shows_nothing_and_quiet_says_nothing(repo: GitRepo, bare_remote: GitRepo) -> None:
    [run] = record(repo, {"name": "one"})

    code, output = on_a_terminal(["git", "track", "push"], cwd=repo.path)

    assert (code, output) == (0, f"pushed {run} one\r\n".encode())
    for command in ("push", "pull", "fetch"):
        assert attempt(repo, command, "--quiet") == (0, "", "")


# Signs of life --------------------------------------------------------------------------------------------------------


@needs_proc
def test_a_remote_that_says_it_is_at_work_is_waited_for(
    repo: GitRepo, bare_remote: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    [run] = record(repo, {"name": "one"})
    hook = bare_remote.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nsleep 3.5\n", encoding="utf-8")
    hook.chmod(0o755)
    monkeypatch.setenv("GITTRACK_TIMEOUT", "2")

    bare_remote.git("config", "receive.keepAlive", "0")
    assert "it gave no sign of life for 2 seconds" in fails(repo, "push")
    bare_remote.git("config", "receive.keepAlive", "1")
    assert ask(repo, "push") == f"pushed {run} one\n"


@needs_proc
def test_bytes_that_git_moves_are_a_sign_of_life_and_waiting_is_none(tmp_path: Path) -> None:
    with subprocess.Popen(
        ["git", "hash-object", "--stdin"], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        assert process.stdin
        time.sleep(0.3)
        first = vitals.look(process.pid, now=0)
        time.sleep(0.3)
        second = vitals.look(process.pid, now=1)
        process.stdin.write(b"x" * 10_000)
        process.stdin.flush()
        time.sleep(0.3)
        third = vitals.look(process.pid, now=2)
        [(pid, start)] = vitals.family(process.pid)
        assert vitals.is_there(pid, start)
        process.stdin.close()
    assert first and second and third  # noqa: PT018
    assert not second.shows_life_since(first)
    assert third.shows_life_since(second)
    assert not vitals.is_there(pid, start)
    assert vitals.look(process.pid, now=3) is None


def test_where_the_system_tells_nothing_what_git_prints_is_the_sign_of_life(
    repo: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = heavy(repo)
    monkeypatch.setattr(vitals, "_PROC", tmp_path)
    monkeypatch.setenv("GITTRACK_TIMEOUT", "1")
    with host("git", tmp_path / "host") as remote:
        remote.introduce(repo)
        assert remote.line
        remote.line.limit = 100_000
        assert "it gave no sign of life for 1 seconds" in fails(repo, "push")
        remote.line.heal()
        arrives(repo, remote, run)


def test_work_counts_and_looking_whether_something_came_does_not() -> None:
    before = Vitals(time=10, work=5, cpu=1, unsent=("00000000:00000000",), connecting=False, asking=False)

    assert not replace(before, time=15).shows_life_since(before)
    assert not replace(before, time=15, cpu=1.01).shows_life_since(before)
    assert replace(before, time=15, cpu=4).shows_life_since(before)
    assert replace(before, time=15, work=6).shows_life_since(before)
    assert replace(before, time=15, unsent=("00000010:00000000",)).shows_life_since(before)
    assert os.getpid() in {pid for pid, _ in vitals.family(os.getpid())} or not Path("/proc").exists()
