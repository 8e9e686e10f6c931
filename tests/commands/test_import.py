"""`git track import --adopt`: runs that were recorded outside of a repository come home, whole and once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.gitcmd import GitRepo, run
from tests.reader import only, runs
from tests.runs import attempt, complaint, listed

SCRIPT = """
import sys
import gittrack as gt

for name in sys.argv[1:]:
    with gt.init(name=name, params={"lr": 0.1}) as run:
        for step in range(3):
            gt.log({"loss": step}, step=step)
"""

CRASH = """
import os
import gittrack as gt

gt.init(name="crashed")
for step in range(3):
    gt.log({"loss": step}, step=step)
os.kill(os.getpid(), 9)
"""


def store() -> GitRepo:
    """Returns the repository of runs that were recorded outside of any."""
    return GitRepo(Path(os.environ["XDG_DATA_HOME"], "gittrack", "detached.git"))


def record_in(folder: Path, *names: str, script: str = SCRIPT, check: bool = True) -> str:
    """Records a run for each name in a folder; returns what was said."""
    folder.mkdir(parents=True, exist_ok=True)
    return run([sys.executable, "-c", script, *names], cwd=folder, check=check).stderr


def a_repository_in(folder: Path, *options: str) -> GitRepo:
    """Makes the folder, with all that is in it, a repository."""
    run(["git", "init", "--quiet", *options], cwd=folder)
    repo = GitRepo(folder)
    repo.commit({"train.py": "1\n"}, "begin")
    return repo


def packs_in(repo: GitRepo) -> int:
    return len(list(repo.path.glob("objects/pack/*.pack")))


# What comes home ----------------------------------------------------------------------------------------------------


def test_runs_of_a_folder_that_became_a_repository_come_home_as_they_are(tmp_path: Path) -> None:
    home = tmp_path / "project"
    record_in(home / "deep", "one", "two")
    here = store()
    here.track("tag", "one", "paper")
    before = here.refs("refs/runs/")
    repo = a_repository_in(home)

    done = repo.track("import", "--adopt")

    assert sorted(done.stdout.split()[2::3]) == ["one", "two"]
    assert done.stderr == ""
    assert repo.refs("refs/runs/") == before
    assert next(found.record["tags"] for found in runs(repo) if found.record["name"] == "one") == ["paper"]
    assert all(found.facts["folder"] == str(home / "deep") for found in runs(repo))
    assert (here.refs(), packs_in(here)) == ({}, 0)
    for each in (here, repo):
        each.fsck()
        each.track("fsck")


def test_adopting_again_does_nothing(tmp_path: Path) -> None:
    record_in(tmp_path / "a", "one")
    repo = a_repository_in(tmp_path / "a")
    repo.track("import", "--adopt")
    before = repo.refs()

    for words in ((), ("one",), ("--all",)):
        done = repo.track("import", "--adopt", *words)
        assert done.stdout == ""
        assert done.stderr.splitlines()[-1] == "nothing to adopt"

    assert repo.refs() == before


def test_runs_of_other_folders_stay_until_they_are_named_or_all_are_asked_for(tmp_path: Path) -> None:
    record_in(tmp_path / "a", "one")
    record_in(tmp_path / "ab", "two", "three")
    repo = a_repository_in(tmp_path / "a")

    first = repo.track("import", "--adopt")

    assert first.stdout.split()[2:] == ["one"]
    assert first.stderr.splitlines()[0] == "hint: 2 run(s) were recorded elsewhere: name them, or give --all"
    assert repo.track("import", "--adopt", "two").stdout.split()[2:] == ["two"]
    assert repo.track("import", "--adopt", "--all").stdout.split()[2:] == ["three"]


def test_runs_of_a_repository_inside_of_this_one_are_not_taken(tmp_path: Path) -> None:
    record_in(tmp_path / "a" / "inner" / "deep", "inner")
    inner = a_repository_in(tmp_path / "a" / "inner")
    outer = GitRepo.init(tmp_path / "a" / "x")
    (outer.path / ".git").rename(tmp_path / "a" / ".git")
    outer = GitRepo(tmp_path / "a")

    assert outer.track("import", "--adopt").stdout == ""
    assert inner.track("import", "--adopt").stdout.split()[2:] == ["inner"]


def test_a_dry_run_only_says_what_would_come(tmp_path: Path) -> None:
    record_in(tmp_path / "a", "one")
    repo = a_repository_in(tmp_path / "a")
    before = store().refs()

    done = repo.track("import", "--adopt", "--dry-run")

    assert done.stdout == f"would adopt {only(store()).id} one\n"
    assert (store().refs(), repo.refs("refs/runs/")) == (before, {})


def test_a_run_that_died_is_sealed_first_and_one_that_still_runs_stays(tmp_path: Path) -> None:
    home = tmp_path / "a"
    record_in(home, script=CRASH, check=False)
    running = subprocess.Popen(
        [sys.executable, "-c", "import gittrack as gt\ngt.init(name='alive')\nprint(flush=True)\ninput()"],
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert running.stdout
    running.stdout.readline()
    repo = a_repository_in(home)

    done = repo.track("import", "--adopt")
    running.communicate(b"\n", timeout=60)

    assert "1 run(s) are still being recorded and stay there: alive" in done.stderr
    assert done.stdout.split()[2:] == ["crashed"]
    assert (only(repo).status, only(repo).values("loss")) == ("crashed", [0.0, 1.0, 2.0])
    assert repo.track("import", "--adopt").stdout.split()[2:] == ["alive"]


def test_a_repository_of_another_object_format_gets_the_same_runs_under_its_own_ids(tmp_path: Path) -> None:
    home = tmp_path / "a"
    record_in(home, "one")
    here = store()
    here.track("tag", "one", "x")
    old = only(here)
    before = (old.id, old.record, old.facts, old.rows)
    dates = here.git("log", "--format=%at %ct %an", old.ref)
    repo = a_repository_in(home, "--object-format=sha256")

    repo.track("import", "--adopt")

    found = only(repo)
    assert (found.id, found.record, found.facts, found.rows) == before
    assert repo.git("log", "--format=%at %ct %an", found.ref) == dates
    assert here.refs() == {}
    repo.fsck()
    repo.track("fsck")


def test_a_run_that_was_edited_here_and_there_has_both_edits(tmp_path: Path) -> None:
    home = tmp_path / "a"
    record_in(home, "one")
    here = store()
    repo = a_repository_in(home)
    repo.git("fetch", "--quiet", str(here.path), "refs/runs/*:refs/runs/*")
    repo.track("tag", "one", "here")
    here.track("tag", "one", "there")

    repo.track("import", "--adopt")

    assert only(repo).record["tags"] == ["here", "there"]
    assert here.refs() == {}


def test_many_runs_come_in_a_few_packs_and_their_room_is_given_back(tmp_path: Path) -> None:
    home = tmp_path / "a"
    record_in(home, *(f"run-{number}" for number in range(25)))
    record_in(tmp_path / "b", "other")
    repo = a_repository_in(home)

    repo.track("import", "--adopt")

    assert len(runs(repo)) == 25
    assert len(list((repo.path / ".git/objects/pack").glob("*.pack"))) == 1
    assert [found.record["name"] for found in runs(store())] == ["other"]
    objects = store().git("cat-file", "--batch-all-objects", "--batch-check=%(objecttype)").split()
    assert objects.count("commit") == 1
    store().fsck()
    repo.fsck()
    repo.track("fsck")


def test_a_run_that_is_not_sound_is_refused_and_stays_and_the_others_come(tmp_path: Path) -> None:
    home = tmp_path / "a"
    record_in(home, "one", "bad")
    here = store()
    bad = next(found for found in runs(here) if found.record["name"] == "bad")
    blob = here.git("hash-object", "-w", "--stdin", input="x: [")
    index = {"GIT_INDEX_FILE": str(tmp_path / "index")}
    here.git("read-tree", bad.ref, env=index)
    here.git("update-index", "--add", "--cacheinfo", f"100644,{blob},params.yaml", env=index)
    message = here.git("log", "-1", "--format=%B", bad.ref)
    commit = here.git("commit-tree", here.git("write-tree", env=index), "-F", "-", input=message)
    here.git("update-ref", bad.ref, commit)
    repo = a_repository_in(home)

    done = repo.track("import", "--adopt", check=False)

    assert done.returncode == 5
    assert done.stdout.split()[2:] == ["one"]
    assert f"run '{bad.id}' is refused" in done.stderr
    assert "error: 1 run(s) stay in the detached store" in done.stderr
    assert [found.id for found in runs(here)] == [bad.id]


# Whatever happens in between ----------------------------------------------------------------------------------------

MURDER = """
import os, sys
from gittrack import cli, git

left = int(sys.argv[1])
plain = git.Git.run

def run(self, *args, **options):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), 9)
    return plain(self, *args, **options)

git.Git.run = run
code = cli.run(["import", "--adopt"])
print("calls left", left)
sys.exit(code)
"""


def test_killed_before_any_of_its_steps_it_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    home = tmp_path / "a"
    home.mkdir()
    repo = a_repository_in(home)
    names = {"one", "two"}
    survived = 0
    for step in range(1, 60):
        record_in(tmp_path / "outside", *names)
        for found in runs(store()):  # as if it had been recorded here before there was a repository
            assert found.facts["folder"] == str(tmp_path / "outside")
        repo = a_repository_in_place_of(repo, tmp_path / "outside", tmp_path / f"moved-{step}")
        before = {found.id for found in runs(store())}
        done = run([sys.executable, "-c", MURDER, str(step)], cwd=repo.path, check=False)
        there, came = ({found.id for found in runs(each)} for each in (store(), repo))
        assert came | there >= before
        repo.fsck()
        repo.track("import", "--adopt")
        assert {found.id for found in runs(repo)} == before
        assert runs(store()) == []
        repo.track("fsck")
        repo.fsck()
        survived = done.returncode
        if survived == 0:
            break
    assert survived == 0, "it never came to its end"


def a_repository_in_place_of(old: GitRepo, folder: Path, away: Path) -> GitRepo:
    """Makes `folder` a fresh repository; the one before is moved away."""
    if (folder / ".git").exists():
        (folder / ".git").rename(away)
    return a_repository_in(folder)


def test_two_that_adopt_at_once_get_each_run_once(tmp_path: Path) -> None:
    home = tmp_path / "a"
    record_in(home, *(f"run-{number}" for number in range(8)))
    ids = {found.id for found in runs(store())}
    repo = a_repository_in(home)

    both = [
        subprocess.Popen(
            ["git", "track", "import", "--adopt"], cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for process in both:
        process.communicate(timeout=60)

    repo.track("import", "--adopt")
    assert {found.id for found in runs(repo)} == ids
    assert runs(store()) == []
    repo.fsck()


def test_processes_that_need_the_store_at_once_for_the_first_time_all_record(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    many = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, f"run-{n}"], cwd=folder, stderr=subprocess.PIPE, text=True)
        for n in range(6)
    ]
    for process in many:
        _, said = process.communicate(timeout=60)
        assert said.count("\n") == 1
    assert sorted(found.record["name"] for found in runs(store())) == [f"run-{n}" for n in range(6)]
    assert [path.name for path in store().path.parent.iterdir()] == ["detached.git"]


# Where nothing can be written ----------------------------------------------------------------------------------------


def as_a_user_without_privileges() -> list[str]:
    """Returns the words before a command for which the permission bits of files count, even if we are root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", "--inh-caps=-all"]


def test_a_run_of_a_repository_that_cannot_be_written_knows_its_code_and_comes_to_any_clone(
    repo: GitRepo, tmp_path: Path
) -> None:
    clone = GitRepo.clone(repo.path, tmp_path / "clone")
    (repo.path / "train.py").write_text("changed\n", encoding="utf-8")
    (repo.path / "new.py").write_text("new\n", encoding="utf-8")
    folders = [repo.path / ".git", *(path for path in (repo.path / ".git").rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        words = [*as_a_user_without_privileges(), sys.executable, "-c", SCRIPT, "far"]
        said = run(words, cwd=repo.path).stderr
        fsck = run(["git", "status", "--porcelain"], cwd=repo.path).stdout
    finally:
        for folder in folders:
            folder.chmod(0o755)

    assert said.count("\n") == 1
    assert fsck == " M train.py\n?? new.py\n"
    found = only(store())
    code = found.facts["code"]
    assert (code["commit"], code["branch"], code["dirty"]) == (repo.git("rev-parse", "main"), "main", True)
    assert (found.parents, found.facts["directory"], found.facts["folder"]) == ([], ".", str(repo.path))
    store().fsck()

    assert json.loads(clone.track("status", "--json").stdout)["detached"] == 1
    clone.track("import", "--adopt")

    patch = tmp_path / "code.patch"
    patch.write_bytes(only(clone).raw("code.patch") or b"")
    clone.git("checkout", "--quiet", code["commit"])
    clone.git("apply", str(patch))
    assert (clone.path / "train.py").read_text("utf-8") == "changed\n"
    assert (clone.path / "new.py").read_text("utf-8") == "new\n"
    assert "far" in clone.track("log").stdout
    clone.track("fsck")


def test_a_command_that_is_recorded_outside_of_a_repository_is_one_run_with_what_it_logs(tmp_path: Path) -> None:
    script = "import gittrack as gt\ngt.init()\ngt.log({'loss': 1.0})\nprint('hello')\n"

    done = run(["git", "track", "run", "--name", "x", "--", sys.executable, "-c", script], cwd=tmp_path)

    assert done.stdout == "hello\n"
    assert "is not in a git repository; the run is recorded without code" in done.stderr.splitlines()[0]
    found = only(store())
    assert (found.status, found.values("loss"), found.raw("output.log")) == ("finished", [1.0], b"hello\n")
    assert found.facts["folder"] == str(tmp_path)


def test_a_command_in_a_repository_that_cannot_be_written_is_one_run_with_what_it_logs(repo: GitRepo) -> None:
    script = "import gittrack as gt\ngt.init()\ngt.log({'loss': 1.0})\n"
    (repo.path / ".git" / "gittrack").write_text("in the way", encoding="utf-8")

    done = repo.track("run", "--", sys.executable, "-c", script)

    assert "nothing can be recorded in" in done.stderr.splitlines()[0]
    found = only(store())
    assert found.values("loss") == [1.0]
    assert found.facts["code"]["commit"] == repo.git("rev-parse", "main")


# What is said -------------------------------------------------------------------------------------------------------


def test_outside_of_a_repository_it_is_said_where_the_runs_are(tmp_path: Path) -> None:
    record_in(tmp_path / "a", "one")

    error = complaint(run(["git", "track", "ls"], cwd=tmp_path, check=False), exit_code=128)

    hint = error.splitlines()[2]
    assert hint.endswith(f"`git --git-dir={store().path} track ls` lists the 1 run(s) recorded outside of one")
    assert "one" in run(["git", f"--git-dir={store().path}", "track", "ls"], cwd=tmp_path).stdout


def test_status_and_doctor_say_what_waits(tmp_path: Path) -> None:
    record_in(tmp_path / "a", "one", "two")
    record_in(tmp_path / "b", "other")
    repo = a_repository_in(tmp_path / "a")

    assert "2 run(s) of this repository were recorded outside of it:" in repo.track("status").stdout.splitlines()
    assert "2 run(s) of this repository were recorded outside of it" in repo.track("doctor").stdout
    repo.track("import", "--adopt")
    assert "outside" not in repo.track("status").stdout + repo.track("doctor").stdout


def test_what_does_not_fit_together_is_said(repo: GitRepo, tmp_path: Path) -> None:
    assert attempt(repo, "import")[0] == 2
    assert attempt(repo, "import", "--adopt", "--all", "x")[0] == 2
    assert attempt(repo, "import", "--adopt", "no-such-run")[0] == 3
    assert attempt(repo, "import", "--adopt") == (0, "", "nothing to adopt\n")
    record_in(tmp_path / "a", "one")
    assert attempt(repo, "import", "--adopt", "no-such-run")[0] == 3
    assert attempt(store(), "import", "--adopt")[0] == 2
    assert listed(repo) == []


def test_a_large_file_of_a_run_comes_home_with_it(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "model.pt").write_bytes(b"m" * 100_000)
    script = "import gittrack as gt\nwith gt.init() as run:\n    run.log_artifact('model.pt')\n"
    record_in(tmp_path / "work", script=script)
    repo = a_repository_in(tmp_path / "work")
    repo.track("import", "--adopt")
    (item,) = only(repo).yaml("artifacts.yaml").values()
    here = repo.path / ".git/gittrack/objects" / item["sha256"][:2] / item["sha256"][2:4] / item["sha256"]
    assert here.read_bytes() == b"m" * 100_000
    repo.track("fsck")
