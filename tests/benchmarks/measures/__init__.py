"""What is measured, one file for each, in the order of a run's life."""

from __future__ import annotations

from typing import TYPE_CHECKING

from measures import (
    artifacts,
    begin,
    buckets,
    find,
    finish,
    frames,
    growth,
    guest,
    imports,
    kill,
    lfs,
    log,
    loop,
    ls,
    million,
    points,
    share,
    steps,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from report import Table
    from runner import Bench

ALL: dict[str, Callable[[Bench], Table]] = {
    "import": imports.measure,
    "begin": begin.measure,
    "log": log.measure,
    "steps": steps.measure,
    "million": million.measure,
    "finish": finish.measure,
    "loop": loop.measure,
    "growth": growth.measure,
    "ls": ls.measure,
    "find": find.measure,
    "frames": frames.measure,
    "points": points.measure,
    "share": share.measure,
    "artifacts": artifacts.measure,
    "buckets": buckets.measure,
    "lfs": lfs.measure,
    "guest": guest.measure,
    "kill": kill.measure,
}
