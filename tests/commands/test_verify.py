"""`git track verify`: what a remote rewrote or deleted is noticed, said until it is repaired, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from gittrack.sync import seen, seenlog
from tests.gitcmd import GitRepo
from tests.runs import ask, attempt, listed, record, shown


@pytest.fixture
def runs(repo: GitRepo, bare_remote: GitRepo) -> list[str]:
    """Three runs that are on the remote, the first in two versions."""
    found = record(repo, *({"name": name} for name in ("one", "two", "three")))
    ask(repo, "push")
    ask(repo, "tag", "one", "first")
    ask(repo, "push")
    ask(repo, "pull")
    return found


def tip(repo: GitRepo, run: str) -> str:
    return repo.refs("refs/runs/")[f"refs/runs/{run}"]


def test_nothing_is_said_where_nothing_was_rewritten(repo: GitRepo, runs: list[str]) -> None:
    assert attempt(repo, "verify") == (0, "", "nothing was rewritten on 1 remote(s)\n")


@pytest.mark.parametrize("kind", ["deleted", "rolled back", "moved by force", "replaced"])
def test_a_rewrite_is_told_by_fetch_and_verify_and_repaired_by_a_push(
    repo: GitRepo, bare_remote: GitRepo, runs: list[str], kind: str
) -> None:
    ref, before = f"refs/runs/{runs[0]}", tip(repo, runs[0])
    tamper(bare_remote, ref, kind)

    code, _, err = attempt(repo, "fetch")

    assert code == 1
    assert f"warning: run {runs[0]} was {kind} on 'origin'" in err
    code, out, err = attempt(repo, "verify")
    assert (code, f"run {runs[0]} was {kind}" in out) == (1, True)
    assert [item["kind"] for item in json.loads(attempt(repo, "verify", "--json")[1])] == [kind]
    assert repo.git("merge-base", "--is-ancestor", before, ref) == ""
    assert shown(repo, "one")["tags"] == ["first"]
    assert attempt(repo, "fetch")[0] == 1, "it is said until it is repaired"

    ask(repo, "push")

    assert bare_remote.git("merge-base", "--is-ancestor", before, ref) == ""
    ask(repo, "fetch")
    assert attempt(repo, "verify")[0] == 0


def tamper(bare: GitRepo, ref: str, kind: str) -> None:
    """Does with plain git on the host what nobody should."""
    old = bare.git("rev-parse", f"{ref}^")
    if kind == "deleted":
        bare.git("update-ref", "-d", ref)
    elif kind == "rolled back":
        bare.git("update-ref", ref, old)
    else:
        message = bare.git("log", "-1", "--format=%B", ref)
        parents = ["-p", old] if kind == "moved by force" else []
        who = ("-c", "user.name=Mallory", "-c", "user.email=m@example.org")
        made = bare.git(*who, "commit-tree", f"{ref}^{{tree}}", *parents, input=message + "\n")
        bare.git("update-ref", ref, made)


def test_a_rewrite_is_noticed_though_a_plain_fetch_came_between(
    repo: GitRepo, bare_remote: GitRepo, runs: list[str]
) -> None:
    repo.git("config", "--add", "remote.origin.fetch", "+refs/runs/*:refs/gittrack/origin/runs/*")
    tamper(bare_remote, f"refs/runs/{runs[1]}", "deleted")
    tamper(bare_remote, f"refs/runs/{runs[0]}", "rolled back")

    repo.git("fetch", "-q", "--prune")

    assert attempt(repo, "verify")[0] == 1
    assert len(json.loads(attempt(repo, "verify", "--json")[1])) == 2
    assert len(listed(repo)) == 3


def test_a_remote_can_be_believed(repo: GitRepo, bare_remote: GitRepo, runs: list[str]) -> None:
    tamper(bare_remote, f"refs/runs/{runs[1]}", "deleted")
    tamper(bare_remote, f"refs/runs/{runs[0]}", "rolled back")
    attempt(repo, "fetch")

    assert attempt(repo, "verify", "--accept", "two")[2] == "accepted 1 change(s)\n"
    assert [item["name"] for item in json.loads(attempt(repo, "verify", "--json")[1])] == [runs[0]]
    assert attempt(repo, "verify", "--accept")[2] == "accepted 1 change(s)\n"
    assert attempt(repo, "verify")[0] == attempt(repo, "fetch")[0] == 0
    assert attempt(repo, "verify", "--accept")[2] == "there is nothing to accept\n"


def test_archives_deletions_and_joins_are_honest(
    repo: GitRepo, bare_remote: GitRepo, runs: list[str], tmp_path: Path
) -> None:
    other = GitRepo.clone(bare_remote.path, tmp_path / "other")
    ask(other, "pull")
    ask(other, "tag", "one", "theirs")
    ask(repo, "tag", "one", "ours")
    for each in (other, repo, other):
        ask(each, "pull")
        ask(each, "push")
    ask(other, "rm", "two")
    ask(other, "gc", "--remote")
    ask(other, "archive")
    ask(other, "push")

    ask(repo, "fetch")

    assert attempt(repo, "verify")[0] == 0
    ask(other, "gc", "--purge", "three", "--remote", "--yes")
    ask(repo, "fetch")
    assert attempt(repo, "verify")[0] == 0
    assert [run["name"] for run in listed(repo)] == ["one"]


def test_an_archive_that_is_taken_away_or_back_is_noticed(repo: GitRepo, bare_remote: GitRepo, runs: list[str]) -> None:
    ask(repo, "archive", "one")
    ask(repo, "push")
    [ref] = bare_remote.refs("refs/runs/archive/")
    first = bare_remote.refs()[ref]
    ask(repo, "archive", "two")
    ask(repo, "push")
    ask(repo, "fetch")
    bare_remote.git("update-ref", ref, first)

    code, _, err = attempt(repo, "fetch")
    assert (code, "archive/" in err, "rolled back" in err) == (1, True, True), err
    ask(repo, "push")
    ask(repo, "fetch")
    bare_remote.git("update-ref", "-d", ref)
    assert attempt(repo, "fetch")[0] == 1
    assert len(listed(repo)) == 3
    ask(repo, "push")
    ask(repo, "fetch")
    assert bare_remote.refs()[ref] == repo.refs()[ref]


def test_a_remote_that_lost_everything_is_told_in_few_lines(repo: GitRepo, bare_remote: GitRepo) -> None:
    record(repo, *({"name": f"run-{at}"} for at in range(25)))
    ask(repo, "push")
    ask(repo, "fetch")
    for ref in bare_remote.refs("refs/runs/"):
        bare_remote.git("update-ref", "-d", ref)

    _, _, err = attempt(repo, "fetch")

    assert err.count("was deleted on 'origin'") == 20
    assert "warning: and 5 more" in err
    assert "error: 25 change(s) by force on 'origin'" in err
    ask(repo, "push")
    ask(repo, "fetch")


def test_without_the_log_nothing_would_be_noticed(
    repo: GitRepo, bare_remote: GitRepo, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(seenlog, "read", lambda _path: None)
    monkeypatch.setattr(seen, "log_of", lambda _git, _name: {})
    tamper(bare_remote, f"refs/runs/{runs[1]}", "deleted")
    assert attempt(repo, "fetch")[0] == 0


def test_a_torn_log_is_read_up_to_the_tear(repo: GitRepo, bare_remote: GitRepo, runs: list[str]) -> None:
    [log] = (repo.path / ".git/gittrack/seen").iterdir()
    log.write_bytes(log.read_bytes() + b"0123456789abcdef")
    tamper(bare_remote, f"refs/runs/{runs[1]}", "deleted")
    assert attempt(repo, "fetch")[0] == 1
    assert len(log.read_text("utf-8").splitlines()) >= 4


def test_signatures_are_judged_where_there_are_any(repo: GitRepo, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    allowed = tmp_path / "allowed"
    allowed.write_text(f"ada@example.org {key.with_suffix('.pub').read_text('ascii')}", "ascii")
    for name, value in (
        ("gpg.format", "ssh"),
        ("user.signingKey", str(key)),
        ("gpg.ssh.allowedSignersFile", str(allowed)),
    ):
        repo.git("config", name, value)
    record(repo, {"name": "plain"})
    repo.git("config", "commit.gpgsign", "true")
    record(repo, {"name": "signed"})

    assert attempt(repo, "verify")[0] == 0
    code, out, _ = attempt(repo, "verify", "--signatures")
    assert (code, out.count("it is not signed")) == (1, 1)
    assert attempt(repo, "verify", "--signatures", "signed")[0] == 0

    repo.git("config", "gpg.ssh.allowedSignersFile", str(other_signers(tmp_path)))
    code, out, _ = attempt(repo, "verify", "--signatures", "signed")
    assert (code, "a key that is not trusted here" in out) == (1, True), "anybody can sign with a key of their own"
    assert attempt(repo, "verify")[0] == 0
    repo.git("config", "--unset", "gpg.ssh.allowedSignersFile")
    code, out, _ = attempt(repo, "verify", "--signatures", "signed")
    assert (code, "no allowed signers are set" in out) == (1, True)
    repo.git("config", "gpg.ssh.allowedSignersFile", str(allowed))

    run = shown(repo, "signed")["id"]
    body = repo.git("cat-file", "commit", f"refs/runs/{run}")
    forged = repo.git("hash-object", "-t", "commit", "-w", "--stdin", input=body.replace(" signed:", " singed:") + "\n")
    repo.git("update-ref", f"refs/runs/{run}", forged)
    code, out, _ = attempt(repo, "verify")
    assert (code, "its signature is bad" in out) == (1, True), out


def other_signers(folder: Path) -> Path:
    """Returns a file that trusts somebody else's key only."""
    key = folder / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    signers = folder / "signers"
    signers.write_text(f"eve@example.org {key.with_suffix('.pub').read_text('ascii')}", "ascii")
    return signers


def test_a_join_needs_no_signature_and_what_only_says_that_it_is_one_does(
    repo: GitRepo, bare_remote: GitRepo, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    allowed = tmp_path / "allowed"
    allowed.write_text(f"ada@example.org {key.with_suffix('.pub').read_text('ascii')}", "ascii")
    settings = {"gpg.format": "ssh", "user.signingKey": str(key), "commit.gpgsign": "true"}
    repo.git("config", "gpg.ssh.allowedSignersFile", str(allowed))
    other = GitRepo.clone(bare_remote.path, tmp_path / "other")
    for each in (repo, other):
        for name, value in settings.items():
            each.git("config", name, value)
    [run] = record(repo, {"name": "one"})
    ask(repo, "push")
    ask(other, "pull")
    ask(repo, "tag", "one", "ours")
    ask(other, "tag", "one", "theirs")
    ask(other, "push")
    ask(repo, "pull")
    ref = f"refs/runs/{run}"
    assert "\nJoin: 1\n" in repo.git("log", "-1", "--format=%B", ref)

    assert attempt(repo, "verify", "--signatures")[0] == 0

    join = repo.git("cat-file", "commit", ref)
    forged = repo.git("hash-object", "-t", "commit", "-w", "--stdin", input=join.replace("finished", "failed") + "\n")
    repo.git("update-ref", ref, forged)
    code, out, _ = attempt(repo, "verify", "--signatures")
    assert (code, "is not the join that it says it is" in out) == (1, True), out


def test_one_archive_can_be_believed(repo: GitRepo, bare_remote: GitRepo, runs: list[str]) -> None:
    ask(repo, "archive", "one")
    ask(repo, "push")
    ask(repo, "fetch")
    [ref] = bare_remote.refs("refs/runs/archive/")
    bare_remote.git("update-ref", "-d", ref)
    bare_remote.git("update-ref", "-d", f"refs/runs/{runs[1]}")
    attempt(repo, "fetch")

    assert attempt(repo, "verify", "--accept", ref.removeprefix("refs/runs/"))[2] == "accepted 1 change(s)\n"
    assert [item["name"] for item in json.loads(attempt(repo, "verify", "--json", runs[1])[1])] == [runs[1]]
    ask(repo, "push")
