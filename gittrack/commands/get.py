"""`git track get`: files of runs, where somebody wants to work with them."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from gittrack import finding, forms, obtaining, output, store
from gittrack.codec import tree
from gittrack.commands import common
from gittrack.delivery import Damaged, Delivery, Parcel
from gittrack.errors import DataRefused, NotFound, UsageError
from gittrack.finding import Found
from gittrack.model import Run
from gittrack.obtaining import File
from gittrack.query.naming import Named
from gittrack.refname import RunId
from gittrack.repo import Repo
from gittrack.store import Detail
from gittrack.terminal import printable

_ROOT = "artifacts/"


class Item(NamedTuple):
    """A file of a run: its path in the run's tree, the path that it gets, and the artifact, if it is one."""

    path: str
    target: str
    file: File | None


class Wanted(NamedTuple):
    """Files of a run that go below one folder."""

    detail: Detail
    items: Sequence[Item]
    folder: Path


class Done(NamedTuple):
    """A file that is at its place; fresh: it was not before."""

    item: Item
    parcel: Parcel
    fresh: bool


@click.command("get", cls=common.JsonCommand)
@click.argument("runs", nargs=-1, required=True, metavar="RUN[:PATH]|NAME@ALIAS...")
@click.option("-o", "--output", "into", metavar="DIR", help="Write into this folder.")
@click.option("--force", is_flag=True, help="Replace files that are there and are different.")
@click.option("--link", is_flag=True, help="Make read-only hard links to what is kept here, instead of copies.")
@common.json_option
@common.quiet_option
def command(runs: tuple[str, ...], into: str | None, force: bool, link: bool, as_json: str | None, quiet: bool) -> None:
    """Get the files of a run.

    All of its artifacts go into a folder that is called like the run; those that PATH names go into the current one,
    or, if they are of several runs, into one for each run too. PATH is a file, a folder or a pattern
    ('checkpoints/**', '*.pt'). NAME@ALIAS is in the newest run that gave an artifact of this name that alias.
    What is not here is brought from a store."""
    place = common.open_repo()
    if into is not None and os.path.lexists(into) and not os.path.isdir(into):
        raise UsageError(f"-o '{into}' is no folder")
    known = common.read_runs(place, deleted=True)
    named = [_find(place, known, text) for text in runs]
    folders = _folders([common.require_commit(each.run) for each in named])
    facts: list[dict[str, object]] = []
    delivery = Delivery(force=force, link=link)
    with place.git.objects() as objects:
        wanted = []
        for each in named:
            run = common.require_commit(each.run)
            detail = store.read_detail(objects, run.id, str(run.oid), oid_bytes=place.git.place.oid_bytes)
            wanted.append(_wanted(detail, each, folders, into=into))
        _require_apart(wanted)
        with output.Progress(quiet=quiet) as progress:
            for some in wanted:
                large = [item.file for item in some.items if item.file and item.file.pointer]
                obtaining.bring(place, some.detail, large, progress=progress.report)
        for some in wanted:
            done = list(_written(place, some, delivery))
            if as_json is None and not quiet:
                _tell(some.detail.run, done)
            facts += [_fact(some.detail.run, one) for one in done]
    if as_json is not None:
        output.line(forms.dump_json(forms.select(facts, as_json) if as_json else facts))


# What and where -------------------------------------------------------------------------------------------------------


def _find(place: Repo, known: common.Runs, text: str) -> Named | Found:
    """Returns the run and the path in it, or the files, that a word of the command line names; raises NotFound."""
    try:
        return known.find_path(text)
    except NotFound:
        found = finding.aliased(place, known.index, text)
        if found is None:
            raise
        return found


def _folders(runs: Sequence[Run]) -> dict[RunId, str]:
    """Returns the name of the folder of each run: the run's, if it can be one and is sole."""
    count = Counter(run.name for run in {run.id: run for run in runs}.values())
    return {run.id: run.name if _can_be_folder(run.name) and count[run.name] == 1 else run.id for run in runs}


def _can_be_folder(name: str) -> bool:
    return "/" not in name and not name.startswith(".") and tree.why_refused(name) is None


def _wanted(detail: Detail, named: Named | Found, folders: Mapping[RunId, str], *, into: str | None) -> Wanted:
    """Returns what a word of the command line means; raises NotFound."""
    folder = Path() if into is None else Path(into)
    whole = named.path is None
    # The name of a run is a stranger's word: if it is that of a link that is there, that link is not followed.
    below = f"{folders[detail.run.id]}/" if len(folders) > 1 or (whole and into is None) else ""
    path = (named.path or "").strip("/")
    if isinstance(named, Found):
        chosen = named.files
    elif path in detail.files and not path.startswith(_ROOT):
        return Wanted(detail, [Item(path, below + path.rpartition("/")[2], None)], folder)
    else:
        asked = [] if named.path is None else [named.path]
        chosen = obtaining.chosen(obtaining.files_of(detail), asked, run=detail.run.name)
    cut = 0 if whole else _cut([file.path for file in chosen], path)
    return Wanted(detail, [Item(_ROOT + file.path, below + file.path[cut:], file) for file in chosen], folder)


def _require_apart(wanted: Sequence[Wanted]) -> None:
    """Raises UsageError if two files that are not the same would get one path."""
    seen: dict[str, tuple[Wanted, Item]] = {}
    for some in wanted:
        for item in some.items:
            other, first = seen.setdefault(item.target, (some, item))
            if some.detail.files[item.path].oid != other.detail.files[first.path].oid:
                both = f"'{first.path.removeprefix(_ROOT)}' and '{item.path.removeprefix(_ROOT)}'"
                raise UsageError(
                    f"both {both} of run '{some.detail.run.name}' would be '{item.target}'",
                    hint="get one at a time, each with its own -o DIR",
                )


def _cut(paths: Sequence[str], asked: str) -> int:
    """Returns how much of their beginning paths lose: all above the file or folder that was asked for."""
    for top in (asked, asked.removeprefix(_ROOT)):
        if all(path == top or path.startswith(top + "/") for path in paths):
            return top.rfind("/") + 1
    return 0


# Writing --------------------------------------------------------------------------------------------------------------


def _written(place: Repo, wanted: Wanted, delivery: Delivery) -> Iterator[Done]:
    """Yields the files as they come to their place; one that is damaged here is brought once more."""
    for item in wanted.items:
        parcel = _parcel(place, wanted, item)
        try:
            fresh = delivery.deliver(parcel)
        except Damaged:
            if item.file is None or item.file.pointer is None:
                raise
            output.warn(f"warning: '{printable(item.path)}' is damaged here, and is brought again")
            with contextlib.suppress(FileNotFoundError):
                obtaining.payloads_of(place).quarantine(item.file.pointer.sha256)
            fresh = delivery.deliver(_parcel(place, wanted, item))
        yield Done(item, parcel._replace(source=b""), fresh)


def _parcel(place: Repo, wanted: Wanted, item: Item) -> Parcel:
    executable = wanted.detail.files[item.path].mode == tree.EXECUTABLE
    if item.file and item.file.pointer:
        (source,) = obtaining.bring(place, wanted.detail, [item.file])
        return Parcel(wanted.folder, item.target, source, *item.file.pointer, executable)
    if item.file:
        content = obtaining.read_blob(wanted.detail, item.file)
    else:
        found = wanted.detail.blob(item.path, limit=obtaining.MAX_BLOB)
        if found is None:
            raise DataRefused(f"'{item.path}' is missing in git", hint="see `git fsck`")
        content = found
    sha256 = hashlib.sha256(content).hexdigest()
    return Parcel(wanted.folder, item.target, content, sha256, len(content), executable)


def _tell(run: Run, done: Sequence[Done]) -> None:
    """Says in one line what was written."""
    fresh = [one.parcel for one in done if one.fresh]
    size = output.size(sum(parcel.size for parcel in fresh))
    same = len(done) - len(fresh)
    if not done:
        output.warn(f"run '{printable(run.name)}' has no artifacts")
    elif len(done) == 1:
        target = printable(str(done[0].parcel.target))
        output.line(f"wrote {target}, {size}" if fresh else f"{target} is there already")
    else:
        there = f"; {same} are there already" if same else ""
        output.line(f"wrote {len(fresh)} files of run {printable(run.name)}, {size}{there}")


def _fact(run: Run, done: Done) -> dict[str, object]:
    return {
        "run": run.id,
        "path": done.item.path,
        "file": str(done.parcel.target),
        "size": done.parcel.size,
        "sha256": done.parcel.sha256,
        "written": done.fresh,
    }
