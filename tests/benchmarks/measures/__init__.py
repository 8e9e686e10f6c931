"""What is measured, one file for each, in the order of a run's life."""

from __future__ import annotations

from typing import TYPE_CHECKING

from measures import finish, imports, kill, log, loop, ls, steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from report import Table
    from runner import Bench

ALL: dict[str, Callable[[Bench], Table]] = {
    "import": imports.measure,
    "log": log.measure,
    "steps": steps.measure,
    "finish": finish.measure,
    "loop": loop.measure,
    "ls": ls.measure,
    "kill": kill.measure,
}
