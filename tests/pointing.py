"""Runs whose files are pointers, and their payloads in this clone and in stores that are folders."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gittrack import store
from gittrack.codec import manifest
from gittrack.codec.pointer import Pointer, encode_pointer
from gittrack.codec.tree import Entry, Object
from gittrack.model import Artifact, Run
from gittrack.payloads import Payloads
from gittrack.refname import Oid
from gittrack.repo import open_repo
from gittrack.transports.protocol import key
from tests.gitcmd import GitRepo
from tests.recording import make


def pointing(
    repo: GitRepo, files: Mapping[str, bytes], *, blobs: Mapping[str, bytes] | None = None, name: str | None = None
) -> Run:
    """Returns a run whose files are pointers to contents that are nowhere yet, beside some that are blobs."""
    place, run = open_repo(repo.path), make(repo, name=name)
    items, trees = [], dict[str, Object | Entry]()
    with place.git.objects() as objects:
        detail = store.read_detail(objects, run.id, str(run.oid), oid_bytes=place.git.place.oid_bytes)
    for path, content in files.items():
        pointer = pointer_to(content)
        items.append(Artifact(path, pointer.size, pointer.sha256, kind="pointer"))
        trees[f"artifacts/{path}"] = store.blob(place.git, encode_pointer(pointer))
    for path, content in (blobs or {}).items():
        items.append(Artifact(path, len(content), hashlib.sha256(content).hexdigest()))
        trees[f"artifacts/{path}"] = store.blob(place.git, content)
    trees["artifacts.yaml"] = store.blob(place.git, manifest.encode_artifacts(items))
    tip = Oid(str(run.oid))
    made = replace(run, artifact_count=len(items), artifact_size=sum(item.size for item in items))
    made = replace(made, artifact_pointers=len(files))
    oid = store.commit(
        place.git,
        made,
        {**detail.files, **trees},
        parents=[tip],
        parent_time=detail.commit.time,
        old=tip,
        author=run.author,
        time=detail.commit.time,
    )
    return replace(made, oid=oid)


def pointer_to(content: bytes) -> Pointer:
    """Returns the pointer to a content."""
    return Pointer(hashlib.sha256(content).hexdigest(), len(content))


def payloads_of(repo: GitRepo) -> Payloads:
    """Returns the payloads of a clone."""
    return Payloads(Path(repo.git("rev-parse", "--path-format=absolute", "--git-common-dir")))


def keep(repo: GitRepo, content: bytes) -> Path:
    """Places a payload in a clone, as recording a run does, and returns its file."""
    payloads = payloads_of(repo)
    number, path = payloads.temporary()
    with open(number, "wb") as file:
        file.write(content)
    return payloads.place(path, pointer_to(content))


def put(folder: Path, content: bytes) -> Path:
    """Puts a payload where a store that is a folder has it."""
    path = folder / key(pointer_to(content).sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
