"""A run is read as it grows, and each byte of it once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gittrack import journal
from gittrack.codec import frame
from gittrack.following import Follower


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    journal.create(tmp_path / "live", {"id": "r0123456789ab", "name": "calm", "created": 1000.0})
    return tmp_path / "live"


class Log:
    """A journal that is written by hand."""

    def __init__(self, folder: Path, name: str = "1.journal") -> None:
        self.path = folder / name
        self.packers: dict[tuple[str, ...], frame.PointPacker] = {}

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def log(self, step: int, **values: float) -> bytes:
        names = tuple(values)
        data = b""
        if names not in self.packers:
            self.packers[names] = frame.PointPacker(len(self.packers), len(names))
            data = frame.encode_schema(len(self.packers) - 1, names)
        return data + self.packers[names](1000.0 + step, step, tuple(values.values()))


def test_what_comes_later_is_added(folder: Path) -> None:
    log = Log(folder)
    log.write(frame.encode_json(b"H", {"pid": 1}) + log.log(0, loss=3) + log.log(1, loss=2, acc=0.5))
    follower = Follower(folder)
    assert follower.read()
    assert not follower.read()

    log.write(log.log(2, loss=1) + frame.encode_json(b"J", {"t": 1, "k": "metric", "name": "acc", "goal": "max"}))
    log.write(frame.encode_json(b"J", {"t": 1, "k": "state", "v": {"name": "wild"}}))
    assert follower.read()

    assert (follower.name, follower.step, follower.goals, follower.began) == ("wild", 2, {"acc"}, 1000)
    assert follower.metrics["loss"].curve() == ([0, 1, 2], [3, 2, 1])
    assert follower.metrics["acc"].last == 0.5


def test_each_byte_is_read_once_and_no_point_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(folder)
    log.write(b"".join(log.log(step, loss=step, acc=1) for step in range(5000)))
    follower = Follower(folder)
    follower.read()
    taken: list[int] = []
    take = frame.Reader.take

    def noted(self: frame.Reader, piece: bytes) -> None:
        taken.append(len(piece))
        take(self, piece)

    monkeypatch.setattr(frame.Reader, "take", noted)

    new = b"".join(log.log(step, loss=step, acc=1) for step in range(5000, 5010))
    log.write(new)
    follower.read()
    follower.read()

    assert taken == [len(new)]
    assert follower.metrics["loss"].count == 5010
    ((reader, offset),) = follower._journals.values()
    assert offset == log.path.stat().st_size
    assert len(reader.journal.points) == 0


def test_a_frame_that_is_half_there_is_read_when_it_is_whole(folder: Path) -> None:
    log = Log(folder)
    data = b"".join(log.log(step, loss=step) for step in range(40))
    follower = Follower(folder)
    for at in range(0, len(data), 7):
        log.write(data[at : at + 7])
        follower.read()

    assert follower.metrics["loss"].curve()[1] == list(range(40))


def test_a_broken_frame_is_skipped(folder: Path) -> None:
    log = Log(folder)
    log.write(log.log(0, loss=0) + b"\xa7\x1eRUBBISH" + log.log(1, loss=1))
    follower = Follower(folder)
    follower.read()
    log.write(log.log(2, loss=2))
    follower.read()

    assert follower.metrics["loss"].curve()[1] == [0, 1, 2]


def test_notes_of_a_stranger_are_harmless(folder: Path) -> None:
    log = Log(folder)
    for note in ({}, {"k": "state"}, {"k": "state", "v": 3}, {"k": "metric"}, {"k": "metric", "name": [1], "goal": 2}):
        log.write(frame.encode_json(b"J", note))
    follower = Follower(folder)
    follower.read()

    assert follower.name == "calm"


def test_the_journals_of_several_processes_are_one_run(folder: Path) -> None:
    one, two = Log(folder), Log(folder, "2.journal")
    one.write(one.log(0, loss=1))
    follower = Follower(folder)
    follower.read()
    two.write(two.log(1, loss=2))
    one.write(one.log(2, acc=3))
    follower.read()

    assert follower.metrics["loss"].count == 2
    assert follower.metrics["acc"].count == 1


def test_a_run_that_is_gone_says_so(folder: Path) -> None:
    Log(folder).write(b"")
    follower = Follower(folder)
    follower.read()
    for file in folder.iterdir():
        os.unlink(file)
    folder.rmdir()

    with pytest.raises(FileNotFoundError):
        follower.read()
    with pytest.raises(FileNotFoundError):
        Follower(folder)
