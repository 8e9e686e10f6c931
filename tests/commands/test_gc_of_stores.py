"""`git track gc --remote`: what nothing needs goes from a store, two weeks after that was noted, and never earlier."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gittrack.codec.pointer import encode_pointer
from gittrack.commands import common
from tests.gitcmd import GitRepo
from tests.pointing import keep, pointer_to, pointing, put
from tests.runs import ask, attempt

NEEDED = b"needed " * 100
OLD = b"old " * 100


@pytest.fixture
def lab(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> Path:
    """A folder that is the store `lab` of `repo` alone; a run needs one of the two payloads in it."""
    repo.git("config", "track.store.lab.url", str(tmp_path / "lab"))
    repo.git("config", "track.store.lab.collect", "true")
    pointing(repo, {"model.pt": NEEDED}, name="one")
    put(tmp_path / "lab", NEEDED)
    put(tmp_path / "lab", OLD)
    return tmp_path / "lab"


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the clock of commands to so many days from now."""
    return lambda days: monkeypatch.setattr(common, "now", lambda: datetime.now(UTC) + timedelta(days=days))


def stored(lab: Path) -> set[bytes]:
    return {path.read_bytes() for path in lab.rglob("*") if path.is_file()}


def test_it_is_noted_first_and_deleted_two_weeks_later(repo: GitRepo, lab: Path, after: Callable[[int], None]) -> None:
    said = "in 'lab' nothing needs 1 payload, 400 B, now; `git track gc --remote` deletes that two weeks after"
    assert said in attempt(repo, "gc", "--remote")[2]
    after(13)
    assert said in attempt(repo, "gc", "--remote")[2]
    assert stored(lab) == {NEEDED, OLD}
    after(15)
    assert "deleted 1 payload, 400 B, from 'lab'\n" in ask(repo, "gc", "--remote")
    assert stored(lab) == {NEEDED}
    file = repo.path / ".git/gittrack/unneeded/lab.json"
    assert json.loads(file.read_bytes()) == {"v": 1, "store": str(lab), "since": {}}


def test_what_is_old_in_the_store_is_not_deleted_at_first_sight(
    repo: GitRepo, lab: Path, after: Callable[[int], None]
) -> None:
    after(100)
    ask(repo, "gc", "--remote")
    assert stored(lab) == {NEEDED, OLD}


def test_what_is_needed_in_between_begins_anew(repo: GitRepo, lab: Path, after: Callable[[int], None]) -> None:
    ask(repo, "gc", "--remote")
    pointing(repo, {"model.pt": OLD}, name="two")
    after(15)
    ask(repo, "gc", "--remote")
    ask(repo, "rm", "two")
    ask(repo, "gc", "--remote")
    assert stored(lab) == {NEEDED, OLD}
    after(30)
    ask(repo, "gc", "--remote")
    assert stored(lab) == {NEEDED}


def test_what_a_colleague_pushed_meanwhile_is_needed(
    repo: GitRepo, lab: Path, colleague: GitRepo, after: Callable[[int], None]
) -> None:
    ask(repo, "gc", "--remote")
    pointing(colleague, {"model.pt": OLD}, name="theirs")
    colleague.git("push", "--quiet", "origin", "refs/runs/*:refs/runs/*")
    after(15)
    ask(repo, "gc", "--remote")
    assert stored(lab) == {NEEDED, OLD}


def test_a_branch_that_is_not_here_may_need_it(
    repo: GitRepo, lab: Path, colleague: GitRepo, after: Callable[[int], None]
) -> None:
    ask(repo, "gc", "--remote")
    colleague.git("switch", "--quiet", "-c", "side")
    colleague.commit({"model.pt": encode_pointer(pointer_to(OLD)).decode()}, "add")
    colleague.git("push", "--quiet", "origin", "side")
    after(15)
    code, _, err = attempt(repo, "gc", "--remote")
    assert (code, err.splitlines()[-2]) == (
        4,
        "error: 'refs/heads/side' of 'origin' is not here, and may need what would be deleted",
    )
    repo.git("fetch", "--quiet", "origin")
    ask(repo, "gc", "--remote")
    assert stored(lab) == {NEEDED, OLD}


def test_a_shallow_clone_deletes_nothing(repo: GitRepo, lab: Path, bare_remote: GitRepo, tmp_path: Path) -> None:
    repo.commit({"a.txt": "more"}, "more")
    repo.git("push", "--quiet")
    cut = GitRepo.clone(f"file://{bare_remote.path}", tmp_path / "cut", "--depth=1")
    cut.git("config", "track.store.lab.url", str(lab))
    cut.git("config", "track.store.lab.collect", "true")
    code, _, err = attempt(cut, "gc", "--remote")
    assert (code, "cannot be told in a shallow clone" in err) == (128, True)


def test_a_store_that_others_may_use_is_left_alone(repo: GitRepo, lab: Path, after: Callable[[int], None]) -> None:
    keep(repo, NEEDED)
    repo.git("config", "--unset", "track.store.lab.collect")
    said = attempt(repo, "gc", "--remote")[2]
    assert (
        "'lab' keeps all payloads; if it is this repository's alone, `git config track.store.lab.collect true`" in said
    )
    after(15)
    ask(repo, "gc", "--remote")
    assert stored(lab) == {NEEDED, OLD}
    assert not (repo.path / ".git/gittrack/unneeded").exists()


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("https://lfs.invalid/x", "its administrators may clean up"),
        ("https://github.com/o/p.git/info/lfs", "GitHub keeps them as long as the repository"),
        ("https://notgithub.com/o/p.git/info/lfs", "its administrators may clean up"),
    ],
)
def test_of_an_lfs_server_it_is_said_what_its_host_does(
    repo: GitRepo, bare_remote: GitRepo, address: str, rule: str
) -> None:
    keep(repo, NEEDED)
    repo.git("config", "remote.origin.lfsurl", address)
    said = attempt(repo, "gc", "--remote")[2]
    assert f"the LFS server lfs+{address} cannot be told to delete: {rule}\n" in said
