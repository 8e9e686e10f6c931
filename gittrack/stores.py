"""Which stores there are, and which one a payload goes to.

Only the user's own git config names a store: `track.store.<name>.url`, and `.minSize` for one that takes large files
only. The LFS server of the git remote, or the folder in which git-lfs keeps the files of a remote that is a path, is
the store where none is configured. What a committed file suggests is not looked at here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from gittrack import remote
from gittrack.codec.pointer import Pointer
from gittrack.errors import NotFound, UsageError
from gittrack.git import Git
from gittrack.settings import Settings
from gittrack.transports.protocol import Transport

_HEAD, _URL, _LEAST = "track.store.", ".url", ".minsize"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
CLOUDS = frozenset(["s3", "gs", "az", "azure", "abfs", "abfss"])  # what an address in a bucket begins with


class StoreAt(NamedTuple):
    """A store as configured: its name, its address, and the size in bytes from which on a file goes there.

    least None: it is the default. of_remote: it was not configured, but belongs to a git remote of this name."""

    name: str
    url: str
    least: int | None
    of_remote: bool = False

    @property
    def label(self) -> str:
        """What is printed: no password is in it."""
        return remote.label(self.url) if remote.is_address(self.url) else self.url


def is_name(text: str) -> bool:
    """Tells whether `text` can be the name of a store."""
    return _NAME.fullmatch(text) is not None


def configured(settings: Settings) -> list[StoreAt]:
    """Returns the stores that git config names, sorted by name; raises UsageError for a size that is none."""
    found = []
    for key, url in sorted(settings.values.items()):
        if key.startswith(_HEAD) and key.endswith(_URL):
            name = key[len(_HEAD) : -len(_URL)]
            text = settings.values.get(f"{_HEAD}{name}{_LEAST}")
            found.append(StoreAt(name, url, settings.size_of(f"track.store.{name}.minSize", text) if text else None))
    return found


def default(settings: Settings, remote_name: str | None) -> StoreAt | None:
    """Returns the store for what has no other: `track.store`, the only one without a least size, or the remote's own.

    Raises NotFound if `track.store` names one that is not configured."""
    known = configured(settings)
    chosen = settings.get("store")
    if chosen:
        found = next((store for store in known if store.name == chosen), None)
        if found is None:
            raise NotFound(f"there is no store '{chosen}', which track.store names", hint="`git track store ls`")
        return found._replace(least=None)
    plain = [store for store in known if store.least is None]
    if len(plain) == 1:
        return plain[0]
    return of_remote(settings, remote_name) if remote_name else None


def of_remote(settings: Settings, name: str) -> StoreAt | None:
    """Returns the store that a git remote brings along, or None if there can be none."""
    from gittrack import lfsprobe  # noqa: PLC0415 - stands above some users of this module

    url = settings.git(f"remote.{name}.lfsurl") or settings.git("lfs.url")
    if not url:
        path = _folder(remote.address(settings, name))
        if path is not None:
            return StoreAt(name, path, None, of_remote=True)
    found = lfsprobe.address(name, settings)
    return StoreAt(name, f"lfs+{found}", None, of_remote=True) if found else None


def _folder(url: str) -> str | None:
    """Returns where git-lfs keeps the files of a remote that is a path, or None if the remote is none."""
    if url.startswith("file://"):
        path = Path(unquote(urlsplit(url).path))
    elif "://" in url or re.match(r"[^/]+:", url):
        return None
    else:
        path = Path(url)
    home = path / ".git" if (path / ".git").is_dir() else path
    return str(home.absolute() / "lfs" / "objects")


def for_sending(
    settings: Settings, remote_name: str | None, pointers: Iterable[Pointer]
) -> list[tuple[StoreAt | None, list[Pointer]]]:
    """Returns which payloads go to which store; None for those that there is none for."""
    special = sorted((store for store in configured(settings) if store.least), key=lambda store: -(store.least or 0))
    usual = default(settings, remote_name)
    found: dict[StoreAt | None, list[Pointer]] = {}
    for pointer in pointers:
        store = next((store for store in special if pointer.size >= (store.least or 0)), usual)
        found.setdefault(store, []).append(pointer)
    return list(found.items())


def for_reading(settings: Settings, remote_names: Sequence[str]) -> list[StoreAt]:
    """Returns all stores in the order in which they are asked: the default, the others, those of the remotes."""
    known = configured(settings)
    first = default(settings, remote_names[0] if remote_names else None)
    found = {store.url: store for store in ([first] if first else [])}
    for store in known:
        found.setdefault(store.url, store)
    for name in remote_names:
        own = of_remote(settings, name)
        if own:
            found.setdefault(own.url, own)
    return list(found.values())


def of_git_lfs(git: Git, settings: Settings) -> list[Path]:
    """Returns the folders in which git-lfs keeps files of this clone."""
    chosen = settings.git("lfs.storage")
    home = git.place.common_dir / "lfs"
    if chosen:
        home = Path(chosen) if os.path.isabs(chosen) else git.place.common_dir / chosen
    return [home / "objects"]


def open_store(git: Git, store: StoreAt, settings: Settings) -> Transport:
    """Returns what speaks to a store; nothing is sent yet. Raises UsageError for an address that is none."""
    scheme, mark, rest = store.url.partition("://")
    if not mark or scheme == "file":
        from gittrack.transports.folder import Folder  # noqa: PLC0415 - one kind is loaded, not all

        path = Path(unquote(rest) if mark else store.url).expanduser()
        if not path.is_absolute():
            raise UsageError(f"store '{store.name}' is '{store.url}', which is no absolute path")
        return Folder(path, was_there=settings.flag(f"{_HEAD}{store.name}.seen"))
    if scheme in ("http", "https", "lfs+http", "lfs+https"):
        from gittrack.transports.lfs.store import Lfs  # noqa: PLC0415 - the same

        url = store.url.removeprefix("lfs+")
        return Lfs(url, git=git, settings=settings, remote=store.name if store.of_remote else None)
    if scheme in ("ssh", "sftp"):
        from gittrack.transports.ssh.store import Ssh  # noqa: PLC0415 - the same

        return Ssh(store.url, git=git, settings=settings)
    if scheme in CLOUDS:
        from gittrack.transports.cloud.store import Cloud  # noqa: PLC0415 - the same

        return Cloud(store.url, environ=settings.environ)
    raise UsageError(
        f"store '{store.name}' has an address of no known kind: '{store.label}'",
        hint="a store is a folder, ssh://HOST/PATH, an LFS server at https://HOST/PATH, or a bucket: s3://, gs://, az://",
    )
