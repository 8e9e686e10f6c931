"""`git track store`: where large files go, in words of git config alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests import recording
from tests.gitcmd import GitRepo
from tests.pointing import keep
from tests.runs import ask, attempt
from tests.test_completion import completions


def config(repo: GitRepo) -> dict[str, str]:
    """Returns the settings of the repository that name stores."""
    lines = repo.git("config", "--local", "--get-regexp", r"^track\.", check=False).splitlines()
    return dict(line.split(" ", 1) for line in lines)


def listed(repo: GitRepo) -> dict[str, bool]:
    """Returns the names of the stores, and which is the default."""
    return {fact["name"]: fact["default"] for fact in json.loads(ask(repo, "store", "ls", "--json"))}


def test_a_store_is_a_setting_of_this_clone(repo: GitRepo, tmp_path: Path) -> None:
    lab, large = tmp_path / "lab", tmp_path / "large"
    assert attempt(repo, "store", "ls")[2].startswith("there is no store: large files stay in this clone")
    assert ask(repo, "store", "add", "lab", str(lab)) == f"large files go to 'lab' ({lab})\n"
    assert ask(repo, "store", "add", "large", str(large), "--min-size", "1G") == (
        f"files of 1.0 GiB or more go to 'large' ({large})\n"
    )
    assert config(repo) == {
        "track.store.lab.seen": "true",
        "track.store.lab.url": str(lab),
        "track.store.large.seen": "true",
        "track.store.large.url": str(large),
        "track.store.large.minsize": "1G",
    }
    lines = ask(repo, "store", "ls").splitlines()
    assert lines == ask(repo, "store").splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["*", "lab"], ["large", str(large)]]
    assert lines[1].endswith("all other large files")
    assert lines[2].endswith("files of 1.0 GiB or more")
    ask(repo, "store", "rm", "large")
    ask(repo, "store", "rm", "lab")
    assert config(repo) == {}


def test_a_folder_that_was_there_is_not_made_anew_where_its_disk_is_not_mounted(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    lab = tmp_path / "mount" / "lab"
    lab.parent.mkdir()
    ask(repo, "store", "add", "lab", str(lab))
    (tmp_path / "model.bin").write_bytes(b"m" * 100_000)
    recording.make(repo, files=[str(tmp_path / "model.bin")])
    shutil.rmtree(lab)
    for words in (("push",), ("store", "check")):
        code, _, err = attempt(repo, *words)
        assert code == 4
        assert f"there is no folder '{lab}'" in err
        assert not lab.exists()
    lab.mkdir()
    assert ask(repo, "push").startswith("sent 1 artifact")


def test_a_second_store_does_not_take_the_place_of_the_first(repo: GitRepo, tmp_path: Path) -> None:
    ask(repo, "store", "add", "lab", str(tmp_path / "lab"))
    out = ask(repo, "store", "add", "old", str(tmp_path / "old"))
    assert out == "files are got from 'old' too; new ones go to 'lab', as before\n"
    assert listed(repo) == {"lab": True, "old": False}
    ask(repo, "store", "add", "new", str(tmp_path / "new"), "--default")
    assert listed(repo) == {"lab": False, "new": True, "old": False}
    ask(repo, "store", "rm", "new")
    assert "track.store" not in config(repo)


def test_the_store_of_the_remote_is_there_without_a_setting(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    assert listed(repo) == {"origin": True}
    assert f"large files go to the store of remote 'origin' ({bare_remote.path}" in ask(repo, "doctor")
    ask(repo, "store", "add", "lab", str(tmp_path / "lab"))
    assert listed(repo) == {"lab": True, "origin": False}
    assert f"large files go to store 'lab' ({tmp_path / 'lab'})" in ask(repo, "doctor")


def test_the_room_that_large_files_take_in_this_clone_is_told(repo: GitRepo, tmp_path: Path) -> None:
    keep(repo, b"x" * 2048)
    said = "this clone has 1 large file, 2.0 KiB; `git track gc` frees what nothing needs, or a store has too\n"
    assert attempt(repo, "store", "ls")[2].startswith(said)  # then: there is no store
    ask(repo, "store", "add", "lab", str(tmp_path / "lab"))
    keep(repo, b"y" * 1024)
    assert "this clone has 2 large files, 3.0 KiB" in attempt(repo, "store")[2]
    assert attempt(repo, "store", "ls", "--json")[2] == ""


def test_a_path_is_kept_whole(repo: GitRepo, sealed_home: Path) -> None:
    ask(repo, "store", "add", "lab", "../my lab")
    assert config(repo)["track.store.lab.url"] == str(repo.path.parent / "my lab")
    ask(repo, "store", "add", "home", "~/lab")
    assert config(repo)["track.store.home.url"] == str(sealed_home / "lab")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a b", "/x"), "'a b' is no name for a store"),
        (("lab", "https://ada:hunter2@example.org/lfs"), "has more than a place in it"),
        (("lab", "s3://AKIA:hunter2@bucket/x"), "has more than a place in it"),
        (("lab", "az://box/x?sig=hunter2"), "has more than a place in it"),
        (("lab", "nothing://box/x"), "has an address of no known kind"),
        (("lab", "host:path"), "is no address of a store"),
        (("lab", "https://[x/y"), "is no address"),
        (("lab", "/x", "--min-size", "much"), "--min-size is 'much', which is no size"),
        (("lab", "/x", "--min-size", "0"), "--min-size is 0"),
        (("lab", "/x", "--min-size", "1G", "--default"), "the default store takes files of all sizes"),
        (("origin", "/x"), "'origin' is a remote"),
    ],
)
def test_what_is_no_store_is_refused_and_no_password_is_printed(
    repo: GitRepo, bare_remote: GitRepo, words: tuple[str, ...], said: str
) -> None:
    code, out, err = attempt(repo, "store", "add", *words)
    assert (code, out) == (2, "")
    assert said in err.splitlines()[0]
    assert "hunter2" not in err
    assert config(repo) == {}


def test_a_name_that_is_taken_or_unknown_is_an_error(repo: GitRepo, tmp_path: Path) -> None:
    ask(repo, "store", "add", "lab", str(tmp_path / "lab"))
    assert attempt(repo, "store", "add", "lab", "/x")[0] == 2
    for words in (("rm", "other"), ("check", "other")):
        code, _, err = attempt(repo, "store", *words)
        assert (code, err) == (3, "error: there is no store 'other'\nhint: stores: lab\n")


def test_a_store_of_the_users_own_settings_is_not_forgotten_here(repo: GitRepo, tmp_path: Path) -> None:
    repo.git("config", "--global", "track.store.lab.url", str(tmp_path / "lab"))
    assert listed(repo) == {"lab": True}
    code, _, err = attempt(repo, "store", "rm", "lab")
    assert (code, err.splitlines()[0]) == (128, "error: store 'lab' is not in the settings of this repository")


def test_check_puts_gets_and_deletes(repo: GitRepo, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    ask(repo, "store", "add", "lab", str(lab))
    lines = ask(repo, "store", "check").splitlines()
    assert lines[0] == f"lab: {lab}"
    assert [line.split()[:2] for line in lines[1:]] == [[word, "ok,"] for word in ("put", "exists", "get", "delete")]
    assert [path for path in lab.rglob("*") if path.is_file()] == []


def test_check_fails_where_a_store_does(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    ask(repo, "store", "add", "lab", str(tmp_path / "file"))
    ask(repo, "store", "add", "good", str(tmp_path / "good"))
    code, out, err = attempt(repo, "store", "check", "lab")
    assert (code, out.splitlines()[-1]) == (4, "  failed")
    assert err.startswith(f"error: cannot write to '{tmp_path / 'file'}'\ncause: ")
    code, out, err = attempt(repo, "store", "check")
    assert (code, err.splitlines()[-1]) == (4, "error: 1 of 2 stores failed")
    assert "put      ok" in out


def test_names_of_stores_are_completed(repo: GitRepo, tmp_path: Path) -> None:
    ask(repo, "store", "add", "lab", str(tmp_path / "lab"))
    ask(repo, "store", "add", "large", str(tmp_path / "large"), "--min-size", "1G")
    assert completions(repo, "git", "track", "store", "check", "l") == ["lab", "large"]
    assert completions(repo, "git", "track", "store", "ad") == ["add"]
