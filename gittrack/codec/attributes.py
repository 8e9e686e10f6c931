"""The `.gitattributes` of a run's tree, by which stock git-lfs finds the pointers in it (docs/format.md, chapter 10).

It names what is a pointer and nothing else, for git-lfs complains of files that should be pointers and are not. A
folder in which all files are pointers takes one line, so that a thousand shards do."""

from __future__ import annotations

import re
from collections.abc import Iterable

FILE = ".gitattributes"
_FILTER = "filter=lfs diff=lfs merge=lfs -text"
_MAX_LINE = 2048  # bytes; git reads no longer ones
_SPECIAL = re.compile(r"[*?\[\\]")


def encode(pointers: Iterable[str], files: Iterable[str]) -> bytes:
    """Returns the file for a run with these `pointers` among its `files`; all are paths below `artifacts/`."""
    wanted = {f"artifacts/{path}" for path in pointers}
    others = {f"artifacts/{path}" for path in files} - wanted
    mixed = {folder for path in others for folder in _above(path)}
    rules: dict[str, None] = {}
    for path in sorted(wanted):
        whole = next((folder for folder in _above(path) if folder not in mixed), None)
        rules[_rule(path) if whole is None else _rule(whole, below=True)] = None
    return "".join(f"{rule}\n" for rule in rules).encode()


def _above(path: str) -> list[str]:
    """Returns the folders that a path is in, the outermost first."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _rule(path: str, *, below: bool = False) -> str:
    pattern = "/" + _SPECIAL.sub(r"\\\g<0>", path) + ("/**" if below else "")
    if pattern.startswith('"') or re.search(r"[\s\"]", pattern):
        pattern = '"' + pattern.replace("\\", "\\\\").replace('"', '\\"') + '"'
    line = f"{pattern} {_FILTER}"
    if len(line.encode()) < _MAX_LINE:
        return line
    return _rule(path.rpartition("/")[0], below=True)  # too much is better than nothing
