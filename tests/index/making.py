"""Runs in several versions each, as commits that are there before any ref names them: moving a ref is then one git."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gittrack.codec import manifest, record, tree
from gittrack.index.listing import Index
from gittrack.model import Metric, Run
from gittrack.refname import Oid, RunId, new_run_id
from gittrack.repo import open_repo
from tests.gitcmd import GitRepo

BEGAN = 1_767_225_600


@dataclass(frozen=True)
class Made:
    """A run in one version; `oid` is its commit."""

    run: Run
    oid: Oid


def versions(repo: GitRepo, *, runs: int, each: int) -> dict[RunId, list[Made]]:
    """Stores `each` versions of `runs` runs, with no ref to any of them."""
    chance = random.Random(runs)
    found: dict[RunId, list[Made]] = {}
    objects: list[tree.Object] = []
    for number in range(runs):
        name = new_run_id(chance.getrandbits(128))
        for version in range(each):
            made, new = _commit(name, number, version, found.get(name, [])[-1:])
            objects += new
            found.setdefault(name, []).append(made)
    pack = tree.encode_pack(objects, algorithm="sha1")
    subprocess.run(["git", "index-pack", "--stdin"], cwd=repo.path, input=pack, check=True, capture_output=True)
    return found


def _commit(name: RunId, number: int, version: int, before: Sequence[Made]) -> tuple[Made, list[tree.Object]]:
    run = Run(
        id=name,
        name=f"run-{number}-v{version}",
        status="finished",
        created=f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}.000Z",
        params={"lr": number / 8, "opt": {"name": "adam"}},
        metrics={"acc": Metric(float(number), 1, 0.0, 0, float(number), 1, 0.5, 2, "max")},
        tags=("even",) if number % 2 == 0 else (),
        deleted=version == 3,
    )
    facts = {"id": run.id, "name": run.name, "status": run.status, "created": run.created}
    blob = tree.make_object("blob", manifest.encode_run(facts), algorithm="sha1")
    root, objects = tree.build({"run.yaml": blob}, algorithm="sha1")
    body = tree.encode_commit(
        tree=root,
        parents=[made.oid for made in before],
        author="A <a@example.org>",
        committer="A <a@example.org>",
        author_time=BEGAN + version,
        commit_time=BEGAN + version,
        message=record.encode_message(run),
    )
    commit = tree.make_object("commit", body, algorithm="sha1")
    return Made(run, commit.oid), [*objects, commit]


def move(repo: GitRepo, refs: Mapping[str, str | None]) -> None:
    """Points refs elsewhere, or deletes them, in one git."""
    lines = [f"update {name} {oid}\n" if oid else f"delete {name}\n" for name, oid in refs.items()]
    repo.git("update-ref", "--stdin", input="".join(lines))


def indexed(repo: GitRepo) -> dict[str, str | None]:
    """Returns id and commit of every run as the index has them now."""
    index = Index(open_repo(repo.path).git, deleted=True)
    try:
        assert index.damaged == []
        return {run.id: run.oid for run in index.runs()}
    finally:
        index.close()


def refs_of_runs(repo: GitRepo) -> dict[str, str | None]:
    """Returns the same as git lists it."""
    return {name.removeprefix("refs/runs/"): oid for name, oid in repo.refs("refs/runs/").items()}
