"""Remotes, through the user's git executable: their credentials, their SSH, their proxies.

A password is asked for on a terminal only, and nobody waits longer than `track.timeout` for a remote that is silent.
Runs may be called otherwise there (`track.refPrefix`); no other module knows."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence

from gittrack import answers, boundary, locks, redact, shallows, transfer
from gittrack.errors import GittrackError, NotFound, RemoteError, UsageError
from gittrack.git import Git
from gittrack.refname import RUNS, Oid, mirror_prefix, prefix_fault
from gittrack.settings import Settings, read_settings
from gittrack.transfer import Progress

_SETTINGS = (
    "push.followTags=false",
    "push.recurseSubmodules=no",
    "fetch.recurseSubmodules=no",
    "fetch.writeCommitGraph=false",
    "core.fsync=all",
)
_keepers: dict[str, Git] = {}  # the socket of who keeps a password, and the git that can end them
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


def address(settings: Settings, remote: str) -> str:
    """Returns the address of a remote, with `url.<base>.insteadOf` applied (git-config(1)); of an address, itself."""
    url = settings.git(f"remote.{remote}.url") or remote
    bases = {
        begin: key[len("url.") : -len(".insteadof")]
        for key, begin in settings.values.items()
        if key.startswith("url.") and key.endswith(".insteadof") and begin and url.startswith(begin)
    }
    longest = max(bases, key=len, default=None)
    return url if longest is None else bases[longest] + url[len(longest) :]


def label(remote: str) -> str:
    """Returns a remote as it may be printed: an address without its password."""
    return redact.address(remote) if is_address(remote) else remote


def prefix(settings: Settings, remote: str) -> str:
    """Returns what the refs of runs begin with on a remote; here they are always `refs/runs/`.

    Raises UsageError if the setting is no place for them."""
    own = f"remote.{remote}.trackRefPrefix"
    said = settings.git(own)
    found = said or settings.get("refPrefix")
    if fault := prefix_fault(found):
        key = own if said else "track.refPrefix"
        raise UsageError(f"{key} is '{found}', {fault}", hint="set it to 'refs/runs/', or to 'refs/heads/runs/'")
    return found


def fetch_runs(git: Git, remote: str, *, without: Sequence[str] = (), progress: Progress | None = None) -> None:
    """Brings every run of the remote into our mirror of it, and takes out what is gone there; raises RemoteError.

    The mirror follows the remote; what is only here is never touched, whatever `fetch.prune` says. `without` are refs
    that are not wanted. Where there is no git, what is gone there stays."""
    specs = [f"+{RUNS}*:{mirror_prefix(remote)}*", *(f"^{ref}" for ref in without if git.has_executable)]
    fetch(git, remote, specs, prune=git.has_executable, progress=progress)


def fetch(
    git: Git, remote: str, refspecs: Sequence[str], *, prune: bool = False, progress: Progress | None = None
) -> None:
    """Fetches exactly these refspecs, whose left sides are called as runs are here; raises RemoteError.

    prune: what the remote has no more is removed from the right sides."""
    if git.has_executable and boundary.is_cut(git.place.common_dir):
        _fetch_into_shallow(git, remote, refspecs, prune=prune, progress=progress)
        return
    known = read_settings(git)
    there = prefix(known, remote)
    done = bring(git, remote, [_there(spec, there) for spec in refspecs], known=known, prune=prune, progress=progress)
    if done and done.returncode:
        raise failed("fetch from", remote, done)


def _fetch_into_shallow(
    git: Git, remote: str, refspecs: Sequence[str], *, prune: bool, progress: Progress | None
) -> None:
    """Fetches refspecs into a shallow clone; the history below runs stays where it is."""
    there = listed(git, remote, progress=progress)
    wanted: dict[str, Oid] = {}
    whole = []
    excluded = {spec[1:] for spec in refspecs if spec.startswith("^")}
    for spec in refspecs:
        source, _, target = spec.removeprefix("+").partition(":")
        if spec.startswith("^"):
            continue
        if source.endswith("*"):
            whole.append(target.removesuffix("*"))
        elif source not in there:
            raise RemoteError(f"cannot fetch from '{label(remote)}'", cause=f"it has no {source} any more")
        for ref, oid in there.items():
            if ref not in excluded and (ref == source or (source.endswith("*") and ref.startswith(source[:-1]))):
                wanted[target.removesuffix("*") + (ref.removeprefix(source[:-1]) if source.endswith("*") else "")] = oid
    gone = [ref.name for ref in git.refs(*whole) if ref.name not in wanted] if prune and whole else []
    shallows.fetch(git, wanted, shallow_bring(git, remote, progress=progress), gone=gone)


def shallow_bring(git: Git, remote: str, *, progress: Progress | None = None) -> shallows.Bring:
    """Returns what fetches commits, and nothing below them, from a remote into a view; it raises RemoteError."""
    known = read_settings(git)

    def bring_into(view: Git, oids: Sequence[Oid]) -> None:
        args = ("--depth=1", "--no-filter", "--no-tags", "--no-prune", "--no-write-fetch-head", "--refmap=")
        more = ("--no-auto-maintenance", "--no-recurse-submodules")
        told = "--progress" if transfer.needs_progress(progress) else "--quiet"
        command = ("fetch", *args, *more, told, "--end-of-options", remote, *oids)
        done = run(view, *command, known=known, settings=("fetch.unpackLimit=1",), progress=progress)
        if done.returncode:
            raise failed("fetch from", remote, done)

    return bring_into


def bring_objects(
    git: Git, remote: str, oids: Sequence[Oid], *, known: Settings, progress: Progress | None = None
) -> None:
    """Fetches objects that a partial clone left out, with all below them; raises RemoteError."""
    args = ("--no-filter", "--no-tags", "--no-prune", "--no-write-fetch-head", "--refmap=", "--no-auto-maintenance")
    told = "--progress" if transfer.needs_progress(progress) else "--quiet"
    # Nothing is to be negotiated: what is wanted is known by name.
    settings = ("fetch.negotiationAlgorithm=noop", "fetch.unpackLimit=1")
    command = ("fetch", *args, "--no-recurse-submodules", told, "--end-of-options", remote, *oids)
    done = run(git, *command, known=known, settings=settings, progress=progress)
    if done.returncode:
        raise failed("fetch from", remote, done)


def bring(
    git: Git,
    remote: str,
    refspecs: Sequence[str],
    *,
    known: Settings,
    prune: bool = False,
    progress: Progress | None = None,
) -> transfer.Done | None:
    """Fetches refspecs as they stand, from a remote or a bundle; returns how git ended, None if there is no git."""
    if not git.has_executable:
        _fetch_without_git(git, remote, refspecs, known)
        return None
    args = (
        "--no-tags",
        # All or nothing: after a cut a run would be gone, and the archive that it went into not yet here.
        *(("--prune", "--no-prune-tags", "--atomic") if prune else ("--no-prune",)),
        "--no-write-fetch-head",
        "--no-auto-maintenance",
        "--refmap=",
        "--no-recurse-submodules",
        "--progress" if transfer.needs_progress(progress) else "--quiet",
    )
    command = ("fetch", *args, "--end-of-options", remote, *refspecs)
    done = run(git, *command, known=known, progress=progress)
    if b".lock'" in done.stderr and locks.remove_abandoned(git.place.common_dir, [mirror_prefix(remote)]):
        done = run(git, *command, known=known, progress=progress)
    if prune and _IN_THE_WAY.search(done.stderr):  # one that goes has the name of a folder that comes
        done = run(git, *(word for word in command if word != "--atomic"), known=known, progress=progress)
    return done


def listed(git: Git, remote: str, *, progress: Progress | None = None) -> dict[str, Oid]:
    """Returns the refs of runs and archives that a remote has now, by their names here; raises RemoteError.

    git asks for all refs here, so this is for the few who need to know what is there without fetching it."""
    if not git.has_executable:
        raise RemoteError(f"cannot list what '{label(remote)}' has without git", hint="install git 2.36 or newer")
    known = read_settings(git)
    there = prefix(known, remote)
    done = run(git, "ls-remote", "--refs", "--end-of-options", remote, there + "*", known=known, progress=progress)
    if done.returncode:
        raise failed("list the runs of", remote, done)
    pairs = (line.partition("\t")[::2] for line in done.stdout.decode("utf-8", "replace").splitlines())
    return {RUNS + ref.removeprefix(there): Oid(oid) for oid, ref in pairs if ref.startswith(there)}


def _there(spec: str, prefix: str) -> str:
    """Returns a refspec with its left side as the remote calls it."""
    mark = spec[0] if spec[0] in "+^" else ""
    source = spec.removeprefix(mark)
    return mark + prefix + source.removeprefix(RUNS) if source.startswith(RUNS) else spec


def _fetch_without_git(git: Git, remote: str, refspecs: Sequence[str], known: Settings) -> None:
    from gittrack.libgit import sharing  # noqa: PLC0415 - dulwich, and only where there is no git

    sharing.fetch(git, remote, refspecs, terminal=has_terminal(), silence=known.seconds("timeout"))


def run(
    git: Git,
    *args: str,
    known: Settings,
    settings: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> transfer.Done:
    """Runs a git command that talks to a remote: watched, asking only where somebody can answer."""
    terminal = has_terminal()
    once = _asked_once(git, known) if terminal else ()
    return transfer.run(
        git,
        git.command(*args, settings=(*_SETTINGS, *once, *settings)),
        env={**_environment(git.environ, known, terminal=terminal), **(env or {})},
        silence=known.seconds("timeout"),
        terminal=terminal,
        progress=progress,
    )


def _asked_once(git: Git, known: Settings) -> tuple[str, ...]:
    """Returns the setting with which git asks for a password once, although a push talks to the remote twice.

    git's own `credential-cache` keeps it until `forget` is called, and only where the user has no helper."""
    if any(key.startswith("credential.") and key.endswith("helper") for key in known.values):
        return ()
    if not _keepers:
        import tempfile  # noqa: PLC0415 - only where a person is asked

        _keepers[os.path.join(tempfile.mkdtemp(prefix="gittrack-"), "socket")] = git
    return tuple(f"credential.helper=cache --timeout=600 --socket={shlex.quote(path)}" for path in _keepers)


def asking(git: Git, known: Settings) -> tuple[dict[str, str], tuple[str, ...]]:
    """Returns the environment and the settings of a git that may have to ask a person for a password.

    What is asked once on a terminal is known to every later git of this command."""
    terminal = has_terminal()
    return _environment(git.environ, known, terminal=terminal), _asked_once(git, known) if terminal else ()


def forget() -> None:
    """Ends the process that keeps the password that this one had asked for, if it had."""
    while _keepers:
        import shutil  # noqa: PLC0415 - only where a person was asked

        path, git = _keepers.popitem()
        with contextlib.suppress(OSError, GittrackError):
            if os.path.exists(path):
                git.run("credential-cache", f"--socket={path}", "exit")
        shutil.rmtree(os.path.dirname(path), ignore_errors=True)


def failed(what: str, remote: str, done: transfer.Done) -> RemoteError:
    """Returns the error for a transfer that failed."""
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
        variant = environ.get("GIT_SSH_VARIANT") or known.git("ssh.variant") or program(ssh)
        if variant == "ssh" and environ.get("SSH_ASKPASS_REQUIRE") not in ("force", "prefer"):
            env["GIT_SSH_COMMAND"] = f"{ssh} -oBatchMode=yes"
    return env


def program(command: str) -> str:
    """Returns the name of the program in a command line, as git guesses from it which ssh it is."""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    return os.path.basename(words[0]).removesuffix(".exe").lower() if words else ""


def has_terminal() -> bool:
    """Tells whether a person can be asked: there is a terminal, and it is ours to read from."""
    try:
        return sys.stdin is not None and sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (ValueError, OSError):
        return False
