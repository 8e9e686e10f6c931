"""Logging a large file, the same lines for every tool."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import Live, Subject


def artifact(subject: Subject, *, path: str) -> dict[str, Any]:
    """Records a run that logs one file; times the call, during which training waits, and from it to the run's end."""
    calls: list[tuple[float, float]] = []
    before = peak()

    def body(live: Live) -> None:
        if live.log_artifact is None:
            raise NotImplementedError("it keeps no files")
        began = time.perf_counter()
        live.log_artifact(Path(path))
        calls.append((began, time.perf_counter()))

    subject.record({}, body)
    ((began, returned),) = calls
    return {"seconds": time.perf_counter() - began, "stall": returned - began, "grown": peak() - before}


def peak() -> int:
    """Returns the most bytes that this process held, and with it the largest of those that it started."""
    unit = 1 if sys.platform == "darwin" else 1024
    return sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) * unit
