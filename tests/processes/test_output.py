"""The output of a script that calls `init`: in the log of its run, and on its terminal as if nobody listened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.gitcmd import TIMEOUT_SECONDS, GitRepo
from tests.reader import Recorded, only, runs
from tests.terminals import on_a_terminal

BEGIN = """
import os, signal, subprocess, sys, time
print("before")
import gittrack as gt
run = gt.init(name="this")
"""


def script(repo: GitRepo, text: str) -> Path:
    file = repo.path.parent / "prints.py"
    file.write_text(BEGIN + textwrap.dedent(text), encoding="utf-8")
    return file


def run(repo: GitRepo, text: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, script(repo, text)]
    return subprocess.run(command, cwd=repo.path, capture_output=True, check=False, timeout=TIMEOUT_SECONDS, **options)  # type: ignore[call-overload, no-any-return]


def log_of(found: Recorded) -> bytes | None:
    return found.raw("output.log")


def test_what_python_and_its_children_print_is_in_the_log_and_where_it_went_before(repo: GitRepo) -> None:
    done = run(
        repo,
        """
        print("from python")
        print("to stderr", file=sys.stderr, flush=True)
        subprocess.run(["echo", "from a child"])
        os.write(1, b"from the descriptor\\n")
        os.system("echo from a shell >&2")
        run.finish()
        print("after")
        """,
    )
    assert done.returncode == 0
    assert done.stdout == b"before\nfrom python\nfrom a child\nfrom the descriptor\nafter\n" or sorted(
        done.stdout.splitlines()
    ) == sorted(b"before\nfrom python\nfrom a child\nfrom the descriptor\nafter\n".splitlines())
    assert done.stderr == b"to stderr\nfrom a shell\n"
    found = (log_of(only(repo)) or b"").splitlines()
    assert sorted(found) == sorted(
        [b"from python", b"to stderr", b"from a child", b"from the descriptor", b"from a shell"]
    )


def test_one_stream_for_both_stays_in_order(repo: GitRepo) -> None:
    command = [
        sys.executable,
        "-u",
        str(script(repo, "for n in range(500): print(n, file=(sys.stdout, sys.stderr)[n % 2])")),
    ]
    done = subprocess.run(command, cwd=repo.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    lines = [b"%d" % n for n in range(500)]
    assert done.stdout.splitlines() == [b"before", *lines]
    assert (log_of(only(repo)) or b"").splitlines() == lines


def test_a_file_that_takes_the_output_has_all_of_it_in_order(repo: GitRepo, tmp_path: Path) -> None:
    out = tmp_path / "job.out"
    with out.open("wb") as file:
        command = [sys.executable, str(script(repo, "for n in range(5000): print(n)"))]
        subprocess.run(command, cwd=repo.path, stdout=file, stderr=file, check=True)
    assert out.read_bytes().splitlines() == [b"before", *(b"%d" % n for n in range(5000))]


def test_a_terminal_stays_one_and_shows_the_same(repo: GitRepo) -> None:
    text = """
    assert sys.stdout.isatty() and sys.stderr.isatty()
    print(os.get_terminal_size().columns, "columns")
    for n in range(101):
        print(f"\\r{n}%", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(input("name? "))
    """
    code, screen = on_a_terminal(
        [sys.executable, str(script(repo, text))], cwd=repo.path, keys=b"Ada\n", when=b"name? ", columns=97
    )
    assert code == 0
    assert b"97 columns\r\n" in screen
    assert b"".join(b"\r%d%%" % n for n in range(101)) + b"\r\n" in screen
    assert b"Ada\r\n" in screen
    found = log_of(only(repo)) or b""
    assert found.splitlines()[:2] == [b"97 columns", b"100%"]
    assert found.count(b"%") == 1


def test_ctrl_c_on_a_terminal_reaches_the_script_and_what_it_says_then_is_shown(repo: GitRepo) -> None:
    text = """
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("stopping")
        raise
    """
    code, screen = on_a_terminal([sys.executable, str(script(repo, text))], cwd=repo.path, keys=b"\x03", when=b"ready")
    assert code == -signal.SIGINT
    assert b"stopping" in screen
    assert screen.rstrip().endswith(b"KeyboardInterrupt") or b"KeyboardInterrupt" in screen
    found = only(repo)
    assert (found.status, b"stopping" in (log_of(found) or b"")) == ("interrupted", True)


LAST_WORDS = {
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "a crash in C": "import ctypes; ctypes.string_at(0)",
    "an exit without a word": "os._exit(3)",
}


@pytest.mark.parametrize("how", LAST_WORDS)
def test_the_last_words_of_a_process_that_dies_are_shown_and_kept(repo: GitRepo, how: str) -> None:
    text = "import faulthandler; faulthandler.enable()\nfor n in range(3000): print(n)\nsys.stdout.flush()\n"
    done = run(repo, text + LAST_WORDS[how])
    assert done.stdout.splitlines() == [b"before", *(b"%d" % n for n in range(3000))]
    assert (b"Segmentation fault" in done.stderr) == (how == "a crash in C")
    repo.track("ls")
    found = only(repo)
    assert found.status == "crashed"
    kept = (log_of(found) or b"").splitlines()
    assert kept[:3000] == [b"%d" % n for n in range(3000)]
    assert any(b"Segmentation fault" in line for line in kept) == (how == "a crash in C")


def test_an_error_that_nobody_caught_is_in_the_log(repo: GitRepo) -> None:
    done = run(repo, "raise ValueError('bad data')")
    assert b"ValueError: bad data" in done.stderr
    assert b"ValueError: bad data" in (log_of(only(repo)) or b"")


def test_a_reader_that_goes_away_is_felt_as_without_us(repo: GitRepo) -> None:
    file = script(repo, "for n in range(10_000_000): print(n)")
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" "{file}" | head -n 3'],
        cwd=repo.path,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == b"before\n0\n1\n"
    assert b"BrokenPipeError" in done.stderr
    assert only(repo).status == "failed"


def test_output_goes_on_though_the_copier_was_killed(repo: GitRepo) -> None:
    done = run(
        repo,
        """
        print("first", flush=True)
        import time
        time.sleep(0.5)  # what the copier holds in its hands when it is killed goes with it
        from pathlib import Path
        ours = str(os.getpid())
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\\0")
                if any(word.endswith(b"printed.py") for word in words):
                    ends = {os.readlink(fd) for fd in (folder / "fd").iterdir()}
                    if os.readlink(f"/proc/{ours}/fd/1") in ends:
                        os.kill(int(folder.name), signal.SIGKILL)
            except OSError:  # it ended meanwhile
                continue
        for n in range(20_000):
            print(n)
        sys.stdout.flush()
        """,
    )
    assert done.returncode == 0, done.stderr
    expected = b"before\nfirst\n" + b"".join(b"%d\n" % n for n in range(20_000))
    assert sorted(done.stdout) == sorted(expected)  # nothing is lost; what was under way then may come a little later
    assert only(repo).status == "finished"


def test_a_forked_child_that_lives_on_holds_nobody_up(repo: GitRepo) -> None:
    begun = time.monotonic()
    file = script(repo, 'if os.fork() == 0:\n    time.sleep(4); print("late"); os._exit(0)\nprint("parent")')
    with (repo.path.parent / "out").open("wb") as out:
        subprocess.run([sys.executable, file], cwd=repo.path, stdout=out, check=True)
        assert time.monotonic() - begun < 4
    assert log_of(only(repo)) == b"parent\n"


def test_a_script_that_waits_for_all_its_children_does_not_wait_for_the_copier(repo: GitRepo) -> None:
    done = run(repo, "try:\n    while True: os.wait()\nexcept ChildProcessError:\n    print('none left')")
    assert done.stdout == b"before\nnone left\n"


def test_each_of_several_runs_has_its_own_log(repo: GitRepo) -> None:
    done = run(
        repo,
        """
        for n in range(3):
            print("in", n)
            run.finish()
            print("between")
            run = gt.init(name=f"run{n}")
        print("last")
        """,
    )
    assert done.returncode == 0
    assert [log_of(one) for one in runs(repo)] == [b"in 0\n", b"in 1\n", b"in 2\n", b"last\n"]


def test_it_can_be_switched_off(repo: GitRepo) -> None:
    repo.git("config", "track.output", "false")
    done = run(repo, "print(os.path.sameopenfile(1, int(os.environ['OUT'])))", env={**os.environ, "OUT": "1"})
    assert done.stdout == b"before\nTrue\n"
    assert log_of(only(repo)) is None


def test_under_git_track_run_the_output_is_recorded_once(repo: GitRepo) -> None:
    file = script(repo, "print('training')")
    repo.track("run", "--", sys.executable, str(file))
    assert log_of(only(repo)) == b"before\ntraining\n"


def test_streams_that_are_no_descriptors_are_heard(repo: GitRepo) -> None:
    done = run(
        repo,
        """
        class Cell:
            def __init__(self): self.text = ""
            def write(self, text): self.text += text; return len(text)
            def flush(self): pass
        run.finish()
        cell, terminal = Cell(), (sys.stdout, sys.stderr)
        sys.stdout = sys.stderr = cell
        run = gt.init(name="cell")
        print("in a cell")
        run.finish()
        print("later")
        sys.stdout, sys.stderr = terminal
        assert cell.text == "in a cell\\nlater\\n", cell.text
        """,
    )
    assert done.returncode == 0, done.stderr
    assert log_of(runs(repo)[-1]) == b"in a cell\n"


def test_nothing_is_left_running(repo: GitRepo) -> None:
    done = run(repo, "print('x')\nprint(os.readlink('/proc/self/fd/1'))")
    pipe = done.stdout.splitlines()[-1].decode()
    time.sleep(0.2)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            links = {os.readlink(fd) for fd in (folder / "fd").iterdir()}
        except OSError:
            continue
        assert pipe not in links


def test_a_script_ends_as_fast_as_without_us(repo: GitRepo) -> None:
    file = script(repo, "print('x')")
    took = []
    for _ in range(3):
        begun = time.monotonic()
        subprocess.run([sys.executable, file], cwd=repo.path, capture_output=True, check=True)
        took.append(time.monotonic() - begun)
    assert min(took) < 1.9  # nobody waits for an answer that does not come
