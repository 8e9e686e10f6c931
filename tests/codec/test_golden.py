"""The bytes of format 1: one run, file by file. What this version writes, every later one reads."""

from __future__ import annotations

import math
from array import array
from pathlib import Path
from typing import Any

import pytest
import yaml

from gittrack.codec import event, frame, history, manifest, record, tree, yaml12
from gittrack.codec.points import Points
from gittrack.draft import Last, summarise
from gittrack.model import Artifact, Code, Column, Edit, Event, History, Omitted, Run, fold
from gittrack.refname import Oid, RunId

GOLDEN = Path(__file__).parent.parent / "golden" / "v1"
FIXED_UP = "if the format changed on purpose, docs/format.md changes first, and format 1 stays readable"

ID = RunId("r4d2p9k7xq3mt")
COMMIT, SNAPSHOT = Oid("3f786850e387550fdab836ed7e6dc881de23001b"), Oid("89e6c98d92887913cadf06b2adb97f26cde4849b")
AUTHOR = "Ada Lovelace <ada@example.org>"
CREATED, ENDED = "2026-11-23T14:51:10.123Z", "2026-11-23T14:53:40.623Z"

PARAMS: dict[str, Any] = {
    "lr": 0.0003,
    "epochs": 3,
    "opt": {"name": "adam", "betas": [0.9, 0.999], "eps": 1e-08, "nesterov": False, "schedule": None},
    "layers": [{"units": 64, "act": "relu"}, {"units": 10, "act": "softmax"}],
    "grid": [[1, 2], [3, [4.5]], []],
    "empty": {},
    "seed": 17,
    "limits": [math.inf, -math.inf, math.nan, -0.0, 1e22, 5e-324],
    "no": "NO",
    "1e5": "1e5",
    "a key: with #signs": 'quote " backslash \\ tab \t newline \n escape \x1b',
    "über/größe": "größer als 日本 \U0001f642 \u2028 \ufeff",
    "k" * 1001: "a long key",
    "$float": {"$float": "nan"},
    "big": 123456789012345678901234567890,
}
EVENTS = [
    Event(1795445470.2, "sample", "epoch 1: \u201cgood\u201d\n", 0),
    Event(1795445471.25, "lr", 0.001, None, "param"),
    Event(1795445472.123456, "confusion", [[1, 0], [math.nan, 1]], 2),
    Event(1795445473.0, "loss is high", "above 2 for 3 steps", 2, "alert"),
]
HISTORY = History(
    steps=array("q", [-1, 0, 1, 2, 2]),
    times=array("q", [1795445470123, 1795445470124, 1795445470124, 1795445470999, 1795445471000]),
    columns={
        "loss": Column(array("d", [2.302585092994046, 1.0, 0.5, math.nan, 1e-05])),
        "val/acc": Column(array("d", [0.5, 0.96875]), array("q", [1, 3])),
        "step": Column(array("d", [math.inf, -math.inf, -0.0]), array("q", [0, 1, 4])),
        "=rank": Column(array("d", [1e16, 5e-324]), array("q", [2, 3])),
    },
)
RANKED = History(HISTORY.steps, HISTORY.times, HISTORY.columns, array("q", [0, 0, 1, 0, 1]))
METRICS = summarise(HISTORY, {"val/*": "max", "loss": "min"}, {"auc": 0.75}, {"loss": Last(1795445470.124, 0.5, 1)})
ARTIFACTS = [
    Artifact("plots/roc curve.png", 4711, "0" * 64),
    Artifact("model.pt", 10, "1" * 64, name="digits", type="model", aliases=("best",), metadata={"f1": 0.9}, step=2),
]
CODE = Code(
    COMMIT,
    "main",
    "https://example.org/digits.git",
    dirty=True,
    snapshot=SNAPSHOT,
    omitted=(Omitted(".env", "its name says that it holds secrets"), Omitted("data.bin", "too large", 99999999)),
)
FACTS: dict[str, Any] = {
    "id": ID,
    "name": "calm-heron-42",
    "status": "failed",
    "created": CREATED,
    "ended": ENDED,
    "duration": 150.5,
    "author": AUTHOR,
    "host": "node7",
    "user": "ada",
    "pid": 4242,
    "command": ["python", "train.py", "--lr=3e-4", "--api-key=***"],
    "directory": "experiments/digits",
    "exit_code": 1,
    "signal": None,
    "error": "ValueError: loss is nan",
    "project": "digits",
    "job_type": "train",
    "group": "sweep-1",
    "parent": "r0000000000zz",
    "tags": ["baseline", "no"],
    "notes": ["first try", "second\nline"],
    "code": manifest.code_facts(CODE),
    "seeds": {"seed": 17},
    "processes": [{"host": "node7", "pid": 4242, "rank": 0}, {"host": "node8", "pid": 77, "rank": 1}],
    "resumed": ["2026-11-23T14:52:00.000Z"],
    "dropped": None,
    "corrupt": 1,
    "rounded": 2,
    "redacted": 1,
}
EDITS = [
    Edit("01a2b3c4d5e60000-0123abcd.json", 0x01A2B3C4D5E60000, AUTHOR, ENDED, {"tag": ["paper"]}),
    Edit("01a2b3c4d5e60001-zyxwvtsr.json", 0x01A2B3C4D5E60001, "Bob <bob@example.org>", ENDED, {"note": "überprüft"}),
    Edit(
        "01a2b3c4d5e60002-00000000.json",
        0x01A2B3C4D5E60002,
        AUTHOR,
        ENDED,
        {"untag": {"baseline": ["run.yaml"], "paper": ["01a2b3c4d5e60000-0123abcd.json"]}},
    ),
    Edit("01a2b3c4d5e60003-00000000.json", 0x01A2B3C4D5E60003, AUTHOR, ENDED, {"star": True}),
]
STATE = fold(manifest.base_state(FACTS), EDITS)
RUN = Run(
    id=ID,
    name=STATE.name,
    status=STATE.status,
    created=CREATED,
    ended=ENDED,
    duration=150.5,
    author=AUTHOR,
    host="node7",
    code=CODE,
    command="python train.py --lr=3e-4 '--api-key=***'",
    params=PARAMS,
    metrics=METRICS,
    tags=STATE.tags,
    group=STATE.group,
    parent=RunId("r0000000000zz"),
    project="digits",
    job_type="train",
    note=STATE.notes[-1],
    starred=STATE.starred,
    artifact_count=2,
    artifact_size=4721,
    points=HISTORY.points,
    exit_code=1,
    seal="0123456789abcdef",
)
HEADER = {"host": "node7", "boot": "b", "pid": 4242, "start": 99, "rank": 0}
NOTES: list[dict[str, Any]] = [
    {"t": 1795445470.2, "k": "params", "v": {"lr": 0.0003}},
    {"t": 1795445470.3, "k": "end", "status": "failed", "exit_code": 1, "x": math.nan},
]


def journal_bytes() -> bytes:
    pack = frame.PointPacker(0, 2)
    return b"".join(
        [
            frame.encode_json(b"H", HEADER),
            frame.encode_schema(0, ("loss", "val/acc")),
            pack(1795445470.123, -1, (0.5, math.inf)),
            frame.encode_json(b"J", NOTES[0]),
            pack(1795445470.124, 0, (0.25, -0.0)),
            frame.encode_json(b"J", NOTES[1]),
        ]
    )


FILES: dict[str, bytes] = {
    "run.yaml": manifest.encode_run(FACTS),
    "params.yaml": yaml12.encode(PARAMS),
    "metrics.yaml": manifest.encode_metrics(METRICS),
    "artifacts.yaml": manifest.encode_artifacts(ARTIFACTS),
    "history.tsv": history.encode_text(HISTORY),
    "history.cols": history.encode_columns(HISTORY),
    "ranked.tsv": history.encode_text(RANKED),
    "ranked.cols": history.encode_columns(RANKED),
    "events.jsonl": event.encode_events(EVENTS),
    **{f"edits/{edit.file}": event.encode_edit(edit) for edit in EDITS},
    "message": record.encode_message(RUN),
    "join-message": record.encode_message(RUN, join=True),
    "1.journal": journal_bytes(),
}


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def test_every_golden_file_is_written_and_read() -> None:
    there = {path.relative_to(GOLDEN).as_posix() for path in GOLDEN.rglob("*") if path.is_file()}
    assert there == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_our_writers_write_exactly_these_bytes(name: str) -> None:
    assert FILES[name] == golden(name), FIXED_UP


def test_a_commit_and_its_objects_have_these_ids() -> None:
    for algorithm, expected in (
        ("sha1", "a81261a608b2f885340ad72c9851db32b43542bb"),
        ("sha256", "857fdedfa7de93efcbf39411d81d306705bf86df7b1c2889242d259ea3f185f0"),
    ):
        files = {
            name: tree.make_object("blob", golden(name), algorithm=algorithm)
            for name in ("run.yaml", "params.yaml", f"edits/{EDITS[0].file}")
        }
        root, _ = tree.build(files, algorithm=algorithm)
        body = tree.encode_commit(
            tree=root,
            parents=[SNAPSHOT],
            author=AUTHOR,
            committer="gittrack <gittrack@localhost>",
            author_time=1795445470,
            commit_time=1795445500,
            message=golden("message"),
        )
        assert tree.make_object("commit", body, algorithm=algorithm).oid == expected


def test_our_readers_read_them_back() -> None:
    assert repr(yaml12.decode(golden("params.yaml"), name="params.yaml")) == repr(PARAMS)
    assert manifest.decode_run(golden("run.yaml")) == {
        "format": 1,
        **{key: value for key, value in FACTS.items() if value is not None},
    }
    assert manifest.read_code(manifest.decode_run(golden("run.yaml"))["code"]) == CODE
    assert repr(manifest.decode_metrics(golden("metrics.yaml"))) == repr(METRICS)
    assert manifest.decode_artifacts(golden("artifacts.yaml")) == sorted(ARTIFACTS, key=lambda item: item.path)
    assert repr(
        [(one.key, one.value, one.step, one.kind) for one in event.decode_events(golden("events.jsonl"))]
    ) == repr([(one.key, one.value, one.step, one.kind) for one in EVENTS])
    assert [event.decode_edit(golden(f"edits/{edit.file}"), file=edit.file) for edit in EDITS] == EDITS


@pytest.mark.parametrize(("name", "made"), [("history", HISTORY), ("ranked", RANKED)])
def test_both_histories_read_back_as_one_table(name: str, made: History) -> None:
    def cells(table: History) -> str:
        columns = sorted(table.columns.items())
        return repr((table.steps, table.times, table.ranks, columns))

    assert cells(history.decode("history.tsv", golden(f"{name}.tsv"))) == cells(made)
    assert cells(history.decode("history.cols", golden(f"{name}.cols"))) == cells(made)


def test_the_message_reads_back_as_the_run() -> None:
    run = record.decode_message(golden("message"), run=ID)
    # The record has less than the tree: where the code is, what was left out of it, how many NaN a metric had.
    assert (run.name, run.status, run.tags, run.note, run.starred) == (
        "calm-heron-42",
        "failed",
        ("no",),
        "überprüft",
        True,
    )
    assert (run.code.commit, run.code.snapshot, run.code.branch, run.code.dirty) == (COMMIT, SNAPSHOT, "main", True)
    assert repr(run.params) == repr(PARAMS)
    assert repr([(m.last, m.step, m.min, m.max, m.mean, m.count, m.goal) for m in run.metrics.values()]) == repr(
        [(m.last, m.step, m.min, m.max, m.mean, m.count, m.goal) for m in METRICS.values()]
    )
    assert not record.is_join(golden("message"))
    assert record.is_join(golden("join-message"))


def test_the_journal_reads_back() -> None:
    journal = frame.decode(golden("1.journal"))
    names = ("loss", "val/acc")
    points = Points.of([(-1, 1795445470123, names, (0.5, math.inf)), (0, 1795445470124, names, (0.25, -0.0))])
    assert repr(journal) == repr(frame.Journal(HEADER, points, NOTES))


@pytest.mark.parametrize("name", ["run.yaml", "params.yaml", "metrics.yaml", "artifacts.yaml"])
def test_a_reader_of_yaml_1_1_sees_the_same(name: str) -> None:
    assert repr(yaml.safe_load(golden(name))) == repr(yaml12.decode(golden(name), name=name))
