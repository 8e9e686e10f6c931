"""Which runs go into the archive, and when they go there by themselves: what `archive`, `push` and `gc` share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gittrack import boundary, clone, repo
from gittrack.archives import Shelf
from gittrack.commands import common
from gittrack.model import Run
from gittrack.refname import Oid, RunId, mirror_prefix, run_of
from gittrack.repo import Repo
from gittrack.settings import host_name
from gittrack.sync import archiving, taking

AS_ONE = 500  # more new runs than this are pushed as one archive: 10,000 refs take minutes, an archive seconds


def choose(place: Repo, runs: Sequence[Run]) -> tuple[list[Run], int]:
    """Returns those runs that may be archived: they ended, have a ref, and nobody writes to them.

    And how many were left out because their uncommitted files are not to be published: an archive goes out whole."""
    live = {path.name for path in _folders(place)}
    ended = [run for run in runs if run.oid and not run.archived and run.status != "running" and run.id not in live]
    if place.settings.choice("publishSnapshots", "ask", "true", "false") != "false":
        return ended, 0
    kept = [run for run in ended if not run.code.snapshot or run.pushed]
    return kept, len(ended) - len(kept)


def _folders(place: Repo) -> list[Path]:
    from gittrack import journal

    root = journal.live_root(place.git.place.common_dir)
    return list(root.iterdir()) if root.is_dir() else []


def archive(place: Repo, runs: Sequence[Run]) -> int:
    """Archives runs, and drops refs that an archive covers already; returns how many refs went away."""
    pairs = [(run.id, run.oid) for run in runs if run.oid]
    left = dict(archiving.covered(place.git)).items() - set(pairs)
    return len(archiving.archive(place.git, own_id(place), [*pairs, *left]).runs)


def own_id(place: Repo) -> str:
    """Returns the id under which this clone archives."""
    return clone.clone_id(place.git, host=host_name(), random=repo.random_bits())


def archives_by_itself(place: Repo) -> bool:
    """Tells whether this clone archives unasked: those of a CI job, and cut-off ones, are thrown away."""
    in_ci = (place.settings.environ.get("CI") or "").lower() not in ("", "0", "false", "no")
    return not in_ci and not boundary.is_cut(place.git.place.common_dir)


def overflow(place: Repo) -> int:
    """Archives the older runs if more than track.maxRefs have a ref, so that half as many do; returns how many."""
    limit = place.settings.count("maxRefs")
    if not archives_by_itself(place) or len(taking.own(place.git)) <= limit:
        return 0
    runs = [run for run in common.read_runs(place, deleted=True).index.brief() if not run.archived]
    wanted, _ = choose(place, runs[limit // 2 :])
    return archive(place, wanted) if wanted else 0


def as_one(place: Repo, name: str, out: Sequence[tuple[RunId, Oid]]) -> int:
    """Archives runs that a remote has never seen if they are too many to go one by one; returns how many."""
    if len(out) <= AS_ONE or not archives_by_itself(place):
        return 0
    prefix = mirror_prefix(name)
    ids = {run for run, _ in out} - {run_of(ref.name, prefix=prefix) for ref in place.git.refs(prefix)}
    ids -= Shelf(place.git, f"{prefix}archive/").of(ids).keys()
    if len(ids) <= AS_ONE:
        return 0
    wanted, _ = choose(place, [run for run in common.read_runs(place, deleted=True).index.brief() if run.id in ids])
    return archive(place, wanted) if wanted else 0
