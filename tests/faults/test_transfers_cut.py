"""kill -9 and lines that break while payloads are pushed: what a store shows is whole, and the next push completes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from gittrack.codec.pointer import Pointer
from gittrack.repo import open_repo
from gittrack.stores import configured, open_store
from gittrack.transports.folder import Folder
from gittrack.transports.protocol import Source
from tests import recording
from tests.gitcmd import GitRepo
from tests.runs import ask, attempt
from tests.servers import buckets
from tests.servers.lfs import lfs_server
from tests.servers.relay import relay
from tests.servers.sshd import sshd

SIZES = (100_000, 6_000_000)
FILES = 6
STORES = ("folder", "ssh", "lfs", "s3")


@contextlib.contextmanager
def store_at(kind: str, repo: GitRepo, tmp_path: Path, patch: pytest.MonkeyPatch) -> Iterator[int]:
    """Gives a repository a store of a kind; yields the port of its server, 0 if it has none."""
    (tmp_path / "disk").mkdir()
    with contextlib.ExitStack() as stack:
        port = 0
        if kind == "folder":
            url = str(tmp_path / "disk" / "lab")
        elif kind == "ssh":
            server = stack.enter_context(sshd(tmp_path / "host"))
            port = server.port
            repo.git("config", "core.sshCommand", server.command)
            url = f"ssh://127.0.0.1:{port}{tmp_path}/disk/lab"
        elif kind == "lfs":
            running = stack.enter_context(lfs_server())
            url, port = running.url, running.port
        else:
            bucket = stack.enter_context(buckets.moto())
            for name, value in bucket.environ.items():
                patch.setenv(name, value)
            url, port = f"s3://{buckets.BUCKET}/lab", bucket.port
        repo.git("config", "track.store.lab.url", url)
        repo.git("config", "track.timeout", "5")
        yield port


def content(seed: int) -> bytes:
    return random.Random(seed).randbytes(random.Random(seed).randrange(*SIZES))


def pointer_to(data: bytes) -> Pointer:
    return Pointer(hashlib.sha256(data).hexdigest(), len(data))


def a_run_with_files(repo: GitRepo, tmp_path: Path, turn: int) -> list[Pointer]:
    """Records a run with files that no run had before; returns its payloads."""
    folder = tmp_path / f"files-{turn}"
    folder.mkdir()
    data = [content(turn * FILES + number) for number in range(FILES)]
    for number, raw in enumerate(data):
        (folder / f"{number}.bin").write_bytes(raw)
    recording.make(repo, files=[str(folder)])
    return [pointer_to(raw) for raw in data]


def shown(repo: GitRepo, pointers: Sequence[Pointer]) -> tuple[int, list[str]]:
    """Returns how many payloads the store says that it has, and those of them whose content is another."""
    place = open_repo(repo.path)
    (store,) = configured(place.settings)
    with closing(open_store(place.git, store, place.settings)) as transport:
        there = transport.exists(pointers, sending=False)
        wrong = [each.sha256 for each in there if pointer_to(b"".join(transport.get(each))) != each]
    return len(there), wrong


def push_and_kill(repo: GitRepo, after: float) -> bool:
    """Starts a push and kills it after some seconds; returns False if it had ended before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gittrack", "push", "-y"],
        cwd=repo.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after)
    ended = process.poll() is not None
    if not ended:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return not ended


def kill_pushes(repo: GitRepo, remote: GitRepo, tmp_path: Path, times: int) -> list[str]:
    """Kills pushes, each of a new run, and pushes again; returns the payloads that were seen with a wrong content."""
    chance = random.Random(times)
    a_run_with_files(repo, tmp_path, times)
    begun = time.monotonic()
    assert not push_and_kill(repo, 60)
    length = time.monotonic() - begun
    wrong: list[str] = []
    killed = 0
    for turn in range(times):
        pointers = a_run_with_files(repo, tmp_path, turn)
        killed += push_and_kill(repo, chance.uniform(0.15, length))
        before, bad = shown(repo, pointers)
        wrong += bad
        visible = len(remote.refs("refs/runs/"))
        assert visible <= turn + 1 + (before == len(pointers))  # no run is there before its payloads are
        code, _, err = attempt(repo, "push", "-y")
        assert code == 0, err
        now, bad = shown(repo, pointers)
        assert (now, len(remote.refs("refs/runs/"))) == (len(pointers), turn + 2)
        wrong += bad
    assert killed
    return wrong


def test_a_push_that_is_killed_shows_nothing_half_and_the_next_completes(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store_at("folder", repo, tmp_path, monkeypatch):
        assert kill_pushes(repo, bare_remote, tmp_path, 4) == []


@pytest.mark.faults
@pytest.mark.parametrize("kind", STORES)
def test_twenty_five_kills_of_a_push_show_nothing_half(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with store_at(kind, repo, tmp_path, monkeypatch):
        assert kill_pushes(repo, bare_remote, tmp_path, 25) == []


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["ssh", "lfs", "s3"])
def test_twenty_five_lines_that_break_show_nothing_half(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with store_at(kind, repo, tmp_path, monkeypatch) as port, relay(port) as line:
        straight = repo.git("config", "track.store.lab.url")
        chance = random.Random(kind)
        for turn in range(25):
            pointers = a_run_with_files(repo, tmp_path, turn)
            line.limit, line.breaks = chance.randrange(1_000, 8_000_000), True
            _through(repo, monkeypatch, kind, straight, port, line.port)
            attempt(repo, "push", "-y")
            line.heal()
            _through(repo, monkeypatch, kind, straight, port, port)
            assert shown(repo, pointers)[1] == []
            assert attempt(repo, "push", "-y")[0] == 0
            assert shown(repo, pointers) == (len(pointers), [])


def _through(  # noqa: PLR0917 - where it is, and how it is reached
    repo: GitRepo, patch: pytest.MonkeyPatch, kind: str, url: str, port: int, to: int
) -> None:
    """Has the store reached at another port."""
    if kind == "s3":
        patch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{to}")
    repo.git("config", "track.store.lab.url", url.replace(f":{port}", f":{to}"))


@pytest.mark.faults
def test_a_store_that_names_a_file_before_it_is_whole_is_noticed(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: what these tests look for is there to be found."""

    def torn(self: Folder, source: Source) -> None:
        path = self._root / source.pointer.sha256[:2] / source.pointer.sha256[2:4] / source.pointer.sha256
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(source.pointer.size)
            for number, chunk in enumerate(source.chunks()):
                if number == 1:
                    raise KeyboardInterrupt
                file.write(chunk)

    with store_at("folder", repo, tmp_path, monkeypatch):
        pointers = a_run_with_files(repo, tmp_path, 0)
        monkeypatch.setattr(Folder, "put", torn)
        attempt(repo, "push", "-y")
        assert shown(repo, pointers)[1]


def test_two_pushes_at_once_send_the_same_payloads_and_both_end_well(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store_at("folder", repo, tmp_path, monkeypatch):
        pointers = a_run_with_files(repo, tmp_path, 0)
        words = [sys.executable, "-m", "gittrack", "push", "-y"]
        both = [subprocess.Popen(words, cwd=repo.path, stdout=subprocess.DEVNULL) for _ in range(2)]
        assert [process.wait() for process in both] == [0, 0]
        assert shown(repo, pointers) == (FILES, [])
        assert ask(repo, "push") == ""
