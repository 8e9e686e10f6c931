"""`git track store`: where large files go."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
from click.shell_completion import CompletionItem

from gittrack import forms, obtaining, output, remote, repo, stores
from gittrack.codec.pointer import Pointer
from gittrack.commands import common
from gittrack.errors import DataRefused, GitFailed, GittrackError, NotFound, RemoteError, UsageError
from gittrack.repo import Repo
from gittrack.stores import StoreAt
from gittrack.terminal import printable
from gittrack.transports.folder import Folder
from gittrack.transports.protocol import Source, Transport, TransportError

_WITH_USER = ("ssh", "http", "https", "lfs+http", "lfs+https", "abfs", "abfss")  # of Azure it is the container
_TRIAL = 4096  # bytes
_PASSWORD = "git asks `git credential` for passwords of servers, and a bucket's own settings have its keys"  # noqa: S105


def _complete(_: click.Context, __: click.Parameter, typed: str) -> list[CompletionItem]:
    """Returns the names of stores that begin as typed."""
    with contextlib.suppress(GittrackError, OSError):
        known = stores.configured(repo.open_repo().settings)
        return [CompletionItem(store.name) for store in known if store.name.startswith(typed)]
    return []


@click.group("store", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Name the stores that large files go to; alone, list them.

    Stores are settings of this clone (`track.store.<name>.url`), and no password is among them. Without any, large
    files go to the Git LFS server of the remote."""
    if context.invoked_subcommand is None:
        context.invoke(ls)


# add, rm --------------------------------------------------------------------------------------------------------------


@command.command("add")
@click.argument("name")
@click.argument("url")
@click.option("--min-size", metavar="SIZE", help="Only files of this size or more go there: 1G, 500M.")
@click.option("--default", "is_default", is_flag=True, help="What has no other store goes there.")
@common.quiet_option
def add(name: str, url: str, min_size: str | None, is_default: bool, quiet: bool) -> None:
    """Add a store: a folder, or the address of a server or bucket.

    URL is a path, ssh://HOST/PATH, https://HOST/PATH of an LFS server, s3://BUCKET/PREFIX, gs:// or az://."""
    place = common.open_repo()
    settings = place.settings
    if not stores.is_name(name):
        raise UsageError(f"'{name}' is no name for a store", hint="use letters, digits, '-' and '_'")
    if name in remote.names(settings):
        raise UsageError(f"'{name}' is a remote, which has a store of its own", hint="give the store another name")
    known = {store.name: store for store in stores.configured(settings)}
    if name in known:
        raise UsageError(f"there is a store '{name}' already: {known[name].label}", hint=f"`git track store rm {name}`")
    if min_size is not None and is_default:
        raise UsageError("the default store takes files of all sizes", hint="leave out --min-size, or --default")
    added = StoreAt(name, _address(url), _least(place, min_size))
    least = added.least
    begun = _begun(place, added)
    before = _usual(place)
    _set(place, f"track.store.{name}.url", added.url)
    if begun:  # when it is gone, its disk is not mounted: it must not be made anew below the mount point
        _set(place, f"track.store.{name}.seen", "true")
    if min_size is not None:
        _set(place, f"track.store.{name}.minSize", min_size)
    plain = [store for store in known.values() if store.least is None]
    if is_default:
        _set(place, "track.store", name)
    elif least is None and len(plain) == 1 and not settings.get("store"):
        _set(place, "track.store", plain[0].name)  # with two to choose from, what was the default would be it no more
    if not quiet:
        _tell_added(added, before, is_default=is_default or (least is None and not plain))


def _least(place: Repo, text: str | None) -> int | None:
    least = None if text is None else place.settings.size_of("--min-size", text)
    if least == 0:
        raise UsageError("--min-size is 0", hint="without it, files of all sizes go to the store")
    return least


def _begun(place: Repo, added: StoreAt) -> bool:
    """Checks a store's address, and makes its folder, if it is one on this machine; tells whether that is there now."""
    opened = stores.open_store(place.git, added, place.settings)
    try:
        return isinstance(opened, Folder) and opened.begin()
    finally:
        opened.close()


def _tell_added(added: StoreAt, before: StoreAt | None, *, is_default: bool) -> None:
    if added.least is not None:
        output.line(f"files of {output.size(added.least)} or more go to '{added.name}' ({printable(added.label)})")
    elif is_default:
        output.line(f"large files go to '{added.name}' ({printable(added.label)})")
    else:
        usual = f"'{before.name}'" if before else "another store"
        output.line(f"files are got from '{added.name}' too; new ones go to {usual}, as before")


def _address(url: str) -> str:
    """Returns the address of a store as it is kept; raises UsageError for one that has a password, or is none."""
    if "://" not in url:
        if re.match(r"[^/]+:", url):
            raise UsageError(f"'{remote.label(url)}' is no address of a store", hint="write it as ssh://HOST/PATH")
        return str(Path(os.path.abspath(Path(url).expanduser())))
    scheme = url.partition("://")[0]
    try:
        parts = urlsplit(url)
        secret = parts.password is not None or bool(parts.query or parts.fragment)
        secret |= scheme not in (*_WITH_USER, "file") and "@" in parts.netloc
    except ValueError as exc:
        raise UsageError(f"'{remote.label(url)}' is no address", cause=str(exc)) from exc
    if secret:
        raise UsageError(f"the address of store '{remote.label(url)}' has more than a place in it", hint=_PASSWORD)
    return url


def _set(place: Repo, key: str, value: str) -> None:
    place.git.ask("config", "--local", key, value)


@command.command("rm")
@click.argument("name", shell_complete=_complete)
def rm(name: str) -> None:
    """Forget a store. Nothing in it is deleted."""
    place = common.open_repo()
    _named(place, name)
    done = place.git.run("config", "--local", "--remove-section", f"track.store.{name}")
    if done.returncode:
        raise GitFailed(
            f"store '{name}' is not in the settings of this repository",
            hint=f"`git config --show-origin track.store.{name}.url` says where it is",
        )
    if place.settings.get("store") == name:
        place.git.run("config", "--local", "--unset", "track.store")


# ls -------------------------------------------------------------------------------------------------------------------


@command.command("ls", cls=common.JsonCommand)
@common.json_option
@common.colour_option
def ls(as_json: str | None, colour: str | None) -> None:
    """List the stores, and what goes there; `*` marks the default."""
    place = common.open_repo()
    screen = common.screen(place, colour)
    usual = _usual(place)
    found = _known(place)
    if as_json is not None:
        facts = [
            {
                "name": store.name,
                "url": store.label,
                "min_size": store.least,
                "default": _is(store, usual),
                "of_remote": store.of_remote,
            }
            for store in found
        ]
        screen.print(forms.dump_json(forms.select(facts, as_json) if as_json else facts))
        return
    _tell_room(place)
    if not found:
        output.warn("there is no store: large files stay in this clone; `git track store add NAME URL` names one")
        return
    rows = [
        ("*" if _is(store, usual) else "", printable(store.name), printable(store.label), _what(store, usual))
        for store in found
    ]
    screen.print(output.table(screen, ("", "store", "address", "what goes there"), rows, widest=100))


def _tell_room(place: Repo) -> None:
    """Says how much room payloads take in this clone; none is read."""
    sizes = [found.size for found in obtaining.payloads_of(place).all()]
    if sizes:
        what = f"{len(sizes)} large file{'s' * (len(sizes) != 1)}, {output.size(sum(sizes))}"
        output.warn(f"this clone has {what}; `git track gc` frees what nothing needs, or a store has too")


def _what(store: StoreAt, usual: StoreAt | None) -> str:
    if _is(store, usual):
        return "all other large files" if not store.of_remote else "all other large files, as the remote's own"
    if store.least is not None:
        return f"files of {output.size(store.least)} or more"
    return "nothing; files are got from it"


def _is(store: StoreAt, usual: StoreAt | None) -> bool:
    return usual is not None and (store.name, store.url) == (usual.name, usual.url)


def _usual(place: Repo) -> StoreAt | None:
    with contextlib.suppress(NotFound):
        return stores.default(place.settings, _remote(place))
    return None


def _remote(place: Repo) -> str | None:
    with contextlib.suppress(GittrackError):
        return remote.choose(place.settings, None, branch=place.git.branch())
    return None


def _known(place: Repo) -> list[StoreAt]:
    """Returns all stores, those of the remotes behind those that are configured."""
    first = _remote(place)
    names = [*([first] if first else []), *(name for name in remote.names(place.settings) if name != first)]
    listed = stores.configured(place.settings)
    own = (stores.of_remote(place.settings, name) for name in names)
    return [*listed, *(store for store in own if store and store.url not in {one.url for one in listed})]


def _named(place: Repo, name: str) -> StoreAt:
    found = next((store for store in _known(place) if store.name == name), None)
    if found is None:
        known = ", ".join(store.name for store in _known(place))
        raise NotFound(f"there is no store '{name}'", hint=f"stores: {known}" if known else "`git track store add`")
    return found


# check ----------------------------------------------------------------------------------------------------------------


@command.command("check")
@click.argument("name", required=False, shell_complete=_complete)
def check(name: str | None) -> None:
    """Try a store, by default each: put a small file there, look for it, get it, delete it."""
    place = common.open_repo()
    found = [_named(place, name)] if name else _known(place)
    if not found:
        raise NotFound("there is no store", hint="`git track store add NAME URL` names one")
    failed: list[GittrackError] = []
    for store in found:
        output.line(f"{printable(store.name)}: {printable(store.label)}")
        try:
            for line in _tried(place, store):
                output.line(f"  {printable(line)}")
        except GittrackError as exc:
            failed.append(exc)
            output.line("  failed")
            if len(found) > 1:
                common.report(exc, label="warning")
    if failed and len(found) == 1:
        raise failed[0]
    if failed:
        raise RemoteError(f"{len(failed)} of {len(found)} stores failed")


def _tried(place: Repo, store: StoreAt) -> Iterator[str]:
    """Tries a store; yields what went well, with the time that it took."""
    content = os.urandom(_TRIAL)
    pointer = Pointer(hashlib.sha256(content).hexdigest(), len(content))
    with contextlib.closing(stores.open_store(place.git, store, place.settings)) as transport:
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, pointer.sha256)
                path.write_bytes(content)
                yield _timed("put", lambda: transport.put(Source(pointer, path)))
            yield _timed("exists", lambda: _expect(transport, pointer))
            yield _timed("get", lambda: _compare(transport, pointer, content))
        except GittrackError:
            if transport.collects:
                with contextlib.suppress(GittrackError):
                    transport.delete(pointer.sha256)
            raise
        if not transport.collects:
            yield f"delete   not possible there: {_TRIAL} bytes stay, {pointer.sha256[:12]}"
            return
        yield _timed("delete", lambda: transport.delete(pointer.sha256))
        if transport.exists([pointer], sending=False):
            raise TransportError(f"'{transport.label}' still has what was deleted")


def _timed(what: str, work: Callable[[], None]) -> str:
    since = time.perf_counter()
    work()
    return f"{what:<7}  ok, {output.span(time.perf_counter() - since)}"


def _expect(transport: Transport, pointer: Pointer) -> None:
    if not transport.exists([pointer], sending=False):
        raise TransportError(f"'{transport.label}' does not have what was just put there")


def _compare(transport: Transport, pointer: Pointer, content: bytes) -> None:
    with contextlib.closing(transport.get(pointer)) as chunks:
        if b"".join(chunks) != content:
            raise DataRefused(f"'{transport.label}' gave other bytes than were put there")
