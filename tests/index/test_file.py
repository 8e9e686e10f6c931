"""The index file is never trusted: cut, overwritten, of another version, gone or not writable, the listing is right."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gittrack import repo as repository
from gittrack.index import database, schema, updating, workers
from gittrack.index.listing import Index
from gittrack.repo import open_repo
from tests.gitcmd import GitRepo, run
from tests.index.making import indexed, move, refs_of_runs, versions


@pytest.fixture
def filled(repo: GitRepo) -> GitRepo:
    """A repository with 40 runs and their index."""
    made = versions(repo, runs=40, each=2)
    move(repo, {f"refs/runs/{name}": found[0].oid for name, found in made.items()})
    repo.git("pack-refs", "--all")
    assert len(indexed(repo)) == 40
    return repo


def file_of(repo: GitRepo) -> Path:
    """Returns the index file that is used now."""
    found = database.find(repo.path / ".git/gittrack/index")
    assert found is not None
    assert found.path is not None
    found.close()
    return found.path


def overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def execute(path: Path, text: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(text)
    connection.close()


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no file": lambda path: path.unlink(),
    "no folder": lambda path: shutil.rmtree(path.parent),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a head of garbage": lambda path: overwrite(path, 0, b"garbage" * 20),
    "garbage within": lambda path: overwrite(path, 20_000, os.urandom(40_000)),
    "zeros within": lambda path: overwrite(path, 16_384, bytes(16_384)),
    "no table": lambda path: execute(path, "DROP TABLE runs"),
    "no rows": lambda path: execute(path, "DELETE FROM runs"),
    "other rows": lambda path: execute(path, "UPDATE runs SET name = 'forged', record = '{}'"),
    "no state": lambda path: execute(path, "DELETE FROM state"),
    "an older version": lambda path: execute(path, "PRAGMA user_version = 0"),
    "a newer version": lambda path: execute(path, "PRAGMA user_version = 99; DROP TABLE runs; CREATE TABLE runs (x)"),
    "no pointer": lambda path: path.with_name(database.POINTER).unlink(),
    "a pointer of garbage": lambda path: path.with_name(database.POINTER).write_bytes(b"\xff{"),
    "a pointer to elsewhere": lambda path: path.with_name(database.POINTER).write_text(
        '{"version": 1, "file": "../x"}'
    ),
    "a folder for a file": replace_by_folder,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_index_is_made_again(filled: GitRepo, damage: str) -> None:
    DAMAGE[damage](file_of(filled))

    assert indexed(filled) == refs_of_runs(filled)
    index = Index(open_repo(filled.path).git)
    assert {found.name for found in index.runs()} == {f"run-{number}-v0" for number in range(40)}
    assert file_of(filled).exists(), "and is kept again"


def test_bytes_that_flip_are_noticed_wherever_they_are(filled: GitRepo) -> None:
    chance = random.Random(0)
    expected = refs_of_runs(filled)
    for _ in range(30):
        path = file_of(filled)
        at = chance.randrange(path.stat().st_size)
        overwrite(path, at, chance.randbytes(chance.choice([1, 8, 200])))
        assert indexed(filled) == expected


def test_what_is_damaged_while_it_is_read_is_made_again(filled: GitRepo) -> None:
    index = Index(open_repo(filled.path).git)
    overwrite(file_of(filled), 0, bytes(120_000))

    assert len(index.runs()) == 40


def test_a_garbled_row_that_looks_as_we_left_it_is_not_shown(filled: GitRepo) -> None:
    path = file_of(filled)
    execute(path, "UPDATE runs SET record = '[1]'")
    database._point_to(path)

    assert indexed(filled) == refs_of_runs(filled)


def test_a_repository_that_cannot_be_written_is_listed_from_memory(filled: GitRepo, tmp_path: Path) -> None:
    shutil.rmtree(filled.path / ".git/gittrack")
    if os.geteuid() == 0:
        folder = tmp_path / "readonly"
        folder.mkdir()
        script = 'mount --bind "$1" "$2" && mount -o remount,bind,ro "$2" && cd "$2" && git track ls --format "%(id)"'
        words = ["unshare", "-rm", "sh", "-c", script, "sh", str(filled.path), str(folder)]
        done = run(words, cwd=tmp_path, check=False)
        if "unshare" in done.stderr or "mount" in done.stderr:
            pytest.skip("no namespaces here")
    else:
        (filled.path / ".git").chmod(0o500)
        try:
            done = filled.track("ls", "--format", "%(id)")
        finally:
            (filled.path / ".git").chmod(0o700)

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) == 40
    assert not (filled.path / ".git/gittrack/index").exists()


def test_an_index_that_cannot_be_written_any_more_is_gone_on_with_in_memory(
    filled: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    before = (filled.path / ".git/gittrack/index/current").read_bytes()
    move(filled, {f"refs/runs/{min(refs_of_runs(filled))}": None})

    assert indexed(filled) == refs_of_runs(filled)
    assert (filled.path / ".git/gittrack/index/current").read_bytes() == before


def test_without_room_on_the_disk_the_listing_is_right(filled: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("there is no /dev/full here")
    shutil.rmtree(filled.path / ".git/gittrack/index")
    monkeypatch.setattr(database, "_sync", lambda _: Path("/dev/full").write_bytes(b"x"))

    assert indexed(filled) == refs_of_runs(filled)
    assert list((filled.path / ".git/gittrack/index").glob("*.db")) == [], "what could not be filled is removed"


def test_files_of_earlier_times_are_removed(filled: GitRepo) -> None:
    folder = filled.path / ".git/gittrack/index"
    (folder / "old.db").write_bytes(b"")
    os.utime(folder / "old.db", (1, 1))
    (folder / "new.db").write_bytes(b"")
    overwrite(file_of(filled), 0, b"x")
    before = {path.name for path in folder.glob("*.db")}

    indexed(filled)

    after = {path.name for path in folder.glob("*.db")}
    assert "old.db" not in after
    assert "new.db" in after, "another process may be filling it"
    assert len(after) == 2
    assert after != before


def test_the_version_stands_in_the_file(filled: GitRepo) -> None:
    connection = sqlite3.connect(file_of(filled))
    assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    connection.close()


def test_many_processes_may_make_and_read_it_at_once(filled: GitRepo) -> None:
    shutil.rmtree(filled.path / ".git/gittrack")
    script = (
        "for n in 1 2 3 4 5 6; do git track ls --format '%(id)' > out$n 2>&1 & done; wait; "
        "for n in 1 2 3 4 5 6; do cmp out1 out$n || exit 1; done; wc -l < out1"
    )

    assert run(["sh", "-c", script], cwd=filled.path).stdout.split() == ["40"]


def test_very_many_runs_are_read_by_several_processes(filled: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(filled.path / ".git/gittrack")
    monkeypatch.setattr(updating, "_PART", 2)
    monkeypatch.setattr(workers, "_cores", lambda: 3)
    monkeypatch.setattr(workers, "_is_alone", lambda: True)
    real, mine = updating._read, []

    def slowly(*arguments: Any) -> updating._Found:
        mine.append(os.getpid())
        time.sleep(0.02)
        return real(*arguments)

    monkeypatch.setattr(updating, "_read", slowly)
    assert indexed(filled) == refs_of_runs(filled)
    assert 0 < len(mine) < 20, "the others read some of the twenty parts"


def test_processes_that_change_runs_while_others_list_never_lose_one(filled: GitRepo) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom tests.index.making import *\n"
        "repo = GitRepo(Path.cwd())\n"
        "mine = Path('names').read_text().split()[int(sys.argv[1]) :: 4]\n"
        "for turn in range(6):\n"
        "    oids = refs_of_runs(repo)\n"
        "    move(repo, {f'refs/runs/{n}': None for n in mine[:turn]})\n"
        "    found = indexed(repo)\n"
        "    assert not set(mine[:turn]) & set(found), 'a run that is gone is listed'\n"
        "    move(repo, {f'refs/runs/{n}': oids[n] for n in mine[:turn]})\n"
        "    found = indexed(repo)\n"
        "    assert {n: found.get(n) for n in mine} == {n: oids[n] for n in mine}\n"
    )
    (filled.path / "change.py").write_text(script, encoding="utf-8")
    (filled.path / "names").write_text(" ".join(refs_of_runs(filled)), encoding="utf-8")
    root = Path(__file__).parents[2]
    command = "for n in 0 1 2 3; do python change.py $n || echo failed & done; wait"

    assert run(["sh", "-c", command], cwd=filled.path, env={"PYTHONPATH": str(root)}).stdout == ""
    assert indexed(filled) == refs_of_runs(filled)


def on_a_network_disk(monkeypatch: pytest.MonkeyPatch, repo: GitRepo, base: Path) -> Path:
    """Makes the repository's disk, and no other, one of another machine; returns the folder for what is local."""
    monkeypatch.setattr(database, "may_stall", lambda path: repo.path in path.parents)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
    repository._places.clear()
    return base / f"gittrack-{os.getuid()}"


def test_for_a_repository_on_a_network_disk_the_index_is_on_this_machine(
    filled: GitRepo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.rmtree(filled.path / ".git/gittrack")
    own = on_a_network_disk(monkeypatch, filled, tmp_path)

    assert indexed(filled) == refs_of_runs(filled)
    assert not (filled.path / ".git/gittrack").exists()
    assert own.stat().st_mode & 0o777 == 0o700
    [pointer] = own.glob("*/current")
    before = pointer.read_bytes()
    move(filled, {f"refs/runs/{min(refs_of_runs(filled))}": None})
    assert indexed(filled) == refs_of_runs(filled)
    assert pointer.read_bytes() != before


def test_a_folder_that_somebody_else_can_enter_is_not_used(
    filled: GitRepo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = on_a_network_disk(monkeypatch, filled, tmp_path)
    own.mkdir()
    own.chmod(0o755)

    assert indexed(filled) == refs_of_runs(filled)
    assert list(own.iterdir()) == []
