"""`git track run`: the command must not notice that it is recorded, and all of it must be recorded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.gitcmd import TIMEOUT_SECONDS, GitRepo, run
from tests.runs import complaint, file_of, listed, shown
from tests.terminals import on_a_terminal

EVERY_BYTE = bytes(range(256)) * 3 + b"no line end"
WRITE_EVERY_BYTE = (
    "import os; data = bytes(range(256)) * 3 + b'no line end'; os.write(1, data); os.write(2, data[::-1])"
)
TRAP = "import signal, sys, time\n"
TRAP += "def stop(number, frame):\n    print('got', signal.Signals(number).name, flush=True)\n    sys.exit(7)\n"
TRAP += "signal.signal(signal.{name}, stop)\nprint('ready', flush=True)\ntime.sleep(30)\n"


def piped(repo: GitRepo, *argv: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs `git track run ARGV` with pipes, in bytes."""
    return subprocess.run(["git", "track", "run", *argv], cwd=repo.path, input=input, capture_output=True, check=False)


@pytest.mark.parametrize("code", [0, 3, 255])
def test_the_exit_code_of_the_command_is_passed_on(repo: GitRepo, code: int) -> None:
    done = repo.track("run", "--", "sh", "-c", f"exit {code}", check=False)

    [found] = listed(repo)
    assert (done.returncode, found["exit_code"]) == (code, code)
    assert found["status"] == ("failed" if code else "finished")
    assert done.stdout == ""
    assert done.stderr.splitlines() == [f"gittrack: run {found['name']} ({found['id']}) {found['status']}"]


def test_a_command_that_is_not_there_exits_127_and_is_a_failed_run(repo: GitRepo) -> None:
    error = complaint(repo.track("run", "--", "no-such-command", check=False), exit_code=127)

    assert error.startswith("error: cannot run 'no-such-command'\ncause: no such command\n")
    [found] = listed(repo)
    assert (found["status"], found["exit_code"]) == ("failed", 127)


def test_a_file_that_is_no_program_exits_126(repo: GitRepo) -> None:
    error = complaint(repo.track("run", "--", "./train.py", check=False), exit_code=126)

    assert "error: cannot run './train.py'" in error
    assert listed(repo)[0]["exit_code"] == 126


def test_a_command_that_is_killed_exits_with_128_and_the_signal(repo: GitRepo) -> None:
    killed = repo.track("run", "--", "sh", "-c", "kill -KILL $$", check=False)
    ended = repo.track("run", "--", "sh", "-c", "kill -TERM $$", check=False)

    assert (killed.returncode, ended.returncode) == (128 + signal.SIGKILL, 128 + signal.SIGTERM)
    second, first = listed(repo)
    assert (first["status"], second["status"]) == ("crashed", "interrupted")
    assert shown(repo, first["id"])["facts"]["signal"] == "SIGKILL"


def test_where_nothing_at_all_can_be_written_it_exits_125_and_the_command_does_not_run(repo: GitRepo) -> None:
    (repo.path / ".git" / "gittrack").write_text("in the way", encoding="utf-8")
    nowhere = {"XDG_DATA_HOME": str(repo.path / "train.py")}

    done = repo.track("run", "--", "touch", "it-ran", check=False, env=nowhere)

    assert done.returncode == 125
    assert "error: cannot record a run here" in done.stderr

    assert not (repo.path / "it-ran").exists()


def test_a_dirty_tree_exits_125_where_the_project_refuses_those(repo: GitRepo) -> None:
    repo.git("config", "track.dirty", "refuse")
    (repo.path / "train.py").write_text("changed\n", encoding="utf-8")

    complaint(repo.track("run", "--", "touch", "it-ran", check=False), exit_code=125)

    assert not (repo.path / "it-ran").exists()
    assert listed(repo) == []


@pytest.mark.parametrize(
    "words", [("-p", "lr", "--", "true"), ("--tag", "two words", "--", "true"), ("--nonsense", "--", "true"), ()]
)
def test_words_that_do_not_fit_exit_2_and_nothing_is_recorded(repo: GitRepo, words: tuple[str, ...]) -> None:
    complaint(repo.track("run", *words, check=False), exit_code=2)

    assert listed(repo) == []


def test_output_passes_pipes_byte_for_byte(repo: GitRepo) -> None:
    done = piped(repo, "--", sys.executable, "-c", WRITE_EVERY_BYTE)

    assert done.stdout == EVERY_BYTE
    assert done.stderr.startswith(EVERY_BYTE[::-1])
    assert done.stderr.removeprefix(EVERY_BYTE[::-1]).count(b"\n") == 1
    log = file_of(repo, f"{listed(repo)[0]['id']}:output.log")
    assert log  # as a terminal shows it: some bytes move the cursor


def test_output_passes_a_terminal_as_if_nobody_were_between(repo: GitRepo) -> None:
    script = (
        "import os, sys; print('lines', sys.stdout.isatty(), sys.stderr.isatty(), os.get_terminal_size()[0] > 0);"
        "os.write(1, b'\\x1b[31mred\\x1b[m\\ta\\r\\nb\\n10%\\r20%\\n'); os.write(2, b'\\xff\\x00end\\n'); sys.exit(4)"
    )
    plain = on_a_terminal([sys.executable, "-c", script], cwd=repo.path)
    recorded = on_a_terminal(["git", "track", "run", "--", sys.executable, "-c", script], cwd=repo.path)

    output, _, last = recorded[1].rstrip(b"\r\n").rpartition(b"\r\n")
    assert (recorded[0], output + b"\r\n") == plain
    assert b"lines True True" in output
    assert last.startswith(b"gittrack: run ")
    assert last.endswith(b" failed")
    assert b"20%\n" in file_of(repo, f"{listed(repo)[0]['id']}:output.log")


def test_both_streams_stay_in_order_where_they_go_to_one_place(repo: GitRepo) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done"
    expected = "".join(f"out {i}\nerr {i}\n" for i in range(1, 10))

    done = run(["sh", "-c", f"git track run -- sh -c '{script}' 2>&1"], cwd=repo.path)

    assert done.stdout.startswith(expected)
    assert file_of(repo, f"{listed(repo)[0]['id']}:output.log").decode() == expected


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_closed_stream_is_no_reason_to_fail(repo: GitRepo, closed: str) -> None:
    done = run(
        ["sh", "-c", f"git track run -- sh -c 'echo a; echo b >&2; exit 3' {closed}"], cwd=repo.path, check=False
    )

    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert listed(repo)[0]["exit_code"] == 3


def test_stdin_reaches_the_command(repo: GitRepo) -> None:
    assert piped(repo, "--", "cat", input=EVERY_BYTE).stdout == EVERY_BYTE


def test_a_reader_that_goes_away_does_not_end_the_command(repo: GitRepo) -> None:
    script = "for i in $(seq 20000); do echo line $i; done; echo done > finished"

    run(["sh", "-c", f"git track run -- sh -c '{script}' | head -n 1"], cwd=repo.path)

    assert (repo.path / "finished").exists()
    [found] = listed(repo)
    assert found["status"] == "finished"
    assert file_of(repo, f"{found['id']}:output.log").endswith(b"line 20000\n")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"])
def test_a_signal_sent_to_git_track_reaches_the_command(repo: GitRepo, name: str) -> None:
    process = subprocess.Popen(
        ["git-track", "run", "--", sys.executable, "-c", TRAP.format(name=name)],
        cwd=repo.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"

    process.send_signal(signal.Signals[name])
    out, err = process.communicate(timeout=TIMEOUT_SECONDS)

    assert (process.returncode, out) == (7, f"got {name}\n".encode())
    assert b"Traceback" not in err
    assert listed(repo)[0]["exit_code"] == 7


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_signals_after_the_command_ended_do_not_stop_the_commit(repo: GitRepo, name: str) -> None:
    (repo.path.parent / "slow.json").write_text("[" + '{"m": 1},' * 200_000 + '{"m": 2}]', encoding="utf-8")
    process = subprocess.Popen(
        ["git-track", "run", "--metrics", "m.json", "--", "sh", "-c", "cp ../slow.json m.json; echo $$"],
        cwd=repo.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout
    child = int(process.stdout.readline())
    while Path("/proc", str(child)).exists():
        time.sleep(0.01)
    while not repo.refs("refs/runs/") and process.poll() is None:  # while it reads the metrics and commits
        process.send_signal(signal.Signals[name])
        time.sleep(0.02)
    _, err = process.communicate()

    assert b"Traceback" not in err
    [found] = listed(repo)
    assert (found["status"], found["metrics"]["m"]["count"]) == ("finished", 200_001)


def test_sigterm_to_git_itself_ends_the_command_and_the_run(repo: GitRepo) -> None:
    process = subprocess.Popen(
        ["git", "track", "run", "--", "sh", "-c", "echo ready; exec sleep 30"],
        cwd=repo.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"

    process.terminate()
    process.communicate(timeout=TIMEOUT_SECONDS)

    assert [found["status"] for found in listed(repo)] == ["interrupted"]


COUNT_INTERRUPTS = (
    "import signal, sys, time; seen = []; signal.signal(signal.SIGINT, lambda *_: seen.append(1));"
    "print('ready', flush=True); end = time.monotonic() + 20\n"
    "while not seen and time.monotonic() < end: time.sleep(0.01)\n"
    "time.sleep(0.3); print('interrupts:', len(seen), flush=True); sys.exit(9)"
)
# What git does with Ctrl-C: it sends the signal to its child once more, waits, and dies of it.
SLOW_GIT = (
    "import os, signal, subprocess, sys, time; child = subprocess.Popen(sys.argv[1:]);"
    "signal.signal(signal.SIGINT, lambda *_: (time.sleep(0.1), child.send_signal(signal.SIGINT)));"
    "sys.exit(child.wait())"
)


@pytest.mark.parametrize(
    ("before", "expected"),
    [(["git-track"], 9), (["git", "track"], -signal.SIGINT), ([sys.executable, "-c", SLOW_GIT, "git-track"], 9)],
    ids=["by itself", "through git", "through a git that is slow"],
)
def test_ctrl_c_reaches_the_command_once(repo: GitRepo, before: list[str], expected: int) -> None:
    code, output = on_a_terminal(
        [*before, "run", "--", sys.executable, "-c", COUNT_INTERRUPTS], cwd=repo.path, keys=b"\x03", when=b"ready"
    )

    assert b"interrupts: 1\r\n" in output
    assert b"Traceback" not in output
    assert code == expected
    assert listed(repo)[0]["exit_code"] == 9


def test_ctrl_c_ends_a_python_command_as_interrupted(repo: GitRepo) -> None:
    script = "import time; print('ready', flush=True); time.sleep(30)"

    code, _ = on_a_terminal(
        ["git-track", "run", "--", sys.executable, "-c", script], cwd=repo.path, keys=b"\x03", when=b"ready"
    )

    assert code == 128 + signal.SIGINT
    assert listed(repo)[0]["status"] == "interrupted"


def test_long_options_and_p_become_params(repo: GitRepo) -> None:
    repo.track(
        *("run", "-p", "seed=7", "-p", "lr=0.5", "-p", "opt.name=adam", "-p", "text=a=b", "--", "true"),
        *("--lr", "0.1", "--decay=1e-3", "--flag", "--neg", "-0.5", "--layer", "a", "--layer", "b", "--empty=", "-v"),
        *("--on", "true", "--last", "--", "--not-an-option"),
    )

    params = listed(repo)[0]["params"]
    numbers = {"seed": 7, "lr": 0.5, "decay": 0.001, "neg": -0.5}
    switches = {"flag": True, "on": True, "last": True, "empty": None}
    assert params == numbers | switches | {"opt.name": "adam", "text": "a=b", "layer": ["a", "b"]}
    assert params["flag"] is True


def test_metrics_are_read_from_every_kind_of_file(repo: GitRepo) -> None:
    files = {
        "one.json": '{"json": {"loss": 0.25}, "name": "x"}',
        "list.json": '[{"step": 5, "steps/acc": 0.5}, {"step": 9, "steps/acc": 0.75}]',
        "series.json": '{"series": [3, 2, 1]}',
        "m.yaml": "yaml:\n  f1: 0.5\n",
        "m.csv": "epoch,csv\n1,0.5\n2,nan\n3,0.125\n",
        "m.tsv": "step\ttsv\n10\t1e3\n",
        "m.jsonl": '{"jsonl": 1}\n{"jsonl": 2}\n',
    }
    for name, content in files.items():
        (repo.path.parent / name).write_text(content, encoding="utf-8")
    options = [word for name in files for word in ("--metrics", name)]

    done = repo.track("run", *options, "--", "sh", "-c", "cp ../*.json ../*.yaml ../*.csv ../*.tsv ../*.jsonl .")

    assert "warning" not in done.stderr
    metrics = listed(repo)[0]["metrics"]
    last = {name: (metric["last"], metric["step"], metric["count"]) for name, metric in metrics.items()}
    assert last.pop("epoch") == (3.0, 3, 3)
    steps = {name: last.pop(name) for name in ("steps/acc", "csv", "tsv")}
    assert steps == {"steps/acc": (0.75, 9, 2), "csv": (0.125, 3, 3), "tsv": (1000.0, 10, 1)}
    values = {name: value for name, (value, *_) in last.items()}
    assert values == {"json.loss": 0.25, "series": 1.0, "yaml.f1": 0.5, "jsonl": 2.0}


def test_a_metrics_file_that_is_stale_malformed_or_missing_is_a_warning(repo: GitRepo) -> None:
    repo.commit({"stale.json": '{"old": 1}'}, "an old result")

    done = repo.track(
        *("run", "--metrics", "stale.json", "--metrics", "bad.csv", "--metrics", "never.yaml", "--metrics", "ok.json"),
        *("--", "sh", "-c", "printf 'a,b\\n1\\n' > bad.csv; echo '{\"ok\": 1}' > ok.json"),
    )

    lines = done.stderr.splitlines()
    assert "warning: 'stale.json' was there before and the command did not change it; its metrics are left out" in lines
    assert "warning: cannot read metrics from 'bad.csv'" in lines
    assert "cause: line 2 has 1 cells, the first has 2" in lines
    assert "warning: the command wrote no metrics to 'never.yaml'" in lines
    assert list(listed(repo)[0]["metrics"]) == ["ok"]


def test_the_duration_is_that_of_the_command(repo: GitRepo) -> None:
    begun = time.monotonic()
    repo.track("run", "--", "sleep", "0.3")
    whole = time.monotonic() - begun

    assert 0.3 <= listed(repo)[0]["duration"] <= whole


def test_the_log_keeps_the_first_and_the_last_mebibyte(repo: GitRepo) -> None:
    script = "import os; [os.write(1, b'%07d\\n' % i) for i in range(500_000)]"
    done = piped(repo, "--", sys.executable, "-c", script)

    log = file_of(repo, f"{listed(repo)[0]['id']}:output.log")
    assert len(done.stdout) == 4_000_000
    assert log.startswith(done.stdout[: 1 << 20])
    assert log.endswith(done.stdout[-(1 << 20) :])
    assert len(log) < (2 << 20) + 70_000
    head, found, tail = log.partition(b"\n[... ")
    left_out = int(tail.split(b" ")[0])
    assert found
    assert len(head) + left_out + len(tail.partition(b" bytes left out ...]\n")[2]) == 4_000_000


def test_secrets_reach_neither_the_commit_nor_the_refs(repo: GitRepo) -> None:
    token = "ghp_" + "a1B2c3D4e5" * 3
    secrets = ("hunter2-is-long", "swordfish", token, "pa55word")

    done = repo.track(
        *("run", "--", "sh", "-c", f"echo token {token}; echo https://me:pa55word@example.org/x", "sh"),
        *("--api-key", "hunter2-is-long", "--password=swordfish", "--url", "https://me:pa55word@example.org/x"),
    )

    assert token in done.stdout, "what the command prints is its own business"
    everything = subprocess.run(
        ["git", "cat-file", "--batch-all-objects", "--batch"], cwd=repo.path, capture_output=True, check=True
    ).stdout
    assert [secret for secret in secrets if secret.encode() in everything] == []
    found = shown(repo, "@")
    assert found["params"]["password"] == "***"
    assert found["params"]["url"] == "https://***@example.org/x"
    assert found["facts"]["redacted"] >= 5
    assert "token ***\n" in repo.git("show", f"refs/runs/{found['id']}:output.log")


def test_a_script_that_calls_init_writes_into_the_same_run(repo: GitRepo) -> None:
    script = (
        "import gittrack as gt\n"
        "with gt.init(params={'lr': 0.1}, tags=['inner'], group='g') as run:\n"
        "    gt.log({'loss': 0.5}); gt.log({'loss': 0.25}); print(run.id)\n"
    )
    (repo.path.parent / "inner.py").write_text(script, encoding="utf-8")

    done = repo.track("run", "-p", "seed=1", "--tag", "outer", "--", sys.executable, "../inner.py", "--epochs", "2")

    [found] = listed(repo)
    assert done.stdout.split() == [found["id"]]
    assert found["params"] == {"seed": 1, "epochs": 2, "lr": 0.1}
    assert (found["metrics"]["loss"]["last"], found["metrics"]["loss"]["count"]) == (0.25, 2)
    assert (found["tags"], found["group"], found["exit_code"]) == (["inner", "outer"], "g", 0)


def test_a_run_in_a_run_is_its_child(repo: GitRepo) -> None:
    repo.track("run", "--name", "outer", "--", "git", "track", "run", "--name", "inner", "--", "true")

    inner, outer = sorted(listed(repo), key=lambda run: str(run["name"]))
    assert (inner["parent"], outer["parent"]) == (outer["id"], None)


def test_the_child_finds_no_more_of_the_repository_than_its_user_would(repo: GitRepo) -> None:
    done = repo.track("run", "--", sys.executable, "-c", "import os, json; print(json.dumps(dict(os.environ)))")

    variables = json.loads(done.stdout)
    added = {name for name in variables if name.startswith("GIT_") and name not in os.environ}
    assert added <= {"GIT_EXEC_PATH"}, "git itself sets this one; another would break the command's own git calls"
    assert variables["GITTRACK_RUN"] == listed(repo)[0]["id"]


def test_artifacts_notes_names_tags_and_groups_are_kept(repo: GitRepo) -> None:
    repo.track(
        *("run", "--name", "my run", "--tag", "a", "--tag", "b", "--group", "sweep", "-m", "first try"),
        *("--artifact", "out", "--artifact", "*.md", "--artifact", "none", "--"),
        *("sh", "-c", "mkdir -p out/deep; printf 1 > out/deep/x; printf 2 > report.md"),
    )

    found = shown(repo, "my run")
    assert (found["tags"], found["group"], found["notes"]) == (["a", "b"], "sweep", ["first try"])
    assert sorted(found["artifacts"]) == ["out/deep/x", "report.md"]
    assert file_of(repo, f"{found['id']}:artifacts/out/deep/x") == b"1"
