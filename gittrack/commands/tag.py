"""`git track tag`: tags on runs."""

from __future__ import annotations

import time
from collections import Counter

import click

from gittrack import forms, journal, output, redact, repo, seal, store
from gittrack.commands import common
from gittrack.errors import NotFound, UsageError
from gittrack.model import Run
from gittrack.terminal import printable


@click.command("tag", cls=common.JsonCommand)
@click.argument("run", required=False, metavar="[RUN]")
@click.argument("tags", nargs=-1, metavar="[TAG]...")
@click.option("-d", "--delete", is_flag=True, help="Take the tags back.")
@common.json_option
def command(run: str | None, tags: tuple[str, ...], delete: bool, as_json: str | None) -> None:
    """Add tags to a run, or take them back; or list all tags.

    RUN may be tag:old or group:g where several runs are meant."""
    place = common.open_repo()
    known = common.read_runs(place)
    if run is None:
        counts = Counter(tag for item in known.runs for tag in item.tags)
        if as_json is not None:
            facts = [{"tag": tag, "runs": counts[tag]} for tag in sorted(counts)]
            output.line(forms.dump_json(forms.select(facts, as_json) if as_json else facts))
            return
        for tag in sorted(counts):
            output.line(f"{printable(tag)}\t{counts[tag]}")
        return
    for item in known.find_all([run]):
        if not tags:
            for tag in item.tags:
                output.line(printable(tag))
            continue
        clean = [check_tag(tag) for tag in tags]
        missing = [tag for tag in clean if tag not in item.tags]
        if delete and missing:
            raise NotFound(f"run '{item.name}' has no tag '{missing[0]}'")
        wanted = clean if delete else missing
        if wanted:
            change(place, item, {"untag" if delete else "tag": wanted})


def check_tag(tag: str) -> str:
    """Returns a tag; raises UsageError for one that is empty, long, or not one word."""
    if not tag or len(tag) > 200 or not tag.isprintable() or any(char in tag for char in ", \t"):
        raise UsageError(f"'{tag[:60]}' is no tag", hint="a tag is one word without commas, of at most 200 characters")
    return tag


def change(place: repo.Repo, run: Run, changes: dict[str, object]) -> None:
    """Adds an edit to a run, whether it has a commit yet or not."""
    if place.settings.switch("redact"):
        changes, hidden = redact.edit(changes)
        if hidden:
            output.warn(f"gittrack: {redact.told({'this edit': hidden})}")
    now, random = time.time(), repo.random_bits()
    if run.oid is None:
        folder = journal.live_root(place.git.place.common_dir) / run.id
        seal.edit_live(folder, changes, author=place.author, now=now, random=random)
    else:
        store.edit(place.git, run.id, changes, author=place.author, now=now, random=random, sign=place.sign)
