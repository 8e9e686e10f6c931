"""The room of payloads, as `git track gc` gives it back: what nothing needs, and what a store has too."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from urllib.parse import urlsplit

from gittrack import collecting, obtaining, output, stores, sweeping
from gittrack.commands import common
from gittrack.errors import DataRefused, GitFailed, NotFound
from gittrack.payloads import Found
from gittrack.repo import Repo
from gittrack.stores import StoreAt
from gittrack.sweeping import Leftover, Releasable, Room
from gittrack.sync import pulling
from gittrack.terminal import printable
from gittrack.transports.protocol import Transport

# What a host does with payloads that nothing needs; docs/explanation/payloads.md says from where that is known.
_HOSTS = {
    "github.com": "GitHub keeps them as long as the repository",
    "gitlab.com": "GitLab's administrators clean up; what a pointer in the repository names stays",
    "codeberg.org": "Forgejo's administrators may clean up; what a pointer in the repository names stays",
    "huggingface.co": "Hugging Face frees nothing when pointers go",
}
_NOTHING, _TOO = "that nothing needs", "that a store has too"
_OTHER_HOST = "its administrators may clean up"


def tell(place: Repo, *, without: Collection[str], release: bool) -> None:
    """Says what `free` would give back; without: refs that would be gone by then."""
    payloads, now = obtaining.payloads_of(place), common.now().timestamp()
    with _patience(place) as clear:
        found = sweeping.unneeded(place.git, payloads, now=now, without=without) if clear else []
        resting = sweeping.resting(place.git, payloads, now=now, without=without) if clear else []
        rest = sweeping.room_of(sweeping.leftovers(payloads, now=now))
        _say("would free", sweeping.room_of(found), rest)
        _say_resting(resting, _NOTHING, "git track gc")
    _say_damaged("would free", *sweeping.damaged(payloads, now=now))
    if release:
        with opened(place) as transports:
            known = sweeping.releasable(place.git, payloads, transports, now=now)
        gone = {each.sha256 for each in (*found, *resting)}
        _say_released("would free", sweeping.room_of(each for each in known.found if each.sha256 not in gone), known)
        _say_resting([each for each in known.resting if each.sha256 not in gone], _TOO, "git track gc --artifacts")


def free(place: Repo, *, release: bool, quiet: bool) -> bool:
    """Gives back what nothing needs, and with `release` what a store has too; tells whether there was anything."""
    payloads, now = obtaining.payloads_of(place), common.now().timestamp()
    swept = rest = released = Room()
    resting: Sequence[Found] = ()
    with _patience(place) as clear:
        swept = sweeping.sweep(place.git, payloads, now=now) if clear else Room()
        rest = sweeping.clear(sweeping.leftovers(payloads, now=now))
        resting = sweeping.resting(place.git, payloads, now=now) if clear else ()
        if not quiet:
            _say("freed", swept, rest)
            _say_resting(resting, _NOTHING, "git track gc")
    old, kept = sweeping.damaged(payloads, now=now)
    sweeping.clear(old)
    if not quiet:
        _say_damaged("freed", old, kept)
    if release:
        with opened(place) as transports:
            released, known = sweeping.release(place.git, payloads, transports, now=now)
        if not quiet:
            _say_released("freed", released, known)
            here = {each.sha256 for each in resting}
            _say_resting([each for each in known.resting if each.sha256 not in here], _TOO, "git track gc --artifacts")
    return bool(swept.files or rest.files or released.files or resting or old or kept)


@contextlib.contextmanager
def _patience(place: Repo) -> Iterator[bool]:
    """Yields whether it can be told which payloads are needed; where that fails they stay, and it is said."""
    has_any = next(obtaining.payloads_of(place).all(), None) is not None
    if has_any and not place.git.has_executable:
        output.warn("payloads stay: which are needed cannot be told without git")
    try:
        yield not has_any or place.git.has_executable
    except (GitFailed, DataRefused) as exc:
        exc.message = f"payloads stay: {exc.message}"
        common.report(exc, label="warning")


@contextlib.contextmanager
def opened(place: Repo) -> Iterator[Sequence[Transport]]:
    """Yields the stores that can be asked, opened; raises NotFound if there is none."""
    transports, closed = obtaining.opened(place)
    try:
        for why in closed:
            output.warn(f"warning: {printable(why)}")
        if not transports:
            raise NotFound("no store is known here", hint="`git track store add NAME URL` names one")
        yield transports
    finally:
        for transport in transports:
            transport.close()


def _say(verb: str, swept: Room, rest: Room) -> None:
    if swept.files:
        output.line(f"{verb} {count(swept)} that nothing needs")
    if rest.files:
        output.line(f"{verb} {rest.files} file(s) that were never whole, {output.size(rest.bytes)}")


def _say_resting(found: Sequence[Found], what: str, command: str) -> None:
    """Says what stays for now, because it was used a short while ago."""
    if found:
        room = sweeping.room_of(found)
        was = "was" if room.files == 1 else "were"
        output.warn(f"{count(room)} {what}, {was} used within the last hour; `{command}` frees that later")


def _say_damaged(verb: str, old: Sequence[Leftover], kept: Sequence[Leftover]) -> None:
    """Says what goes of the damaged payloads that were set aside, and what stays for whoever wants to look."""
    days = round(sweeping.DAMAGED_AGE / 86400)
    if old:
        output.line(f"{verb} {_files(sweeping.room_of(old))}, damaged, that were set aside {days} days ago or before")
    if kept:
        folder = printable(str(kept[0].path.parent))
        output.warn(f"'{folder}' holds {_files(sweeping.room_of(kept))}, damaged; they go {days} days after they came")


def _files(room: Room) -> str:
    return f"{room.files} file{'s' * (room.files != 1)}, {output.size(room.bytes)}"


def _say_released(verb: str, released: Room, known: Releasable) -> None:
    for error in known.silent:
        common.report(error, label="warning")
    output.line(f"{verb} {count(released)} that a store has too; `git track get` brings them back")
    if known.alone.files:
        answered = "that answered" if known.silent else "that is known here"
        output.warn(f"{count(known.alone)} are in no store {answered}; `git track push` sends them")


def count(room: Room) -> str:
    """Returns how many payloads, and their size, in words."""
    return f"{room.files} payload{'s' * (room.files != 1)}, {output.size(room.bytes)},"


# In stores ------------------------------------------------------------------------------------------------------------


def free_stores(place: Repo, name: str, *, quiet: bool) -> None:
    """Deletes what nothing needs from stores that are this repository's alone; `name` is the remote that was freed.

    Raises RemoteError if the remote or a store does not answer, and GitFailed if it cannot be told what is needed."""
    known = stores.for_reading(place.settings, [name])
    if not any(collecting.may_collect(place.settings, store.name) for store in known):
        if next(obtaining.payloads_of(place).all(), None) is not None and not quiet:
            for store in known:
                output.warn(_why_kept(store))
        return
    if not place.git.has_executable:
        output.warn("payloads stay in stores: which are needed cannot be told without git")
        return
    for store in known:
        if not collecting.may_collect(place.settings, store.name):
            continue
        with contextlib.closing(stores.open_store(place.git, store, place.settings)) as transport:
            if not transport.collects:
                output.warn(_why_kept(store))
                continue
            _free_store(place, name, store, transport, quiet=quiet)


def _free_store(place: Repo, name: str, store: StoreAt, transport: Transport, *, quiet: bool) -> None:
    stored = list(transport.list())
    with output.Progress(quiet=quiet) as progress:
        pulling.pull(place.git, name, progress=progress.report)
    tips = collecting.tips(place.git, name, place.settings, all_refs=store.of_remote)
    file = collecting.note_file(place.git.place.common_dir, store.name)
    deleted, waiting = collecting.collect(place.git, transport, stored, file, tips=tips, now=common.now().timestamp())
    if deleted.files and not quiet:
        output.line(f"deleted {count(deleted)} from '{printable(store.name)}'")
    if waiting.files and not quiet:
        text = f"in '{printable(store.name)}' nothing needs {count(waiting)} now"
        output.warn(f"{text}; `git track gc --remote` deletes that two weeks after it was noted")


def _why_kept(store: StoreAt) -> str:
    if store.url.startswith(("http://", "https://", "lfs+")):
        host = urlsplit(store.url.removeprefix("lfs+")).hostname or ""
        rule = next((rule for name, rule in _HOSTS.items() if host == name or host.endswith(f".{name}")), _OTHER_HOST)
        return f"the LFS server {printable(store.label)} cannot be told to delete: {rule}"
    name = printable(store.name)
    return (
        f"'{name}' keeps all payloads; if it is this repository's alone, `git config track.store.{name}.collect true`"
    )
