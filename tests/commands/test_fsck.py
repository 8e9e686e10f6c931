"""`git track fsck`: record and tree must agree."""

from __future__ import annotations

import pytest

from tests.gitcmd import GitRepo
from tests.rewriting import rewrite
from tests.runs import attempt, complaint, listed, record

SPEC = {
    "name": "one",
    "params": {"lr": 0.1},
    "metrics": {"loss": [2, 1], "acc": [0.5]},
    "goals": {"loss": "min"},
    "files": {"a.txt": "text"},
    "tags": ["t"],
}


def test_sound_runs_are_sound(repo: GitRepo) -> None:
    record(repo, SPEC, {"metrics": {"m": ["nan", "inf", 0.1]}, "texts": {"a": "b"}}, {})
    repo.track("tag", "one", "x")
    repo.track("start")

    done = repo.track("fsck")

    assert (done.stdout, done.stderr) == ("", "4 run(s) are sound, 1 of them being recorded\n")
    repo.track("finish")


@pytest.mark.parametrize(
    ("changes", "complaint_of"),
    [
        ({"params.yaml": b"lr: 0.2\n"}, "the record's params are not those of params.yaml"),
        ({"metrics.yaml": None}, "the record's metrics are not those of metrics.yaml"),
        ({"history.tsv": None}, "the record says 3 points, the history has 0"),
        ({"history.tsv": b"step\ttime\tloss\n0\t1.000\t2\n1\t2.000\t1\n"}, "the record says 3 points"),
        ({"artifacts/a.txt": b"other"}, "artifact 'a.txt' is not what artifacts.yaml says"),
        ({"artifacts/a.txt": None}, "artifact 'a.txt' is missing"),
        ({"artifacts/b.txt": b"extra"}, "artifact 'b.txt' is not listed"),
        ({"run.yaml": None}, "it has no run.yaml"),
        ({"run.yaml": b"format: 1\n"}, "the record's 'id' is not that of run.yaml"),
        ({"run.yaml": b"format: 99\n"}, "format 99 is not known to this version"),
        ({"params.yaml": b"lr: [\n"}, "params.yaml"),
        ({"events.jsonl": b"{}\n"}, "events.jsonl"),
        ({"history.tsv": b"step\ttime\tloss\n0\t1.000\tx\n"}, "history.tsv"),
        (
            {"edits/0190000000000000-00000000.json": b'{"name":"z","author":"a <b>","time":"x","clock":1}\n'},
            "the record says name is 'one', the tree says 'z'",
        ),
    ],
)
def test_what_does_not_agree_is_named(repo: GitRepo, changes: dict[str, bytes | None], complaint_of: str) -> None:
    [run] = record(repo, SPEC)
    repo.git("update-ref", f"refs/runs/{run}", rewrite(repo, run, files=changes))

    done = repo.track("fsck", check=False)

    complaint(done, exit_code=1)
    assert done.stdout.startswith(f"refs/runs/{run}: ")
    assert complaint_of in done.stdout


def test_other_refs_below_runs_are_left_alone(repo: GitRepo) -> None:
    record(repo, {})
    repo.git("update-ref", "refs/runs/archive/someone", "HEAD")
    repo.git("update-ref", "refs/runs/not-a-run", "HEAD")

    assert repo.track("fsck").stderr == "1 run(s) are sound\n"


def test_a_pack_that_lost_its_index_gets_one_again(repo: GitRepo) -> None:
    record(repo, {"name": "one"}, {"name": "two"})
    for pack in (repo.path / ".git/objects/pack").glob("*.pack"):
        pack.with_suffix(".idx").unlink()
        pack.with_suffix(".keep").unlink(missing_ok=True)

    code, _, err = attempt(repo, "fsck")

    assert (code, "wrote the index of 2 pack(s) again" in err) == (0, True), err
    assert sorted(run["name"] for run in listed(repo)) == ["one", "two"]


def test_a_listing_mends_such_a_pack_too(repo: GitRepo) -> None:
    record(repo, {"name": "one"})
    [pack] = (repo.path / ".git/objects/pack").glob("*.pack")
    pack.with_suffix(".idx").unlink()

    assert [run["name"] for run in listed(repo)] == ["one"]
