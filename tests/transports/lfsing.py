"""An LFS server and a clone that knows it, for the tests of the one transport that speaks to it."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from gittrack.codec.pointer import Pointer
from gittrack.git import Git, discover
from gittrack.payloads import Payloads
from gittrack.settings import environment, read_settings
from gittrack.stores import StoreAt, of_remote, open_store
from gittrack.transports.lfs.store import Lfs
from gittrack.transports.protocol import Source, Transport
from tests.gitcmd import GitRepo


def git_of(repo: GitRepo) -> Git:
    """Returns the repository as gittrack has it, with the settings of now."""
    return Git(discover(repo.path, environment()), environment())


def opened(repo: GitRepo, url: str, *, remote: str | None = None) -> Lfs:
    """Returns a store on a server."""
    git = git_of(repo)
    return Lfs(url, git=git, settings=read_settings(git), remote=remote)


def of_origin(repo: GitRepo) -> Transport:
    """Returns the store that `origin` brings along."""
    git = git_of(repo)
    settings = read_settings(git)
    found = of_remote(settings, "origin")
    assert isinstance(found, StoreAt)
    return open_store(git, found, settings)


def source(repo: GitRepo, data: bytes) -> Source:
    """Returns a payload of the clone."""
    pointer = placed(repo, data)
    return Source(pointer, payloads(repo).path(pointer.sha256))


def placed(repo: GitRepo, data: bytes) -> Pointer:
    """Puts bytes among the payloads of the clone."""
    number, temporary = payloads(repo).temporary()
    with open(number, "wb") as file:
        file.write(data)
    pointer = pointer_to(data)
    payloads(repo).place(temporary, pointer)
    return pointer


def payloads(repo: GitRepo) -> Payloads:
    """Returns the payloads of the clone."""
    return Payloads(Path(repo.git("rev-parse", "--path-format=absolute", "--git-common-dir")))


def pointer_to(data: bytes) -> Pointer:
    """Returns the pointer to some bytes."""
    return Pointer(sha256(data).hexdigest(), len(data))
