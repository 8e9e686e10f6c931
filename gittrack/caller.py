"""The `git push` that a hook runs for, as git and its command line say it.

git tells a pre-push hook which refs it sends, but neither that the push is a trial nor that it is to be quiet. The
process that started the hook is that git, and the system shows its words: in /proc on Linux, by ps(1) elsewhere. Where
nobody tells, it is a push like any other."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gittrack.refname import Oid, is_oid

_DEEPEST = 12  # processes between a hook and its git: shells, env, a hook manager, its own git
_WITH_VALUE = frozenset("-C -c --git-dir --work-tree --namespace --super-prefix --config-env --attr-source".split())
_PUSH_WITH_VALUE = frozenset("-o --push-option --repo --receive-pack --exec".split())
# The options that count here, each with its shortest beginning that no other option of git push has.
_SWITCHES = (("--dry-run", "--dr"), ("--quiet", "--q"), ("--mirror", "--m"), ("--prune", "--pru"))
_LETTERS = {"n": "dry-run", "q": "quiet"}


@dataclass(frozen=True, slots=True)
class PushedRef:
    """A ref that is being pushed, as git tells a pre-push hook: `local` None deletes it, `remote` None makes it."""

    local_ref: str
    local: Oid | None
    remote_ref: str
    remote: Oid | None


@dataclass(frozen=True, slots=True)
class Push:
    """What the words of a `git push` ask for; `words` are the remote and the refspecs."""

    trial: bool = False
    quiet: bool = False
    mirror: bool = False
    prune: bool = False
    words: tuple[str, ...] = ()


def read_refs(text: str) -> list[PushedRef]:
    """Reads what git hands to a pre-push hook (githooks(5)); a line that makes no sense is passed over."""
    found = []
    for line in text.splitlines():
        words = line.rsplit(" ", 3)
        if len(words) == 4 and is_oid(words[1]) and is_oid(words[3]):
            found.append(PushedRef(words[0], _present(words[1]), words[2], _present(words[3])))
    return found


def _present(oid: str) -> Oid | None:
    return Oid(oid) if oid.strip("0") else None


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
    asked = {option: False for option, _ in _SWITCHES}
    plain: list[str] = []
    while at < len(words):
        word = words[at]
        if word == "--":
            plain += words[at + 1 :]
            break
        at += 2 if word in _PUSH_WITH_VALUE else 1
        if word.startswith("--"):
            asked |= {option: on for option, least in _SWITCHES if (on := _switched(word, option, least)) is not None}
        elif word.startswith("-") and word != "-":
            letters = word[1:].partition("o")[0]  # what stands behind -o is its value
            asked |= {f"--{_LETTERS[letter]}": True for letter in letters if letter in _LETTERS}
        else:
            plain.append(word)
    trial, quiet, mirror, prune = asked.values()
    return Push(trial, quiet, mirror, prune, tuple(plain))


def _switched(word: str, option: str, least: str) -> bool | None:
    """Returns whether a word turns an option on or off, None if it is about another; git takes its beginning too."""
    for on, whole, shortest in ((True, option, least), (False, f"--no-{option[2:]}", f"--no-{least[2:]}")):
        if whole.startswith(word) and word.startswith(shortest):
            return on
    return None


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
