"""A floor: what the loop and its numbers cost when nothing is kept of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from . import Found, Live


class Nothing:
    def __init__(self, _folder: Path) -> None:
        pass

    def record(self, _params: Mapping[str, float], body: Callable[[Live], None]) -> None:
        def log(_metrics: dict[str, float], /, *, step: int) -> None:
            return

        body(Live(log))

    def read(self) -> Found:
        raise NotImplementedError("nothing was kept")


open_store = Nothing
