"""The files that lie beside a run's journals and go into its tree: output, environment, patch.

Whoever writes them may be killed at any moment, so secrets in them are replaced here, when the run is sealed."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from gittrack import journal, printed, redact
from gittrack.draft import Draft

_MARK = "redacted:"
_LEFT_OUT = re.compile(rb"\n\[\.\.\. ([0-9]+) bytes left out \.\.\.\]\n")
_MIN_WORD, _MAX_WORD = 8, 4000
_NO_SPACE = bytes(byte for byte in range(256) if byte not in b" \t\r\n")


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
            found[name], count = redact.raw(_without_cut_words(content), names=name == printed.NAME)
            places[place] += count
    return found, dict(places)


def _without_cut_words(log: bytes) -> bytes:
    """Leaves out the halves of a word where the middle of a log was left out: nobody could tell what they are."""
    found = _LEFT_OUT.search(log)
    if not found:
        return log
    before, after = log[: found.start()], log[found.end() :]
    near, far = before[-_MAX_WORD:], after[:_MAX_WORD]
    begun, ended = len(near) - len(near.rstrip(_NO_SPACE)), len(far) - len(far.lstrip(_NO_SPACE))
    begun, ended = (size if size >= _MIN_WORD else 0 for size in (begun, ended))
    note = b"\n[... %d bytes left out ...]\n" % (int(found[1]) + begun + ended)
    return before[: len(before) - begun] + note + after[ended:]


def replaced(header: Mapping[str, Any], made: Draft, side: Mapping[str, int]) -> dict[str, int]:
    """Returns how many secrets of a run were replaced, by place: at the start, while it went on, and in these files."""
    found = Counter({str(place): int(count) for place, count in header.get("redacted", {}).items()})
    found.update({key.removeprefix(_MARK): count for key, count in made.counts.items() if key.startswith(_MARK)})
    found.update(side)
    return {place: count for place, count in found.items() if count}
