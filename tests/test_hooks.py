"""The marked block in a hook file: it is one text, it goes in and out without a trace, and others keep their word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack import hooks
from tests.gitcmd import run

SHIMS = Path(__file__).parent.parent / "hooks"
INPUT = "refs/heads/a 1 refs/heads/a 0\nrefs/heads/b 2 refs/heads/b 0\n"
LINES = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=20), max_size=6)


@pytest.mark.parametrize("event", hooks.EVENTS)
def test_the_shims_are_what_init_installs(event: str) -> None:
    file = SHIMS / event
    assert file.read_text("utf-8") == hooks.whole(event)
    assert file.stat().st_mode & 0o111 == 0o111


@given(LINES, st.sampled_from(["", "#!/bin/sh\n", "#! /usr/bin/env bash\n"]), st.sampled_from(["", "\n"]))
def test_a_block_goes_in_and_out_of_any_file_without_a_trace(lines: list[str], first: str, end: str) -> None:
    text = first + "\n".join(lines) + end
    changed = hooks.with_block(text, "pre-push")
    assert hooks.block("pre-push") in changed
    assert hooks.without_block(changed) in (text, text + "\n" * (text == first.rstrip("\n")))
    assert hooks.with_block(changed, "pre-push") == changed


def test_an_old_block_becomes_the_one_of_today() -> None:
    old = "#!/bin/sh\necho mine\n# >>> gittrack >>>\nold words\n# <<< gittrack <<<\necho more\n"
    new = hooks.with_block(old, "pre-push")
    assert new == "#!/bin/sh\necho mine\n" + hooks.block("pre-push") + "echo more\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a hook, where `git-track` is a script that writes down what it got."""
    programs = tmp_path / "programs"
    programs.mkdir()
    stand_in = programs / "git-track"
    stand_in.write_text('#!/bin/sh\necho "$@" "$GITTRACK_HOOK" >ours\ncat >>ours\nexit "${ANSWER-0}"\n', "utf-8")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return tmp_path


def call(place: Path, text: str, *, input: str = INPUT, **env: str) -> tuple[int, str]:
    """Runs a hook as git does; returns its exit code and what it printed."""
    hook = place / "pre-push"
    hook.write_text(hooks.with_block(text, "pre-push"), "utf-8")
    hook.chmod(0o755)
    done = run([str(hook), "origin", "../remote.git"], cwd=place, input=input, env=env, check=False)
    return done.returncode, done.stdout + done.stderr


def ours(place: Path) -> str | None:
    file = place / "ours"
    return file.read_text("utf-8") if file.exists() else None


@pytest.mark.parametrize("shell", ["sh", "bash", "sh -eu"])
@pytest.mark.parametrize("end", ["", "exit 0\n", "exec cat\n"])
def test_others_read_the_same_input_first_and_ours_comes_after(place: Path, shell: str, end: str) -> None:
    code, said = call(place, f'#!/bin/{shell}\necho "$@" "${{GITTRACK_HOOK-none}}"; test ! -e ours; cat\n{end}')
    assert (code, said) == (0, f"origin ../remote.git none\n{INPUT}")
    assert ours(place) == f"hook pre-push origin ../remote.git \n{INPUT}"


def test_what_others_refuse_is_refused_with_their_exit_code_and_without_ours(place: Path) -> None:
    assert call(place, "#!/bin/sh\ncat >theirs\necho no\nexit 7\n") == (7, "no\n")
    assert ours(place) is None
    assert (place / "theirs").read_text("utf-8") == INPUT


@pytest.mark.parametrize(("answer", "code"), [("0", 0), ("1", 0), ("127", 0), ("100", 1)])
def test_only_the_exit_code_that_means_it_stops_a_push(place: Path, answer: str, code: int) -> None:
    assert call(place, "#!/bin/sh\n", ANSWER=answer)[0] == code


def test_no_input_is_no_input_for_everybody(place: Path) -> None:
    assert call(place, "#!/bin/sh\nwc -c\n", input="")[1].strip() == "0"
    assert ours(place) == "hook pre-push origin ../remote.git \n"


def test_a_long_input_that_others_do_not_read_stops_nothing(place: Path) -> None:
    many = "".join(f"refs/heads/{number} 1 refs/heads/{number} 0\n" for number in range(20_000))
    assert call(place, "#!/bin/sh\nexit 0\n", input=many) == (0, "")
    assert ours(place) == f"hook pre-push origin ../remote.git \n{many}"


def test_without_git_track_the_rest_of_the_file_runs_as_if_we_were_not_there(place: Path) -> None:
    (place / "programs" / "git-track").unlink()
    assert call(place, "#!/bin/sh\ncat\nexit 3\n") == (3, INPUT)
    assert call(place, "#!/bin/sh\n") == (0, "")


def test_a_hook_inside_of_a_hook_leaves_ours_out(place: Path) -> None:
    assert call(place, "#!/bin/sh\ncat\n", GITTRACK_HOOK="1") == (0, INPUT)
    assert ours(place) is None


def test_the_settings_of_a_newer_git_call_the_same_and_let_pass_what_is_no_stop(place: Path) -> None:
    settings = dict(hooks.settings("pre-push"))
    assert settings["hook.gittrack-pre-push.event"] == "pre-push"
    # As git puts a command together that has words of the shell in it (its run-command.c).
    words = ["sh", "-c", settings["hook.gittrack-pre-push.command"] + ' "$@"', "sh", "origin", "url"]
    for answer, code in (("0", 0), ("1", 0), ("100", 1)):
        assert run(words, cwd=place, input=INPUT, env={"ANSWER": answer}, check=False).returncode == code
    assert ours(place) == f"hook pre-push origin url \n{INPUT}"
    (place / "programs" / "git-track").unlink()
    done = run(words, cwd=place, input=INPUT)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_shims_are_plain_posix_shell() -> None:
    for event in hooks.EVENTS:
        text = hooks.whole(event)
        assert not re.search(r"\[\[|\blocal\b|\bfunction\b|<<<\s*\"", text)
        run(["sh", "-n", str(SHIMS / event)], cwd=SHIMS)
