"""Runs in shallow clones: they come, they go, and the clone is as deep as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import closed_with_fsck
from tests.gitcmd import GitRepo
from tests.githttp import GitHttpServer
from tests.runs import ask, attempt, listed, record, shown

Project = tuple[GitRepo, GitRepo, list[str]]


@pytest.fixture
def project(repo: GitRepo, bare_remote: GitRepo) -> Project:
    """A repository, its remote, and three runs there: an old one with two edits, one of uncommitted work, the newest.

    Between them are commits that no shallow clone has."""
    repo.commit({f"old/{number}.txt": f"{number}\n" for number in range(5)}, "add files")
    [first] = record(repo, {"name": "first", "params": {"lr": 0.1}, "metrics": {"loss": [3, 2, 1]}})
    repo.commit({"train.py": "print(1)\n", "old/1.txt": "changed\n"}, "change")
    (repo.path / "train.py").write_text("uncommitted\n", encoding="utf-8")
    [dirty] = record(repo, {"name": "dirty", "metrics": {"loss": [3, 2]}})
    repo.git("checkout", "--quiet", "train.py")
    for number in range(3):
        repo.commit({"train.py": f'print("more {number}")\n'}, f"more {number}")
    [newest] = record(repo, {"name": "newest", "metrics": {"loss": [1]}})
    ask(repo, "tag", first, "paper")
    ask(repo, "edit", first, "--note", "the one")
    repo.git("push", "--quiet", "origin", "main")
    assert attempt(repo, "push", "--yes")[0] == 0
    bare_remote.git("config", "uploadpack.allowFilter", "true")
    return repo, bare_remote, [first, dirty, newest]


@pytest.fixture
def shallow(project: Project) -> Iterator[GitRepo]:
    """A clone of the newest commit alone; cloned over file://, because a path gives a whole clone."""
    yield from closed_with_fsck(cloned(project[1], "--depth=1"))


def cloned(remote: GitRepo, *options: str, name: str = "shallow", url: str = "") -> GitRepo:
    """Makes a clone beside the remote."""
    clone = GitRepo.clone(url or f"file://{remote.path}", remote.path.parent / name, *options)
    clone.git("config", "user.name", "Bob Colleague")
    return clone


def code_of(repo: GitRepo) -> set[str]:
    """Returns every object that is here of the code."""
    return set(repo.git("rev-list", "--objects", "HEAD", "--branches", "--remotes").split("\n"))


def commits(repo: GitRepo) -> int:
    """Returns how many commits are in the clone, whether anything names them or not."""
    kinds = repo.git("cat-file", "--batch-check=%(objecttype)", "--batch-all-objects").split()
    return kinds.count("commit")


@pytest.mark.parametrize("options", [["--depth=1"], ["--depth=3"], ["--depth=1", "--filter=blob:none"]])
def test_runs_come_and_the_history_of_code_does_not(project: Project, options: list[str]) -> None:
    repo, remote, runs = project
    shallow = cloned(remote, *options)
    had, before = commits(shallow), code_of(shallow)
    ask(shallow, "fetch")
    assert sorted(listed(shallow), key=str) == sorted(listed(repo), key=str)
    assert [shown(shallow, run)["params"] for run in runs] == [shown(repo, run)["params"] for run in runs]
    assert (code_of(shallow), commits(shallow)) == (before, had + 5)  # five commits of runs
    shallow.fsck()
    assert attempt(shallow, "fetch") == (0, "", "already up to date\n")


def test_a_run_of_the_code_that_is_here_stays_linked_to_it(project: Project, shallow: GitRepo) -> None:
    *_, [first, _, newest] = project
    ask(shallow, "fetch")
    assert shallow.git("rev-parse", f"refs/runs/{newest}^") == shallow.git("rev-parse", "HEAD")
    ends = (shallow.path / ".git" / "shallow").read_text().split()
    assert len(ends) == 3
    assert shallow.git("rev-parse", f"refs/runs/{first}~2") in ends


def test_git_goes_on_as_before_and_unshallow_makes_all_of_it_whole(project: Project, shallow: GitRepo) -> None:
    repo, _, runs = project
    ask(shallow, "fetch")
    repo.commit({"new.py": "1\n"}, "new code")
    repo.git("push", "--quiet", "origin", "main")
    shallow.git("pull", "--quiet")
    assert shallow.git("log", "--format=%s") == "new code\nmore 2"
    shallow.commit({"mine.py": "1\n"}, "mine")
    shallow.git("push", "--quiet")
    shallow.git("fetch", "--quiet", "--deepen=1")
    assert shallow.git("log", "--format=%s") == "mine\nnew code\nmore 2\nmore 1"
    shallow.git("gc", "--quiet", "--prune=now")
    assert {run["id"] for run in listed(shallow)} == set(runs)
    shallow.git("fetch", "--quiet", "--unshallow")
    assert shallow.git("rev-parse", "--is-shallow-repository") == "false"
    assert shallow.git("rev-parse", f"refs/runs/{runs[0]}~3") == repo.git("rev-parse", f"refs/runs/{runs[0]}~3")
    assert attempt(shallow, "fetch") == (0, "", "already up to date\n")


def test_edits_of_a_shallow_clone_and_of_a_whole_one_are_joined_as_anywhere(project: Project, shallow: GitRepo) -> None:
    repo, remote, [first, dirty, newest] = project
    ask(shallow, "fetch")
    ask(shallow, "tag", first, "mine")
    ask(repo, "tag", first, "theirs")
    ask(shallow, "tag", dirty, "only-mine")
    ask(shallow, "rm", newest)
    assert attempt(repo, "push")[0] == 0
    code, _, said = attempt(shallow, "push", "--yes")
    assert code == 0, said
    ask(repo, "fetch")
    assert shown(repo, first)["tags"] == ["mine", "paper", "theirs"] == shown(shallow, first)["tags"]
    assert shown(repo, dirty)["tags"] == ["only-mine"]
    assert newest not in [run["id"] for run in listed(repo)]
    for place in (repo, shallow):
        assert attempt(place, "fetch") == (0, "", "already up to date\n")
        assert "up-to-date" in attempt(place, "push")[2]
    assert repo.refs("refs/runs/") == shallow.refs("refs/runs/") == remote.refs("refs/runs/")
    remote.fsck()


def test_an_edit_of_others_comes_on_top_of_a_run_of_our_own(project: Project, shallow: GitRepo) -> None:
    repo, *_ = project
    shallow.commit({"mine.py": "1\n"}, "mine")
    (shallow.path / "mine.py").write_text("uncommitted\n", encoding="utf-8")
    [run] = record(shallow, {"name": "mine"})
    shallow.git("push", "--quiet")
    assert attempt(shallow, "push", "--yes")[0] == 0
    ask(repo, "fetch")
    ask(repo, "tag", run, "seen")
    ask(repo, "push")
    assert f"updated {run}" in ask(shallow, "fetch")
    # Its snapshot is here because the run names it, so history must not end at the run.
    assert shallow.git("show", f"refs/runs/{run}~2:mine.py") == "uncommitted"


def test_a_run_that_was_resumed_with_other_code_keeps_all_its_commits(project: Project, shallow: GitRepo) -> None:
    repo, _, [first, *_] = project
    script = (
        f"import gittrack as gt\nrun = gt.init(id={first!r}, resume='must')\nrun.log({{'loss': 0.5}})\nrun.finish()\n"
    )
    repo.python(script)
    assert len(repo.git("rev-parse", f"refs/runs/{first}^@").split()) == 2
    ask(repo, "push", "--yes")
    ask(shallow, "fetch")
    assert shown(shallow, first)["tags"] == ["paper"]
    ask(shallow, "tag", first, "again")
    ask(shallow, "push", "--yes")
    assert ask(repo, "fetch") == f"updated {first}\n"


def test_the_code_of_a_run_comes_when_it_is_asked_for(project: Project, shallow: GitRepo, tmp_path: Path) -> None:
    *_, [_, dirty, _] = project
    ask(shallow, "fetch")
    had = commits(shallow)
    ask(shallow, "checkout", dirty, str(tmp_path / "code"))
    assert (tmp_path / "code" / "train.py").read_text() == "uncommitted\n"
    assert (tmp_path / "code" / "old" / "1.txt").read_text() == "changed\n"
    assert commits(shallow) == had + 1
    shallow.git("gc", "--quiet", "--prune=now")


def test_the_code_of_a_run_that_nobody_can_send_is_said_to_be_missing(project: Project, shallow: GitRepo) -> None:
    ask(shallow, "fetch")
    project[1].path.rename(project[1].path.with_name("moved.git"))
    code, out, said = attempt(shallow, "checkout", project[2][0])
    assert (code, out) == (4, "")
    assert said.startswith("error: the code of run 'first' is not here")
    project[1].path.with_name("moved.git").rename(project[1].path)


def test_a_fetch_that_is_cut_leaves_the_clone_as_it_was(project: Project, shallow: GitRepo) -> None:
    def state() -> tuple[str, dict[str, str], list[str]]:
        packs = sorted(path.name for path in (shallow.path / ".git" / "objects" / "pack").iterdir())
        return (shallow.path / ".git" / "shallow").read_text(), shallow.refs(), packs

    before = state()
    blob = project[1].git("rev-parse", f"refs/runs/{project[2][0]}:run.yaml")
    found = project[1].path / "objects" / blob[:2] / blob[2:]
    if not found.exists():  # it is in a pack
        project[1].git("-c", "pack.packSizeLimit=0", "repack", "-adq")
        pack = next((project[1].path / "objects" / "pack").glob("*.pack"))
        raw = pack.read_bytes()
        pack.chmod(0o644)
        pack.write_bytes(raw[: len(raw) // 2])
        assert attempt(shallow, "fetch")[0] == 4
        assert state() == before
        pack.write_bytes(raw)
    else:
        found.rename(found.with_name("away"))
        assert attempt(shallow, "fetch")[0] == 4
        assert state() == before
        found.with_name("away").rename(found)
    assert attempt(shallow, "fetch")[0] == 0
    assert not list((shallow.path / ".git" / "gittrack").glob("view-*"))


def test_over_http_nothing_new_is_one_look_and_a_new_run_two(project: Project, http: GitHttpServer) -> None:
    repo, _, [first, *_] = project
    shallow = cloned(project[1], "--depth=1", url=http.url("remote.git"))
    ask(shallow, "fetch")
    http.requests.clear()
    assert attempt(shallow, "fetch") == (0, "", "already up to date\n")
    assert len(http.requests) == 2  # what the server can, what it has
    ask(repo, "tag", first, "later")
    ask(repo, "push")
    http.requests.clear()
    assert ask(shallow, "fetch") == f"updated {first}\n"
    assert len(http.requests) <= 5
    shallow.fsck()


@pytest.fixture
def http(project: Project) -> Iterator[GitHttpServer]:
    """The remote of the project, over HTTP."""
    with GitHttpServer.start(project[1].path.parent) as server:
        project[1].git("config", "http.receivepack", "true")
        yield server


def test_a_detached_checkout_of_ci_records_and_pushes(project: Project, http: GitHttpServer) -> None:
    repo, remote, runs = project
    ci = GitRepo.init(remote.path.parent / "ci")
    ci.git("remote", "add", "origin", http.url("remote.git"))
    ci.git("fetch", "--quiet", "--no-tags", "--depth=1", "origin", "+refs/heads/main:refs/remotes/origin/main")
    ci.git("checkout", "--quiet", "--detach", "refs/remotes/origin/main")
    ci.git("config", "http.extraHeader", "X-Token: of-this-clone")
    ask(ci, "fetch")
    [run] = record(ci, {"name": "of-ci", "metrics": {"loss": [0.5]}})
    assert attempt(ci, "push")[0] == 0
    assert all(request.headers.get("X-Token") for request in http.requests[-6:])
    assert ask(repo, "fetch") == f"new {run}\n"
    assert {each["id"] for each in listed(ci)} == {*runs, run}
    ci.fsck()
    remote.fsck()


def test_plain_git_is_not_told_to_bring_runs_into_a_shallow_clone(project: Project, shallow: GitRepo) -> None:
    before = shallow.git("config", "--get-all", "remote.origin.fetch")
    assert "note: plain `git pull` would bring all history" in ask(shallow, "init", "--yes")
    assert shallow.git("config", "--get-all", "remote.origin.fetch") == before
    shallow.git("fetch", "--quiet")
    assert shallow.git("rev-list", "--count", "HEAD") == "1"
