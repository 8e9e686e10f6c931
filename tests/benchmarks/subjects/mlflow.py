"""MLflow, storing in SQLite, which is its default."""

from __future__ import annotations

import contextlib
import importlib
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from . import Ended, Found, Live, Points

# A run like one that its own API made, with another id, name and time. The tables are mlflow's, and another version may
# have other columns in `runs`; what these statements do not name is copied, or is as the schema says.
OTHERWISE = {
    "run_uuid": ":id",
    "name": "'run-' || :number",
    "start_time": "start_time + :number",
    "end_time": "end_time + :number",
    "artifact_uri": "replace(artifact_uri, :like, :id)",
}
TAGS = "insert into tags (key, value, run_uuid) select key, value, :id from tags where run_uuid = :like"
PARAMS = "insert into params (key, value, run_uuid) values (?, ?, ?)"
POINT = "(key, value, timestamp, step, is_nan, run_uuid) values (:key, :value, :time + :step, :step, 0, :id)"


class Mlflow:
    reading = ("numpy", "pandas")

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
        with self._database() as database:
            for step, key, value in database.execute("select step, key, value from metrics"):
                points.setdefault(step, {})[key] = value
        return Found(points)

    def fill(self, runs: Iterable[Ended], count: int, /) -> None:
        """Writes rows like those of a run that its API made: 10,000 through the API take a quarter of an hour.

        In the order of their ids, which puts more of them side by side than life does."""
        with self.mlflow.start_run() as run:
            run_id = run.info.run_id
        written: dict[str, Ended] = {}  # the last
        with contextlib.closing(self._database()) as database, database:
            for pragma in ("synchronous = off", "journal_mode = memory", "cache_size = -500000"):
                database.execute(f"pragma {pragma}")
            columns = [row[1] for row in database.execute("pragma table_info(runs)")]
            values = ", ".join(OTHERWISE.get(name, name) for name in columns)
            (began,) = database.execute("select start_time from runs where run_uuid = ?", (run_id,)).fetchone()
            ids = sorted(uuid.uuid4().hex for _ in range(count))
            for number, (other, ended) in enumerate(zip(ids, runs, strict=True), 1):
                same: dict[str, Any] = {"id": other, "like": run_id, "number": number}
                database.execute(f"insert into runs select {values} from runs where run_uuid = :like", same)  # noqa: S608 - names of its own
                database.execute(TAGS, same)
                database.executemany(PARAMS, [(key, str(value), other) for key, value in ended.params.items()])
                for key, curve in ended.curves.items():
                    point: dict[str, Any] = {"key": key, "time": began + number, "id": other}
                    points = ({**point, "step": step, "value": value} for step, value in enumerate(curve))
                    database.executemany(f"insert into metrics {POINT}", points)
                    last = {**point, "step": len(curve) - 1, "value": curve[-1]}
                    database.execute(f"insert into latest_metrics {POINT}", last)
                written = {other: ended}
        for other, ended in written.items():
            self._check(other, ended)

    def _check(self, run_id: str, ended: Ended) -> None:
        """Raises ValueError unless its API sees a run as it was written."""
        seen = self.mlflow.MlflowClient().get_run(run_id).data
        params = {key: str(value) for key, value in ended.params.items()}
        if seen.params != params or seen.metrics != {key: curve[-1] for key, curve in ended.curves.items()}:
            raise ValueError("mlflow does not see what was written into its tables")

    def frame(self) -> Any:
        return self.mlflow.search_runs(experiment_names=["bench"])

    def curve(self, metric: str, /) -> Callable[[], Any]:
        client = self.mlflow.MlflowClient()
        (run_id,) = self._having(metric)
        return lambda: arrayed(client.get_metric_history(run_id, metric))

    def curves(self, metric: str, points: int, /) -> list[Any]:  # its API has no way to ask for fewer points
        client = self.mlflow.MlflowClient()
        return [arrayed(client.get_metric_history(run_id, metric)) for run_id in self._having(metric)]

    def _having(self, metric: str) -> list[str]:
        there = self.mlflow.search_runs(
            experiment_names=["bench"], filter_string=f"metrics.{metric} >= 0", output_format="list"
        )
        return [run.info.run_id for run in there]

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / "out" / "mlflow.db")


def arrayed(history: list[Any]) -> Any:
    """Returns steps, times and values as an array."""
    return importlib.import_module("numpy").array([(point.step, point.timestamp, point.value) for point in history])


open_store = Mlflow
