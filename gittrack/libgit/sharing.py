"""Fetch and push on a machine without git, through dulwich.

The rules are those of `remote`: only explicit refs go out, never by force, and what counts is what the remote answered
for each. dulwich would overwrite whatever it is told to, so what the remote has is looked at first. A folder is read
and written through libgit2, which refuses the formats that dulwich misreads."""

from __future__ import annotations

import contextlib
import io
import netrc
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from dulwich import client as dulwich_client
from dulwich.config import ConfigDict
from dulwich.errors import HangupException
from dulwich.object_format import SHA1
from dulwich.object_store import DiskObjectStore, MissingObjectFinder, ObjectStoreGraphWalker
from dulwich.objects import Commit, ObjectID
from dulwich.pack import PackData, write_pack_index_v2

from gittrack import redact
from gittrack.codec import tree
from gittrack.errors import GittrackError, RemoteError
from gittrack.git import Git, RefMoved, Update, pause
from gittrack.libgit.door import LibGit
from gittrack.refname import LOCAL, Kind, Oid

_ATTEMPTS = 5
_KEEP = "gittrack transfer"
_STALE = ("incorrect old value", "reference already exists", "failed to update ref")
_KINDS: Mapping[bytes, Kind] = {b"commit": "commit", b"tree": "tree", b"blob": "blob"}


class Refspec(NamedTuple):
    """Where a ref of the remote goes; with a star, every ref below `source`."""

    source: str
    target: str
    star: bool

    def target_of(self, ref: str) -> str | None:
        """Returns what a remote's ref becomes here, or None if it is not meant."""
        if self.star:
            return self.target + ref.removeprefix(self.source) if ref.startswith(self.source) else None
        return self.target if ref == self.source else None


def parse_refspec(text: str) -> Refspec:
    """Reads `+from:to`, with a star at both ends or none."""
    source, _, target = text.removeprefix("+").partition(":")
    return Refspec(source.removesuffix("*"), target.removesuffix("*"), source.endswith("*"))


def fetch(git: Git, remote: str, refspecs: Sequence[str], *, terminal: bool, silence: float) -> None:
    """Brings the refs that these refspecs name, with all they need; raises RemoteError."""
    specs = [parse_refspec(text) for text in refspecs]
    with _translated("fetch from", remote):
        far = _open(git, remote, push=False, terminal=terminal, silence=silence)
        found, kept = far.fetch(specs)
        wanted = {
            target: oid for ref, oid in found.items() for spec in specs if (target := spec.target_of(ref)) is not None
        }
        if git.count_new(set(wanted.values()), known=["refs/heads/", "refs/remotes/"]) is None:
            raise RemoteError(f"cannot fetch from '{remote}'", cause="it sent commits without their history")
        _mirror(git, wanted)
        for path in kept:  # the refs protect it now
            path.unlink(missing_ok=True)


def _mirror(git: Git, wanted: Mapping[str, Oid]) -> None:
    """Moves our refs to what the remote has, from wherever they are."""
    for attempt in range(_ATTEMPTS):
        here = {ref.name: ref.oid for ref in git.refs(LOCAL)}
        changes = [Update(ref, oid, here.get(ref)) for ref, oid in wanted.items() if here.get(ref) != oid]
        try:
            git.update_refs(changes)
        except RefMoved:
            if attempt + 1 == _ATTEMPTS:
                raise
            pause(attempt)
        else:
            return


def push(git: Git, remote: str, refs: Iterable[tuple[Oid, str]], *, terminal: bool, silence: float) -> dict[str, str]:
    """Pushes commits to refs and returns the remote's reason for each: empty where it took it; raises RemoteError."""
    with _translated("push to", remote):
        return _open(git, remote, push=True, terminal=terminal, silence=silence).push({ref: oid for oid, ref in refs})


def _choose(git: Git, refs: Mapping[str, Oid], there: Mapping[str, Oid]) -> tuple[dict[str, Oid], dict[str, str]]:
    """Returns what may be pushed to a remote that has `there`, and the answers that are known already."""
    answers: dict[str, str] = {}
    for ref, oid in refs.items():
        old = there.get(ref)
        if old == oid:
            answers[ref] = ""
        elif old and not git.is_ancestor(old, oid):
            answers[ref] = "non-fast-forward"
    return {ref: oid for ref, oid in refs.items() if ref not in answers}, answers


# Objects ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _store(git: Git) -> Iterator[DiskObjectStore]:
    store = DiskObjectStore(str(git.place.common_dir / "objects"))
    try:
        yield store
    finally:
        store.close()


def _shallow(git: Git) -> set[Any]:
    """Returns the commits whose parents are not here on purpose."""
    try:
        return set((git.place.common_dir / "shallow").read_bytes().split())
    except OSError:
        return set()


def _copy(source: Git, target: LibGit, wanted: Iterable[Oid]) -> list[Path]:
    """Copies what `target` lacks of these commits, as one kept pack; returns the `.keep` files."""
    have = {ref.oid for ref in target.refs()}
    with _store(source) as store:
        known = [_id(oid) for oid in have if _id(oid) in store]
        needed = [_id(oid) for oid in wanted if target.resolve(oid) is None]
        finder = MissingObjectFinder(store, known, needed, shallow=_shallow(source))
        found = [store[oid] for oid, _ in finder] if needed else []
        objects = [
            tree.Object(_KINDS[item.type_name], item.as_raw_string(), Oid(item.id.decode()))
            for item in found
            if item.type_name in _KINDS
        ]
    if not objects:
        return []
    name = target.write_pack(tree.encode_pack(objects, algorithm="sha1"), keep=_KEEP)
    return [_keep_file(target, name)]


def _id(oid: Oid) -> ObjectID:
    return ObjectID(oid.encode())


def _keep_file(git: Git, name: str) -> Path:
    return git.place.common_dir / "objects" / "pack" / f"pack-{name}.keep"


# The other side -----------------------------------------------------------------------------------------------------


class _Folder:
    """A repository on this machine."""

    def __init__(self, near: LibGit, path: Path) -> None:
        environ = {key: value for key, value in near.environ.items() if key not in ("GIT_DIR", "GIT_WORK_TREE")}
        self.near = near
        self.far = LibGit(LibGit.discover(path, {**environ, "GIT_DIR": str(_git_dir(path))}), environ)

    def fetch(self, specs: Sequence[Refspec]) -> tuple[dict[str, Oid], list[Path]]:
        found = {ref.name: ref.oid for ref in self.far.refs(*(spec.source for spec in specs))}
        found = {ref: oid for ref, oid in found.items() if any(spec.target_of(ref) for spec in specs)}
        return found, _copy(self.far, self.near, found.values())

    def push(self, refs: Mapping[str, Oid]) -> dict[str, str]:
        there = {ref.name: ref.oid for ref in self.far.refs(*refs)}
        chosen, answers = _choose(self.near, refs, there)
        kept = _copy(self.near, self.far, chosen.values())
        for ref, oid in chosen.items():
            try:
                self.far.update_refs([Update(ref, oid, there.get(ref))])
                answers[ref] = ""
            except RefMoved:
                answers[ref] = "fetch first"
            except GittrackError as exc:
                answers[ref] = exc.cause or exc.message
        for path in kept:
            path.unlink(missing_ok=True)
        return answers


def _git_dir(path: Path) -> Path:
    return path / ".git" if (path / ".git").exists() else path


class _Server:
    """A repository behind HTTP, SSH or git's own protocol."""

    def __init__(self, near: LibGit, client: dulwich_client.GitClient, path: str) -> None:
        self.near = near
        self.client = client
        self.path = path.encode()

    def fetch(self, specs: Sequence[Refspec]) -> tuple[dict[str, Oid], list[Path]]:
        """Returns the refs that are meant, whose objects are here now, and the `.keep` files that protect them."""
        found: dict[str, Oid] = {}
        received = io.BytesIO()

        def choose(refs: Mapping[Any, Any], depth: int | None = None) -> list[Any]:  # noqa: ARG001 - dulwich gives it
            named = {ref.decode("utf-8", "replace"): oid.decode() for ref, oid in refs.items() if oid}
            found.update({ref: oid for ref, oid in named.items() if any(spec.target_of(ref) for spec in specs)})
            return [oid.encode() for oid in sorted(set(found.values())) if self.near.resolve(oid) is None]

        with _store(self.near) as store:

            def parents(oid: Any) -> list[Any]:
                item = store[oid]
                return item.parents if isinstance(item, Commit) else []

            heads = [oid for ref in self.near.refs() if (oid := _id(ref.oid)) in store]
            walker = ObjectStoreGraphWalker(heads, parents, _shallow(self.near))
            prefixes = [spec.source.encode() for spec in specs]
            self.client.fetch_pack(self.path, choose, walker, received.write, ref_prefix=prefixes)
        pack = received.getvalue()
        if not pack or not int.from_bytes(pack[8:12]):
            return found, []
        name = self.near.store_pack(pack, _index(pack), keep=_KEEP)
        return found, [_keep_file(self.near, name)]

    def push(self, refs: Mapping[str, Oid]) -> dict[str, str]:
        answers: dict[str, str] = {}
        chosen: dict[str, Oid] = {}
        said: list[bytes] = []

        def update(there: Mapping[Any, Any]) -> dict[Any, Any]:
            seen = {ref.decode("utf-8", "replace"): Oid(oid.decode()) for ref, oid in there.items()}
            new, known = _choose(self.near, refs, seen)
            chosen.update(new)
            answers.update(known)
            return {ref.encode(): oid.encode() for ref, oid in new.items()}

        with _store(self.near) as store:

            def generate(have: Any, want: Any, *, ofs_delta: bool = True, progress: Any = None) -> Any:  # noqa: ARG001 - dulwich's own
                return store.generate_pack_data(have, want, shallow=_shallow(self.near), ofs_delta=ofs_delta)

            result = self.client.send_pack(self.path, update, generate, progress=said.append)
        status = result.ref_status or {}
        words = " ".join(b"".join(said).decode("utf-8", "replace").split())[:300]
        for ref in chosen:
            if ref.encode() not in status:
                raise RemoteError("the remote gave no answer", cause=words or None)
            reason = status[ref.encode()] or ""
            reason = f"fetch first ({reason})" if any(text in reason for text in _STALE) else reason
            answers[ref] = f"{reason}; {words}" if reason and words else reason
        return answers


def _index(pack: bytes) -> bytes:
    """Returns the index of a pack that may have deltas; each object is put together and hashed for it."""
    with contextlib.closing(PackData.from_file(io.BytesIO(pack), SHA1, len(pack))) as data:
        data.check()
        index = io.BytesIO()
        write_pack_index_v2(index, data.sorted_entries(), data.get_stored_checksum())
        return index.getvalue()


# Where it is --------------------------------------------------------------------------------------------------------


def _open(git: Git, remote: str, *, push: bool, terminal: bool, silence: float) -> _Folder | _Server:
    if not isinstance(git, LibGit):
        raise TypeError("git itself transfers where it is there")
    config = git.config()
    address = resolve(config, remote, push=push)
    scheme, colon, _ = address.partition("://")
    if colon and scheme != "file":
        return _Server(git, *_client(git, config, address, terminal=terminal, silence=silence))
    if not colon and ":" in address.partition("/")[0]:  # host:path
        return _Server(git, *_client(git, config, address, terminal=terminal, silence=silence))
    path = unquote(urlsplit(address).path) if colon else os.path.expanduser(address)
    return _Folder(git, (git.place.work_tree or git.place.git_dir) / path)


def resolve(config: Sequence[tuple[str, str]], remote: str, *, push: bool) -> str:
    """Returns the address of a remote, as `remote.<name>.url` and `url.<base>.insteadOf` have it."""
    values = dict(reversed(config))  # of several addresses, the first
    own = values.get(f"remote.{remote}.pushurl") if push else None
    address = own or values.get(f"remote.{remote}.url") or remote
    for key in ("pushinsteadof", "insteadof") if push and not own else ("insteadof",):
        bases = [
            (text, name[len("url.") : -len(key) - 1])
            for name, text in config
            if name.startswith("url.") and name.endswith("." + key) and address.startswith(text)
        ]
        if bases:
            text, base = max(bases, key=lambda found: len(found[0]))
            return base + address.removeprefix(text)
    return address


def _client(
    git: Git, config: Sequence[tuple[str, str]], address: str, *, terminal: bool, silence: float
) -> tuple[dulwich_client.GitClient, str]:
    settings = _dulwich_config(config)
    if not address.startswith(("http://", "https://")):
        ssh = _ssh_command(git.environ, dict(config), terminal=terminal, silence=silence)
        return dulwich_client.get_transport_and_path(address, config=settings, thin_packs=False, ssh_command=ssh)
    user, password = _credentials(git.environ, config, address)
    manager: Any = dulwich_client.default_urllib3_manager(settings, base_url=address, timeout=silence or None)
    return dulwich_client.get_transport_and_path(
        address, config=settings, thin_packs=False, username=user, password=password, pool_manager=manager
    )


def _dulwich_config(config: Sequence[tuple[str, str]]) -> ConfigDict:
    """Returns our settings as dulwich wants them; what we resolve ourselves is left out."""
    made = ConfigDict()
    for key, value in config:
        section, _, rest = key.partition(".")
        sub, dot, name = rest.rpartition(".")
        if section in ("http", "protocol", "core"):
            made.add((section.encode(), sub.encode()) if dot else (section.encode(),), name.encode(), value.encode())
    return made


def _ssh_command(environ: Mapping[str, str], values: Mapping[str, str], *, terminal: bool, silence: float) -> str:
    given = environ.get("GIT_SSH_COMMAND") or values.get("core.sshcommand")
    command = given or shlex.quote(environ.get("GIT_SSH") or "ssh")
    if os.path.basename(shlex.split(command)[0]) == "ssh":
        limit = ceil(silence)
        command += f" -oConnectTimeout={limit} -oServerAliveCountMax=1 -oServerAliveInterval={limit}" if limit else ""
        command += "" if terminal else " -oBatchMode=yes"
    return command


def _credentials(
    environ: Mapping[str, str], config: Sequence[tuple[str, str]], address: str
) -> tuple[str | None, str | None]:
    """Returns user and password: of the address, of ~/.netrc, or of the files of git's credential store."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    user = unquote(parts.username) if parts.username else None
    if parts.password is not None:
        return user, unquote(parts.password)
    home = environ.get("HOME", "")
    with contextlib.suppress(OSError, netrc.NetrcParseError):
        found = netrc.netrc(os.path.join(home, ".netrc")).authenticators(host)
        if found and user in (None, found[0]):
            return found[0], found[2]
    if any(key == "credential.helper" and value.split()[:1] == ["store"] for key, value in config):
        place = f"{host}:{parts.port}" if parts.port else host
        files = [os.path.join(home, ".git-credentials"), os.path.join(home, ".config", "git", "credentials")]
        for line in (line for file in files for line in _lines(file)):
            known = urlsplit(line)
            same = (known.scheme, known.netloc.rpartition("@")[2]) == (parts.scheme, place)
            if same and known.username and user in (None, unquote(known.username)):
                return unquote(known.username), unquote(known.password or "")
    return user, None


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return []


# Errors -------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _translated(what: str, remote: str) -> Iterator[None]:
    """Turns what goes wrong on the way, in dulwich or below it, into RemoteError."""
    message = f"cannot {what} '{redact.address(remote)}'"
    hint = "everything is kept here; try again when the remote can be reached"
    try:
        yield
    except RemoteError as exc:
        raise RemoteError(message, cause=exc.cause or exc.message, hint=hint) from exc
    except GittrackError as exc:
        raise RemoteError(message, cause=exc.cause or exc.message, hint=exc.hint or hint) from exc
    except dulwich_client.HTTPUnauthorized as exc:
        hint = "put user and password into ~/.netrc; without git no credential helper is asked"
        raise RemoteError(message, cause="the remote wants another user or password", hint=hint) from exc
    except FileNotFoundError as exc:
        named = os.path.basename(str(exc.filename))
        raise RemoteError(message, cause=f"'{named}' is not installed, or not on PATH", hint=hint) from exc
    except Exception as exc:  # its parsers raise whatever the remote's answer leads them to
        raise RemoteError(message, cause=_reason(exc), hint=hint) from exc


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, HangupException) and error.stderr_lines:
        text = "; ".join(line for line in text.splitlines() if line.strip())
    return redact.text(" ".join(text.split())[:300])[0]
