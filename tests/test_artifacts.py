"""`log_artifact` keeps a file as it was when it was called, or says in a line why not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.reader import Recorded, only


def recorded(repo: GitRepo, script: str, folder: Path, *, lines: int = 0) -> Recorded:
    """Runs a script in `folder`-relative terms; `lines` is how many lines it prints on stderr."""
    prelude = f"import os, pathlib\nimport gittrack as gt\nfolder = pathlib.Path({str(folder)!r})\nrun = gt.init()\n"
    done = repo.python(prelude + script)
    assert len(done.stderr.splitlines()) == lines, done.stderr
    found = only(repo)
    assert found.status == "finished"
    repo.track("fsck")
    return found


def artifact_files(found: Recorded) -> list[str]:
    return [path.removeprefix("artifacts/") for path in found.files if path.startswith("artifacts/")]


def test_a_file_is_kept_to_the_byte_with_what_is_known_of_it(repo: GitRepo, tmp_path: Path) -> None:
    content = bytes(range(256)) * 100
    (tmp_path / "model.pt").write_bytes(content)
    found = recorded(
        repo,
        """
kept = run.log_artifact(folder / "model.pt", type="model", aliases=["best"], metadata={"epochs": 3}, step=7)
assert kept == ["model.pt"], kept
""",
        tmp_path,
    )
    assert found.raw("artifacts/model.pt") == content
    assert found.yaml("artifacts.yaml") == {
        "model.pt": {
            "kind": "blob",
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "type": "model",
            "aliases": ["best"],
            "metadata": {"epochs": 3},
            "step": 7,
        }
    }
    assert found.record["artifacts"] == {"count": 1, "size": len(content)}


def test_a_file_is_kept_as_it_was_when_it_was_logged(repo: GitRepo, tmp_path: Path) -> None:
    found = recorded(
        repo,
        """
file = folder / "notes.txt"
file.write_text("before")
gt.log_artifact(file)
file.write_text("after")
file.unlink()
""",
        tmp_path,
    )
    assert found.raw("artifacts/notes.txt") == b"before"


def test_the_same_name_again_replaces_the_file_and_says_so(repo: GitRepo, tmp_path: Path) -> None:
    found = recorded(
        repo,
        """
for text in ("one", "two", "three"):
    (folder / "a.txt").write_text(text)
    run.log_artifact(str(folder / "a.txt"), name="report.txt")
""",
        tmp_path,
        lines=1,
    )
    assert artifact_files(found) == ["report.txt"]
    assert found.raw("artifacts/report.txt") == b"three"
    assert found.record["artifacts"] == {"count": 1, "size": 5}


def test_a_folder_is_kept_with_the_files_below_it(repo: GitRepo, tmp_path: Path) -> None:
    for name in ("plots/a.svg", "plots/deep/b.svg", "plots/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "plots" / "empty").mkdir()
    found = recorded(
        repo, "print(run.log_artifact(folder / 'plots'), run.log_artifact(folder / 'plots', name='v2/p'))", tmp_path
    )
    below = [".hidden", "a.svg", "deep/b.svg"]
    assert artifact_files(found) == [f"{top}/{name}" for top in ("plots", "v2/p") for name in below]


def test_equal_files_are_stored_once(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x" * 100_000)
    found = recorded(repo, "for n in range(5): run.log_artifact(folder / 'a.bin', name=f'{n}.bin')", tmp_path)
    assert len(artifact_files(found)) == 5
    assert len({repo.git("rev-parse", f"{found.ref}:artifacts/{n}.bin") for n in range(5)}) == 1


def test_names_that_a_run_may_not_have_are_refused(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    names = ["../up", "/abs", "a/../b", ".git/config", "a/.GIT/x", "con", "a\\b", "c:d", "a\nb", "x/" * 3000 + "y"]
    prelude = f"import gittrack as gt\nrun = gt.init()\npath, names = {str(tmp_path / 'file')!r}, {names!r}\n"
    done = repo.python(prelude + "print([run.log_artifact(path, name=name) for name in names])\n")
    assert done.stdout == f"{[[] for _ in names]}\n"
    assert "Traceback" not in done.stderr
    assert done.stderr.count("is not kept") == len(names)
    found = only(repo)
    assert artifact_files(found) == []
    assert found.facts["dropped"] == len(names)


@pytest.mark.parametrize(
    "make",
    [
        "pass",
        "os.mkfifo(path)",
        "os.symlink('nowhere', path)",
        "import socket; s = socket.socket(socket.AF_UNIX); os.chdir(folder); s.bind('odd')",
        "path = '/dev/zero'",
        "path = '/dev/full'",
    ],
)
def test_what_is_no_ordinary_file_is_refused_and_not_opened(repo: GitRepo, tmp_path: Path, make: str) -> None:
    script = f"import os\nimport gittrack as gt\nrun = gt.init()\nfolder = {str(tmp_path)!r}\npath = folder + '/odd'\n"
    done = repo.python(script + make + "\nprint(run.log_artifact(path))\n")
    assert done.stdout == "[]\n"
    assert done.stderr.startswith("gittrack: error: artifact '")
    assert only(repo).status == "finished"


def test_a_link_is_followed(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("real", encoding="utf-8")
    (tmp_path / "link.txt").symlink_to("real.txt")
    found = recorded(repo, "run.log_artifact(folder / 'link.txt')", tmp_path)
    assert found.raw("artifacts/link.txt") == b"real"
    assert repo.git("ls-tree", found.ref, "artifacts/link.txt").startswith("100644 blob")


def test_a_folder_that_links_to_itself_ends(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "self").symlink_to(".")
    (tmp_path / "loop" / "a.txt").write_text("a", encoding="utf-8")
    found = recorded(repo, "run.log_artifact(folder / 'loop')", tmp_path, lines=3)
    assert artifact_files(found) == ["loop/a.txt"]


def test_a_link_out_of_a_folder_is_refused_and_one_within_it_is_followed(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("a", encoding="utf-8")
    (tmp_path / "files" / "b.txt").symlink_to("a.txt")
    (tmp_path / "files" / "out.txt").symlink_to("../secret.txt")
    found = recorded(repo, "run.log_artifact(folder / 'files')", tmp_path, lines=3)
    assert artifact_files(found) == ["files/a.txt", "files/b.txt"]


def test_an_unreadable_file_in_a_folder_does_not_hide_the_others(repo: GitRepo, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("a.txt", "z.txt"):
        (folder / name).write_text(name, encoding="utf-8")
    (folder / "m.txt").symlink_to("nowhere")
    found = recorded(repo, "run.log_artifact(folder / 'files')", tmp_path, lines=2)
    assert artifact_files(found) == ["files/a.txt", "files/z.txt"]


def test_a_path_that_one_name_makes_a_file_and_another_a_folder_loses_no_run(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    script = f"import gittrack as gt\nrun = gt.init()\npath = {str(tmp_path / 'file')!r}\n"
    repo.python(
        script + "for name in ('a', 'a/b', 'a/b/c', 'd/e', 'd'): run.log_artifact(path, name=name)\ngt.log({'x': 1})"
    )
    found = only(repo)
    assert (found.status, found.values("x")) == ("finished", [1.0])
    assert artifact_files(found)
    repo.track("fsck")


def test_a_copy_that_vanished_costs_the_run_no_more_than_that_file(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    found = recorded(
        repo,
        """
for name in ("lost", "kept"):
    run.log_artifact(folder / "file", name=name)
os.unlink(folder / "file")
os.unlink(os.path.join(run.dir, "files", "1"))
gt.log({"x": 1})
""",
        tmp_path,
    )
    assert (artifact_files(found), found.values("x")) == (["kept"], [1.0])
    assert list(found.yaml("artifacts.yaml")) == ["kept"]
    assert found.facts["dropped"] == 1


def test_a_dead_process_leaves_its_artifacts_too(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    script = f"import os\nimport gittrack as gt\ngt.init().log_artifact({str(tmp_path / 'file')!r})\nos._exit(0)\n"
    repo.python(script)
    repo.track("ls")
    assert only(repo).raw("artifacts/file") == b"x"
