"""The `git push` that a hook runs for, as its command line says it.

git tells a pre-push hook neither that the push is a trial nor that it is to be quiet. The process that started the hook
is that git, and the system shows its words: in /proc on Linux, by ps(1) elsewhere. Where nobody tells, it is a push
like any other."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_DEEPEST = 12  # processes between a hook and its git: shells, env, a hook manager, its own git
_WITH_VALUE = frozenset("-C -c --git-dir --work-tree --namespace --super-prefix --config-env --attr-source".split())
_PUSH_WITH_VALUE = frozenset("-o --push-option --repo --receive-pack --exec".split())


@dataclass(frozen=True, slots=True)
class Push:
    """What the words of a `git push` ask for."""

    trial: bool = False
    quiet: bool = False


def push() -> Push:
    """Returns what the git push asks for that this process runs below; the default if none is found."""
    ask = _from_proc if os.path.isdir("/proc/self") else _from_ps
    return nearest(os.getppid(), ask)


def nearest(pid: int, ask: Callable[[int], tuple[int, Sequence[str]] | None]) -> Push:
    """Returns what the nearest git push at or above a process asks for; `ask` tells a process's parent and words."""
    for _ in range(_DEEPEST):
        found = ask(pid) if pid > 1 else None
        if found is None:
            break
        pid, words = found
        said = read(words)
        if said is not None:
            return said
    return Push()


def read(words: Sequence[str]) -> Push | None:
    """Returns what a command line asks for if it is a git push (git-push(1), OPTIONS), else None."""
    program = os.path.basename(words[0]) if words else ""
    at = 1
    if program == "git":
        while at < len(words) and words[at].startswith("-"):
            at += 2 if words[at] in _WITH_VALUE else 1
        if at >= len(words) or words[at] != "push":
            return None
        at += 1
    elif program != "git-push":
        return None
    trial = quiet = False
    while at < len(words) and words[at] != "--":
        word = words[at]
        at += 2 if word in _PUSH_WITH_VALUE else 1
        if word.startswith("--"):
            # git takes the beginning of an option for it where no other begins like that.
            trial = _switched(word, "--dry-run", shortest="--dr", before=trial)
            quiet = _switched(word, "--quiet", shortest="--q", before=quiet)
        elif word.startswith("-"):
            letters = word[1:].partition("o")[0]  # what stands behind -o is its value
            trial, quiet = trial or "n" in letters, quiet or "q" in letters
    return Push(trial, quiet)


def _switched(word: str, option: str, *, shortest: str, before: bool) -> bool:
    if option.startswith(word) and word.startswith(shortest):
        return True
    off, least = option.replace("--", "--no-", 1), shortest.replace("--", "--no-", 1)
    return False if off.startswith(word) and word.startswith(least) else before


def _from_proc(pid: int) -> tuple[int, list[str]] | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            parent = int(file.read().rpartition(b")")[2].split()[1])
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return parent, [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
    except (OSError, ValueError, IndexError):
        return None


def _from_ps(pid: int) -> tuple[int, list[str]] | None:
    command = ["ps", "-ww", "-o", "ppid=", "-o", "args=", "-p", str(pid)]
    try:
        said = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=2, check=False).stdout
        parent, *words = said.split()
        return int(parent), words
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
