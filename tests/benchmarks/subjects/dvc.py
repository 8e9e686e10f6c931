"""DVCLive, which ends a run with `dvc exp save`: the other tracker whose runs are git commits."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

from . import Found, Live, Points


class Dvc:
    def __init__(self, folder: Path) -> None:
        self.store = folder / "dvclive"
        self.dvclive = importlib.import_module("dvclive")

    def record(self, params: Mapping[str, float], body: Callable[[Live], None]) -> None:
        live = self.dvclive.Live(str(self.store), save_dvc_exp=True, dvcyaml=None)

        def log(metrics: dict[str, float], /, *, step: int) -> None:
            live.step = step
            for name, value in metrics.items():
                live.log_metric(name, value)
            live.make_summary()

        live.log_params(dict(params))
        body(Live(log, lambda path: live.log_artifact(str(path), copy=True)))
        live.end()

    def read(self) -> Found:
        points: Points = {}
        for file in self.store.glob("plots/metrics/*.tsv"):
            for row in csv.DictReader(file.read_text().splitlines(), delimiter="\t"):
                points.setdefault(int(row["step"]), {})[file.stem] = float(row[file.stem])
        return Found(points)


open_store = Dvc
