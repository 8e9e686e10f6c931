"""Where an LFS server is, how it is reached, and who we are there: as git's settings and the user's ssh have it."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gittrack import carrying
from gittrack.settings import read_settings
from gittrack.transports.lfs.ways import way_to
from gittrack.transports.protocol import Transport, TransportError
from tests.gitcmd import GitRepo
from tests.servers import odd
from tests.servers.lfs import LfsServer, lfs_server, status
from tests.servers.sshd import Sshd, sshd
from tests.transports.lfsing import git_of, of_origin, opened, payloads, placed, pointer_to, source

WANTED = [pointer_to(b"x")]
PASSWORD = "pa55word-of-ada"


@pytest.fixture
def server() -> Iterator[LfsServer]:
    with lfs_server(password=PASSWORD) as found:
        yield found


@pytest.fixture
def helper(repo: GitRepo, tmp_path: Path) -> Path:
    """The file of git's own credential helper."""
    file = tmp_path / "credentials"
    repo.git("config", "credential.helper", f"store --file={file}")
    return file


def failure(lfs: Transport) -> TransportError:
    """Returns why a server could not be asked, without the password in it."""
    with pytest.raises(TransportError) as raised:
        lfs.exists(WANTED, sending=True)
    assert PASSWORD not in "\n".join(raised.value.lines())
    return raised.value


def authorizations(server: LfsServer) -> list[bool]:
    """Returns of each batch whether it said who we are."""
    return ["Authorization" in each.headers for each in server.batches()]


# Passwords ----------------------------------------------------------------------------------------------------------


def test_a_password_comes_from_gits_helpers(repo: GitRepo, server: LfsServer, helper: Path) -> None:
    helper.write_text(f"http://ada:{PASSWORD}@127.0.0.1:{server.port}\n", encoding="utf-8")
    lfs = opened(repo, server.url)
    assert lfs.exists(WANTED, sending=True) == set()
    assert lfs.exists(WANTED, sending=True) == set()
    assert authorizations(server) == [False, True, True]


def test_a_wrong_password_is_forgotten_by_the_helper(repo: GitRepo, server: LfsServer, helper: Path) -> None:
    helper.write_text(f"http://ada:wrong@127.0.0.1:{server.port}\n", encoding="utf-8")
    error = failure(opened(repo, server.url))
    assert "answers 401" in error.message
    assert "git credential" in str(error.hint)
    assert helper.read_text(encoding="utf-8") == ""


def test_a_right_password_is_told_to_the_helpers(
    repo: GitRepo, server: LfsServer, helper: Path, tmp_path: Path
) -> None:
    person = tmp_path / "person"
    person.write_text(f"#!/bin/sh\ncase $1 in *sername*) echo ada ;; *) echo {PASSWORD} ;; esac\n", encoding="utf-8")
    person.chmod(0o755)
    repo.git("config", "core.askPass", str(person))
    lfs = opened(repo, server.url)
    pointers = [placed(repo, bytes([number])) for number in range(20)]
    assert len(carrying.send(payloads(repo), lfs, pointers).moved) == 20
    assert helper.read_text(encoding="utf-8") == f"http://ada:{PASSWORD}@127.0.0.1%3a{server.port}\n"


def test_nobody_is_asked_where_nobody_can_answer(repo: GitRepo, server: LfsServer) -> None:
    error = failure(opened(repo, server.url))
    assert "answers 401" in error.message
    assert error.cause == "it does not believe the user name and password: who are you?"


def test_a_password_in_the_address_of_the_remote_is_used_and_never_shown(repo: GitRepo, server: LfsServer) -> None:
    repo.git("remote", "add", "origin", f"http://ada:{PASSWORD}@127.0.0.1:{server.port}/project.git")
    lfs = of_origin(repo)
    assert lfs.label == server.url
    one = source(repo, b"one")
    lfs.put(one)
    assert server.payloads[one.pointer.sha256] == b"one"
    server.password = "another"
    with pytest.raises(TransportError) as raised:
        lfs.exists(WANTED, sending=True)
    assert PASSWORD not in "\n".join(raised.value.lines())


def test_a_password_in_a_named_address_is_used(repo: GitRepo, server: LfsServer) -> None:
    repo.git("remote", "add", "origin", "https://nowhere.invalid/x.git")
    repo.git("config", "lfs.url", server.url.replace("://", f"://ada:{PASSWORD}@"))
    assert of_origin(repo).label == server.url
    assert of_origin(repo).exists(WANTED, sending=True) == set()


def test_a_user_in_the_address_chooses_the_password(repo: GitRepo, server: LfsServer, helper: Path) -> None:
    there = f"127.0.0.1:{server.port}"
    helper.write_text(f"http://bob:his@{there}\nhttp://ada:{PASSWORD}@{there}\n", encoding="utf-8")
    repo.git("remote", "add", "origin", f"http://ada@{there}/project.git")
    assert of_origin(repo).exists(WANTED, sending=True) == set()


def test_a_helper_that_tells_by_path_hears_the_path_of_the_remote(
    repo: GitRepo, server: LfsServer, helper: Path
) -> None:
    there = f"127.0.0.1:{server.port}"
    helper.write_text(f"http://x:y@{there}/other.git\nhttp://ada:{PASSWORD}@{there}/project.git\n", encoding="utf-8")
    repo.git("config", "credential.useHttpPath", "true")
    repo.git("remote", "add", "origin", f"http://{there}/project.git")
    assert of_origin(repo).exists(WANTED, sending=True) == set()


def test_a_password_comes_from_netrc_as_it_does_for_git(repo: GitRepo, server: LfsServer, sealed_home: Path) -> None:
    (sealed_home / ".netrc").write_text(f"machine 127.0.0.1 login ada password {PASSWORD}\n", encoding="utf-8")
    assert opened(repo, server.url).exists(WANTED, sending=True) == set()
    with pytest.raises(TransportError, match="answers 401"):  # somebody else is meant
        opened(repo, server.url.replace("://", "://bob@")).exists(WANTED, sending=True)


def test_a_netrc_that_is_out_of_date_keeps_no_helper_from_being_asked(
    repo: GitRepo, server: LfsServer, helper: Path, sealed_home: Path
) -> None:
    (sealed_home / ".netrc").write_text("machine 127.0.0.1 login ada password old\n", encoding="utf-8")
    helper.write_text(f"http://ada:{PASSWORD}@127.0.0.1:{server.port}\n", encoding="utf-8")
    assert opened(repo, server.url).exists(WANTED, sending=True) == set()


def test_the_header_that_ci_sets_lets_us_in(repo: GitRepo, server: LfsServer) -> None:
    token = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
    key = f"http.{server.address}/.extraheader"
    repo.git("config", "--add", key, "X-First: 1")
    repo.git("config", "--add", key, f"AUTHORIZATION: basic {token}".replace("basic", "Basic"))
    assert opened(repo, server.url).exists(WANTED, sending=True) == set()
    (asked,) = server.batches()
    assert asked.headers["X-First"] == "1"


def test_the_header_that_ci_sets_goes_to_no_other_server(repo: GitRepo, server: LfsServer) -> None:
    repo.git("config", "http.extraheader", "X-Secret: 1")
    server.password = ""
    with lfs_server() as storage:
        server.storage, server.verifies, storage.verifies = storage.address, False, False
        opened(repo, server.url).put(source(repo, b"one"))
        assert [("X-Secret" in each.headers) for each in storage.requests] == [False]
        assert server.batches()[0].headers["X-Secret"] == "1"


# Addresses ----------------------------------------------------------------------------------------------------------


def test_the_server_of_a_remote_is_found(repo: GitRepo, server: LfsServer) -> None:
    server.password = ""
    repo.git("remote", "add", "origin", f"{server.address}/project")
    assert of_origin(repo).exists(WANTED, sending=True) == set()
    assert of_origin(repo).label == server.url


def test_an_address_in_the_users_settings_comes_first(repo: GitRepo, server: LfsServer) -> None:
    server.password = ""
    repo.git("remote", "add", "origin", "https://nowhere.invalid/x.git")
    repo.git("config", "lfs.url", server.url)
    assert of_origin(repo).exists(WANTED, sending=True) == set()


def test_short_names_of_addresses_are_known(repo: GitRepo, server: LfsServer) -> None:
    server.password = ""
    repo.git("config", f"url.{server.address}/.insteadOf", "lab:")
    repo.git("remote", "add", "origin", "lab:project.git")
    assert of_origin(repo).exists(WANTED, sending=True) == set()


def test_a_committed_address_is_told_and_not_used(repo: GitRepo, server: LfsServer) -> None:
    with lfs_server() as stranger:
        repo.commit({".lfsconfig": f"[lfs]\n\turl = {stranger.url}\n"}, "share the address")
        repo.git("remote", "add", "origin", f"{server.address}/none.git")
        with pytest.raises(TransportError) as raised:
            of_origin(repo).exists(WANTED, sending=True)
        assert raised.value.cause == "there is no LFS server: not found"
        assert raised.value.hint == (
            f"the committed .lfsconfig names '{stranger.url}'; `git config lfs.url {stranger.url}` agrees to it"
        )
        assert stranger.requests == []
        repo.git("config", "lfs.url", stranger.url)
        assert of_origin(repo).exists(WANTED, sending=True) == set()


@pytest.mark.parametrize("url", ["https://h/x;rm -rf ~", "https://h/$(x)", "ext::sh -c x", "https://h/`x`", "ssh://h/"])
def test_a_committed_address_that_a_shell_could_misread_is_not_told(repo: GitRepo, server: LfsServer, url: str) -> None:
    repo.git("config", "--file", ".lfsconfig", "lfs.url", url)
    repo.git("remote", "add", "origin", f"{server.address}/none.git")
    with pytest.raises(TransportError) as raised:
        of_origin(repo).exists(WANTED, sending=True)
    assert ".lfsconfig" not in str(raised.value.hint)


# Ways ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that nobody knows, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    try:
        subprocess.run(["openssl", "req", "-x509", *kind, *names, *files], capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture
def secure(certificate: tuple[Path, Path]) -> Iterator[LfsServer]:
    with lfs_server(certificate=certificate[0], key=certificate[1]) as found:
        yield found


def test_a_certificate_that_nobody_knows_is_not_believed(repo: GitRepo, secure: LfsServer) -> None:
    error = failure(opened(repo, secure.url))
    assert error.message == f"cannot make a safe connection to '{secure.address}'"
    assert "certificate" in str(error.cause)
    assert "http.sslCAInfo" in str(error.hint)
    assert not error.passing
    assert secure.requests == []


@pytest.mark.parametrize("how", ["sslCAInfo", "sslVerify", "of the host", "environment"])
def test_git_says_which_certificates_are_believed(
    repo: GitRepo, secure: LfsServer, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "sslCAInfo":
        repo.git("config", "http.sslCAInfo", str(certificate[0]))
    elif how == "sslVerify":
        repo.git("config", "http.sslVerify", "false")
    elif how == "of the host":
        repo.git("config", f"http.{secure.address}/.sslCAInfo", str(certificate[0]))
        repo.git("config", "http.sslCAInfo", "/nowhere.pem")
    else:
        monkeypatch.setenv("GIT_SSL_CAINFO", str(certificate[0]))
    lfs = opened(repo, secure.url)
    one = source(repo, b"one")
    lfs.put(one)
    assert b"".join(lfs.get(one.pointer)) == b"one"


def test_a_setting_of_another_host_is_not_ours(
    repo: GitRepo, secure: LfsServer, certificate: tuple[Path, Path]
) -> None:
    repo.git("config", "http.https://example.org/.sslCAInfo", str(certificate[0]))
    assert "certificate" in str(failure(opened(repo, secure.url)).cause)


def test_what_came_encrypted_does_not_go_on_without(repo: GitRepo, secure: LfsServer, server: LfsServer) -> None:
    repo.git("config", "http.sslVerify", "false")
    secure.storage = server.address
    with pytest.raises(TransportError) as raised:
        opened(repo, secure.url).put(source(repo, b"one"))
    assert "it came encrypted, and wants to go on without" in str(raised.value.cause)
    secure.rules.append(status(307, Location=f"{server.url}/objects/batch"))
    error = failure(opened(repo, secure.url))
    assert "which is not encrypted" in error.message
    assert server.requests == []


def test_a_proxy_of_gits_settings_is_used(repo: GitRepo, server: LfsServer, secure: LfsServer) -> None:
    server.password = ""
    with odd.proxy(user="me", password="s3cret") as proxy:
        repo.git("config", "http.proxy", f"http://me:s3cret@127.0.0.1:{proxy.port}")
        repo.git("config", "http.sslVerify", "false")
        assert opened(repo, server.url).exists(WANTED, sending=True) == set()
        assert opened(repo, secure.url).exists(WANTED, sending=True) == set()
        assert proxy.seen == [f"POST {server.url}/objects/batch", f"CONNECT 127.0.0.1:{secure.port}"]
        repo.git("config", f"http.{server.address}/.proxy", "")
        assert opened(repo, server.url).exists(WANTED, sending=True) == set()
        assert len(proxy.seen) == 2


def test_a_proxy_that_is_not_there_is_said(repo: GitRepo, server: LfsServer) -> None:
    repo.git("config", "http.proxy", "me:s3cret@127.0.0.1:1")
    error = failure(opened(repo, server.url))
    assert error.cause == "the proxy: Connection refused"
    assert "s3cret" not in "\n".join(error.lines())
    repo.git("config", "http.proxy", "socks5://127.0.0.1:1")
    assert "it is no HTTP proxy" in str(failure(opened(repo, server.url)).cause)


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({"http_proxy": "p:1"}, "http://h.example.org/x", "http://p:1"),
        ({"HTTP_PROXY": "p:1"}, "http://h.example.org/x", None),  # a web server's client can set it
        ({"https_proxy": "http://p:1"}, "http://h.example.org/x", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://h.example.org/x", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "https://h.example.org/x", "http://p:1"),
        ({"https_proxy": "http://p:1", "no_proxy": "example.org"}, "https://h.example.org/x", None),
        ({"https_proxy": "http://p:1", "NO_PROXY": "a, .example.org:443"}, "https://h.example.org/x", None),
        ({"https_proxy": "http://p:1", "no_proxy": "ample.org"}, "https://h.example.org/x", "http://p:1"),
        ({"https_proxy": "http://p:1", "no_proxy": "*"}, "https://h.example.org/x", None),
    ],
)
def test_the_proxies_of_the_environment_are_curls(
    repo: GitRepo, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], url: str, proxy: str | None
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    git = git_of(repo)
    assert way_to(url, git=git, settings=read_settings(git)).proxy == proxy


# SSH ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def host(tmp_path: Path, repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """A git host that knows git-lfs-authenticate, which answers what stands in `answer`."""
    programs = tmp_path / "programs"
    programs.mkdir()
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(programs), prepend=":")
        with sshd(tmp_path / "ssh") as found:
            repo.git("config", "core.sshCommand", found.command)
            repo.git("remote", "add", "origin", f"ssh://127.0.0.1:{found.port}/the/project.git")
            yield found


def authenticate(host: Sshd, answer: str, *, code: int = 0) -> Path:
    """Makes the host answer; returns the file that says what it was asked."""
    program = host.folder.parent / "programs" / "git-lfs-authenticate"
    asked = program.with_name("asked")
    program.write_text(f"#!/bin/sh\necho \"$@\" >>'{asked}'\ncat <<'E'\n{answer}\nE\nexit {code}\n", encoding="utf-8")
    program.chmod(0o755)
    return asked


def entry(server: LfsServer, *, password: str = PASSWORD, more: str = "") -> str:
    """Returns what git-lfs-authenticate answers."""
    token = base64.b64encode(f"ada:{password}".encode()).decode()
    return f'{{"href": "{server.url}", "header": {{"Authorization": "Basic {token}"}}{more}}}'


def test_ssh_says_where_the_server_is_and_lets_us_in(repo: GitRepo, server: LfsServer, host: Sshd) -> None:
    asked = authenticate(host, entry(server, more=', "expires_in": 3600'))
    lfs = of_origin(repo)
    pointers = [placed(repo, bytes([number])) for number in range(10)]
    assert len(carrying.send(payloads(repo), lfs, pointers).moved) == 10
    assert b"".join(lfs.get(pointers[0])) == b"\x00"
    assert asked.read_text(encoding="utf-8") == "/the/project.git upload\n/the/project.git download\n"


def test_ssh_is_asked_again_when_its_pass_ends(repo: GitRepo, server: LfsServer, host: Sshd) -> None:
    asked = authenticate(host, entry(server))
    lfs = of_origin(repo)
    assert lfs.exists(WANTED, sending=True) == set()
    server.password = "another"
    authenticate(host, entry(server, password="another"))
    assert lfs.exists(WANTED, sending=True) == set()
    server.password = "a third one"
    with pytest.raises(TransportError, match="answers 401"):
        lfs.exists(WANTED, sending=True)
    assert asked.read_text(encoding="utf-8").count("upload") == 3


def test_a_host_that_does_not_know_the_command_has_its_server_where_it_is_guessed(
    repo: GitRepo, server: LfsServer, host: Sshd
) -> None:
    repo.git("remote", "set-url", "origin", f"ssh://127.0.0.1:{host.port}/project.git")
    lfs = of_origin(repo)
    assert lfs.label == "https://127.0.0.1/project.git/info/lfs"
    error = failure(lfs)
    assert error.message == "cannot reach 'https://127.0.0.1'"


def test_what_a_host_says_instead_is_told(repo: GitRepo, server: LfsServer, host: Sshd) -> None:
    authenticate(host, "please log in first", code=0)
    error = failure(of_origin(repo))
    assert error.message == "cannot ask 'ssh://127.0.0.1' for its LFS server"
    assert error.cause == "what git-lfs-authenticate answers there makes no sense"
    for bad in ('{"href": "file:///x"}', '{"href": 7}', '{"header": {"A b": "c"}}', "[]", "[" * 50_000):
        authenticate(host, bad)
        assert "makes no sense" in str(failure(of_origin(repo)).cause), bad


def test_a_host_that_lets_nobody_in_is_told_in_its_words(repo: GitRepo, server: LfsServer, host: Sshd) -> None:
    (host.folder / "authorized_keys").write_text("", encoding="utf-8")
    error = failure(of_origin(repo))
    assert error.message == "cannot ask 'ssh://127.0.0.1' for its LFS server"
    assert "ermission denied" in str(error.cause)


def test_a_named_server_is_not_asked_for_by_ssh(repo: GitRepo, server: LfsServer, host: Sshd) -> None:
    asked = authenticate(host, "{}")
    repo.git("config", "lfs.url", server.url)
    assert "answers 401" in failure(of_origin(repo)).message
    assert not asked.exists()


def test_a_path_that_a_shell_would_read_is_quoted(repo: GitRepo, server: LfsServer, host: Sshd) -> None:
    asked = authenticate(host, entry(server))
    repo.git("remote", "set-url", "origin", f"ssh://127.0.0.1:{host.port}/a;touch%20b/$(id)/p.git")
    assert of_origin(repo).exists(WANTED, sending=True) == set()
    assert asked.read_text(encoding="utf-8") == "/a;touch b/$(id)/p.git upload\n"
