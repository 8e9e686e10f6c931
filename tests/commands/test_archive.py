"""`git track archive`: many runs behind one ref, which are used like any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gittrack import store
from gittrack.commands import archivable
from gittrack.git import Update
from gittrack.refname import RunId
from gittrack.repo import open_repo
from tests.gitcmd import GitRepo
from tests.index.making import versions
from tests.runs import ask, attempt, listed, record, shown


def own_refs(repo: GitRepo) -> list[str]:
    """Returns the refs of runs that are no archives."""
    return [name for name in repo.refs("refs/runs/") if "/archive/" not in name]


def archive_refs(repo: GitRepo) -> list[str]:
    return list(repo.refs("refs/runs/archive/"))


@pytest.fixture
def runs(repo: GitRepo, bare_remote: GitRepo) -> list[str]:
    """Three runs, oldest first, that are in the archive of this clone."""
    found = record(repo, *({"name": name, "params": {"at": at}} for at, name in enumerate(("one", "two", "three"))))
    assert ask(repo, "archive") == "archived 3 runs\n"
    return found


def clone(bare_remote: GitRepo, path: Path) -> GitRepo:
    """Returns a new clone that has what is on the remote."""
    other = GitRepo.clone(bare_remote.path, path)
    ask(other, "pull")
    return other


def test_archived_runs_have_no_ref_and_are_listed_as_before(repo: GitRepo, bare_remote: GitRepo) -> None:
    [first, _] = record(repo, {"name": "one", "metrics": {"acc": [0.5, 0.75]}}, {"name": "two"})
    before = listed(repo)

    assert ask(repo, "archive") == "archived 2 runs\n"

    assert own_refs(repo) == []
    assert len(archive_refs(repo)) == 1
    assert listed(repo) == [{**run, "archived": True} for run in before]
    assert shown(repo, first)["metrics"]["acc"]["last"] == 0.75
    assert "at" not in ask(repo, "diff", "one", "two", "--json")[:1]
    assert attempt(repo, "archive")[2] == "nothing to archive\n"
    assert ask(repo, "fsck") == ""


def test_a_clone_that_has_only_the_archive_has_all(
    repo: GitRepo, bare_remote: GitRepo, runs: list[str], tmp_path: Path
) -> None:
    assert "pushed 3 archived runs" in ask(repo, "push")
    assert own_refs(bare_remote) == []

    other = clone(bare_remote, tmp_path / "other")

    assert [run["id"] for run in listed(other)] == runs[::-1]
    assert all(run["pushed"] and run["archived"] for run in listed(other))
    assert attempt(other, "push")[2] == "everything up-to-date\n"
    assert listed(bare_remote) != []


def test_the_refs_go_from_the_remote_once_the_archive_is_there(repo: GitRepo, bare_remote: GitRepo) -> None:
    record(repo, {"name": "one"}, {"name": "two"})
    ask(repo, "push")
    ask(repo, "archive")
    assert len(own_refs(bare_remote)) == 2

    assert "freed 2 refs" in ask(repo, "push")

    assert own_refs(bare_remote) == []
    assert list(repo.refs("refs/gittrack/origin/runs/")) == list(repo.refs("refs/gittrack/origin/runs/archive/"))


def test_a_remote_that_deletes_nothing_keeps_the_refs_and_that_is_said(repo: GitRepo, bare_remote: GitRepo) -> None:
    hook = bare_remote.path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ncase $3 in *[!0]*) exit 0 ;; esac\necho nothing is deleted here\nexit 1\n", "ascii")
    hook.chmod(0o755)
    record(repo, {"name": "one"})
    ask(repo, "push")
    ask(repo, "archive")

    code, _, err = attempt(repo, "push")

    assert code == 0
    assert "warning: 'origin' keeps the refs of archived runs: " in err
    assert len(archive_refs(bare_remote)) == 1


def test_an_archived_run_that_is_edited_has_a_ref_on_top_of_its_archived_commit(
    repo: GitRepo, bare_remote: GitRepo, runs: list[str], tmp_path: Path
) -> None:
    [before] = [run["commit"] for run in [shown(repo, "two")] if "commit" in run] or [None]
    ask(repo, "push")
    other = clone(bare_remote, tmp_path / "other")
    ask(other, "tag", "two", "good")

    assert own_refs(other) == [f"refs/runs/{runs[1]}"]
    assert before is None or other.git("rev-parse", f"refs/runs/{runs[1]}^") == before
    ask(other, "push")
    ask(repo, "pull")

    assert shown(repo, "two")["tags"] == ["good"]
    assert not shown(repo, "two")["archived"]
    assert ask(repo, "archive") == "archived 1 run\n"
    assert shown(repo, "two")["tags"] == ["good"]
    ask(repo, "push")
    assert own_refs(bare_remote) == []
    ask(other, "pull")
    assert own_refs(other) == []
    assert shown(other, "two")["tags"] == ["good"]


def test_edits_of_an_archived_run_in_two_clones_are_joined(
    repo: GitRepo, bare_remote: GitRepo, runs: list[str], tmp_path: Path
) -> None:
    ask(repo, "push")
    others = [clone(bare_remote, tmp_path / name) for name in ("bob", "eve")]
    for other, tag in zip(others, "be", strict=True):
        ask(other, "tag", "one", tag)
        ask(other, "archive")
        ask(other, "push")

    for each in (repo, *others, repo):
        ask(each, "pull")
        ask(each, "push")
    for each in (repo, *others):
        ask(each, "pull")

    assert [shown(each, "one")["tags"] for each in (repo, *others)] == [["b", "e"]] * 3
    assert len({each.git("rev-parse", f"refs/runs/{runs[0]}^{{tree}}") for each in (repo, *others)}) == 1
    assert attempt(repo, "push")[2] == "everything up-to-date\n"


def test_two_clones_that_archive_overlapping_sets_agree(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    found = record(repo, *({"name": name} for name in "abcd"))
    ask(repo, "push")
    other = clone(bare_remote, tmp_path / "other")
    ask(repo, "archive", "a", "b", "c")
    ask(other, "archive", "b", "c", "d")

    for each in (repo, other, repo, other):
        ask(each, "push")
        ask(each, "pull")

    for each in (repo, other, bare_remote):
        assert own_refs(each) == []
        assert len(archive_refs(each)) == 2
    assert sorted(run["id"] for run in listed(other)) == sorted(found)
    assert [attempt(each, "push")[2] for each in (repo, other)] == ["everything up-to-date\n"] * 2


def test_a_run_that_was_archived_edited_and_archived_again_comes_in_once(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    record(repo, {"name": "one"})
    ask(repo, "push")
    other = clone(bare_remote, tmp_path / "other")
    new = GitRepo.clone(bare_remote.path, tmp_path / "new")
    ask(repo, "archive")
    ask(repo, "tag", "one", "good")
    ask(repo, "archive")
    ask(repo, "push")

    ask(other, "pull")

    assert own_refs(other) == []
    assert shown(other, "one")["tags"] == ["good"]
    assert "new 1 archived run\n" in ask(new, "pull")


def test_archived_runs_can_be_deleted_restored_and_checked_out(repo: GitRepo, runs: list[str]) -> None:
    ask(repo, "rm", "two")
    assert [run["name"] for run in listed(repo)] == ["three", "one"]
    ask(repo, "rm", "--undo", "two")
    assert len(listed(repo)) == 3
    code = shown(repo, "one")["code"]["commit"]
    assert code
    ask(repo, "log", "HEAD")


def test_which_runs_are_archived_can_be_said(repo: GitRepo) -> None:
    record(repo, *({"name": name, "params": {"at": at}} for at, name in enumerate("abcdef")))

    assert ask(repo, "archive", "-n", "--keep", "4") == "would archive 2 runs\n"
    assert ask(repo, "archive", "--keep", "4") == "archived 2 runs\n"
    assert [run["name"] for run in listed(repo) if run["archived"]] == ["b", "a"]
    assert ask(repo, "archive", "--where", "params.at >= 4") == "archived 2 runs\n"
    assert attempt(repo, "archive", "--older-than", "1d")[2] == "nothing to archive\n"
    assert ask(repo, "archive", "c") == "archived 1 run\n"
    assert [run["name"] for run in listed(repo, "--where", "not archived")] == ["d"]
    code, _, err = attempt(repo, "archive", "--older-than", "soonish")
    assert (code, err.splitlines()[0]) == (2, "error: this is no date")


def test_a_run_that_is_being_recorded_is_not_archived(repo: GitRepo) -> None:
    repo.track("start", "--name", "open")
    assert attempt(repo, "archive")[2] == "nothing to archive\n"
    repo.track("finish")
    assert ask(repo, "archive") == "archived 1 run\n"


def test_a_push_past_max_refs_archives_the_older_half(repo: GitRepo, bare_remote: GitRepo) -> None:
    repo.git("config", "track.maxRefs", "4")
    record(repo, *({"name": name} for name in "abcde"))

    said = ask(repo, "push")

    assert "pushed 3 archived runs" in said
    assert len(own_refs(bare_remote)) == len(own_refs(repo)) == 2
    assert [run["name"] for run in listed(repo) if run["archived"]] == ["c", "b", "a"]


def test_a_clone_of_a_ci_job_does_not_archive_by_itself(
    repo: GitRepo, bare_remote: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    repo.git("config", "track.maxRefs", "1")
    record(repo, *({"name": name} for name in "abc"))

    ask(repo, "push")

    assert len(own_refs(bare_remote)) == 3


def test_uncommitted_files_that_are_not_to_be_published_stay_out_of_archives(
    repo: GitRepo, bare_remote: GitRepo
) -> None:
    repo.git("config", "track.publishSnapshots", "false")
    record(repo, {"name": "clean"})
    (repo.path / "private.txt").write_text("mine", encoding="utf-8")
    record(repo, {"name": "dirty"})

    code, out, err = attempt(repo, "archive")

    assert (code, out) == (0, "archived 1 run\n")
    assert "left out 1 run(s) with uncommitted files" in err
    assert [run["name"] for run in listed(repo) if run["archived"]] == ["clean"]


def test_an_archived_run_can_be_resumed(repo: GitRepo) -> None:
    script = """
import sys
import gittrack as gt
run = gt.init(id="r0123456789ab", resume=sys.argv[1] == "again" and "must" or None, name="long")
run.log({"loss": float(sys.argv[2])})
run.finish()
"""
    repo.python(script, "first", "1")
    ask(repo, "archive")

    repo.python(script, "again", "2")

    [run] = listed(repo)
    assert (run["metrics"]["loss"]["count"], run["archived"]) == (2, False)
    assert repo.git("rev-list", "--count", "refs/runs/r0123456789ab", "--not", "HEAD") == "2"
    assert ask(repo, "fsck") == ""


def test_a_copied_clone_archives_under_a_name_of_its_own(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    record(repo, {"name": "one"})
    ask(repo, "archive")
    [name] = archive_refs(repo)
    copy = tmp_path / "copy"
    __import__("shutil").copytree(repo.path, copy)
    other = GitRepo(copy)
    record(other, {"name": "two"})

    ask(other, "archive")

    assert len(archive_refs(other)) == 2
    assert repo.refs(name) == other.refs(name)


def test_fsck_finds_an_archive_that_lists_what_it_does_not_keep(repo: GitRepo) -> None:
    record(repo, {"name": "one"}, {"name": "two"})
    oids = {name.rpartition("/")[2]: oid for name, oid in repo.refs("refs/runs/").items()}
    lines = "".join(f"{run} {oid}\n" for run, oid in sorted(oids.items()))
    blob = repo.git("hash-object", "-w", "--stdin", input=lines)
    shard = repo.git("mktree", input=f"100644 blob {blob}\t{blob[2:]}\n")
    folder = repo.git("mktree", input=f"040000 tree {shard}\t{blob[:2]}\n")
    root = repo.git("mktree", input=f"040000 tree {folder}\truns\n")
    commit = repo.git(
        "commit-tree", root, "-p", next(iter(oids.values())), "-m", "archive of 1 runs", "-m", "Archive: c000000000000"
    )
    repo.git("update-ref", "refs/runs/archive/c000000000000", commit)

    code, out, _ = attempt(repo, "fsck")

    assert code == 1
    assert out.count("which it does not keep") == 1


def test_no_ref_goes_because_a_stranger_only_lists_its_commit(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    [run] = record(repo, {"name": "one"})
    ask(repo, "push")
    tip = repo.refs(f"refs/runs/{run}")[f"refs/runs/{run}"]
    blob = bare_remote.git("hash-object", "-w", "--stdin", input=f"{run} {tip}\n")
    shard = bare_remote.git("mktree", input=f"100644 blob {blob}\t{blob[2:]}\n")
    folder = bare_remote.git("mktree", input=f"040000 tree {shard}\t{blob[:2]}\n")
    root = bare_remote.git("mktree", input=f"040000 tree {folder}\truns\n")
    commit = bare_remote.git("commit-tree", root, "-m", "archive of 1 runs", "-m", "Archive: c000000000000")
    bare_remote.git("update-ref", "refs/runs/archive/c000000000000", commit)

    ask(repo, "pull")

    assert own_refs(repo) == [f"refs/runs/{run}"]


@pytest.mark.parametrize("bad", ["junk", "no such path", "another name"])
def test_a_malformed_archive_is_refused_and_named(repo: GitRepo, bare_remote: GitRepo, bad: str) -> None:
    record(repo, {"name": "one"})
    text = "nonsense\n" if bad == "junk" else "r0123456789ab " + "0" * 40 + "\n"
    blob = bare_remote.git("hash-object", "-w", "--stdin", input=text)
    name = "0" * 38 if bad == "another name" else blob[2:]
    shard = bare_remote.git("mktree", input=f"100644 blob {blob}\t{name}\n")
    folder = bare_remote.git("mktree", input=f"040000 tree {shard}\t{blob[:2]}\n")
    root = bare_remote.git("mktree", input=f"040000 tree {folder}\truns\n")
    words = ("-m", "hello") if bad == "no such path" else ("-m", "archive of 1 runs", "-m", "Archive: c000000000000")
    commit = bare_remote.git("commit-tree", root, *words)
    bare_remote.git("update-ref", "refs/runs/archive/c000000000000", commit)

    code, _, err = attempt(repo, "pull")

    assert (code, "archive" in err, "refused" in err) == (5, True, True), err
    assert [run["name"] for run in listed(repo)] == ["one"]


def test_very_many_new_runs_are_pushed_as_one_archive(
    repo: GitRepo, bare_remote: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archivable, "AS_ONE", 2)
    found = record(repo, *({"name": name} for name in "abcd"))

    assert "pushed 4 archived runs" in ask(repo, "push")
    for run in found[:3]:
        ask(repo, "tag", run, "x")
    ask(repo, "push")

    assert len(own_refs(bare_remote)) == 3  # edits of runs that are there go one by one


def test_a_pull_joins_very_many_runs_at_once(repo: GitRepo, bare_remote: GitRepo, tmp_path: Path) -> None:
    """More than one batch of an archive, each of which differs from what is here."""
    git = open_repo(repo.path).git
    made = versions(repo, runs=410, each=1)
    git.update_refs([Update(f"refs/runs/{run}", found[0].oid, None) for run, found in made.items()])
    ask(repo, "push")
    other = clone(bare_remote, tmp_path / "other")
    edited = list(made)[::9]
    for each, tag in ((repo, "x"), (other, "y")):
        for run in edited[:: 1 if each is repo else 5]:
            edit_quickly(each, run, tag)
    ask(repo, "archive")
    ask(repo, "push")

    ask(other, "pull")

    tags = {run["id"]: run["tags"] for run in listed(other)}
    assert all(set(tags[run]) >= {"x"} for run in edited)
    assert all(set(tags[run]) >= {"x", "y"} for run in edited[::5])
    assert len(own_refs(other)) == len(edited[::5])


def edit_quickly(repo: GitRepo, run: str, tag: str) -> None:
    store.edit(
        open_repo(repo.path).git, RunId(run), {"tag": [tag]}, author="A <a@b>", now=1.8e9, random=ord(tag), sign=False
    )


def test_plain_git_brings_archives_too(repo: GitRepo, bare_remote: GitRepo, runs: list[str], tmp_path: Path) -> None:
    ask(repo, "push")
    other = GitRepo.clone(bare_remote.path, tmp_path / "other")
    other.git("config", "--add", "remote.origin.fetch", "+refs/runs/*:refs/gittrack/origin/runs/*")

    other.git("pull", "-q")

    assert [run["id"] for run in listed(other)] == runs[::-1]
    assert len(archive_refs(other)) == 1


def test_status_counts_archived_runs_that_no_remote_has(repo: GitRepo, runs: list[str]) -> None:
    assert json.loads(ask(repo, "status", "--json"))["unpushed"] == runs[::-1]
    assert "Not pushed to 'origin'" in ask(repo, "status")
    ask(repo, "push")
    assert json.loads(ask(repo, "status", "--json"))["unpushed"] == []


def test_a_run_that_an_archive_lists_in_two_versions_comes_in_as_the_newer(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    record(repo, *({"name": name} for name in ("n1", "n2", "n3")))
    ask(repo, "push")
    other = clone(bare_remote, tmp_path / "other")
    for step in (("archive", "--keep", "1"), ("push",), ("tag", "n1", "t1"), ("push",), ("archive",), ("push",)):
        ask(repo, *step)
    other.git("fetch", "-q", "origin", "+refs/runs/*:refs/gittrack/origin/runs/*")

    assert {run["name"]: run["tags"] for run in listed(other)} == {"n1": ["t1"], "n2": [], "n3": []}
    assert own_refs(other) == []
    assert json.loads(ask(other, "status", "--json"))["unpushed"] == []
    new = GitRepo.clone(bare_remote.path, tmp_path / "new")
    assert ask(new, "pull") == "new 3 archived runs\n"


def test_refs_follow_archives_though_a_crash_kept_them_from_it(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [run] = record(repo, {"name": "one"})
    ask(repo, "push")
    other = clone(bare_remote, tmp_path / "other")
    for step in (("tag", "one", "t"), ("archive",), ("push",)):
        ask(repo, *step)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("gittrack.sync.shelving._drop", crash)
        attempt(other, "pull")
    assert own_refs(other) == [f"refs/runs/{run}"]

    assert listed(other)[0]["tags"] == ["t"]
    assert own_refs(other) == []


def test_deletions_by_others_are_told_of_archived_runs_too(
    repo: GitRepo, bare_remote: GitRepo, runs: list[str], tmp_path: Path
) -> None:
    ask(repo, "push")
    other = clone(bare_remote, tmp_path / "other")
    ask(repo, "rm", "two")
    ask(repo, "gc", "--remote")

    assert "1 run(s) were deleted for good by others" in attempt(other, "pull")[2]
    assert attempt(other, "pull")[2] == "already up to date\n"
