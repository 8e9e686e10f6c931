"""What a remote has comes in."""

from __future__ import annotations

from pathlib import Path

from gittrack import bundles, remote
from gittrack.git import Git
from gittrack.sync import shelving
from gittrack.sync.taking import Integrated
from gittrack.transfer import Progress


def pull(git: Git, name: str, *, progress: Progress | None = None) -> Integrated:
    """Fetches all runs of a remote and takes them in; raises RemoteError."""
    remote.fetch_runs(git, name, progress=progress)
    return shelving.integrate(git)


def pull_bundle(git: Git, file: Path, *, progress: Progress | None = None) -> Integrated:
    """Takes in the runs of a bundle; raises DataRefused if it is broken or not of this project."""
    with bundles.opened(git, file, progress=progress):
        return shelving.integrate(git)
