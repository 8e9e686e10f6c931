"""A bundle on a stick is as good as a remote, and a broken one is one clear error."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gittrack.refname import RUNS
from tests.gitcmd import GitRepo, run
from tests.runs import ask, attempt, listed, record, shown


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    """A file that is not there yet."""
    return tmp_path / "runs.bundle"


def refuses(repo: GitRepo, file: Path, *, exit_code: int = 5) -> str:
    """Asserts that a file is refused with one error and leaves nothing behind; returns what was said."""
    before = repo.refs()
    code, out, err = attempt(repo, "pull", str(file))
    assert (code, out) == (exit_code, ""), err
    assert err.count("error: ") == 1, err
    assert repo.refs() == before
    return err


def test_runs_and_their_code_go_by_a_file_to_where_nothing_was(repo: GitRepo, tmp_path: Path, stick: Path) -> None:
    ids = record(repo, {"name": "one", "metrics": {"loss": [2, 1]}}, {"name": "two", "files": {"a.txt": "x"}})
    other = GitRepo.init(tmp_path / "other")

    assert ask(repo, "push", "--bundle", str(stick)).startswith(f"wrote 2 run(s) to {stick}, ")
    assert sorted(ask(other, "pull", str(stick)).split()[1::2]) == sorted(ids)

    assert other.refs() == {ref: oid for ref, oid in repo.refs().items() if ref.startswith(RUNS)}
    assert shown(other, "one")["metrics"]["loss"]["last"] == 1
    assert not any(run["pushed"] for run in [*listed(other), *listed(repo)])
    assert attempt(other, "pull", str(stick)) == (0, "", "already up to date\n")
    other.fsck()


def test_named_runs_alone_go_into_a_bundle(repo: GitRepo, tmp_path: Path, stick: Path) -> None:
    one, _ = record(repo, {"name": "one"}, {"name": "two"})

    ask(repo, "push", "--bundle", str(stick), "one")

    other = GitRepo.init(tmp_path / "other")
    assert ask(other, "fetch", "../runs.bundle") == f"new {one}\n"
    assert attempt(repo, "push", "--bundle", str(stick), "three")[0] == 3


def test_edits_on_both_sides_of_a_stick_are_joined(repo: GitRepo, tmp_path: Path, stick: Path) -> None:
    [run] = record(repo, {"name": "one"})
    other = GitRepo.init(tmp_path / "other")
    ask(repo, "push", "--bundle", str(stick))
    ask(other, "pull", str(stick))
    ask(repo, "tag", "one", "here")
    ask(other, "tag", "one", "there")

    ask(other, "push", "--bundle", str(stick))
    assert ask(repo, "pull", str(stick)) == f"joined {run}\n"
    ask(repo, "push", "--bundle", str(stick))
    assert ask(other, "pull", str(stick)) == f"updated {run}\n"

    assert repo.refs(RUNS) == other.refs(RUNS)
    assert listed(other)[0]["tags"] == ["here", "there"]


def test_plain_git_reads_a_bundle_of_ours_and_we_read_one_of_its(repo: GitRepo, tmp_path: Path, stick: Path) -> None:
    [run_id] = record(repo, {"name": "one"})
    ask(repo, "push", "--bundle", str(stick))

    assert "is okay" in run(["git", "bundle", "verify", str(stick)], cwd=repo.path).stderr
    assert repo.git("ls-remote", str(stick)).split() == [repo.refs()[RUNS + run_id], RUNS + run_id]
    repo.git("bundle", "create", str(stick), "--all")
    other = GitRepo.init(tmp_path / "other")
    assert ask(other, "pull", str(stick)) == f"new {run_id}\n"
    assert set(other.refs()) == {RUNS + run_id}


def test_a_remote_with_the_name_of_a_file_is_the_remote(repo: GitRepo, bare_remote: GitRepo) -> None:
    (repo.path / "origin").write_text("no bundle", "utf-8")

    assert attempt(repo, "pull", "origin") == (0, "", "already up to date\n")


def test_a_shallow_clone_writes_a_bundle_that_needs_what_it_has_not(repo: GitRepo, tmp_path: Path, stick: Path) -> None:
    for number in range(3):
        repo.commit({"train.py": f"print({number})\n"}, f"train: {number}")
    clone = GitRepo.clone(f"file://{repo.path}", tmp_path / "shallow", "--depth=1")
    clone.fsck_at_teardown = False
    [run_id] = record(clone, {"name": "one"})

    code, _, err = attempt(clone, "push", "--bundle", str(stick))

    assert (code, "this clone is shallow" in err) == (0, True)
    assert ask(repo, "pull", str(stick)) == f"new {run_id}\n"
    other = GitRepo.init(tmp_path / "other")
    assert "builds on 1 commit(s) that are not here" in refuses(other, stick)


# Bad ones -------------------------------------------------------------------------------------------------------------


def test_a_file_that_is_no_bundle_is_refused(repo: GitRepo, stick: Path) -> None:
    for content in (b"", b"hello\n", b"# v4 git bundle\n\n", b"\0" * 10_000):
        stick.write_bytes(content)
        assert "is no bundle" in refuses(repo, stick)
    code, _, err = attempt(repo, "pull", str(stick.with_name("none.bundle")))
    assert (code, err.count("error: ")) == (4, 1)


def test_a_bundle_that_was_cut_off_or_damaged_is_refused_and_nothing_of_it_stays(
    repo: GitRepo, tmp_path: Path, stick: Path
) -> None:
    record(repo, {"name": "one"})
    ask(repo, "push", "--bundle", str(stick))
    whole = stick.read_bytes()
    other = GitRepo.init(tmp_path / "other")
    end_of_head = whole.index(b"\n\n") + 2

    for length in (30, end_of_head - 1, end_of_head, end_of_head + 8, len(whole) // 2, len(whole) - 1):
        stick.write_bytes(whole[:length])
        assert "is broken" in refuses(other, stick), length
    middle = (end_of_head + len(whole)) // 2
    stick.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    assert "is broken" in refuses(other, stick)
    stick.write_bytes(whole.replace(b"\n\n", b"\nnonsense\n\n", 1))
    assert "is broken" in refuses(other, stick)


def test_a_bundle_that_does_not_fit_is_refused(repo: GitRepo, tmp_path: Path, stick: Path) -> None:
    repo.git("bundle", "create", str(stick), "main")
    assert "has no runs" in refuses(repo, stick)

    modern = GitRepo.init(tmp_path / "modern", "--object-format=sha256")
    modern.commit({"a": "b"}, "a: begin")
    record(modern, {"name": "one"})
    ask(modern, "push", "--bundle", str(stick))
    assert "its object ids are sha256, and those of this repository sha1" in refuses(repo, stick)
    third = GitRepo.init(tmp_path / "third", "--object-format=sha256")
    assert ask(third, "pull", str(stick)).startswith("new r")

    record(repo, {"name": "one"})
    repo.git("bundle", "create", str(stick), f"--glob={RUNS}*", "^main")
    lonely = GitRepo.init(tmp_path / "lonely")
    assert "builds on 1 commit(s) that are not here" in refuses(lonely, stick)


def test_a_run_in_a_bundle_that_breaks_the_format_is_refused_and_the_others_come(
    repo: GitRepo, tmp_path: Path, stick: Path
) -> None:
    [good] = record(repo, {"name": "one"})
    bad = "r0000000000000"
    repo.git("update-ref", f"{RUNS}{bad[:13]}", "main")
    repo.git("bundle", "create", str(stick), f"--glob={RUNS}*")
    other = GitRepo.init(tmp_path / "other")

    code, out, err = attempt(other, "pull", str(stick))

    assert (code, out) == (5, f"new {good}\n")
    assert f"run '{bad[:13]}'" in err
    assert set(other.refs()) == {RUNS + good}


def test_a_bundle_goes_where_it_can_be_written_or_nowhere(repo: GitRepo, tmp_path: Path) -> None:
    record(repo, {"name": "one"})

    code, _, err = attempt(repo, "push", "--bundle", str(tmp_path / "no" / "folder.bundle"))

    assert (code, "cannot write" in err) == (1, True)
    assert list(tmp_path.glob("**/*.new")) == []
    assert list((repo.path / ".git" / "gittrack").glob("bundle-*")) == []


def test_what_a_pull_that_was_killed_left_is_gone_after_the_next(repo: GitRepo, tmp_path: Path, stick: Path) -> None:
    [run_id] = record(repo, {"name": "one"})
    ask(repo, "push", "--bundle", str(stick))
    other = GitRepo.init(tmp_path / "other")
    subprocess.run(
        ["git", "fetch", "-q", str(stick), f"+{RUNS}*:refs/gittrack/remote-%bundle/runs/*"], cwd=other.path, check=True
    )

    ask(other, "pull", str(stick))

    assert set(other.refs()) == {RUNS + run_id}
