"""`git track doctor --remote` says what a host allows, and leaves nothing there."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gittrack import lfsprobe, probing
from gittrack.settings import Settings
from tests.gitcmd import GitRepo
from tests.runs import ask, attempt, record
from tests.sharing import Host, host
from tests.test_any_host import ONLY_BRANCHES
from tests.test_sending import add_hook


@pytest.fixture(params=["http", "ssh", "path"])
def remote(request: pytest.FixtureRequest, repo: GitRepo, tmp_path: Path) -> Iterator[Host]:
    """The `origin` of `repo`, with its code."""
    with host(request.param, tmp_path / "host") as found:
        found.introduce(repo)
        repo.git("push", "--quiet", "origin", "main")
        yield found


over_path = pytest.mark.parametrize("remote", ["path"], indirect=True)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes push no large file, for the tests that are about something else."""
    monkeypatch.setattr(probing, "SIZES", (1,))


def looked(repo: GitRepo, remote: Host, *, exit_code: int = 0) -> list[tuple[str, str]]:
    """Returns what `doctor --remote` found, and asserts that the repository stays as it was."""
    before, objects = repo.refs(), repo.git("count-objects", "-v")
    code, out, err = attempt(repo, "doctor", "--remote", "origin")
    assert code == exit_code, err
    assert (repo.refs(), repo.git("count-objects", "-v")) == (before, objects)
    lines = [line.strip() for line in out.splitlines()]
    found: list[tuple[str, str]] = []
    for line in lines:
        kind, _, text = line.partition(" ")
        found.append((kind.rstrip(":"), text.strip()))
    return found


def advice(found: list[tuple[str, str]]) -> list[str]:
    """Returns the hints."""
    return [text for kind, text in found if kind == "hint"]


def test_a_plain_git_host_takes_everything(repo: GitRepo, remote: Host) -> None:
    found = looked(repo, remote)

    texts = [text for kind, text in found if kind == "ok"]
    assert texts[:2] == ["it speaks version 2 of git's protocol", "it takes refs below refs/runs/"]
    assert {"it lets refs be deleted", "it takes 200 refs a push"} <= set(texts)
    assert "it takes a file of 10 MiB; larger ones are not tried" in texts
    assert {kind for kind, _ in found} == {"ok"}
    assert any("LFS" in text for text in texts) == (not remote.url.startswith("/"))
    assert set(remote.bare.refs()) == {"refs/heads/main"}


@pytest.mark.usefixtures("small")
@over_path
def test_where_only_branches_go_it_says_which_setting_helps_and_it_does(repo: GitRepo, remote: Host) -> None:
    add_hook(remote.bare, "update", ONLY_BRANCHES)

    found = looked(repo, remote)

    assert ("warn", "it takes no refs below refs/runs/: hook declined; only branches here") in found
    [line] = advice(found)
    assert line == "git config remote.origin.trackRefPrefix refs/heads/runs/"
    repo.git(*line.split()[1:])
    assert ("ok", "it takes refs below refs/heads/runs/") in looked(repo, remote)
    [run] = record(repo, {})
    ask(repo, "push")
    assert set(remote.bare.refs()) == {"refs/heads/main", f"refs/heads/runs/{run}"}


@over_path
def test_where_nothing_can_be_deleted_one_probe_stays_and_is_named(repo: GitRepo, remote: Host) -> None:
    # Of git's own settings for that, receive.denyDeletes and receive.denyNonFastForwards, both are about branches only.
    add_hook(remote.bare, "update", f'test "$2" = {"0" * 40} || {{ echo only new ones >&2; exit 1; }}')

    found = looked(repo, remote)

    assert any(kind == "warn" and text.startswith("it refuses to delete a ref: ") for kind, text in found)
    assert any(kind == "ok" and text.startswith("it refuses to rewrite a ref: ") for kind, text in found)
    [left] = set(remote.bare.refs()) - {"refs/heads/main"}
    assert ("warn", f"1 ref(s) of this probe stay there: {left}") in found


@over_path
def test_branches_that_cannot_be_deleted_are_found_too(repo: GitRepo, remote: Host) -> None:
    repo.git("config", "track.refPrefix", "refs/heads/runs/")
    remote.bare.git("config", "receive.denyDeletes", "true")
    remote.bare.git("config", "receive.denyNonFastForwards", "true")

    found = looked(repo, remote)

    texts = [text for _, text in found]
    assert any(text.startswith("it refuses to delete a ref: deletion prohibited") for text in texts)
    assert any(text.startswith("it refuses to rewrite a ref: non-fast-forward") for text in texts)


@pytest.mark.usefixtures("small")
@over_path
@pytest.mark.parametrize(("limit", "told"), [(60, 50), (25, 25), (7, 5)])
def test_a_limit_of_refs_a_push_is_found_and_the_setting_fits(
    repo: GitRepo, remote: Host, limit: int, told: int
) -> None:
    add_hook(remote.bare, "pre-receive", f'test "$(wc -l)" -le {limit} || {{ echo too many >&2; exit 1; }}')

    found = looked(repo, remote)

    text = f"it takes {told} refs a push, and not 200: pre-receive hook declined; too many"
    assert ("warn", text) in found
    assert advice(found) == [f"git config track.refsPerPush {told}"]
    assert set(remote.bare.refs()) == {"refs/heads/main"}


@pytest.mark.parametrize("remote", ["path", "http"], indirect=True)
def test_a_limit_of_bytes_is_found(repo: GitRepo, remote: Host) -> None:
    remote.bare.git("config", "receive.maxInputSize", "4m")

    found = looked(repo, remote)

    [text] = [text for kind, text in found if kind == "warn"]
    assert text.startswith("it takes a file of 1 MiB, and not one of 10 MiB: ")
    assert set(remote.bare.refs()) == {"refs/heads/main"}


@pytest.mark.usefixtures("small")
@over_path
@pytest.mark.parametrize("key", ["transfer.hideRefs", "uploadpack.hideRefs"])
def test_refs_that_are_hidden_there_are_no_place_for_runs(repo: GitRepo, remote: Host, key: str) -> None:
    remote.bare.git("config", key, "refs/runs")

    found = looked(repo, remote)

    assert any(kind == "warn" and "below refs/runs/" in text for kind, text in found)
    assert "git config remote.origin.trackRefPrefix refs/heads/runs/" in advice(found)
    assert set(remote.bare.refs()) == {"refs/heads/main"}


@over_path
def test_a_host_that_takes_nothing_and_one_that_is_not_there(repo: GitRepo, remote: Host) -> None:
    add_hook(remote.bare, "pre-receive", "exit 1")
    assert ("wrong", "runs cannot be pushed there") in looked(repo, remote, exit_code=1)

    code, out, err = attempt(repo, "doctor", "--remote", "../nowhere", "--json")
    [fact] = json.loads(out)
    assert (code, fact["state"], err) == (1, "wrong", "error: 1 thing(s) are wrong\n")
    assert attempt(repo, "doctor", "--remote", "nobody")[0] == 3


@over_path
def test_a_probe_that_is_interrupted_cleans_up(repo: GitRepo, remote: Host) -> None:
    calls = add_hook(remote.bare, "pre-receive", "sleep 0.3")
    process = subprocess.Popen(
        ["git-track", "doctor", "--remote"], cwd=repo.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 30
    while not calls.exists() or len(calls.read_text().splitlines()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)

    assert process.returncode == 130
    assert set(remote.bare.refs()) == {"refs/heads/main"}


# Git LFS --------------------------------------------------------------------------------------------------------------


class _Lfs(BaseHTTPRequestHandler):
    """An LFS server as far as a probe sees it; what it is asked is kept."""

    asked: list[tuple[str, dict[str, str], bytes]]
    code: int
    kind: str

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, dict(self.headers.items()), body))
        answer = b'{"objects": []}'
        self.send_response(self.code)
        self.send_header("Content-Type", self.kind)
        if self.code == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.mark.parametrize(
    ("code", "kind", "there"),
    [
        (200, "application/vnd.git-lfs+json", True),
        (401, "application/vnd.git-lfs+json", True),
        (401, "text/html", None),
        (404, "text/html", False),
        (404, "application/vnd.git-lfs+json", False),
        (422, "application/vnd.git-lfs+json", True),
        (302, "text/html", False),
        (200, "text/html", True),
    ],
)
def test_an_lfs_server_is_known_by_its_answer_and_gets_no_password(code: int, kind: str, there: bool | None) -> None:
    asked: list[tuple[str, dict[str, str], bytes]] = []
    handler = type("Lfs", (_Lfs,), {"asked": asked, "code": code, "kind": kind})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    url = f"http://ada:hunter2@127.0.0.1:{server.server_port}/x/project"
    settings = Settings({"remote.origin.url": url}, {})
    try:
        address = lfsprobe.address("origin", settings)
        assert address
        answer = lfsprobe.ask(address, settings)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

    assert answer[0] is there
    [(path, headers, body)] = asked
    assert path == "/x/project.git/info/lfs/objects/batch"
    assert json.loads(body)["operation"] == "download"
    assert "Authorization" not in headers
    assert "hunter2" not in str(asked)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://example.org/a/b", "https://example.org/a/b.git/info/lfs"),
        ("https://example.org/a/b.git/", "https://example.org/a/b.git/info/lfs"),
        ("https://me:secret@example.org:8443/b", "https://example.org:8443/b.git/info/lfs"),
        ("git@example.org:a/b.git", "https://example.org/a/b.git/info/lfs"),
        ("ssh://git@example.org:22/a/b", "https://example.org/a/b.git/info/lfs"),
        ("/srv/git/b.git", None),
        ("../b", None),
        ("git://example.org/b", None),
        ("https://[::1]:80/b", "https://[::1]:80/b.git/info/lfs"),
        ("https://example.org:bad/b", None),
    ],
)
def test_the_lfs_server_is_looked_for_where_git_lfs_looks(url: str, address: str | None) -> None:
    assert lfsprobe.address("origin", Settings({"remote.origin.url": url}, {})) == address
    assert lfsprobe.address(url, Settings({}, {})) == address


def test_an_lfs_server_that_is_named_is_the_one() -> None:
    values = {"remote.origin.url": "https://example.org/b", "lfs.url": "https://lfs.example.org/all"}
    assert lfsprobe.address("origin", Settings(values, {})) == "https://lfs.example.org/all"
    values["remote.origin.lfsurl"] = "https://ada:pw@lfs.example.org/own"
    assert lfsprobe.address("origin", Settings(values, {})) == "https://lfs.example.org/own"


def test_an_lfs_server_that_is_not_there_is_no_error() -> None:
    there, how = lfsprobe.ask("http://127.0.0.1:1/x.git/info/lfs", Settings({}, {}))

    assert there is None
    assert how
