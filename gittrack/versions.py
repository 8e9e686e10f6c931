"""Where the versions of one artifact stand in a run: the first below its name, each later one in a folder beside it."""

from __future__ import annotations

import re

_LATER = re.compile(r"(?:-v([1-9][0-9]{0,8}))?/")


def folder(name: str, number: int) -> str:
    """Returns the folder of a version: `model`, `model-v1`, `model-v2`."""
    return f"{name}-v{number}" if number else name


def number_of(name: str, path: str) -> int | None:
    """Returns which version of the artifact `name` a file of a run is in; None if it is in none."""
    found = _LATER.match(path, len(name)) if path.startswith(name) else None
    return int(found[1] or 0) if found else None
