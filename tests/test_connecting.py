"""How a remote is reached: keys, passwords, certificates, proxies; and what is said where it cannot be."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.runs import ask, record
from tests.servers import odd
from tests.servers.daemon import git_daemon
from tests.servers.nginx import PASSWORD, USER, Nginx, nginx
from tests.servers.relay import full_queue
from tests.servers.sshd import Sshd, new_key, ssh_agent, sshd
from tests.test_sharing import SLACK, fails, running


@pytest.fixture
def run(repo: GitRepo) -> str:
    """A run to push."""
    return record(repo, {"name": "one"})[0]


@pytest.fixture
def bare(tmp_path: Path) -> GitRepo:
    """A repository for a server to serve."""
    bare = GitRepo.init(tmp_path / "served" / "project.git", "--bare")
    bare.git("config", "http.receivepack", "true")
    return bare


def pushed(repo: GitRepo, bare: GitRepo, run: str) -> bool:
    """Pushes; tells whether the run is there then."""
    return ask(repo, "push") == f"pushed {run} one\n" and set(bare.refs("refs/runs/")) == {f"refs/runs/{run}"}


# SSH ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path, bare: GitRepo, repo: GitRepo) -> Iterator[Sshd]:
    """An sshd that is the `origin`."""
    with sshd(tmp_path / "ssh") as found:
        repo.git("remote", "add", "origin", f"ssh://127.0.0.1:{found.port}{bare.path}")
        repo.git("config", "core.sshCommand", found.command)
        yield found


def test_a_key_comes_from_its_file_or_from_an_agent(repo: GitRepo, bare: GitRepo, run: str, server: Sshd) -> None:
    with ssh_agent() as agent:
        server.configure(agent=str(agent))
        (server.folder / "key").rename(server.folder / "elsewhere")
        assert "Permission denied (publickey" in (error := fails(repo, "push"))
        assert "hint: offer it a key that it knows" in error

        environ = {**os.environ, "SSH_AUTH_SOCK": str(agent)}
        subprocess.run(["ssh-add", "-q", str(server.folder / "elsewhere")], env=environ, check=True)
        assert pushed(repo, bare, run)

    (server.folder / "elsewhere").rename(server.folder / "key")
    server.configure()
    assert "already up to date" in repo.track("pull").stderr


def test_a_key_with_a_passphrase_is_not_asked_for_where_nobody_can_answer(
    repo: GitRepo, run: str, server: Sshd
) -> None:
    for file in (server.folder / "key", server.folder / "key.pub"):
        file.unlink()
    new_key(server.folder / "key", passphrase="correct horse")

    assert "Permission denied (publickey" in fails(repo, "push")


@pytest.mark.parametrize(
    "key", ["", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"]
)
def test_a_host_key_that_is_unknown_or_has_changed_ends_it(
    repo: GitRepo, bare: GitRepo, run: str, server: Sshd, key: str
) -> None:
    server.know(key)

    for command in ("push", "pull"):
        error = fails(repo, command)
        assert ("its host key has changed" if key else "Host key verification failed") in error
        assert ("ssh-keygen -R" if key else "connect once with `ssh` by hand") in error

    server.know(server.host_key())
    assert pushed(repo, bare, run)


def test_the_users_own_ssh_command_and_short_addresses_are_used(
    repo: GitRepo, bare: GitRepo, run: str, server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = repo.git("config", "remote.origin.url")
    repo.git("config", "--unset", "core.sshCommand")
    repo.git("config", f"url.{address.removesuffix('project.git')}.insteadOf", "lab:")
    repo.git("remote", "set-url", "origin", "lab:project.git")
    monkeypatch.setenv("GIT_SSH_COMMAND", server.command)

    assert pushed(repo, bare, run)
    assert ask(GitRepo.clone(bare.path, bare.path.parent / "clone"), "pull") == f"new {run}\n"


def test_a_shared_connection_that_stays_open_holds_nobody_up(
    repo: GitRepo, bare: GitRepo, run: str, server: Sshd
) -> None:
    config = server.folder / "config"
    with tempfile.TemporaryDirectory() as short:  # the name of a socket is at most 107 bytes long
        control = Path(short, "control")
        with config.open("a", encoding="utf-8") as file:
            file.write(f"    ControlMaster auto\n    ControlPath {control}\n    ControlPersist 60\n")
        began = time.monotonic()
        assert pushed(repo, bare, run)
        assert time.monotonic() - began < 10
        assert control.exists()  # it is the user's, and the next git uses it
        subprocess.run(["ssh", "-F", str(config), "-O", "exit", "host"], capture_output=True, check=False)


# git:// ---------------------------------------------------------------------------------------------------------------


def test_a_daemon_that_takes_no_pushes_says_so(repo: GitRepo, bare: GitRepo, run: str) -> None:
    with git_daemon(bare.path.parent, pushes=False) as port:
        repo.git("remote", "add", "origin", f"git://127.0.0.1:{port}/project.git")
        error = fails(repo, "push")
        assert "service not enabled" in error
        assert "use SSH or HTTPS" in error
        assert "already up to date" in repo.track("pull").stderr

        repo.git("remote", "set-url", "origin", f"git://127.0.0.1:{port}/other.git")
        assert "check the address" in fails(repo, "pull")


# HTTP -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def web(bare: GitRepo, repo: GitRepo) -> Iterator[Nginx]:
    """A web server as the `origin`, which nobody told the password yet."""
    with nginx(bare.path.parent) as found:
        repo.git("remote", "add", "origin", f"http://127.0.0.1:{found.http}/project.git")
        yield found


def helper(user: str, password: str) -> str:
    return f"!f() {{ echo username={user}; echo password={password}; }}; f"


def test_a_password_comes_from_a_helper(repo: GitRepo, bare: GitRepo, run: str, web: Nginx) -> None:
    assert "credential helper" in fails(repo, "push")

    repo.git("config", "credential.helper", helper(USER, "wr0ng-password"))
    error = fails(repo, "push")
    assert "Authentication failed" in error
    assert "wr0ng-password" not in error

    repo.git("config", "credential.helper", helper(USER, PASSWORD))
    assert pushed(repo, bare, run)


def test_a_password_comes_from_netrc(repo: GitRepo, bare: GitRepo, run: str, web: Nginx, sealed_home: Path) -> None:
    netrc = sealed_home / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n", encoding="utf-8")
    netrc.chmod(0o600)

    assert pushed(repo, bare, run)


def test_a_helper_that_never_answers_is_given_up(
    repo: GitRepo, run: str, web: Nginx, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.git("config", "credential.helper", "!sleep 600; :")
    monkeypatch.setenv("GITTRACK_TIMEOUT", "1")

    assert "it gave no sign of life" in fails(repo, "push")


def test_an_address_with_a_password_works_and_is_never_printed(
    repo: GitRepo, bare: GitRepo, run: str, web: Nginx
) -> None:
    address = f"http://{USER}:{PASSWORD}@127.0.0.1:{web.http}/"
    for wrong in (f"{address}nothing.git", f"http://{USER}:{PASSWORD}@127.0.0.1:1/project.git?private_token=t0ken"):
        for command in ("push", "pull"):
            error = fails(repo, command, wrong)
            assert PASSWORD not in error
            assert "t0ken" not in error

    done = repo.track("push", f"{address}project.git")

    assert done.stdout == f"pushed {run} one\n"
    assert PASSWORD not in done.stderr
    assert PASSWORD not in str(repo.refs())
    assert set(bare.refs("refs/runs/")) == {f"refs/runs/{run}"}
    assert "everything up-to-date" in repo.track("push", f"{address}project.git").stderr


def test_a_certificate_must_be_signed_by_somebody_known(repo: GitRepo, bare: GitRepo, run: str, web: Nginx) -> None:
    repo.git("remote", "set-url", "origin", f"https://localhost:{web.https}/project.git")
    repo.git("config", "credential.helper", helper(USER, PASSWORD))
    assert "http.sslCAInfo" in fails(repo, "push")

    repo.git("config", "http.sslCAInfo", str(web.certificate))
    assert pushed(repo, bare, run)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "could not read Username"),
        (403, "403"),
        (404, "not found"),
        (500, "500"),
        (502, "502"),
        (503, "503"),
        (200, "check the address"),
    ],
)
def test_a_web_server_that_is_no_git_host_is_named_with_what_it_said(
    repo: GitRepo, run: str, status: int, said: str
) -> None:
    headers = {"WWW-Authenticate": 'Basic realm="x"', "Content-Type": "text/html"}
    with odd.answering(status, headers=headers, body=b"<html>\nhello\n</html>\n") as port:
        repo.git("remote", "add", "origin", f"http://127.0.0.1:{port}/project.git")
        for command in ("push", "pull"):
            assert said in fails(repo, command)


def test_a_redirect_is_followed_unless_it_goes_in_a_circle(repo: GitRepo, bare: GitRepo, run: str, web: Nginx) -> None:
    repo.git("config", "credential.helper", helper(USER, PASSWORD))
    there = f"http://127.0.0.1:{web.http}{{path}}"
    with odd.answering(302, headers={"Location": there}) as port:
        repo.git("remote", "set-url", "origin", f"http://127.0.0.1:{port}/project.git")
        assert pushed(repo, bare, run)
    with odd.answering(302, headers={"Location": "/project.git/info/refs?service=git-upload-pack"}) as port:
        repo.git("remote", "set-url", "origin", f"http://127.0.0.1:{port}/project.git")
        assert "redirects" in fails(repo, "pull")


# Proxies --------------------------------------------------------------------------------------------------------------


def test_a_proxy_is_used_as_git_says_and_as_the_environment_says(
    repo: GitRepo, bare: GitRepo, run: str, web: Nginx, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.git("config", "credential.helper", helper(USER, PASSWORD))
    repo.git("config", "http.sslCAInfo", str(web.certificate))
    with odd.proxy(user="pat", password="pr0xy-secret") as proxy:
        repo.git("config", "http.proxy", f"http://pat:wr0ng-secret@127.0.0.1:{proxy.port}")
        error = fails(repo, "push")
        assert "407" in error
        assert "wr0ng-secret" not in error
        assert proxy.seen == []

        repo.git("config", "http.proxy", f"http://pat:pr0xy-secret@127.0.0.1:{proxy.port}")
        assert pushed(repo, bare, run)
        assert any("git-receive-pack" in line for line in proxy.seen)

        repo.git("config", "--unset", "http.proxy")
        repo.git("remote", "set-url", "origin", f"https://localhost:{web.https}/project.git")
        monkeypatch.setenv("https_proxy", f"http://pat:pr0xy-secret@127.0.0.1:{proxy.port}")
        assert "already up to date" in repo.track("pull").stderr
        assert f"CONNECT localhost:{web.https}" in proxy.seen
    assert "pr0xy-secret" not in fails(repo, "pull")


# No network -----------------------------------------------------------------------------------------------------------

SCHEMES = ("http", "ssh", "git")


@pytest.fixture
def plain_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ssh that reads nothing of the user's."""
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -F /dev/null -oUserKnownHostsFile=/dev/null")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_machine_that_refuses_or_has_no_address_is_an_error_at_once(
    repo: GitRepo, run: str, scheme: str, plain_ssh: None
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    began = time.monotonic()
    for address, said in ((f"127.0.0.1:{port}", "refused"), (f"no-such-host.invalid:{port}", "resolve")):
        error = fails(repo, "push", f"{scheme}://{address}/project.git").lower()
        assert said in error or "couldn't connect" in error or "unable to look up" in error, error
    assert time.monotonic() - began < 30


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux drops who comes to a full queue, and tells who waits")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_machine_that_is_switched_off_is_given_up(
    repo: GitRepo, run: str, scheme: str, plain_ssh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITTRACK_TIMEOUT", "1")
    with full_queue() as port:
        began = time.monotonic()
        error = fails(repo, "push", f"{scheme}://127.0.0.1:{port}/project.git")
        assert "cause: no connection was made for 1 seconds" in error
        assert time.monotonic() - began < 1 + SLACK
    assert running(repo) == []


def test_the_limit_is_a_number_of_seconds(repo: GitRepo, run: str, bare: GitRepo) -> None:
    repo.git("remote", "add", "origin", str(bare.path))
    done = repo.track("push", check=False, env={"GITTRACK_TIMEOUT": "soon"})
    assert done.returncode == 2
    assert "error: track.timeout is 'soon', which is no number of seconds\n" in done.stderr
    repo.git("config", "track.timeout", "0")
    assert pushed(repo, bare, run)
