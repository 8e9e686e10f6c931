"""Artifacts that come along with new runs, as `track.autoGet` has it."""

from __future__ import annotations

from collections.abc import Collection

from gittrack import archives, obtaining, output, store
from gittrack.codec.pointer import Pointer
from gittrack.commands import common
from gittrack.errors import DataRefused, GittrackError
from gittrack.refname import RunId
from gittrack.repo import Repo
from gittrack.terminal import printable


def bring(place: Repo, runs: Collection[RunId], *, quiet: bool) -> None:
    """Brings the artifacts of runs that fit the patterns of `track.autoGet`; what does not come is said."""
    patterns = [pattern for text in place.settings.get("autoGet").split(",") if (pattern := text.strip())]
    if not (patterns and runs):
        return
    wanted = _wanted(place, runs, patterns)
    payloads = obtaining.payloads_of(place)
    missing = [pointer for pointer in wanted if payloads.find(pointer) is None]
    if not missing:
        return
    from gittrack import carrying

    transports, closed = obtaining.opened(place)
    for why in closed:
        output.warn(f"warning: {printable(why)}")
    try:
        with output.Progress(quiet=quiet) as progress:
            done = carrying.bring(payloads, transports, missing, progress=progress.report)
    except OSError as exc:
        raise DataRefused("artifacts cannot be kept", cause=exc.strerror or str(exc)) from exc
    finally:
        for transport in transports:
            transport.close()
    if done.moved and not quiet:
        output.line(f"got {len(done.moved)} artifact{'s' * (len(done.moved) != 1)}, {output.size(done.bytes)}")
    if done.failed:
        pointer, error = done.failed[0]
        more = f" and {len(done.failed) - 1} more" if len(done.failed) > 1 else ""
        error.message = f"artifact '{wanted[pointer]}'{more} did not come: {error.message}"
        common.report(error, label="warning")


def _wanted(place: Repo, runs: Collection[RunId], patterns: Collection[str]) -> dict[Pointer, str]:
    """Returns the payloads of artifacts that fit, each with a path; a run that is damaged is passed over."""
    found: dict[Pointer, str] = {}
    with place.git.objects() as objects:
        for run in runs:
            _, tip = archives.find(place.git, run)
            if tip is None:
                continue
            try:
                pointers = store.read_detail(objects, run, tip, oid_bytes=place.git.place.oid_bytes).pointers()
            except GittrackError:
                continue
            for path, pointer in pointers.items():
                if any(obtaining.matches(path, pattern) for pattern in patterns):
                    found.setdefault(pointer, path)
    return found
