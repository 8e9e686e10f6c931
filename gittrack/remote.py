"""Remotes, through the user's git executable: their credentials, their SSH, their proxies.

Only explicit refs are pushed, never by force; what counts is what the remote answered for each of them. A password is
asked for on a terminal only, and nobody waits longer than `track.timeout` for a remote that is silent."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence

from gittrack import answers, locks, redact, transfer
from gittrack.answers import Answer
from gittrack.errors import NotFound, RemoteError
from gittrack.git import Git
from gittrack.refname import RUNS, Oid, mirror_prefix
from gittrack.settings import Settings, read_settings
from gittrack.transfer import Progress

REFS_PER_PUSH = 200
_SETTINGS = (
    "push.followTags=false",
    "push.recurseSubmodules=no",
    "fetch.recurseSubmodules=no",
    "fetch.writeCommitGraph=false",
    "core.fsync=all",
)
_IN_THE_WAY = re.compile(
    rb"cannot lock ref '[^']*': '[^']*' exists|cannot process '[^']*' and '[^']*' at the same time"
)


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


def label(remote: str) -> str:
    """Returns a remote as it may be printed: an address without its password."""
    return redact.address(remote) if is_address(remote) else remote


def fetch_runs(git: Git, remote: str, *, progress: Progress | None = None) -> None:
    """Brings every run of the remote into our mirror of it, and takes out what is gone there; raises RemoteError.

    The mirror follows the remote; what is only here is never touched, whatever `fetch.prune` says."""
    fetch(git, remote, [f"+{RUNS}*:{mirror_prefix(remote)}*"], prune=True, progress=progress)


def fetch(
    git: Git, remote: str, refspecs: Sequence[str], *, prune: bool = False, progress: Progress | None = None
) -> None:
    """Fetches exactly these refspecs; raises RemoteError.

    prune: refs here that a refspec with a star would have made, and that are gone there, go too. All of it happens or
    nothing: after a cut, a run would be gone here and the archive that it went into not yet come."""
    if not git.has_executable:
        _fetch_without_git(git, remote, refspecs, prune=prune)
        return
    args = (
        "--no-tags",
        *(("--prune", "--no-prune-tags", "--atomic") if prune else ("--no-prune",)),
        "--no-write-fetch-head",
        "--no-auto-maintenance",
        "--refmap=",
        "--no-recurse-submodules",
        "--progress" if transfer.needs_progress(progress) else "--quiet",
    )
    command = ("fetch", *args, "--end-of-options", remote, *refspecs)
    done = _run(git, *command, settings=_SETTINGS, progress=progress)
    if b".lock'" in done.stderr and locks.remove_abandoned(git.place.common_dir, [mirror_prefix(remote)]):
        done = _run(git, *command, settings=_SETTINGS, progress=progress)
    if prune and _IN_THE_WAY.search(done.stderr):  # a ref that goes has the name of a folder that comes
        command = tuple(word for word in command if word != "--atomic")
        done = _run(git, *command, settings=_SETTINGS, progress=progress)
    if done.returncode:
        raise _failed("fetch from", remote, done)


def push(git: Git, remote: str, refs: Iterable[tuple[Oid, str]], *, progress: Progress | None = None) -> list[Answer]:
    """Pushes commits to refs, never by force, and returns the remote's answer for each; raises RemoteError.

    RemoteError means that nothing is known of any of them, so whoever has many pushes REFS_PER_PUSH at a time."""
    pending = list(refs)
    if not git.has_executable:
        return _push_without_git(git, remote, pending)
    settings = _SETTINGS if is_address(remote) else (*_SETTINGS, f"remote.{remote}.mirror=false")
    args = ["--porcelain"] + ["--progress"] * transfer.needs_progress(progress)
    specs = [f"{oid}:{ref}" for oid, ref in pending]
    done = _run(git, "push", *args, "--end-of-options", remote, *specs, settings=settings, progress=progress)
    answered = answers.read(done.stdout)
    if not all(ref in answered for _, ref in pending):
        raise _failed("push to", remote, done)
    said = answers.remote_words(done.stderr)
    found = [answered[ref] for _, ref in pending]
    return [a if a.taken or not said else Answer(a.ref, taken=False, reason=f"{a.reason}; {said}") for a in found]


def _fetch_without_git(git: Git, remote: str, refspecs: Sequence[str], *, prune: bool) -> None:
    from gittrack.libgit import sharing  # noqa: PLC0415 - dulwich, and only where there is no git

    silence = read_settings(git).seconds("timeout")
    sharing.fetch(git, remote, refspecs, prune=prune, terminal=_has_terminal(), silence=silence)


def _push_without_git(git: Git, remote: str, refs: Iterable[tuple[Oid, str]]) -> list[Answer]:
    from gittrack.libgit import sharing  # noqa: PLC0415 - as above

    silence = read_settings(git).seconds("timeout")
    reasons = sharing.push(git, remote, refs, terminal=_has_terminal(), silence=silence)
    return [Answer(ref, taken=not reason, reason=reason) for ref, reason in reasons.items()]


def _run(git: Git, *args: str, settings: Sequence[str], progress: Progress | None) -> transfer.Done:
    known = read_settings(git)
    terminal = _has_terminal()
    return transfer.run(
        git,
        git.command(*args, settings=settings),
        env=_environment(git.environ, known, terminal=terminal),
        silence=known.seconds("timeout"),
        terminal=terminal,
        progress=progress,
    )


def _failed(what: str, remote: str, done: transfer.Done) -> RemoteError:
    cause, hint = answers.cause_and_hint(done.stderr)
    if done.given_up:
        cause, hint = done.given_up, "everything is kept here; try again later, or set track.timeout for a slow remote"
    return RemoteError(f"cannot {what} '{label(remote)}'", cause=cause, hint=hint)


def _environment(environ: Mapping[str, str], known: Settings, *, terminal: bool) -> dict[str, str]:
    """Returns what keeps git from asking where nobody can answer, and git-lfs from scanning every ref."""
    env = {"GIT_LFS_SKIP_PUSH": "1"}
    if terminal:
        return env
    env |= {"GIT_TERMINAL_PROMPT": "0", "GCM_INTERACTIVE": environ.get("GCM_INTERACTIVE", "never")}
    if "GIT_SSH_COMMAND" not in environ and "GIT_SSH" not in environ:
        ssh = known.git("core.sshcommand") or "ssh"
        variant = environ.get("GIT_SSH_VARIANT") or known.git("ssh.variant") or _program(ssh)
        if variant == "ssh" and environ.get("SSH_ASKPASS_REQUIRE") not in ("force", "prefer"):
            env["GIT_SSH_COMMAND"] = f"{ssh} -oBatchMode=yes"
    return env


def _program(command: str) -> str:
    """Returns the name of the program in a command line, as git guesses from it which ssh it is."""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    return os.path.basename(words[0]).removesuffix(".exe").lower() if words else ""


def _has_terminal() -> bool:
    """Tells whether a person can be asked: there is a terminal, and it is ours to read from."""
    try:
        return sys.stdin is not None and sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (ValueError, OSError):
        return False
