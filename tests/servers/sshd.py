"""OpenSSH's server, as the user who runs the tests, with keys made for one test.

The real home of that user holds their own keys and known hosts, and ssh reads them whatever HOME says. So every
command here names a configuration file of its own.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import inetd

_SERVER = """\
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PidFile none
PrintMotd no
AcceptEnv GIT_PROTOCOL
Subsystem sftp internal-sftp
SetEnv HOME={home} GIT_CONFIG_GLOBAL={home}/.gitconfig GIT_CONFIG_NOSYSTEM=1 PATH={path}
"""
_CLIENT = """\
Host *
    User {user}
    HostKeyAlias tests
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile /dev/null
    IdentityFile {folder}/key
    IdentitiesOnly {only}
    IdentityAgent {agent}
    PreferredAuthentications publickey
    LogLevel INFO
"""


@dataclass(frozen=True)
class Sshd:
    """A server that is running, and the folder of its keys and of its users'."""

    folder: Path
    port: int

    @property
    def command(self) -> str:
        """The ssh that knows the server and has the right key."""
        return f"ssh -F {self.folder}/config"

    def know(self, host_key: str) -> None:
        """Writes down what key the server is known to have; an empty one makes it unknown."""
        line = f"tests {host_key}\n" if host_key else ""
        (self.folder / "known_hosts").write_text(line, encoding="utf-8")

    def host_key(self) -> str:
        """Returns the server's public key."""
        return (self.folder / "host.pub").read_text(encoding="utf-8").strip()

    def configure(self, *, agent: str = "none") -> None:
        """Writes the client's configuration: the key comes from its file, or from an agent."""
        config = _CLIENT.format(
            user=getpass.getuser(), folder=self.folder, agent=agent, only="yes" if agent == "none" else "no"
        )
        (self.folder / "config").write_text(config, encoding="utf-8")


@contextmanager
def sshd(folder: Path) -> Iterator[Sshd]:
    """Runs a server for the one user there is; every path of the machine is served, as ssh does."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("sshd is not installed")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it shuts itself in there before anybody logs in
    folder.mkdir(parents=True)
    for name in ("host", "key"):
        new_key(folder / name)
    (folder / "authorized_keys").write_bytes((folder / "key.pub").read_bytes())
    config = folder / "sshd_config"
    config.write_text(_SERVER.format(folder=folder, home=os.environ["HOME"], path=os.environ["PATH"]), "utf-8")
    with inetd.serving([program, "-i", "-f", str(config)], env=dict(os.environ)) as port:
        server = Sshd(folder, port)
        server.configure()
        server.know(server.host_key())
        yield server


def new_key(file: Path, *, passphrase: str = "") -> None:
    """Makes a pair of keys."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "tests", "-f", str(file)],
        stdin=subprocess.DEVNULL,
        check=True,
    )


@contextmanager
def ssh_agent() -> Iterator[Path]:
    """Runs an agent without keys; yields its socket."""
    with tempfile.TemporaryDirectory() as short:  # the name of a socket is at most 107 bytes long
        yield from _agent(Path(short, "agent"))


def _agent(socket: Path) -> Iterator[Path]:
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        for _ in range(500):
            if socket.exists():
                break
            try:
                process.wait(0.01)
            except subprocess.TimeoutExpired:
                continue
        yield socket
    finally:
        inetd.end(process)
