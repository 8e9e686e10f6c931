"""Payloads that nothing needs go, and never one that something does: whatever git keeps, or a run is about to name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gittrack import journal, sweeping
from gittrack.codec import frame
from gittrack.codec.pointer import encode_pointer
from gittrack.errors import GitFailed
from gittrack.git import Git
from gittrack.repo import open_repo
from gittrack.transports.folder import Folder
from gittrack.transports.protocol import TransportError
from tests.gitcmd import GitRepo, run
from tests.plumbing import blob
from tests.pointing import keep, payloads_of, pointer_to, pointing, put
from tests.runs import ask

WEIGHTS = b"weights " * 100
OTHER = b"other " * 100
HOUR = 3600.0


def git_of(repo: GitRepo) -> Git:
    return open_repo(repo.path).git


def later() -> float:
    """Returns a time at which what was placed just now was not used for an hour."""
    return time.time() + HOUR + 1


def swept(repo: GitRepo, *, now: float | None = None) -> sweeping.Room:
    return sweeping.sweep(git_of(repo), payloads_of(repo), now=later() if now is None else now)


def test_what_nothing_names_goes_and_what_a_run_names_stays(repo: GitRepo) -> None:
    pointing(repo, {"model.pt": WEIGHTS}, name="one")
    kept, gone = keep(repo, WEIGHTS), keep(repo, OTHER)
    assert swept(repo) == sweeping.Room(1, len(OTHER))
    assert (kept.read_bytes(), gone.exists()) == (WEIGHTS, False)
    assert swept(repo) == sweeping.Room()


def test_what_was_used_within_an_hour_stays(repo: GitRepo) -> None:
    file = keep(repo, OTHER)
    assert swept(repo, now=time.time() + HOUR - 60) == sweeping.Room()
    assert file.exists()


def test_an_old_file_that_was_linked_into_place_counts_as_new(repo: GitRepo, tmp_path: Path) -> None:
    payloads = payloads_of(repo)
    source = tmp_path / "model.pt"
    source.write_bytes(OTHER)
    os.utime(source, (1_000_000_000, 1_000_000_000))
    temporary = payloads.incoming() / "tmp-link"
    os.link(source, temporary)
    payloads.place(temporary, pointer_to(OTHER))
    assert swept(repo, now=time.time()) == sweeping.Room()
    assert swept(repo) == sweeping.Room(1, len(OTHER))


def _on_a_branch(repo: GitRepo, text: str) -> None:
    repo.git("switch", "--quiet", "-c", "side")
    repo.commit({"model.pt": text}, "side: add")
    repo.git("switch", "--quiet", "main")


def _under_a_tag_that_is_no_commit(repo: GitRepo, text: str) -> None:
    repo.git("tag", "weights", blob(repo, text.encode()))


def _in_the_stash(repo: GitRepo, text: str) -> None:
    (repo.path / "model.pt").write_text(text, "utf-8")
    repo.git("stash", "push", "--quiet", "--include-untracked")


def _in_an_older_stash(repo: GitRepo, text: str) -> None:
    _in_the_stash(repo, text)
    (repo.path / "train.py").write_text("changed", "utf-8")
    repo.git("stash", "push", "--quiet")


def _in_the_index(repo: GitRepo, text: str) -> None:
    (repo.path / "model.pt").write_text(text, "utf-8")
    repo.git("add", "model.pt")


def _in_the_index_of_another_work_tree(repo: GitRepo, text: str) -> None:
    tree = repo.path.parent / "tree"
    repo.git("worktree", "add", "--quiet", "--detach", str(tree))
    _in_the_index(GitRepo(tree), text)


def _checked_out_in_another_work_tree(repo: GitRepo, text: str) -> None:
    tree = repo.path.parent / "tree"
    repo.git("worktree", "add", "--quiet", "--detach", str(tree))
    GitRepo(tree).commit({"model.pt": text}, "add")
    run(["git", "reflog", "expire", "--expire=now", "--all"], cwd=tree)


def _in_a_reflog(repo: GitRepo, text: str) -> None:
    repo.commit({"model.pt": text}, "add")
    repo.git("reset", "--quiet", "--hard", "HEAD^")


def _in_the_trash(repo: GitRepo, text: str) -> None:
    _at(repo, "refs/gittrack/trash/20000/r000000000000", text)


def _on_the_mirror_of_a_remote(repo: GitRepo, text: str) -> None:
    _at(repo, "refs/gittrack/origin/runs/r000000000000", text)


def _pinned_for_a_live_run(repo: GitRepo, text: str) -> None:
    _at(repo, "refs/gittrack/live/r000000000000", text)


def _at(repo: GitRepo, ref: str, text: str) -> None:
    head = repo.git("rev-parse", "HEAD")
    repo.git("switch", "--quiet", "--detach")
    repo.git("update-ref", ref, repo.commit({"model.pt": text}, "add"))
    repo.git("switch", "--quiet", "main")
    assert repo.git("rev-parse", "HEAD") == head
    repo.git("reflog", "expire", "--expire=now", "--all")


def _in_a_journal(repo: GitRepo, text: str) -> None:
    _note(journal.live_root(git_of(repo).place.common_dir) / "r000000000001", text)


def _in_a_folder_that_was_set_aside(repo: GitRepo, text: str) -> None:
    _note(journal.sealed_root(git_of(repo).place.common_dir) / "r000000000001", text)


def _note(folder: Path, text: str) -> None:
    sha256 = text.split("sha256:")[1][:64]
    folder.parent.mkdir(parents=True, exist_ok=True)
    journal.create(folder, {"id": folder.name, "created": time.time()})
    writer = journal.Writer(folder)
    writer.append(
        frame.encode_json(b"J", {"k": "artifact", "t": time.time(), "path": "model.pt", "size": 1, "sha256": sha256})
    )
    writer.close()


@pytest.mark.parametrize(
    "named",
    [
        _on_a_branch,
        _under_a_tag_that_is_no_commit,
        _in_the_stash,
        _in_an_older_stash,
        _in_the_index,
        _in_the_index_of_another_work_tree,
        _checked_out_in_another_work_tree,
        _in_a_reflog,
        _in_the_trash,
        _on_the_mirror_of_a_remote,
        _pinned_for_a_live_run,
        _in_a_journal,
        _in_a_folder_that_was_set_aside,
    ],
)
def test_what_is_named_anywhere_stays(repo: GitRepo, named: Callable[[GitRepo, str], None]) -> None:
    file, gone = keep(repo, WEIGHTS), keep(repo, OTHER)
    named(repo, encode_pointer(pointer_to(WEIGHTS)).decode())
    assert swept(repo) == sweeping.Room(1, len(OTHER))
    assert (file.exists(), gone.exists()) == (True, False)


def test_a_ref_that_does_not_count_keeps_nothing(repo: GitRepo) -> None:
    one = pointing(repo, {"model.pt": WEIGHTS}, name="one")
    keep(repo, WEIGHTS)
    found = sweeping.unneeded(git_of(repo), payloads_of(repo), now=later(), without=[f"refs/runs/{one.id}"])
    assert [each.sha256 for each in found] == [pointer_to(WEIGHTS).sha256]


def test_archived_runs_keep_theirs_also_beside_a_shallow_clone(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    repo.commit({"a.txt": "more"}, "more")
    pointing(repo, {"model.pt": WEIGHTS}, name="one")
    ask(repo, "archive", "one")
    repo.git("push", "--quiet")
    ask(repo, "push", "--no-artifacts")
    cut = GitRepo.clone(f"file://{bare_remote.path}", tmp_path / "cut", "--depth=1")
    ask(cut, "pull")
    for clone in (repo, cut):
        file = keep(clone, WEIGHTS)
        keep(clone, OTHER)
        assert swept(clone) == sweeping.Room(1, len(OTHER))
        assert file.exists()


def test_in_a_partial_clone_nothing_is_fetched_to_mark(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    bare_remote.git("config", "uploadpack.allowFilter", "true")
    repo.commit({"model.pt": encode_pointer(pointer_to(WEIGHTS)).decode()}, "add")
    repo.commit({"model.pt": "replaced"}, "replace")
    repo.git("push", "--quiet")
    url = f"file://{bare_remote.path}"
    partial = GitRepo.clone(url, tmp_path / "partial", "--filter=blob:none")
    file = keep(partial, WEIGHTS)
    keep(partial, OTHER)
    missing = partial.git("rev-list", "--objects", "--all", "--missing=print").count("?")
    assert missing > 0
    assert swept(partial) == sweeping.Room(1, len(OTHER))
    assert file.exists()
    assert partial.git("rev-list", "--objects", "--all", "--missing=print").count("?") == missing
    bare = GitRepo.clone(url, tmp_path / "bare", "--filter=tree:0", "--bare")
    keep(bare, OTHER)
    with pytest.raises(GitFailed, match="cannot be told"):
        swept(bare)
    assert len(list(payloads_of(bare).all())) == 1


def test_where_a_ref_is_broken_nothing_is_swept(repo: GitRepo) -> None:
    keep(repo, OTHER)
    (repo.path / ".git/refs/heads/broken").write_text("1" * 40 + "\n", "ascii")
    with pytest.raises(GitFailed):
        swept(repo)
    assert len(list(payloads_of(repo).all())) == 1
    repo.git("update-ref", "-d", "refs/heads/broken")


# Races ----------------------------------------------------------------------------------------------------------------


def lost_at(repo: GitRepo, monkeypatch: pytest.MonkeyPatch, is_unused: Callable[..., bool]) -> list[int]:
    """Sweeps while a run comes that uses the payload, at each step in turn; returns where it is lost."""
    lost: list[int] = []
    for at in range(100):
        keep(repo, OTHER)
        git, payloads, now = git_of(repo), payloads_of(repo), later()
        counted = 0
        used: list[bool] = []

        def step() -> None:
            nonlocal counted
            counted += 1
            if counted == at + 1:  # noqa: B023 - called in this round only
                path = payloads.use(pointer_to(OTHER))  # noqa: B023
                used.append(path is not None)  # noqa: B023
                if path:
                    os.utime(path, (now, now))  # noqa: B023 - when the run is, by the clock of this test

        with monkeypatch.context() as patched:
            for name in ("replace", "unlink"):
                patched.setattr(Path, name, _after(step, getattr(Path, name)))
            patched.setattr(sweeping, "_is_unused", _after(step, is_unused))
            sweeping.sweep(git, payloads, now=now)
        if not used:  # there was no such step any more
            assert at >= 3
            return lost
        if used[0] and payloads.find(pointer_to(OTHER)) is None:
            lost.append(at)
    raise AssertionError("a sweep ends")


def _after(step: Callable[[], None], real: Callable[..., Any]) -> Callable[..., Any]:
    def do(*args: Any, **more: Any) -> Any:
        step()
        return real(*args, **more)

    return do


def test_a_run_that_uses_a_payload_while_it_is_swept_does_not_lose_it(
    repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lost_at(repo, monkeypatch, sweeping._is_unused) == []


def test_without_the_second_look_it_would_be_lost(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lost_at(repo, monkeypatch, lambda *_, **__: True) != []


def test_a_run_that_names_a_payload_while_it_is_swept_keeps_it(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    file = keep(repo, OTHER)
    text = encode_pointer(pointer_to(OTHER)).decode()
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if self == file:
            _in_a_journal(repo, text)
        return real(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        assert swept(repo) == sweeping.Room()
    assert file.read_bytes() == OTHER


def test_what_lay_aside_when_a_sweep_was_killed_comes_back(repo: GitRepo) -> None:
    pointing(repo, {"model.pt": WEIGHTS}, name="one")
    file = keep(repo, WEIGHTS)
    aside = payloads_of(repo).root / "aside"
    aside.mkdir()
    file.rename(aside / file.name)
    assert swept(repo) == sweeping.Room()
    assert file.read_bytes() == WEIGHTS


# What a store has too -------------------------------------------------------------------------------------------------


def test_what_a_store_has_is_given_back_and_what_none_has_stays(repo: GitRepo, tmp_path: Path) -> None:
    pointing(repo, {"a.pt": WEIGHTS, "b.pt": OTHER}, name="one")
    kept, gone = keep(repo, OTHER), keep(repo, WEIGHTS)
    put(tmp_path / "lab", WEIGHTS)
    freed, known = sweeping.release(git_of(repo), payloads_of(repo), [Folder(tmp_path / "lab")], now=later())
    assert (freed, known.alone) == (sweeping.Room(1, len(WEIGHTS)), sweeping.Room(1, len(OTHER)))
    assert (kept.exists(), gone.exists()) == (True, False)


def test_a_store_that_has_half_of_a_payload_does_not_have_it(repo: GitRepo, tmp_path: Path) -> None:
    file = keep(repo, WEIGHTS)
    put(tmp_path / "lab", WEIGHTS).write_bytes(WEIGHTS[:-1])
    done = sweeping.release(git_of(repo), payloads_of(repo), [Folder(tmp_path / "lab")], now=later())
    assert (done[0], file.exists()) == (sweeping.Room(), True)


def test_a_store_that_is_this_very_folder_is_no_second_copy(repo: GitRepo, tmp_path: Path) -> None:
    file = keep(repo, WEIGHTS)
    (tmp_path / "link").symlink_to(payloads_of(repo).root)
    for root in (payloads_of(repo).root, tmp_path / "link"):
        done = sweeping.release(git_of(repo), payloads_of(repo), [Folder(root)], now=later())
        assert done[0] == sweeping.Room()
        assert file.read_bytes() == WEIGHTS


def test_a_store_that_does_not_answer_keeps_no_other_from_being_asked(repo: GitRepo, tmp_path: Path) -> None:
    file = keep(repo, WEIGHTS)
    put(tmp_path / "lab", WEIGHTS)
    away = Folder(tmp_path / "away" / "lab")
    with pytest.raises(TransportError):
        sweeping.release(git_of(repo), payloads_of(repo), [away], now=later())
    assert file.exists()
    freed, known = sweeping.release(git_of(repo), payloads_of(repo), [away, Folder(tmp_path / "lab")], now=later())
    assert (freed.files, len(known.silent), file.exists()) == (1, 1, False)


def test_what_a_run_uses_that_has_not_ended_is_not_given_back(repo: GitRepo, tmp_path: Path) -> None:
    file = keep(repo, WEIGHTS)
    put(tmp_path / "lab", WEIGHTS)
    _in_a_journal(repo, encode_pointer(pointer_to(WEIGHTS)).decode())
    done = sweeping.release(git_of(repo), payloads_of(repo), [Folder(tmp_path / "lab")], now=later())
    assert (done, file.exists()) == ((sweeping.Room(), sweeping.Releasable([], sweeping.Room(), [])), True)


# Leftovers ------------------------------------------------------------------------------------------------------------


def test_what_was_never_whole_goes_when_nobody_goes_on_with_it(repo: GitRepo) -> None:
    payloads = payloads_of(repo)
    folder = payloads.incoming()
    (folder / ("a" * 64 + ".part")).write_bytes(b"part")
    (folder / "tmp-x").write_bytes(b"tmp")
    now = time.time()
    day = 86400.0
    assert sweeping.clear(sweeping.leftovers(payloads, now=now + day / 2)) == sweeping.Room()
    assert sweeping.clear(sweeping.leftovers(payloads, now=now + 2 * day)) == sweeping.Room(1, 3)
    assert sweeping.clear(sweeping.leftovers(payloads, now=now + 13 * day)) == sweeping.Room()
    assert sweeping.clear(sweeping.leftovers(payloads, now=now + 15 * day)) == sweeping.Room(1, 4)
