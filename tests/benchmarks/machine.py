"""What the numbers were measured on; without it they mean nothing."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from pathlib import Path


def describe(folder: Path) -> dict[str, str]:
    """Returns the facts of this machine that the numbers depend on."""
    git = subprocess.run(["git", "version"], check=True, capture_output=True, text=True).stdout
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": f"{processor()}, {os.cpu_count()} cores, load {load:.1f} at the start",
        "system": f"{platform.system()} {platform.release()}, {file_system(folder)}",
        "python": "Python " + platform.python_version(),
        "git": git.strip().replace(" version", ""),
    }


def processor() -> str:
    """Returns the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def file_system(folder: Path) -> str:
    """Returns the kind of file system: an fsync on tmpfs costs nothing and proves nothing."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown file system"
    path = Path(folder).resolve()
    held = [(len(at), kind) for _, at, kind, *_ in mounts if path.is_relative_to(at)]
    return max(held)[1] if held else "unknown file system"
