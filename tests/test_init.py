"""`init` begins a run in any place and never stops a training script; what it was told is in the commit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo, run
from tests.reader import named, only, runs

MINIMAL = "import gittrack as gt\nrun = gt.init()\ngt.log({'loss': 1.0})\n"


def stored_elsewhere() -> GitRepo:
    """Returns the repository of runs that were recorded outside of any repository."""
    return GitRepo(Path(os.environ["XDG_DATA_HOME"], "gittrack", "detached.git"))


# What a run says of itself ------------------------------------------------------------------------------------------


def test_the_smallest_script_makes_a_run_on_the_commit_that_made_it(repo: GitRepo) -> None:
    done = repo.python(MINIMAL)
    assert (done.stdout, done.stderr) == ("", "")
    found = only(repo)
    assert found.status == "finished"
    assert found.parents == [repo.git("rev-parse", "main")]
    assert found.facts["code"] == {"commit": repo.git("rev-parse", "main"), "branch": "main", "dirty": False}
    assert found.values("loss") == [1.0]


def test_what_init_is_told_is_in_the_commit(repo: GitRepo) -> None:
    repo.python(
        """
import gittrack as gt

run = gt.init(
    "vision",
    params={"lr": 3e-4, "opt": {"name": "adam", "betas": [0.9, 0.999]}},
    name="first-try",
    tags=["baseline", "paper", "baseline"],
    notes="a note\\nof two lines",
    group="sweep-1",
    job_type="train",
    entity="team",
)
assert (run.project, run.entity, run.job_type, run.group) == ("vision", "team", "train", "sweep-1")
assert (run.name, run.tags, run.notes) == ("first-try", ("baseline", "paper"), "a note\\nof two lines")
assert run.path == f"refs/runs/{run.id}" and run.url is None and not run.ended
assert repr(run) == f"<gittrack run first-try ({run.id})>"
"""
    )
    found = only(repo)
    facts = found.facts
    assert facts["name"] == found.record["name"] == "first-try"
    assert facts["tags"] == found.record["tags"] == ["baseline", "paper"]
    assert (facts["notes"], found.record["note"]) == (["a note\nof two lines"], "a note\nof two lines")
    assert (facts["project"], facts["entity"], facts["job_type"], facts["group"]) == (
        *("vision", "team"),
        *("train", "sweep-1"),
    )
    assert found.params == {"lr": 0.0003, "opt": {"name": "adam", "betas": [0.9, 0.999]}}
    assert found.record["params"] == found.params


def test_name_tags_notes_and_group_may_be_set_while_it_runs(repo: GitRepo) -> None:
    repo.python(
        """
import gittrack as gt

run = gt.init(name="before", tags="one")
run.name = "after"
run.tags += ("two",)
run.notes = "said later"
run.group = "late"
assert (run.name, run.tags, run.notes, run.group) == ("after", ("one", "two"), "said later", "late")
"""
    )
    found = only(repo)
    assert found.record["name"] == "after"
    assert (found.record["tags"], found.record["note"], found.record["group"]) == (["one", "two"], "said later", "late")


def test_a_run_says_who_where_and_how(repo: GitRepo) -> None:
    (repo.path / "deep").mkdir()
    script = "import os, gittrack as gt\ngt.init()\nprint(os.getpid())"
    done = repo.python(script, "--lr", "0.1", "--api-key", "hunter2", "two words", cwd=repo.path / "deep")
    found = only(repo)
    facts = found.facts
    assert facts["author"] == "Ada Tester <ada@example.org>"
    assert facts["directory"] == "deep"
    assert facts["pid"] == int(done.stdout)
    assert facts["command"][2:] == ["--lr", "0.1", "--api-key", "***", "two words"]
    assert facts["redacted"] == 1
    assert "hunter2" not in json.dumps(found.record)
    environment = found.yaml("env/environment.yaml")
    assert environment["python"]["executable"] == sys.executable
    assert environment["platform"]["system"] == os.uname().sysname
    assert environment["cpu"]["count"] == os.cpu_count()
    assert environment["memory"] > 0
    assert environment["git"] == repo.git("version").split()[2]
    packages = (found.raw("env/packages.txt") or b"").decode().splitlines()
    assert packages == sorted(packages)
    assert any(line.startswith("pyyaml==") for line in packages)


def test_only_listed_variables_are_recorded_and_their_secrets_are_not(repo: GitRepo) -> None:
    repo.git("config", "track.envAllow", "MY_* OTHER")
    secrets = {"AWS_SECRET_ACCESS_KEY": "hunter2", "MY_URL": "https://u:hunter2@example.org/"}
    repo.python(MINIMAL, env={"CUDA_VISIBLE_DEVICES": "0,1", "OTHER": "x", **secrets})
    found = only(repo)
    variables = found.yaml("env/environment.yaml")["variables"]
    assert variables["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert (variables["MY_URL"], variables["OTHER"]) == ("https://***@example.org/", "x")
    everything = b"".join(found.raw(path) or b"" for path in found.files)
    assert b"hunter2" not in everything


def test_the_projects_lock_file_goes_along(repo: GitRepo) -> None:
    repo.commit({"uv.lock": "version = 1\n", "sub/poetry.lock": "no"}, "lock")
    repo.python(MINIMAL)
    assert only(repo).raw("env/uv.lock") == b"version = 1\n"
    assert "env/poetry.lock" not in only(repo).files


def test_seeds_are_recognised(repo: GitRepo) -> None:
    repo.python("import gittrack as gt\ngt.init(params={'seed': 7, 'data': {'random_state': 3}, 'seeds_used': 4})")
    assert only(repo).facts["seeds"] == {"seed": 7, "data.random_state": 3}


def test_two_runs_of_one_script_have_two_ids_and_two_names(repo: GitRepo) -> None:
    repo.python(MINIMAL)
    repo.python(MINIMAL)
    first, second = runs(repo)
    assert first.id != second.id
    assert first.record["name"] != second.record["name"]


def test_plain_git_shows_nothing_of_it(repo: GitRepo, tmp_path: Path) -> None:
    before = [repo.git(*args) for args in (("status", "--porcelain"), ("branch", "-a"), ("tag",), ("stash", "list"))]
    repo.python(MINIMAL)
    after = [repo.git(*args) for args in (("status", "--porcelain"), ("branch", "-a"), ("tag",), ("stash", "list"))]
    assert after == before
    clone = GitRepo.clone(repo.path, tmp_path / "clone")
    assert set(clone.refs()) == {"refs/heads/main", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"}


def test_the_users_git_identity_is_the_author_wherever_it_is_set(repo: GitRepo) -> None:
    repo.git("config", "user.name", "Grace <Hopper>")
    repo.python(MINIMAL)
    repo.python(MINIMAL, env={"GIT_AUTHOR_NAME": "Env Name", "GIT_AUTHOR_EMAIL": "env@example.org"})
    authors = [repo.git("log", "-1", "--format=%an <%ae>|%cn", found.ref) for found in runs(repo)]
    assert authors == ["Grace Hopper <ada@example.org>|Grace Hopper", "Env Name <env@example.org>|Env Name"]


def test_a_person_without_an_identity_is_recorded_by_login(repo: GitRepo) -> None:
    repo.python(MINIMAL, env={"GIT_CONFIG_GLOBAL": os.devnull})
    author = only(repo).facts["author"]
    name, _, rest = author.partition(" <")
    assert name
    assert rest.startswith(f"{name}@")


def test_signing_follows_the_users_own_settings(repo: GitRepo, tmp_path: Path) -> None:
    key = tmp_path / "key"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], cwd=tmp_path)
    (tmp_path / "allowed").write_text("ada@example.org " + Path(f"{key}.pub").read_text("utf-8"), encoding="utf-8")
    for name, value in {
        "commit.gpgsign": "true",
        "gpg.format": "ssh",
        "user.signingkey": f"{key}.pub",
        "gpg.ssh.allowedSignersFile": str(tmp_path / "allowed"),
    }.items():
        repo.git("config", name, value)
    (repo.path / "train.py").write_text("changed\n", encoding="utf-8")
    repo.python(MINIMAL)
    found = only(repo)
    assert "Good" in run(["git", "verify-commit", "-v", found.ref], cwd=repo.path).stderr
    snapshot = found.facts["code"]["snapshot"]
    assert "gpgsig" not in repo.git("cat-file", "commit", snapshot)


# Where there is nothing to record in --------------------------------------------------------------------------------


def test_outside_of_a_repository_a_run_goes_to_the_users_data_folder_with_one_warning(tmp_path: Path) -> None:
    script = tmp_path / "s.py"
    script.write_text(MINIMAL + "run.finish()\ngt.init()\ngt.log({'loss': 2.0})\n", encoding="utf-8")
    done = run([sys.executable, script], cwd=tmp_path)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "is not in a git repository; the run is recorded without code in your data folder" in done.stderr
    store = stored_elsewhere()
    first, second = runs(store)
    assert (first.status, first.values("loss"), first.parents) == ("finished", [1.0], [])
    assert second.values("loss") == [2.0]
    assert first.facts["code"] == {"dirty": False}
    store.fsck()


def test_where_nothing_at_all_can_be_written_training_goes_on(tmp_path: Path) -> None:
    script = tmp_path / "s.py"
    more = "run.log_params({'a': 1})\nrun.log_artifact(__file__)\nrun.summary['x'] = 1\n"
    more += "print(run.config.a)\nrun.finish()\n"
    script.write_text(MINIMAL + more, encoding="utf-8")
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    done = run([sys.executable, script], cwd=tmp_path, env={"XDG_DATA_HOME": str(tmp_path / "file")})
    assert done.stdout == "1\n"
    assert "nothing is recorded" in done.stderr
    assert "Traceback" not in done.stderr


def as_a_user_without_privileges() -> list[str]:
    """Returns the words before a command for which the permission bits of files count, even if we are root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", "--inh-caps=-all"]


@pytest.fixture
def read_only_repo(repo: GitRepo) -> Iterator[GitRepo]:
    folders = [repo.path / ".git", *(path for path in (repo.path / ".git").rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    yield repo
    for folder in folders:
        folder.chmod(0o755)


def test_in_a_repository_that_is_read_only_a_run_goes_to_the_users_data_folder(
    read_only_repo: GitRepo, tmp_path: Path
) -> None:
    script = tmp_path / "s.py"
    script.write_text(MINIMAL, encoding="utf-8")
    done = run([*as_a_user_without_privileges(), sys.executable, script], cwd=read_only_repo.path)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"nothing can be recorded in '{read_only_repo.path / '.git'}'" in done.stderr
    found = only(stored_elsewhere())
    assert (found.status, found.values("loss")) == ("finished", [1.0])


def test_in_a_repository_that_is_read_only_uncommitted_work_is_no_reason_to_stop(
    read_only_repo: GitRepo, tmp_path: Path
) -> None:
    (read_only_repo.path / "train.py").write_text("changed\n", encoding="utf-8")
    script = tmp_path / "s.py"
    script.write_text(MINIMAL, encoding="utf-8")
    done = run([*as_a_user_without_privileges(), sys.executable, script], cwd=read_only_repo.path)
    assert "nothing can be recorded" in done.stderr
    assert only(stored_elsewhere()).values("loss") == [1.0]


def test_a_repository_named_by_git_dir_gets_the_run(repo: GitRepo, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    repo.python(MINIMAL, cwd=outside, env={"GIT_DIR": str(repo.path / ".git"), "GIT_WORK_TREE": str(repo.path)})
    found = only(repo)
    assert found.parents == [repo.git("rev-parse", "main")]
    assert found.facts["code"]["dirty"] is False
    assert "directory" not in found.facts


def test_a_script_that_a_git_hook_starts_records_in_its_repository(repo: GitRepo, tmp_path: Path) -> None:
    script = tmp_path / "s.py"
    script.write_text(MINIMAL, encoding="utf-8")
    hook = repo.path / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\n'{sys.executable}' '{script}'\n", encoding="utf-8")
    hook.chmod(0o755)
    before = repo.git("rev-parse", "main")
    (repo.path / "train.py").write_text("changed\n", encoding="utf-8")
    repo.git("commit", "--quiet", "-m", "change", "train.py")  # git gives the hook an index of its own
    found = only(repo)
    assert found.facts["code"]["commit"] == before
    assert repo.git("show", f"{found.ref}^:train.py") == "changed"
    assert repo.git("status", "--porcelain") == ""


def test_a_sha256_repository_is_a_repository(tmp_path: Path) -> None:
    repo = GitRepo.init(tmp_path / "new", "--object-format=sha256")
    repo.commit({"train.py": "1\n"}, "begin")
    (repo.path / "train.py").write_text("2\n", encoding="utf-8")
    repo.python(MINIMAL)
    found = only(repo)
    assert found.parents == [found.facts["code"]["snapshot"]]
    assert len(found.parents[0]) == 64
    repo.fsck()


# Bad arguments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argument", ["params=[1, 2]", "params=5", "params='no-such-file.yaml'", "config=object()", "params={'a': open}"]
)
def test_params_that_are_none_do_not_stop_training(repo: GitRepo, argument: str) -> None:
    done = repo.python(f"import gittrack as gt\ngt.init({argument})\ngt.log({{'loss': 1.0}})\n")
    assert "Traceback" not in done.stderr
    found = only(repo)
    assert (found.status, found.values("loss")) == ("finished", [1.0])


def test_params_that_cannot_be_read_are_said_once(repo: GitRepo) -> None:
    done = repo.python("import gittrack as gt\ngt.init(params='no-such-file.yaml')\n")
    assert done.stderr.count("\n") == 1
    assert "no-such-file.yaml" in done.stderr


def test_params_may_be_the_path_of_a_yaml_file(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("lr: 1e-3\nopt:\n  name: adam\n", encoding="utf-8")
    repo.python("import sys\nimport gittrack as gt\ngt.init(params=sys.argv[1])\n", str(tmp_path / "params.yaml"))
    assert only(repo).params == {"lr": 0.001, "opt": {"name": "adam"}}


def test_texts_may_be_given_as_anything(repo: GitRepo) -> None:
    repo.python("import gittrack as gt\ngt.init(7, name=42, group=3.5, tags=[1, None], notes=0, job_type=True)\n")
    record = only(repo).record
    assert (record["name"], record["group"], record["tags"], record["note"]) == ("42", "3.5", ["1", "None"], "0")
    assert (record["project"], record["job_type"]) == ("7", "True")


def test_a_name_cannot_forge_a_message(repo: GitRepo) -> None:
    name = r"x\n\nRecord: {}\x1b[31m\ud800"
    repo.python(f"import gittrack as gt\ngt.init(name='{name}', notes='{name}', tags=['{name}'], group='{name}')\n")
    found = only(repo)
    message = repo.git("log", "-1", "--format=%B", found.ref)
    assert message.count("\nRecord: ") == 1
    assert "\x1b" not in message
    assert message.splitlines()[0].endswith(": finished")
    assert found.record["name"] == "x\n\nRecord: {}\x1b[31m\\ud800"
    repo.track("fsck")


def test_an_unknown_argument_is_said_once_and_left_out(repo: GitRepo) -> None:
    done = repo.python("import gittrack as gt\nfor _ in range(2):\n    gt.init(speed='fast', tags=['x']).finish()\n")
    assert done.stderr.count("init() does not know 'speed'") == 1
    assert [found.record["tags"] for found in runs(repo)] == [["x"], ["x"]]


def test_logging_without_a_run_says_what_to_do(repo: GitRepo) -> None:
    done = repo.python("import gittrack as gt\nassert gt.run is None\ngt.log({'a': 1})", check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        "gittrack.errors.UsageError: no run is being recorded",
        "hint: call gittrack.init() first",
    ]


def test_refusing_a_dirty_tree_is_an_error_before_anything_is_recorded(repo: GitRepo) -> None:
    repo.git("config", "track.dirty", "refuse")
    (repo.path / "train.py").write_text("changed\n", encoding="utf-8")
    done = repo.python(MINIMAL, check=False)
    assert done.returncode == 1
    *_, error, cause, hint = done.stderr.splitlines()
    assert "uncommitted changes" in error
    assert cause == "cause: track.dirty is 'refuse'"
    assert hint.startswith("hint: commit them, ")
    assert repo.track("ls", "--json").stdout.strip() == "[]"


def test_a_disabled_run_works_and_leaves_nothing(repo: GitRepo, tmp_path: Path) -> None:
    script = """
import sys
import gittrack as gt

run = gt.init(params={"lr": 1}, **({"mode": "disabled"} if len(sys.argv) > 1 else {}))
for step in range(3):
    run.log({"loss": step}, step=step)
run.config.more = 2
run.log_artifact(__file__)
print(run.config.lr, run.config["more"], run.summary["loss"], run.step)
"""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    by_argument = repo.python(script, "x", env={"TMPDIR": str(temporary)})
    by_variable = repo.python(script, env={"GITTRACK_MODE": "disabled", "TMPDIR": str(temporary)})
    assert by_argument.stdout == by_variable.stdout == "1 2 2 3\n"
    assert by_argument.stderr == by_variable.stderr == ""
    assert runs(repo) == []
    assert list(temporary.iterdir()) == []
    assert not (repo.path / ".git" / "gittrack").exists()


def test_a_run_may_be_given_an_id_once(repo: GitRepo) -> None:
    script = "import gittrack as gt\nprint(gt.init(id='experiment-7', name=None).id)\n"
    first = repo.python(script).stdout.strip()
    second = repo.python(script)
    assert second.stdout.strip() != first
    assert "run 'experiment-7' exists already" in second.stderr
    assert {found.id for found in runs(repo)} == {first, second.stdout.strip()}


def test_an_id_of_our_own_form_is_taken_as_it_is(repo: GitRepo) -> None:
    repo.python("import gittrack as gt\ngt.init(id='r0123456789ab')\n")
    assert only(repo).ref == "refs/runs/r0123456789ab"


def test_the_next_run_may_begin_beside_one_that_is_open(repo: GitRepo) -> None:
    repo.python(
        """
import gittrack as gt

first = gt.init(name="first")
second = gt.init(name="second", reinit="create_new")
gt.log({"a": 2})
first.log({"a": 1})
second.finish()
gt.log({"b": 1})
"""
    )
    assert named(repo, "first").values("a") == [1.0]
    assert named(repo, "first").values("b") == [1.0]
    assert named(repo, "second").values("a") == [2.0]


def test_the_open_run_may_be_returned_instead_of_a_new_one(repo: GitRepo) -> None:
    repo.python("import gittrack as gt\nassert gt.init() is gt.init(reinit='return_previous') is gt.run\n")
    assert only(repo).status == "finished"


def test_importing_and_recording_leave_the_heavy_libraries_alone(repo: GitRepo) -> None:
    done = repo.python(
        MINIMAL + "import sys\nrun.finish()\n"
        "print(*sorted({'pygit2', 'dulwich', 'click', 'yaml', 'numpy', 'sqlite3'} & set(sys.modules)))\n"
    )
    assert done.stdout == "\n"


def test_every_public_name_can_be_had(repo: GitRepo) -> None:
    done = repo.python(
        "import gittrack\ngittrack.init()\n"
        "print(*[name for name in gittrack.__all__ if getattr(gittrack, name, None) is None])\n"
        "assert dir(gittrack) == sorted(gittrack.__all__)\n"
        "try:\n    gittrack.no_such_name\nexcept AttributeError as exc:\n    print(exc)\n"
    )
    assert done.stdout == "\nmodule 'gittrack' has no attribute 'no_such_name'\n"


def test_a_repository_that_is_not_trusted_gives_the_hint_of_git(repo: GitRepo, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MINIMAL],
        cwd=repo.path,
        env={**os.environ, "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "the run is recorded without code in your data folder" in done.stderr
    assert only(stored_elsewhere()).values("loss") == [1.0]
