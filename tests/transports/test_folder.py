"""A folder as a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gittrack.transports.folder import Folder
from gittrack.transports.protocol import Transport
from tests.transports import suite


class TestFolder(suite.Conformance):
    @pytest.fixture(autouse=True)
    def _root(self, tmp_path: Path) -> None:
        self.root = tmp_path / "a disk" / "with a store"
        self.root.parent.mkdir()

    @pytest.fixture
    def transport(self) -> Iterator[Transport]:
        found = Folder(self.root)
        yield found
        found.close()

    def plant(self, path: str, data: bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
