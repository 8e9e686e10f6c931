"""`git track get`: files of runs come to where they are wanted, whole, and nowhere else."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

import gittrack as gt
from gittrack.delivery import Delivery, Parcel
from gittrack.errors import DataRefused
from gittrack.transports.protocol import key
from tests.gitcmd import GitRepo
from tests.plumbing import folder as tree_of
from tests.pointing import keep, payloads_of, pointer_to, pointing, put
from tests.rewriting import entry, hash_object, rewrite
from tests.runs import ask, attempt, record

WEIGHTS = b"weights " * 10_000
OTHER = b"other " * 10_000


@pytest.fixture
def lab(repo: GitRepo, tmp_path: Path) -> Path:
    """A folder that is the store `lab` of `repo`."""
    repo.git("config", "track.store.lab.url", str(tmp_path / "lab"))
    return tmp_path / "lab"


@pytest.fixture
def one(repo: GitRepo, lab: Path) -> GitRepo:
    """A repository with a run `one` of three files, two of which are in the store."""
    files = {"model.pt": WEIGHTS, "checkpoints/10/last.pt": OTHER}
    pointing(repo, files, blobs={"checkpoints/notes.txt": b"small"}, name="one")
    for content in files.values():
        put(lab, content)
    return repo


def files_in(folder: Path) -> dict[str, bytes]:
    """Returns path to content of all that is below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def new_files(repo: GitRepo) -> dict[str, bytes]:
    """Returns what is in the work tree and not in git."""
    names = repo.git("ls-files", "--others", "-z").split("\0")
    return {name: (repo.path / name).read_bytes() for name in names if name}


def test_a_whole_run_comes_into_a_folder_of_its_name(one: GitRepo) -> None:
    assert ask(one, "get", "one") == "wrote 3 files of run one, 136.7 KiB\n"
    assert new_files(one) == {
        "one/model.pt": WEIGHTS,
        "one/checkpoints/10/last.pt": OTHER,
        "one/checkpoints/notes.txt": b"small",
    }
    mode = (one.path / "one/model.pt").stat().st_mode
    assert mode & stat.S_IWUSR
    assert ask(one, "get", "one") == "wrote 0 files of run one, 0 B; 3 are there already\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("one:artifacts/model.pt",), {"model.pt": WEIGHTS}),
        (("one:model.pt",), {"model.pt": WEIGHTS}),
        (("one:model.pt", "-o", "out/deep"), {"out/deep/model.pt": WEIGHTS}),
        (("one", "-o", "out"), {"out/model.pt": WEIGHTS, "out/checkpoints/10/last.pt": OTHER}),
        (("one:checkpoints/10/last.pt",), {"last.pt": OTHER}),
        (("one:checkpoints/10",), {"10/last.pt": OTHER}),
        (("one:checkpoints/",), {"checkpoints/10/last.pt": OTHER}),
        (("one:checkpoints/**",), {"checkpoints/10/last.pt": OTHER}),
        (("one:*.pt",), {"model.pt": WEIGHTS, "checkpoints/10/last.pt": OTHER}),
        (("one:model.pt", "one:checkpoints/notes.txt"), {"model.pt": WEIGHTS, "notes.txt": b"small"}),
    ],
)
def test_what_is_asked_for_comes_under_its_name(
    one: GitRepo, words: tuple[str, ...], expected: dict[str, bytes]
) -> None:
    ask(one, "get", *words)
    assert {name: content for name, content in new_files(one).items() if "notes" not in name or name in expected} == (
        expected
    )


def test_other_files_of_a_run_come_too(repo: GitRepo) -> None:
    record(repo, {"name": "one", "params": {"lr": 0.1}})
    ask(repo, "get", "one:params.yaml")
    assert new_files(repo) == {"params.yaml": b"lr: 0.1\n"}


def test_several_runs_stay_apart(repo: GitRepo) -> None:
    record(repo, {"name": "one", "files": {"a.txt": "1"}}, {"name": "two", "files": {"a.txt": "2"}})
    ask(repo, "get", "one", "two", "-o", "out")
    assert new_files(repo) == {"out/one/a.txt": b"1", "out/two/a.txt": b"2"}


def test_files_of_several_runs_come_below_a_folder_for_each(repo: GitRepo) -> None:
    record(repo, *({"name": name, "files": {"out/a.txt": name}} for name in ("one", "two", "three")))
    ask(repo, "get", "one:out/a.txt", "two:out/a.txt", "three")
    assert new_files(repo) == {"one/a.txt": b"one", "two/a.txt": b"two", "three/out/a.txt": b"three"}
    ask(repo, "get", "one:params.yaml", "two:out", "-o", "there")
    assert set(new_files(repo)) >= {"there/one/params.yaml", "there/two/out/a.txt"}


def test_two_files_of_a_run_that_would_get_one_path_are_named_and_nothing_is_written(repo: GitRepo) -> None:
    record(repo, {"name": "one", "files": {"a/m.txt": "a", "b/m.txt": "b", "c/m.txt": "a"}})
    code, out, err = attempt(repo, "get", "one:a/m.txt", "one:b/m.txt")
    assert (code, out, new_files(repo)) == (2, "", {})
    assert err == (
        "error: both 'a/m.txt' and 'b/m.txt' of run 'one' would be 'm.txt'\n"
        "hint: get one at a time, each with its own -o DIR\n"
    )
    ask(repo, "get", "one:a/m.txt", "one:c/m.txt", "one:a/m.txt")
    assert new_files(repo) == {"m.txt": b"a"}


def test_an_alias_is_that_of_the_newest_run_that_is_not_deleted(repo: GitRepo) -> None:
    (repo.path.parent / "data").mkdir()
    for name in ("old", "new", "bad"):
        (repo.path.parent / "data" / "x.txt").write_text(name)
        with contextlib.chdir(repo.path), gt.init(name=name) as run:
            run.log_artifact("../data", name="sets/data", aliases=["prod"])
            run.log_artifact("../data/x.txt", name="params.yaml", aliases=["v1"])
    ask(repo, "rm", "bad")
    ask(repo, "get", "sets/data@prod", "params.yaml:v1")
    assert new_files(repo) == {"data/x.txt": b"new", "params.yaml": b"new"}
    code, _, err = attempt(repo, "get", "sets/data@v2")
    assert (code, err) == (
        3,
        "error: no artifact 'sets/data' has the alias 'v2'\ncause: aliases of that name: prod\n",
    )


def test_a_file_is_no_folder_to_write_into(one: GitRepo) -> None:
    (one.path / "nb.py").write_text("mine")
    assert attempt(one, "get", "one", "-o", "nb.py") == (2, "", "error: -o 'nb.py' is no folder\n")


def test_runs_whose_name_is_no_folder_of_ones_own_come_under_their_id(repo: GitRepo) -> None:
    ids = record(repo, *({"name": name, "files": {"a.txt": name}} for name in ("../up", ".ssh", "same", "same")))
    ask(repo, "get", *ids)
    assert sorted(new_files(repo)) == sorted(f"{run}/a.txt" for run in ids)


def test_a_file_that_is_there_and_different_is_kept_unless_forced(one: GitRepo) -> None:
    target = one.path / "model.pt"
    target.write_bytes(b"mine")
    code, out, err = attempt(one, "get", "one:model.pt")
    assert (code, out) == (5, "")
    assert err == "error: 'model.pt' is there already\ncause: it is another file\nhint: `--force` replaces it\n"
    assert target.read_bytes() == b"mine"
    assert ask(one, "get", "one:model.pt", "--force") == "wrote model.pt, 78.1 KiB\n"
    assert target.read_bytes() == WEIGHTS
    assert ask(one, "get", "one:model.pt") == "model.pt is there already\n"


def test_a_folder_is_never_replaced(one: GitRepo) -> None:
    (one.path / "model.pt").mkdir()
    code, _, err = attempt(one, "get", "one:model.pt", "--force")
    assert (code, err) == (5, "error: 'model.pt' is not replaced\ncause: it is a folder\n")


def test_links_are_read_only_and_take_no_room(one: GitRepo) -> None:
    ask(one, "get", "one:model.pt", "--link")
    target, kept = one.path / "model.pt", payloads_of(one).path(pointer_to(WEIGHTS).sha256)
    assert target.samefile(kept)
    assert not target.stat().st_mode & 0o222
    assert ask(one, "get", "one:model.pt", "--link") == "model.pt is there already\n"


def test_json_says_what_was_written(one: GitRepo) -> None:
    [fact] = json.loads(ask(one, "get", "one:model.pt", "--json"))
    assert fact == {
        "run": fact["run"],
        "path": "artifacts/model.pt",
        "file": "model.pt",
        "size": len(WEIGHTS),
        "sha256": pointer_to(WEIGHTS).sha256,
        "written": True,
    }
    assert json.loads(ask(one, "get", "one:model.pt", "--json=file,written")) == [
        {"file": "model.pt", "written": False}
    ]


# What is missing or wrong -------------------------------------------------------------------------------------------


def test_a_missing_payload_is_one_error_that_names_path_and_stores(one: GitRepo, lab: Path) -> None:
    put(lab, WEIGHTS).unlink()
    code, out, err = attempt(one, "get", "one:model.pt")
    assert (code, out) == (3, "")
    lines = err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "cause", "hint"]
    assert "artifact 'model.pt' of run 'one'" in lines[0]
    assert str(lab) in lines[1]
    assert new_files(one) == {}


def test_a_store_that_does_not_answer_is_another_error(one: GitRepo, tmp_path: Path) -> None:
    one.git("config", "track.store.lab.url", str(tmp_path / "away" / "lab"))
    code, _, err = attempt(one, "get", "one:model.pt")
    assert code == 4, err
    assert str(tmp_path / "away" / "lab") in err


def test_what_the_run_does_not_have_is_named_with_what_it_has(one: GitRepo) -> None:
    code, _, err = attempt(one, "get", "one:modle.pt")
    assert (code, err.splitlines()[0]) == (3, "error: run 'one' has no artifact 'modle.pt'")
    assert err.splitlines()[1] == (
        "hint: did you mean 'model.pt'? it has: model.pt, checkpoints/10/last.pt, checkpoints/notes.txt"
    )
    assert "did you mean 'checkpoints/10/last.pt'?" in attempt(one, "get", "one:artifacts/lsat.pt")[2]
    assert "did you mean" not in attempt(one, "get", "one:q")[2]


def test_a_payload_that_is_damaged_here_is_brought_again(one: GitRepo) -> None:
    file = keep(one, WEIGHTS)
    file.chmod(0o644)
    file.write_bytes(WEIGHTS[::-1])
    assert attempt(one, "get", "one:model.pt")[2] == (
        "warning: 'artifacts/model.pt' is damaged here, and is brought again\n"
    )
    assert (one.path / "model.pt").read_bytes() == WEIGHTS
    assert file.read_bytes() == WEIGHTS


@pytest.mark.parametrize("options", [(), ("--link",), ("--force",)])
def test_a_payload_that_is_damaged_everywhere_gets_no_name(one: GitRepo, lab: Path, options: tuple[str, ...]) -> None:
    for file in (keep(one, WEIGHTS), put(lab, WEIGHTS)):
        file.chmod(0o644)
        file.write_bytes(WEIGHTS[::-1])
    code, _, err = attempt(one, "get", "one:model.pt", *options)
    assert (code, "wrong payload" in err) == (5, True)
    assert f"hint: delete '{key(pointer_to(WEIGHTS).sha256)}' there, then `git track push`" in err
    assert new_files(one) == {}


def test_a_store_that_has_only_some_of_a_payload_is_named(one: GitRepo, lab: Path, tmp_path: Path) -> None:
    one.git("config", "track.store.other.url", str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    put(lab, WEIGHTS).write_bytes(WEIGHTS[:10])
    code, _, err = attempt(one, "get", "one:model.pt")
    assert (code, err.splitlines()) == (
        5,
        [
            (
                f"error: artifact 'model.pt' of run 'one' is not here: '{lab}' has payload "
                f"{pointer_to(WEIGHTS).sha256[:12]} with a wrong size"
            ),
            f"cause: 10 bytes are there, and it has {len(WEIGHTS)}",
            "hint: `git track push` from a clone that has it whole sends it again",
        ],
    )
    put(tmp_path / "other", WEIGHTS)
    assert ask(one, "get", "one:model.pt") == "wrote model.pt, 78.1 KiB\n"


def test_a_run_that_is_still_recorded_has_no_files_yet(repo: GitRepo) -> None:
    repo.track("start", "--name", "live")
    assert attempt(repo, "get", "live")[0] == 1
    repo.track("finish")


# Nothing outside ----------------------------------------------------------------------------------------------------


def test_nothing_is_written_through_a_link_that_lies_in_the_way(one: GitRepo, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for link in ("one", "checkpoints"):
        (one.path / link).symlink_to(outside)
    for words in (("one",), ("one:checkpoints",), ("one:checkpoints", "--force")):
        code, _, err = attempt(one, "get", *words)
        assert (code, "symbolic link" in err) == (5, True)
    (one.path / "model.pt").symlink_to(outside / "model.pt")
    assert attempt(one, "get", "one:model.pt")[0] == 5
    ask(one, "get", "one:model.pt", "--force")
    assert not (one.path / "model.pt").is_symlink()
    assert list(outside.iterdir()) == []


def test_the_folder_that_the_user_names_may_be_a_link(one: GitRepo, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (one.path / "out").symlink_to(outside)
    ask(one, "get", "one:model.pt", "-o", "out")
    assert files_in(outside) == {"model.pt": WEIGHTS}


@pytest.mark.parametrize("name", [b"..", b".git", b"CON", b"a\\b", b"a:b"])
def test_a_run_that_names_a_place_outside_is_refused(repo: GitRepo, tmp_path: Path, name: bytes) -> None:
    [run] = record(repo, {"name": "one", "files": {"a.txt": "x"}})
    blob = hash_object(repo, "blob", b"evil")
    inner = tree_of(repo, ("100644", b"evil.txt", blob))
    artifacts = hash_object(repo, "tree", entry("40000", name, inner))
    tip = rewrite(repo, run, files={"artifacts/a.txt": None}, entries=[entry("40000", b"artifacts", artifacts)])
    repo.git("update-ref", f"refs/runs/{run}", tip)
    repo.fsck_at_teardown = False
    before = files_in(tmp_path)
    for words in (("one",), ("one", "--force", "-o", str(tmp_path / "out" / "deep"))):
        assert attempt(repo, "get", *words)[0] in (3, 5)
    after = files_in(tmp_path)
    assert [path for path in after if path not in before and "gittrack" not in path] == []


def test_two_files_to_which_a_disk_gives_one_name_are_not_merged(tmp_path: Path) -> None:
    delivery = Delivery(force=True)
    parcels = [
        Parcel(tmp_path, "Model.pt", content, pointer_to(content).sha256, len(content)) for content in (b"one", b"two")
    ]
    assert delivery.deliver(parcels[0])
    with pytest.raises(DataRefused, match="is not written"):  # as on a disk that folds case
        delivery.deliver(parcels[1])
    assert files_in(tmp_path) == {"Model.pt": b"one"}


def test_a_file_that_comes_there_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.link

    def link(source: str, target: str, **more: Any) -> None:
        (tmp_path / "a.txt").write_bytes(b"mine")
        real(source, target, **more)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(DataRefused, match="cannot be written"):
        Delivery().deliver(Parcel(tmp_path, "a.txt", b"theirs", pointer_to(b"theirs").sha256, 6))
    assert files_in(tmp_path) == {"a.txt": b"mine"}


def test_what_a_full_disk_cuts_off_has_no_name(one: GitRepo) -> None:
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from gittrack import cli; sys.exit(cli.run(['get', 'one:model.pt']))"
    )
    keep(one, WEIGHTS)
    done = one.python(script, check=False)
    assert (done.returncode, done.stderr) == (5, "error: 'model.pt' cannot be written\ncause: File too large\n")
    assert new_files(one) == {}
