"""What a remote has comes in."""

from __future__ import annotations

from gittrack import remote
from gittrack.git import Git
from gittrack.sync import shelving
from gittrack.sync.taking import Integrated
from gittrack.transfer import Progress


def pull(git: Git, name: str, *, progress: Progress | None = None) -> Integrated:
    """Fetches all runs of a remote and takes them in; raises RemoteError."""
    remote.fetch_runs(git, name, progress=progress)
    return shelving.integrate(git)
