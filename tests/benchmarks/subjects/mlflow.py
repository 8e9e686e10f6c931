"""MLflow, storing in SQLite, which is its default."""

from __future__ import annotations

import importlib
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from . import Found, Live, Points


class Mlflow:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mlflow = importlib.import_module("mlflow")
        self.mlflow.set_experiment("bench")

    def record(self, params: Mapping[str, float], body: Callable[[Live], None]) -> None:
        with self.mlflow.start_run():
            if params:
                self.mlflow.log_params(dict(params))
            body(Live(self.mlflow.log_metrics, lambda path: self.mlflow.log_artifact(str(path))))

    def read(self) -> Found:
        points: Points = {}
        with sqlite3.connect(self.folder / "out" / "mlflow.db") as database:
            for step, key, value in database.execute("select step, key, value from metrics"):
                points.setdefault(step, {})[key] = value
        return Found(points)


open_store = Mlflow
