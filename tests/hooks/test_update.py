"""The update hook of a server: a run only grows, whoever pushes what, with whatever client."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from gittrack.codec import tree
from gittrack.refname import new_run_id
from tests import plumbing, sharing
from tests.gitcmd import GitRepo, run
from tests.runs import ask, attempt, listed, record

HOOK = Path(__file__).parent.parent.parent / "hooks" / "update"
# Each with the pre-receive hook that looks ahead, and one without.
SHELLS = ("sh", "sh, prepared", "busybox sh, prepared", "bash --posix, prepared")
CLONE, OTHER = "c0123456789ab", "czzzzzzzzzzzz"


def ids(count: int) -> list[str]:
    """Returns ids of runs, always the same."""
    return [str(new_run_id(number)) for number in range(1, count + 1)]


ONE, TWO, THREE = ids(3)


def install(bare: GitRepo, shell: str = "sh") -> None:
    """Makes ours the hook of a bare repository, run by this shell: update, and pre-receive if it is `prepared`.

    Busybox brings an awk, a tr and an rm of its own, and is on servers that have no others."""
    shell, _, prepared = shell.partition(", ")
    program = shell.partition(" ")[0]
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} here")
    tools = bare.path / "tools"
    tools.mkdir(exist_ok=True)
    for name in ("awk", "tr", "rm", "mkdir") if program == "busybox" else ():
        (tools / name).symlink_to(str(shutil.which(program)))
    for event in ("update", "pre-receive") if prepared else ("update",):
        hook = bare.path / "hooks" / event
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f'#!/bin/sh\nPATH="{tools}:$PATH" exec {shell} "{HOOK}" "$@"\n', encoding="utf-8")
        hook.chmod(0o755)


@pytest.fixture
def server(bare_remote: GitRepo) -> GitRepo:
    """The remote, guarded."""
    install(bare_remote)
    return bare_remote


def push(repo: GitRepo, *refspecs: str, where: str = "origin", options: tuple[str, ...] = ()) -> dict[str, str]:
    """Pushes with plain git and returns why each ref was refused; those that were taken are left out."""
    words = ["git", "push", "--porcelain", "--no-verify", *options, where, *refspecs]
    done = run(words, cwd=repo.path, check=False)
    why = dict(re.findall(r"^remote: gittrack: (\S+) is refused: (.*?)\s*$", done.stderr, re.MULTILINE))
    refused = re.findall(r"^!\t\S*:(\S+)\t\[remote rejected\]", done.stdout, re.MULTILINE)
    assert set(why) == set(refused), (done.stdout, done.stderr)
    assert bool(why) == bool(done.returncode), done.stderr
    return why


def ref(name: str) -> str:
    return f"refs/runs/{name}"


# Our own flows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["path", "http", "ssh"])
def test_what_git_track_does_passes_over_every_transport(kind: str, repo: GitRepo, tmp_path: Path) -> None:
    with sharing.host(kind, tmp_path / "host") as host:
        install(host.bare)
        host.introduce(repo)
        repo.git("push", "--quiet", "origin", "main")
        (repo.path / "train.py").write_text("dirty\n", encoding="utf-8")
        big = "x" * 50_000
        one, two = record(
            repo, {"name": "one", "metrics": {"acc": [1, 2]}, "files": {"müll.txt": big, "b": big}}, {"name": "two"}
        )
        assert attempt(repo, "push", "--yes")[0] == 0
        clone = host.clone(tmp_path / "clone")
        ask(clone, "pull")
        ask(clone, "tag", "one", "bob")
        ask(clone, "edit", "one", "--star")
        ask(clone, "push")
        ask(repo, "tag", "one", "ada")
        ask(repo, "push")  # which joins
        assert "Join: 1" in repo.git("log", "-1", "--format=%B", ref(one))
        ask(repo, "rm", two)
        ask(repo, "push")
        ask(clone, "pull")
        assert repo.refs("refs/runs/") == host.bare.refs("refs/runs/") == clone.refs("refs/runs/")
        assert [(found["name"], found["tags"]) for found in listed(clone)] == [("one", ["ada", "bob"])]

        forced = repo.git("rev-parse", f"{ref(one)}~1")
        assert set(push(repo, f"+{forced}:{ref(one)}", f":{ref(two)}")) == {ref(one), ref(two)}
        assert repo.refs("refs/runs/") == host.bare.refs("refs/runs/")


def test_archives_and_what_they_free_pass(repo: GitRepo, server: GitRepo, colleague: GitRepo) -> None:
    install(server)
    record(repo, *({"name": f"run-{number}"} for number in range(6)))
    ask(repo, "push")
    ask(colleague, "pull")
    ask(repo, "archive", "--keep", "4")
    ask(repo, "push")
    assert len(server.refs("refs/runs/")) == 5
    ask(repo, "tag", "run-0", "again")  # an archived run has a ref once more
    ask(repo, "push")
    ask(repo, "rm", "run-1", "run-2")
    ask(repo, "gc", "--remote")
    ask(repo, "push")
    ask(colleague, "archive", "--keep", "2")  # which knows of none of that
    ask(colleague, "push")
    ask(colleague, "pull")
    ask(repo, "pull")

    names = {found["name"] for found in listed(repo)}
    assert names == {found["name"] for found in listed(colleague)} == {f"run-{number}" for number in (0, 3, 4, 5)}
    assert repo.refs("refs/runs/").items() >= server.refs("refs/runs/archive/").items()
    assert set(push(repo, *(f":{name}" for name in server.refs("refs/runs/archive/")))) == set(
        server.refs("refs/runs/archive/")
    )


def test_a_purge_passes_where_the_server_allows_it(repo: GitRepo, server: GitRepo) -> None:
    leaked = record(repo, {"name": "leaked"}, {"name": "fine"}, {"name": "new"})[0]
    ask(repo, "push")
    ask(repo, "archive", "--keep", "1")
    ask(repo, "push")
    before = server.refs("refs/runs/archive/")

    assert attempt(repo, "gc", "--purge", leaked, "--remote", "--yes")[0] != 0
    assert server.refs("refs/runs/archive/") == before
    server.git("config", "gittrack.allowPurge", "true")
    ask(repo, "gc", "--purge", leaked, "--remote", "--yes")

    assert server.refs("refs/runs/archive/") != before
    assert {found["name"] for found in listed(repo)} == {"fine", "new"}


def test_what_a_remote_allows_is_found_out_with_probes(repo: GitRepo, server: GitRepo) -> None:
    said = ask(repo, "doctor", "--remote", "origin")

    assert "refused" not in said
    assert server.refs("refs/runs/") == {}


def test_refs_that_are_not_ours_pass_untouched(repo: GitRepo, server: GitRepo) -> None:
    repo.git("tag", "v1")
    old = repo.git("rev-parse", "HEAD")
    repo.commit({"a": "1"}, "second")

    assert push(repo, "HEAD:refs/heads/main", "v1", "HEAD:refs/heads/runs/x", "HEAD:refs/notes/refs/runs/x") == {}
    assert push(repo, f"+{old}:refs/heads/main", ":refs/tags/v1", ":refs/heads/runs/x") == {}


def test_a_hook_that_was_there_before_can_call_it(repo: GitRepo, bare_remote: GitRepo) -> None:
    hook = bare_remote.path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\n"{HOOK}" "$@" || exit\necho "and $1 is looked at" >&2\n', encoding="utf-8")
    hook.chmod(0o755)
    repo.commit({"a": "1"}, "second")

    done = run(["git", "push", "origin", "main", f"main:{ref('nonsense')}"], cwd=repo.path, check=False)

    assert "and refs/heads/main is looked at" in done.stderr
    assert "this is no name of a run" in done.stderr
    assert f"and {ref('nonsense')}" not in done.stderr


# Rules ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_a_run_only_moves_forward(shell: str, repo: GitRepo, bare_remote: GitRepo) -> None:
    install(bare_remote, shell)
    code = repo.git("rev-parse", "HEAD")
    first = plumbing.run_commit(repo, ONE, code)
    edited = plumbing.run_commit(repo, ONE, first, more={"edits": b""})
    further = plumbing.run_commit(repo, ONE, plumbing.run_commit(repo, ONE, edited, more={"a": b"1"}), more={"a": b"2"})
    other = plumbing.run_commit(repo, ONE, code, more={"b": b""})
    joined = plumbing.run_commit(repo, ONE, *sorted((further, other)), more={"c": b""})
    forward = f"+{{}}:{ref(ONE)}"

    for oid in (first, edited, further, joined):
        assert push(repo, forward.format(oid)) == {}
    for oid in (further, first, other, plumbing.run_commit(repo, ONE, more={"d": b""})):
        assert push(repo, forward.format(oid)) == {
            ref(ONE): "a run only moves forward; fetch it and join what both have"
        }
    assert bare_remote.refs("refs/runs/") == {ref(ONE): joined}


@pytest.mark.parametrize("shell", SHELLS)
def test_names_that_are_none_are_refused(shell: str, repo: GitRepo, bare_remote: GitRepo) -> None:
    install(bare_remote, shell)
    names: tuple[str, ...] = (
        *("x", "main", ONE + "0", ONE[:-1], ONE[:-1] + "i", ONE[:-1] + "A", "x" + ONE[1:], ONE + "/x", "heads/" + ONE),
        *("archive/x", f"archive/{ONE}", f"archive/{CLONE}/x", "archive/" + CLONE.upper(), "probe-x/y", "Probe-x"),
        *("r¿é", ONE[:-1] + "é", "r" + "-" * 12),
    )
    oid = plumbing.run_commit(repo, ONE)

    why = push(repo, *(f"{oid}:{ref(name)}" for name in names), f"{oid}:{ref(ONE)}")

    assert set(why) == {ref(name) for name in names}
    assert set(why.values()) == {"this is no name of a run", "this is no name of an archive"}
    assert bare_remote.refs("refs/runs/") == {ref(ONE): oid}


def test_probes_are_free_and_local_refs_are_never_taken(repo: GitRepo, server: GitRepo) -> None:
    code = repo.git("rev-parse", "HEAD")
    other = plumbing.commit(repo, plumbing.files(repo, {}), "unrelated\n")

    for refspec in (f"{code}:{ref('probe-1')}", f"+{other}:{ref('probe-1')}", f":{ref('probe-1')}"):
        assert push(repo, refspec) == {}
    local = "refs/gittrack/origin/runs/" + ONE
    assert push(repo, f"{code}:{local}") == {local: "refs/gittrack/ belongs to one clone and is never pushed"}
    server.git("update-ref", local, "main")  # from before there was a guard
    assert push(repo, f":{local}") == {}


def test_what_stood_under_a_wrong_name_can_be_cleaned_up(repo: GitRepo, server: GitRepo) -> None:
    server.git("update-ref", ref("nonsense"), "main")

    assert push(repo, f":{ref('nonsense')}") == {}


def test_a_model_only_moves_forward_and_stays(repo: GitRepo, server: GitRepo) -> None:
    first = plumbing.commit(repo, plumbing.files(repo, {}), "first\n")
    second = plumbing.commit(repo, plumbing.files(repo, {}), "second\n", first)
    model = "refs/models/net"

    assert push(repo, f"{first}:{model}") == {}
    assert push(repo, f"{second}:{model}") == {}
    assert push(repo, f"+{first}:{model}") == {
        model: "a model only moves forward; fetch it and repeat the move on its tip"
    }
    assert push(repo, f":{model}") == {model: "a model is never deleted"}


def odd_commits(repo: GitRepo) -> dict[str, str]:
    """Returns why a commit must be refused, to the commit, for the run called after the place in this list."""
    names = ids(20)
    root = plumbing.files(repo, {"run.yaml": b"id: x\n"})
    code = repo.git("rev-parse", "HEAD")
    message = plumbing.run_message
    forged = (
        f"tree {root}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\nparent {code}\n\n" + message(names[0])
    ).encode()
    torn = f"tree {root}\nnonsense\nparent {code}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\n".encode()
    return {
        f"its commit does not say 'Run: {names[0]}'": plumbing.commit(repo, root, message(names[1])),
        f"its commit does not say 'Run: {names[1]}'": plumbing.commit(repo, root, f"Run: {names[1]}0\n"),
        f"its commit does not say 'Run: {names[2]}'": plumbing.commit(repo, root, f"x Run: {names[2]}\n\nRecord: {{}}"),
        "its commit has no record": plumbing.commit(repo, root, f"x\n\nRun: {names[3]}\n"),
        "it is no commit": root,
        "it has no run.yaml": plumbing.commit(repo, plumbing.files(repo, {"a": b""}), message(names[5])),
        "its record is larger than 1 MiB": plumbing.commit(repo, root, message(names[6]) + "x" * (1 << 21)),
        "its commit is malformed": plumbing.write(
            repo, tree.make_object("commit", torn + message(names[7]).encode(), algorithm="sha1")
        ),
        # What looks like a parent behind the committer is none for git either; the run itself is sound.
        "": plumbing.write(repo, tree.make_object("commit", forged, algorithm="sha1")),
    }


@pytest.mark.parametrize("shell", SHELLS)
def test_commits_that_are_those_of_no_run_are_refused(shell: str, repo: GitRepo, bare_remote: GitRepo) -> None:
    install(bare_remote, shell)
    repo.fsck_at_teardown = bare_remote.fsck_at_teardown = False
    commits = odd_commits(repo)
    names = ids(len(commits) - 1)

    why = push(repo, *(f"{oid}:{ref(name)}" for name, oid in zip(names, commits.values(), strict=False)))

    assert why == {ref(name): text for name, text in zip(names, commits, strict=False)}
    assert bare_remote.refs("refs/runs/") == {}


def test_a_parent_that_only_looks_like_one_moves_nothing_forward(repo: GitRepo, server: GitRepo) -> None:
    repo.fsck_at_teardown = server.fsck_at_teardown = False
    server.git("config", "transfer.fsckObjects", "false")
    name = ids(1)[0]
    code = repo.git("rev-parse", "HEAD")
    server.git("update-ref", ref(name), "main")

    why = push(repo, f"+{odd_commits(repo)['']}:{ref(name)}")

    assert why == {ref(name): "a run only moves forward; fetch it and join what both have"}
    assert server.refs("refs/runs/") == {ref(name): code}


# Names that a run may not have, and the word in the refusal; then some that it may.
BAD = {
    b"..": "only dots",
    b". ": "only dots",
    b".git": "names the folder of git",
    b".GIT": "names the folder of git",
    b".git ..": "names the folder of git",
    b"git~1": "names the folder of git",
    ".g\u200cit".encode(): "names the folder of git",
    "\ufeff.git".encode(): "names the folder of git",
    b"con": "name of a device",
    b"NUL.txt": "name of a device",
    b"aux .x.y": "name of a device",
    b"Com1": "name of a device",
    "lpt\u00b2".encode(): "name of a device",
    b"CONOUT$": "name of a device",
    b"a:b": "colon",
    b"a\\b": "control character or a backslash",
    b"a\nb": "control character or a backslash",
    b"a\x1bb": "control character or a backslash",
    b"a\x7fb": "control character or a backslash",
    "a\u0085b".encode(): "control character or a backslash",
    b"a\xff": "not valid UTF-8",
    b"\xc0\xaf": "not valid UTF-8",
    b"\xed\xa0\x80": "not valid UTF-8",
    b"\xf4\x90\x80\x80": "not valid UTF-8",
    b"\xe2\x82": "not valid UTF-8",
    b"x" * 4097: "longer than 4096 bytes",
    b"a/../b": "only dots",
}
GOOD = (
    *("…", "e\u0301", "\U0001f600", "\u4e16\u754c.png", "ÿ", "\u07ff", "\u0800", "\uffef", "\ud7ff", "\U0010ffff"),
    *('a"b', "a b", "console.log", "nullable", "com", "com10", ".gitignore", "git", "x.git", "a~1", "...x", "-", "%41"),
    "x" * 4096,
)


@pytest.mark.parametrize("shell", SHELLS)
def test_paths_that_a_run_may_not_have_are_refused_and_no_others(
    shell: str, repo: GitRepo, bare_remote: GitRepo
) -> None:
    install(bare_remote, shell)
    repo.fsck_at_teardown = bare_remote.fsck_at_teardown = False
    empty = plumbing.blob(repo, b"")
    names = dict(zip(ids(len(BAD) + len(GOOD)), [*BAD, *(name.encode() for name in GOOD)], strict=True))
    base = ("100644", b"run.yaml", empty)
    pushed = {
        run: plumbing.run_commit(repo, run, root=plumbing.folder(repo, base, ("100644", name, empty)))
        for run, name in names.items()
    }

    why = push(repo, *(f"{oid}:{ref(run)}" for run, oid in pushed.items()))

    assert {names[refname.removeprefix("refs/runs/")] for refname in why} == set(BAD)
    for refname, text in why.items():
        assert BAD[names[refname.removeprefix("refs/runs/")]] in text
    # The program itself says the same of every one of them.
    agreed = {name: tree.why_refused(name.decode("utf-8", "surrogateescape")) for name in names.values()}
    assert {name for name, said in agreed.items() if said} == set(BAD)


def odd_trees(repo: GitRepo) -> dict[str, str]:
    """Returns the word in the refusal, to a tree that must be refused."""
    empty, none = plumbing.blob(repo, b""), plumbing.folder(repo)
    base = ("100644", b"run.yaml", empty)

    def one(mode: str, name: bytes, oid: str) -> str:
        return plumbing.folder(repo, base, (mode, name, oid))

    deep, wide = plumbing.folder(repo, ("100644", b"f", empty)), none
    for _ in range(64):
        deep = plumbing.folder(repo, ("40000", b"d", deep))
    for _ in range(40):  # 2^40 folders, in 40 objects
        wide = plumbing.folder(repo, ("40000", b"a", wide), ("40000", b"b", wide))
    big = plumbing.blob(repo, b"x" * 65_537)
    huge = plumbing.blob(repo, b"x" * (4 << 20) + b"x")
    return {
        "the mode of link is 120000": one("120000", b"link", empty),
        "the mode of module is 160000": one("160000", b"module", repo.git("rev-parse", "HEAD")),
        "deeper than 64 folders": one("40000", b"d", deep),
        "more than 100000 files and folders": one("40000", b"d", wide),
        "twice": plumbing.folder(repo, base, base),
        "edits/x.json has more than 65536 bytes": one(
            "40000", b"edits", plumbing.folder(repo, ("100644", b"x.json", big))
        ),
        "params.yaml has more than 4194304 bytes": one("100644", b"params.yaml", huge),
        "it has no run.yaml": none,
    }


@pytest.mark.parametrize("shell", SHELLS)
def test_trees_that_a_run_may_not_have_are_refused(shell: str, repo: GitRepo, bare_remote: GitRepo) -> None:
    install(bare_remote, shell)
    repo.fsck_at_teardown = bare_remote.fsck_at_teardown = False
    trees = odd_trees(repo)
    wide = "more than 100000 files and folders"
    names = ids(len(trees))
    specs = {
        name: (plumbing.run_commit(repo, name, root=root), text)
        for name, (text, root) in zip(names, trees.items(), strict=True)
        if text != wide
    }

    why = push(repo, *(f"{oid}:{ref(name)}" for name, (oid, _) in specs.items()))

    assert set(why) == {ref(name) for name in specs}
    for name, (_, text) in specs.items():
        assert text in why[ref(name)]
    # A client would count for ever before it pushes that, so the hook is asked as git asks it.
    bomb = plumbing.run_commit(repo, ONE, root=trees[wide])
    asked = [*shell.partition(",")[0].split(), str(HOOK), ref(ONE), plumbing.NO_ID, bomb]
    done = run(asked, cwd=repo.path, env={"GIT_DIR": str(repo.path / ".git")}, check=False)
    assert done.returncode == 1
    assert wide in done.stderr


def test_limits_are_those_of_the_servers_settings(repo: GitRepo, server: GitRepo) -> None:
    large: dict[str, bytes] = {f"artifacts/{number}": b"x" * 3_000_000 for number in range(3)}
    many: dict[str, bytes] = {f"artifacts/{number}": b"" for number in range(1500)}
    first = f"{plumbing.run_commit(repo, ONE, more=large)}:{ref(ONE)}"
    second = f"{plumbing.run_commit(repo, TWO, more=many)}:{ref(TWO)}"
    refused = {
        ("maxBlob", "2m"): {ref(ONE): "a file of it has 3000000 bytes; gittrack.maxBlob is 2097152"},
        ("maxEntries", "1400"): {ref(TWO): "it has 1502 files and folders; gittrack.maxEntries is 1400"},
        ("maxRun", "8000000"): {ref(ONE): "its files have 9000028 bytes; gittrack.maxRun is 8000000"},
    }

    for (key, value), expected in refused.items():
        server.git("config", f"gittrack.{key}", value)
        assert push(repo, first, second, options=("--dry-run",)) == {}
        why = push(repo, *(spec for spec in (first, second) if spec.rpartition(":")[2] in expected))
        assert why == expected
        server.git("config", "--unset", f"gittrack.{key}")
    assert push(repo, first, second) == {}


def test_a_replacement_of_an_object_hides_nothing(repo: GitRepo, server: GitRepo) -> None:
    sound = plumbing.run_commit(repo, ONE)
    odd = plumbing.commit(repo, plumbing.files(repo, {}), "no run\n")
    repo.git("update-ref", f"refs/replace/{odd}", sound)

    assert push(repo, f"refs/replace/{odd}:refs/replace/{odd}") == {}
    repo.git("update-ref", "-d", f"refs/replace/{odd}")
    assert list(push(repo, f"{odd}:{ref(ONE)}")) == [ref(ONE)]


# Archives and deletes -------------------------------------------------------------------------------------------------

KEPT = "a run is deleted only when an archive here has it or says that it is buried"


@pytest.fixture
def shared(repo: GitRepo, server: GitRepo) -> Mapping[str, str]:
    """Three runs, the first edited once, that are on the server; id to oid."""
    first = plumbing.run_commit(repo, ONE, repo.git("rev-parse", "HEAD"))
    found = {
        ONE: plumbing.run_commit(repo, ONE, first, more={"edited": b""}),
        TWO: plumbing.run_commit(repo, TWO),
        THREE: plumbing.run_commit(repo, THREE),
    }
    assert push(repo, *(f"{oid}:{ref(name)}" for name, oid in found.items())) == {}
    return found


def test_a_run_goes_when_an_archive_has_it(repo: GitRepo, server: GitRepo, shared: Mapping[str, str]) -> None:
    everything = [f":{ref(name)}" for name in shared]
    assert push(repo, *everything) == {ref(name): KEPT for name in shared}
    made = plumbing.archive(repo, CLONE, {ONE: shared[ONE]})
    assert push(repo, f"{made}:{ref('archive/' + CLONE)}") == {}

    leases = [f"--force-with-lease={ref(name)}:{oid}" for name, oid in shared.items()]

    assert push(repo, *everything, options=tuple(leases)) == {ref(TWO): KEPT, ref(THREE): KEPT}
    assert set(server.refs("refs/runs/")) == {ref(TWO), ref(THREE), ref("archive/" + CLONE)}


def test_a_run_that_was_edited_after_it_was_archived_stays(
    repo: GitRepo, server: GitRepo, shared: Mapping[str, str]
) -> None:
    made = plumbing.archive(repo, CLONE, {ONE: repo.git("rev-parse", f"{shared[ONE]}^"), TWO: shared[TWO]})
    assert push(repo, f"{made}:{ref('archive/' + CLONE)}") == {}

    assert push(repo, f":{ref(ONE)}", f":{ref(TWO)}") == {ref(ONE): KEPT}


def test_a_run_that_was_archived_long_ago_or_in_a_newer_version_goes(
    repo: GitRepo, server: GitRepo, shared: Mapping[str, str]
) -> None:
    newer = plumbing.run_commit(repo, ONE, shared[ONE], more={"again": b""})
    made = plumbing.archive(repo, CLONE, {ONE: newer, TWO: shared[TWO]})
    root = repo.git("rev-parse", made + "^{tree}")
    for _ in range(40):  # more than are looked at at once
        made = plumbing.commit(repo, root, f"archive of 0 runs\n\nArchive: {CLONE}\n", made)
    assert push(repo, f"{made}:{ref('archive/' + CLONE)}") == {}

    assert push(repo, *(f":{ref(name)}" for name in shared)) == {ref(THREE): KEPT}


def test_a_list_alone_does_not_let_a_run_go(repo: GitRepo, server: GitRepo, shared: Mapping[str, str]) -> None:
    batch = f"{ONE} {shared[ONE]}\n".encode()
    oid = plumbing.blob(repo, batch)
    lying = plumbing.archive(repo, CLONE, {}, extra={f"runs/{oid[:2]}/{oid[2:]}": batch})
    assert push(repo, f"{lying}:{ref('archive/' + CLONE)}") == {}

    assert push(repo, f":{ref(ONE)}") == {ref(ONE): KEPT}


def test_a_run_that_is_buried_goes(repo: GitRepo, server: GitRepo, shared: Mapping[str, str]) -> None:
    for clone, buried in ((CLONE, [THREE]), (OTHER, [ONE])):
        made = plumbing.archive(repo, clone, {}, deleted=buried)
        assert push(repo, f"{made}:{ref('archive/' + clone)}") == {}

    assert push(repo, *(f":{ref(name)}" for name in shared)) == {ref(TWO): KEPT}


def test_an_archive_only_grows(repo: GitRepo, server: GitRepo, shared: Mapping[str, str]) -> None:
    name = ref("archive/" + CLONE)
    first = plumbing.archive(repo, CLONE, {ONE: shared[ONE]}, deleted=ids(9)[5:])
    second = plumbing.archive(repo, CLONE, {TWO: shared[TWO]}, before=[first], deleted=ids(9)[4:])
    forgets = plumbing.archive(repo, CLONE, {}, before=[first], deleted=ids(9)[6:])
    drops = plumbing.commit(repo, plumbing.files(repo, {}), f"archive of 0 runs\n\nArchive: {CLONE}\n", second)

    for oid in (first, second):
        assert push(repo, f"{oid}:{name}") == {}
    assert push(repo, f"+{first}:{name}") == {
        name: "an archive only moves forward, unless gittrack.allowPurge is true here"
    }
    server.git("update-ref", name, first)
    assert push(repo, f"{forgets}:{name}") == {name: "an archive only grows, and 'deleted' has lost lines"}
    server.git("update-ref", name, second)
    assert "has lost lines" in push(repo, f"{drops}:{name}")[name]

    server.git("config", "gittrack.allowPurge", "yes")

    assert push(repo, f"{drops}:{name}") == {}
    assert push(repo, f"+{first}:{name}") == {}


def test_an_archive_is_what_it_says(repo: GitRepo, server: GitRepo) -> None:
    name = ref("archive/" + CLONE)

    assert push(repo, f"{plumbing.archive(repo, OTHER, {})}:{name}") == {
        name: f"its commit does not say 'Archive: {CLONE}'"
    }
    odd = plumbing.archive(repo, CLONE, {}, extra={"evil.sh": b""})
    assert push(repo, f"{odd}:{name}") == {name: "evil.sh has no place in an archive"}


def test_an_archive_goes_when_another_one_has_taken_it_in(
    repo: GitRepo, server: GitRepo, shared: Mapping[str, str]
) -> None:
    mine, other = ref("archive/" + CLONE), ref("archive/" + OTHER)
    first = plumbing.archive(repo, CLONE, {ONE: shared[ONE]})
    apart = plumbing.archive(repo, OTHER, {TWO: shared[TWO]})
    assert push(repo, f"{first}:{mine}", f"{apart}:{other}") == {}
    assert push(repo, f":{mine}") == {mine: "an archive is deleted only when another one here has taken it in"}

    both = plumbing.archive(repo, OTHER, {}, before=[apart, first])

    assert push(repo, f"{both}:{other}") == {}
    assert push(repo, f":{mine}") == {}


# Cost -----------------------------------------------------------------------------------------------------------------


def count_calls(tools: Path) -> Path:
    """Puts a git into a folder of programs that notes each call; returns the file with a line for each."""
    tools.mkdir(exist_ok=True)
    calls = tools.parent / "calls"
    script = f'#!/bin/sh\necho "$*" >> "{calls}"\nexec {shutil.which("git")} "$@"\n'
    (tools / "git").write_text(script, encoding="utf-8")
    (tools / "git").chmod(0o755)
    return calls


def test_a_new_run_costs_two_git_processes_and_an_edit_no_more(
    repo: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(tmp_path / "tools")
    monkeypatch.setenv("PATH", f"{tmp_path / 'tools'}:{os.environ['PATH']}")
    first = plumbing.run_commit(repo, ONE)
    edited = plumbing.run_commit(repo, ONE, first, more={"edited": b""})

    for old, new in ((plumbing.NO_ID, first), (first, edited)):
        calls.write_text("", encoding="utf-8")
        subprocess.run([str(HOOK), ref(ONE), old, new], cwd=repo.path, check=True)
        assert [line.split()[-2] for line in calls.read_text("utf-8").splitlines()] == ["commit", "--full-tree"]


def test_with_a_look_ahead_many_runs_cost_as_many_processes_as_few(repo: GitRepo, server: GitRepo) -> None:
    install(server, "sh, prepared")
    calls = count_calls(server.path / "tools")
    code = repo.git("rev-parse", "HEAD")
    content = {"edits/01a2b3c4d5e60000-0123abcd.json": b"{}", "artifacts/a b": b"", "env/packages.txt": b"x==1\n"}
    plain = {path: each for path, each in content.items() if " " not in path}
    pushed = {name: plumbing.run_commit(repo, name, code, more=plain) for name in ids(12)}
    edited = {name: plumbing.run_commit(repo, name, oid, more=plain | {"a": b"1"}) for name, oid in pushed.items()}
    odd = {name: plumbing.run_commit(repo, name, oid, more=content) for name, oid in edited.items()}

    for tips, costs in ((pushed, 3), (edited, 3), (dict([*odd.items()][:5]), 3 + 2 * 5)):
        calls.write_text("", encoding="utf-8")
        assert push(repo, *(f"{oid}:{ref(name)}" for name, oid in tips.items())) == {}
        assert len(calls.read_text("utf-8").splitlines()) == costs
    assert server.refs("refs/runs/") == {ref(name): oid for name, oid in (edited | dict([*odd.items()][:5])).items()}


def test_what_was_found_sound_is_so_for_this_update_alone(repo: GitRepo, server: GitRepo) -> None:
    install(server, "sh, prepared")
    sound = {name: plumbing.run_commit(repo, name) for name in ids(4)}
    assert push(repo, *(f"{oid}:{ref(name)}" for name, oid in sound.items())) == {}

    others = [f"+{plumbing.run_commit(repo, name, more={'a': b''})}:{ref(name)}" for name in sound]
    crossed = [f"+{oid}:{ref(name)}" for name, oid in zip(sound, reversed(sound.values()), strict=True)]

    for specs in (others, crossed):
        assert set(push(repo, *specs)) == {ref(name) for name in sound}


def test_a_commit_that_swallows_the_next_one_is_not_taken_for_it(repo: GitRepo, server: GitRepo) -> None:
    install(server, "busybox sh, prepared")
    repo.fsck_at_teardown = server.fsck_at_teardown = False
    root = plumbing.files(repo, {"run.yaml": b""})
    first, *others = ids(5)
    head = f"tree {root}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\n".encode()
    torn = plumbing.write(repo, tree.make_object("commit", head + b"\0" * 300 + b"\nx\n", algorithm="sha1"))
    lies = f"{plumbing.run_message(others[0])}\nRun: {first}\nRecord: {{}}\n"
    commits = {first: torn, others[0]: plumbing.commit(repo, root, lies)}
    commits |= {name: plumbing.run_commit(repo, name) for name in others[1:]}

    assert list(push(repo, *(f"{oid}:{ref(name)}" for name, oid in commits.items()))) == [ref(first)]
