"""Makes a repository of very many runs, as they are years later: whole, packed, each with its ref.

    python tests/benchmarks/many.py DIR [RUNS [SPARE]]

SPARE more runs are stored but have no ref; a line for each says which ref it is to have.

Recording 100,000 runs would take half an hour, so their commits are built with gittrack's own codecs and stored as a
few packs. The same numbers give the same repository each time."""

from __future__ import annotations

import random
import subprocess
import sys
from array import array
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

from gittrack.codec import history, manifest, record, tree, yaml12
from gittrack.draft import summarise
from gittrack.model import Code, Column, Goal, History, Metric, Run
from gittrack.refname import Oid, new_run_id, new_run_name

BEGAN = 1_700_000_000
APART = 300  # seconds from one run to the next
A_PACK = 5_000  # runs
AUTHOR = "Bench <bench@example.com>"
ALGORITHM = "sha1"
PARAMS, METRICS, STEPS = 20, 10, 10
GOALS: dict[str, Goal] = {"acc": "max", "loss": "min"}


def fill(folder: Path, runs: int, *, spare: int = 0, env: dict[str, str] | None = None) -> list[str]:
    """Makes a repository with a commit of code and `runs` finished runs of it; needs the git executable.

    Returns a line `REFNAME OID` for each of `spare` younger runs, which are stored but have no ref."""
    folder.mkdir(parents=True, exist_ok=True)

    def git(*words: str, input: bytes | None = None) -> bytes:
        done = subprocess.run(["git", *words], cwd=folder, env=env, input=input, check=True, capture_output=True)
        return done.stdout

    git("init", "-q", "-b", "main")
    (folder / "train.py").write_text("print('training')\n")
    git("add", "train.py")
    who = ("-c", "user.name=Bench", "-c", "user.email=bench@example.com")
    git(*who, "commit", "-qm", "the code that was trained")
    code = Oid(git("rev-parse", "HEAD").decode().strip())
    refs: list[str] = []
    objects: list[tree.Object] = []
    for run, files in chain(made(runs, code), made(spare, code, first=runs)):
        root, found = tree.build(files, algorithm=ALGORITHM)
        body = tree.encode_commit(
            tree=root,
            parents=[code],
            author=AUTHOR,
            committer=AUTHOR,
            author_time=when(run.ended),
            commit_time=when(run.ended),
            message=record.encode_message(run),
        )
        commit = tree.make_object("commit", body, algorithm=ALGORITHM)
        objects += [*found, commit]
        refs.append(f"refs/runs/{run.id} {commit.oid}")
        if len(refs) % A_PACK == 0 or len(refs) == runs + spare:
            git("index-pack", "--stdin", input=tree.encode_pack(objects, algorithm=ALGORITHM))
            objects.clear()
    git("update-ref", "--stdin", input="".join(f"create {line}\n" for line in refs[:runs]).encode())
    git("pack-refs", "--all")
    return refs[runs:]


def when(text: str | None) -> int:
    """Returns a timestamp as Unix seconds."""
    return int(datetime.fromisoformat(text or "").timestamp())


def made(count: int, code: Oid, first: int = 0) -> Iterator[tuple[Run, dict[str, tree.Object | tree.Entry]]]:
    """Yields runs, oldest first, and the files of each: 20 params, 10 metrics, 10 points a metric."""
    chance = random.Random(first + count)
    for number in range(first, first + count):
        points = table(chance, BEGAN + number * APART)
        run = described(chance, number, code, summarise(points, GOALS, {}))
        name, raw = history.encode(points)
        facts = {
            "id": run.id,
            "name": run.name,
            "status": run.status,
            "created": run.created,
            "ended": run.ended,
            "duration": run.duration,
            "author": run.author,
            "group": run.group,
            "tags": list(run.tags),
            "code": {"commit": code, "branch": "main"},
        }
        content = {
            "run.yaml": manifest.encode_run(facts),
            "params.yaml": yaml12.encode(run.params),
            "metrics.yaml": manifest.encode_metrics(run.metrics),
            name: raw,
        }
        yield run, {path: tree.make_object("blob", body, algorithm=ALGORITHM) for path, body in content.items()}


def table(chance: random.Random, began: int) -> History:
    """Returns the points of one run: an accuracy that grows, a loss that falls, and others."""
    target = chance.uniform(0.5, 0.99)
    columns = {"acc": Column(array("d", (target * (1 - 0.5**step) for step in range(1, STEPS + 1))))}
    columns["loss"] = Column(array("d", ((1 - target) + 2 * 0.6**step for step in range(STEPS))))
    for number in range(METRICS - len(columns)):
        columns[f"aux/m{number}"] = Column(array("d", (chance.gauss(number, 1) for _ in range(STEPS))))
    times = array("q", (1000 * (began + step) for step in range(STEPS)))
    return History(steps=array("q", range(STEPS)), times=times, columns=columns)


def described(chance: random.Random, number: int, code: Oid, metrics: dict[str, Metric]) -> Run:
    """Returns one run of a random search."""
    params: dict[str, object] = {
        "lr": round(10 ** chance.uniform(-5, -1), 8),
        "batch": chance.choice([16, 32, 64, 128]),
        "seed": number,
        "opt": {"name": chance.choice(["adam", "sgd", "lion"]), "decay": chance.choice([0, 0.01, 0.1])},
    }
    params |= {f"p{at}": round(chance.random(), 6) for at in range(PARAMS - 5)}
    began = BEGAN + number * APART
    return Run(
        id=new_run_id(chance.getrandbits(128)),
        name=new_run_name(chance.getrandbits(128)),
        status="finished" if chance.random() < 0.95 else "failed",
        created=stamp(began),
        ended=stamp(began + STEPS),
        duration=float(STEPS),
        author=AUTHOR,
        host="node1",
        code=Code(commit=code, branch="main"),
        command="python train.py",
        params=params,
        metrics=metrics,
        tags=("paper",) if chance.random() < 0.01 else (),
        group=f"sweep-{number // 100}",
        points=STEPS * METRICS,
        exit_code=0,
    )


def stamp(seconds: int) -> str:
    """Returns Unix seconds as runs hold them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


if __name__ == "__main__":
    counts = [int(word) for word in sys.argv[2:]]
    for line in fill(Path(sys.argv[1]), counts[0] if counts else 10_000, spare=counts[1] if counts[1:] else 0):
        print(line)
