"""What runs push is what git-lfs and git hosts know: stock clients read it, hosts accept it, collectors keep it."""

from __future__ import annotations

import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo, run
from tests.githttp import GitHttpServer
from tests.runs import ask, attempt, record
from tests.servers.lfs import LfsServer, lfs_server
from tests.transports.lfsing import of_origin, payloads, pointer_to

FILES = {"model.pt": "weights " * 1000, "shards/part 1.bin": "first " * 900, "shards/part 2.bin": "second " * 800}

needs_git_lfs = pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")


@pytest.fixture
def server() -> Iterator[LfsServer]:
    with lfs_server() as found:
        yield found


@pytest.fixture
def bare(http_remote: GitHttpServer, repo: GitRepo, server: LfsServer) -> GitRepo:
    """The `origin` of `repo`, whose LFS server is `server`."""
    repo.git("config", "lfs.url", server.url)
    repo.git("config", "track.inlineLimit", "1K")
    return GitRepo(http_remote.root / "project.git")


@pytest.fixture
def pushed(repo: GitRepo, bare: GitRepo) -> str:
    """A run with large files, which `origin` and its LFS server have."""
    [made] = record(repo, {"name": "one", "files": FILES})
    ask(repo, "push")
    return made


def clone_with_run(http_remote: GitHttpServer, path: Path, server: LfsServer, made: str) -> GitRepo:
    """Returns another clone, in whose work tree is a run, as stock git gets it."""
    clone = GitRepo.clone(http_remote.url("project.git"), path)
    clone.git("config", "lfs.url", server.url)
    clone.git("fetch", "--quiet", "origin", f"refs/runs/{made}:refs/runs/{made}")
    clone.git("checkout", "--quiet", "--detach", f"refs/runs/{made}", env={"GIT_LFS_SKIP_SMUDGE": "1"})
    return clone


def test_a_push_sends_payloads_to_the_server_of_the_remote(pushed: str, server: LfsServer) -> None:
    assert sorted(server.payloads.values()) == sorted(text.encode() for text in FILES.values())


@needs_git_lfs
def test_stock_git_lfs_pull_brings_the_files_of_a_run(
    pushed: str, http_remote: GitHttpServer, server: LfsServer, tmp_path: Path
) -> None:
    clone = clone_with_run(http_remote, tmp_path / "clone", server, pushed)
    clone.git("lfs", "install", "--local")
    assert (clone.path / "artifacts/model.pt").stat().st_size < 200
    clone.git("lfs", "pull")
    for name, text in FILES.items():
        assert (clone.path / "artifacts" / name).read_text(encoding="utf-8") == text
    assert clone.git("status", "--porcelain") == ""


@needs_git_lfs
def test_stock_git_lfs_finds_the_objects_of_a_run_sound(
    pushed: str, http_remote: GitHttpServer, server: LfsServer, tmp_path: Path
) -> None:
    clone = clone_with_run(http_remote, tmp_path / "clone", server, pushed)
    clone.git("lfs", "fetch", "origin", f"refs/runs/{pushed}")
    assert "Git LFS fsck OK" in clone.git("lfs", "fsck", "--objects", f"refs/runs/{pushed}")
    assert "Git LFS fsck OK" in clone.git("lfs", "fsck", "--pointers", f"refs/runs/{pushed}")
    listed = clone.git("lfs", "ls-files", "--name-only", f"refs/runs/{pushed}").splitlines()
    assert sorted(listed) == sorted(f"artifacts/{name}" for name in FILES)


@needs_git_lfs
def test_what_git_lfs_pushed_can_be_got(repo: GitRepo, bare: GitRepo, server: LfsServer) -> None:
    data = b"of git-lfs " * 500
    pointer = pointer_to(data)
    repo.git("lfs", "install", "--local", "--skip-repo")
    repo.git("lfs", "track", "*.bin")
    (repo.path / "data.bin").write_bytes(data)
    repo.git("add", "--all")
    repo.git("commit", "--quiet", "-m", "data")
    repo.git("lfs", "push", "origin", "main")
    assert b"".join(of_origin(repo).get(pointer)) == data
    assert of_origin(repo).exists([pointer], sending=True) == {pointer}


def test_what_git_lfs_has_here_is_sent_from_there(repo: GitRepo, bare: GitRepo, server: LfsServer) -> None:
    [made] = record(repo, {"name": "one", "files": FILES})
    own = payloads(repo)
    for found in list(own.all()):
        there = repo.path / ".git/lfs/objects" / found.sha256[:2] / found.sha256[2:4] / found.sha256
        there.parent.mkdir(parents=True, exist_ok=True)
        own.path(found.sha256).rename(there)
    ask(repo, "push")
    assert len(server.payloads) == len(FILES)
    assert made in bare.git("for-each-ref", "refs/runs/")


# What hosts do ------------------------------------------------------------------------------------------------------

# GitLab asks for all new pointers of a push, whatever the refs are called, and refuses it if one is unknown
# (lib/gitlab/checks/lfs_check.rb); GitHub does so with its error GH008.
CHECK = """\
#!{python}
import json, re, subprocess, sys, urllib.request

def git(*args, data=None):
    return subprocess.run(["git", *args], input=data, capture_output=True, check=True).stdout

new = [line.split()[1] for line in sys.stdin if line.split()[1].strip("0")]
names = git("rev-list", "--objects", *new, "--not", "--all").split(b"\\n")
listed = git("cat-file", "--batch-check", data=b"\\n".join(name.split()[0] for name in names if name))
wanted = []
for line in listed.split(b"\\n"):
    words = line.split()
    if len(words) == 3 and words[1] == b"blob" and int(words[2]) < 1024:
        content = git("cat-file", "-p", words[0])
        found = re.match(rb"version https://git-lfs.*\\noid sha256:(\\w+)\\nsize (\\d+)\\n", content)
        if found:
            wanted.append({{"oid": found[1].decode(), "size": int(found[2])}})
if wanted:
    kind = "application/vnd.git-lfs+json"
    headers = {{"Accept": kind, "Content-Type": kind}}
    body = json.dumps({{"operation": "download", "objects": wanted}}).encode()
    with urllib.request.urlopen(urllib.request.Request("{url}/objects/batch", body, headers)) as answer:
        missing = [each["oid"] for each in json.load(answer)["objects"] if "error" in each]
    if missing:
        sys.exit("GitLab: LFS objects are missing. Ensure LFS is properly set up")
"""


@pytest.fixture
def checking(bare: GitRepo, server: LfsServer) -> GitRepo:
    """The remote, with a hook that refuses pointers whose payloads the LFS server does not know."""
    hook = bare.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(CHECK.format(python=sys.executable, url=server.url), encoding="utf-8")
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    return bare


def test_a_host_that_checks_pointers_accepts_what_is_pushed(
    repo: GitRepo, checking: GitRepo, server: LfsServer
) -> None:
    made = record(repo, {"name": "one", "files": FILES}, {"name": "two", "files": {"model.pt": FILES["model.pt"]}})
    ask(repo, "push")
    assert set(checking.refs("refs/runs/")) == {f"refs/runs/{each}" for each in made}
    ask(repo, "tag", made[0], "best")
    ask(repo, "push")
    assert checking.git("rev-parse", f"refs/runs/{made[0]}") == repo.git("rev-parse", f"refs/runs/{made[0]}")


def test_the_check_of_that_host_refuses_pointers_without_payloads(repo: GitRepo, checking: GitRepo) -> None:
    record(repo, {"name": "one", "files": FILES})
    code, _, err = attempt(repo, "push", "--no-artifacts")
    assert code == 4
    assert "LFS objects are missing" in err
    assert checking.refs("refs/runs/") == {}


def collected(bare: GitRepo, server: LfsServer) -> set[str]:
    """Returns what Gitea's `gc_lfs` deletes: what no canonical pointer in the object database points to.

    (services/repository/lfs.go: the blob's id is computed from oid and size, and looked up.)"""
    gone = set()
    for oid, data in server.payloads.items():
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(data)}\n"
        blob = run(["git", "hash-object", "--stdin"], cwd=bare.path, input=text).stdout.strip()
        if run(["git", "cat-file", "-e", blob], cwd=bare.path, check=False).returncode:
            gone.add(oid)
    return gone


def test_a_collector_keeps_what_runs_point_to(pushed: str, bare: GitRepo, server: LfsServer) -> None:
    assert len(server.payloads) == len(FILES)
    assert collected(bare, server) == set()
    server.payloads[pointer_to(b"stray").sha256] = b"stray"
    assert collected(bare, server) == {pointer_to(b"stray").sha256}


def test_a_collector_keeps_what_archived_runs_point_to(
    repo: GitRepo, pushed: str, bare: GitRepo, server: LfsServer
) -> None:
    ask(repo, "archive")
    ask(repo, "push")
    assert list(bare.refs("refs/runs/")) != [f"refs/runs/{pushed}"]
    bare.git("gc", "--quiet", "--prune=now")
    assert collected(bare, server) == set()
