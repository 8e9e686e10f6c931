"""Whatever a host limits, each ref of a push gets its own answer, and what was taken once is not sent again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gittrack import repo as repos
from gittrack import sending
from gittrack.answers import Answer
from gittrack.errors import RemoteError
from gittrack.refname import RUNS, Oid
from gittrack.sending import Change
from tests.gitcmd import GitRepo
from tests.runs import ask, attempt, record
from tests.sharing import Host, host

_NOISY = """
import os, sys
import gittrack as gt

for _ in range(int(sys.argv[1])):
    run = gt.init()
    with open("../noise", "wb") as file:
        file.write(os.urandom(int(sys.argv[2])))
    run.log_artifact("../noise", name="noise")
    run.finish()
    print(run.id)
"""


def record_noisy(repo: GitRepo, count: int, *, size: int) -> list[str]:
    """Records runs with a file of `size` bytes each that no pack makes smaller."""
    return repo.python(_NOISY, str(count), str(size)).stdout.split()


def add_hook(bare: GitRepo, name: str, script: str) -> Path:
    """Gives a remote a hook; returns the file in which each call of it leaves a line."""
    calls = bare.path / f"{name}.calls"
    hook = bare.path / "hooks" / name
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho call >>'{calls}'\n{script}\n", encoding="utf-8")
    hook.chmod(0o755)
    return calls


def calls(file: Path) -> int:
    """Returns how often a hook was called."""
    return len(file.read_text("utf-8").splitlines())


def changes(repo: GitRepo) -> list[Change]:
    """Returns the changes that bring every run of a repository to a remote."""
    return [Change(ref, Oid(oid)) for ref, oid in repo.refs(RUNS).items()]


def send(repo: GitRepo, wanted: list[Change]) -> list[Answer]:
    """Sends changes to `origin`, all of them."""
    return list(sending.send(repos.open_repo(repo.path).git, "origin", wanted))


def taken(found: list[Answer]) -> set[str]:
    """Returns the refs that were taken."""
    return {answer.ref for answer in found if answer.taken}


# Limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [3, 1])
def test_a_host_that_takes_few_refs_a_push_gets_few(repo: GitRepo, bare_remote: GitRepo, limit: int) -> None:
    record(repo, *({} for _ in range(10)))
    file = add_hook(bare_remote, "pre-receive", f'test "$(wc -l)" -le {limit}')

    found = send(repo, changes(repo))

    assert taken(found) == set(repo.refs(RUNS))
    assert len(found) == 10
    assert bare_remote.refs(RUNS) == repo.refs(RUNS)
    assert calls(file) <= 14


def test_one_ref_that_a_hook_refuses_does_not_hold_up_the_others(repo: GitRepo, bare_remote: GitRepo) -> None:
    bad = record(repo, *({} for _ in range(9)))[4]
    file = add_hook(bare_remote, "pre-receive", f"! grep -q {bad} || {{ echo not this one >&2; exit 1; }}")

    found = send(repo, changes(repo))

    [refused] = [answer for answer in found if not answer.taken]
    assert (refused.ref, refused.reason) == (RUNS + bad, "pre-receive hook declined; not this one")
    assert taken(found) == set(bare_remote.refs(RUNS)) == set(repo.refs(RUNS)) - {RUNS + bad}
    assert calls(file) <= 12


def test_a_host_that_refuses_everything_is_asked_a_few_times_only(
    repo: GitRepo, bare_remote: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(repo, *({} for _ in range(30)))
    monkeypatch.setenv("GITTRACK_REFS_PER_PUSH", "16")
    file = add_hook(bare_remote, "pre-receive", "exit 1")

    found = send(repo, changes(repo))

    assert len(found) == 30
    assert {answer.reason for answer in found} == {"pre-receive hook declined"}
    assert calls(file) == 12


def test_a_ref_that_is_judged_by_itself_is_asked_about_once(repo: GitRepo, bare_remote: GitRepo) -> None:
    record(repo, {}, {}, {})
    file = add_hook(bare_remote, "update", "exit 1")

    assert {answer.reason for answer in send(repo, changes(repo))} == {"hook declined"}

    assert calls(file) == 3


@pytest.mark.parametrize("kind", ["path", "http"])
def test_a_run_too_large_for_the_host_stays_and_the_others_go(repo: GitRepo, tmp_path: Path, kind: str) -> None:
    small = record(repo, *({} for _ in range(5)))
    [large] = record_noisy(repo, 1, size=60_000)
    with host(kind, tmp_path / "host") as remote:
        remote.introduce(repo)
        remote.bare.git("config", "receive.maxInputSize", "30000")

        found = send(repo, changes(repo))

        assert taken(found) == set(remote.bare.refs(RUNS)) == {RUNS + run for run in small}
        assert [answer.ref for answer in found if not answer.taken] == [RUNS + large]


# Cuts -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def http(repo: GitRepo, tmp_path: Path) -> Iterator[Host]:
    """The `origin` of `repo`, over HTTP and a line that can go bad, with its code."""
    with host("http", tmp_path / "host") as found:
        found.introduce(repo)
        repo.git("push", "--quiet", "origin", "main")
        yield found


def test_a_line_that_breaks_at_so_many_bytes_is_passed_in_parts(repo: GitRepo, http: Host) -> None:
    record_noisy(repo, 6, size=30_000)
    assert http.line
    http.line.limit, http.line.breaks = 90_000, True

    found = send(repo, changes(repo))

    assert http.line.stuck.is_set()
    assert taken(found) == set(repo.refs(RUNS))
    assert http.bare.refs(RUNS) == repo.refs(RUNS)


@pytest.mark.parametrize("where", ["path", "http"])
def test_what_arrived_before_the_answer_was_lost_is_not_sent_again(repo: GitRepo, tmp_path: Path, where: str) -> None:
    record(repo, {}, {}, {})
    with host(where, tmp_path / "host") as remote:
        remote.introduce(repo)
        file = add_hook(remote.bare, "post-receive", "kill -9 $PPID")

        found = send(repo, changes(repo))

        assert taken(found) == set(remote.bare.refs(RUNS)) == set(repo.refs(RUNS))
        assert calls(file) == 1
    mirrored = {RUNS + ref.rpartition("/")[2]: oid for ref, oid in repo.refs("refs/gittrack/origin/runs/").items()}
    assert mirrored == repo.refs(RUNS)


def test_what_came_half_is_completed_and_what_others_pushed_is_left_alone(
    repo: GitRepo, colleague: GitRepo, bare_remote: GitRepo
) -> None:
    [theirs] = record(colleague, {})
    ask(colleague, "push")
    ids = sorted(record(repo, {}, {}, {}))
    add_hook(bare_remote, "update", f'test -e cut || test "$1" = {RUNS}{ids[0]} || {{ touch cut; kill -9 $PPID; }}')

    found = send(repo, changes(repo))

    assert taken(found) == {RUNS + run for run in ids}
    assert set(bare_remote.refs(RUNS)) == {RUNS + run for run in [*ids, theirs]}
    assert RUNS + theirs not in repo.refs(RUNS)


def test_a_remote_that_is_gone_after_the_first_part_is_an_error_and_the_first_part_is_known(
    repo: GitRepo, bare_remote: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(repo, {}, {})
    monkeypatch.setenv("GITTRACK_REFS_PER_PUSH", "1")
    answers = sending.send(repos.open_repo(repo.path).git, "origin", changes(repo))

    first = next(answers)
    assert first.taken
    assert set(repo.refs("refs/gittrack/origin/runs/")) == {first.ref.replace(RUNS, "refs/gittrack/origin/runs/")}
    away = bare_remote.path.rename(bare_remote.path.with_name("away.git"))
    with pytest.raises(RemoteError, match="cannot push to 'origin'"):
        next(answers)
    away.rename(bare_remote.path)


# Deletes and leases ---------------------------------------------------------------------------------------------------


def test_a_ref_is_deleted_if_it_is_there_as_it_was_seen(repo: GitRepo, bare_remote: GitRepo) -> None:
    one, two, three = record(repo, {}, {}, {})
    ask(repo, "push")
    seen = {run: Oid(repo.refs()[RUNS + run]) for run in (one, two, three)}
    bare_remote.git("update-ref", RUNS + two, seen[one])
    bare_remote.git("update-ref", "-d", RUNS + three)

    found = {answer.ref: answer for answer in send(repo, [Change(RUNS + run, None, seen[run]) for run in seen])}

    assert found[RUNS + one].taken
    assert found[RUNS + two].moved
    assert found[RUNS + three].taken, "somebody else had deleted it"
    assert set(bare_remote.refs(RUNS)) == {RUNS + two}
    assert set(repo.refs("refs/gittrack/")) == {f"refs/gittrack/origin/runs/{two}"}


def test_a_ref_is_rewritten_only_with_a_lease(repo: GitRepo, bare_remote: GitRepo) -> None:
    one, two = record(repo, {}, {})
    ask(repo, "push")
    tips = {run: Oid(repo.refs()[RUNS + run]) for run in (one, two)}

    [plain] = send(repo, [Change(RUNS + one, tips[two])])
    [stale] = send(repo, [Change(RUNS + one, tips[two], lease=tips[two])])
    assert (plain.moved, stale.moved) == (True, True)
    assert bare_remote.refs()[RUNS + one] == tips[one]

    [leased] = send(repo, [Change(RUNS + one, tips[two], lease=tips[one])])
    assert leased.taken
    assert bare_remote.refs()[RUNS + one] == tips[two]


def test_a_bad_number_of_refs_is_refused(repo: GitRepo, bare_remote: GitRepo) -> None:
    record(repo, {})
    for bad in ("0", "-1", "many", "1.5"):
        repo.git("config", "track.refsPerPush", bad)
        code, _, err = attempt(repo, "push")
        assert (code, err.splitlines()[-2]) == (2, f"error: track.refsPerPush is '{bad}', which is no number above 0")
