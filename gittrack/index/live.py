"""The runs that have no commit yet: those being recorded, and those whose process died."""

from __future__ import annotations

import contextlib
import os

from gittrack.errors import DataRefused, GittrackError
from gittrack.git import Git
from gittrack.model import Run


def has_any(git: Git) -> bool:
    """Tells whether there may be a run that has no commit yet, or of which more may have come."""
    for name in ("live", "sealed"):
        with contextlib.suppress(OSError), os.scandir(git.place.common_dir / "gittrack" / name) as found:
            if any(found):
                return True
    return False


def read(git: Git) -> tuple[list[Run], list[GittrackError]]:
    """Returns the runs that have no commit yet, and what of them is damaged."""
    runs: list[Run] = []
    damaged: list[GittrackError] = []
    if not has_any(git):
        return runs, damaged
    from gittrack import journal, seal  # noqa: PLC0415 - only while something is recorded

    for folder in journal.run_folders(journal.live_root(git.place.common_dir)):
        with contextlib.suppress(FileNotFoundError):  # it ended while we looked
            try:
                runs.append(seal.preview(journal.read(folder)))
            except GittrackError as exc:
                damaged.append(exc)
            except PermissionError as exc:  # somebody else's
                damaged.append(DataRefused(f"cannot read run '{folder.name}' while it is recorded", cause=exc.strerror))
            except (KeyError, TypeError, ValueError, AttributeError) as exc:
                damaged.append(DataRefused(f"cannot read '{folder}'", cause=f"its header is malformed ({exc})"))
    return runs, damaged
