"""Settings: flag, then GITTRACK_*, then git config, then the default."""

from __future__ import annotations

import pytest

from gittrack import remote, settings
from gittrack import repo as repository
from gittrack.errors import NotFound, UsageError
from gittrack.settings import KEYS, Settings
from tests.gitcmd import GitRepo


def of(values: dict[str, str] | None = None, **environ: str) -> Settings:
    return Settings(values or {}, environ)


def test_the_environment_wins_over_git_config_and_that_over_the_default() -> None:
    assert of().get("snapshotLimit") == "10M"
    assert of({"track.snapshotlimit": "1k"}).get("snapshotLimit") == "1k"
    assert of({"track.snapshotlimit": "1k"}, GITTRACK_SNAPSHOT_LIMIT="2k").get("snapshotLimit") == "2k"


@pytest.mark.parametrize(("text", "size"), [("0", 0), ("5", 5), ("1k", 1024), ("2M", 2 << 20), ("3g", 3 << 30)])
def test_sizes_are_written_as_git_writes_them(text: str, size: int) -> None:
    assert of({"track.snapshotlimit": text}).size("snapshotLimit") == size


@pytest.mark.parametrize("text", ["", "-1", "1.5M", "many", "1MB"])
def test_a_size_that_is_none_names_the_setting(text: str) -> None:
    if text:
        with pytest.raises(UsageError, match=r"track\.snapshotLimit"):
            of({"track.snapshotlimit": text}).size("snapshotLimit")
    assert of({"track.snapshotlimit": ""}).size("snapshotLimit") == 10 << 20


def test_a_choice_that_is_none_lists_the_choices() -> None:
    with pytest.raises(UsageError) as error:
        of({"track.dirty": "maybe"}).choice("dirty", "snapshot", "warn", "refuse")
    assert error.value.lines() == ["error: track.dirty is 'maybe'", "hint: set it to one of: snapshot, warn, refuse"]


def test_git_reads_the_config_with_includes_and_case(repo: GitRepo) -> None:
    (repo.path.parent / "more").write_text('[track]\n\tDirty = warn\n[remote "Lab.X"]\n\turl = x\n', encoding="utf-8")
    repo.git("config", "include.path", str(repo.path.parent / "more"))
    repo.git("config", "commit.gpgSign", "yes")

    found = settings.read_settings(repository.open_repo(repo.path).git)

    assert found.get("dirty") == "warn"
    assert found.git("remote.Lab.X.url") == "x"
    assert found.git("remote.lab.x.url") is None
    assert found.flag("commit.gpgsign") is True
    assert found.flag("no.such") is False


def test_a_change_of_the_config_is_seen_by_the_next_opening(repo: GitRepo) -> None:
    assert repository.open_repo(repo.path).settings.get("dirty") == "snapshot"

    repo.git("config", "track.dirty", "refuse")

    assert repository.open_repo(repo.path).settings.get("dirty") == "refuse"


@pytest.mark.parametrize(
    ("values", "environ", "expected"),
    [
        ({"user.name": "Ada", "user.email": "a@b"}, {}, "Ada <a@b>"),
        ({"user.name": "Ada", "author.name": "Byron", "user.email": "a@b"}, {}, "Byron <a@b>"),
        ({"user.name": "Ada", "user.email": "a@b"}, {"GIT_AUTHOR_NAME": "Eve", "GIT_AUTHOR_EMAIL": "e@f"}, "Eve <e@f>"),
        ({"user.name": "A\n<da>", "user.email": "<a@b>\x00"}, {}, "Ada <a@b>"),
        ({"user.name": "Ada"}, {"EMAIL": "m@n"}, "Ada <m@n>"),
    ],
)
def test_an_identity_is_what_git_would_take_and_fits_a_commit(
    values: dict[str, str], environ: dict[str, str], expected: str
) -> None:
    assert settings.identity(Settings(values, environ)) == expected


# Which remote ---------------------------------------------------------------------------------------------------------


def remotes(*names: str, **more: str) -> Settings:
    return of({f"remote.{name}.url": "x" for name in names} | {key.replace("__", "."): v for key, v in more.items()})


@pytest.mark.parametrize(
    ("found", "wanted", "branch", "expected"),
    [
        (remotes("origin", "lab"), None, "main", "origin"),
        (remotes("origin", "lab"), "lab", "main", "lab"),
        (remotes("lab"), None, None, "lab"),
        (remotes("origin", "lab", track__remote="lab"), None, "main", "lab"),
        (remotes("origin", track__remote="../elsewhere.git"), None, "main", "../elsewhere.git"),
        (remotes("origin", "lab", branch__main__remote="lab"), None, "main", "lab"),
        (remotes("origin", "lab", branch__main__remote="lab"), None, None, "origin"),
        (remotes("a", "b", "lab", branch__main__remote="a", branch__main__pushremote="lab"), None, "main", "lab"),
        (remotes("a", "b", remote__pushdefault="b"), None, "main", "b"),
        (remotes(), "../path.git", None, "../path.git"),
        (remotes(), "https://example.org/x.git", None, "https://example.org/x.git"),
        (remotes(), "git@host:x.git", None, "git@host:x.git"),
    ],
)
def test_the_remote_is_chosen_as_git_chooses(
    found: Settings, wanted: str | None, branch: str | None, expected: str
) -> None:
    assert remote.choose(found, wanted, branch=branch) == expected


@pytest.mark.parametrize(
    ("found", "wanted"), [(remotes(), None), (remotes("a", "b"), None), (remotes("origin"), "elsewhere")]
)
def test_a_remote_that_is_not_clear_is_an_error_with_a_hint(found: Settings, wanted: str | None) -> None:
    with pytest.raises(NotFound) as error:
        remote.choose(found, wanted, branch="main")
    assert error.value.hint


def test_every_setting_has_a_meaning() -> None:
    assert [name for name, (_, meaning) in KEYS.items() if not meaning] == []
