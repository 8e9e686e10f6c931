"""A floor: JSON lines, each written when it is logged, synced once at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from . import Found, Live


class JsonLines:
    buffering = 1

    def __init__(self, folder: Path) -> None:
        self.file = folder / "out" / "history.jsonl"

    def record(self, _params: Mapping[str, float], body: Callable[[Live], None]) -> None:
        with self.file.open("a", buffering=self.buffering) as file:

            def log(metrics: dict[str, float], /, *, step: int) -> None:
                file.write(json.dumps({"step": step, **metrics}) + "\n")

            body(Live(log))
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> Found:
        lines = self.file.read_text().splitlines(keepends=True)
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
        return Found({row.pop("step"): row for row in rows})


open_store = JsonLines
