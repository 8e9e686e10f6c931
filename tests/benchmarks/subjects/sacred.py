"""Sacred with its FileStorageObserver; what is printed is not captured, which is the faster setting."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import Found, Live, Points


class Sacred:
    def __init__(self, folder: Path) -> None:
        self.store = folder / "out" / "sacred"
        self.sacred = importlib.import_module("sacred")
        self.observers = importlib.import_module("sacred.observers")
        self.sacred.SETTINGS["CAPTURE_MODE"] = "no"

    def record(self, params: Mapping[str, float], body: Callable[[Live], None]) -> None:
        experiment = self.sacred.Experiment("bench", save_git_info=False, interactive=True)
        experiment.observers.append(self.observers.FileStorageObserver(str(self.store)))
        experiment.add_config(dict(params))

        def main(_run: Any) -> None:  # sacred passes the run by the name of this argument
            def log(metrics: dict[str, float], /, *, step: int) -> None:
                for name, value in metrics.items():
                    _run.log_scalar(name, value, step)

            body(Live(log, lambda path: _run.add_artifact(str(path))))

        experiment.main(main)
        experiment.run()

    def read(self) -> Found:
        points: Points = {}
        for file in self.store.glob("*/metrics.json"):
            for name, series in json.loads(file.read_text() or "{}").items():
                for step, value in zip(series["steps"], series["values"], strict=True):
                    points.setdefault(step, {})[name] = value
        return Found(points)


open_store = Sacred
