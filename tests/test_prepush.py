"""Runs go along with a plain `git push`: which, where to, and that the push itself never suffers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from gittrack import prepush
from tests.gitcmd import GitRepo
from tests.hooking import install, ours, push, runs_of
from tests.recording import make
from tests.runs import ask

HELD = "1 run(s) with uncommitted files stay here: `git track push` asks, track.publishSnapshots decides"


@pytest.fixture
def hooked(repo: GitRepo, bare_remote: GitRepo) -> GitRepo:
    """A repository with our pre-push hook, whose `origin` has its code."""
    install(repo, "pre-push")
    return repo


def add_remote(repo: GitRepo, name: str) -> GitRepo:
    """Adds an empty remote."""
    bare = GitRepo.init(repo.path.parent / f"{name}.git", "--bare")
    repo.git("remote", "add", name, f"../{name}.git")
    return bare


# What goes along ------------------------------------------------------------------------------------------------------


def test_a_push_takes_along_the_runs_of_the_commits_it_pushes(hooked: GitRepo, bare_remote: GitRepo) -> None:
    hooked.commit({"train.py": "2\n"}, "better")
    make(hooked, {"loss": [1]})

    done = push(hooked)

    assert runs_of(bare_remote) == runs_of(hooked) != {}
    assert ours(done) == ["pushed 1 run(s) to 'origin'"]
    assert bare_remote.refs("refs/heads/") == hooked.refs("refs/heads/")
    assert set(bare_remote.refs()) == {"refs/heads/main", *runs_of(hooked)}


def test_a_push_that_has_nothing_to_send_takes_along_the_runs_made_since(hooked: GitRepo, bare_remote: GitRepo) -> None:
    make(hooked)

    done = push(hooked)

    assert runs_of(bare_remote) == runs_of(hooked) != {}
    assert done.stderr == "gittrack: pushed 1 run(s) to 'origin'\nEverything up-to-date\n"
    assert push(hooked).stderr == "Everything up-to-date\n"


def test_runs_of_code_that_stays_here_stay_here(hooked: GitRepo, bare_remote: GitRepo) -> None:
    hooked.git("switch", "--quiet", "--create", "private")
    hooked.commit({"train.py": "secret\n"}, "not yet")
    make(hooked, name="private")
    hooked.git("switch", "--quiet", "main")
    shared = make(hooked, name="shared")

    push(hooked)

    assert set(runs_of(bare_remote)) == {f"refs/runs/{shared.id}"}
    push(hooked, "origin", "private")
    assert runs_of(bare_remote) == runs_of(hooked)


def test_an_edit_of_a_run_goes_along_too(hooked: GitRepo, bare_remote: GitRepo) -> None:
    make(hooked, name="one")
    push(hooked)
    ask(hooked, "tag", "one", "paper")

    push(hooked)

    assert runs_of(bare_remote) == runs_of(hooked)


def test_uncommitted_files_stay_here_until_somebody_said_that_they_may_go(
    hooked: GitRepo, bare_remote: GitRepo
) -> None:
    (hooked.path / "notes.txt").write_text("private\n", "utf-8")
    make(hooked, name="dirty")

    assert ours(push(hooked)) == [HELD]
    assert runs_of(bare_remote) == {}
    hooked.git("config", "track.publishSnapshots", "false")
    assert ours(push(hooked)) == []
    assert runs_of(bare_remote) == {}
    hooked.git("config", "track.publishSnapshots", "true")
    assert ours(push(hooked)) == ["pushed 1 run(s) to 'origin'"]
    assert runs_of(bare_remote) == runs_of(hooked)
    hooked.git("config", "track.publishSnapshots", "ask")
    ask(hooked, "tag", "dirty", "x")
    push(hooked)
    assert runs_of(bare_remote) == runs_of(hooked)


def test_a_tag_takes_along_the_runs_of_its_commits(hooked: GitRepo, bare_remote: GitRepo) -> None:
    hooked.commit({"train.py": "2\n"}, "release")
    make(hooked)
    hooked.git("tag", "-a", "v1", "-m", "one")

    push(hooked, "origin", "v1")

    assert runs_of(bare_remote) == runs_of(hooked) != {}
    assert set(bare_remote.refs("refs/tags/")) == {"refs/tags/v1"}


# Where to -------------------------------------------------------------------------------------------------------------


def test_a_new_and_empty_remote_gets_branch_and_runs(repo: GitRepo) -> None:
    bare = add_remote(repo, "origin")
    install(repo, "pre-push")
    make(repo)

    push(repo, "--set-upstream", "origin", "main")

    assert bare.refs() == {**repo.refs("refs/heads/"), **runs_of(repo)}
    assert bare.git("symbolic-ref", "HEAD") == "refs/heads/main"


def test_a_remote_that_code_is_only_deployed_to_gets_no_runs(hooked: GitRepo, bare_remote: GitRepo) -> None:
    deployed = add_remote(hooked, "heroku")
    make(hooked)

    assert ours(push(hooked, "heroku", "main")) == []
    assert ours(push(hooked, "../heroku.git", "main:other")) == []

    assert runs_of(deployed) == {}
    ask(hooked, "push", "heroku")
    make(hooked)
    push(hooked, "heroku", "main")
    assert runs_of(deployed) == runs_of(hooked)
    assert runs_of(bare_remote) == {}


def test_an_address_that_has_runs_gets_the_next_ones(hooked: GitRepo) -> None:
    other = GitRepo.init(hooked.path.parent / "other.git", "--bare")
    make(hooked)
    ask(hooked, "push", "../other.git")
    make(hooked)

    push(hooked, "../other.git", "main")

    assert runs_of(other) == runs_of(hooked)


def test_with_a_repository_of_their_own_runs_go_there(hooked: GitRepo, bare_remote: GitRepo) -> None:
    lab = add_remote(hooked, "lab")
    hooked.git("config", "track.remote", "lab")
    make(hooked)

    assert ours(push(hooked)) == []  # the first push says what code goes there, and asks
    assert runs_of(lab) == {}
    ask(hooked, "push")
    hooked.commit({"train.py": "2\n"}, "better")
    make(hooked)
    assert ours(push(hooked)) == ["pushed 1 run(s) to 'lab'"]

    assert runs_of(lab) == runs_of(hooked)
    assert runs_of(bare_remote) == {}


def test_all_addresses_of_a_remote_get_the_runs(hooked: GitRepo, bare_remote: GitRepo) -> None:
    second = GitRepo.init(hooked.path.parent / "second.git", "--bare")
    for bare in (bare_remote, second):
        hooked.git("remote", "set-url", "--add", "--push", "origin", str(bare.path))
    hooked.commit({"train.py": "2\n"}, "better")
    make(hooked)

    done = push(hooked, "origin", "main")

    assert ours(done) == ["pushed 1 run(s) to 'origin'"]
    for bare in (bare_remote, second):
        assert runs_of(bare) == runs_of(hooked)
        assert bare.refs("refs/heads/") == hooked.refs("refs/heads/")


# What is no push of code ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("--dry-run",), ("-n", "origin", "main"), ("--dry", "--all", "origin")])
def test_a_trial_pushes_nothing(hooked: GitRepo, bare_remote: GitRepo, words: tuple[str, ...]) -> None:
    make(hooked)

    assert ours(push(hooked, *words)) == []

    assert runs_of(bare_remote) == {}


def test_a_push_of_runs_alone_and_one_that_only_deletes_are_left_alone(hooked: GitRepo, bare_remote: GitRepo) -> None:
    push(hooked, "origin", "main:old")
    one, _ = make(hooked), make(hooked)

    assert ours(push(hooked, "origin", f"refs/runs/{one.id}")) == []
    assert set(runs_of(bare_remote)) == {f"refs/runs/{one.id}"}
    assert ours(push(hooked, "origin", "--delete", "old")) == []
    assert set(bare_remote.refs()) == {"refs/heads/main", f"refs/runs/{one.id}"}


def test_no_verify_leaves_the_runs_here(hooked: GitRepo, bare_remote: GitRepo) -> None:
    make(hooked)
    push(hooked, "--no-verify")
    assert runs_of(bare_remote) == {}


def test_a_quiet_push_says_nothing_unless_something_is_wrong(hooked: GitRepo, bare_remote: GitRepo) -> None:
    make(hooked)
    assert push(hooked, "--quiet").stderr == ""
    assert runs_of(bare_remote) == runs_of(hooked)


def test_a_push_that_comes_too_late_publishes_no_code(
    hooked: GitRepo, bare_remote: GitRepo, colleague: GitRepo
) -> None:
    colleague.commit({"other.py": "1\n"}, "theirs")
    colleague.git("push", "--quiet")
    hooked.commit({"train.py": "2\n"}, "ours")
    make(hooked)
    hooked.git("fetch", "--quiet")

    assert push(hooked, check=False).returncode == 1

    assert runs_of(bare_remote) == {}
    hooked.git("rebase", "--quiet", "origin/main")
    make(hooked, name="again")
    push(hooked)
    assert len(runs_of(bare_remote)) == 1  # the other run is of a commit that nobody pushed


def test_atomic_pushes_stay_atomic_and_take_runs_along(hooked: GitRepo, bare_remote: GitRepo) -> None:
    hooked.commit({"train.py": "2\n"}, "better")
    make(hooked)
    hooked.git("tag", "v1")

    push(hooked, "--atomic", "origin", "main", "v1")

    assert runs_of(bare_remote) == runs_of(hooked)
    assert bare_remote.refs("refs/heads/") == hooked.refs("refs/heads/")


# Whatever happens -----------------------------------------------------------------------------------------------------


def refusing(bare: GitRepo, what: str) -> None:
    """Makes a remote refuse refs of a kind."""
    hook = bare.path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\ncase $1 in {what}) printf "not \\033[31mhere\\n" >&2; exit 1;; esac\n', "utf-8")
    hook.chmod(0o755)


def test_runs_that_the_remote_refuses_stop_no_code_and_take_one_line(hooked: GitRepo, bare_remote: GitRepo) -> None:
    refusing(bare_remote, "refs/runs/*")
    hooked.commit({"train.py": "2\n"}, "better")
    make(hooked)

    done = push(hooked)

    assert bare_remote.refs() == hooked.refs("refs/heads/")
    [said] = ours(done)
    assert said.startswith("'origin' refused 1 of 1 run(s): ")
    assert said.endswith("`git track push` tries again")
    assert "\x1b" not in said


def test_who_requires_the_runs_has_the_code_stopped_without_them(hooked: GitRepo, bare_remote: GitRepo) -> None:
    refusing(bare_remote, "refs/runs/*")
    hooked.git("config", "track.pushPolicy", "require")
    hooked.commit({"train.py": "2\n"}, "better")
    make(hooked)
    before = bare_remote.refs()

    done = push(hooked, check=False)

    assert done.returncode == 1
    assert "error: the runs of this code could not be pushed, so the code is not either" in done.stderr
    assert bare_remote.refs() == before
    (bare_remote.path / "hooks" / "update").unlink()
    push(hooked)
    assert runs_of(bare_remote) == runs_of(hooked)
    assert bare_remote.refs("refs/heads/") == hooked.refs("refs/heads/")


def test_code_that_a_gate_stops_is_not_published_by_its_runs(hooked: GitRepo, bare_remote: GitRepo) -> None:
    hooked.commit({"gittrack.yaml": "metrics:\n  val/acc: {required: true}\n"}, "standard")
    make(hooked, {"loss": [1]})
    before = bare_remote.refs()

    hooked.git("config", "track.gate", "block")
    assert push(hooked, check=False).returncode == 1
    assert bare_remote.refs() == before
    hooked.git("config", "track.gate", "warn")
    assert "warning: what is pushed does not meet 'gittrack.yaml'" in push(hooked).stderr
    assert runs_of(bare_remote) == runs_of(hooked)


def test_a_setting_that_makes_no_sense_stops_no_code(hooked: GitRepo, bare_remote: GitRepo) -> None:
    hooked.git("config", "track.publishSnapshots", "perhaps")
    hooked.commit({"train.py": "2\n"}, "better")
    make(hooked)

    assert ours(push(hooked)) == ["runs stay here: track.publishSnapshots is 'perhaps'; `git track push` tries again"]
    assert bare_remote.refs() == hooked.refs("refs/heads/")


def test_runs_that_are_damaged_stop_neither_code_nor_other_runs(hooked: GitRepo, bare_remote: GitRepo) -> None:
    good = make(hooked)
    hooked.git("update-ref", "refs/runs/r000000000000", "HEAD")
    hooked.commit({"train.py": "2\n"}, "better")

    push(hooked)

    assert set(runs_of(bare_remote)) == {f"refs/runs/{good.id}"}
    assert bare_remote.refs("refs/heads/") == hooked.refs("refs/heads/")


def test_a_push_inside_of_a_hook_starts_no_other(hooked: GitRepo, bare_remote: GitRepo) -> None:
    make(hooked)
    assert ours(push(hooked, GITTRACK_HOOK="1")) == []
    assert runs_of(bare_remote) == {}


@pytest.mark.slow
def test_a_remote_that_does_not_answer_costs_a_push_of_code_five_seconds(hooked: GitRepo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"git://127.0.0.1:{deaf.getsockname()[1]}/runs.git"
        hooked.git("remote", "add", "lab", address)
        hooked.git("config", "track.remote", "lab")
        hooked.git("config", "track.timeout", "8")
        hooked.git("update-ref", "refs/gittrack/lab/runs/r000000000000", "HEAD")  # it had runs once
        hooked.commit({"train.py": "2\n"}, "better")
        make(hooked)
        began = time.monotonic()

        done = push(hooked)

        took = time.monotonic() - began
    assert ours(done) == ["runs are still being pushed, in the background"]
    assert prepush.PATIENCE <= took < prepush.PATIENCE + 4
    assert hooked.refs("refs/remotes/origin/")["refs/remotes/origin/main"] == hooked.git("rev-parse", "main")


@pytest.mark.slow
def test_who_interrupts_a_push_sends_no_runs_in_the_background(hooked: GitRepo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.settimeout(20)
        hooked.git("remote", "add", "lab", f"git://127.0.0.1:{deaf.getsockname()[1]}/runs.git")
        hooked.git("config", "track.remote", "lab")
        hooked.git("update-ref", "refs/gittrack/lab/runs/r000000000000", "HEAD")
        make(hooked)
        pushing = subprocess.Popen(
            ["git", "push"],
            cwd=hooked.path,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        connection, _ = deaf.accept()
        with connection:
            os.killpg(pushing.pid, signal.SIGINT)
            assert pushing.wait(20) != 0
            connection.settimeout(20)
            while connection.recv(1024):
                pass  # until nobody holds the other end


# What is stopped ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        (("--mirror", "origin"), ()),
        (("--mi", "origin"), ()),
        (("origin",), ("remote.origin.mirror", "true")),
        (("--prune", "origin", "refs/*:refs/*"), ()),
        (("--prune", "origin"), ("remote.origin.push", "+refs/r*:refs/r*")),
    ],
)
def test_a_mirroring_push_cannot_delete_runs(
    hooked: GitRepo, bare_remote: GitRepo, colleague: GitRepo, words: tuple[str, ...], setting: tuple[str, ...]
) -> None:
    make(hooked)
    push(hooked)
    before = bare_remote.refs()
    install(colleague, "pre-push")
    if setting:
        colleague.git("config", *setting)

    done = push(colleague, *words, check=False)

    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: this push deletes 'refs/runs/r")
    assert [line.split(": ")[0] for line in lines[:3]] == ["error", "cause", "hint"]
    assert bare_remote.refs() == before


def test_a_mirroring_push_that_deletes_no_run_may_go_on(colleague: GitRepo, bare_remote: GitRepo) -> None:
    install(colleague, "pre-push")
    colleague.git("tag", "v1")
    push(colleague, "--mirror", "origin")
    assert "refs/tags/v1" in bare_remote.refs()


def test_a_pruning_push_of_branches_is_none_of_our_business(
    hooked: GitRepo, bare_remote: GitRepo, colleague: GitRepo
) -> None:
    make(hooked)
    push(hooked, "origin", "main", "main:old")
    install(colleague, "pre-push")
    push(colleague, "--prune", "origin", "refs/heads/*:refs/heads/*")
    assert set(bare_remote.refs("refs/heads/")) == {"refs/heads/main"}
    assert runs_of(bare_remote) == runs_of(hooked)


def test_a_mirroring_push_does_not_send_what_was_seen_of_remotes(hooked: GitRepo, bare_remote: GitRepo) -> None:
    make(hooked)
    push(hooked)
    before = bare_remote.refs()

    done = push(hooked, "--mirror", "origin", check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("error: this push names 'refs/gittrack/origin/runs/r")
    assert bare_remote.refs() == before


def test_a_forced_push_cannot_take_a_run_back(hooked: GitRepo, bare_remote: GitRepo) -> None:
    run = make(hooked, name="one")
    first = runs_of(hooked)[f"refs/runs/{run.id}"]
    ask(hooked, "tag", "one", "paper")
    push(hooked)
    before = bare_remote.refs()

    done = push(hooked, "--force", "origin", f"{first}:refs/runs/{run.id}", check=False)

    assert done.stderr.startswith(f"error: this push takes 'refs/runs/{run.id}' back to what it was before\n")
    assert bare_remote.refs() == before


def test_who_insists_deletes_a_run_and_ours_may_too(hooked: GitRepo, bare_remote: GitRepo) -> None:
    run = make(hooked)
    push(hooked)
    assert push(hooked, "origin", "--delete", f"refs/runs/{run.id}", check=False).returncode == 1
    push(hooked, "--no-verify", "origin", "--delete", f"refs/runs/{run.id}")
    assert runs_of(bare_remote) == {}


def test_the_hook_works_from_a_linked_work_tree_and_a_folder_below(
    hooked: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    hooked.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    side = GitRepo(tmp_path / "side")
    side.commit({"sub/x.py": "1\n"}, "side")
    make(side)
    below = GitRepo(side.path / "sub")

    push(below, "origin", "side")

    assert runs_of(bare_remote) == runs_of(hooked) != {}
