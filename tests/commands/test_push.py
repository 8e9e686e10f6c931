"""`git track push`: what is printed as pushed is there, and what is refused is kept."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.gitcmd import GitRepo
from tests.githttp import GitHttpServer
from tests.runs import complaint, listed, record
from tests.terminals import on_a_terminal


def add_hook(bare: GitRepo, name: str, script: str) -> None:
    """Gives a remote a hook."""
    hook = bare.path / "hooks" / name
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    hook.chmod(0o755)


def remove_hook(bare: GitRepo, name: str) -> None:
    (bare.path / "hooks" / name).unlink()


def refused_remote(repo: GitRepo) -> str:
    """Asserts that a push fails as the network does, that nothing is lost, and returns what was said."""
    before = repo.refs("refs/runs/")
    done = repo.track("push", check=False)
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("refused r", "publishing "))]
    assert done.returncode == 4, done.stderr
    assert [line.split(": ")[0] for line in lines] == ["error", "cause", "hint"], done.stderr
    assert repo.refs("refs/runs/") == before
    return "\n".join(lines)


def test_all_runs_go_out_and_a_second_push_has_nothing_to_do(repo: GitRepo, bare_remote: GitRepo) -> None:
    ids = record(repo, {"name": "one"}, {"name": "two"})

    done = repo.track("push")

    assert sorted(done.stdout.splitlines()) == sorted([f"pushed {ids[0]} one", f"pushed {ids[1]} two"])
    assert bare_remote.refs("refs/runs/") == repo.refs("refs/runs/")
    assert set(bare_remote.refs()) == {"refs/heads/main", *(f"refs/runs/{run}" for run in ids)}
    again = repo.track("push")
    assert (again.stdout, again.stderr) == ("", "everything up-to-date\n")
    assert all(run["pushed"] for run in listed(repo))


def test_named_runs_alone_go_out(repo: GitRepo, bare_remote: GitRepo) -> None:
    one, _, three = record(repo, {"name": "one"}, {"name": "two"}, {"tags": ["t"]})

    repo.track("push", "one")
    repo.track("push", "origin", "tag:t")

    assert set(bare_remote.refs("refs/runs/")) == {f"refs/runs/{one}", f"refs/runs/{three}"}


def test_a_dry_run_pushes_nothing(repo: GitRepo, bare_remote: GitRepo) -> None:
    [run] = record(repo, {"name": "one"})

    assert repo.track("push", "-n").stdout == f"would push {run} one\n"
    assert bare_remote.refs("refs/runs/") == {}


def test_a_remote_is_named_by_path_or_setting_too(repo: GitRepo, bare_remote: GitRepo) -> None:
    other = GitRepo.init(repo.path.parent / "other.git", "--bare")
    [run] = record(repo, {"name": "one"})

    repo.track("push", "../other.git")
    assert set(other.refs()) == {f"refs/runs/{run}"}
    assert repo.track("push", "../other.git").stderr == "everything up-to-date\n"
    repo.git("remote", "add", "lab", "../other.git")
    repo.git("config", "track.remote", "lab")
    repo.track("tag", "one", "x")
    repo.track("push")
    assert other.refs("refs/runs/") == repo.refs("refs/runs/")
    assert bare_remote.refs("refs/runs/") == {}


@pytest.mark.parametrize("hook", ["pre-receive", "update"])
def test_a_remote_that_refuses_exits_4_and_the_next_push_works(repo: GitRepo, bare_remote: GitRepo, hook: str) -> None:
    [run] = record(repo, {"name": "one"})
    add_hook(bare_remote, hook, "echo runs are not welcome >&2; exit 1")

    error = refused_remote(repo)

    assert "error: 'origin' refused 1 of 1 runs" in error
    assert "runs are not welcome" in error
    assert listed(repo)[0]["pushed"] is False
    remove_hook(bare_remote, hook)
    assert repo.track("push").stdout == f"pushed {run} one\n"
    assert bare_remote.refs("refs/runs/") == repo.refs("refs/runs/")


def test_a_refusal_over_http_exits_4_and_the_next_push_works(repo: GitRepo, http_remote: GitHttpServer) -> None:
    [run] = record(repo, {"name": "one"})
    bare = GitRepo(http_remote.root / "project.git")
    add_hook(bare, "pre-receive", "echo runs are not welcome >&2; exit 1")

    assert "runs are not welcome" in refused_remote(repo)

    remove_hook(bare, "pre-receive")
    assert repo.track("push").stdout == f"pushed {run} one\n"
    assert bare.refs("refs/runs/") == repo.refs("refs/runs/")


def test_only_what_the_remote_took_is_called_pushed(repo: GitRepo, bare_remote: GitRepo) -> None:
    ids = record(repo, {"name": "one"}, {"name": "two"}, {"name": "three"})
    add_hook(bare_remote, "update", f'test "$1" != refs/runs/{ids[1]} || {{ echo not this one >&2; exit 1; }}')

    done = repo.track("push", check=False)

    assert sorted(done.stdout.splitlines()) == sorted([f"pushed {ids[0]} one", f"pushed {ids[2]} three"])
    assert f"refused {ids[1]} two: " in done.stderr
    assert "error: 'origin' refused 1 of 3 runs" in done.stderr
    assert done.returncode == 4
    assert set(bare_remote.refs("refs/runs/")) == {f"refs/runs/{ids[0]}", f"refs/runs/{ids[2]}"}
    assert {run["name"]: run["pushed"] for run in listed(repo)} == {"one": True, "two": False, "three": True}
    remove_hook(bare_remote, "update")
    assert repo.track("push").stdout == f"pushed {ids[1]} two\n"


def test_a_remote_that_is_missing_exits_4(repo: GitRepo, bare_remote: GitRepo) -> None:
    [run] = record(repo, {"name": "one"})
    away = bare_remote.path.with_name("away.git")
    bare_remote.path.rename(away)

    for command in ("push", "fetch", "pull"):
        complaint_lines = [
            line for line in repo.track(command, check=False).stderr.splitlines() if not line.startswith("publishing")
        ]
        assert [line.split(": ")[0] for line in complaint_lines] == ["error", "cause", "hint"]
    assert "check the address with `git remote -v`" in refused_remote(repo)

    away.rename(bare_remote.path)
    assert repo.track("push").stdout == f"pushed {run} one\n"


class _Unauthorized(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def locked_server() -> Iterator[str]:
    """The address of a server that wants a password."""
    server = HTTPServer(("127.0.0.1", 0), _Unauthorized)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/project.git"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def rude_server() -> Iterator[str]:
    """The address of a server that hangs up on everybody."""
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                if connection.recv(1) == b"q":
                    return

    thread = threading.Thread(target=hang_up)
    thread.start()
    address = listener.getsockname()
    yield f"http://127.0.0.1:{address[1]}/project.git"
    with socket.create_connection(address) as last:
        last.sendall(b"q")
    thread.join()
    listener.close()


def test_a_remote_that_wants_a_password_does_not_hang(repo: GitRepo, bare_remote: GitRepo, locked_server: str) -> None:
    [run] = record(repo, {"name": "one"})
    repo.git("remote", "set-url", "origin", locked_server)

    assert "could not read Username" in refused_remote(repo)
    assert "exit" not in repo.track("pull", check=False).stdout

    repo.git("remote", "set-url", "origin", str(bare_remote.path))
    assert repo.track("push").stdout == f"pushed {run} one\n"


def test_a_remote_that_hangs_up_exits_4(repo: GitRepo, bare_remote: GitRepo, rude_server: str) -> None:
    [run] = record(repo, {"name": "one"})
    repo.git("remote", "set-url", "origin", rude_server)

    refused_remote(repo)
    complaint(repo.track("pull", check=False), exit_code=4)

    repo.git("remote", "set-url", "origin", str(bare_remote.path))
    assert repo.track("push").stdout == f"pushed {run} one\n"


def test_an_ssh_that_fails_is_a_remote_error(repo: GitRepo) -> None:
    record(repo, {"name": "one"})
    repo.git("remote", "add", "origin", "ssh://nobody@host.invalid/x.git")

    done = repo.track("push", check=False, env={"GIT_SSH_COMMAND": "echo Permission denied >&2; false"})

    assert done.returncode == 4
    assert done.stderr.splitlines()[-3].startswith("error: cannot push to 'origin'")


def test_what_a_remote_says_is_escaped(repo: GitRepo, bare_remote: GitRepo) -> None:
    record(repo, {"name": "one"})
    add_hook(bare_remote, "pre-receive", "printf '\\033[31mno\\033[m\\n\\342\\200\\256bidi' >&2; exit 1")

    done = repo.track("push", check=False)

    assert "\x1b" not in done.stderr
    assert "\u202e" not in done.stderr
    assert "no" in done.stderr


def test_a_password_in_the_address_is_not_printed(repo: GitRepo) -> None:
    record(repo, {"name": "one"})
    repo.git("remote", "add", "origin", "http://me:pa55word@127.0.0.1:1/x.git")

    for command in ("push", "pull"):
        done = repo.track(command, check=False)
        assert done.returncode == 4
        assert "pa55word" not in done.stdout + done.stderr


def test_what_is_published_with_a_run_is_said(repo: GitRepo, bare_remote: GitRepo) -> None:
    repo.commit({"train.py": "2\n"}, "local only")
    (repo.path / "secret-plan.py").write_text("x\n", encoding="utf-8")
    record(repo, {"name": "dirty"})

    done = repo.track("push")

    assert "publishing 1 commit(s) of code that 'origin' does not have yet" in done.stderr
    assert "publishing uncommitted files with 1 run(s): secret-plan.py" in done.stderr
    assert done.stdout.startswith("pushed ")


def test_snapshots_stay_here_where_the_user_wants_that(repo: GitRepo, bare_remote: GitRepo) -> None:
    [clean] = record(repo, {"name": "clean"})
    (repo.path / "train.py").write_text("dirty\n", encoding="utf-8")
    record(repo, {"name": "dirty"})
    repo.git("config", "track.publishSnapshots", "false")

    done = repo.track("push")

    assert done.stdout == f"pushed {clean} clean\n"
    assert set(bare_remote.refs("refs/runs/")) == {f"refs/runs/{clean}"}
    assert "left out 1 run(s) with uncommitted files" in done.stderr


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 2), (b"y\n", 0)])
def test_on_a_terminal_it_asks_before_it_publishes_uncommitted_files(
    repo: GitRepo, bare_remote: GitRepo, answer: bytes, code: int
) -> None:
    (repo.path / "train.py").write_text("dirty\n", encoding="utf-8")
    record(repo, {"name": "dirty"})

    exit_code, output = on_a_terminal(["git", "track", "push"], cwd=repo.path, keys=answer, when=b"publish them?")

    assert exit_code == code
    assert (b"pushed r" in output) == (code == 0)
    assert len(bare_remote.refs("refs/runs/")) == (code == 0)


def test_the_users_push_settings_and_hooks_do_not_reach_our_push(repo: GitRepo, bare_remote: GitRepo) -> None:
    hook = repo.path / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    repo.git("tag", "-a", "v1", "-m", "a tag")
    repo.git("config", "push.followTags", "true")
    repo.git("config", "push.default", "matching")
    repo.git("config", "remote.origin.mirror", "true")
    repo.git("config", "push.gpgSign", "if-asked")
    [run] = record(repo, {"name": "one"})

    assert repo.track("push").stdout == f"pushed {run} one\n"

    assert set(bare_remote.refs()) == {"refs/heads/main", f"refs/runs/{run}"}


def test_an_open_run_is_not_pushed(repo: GitRepo, bare_remote: GitRepo) -> None:
    repo.track("start", "--name", "open")

    assert repo.track("push").stderr == "everything up-to-date\n"
    assert "still being recorded" in complaint(repo.track("push", "open", check=False), exit_code=1)


def test_without_a_remote_it_says_how_to_add_one(repo: GitRepo) -> None:
    record(repo, {})

    assert "git remote add origin URL" in complaint(repo.track("push", check=False), exit_code=3)
    complaint(repo.track("push", "nowhere", check=False), exit_code=3)


@pytest.mark.parametrize("name", ["--upload-pack=touch evil", "-c", "ext::sh -c 'touch evil'"])
def test_a_remote_that_looks_like_an_option_or_a_command_runs_nothing(repo: GitRepo, name: str) -> None:
    record(repo, {})

    for command in ("push", "fetch", "pull"):
        done = repo.track(command, "--", name, check=False)
        assert done.returncode in (2, 3, 4)
        assert "Traceback" not in done.stderr
    assert not (repo.path / "evil").exists()
