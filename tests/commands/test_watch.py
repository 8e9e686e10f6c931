"""`git track watch`: what is seen of runs while they go, and what it costs."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gittrack import output
from gittrack import repo as opening
from gittrack.commands import watch
from tests.gitcmd import TIMEOUT_SECONDS, GitRepo
from tests.runs import ask, attempt, listed, record
from tests.terminals import on_a_terminal

_TRAIN = """
import sys, time
import gittrack as gt

name, rate, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
run = gt.init(name=name)
run.define_metric("acc", goal="max")
start, step = time.monotonic(), 0
while time.monotonic() < start + seconds:
    run.log({"loss": 1 / (step + 1), "acc": step}, step=step)
    step += 1
    time.sleep(max(0, start + step / rate - time.monotonic()))
run.finish()
"""


@contextlib.contextmanager
def training(repo: GitRepo, name: str, *, rate: float, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """A process that logs `rate` points a second, once the first is there."""
    process = subprocess.Popen([sys.executable, "-c", _TRAIN, name, str(rate), str(seconds)], cwd=repo.path)
    try:
        end = time.monotonic() + TIMEOUT_SECONDS
        while not any(run["name"] == name and run["points"] for run in listed(repo)) and time.monotonic() < end:
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def world(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> watch.World:
    """All that is recorded in the repository, nothing yet."""
    monkeypatch.chdir(repo.path)
    return watch.World(opening.open_repo(), None)


def screen(world: watch.World, *metrics: str, width: int = 79, height: int = 23) -> list[str]:
    """Returns what a terminal would show."""
    show = watch.Live(output.Screen(stream=io.TextIOWrapper(io.BytesIO(), "utf-8")), metrics)
    return show.lines(world, width, height)


def add(repo: GitRepo, run: str, step: int, **values: float) -> None:
    ask(repo, "add", "--run", run, "--step", str(step), *(w for k, v in values.items() for w in ("-m", f"{k}={v}")))


def begin(repo: GitRepo, name: str) -> str:
    return ask(repo, "start", "--name", name).strip()


def test_a_run_that_is_recorded_shows_its_step_its_values_and_its_curve(repo: GitRepo, world: watch.World) -> None:
    run = begin(repo, "calm")
    for step in range(4):
        add(repo, run, step * 10, loss=4 - step)
    world.look()

    lines = screen(world)
    assert lines[0].split() == ["NAME", "STATUS", "STEP", "TIME", "loss"]
    assert lines[1].split()[:3] == ["calm", "running", "30"]
    assert lines[1].split()[-2:] == ["1", "█▆▃▁"]
    assert lines[3] == "loss"
    assert lines[-1].endswith(" step")
    assert len(lines) <= 23

    add(repo, run, 40, loss=0)
    world.look()
    assert screen(world)[1].split()[-2:] == ["0", "█▇▅▃▁"]


def test_runs_that_begin_appear_and_those_that_end_say_how(repo: GitRepo, world: watch.World) -> None:
    world.look()
    assert screen(world) == ["waiting for a run to begin"]
    one, two = begin(repo, "one"), begin(repo, "two")
    add(repo, one, 1, loss=1)
    world.look()
    assert [run.name for run in world.running] == ["one", "two"]

    ask(repo, "finish", "--run", one)
    ask(repo, "finish", "--run", two, "--status", "failed")
    world.look()
    assert world.running == []
    assert [line.split()[:2] for line in screen(world)[1:3]] == [["one", "finished"], ["two", "failed"]]
    assert screen(world)[1].split()[2] == "1"


def test_a_run_that_goes_on_is_followed_again_with_the_curve_it_had(repo: GitRepo, world: watch.World) -> None:
    script = "import gittrack as gt; run = gt.init(id={!r}, resume='allow'); run.log({{'loss': {}}}, step={}); {}"
    run = begin(repo, "one")
    add(repo, run, 1, loss=3)
    world.look()
    ask(repo, "finish", "--run", run)
    world.look()
    assert world.running == []

    folder = world.root / run
    process = subprocess.Popen(
        [sys.executable, "-c", script.format(run, 2, 2, "input()")], cwd=repo.path, stdin=subprocess.PIPE
    )
    while not list(folder.glob("*.journal")):
        time.sleep(0.02)
    time.sleep(0.2)
    world.look()
    assert [one.name for one in world.running] == ["one"]
    assert world.runs[world.running[0].id].metrics["loss"].curve()[1] == [3, 2]
    process.communicate(b"\n")


def test_only_the_runs_that_are_named_are_shown(repo: GitRepo) -> None:
    record(repo, {"name": "old", "metrics": {"loss": [2, 1]}})
    run = begin(repo, "open")
    add(repo, run, 1, loss=1)

    code, out, err = attempt(repo, "watch", "old")
    assert (code, err) == (0, "")
    (line,) = out.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  old  finished  step 1  \S+  loss 1", line)
    assert attempt(repo, "watch", "nobody")[0] == 3


def test_where_nothing_is_recorded_it_says_so_and_ends(repo: GitRepo) -> None:
    assert attempt(repo, "watch") == (0, "", "nothing is being recorded; --wait waits for a run to begin\n")


def test_metrics_are_those_with_a_goal_first_or_those_asked_for(repo: GitRepo, world: watch.World) -> None:
    with training(repo, "x", rate=50, seconds=30):
        time.sleep(0.3)
        world.look()
        assert screen(world)[0].split()[4:] == ["acc", "loss"]
        assert screen(world, "loss")[0].split()[4:] == ["loss"]
        assert screen(world, "loss")[3] == "loss"


def test_many_runs_in_a_small_terminal_stay_on_it(repo: GitRepo, world: watch.World) -> None:
    for number in range(12):
        begin(repo, f"run-{number}")
    world.look()

    lines = screen(world, height=9)
    assert len(lines) <= 9
    assert lines[-1] == "and 5 more"


def test_names_of_a_stranger_do_nothing_to_the_terminal(repo: GitRepo, world: watch.World) -> None:
    run = begin(repo, "\x1b[31mred\u202e")
    add(repo, run, 1, **{"lo\u202ess": 2})
    add(repo, run, 2, **{"lo\u202ess": 1})
    world.look()

    text = "\n".join(screen(world))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "lo\\u202ess" in text


def test_to_a_pipe_goes_a_line_for_each_change_until_the_run_ends(repo: GitRepo) -> None:
    with training(repo, "calm", rate=50, seconds=1.5):
        done = subprocess.run(
            ["git", "track", "watch", "--interval", "0.2"],
            cwd=repo.path,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=True,
        )
    lines = done.stdout.splitlines()
    assert len(lines) >= 3
    steps = [int(match[1]) for line in lines if (match := re.search(r"  step (\d+)  ", line))]
    assert steps[:-1] == sorted(set(steps[:-1]))
    assert all("  calm  running  " in line for line in lines[:-1])
    assert "  calm  finished  step " in lines[-1]
    assert "\x1b" not in done.stdout


def test_a_run_whose_process_was_killed_is_told_to_have_crashed(repo: GitRepo) -> None:
    with training(repo, "calm", rate=50, seconds=60) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        code, out, _ = attempt(repo, "watch", "calm", "--interval", "0.1")
    assert code == 0
    assert "  calm  crashed  step " in out.splitlines()[-1]


def test_ctrl_c_ends_it_with_130_and_leaves_the_terminal_as_it_was(repo: GitRepo) -> None:
    with training(repo, "calm", rate=50, seconds=60):
        words = ["git-track", "watch", "--interval", "0.2"]  # `git` in front would die of the signal itself
        code, out = on_a_terminal(words, cwd=repo.path, keys=b"\x03", when=b"\x1b[K", pause=0.5, rows=24)
    assert code == 130
    assert b"\x1b[?" not in out, "no mode was set, so none is left behind"
    assert b"Traceback" not in out
    assert out.count(b"calm") > 1


def test_after_a_resize_the_screen_is_drawn_anew_in_the_new_width(repo: GitRepo) -> None:
    run = begin(repo, "a-run-with-a-long-name")
    for step in range(3):
        add(repo, run, step, loss=step)
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    leader = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", leader, "git", "track", "watch", "--interval", "60"],
        cwd=repo.path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env=dict(os.environ),
    )
    os.close(theirs)

    def read_until(wanted: bytes) -> bytes:
        seen = b""
        while wanted not in seen:
            seen += os.read(ours, 65536)
        return seen

    read_until(b" step\r\n")
    termios.tcsetwinsize(ours, (24, 40))
    after = read_until(b" step\r\n").decode()
    process.kill()
    process.wait()
    os.close(ours)

    _, cleared, drawn = after.partition("\x1b[H\x1b[J")
    assert cleared
    assert max(len(line) for line in re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", drawn).split("\r\n")) <= 40


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_to_follow_a_run_that_logs_1000_points_a_second_takes_little_of_a_core(repo: GitRepo) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("the system does not tell what a process uses")
    with training(repo, "quick", rate=1000, seconds=60):
        ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (50, 160))
        with subprocess.Popen(
            [Path(sys.executable).parent / "git-track", "watch"], cwd=repo.path, stdout=theirs, stderr=theirs
        ) as watcher:
            os.close(theirs)
            drain = subprocess.Popen(["cat"], stdin=ours, stdout=subprocess.DEVNULL)
            time.sleep(1.5)  # its start is no part of it
            before = processor_seconds(watcher.pid)
            time.sleep(6)
            used = processor_seconds(watcher.pid) - before
            watcher.kill()
        drain.kill()
        drain.wait()
        os.close(ours)

    assert used / 6 < 0.05, f"{used / 6:.1%} of a core"
