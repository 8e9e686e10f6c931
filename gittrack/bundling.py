"""An `Artifact` that is logged: its files stand together, and one of the same name logged again is a new version.

A loop that logs `model` after each epoch must lose none of them. The first stands below `model/`, the next with other
content below `model-v1/`, each with the aliases it was given. Whether the content is another one is told without
hashing it, since training waits: two files are compared up to the first byte that differs."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import artifacts, leftovers, versions
from gittrack.codec import manifest
from gittrack.codec.pointer import Pointer
from gittrack.errors import GittrackError
from gittrack.hashes import Hashes
from gittrack.medialog import MediaLog
from gittrack.payloads import Payloads, digest_of
from gittrack.refname import RunId
from gittrack.repo import Repo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gittrack.bundle import Artifact

_CHUNK = 1 << 20


class _Version(NamedTuple):
    """The newest version of an artifact in this run; files: their paths below its folder."""

    number: int
    files: frozenset[str]
    aliases: tuple[str, ...]


class Bundling(MediaLog):
    """The part of an active run that keeps artifacts of several files."""

    id: RunId
    resumed: bool
    _repo: Repo
    _header: Mapping[str, Any]

    def __init__(self, *args: Any, **about: Any) -> None:
        super().__init__(*args, **about)
        self._versions: dict[str, _Version] = {}
        self._folders: set[str] = set()  # that versions stand in
        self._tagged: dict[str, set[str]] = {}  # the aliases of each name that this run logged
        self._read_earlier = False

    def log_artifact(self, path: Any, *args: Any, aliases: Any = (), **about: Any) -> Any:
        """Keeps a file or folder as `Filing.log_artifact` does, or the files of an `Artifact`, which is returned.

        An `Artifact` whose name was logged before in this run, with other content, is a version of its own."""
        if args[2:]:  # W&B has them there
            args, aliases = args[:2], args[2]
        if not hasattr(type(path), "contents"):
            tags = [aliases] if isinstance(aliases, str) else list(aliases or ())
            paths = super().log_artifact(path, *args, aliases=tags, **about)
            for kept in paths:
                self._tagged.setdefault(kept.rpartition("/")[2], set()).update(tags)
            return paths
        try:
            self._log_bundle(path, [aliases] if isinstance(aliases, str) else list(aliases or ()))
        except Exception as exc:  # noqa: BLE001 - training goes on whatever happens here
            self._call_failed("log_artifact", exc, of=str(path.name))
        return path

    def _log_bundle(self, bundle: Artifact, aliases: list[str]) -> None:
        said = {"description": bundle.description} if bundle.description else {}
        plain, _ = self._plain({**said, **bundle.metadata} or None, "metadata")
        tags = list(dict.fromkeys([*bundle.aliases, *aliases]))
        files = self._files_of(bundle)
        newest = self._newest(bundle.name)
        if newest and not bundle.has_values and self._is_logged(bundle.name, newest, files):
            number = newest.number
            tags = list(dict.fromkeys([*newest.aliases, *tags]))
        else:
            number = self._next(bundle.name, newest)
        folder = versions.folder(bundle.name, number)
        about = {"name": bundle.name, "type": bundle.type, "aliases": tags, "metadata": plain}
        kept: list[str] = []
        for source, below in files:
            try:
                kept += self._keep(source, f"{folder}/{below}", about)
            except GittrackError as exc:
                self._refused(exc)
        for value, below in bundle.values():
            made = self._made_of(value, f"{folder}/{below}")
            kept += self._keep_made_file(made, f"{folder}/{below}{made.suffix}", **about)
        bundle.paths = kept
        if kept:
            bundle.version = f"v{number}"
            self._tagged.setdefault(bundle.name, set()).update(tags, {bundle.version})
            self._versions[bundle.name] = _Version(number, frozenset(below for _, below in files), tuple(tags))

    def _files_of(self, bundle: Artifact) -> list[tuple[Path, str]]:
        """Returns the files of an artifact with their paths in it; one that may not be kept is counted and said."""
        found = {}
        for top, name in bundle.contents():
            try:
                for source, target in artifacts.find(top, name or "."):
                    try:
                        artifacts.check_link(source, top)
                        found[target.removeprefix("./")] = source
                    except GittrackError as exc:
                        self._refused(exc)
            except GittrackError as exc:
                self._refused(exc)
        return [(source, below) for below, source in found.items()]

    def _made_of(self, value: Any, target: str) -> Any:
        return self._table(value, None, self._files(), target) if value.kept_as == "table" else value.made()

    def _own(self, text: str) -> str | None:
        """Returns the name of the artifact of this run that `NAME:ALIAS` could mean, if it logged such a one."""
        name, _, alias = text.replace("@", ":").rpartition(":")
        for known in (name, name.rpartition("/")[2]):
            tags = self._tagged.get(known)
            if tags is not None and (alias == "latest" or alias in tags):
                return known
        return None

    # Versions --------------------------------------------------------------------------------------------------------

    def _newest(self, name: str) -> _Version | None:
        """Returns the newest version of an artifact in this run, be it of before the run was resumed."""
        if self.resumed and not self._read_earlier:
            self._read_earlier = True
            with contextlib.suppress(GittrackError, OSError):
                self._take_earlier()
        return self._versions.get(name)

    def _take_earlier(self) -> None:
        tip = self._header.get("tip") or f"refs/runs/{self.id}"
        with self._repo.git.objects() as objects:
            (answer,) = objects.read_many([f"{tip}:artifacts.yaml"])
        if not isinstance(answer, tuple):
            return
        grouped: dict[tuple[str, int], list[Any]] = {}
        for item in manifest.decode_artifacts(answer[2]):
            number = versions.number_of(item.name, item.path) if item.name else None
            if item.name and number is not None:
                grouped.setdefault((item.name, number), []).append(item)
        for (name, number), items in sorted(grouped.items()):
            folder = versions.folder(name, number)
            files = frozenset(item.path.removeprefix(folder + "/") for item in items)
            self._versions[name] = _Version(number, files, items[0].aliases)
            self._folders.add(folder)
            for item in items:
                self._kept.put(item.path, {"size": item.size, "sha256": item.sha256})

    def _next(self, name: str, newest: _Version | None) -> int:
        with self._lock:
            number = newest.number + 1 if newest else 0
            while (folder := versions.folder(name, number)) in self._folders:  # of another thread, or of another name
                number += 1
            self._folders.add(folder)
            return number

    def _is_logged(self, name: str, newest: _Version, files: Iterable[tuple[Path, str]]) -> bool:
        """Tells whether files are those of a version, to the byte."""
        given = {below: source for source, below in files}
        folder = versions.folder(name, newest.number)
        return given.keys() == newest.files and all(
            self._is_kept(source, f"{folder}/{below}") for below, source in given.items()
        )

    def _is_kept(self, source: Path, target: str) -> bool:
        """Tells whether a file has the content that was logged under a path; False if that cannot be told."""
        item = self._kept.find(target)
        try:
            status = os.stat(source)
            if item is None or status.st_size != item["size"]:
                return False
            home = leftovers.home_of(self.folder)
            common_dir = home.parents[2]
            sha256 = self._kept.sha256_of(item)
            known = Hashes(common_dir).find(status) if sha256 else None
            if known:
                return known == sha256
            if sha256 and status.st_size <= self.inline:
                return digest_of(source).sha256 == sha256
            with contextlib.suppress(FileNotFoundError, KeyError):
                return _equal(source, home / "files" / item["file"])
            sha256 = self._kept.sha256_of(item)  # a copy that went away became a payload
            stored = Payloads(common_dir).find(Pointer(sha256, status.st_size)) if sha256 else None
            return stored is not None and _equal(source, stored)
        except OSError:
            return False


def _equal(one: Path, other: Path) -> bool:
    """Tells whether two files of one size have one content; reads up to the first difference."""
    with one.open("rb", buffering=0) as first, other.open("rb", buffering=0) as second:
        while chunk := first.read(_CHUNK):
            if chunk != second.read(len(chunk)):
                return False
        return True
