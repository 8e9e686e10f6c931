"""Which run, and which of its files, somebody means who reads or uses them from Python."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from gittrack import obtaining, versions
from gittrack.codec import manifest
from gittrack.errors import Ambiguous, GittrackError, NotFound, UsageError
from gittrack.index import live
from gittrack.index.listing import NEWEST_FIRST, Index
from gittrack.model import Artifact, Run
from gittrack.obtaining import File
from gittrack.query import language, naming
from gittrack.repo import Repo

NEWEST = "latest"  # what W&B calls the alias that always is the newest
_NAMED = re.compile(r"([^@]+)@([^@/:]+)|(.+):([^:/@]+)")


class Found(NamedTuple):
    """Files of a run that are meant together; path: that of the file below `artifacts/`, or of the folder they are in.

    whole: they are a folder, be it one of a single file."""

    run: Run
    path: str
    files: Sequence[File]
    whole: bool


def caught_up(place: Repo, *, deleted: bool) -> Index:
    """Commits what dead processes left and takes in what fetches brought, as each command does; where it may write."""
    with contextlib.suppress(GittrackError, OSError):
        if live.has_any(place.git):
            from gittrack import seal  # noqa: PLC0415 - only where something is recorded

            seal.recover(place.git, now=time.time(), sign=place.sign)
    book = Index(place.git, deleted=deleted)
    if book.apart:
        from gittrack.sync import shelving  # noqa: PLC0415 - only after a fetch

        with contextlib.suppress(GittrackError, OSError):
            shelving.integrate(place.git)
            book.refresh()
    return book


def artifact(place: Repo, text: str) -> Found:
    """Returns the files that `RUN:PATH`, `RUN`, or `NAME@ALIAS` mean; raises NotFound or Ambiguous.

    `NAME@ALIAS` is in the newest run that logged an artifact of this name (or with this last part of its path) with
    that alias; W&B's `NAME:ALIAS` and `PROJECT/NAME:ALIAS` mean the same, and `latest` any. Of several versions
    that a run has of it, it is the newest one; `v0` is the first of the run, `v1` the next."""
    book = caught_up(place, deleted=False)
    try:
        try:
            named = naming.find(text, book, commit=place.git.resolve)
        except NotFound:
            found = aliased(place, book, text)
            if found is None:
                raise
            return found
    finally:
        book.close()
    return below(place, named.run, named.path or "")


def below(place: Repo, run: Run, path: str) -> Found:
    """Returns a file of a run, or all files of a folder, `""` for all; raises NotFound."""
    with obtaining.reading(place, run) as detail:
        files = obtaining.files_of(detail)
    clean = path.strip("/")
    if clean in ("", "artifacts") and not any(file.path == clean for file in files):
        if not files:
            raise NotFound(f"run '{run.name}' has no artifacts")
        return Found(run, "", files, whole=True)
    chosen = obtaining.chosen(files, [clean], run=run.name)
    for place_in_run in (clean, clean.removeprefix("artifacts/")):
        if [file.path for file in chosen] == [place_in_run]:
            return Found(run, place_in_run, chosen, whole=False)
        if all(file.path.startswith(place_in_run + "/") for file in chosen):
            return Found(run, place_in_run, chosen, whole=True)
    raise UsageError(f"'{path}' is a pattern, which means {len(chosen)} file(s)", hint="name a file or a folder")


def aliased(place: Repo, book: Index, text: str) -> Found | None:
    """Returns what `NAME@ALIAS` means; None if the text is no such thing, or if nothing has that name at all."""
    asked = _NAMED.fullmatch(text)
    if not asked:
        return None
    full, alias = (asked[1], asked[2]) if asked[1] else (asked[3], asked[4])
    seen: set[str] = set()
    for name in dict.fromkeys((full, full.rpartition("/")[2])):
        for run, items in _with_artifacts(place, book, name):
            named = [item for item in items if name in (item.name, item.path, item.path.rpartition("/")[2])]
            fitting = _newest_version([item for item in named if alias == NEWEST or alias in item.aliases])
            fitting = fitting or [item for item in named if alias == f"v{_version(item)}"]
            if fitting:
                return _together(place, run, name, fitting)
            seen |= {other for item in named for other in item.aliases}
    if not asked[1] and not seen:  # RUN:PATH with a run that does not exist is the likelier meaning
        return None
    known = f"aliases of that name: {', '.join(sorted(seen))}" if seen else "no run logged one of this name"
    raise NotFound(f"no artifact '{full}' has the alias '{alias}'", cause=known)


def _version(item: Artifact) -> int:
    """Returns which version of its name in its run a file is of; 0 where there is but one."""
    return versions.number_of(item.name, item.path) or 0 if item.name else 0


def _newest_version(items: list[Artifact]) -> list[Artifact]:
    """Returns the files that are of the newest version among them, where all are of one artifact."""
    if len({item.name for item in items}) != 1:
        return items
    newest = max(map(_version, items))
    return [item for item in items if _version(item) == newest]


def _with_artifacts(place: Repo, book: Index, name: str) -> Iterator[tuple[Run, list[Artifact]]]:
    """Yields the runs that may have an artifact of a name, newest first, and what they say of their files."""
    asked = language.parse("artifacts > 0", date=place.git.date)
    runs = (run for run in book.select(asked, order=(NEWEST_FIRST,)) if run.oid and not run.deleted)
    raw_name = name.encode("utf-8", "replace")
    with place.git.objects() as objects:
        while batch := list(islice(runs, 200)):
            found = objects.read_many([f"{run.oid}:artifacts.yaml" for run in batch])
            for run, answer in zip(batch, found, strict=True):
                # To look for the name first spares nearly all the parsing; one that is quoted is parsed always.
                if isinstance(answer, tuple) and (
                    raw_name in answer[2] or not name.isprintable() or not name.isascii()
                ):
                    with contextlib.suppress(GittrackError):
                        yield run, manifest.decode_artifacts(answer[2])


def _together(place: Repo, run: Run, name: str, items: Iterable[Artifact]) -> Found:
    """Returns files of a run that were logged under one name as the one thing they are; raises Ambiguous."""
    paths = {item.path for item in items}
    with obtaining.reading(place, run) as detail:
        files = [file for file in obtaining.files_of(detail) if file.path in paths]
    folders = {versions.number_of(name, file.path) for file in files}
    if len(folders) == 1 and None not in folders:
        return Found(run, versions.folder(name, folders.pop() or 0), files, whole=True)
    if len(files) == 1:
        return Found(run, files[0].path, files, whole=False)
    listed = ", ".join(sorted(paths)[:8]) + (f" and {len(paths) - 8} more" if len(paths) > 8 else "")
    raise Ambiguous(
        f"'{name}' is the name of {len(paths)} files of run '{run.name}'", cause=listed, hint=f"write {run.name}:PATH"
    )
