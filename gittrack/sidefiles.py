"""The files that lie beside a run's journals and go into its tree: output, environment, patch.

Whoever writes them may be killed at any moment, so secrets in them are replaced here, when the run is sealed."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from gittrack import journal, printed, redact
from gittrack.draft import Draft

_MARK = "redacted:"


def read(live: journal.Live) -> tuple[dict[str, bytes], dict[str, int]]:
    """Returns the files by their path in the tree, and how many secrets were replaced, by place."""
    folder = live.folder
    found: dict[str, bytes] = {}
    with contextlib.suppress(FileNotFoundError):
        found[printed.NAME] = printed.read(folder)
    with contextlib.suppress(FileNotFoundError):
        found["code.patch"] = (folder / "code.patch").read_bytes()
    with contextlib.suppress(OSError):
        found |= {f"env/{path.name}": path.read_bytes() for path in (folder / "env").iterdir()}
    found = {name: content for name, content in found.items() if content}
    if live.header.get("redact") is False:
        return found, {}
    places: Counter[str] = Counter()
    for name, content in found.items():
        place = "output" if name == printed.NAME else "environment"
        if name == "env/environment.yaml":  # its variables were looked at by name
            places[place] += content.count(redact.REDACTED.encode())
        if name != "code.patch":  # a patch with other lines would not apply; files with secrets are not in it
            found[name], count = redact.raw(content, names=name == printed.NAME)
            places[place] += count
    return found, dict(places)


def replaced(header: Mapping[str, Any], made: Draft, side: Mapping[str, int]) -> dict[str, int]:
    """Returns how many secrets of a run were replaced, by place: at the start, while it went on, and in these files."""
    found = Counter({str(place): int(count) for place, count in header.get("redacted", {}).items()})
    found.update({key.removeprefix(_MARK): count for key, count in made.counts.items() if key.startswith(_MARK)})
    found.update(side)
    return {place: count for place, count in found.items() if count}
