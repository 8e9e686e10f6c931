"""Disks that a test may do to as it likes: one that hangs, each mounted for as long as a test runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.gitcmd import TIMEOUT_SECONDS


def need(*tools: str) -> None:
    """Skips a test, and says why, where it may not mount file systems or has nothing to do it with."""
    if sys.platform != "linux":
        pytest.skip("it mounts file systems as only Linux does")
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    for tool in tools:
        if shutil.which(tool) is None and not Path("/usr/sbin", tool).exists():
            pytest.skip(f"'{tool}' is not installed")


@dataclass(frozen=True)
class HangingDisk:
    """A folder on a file system whose server can be stopped."""

    path: Path
    server: subprocess.Popen[bytes]

    def stop(self) -> None:
        """From now on nothing on this disk answers: a call waits until `go_on`, or until its process is killed."""
        self.server.send_signal(signal.SIGSTOP)
        state, end = "", time.monotonic() + 10
        while state != "T" and time.monotonic() < end:
            state = Path(f"/proc/{self.server.pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
        assert state == "T"

    def go_on(self) -> None:
        """Lets everything that waits go on."""
        self.server.send_signal(signal.SIGCONT)


@contextmanager
def hanging_disk(tmp_path: Path) -> Iterator[HangingDisk]:
    """Mounts a file system that can be stopped; its files lie in an ordinary folder."""
    need("fusermount3")
    if not Path("/dev/fuse").exists():
        pytest.skip("this kernel has no FUSE")
    try:
        import mfusepy  # type: ignore[import-untyped, unused-ignore] # noqa: F401, PLC0415 - it may not be there
    except (ImportError, OSError) as exc:  # OSError: there is no libfuse
        pytest.skip(f"no file system can be served ({exc})")
    source, target = tmp_path / "real", tmp_path / "disk"
    source.mkdir()
    target.mkdir()
    program = Path(__file__).with_name("passthrough.py")
    disk = HangingDisk(target, subprocess.Popen([sys.executable, program, source, target], stderr=subprocess.DEVNULL))
    try:
        end = time.monotonic() + TIMEOUT_SECONDS
        while not target.is_mount() and disk.server.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        assert target.is_mount()
        (target / "first").touch()  # from its first close() on, the kernel knows that there is no flush
        (target / "first").unlink()
        yield disk
    finally:
        disk.go_on()
        disk.server.terminate()  # it unmounts
        try:
            disk.server.wait(10)
        except subprocess.TimeoutExpired:
            disk.server.kill()
            disk.server.wait()
        subprocess.run(["umount", "--lazy", target], stderr=subprocess.DEVNULL, check=False)
