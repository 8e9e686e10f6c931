"""tensorboardX, which writes event files from a queue; TensorBoard, if it is there too, reads them."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import Found, Live, Points

READER = "tensorboard.backend.event_processing.event_accumulator"


class TensorboardX:
    reading = ("numpy", READER)

    def __init__(self, folder: Path) -> None:
        self.store = folder / "out" / "tensorboardX"
        self.tensorboard = importlib.import_module("tensorboardX")

    def record(self, params: Mapping[str, float], body: Callable[[Live], None]) -> None:
        writer = self.tensorboard.SummaryWriter(str(self.store / f"run{len(self._folders())}"))

        def log(metrics: dict[str, float], /, *, step: int) -> None:
            for name, value in metrics.items():
                writer.add_scalar(name, value, step)

        writer.add_text("params", repr(params))
        body(Live(log))
        writer.close()

    def read(self) -> Found:
        event = importlib.import_module("tensorboardX.proto.event_pb2").Event
        points: Points = {}
        for file in self.store.glob("*/*"):
            for record in records(file.read_bytes()):
                entry = event.FromString(record)
                for value in entry.summary.value:
                    points.setdefault(entry.step, {})[value.tag] = value.simple_value
        return Found(points)

    def curve(self, metric: str, /) -> Callable[[], Any]:
        folder = max(self._folders(), key=lambda folder: sum(file.stat().st_size for file in folder.iterdir()))
        loaded = self._loaded(folder, 0)  # 0: keep every point
        return lambda: arrayed(loaded.Scalars(metric))

    def curves(self, metric: str, points: int, /) -> list[Any]:
        every = [self._loaded(folder, points) for folder in self._folders()]
        return [arrayed(one.Scalars(metric)) for one in every if metric in one.Tags()["scalars"]]

    def _folders(self) -> list[Path]:
        return sorted(self.store.iterdir()) if self.store.exists() else []

    def _loaded(self, folder: Path, points: int) -> Any:
        reader = importlib.import_module(READER)
        return reader.EventAccumulator(str(folder), size_guidance={"scalars": points}).Reload()


def arrayed(events: list[Any]) -> Any:
    """Returns steps, times and values as an array."""
    return importlib.import_module("numpy").array([(event.step, event.wall_time, event.value) for event in events])


def records(data: bytes) -> Iterator[bytes]:
    """Yields the whole records of an event file: a length, a checksum, the bytes, a checksum."""
    start = 0
    while start + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        if start + 16 + length > len(data):
            return
        yield data[start + 12 : start + 12 + length]
        start += 16 + length


open_store = TensorboardX
