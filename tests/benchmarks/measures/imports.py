"""What one line at the top of a training script costs."""

from __future__ import annotations

import subprocess
from statistics import median
from typing import TYPE_CHECKING

import report
from runner import Command

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Bench
    from tools import Installed

AT_MOST_MS = 15

LOADED = """
import sys
before = set(sys.modules)
import {module}
new = set(sys.modules) - before
roots = {{name.partition(".")[0] for name in new}} - sys.stdlib_module_names - {{"{module}"}}
print(len(new), len(roots))
"""


def measure(bench: Bench) -> report.Table:
    """Times the whole process, and the same interpreter doing nothing in turns with it."""
    rounds = bench.size(15, 5)
    folder = bench.box.repository("import")
    tools = list(bench.taking("import"))
    commands = {}
    for tool in tools:
        commands[f"{tool.name} pass"] = python(tool, "pass", folder)
        commands[tool.name] = python(tool, f"import {tool.tool.module}", folder)
    bench.say(f"import: {rounds} rounds of {len(commands)} processes")
    laps = {name: median(found) * 1e3 for name, found in bench.race(commands, rounds).items()}

    rows = []
    for tool in tools:
        modules, foreign = loaded(tool, folder)
        cells: dict[str, report.Cell] = {
            "version": tool.version,
            "wall_ms": laps[tool.name],
            "over_ms": laps[tool.name] - laps[f"{tool.name} pass"],
            "modules": modules,
            "foreign": foreign,
        }
        rows.append(report.Row(tool.name, tool.kind, cells))
    over, foreign_roots = report.ours(rows, "over_ms"), report.ours(rows, "foreign")
    base = [laps[name] for name in laps if name.endswith(" pass")]
    if base:
        slow = max(base)
        note = f"{slow:.1f} in the slowest environment" if len(base) > 1 else ""
        cells = {"wall_ms": min(base), "over_ms": 0.0}
        rows.append(report.Row("python -c pass", "floor", cells, note=note))
    return report.Table(
        name="import",
        title=f"the whole process of `python -c 'import X'`, median of {rounds}",
        columns={
            "version": "version",
            "wall_ms": "process, ms",
            "over_ms": "over pass, ms",
            "ratio": "ratio",
            "modules": "modules",
            "foreign": "packages beside stdlib",
        },
        rows=report.with_ratio(rows, "over_ms"),
        goal=f"at most {AT_MOST_MS} ms over `python -c pass`, standard library only",
        reached=None if over is None else over <= AT_MOST_MS and foreign_roots == 0,
    )


def python(tool: Installed, code: str, folder: Path) -> Command:
    """Returns the tool's interpreter with one line to run."""
    return Command((str(tool.python), "-c", code), folder, tool.env_in(folder))


def loaded(tool: Installed, folder: Path) -> tuple[int, int]:
    """Returns how many modules the import loads, and from how many packages of others."""
    done = subprocess.run(
        [str(tool.python), "-c", LOADED.format(module=tool.tool.module)],
        cwd=folder,
        env=tool.env_in(folder),
        check=True,
        capture_output=True,
        text=True,
    )
    modules, foreign = done.stdout.split()[-2:]
    return int(modules), int(foreign)
