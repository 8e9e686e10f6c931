"""A journal that was damaged: everything that can be read is in the run, and what cannot is counted."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.reader import Recorded, only, runs

STEPS = 50
SCRIPT = f"""
import os
import gittrack as gt

run = gt.init(name="hurt", params={{"lr": 0.1}})
for step in range({STEPS}):
    gt.log({{"loss": step / 7, "acc": step}})
gt.log({{"text": "hello"}}, step=0)
run.config.late = 1
os._exit(0)
"""


@pytest.fixture
def journal(repo: GitRepo) -> Path:
    """The journal of a process that died."""
    repo.python(SCRIPT)
    (found,) = (repo.path / ".git" / "gittrack" / "live").glob("*/*.journal")
    return found


def frames(raw: bytes) -> list[tuple[int, int]]:
    """Returns start and end of each frame, as docs/format.md, chapter 12, has them."""
    found, at = [], 0
    while at < len(raw):
        mark, length, checksum = struct.unpack_from("<2sII", raw, at)
        assert mark == b"\xa7\x1e"
        assert zlib.crc32(raw[at + 10 : at + 10 + length]) == checksum
        found.append((at, at + 10 + length))
        at += 10 + length
    return found


def points(raw: bytes) -> list[tuple[int, int]]:
    return [(start, end) for start, end in frames(raw) if raw[start + 10 : start + 11] == b"P"]


def sealed(repo: GitRepo) -> Recorded:
    said = repo.track("ls").stderr
    assert "Traceback" not in said
    found = only(repo)
    assert found.status == "crashed"
    repo.track("fsck")
    return found


def all_but(*lost: int) -> list[tuple[int, float]]:
    return [(step, float(step)) for step in range(STEPS) if step not in lost]


def test_a_whole_journal_is_read_by_another_reader_from_the_format_alone(journal: Path) -> None:
    raw = journal.read_bytes()
    kinds = [raw[start + 10 : start + 11] for start, _ in frames(raw)]
    assert kinds[0] == b"H"
    assert kinds.count(b"P") == STEPS
    assert kinds.count(b"K") == 2
    start, end = points(raw)[3]
    kind, schema, _, step, *values = struct.unpack("<cIdq2d", raw[start + 10 : end])
    assert (kind, step, values) == (b"P", 3, [3 / 7, 3.0])
    names = next(
        json.loads(raw[a + 15 : b]) for a, b in frames(raw) if raw[a + 10 : a + 15] == struct.pack("<cI", b"K", schema)
    )
    assert names == ["loss", "acc"]


def test_a_torn_end_is_cut(repo: GitRepo, journal: Path) -> None:
    raw = journal.read_bytes()
    last = points(raw)[-1]
    journal.write_bytes(raw[: last[1] - 3])
    found = sealed(repo)
    assert found.points("acc") == all_but(STEPS - 1)
    assert "corrupt" not in found.facts
    assert found.params == {"lr": 0.1}


@pytest.mark.parametrize("damage", ["flip", "zeros", "cut", "insert", "length", "mark"])
def test_a_broken_frame_in_the_middle_costs_that_frame_alone_and_is_counted(
    repo: GitRepo, journal: Path, damage: str
) -> None:
    raw = journal.read_bytes()
    start, end = points(raw)[20]
    middle = (start + end) // 2
    journal.write_bytes(
        {
            "flip": raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :],
            "zeros": raw[:start] + bytes(end - start) + raw[end:],
            "cut": raw[:middle] + raw[end:],
            "insert": raw[:middle] + b"\xa7\x1e junk" + raw[middle:],
            "length": raw[: start + 2] + b"\xff\xff\xff\x7f" + raw[start + 6 :],
            "mark": raw[:start] + b"\x00" + raw[start + 1 :],
        }[damage]
    )
    found = sealed(repo)
    assert found.points("acc") == all_but(20)
    assert found.points("loss") == [(step, step / 7) for step in range(STEPS) if step != 20]
    assert found.facts["corrupt"] == 1
    assert found.texts("text") == ["hello"]
    assert found.params == {"lr": 0.1, "late": 1}


def test_many_broken_frames_are_counted(repo: GitRepo, journal: Path) -> None:
    raw = bytearray(journal.read_bytes())
    lost = (3, 10, 11, 12, 40)
    for number in lost:
        raw[points(bytes(journal.read_bytes()))[number][0] + 20] ^= 0xFF
    journal.write_bytes(bytes(raw))
    found = sealed(repo)
    assert found.points("acc") == all_but(*lost)
    assert found.facts["corrupt"] == 3  # what lies between two whole frames is one


def test_one_broken_copy_of_the_names_costs_nothing(repo: GitRepo, journal: Path) -> None:
    raw = bytearray(journal.read_bytes())
    first = next(start for start, _ in frames(bytes(raw)) if raw[start + 10] == ord("K"))
    raw[first + 16] ^= 1
    journal.write_bytes(bytes(raw))
    found = sealed(repo)
    assert found.points("acc") == all_but()
    assert found.facts["corrupt"] == 1


def test_points_whose_names_are_lost_are_counted(repo: GitRepo, journal: Path) -> None:
    raw = bytearray(journal.read_bytes())
    for start, _ in frames(bytes(raw)):
        if raw[start + 10] == ord("K"):
            raw[start + 16] ^= 1
    journal.write_bytes(bytes(raw))
    found = sealed(repo)
    assert found.rows == []
    assert found.facts["corrupt"] == STEPS + 1
    assert found.texts("text") == ["hello"]


def frame(payload: bytes) -> bytes:
    return struct.pack("<2sII", b"\xa7\x1e", len(payload), zlib.crc32(payload)) + payload


NONSENSE = [
    b"Z unknown kind",
    b"J{",
    b"J[]",
    b"Jnull",
    b"J\xff\xfe",
    b'J{"k":"params"}',
    b'J{"k":"params","v":5,"t":1}',
    b'J{"k":"event"}',
    b'J{"k":"metric","t":"x"}',
    b'J{"k":"summary","key":1,"value":"x","t":1}',
    b'J{"k":"artifact","t":1}',
    b'J{"k":"artifact","t":1,"path":"a","size":1,"sha256":"0","file":"../../../../etc/passwd"}',
    b'J{"k":"artifact","t":1,"path":"../../x","size":1,"sha256":"0","file":"1"}',
    b'J{"k":"state","v":[],"t":1}',
    b'J{"k":"count","v":{"dropped":"x"},"t":1}',
    b'J{"k":"end","t":"never"}',
    b'J{"k":"from the future","t":1}',
    b"H[]",
    b"Hnull",
    b"K\0\0\0\0{}",
    b"K\0\0\0\0[1]",
    b"K",
    b"P",
    b"P\0\0",
    b"J" + b"[" * 50_000,
    b"J" + b'{"a":' * 50_000,
]


def test_whole_frames_with_nonsense_in_them_lose_nothing_else(repo: GitRepo, journal: Path) -> None:
    raw = journal.read_bytes()
    places = points(raw)
    mixed = raw[: places[0][0]]
    for number, (start, end) in enumerate(places):
        mixed += frame(NONSENSE[number]) if number < len(NONSENSE) else b""
        mixed += raw[start:end]
    journal.write_bytes(mixed + raw[places[-1][1] :])
    found = sealed(repo)
    assert found.points("acc") == all_but()
    assert found.texts("text") == ["hello"]
    assert found.params == {"lr": 0.1, "late": 1}
    assert found.facts["corrupt"] > len(NONSENSE) / 2


@pytest.mark.parametrize("content", [b"", b"no frame at all" + bytes(5000) + b"\xa7\x1e" * 5000])
def test_a_journal_of_nothing_but_noise_is_a_run_without_points(repo: GitRepo, journal: Path, content: bytes) -> None:
    journal.write_bytes(content)
    assert sealed(repo).rows == []


def test_a_lost_journal_is_a_run_without_points(repo: GitRepo, journal: Path) -> None:
    journal.unlink()
    assert sealed(repo).rows == []


def test_a_damaged_header_is_said_and_disturbs_no_other_run(repo: GitRepo, journal: Path) -> None:
    live = journal.parent.parent
    damage = [b"", b"{", b"[]", b"null", b"\xff", b'{"id": "r0123456789ab"}', b'{"id": 5}']
    for number, content in enumerate(damage):
        shutil.copytree(journal.parent, live / f"r00000000000{number}")
        (live / f"r00000000000{number}" / "run.json").write_bytes(content)
    done = repo.track("ls", check=False)
    assert "Traceback" not in done.stderr
    assert "hurt" in done.stdout
    for number in range(len(damage)):
        assert f"r00000000000{number}" in done.stderr
        assert (live / f"r00000000000{number}" / journal.name).exists()
    assert [run.record["name"] for run in runs(repo)] == ["hurt"]


def test_a_folder_without_a_header_is_nobodys_run(repo: GitRepo, journal: Path) -> None:
    (journal.parent / "run.json").unlink()
    assert "no runs yet" in repo.track("ls").stderr
    assert runs(repo) == []
