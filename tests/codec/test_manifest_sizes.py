"""The size of an artifact is a number that a disk could have."""

from __future__ import annotations

import pytest

from gittrack.codec import manifest
from gittrack.errors import DataRefused


@pytest.mark.parametrize("size", ["-1", "true", "1" * 400, str(1 << 63), "1.5", "''"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    raw = f"a.bin:\n  kind: blob\n  size: {size}\n  sha256: {'0' * 64}\n".encode()
    with pytest.raises(DataRefused):
        manifest.decode_artifacts(raw)
