"""`git track fetch`: it brings runs, and loses none, whatever git is told to prune."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.gitcmd import GitRepo
from tests.runs import ask, complaint, listed, record


def test_runs_of_a_colleague_come_in(repo: GitRepo, colleague: GitRepo) -> None:
    ids = record(repo, {"name": "one"}, {"name": "two"})
    repo.track("push")

    done = colleague.track("fetch")

    assert sorted(done.stdout.splitlines()) == sorted(f"new {run}" for run in ids)
    assert colleague.refs("refs/runs/") == repo.refs("refs/runs/")
    again = colleague.track("fetch")
    assert (again.stdout, again.stderr) == ("", "already up to date\n")


def test_what_changed_is_updated_and_what_both_changed_is_joined(repo: GitRepo, colleague: GitRepo) -> None:
    one, two = record(repo, {"name": "one"}, {"name": "two"})
    repo.track("push")
    colleague.track("fetch")
    repo.track("tag", "one", "a")
    repo.track("tag", "two", "a")
    repo.track("push")
    colleague.track("tag", "two", "b")

    assert sorted(colleague.track("fetch").stdout.splitlines()) == sorted([f"joined {two}", f"updated {one}"])
    assert [run["tags"] for run in listed(colleague)] == [["a", "b"], ["a"]]


def test_pruning_loses_no_run(repo: GitRepo, bare_remote: GitRepo) -> None:
    pushed, local = record(repo, {"name": "pushed"}, {"name": "local"})
    repo.track("push", "pushed")
    repo.git("config", "fetch.prune", "true")
    repo.git("config", "remote.origin.prune", "true")
    repo.git("config", "--add", "remote.origin.fetch", "+refs/runs/*:refs/gittrack/origin/runs/*")
    before = repo.refs("refs/runs/")

    repo.track("fetch")
    repo.git("fetch", "--prune")
    repo.git("fetch", "--all", "--prune", "--prune-tags")
    assert repo.refs("refs/runs/") == before
    bare_remote.git("update-ref", "-d", f"refs/runs/{pushed}")
    done = repo.track("fetch", check=False)
    repo.git("fetch", "--prune")

    assert (done.returncode, f"run {pushed} was deleted on 'origin'" in done.stderr) == (1, True)
    assert repo.refs("refs/runs/") == before
    assert sorted(run["name"] for run in listed(repo)) == ["local", "pushed"]
    assert before.keys() == {f"refs/runs/{pushed}", f"refs/runs/{local}"}


def test_a_run_that_was_removed_upstream_is_pushed_again(repo: GitRepo, bare_remote: GitRepo) -> None:
    [run] = record(repo, {"name": "one"})
    repo.track("push")
    bare_remote.git("update-ref", "-d", f"refs/runs/{run}")
    repo.git("config", "--add", "remote.origin.fetch", "+refs/runs/*:refs/gittrack/origin/runs/*")
    repo.git("fetch", "--prune", "--quiet")

    assert repo.track("push").stdout == f"pushed {run} one\n"


def test_plain_git_fetch_with_the_refspec_brings_runs_to_the_next_command(repo: GitRepo, colleague: GitRepo) -> None:
    [run] = record(repo, {"name": "one"})
    repo.track("push")
    colleague.git("config", "--add", "remote.origin.fetch", "+refs/runs/*:refs/gittrack/origin/runs/*")

    colleague.git("pull", "--quiet")

    assert [found["id"] for found in listed(colleague)] == [run]


def test_many_commands_at_once_take_in_what_git_fetched(repo: GitRepo, colleague: GitRepo) -> None:
    ids = record(repo, *({} for _ in range(20)))
    repo.track("push")
    colleague.git("fetch", "--quiet", "origin", "+refs/runs/*:refs/gittrack/origin/runs/*")

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: colleague.track("ls", "--format", "%(id)", check=False), range(8)))

    assert [(each.returncode, each.stderr, sorted(each.stdout.split())) for each in done] == [(0, "", sorted(ids))] * 8


def test_nothing_of_the_users_is_touched(repo: GitRepo, colleague: GitRepo) -> None:
    record(repo, {})
    repo.git("tag", "v1")
    repo.git("push", "--quiet", "origin", "v1")
    repo.track("push")
    (colleague.path / ".git" / "FETCH_HEAD").write_text("mine\n", encoding="utf-8")
    before = {name: oid for name, oid in colleague.refs().items() if name.startswith(("refs/heads", "refs/remotes"))}

    colleague.track("fetch")

    assert (colleague.path / ".git" / "FETCH_HEAD").read_text(encoding="utf-8") == "mine\n"
    after = colleague.refs()
    assert {name: oid for name, oid in after.items() if not name.startswith(("refs/runs", "refs/gittrack"))} == before
    assert colleague.git("status", "--porcelain") == ""


def test_a_remote_called_live_or_with_a_slash_is_a_remote(repo: GitRepo, bare_remote: GitRepo) -> None:
    [run] = record(repo, {"name": "one"})
    for name in ("live", "team/lab", "a%b"):
        repo.git("remote", "add", name, str(bare_remote.path))
        repo.track("push", name)
        repo.track("fetch", name)
        assert repo.track("push", name).stderr == "everything up-to-date\n"
    repo.track("start")
    repo.track("finish")

    assert f"refs/runs/{run}" in bare_remote.refs()
    complaint(repo.track("fetch", "nowhere", check=False), exit_code=3)


def test_a_fetch_prunes_its_own_mirror_and_nothing_else(repo: GitRepo, bare_remote: GitRepo) -> None:
    record(repo, {"name": "one"})
    ask(repo, "push")
    for setting in ("fetch.prune", "fetch.pruneTags", "remote.origin.prune", "remote.origin.pruneTags"):
        repo.git("config", setting, "true")
    for ref in ("tags/mine", "remotes/origin/gone", "gittrack/other/runs/x", "gittrack/live/x", "notes/mine"):
        repo.git("update-ref", f"refs/{ref}", "HEAD")
    repo.git("update-ref", "refs/gittrack/origin/runs/stale", "HEAD")
    before = repo.refs()

    ask(repo, "fetch")

    assert before.items() - repo.refs().items() == {("refs/gittrack/origin/runs/stale", repo.git("rev-parse", "HEAD"))}


def test_a_ref_that_became_a_folder_there_does_not_stop_a_fetch(repo: GitRepo, bare_remote: GitRepo) -> None:
    [run] = record(repo, {"name": "one"})
    ask(repo, "push")
    bare_remote.git("update-ref", "refs/runs/odd", "main")
    ask(repo, "fetch")
    bare_remote.git("update-ref", "-d", "refs/runs/odd")
    bare_remote.git("update-ref", "refs/runs/odd/one", "main")

    ask(repo, "fetch")

    assert repo.refs("refs/gittrack/origin/runs/").keys() == {
        f"refs/gittrack/origin/runs/{name}" for name in (run, "odd/one")
    }
