"""`git track gc`: the room of large files that nothing needs, or that a store has too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gittrack.commands import common
from tests.gitcmd import GitRepo
from tests.pointing import keep, payloads_of, pointer_to, pointing, put
from tests.runs import ask, attempt

WEIGHTS = b"weights " * 100
OTHER = b"other " * 100


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hours have passed for commands, so that what a test placed was not used for an hour."""
    monkeypatch.setattr(common, "now", lambda: datetime.now(UTC) + timedelta(hours=2))


@pytest.fixture
def lab(repo: GitRepo, tmp_path: Path) -> Path:
    """A folder that is the store `lab` of `repo`."""
    repo.git("config", "track.store.lab.url", str(tmp_path / "lab"))
    return tmp_path / "lab"


def test_what_is_freed_is_said_and_before_that_what_would_be(repo: GitRepo, later: None) -> None:
    pointing(repo, {"model.pt": WEIGHTS}, name="one")
    kept, gone = keep(repo, WEIGHTS), keep(repo, OTHER)
    assert "would free 1 payload, 600 B, that nothing needs\n" in ask(repo, "gc", "-n")
    assert gone.exists()
    assert ask(repo, "gc") == "freed 1 payload, 600 B, that nothing needs\n"
    assert (kept.exists(), gone.exists()) == (True, False)
    assert attempt(repo, "gc")[1:] == ("", "nothing to delete\n")


def test_the_payload_of_a_run_goes_when_the_run_goes_for_good(repo: GitRepo, later: None) -> None:
    pointing(repo, {"model.pt": WEIGHTS}, name="one")
    file = keep(repo, WEIGHTS)
    ask(repo, "rm", "one")
    assert "would free 1 payload, 800 B, that nothing needs\n" in ask(repo, "gc", "-n")
    assert file.exists()
    assert "freed 1 payload, 800 B, that nothing needs\n" in ask(repo, "gc")
    assert not file.exists()


def test_a_payload_that_another_run_uses_stays(repo: GitRepo, later: None) -> None:
    pointing(repo, {"model.pt": WEIGHTS}, name="one")
    pointing(repo, {"best.pt": WEIGHTS}, name="two")
    file = keep(repo, WEIGHTS)
    ask(repo, "rm", "one")
    assert "payload" not in ask(repo, "gc")
    assert file.exists()


def test_what_was_used_just_now_stays(repo: GitRepo) -> None:
    pointing(repo, {"model.pt": WEIGHTS}, name="one")
    needed, file = keep(repo, WEIGHTS), keep(repo, OTHER)
    said = "1 payload, 600 B, that nothing needs, was used within the last hour; `git track gc` frees that later\n"
    assert attempt(repo, "gc")[1:] == ("", said)
    assert attempt(repo, "gc", "-n")[2] == said
    assert attempt(repo, "gc", "-q")[1:] == ("", "")
    assert (needed.exists(), file.exists()) == (True, True)


def test_what_a_store_has_too_stays_for_an_hour_after_it_was_used(repo: GitRepo, lab: Path) -> None:
    pointing(repo, {"a.pt": WEIGHTS}, name="one")
    file = keep(repo, WEIGHTS)
    put(lab, WEIGHTS)
    for words in (("gc", "--artifacts"), ("gc", "--artifacts", "-n")):
        assert (
            "1 payload, 800 B, that a store has too, was used within the last hour; "
            "`git track gc --artifacts` frees that later\n"
        ) in attempt(repo, *words)[2]
    assert file.exists()


def test_damaged_payloads_are_told_of_and_go_after_two_weeks(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(repo, OTHER)
    aside = payloads_of(repo).quarantine(pointer_to(OTHER).sha256)
    said = f"'{aside.parent}' holds 1 file, 600 B, damaged; they go 14 days after they came\n"
    assert attempt(repo, "gc")[1:] == ("", said)
    assert aside.exists()
    monkeypatch.setattr(common, "now", lambda: datetime.now(UTC) + timedelta(days=15))
    what = "1 file, 600 B, damaged, that were set aside 14 days ago or before\n"
    assert f"would free {what}" in ask(repo, "gc", "-n")
    assert attempt(repo, "gc")[1:] == (f"freed {what}", "")
    assert not aside.exists()


def test_where_it_cannot_be_told_what_is_needed_everything_stays(repo: GitRepo, later: None) -> None:
    file = keep(repo, OTHER)
    (repo.path / ".git/refs/heads/broken").write_text("1" * 40 + "\n", "ascii")
    code, _, err = attempt(repo, "gc")
    assert (code, err.splitlines()[0]) == (0, "warning: payloads stay: git rev-list failed")
    assert file.exists()
    repo.git("update-ref", "-d", "refs/heads/broken")


def test_artifacts_that_a_store_has_make_room_and_come_back(repo: GitRepo, lab: Path, later: None) -> None:
    pointing(repo, {"a.pt": WEIGHTS, "b.pt": OTHER}, name="one")
    kept, gone = keep(repo, OTHER), keep(repo, WEIGHTS)
    put(lab, WEIGHTS)
    words = "1 payload, 800 B, that a store has too; `git track get` brings them back\n"
    assert f"would free {words}" in ask(repo, "gc", "-n", "--artifacts")
    assert gone.exists()
    code, out, err = attempt(repo, "gc", "--artifacts")
    assert (code, out) == (0, f"freed {words}")
    assert err == "1 payload, 600 B, are in no store that is known here; `git track push` sends them\n"
    assert (kept.exists(), gone.exists()) == (True, False)


def test_artifacts_stay_where_no_store_answers(repo: GitRepo, later: None) -> None:
    pointing(repo, {"a.pt": WEIGHTS}, name="one")
    file = keep(repo, WEIGHTS)
    code, _, err = attempt(repo, "gc", "--artifacts")
    assert (code, err.splitlines()[0]) == (3, "error: no store is known here")
    repo.git("config", "track.store.lab.url", str(repo.path / "away" / "lab"))
    assert attempt(repo, "gc", "--artifacts")[0] == 4
    assert file.exists()
    assert len(list(payloads_of(repo).all())) == 1
