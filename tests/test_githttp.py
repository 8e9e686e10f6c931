"""The HTTP remote of the tests is itself tested, with git alone.

A flaw in it would look like a flaw in the product.
"""

from __future__ import annotations

import random
from pathlib import Path

from tests.gitcmd import GitRepo
from tests.githttp import GitHttpServer


def test_what_was_pushed_is_cloned(repo: GitRepo, http_remote: GitHttpServer, tmp_path: Path) -> None:
    repo.commit({"model.py": "LAYERS = 3\n"}, "model: begin")
    repo.git("push", "--quiet", "origin", "main")

    clone = GitRepo.clone(http_remote.url("project.git"), tmp_path / "clone")

    assert clone.git("rev-parse", "HEAD") == repo.git("rev-parse", "HEAD")
    assert (clone.path / "model.py").read_text() == "LAYERS = 3\n"
    clone.fsck()


def test_refs_of_any_namespace_can_be_pushed_listed_and_deleted(repo: GitRepo, http_remote: GitHttpServer) -> None:
    repo.git("push", "--quiet", "origin", "HEAD:refs/runs/probe-1")
    assert "refs/runs/probe-1" in repo.git("ls-remote", "origin", "refs/runs/*")

    repo.git("push", "--quiet", "origin", ":refs/runs/probe-1")
    assert repo.git("ls-remote", "origin", "refs/runs/*") == ""
    assert http_remote.requests


def test_fetches_speak_protocol_v2(repo: GitRepo, http_remote: GitHttpServer) -> None:
    http_remote.requests.clear()
    repo.git("-c", "protocol.version=2", "ls-remote", "origin")

    assert [request.method for request in http_remote.requests] == ["GET", "POST"]
    assert all(request.headers["Git-Protocol"] == "version=2" for request in http_remote.requests)


def test_a_push_larger_than_the_buffer_arrives_in_chunks(repo: GitRepo, http_remote: GitHttpServer) -> None:
    noise = random.Random(7).randbytes(300_000).hex()
    tip = repo.commit({"weights.txt": noise}, "weights: add")

    repo.git("-c", "http.postBuffer=65536", "push", "--quiet", "origin", "main")

    assert any(request.headers.get("Transfer-Encoding") == "chunked" for request in http_remote.requests)
    assert repo.git("ls-remote", "origin", "main").startswith(tip)


def test_a_long_negotiation_is_read_gzipped(repo: GitRepo, http_remote: GitHttpServer, tmp_path: Path) -> None:
    clone = GitRepo.clone(http_remote.url("project.git"), tmp_path / "clone")
    for number in range(40):  # "have" lines enough for git to compress the request
        clone.commit({"notes.txt": f"{number}\n"}, f"notes: {number}")
    tip = repo.commit({"model.py": "LAYERS = 4\n"}, "model: one more layer")
    repo.git("push", "--quiet", "origin", "main")

    clone.git("fetch", "--quiet", "origin")

    assert any(request.headers.get("Content-Encoding") == "gzip" for request in http_remote.requests)
    assert clone.git("rev-parse", "origin/main") == tip


def test_an_absent_repository_is_not_found(repo: GitRepo, http_remote: GitHttpServer) -> None:
    repo.git("remote", "add", "gone", http_remote.url("gone.git"))
    assert repo.git("ls-remote", "gone", check=False) == ""
