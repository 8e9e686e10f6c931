"""What the machine does while a model trains, as metrics under `system/`.

A thread looks every few seconds: the processor, the memory, disk and network of the machine and of this process, and
every NVIDIA GPU. It needs psutil, and for GPUs nvidia-ml-py (the extra `system`); what is not installed is not
measured. A run that ends within the first seconds has none."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from gittrack.model import SYSTEM

FIRST_SECONDS = 3.0
SECONDS = 15.0
_MIB = 1 << 20

Sample = dict[str, float]


measuring = threading.Lock()  # held while libraries are loaded or asked: a process that forks then would be stuck


class Sampler(threading.Thread):
    """Measures the machine until it is stopped; `write` gets each sample."""

    def __init__(self, write: Callable[[Mapping[str, float]], None], *, local_rank: int = 0) -> None:
        super().__init__(name="gittrack-system", daemon=True)
        self._write = write
        self._local_rank = local_rank
        self._stop_it = threading.Event()

    def run(self) -> None:
        """Samples now and then; what cannot be read once is left out then."""
        if self._stop_it.wait(FIRST_SECONDS):
            return
        with measuring:
            probes = _probes(whole_machine=self._local_rank == 0)
        while probes:
            with measuring:
                sample = _sample(probes)
            if sample:
                self._write(sample)
            if self._stop_it.wait(SECONDS):
                return

    def stop(self) -> None:
        """Ends the thread soon; does not wait for it."""
        self._stop_it.set()


def _sample(probes: Sequence[Callable[[], Sample]]) -> Sample:
    """Returns what all probes tell now."""
    found: Sample = {}
    for probe in probes:
        with contextlib.suppress(Exception):  # a driver, a container or a process that goes away
            found |= {SYSTEM + name: value for name, value in probe().items()}
    return found


def _probes(*, whole_machine: bool) -> list[Callable[[], Sample]]:
    """Returns what can be measured here. Of several processes on one machine, the first measures the machine."""
    probes: list[Callable[[], Sample]] = []
    with contextlib.suppress(Exception):
        psutil = import_module("psutil")
        probes.append(_Process(psutil))
        if whole_machine:
            probes += [_Machine(psutil), _Traffic(psutil)]
    if whole_machine:
        with contextlib.suppress(Exception):  # no driver
            probes.append(_Gpus(import_module("pynvml")))
    return probes


class _Process:
    """This process and its children: CPU in percent of one core, resident memory in MiB, threads."""

    def __init__(self, psutil: Any) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent(None)
        self._known: dict[int, Any] = {}

    def __call__(self) -> Sample:
        process = self._process
        with process.oneshot():
            found = {
                "process/cpu": process.cpu_percent(None),
                "process/memory": process.memory_info().rss / _MIB,
                "process/threads": float(process.num_threads()),
            }
        known, self._known = self._known, {}
        for child in process.children(recursive=True)[:64]:  # the workers of a data loader
            with contextlib.suppress(Exception):
                child = known.get(child.pid, child)  # noqa: PLW2901 - the one whose times we have seen
                found["process/cpu"] += child.cpu_percent(None)
                found["process/memory"] += child.memory_info().rss / _MIB
                self._known[child.pid] = child
        return found


class _Machine:
    """The machine: CPU and memory in percent, memory in MiB, the fullness of the current disk in percent."""

    def __init__(self, psutil: Any) -> None:
        self._psutil = psutil
        psutil.cpu_percent(None)

    def __call__(self) -> Sample:
        memory = self._psutil.virtual_memory()
        found = {
            "cpu": self._psutil.cpu_percent(None),
            "memory": memory.percent,
            "memory/used": (memory.total - memory.available) / _MIB,
        }
        with contextlib.suppress(OSError):
            found["disk/used"] = self._psutil.disk_usage(".").percent
        return found


class _Traffic:
    """What disks and network moved since the last sample, in MiB a second."""

    def __init__(self, psutil: Any) -> None:
        self._psutil = psutil
        self._last: tuple[float, Sample] = (time.monotonic(), self._totals())

    def _totals(self) -> Sample:
        found: Sample = {}
        disks = self._psutil.disk_io_counters()
        if disks:
            found |= {"disk/read": disks.read_bytes, "disk/write": disks.write_bytes}
        network = self._psutil.net_io_counters()
        if network:
            found |= {"network/received": network.bytes_recv, "network/sent": network.bytes_sent}
        return found

    def __call__(self) -> Sample:
        (before, old), now, new = self._last, time.monotonic(), self._totals()
        self._last = now, new
        passed = max(now - before, 0.001)
        return {name: max(0.0, total - old[name]) / _MIB / passed for name, total in new.items() if name in old}


class _Gpus:
    """Each NVIDIA GPU: use in percent, memory in percent and MiB, power in W, temperature in degrees Celsius."""

    def __init__(self, pynvml: Any) -> None:
        self._nvml = pynvml
        pynvml.nvmlInit()
        self._gpus = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]

    def __call__(self) -> Sample:
        found: Sample = {}
        for number, gpu in enumerate(self._gpus):
            for probe in (self._use, self._memory, self._power, self._temperature):
                with contextlib.suppress(Exception):  # not every GPU tells everything
                    found |= {f"gpu/{number}/{name}": value for name, value in probe(gpu).items()}
        return found

    def _use(self, gpu: Any) -> Sample:
        return {"use": float(self._nvml.nvmlDeviceGetUtilizationRates(gpu).gpu)}

    def _memory(self, gpu: Any) -> Sample:
        memory = self._nvml.nvmlDeviceGetMemoryInfo(gpu)
        return {"memory": 100.0 * memory.used / memory.total, "memory/used": memory.used / _MIB}

    def _power(self, gpu: Any) -> Sample:
        return {"power": self._nvml.nvmlDeviceGetPowerUsage(gpu) / 1000}

    def _temperature(self, gpu: Any) -> Sample:
        return {"temperature": float(self._nvml.nvmlDeviceGetTemperature(gpu, self._nvml.NVML_TEMPERATURE_GPU))}
