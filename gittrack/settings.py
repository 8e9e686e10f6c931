"""What the environment and the user's settings say.

The only module that reads environment variables; git config is read through git, so that includes, worktrees and
`git -c` mean what they mean everywhere. Flag, then GITTRACK_*, then git config, then the default."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gittrack.errors import UsageError
from gittrack.git import Git

# Every setting there is: name, default, meaning. docs/reference/configuration.md is checked against this table.
KEYS: dict[str, tuple[str, str]] = {
    "remote": ("", "the remote that runs are pushed to; by default the branch's push remote, then `origin`"),
    "refPrefix": (
        "refs/runs/",
        "what the refs of runs begin with on remotes; `refs/heads/runs/` where only branches go",
    ),
    "refsPerPush": ("200", "how many refs go with one push; a remote that takes fewer gets fewer"),
    "autoPush": ("false", "whether a run is pushed when it has ended, in the background: `true` or `false`"),
    "autoPushDelay": ("10", "seconds that it waits for other runs to end, so that they go together"),
    "maxRefs": ("1000", "how many runs have a ref of their own before `push` and `gc` archive the older half"),
    "dirty": ("snapshot", "what a dirty work tree means: `snapshot` it, `warn` and record the commit, or `refuse`"),
    "code": ("parent", "`parent`: the code is a parent of the run; `none`: only its id and a patch are kept"),
    "publishSnapshots": ("ask", "whether `push` may publish uncommitted files: `ask`, `true` or `false`"),
    "output": ("true", "whether what a script prints is kept as `output.log`"),
    "system": ("true", "whether CPU, memory, disk, network and GPUs are measured while a run goes on"),
    "envAllow": ("", "names of environment variables to record besides the built-in list; `*` at an end matches"),
    "ranks": (
        "all",
        "the processes of a distributed training: `all` write one run, or the `first` does, or `each` its own",
    ),
    "timeout": (
        "60",
        "seconds without a sign of life before a remote is given up, and at most 10 to connect; 0: never",
    ),
    "redact": ("true", "whether secrets are replaced by `***` before they are recorded: `true` or `false`"),
    "columns": ("", "the columns of `ls`, as `--columns` has them; by default those that tell runs apart"),
    "sort": ("-created", "what `ls` sorts by, as `--sort` has it"),
    "gate": (
        "off",
        "whether a push of code is held to `gittrack.yaml`: `off`, `warn`, or `block` what does not meet it",
    ),
    "pushPolicy": (
        "warn",
        "what it means that the runs of pushed code could not be pushed: `warn`, or `require` them and stop the code",
    ),
    "store": ("", "the store that payloads go to; by default the only one there is, or the remote's LFS server"),
    "inlineLimit": ("64K", "the largest artifact that is kept in git itself; larger ones go to a store"),
    "autoGet": ("", "artifacts that `pull` brings along: patterns of their paths, with commas"),
    "snapshotLimit": ("10M", "the largest untracked file that goes into a snapshot"),
    "snapshotInclude": ("", "ignored files that go into a snapshot all the same: patterns as git's pathspecs"),
}

_ON, _OFF = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_SIZE = re.compile(r"([0-9]+)([kmg]?)", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@dataclass(frozen=True, slots=True)
class Settings:
    """git config and environment, as they were when asked."""

    values: Mapping[str, str]
    environ: Mapping[str, str]

    def get(self, key: str) -> str:
        """Returns a `track.*` setting, or its default."""
        variable = "GITTRACK_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).upper()
        return self.environ.get(variable) or self.values.get("track." + key.lower()) or KEYS[key][0]

    def choice(self, key: str, *allowed: str) -> str:
        """Returns a setting that must be one of `allowed`; raises UsageError."""
        value = self.get(key).lower()
        if value not in allowed:
            raise UsageError(f"track.{key} is '{value}'", hint=f"set it to one of: {', '.join(allowed)}")
        return value

    def switch(self, key: str) -> bool:
        """Returns a setting that is on or off, in git's words for it; raises UsageError."""
        value = self.get(key).lower()
        if value not in (*_ON, *_OFF):
            raise UsageError(f"track.{key} is '{value}'", hint="set it to 'true' or 'false'")
        return value in _ON

    def size(self, key: str) -> int:
        """Returns a setting such as `10M` in bytes; raises UsageError."""
        return self.size_of(f"track.{key}", self.get(key))

    def size_of(self, name: str, text: str) -> int:
        """Returns a text such as `10M` in bytes; raises UsageError, which calls it `name`."""
        found = _SIZE.fullmatch(text)
        if not found:
            raise UsageError(f"{name} is '{text}', which is no size", hint="write it as in '10M'")
        return int(found[1]) * _UNITS[found[2].lower()]

    def count(self, key: str) -> int:
        """Returns a setting that is a whole number, 1 or more; raises UsageError."""
        text = self.get(key)
        if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
            raise UsageError(
                f"track.{key} is '{text}', which is no number above 0", hint=f"write it as in '{KEYS[key][0]}'"
            )
        return int(text)

    def seconds(self, key: str) -> float:
        """Returns a setting that is a number of seconds, 0 or more; raises UsageError."""
        text = self.get(key)
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
            raise UsageError(f"track.{key} is '{text}', which is no number of seconds", hint="write it as in '60'")
        return float(text)

    def git(self, key: str) -> str | None:
        """Returns any git setting; the last one wins, as in git."""
        return self.values.get(key.lower() if key.count(".") < 2 else _fold(key))

    def flag(self, key: str) -> bool:
        """Returns a boolean git setting; unset and unreadable are false."""
        return (self.git(key) or "").lower() in _ON


def _fold(key: str) -> str:
    """Lower-cases section and name; the sub-section between them keeps its case."""
    section, _, rest = key.partition(".")
    sub, _, name = rest.rpartition(".")
    return f"{section.lower()}.{sub}.{name.lower()}"


def environment() -> dict[str, str]:
    """Returns a copy of the process's environment."""
    return dict(os.environ)


def read_settings(git: Git) -> Settings:
    """Returns the settings that hold in a repository."""
    return Settings(dict(git.config()), environment())


def signature(git: Git) -> tuple[object, ...]:
    """Returns what changes when settings do: the usual files' times, and git's own variables."""
    environ = environment()
    home = Path(environ.get("HOME", "/"))
    extra = environ.get("GIT_CONFIG_GLOBAL")
    files = [git.place.common_dir / "config", git.place.git_dir / "config.worktree", home / ".gitconfig"]
    files += [
        Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "git" / "config",
        *([Path(extra)] if extra else []),
    ]
    return (*(_stamp(file) for file in files), *sorted(item for item in environ.items() if item[0].startswith("GIT")))


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def identity(settings: Settings) -> str:
    """Returns `Name <address>` of the user, as git would sign their commits; never fails, for training goes on."""
    env = settings.environ
    name = env.get("GIT_AUTHOR_NAME") or settings.git("author.name") or settings.git("user.name") or user_name()
    address = (
        env.get("GIT_AUTHOR_EMAIL") or settings.git("author.email") or settings.git("user.email") or env.get("EMAIL")
    )
    address = address or f"{user_name()}@{host_name()}"
    clean = (re.sub(r"[\x00-\x1f\x7f<>]", "", part).strip(" .,:;\"\\'") for part in (name, address))
    return "{} <{}>".format(*clean)


def user_name() -> str:
    """Returns the login name, or `unknown` where the system has none for this user."""
    import getpass  # noqa: PLC0415 - only when a run begins

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def host_name() -> str:
    """Returns the machine's name."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    import socket  # noqa: PLC0415 - 3 ms, and only where there is no uname

    return socket.gethostname()
