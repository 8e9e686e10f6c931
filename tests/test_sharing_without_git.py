"""Sharing without a git executable: through a folder, HTTP and SSH, by the same rules as with git."""

from __future__ import annotations

import base64
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from gittrack.libgit import sharing
from tests.commands.test_push import add_hook
from tests.gitcmd import GitRepo
from tests.githttp import GitHttpServer
from tests.nogit import track, without_git
from tests.runs import record


@pytest.fixture(params=["folder", "http", "ssh", "file"])
def remote(request: pytest.FixtureRequest, repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> Iterator[GitRepo]:
    """The `origin` of `repo`, reached in each way; its own side has git."""
    if request.param == "http":
        bare_remote.git("config", "http.receivepack", "true")
        with GitHttpServer.start(bare_remote.path.parent) as server:
            repo.git("remote", "set-url", "origin", server.url(bare_remote.path.name))
            yield bare_remote
        return
    if request.param == "ssh":
        repo.git("remote", "set-url", "origin", f"tester@host.example:{bare_remote.path}")
        repo.git("config", "core.sshCommand", str(fake_ssh(tmp_path)))
    elif request.param == "file":
        repo.git("remote", "set-url", "origin", bare_remote.path.as_uri())
    else:
        repo.git("remote", "set-url", "origin", "../remote.git")
    yield bare_remote


def fake_ssh(folder: Path) -> Path:
    """Returns an `ssh` that runs what it is told on this machine, where the other side's git is."""
    script = folder / "ssh"
    script.write_text(
        f"#!/bin/sh\nexport PATH='{os.environ['PATH']}'\nfor last; do :; done\nexec sh -c \"$last\"\n", encoding="utf-8"
    )
    script.chmod(0o755)
    return script


def second_clone(repo: GitRepo, remote: GitRepo) -> GitRepo:
    """Returns another clone of the remote, reached in the same way."""
    clone = GitRepo.clone(remote.path, repo.path.parent / "second")
    clone.git("config", "user.name", "Bob")
    clone.git("config", "user.email", "bob@example.org")
    clone.git("remote", "set-url", "origin", repo.git("remote", "get-url", "origin"))
    ssh = repo.git("config", "core.sshCommand", check=False)
    if ssh:
        clone.git("config", "core.sshCommand", ssh)
    return clone


def test_runs_go_out_and_come_in(repo: GitRepo, remote: GitRepo) -> None:
    repo.commit({"train.py": "print('not pushed yet')\n"}, "code that the remote lacks")
    one, two = record(repo, {"name": "one", "metrics": {"loss": [1, 2]}}, {"name": "two", "files": {"a.txt": "a"}})

    done = track(repo, "push")

    assert sorted(done.stdout.splitlines()) == sorted([f"pushed {one} one", f"pushed {two} two"])
    assert done.stderr == "publishing 1 commit(s) of code that 'origin' does not have yet\n"
    assert remote.refs() == {**repo.refs("refs/runs/"), "refs/heads/main": remote.refs()["refs/heads/main"]}
    remote.fsck()
    remote.git("gc", "--prune=now", "--quiet")
    assert track(repo, "push").stderr == "everything up-to-date\n"
    assert "all on 'origin'" in track(repo, "status").stdout

    clone = second_clone(repo, remote)
    assert sorted(track(clone, "pull").stdout.splitlines()) == sorted([f"new {one}", f"new {two}"])
    assert track(clone, "pull").stderr == "already up to date\n"
    assert clone.refs("refs/runs/") == repo.refs("refs/runs/")
    clone.fsck()
    clone.git("gc", "--prune=now", "--quiet")
    assert clone.git("show", f"refs/runs/{two}:artifacts/a.txt") == "a"
    assert list((clone.path / ".git/objects/pack").glob("*.keep")) == []


def test_two_people_edit_one_run_and_lose_nothing(repo: GitRepo, remote: GitRepo) -> None:
    [run] = record(repo, {"name": "one"})
    track(repo, "push")
    clone = second_clone(repo, remote)
    track(clone, "pull")
    track(clone, "tag", run, "theirs")
    track(clone, "push")
    track(repo, "tag", run, "ours")

    done = track(repo, "push")

    assert done.stdout == f"pushed {run} one\n"
    assert done.stderr == f"joined {run} with the edits of others\n"
    assert track(clone, "pull").stdout == f"updated {run}\n"
    for place in (repo, clone):
        assert track(place, "ls", "--format=%(tags)").stdout == "ours,theirs\n"
        assert track(place, "fsck").stderr == "1 run(s) are sound\n"
    assert remote.refs("refs/runs/") == clone.refs("refs/runs/") == repo.refs("refs/runs/")


def test_a_run_that_somebody_replaced_is_not_overwritten(repo: GitRepo, remote: GitRepo) -> None:
    [run] = record(repo, {"name": "one"})
    track(repo, "push")
    foreign = remote.git("commit-tree", "-m", "no run", "main^{tree}")
    remote.git("update-ref", f"refs/runs/{run}", foreign)
    track(repo, "tag", run, "ours")

    done = track(repo, "push", check=False)

    assert (done.returncode, done.stdout) == (4, "")
    assert remote.refs("refs/runs/") == {f"refs/runs/{run}": foreign}


@pytest.mark.parametrize("remote", ["http", "ssh"], indirect=True)
def test_what_the_remote_refuses_is_told_in_its_words(repo: GitRepo, remote: GitRepo) -> None:
    good, bad = record(repo, {"name": "good"}, {"name": "bad"})
    add_hook(remote, "update", f'case "$1" in *{bad}) echo "not this one" >&2; exit 1;; esac')

    done = track(repo, "push", check=False)

    assert (done.returncode, done.stdout) == (4, f"pushed {good} good\n")
    assert f"refused {bad} bad: hook declined; not this one" in done.stderr
    assert list(remote.refs("refs/runs/")) == [f"refs/runs/{good}"]
    (remote.path / "hooks" / "update").unlink()
    assert track(repo, "push").stdout == f"pushed {bad} bad\n"


def test_a_run_of_a_shallow_clone_goes_out_and_comes_in(repo: GitRepo, remote: GitRepo) -> None:
    repo.commit({"a": "1"}, "more history")
    repo.git("push", "--quiet", str(remote.path), "main")
    url = repo.git("remote", "get-url", "origin")
    shallow = GitRepo.clone(remote.path.as_uri(), repo.path.parent / "shallow", "--depth=1")
    shallow.git("remote", "set-url", "origin", url)
    if ssh := repo.git("config", "core.sshCommand", check=False):
        shallow.git("config", "core.sshCommand", ssh)
    [run] = record(shallow, {"name": "one"})
    assert track(shallow, "push").stdout == f"pushed {run} one\n"
    assert track(repo, "pull").stdout == f"new {run}\n"
    track(repo, "tag", run, "seen")
    track(repo, "push")
    assert track(shallow, "pull").stdout == f"updated {run}\n"
    for place in (remote, repo, shallow):
        place.fsck()


# Errors -------------------------------------------------------------------------------------------------------------


def failure(repo: GitRepo, *words: str, env: dict[str, str] | None = None) -> list[str]:
    """Asserts that a command fails as the network does, with one error, and returns its lines."""
    done = track(repo, *words, check=False, env=env)
    assert (done.returncode, done.stdout) == (4, "")
    lines = [line for line in done.stderr.splitlines() if not line.startswith("publishing ")]
    assert [line.split(": ")[0] for line in lines] == ["error", "cause", "hint"], done.stderr
    return lines


@pytest.mark.parametrize("command", ["push", "pull"])
def test_a_remote_that_is_not_there_is_one_error(repo: GitRepo, tmp_path: Path, command: str) -> None:
    record(repo, {})
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    for url in (
        str(tmp_path / "nowhere.git"),
        f"http://127.0.0.1:{port}/x.git",
        f"git://127.0.0.1:{port}/x.git",
        "ssh://host.example/x.git",
        "strange://host/x.git",
    ):
        assert failure(repo, command, url)[0].startswith(
            f"error: cannot {'push to' if command == 'push' else 'fetch from'}"
        )
    assert "'ssh' is not installed" in failure(repo, command, "host.example:x.git")[1]


def test_a_remote_of_another_format_is_refused(repo: GitRepo, tmp_path: Path) -> None:
    record(repo, {})
    GitRepo.init(tmp_path / "sha256.git", "--bare", "--object-format=sha256")
    for command in ("push", "pull"):
        assert "object format" in failure(repo, command, "../sha256.git")[1]


def test_a_remote_that_answers_nonsense_is_one_error(repo: GitRepo) -> None:
    record(repo, {})
    with answering(b"<html>log in</html>") as url:
        for command in ("push", "pull"):
            failure(repo, command, url)


@contextmanager
def answering(body: bytes, *, content: str = "text/html", password: str | None = None) -> Iterator[str]:
    """Serves one answer for everything; with a password, only to whoever gives it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "")
            right = password is None or given == "Basic " + base64.b64encode(f"ada:{password}".encode()).decode()
            self.send_response(200 if right else 401)
            self.send_header("WWW-Authenticate", "Basic")
            self.send_header("Content-Type", content)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/project.git"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_password_comes_from_where_git_and_curl_look(repo: GitRepo, sealed_home: Path) -> None:
    head = repo.git("rev-parse", "HEAD")
    line = f"{head} refs/heads/main\0agent=test\n".encode()
    body = b"001e# service=git-upload-pack\n0000" + f"{len(line) + 4:04x}".encode() + line + b"0000"
    with answering(body, content="application/x-git-upload-pack-advertisement", password="p@ss") as url:
        wrong = failure(repo, "pull", url.replace("://", "://ada:wrong@"))
        assert "another user or password" in wrong[1]
        assert "wrong@" not in "".join(wrong)
        failure(repo, "pull", url)

        assert track(repo, "pull", url.replace("://", "://ada:p%40ss@")).stderr == "already up to date\n"
        host = url.removeprefix("http://").partition("/")[0]
        (sealed_home / ".git-credentials").write_text(f"http://ada:p%40ss@{host}\n", encoding="utf-8")
        repo.git("config", "credential.helper", "store")
        assert track(repo, "pull", url).stderr == "already up to date\n"
        (sealed_home / ".git-credentials").unlink()
        (sealed_home / ".netrc").write_text("machine 127.0.0.1 login ada password p@ss\n", encoding="utf-8")
        (sealed_home / ".netrc").chmod(0o600)
        assert track(repo, "pull", url).stderr == "already up to date\n"


# Addresses ----------------------------------------------------------------------------------------------------------


def test_an_address_is_rewritten_as_git_rewrites_it(repo: GitRepo) -> None:
    for key, value in (
        ("remote.lab.url", "gh:ada/lab"),
        ("remote.two.url", "gh:ada/two"),
        ("remote.two.pushurl", "gh:push/two"),
        ("url.https://host.example/.insteadOf", "gh:"),
        ("url.https://mirror.example/.insteadOf", "gh:ada/"),
        ("url.ssh://git@host.example/.pushInsteadOf", "gh:"),
    ):
        repo.git("config", key, value)
    repo.git("config", "--add", "remote.two.url", "gh:second")
    said = repo.git("config", "--list", "-z").split("\0")
    config = [(key, value) for key, _, value in (item.partition("\n") for item in said) if key]
    for name in ("lab", "two"):
        assert sharing.resolve(config, name, push=False) == repo.git("ls-remote", "--get-url", name)
        assert sharing.resolve(config, name, push=True) == repo.git("remote", "get-url", "--push", name).splitlines()[0]
    assert sharing.resolve(config, "../there", push=True) == "../there"


def test_git_present_means_neither_library_is_loaded(repo: GitRepo, bare_remote: GitRepo) -> None:
    script = (
        "import sys\nfrom gittrack import cli\n"
        "for words in (['run', '--', 'true'], ['push'], ['pull'], ['ls'], ['status'], ['tag', '@', 'x'], ['doctor']):\n"
        "    cli.run(words)\n"
        "print('loaded', sorted({'pygit2', 'dulwich'} & set(sys.modules)))\n"
    )
    assert repo.python(script).stdout.splitlines()[-1] == "loaded []"
    assert "git" not in os.listdir(without_git(repo)["PATH"]), sys.path
