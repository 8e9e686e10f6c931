"""A reader of runs written from docs/format.md alone, with dulwich, PyYAML and the standard library.

It shares no line with gittrack, so where the two agree, the page is enough to write one in another language."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import dulwich.objects
import dulwich.repo
import pytest
import yaml

from tests.gitcmd import GitRepo
from tests.runs import shown

# The reader -----------------------------------------------------------------------------------------------------------


@dataclass
class Table:
    """Chapter 7: a row per (step, time), a column per metric."""

    steps: list[int]
    milliseconds: list[int]
    ranks: list[int] | None
    columns: dict[str, dict[int, float]]  # metric to row to value


@dataclass
class RunRead:
    record: dict[str, Any]
    trailers: dict[str, str]
    subject: str
    parents: list[str]
    facts: dict[str, Any]
    params: dict[str, Any]
    metrics: dict[str, Any]
    artifacts: dict[str, Any]
    events: list[dict[str, Any]]
    table: Table | None
    state: dict[str, Any]
    files: dict[str, bytes] = field(repr=False)


def read_runs(repo: dulwich.repo.Repo) -> dict[str, RunRead]:
    """Chapter 1: every ref below refs/runs/ whose name is a run id."""
    digits = set("0123456789abcdefghjkmnpqrstvwxyz")
    found = {}
    for name in repo.refs.allkeys():
        run = name.decode().removeprefix("refs/runs/")
        if name.startswith(b"refs/runs/") and len(run) == 13 and run[0] == "r" and set(run[1:]) <= digits:
            found[run] = read_run(repo, repo.refs[name])
    return found


def read_run(repo: dulwich.repo.Repo, oid: bytes) -> RunRead:
    commit = repo[oid]
    assert isinstance(commit, dulwich.objects.Commit)
    subject, trailers = read_message(commit.message)
    files = dict(read_tree(repo, commit.tree))
    facts = read_yaml(files["run.yaml"])
    assert facts["format"] == 1
    return RunRead(
        record=untag(json.loads(trailers["Record"])),
        trailers=trailers,
        subject=subject,
        parents=[parent.decode() for parent in commit.parents],
        facts=facts,
        params=read_yaml(files["params.yaml"]),
        metrics=read_yaml(files.get("metrics.yaml", b"{}")),
        artifacts=read_yaml(files.get("artifacts.yaml", b"{}")),
        events=[untag(json.loads(line)) for line in files.get("events.jsonl", b"").splitlines()],
        table=read_history(files),
        state=fold(facts, files),
        files=files,
    )


def read_message(raw: bytes) -> tuple[str, dict[str, str]]:
    """Chapter 2: subject, empty line, trailers; `Record:` is the last line."""
    lines = raw.decode().removesuffix("\n").split("\n")
    assert lines[1] == ""
    assert lines[-1].startswith("Record: ")
    return lines[0], dict(line.split(": ", 1) for line in lines[2:])


def read_tree(repo: dulwich.repo.Repo, oid: bytes, above: str = "") -> Iterator[tuple[str, bytes]]:
    """Chapter 4: files and folders, and no other mode."""
    tree = repo[oid]
    assert isinstance(tree, dulwich.objects.Tree)
    for entry in tree.items():
        path = above + entry.path.decode()
        if entry.mode == 0o40000:
            yield from read_tree(repo, entry.sha, path + "/")
        else:
            assert entry.mode in (0o100644, 0o100755)
            yield path, repo[entry.sha].as_raw_string()


def read_yaml(raw: bytes) -> dict[str, Any]:
    """Chapter 5: YAML 1.1 readers agree."""
    found: dict[str, Any] = yaml.safe_load(raw)
    return found


def untag(value: Any) -> Any:
    """Chapter 3: numbers that are not finite, and objects of the user's that look like them."""
    if isinstance(value, list):
        return [untag(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, item),) = value.items()
        if key == "$float":
            return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[item]
        if key.endswith("$float") and set(key[:-6]) == {"$"}:
            return {key[1:]: untag(item)}
    return {key: untag(item) for key, item in value.items()}


def read_history(files: dict[str, bytes]) -> Table | None:
    if "history.tsv" in files:
        return read_text(files["history.tsv"].decode())
    return read_columns(files["history.cols"]) if "history.cols" in files else None


def plain_name(name: str) -> str:
    return name.removeprefix("=")


def read_text(text: str) -> Table:
    head, *lines = text.removesuffix("\n").split("\n")
    names = head.split("\t")
    assert names[:2] == ["step", "time"]
    rows = [line.split("\t") for line in lines]
    first = 3 if names[2:3] == ["rank"] else 2
    return Table(
        steps=[int(row[0]) for row in rows],
        milliseconds=[round(float(row[1]) * 1000) for row in rows],
        ranks=[int(row[2]) for row in rows] if first == 3 else None,
        columns={
            plain_name(name): {number: float(row[at]) for number, row in enumerate(rows) if row[at]}
            for at, name in enumerate(names)
            if at >= first
        },
    )


def read_columns(raw: bytes) -> Table:
    first, head, body = raw.split(b"\n", 2)
    assert first == b"gittrack columns 1"
    about = json.loads(head)
    assert zlib.crc32(body) == about["crc32"]
    rows, at = about["rows"], 0
    fixed: dict[str, list[int]] = {}
    columns: dict[str, dict[int, float]] = {}
    for column in about["columns"]:
        data, at = body[at : at + column["size"]], at + column["size"]
        count = column["count"]
        if column["type"] == "i64":
            fixed[column["name"]] = undelta(unshuffle(data, 8))
            continue
        present = list(range(rows))
        if count < rows:
            marks, data = data[: (rows + 7) // 8], data[(rows + 7) // 8 :]
            present = [row for row in present if marks[row // 8] >> row % 8 & 1]
        letter, width = {"f64": ("d", 8), "f32": ("f", 4)}[column["type"]]
        cells = struct.unpack(f"<{count}{letter}", unshuffle(data, width))
        columns[plain_name(column["name"])] = dict(zip(present, cells, strict=True))
    return Table(fixed["step"], fixed["time"], fixed.get("rank"), columns)


def unshuffle(data: bytes, width: int) -> bytes:
    count = len(data) // width
    return bytes(data[byte * count + at] for at in range(count) for byte in range(width))


def undelta(data: bytes) -> list[int]:
    found, last = [], 0
    for delta in struct.unpack(f"<{len(data) // 8}q", data):
        last = (last + delta + 2**63) % 2**64 - 2**63
        found.append(last)
    return found


def fold(facts: dict[str, Any], files: dict[str, bytes]) -> dict[str, Any]:
    """Chapter 9: the state of the run after all its edits."""
    edits = [(json.loads(raw), path.removeprefix("edits/")) for path, raw in files.items() if path.startswith("edits/")]
    edits.sort(key=lambda pair: (pair[0]["clock"], pair[1]))
    for edit, name in edits:
        assert name.split("-")[0] == f"{edit['clock']:016x}"
    gone = {(tag, file) for edit, _ in edits for tag, seen in edit.get("untag", {}).items() for file in seen}
    adds = [(tag, "run.yaml") for tag in facts.get("tags", [])]
    adds += [(tag, name) for edit, name in edits for tag in edit.get("tag", [])]
    state = {key: facts.get(key) for key in ("name", "group", "status")} | {"star": False, "deleted": False}
    state["tags"] = sorted({tag for tag, name in adds if (tag, name) not in gone})
    state["notes"] = facts.get("notes", []) + [edit["note"] for edit, _ in edits if "note" in edit]
    for edit, _ in edits:
        state |= {key: edit[key] for key in ("name", "group", "status", "star") if key in edit}
        if "delete" in edit or "restore" in edit:
            state["deleted"] = "delete" in edit
    return state


# What it agrees on ----------------------------------------------------------------------------------------------------

SCRIPT = """
import math, sys
import gittrack as gt

rows, name = int(sys.argv[1]), sys.argv[2]
run = gt.init(
    name=name, tags=["baseline", "no"], group="sweep-1", notes="first\\nnote",
    params={"lr": 3e-4, "opt": {"name": "adam", "betas": [0.9, 0.999]}, "no": "NO", "1": "1e5", "nan": math.nan,
            "text": "a: b\\n\\x1b[31m\\u2028", "$float": {"$float": "inf"}, "seed": 17, "empty": {}, "big": 10 ** 30},
)
run.define_metric("val/*", goal="max")
for step in range(rows):
    run.log({"loss": 1 / (step + 1), "step": step % 7, "=x": -0.0}, step=step)
    if step % 3 == 0:
        run.log({"val/acc": math.sin(step)}, step=step)
run.log({"loss": math.nan, "extreme": math.inf}, step=-5)
run.log({"sample": "h\\u00e9llo", "matrix": {"a": [1.5, math.nan]}}, step=2)
run.log_params({"lr": 0.1})
run.summary["auc"] = 0.75
run.log_artifact("train.py", type="code")
run.finish()
print(run.id)
"""
ROWS = {"small": 40, "large": 45_000}


@pytest.fixture
def recorded(repo: GitRepo) -> GitRepo:
    """A repository with a run whose history is text, and one whose history is columns, both edited."""
    (repo.path / "train.py").write_text("print('changed')\n", encoding="utf-8")
    for name, rows in ROWS.items():
        repo.python(SCRIPT, str(rows), name)
    repo.track("tag", "small", "paper", "best")
    repo.track("tag", "-d", "small", "best", "baseline")
    repo.track("edit", "small", "--note", "zweite Notiz")
    repo.track("edit", "small", "--name", "renamed", "--star")
    repo.track("rm", "large")
    return repo


def finite(value: Any) -> Any:
    """Returns values as `--json` prints them, which has no word for NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list) else value


def test_a_reader_written_from_the_page_agrees_with_ours(recorded: GitRepo) -> None:
    with dulwich.repo.Repo(str(recorded.path)) as opened:
        runs = read_runs(opened)
        assert {run.facts["name"] for run in runs.values()} == set(ROWS)
        for run_id, run in runs.items():
            agrees_with_show(recorded, run_id, run)
            agrees_with_itself(run_id, run)
            holds_what_was_logged(run, ROWS[run.facts["name"]])
            links_to_its_code(recorded, opened, run)
    by_name = {run.facts["name"]: run for run in runs.values()}
    assert "history.tsv" in by_name["small"].files
    assert "history.cols" in by_name["large"].files
    assert by_name["small"].state == {
        "name": "renamed",
        "group": "sweep-1",
        "status": "finished",
        "star": True,
        "deleted": False,
        "tags": ["no", "paper"],
        "notes": ["first\nnote", "zweite Notiz"],
    }
    assert by_name["large"].state["deleted"]


def agrees_with_show(repo: GitRepo, run_id: str, run: RunRead) -> None:
    """What we print is what the other reader read."""
    ours = shown(repo, run_id)
    assert ours["params_nested"] == finite(run.params)
    assert ours["events"] == finite(run.events)
    assert {
        name: {key: value for key, value in metric.items() if value is not None}
        for name, metric in ours["metrics"].items()
    } == finite(run.metrics)
    assert ours["artifacts"] == run.artifacts
    assert ours["facts"] == finite(run.facts)
    assert ours["files"] == sorted(run.files)
    assert ours["notes"] == run.state["notes"]
    state = {key: ours[key] for key in ("name", "group", "status", "tags")} | {"star": ours["starred"]}
    assert state == {key: value for key, value in run.state.items() if key in state}
    assert ours["points"] == run.record["points"]
    assert (ours["id"], ours["commit"]) == (run_id, repo.git("rev-parse", f"refs/runs/{run_id}"))


def agrees_with_itself(run_id: str, run: RunRead) -> None:
    """The record in the message is the state of the tree after all edits."""
    record, state, facts = run.record, run.state, run.facts
    assert run.trailers["Run"] == record["id"] == facts["id"] == run_id
    assert run.trailers["Code"] == record["code"]["commit"] == facts["code"]["commit"]
    assert run.subject.startswith(f"run {state['name']}: {state['status']}")
    assert record["v"] == 1
    for key in ("created", "ended", "duration", "author", "host"):
        assert record[key] == facts[key]
    for key in ("created", "ended"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", facts[key])
    assert {key: record.get(key) for key in ("name", "status", "group")} == {
        key: state[key] for key in ("name", "status", "group")
    }
    assert record["tags"] == state["tags"]
    assert record["note"] == state["notes"][-1]
    assert record.get("starred", False) == state["star"]
    assert record.get("deleted", False) == state["deleted"]
    assert repr(record["params"]) == repr(run.params)
    keys = ("last", "step", "min", "min_step", "max", "max_step", "mean", "count", "goal")
    assert repr(record["metrics"]) == repr({name: [one.get(key) for key in keys] for name, one in run.metrics.items()})
    assert record["artifacts"] == {"count": 1, "size": run.artifacts["train.py"]["size"]}
    assert len(record["seal"]) == 16
    content = run.files["artifacts/train.py"]
    assert run.artifacts["train.py"] == {
        "kind": "blob",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "type": "code",
    }


def holds_what_was_logged(run: RunRead, rows: int) -> None:
    """Every point is in the table, and metrics.yaml is its summary."""
    table = run.table
    assert table is not None
    assert table.ranks is None
    order = list(zip(table.steps, table.milliseconds, strict=True))
    assert order == sorted(order)
    by_step = {
        name: [(table.steps[row], cell) for row, cell in sorted(cells.items())] for name, cells in table.columns.items()
    }
    assert repr(by_step["loss"]) == repr([(-5, math.nan), *((step, 1 / (step + 1)) for step in range(rows))])
    assert by_step["step"] == [(step, step % 7) for step in range(rows)]
    assert by_step["val/acc"] == [(step, math.sin(step)) for step in range(0, rows, 3)]
    assert repr(set(by_step["=x"])) == repr({(step, -0.0) for step in range(rows)})
    assert by_step["extreme"] == [(-5, math.inf)]
    assert run.record["points"] == sum(map(len, table.columns.values()))
    for name, metric in run.metrics.items():
        cells = by_step.get(name, [])
        numbers = [(cell, step) for step, cell in cells if not math.isnan(cell)]
        assert metric["count"] == len(cells)
        assert metric.get("nan", 0) == len(cells) - len(numbers)
        if numbers:
            low, high = min(cell for cell, _ in numbers), max(cell for cell, _ in numbers)
            assert (metric["min"], metric["min_step"]) == next(pair for pair in numbers if pair[0] == low)
            assert (metric["max"], metric["max_step"]) == next(pair for pair in numbers if pair[0] == high)
            assert math.isclose(metric["mean"], math.fsum(cell for cell, _ in numbers) / len(numbers), rel_tol=1e-9)
    assert (run.metrics["val/acc"]["goal"], run.metrics["val/acc"]["best"]) == ("max", run.metrics["val/acc"]["max"])
    assert (run.metrics["auc"]["last"], run.metrics["auc"]["summary"]) == (0.75, 0.75)
    assert math.isnan(run.metrics["loss"]["last"])
    assert run.metrics["loss"]["step"] == -5
    kinds = {event["key"]: (event["kind"], event["step"], event["value"]) for event in run.events}
    assert kinds["sample"] == ("text", 2, "héllo")
    assert repr(kinds["matrix.a"]) == repr(("text", 2, [1.5, math.nan]))
    assert kinds["lr"] == ("param", None, 0.1)
    assert run.params["lr"] == 3e-4
    assert run.params["$float"] == {"$float": "inf"}
    assert run.facts["seeds"]["seed"] == 17


def links_to_its_code(repo: GitRepo, opened: dulwich.repo.Repo, run: RunRead) -> None:
    """The first commit of the run has the snapshot of the dirty work tree as parent, and that the code commit."""
    parents = run.parents
    while True:
        commit = opened[parents[0].encode()]
        assert isinstance(commit, dulwich.objects.Commit)
        if b"\nRecord: " not in commit.message:
            break
        parents = [parent.decode() for parent in commit.parents]
    assert parents == [run.facts["code"]["snapshot"]] == [run.record["code"]["snapshot"]]
    snapshot = opened[parents[0].encode()]
    assert isinstance(snapshot, dulwich.objects.Commit)
    assert snapshot.message == b"snapshot of uncommitted work\n"
    assert snapshot.author == snapshot.committer == b"gittrack <gittrack@localhost>"
    assert [parent.decode() for parent in snapshot.parents] == [repo.git("rev-parse", "HEAD")]
    assert dict(read_tree(opened, snapshot.tree))["train.py"] == b"print('changed')\n"
    code = opened[snapshot.parents[0]]
    assert isinstance(code, dulwich.objects.Commit)
    assert snapshot.commit_time == snapshot.author_time == code.commit_time
