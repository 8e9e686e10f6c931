"""Disks that a test may do to as it likes: stop, cut the power of; each is there for as long as a test runs."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.gitcmd import TIMEOUT_SECONDS

# FS_IOC_SHUTDOWN of linux/fs.h: the file system drops all that it has not written, and answers nobody any more.
SHUTDOWN = 0x8004587D
CUTS = {"metadata": 1, "nothing": 2}  # what is still written of the file system's own journal


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
    waiting: Path  # how many calls were begun and not answered, as the kernel tells

    def stop(self) -> None:
        """From now on nothing on this disk answers: a call waits until `go_on`, or until its process is killed.

        The server is stopped while it has no work: the kernel lets nobody die whose call the server has taken."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            self.server.send_signal(signal.SIGSTOP)
            while Path(f"/proc/{self.server.pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "T":
                time.sleep(0.0005)
            if self.waiting.read_text("ascii") == "0\n":
                return
            self.go_on()
            time.sleep(0.005)
        raise AssertionError("this disk is never idle")

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
    source, target, control = tmp_path / "real", tmp_path / "disk", tmp_path / "control"
    for folder in (source, target, control):
        folder.mkdir()
    subprocess.run(["mount", "-t", "fusectl", "fusectl", control], check=True)
    program = Path(__file__).with_name("passthrough.py")
    server = subprocess.Popen([sys.executable, program, source, target], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + TIMEOUT_SECONDS
        while not target.is_mount() and server.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        assert target.is_mount()
        (target / "first").touch()  # from its first close() on, the kernel knows that there is no flush
        (target / "first").unlink()
        yield HangingDisk(target, server, control / str(os.minor(target.stat().st_dev)) / "waiting")
    finally:
        server.send_signal(signal.SIGCONT)
        server.terminate()  # it unmounts
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        for folder in (target, control):
            subprocess.run(["umount", "--lazy", folder], stderr=subprocess.DEVNULL, check=False)


@contextmanager
def small_disk(tmp_path: Path, options: str) -> Iterator[Path]:
    """Mounts a file system in memory that is soon full: `size=4m`, `nr_inodes=400`."""
    need()
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"this machine mounts no tmpfs ({mounted.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], stderr=subprocess.DEVNULL, check=False)


@dataclass(frozen=True)
class LoopDisk:
    """A folder on an ext4 file system in a file, whose power can be cut."""

    path: Path
    image: Path

    def mount(self) -> None:
        """Mounts it, after the file system has mended itself from its own journal."""
        mounted = subprocess.run(
            ["mount", "-o", "loop", self.image, self.path], capture_output=True, text=True, check=False
        )
        if mounted.returncode:
            pytest.skip(f"this machine mounts no loop device ({mounted.stderr.strip()})")

    def cut(self, how: str) -> None:
        """Cuts the power: what was not synced is gone; with `metadata`, only data is, and names are there."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", CUTS[how]))
        finally:
            os.close(folder)

    def make_read_only(self) -> None:
        """Makes it read-only as the kernel does when it finds an error on it, whoever is writing."""
        subprocess.run(["mount", "-o", "remount,abort", self.path], check=True)

    def unmount(self) -> None:
        """Unmounts it, as soon as the killed processes on it are gone."""
        for _ in range(500):
            if subprocess.run(["umount", self.path], stderr=subprocess.DEVNULL, check=False).returncode == 0:
                return
            time.sleep(0.01)
        raise AssertionError(f"{self.path} is still in use")


@contextmanager
def loop_disk(tmp_path: Path) -> Iterator[LoopDisk]:
    """Makes and mounts a small disk."""
    need("mkfs.ext4")
    disk = LoopDisk(tmp_path / "disk", tmp_path / "image")
    disk.path.mkdir()
    with disk.image.open("wb") as file:
        file.truncate(256 * 1024 * 1024)
    environ = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"}
    subprocess.run(["mkfs.ext4", "-q", "-F", disk.image], env=environ, check=True)
    disk.mount()
    try:
        yield disk
    finally:
        with suppress(AssertionError):
            if disk.path.is_mount():
                disk.unmount()
        subprocess.run(["umount", "--lazy", disk.path], stderr=subprocess.DEVNULL, check=False)
