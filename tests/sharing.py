"""A remote of each kind, behind one face: a path, HTTP, HTTPS, SSH and git://.

What a test says of sharing holds for all of them, or says which it is about. All but the path are behind a relay, which
breaks or blocks the line on demand.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.gitcmd import GitRepo
from tests.githttp import GitHttpServer
from tests.servers.daemon import git_daemon
from tests.servers.nginx import PASSWORD, USER, nginx
from tests.servers.relay import Relay, relay
from tests.servers.sshd import sshd

KINDS = ("path", "http", "https", "ssh", "git")
NETWORK = KINDS[1:]


@dataclass
class Host:
    """A remote that can be reached: its bare repository, its address, and the settings that a user of it has."""

    bare: GitRepo
    url: str
    settings: dict[str, str] = field(default_factory=dict)
    line: Relay | None = None

    def introduce(self, repo: GitRepo) -> None:
        """Makes the host the `origin` of a repository."""
        repo.git("remote", "add", "origin", self.url)
        for name, value in self.settings.items():
            repo.git("config", name, value)

    def clone(self, path: Path) -> GitRepo:
        """Returns another person's clone."""
        options = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        clone = GitRepo.clone(self.url, path, *options)
        clone.git("config", "user.name", "Bob Colleague")
        clone.git("config", "user.email", "bob@example.org")
        return clone


@contextmanager
def host(kind: str, folder: Path) -> Iterator[Host]:
    """Runs a remote of this kind with one empty repository."""
    bare = GitRepo.init(folder / "served" / "project.git", "--bare")
    bare.git("config", "http.receivepack", "true")
    root = bare.path.parent
    with ExitStack() as running:
        yield _HOSTS[kind](bare, root, folder, running)
    bare.fsck()


def _path(bare: GitRepo, root: Path, folder: Path, running: ExitStack) -> Host:
    return Host(bare, str(bare.path))


def _http(bare: GitRepo, root: Path, folder: Path, running: ExitStack) -> Host:
    server = running.enter_context(GitHttpServer.start(root))
    line = running.enter_context(relay(int(server.address.rpartition(":")[2])))
    return Host(bare, f"http://127.0.0.1:{line.port}/project.git", line=line)


def _https(bare: GitRepo, root: Path, folder: Path, running: ExitStack) -> Host:
    server = running.enter_context(nginx(root))
    line = running.enter_context(relay(server.https))
    helper = f"!f() {{ echo username={USER}; echo password={PASSWORD}; }}; f"
    settings = {"http.sslCAInfo": str(server.certificate), "credential.helper": helper}
    return Host(bare, f"https://localhost:{line.port}/project.git", settings, line)


def _ssh(bare: GitRepo, root: Path, folder: Path, running: ExitStack) -> Host:
    server = running.enter_context(sshd(folder / "ssh"))
    line = running.enter_context(relay(server.port))
    return Host(bare, f"ssh://127.0.0.1:{line.port}{bare.path}", {"core.sshCommand": server.command}, line)


def _git(bare: GitRepo, root: Path, folder: Path, running: ExitStack) -> Host:
    line = running.enter_context(relay(running.enter_context(git_daemon(root))))
    return Host(bare, f"git://127.0.0.1:{line.port}/project.git", line=line)


_HOSTS = {"path": _path, "http": _http, "https": _https, "ssh": _ssh, "git": _git}
