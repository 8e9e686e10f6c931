"""`git track fsck --artifacts`: what a disk did to large files is found, set aside, and mended from a store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.pointing import keep, payloads_of, pointer_to, pointing, put
from tests.runs import ask, attempt

WEIGHTS = b"weights " * 10_000
OTHER = b"other " * 10_000
NAME = pointer_to(WEIGHTS).sha256


@pytest.fixture
def lab(repo: GitRepo, tmp_path: Path) -> Path:
    """A folder that is the store `lab` of `repo`, which has a run with two large files."""
    pointing(repo, {"a.pt": WEIGHTS, "b.pt": OTHER}, name="one")
    repo.git("config", "track.store.lab.url", str(tmp_path / "lab"))
    put(tmp_path / "lab", OTHER)
    return tmp_path / "lab"


def damage(file: Path) -> None:
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[::-1])
    file.chmod(0o444)


def test_sound_payloads_here_and_in_stores_are_sound(repo: GitRepo, lab: Path) -> None:
    keep(repo, WEIGHTS)
    code, out, err = attempt(repo, "fsck", "--artifacts")
    assert (code, out, err) == (0, "", "1 run(s) are sound\n1 payload(s) are sound\n")


def test_a_damaged_payload_is_set_aside_and_got_again(repo: GitRepo, lab: Path) -> None:
    put(lab, WEIGHTS)
    file = keep(repo, WEIGHTS)
    damage(file)
    code, _, err = attempt(repo, "fsck", "--artifacts")
    assert (code, err.splitlines()) == (
        0,
        [
            f"payload {NAME[:12]} was damaged, and was got again",
            "1 run(s) are sound",
            "1 payload(s) are sound",
        ],
    )
    assert file.read_bytes() == WEIGHTS
    assert (payloads_of(repo).root.parent / "damaged" / NAME).read_bytes() == WEIGHTS[::-1]
    assert "damaged" not in attempt(repo, "fsck", "--artifacts")[2]


def test_what_no_store_has_is_named(repo: GitRepo, lab: Path) -> None:
    file = keep(repo, WEIGHTS)
    damage(file)
    code, out, err = attempt(repo, "fsck", "--artifacts")
    assert code == 1
    assert out.startswith("artifact 'a.pt' of run r")
    assert out.endswith(
        f" was damaged here, and did not come again: payload {NAME[:12]} is in no store that was asked"
        f" (asked: '{lab}')\n"
    )
    assert err.splitlines() == [
        "error: the content of 1 artifact is whole neither here nor in a store that was asked",
        "hint: a clone that has it sends it with `git track push`",
    ]
    assert not file.exists()
    code, out, _ = attempt(repo, "fsck", "--artifacts", "--json")
    assert (code, f" is missing here and in every store that was asked ({lab})" in json.loads(out)[0]["problem"]) == (
        1,
        True,
    )
    repo.git("config", "--unset", "track.store.lab.url")
    assert "artifact 'b.pt' of run r" in (out := attempt(repo, "fsck", "--artifacts")[1])
    assert "is missing here, and no store is known" in out


def test_what_a_store_has_only_in_part_is_told(repo: GitRepo, lab: Path) -> None:
    for size in (10, 0):
        put(lab, WEIGHTS).write_bytes(WEIGHTS[:size])
        code, out, _ = attempt(repo, "fsck", "--artifacts")
        assert (code, out.endswith(f" is not here, and '{lab}' has it with {size} bytes, not {len(WEIGHTS)}\n")) == (
            1,
            True,
        )


def test_a_store_that_has_it_damaged_too_does_not_mend_it(repo: GitRepo, lab: Path) -> None:
    damage(keep(repo, WEIGHTS))
    damage(put(lab, WEIGHTS))
    code, out, _ = attempt(repo, "fsck", "--artifacts")
    assert (code, f"did not come again: '{lab}' gave a wrong payload" in out) == (1, True)
    assert payloads_of(repo).find(pointer_to(WEIGHTS)) is None


def test_a_damaged_payload_that_no_run_needs_is_set_aside(repo: GitRepo, lab: Path) -> None:
    put(lab, WEIGHTS)
    damage(keep(repo, b"old" * 100))
    code, _, err = attempt(repo, "fsck", "--artifacts")
    assert (code, "no run needs it; it was set aside" in err) == (0, True)


def test_what_may_be_in_a_store_that_does_not_answer_is_no_loss(repo: GitRepo, lab: Path, tmp_path: Path) -> None:
    repo.git("config", "track.store.lab.url", str(tmp_path / "away" / "lab"))
    code, _, err = attempt(repo, "fsck", "--artifacts")
    assert code == 0
    assert "2 payload(s) are not here, and may be in a store that did not answer" in err


def test_payloads_of_archived_runs_are_looked_at_too(repo: GitRepo, lab: Path) -> None:
    ask(repo, "archive", "one")
    code, out, _ = attempt(repo, "fsck", "--artifacts")
    assert (code, "artifact 'a.pt'" in out) == (1, True)


def test_without_artifacts_no_payload_is_read(repo: GitRepo, lab: Path) -> None:
    file = keep(repo, WEIGHTS)
    damage(file)
    assert attempt(repo, "fsck") == (0, "", "1 run(s) are sound\n")
    assert file.exists()
