"""What git, ssh, curl and the server say of a failure becomes one cause and one hint that help."""

from __future__ import annotations

import pytest

from gittrack import answers
from gittrack.answers import Answer

CHANGED = b"""\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Host key verification failed.
fatal: Could not read from remote repository.

Please make sure you have the correct access rights
and the repository exists.
"""


@pytest.mark.parametrize(
    ("stderr", "cause", "hint"),
    [
        (
            b"fatal: '/x.git' does not appear to be a git repository\nfatal: Could not read from remote repository.\n",
            "'/x.git' does not appear to be a git repository",
            "check the address",
        ),
        (
            b"git@host: Permission denied (publickey).\r\nfatal: Could not read from remote repository.\n",
            "git@host: Permission denied (publickey)",
            "offer it a key",
        ),
        (
            CHANGED,
            "its host key has changed since it was last seen",
            "if that is expected, forget the old key with `ssh-keygen -R HOST`",
        ),
        (
            b"ERROR: Repository not found.\nfatal: Could not read from remote repository.\n",
            "ERROR: Repository not found",
            "check the address",
        ),
        (
            b"error: RPC failed; HTTP 503 curl 22\nsend-pack: unexpected disconnect\nfatal: early EOF\n",
            "RPC failed; HTTP 503 curl 22",
            answers.KEPT,
        ),
        (
            b"fatal: unable to access 'https://me:pa55@h/x.git?private_token=t0ken/': Failed to connect\n",
            "unable to access 'https://***@h/x.git?***': Failed to connect",
            answers.KEPT,
        ),
        (
            b"remote: Invalid username or password.\nfatal: Authentication failed for 'https://h/x.git/'\n",
            "Authentication failed for 'https://h/x.git/'; Invalid username or password.",
            "check the password",
        ),
        (
            b"fatal: unable to connect to h:\nh[0: 127.0.0.1]: errno=Connection refused\n",
            "unable to connect to h: errno=Connection refused",
            answers.KEPT,
        ),
        (b"fatal: the remote end hung up unexpectedly\n", "the remote end hung up unexpectedly", answers.KEPT),
        (b"", "git ended without a word", answers.KEPT),
        (b"\xff\xfe\n", "\ufffd\ufffd", answers.KEPT),
    ],
)
def test_the_line_that_helps_is_found(stderr: bytes, cause: str, hint: str) -> None:
    found = answers.cause_and_hint(stderr)
    assert found[0] == cause
    assert found[1].startswith(hint)


def test_each_ref_has_its_answer_and_a_guess_is_none() -> None:
    stdout = (
        b"To ssh://h/x.git\n"
        b"*\tabc:refs/runs/r1\t[new reference]\n"
        b" \tabc:refs/runs/r2\t1..2\n"
        b"=\tabc:refs/runs/r3\t[up to date]\n"
        b"!\tabc:refs/runs/r4\t[rejected] (fetch first)\n"
        b"!\tabc:refs/runs/r5\t[remote rejected] (pre-receive hook declined)\n"
        b"!\tabc:refs/runs/r6\t[remote failure] (remote failed to report status)\n"
        b"Done\n"
    )
    found = answers.read(stdout)
    assert {ref for ref, answer in found.items() if answer.taken} == {"refs/runs/r1", "refs/runs/r2", "refs/runs/r3"}
    assert found["refs/runs/r4"] == Answer("refs/runs/r4", taken=False, reason="fetch first")
    assert found["refs/runs/r4"].moved
    assert found["refs/runs/r5"].reason == "pre-receive hook declined"
    assert "refs/runs/r6" not in found
