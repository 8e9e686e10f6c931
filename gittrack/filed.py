"""The files of a run that is committed now: each is in its place, or is counted as lost.

What a process that died had not hashed yet is hashed here. A copy that nobody hashed is believed only as long as the
machine runs that made it: after a power cut it may have the right size and the wrong bytes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from gittrack import journal
from gittrack.codec.pointer import Pointer
from gittrack.draft import Draft
from gittrack.hashes import same
from gittrack.model import Artifact
from gittrack.payloads import Payloads, digest_of


def settle(made: Draft, live: journal.Live) -> None:
    """Puts what is a payload in its place, and leaves out what is gone or damaged, which does not hold up the rest.

    Raises OSError if the disk does not tell: another time it may."""
    payloads = Payloads(live.folder.parents[2])
    for path, item in list(made.artifacts.items()):
        whole = _settled(payloads, made, live, item, made.sources.get(path))
        if whole is None:
            del made.artifacts[path]
            made.sources.pop(path, None)
            made.counts["dropped"] = made.counts.get("dropped", 0) + 1
        else:
            made.artifacts[path] = whole
            if whole.kind == "pointer":
                made.sources.pop(path, None)


def _settled(
    payloads: Payloads, made: Draft, live: journal.Live, item: Artifact, source: Path | None
) -> Artifact | None:
    """Returns what is known of a file whose content is safe, or None if it is not there as it should be."""
    if item.kind != "pointer":
        return item if source is not None and _size(source) == item.size else None
    known = Pointer(item.sha256, item.size) if source is None else made.stored.get(source.name)
    if known is not None and payloads.use(known):
        return replace(item, sha256=known.sha256)
    if source is None or _size(source) != item.size or not _is_of_now(live):
        return None
    before = source.stat()
    pointer = digest_of(source)
    if known not in (None, pointer) or pointer.size != item.size or not same(before, source.stat()):
        return None  # a link whose file is written to
    payloads.file(source, pointer)
    return replace(item, sha256=pointer.sha256)


def _is_of_now(live: journal.Live) -> bool:
    """Tells whether no power cut can have come between: each process that wrote here runs on this boot of a machine.

    A copy of another host on a shared disk is believed: that host did not necessarily go down."""
    here = journal.process_identity()
    return all(
        process.get("host") != here["host"] or process.get("boot") in (None, here["boot"]) for process in live.processes
    )


def _size(path: Path) -> int | None:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None
