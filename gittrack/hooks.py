"""git's hooks on the user's side: what stands in them of ours, and how it gets in beside what others put there.

A hook is one file for everybody: git-lfs, pre-commit and the user's own checks want the same one. So ours is a marked
block that runs the rest of the file first, hands it the same input, and keeps its word; git 2.54 and newer take hooks
from the settings, and then no file is touched. What cannot be edited safely is left alone, and the line to add by hand
is said. The files in `hooks/` at the top of the source are these blocks, for who wants to read or copy them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gittrack.errors import DataRefused
from gittrack.git import Git
from gittrack.shared import share

Action = Literal["present", "settings", "create", "insert", "replace", "by hand"]

EVENTS = ("pre-push", "post-rewrite")
STOP = 100  # the exit code that stops a push; with any other a broken gittrack would stop it too
GUARD = "GITTRACK_HOOK"  # set in what runs inside of a hook, so that it does not start the hook again
SETTINGS_SINCE = (2, 54)  # the first git that takes hooks from its settings (git's release notes of 2.54)

_BLOCK = """\
# >>> gittrack >>>
# Written by `git track init`; `git track init --remove` takes it out again.
# The rest of this file runs first, with the same arguments and input, and what it says counts.
if test "${{GITTRACK_HOOK-}}" = others; then
    unset GITTRACK_HOOK
elif test -z "${{GITTRACK_HOOK-}}" && command -v git-track >/dev/null 2>&1; then
    gittrack_input=$(cat)
    gittrack_say() {{ test -z "$gittrack_input" || printf '%s\\n' "$gittrack_input"; }}
    gittrack_say 2>/dev/null | GITTRACK_HOOK=others "$0" "$@" || exit
    gittrack_say 2>/dev/null | git-track hook {event} "$@" || test $? -ne {stop}
    exit
fi
# <<< gittrack <<<
"""
_OURS = re.compile(r"^# >>> gittrack >>>\n.*?^# <<< gittrack <<<\n?", re.DOTALL | re.MULTILINE)
_SHELL = re.compile(r"#! ?(?:\S*/env (?:-S ?)?)?(?:\S*/)?(?:ba|da|a|k|mk|z)?sh(?: -[a-z]+)*\s*$")
_NEW = "#!/bin/sh\n"


@dataclass(frozen=True, slots=True)
class Hook:
    """One event: what is to be done for it, and where; `why` it has to be done by hand, or at all."""

    event: str
    action: Action
    path: Path | None = None
    why: str = ""


def block(event: str) -> str:
    """Returns the marked block of an event."""
    return _BLOCK.format(event=event, stop=STOP)


def whole(event: str) -> str:
    """Returns the hook file of an event where nobody else has one."""
    return _NEW + block(event)


def line(event: str) -> str:
    """Returns what does the same as a block in a file that others manage: one line of sh, at its end."""
    return f'git-track hook {event} "$@" || test $? -ne {STOP}'


def settings(event: str) -> list[tuple[str, str]]:
    """Returns the settings that make a hook of git 2.54 or newer, which calls it with its arguments behind."""
    body = f"command -v git-track >/dev/null 2>&1 || return 0; {line(event)}"
    name = f"hook.gittrack-{event}"
    return [(f"{name}.command", f"gittrack_hook() {{ {body}; }}; gittrack_hook"), (f"{name}.event", event)]


def with_block(text: str, event: str) -> str:
    """Returns a hook file with our block as it is today, behind its first line if that names the shell."""
    if _OURS.search(text):
        return _OURS.sub(lambda _: block(event), text, count=1)
    first, newline, rest = text.partition("\n")
    if not first.startswith("#!"):
        return block(event) + text
    return f"{first}\n{block(event)}{rest if newline else ''}"


def without_block(text: str) -> str:
    """Returns a hook file without our block; everything else of it stays byte for byte."""
    return _OURS.sub("", text)


def folder(git: Git) -> tuple[Path, bool]:
    """Returns the folder that git runs hooks from, and whether it is somebody else's (`core.hooksPath`)."""
    own = git.place.common_dir / "hooks"
    said = [value for key, value in git.config() if key == "core.hookspath"]
    said = said[:-1] if git.has_executable else said  # the last one is that of our own calls, which run no hooks
    if not said or not said[-1]:
        return own, False
    path = (git.place.work_tree or git.place.git_dir) / os.path.expanduser(said[-1])
    return path, path.resolve() != own.resolve()


def version(git: Git) -> tuple[int, int]:
    """Returns the version of git, (0, 0) if there is none."""
    found = re.match(r"(\d+)\.(\d+)", git.version or "")
    return (int(found[1]), int(found[2])) if found else (0, 0)


def survey(git: Git) -> list[Hook]:
    """Returns for each event what is there, or what would have to be done."""
    where, foreign = folder(git)
    configured = configured_events(git.config())
    takes_settings = version(git) >= SETTINGS_SINCE
    return [
        _survey(event, where, foreign=foreign, configured=event in configured, takes_settings=takes_settings)
        for event in EVENTS
    ]


def configured_events(pairs: Sequence[tuple[str, str]]) -> set[str]:
    """Returns the events that git's settings have a hook of ours for."""
    have = {(key, value) for key, value in pairs if key.startswith("hook.gittrack-")}
    return {event for event in EVENTS if all(pair in have for pair in settings(event))}


def _survey(event: str, where: Path, *, foreign: bool, configured: bool, takes_settings: bool) -> Hook:
    path = where / event
    text = _read(path)
    has_block = text is not None and _OURS.search(text) is not None
    if configured and takes_settings:
        return Hook(event, "present")
    if has_block or _called(text) or _called(_read(where.parent / event) if where.name == "_" else None):
        current = not has_block or (text is not None and block(event) in text)
        return Hook(event, "present" if current else "replace", path)
    legacy = _read(path.with_name(f"{event}.legacy"))  # what pre-commit found there, and calls first
    if legacy is not None and _OURS.search(legacy) and text is not None:
        return Hook(event, "present", path.with_name(f"{event}.legacy"))
    if takes_settings:
        return Hook(event, "settings")
    if foreign:
        return Hook(event, "by hand", path, f"core.hooksPath is '{where}'")
    useless = "git takes hooks from its settings since 2.54" if configured else ""
    if not os.path.lexists(path):
        return Hook(event, "create", path, useless)
    why = _untouchable(path, text)
    return Hook(event, "by hand" if why else "insert", path, why or useless)


def _called(text: str | None) -> bool:
    """Tells whether somebody put our line into a file by hand."""
    return text is not None and re.search(r"^[^#\n]*\bgit[- ]track hook ", text, re.MULTILINE) is not None


def _untouchable(path: Path, text: str | None) -> str:
    """Returns why a hook file is not edited, or nothing."""
    if path.is_symlink():
        return f"'{path}' is a symbolic link"
    if not path.is_file():
        return f"'{path}' is no file"
    if not os.access(path, os.X_OK):
        return f"'{path}' is not executable, so git ignores it"
    if text is None:
        return f"'{path}' is no shell script"
    first = text.partition("\n")[0]
    if first.startswith("#!") and not _SHELL.match(first):
        return f"'{path}' is no shell script"
    if "lefthook" in text:
        return f"'{path}' belongs to lefthook, which writes it again"
    return ""


def _read(path: Path) -> str | None:
    """Returns a file as text that is written back as the same bytes; None if it is none."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return None if b"\0" in data else data.decode("utf-8", "surrogateescape")


def write(hook: Hook) -> None:
    """Puts our block into a hook file, or makes the file; raises OSError, or DataRefused if it changed meanwhile."""
    path = hook.path
    if path is None:
        return
    if hook.action == "create":
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o777)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(whole(hook.event))
        share(path)
        return
    text = _read(path)
    if text is None:
        raise DataRefused(f"'{path}' is not what it was a moment ago", hint="try again")
    replace(path, with_block(text, hook.event))


def blocks(git: Git) -> list[Path]:
    """Returns the hook files that have our block; also what pre-commit set aside and calls itself."""
    folders = {git.place.common_dir / "hooks", folder(git)[0]}
    paths = [each / name for each in folders for event in EVENTS for name in (event, f"{event}.legacy")]
    return sorted(path for path in paths if not path.is_symlink() and _OURS.search(_read(path) or ""))


def remove(git: Git, created: Collection[str]) -> list[Path]:
    """Takes our blocks out of the hook files; returns the files that changed.

    created: the names of files that were made for us alone, which go if nothing else stands in them."""
    changed = blocks(git)
    for path in changed:
        rest = without_block(_read(path) or "")
        if rest == _NEW and path.name.removesuffix(".legacy") in created:
            path.unlink()
        else:
            replace(path, rest)
    return changed


def replace(path: Path, text: str) -> None:
    """Writes a hook file anew beside and renames it: a hook that runs meanwhile reads the old one to its end."""
    mode = path.stat().st_mode & 0o7777
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_bytes(text.encode("utf-8", "surrogateescape"))
        new.chmod(mode)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
