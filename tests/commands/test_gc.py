"""`git track gc`: what was deleted goes for good, everywhere, and its room with it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gittrack import freeing
from tests.gitcmd import GitRepo
from tests.runs import ask, attempt, listed, record, shown


def has(repo: GitRepo, oid: str) -> bool:
    """Tells whether a repository has an object."""
    found: bool = repo.git("cat-file", "--batch-check", input=f"{oid}\n").split()[1] != "missing"
    return found


def own_refs(repo: GitRepo) -> list[str]:
    return [name for name in repo.refs("refs/runs/") if "/archive/" not in name]


def clone(bare_remote: GitRepo, path: Path) -> GitRepo:
    other = GitRepo.clone(bare_remote.path, path)
    ask(other, "pull")
    return other


def test_a_deleted_run_comes_back_until_gc_buries_it(repo: GitRepo) -> None:
    [run] = record(repo, {"name": "one", "files": {"weights.bin": "w" * 50_000}})
    tip = repo.refs("refs/runs/")[f"refs/runs/{run}"]
    ask(repo, "rm", "one")
    ask(repo, "rm", "--undo", "one")
    assert attempt(repo, "gc")[2] == "nothing to delete\n"
    ask(repo, "rm", "one")

    out = ask(repo, "gc")

    assert out.splitlines()[0] == f"deleted {run} one"
    assert "freed" in out
    assert (listed(repo, "--all"), own_refs(repo)) == ([], [])
    assert not has(repo, tip)
    assert attempt(repo, "rm", "--undo", "one")[0] == 3
    assert attempt(repo, "show", run)[0] == 3


def test_other_clones_learn_of_it_and_none_brings_it_back(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    [_, other_run] = record(repo, {"name": "one"}, {"name": "two"})
    ask(repo, "push")
    bob, eve = (clone(bare_remote, tmp_path / name) for name in ("bob", "eve"))
    ask(eve, "tag", "one", "mine")
    ask(repo, "rm", "one")
    ask(repo, "gc")
    ask(repo, "push")

    said = attempt(bob, "pull")[2]
    assert "1 run(s) were deleted for good by others" in said
    assert own_refs(bob) == [f"refs/runs/{other_run}"]
    ask(eve, "push")  # which has not heard of it, and has edits
    ask(bob, "pull")
    ask(bob, "push")
    ask(repo, "pull")

    for each in (repo, bob, eve):
        assert [found["id"] for found in listed(each, "--all")] == [other_run]
        assert own_refs(each) == [f"refs/runs/{other_run}"]
    new = clone(bare_remote, tmp_path / "new")
    assert [found["id"] for found in listed(new, "--all")] == [other_run]


def test_the_remote_is_freed_on_request(repo: GitRepo, bare_remote: GitRepo) -> None:
    record(repo, {"name": "one"}, {"name": "two"})
    ask(repo, "push")
    ask(repo, "rm", "one")
    ask(repo, "gc")
    assert len(own_refs(bare_remote)) == 2

    assert "freed 1 refs on 'origin'" in ask(repo, "gc", "--remote")

    assert own_refs(bare_remote) == own_refs(repo)
    assert len(own_refs(bare_remote)) == 1


def test_what_somebody_else_edited_meanwhile_is_not_freed_over_their_heads(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    [run] = record(repo, {"name": "one"})
    ask(repo, "push")
    bob = clone(bare_remote, tmp_path / "bob")
    ask(repo, "rm", "one")
    ask(repo, "gc")
    ask(bob, "tag", "one", "x")
    bob.git("push", "-q", "origin", f"refs/runs/{run}")

    ask(repo, "gc", "--remote")
    ask(bob, "pull")

    assert own_refs(bare_remote) == []  # the lease is what the remote has when it is asked
    trash = bob.refs("refs/gittrack/trash/")
    assert [name.rpartition("/")[2] for name in trash] == [run]


def test_the_trash_is_emptied_after_two_weeks(repo: GitRepo) -> None:
    [run] = record(repo, {"name": "one"})
    tip = repo.refs("refs/runs/")[f"refs/runs/{run}"]
    today = int(time.time()) // 86_400
    repo.git("update-ref", f"refs/gittrack/trash/{today - 3}/{run}", tip)
    repo.git("update-ref", f"refs/gittrack/trash/{today - 15}/{run}", tip)

    ask(repo, "gc")

    assert list(repo.refs("refs/gittrack/trash/")) == [f"refs/gittrack/trash/{today - 3}/{run}"]


def test_a_dry_run_says_what_it_would_free_and_does_nothing(repo: GitRepo) -> None:
    record(repo, *({"name": name, "tags": [tag], "metrics": {"val/acc": [acc]}, "goals": {"val/acc": "max"}} for
                   name, tag, acc in (("a", "paper", 0.1), ("b", "x", 0.95), ("c", "x", 0.5))))  # fmt: skip
    before = repo.refs()

    out = ask(repo, "gc", "--keep", 'tag == "paper" or metrics.val/acc.best > 0.9', "--dry-run")

    lines = out.splitlines()
    assert [line.split()[-1] for line in lines[:-1]] == ["c"]
    assert lines[-1].startswith("would free 1 run, ")
    assert "objects" in lines[-1]
    assert repo.refs() == before
    assert ask(repo, "gc", "--older-than", "90d", "-n").startswith("would free 0 runs")


def test_runs_that_nobody_hid_go_only_when_that_is_agreed_to(repo: GitRepo) -> None:
    record(repo, {"name": "a"}, {"name": "b", "tags": ["keep"]})

    code, _, err = attempt(repo, "gc", "--keep", 'tag == "keep"')
    assert (code, err.splitlines()[-2:]) == (
        2,
        ["error: nothing was deleted", "hint: `--yes` deletes without asking, `--dry-run` only looks"],
    )
    assert len(listed(repo)) == 2

    ask(repo, "gc", "--keep", 'tag == "keep"', "--yes")
    assert [run["name"] for run in listed(repo)] == ["b"]


def test_what_gc_measures_is_what_it_frees(repo: GitRepo) -> None:
    record(repo, {"name": "a", "files": {"big.bin": "a" * 9_999}}, {"name": "b", "files": {"big.bin": "a" * 9_999}})
    ask(repo, "rm", "a")
    said = ask(repo, "gc", "-n").splitlines()[-1]

    freed = ask(repo, "gc").splitlines()[-1]

    assert said.partition("run, ")[2] == freed.removeprefix("freed ")
    assert shown(repo, "b")["artifacts"]
    assert ask(repo, "fsck") == ""
    repo.git("fsck", "--strict")


def test_what_the_user_staged_survives_though_only_a_deleted_run_had_it(repo: GitRepo) -> None:
    (repo.path / "new.txt").write_text("the only copy\n", encoding="utf-8")
    record(repo, {"name": "dirty"})
    repo.git("add", "new.txt")  # git finds the blob in the run's snapshot, and writes none
    ask(repo, "rm", "dirty")
    ask(repo, "gc")

    repo.git("fsck", "--strict")
    assert repo.git("show", ":new.txt") == "the only copy"
    repo.git("commit", "-qm", "keep it")


@pytest.mark.parametrize("options", [(), ("--split",)])
def test_the_commit_graph_names_nothing_that_is_gone(repo: GitRepo, options: tuple[str, ...]) -> None:
    """`git gc` writes one, and `git fsck` complains of each commit in it that is not there."""
    record(repo, {"name": "gone"})
    repo.git("commit-graph", "write", "--reachable", *options)

    ask(repo, "rm", "gone")
    assert "freed" in ask(repo, "gc")

    repo.git("commit-graph", "verify")
    repo.fsck()


def test_an_object_that_becomes_needed_meanwhile_stays(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    [run] = record(repo, {"name": "one"})
    tip = repo.refs("refs/runs/")[f"refs/runs/{run}"]
    real, asked = freeing.unneeded, []

    def then_a_branch_names_it(git: object, found: set[str], **options: object) -> set[str]:
        asked.append(1)
        if len(asked) == 2:
            repo.git("branch", "precious", tip)
        return real(git, found, **options)  # type: ignore[arg-type, return-value]

    monkeypatch.setattr(freeing, "unneeded", then_a_branch_names_it)
    ask(repo, "rm", "one")
    ask(repo, "gc")

    assert len(asked) == 2
    assert repo.git("show", "precious:run.yaml").startswith("format: 1")


def purge(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> tuple[str, list[GitRepo]]:
    """A run with a secret that is archived by two clones and on the remote; returns its secret blob, and all clones."""
    record(repo, *({"name": name, "files": {"note.txt": f"about {name}"}} for name in ("one", "leak", "three")))
    blob = repo.git("rev-parse", f"refs/runs/{shown(repo, 'leak')['id']}:artifacts/note.txt")
    ask(repo, "push")
    bob = clone(bare_remote, tmp_path / "bob")
    for each in (repo, bob):
        ask(each, "archive")
        ask(each, "push")
    for each in (repo, bob, repo):
        ask(each, "pull")
        ask(each, "push")
    assert len(bare_remote.refs("refs/runs/archive/")) == 2
    return blob, [repo, bob]


def test_purge_takes_a_run_out_of_every_archive(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    blob, [_, bob] = purge(repo, bare_remote, tmp_path)

    ask(repo, "gc", "--purge", "leak", "--remote", "--yes")

    for each in (repo, bare_remote):
        each.git("gc", "-q", "--prune=now")
        assert not has(each, blob)
    ask(bob, "pull")
    ask(bob, "push")
    ask(repo, "pull")
    bare_remote.git("gc", "-q", "--prune=now")
    assert not has(bare_remote, blob)
    for each in (repo, bob, clone(bare_remote, tmp_path / "new")):
        assert [run["name"] for run in listed(each, "--all")] == ["three", "one"]
        assert ask(each, "fsck") == ""
        assert attempt(each, "push")[2] == "everything up-to-date\n"
    assert bob.refs("refs/runs/archive/") == repo.refs("refs/runs/archive/")


def test_a_clone_that_archived_more_meanwhile_purges_its_own_version(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    blob, [_, bob] = purge(repo, bare_remote, tmp_path)
    record(bob, {"name": "later"})
    ask(bob, "archive")

    ask(repo, "gc", "--purge", "leak", "--remote", "--yes")
    ask(bob, "pull")
    ask(bob, "push")
    ask(repo, "pull")

    for each in (repo, bob):
        assert [run["name"] for run in listed(each, "--all")] == ["later", "three", "one"]
    bare_remote.git("gc", "-q", "--prune=now")
    assert not has(bare_remote, blob)
    assert attempt(repo, "push")[2] == attempt(bob, "push")[2] == "everything up-to-date\n"


def test_a_purge_that_the_remote_has_not_heard_of_is_said(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    purge(repo, bare_remote, tmp_path)

    err = attempt(repo, "gc", "--purge", "leak", "--yes")[2]

    assert "warning: archives on 'origin' still hold what was purged" in err
    assert "hint: `git track gc --remote origin` replaces them" in err


def test_a_run_that_was_deleted_for_good_can_be_purged_by_its_id(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    blob, _ = purge(repo, bare_remote, tmp_path)
    run = str(shown(repo, "leak")["id"])
    ask(repo, "rm", "leak")
    ask(repo, "gc", "--remote")
    assert has(repo, blob)

    ask(repo, "gc", "--purge", run, "--remote", "--yes")

    assert not has(repo, blob)
    bare_remote.git("gc", "-q", "--prune=now")
    assert not has(bare_remote, blob)
    assert attempt(repo, "gc", "--purge", "nobody", "--yes")[0] == 3


@pytest.mark.parametrize("age", ["3x", "12", "soonish"])
def test_an_age_that_is_none_deletes_nothing(repo: GitRepo, age: str) -> None:
    record(repo, {"name": "one"})
    code, _, err = attempt(repo, "gc", "--older-than", age, "--yes")
    assert (code, err.startswith("error: ")) == (2, True), err
    assert len(listed(repo)) == 1
