"""Remotes, through the user's git executable: their credentials, their SSH, their proxies.

Only explicit refs are pushed, never by force; what counts is what the remote answered for each of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gittrack import locks
from gittrack.errors import NotFound, RemoteError
from gittrack.git import Git, first_line
from gittrack.refname import RUNS, Oid, mirror_prefix
from gittrack.settings import Settings

REFS_PER_PUSH = 200
_NETWORK = (
    "push.followTags=false",
    "push.recurseSubmodules=no",
    "fetch.recurseSubmodules=no",
    "fetch.writeCommitGraph=false",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
    "core.fsync=all",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a remote said to one pushed ref: `taken` or not, and its reason."""

    ref: str
    taken: bool
    reason: str

    @property
    def moved(self) -> bool:
        """Whether the remote has another version of the ref."""
        return any(word in self.reason for word in ("fetch first", "non-fast-forward", "stale info", "already exists"))


def names(settings: Settings) -> list[str]:
    """Returns the remotes that are configured."""
    found = [
        key[len("remote.") : -len(".url")]
        for key in settings.values
        if key.startswith("remote.") and key.endswith(".url")
    ]
    return sorted(set(found))


def is_address(text: str) -> bool:
    """Tells whether `text` is a path or an address rather than a name."""
    return "/" in text or text.startswith(".") or ":" in text


def choose(settings: Settings, wanted: str | None, *, branch: str | None) -> str:
    """Returns the remote to use: the wanted one, `track.remote`, the branch's push remote, `origin`, or the only one.

    Raises NotFound if there is none."""
    known = names(settings)
    if wanted:
        if wanted in known or is_address(wanted):
            return wanted
        hint = f"remotes here: {', '.join(known)}" if known else "add it with `git remote add`"
        raise NotFound(f"there is no remote '{wanted}'", hint=hint)
    asked: list[str | None] = [settings.get("remote")]
    if branch:
        asked += [
            settings.git(f"branch.{branch}.pushremote"),
            settings.git("remote.pushdefault"),
            settings.git(f"branch.{branch}.remote"),
        ]
    candidates: list[str] = [*(name for name in asked if name), "origin", *(known if len(known) == 1 else ())]
    for name in candidates:
        if name in known or (name == asked[0] and is_address(name)):
            return name
    if known:
        raise NotFound(
            "which remote is meant is not clear",
            cause=f"remotes here: {', '.join(known)}",
            hint="name one, or set track.remote",
        )
    raise NotFound("this repository has no remote", hint="add one with `git remote add origin URL`")


def fetch_runs(git: Git, remote: str) -> None:
    """Brings every run of the remote into our mirror of it; raises RemoteError.

    The mirror follows the remote; what is only here is never touched, whatever `fetch.prune` says."""
    fetch(git, remote, [f"+{RUNS}*:{mirror_prefix(remote)}*"])


def fetch(git: Git, remote: str, refspecs: Sequence[str]) -> None:
    """Fetches exactly these refspecs; raises RemoteError."""
    args = (
        "--no-tags",
        "--no-prune",
        "--no-write-fetch-head",
        "--no-auto-maintenance",
        "--refmap=",
        "--quiet",
        "--no-recurse-submodules",
    )
    command = ("fetch", *args, "--end-of-options", remote, *refspecs)
    done = git.run(*command, settings=_NETWORK, env=_environment(git))
    if b".lock'" in done.stderr and locks.remove_abandoned(git.place.common_dir, [mirror_prefix(remote)]):
        done = git.run(*command, settings=_NETWORK, env=_environment(git))
    if done.returncode:
        raise _failed("fetch from", remote, done.stderr)


def push(git: Git, remote: str, refs: Iterable[tuple[Oid, str]]) -> list[Answer]:
    """Pushes commits to refs, never by force, and returns the remote's answer for each; raises RemoteError.

    RemoteError means that nothing is known of the refs that have no answer."""
    pending = list(refs)
    answers: list[Answer] = []
    for at in range(0, len(pending), REFS_PER_PUSH):
        chunk = pending[at : at + REFS_PER_PUSH]
        specs = [f"{oid}:{ref}" for oid, ref in chunk]
        mirror = f"remote.{remote}.mirror=false"
        settings = (*_NETWORK, mirror) if not is_address(remote) else _NETWORK
        done = git.run(
            "push",
            "--porcelain",
            "--quiet",
            "--end-of-options",
            remote,
            *specs,
            settings=settings,
            env=_environment(git),
        )
        found = _answers(done.stdout.decode("utf-8", "replace"))
        if done.returncode and not found:
            raise _failed("push to", remote, done.stderr)
        said = _remote_words(done.stderr)
        for _, ref in chunk:
            answer = found.get(ref) or (Answer(ref, taken=True, reason="") if not done.returncode else None)
            if answer is None:
                raise _failed("push to", remote, done.stderr)
            if not answer.taken and said:
                answer = Answer(ref, taken=False, reason=f"{answer.reason}; {said}")
            answers.append(answer)
    return answers


def _answers(text: str) -> dict[str, Answer]:
    """Reads `git push --porcelain`: a flag, `from:to`, and a summary with the reason, between tabs."""
    found = {}
    for line in text.splitlines():
        parts = line.split("\t")
        if len(parts) == 3 and len(parts[0]) == 1:
            ref = parts[1].rpartition(":")[2]
            reason = parts[2].partition("(")[2].rpartition(")")[0] or parts[2]
            found[ref] = Answer(ref, taken=parts[0] != "!", reason="" if parts[0] != "!" else reason)
    return found


def _remote_words(stderr: bytes) -> str:
    """Returns what the remote's own hooks said, in one line."""
    lines = [
        line.removeprefix("remote:").strip()
        for line in stderr.decode("utf-8", "replace").splitlines()
        if line.startswith("remote:")
    ]
    return " ".join(line for line in lines if line)[:300]


def _failed(what: str, remote: str, stderr: bytes) -> RemoteError:
    said = first_line(stderr)
    hint = "everything is kept here; try again when the remote can be reached"
    if "does not appear to be a git repository" in said or "not found" in said or "does not exist" in said:
        hint = "check the address with `git remote -v`"
    elif "uthentication" in said or "could not read Username" in said or "Permission denied" in said:
        hint = "check that plain `git fetch` works there"
    words = _remote_words(stderr)
    return RemoteError(f"cannot {what} '{remote}'", cause=f"{said}; {words}" if words else said, hint=hint)


def _environment(git: Git) -> dict[str, str]:
    """Returns what keeps git from asking where nobody can answer, and git-lfs from scanning every ref."""
    env = {"GIT_LFS_SKIP_PUSH": "1"}
    if not _has_terminal():
        env["GIT_TERMINAL_PROMPT"] = "0"
        if "GIT_SSH_COMMAND" not in git.environ and "GIT_SSH" not in git.environ:
            ssh = git.run("config", "core.sshCommand").stdout.decode("utf-8", "replace").strip() or "ssh"
            env["GIT_SSH_COMMAND"] = f"{ssh} -oBatchMode=yes"
    return env


def _has_terminal() -> bool:
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except ValueError:
        return False
