"""Commits made object by object, sound ones and those that no gittrack would ever write."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from gittrack.codec import tree
from gittrack.codec.tree import Entry, Object
from gittrack.refname import Oid
from tests.gitcmd import FIRST_COMMIT_TIME, GitRepo

PERSON = "Ada Tester <ada@example.org>"
NO_ID = Oid("0" * 40)


def write(repo: GitRepo, item: Object) -> Oid:
    """Stores an object, whatever git thinks of it."""
    done = subprocess.run(
        ["git", "hash-object", "-t", item.kind, "-w", "--stdin", "--literally"],
        cwd=repo.path,
        input=item.body,
        capture_output=True,
        check=True,
    )
    return Oid(done.stdout.decode().strip())


def blob(repo: GitRepo, content: bytes) -> Oid:
    """Stores a file's content."""
    return write(repo, tree.make_object("blob", content, algorithm="sha1"))


def folder(repo: GitRepo, *entries: tuple[str, bytes, str]) -> Oid:
    """Stores a tree of (mode, name, oid), in git's order, without a look at them."""
    ordered = sorted(entries, key=lambda entry: entry[1] + (b"/" if entry[0] == "40000" else b""))
    body = b"".join(b"%s %s\0%s" % (mode.encode(), name, bytes.fromhex(oid)) for mode, name, oid in ordered)
    return write(repo, tree.make_object("tree", body, algorithm="sha1"))


def files(repo: GitRepo, content: Mapping[str, bytes]) -> Oid:
    """Stores a tree of files by their paths."""
    entries: dict[str, Object | Entry] = {
        path: tree.make_object("blob", each, algorithm="sha1") for path, each in content.items()
    }
    oid, objects = tree.build(entries, algorithm="sha1")
    for item in {item.oid: item for item in objects}.values():
        write(repo, item)
    return oid


def commit(repo: GitRepo, root: str, message: str, *parents: str, time: int = FIRST_COMMIT_TIME) -> str:
    """Stores a commit."""
    body = tree.encode_commit(
        tree=Oid(root),
        parents=[Oid(parent) for parent in parents],
        author=PERSON,
        committer=PERSON,
        author_time=time,
        commit_time=time,
        message=message.encode(),
    )
    return write(repo, tree.make_object("commit", body, algorithm="sha1"))


def run_message(run: str) -> str:
    """Returns what the commit of a run says, as far as a server looks at it."""
    return f'run it: finished\n\nRun: {run}\nRecord: {{"v":1,"id":"{run}"}}\n'


def run_commit(
    repo: GitRepo, run: str, *parents: str, root: str | None = None, more: Mapping[str, bytes] | None = None
) -> str:
    """Stores a commit that looks like that of a run; `more` are files of it besides `run.yaml`."""
    content = {"run.yaml": f"format: 1\nid: {run}\n".encode(), **(more or {})}
    return commit(repo, root or files(repo, content), run_message(run), *parents)


def archive(
    repo: GitRepo,
    clone: str,
    runs: Mapping[str, str],
    *,
    before: Sequence[str] = (),
    deleted: Sequence[str] = (),
    extra: Mapping[str, bytes] | None = None,
) -> str:
    """Stores an archive commit that lists runs (id to oid) and what the archives before it list."""
    entries: dict[str, bytes] = dict(extra or {})
    for oid in before:
        for path in repo.git("ls-tree", "-r", "--name-only", oid).splitlines():
            entries.setdefault(path, repo.git("show", f"{oid}:{path}").encode() + b"\n")
    if runs:
        batch = "".join(f"{run} {oid}\n" for run, oid in sorted(runs.items())).encode()
        name = blob(repo, batch)
        entries[f"runs/{name[:2]}/{name[2:]}"] = batch
    if deleted:
        entries["deleted"] = "".join(f"{run}\n" for run in sorted(deleted)).encode()
    message = f"archive of {len(runs)} runs\n\nArchive: {clone}\n"
    return commit(repo, files(repo, entries), message, *before, *runs.values())
