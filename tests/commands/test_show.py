"""`git track show`, and what plain git shows of a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.runs import ask, attempt, complaint, file_of, listed, record, shown
from tests.terminals import on_a_terminal

BYTES = bytes(range(256)) + b"\n\n"


def test_show_tells_what_people_ask_for(repo: GitRepo) -> None:
    [first] = record(repo, {"name": "base"})
    record(
        repo,
        {
            "name": "full",
            "tags": ["a", "b"],
            "group": "sweep",
            "notes": "two\nlines",
            "parent": first,
            "params": {"lr": 0.1, "opt": {"name": "adam"}},
            "metrics": {"loss": [3, 1, 2]},
            "goals": {"loss": "min"},
            "texts": {"sample": "hello world"},
            "files": {"out/report.md": "text"},
        },
    )

    text = repo.track("show").stdout
    for line in (
        *("Author     Ada Tester <ada@example.org>", "Group      sweep", "Tags       a, b", f"Parent     {first}"),
        *(f"Code       {repo.git('rev-parse', 'HEAD')} (main)", "    two", "    lines", "  lr        0.1"),
        *("  opt.name  adam", "Events", "Artifacts", "  out/report.md  4 B"),
    ):
        assert line in text.splitlines(), text
    assert "  loss     2  1 at 1    1    3     2     2       3" in text.splitlines()
    assert text.startswith("run r")
    assert "hello world" in text


def test_show_json_has_everything(repo: GitRepo) -> None:
    record(
        repo,
        {
            "name": "full",
            "params": {"opt": {"name": "adam"}},
            "metrics": {"loss": [1]},
            "files": {"a b.txt": "x"},
            "texts": {"sample": "hello"},
        },
    )
    repo.track("edit", "@", "-m", "a note")

    found = shown(repo, "@")
    assert {key: found[key] for key in listed(repo)[0] if key not in ("metrics", "artifacts")} == {
        key: value for key, value in listed(repo)[0].items() if key not in ("metrics", "artifacts")
    }
    assert found["params_nested"] == {"opt": {"name": "adam"}}
    assert found["artifacts"]["a b.txt"]["size"] == 1
    assert [(event["key"], event["value"]) for event in found["events"]] == [("sample", "hello")]
    assert found["notes"] == ["a note"]
    assert [edit["note"] for edit in found["edits"]] == ["a note"]
    assert found["facts"]["name"] == "full"
    assert found["environment"]["python"]["version"] == sys.version.split()[0]
    assert set(found["files"]) == set(
        repo.git("ls-tree", "-r", "--name-only", "-z", f"refs/runs/{found['id']}").strip("\0").split("\0")
    )
    assert list(json.loads(repo.track("show", "--json=id,name").stdout)) == ["id", "name"]
    assert "fields: id, name" in complaint(repo.track("show", "--json=nope", check=False), exit_code=2)


def test_a_running_run_is_shown_and_its_files_are_not_there_yet(repo: GitRepo) -> None:
    run = repo.track("start", "-p", "lr=0.1", "--name", "open").stdout.strip()
    repo.track("add", "-m", "loss=0.5")

    assert f"run {run}  open  running" in repo.track("show").stdout
    assert shown(repo, "@")["metrics"]["loss"]["last"] == 0.5
    assert "still being recorded" in complaint(repo.track("show", "open:params.yaml", check=False), exit_code=1)


def test_a_deleted_run_is_still_shown_by_its_name(repo: GitRepo) -> None:
    record(repo, {"name": "gone"})
    repo.track("rm", "gone")

    assert "gone  deleted" in repo.track("show", "gone").stdout.splitlines()[0]


def test_a_file_goes_to_a_pipe_as_it_is(repo: GitRepo) -> None:
    (repo.path.parent / "raw.bin").write_bytes(BYTES)
    repo.track("run", "--artifact", "../raw.bin", "--name", "x", "--", "true")
    path = next(path for path in shown(repo, "x")["files"] if path.endswith("raw.bin"))

    done = subprocess.run(["git", "track", "show", f"x:{path}"], cwd=repo.path, capture_output=True, check=True)

    assert done.stdout == BYTES == file_of(repo, f"{shown(repo, 'x')['id']}:{path}")
    _, on_terminal = on_a_terminal(["git", "track", "show", f"x:{path}"], cwd=repo.path)
    assert on_terminal == b"binary file, 258 B; redirect it to a file to keep it\r\n"


def test_a_text_file_is_escaped_on_a_terminal_only(repo: GitRepo) -> None:
    (repo.path.parent / "colours.txt").write_bytes(b"\x1b[31mred\x1b[m\n\tb\r\n")
    repo.track("run", "--name", "x", "--artifact", "../colours.txt", "--", "true")

    _, on_terminal = on_a_terminal(["git", "track", "show", "x:artifacts/colours.txt"], cwd=repo.path)

    assert on_terminal == b"\\x1b[31mred\\x1b[m\r\n\tb\r\n"
    assert "\x1b[31m" in repo.track("show", "x:artifacts/colours.txt").stdout


def test_a_folder_is_listed_and_what_is_not_there_is_an_error(repo: GitRepo) -> None:
    record(repo, {"name": "x", "files": {"d/a": "1", "d/e/b": "2"}})

    assert repo.track("show", "x:artifacts").stdout.split() == ["artifacts/d/a", "artifacts/d/e/b"]
    assert repo.track("show", "x:artifacts/d/").stdout.split() == ["artifacts/d/a", "artifacts/d/e/b"]
    assert "run.yaml" in repo.track("show", "x:").stdout.split()
    assert "has no file 'nope'" in complaint(repo.track("show", "x:nope", check=False), exit_code=3)
    complaint(repo.track("show", "x:../../etc/passwd", check=False), exit_code=3)


def test_an_artifact_needs_no_folder_before_its_path_and_a_typo_is_told(repo: GitRepo) -> None:
    record(repo, {"name": "x", "files": {"d/a.txt": "1", "params.yaml": "mine", "notes.txt": "n"}, "params": {"p": 1}})

    assert ask(repo, "show", "x:d/a.txt") == "1"
    assert ask(repo, "show", "x:d") == "artifacts/d/a.txt\n"
    assert ask(repo, "show", "x:params.yaml") == "p: 1\n"  # what the run itself has comes first
    assert ask(repo, "show", "x:artifacts/params.yaml") == "mine"
    code, _, err = attempt(repo, "show", "x:ntoes.txt")
    assert (code, err.splitlines()[0]) == (3, "error: run 'x' has no file 'ntoes.txt'")
    assert err.splitlines()[1].startswith("hint: did you mean 'notes.txt'? it has: notes.txt, ")


@pytest.mark.parametrize(
    "text", ["nobody", "rzzzzzzzzzzzz", "@{-7}", "best:max:nothing", "tag:nothing", "HEAD~5", "-x^", "\x1b[31m"]
)
def test_a_run_that_nobody_has_exits_3(repo: GitRepo, text: str) -> None:
    record(repo, {"name": "calm"})

    error = complaint(repo.track("show", "--", text, check=False), exit_code=3)

    assert "hint: " in error
    assert "\x1b" not in error


def test_names_work_through_git(repo: GitRepo) -> None:
    first, second = record(repo, {"name": "one", "metrics": {"m": [1]}}, {"name": "two", "metrics": {"m": [2]}})
    repo.commit({"train.py": "changed\n"}, "change")
    [third] = record(repo, {"name": "three", "parent": first, "tags": ["main"]})

    def ids(*names: str) -> list[str]:
        return ask(repo, "ls", "--format", "%(id)", *names).split()

    assert ids("@{-1}") == ids("HEAD~1") == ids("best:max:m") == ids(f"refs/runs/{second}") == [second]
    assert ids("HEAD") == ids("main") == ids("tag:main") == ids(repo.git("rev-parse", "--short", "HEAD")) == [third]
    assert set(ids("three^", "@{-2}")) == {first}
    error = complaint(repo.track("show", "tow", check=False), exit_code=3)
    assert "did you mean two?" in error


def test_plain_git_shows_a_run(repo: GitRepo) -> None:
    base = repo.git("rev-parse", "HEAD")
    one, two = record(repo, {"name": "a", "params": {"lr": 0.1}}, {"name": "b", "params": {"lr": 0.2}})

    assert repo.git("show", f"refs/runs/{one}:params.yaml") == "lr: 0.1"
    assert repo.git("log", "--format=%s", f"refs/runs/{one}").splitlines() == ["run a: finished", "train: begin"]
    assert repo.git("rev-parse", f"refs/runs/{one}^") == base
    patch = repo.git("diff", f"refs/runs/{one}", f"refs/runs/{two}", "--", "params.yaml").splitlines()
    assert patch[-2:] == ["-lr: 0.1", "+lr: 0.2"]
    trailers = repo.git(
        "log", "-1", "--format=%(trailers:key=Run,valueonly)%(trailers:key=Code,valueonly)", f"refs/runs/{one}"
    )
    assert trailers.split() == [one, base]


def test_plain_git_commands_show_nothing_of_runs(repo: GitRepo, tmp_path: Path) -> None:
    before = [repo.git("branch", "-a"), repo.git("tag"), repo.git("status", "--porcelain"), repo.git("stash", "list")]
    ids = record(repo, {}, {})
    (repo.path / "train.py").write_text("dirty\n", encoding="utf-8")
    repo.track("run", "--", "true")
    repo.git("checkout", "--quiet", "train.py")

    clone = GitRepo.clone(repo.path, tmp_path / "clone")

    assert before == [
        *(repo.git("branch", "-a"), repo.git("tag"), repo.git("status", "--porcelain"), repo.git("stash", "list"))
    ]
    assert clone.refs("refs/runs") == {}
    assert set(clone.refs()) == {"refs/heads/main", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"}
    assert len(ids) == 2


def test_the_reader_of_a_long_show_may_go_away(repo: GitRepo) -> None:
    record(repo, {"params": {f"p{number}": number for number in range(3000)}})

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", "git track show | head -n 1; git track ls --json | head -c 5"],
        cwd=repo.path,
        capture_output=True,
        check=False,
    )

    assert b"Traceback" not in done.stderr
    assert b"error" not in done.stderr


def test_on_a_terminal_a_curve_stands_beside_the_numbers_of_each_metric(
    repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(repo, {"name": "x", "metrics": {"up": list(range(8)), "one": [3], "gap": [1, "nan", 0]}})

    def metrics(columns: int) -> dict[str, str]:
        _, out = on_a_terminal(["git", "track", "show"], cwd=repo.path, columns=columns)
        lines = out.decode().split("\r\n")
        return {line.split()[0]: line.split()[-1] for line in lines[lines.index("Metrics") + 2 :] if line}

    assert metrics(90) == {"gap": "▁", "one": "1", "up": "▁▂▃▄▅▆▇█"}
    assert metrics(48)["up"] == "▁▂▃▄▅▆▇█", "it says more than mean, step and count"
    assert metrics(12)["up"] == "7", "where there is no room, numbers stay"
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert metrics(90)["up"] == "_.-~=*#@"
    assert "█" not in repo.track("show").stdout
