"""Runs of commits that were rewritten are found on the branch, by the surest rule there is."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from gittrack import links, rewrites
from gittrack.git import Git, discover
from gittrack.model import Code, Run
from gittrack.refname import Oid, RunId
from tests.gitcmd import GitRepo, run

BODY = "".join(f"line {number}\n" for number in range(40))


def door(repo: GitRepo) -> Git:
    return Git(discover(repo.path, os.environ), os.environ)


def run_of(commit: str, snapshot: str | None = None) -> Run:
    code = Code(commit=Oid(commit), dirty=snapshot is not None, snapshot=Oid(snapshot) if snapshot else None)
    return Run(RunId("r" + commit[:12]), "a-run", "finished", "2026-01-01T00:00:00.000Z", code=code)


def placed(repo: GitRepo, *commits: str, on: str = "main") -> list[str]:
    """Returns `rule: subject` of where a run of each commit belongs on a branch, or `nowhere`.

    A commit may be followed by `:` and a snapshot."""
    runs = [run_of(*commit.split(":")) for commit in commits]
    git = door(repo)
    found = links.place(git, runs, list(git.log(on)))
    told = []
    for one in runs:
        if one in found.elsewhere:
            told.append("nowhere")
        else:
            link = found.link(one)
            assert link.old == one.code.commit
            assert one in found.runs[link.commit]
            told.append(f"{link.rule}: {repo.git('log', '-1', '--format=%s', link.commit)}")
    return told


def edited(*changes: tuple[int, str]) -> str:
    """Returns the body with some of its lines replaced."""
    lines = BODY.splitlines()
    for at, text in changes:
        lines[at] = text
    return "\n".join(lines) + "\n"


def listen(repo: GitRepo) -> None:
    """Has git tell a post-rewrite hook what it rewrites."""
    hook = repo.path / ".git" / "hooks" / "post-rewrite"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncat >> "$(git rev-parse --git-common-dir)/told"\n', encoding="ascii")
    hook.chmod(0o755)


def note(repo: GitRepo) -> None:
    """Notes in the link journal what the hook was told."""
    told = (repo.path / ".git" / "told").read_text("ascii")
    rewrites.append(door(repo), [(words[0], words[1]) for words in map(str.split, told.splitlines())])


def rebase(repo: GitRepo, *words: str, todo: str = "true") -> None:
    """Rebases; todo: a command that edits the list of what is done."""
    repo.git("rebase", "--quiet", *words, env={"GIT_SEQUENCE_EDITOR": todo, "GIT_EDITOR": "true"})


# One commit -------------------------------------------------------------------------------------------------------


def test_an_amended_message_leaves_the_same_tree(repo: GitRepo) -> None:
    old = repo.commit({"a": "1\n"}, "begn")
    repo.git("commit", "--quiet", "--amend", "-m", "begin")
    repo.commit({"a": "2\n"}, "later")
    assert placed(repo, old) == ["tree: begin"]


def test_amended_content_is_known_from_the_hook_or_else_by_its_author(repo: GitRepo) -> None:
    listen(repo)
    old = repo.commit({"a": "1\n"}, "change")
    (repo.path / "a").write_text("2\n", encoding="utf-8")
    repo.git("commit", "--quiet", "--amend", "--all", "--no-edit")
    assert placed(repo, old) == ["author: change"]
    note(repo)
    assert placed(repo, old) == ["rewritten: change"]


def test_an_amend_of_an_amend_is_followed_and_may_be_squashed_away_in_the_end(repo: GitRepo) -> None:
    listen(repo)
    repo.git("checkout", "--quiet", "-b", "side")
    old = repo.commit({"a": "1\n"}, "one")
    for text in "23":
        (repo.path / "a").write_text(text, encoding="utf-8")
        repo.git("commit", "--quiet", "--amend", "--all", "--reset-author", "-m", f"as {text}")
    note(repo)
    assert placed(repo, old, on="side") == ["rewritten: as 3"]

    repo.git("checkout", "--quiet", "main")
    repo.commit({"b": "1\n"}, "main goes on")
    repo.git("cherry-pick", "--no-commit", "side")
    repo.git("commit", "--quiet", "-m", "taken by hand")
    assert placed(repo, old) == ["patch: taken by hand"]


def test_a_commit_that_was_picked_is_known_by_its_patch_or_by_what_the_message_names(repo: GitRepo) -> None:
    repo.commit({"model.py": BODY}, "model")
    repo.git("checkout", "--quiet", "-b", "side")
    near = repo.commit({"model.py": edited((5, "lr = 1"))}, "near the top")
    end = repo.commit({"model.py": edited((5, "lr = 1"), (30, "steps = 9"))}, "near the end")
    repo.git("checkout", "--quiet", "main")
    repo.commit({"model.py": edited((20, "between")), "other.py": "1\n"}, "main goes on")
    repo.git("cherry-pick", "--no-commit", near)
    repo.git("commit", "--quiet", "-m", "picked without a word")
    (repo.path / "model.py").write_text(edited((5, "lr = 2"), (20, "between")), encoding="utf-8")
    repo.git("commit", "--quiet", "--all", "-m", "lr")
    repo.git("cherry-pick", "-x", "--no-commit", end)
    message = f"steps\n\n(cherry picked from commit {end})"
    (repo.path / "model.py").write_text(edited((5, "lr = 2"), (20, "between"), (31, "resolved")), encoding="utf-8")
    repo.git("commit", "--quiet", "--all", "-m", message)
    assert placed(repo, near, end) == ["patch: picked without a word", "named: steps"]


def test_of_a_commit_that_was_split_the_last_part_has_its_tree(repo: GitRepo) -> None:
    old = repo.commit({"a": "1\n", "b": "1\n"}, "both")
    repo.git("reset", "--quiet", "HEAD~1")
    repo.git("add", "a")
    repo.git("commit", "--quiet", "-m", "first part")
    repo.git("add", "b")
    repo.git("commit", "--quiet", "-m", "second part")
    assert placed(repo, old) == ["tree: second part"]


def test_of_equal_trees_the_one_written_at_the_same_time_is_meant(repo: GitRepo) -> None:
    repo.git("checkout", "--quiet", "-b", "side")
    olds = [repo.commit({"a": text}, f"set {text}") for text in ("1", "2", "1", "2")]
    repo.git("filter-branch", "-f", "--msg-filter", "sed s/set/put/", env={"FILTER_BRANCH_SQUELCH_WARNING": "1"})
    repo.git("branch", "--force", "main", "side")
    assert placed(repo, *olds) == ["tree: put 1", "tree: put 2", "tree: put 1", "tree: put 2"]
    where = [links.place(door(repo), [run_of(old)], list(door(repo).log("main"))).runs for old in olds]
    assert len({oid for one in where for oid in one}) == 4


def test_two_changes_of_one_binary_file_are_not_one(repo: GitRepo) -> None:
    repo.commit({"weights": "\0" + "a" * 50}, "weights")
    repo.git("checkout", "--quiet", "-b", "side")
    old = repo.commit({"weights": "\0" + "b" * 50}, "train")
    repo.git("checkout", "--quiet", "main")
    repo.commit({"weights": "\0" + "c" * 50}, "trained otherwise")
    assert placed(repo, old) == ["nowhere"]


# Branches ---------------------------------------------------------------------------------------------------------


def test_a_branch_that_was_rebased_is_known_by_its_patches(repo: GitRepo) -> None:
    repo.commit({"model.py": BODY}, "model")
    repo.git("checkout", "--quiet", "-b", "side")
    olds = [
        repo.commit({"model.py": edited((20, "lr = 1"))}, "lr"),
        repo.commit({"new.py": "1\n"}, "new"),
        repo.commit({"model.py": edited((20, "lr = 1"), (38, "end"))}, "end"),
    ]
    repo.git("checkout", "--quiet", "main")
    repo.commit({"model.py": edited((1, "main"), (2, "main"))}, "main goes on")
    repo.git("checkout", "--quiet", "side")
    rebase(repo, "--reset-author-date", "main")
    assert placed(repo, *olds, on="side") == ["patch: lr", "patch: new", "patch: end"]
    assert placed(repo, *olds) == ["nowhere"] * 3


def test_a_conflict_that_was_resolved_and_reworded_is_known_only_from_the_hook(repo: GitRepo) -> None:
    listen(repo)
    repo.commit({"model.py": BODY}, "model")
    repo.git("checkout", "--quiet", "-b", "side")
    old = repo.commit({"model.py": edited((20, "lr = 1"))}, "lr")
    repo.git("checkout", "--quiet", "main")
    repo.commit({"model.py": edited((20, "rate = 1"))}, "main goes on")
    repo.git("checkout", "--quiet", "side")
    repo.git("rebase", "main", check=False)
    (repo.path / "model.py").write_text(edited((20, "rate = lr = 1")), encoding="utf-8")
    repo.git("add", "model.py")
    rename = "sed -i.orig s/^lr$/rates/"
    repo.git("rebase", "--continue", env={"GIT_EDITOR": rename})
    assert placed(repo, old, on="side") == ["nowhere"]
    note(repo)
    assert placed(repo, old, on="side") == ["rewritten: rates"]


@pytest.mark.parametrize("hook", [False, True])
def test_fixups_are_squashed_and_commits_reordered(repo: GitRepo, hook: bool) -> None:
    listen(repo)
    base = repo.git("rev-parse", "HEAD")
    first = repo.commit({"a": "1\n"}, "first")
    second = repo.commit({"b": "1\n"}, "second")
    third = repo.commit({"c": "1\n"}, "third")
    fixup = repo.commit({"a": "2\n"}, "fixup! first")
    rebase(repo, "-i", "--autosquash", base)
    rebase(repo, "-i", base, todo="sed -i.orig -e 2h -e 2d -e 3G")
    assert repo.git("log", "--format=%s", "--reverse").splitlines() == ["train: begin", "first", "third", "second"]
    if hook:
        note(repo)
        told = ["rewritten: first", "rewritten: second", "rewritten: third", "rewritten: first"]
    else:
        told = ["author: first", "patch: second", "patch: third", "tree: second"]
    assert placed(repo, first, second, third, fixup) == told


def test_a_squashed_branch_keeps_the_runs_of_all_its_commits(repo: GitRepo) -> None:
    repo.git("checkout", "--quiet", "-b", "side")
    olds = [repo.commit({name: "1\n"}, name) for name in "abc"]
    repo.git("checkout", "--quiet", "main")
    repo.git("merge", "--quiet", "--squash", "side")
    repo.git("commit", "--quiet", "-m", "side, squashed")
    repo.git("branch", "--quiet", "-D", "side")
    assert placed(repo, *olds) == ["squash: side, squashed", "squash: side, squashed", "tree: side, squashed"]


def test_a_branch_squashed_onto_a_main_that_moved_is_known_by_all_it_changed(repo: GitRepo) -> None:
    repo.commit({"model.py": BODY}, "model")
    repo.git("checkout", "--quiet", "-b", "side")
    first = repo.commit({"model.py": edited((5, "lr = 1"))}, "lr")
    repo.git("checkout", "--quiet", "main")
    repo.commit({"model.py": edited((20, "main"))}, "main goes on")
    repo.git("checkout", "--quiet", "side")
    repo.git("merge", "--quiet", "-m", "catch up", "main")
    merge = repo.git("rev-parse", "HEAD")
    last = repo.commit({"model.py": edited((5, "lr = 1"), (20, "main"), (30, "end"))}, "end")
    repo.git("checkout", "--quiet", "main")
    repo.commit({"model.py": edited((20, "main"), (38, "main"))}, "main goes on again")
    repo.git("merge", "--quiet", "--squash", "side")
    repo.git("commit", "--quiet", "-m", "all of side")
    repo.git("checkout", "--quiet", "side")
    after = repo.commit({"later.py": "1\n"}, "side goes on")
    told = ["squash: all of side", "squash: all of side", "squash: all of side", "nowhere"]
    assert placed(repo, first, merge, last, after) == told
    assert placed(repo, merge, on="side") == ["exact: catch up"]


def test_a_squash_message_that_was_kept_names_its_commits_for_ever(repo: GitRepo) -> None:
    repo.git("checkout", "--quiet", "-b", "side")
    old = repo.commit({"a": "1\n"}, "a")
    repo.commit({"b": "1\n"}, "b")
    repo.git("checkout", "--quiet", "main")
    repo.git("merge", "--quiet", "--squash", "side")
    repo.git("commit", "--quiet", "--no-edit")
    repo.git("branch", "--quiet", "-D", "side")
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "--quiet", "--prune=now")
    assert placed(repo, old) == ["named: Squashed commit of the following:"]


def test_a_revert_is_not_taken_for_what_it_reverts(repo: GitRepo) -> None:
    repo.git("checkout", "--quiet", "-b", "side")
    old = repo.commit({"a": "1\n"}, "a")
    repo.git("revert", "--no-edit", old)
    assert placed(repo, old) == ["nowhere"]
    assert placed(repo, old, on="side") == ["exact: a"]


def test_a_history_whose_messages_or_files_were_filtered_is_known(repo: GitRepo) -> None:
    olds = [repo.git("rev-parse", "HEAD")]
    olds += [repo.commit({"big.bin": "0" * number, f"{number}.py": "1\n"}, f"number {number}") for number in (1, 2)]
    olds.append(repo.commit({"3.py": "1\n"}, "number 3"))
    quiet = {"FILTER_BRANCH_SQUELCH_WARNING": "1"}
    repo.git("filter-branch", "-f", "--msg-filter", "sed s/number/nr/", env=quiet)
    assert placed(repo, *olds)[1:] == ["tree: nr 1", "tree: nr 2", "tree: nr 3"]
    date = "export GIT_AUTHOR_DATE=2020-01-01T00:00:00Z"
    without = "git rm -q --cached --ignore-unmatch big.bin"
    repo.git("filter-branch", "-f", "--env-filter", date, "--index-filter", without, env=quiet)
    assert placed(repo, *olds) == ["tree: train: begin", "nowhere", "nowhere", "patch: nr 3"]


def test_merges_are_known_by_their_trees(repo: GitRepo) -> None:
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit({"a": "1\n"}, "a")
    repo.git("checkout", "--quiet", "main")
    repo.commit({"b": "1\n"}, "b")
    repo.git("merge", "--quiet", "-m", "merge", "side")
    old = repo.git("rev-parse", "HEAD")
    repo.git("commit", "--quiet", "--amend", "-m", "merge side")
    assert placed(repo, old) == ["tree: merge side"]


# Uncommitted work -------------------------------------------------------------------------------------------------


def snapshot(repo: GitRepo, files: dict[str, str]) -> str:
    """Returns `commit:snapshot` of work that is left uncommitted, as recording makes it."""
    head = repo.git("rev-parse", "HEAD")
    for name, text in files.items():
        (repo.path / name).write_text(text, encoding="utf-8")
    repo.git("add", "--all")
    made = repo.git("commit-tree", repo.git("write-tree"), "-p", head, "-m", "snapshot of uncommitted work")
    repo.git("reset", "--quiet")
    return f"{head}:{made}"


def test_uncommitted_work_that_was_committed_as_it_was_is_found_there(repo: GitRepo) -> None:
    ran = snapshot(repo, {"a": "1\n"})
    other = snapshot(repo, {"a": "1\n", "b": "never committed\n"})
    assert placed(repo, ran, other) == ["exact: train: begin", "exact: train: begin"]
    (repo.path / "b").unlink()
    repo.commit({"a": "1\n"}, "as it ran")
    repo.commit({}, "without a change")
    assert placed(repo, ran, other) == ["committed: as it ran", "exact: train: begin"]


def test_uncommitted_work_that_was_committed_and_rebased_is_found_by_its_patch(repo: GitRepo) -> None:
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit({"a": "1\n"}, "a")
    ran = snapshot(repo, {"b": "1\n"})
    repo.commit({"b": "1\n"}, "b")
    repo.git("checkout", "--quiet", "main")
    repo.commit({"c": "1\n"}, "main goes on")
    repo.git("checkout", "--quiet", "side")
    rebase(repo, "main")
    assert placed(repo, ran, on="side") == ["committed: b"]


def test_a_snapshot_that_left_everything_out_is_no_later_commit(repo: GitRepo) -> None:
    head = repo.git("rev-parse", "HEAD")
    empty = repo.git("commit-tree", "HEAD^{tree}", "-p", head, "-m", "snapshot of uncommitted work")
    repo.commit({}, "without a change")
    assert placed(repo, f"{head}:{empty}") == ["exact: train: begin"]


# Odd repositories -------------------------------------------------------------------------------------------------


def test_commits_that_are_not_here_or_are_none_belong_nowhere(repo: GitRepo) -> None:
    tree, blob = repo.git("rev-parse", "HEAD^{tree}"), repo.git("rev-parse", "HEAD:train.py")
    assert placed(repo, "1" * 40, tree, blob, "2" * 64, f"{'1' * 40}:{tree}") == ["nowhere"] * 5
    rewrites.append(door(repo), [("1" * 40, repo.git("rev-parse", "HEAD"))])
    assert placed(repo, "1" * 40) == ["rewritten: train: begin"]


def test_a_repository_with_longer_ids_is_the_same(tmp_path: Path) -> None:
    long = GitRepo.init(tmp_path / "long", "--object-format=sha256")
    long.commit({"model.py": BODY}, "model")
    long.git("checkout", "--quiet", "-b", "side")
    olds = [long.commit({"model.py": edited((at, "x"))}, f"at {at}") for at in (5, 30)]
    long.git("checkout", "--quiet", "main")
    long.commit({"model.py": edited((18, "main"))}, "main goes on")
    long.git("checkout", "--quiet", "side")
    rebase(long, "--reset-author-date", "main")
    assert placed(long, *olds, on="side") == ["patch: at 5", "patch: at 30"]
    long.fsck()


def test_another_work_tree_finds_the_same(repo: GitRepo) -> None:
    old = repo.commit({"a": "1\n"}, "begn")
    repo.git("commit", "--quiet", "--amend", "-m", "begin")
    repo.git("worktree", "add", "--quiet", "-b", "other", "../other")
    assert placed(GitRepo(repo.path.parent / "other"), old) == ["tree: begin"]


def test_settings_of_the_user_change_no_answer(repo: GitRepo) -> None:
    repo.commit({"größe.py": BODY}, "model")
    repo.git("checkout", "--quiet", "-b", "side")
    old = repo.commit({"größe.py": edited((5, "x"))}, "größer\u2028\x0cund weiter")
    repo.git("checkout", "--quiet", "main")
    repo.commit({"größe.py": edited((30, "y"))}, "main goes on")
    repo.git("checkout", "--quiet", "side")
    rebase(repo, "--reset-author-date", "main")
    for key, value in {
        "log.showSignature": "true",
        "color.ui": "always",
        "diff.noprefix": "true",
        "diff.renames": "copies",
        "diff.external": "false",
        "diff.context": "0",
        "diff.orderFile": "/nowhere",
        "i18n.logOutputEncoding": "ISO-8859-1",
        "core.quotePath": "false",
    }.items():
        repo.git("config", key, value)
    (told,) = placed(repo, old, on="side")
    assert told.startswith("patch: ")
    assert next(door(repo).log("side")).subject.startswith("größer\u2028")


def test_what_was_compared_is_remembered_and_may_be_lost_or_damaged(repo: GitRepo) -> None:
    repo.commit({"model.py": BODY}, "model")
    repo.git("checkout", "--quiet", "-b", "side")
    old = repo.commit({"model.py": edited((5, "x"))}, "x")
    repo.git("checkout", "--quiet", "main")
    repo.commit({"model.py": edited((30, "y"))}, "y")
    repo.git("cherry-pick", "--no-commit", old)
    repo.git("commit", "--quiet", "-m", "picked")
    file = repo.path / ".git" / "gittrack" / "patches"

    assert placed(repo, old) == ["patch: picked"]
    kept = file.read_bytes()
    assert placed(repo, old) == ["patch: picked"]
    assert file.read_bytes() == kept  # nothing was asked again
    for damage in (kept[: len(kept) // 2], b"\xff" * 100, kept.replace(b" .\n", b" \n"), b""):
        file.write_bytes(damage)
        assert placed(repo, old) == ["patch: picked"]
    file.unlink()
    file.mkdir()
    assert placed(repo, old) == ["patch: picked"]


def test_a_clone_without_contents_fetches_none(repo: GitRepo, tmp_path: Path) -> None:
    repo.git("config", "uploadpack.allowFilter", "true")
    repo.commit({"model.py": BODY}, "model")
    repo.git("checkout", "--quiet", "-b", "side")
    near = repo.commit({"model.py": edited((5, "x"))}, "x")
    apart = repo.commit({"other.py": "1\n"}, "other")
    repo.git("checkout", "--quiet", "main")
    repo.commit({"model.py": edited((30, "y"))}, "y")
    repo.git("cherry-pick", "--no-commit", near)
    repo.git("commit", "--quiet", "-m", "picked x")
    repo.git("cherry-pick", "--no-commit", apart)
    repo.git("commit", "--quiet", "-m", "picked other")
    clone = GitRepo.clone(repo.path.as_uri(), tmp_path / "clone", "--filter=blob:none", "--no-checkout")
    objects = clone.git("count-objects", "-v")
    assert placed(clone, near, apart) == ["nowhere", "patch: picked other"]
    assert clone.git("count-objects", "-v") == objects
    assert placed(repo, near, apart) == ["patch: picked x", "patch: picked other"]


@pytest.mark.parametrize("seed", range(6))
def test_any_branch_that_is_rebased_without_a_conflict_keeps_every_run(repo: GitRepo, seed: int) -> None:
    chance = random.Random(seed)
    names = ["a.py", "b.py", "c/d.py"]
    repo.commit(dict.fromkeys(names, BODY), "begin")
    texts = {name: BODY.splitlines() for name in names}

    def step(number: int, lines: range) -> str:
        name = chance.choice(names)
        texts[name][chance.choice(lines)] = f"step {number}"
        return repo.commit({name: "\n".join(texts[name]) + "\n"}, f"step {number}")

    repo.git("checkout", "--quiet", "-b", "side")
    steps = range(chance.randrange(2, 7))
    olds = [step(number, range(18)) for number in steps]
    repo.git("checkout", "--quiet", "main")
    texts = {name: BODY.splitlines() for name in names}
    for number in range(chance.randrange(1, 4)):
        step(100 + number, range(25, 40))
    repo.git("checkout", "--quiet", "side")
    rebase(repo, "--reset-author-date", "main")
    squashed = chance.random() < 0.5
    repo.git("checkout", "--quiet", "main")
    if squashed:
        repo.git("merge", "--quiet", "--squash", "side")
        repo.git("commit", "--quiet", "-m", "all")
        run(["git", "branch", "-D", "side"], cwd=repo.path)
    else:
        repo.git("merge", "--quiet", "--ff-only", "side")
    told = placed(repo, *olds)
    expected = [{"squash: all", "patch: all"} if squashed else {f"patch: step {number}"} for number in steps]
    assert all(one in some for one, some in zip(told, expected, strict=True)), told
