"""tensorboardX, which writes event files from a queue."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from . import Found, Live, Points


class TensorboardX:
    def __init__(self, folder: Path) -> None:
        self.store = folder / "out" / "tensorboardX"
        self.tensorboard = importlib.import_module("tensorboardX")

    def record(self, params: Mapping[str, float], body: Callable[[Live], None]) -> None:
        writer = self.tensorboard.SummaryWriter(str(self.store))

        def log(metrics: dict[str, float], /, *, step: int) -> None:
            for name, value in metrics.items():
                writer.add_scalar(name, value, step)

        writer.add_text("params", repr(params))
        body(Live(log))
        writer.close()

    def read(self) -> Found:
        event = importlib.import_module("tensorboardX.proto.event_pb2").Event
        points: Points = {}
        for file in self.store.iterdir():
            for record in records(file.read_bytes()):
                entry = event.FromString(record)
                for value in entry.summary.value:
                    points.setdefault(entry.step, {})[value.tag] = value.simple_value
        return Found(points)


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
