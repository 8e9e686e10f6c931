"""Commits of runs and of archives, as they are read: fetched ones are hostile, so they are read under limits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gittrack.codec import record
from gittrack.errors import DataRefused
from gittrack.model import Run
from gittrack.objects import Objects
from gittrack.refname import Oid, RunId

MAX_COMMIT = record.MAX_BYTES + 64 * 1024
_HEADER_DATE = re.compile(rb"^committer .*> ([0-9]+) [-+][0-9]{4}$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of a run."""

    oid: Oid
    tree: Oid
    parents: tuple[Oid, ...]
    time: int
    message: bytes

    def run(self, run: RunId) -> Run:
        """Returns the run as this commit records it; raises DataRefused."""
        return record.decode_message(self.message, run=run, oid=self.oid)


def read_commit(objects: Objects, oid: str) -> Commit:
    """Returns a commit; raises DataRefused if it is none."""
    found = objects.read(oid, limit=MAX_COMMIT)
    if found is None or found[1] != "commit":
        raise DataRefused(f"'{oid}' is no commit, or is missing", hint="see `git fsck`")
    head, _, message = found[2].partition(b"\n\n")
    date = _HEADER_DATE.search(head)
    lines = head.split(b"\n")
    trees = [line[5:].decode("ascii", "replace") for line in lines if line.startswith(b"tree ")]
    if len(trees) != 1 or date is None:
        raise DataRefused(f"commit '{oid}' is malformed")
    parents = tuple(Oid(line[7:].decode("ascii", "replace")) for line in lines if line.startswith(b"parent "))
    return Commit(found[0], Oid(trees[0]), parents, int(date[1]), message)
