"""Payloads go to their store before their runs go to the remote."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from gittrack.codec.pointer import Pointer
from gittrack.payloads import Payloads
from tests import recording
from tests.gitcmd import GitRepo
from tests.hooking import install, push
from tests.runs import ask, attempt, shown

SIZE = 100_000


def file_of(folder: Path, seed: int, name: str | None = None) -> str:
    """Writes a file above the inline limit and returns its path."""
    path = folder / (name or f"{seed}.bin")
    path.write_bytes(hashlib.shake_256(str(seed).encode()).digest(SIZE))
    return str(path)


def pointer_of(seed: int) -> Pointer:
    return Pointer(hashlib.sha256(hashlib.shake_256(str(seed).encode()).digest(SIZE)).hexdigest(), SIZE)


def stored(folder: Path) -> set[str]:
    """Returns the payloads in a folder that is a store, having hashed each."""
    found = {path for path in folder.rglob("*") if path.is_file() and path.suffix != ".part"}
    for path in found:
        assert path.relative_to(folder).as_posix() == f"{path.name[:2]}/{path.name[2:4]}/{path.name}"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    return {path.name for path in found}


def published(remote: GitRepo) -> set[str]:
    return set(remote.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/runs/").split())


def test_a_push_to_a_path_stores_payloads_where_git_lfs_looks_for_them(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    run = recording.make(repo, {"loss": [1.0]}, files=[file_of(tmp_path, 1), file_of(tmp_path, 2)])
    code, out, err = attempt(repo, "push")
    assert code == 0, err
    assert out.splitlines() == ["sent 2 artifacts, 195.3 KiB, to 'origin'", f"pushed {run.id} {run.name}"]
    assert stored(bare_remote.path / "lfs/objects") == {pointer_of(1).sha256, pointer_of(2).sha256}
    assert published(bare_remote) == {run.id}


def test_what_the_store_has_is_not_sent_again(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    recording.make(repo, files=[file_of(tmp_path, 1)])
    ask(repo, "push")
    (path,) = [path for path in (bare_remote.path / "lfs/objects").rglob("*") if path.is_file()]
    before = path.stat()
    run = recording.make(repo, files=[file_of(tmp_path, 1, "renamed.bin")])
    assert ask(repo, "push") == f"pushed {run.id} {run.name}\n"
    assert path.stat() == before


def test_the_store_that_is_configured_gets_them_and_large_ones_go_elsewhere(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    (tmp_path / "large.bin").write_bytes(b"x" * 300_000)
    repo.git("config", "track.store.lab.url", str(tmp_path / "lab"))
    repo.git("config", "track.store.bulk.url", f"file://{tmp_path}/bulk")
    repo.git("config", "track.store.bulk.minSize", "200K")
    recording.make(repo, files=[file_of(tmp_path, 1), str(tmp_path / "large.bin")])
    ask(repo, "push")
    assert stored(tmp_path / "lab") == {pointer_of(1).sha256}
    assert stored(tmp_path / "bulk") == {hashlib.sha256(b"x" * 300_000).hexdigest()}
    assert not (bare_remote.path / "lfs").exists()


def test_a_run_whose_payload_cannot_be_stored_stays_and_the_others_go(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    plain = recording.make(repo, {"loss": [1.0]})
    heavy = recording.make(repo, files=[file_of(tmp_path, 1)])
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    repo.git("config", "track.store.lab.url", str(tmp_path / "file" / "store"))
    code, out, err = attempt(repo, "push")
    assert (code, out) == (4, f"pushed {plain.id} {plain.name}\n")
    assert "error: 1 run(s) stay here, because their artifacts do" in err
    assert published(bare_remote) == {plain.id}
    assert attempt(repo, "push", "--no-artifacts")[0] == 0
    assert published(bare_remote) == {plain.id, heavy.id}


def test_only_the_artifacts_that_are_asked_for_go(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    run = recording.make(repo, files=[file_of(tmp_path, 1, "best.pt"), file_of(tmp_path, 2, "last.pt")])
    ask(repo, "push", "--artifacts", "best.pt")
    assert stored(bare_remote.path / "lfs/objects") == {pointer_of(1).sha256}
    assert published(bare_remote) == {run.id}


def test_artifacts_that_were_left_out_can_follow(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    run = recording.make(repo, files=[file_of(tmp_path, 1), file_of(tmp_path, 2)])
    _, _, err = attempt(repo, "push", "--no-artifacts")
    assert "1 run(s) go without their artifacts; `git track push origin --artifacts '*'` sends these later" in err
    assert attempt(repo, "push")[2] == "everything up-to-date\n"
    assert ask(repo, "push", "--artifacts", "1.bin") == "sent 1 artifact, 97.7 KiB, to 'origin'\n"
    assert ask(repo, "push", run.id) == "sent 1 artifact, 97.7 KiB, to 'origin'\n"
    assert stored(bare_remote.path / "lfs/objects") == {pointer_of(1).sha256, pointer_of(2).sha256}


def test_a_store_that_lost_what_it_had_gets_it_again(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    recording.make(repo, files=[file_of(tmp_path, 1)])
    ask(repo, "push")
    shutil.rmtree(bare_remote.path / "lfs")
    assert ask(repo, "push", "origin", "--artifacts", "*") == "sent 1 artifact, 97.7 KiB, to 'origin'\n"
    assert stored(bare_remote.path / "lfs/objects") == {pointer_of(1).sha256}


def test_a_dry_run_says_how_much_would_go_and_sends_nothing(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    recording.make(repo, files=[file_of(tmp_path, 1)])
    out = ask(repo, "push", "-n")
    assert "would send up to 1 artifact(s), 97.7 KiB, to 'origin'" in out
    assert not (bare_remote.path / "lfs").exists()


def test_an_edit_of_a_run_whose_payload_is_elsewhere_goes(
    repo: GitRepo, bare_remote: GitRepo, colleague: GitRepo, tmp_path: Path
) -> None:
    run = recording.make(repo, files=[file_of(tmp_path, 1)])
    ask(repo, "push", "--no-artifacts")
    ask(colleague, "pull")
    ask(colleague, "tag", run.id, "good")
    code, _, err = attempt(colleague, "push")
    assert code == 0, err
    ask(repo, "pull")
    assert shown(repo, run.id)["tags"] == ["good"]


def test_the_payload_of_an_earlier_version_goes_too(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    recording.make(repo, files=[file_of(tmp_path, 1, "a.bin")], id="again")
    recording.make(repo, files=[file_of(tmp_path, 2, "a.bin")], id="again", resume="must")
    ask(repo, "push")
    assert stored(bare_remote.path / "lfs/objects") == {pointer_of(1).sha256, pointer_of(2).sha256}


def test_a_payload_that_is_damaged_here_goes_nowhere(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    recording.make(repo, files=[file_of(tmp_path, 1)])
    path = Payloads(repo.path / ".git").path(pointer_of(1).sha256)
    path.chmod(0o644)
    path.write_bytes(b"y" * SIZE)
    code, _, err = attempt(repo, "push")
    assert code == 4
    assert "is damaged here" in err
    assert published(bare_remote) == set()
    assert stored(bare_remote.path / "lfs/objects") == set()


@pytest.mark.parametrize("archived", [False, True])
def test_archived_runs_bring_their_payloads(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path, *, archived: bool
) -> None:
    for seed in range(3):
        recording.make(repo, files=[file_of(tmp_path, seed)])
    if archived:
        ask(repo, "archive")
    ask(repo, "push")
    assert stored(bare_remote.path / "lfs/objects") == {pointer_of(seed).sha256 for seed in range(3)}


def test_a_push_of_code_brings_only_runs_whose_payloads_are_stored(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    install(repo, "pre-push")
    light = recording.make(repo, {"loss": [1.0]})
    heavy = recording.make(repo, files=[file_of(tmp_path, 1)])
    repo.commit({"new.py": "1\n"}, "more")
    done = push(repo)
    assert "1 run(s) with artifacts stay here: `git track push` sends both" in done.stderr
    assert published(bare_remote) == {light.id}
    ask(repo, "push")
    assert published(bare_remote) == {light.id, heavy.id}


def test_a_bundle_says_that_it_has_no_payloads(repo: GitRepo, tmp_path: Path) -> None:
    recording.make(repo, files=[file_of(tmp_path, 1)])
    recording.make(repo)
    _, _, err = attempt(repo, "push", "--bundle", str(tmp_path / "runs.bundle"))
    assert "1 run(s) go without their artifacts: a bundle has none" in err
