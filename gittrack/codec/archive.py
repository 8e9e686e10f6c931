"""Archives: many runs behind one ref (docs/format.md, chapter 14)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from gittrack.errors import DataRefused
from gittrack.refname import Oid, RunId, is_oid, is_run_id

MAX_PARENTS = 200  # runs of one commit; git takes more, hosts may not
MAX_BATCH_BYTES = 1 << 20
MAX_LIST_BYTES = 64 << 20
DELETED, PURGED, RUNS = "deleted", "purged", "runs"
_BATCH = re.compile(r"runs/([0-9a-f]{2})/([0-9a-f]{38}|[0-9a-f]{62})")
_CLONE = re.compile(rb"^Archive: (c[0-9a-hjkmnp-tv-z]{12})$", re.MULTILINE)


def encode_entries(entries: Mapping[RunId, Oid]) -> bytes:
    """Returns a batch: a line `<run id> <oid>` a run, sorted."""
    return "".join(f"{run} {oid}\n" for run, oid in sorted(entries.items())).encode()


def decode_entries(raw: bytes, *, oid_bytes: int) -> dict[RunId, Oid]:
    """Reads a batch; raises DataRefused."""
    found: dict[RunId, Oid] = {}
    for line in raw.decode("ascii", "replace").splitlines():
        run, _, oid = line.partition(" ")
        if not is_run_id(run) or not is_oid(oid) or len(oid) != 2 * oid_bytes:
            raise DataRefused("an archive has a line that names no run", cause=repr(line[:100]))
        found[RunId(run)] = Oid(oid)
    return found


def encode_ids(ids: Iterable[RunId]) -> bytes:
    """Returns a list of runs: an id a line, sorted."""
    return "".join(f"{run}\n" for run in sorted(ids)).encode()


def decode_ids(raw: bytes) -> frozenset[RunId]:
    """Reads a list of runs; raises DataRefused."""
    lines = raw.decode("ascii", "replace").splitlines()
    wrong = next((line for line in lines if not is_run_id(line)), None)
    if wrong is not None:
        raise DataRefused("an archive has a line that names no run", cause=repr(wrong[:100]))
    return frozenset(map(RunId, lines))


def batch_path(oid: Oid) -> str:
    """Returns where a batch stands in the tree: under its own id, so that the union of trees is that of archives."""
    return f"{RUNS}/{oid[:2]}/{oid[2:]}"


def batch_of(path: str) -> Oid | None:
    """Returns the id of the batch that stands at a path, or None if none does."""
    found = _BATCH.fullmatch(path)
    return Oid(found[1] + found[2]) if found else None


def encode_message(clone: str, count: int) -> bytes:
    """Returns the message of an archive's commit that adds `count` runs."""
    return f"archive of {count} runs\n\nArchive: {clone}\n".encode()


def clone_of(message: bytes) -> str | None:
    """Returns the clone that wrote an archive's commit; None if it is no archive's."""
    found = _CLONE.findall(message)
    return found[-1].decode() if found else None
