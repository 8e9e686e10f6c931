"""The processes of one distributed training are one run, with a journal each."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.gitcmd import TIMEOUT_SECONDS, GitRepo
from tests.reader import Recorded, only, runs

LAUNCHERS = {
    "torchrun": lambda rank: {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 3, "MASTER_ADDR": "a", "MASTER_PORT": 1},
    "bare variables": lambda rank: {"RANK": rank, "WORLD_SIZE": 3},
    "slurm": lambda rank: {"SLURM_PROCID": rank, "SLURM_NTASKS": 3, "SLURM_JOB_ID": 77, "SLURM_STEP_ID": 0},
    "slurm without a count": lambda rank: {"SLURM_PROCID": rank, "SLURM_JOB_ID": 77},
    "open mpi": lambda rank: {"OMPI_COMM_WORLD_RANK": rank, "OMPI_COMM_WORLD_SIZE": 3, "PMIX_NAMESPACE": "prte-1@1"},
    "mpich": lambda rank: {"PMI_RANK": rank, "PMI_SIZE": 3, "HYDRA_JOBID": 5},
}
SCRIPT = """
import os, signal, sys, time
import gittrack as gt

rank = int(sys.argv[1])
run = gt.init(name="distributed", params={"lr": 0.1}, tags=["ddp"])
for step in range(20):
    gt.log({"loss": rank + step / 100}, step=step)
print(run.id, flush=True)
"""


def launch(
    repo: GitRepo, script: str, variables: Any, *, ranks: tuple[int, ...] = (2, 1, 0), between: float = 0.0
) -> list[subprocess.Popen[str]]:
    """Starts a script once for each rank, the first rank last, and returns the processes by rank."""
    file = repo.path.parent / "distributed.py"
    file.write_text(script, encoding="utf-8")
    processes = {}
    for rank in ranks:
        env = {**os.environ, **{name: str(value) for name, value in variables(rank).items()}}
        processes[rank] = subprocess.Popen(
            [sys.executable, file, str(rank)],
            cwd=repo.path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(between)
    return [processes[rank] for rank in sorted(processes)]


def ended(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Waits for processes and returns exit code, stdout and stderr of each."""
    found = []
    for process in processes:
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
        found.append((process.returncode, out, err))
    return found


def assert_every_rank_is_there(found: Recorded, ranks: range) -> None:
    for rank in ranks:
        points = [(int(row["step"]), row["loss"]) for row in found.rows if row["rank"] == rank and "loss" in row]
        assert points == [(step, rank + step / 100) for step in range(20)]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_all_ranks_write_one_run(repo: GitRepo, launcher: str) -> None:
    done = ended(launch(repo, SCRIPT, LAUNCHERS[launcher]))
    assert [(code, err) for code, _, err in done] == [(0, "")] * 3
    found = only(repo)
    assert [out.strip() for _, out, _ in done] == [found.id] * 3
    assert (found.status, found.record["name"], found.record["tags"]) == ("finished", "distributed", ["ddp"])
    assert_every_rank_is_there(found, range(3))
    assert sorted(process["rank"] for process in found.facts["processes"]) == [0, 1, 2]
    assert found.params == {"lr": 0.1}
    assert not (repo.path / ".git" / "gittrack" / "live" / found.id).exists()


def test_the_first_rank_may_record_alone(repo: GitRepo) -> None:
    repo.git("config", "track.ranks", "first")
    done = ended(launch(repo, SCRIPT, LAUNCHERS["torchrun"]))
    assert [(code, err) for code, _, err in done] == [(0, "")] * 3
    assert only(repo).values("loss") == [step / 100 for step in range(20)]


def test_each_rank_may_have_a_run_of_its_own(repo: GitRepo) -> None:
    repo.git("config", "track.ranks", "each")
    done = ended(launch(repo, SCRIPT, LAUNCHERS["slurm"]))
    assert [code for code, _, _ in done] == [0] * 3
    assert sorted(run.values("loss")[0] for run in runs(repo)) == [0.0, 1.0, 2.0]


def test_a_single_task_of_a_scheduler_is_an_ordinary_run(repo: GitRepo) -> None:
    done = repo.python(SCRIPT, "0", env={"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_JOB_ID": "5"})
    assert done.stderr == ""
    assert "processes" not in only(repo).facts


def test_launches_that_look_alike_are_runs_of_their_own(repo: GitRepo) -> None:
    for _ in range(3):
        assert [code for code, _, _ in ended(launch(repo, SCRIPT, LAUNCHERS["bare variables"]))] == [0] * 3
    found = runs(repo)
    assert len(found) == 3
    for run in found:
        assert_every_rank_is_there(run, range(3))


def test_several_runs_of_one_launch_are_told_apart(repo: GitRepo) -> None:
    twice = SCRIPT + SCRIPT.replace("print", "assert gt.run is run; print").replace(
        "gt.init(", "gt.init(notes='second', "
    )
    done = ended(
        launch(repo, twice.replace("run = gt.init(notes", "run.finish()\nrun = gt.init(notes"), LAUNCHERS["torchrun"])
    )
    assert [code for code, _, _ in done] == [0] * 3, done
    first, second = runs(repo)
    assert [first.facts.get("notes"), second.facts.get("notes")] == [None, ["second"]]
    assert_every_rank_is_there(first, range(3))
    assert_every_rank_is_there(second, range(3))


@pytest.mark.parametrize("slow", [0, 1])
def test_whoever_ends_last_commits(repo: GitRepo, slow: int) -> None:
    waits = SCRIPT + f"\nif rank == {slow}: time.sleep(1)"
    done = ended(launch(repo, waits, LAUNCHERS["torchrun"]))
    assert [(code, err) for code, _, err in done] == [(0, "")] * 3
    assert_every_rank_is_there(only(repo), range(3))


def test_a_rank_that_takes_long_is_not_waited_for_for_long(repo: GitRepo) -> None:
    waits = SCRIPT + "\ntime.sleep(1 if rank != 1 else 12)\nif rank == 1: gt.log({'late': 1.0}, step=99)"
    begun = time.monotonic()
    processes = launch(repo, waits, LAUNCHERS["torchrun"])
    first = ended(processes[:1])[0]
    assert time.monotonic() - begun < 12
    assert "is committed when the other ranks have ended" in first[2]
    assert [code for code, _, _ in ended(processes[1:])] == [0, 0]
    found = only(repo)
    assert_every_rank_is_there(found, range(3))
    assert (found.status, found.values("late")) == ("finished", [1.0])


ENDS = {
    "a rank that fails": ("if rank == 1: raise ValueError('bad shard')", "failed", "ValueError: bad shard"),
    "the first rank that fails": ("if rank == 0: raise ValueError('bad shard')", "failed", "ValueError: bad shard"),
    "a rank that is killed": ("if rank == 1: os.kill(os.getpid(), signal.SIGKILL)", "crashed", None),
    "a rank that is terminated": ("if rank == 2: os.kill(os.getpid(), signal.SIGTERM)", "interrupted", None),
    "a failure among the interrupted": (
        "if rank == 2: sys.exit(3)\nos.kill(os.getpid(), signal.SIGTERM)",
        "failed",
        None,
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_run_ended_as_the_worst_of_its_ranks(repo: GitRepo, how: str) -> None:
    last_words, status, error = ENDS[how]
    ended(launch(repo, SCRIPT + last_words, LAUNCHERS["torchrun"]))
    repo.track("ls")
    found = only(repo)
    assert (found.status, found.facts.get("error")) == (status, error)
    assert_every_rank_is_there(found, range(3))


def test_a_first_rank_that_dies_leaves_the_run_to_the_others(repo: GitRepo) -> None:
    script = (
        SCRIPT + "\nif rank == 0: os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(1)\ngt.log({'after': 1.0}, step=50)"
    )
    done = ended(launch(repo, script, LAUNCHERS["torchrun"]))
    assert [code for code, _, _ in done] == [-signal.SIGKILL, 0, 0]
    found = only(repo)
    assert (found.status, len(found.values("after"))) == ("crashed", 2)
    assert_every_rank_is_there(found, range(3))


def test_a_rank_without_a_first_one_trains_on_and_says_so(repo: GitRepo) -> None:
    quick = "import gittrack.joining\ngittrack.joining.WAIT_SECONDS = 0.5\n" + SCRIPT
    ((code, _, err),) = ended(launch(repo, quick, LAUNCHERS["torchrun"], ranks=(1,)))
    assert code == 0
    assert err.count("rank 1 records nothing: rank 0 began no run") == 1
    assert runs(repo) == []


def test_ranks_under_git_track_run_write_into_its_run(repo: GitRepo) -> None:
    (repo.path.parent / "distributed.py").write_text(SCRIPT, encoding="utf-8")
    (repo.path.parent / "launch.sh").write_text(
        'for rank in 0 1; do RANK=$rank WORLD_SIZE=2 "$0" "$1" $rank & done; wait', encoding="utf-8"
    )
    repo.track(
        "run", "--", "sh", "-c", (repo.path.parent / "launch.sh").read_text(), sys.executable, "../distributed.py"
    )
    found = only(repo)
    assert found.status == "finished"
    assert_every_rank_is_there(found, range(2))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_two_processes_of_torchrun_train_one_model_and_write_one_run(repo: GitRepo, tmp_path: Path) -> None:
    script = tmp_path / "ddp.py"
    script.write_text(
        """
import os
import torch
import torch.distributed as dist
import gittrack as gt

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(rank)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run = gt.init(params={"lr": 0.1, "world": dist.get_world_size()})
for step in range(10):
    x = torch.randn(8, 4)
    loss = ((model(x) - x.sum(1, keepdim=True)) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    gt.log({"loss": loss}, step=step)
dist.barrier()
dist.destroy_process_group()
""",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=repo.path, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found = only(repo)
    assert found.status == "finished"
    for rank in range(2):
        assert [row["step"] for row in found.rows if row["rank"] == rank] == list(range(10))
    losses = [{row["rank"]: row["loss"] for row in found.rows if row["step"] == step} for step in range(10)]
    assert all(step[0] != step[1] for step in losses)  # each has its own shard
    assert found.params == {"lr": 0.1, "world": 2}
