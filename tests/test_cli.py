"""The command line as a whole: how it fails, what it prints where, and that it never breaks down."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gittrack import cli
from tests.gitcmd import GitRepo, run
from tests.runs import attempt, complaint, listed, record, shown

COMMANDS = [name for names in cli.GROUPS.values() for name in names]
EXIT_CODES = {0, 1, 2, 3, 4, 5, 125, 126, 127, 128, 130}  # UX.md, and 130 for Ctrl-C
ARGUMENTS = {
    **dict.fromkeys(COMMANDS, ()),
    "run": ("--", "true"),
    "add": ("-m", "a=1"),
    "edit": ("x", "--star"),
    "rm": ("x",),
    "checkout": ("x",),
    "get": ("x",),
    "store": ("ls",),
    "sql": ("select 1",),
    "import": ("--adopt",),
    "plot": ("loss",),
}


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("doctor", "demo", "run")])
def test_outside_a_repository_every_command_exits_128_in_three_lines(tmp_path: Path, name: str) -> None:
    done = run(["git", "track", name, *ARGUMENTS[name]], cwd=tmp_path, check=False)

    lines = complaint(done, exit_code=128).splitlines()
    assert [line.split(": ")[0] for line in lines] == ["error", "cause", "hint"]
    assert lines[0] == f"error: '{tmp_path}' is not in a git repository"
    assert done.stdout == ""


def test_a_bare_repository_can_be_looked_at(repo: GitRepo, bare_remote: GitRepo) -> None:
    record(repo, {"name": "one"})
    repo.track("push")

    assert [found["name"] for found in listed(bare_remote)] == ["one"]
    assert "one" in bare_remote.track("log", "main").stdout
    bare_remote.track("fsck")
    bare_remote.track("tag", "one", "x")
    assert listed(bare_remote)[0]["tags"] == ["x"]


def test_help_names_every_command_and_its_group(repo: GitRepo) -> None:
    text = repo.track("-h").stdout

    for group, names in cli.GROUPS.items():
        assert f"{group.capitalize()}:" in text
        assert all(f"\n  {name} " in text for name in names)
    assert repo.track(check=False).stderr == text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([name, "-h"]) == 0

    text = capsys.readouterr().out
    assert text.startswith(f"Usage: git track {name} ")
    assert "-h, --help" in text


def test_the_version_is_one_line(repo: GitRepo) -> None:
    assert repo.track("--version").stdout.startswith("git-track 0.")


@pytest.mark.parametrize(("word", "hint"), [("sho", "did you mean `git track show`?"), ("xyzzy", "see `git track -h`")])
def test_a_command_that_is_none_is_a_usage_error(repo: GitRepo, word: str, hint: str) -> None:
    error = complaint(repo.track(word, check=False), exit_code=2)

    assert error == f"error: '{word}' is not a git-track command\nhint: {hint}\n"


def test_options_that_are_wrong_are_told_in_our_voice(repo: GitRepo) -> None:
    for words in (("ls", "-n"), ("ls", "-n", "x"), ("rm",), ("checkout",), ("show", "--color")):
        error = complaint(repo.track(*words, check=False), exit_code=2)
        assert error.splitlines()[-1] == f"hint: see `git track {words[0]} -h`"
        assert error[len("error: ")].islower() or not error[len("error: ")].isalpha()


def test_an_option_that_is_nearly_one_names_it(repo: GitRepo) -> None:
    error = complaint(repo.track("ls", "--colour=never", check=False), exit_code=2)

    first, second = error.splitlines()
    assert first == "error: no such option '--colour'"
    assert second.startswith("hint: did you mean one of: ")
    assert "--color" in second


def test_a_traceback_is_shown_only_to_who_asks_for_it(repo: GitRepo) -> None:
    plain = repo.track("show", "nobody", check=False)
    traced = repo.track("show", "nobody", check=False, env={"GITTRACK_TRACE": "1"})

    assert "Traceback" not in plain.stderr
    assert "Traceback" in traced.stderr
    assert plain.returncode == traced.returncode == 3


def test_results_go_to_stdout_and_all_else_to_stderr(repo: GitRepo) -> None:
    ids = record(repo, {"name": "one"}, {"name": "two"})
    repo.track("rm", "two")

    for words, expected in (
        (("ls", "--format", "%(id)"), ids[0]),
        (("tag", "one", "x"), ""),
        (("tag", "one"), "x"),
        (("edit", "one", "--star"), ""),
        (("rm", "one"), ""),
        (("rm", "--undo", "one"), ""),
        (("fsck",), ""),
    ):
        assert repo.track(*words).stdout.strip() == expected, words


def test_a_full_disk_behind_stdout_is_an_error_and_no_traceback(repo: GitRepo) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    record(repo, {})

    done = run(["sh", "-c", "git track ls > /dev/full"], cwd=repo.path, check=False)

    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert done.returncode == 128


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_reason_for_a_traceback(repo: GitRepo, closed: str) -> None:
    record(repo, {})

    for words in ("ls", "show", "show nobody", "status", "tag @ x"):
        done = run(["sh", "-c", f"git track {words} {closed}"], cwd=repo.path, check=False)
        assert "Traceback" not in done.stderr + done.stdout, words
        assert "Exception" not in done.stderr + done.stdout, words


def test_a_terminal_that_knows_no_unicode_gets_escapes(repo: GitRepo) -> None:
    record(repo, {"name": "\u4e16\u754c"})

    done = repo.track("ls", env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})

    assert "\\u4e16\\u754c" in done.stdout


def test_git_variables_of_a_hook_do_not_confuse_it(repo: GitRepo) -> None:
    record(repo, {"name": "one"})
    hook = {
        "GIT_DIR": ".git",
        "GIT_INDEX_FILE": ".git/other-index",
        "GIT_PREFIX": "sub/",
        "GIT_AUTHOR_DATE": "@1 +0000",
    }

    repo.track("tag", "one", "x", env=hook)
    repo.track("run", "--", "true", env=hook)

    assert [found["tags"] for found in listed(repo)] == [[], ["x"]]
    assert not (repo.path / ".git" / "other-index").exists()


def test_one_damaged_run_hides_no_other(repo: GitRepo) -> None:
    one, _ = record(repo, {"name": "one"}, {"name": "two"})
    repo.git("update-ref", f"refs/runs/{one}", "HEAD")

    done = repo.track("ls", "--format", "%(name)")

    assert done.stdout == "two\n"
    assert done.stderr.startswith(f"warning: cannot read run '{one}'\ncause: ")
    assert repo.track("fsck", check=False).returncode == 1
    assert "Traceback" not in repo.track("show", "two").stderr


@pytest.mark.slow
def test_a_run_whose_commit_is_missing_hides_no_other_and_comes_back(repo: GitRepo, bare_remote: GitRepo) -> None:
    one, _ = record(repo, {"name": "one"}, {"name": "two"})
    repo.track("push")
    sound = repo.refs("refs/runs/")
    (repo.path / ".git" / "refs" / "runs" / one).write_text("1234567890" * 4 + "\n", encoding="utf-8")

    for words in (("ls",), ("status",), ("show", "two"), ("log",), ("tag", "two", "x"), ("push",)):
        code, _, err = attempt(repo, *words)
        assert code == 0
        assert f"warning: cannot read run '{one}'\ncause: its commit is missing\n" in err, words
    assert f"refs/runs/{one}: '1234567890" in repo.track("fsck", check=False).stdout
    repo.git("update-ref", "-d", f"refs/runs/{one}")
    repo.track("pull")
    assert repo.refs("refs/runs/")[f"refs/runs/{one}"] == sound[f"refs/runs/{one}"]
    assert repo.track("fsck").stderr == "2 run(s) are sound\n"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 5}', "null"])
def test_a_live_folder_that_is_damaged_stops_no_command(repo: GitRepo, content: str) -> None:
    record(repo, {"name": "one"})
    folder = repo.path / ".git" / "gittrack" / "live" / "r000000000000"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(content, encoding="utf-8")

    for words in (("ls",), ("status",), ("show", "one"), ("tag", "one", "x")):
        code, _, err = attempt(repo, *words)
        assert code == 0, (words, err)
    repo.track("run", "--", "true")
    assert attempt(repo, "fsck")[0] in (0, 1)
    assert {found["name"] for found in listed(repo)} >= {"one"}


# Another object format ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_sha_256_repository_works_end_to_end(tmp_path: Path) -> None:
    repo = GitRepo.init(tmp_path / "repo", "--object-format=sha256")
    repo.commit({"train.py": "1\n"}, "begin")
    bare = GitRepo.init(tmp_path / "remote.git", "--bare", "--object-format=sha256")
    repo.git("remote", "add", "origin", str(bare.path))
    repo.git("push", "--quiet", "origin", "main")
    clone = GitRepo.clone(bare.path, tmp_path / "clone")
    (repo.path / "train.py").write_text("dirty\n", encoding="utf-8")

    record(
        repo, {"name": "one", "params": {"lr": 0.1}, "metrics": {"loss": [2, 1]}, "files": {"a": "x"}}, {"name": "two"}
    )
    repo.track("tag", "one", "ada")
    repo.track("push", "--yes")
    clone.track("pull")
    clone.track("tag", "one", "bob")
    repo.track("edit", "one", "--star")
    clone.track("push")
    assert "joined" in repo.track("push").stderr
    clone.track("pull")

    assert repo.refs("refs/runs/") == clone.refs("refs/runs/") == bare.refs("refs/runs/")
    assert (shown(clone, "one")["tags"], shown(clone, "one")["starred"]) == (["ada", "bob"], True)
    assert len(shown(clone, "one")["code"]["snapshot"]) == 64
    assert repo.track("diff", "--exit-code", "--code", "one", "two").stdout == ""
    clone.track("checkout", "one", "../code")
    assert (tmp_path / "code" / "train.py").read_text(encoding="utf-8") == "dirty\n"
    for each in (repo, clone, bare):
        assert each.track("fsck").stderr == "2 run(s) are sound\n"
        each.fsck()


# Signing --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def signer(repo: GitRepo, sealed_home: Path) -> Path:
    """A user who signs commits with an SSH key."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("there is no ssh-keygen here")
    key = sealed_home / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text(encoding="utf-8")
    (sealed_home / "signers").write_text(f"ada@example.org {public}", encoding="utf-8")
    for name, value in (
        *(("commit.gpgsign", "true"), ("gpg.format", "ssh"), ("user.signingkey", str(key))),
        ("gpg.ssh.allowedSignersFile", str(sealed_home / "signers")),
    ):
        repo.git("config", name, value)
    return key


def test_runs_and_edits_are_signed_and_snapshots_and_joins_are_not(repo: GitRepo, signer: Path, tmp_path: Path) -> None:
    (repo.path / "train.py").write_text("dirty\n", encoding="utf-8")
    [run_id] = record(repo, {"name": "one", "metrics": {"loss": [1]}})
    recorded = repo.git("rev-parse", f"refs/runs/{run_id}")
    repo.track("tag", "one", "x")
    left = repo.git("rev-parse", f"refs/runs/{run_id}")
    repo.git("update-ref", f"refs/runs/{run_id}", recorded)
    repo.track("tag", "one", "y")
    repo.git("update-ref", f"refs/gittrack/usb/runs/{run_id}", left)

    assert listed(repo)[0]["tags"] == ["x", "y"]

    repo.git("verify-commit", recorded, left, f"refs/runs/{run_id}^1", f"refs/runs/{run_id}^2")
    states = repo.git("log", "--format=%G? %s", f"refs/runs/{run_id}").splitlines()
    assert sorted(states) == [
        *("G run one: finished, loss 1", "G run one: finished, loss 1", "G run one: finished, loss 1"),
        *("N run one: finished, loss 1", "N snapshot of uncommitted work", "N train: begin"),
    ]
    assert repo.track("fsck").stderr == "1 run(s) are sound\n"


def test_a_signature_that_fails_loses_nothing(repo: GitRepo, signer: Path) -> None:
    away = signer.rename(signer.with_name("away"))

    done = repo.track("run", "--name", "one", "--", "true")

    assert "Traceback" not in done.stderr
    assert "could not be committed yet" in done.stderr
    assert repo.refs("refs/runs/") == {}
    assert "Traceback" not in repo.track("ls", check=False).stderr
    away.rename(signer)
    assert [found["name"] for found in listed(repo)] == ["one"]
    repo.git("verify-commit", next(iter(repo.refs("refs/runs/"))))


# Any words ------------------------------------------------------------------------------------------------------------

NAMES = (
    "one two @ @{-1} HEAD main best:max:loss best:loss tag:x group:g one^ one:run.yaml one: origin . .. 1 -1 x=1 %(id)"
).split()
TEXTS = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), max_size=8)
WORDS = st.sampled_from(NAMES) | st.sampled_from(NAMES) | TEXTS


def lines_of(name: str) -> st.SearchStrategy[list[str]]:
    """Returns command lines of one command: options that it has, any values, any words."""
    command = cli.cli.get_command(click.Context(cli.cli), name)
    assert command
    choices = [WORDS.map(lambda word: [word])]
    for option in command.params:
        if isinstance(option, click.Option):
            flag = st.sampled_from([*option.opts, *option.secondary_opts])
            value = st.sampled_from(option.type.choices) if isinstance(option.type, click.Choice) else WORDS
            with_value = st.tuples(flag, value).map(list)
            choices.append(flag.map(lambda word: [word]) if option.is_flag else with_value)
    parts = st.lists(st.one_of(choices), max_size=4)
    last = st.just(["--", "true"] if name == "run" else [])
    return st.tuples(parts, last).map(lambda found: [name, *(word for part in found[0] for word in part), *found[1]])


# `watch --wait` waits for ever, and `watch` for a run that `start` left open, as they should.
LINES = st.sampled_from([name for name in COMMANDS if name not in ("demo", "watch")]).flatmap(lines_of)


@pytest.fixture
def playground(repo: GitRepo, bare_remote: GitRepo, monkeypatch: pytest.MonkeyPatch) -> GitRepo:
    """A repository with runs and a remote, where nothing but git, true and false can be started."""
    record(repo, {"name": "one", "metrics": {"loss": [1]}, "tags": ["x"]}, {"name": "two", "group": "g"})
    programs = repo.path.parent / "programs"
    programs.mkdir()
    for name in ("git", "git-track", "true", "false"):
        program = shutil.which(name)
        assert program
        (programs / name).symlink_to(program)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("GIT_EDITOR", "true")
    monkeypatch.chdir(repo.path)
    repo.fsck_at_teardown = False
    return repo


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=LINES)
def test_any_words_end_in_a_documented_exit_code(playground: GitRepo, line: list[str]) -> None:
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    if line[0] == "watch":  # it follows what an example before it began, and nobody ends
        shutil.rmtree(playground.path / ".git" / "gittrack" / "live", ignore_errors=True)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    try:
        code = cli.run(line)
    finally:
        sys.stdout, sys.stderr = before

    err.seek(0)
    said = err.read()
    assert code in EXIT_CODES, said
    assert "Traceback" not in said
    if code not in (0, 1) and "run" not in line[0]:
        assert any(text.startswith("error: ") for text in said.splitlines()), (code, said)


@given(st.lists(WORDS, max_size=4))
@settings(max_examples=50)
def test_any_first_word_is_a_command_or_a_usage_error(words: list[str]) -> None:
    out, err = io.StringIO(), io.StringIO()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    try:
        code = cli.run(words)
    finally:
        sys.stdout, sys.stderr = before

    assert code in (0, 2), (words, err.getvalue())
