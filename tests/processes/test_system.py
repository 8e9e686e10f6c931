"""What the machine does while a model trains is recorded beside it, and costs next to nothing."""

from __future__ import annotations

import pytest

from gittrack import system
from tests.gitcmd import GitRepo
from tests.reader import only
from tests.runs import ask

pytest.importorskip("psutil")

BUSY = """
import hashlib
import time
import gittrack as gt
import gittrack.system as system

system.FIRST_SECONDS, system.SECONDS = 0.2, 0.3
block = bytearray(64 << 20)
run = gt.init(name="busy")
until = time.monotonic() + 4.0
step = 0
while time.monotonic() < until:
    hashlib.sha256(memoryview(block)[: 1 << 20])  # at work, as a training is: in C
    gt.log({"loss": 1.0 / (step + 1)})
    step += 1
assert run.summary == {"loss": 1.0 / step}, run.summary
"""
MACHINE = ("cpu", "memory", "memory/used", "disk/used", "disk/read", "disk/write", "network/sent", "network/received")
PROCESS = ("process/cpu", "process/memory", "process/threads")


def test_the_machine_and_the_process_are_measured(repo: GitRepo) -> None:
    assert repo.python(BUSY).stderr == ""
    found = only(repo)
    assert {f"system/{name}" for name in (*MACHINE, *PROCESS)} <= set(found.metrics)
    assert len(found.values("system/cpu")) >= 3
    assert all(0 <= value <= 100 for name in ("cpu", "memory", "disk/used") for value in found.values(f"system/{name}"))
    assert max(found.values("system/process/cpu")) > 20
    assert all(64 < value < 2000 for value in found.values("system/process/memory"))
    steps = [int(row["step"]) for row in found.rows if "loss" in row]
    assert steps == list(range(len(steps)))
    at = [int(row["step"]) for row in found.rows if "system/cpu" in row]
    assert at == sorted(at)
    assert at[-1] > 0


def test_the_machine_is_no_result(repo: GitRepo) -> None:
    repo.python(BUSY + "\nrun.finish()\nblock = None\nrun = gt.init(name='idle')\ntime.sleep(1)")
    assert "system" not in ask(repo, "ls")
    assert "system" not in ask(repo, "diff", "busy", "idle")
    assert "system/cpu" in ask(repo, "show", "busy")
    assert ", system" not in repo.git("for-each-ref", "--format=%(subject)", "refs/runs")


def test_one_switch_turns_it_off(repo: GitRepo) -> None:
    repo.git("config", "track.system", "false")
    repo.python(BUSY)
    assert set(only(repo).metrics) == {"loss"}


def test_without_psutil_nothing_is_measured_and_nothing_said(repo: GitRepo) -> None:
    hidden = "import sys; sys.modules['psutil'] = sys.modules['pynvml'] = None\n"
    assert repo.python(hidden + BUSY).stderr == ""
    assert set(only(repo).metrics) == {"loss"}


def test_git_track_run_measures_the_command_it_runs(repo: GitRepo) -> None:
    (repo.path / "busy.sh").write_text("i=0; while [ $i -lt 3000000 ]; do i=$((i+1)); done", encoding="utf-8")
    quick = "import gittrack.system as s; s.FIRST_SECONDS, s.SECONDS = 0.1, 0.2; from gittrack.cli import main; main()"
    repo.python(f"import sys; sys.argv = ['git-track', 'run', '--', 'sh', 'busy.sh']; {quick}")
    assert max(only(repo).values("system/process/cpu")) > 20


def test_a_sample_costs_less_than_a_hundredth_of_a_core() -> None:
    import time  # noqa: PLC0415

    probes = system._probes(whole_machine=True)
    for probe in probes:
        probe()
    begun = time.thread_time()
    for _ in range(20):
        for probe in probes:
            probe()
    assert (time.thread_time() - begun) / 20 < 0.01 * system.SECONDS


def test_what_cannot_be_read_is_left_out() -> None:
    def breaks() -> dict[str, float]:
        raise OSError("the driver is gone")

    assert system._sample([breaks, lambda: {"cpu": 1.0}]) == {"system/cpu": 1.0}


def test_a_gpu_is_measured_through_its_library() -> None:
    # There is no GPU here: this stands in for NVIDIA's library and answers as its documentation says.
    class Library:  # with the names of NVIDIA's library
        NVML_TEMPERATURE_GPU = 0

        def nvmlInit(self) -> None: ...  # noqa: N802 - its name
        def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - its name
            return 2

        def nvmlDeviceGetHandleByIndex(self, number: int) -> int:  # noqa: N802 - its name
            return number

        def nvmlDeviceGetUtilizationRates(self, gpu: int) -> object:  # noqa: N802 - its name
            return type("Rates", (), {"gpu": 30 + gpu, "memory": 5})()

        def nvmlDeviceGetMemoryInfo(self, gpu: int) -> object:  # noqa: N802 - its name
            return type("Memory", (), {"used": 2 << 30, "total": 8 << 30})()

        def nvmlDeviceGetPowerUsage(self, gpu: int) -> int:  # noqa: N802 - its name
            if gpu == 1:
                raise OSError("not supported")
            return 250_500

        def nvmlDeviceGetTemperature(self, gpu: int, kind: int) -> int:  # noqa: N802 - its name
            return 61

    found = system._Gpus(Library())()
    assert found == {
        "gpu/0/use": 30.0,
        "gpu/0/memory": 25.0,
        "gpu/0/memory/used": 2048.0,
        "gpu/0/power": 250.5,
        "gpu/0/temperature": 61.0,
        "gpu/1/use": 31.0,
        "gpu/1/memory": 25.0,
        "gpu/1/memory/used": 2048.0,
        "gpu/1/temperature": 61.0,
    }
