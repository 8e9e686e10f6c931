"""`git track init`: what is shown is what is done, and what was done goes without a trace."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gittrack import hooks
from gittrack import repo as repos
from gittrack.codec import standardfile
from gittrack.standard import Standard
from tests.gitcmd import GitRepo, run
from tests.hooking import call_git, ours, push, runs_of
from tests.nogit import track
from tests.recording import make
from tests.runs import ask, attempt, complaint
from tests.terminals import on_a_terminal

REFSPEC = "+refs/runs/*:refs/gittrack/origin/runs/*"


def state(repo: GitRepo) -> dict[str, tuple[bytes, int]]:
    """Returns bytes and mode of all that `init` may touch."""
    git_dir = repo.path / ".git"
    files = [git_dir / "config", *(path for path in (git_dir / "hooks").rglob("*") if path.is_file())]
    names = {str(path.relative_to(git_dir)): (path.read_bytes(), path.stat().st_mode) for path in files}
    return names | {"hooks": (b"", int((git_dir / "hooks").is_dir()))}


def write(repo: GitRepo, event: str, text: str, *, mode: int = 0o755) -> Path:
    """Gives a repository a hook of somebody else's."""
    file = repo.path / ".git" / "hooks" / event
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, "utf-8")
    file.chmod(mode)
    return file


@pytest.fixture(autouse=True)
def today(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> str:
    """The git that most people have, which takes hooks from files; returns the PATH with the git that is here."""
    before = os.environ["PATH"]
    call_git(repo.path.parent / "usual", "2.39.5", monkeypatch)
    return before


# Asking ---------------------------------------------------------------------------------------------------------------


def test_the_plan_is_shown_and_nothing_done_where_nobody_can_be_asked(repo: GitRepo, bare_remote: GitRepo) -> None:
    before = state(repo)

    code, shown, error = attempt(repo, "init")

    assert code == 2
    assert error.splitlines()[-1] == "hint: `git track init -y` does it"
    assert ask(repo, "init", "--dry-run") == shown
    assert f"git config --add remote.origin.fetch '{REFSPEC}'" in shown
    assert all(str(repo.path / ".git" / "hooks" / event) in shown for event in hooks.EVENTS)
    assert state(repo) == before
    assert not (repo.path / ".git" / "gittrack" / "init.json").exists()


@pytest.mark.parametrize(("keys", "code"), [(b"n\n", 2), (b"y\n", 0), (b"\n", 0)])
def test_on_a_terminal_it_asks(repo: GitRepo, bare_remote: GitRepo, keys: bytes, code: int) -> None:
    exit_code, _ = on_a_terminal(["git", "track", "init"], cwd=repo.path, keys=keys, when=b"do this?")

    assert exit_code == code
    assert (repo.path / ".git" / "gittrack" / "init.json").exists() == (code == 0)


def test_doing_it_twice_changes_nothing(repo: GitRepo, bare_remote: GitRepo) -> None:
    ask(repo, "init", "-y")
    before = state(repo)

    assert ask(repo, "init", "-y") == "everything is set up.\n"
    assert ask(repo, "init") == "everything is set up.\n"

    assert state(repo) == before


def test_only_what_the_plan_says_changes(repo: GitRepo, bare_remote: GitRepo) -> None:
    before = state(repo)

    ask(repo, "init", "-y")

    after = state(repo)
    assert after.keys() - before.keys() == {"hooks/pre-push", "hooks/post-rewrite"}
    added = set(after["config"][0].splitlines()) - set(before["config"][0].splitlines())
    assert added == {f"\tfetch = {REFSPEC}".encode()}
    assert after["hooks/pre-push"] == (hooks.whole("pre-push").encode(), 0o100755)


def test_without_hooks_only_the_refspec_is_added(repo: GitRepo, bare_remote: GitRepo) -> None:
    ask(repo, "init", "-y", "--no-hooks")

    assert repo.git("config", "--get-all", "remote.origin.fetch").splitlines()[-1] == REFSPEC
    assert not (repo.path / ".git" / "hooks" / "pre-push").exists()


def test_before_there_is_a_remote_hooks_are_installed_and_the_rest_is_said(repo: GitRepo) -> None:
    assert "run `git track init` again when there is one" in ask(repo, "init", "-y")
    repo.git("remote", "add", "origin", "../nowhere.git")

    assert REFSPEC in ask(repo, "init", "-y")
    assert ask(repo, "init") == "everything is set up.\n"
    ask(repo, "init", "--remove")
    assert REFSPEC not in repo.git("config", "--list")


def test_the_remote_that_is_named_is_set_up(repo: GitRepo, bare_remote: GitRepo) -> None:
    repo.git("remote", "add", "lab", "../lab.git")

    ask(repo, "init", "-y", "lab")

    fetch = repo.git("config", "--get-all", "remote.lab.fetch").splitlines()
    assert fetch[-1] == "+refs/runs/*:refs/gittrack/lab/runs/*"
    assert REFSPEC not in repo.git("config", "--list")
    assert "there is no remote 'nobody'" in attempt(repo, "init", "nobody")[2]


def test_a_git_that_shows_the_names_of_all_refs_is_told_to_leave_ours_out(
    repo: GitRepo, bare_remote: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_git(repo.path.parent / "old", "2.38.1", monkeypatch)

    ask(repo, "init", "-y", "--no-hooks")

    assert repo.git("config", "--get-all", "log.excludeDecoration").split() == ["refs/runs/*", "refs/gittrack/*"]
    ask(repo, "init", "--remove")
    assert "excludedecoration" not in repo.git("config", "--list")


def test_without_git_it_says_what_it_needs(repo: GitRepo) -> None:
    error = complaint(track(repo, "init", check=False), exit_code=128)
    assert error.startswith("error: git is not installed, or not on PATH")


def test_a_starter_of_the_standard_is_written_when_asked_for_and_goes_unless_somebody_used_it(
    repo: GitRepo, bare_remote: GitRepo
) -> None:
    file = repo.path / "gittrack.yaml"
    ask(repo, "init", "-y")
    assert not file.exists()
    assert str(file) in ask(repo, "init", "-y", "--standard")
    assert standardfile.decode(file.read_bytes()) == Standard()
    shown = file.read_text("utf-8").replace("\n# ", "\n").replace("\n#   ", "\n  ")
    assert standardfile.decode(shown.partition("\n")[2].encode()).gates
    assert ask(repo, "init", "--standard") == "everything is set up.\n"
    ask(repo, "init", "--remove")
    assert not file.exists()
    ask(repo, "init", "-y", "--standard")
    repo.commit({}, "standard")
    ask(repo, "init", "--remove")
    assert file.exists()


# Taking it back -------------------------------------------------------------------------------------------------------

CONFIGS = [
    "",
    "\n# mine\n",
    "[log]\n\tdate = iso\n",
    "[log]\n",
    "[hook]\n# empty\n",
    "[alias]\n\tx = status",  # without a line end
]


@pytest.mark.parametrize("version", ["2.38.1", "2.53.0", "2.54.0"])
@pytest.mark.parametrize("config", CONFIGS)
def test_removing_restores_everything_byte_for_byte(
    repo: GitRepo, bare_remote: GitRepo, monkeypatch: pytest.MonkeyPatch, version: str, config: str
) -> None:
    with (repo.path / ".git" / "config").open("a", encoding="utf-8") as file:
        file.write(config)
    write(repo, "pre-push", "#!/bin/bash\n\ncat\nexit 0")
    before = state(repo)
    call_git(repo.path.parent / "another", version, monkeypatch)

    ask(repo, "init", "-y")
    assert state(repo) != before
    ask(repo, "init", "--remove")

    assert state(repo) == before
    assert not (repo.path / ".git" / "gittrack" / "init.json").exists()


def test_what_others_changed_meanwhile_stays(repo: GitRepo, bare_remote: GitRepo) -> None:
    file = write(repo, "pre-push", "#!/bin/sh\necho one\n")
    ask(repo, "init", "-y")
    repo.git("remote", "add", "other", "../other.git")
    repo.git("config", "--add", "remote.origin.fetch", "+refs/notes/*:refs/notes/*")
    file.write_text(file.read_text("utf-8").replace("#!/bin/sh\n", "#!/bin/sh\necho zero\n") + "echo two\n", "utf-8")

    ask(repo, "init", "--remove")

    assert file.read_text("utf-8") == "#!/bin/sh\necho zero\necho one\necho two\n"
    assert repo.git("config", "--get-all", "remote.origin.fetch").splitlines() == [
        "+refs/heads/*:refs/remotes/origin/*",
        "+refs/notes/*:refs/notes/*",
    ]
    assert "other" in repo.git("remote")
    assert not (repo.path / ".git" / "hooks" / "post-rewrite").exists()


def test_a_remote_that_was_renamed_loses_our_refspec_too(repo: GitRepo, bare_remote: GitRepo) -> None:
    ask(repo, "init", "-y")
    repo.git("remote", "rename", "origin", "upstream")

    ask(repo, "init", "--remove")

    assert "refs/runs" not in repo.git("config", "--list")


def test_what_was_there_before_is_not_ours_to_remove(repo: GitRepo, bare_remote: GitRepo) -> None:
    repo.git("config", "--add", "remote.origin.fetch", REFSPEC)
    before = state(repo)
    ask(repo, "init", "-y")

    ask(repo, "init", "--remove")

    assert state(repo) == before


def test_removing_where_nothing_is_says_so_and_a_trial_removes_nothing(repo: GitRepo, bare_remote: GitRepo) -> None:
    assert attempt(repo, "init", "--remove")[2] == "there was nothing of ours\n"
    ask(repo, "init", "-y")
    before = state(repo)
    said = ask(repo, "init", "--remove", "--dry-run")
    assert f"would take out remote.origin.fetch {REFSPEC}" in said
    assert str(repo.path / ".git" / "hooks" / "pre-push") in said
    assert state(repo) == before


def test_an_init_that_broke_off_can_be_taken_back_and_done_again(repo: GitRepo, bare_remote: GitRepo) -> None:
    before = state(repo)
    (repo.path / ".git" / "hooks").mkdir(exist_ok=True)
    (repo.path / ".git" / "hooks").chmod(0o755)
    lock = repo.path / ".git" / "config.lock"
    lock.write_text("", "utf-8")
    assert attempt(repo, "init", "-y")[0] == 128
    lock.unlink()

    ask(repo, "init", "--remove")

    assert state(repo) == before
    ask(repo, "init", "-y")
    ask(repo, "init", "--remove")
    assert state(repo) == before


TEXTS = st.lists(
    st.sampled_from(["[core]", "\tx = 1", "[log]", '[remote "origin"]', "# note", "", "\tfetch = a", '[hook "x"]'])
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=TEXTS, end=st.sampled_from(["", "\n"]))
def test_any_settings_come_back(repo: GitRepo, bare_remote: GitRepo, lines: list[str], end: str) -> None:
    config = repo.path / ".git" / "config"
    original = config.read_bytes()
    try:
        with config.open("a", encoding="utf-8") as file:
            file.write("\n".join(["[x]", *lines]) + end)
        before = config.read_bytes()
        ask(repo, "init", "-y", "--no-hooks")
        ask(repo, "init", "--remove")
        assert config.read_bytes() == before
    finally:
        config.write_bytes(original)


# The ways -------------------------------------------------------------------------------------------------------------


def test_a_newer_git_takes_hooks_from_its_settings_and_no_file_is_touched(
    repo: GitRepo, bare_remote: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(repo, "pre-push", "#!/usr/bin/env python3\n")
    before = state(repo)
    call_git(repo.path.parent / "newer", "2.54.0", monkeypatch)

    said = ask(repo, "init", "-y")

    for event in hooks.EVENTS:
        assert repo.git("config", f"hook.gittrack-{event}.event") == event
        assert f"git-track hook {event}" in repo.git("config", f"hook.gittrack-{event}.command")
        assert f"git config --add hook.gittrack-{event}.event" in said
    assert {name: one for name, one in state(repo).items() if name != "config"} == {
        name: one for name, one in before.items() if name != "config"
    }
    assert ask(repo, "init") == "everything is set up.\n"


def test_a_block_that_is_there_stays_when_git_becomes_newer(
    repo: GitRepo, bare_remote: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(repo, "init", "-y")
    call_git(repo.path.parent / "newer", "2.54.0", monkeypatch)
    assert ask(repo, "init") == "everything is set up.\n"


def test_hooks_from_the_settings_work_in_a_git_that_takes_them(
    repo: GitRepo, bare_remote: GitRepo, monkeypatch: pytest.MonkeyPatch, today: str
) -> None:
    monkeypatch.setenv("PATH", today)
    if hooks.version(repos.open_repo(repo.path).git) < hooks.SETTINGS_SINCE:
        pytest.skip("this git takes no hooks from its settings: what init writes is tested, not that git reads it")
    write(repo, "pre-push", "#!/bin/sh\ncat >../theirs\n")
    ask(repo, "init", "-y")
    old = repo.commit({"train.py": "2\n"}, "better")
    make(repo)

    assert ours(push(repo)) == ["pushed 1 run(s) to 'origin'"]

    assert runs_of(bare_remote) == runs_of(repo)
    assert f" {old} refs/heads/main " in (repo.path.parent / "theirs").read_text("utf-8")
    repo.git("commit", "--quiet", "--amend", "-m", "best")
    assert old in (repo.path / ".git" / "gittrack" / "rewrites").read_text("utf-8")
    assert push(repo, "--mirror", check=False).returncode == 1
    ask(repo, "tag", "@", "x")
    assert "pushed" in repo.track("push").stdout


def python_hook(repo: GitRepo) -> str:
    write(repo, "pre-push", "#!/usr/bin/env python3\nprint(1)\n")
    return "is no shell script"


def binary_hook(repo: GitRepo) -> str:
    file = write(repo, "pre-push", "")
    shutil.copy(sys.executable, file)
    return "is no shell script"


def linked_hook(repo: GitRepo) -> str:
    target = write(repo, "elsewhere", "#!/bin/sh\n")
    (target.parent / "pre-push").symlink_to(target)
    return "is a symbolic link"


def disabled_hook(repo: GitRepo) -> str:
    write(repo, "pre-push", "#!/bin/sh\nexit 1\n", mode=0o644)
    return "is not executable, so git ignores it"


def lefthooks_hook(repo: GitRepo) -> str:
    write(repo, "pre-push", '#!/bin/sh\ncall_lefthook run "pre-push" "$@"\n')
    return "use_stdin: true"


@pytest.mark.parametrize("prepare", [python_hook, binary_hook, linked_hook, disabled_hook, lefthooks_hook])
def test_a_hook_that_cannot_be_edited_safely_is_left_and_the_line_is_said(
    repo: GitRepo, bare_remote: GitRepo, prepare: object
) -> None:
    assert callable(prepare)
    why = prepare(repo)
    before = state(repo)

    said = ask(repo, "init", "-y")

    assert why in said
    assert "git-track hook pre-push" in said
    assert state(repo)["hooks/pre-push"] == before["hooks/pre-push"]
    assert (repo.path / ".git" / "hooks" / "post-rewrite").exists()


@pytest.mark.parametrize("first", ["#!/bin/sh\n", "#! /bin/dash -e\n", "#!/usr/bin/env bash\n", "#!/bin/zsh\n", ""])
def test_any_shell_is_a_shell(repo: GitRepo, bare_remote: GitRepo, first: str) -> None:
    file = write(repo, "pre-push", f"{first}cat >/dev/null\n")
    ask(repo, "init", "-y")
    assert file.read_text("utf-8") == f"{first}{hooks.block('pre-push')}cat >/dev/null\n"


@pytest.mark.parametrize("where", ["scripts/hooks", "~/company", "/nowhere/at/all"])
def test_hooks_that_live_elsewhere_are_left_to_whoever_keeps_them(
    repo: GitRepo, bare_remote: GitRepo, where: str
) -> None:
    repo.git("config", "core.hooksPath", where)
    before = state(repo)

    said = ask(repo, "init", "-y")

    path = (repo.path / os.path.expanduser(where)) / "pre-push"
    assert f"    at the end of {path}:\n    {hooks.line('pre-push')}\n" in said
    assert {name: one for name, one in state(repo).items() if name != "config"} == {
        name: one for name, one in before.items() if name != "config"
    }
    assert "core.hooksPath" in said


def test_hooks_that_are_switched_off_stay_off(repo: GitRepo, bare_remote: GitRepo) -> None:
    repo.git("config", "core.hooksPath", "/dev/null")
    said = ask(repo, "init", "-y")
    assert "`git config --unset core.hooksPath` first" in said
    assert not (repo.path / ".git" / "hooks" / "pre-push").exists()


def test_a_path_that_names_the_usual_folder_is_no_other(repo: GitRepo, bare_remote: GitRepo) -> None:
    repo.git("config", "core.hooksPath", str(repo.path / ".git" / "hooks"))
    ask(repo, "init", "-y")
    assert (repo.path / ".git" / "hooks" / "pre-push").exists()


def test_a_line_that_was_added_by_hand_counts_and_stays(repo: GitRepo, bare_remote: GitRepo) -> None:
    folder = repo.path / "scripts"
    folder.mkdir()
    for event in hooks.EVENTS:
        (folder / event).write_text(f"#!/bin/sh\n{hooks.line(event)}\n", "utf-8")
        (folder / event).chmod(0o755)
    repo.git("config", "core.hooksPath", "scripts")

    ask(repo, "init", "-y")

    assert ask(repo, "init") == "everything is set up.\n"
    assert "somebody else put there" in attempt(repo, "init", "--remove")[2]
    assert hooks.line("pre-push") in (folder / "pre-push").read_text("utf-8")


def test_hooks_of_a_linked_work_tree_are_those_of_the_repository(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    repo.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    ask(GitRepo(tmp_path / "side"), "init", "-y")
    assert (repo.path / ".git" / "hooks" / "pre-push").exists()
    assert ask(repo, "init") == "everything is set up.\n"


def test_the_folder_of_hooks_goes_if_init_made_it(tmp_path: Path) -> None:
    run(["git", "init", "--quiet", "--template=", "bald"], cwd=tmp_path)
    bald = GitRepo(tmp_path / "bald")
    before = state(bald)
    ask(bald, "init", "-y")
    ask(bald, "init", "--remove")
    assert state(bald) == before
