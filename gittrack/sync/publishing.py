"""What goes out with runs: the code that made them, and files that were never committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gittrack.git import Git
from gittrack.model import Code
from gittrack.refname import Oid, RunId, mirror_prefix


@dataclass(frozen=True, slots=True)
class Publication:
    """What besides runs goes out with a push: commits of code, and snapshots with their uncommitted files.

    first: nothing is known to be there yet."""

    commits: int
    snapshots: Mapping[RunId, tuple[str, ...]]
    first: bool


def publication(git: Git, name: str | None, tips: Iterable[Oid], codes: Mapping[RunId, Code]) -> Publication:
    """Returns what goes out with runs, as far as the remote `name` is not known to have it; None: into a file.

    tips: the commits that are pushed."""
    known = [f"refs/remotes/{name}/", mirror_prefix(name)] if name else []
    commits = git.count_new(tips, known=known, code=True)
    # Of a sweep all runs have one snapshot.
    made = {code.snapshot: code.commit or git.empty_tree for code in codes.values() if code.snapshot}
    new = {snapshot: base for snapshot, base in made.items() if git.count_new([snapshot], known=known)}
    paths = {snapshot: git.changed_paths(base, snapshot) for snapshot, base in new.items()}
    found = {run: paths[code.snapshot] for run, code in codes.items() if code.snapshot in paths}
    return Publication(commits or 0, found, first=bool(commits and known and not git.refs(*known)))
