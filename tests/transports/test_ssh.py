"""A folder of another machine as a store, over the user's own ssh and a real sshd."""

from __future__ import annotations

import getpass
import os
import random
import shlex
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gittrack import carrying, repo, stores
from gittrack.errors import DataRefused, UsageError
from gittrack.repo import Repo
from gittrack.transports.protocol import NotThere, Source, Transport, TransportError
from gittrack.transports.ssh import sftp, tunnel
from gittrack.transports.ssh.store import Ssh
from tests import recording
from tests.gitcmd import GitRepo
from tests.runs import ask, attempt
from tests.servers.relay import relay
from tests.servers.sshd import Sshd, sshd
from tests.transports import suite
from tests.transports.suite import MIB, clone, content, placed, pointer_to, source_of


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("ssh") / "host") as running:
        yield running


@pytest.fixture
def clone_of_mine(empty_repo: GitRepo, server: Sshd, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A repository whose ssh knows the server."""
    monkeypatch.setenv("GIT_SSH_COMMAND", server.command)
    return repo.open_repo(empty_repo.path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the store, whose parent is there."""
    (tmp_path / "a disk").mkdir()
    return tmp_path / "a disk" / "with a store"


@pytest.fixture
def store(clone_of_mine: Repo, server: Sshd, root: Path) -> Iterator[Ssh]:
    opened = opened_at(clone_of_mine, server.port, root)
    yield opened
    opened.close()


def opened_at(place: Repo, port: int, root: Path, **settings: str) -> Ssh:
    """Returns the store at a folder of the server behind a port of this machine."""
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{str(root).replace(' ', '%20')}"
    known = place.settings
    if settings:
        values = {**known.values, **{f"track.{key}": value for key, value in settings.items()}}
        known = type(known)(values, known.environ)
    return Ssh(url, git=place.git, settings=known)


def visible(root: Path) -> list[str]:
    """Returns the payloads below a folder, having hashed each."""
    found = [path for path in root.glob("??/??/*") if path.is_file()]
    for path in found:
        assert pointer_to(path.read_bytes()).sha256 == path.name
    return sorted(path.name for path in found)


def strangers() -> list[str]:
    """Returns the ssh clients of this process that are still there."""
    listing = subprocess.run(["ps", "-eo", "ppid=,args="], capture_output=True, text=True, check=True).stdout
    mine = [line.split(None, 1) for line in listing.splitlines()]
    return [words[1] for words in mine if words[0] == str(os.getpid()) and " -s " in words[1] and "sftp" in words[1]]


class TestSsh(suite.Conformance):
    @pytest.fixture(autouse=True)
    def _root(self, root: Path) -> None:
        self.root = root

    @pytest.fixture
    def transport(self, store: Ssh) -> Iterator[Transport]:
        yield store
        store.close()
        assert strangers() == []

    def plant(self, path: str, data: bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


# Addresses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("ssh://host/srv/store", tunnel.Address("host", "", None, "/srv/store")),
        ("ssh://ada@host:2222/srv//a/./store/", tunnel.Address("host", "ada", 2222, "/srv/a/store")),
        ("sftp://host/~/store", tunnel.Address("host", "", None, "store")),
        ("ssh://[::1]/a%20b", tunnel.Address("::1", "", None, "/a b")),
    ],
)
def test_an_address_names_a_host_and_a_folder(url: str, wanted: tunnel.Address) -> None:
    assert tunnel.parse(url, label=url) == wanted


@pytest.mark.parametrize(
    "url",
    [
        "ssh://",
        "ssh://host",
        "ssh://host/",
        "ssh:///path",
        "ssh://host/a/../../etc",
        "ssh://host/~ada/x",
        "ssh://host:port/x",
        "ssh://ada:secret@host/x",
        "ssh://-oProxyCommand=touch%20x/x",
        "ssh://-l@host/x",
        "ssh://host/x?y",
        "ssh://host/x%00y",
    ],
)
def test_what_is_no_address_or_could_be_an_option_of_ssh_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        tunnel.parse(url, label="it")


def test_a_path_in_the_home_is_below_it(clone_of_mine: Repo, server: Sshd, tmp_path: Path) -> None:
    name = f"gittrack-test-{os.getpid()}"
    opened = Ssh(f"ssh://127.0.0.1:{server.port}/~/{name}", git=clone_of_mine.git, settings=clone_of_mine.settings)
    source = source_of(content(1000), tmp_path / "files")
    home = Path(os.path.expanduser(f"~{getpass.getuser()}"))
    try:
        opened.put(source)
        assert visible(home / name) == [source.pointer.sha256]
    finally:
        opened.close()
        shutil.rmtree(home / name, ignore_errors=True)


# Sending and getting --------------------------------------------------------------------------------------------------


def test_a_payload_is_read_only_and_no_part_of_it_stays(store: Ssh, root: Path, tmp_path: Path) -> None:
    source = source_of(content(3 * MIB), tmp_path / "files")
    store.put(source)
    (path,) = [path for path in root.rglob("*") if path.is_file()]
    assert stat.S_IMODE(path.stat().st_mode) & 0o222 == 0
    assert path.name == source.pointer.sha256


def test_a_folder_that_a_group_shares_stays_shared(store: Ssh, root: Path, tmp_path: Path) -> None:
    root.mkdir()
    root.chmod(0o2775)
    store.put(source_of(content(1000), tmp_path / "files"))
    (path,) = [path for path in root.glob("??/??/*") if path.is_file()]
    assert path.stat().st_mode & 0o040
    assert all(folder.stat().st_mode & 0o020 for folder in (path.parent, path.parent.parent))


def test_eight_transfers_take_four_connections_at_most(
    store: Ssh, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    connect = tunnel.connect

    def counted(*args: object, **options: object) -> tunnel.Line:
        line = connect(*args, **options)  # type: ignore[arg-type]
        opened.append(line)
        return line

    monkeypatch.setattr(tunnel, "connect", counted)
    payloads = clone(tmp_path / "clone")
    pointers = [placed(content(5 * MIB, seed=seed), payloads) for seed in range(8)]
    pointers += [placed(content(100, seed=seed), payloads) for seed in range(40)]
    done = carrying.send(payloads, store, pointers)
    assert done.failed == ()
    assert len(visible(root)) == 48
    assert 1 <= len(opened) <= 4


def test_an_upload_that_was_cut_goes_on_from_what_is_safe_there(
    clone_of_mine: Repo, server: Sshd, root: Path, tmp_path: Path
) -> None:
    payloads = clone(tmp_path / "clone")
    pointer = placed(content(70 * MIB), payloads)
    path = payloads.path(pointer.sha256)

    class Cut(Source):
        def chunks(self, *, start: int = 0, size: int = MIB) -> Iterator[bytes]:
            for number, chunk in enumerate(super().chunks(start=start, size=size)):
                if number == 60:
                    raise KeyboardInterrupt
                yield chunk

    first = opened_at(clone_of_mine, server.port, root)
    with pytest.raises(KeyboardInterrupt):
        first.put(Cut(pointer, path))
    first.close()
    assert visible(root) == []
    moved: list[int] = []
    second = opened_at(clone_of_mine, server.port, root)
    starts: list[int] = []

    class Watched(Source):
        def chunks(self, *, start: int = 0, size: int = MIB) -> Iterator[bytes]:
            starts.append(start)
            return super().chunks(start=start, size=size)

    second.put(Watched(pointer, path, report=moved.append))
    second.close()
    assert visible(root) == [pointer.sha256]
    assert starts == [32 * MIB]  # all whole stretches of 16 MiB but the last one
    assert not list((root / ".incoming").glob("*.part"))


# What goes wrong ------------------------------------------------------------------------------------------------------


def refusal(place: Repo, port: int, root: Path, **settings: str) -> TransportError:
    """Returns the error of asking a store for something."""
    opened = opened_at(place, port, root, **settings)
    try:
        with pytest.raises(TransportError) as found:
            opened.exists([pointer_to(b"x")], sending=True)
    finally:
        opened.close()
    assert strangers() == []
    return found.value


def test_a_folder_whose_parent_is_not_there_is_not_made(clone_of_mine: Repo, server: Sshd, tmp_path: Path) -> None:
    opened = opened_at(clone_of_mine, server.port, tmp_path / "none" / "store")
    with pytest.raises(TransportError, match="cannot send to") as found:
        opened.put(source_of(content(10), tmp_path / "files"))
    opened.close()
    assert found.value.hint == "make the folder around it there, if the path is right"
    assert not (tmp_path / "none").exists()


def test_a_file_where_the_store_should_be_is_no_store(store: Ssh, root: Path, tmp_path: Path) -> None:
    root.write_text("a file", "utf-8")
    with pytest.raises(TransportError, match="cannot send to"):
        store.put(source_of(content(10), tmp_path / "files"))
    assert root.read_text("utf-8") == "a file"


def test_a_server_that_is_not_there(clone_of_mine: Repo, root: Path) -> None:
    error = refusal(clone_of_mine, 1, root)
    assert "Connection refused" in str(error.cause)


def test_a_key_that_it_does_not_know(clone_of_mine: Repo, server: Sshd, root: Path) -> None:
    keys = server.folder / "authorized_keys"
    known = keys.read_bytes()
    keys.write_bytes(b"")
    try:
        error = refusal(clone_of_mine, server.port, root)
    finally:
        keys.write_bytes(known)
    assert "Permission denied" in str(error.cause)
    assert not error.passing


def test_a_host_whose_key_changed(clone_of_mine: Repo, server: Sshd, root: Path) -> None:
    server.know((server.folder / "key.pub").read_text("utf-8").strip())
    try:
        error = refusal(clone_of_mine, server.port, root)
    finally:
        server.know(server.host_key())
    assert "host key" in f"{error.cause} {error.hint}".lower()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("echo Welcome to our cluster; exec sleep 5", "it does not speak SFTP, but said: 'Welcome to our cluster"),
        (r"printf '\0\0\0\5\2\0\0\0\3\377\377\377\377lots'; exec sleep 5", "impossible length"),
        (r"printf '\0\0\0\5\2\0\0\0\3'; cat >/dev/null", "no sign of life"),
        ("exit 0", "the connection was cut"),
        ("echo 'subsystem request failed on channel 0' >&2; exit 1", "it offers no SFTP"),
        ("exec head -c 100000000 /dev/urandom", ""),
        ("exec cat /dev/zero", ""),
        ("exec sleep 60", "no sign of life"),
    ],
)
def test_what_is_no_sftp_server_is_told_in_one_line_and_soon(
    clone_of_mine: Repo, root: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", f"sh -c {shlex.quote(program)} ssh")
    monkeypatch.setenv("GIT_SSH_VARIANT", "ssh")
    place = repo.open_repo(clone_of_mine.git.place.work_tree)
    begun = time.monotonic()
    error = refusal(place, 22, root, timeout="1")
    assert time.monotonic() - begun < 10
    assert said in str(error.cause)
    assert "\n" not in str(error.cause)


def test_a_line_that_breaks_anywhere_leaves_nothing_wrong_and_the_next_attempt_completes(
    clone_of_mine: Repo, server: Sshd, root: Path, tmp_path: Path
) -> None:
    payloads, other = clone(tmp_path / "clone"), clone(tmp_path / "other")
    pointers = [placed(content(MIB, seed=seed), payloads) for seed in range(3)]
    chance = random.Random(6)
    for turn in range(4):
        with relay(server.port) as line:
            line.limit, line.breaks = chance.randrange(2_000, 4 * MIB), True
            opened = opened_at(clone_of_mine, line.port, root, timeout="5")
            try:
                if turn % 2:
                    carrying.bring(other, [opened], pointers)
                else:
                    carrying.send(payloads, opened, pointers)
            except TransportError:
                pass
            finally:
                opened.close()
        visible(root)
        assert all(pointer_to(found.read_bytes()).sha256 == found.name for found in other.root.glob("??/??/*"))
    opened = opened_at(clone_of_mine, server.port, root)
    assert carrying.send(payloads, opened, pointers).failed == ()
    assert carrying.bring(other, [opened], pointers).failed == ()
    opened.close()
    assert len(visible(root)) == 3
    assert strangers() == []


def test_a_full_disk_there_is_said(clone_of_mine: Repo, server: Sshd, tmp_path: Path) -> None:
    if os.getuid() or sys.platform != "linux":
        pytest.skip("only root may mount a file system")
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small], check=False)
    if mounted.returncode:
        pytest.skip("this machine mounts no tmpfs")
    try:
        opened = opened_at(clone_of_mine, server.port, small / "store")
        with pytest.raises(TransportError) as found:
            opened.put(source_of(content(5 * MIB), tmp_path / "files"))
        assert found.value.cause == "its disk is full"
        opened.put(source_of(content(MIB), tmp_path / "files"))  # nothing of the first is in the way
        opened.close()
        assert len(visible(small / "store")) == 1
    finally:
        subprocess.run(["umount", "--lazy", small], check=False)


def test_a_damaged_payload_is_refused_and_its_part_goes(store: Ssh, root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataRefused):
        store.put(source_of(content(MIB), tmp_path / "files", lie=content(MIB, seed=1)))
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_what_a_server_links_elsewhere_is_not_there(store: Ssh, root: Path, tmp_path: Path) -> None:
    data = content(1000)
    pointer = pointer_to(data)
    place = root / pointer.sha256[:2] / pointer.sha256[2:4] / pointer.sha256
    place.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").write_bytes(data)
    place.symlink_to(tmp_path / "elsewhere")
    assert store.exists([pointer], sending=False) == set()
    with pytest.raises(NotThere):
        list(store.get(pointer))


def test_it_asks_for_no_more_than_a_session_allows() -> None:
    assert sftp.WINDOW >= 2 * MIB


# As a user ------------------------------------------------------------------------------------------------------------


def test_a_team_shares_checkpoints_over_ssh(  # noqa: PLR0917 - two clones, a remote and a store
    repo: GitRepo, bare_remote: GitRepo, colleague: GitRepo, server: Sshd, root: Path, tmp_path: Path
) -> None:
    url = f"ssh://127.0.0.1:{server.port}{str(root).replace(' ', '%20')}"
    for clone_of_it in (repo, colleague):
        clone_of_it.git("config", "core.sshCommand", server.command)
        ask(clone_of_it, "store", "add", "lab", url)
    (tmp_path / "model.pt").write_bytes(content(300_000))
    run = recording.make(repo, files=[str(tmp_path / "model.pt")])
    assert f"sent 1 artifact, 293.0 KiB, to 'lab'\npushed {run.id}" in ask(repo, "push")
    assert "ok" in attempt(repo, "store", "check")[1]
    ask(colleague, "pull")
    ask(colleague, "get", f"{run.id}:model.pt")
    assert (colleague.path / "model.pt").read_bytes() == content(300_000)


def test_the_address_chooses_this_transport(clone_of_mine: Repo) -> None:
    at = stores.StoreAt("lab", "ssh://host/path", None)
    opened = stores.open_store(clone_of_mine.git, at, clone_of_mine.settings)
    assert (type(opened), opened.label) == (Ssh, "ssh://host/path")
    opened.close()
