"""A second reader of runs: plain git, PyYAML and docs/format.md, and nothing of gittrack.

What our own reader gets wrong in the same way as our writer, this one does not."""

from __future__ import annotations

import json
import struct
import subprocess
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from tests.gitcmd import GitRepo

Row = dict[str, float]


@dataclass(frozen=True)
class Recorded:
    """One run's newest commit."""

    repo: GitRepo
    ref: str
    record: dict[str, Any]

    @property
    def id(self) -> str:
        return self.ref.removeprefix("refs/runs/")

    @property
    def status(self) -> str:
        found: str = self.record["status"]
        return found

    @property
    def parents(self) -> list[str]:
        return self.repo.git("rev-parse", f"{self.ref}^@").split()

    @property
    def files(self) -> list[str]:
        return self.repo.git("ls-tree", "-r", "-z", "--name-only", self.ref).rstrip("\0").split("\0")

    def raw(self, path: str) -> bytes | None:
        """Returns a file of the run, or None."""
        command = ["git", "cat-file", "blob", f"{self.ref}:{path}"]
        done = subprocess.run(command, cwd=self.repo.path, capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else None

    def yaml(self, path: str) -> dict[str, Any]:
        """Returns a YAML file of the run as an ordinary YAML reader sees it."""
        found: dict[str, Any] = yaml.load(self.raw(path) or b"{}", Loader=yaml.CSafeLoader)
        return found

    @cached_property
    def facts(self) -> dict[str, Any]:
        return self.yaml("run.yaml")

    @cached_property
    def params(self) -> dict[str, Any]:
        return self.yaml("params.yaml")

    @cached_property
    def metrics(self) -> dict[str, dict[str, Any]]:
        return self.yaml("metrics.yaml")

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.raw("events.jsonl") or b"").decode("ascii").splitlines()]

    def texts(self, key: str) -> list[Any]:
        """Returns what was logged under a key that is no number, in order."""
        return [event["value"] for event in self.events if event["key"] == key and event["kind"] == "text"]

    @cached_property
    def rows(self) -> list[Row]:
        """Every row of the history: column name to value; a missing cell is left out."""
        text, columns = self.raw("history.tsv"), self.raw("history.cols")
        if text is not None:
            return rows_of_text(text.decode("utf-8"))
        return rows_of_columns(columns) if columns is not None else []

    def values(self, metric: str) -> list[float]:
        """Returns a metric's values in the order of the history."""
        return [row[metric] for row in self.rows if metric in row]

    def points(self, metric: str) -> list[tuple[int, float]]:
        """Returns (step, value) of a metric in the order of the history."""
        return [(int(row["step"]), row[metric]) for row in self.rows if metric in row]


def runs(repo: GitRepo) -> list[Recorded]:
    """Returns all runs that are commits, oldest first."""
    form = "--format=%(refname)%00%(contents)%00"
    listing = repo.git("for-each-ref", form, "refs/runs/").split("\0")
    found = []
    for ref, message in zip(listing[::2], listing[1::2], strict=False):
        last = message.strip("\n").rsplit("\n", 1)[-1]
        assert last.startswith("Record: "), last
        found.append(Recorded(repo, ref.strip("\n"), json.loads(last.removeprefix("Record: "))))
    return sorted(found, key=lambda run: run.record["created"])


def only(repo: GitRepo) -> Recorded:
    """Returns the one run of the repository."""
    found = runs(repo)
    assert len(found) == 1, [run.ref for run in found]
    return found[0]


def named(repo: GitRepo, name: str) -> Recorded:
    """Returns the run of that name."""
    return next(run for run in runs(repo) if run.record["name"] == name)


def rows_of_text(text: str) -> list[Row]:
    """Reads `history.tsv` (docs/format.md, chapter 7)."""
    head, *lines = text.removesuffix("\n").split("\n")
    names = head.split("\t")
    return [
        {
            name: int(cell) if name == "step" else float(cell)
            for name, cell in zip(names, line.split("\t"), strict=True)
            if cell != ""
        }
        for line in lines
    ]


def rows_of_columns(raw: bytes) -> list[Row]:
    """Reads `history.cols` (docs/format.md, chapter 7)."""
    magic, header, body = raw.split(b"\n", 2)
    assert magic == b"gittrack columns 1"
    about = json.loads(header)
    rows: list[Row] = [{} for _ in range(about["rows"])]
    at = 0
    for column in about["columns"]:
        data = body[at : at + column["size"]]
        at += column["size"]
        present = list(range(len(rows)))
        if column["count"] < len(rows):
            bits, data = data[: (len(rows) + 7) // 8], data[(len(rows) + 7) // 8 :]
            present = [row for row in present if bits[row // 8] >> row % 8 & 1]
        for row, value in zip(present, cells(data, column["type"], column["count"]), strict=True):
            rows[row][column["name"]] = value
    for cells_of_row in rows:  # milliseconds here, seconds in the text
        cells_of_row["time"] /= 1000
    return rows


def cells(data: bytes, kind: str, count: int) -> list[float]:
    """Reads the values of one column."""
    width = 4 if kind == "f32" else 8
    plain = bytes(data[byte * count + at] for at in range(count) for byte in range(width))
    if kind != "i64":
        return list(struct.unpack(f"<{count}{'f' if kind == 'f32' else 'd'}", plain))
    values, total = [], 0
    for delta in struct.unpack(f"<{count}q", plain):
        total = (total + delta + (1 << 63)) % (1 << 64) - (1 << 63)
        values.append(total)
    return values
