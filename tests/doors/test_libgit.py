"""The door through libgit2 keeps the same promises, without a git executable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gittrack.git import Git, Place
from gittrack.libgit.door import LibGit
from tests.doors.suite import DoorSuite


class TestLibGit(DoorSuite):
    def discover(self, directory: Path, environ: Mapping[str, str]) -> Place:
        return LibGit.discover(directory, environ)

    def door(self, place: Place, environ: Mapping[str, str]) -> Git:
        return LibGit(place, {**environ, "PATH": "/nowhere"})
