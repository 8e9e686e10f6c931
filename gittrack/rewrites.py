"""The link journal: which commit became which, as git told the post-rewrite hook of this clone.

git says it once and forgets it: a reflog names both commits and not that one became the other. All work trees of a
repository write to one file, at any time, so a batch is appended with one write and a reader believes whole lines
only. What is lost with it is small: `links` finds most of the same by tree and patch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from gittrack.git import Git
from gittrack.refname import Oid, is_oid
from gittrack.shared import make_folder, share

Links = Mapping[Oid, tuple[Oid, ...]]


def append(git: Git, pairs: Iterable[tuple[str, str]]) -> int:
    """Notes that the first commit of each pair became the second; returns how many pairs were taken.

    What names no commit of this repository's kind is passed over, for a hook must not fail because of it. Raises
    OSError if the file cannot be written."""
    length = 2 * git.place.oid_bytes
    kept = dict.fromkeys(
        (old, new)
        for old, new in pairs
        if old != new and all(is_oid(oid) and len(oid) == length and oid.strip("0") for oid in (old, new))
    )
    if not kept:
        return 0
    path = _path(git)
    make_folder(path.parent)
    # The empty line ends what a writer that was killed left half written.
    batch = "\n" + "".join(f"{old} {new}\n" for old, new in kept)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        left = memoryview(batch.encode("ascii"))
        while left:
            left = left[os.write(fd, left) :]
    finally:
        os.close(fd)
    share(path)
    return len(kept)


def read(git: Git) -> Links:
    """Returns what each commit that was rewritten became, in the order it was noted; {} if nothing was.

    What `git filter-repo` left in its commit map counts too. Raises OSError if a file cannot be read."""
    length = 2 * git.place.oid_bytes
    line = re.compile(rb"^([0-9a-f]{%d}) ([0-9a-f]{%d})$" % (length, length), re.MULTILINE)
    found: dict[Oid, dict[Oid, None]] = {}
    for path in (_path(git), git.place.common_dir / "filter-repo" / "commit-map"):
        for old, new in line.findall(_content(path)):
            if old != new and new.strip(b"0"):  # a commit that was dropped became none
                found.setdefault(Oid(old.decode()), {})[Oid(new.decode())] = None
    return {old: tuple(news) for old, news in found.items()}


def heirs(links: Links, commit: Oid) -> list[Oid]:
    """Returns all that a commit became, over any number of rewrites, the nearest first; without itself."""
    found = {commit: None}
    for oid in (queue := [commit]):
        new = [heir for heir in links.get(oid, ()) if heir not in found]
        found |= dict.fromkeys(new)
        queue += new
    return queue[1:]


def _path(git: Git) -> Path:
    return git.place.common_dir / "gittrack" / "rewrites"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
