"""The door through the git executable keeps its promises."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gittrack import git
from gittrack.git import Git, Place
from tests.doors.suite import DoorSuite


class TestExecutable(DoorSuite):
    def discover(self, directory: Path, environ: Mapping[str, str]) -> Place:
        return git.discover(directory, environ)

    def door(self, place: Place, environ: Mapping[str, str]) -> Git:
        return Git(place, environ)
