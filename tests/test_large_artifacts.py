"""A large file of a run is a payload: stored once, verified, and never at the cost of the training loop."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import stat
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gittrack
from gittrack import journal, placing
from gittrack.codec.pointer import Pointer, encode_pointer
from gittrack.payloads import Payloads, digest_of
from gittrack.tracker import ActiveRun
from tests.gitcmd import GitRepo
from tests.reader import Recorded, only
from tests.reader import runs as recorded_runs

SIZE = 200_000


def content(seed: int, size: int = SIZE) -> bytes:
    return hashlib.shake_256(str(seed).encode()).digest(size)


@contextlib.contextmanager
def running(repo: GitRepo, **wanted: Any) -> Iterator[ActiveRun]:
    """A run of this process in the repository; it is finished at the end."""
    with contextlib.chdir(repo.path):
        run = gittrack.init(**wanted)
        try:
            yield run
        finally:
            run.finish(quiet=True)


def payloads(repo: GitRepo) -> Payloads:
    return Payloads(repo.path / ".git")


def pointers(found: Recorded) -> dict[str, Pointer]:
    """Returns what a run says of its payloads, having compared it with the blobs."""
    said = found.yaml("artifacts.yaml")
    made = {path: Pointer(item["sha256"], item["size"]) for path, item in said.items() if item["kind"] == "pointer"}
    assert all(found.raw(f"artifacts/{path}") == encode_pointer(pointer) for path, pointer in made.items())
    return made


def sound(repo: GitRepo) -> dict[str, int]:
    """Returns the payloads of a repository, hash to size, having hashed each; nothing else lies among them."""
    root = repo.path / ".git/gittrack/objects"
    found = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        assert path == root / path.name[:2] / path.name[2:4] / path.name
        assert digest_of(path).sha256 == path.name
        assert stat.S_IMODE(path.stat().st_mode) & 0o333 == 0
        found[path.name] = path.stat().st_size
    return found


def test_a_file_above_the_inline_limit_is_a_pointer_and_one_at_it_a_blob(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(content(1, 64 * 1024 + 1))
    (tmp_path / "plot.png").write_bytes(content(2, 64 * 1024))
    with running(repo) as run:
        assert run.log_artifact(tmp_path / "model.pt", type="model", aliases="best", step=3) == ["model.pt"]
        assert run.log_artifact(tmp_path / "plot.png") == ["plot.png"]
    found = only(repo)
    wanted = Pointer(hashlib.sha256(content(1, 64 * 1024 + 1)).hexdigest(), 64 * 1024 + 1)
    assert pointers(found) == {"model.pt": wanted}
    assert found.raw("artifacts/plot.png") == content(2, 64 * 1024)
    assert sound(repo) == {wanted.sha256: wanted.size}
    assert found.record["artifacts"] == {"count": 2, "size": 128 * 1024 + 1, "pointers": 1}
    assert found.raw(".gitattributes") == b"/artifacts/model.pt filter=lfs diff=lfs merge=lfs -text\n"
    about = found.yaml("artifacts.yaml")["model.pt"]
    assert (about["type"], about["aliases"], about["step"]) == ("model", ["best"], 3)
    repo.track("fsck")


def test_the_inline_limit_is_a_setting(repo: GitRepo, tmp_path: Path) -> None:
    repo.git("config", "track.inlineLimit", "1K")
    (tmp_path / "a.bin").write_bytes(b"x" * 1025)
    (tmp_path / "empty").touch()
    with running(repo) as run:
        run.log_artifact(tmp_path / "a.bin")
        run.log_artifact(tmp_path / "empty")
    assert list(pointers(only(repo))) == ["a.bin"]


def test_equal_content_is_stored_once_whatever_it_is_called_and_whoever_logs_it(repo: GitRepo, tmp_path: Path) -> None:
    for name in ("a.bin", "b.bin"):
        (tmp_path / name).write_bytes(content(1))
    for _ in range(2):
        with running(repo) as run:
            run.log_artifact(tmp_path / "a.bin")
            run.log_artifact(tmp_path / "b.bin", name="other/name.bin")
    found = recorded_runs(repo)
    assert [set(pointers(one)) for one in found] == [{"a.bin", "other/name.bin"}] * 2
    assert len(sound(repo)) == 1


def test_a_file_that_did_not_change_is_not_read_again(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(content(1))
    with running(repo) as run:
        run.log_artifact(tmp_path / "a.bin")
    with running(repo) as run:
        run.log_artifact(tmp_path / "a.bin", name="again.bin")
        assert not (Path(run.dir) / "files").exists()
    os.utime(tmp_path / "a.bin")
    with running(repo) as run:
        run.log_artifact(tmp_path / "a.bin", name="touched.bin")
        assert (Path(run.dir) / "files").exists()
    assert len(sound(repo)) == 1


def test_a_file_that_changed_and_kept_its_size_and_its_time_is_read_again(repo: GitRepo, tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(content(1))
    with running(repo) as run:
        run.log_artifact(file)
    before = file.stat()
    file.write_bytes(content(2))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with running(repo) as run:
        run.log_artifact(file)
    assert {found["a.bin"].sha256 for found in map(pointers, recorded_runs(repo))} == {
        hashlib.sha256(content(seed)).hexdigest() for seed in (1, 2)
    }


@pytest.mark.parametrize("how", ["grows", "shrinks", "is rewritten"])
def test_a_file_that_changes_while_it_is_logged_is_refused(
    repo: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(content(1))
    copy_some = placing._copy_some

    def disturbed(source: int, target: int, at: int, most: int) -> int:
        if how == "shrinks":
            os.truncate(file, 100_000)
        else:
            with file.open("ab" if how == "grows" else "r+b") as writer:
                writer.write(b"later")
        return copy_some(source, target, at, most)

    with running(repo) as run:
        monkeypatch.setattr(placing, "_copy_some", disturbed)
        assert run.log_artifact(file) == []
        monkeypatch.undo()
        assert run.log_artifact(file) == ["a.bin"]
    assert "gittrack: error: artifact" in capsys.readouterr().err
    found = only(repo)
    assert sound(repo) == {digest_of(file).sha256: file.stat().st_size}
    assert found.facts["dropped"] == 1


def test_what_is_logged_stays_what_it_was(repo: GitRepo, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    with running(repo) as run:
        for step in range(3):
            file.write_bytes(content(step))
            run.log_artifact(file, name=f"checkpoints/{step}.pt", step=step)
        file.unlink()
    assert [pointer.sha256 for pointer in pointers(only(repo)).values()] == [
        hashlib.sha256(content(step)).hexdigest() for step in range(3)
    ]


def test_a_link_costs_no_copy_and_makes_the_file_read_only(repo: GitRepo, tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(content(1))
    with running(repo) as run:
        run.log_artifact(file, link=True)
    (pointer,) = pointers(only(repo)).values()
    assert payloads(repo).path(pointer.sha256).stat().st_ino == file.stat().st_ino
    assert stat.S_IMODE(file.stat().st_mode) == 0o444


def test_a_linked_file_that_is_written_to_before_it_is_hashed_is_refused(
    repo: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(content(1))
    digest = placing.Copying.digest

    def late(self: placing.Copying) -> Pointer | None:
        found = digest(self)
        file.chmod(0o644)
        file.write_bytes(content(2))
        return found

    monkeypatch.setattr(placing.Copying, "digest", late)
    with running(repo) as run:
        run.log_artifact(file, link=True)
    assert "could not be stored (it was written to after it was linked)" in capsys.readouterr().err
    assert hashlib.sha256(content(1)).hexdigest() not in sound(repo)


def test_a_sparse_file_stays_sparse(repo: GitRepo, tmp_path: Path) -> None:
    file = tmp_path / "sparse.bin"
    with file.open("wb") as writer:
        writer.seek(30_000_000)
        writer.write(content(1))
        writer.truncate(64_000_000)
    with running(repo) as run:
        run.log_artifact(file)
    (pointer,) = pointers(only(repo)).values()
    assert pointer == digest_of(file)
    assert payloads(repo).path(pointer.sha256).stat().st_blocks * 512 < 4_000_000


def test_a_process_that_is_killed_leaves_its_large_files_too(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(content(1))
    script = f"""
import os, signal
import gittrack as gt
from gittrack import filing
filing._Beside._work = lambda self: None  # nothing is hashed before it dies
run = gt.init()
run.log_artifact({str(tmp_path / "model.pt")!r})
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = repo.python(script, check=False)
    assert done.returncode == -signal.SIGKILL
    (tmp_path / "model.pt").unlink()
    repo.track("ls")
    found = only(repo)
    assert found.status == "crashed"
    assert pointers(found) == {"model.pt": Pointer(hashlib.sha256(content(1)).hexdigest(), SIZE)}
    assert len(sound(repo)) == 1


def test_a_copy_that_nobody_hashed_is_not_believed_after_a_power_cut(repo: GitRepo, tmp_path: Path) -> None:
    for name in ("hashed.pt", "pending.pt"):
        (tmp_path / name).write_bytes(content(len(name)))
    script = f"""
import os
import gittrack as gt
from gittrack import filing
run = gt.init()
run.log_artifact({str(tmp_path / "hashed.pt")!r})
run.wait_for_files()
filing._Beside._file = lambda *_: None
run.log_artifact({str(tmp_path / "pending.pt")!r})
run.flush()
print(run.dir)
os._exit(0)
"""
    folder = Path(repo.python(script).stdout.strip())
    (file,) = folder.glob("*.journal")
    here = journal.process_identity()
    raw = file.read_bytes()
    earlier = bytes(reversed(str(here["boot"]).encode()))
    assert raw.count(str(here["boot"]).encode()) == 1
    file.write_bytes(_reframed(raw, str(here["boot"]).encode(), earlier))
    repo.track("ls")
    found = only(repo)
    assert list(pointers(found)) == ["hashed.pt"]
    assert found.facts["dropped"] == 1


def _reframed(raw: bytes, old: bytes, new: bytes) -> bytes:
    """Returns a journal with a text of its first frame replaced by one of equal length, and the checksum renewed."""
    length = struct.unpack_from("<I", raw, 2)[0]
    payload = raw[10 : 10 + length].replace(old, new)
    return raw[:2] + struct.pack("<II", len(payload), zlib.crc32(payload)) + payload + raw[10 + length :]


def test_a_payload_that_vanished_before_the_end_costs_the_run_only_that_file(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(content(1))
    with running(repo) as run:
        run.log_artifact(tmp_path / "a.bin")
    (pointer,) = pointers(only(repo)).values()
    with running(repo) as run:
        run.log_artifact(tmp_path / "a.bin")
        run.log({"x": 1})
        payloads(repo).remove(pointer.sha256)
    second = recorded_runs(repo)[-1]
    assert (pointers(second), second.facts["dropped"], second.values("x")) == ({}, 1, [1.0])


def test_a_resumed_run_keeps_its_payloads_and_gets_more(repo: GitRepo, tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        (tmp_path / f"{seed}.bin").write_bytes(content(seed))
    with running(repo, id="again") as run:
        run.log_artifact(tmp_path / "1.bin", name="a.bin")
        run.log_artifact(tmp_path / "2.bin", name="b.bin")
    with running(repo, id="again", resume="must") as run:
        run.log_artifact(tmp_path / "3.bin", name="b.bin")
    hashes = {path: pointer.sha256 for path, pointer in pointers(only(repo)).items()}
    assert hashes == {name: hashlib.sha256(content(seed)).hexdigest() for name, seed in (("a.bin", 1), ("b.bin", 3))}
    repo.track("fsck")


def test_several_threads_and_a_forked_child_log_into_one_run(repo: GitRepo, tmp_path: Path) -> None:
    for seed in range(6):
        (tmp_path / f"{seed}.bin").write_bytes(content(seed))
    script = f"""
import os, threading
import gittrack as gt
run = gt.init()
log = lambda seed: run.log_artifact(f"{tmp_path}/{{seed}}.bin")
log(0)
threads = [threading.Thread(target=log, args=(seed,)) for seed in (1, 2, 3)]
[thread.start() for thread in threads]
child = os.fork()
if not child:
    log(4)
    run.finish()
    os._exit(0)
os.waitpid(child, 0)
[thread.join() for thread in threads]
log(5)
"""
    repo.python(script)
    found = pointers(only(repo))
    assert {path: pointer.sha256 for path, pointer in found.items()} == {
        f"{seed}.bin": hashlib.sha256(content(seed)).hexdigest() for seed in range(6)
    }


def test_two_runs_that_log_the_same_file_at_once_store_it_once(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(content(1, 3_000_000))
    script = f"import gittrack as gt\nrun = gt.init()\nrun.log_artifact({str(tmp_path / 'a.bin')!r})\n"
    threads = [threading.Thread(target=repo.python, args=(script,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(pointers(found)) for found in recorded_runs(repo)] == [1] * 4
    assert len(sound(repo)) == 1


def test_commands_keep_large_files_too(repo: GitRepo) -> None:
    (repo.path / "out").mkdir()
    (repo.path / ".gitignore").write_text("out/\n", encoding="utf-8")
    (repo.path / "out" / "a.bin").write_bytes(content(1))
    repo.track("start")
    repo.track("add", "--file", "out/a.bin")
    repo.track("finish")
    code = "import hashlib; open('out/b.bin', 'wb').write(b'b' * 100000)"
    repo.track("run", "--artifact", "out/**", "--", "python3", "-c", code)
    first, second = recorded_runs(repo)
    assert list(pointers(first)) == ["a.bin"]
    assert list(pointers(second)) == ["out/a.bin", "out/b.bin"]
    assert json.loads(repo.track("show", "--json").stdout)["artifacts"]["out/b.bin"]["kind"] == "pointer"


def test_a_secret_by_name_is_refused_at_any_size(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "id_rsa").write_bytes(content(1))
    with running(repo) as run:
        assert run.log_artifact(tmp_path / "id_rsa") == []
    assert sound(repo) == {}


def test_a_logged_pointer_is_a_file_and_points_to_nothing(repo: GitRepo, tmp_path: Path) -> None:
    raw = encode_pointer(Pointer("0" * 64, 5))
    (tmp_path / "model.pt").write_bytes(raw)
    with running(repo) as run:
        run.log_artifact(tmp_path / "model.pt")
    found = only(repo)
    assert found.yaml("artifacts.yaml")["model.pt"]["kind"] == "blob"
    assert found.raw(".gitattributes") is None
    repo.track("fsck")


def test_a_file_that_is_stored_as_an_artifact_does_not_go_into_the_next_snapshot_too(repo: GitRepo) -> None:
    (repo.path / "model.pt").write_bytes(content(1))
    (repo.path / "other.bin").write_bytes(content(2))
    with running(repo) as run:
        run.log_artifact(repo.path / "model.pt")
    with running(repo) as run:
        pass
    first, second = recorded_runs(repo)
    assert "model.pt" in repo.git("ls-tree", "--name-only", first.facts["code"]["snapshot"])
    assert repo.git("ls-tree", "--name-only", second.facts["code"]["snapshot"]).split() == ["other.bin", "train.py"]
    (left,) = second.facts["code"]["omitted"]
    assert left == {"path": "model.pt", "size": SIZE, "why": "an artifact of a run, which is stored already"}
    (repo.path / "model.pt").write_bytes(content(3))
    with running(repo) as run:
        pass
    third = recorded_runs(repo)[-1]
    assert "model.pt" in repo.git("ls-tree", "--name-only", third.facts["code"]["snapshot"])
