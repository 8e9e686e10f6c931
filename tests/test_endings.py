"""However a process ends: the right status, every point kept, and the process ends as it would have without us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.gitcmd import TIMEOUT_SECONDS, GitRepo
from tests.reader import Recorded, only, runs

LOGGED = 20
BEGIN = f"""
import os, signal, sys, threading, time
import gittrack as gt

run = gt.init(name="this")
for step in range({LOGGED}):
    gt.log({{"loss": 1.0 / (step + 1)}})
"""


def end(repo: GitRepo, last_words: str, *, before: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a script that logs, and then ends as `last_words` say."""
    return repo.python(before + BEGIN + textwrap.dedent(last_words), check=False)


def recovered(repo: GitRepo) -> Recorded:
    """Returns the only run, after the next command has sealed what a dead process left."""
    repo.track("ls")
    return only(repo)


def assert_all_points_are_there(found: Recorded) -> None:
    assert found.points("loss") == [(step, 1.0 / (step + 1)) for step in range(LOGGED)]


def start(repo: GitRepo, script: Path, text: str) -> subprocess.Popen[str]:
    """Starts a script and returns when it printed `ready`."""
    script.write_text(text, encoding="utf-8")
    process = subprocess.Popen([sys.executable, script], cwd=repo.path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def ended(process: subprocess.Popen[str]) -> int:
    with process:
        return process.wait(TIMEOUT_SECONDS)


# The ends that leave a commit behind --------------------------------------------------------------------------------

ENDS = {
    "": (0, "finished", None),
    "run.finish()": (0, "finished", None),
    "gt.finish(exit_code=0)": (0, "finished", 0),
    "gt.finish(exit_code=2)": (0, "failed", 2),
    "sys.exit()": (0, "finished", 0),
    "sys.exit(0)": (0, "finished", 0),
    "sys.exit(3)": (3, "failed", 3),
    "sys.exit('no data')": (1, "failed", 1),
    "exit(4)": (4, "failed", 4),
    "raise ValueError('bad data')": (1, "failed", None),
    "raise KeyboardInterrupt": (-signal.SIGINT, "interrupted", None),
    "signal.raise_signal(signal.SIGINT)": (-signal.SIGINT, "interrupted", None),
    "os.kill(os.getpid(), signal.SIGTERM)": (-signal.SIGTERM, "interrupted", None),
    "os.kill(os.getpid(), signal.SIGHUP)": (-signal.SIGHUP, "interrupted", None),
}


@pytest.mark.parametrize("last_words", ENDS, ids=lambda text: text or "the end of the script")
def test_a_process_ends_as_without_us_and_its_run_is_a_commit_with_the_right_status(
    repo: GitRepo, last_words: str
) -> None:
    exit_code, status, recorded_code = ENDS[last_words]
    done = end(repo, last_words)
    assert done.returncode == exit_code, done.stderr
    found = only(repo)
    assert (found.status, found.facts["status"]) == (status, status)
    assert found.record.get("exit_code") == recorded_code
    assert_all_points_are_there(found)
    assert list((repo.path / ".git" / "gittrack" / "live").iterdir()) == []
    assert repo.refs("refs/gittrack/") == {}


@pytest.mark.parametrize(
    "last_words", ["os._exit(0)", "os._exit(5)", "os.kill(os.getpid(), signal.SIGKILL)", "os.abort()"]
)
def test_a_process_that_vanishes_leaves_a_crashed_run_that_the_next_command_seals(
    repo: GitRepo, last_words: str
) -> None:
    assert end(repo, last_words).returncode in (0, 5, -signal.SIGKILL, -signal.SIGABRT)
    assert runs(repo) == []
    said = repo.track("ls").stderr
    found = only(repo)
    assert found.status == "crashed"
    assert f"recovered run this ({found.id})" in said
    assert_all_points_are_there(found)
    assert repo.track("ls").stderr == ""


def test_an_error_is_recorded_in_one_line_and_printed_as_ever(repo: GitRepo) -> None:
    done = end(repo, "raise ValueError('bad\\ndata in ' + 'https://u:hunter2@example.org/x')")
    assert done.stderr.splitlines()[-2:] == [
        "data in https://u:hunter2@example.org/x",
        "gittrack: 3 secrets were replaced by *** (in error, output)",
    ]
    assert only(repo).facts["error"] == "ValueError: bad data in https://***@example.org/x"


def test_a_signal_is_recorded_by_name(repo: GitRepo) -> None:
    end(repo, "os.kill(os.getpid(), signal.SIGTERM)")
    assert only(repo).facts["signal"] == "SIGTERM"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_from_outside_interrupts_a_training_loop(
    repo: GitRepo, tmp_path: Path, number: signal.Signals
) -> None:
    process = start(repo, tmp_path / "s.py", BEGIN + "print('ready', flush=True)\nwhile True: time.sleep(0.01)\n")
    process.send_signal(number)
    assert ended(process) == -number
    found = only(repo)
    assert found.status == "interrupted"
    assert_all_points_are_there(found)


def test_a_signal_in_the_middle_of_log_loses_nothing(repo: GitRepo, tmp_path: Path) -> None:
    script = BEGIN + "print('ready', flush=True)\nwhile True: gt.log({'fast': 1.0})\n"
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        process = start(repo, tmp_path / "s.py", script)
        process.send_signal(number)
        assert ended(process) == -number
    found = runs(repo)
    assert [run.status for run in found] == ["interrupted"] * 3
    assert [len(run.values("loss")) for run in found] == [LOGGED] * 3


# What is the user's own stays so ------------------------------------------------------------------------------------


def test_an_exit_that_was_caught_is_not_the_end(repo: GitRepo) -> None:
    done = end(
        repo,
        """
        def main():
            try:
                sys.exit(3)
            except SystemExit:
                pass
            gt.log({"more": 1})

        main()
        """,
    )
    assert done.returncode == 0
    assert only(repo).status == "finished"


def test_an_exit_that_was_caught_at_the_top_of_the_script_is_not_the_end(repo: GitRepo) -> None:
    end(
        repo,
        """
        try:
            sys.exit(3)
        except SystemExit:
            pass
        """,
    )
    assert only(repo).status == "finished"


def test_an_exit_inside_of_cleaning_up_keeps_its_code(repo: GitRepo) -> None:
    done = end(
        repo,
        """
        def main():
            try:
                sys.exit(3)
            finally:
                gt.log({"more": 1})

        try:
            main()
        finally:
            print("cleaned")
        """,
    )
    assert (done.returncode, done.stdout) == (3, "cleaned\n")
    found = only(repo)
    assert (found.status, found.record["exit_code"]) == ("failed", 3)


def test_an_error_that_was_caught_is_not_the_end(repo: GitRepo) -> None:
    end(repo, "try:\n    raise ValueError\nexcept ValueError:\n    pass\n")
    assert only(repo).status == "finished"


def test_the_users_own_excepthook_runs_whenever_it_was_set(repo: GitRepo) -> None:
    hook = "import sys\nsys.excepthook = lambda kind, value, traceback: print('hook:', value)\n"
    for script in (hook + BEGIN, BEGIN + hook):
        done = repo.python(script + "raise ValueError('bad')", check=False)
        assert (done.returncode, done.stdout) == (1, "hook: bad\n")
    assert [(run.status, run.facts["error"]) for run in runs(repo)] == [("failed", "ValueError: bad")] * 2


def test_the_users_own_signal_handler_runs_whenever_it_was_set(repo: GitRepo) -> None:
    handler = textwrap.dedent(
        """
        import signal, sys
        def on_term(number, frame):
            print("preempted", flush=True)
            sys.exit(7)
        signal.signal(signal.SIGTERM, on_term)
        """
    )
    for script in (handler + BEGIN, BEGIN + handler):
        done = repo.python(script + "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(5)\n", check=False)
        assert (done.returncode, done.stdout) == (7, "preempted\n")
    assert [(run.status, run.record["exit_code"]) for run in runs(repo)] == [("failed", 7)] * 2


def test_a_signal_that_is_ignored_stays_ignored(repo: GitRepo) -> None:
    ignore = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    done = end(repo, "os.kill(os.getpid(), signal.SIGHUP)\nprint('still here')", before=ignore)
    assert (done.returncode, done.stdout) == (0, "still here\n")
    assert only(repo).status == "finished"


def test_the_users_own_exit_functions_run(repo: GitRepo) -> None:
    done = end(
        repo, "import atexit\natexit.register(print, 'later')", before="import atexit\natexit.register(print, 'first')"
    )
    assert done.stdout == "later\nfirst\n"


def test_a_run_can_be_logged_to_by_the_users_own_exit_function(repo: GitRepo) -> None:
    end(repo, "import atexit\natexit.register(lambda: gt.log({'late': 1}))")
    assert only(repo).values("late") == [1.0]


# `with`, a second run, finishing twice ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inside", "exit_code", "status"),
    [
        ("pass", 0, "finished"),
        ("raise ValueError('bad')", 1, "failed"),
        ("raise KeyboardInterrupt", -signal.SIGINT, "interrupted"),
        ("raise SystemExit(3)", 3, "failed"),
        ("sys.exit(0)", 0, "finished"),
    ],
)
def test_a_with_block_gives_the_status_of_what_ended_it(
    repo: GitRepo, inside: str, exit_code: int, status: str
) -> None:
    done = repo.python(
        f"import sys\nimport gittrack as gt\nwith gt.init() as run:\n    run.log({{'a': 1}})\n    {inside}\n",
        check=False,
    )
    assert done.returncode == exit_code
    assert (only(repo).status, only(repo).values("a")) == (status, [1.0])


def test_the_status_of_a_with_block_is_its_own_and_not_that_of_the_process(repo: GitRepo) -> None:
    done = repo.python(
        """
import gittrack as gt

for name in ("bad", "good"):
    try:
        with gt.init(name=name):
            if name == "bad":
                raise ValueError("bad")
    except ValueError:
        pass
raise RuntimeError("afterwards")
""",
        check=False,
    )
    assert done.returncode == 1
    assert {run.record["name"]: run.status for run in runs(repo)} == {"bad": "failed", "good": "finished"}


def test_a_second_init_finishes_the_run_before_it_and_says_so(repo: GitRepo) -> None:
    done = end(repo, "gt.init(name='second')\ngt.log({'loss': 5})")
    assert "run this was still open and is finished before the next one begins" in done.stderr
    first, second = runs(repo)
    assert (first.status, second.status) == ("finished", "finished")
    assert_all_points_are_there(first)
    assert second.points("loss") == [(0, 5.0)]


def test_finishing_twice_makes_one_commit(repo: GitRepo) -> None:
    end(repo, "once = run.finish()\nassert run.finish(exit_code=1) is once\nassert gt.finish() is None")
    found = only(repo)
    assert found.status == "finished"
    assert found.parents == [repo.git("rev-parse", "main")]


def test_what_is_logged_after_finish_is_dropped_and_said_once(repo: GitRepo) -> None:
    done = end(repo, "run.finish()\nfor _ in range(3): run.log({'late': 1})\nrun.log_params({'late': 1})")
    assert done.returncode == 0
    assert done.stderr.count("after run this was finished") == 1
    assert "late" not in only(repo).metrics


# More than one process, more than one thread ------------------------------------------------------------------------


def test_a_forked_child_writes_into_the_same_run_and_only_the_parent_ends_it(repo: GitRepo) -> None:
    done = end(
        repo,
        """
        child = os.fork()
        if child == 0:
            for step in range(5):
                gt.log({"child": step}, step=step)
            sys.exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        gt.log({"parent": 1})
        """,
    )
    assert done.returncode == 0, done.stderr
    found = only(repo)
    assert found.status == "finished"
    assert_all_points_are_there(found)
    assert found.points("child") == [(step, float(step)) for step in range(5)]
    assert found.values("parent") == [1.0]
    assert {row["rank"] for row in found.rows if "child" in row} == {1.0}
    assert len(found.facts["processes"]) == 2


def test_a_child_that_was_forked_in_the_instant_of_init_holds_nobody_up(repo: GitRepo) -> None:
    done = end(
        repo,
        """
        children = []
        for _ in range(10):
            run = gt.init()
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            children.append(child)
            before = time.monotonic()
            run.finish()
            assert time.monotonic() - before < 10
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        """,
        before="import signal\nsignal.alarm(60)\n",
    )
    assert done.returncode == 0, done.stderr
    assert {run.status for run in runs(repo)} == {"finished"}


def test_a_child_that_ends_well_does_not_end_the_run_of_a_parent_that_is_killed(repo: GitRepo) -> None:
    end(
        repo,
        """
        if os.fork() == 0:
            gt.log({"child": 1})
            sys.exit(0)
        os.wait()
        os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    found = recovered(repo)
    assert (found.status, found.values("child")) == ("crashed", [1.0])


def test_what_a_forked_child_logs_after_the_parent_finished_is_kept(repo: GitRepo) -> None:
    done = end(
        repo,
        """
        read, write = os.pipe()
        if os.fork() == 0:
            os.close(write)
            gt.log({"child": 1})
            os.read(read, 1)
            gt.log({"child": 2})
            os._exit(0)
        time.sleep(0.1)
        run.finish()
        os.write(write, b"!")
        os.wait()
        """,
    )
    assert done.returncode == 0, done.stderr
    found = recovered(repo)
    assert (found.status, found.values("child")) == ("finished", [1.0, 2.0])
    assert_all_points_are_there(found)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_of_processes_writes_into_one_run(repo: GitRepo, tmp_path: Path, method: str) -> None:
    script = tmp_path / "pool.py"
    script.write_text(
        f"""
import multiprocessing
import gittrack as gt

def work(run, number):
    for step in range(10):
        gt.log({{f"worker/{{number}}": step}})

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    run = gt.init()
    workers = [context.Process(target=work, args=(run, number)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    run.log({{"parent": 1}})
""",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, script], cwd=repo.path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = only(repo)
    assert found.status == "finished"
    assert found.values("parent") == [1.0]
    for number in range(2):
        assert found.values(f"worker/{number}") == [float(step) for step in range(10)]


def test_a_run_that_is_handed_to_a_pool_with_every_task_has_one_journal_a_process(
    repo: GitRepo, tmp_path: Path
) -> None:
    script = tmp_path / "pool.py"
    script.write_text(
        """
import multiprocessing
import os
import gittrack as gt

def work(task):
    run, number = task
    run.log({"squared": number**2})
    return os.getpid()

if __name__ == "__main__":
    with gt.init() as run:
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            processes = set(pool.map(work, [(run, number) for number in range(20)], chunksize=1))
        journals = [name for name in os.listdir(run.dir) if name.endswith(".journal")]
        assert len(journals) == 1 + len(processes), journals
""",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, script], cwd=repo.path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(only(repo).values("squared")) == [float(number**2) for number in range(20)]


def test_a_spawned_child_that_does_not_touch_the_run_leaves_it_alone(repo: GitRepo, tmp_path: Path) -> None:
    script = tmp_path / "spawn.py"
    script.write_text(
        """
import multiprocessing
import gittrack as gt

def work(number):
    return number * 2

if __name__ == "__main__":
    with gt.init():
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            gt.log({"sum": sum(pool.map(work, range(4)))})
""",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, script], cwd=repo.path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (only(repo).status, only(repo).values("sum")) == ("finished", [12.0])


def test_eight_threads_lose_nothing_of_8000_calls(repo: GitRepo) -> None:
    done = repo.python(
        """
import threading
import gittrack as gt

gt.init()

def work(number):
    for call in range(1000):
        gt.log({f"t{number}": call, "all": number}, step=call)

threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
    )
    assert done.stderr == ""
    found = only(repo)
    for number in range(8):
        assert found.points(f"t{number}") == [(call, float(call)) for call in range(1000)]
    assert sorted(found.values("all")) == sorted(float(number) for number in range(8) for _ in range(1000))
    assert found.record["points"] == 16_000


def test_threads_that_log_without_a_step_get_one_each(repo: GitRepo) -> None:
    repo.python(
        """
import threading
import gittrack as gt

gt.init()
threads = [threading.Thread(target=lambda: [gt.log({"x": 1.0}) for _ in range(500)]) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    )
    assert sorted(step for step, _ in only(repo).points("x")) == list(range(2000))


# Streams ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-", "1>/dev/full 2>/dev/full"])
def test_closed_streams_disturb_nothing(repo: GitRepo, tmp_path: Path, closed: str) -> None:
    script = tmp_path / "s.py"
    # Something in every big program writes to a descriptor by number.
    noise = (
        "import contextlib\nfor fd in (0, 1, 2):\n    with contextlib.suppress(OSError): os.write(fd, b'noise' * 9)\n"
    )
    script.write_text(BEGIN + noise + "run.log({'text': 'x'})\nrun.alert('said')\n", encoding="utf-8")
    command = f'exec "$0" "$1" {closed}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, script], cwd=repo.path, check=False, timeout=TIMEOUT_SECONDS
    )
    assert done.returncode == 0
    found = only(repo)
    assert found.status == "finished"
    assert "corrupt" not in found.facts
    assert_all_points_are_there(found)


def test_a_script_that_closes_its_own_streams_is_recorded(repo: GitRepo) -> None:
    done = end(repo, "sys.stderr.close(); sys.stdout.close()\nrun.alert('x')\ngt.init(name='next')")
    assert done.returncode == 0
    assert [run.status for run in runs(repo)] == ["finished", "finished"]


def test_a_script_that_changes_its_folder_and_its_environment_is_recorded(repo: GitRepo, tmp_path: Path) -> None:
    done = end(repo, f"os.chdir({str(tmp_path)!r})\nos.environ.clear()\nos.environ['GIT_DIR'] = '/nowhere'")
    assert done.stderr == ""
    assert_all_points_are_there(only(repo))


def test_the_working_folder_may_vanish(repo: GitRepo) -> None:
    (repo.path / "gone").mkdir()
    script = BEGIN + "os.rmdir(os.getcwd())\n"
    done = repo.python(script, cwd=repo.path / "gone", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert_all_points_are_there(only(repo))


def test_an_environment_without_a_home_is_enough(repo: GitRepo) -> None:
    done = repo.python(BEGIN, env={"HOME": "", "GIT_CONFIG_GLOBAL": os.devnull}, check=False)
    assert done.returncode == 0, done.stderr
    assert_all_points_are_there(only(repo))
