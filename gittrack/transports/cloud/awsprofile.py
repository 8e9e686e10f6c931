"""Keys of AWS, from where its own tools keep them: the environment, and the profiles in `~/.aws`.

obstore reads the environment and asks the machine, but no profile. The format is the one of AWS's reference guide for
SDKs, "Shared config and credentials files": `credentials` goes before `config`, in which all profiles but the default
one are called `profile NAME`. Roles and single sign-on stay with AWS's command line, which a `credential_process`
asks."""

from __future__ import annotations

import configparser
import json
import shlex
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from gittrack.errors import UsageError
from gittrack.transports.protocol import TransportError

_PATIENCE = 60.0  # seconds for a program that gives keys: it may ask for a second factor
_EARLY = timedelta(minutes=5)  # before they expire, new ones are asked for
_OTHERS = ("sso_session", "sso_start_url", "role_arn", "source_profile", "credential_source", "login_session")


class Keys(NamedTuple):
    """What requests are signed with; expires: None for what stays valid."""

    access: str
    secret: str
    token: str | None = None
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile says. lacks: the key in it that says that its credentials come in a way not known here."""

    name: str
    keys: Callable[[], Keys] | None = None
    region: str | None = None
    endpoint: str | None = None
    lacks: str | None = None


def of_environment(environ: Mapping[str, str]) -> Callable[[], Keys] | None:
    """Returns the keys that environment variables hold, or None."""
    access, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not access or not secret:
        return None
    keys = Keys(access, secret, environ.get("AWS_SESSION_TOKEN") or None)
    return lambda: keys


def read(environ: Mapping[str, str]) -> Profile:
    """Returns the profile that AWS_PROFILE names, else the default one, which may be empty.

    Raises UsageError if the named one does not exist, or a file makes no sense."""
    named = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE")
    name = named or "default"
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or "~").expanduser() / ".aws"
    files = (
        (Path(environ.get("AWS_CONFIG_FILE") or home / "config").expanduser(), _section(name)),
        (Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials").expanduser(), name),
    )
    values: dict[str, str] = {}
    is_there = False
    for path, section in files:
        found = _parse(path)
        if found.has_section(section):
            is_there = True
            values |= found.items(section)
    if named and not is_there:
        raise UsageError(f"there is no profile '{name}' of AWS", hint=f"look into {files[0][0]} and {files[1][0]}")
    keys = _keys(name, values)
    lacks = None if keys else next((key for key in _OTHERS if key in values), None)
    return Profile(name, keys, values.get("region"), values.get("endpoint_url"), lacks)


def _section(name: str) -> str:
    return name if name == "default" else f"profile {name}"


def _parse(path: Path) -> configparser.RawConfigParser:
    """Returns what a file says, nothing if it is not there; raises UsageError without quoting it: it holds secrets."""
    parser = configparser.RawConfigParser(default_section="", strict=False)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError, configparser.Error) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is no file of profiles"
        raise UsageError(f"'{path}' cannot be read", cause=why) from None
    return parser


def _keys(name: str, values: Mapping[str, str]) -> Callable[[], Keys] | None:
    access, secret = values.get("aws_access_key_id"), values.get("aws_secret_access_key")
    if access and secret:
        keys = Keys(access, secret, values.get("aws_session_token") or None)
        return lambda: keys
    command = values.get("credential_process")
    return _Asked(name, command) if command else None


class _Asked:
    """Keys that a program gives, asked for again shortly before they expire.

    It answers with JSON, as AWS's reference says under "Process credential provider"."""

    def __init__(self, name: str, command: str) -> None:
        self._name = name
        self._command = command
        self._keys: Keys | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Keys:
        """Returns keys that are still good; raises TransportError if the program gives none."""
        with self._lock:
            known = self._keys
            if known is None or (known.expires and known.expires - _EARLY < datetime.now(UTC)):
                self._keys = known = self._ask()
            return known

    def _ask(self) -> Keys:
        try:
            done = subprocess.run(
                shlex.split(self._command), stdout=subprocess.PIPE, timeout=_PATIENCE, check=True, text=True
            )
            said = json.loads(done.stdout)
            expires = datetime.fromisoformat(said["Expiration"]) if said.get("Expiration") else None
            if expires and expires.tzinfo is None:
                expires = expires.replace(tzinfo=UTC)
            return Keys(str(said["AccessKeyId"]), str(said["SecretAccessKey"]), said.get("SessionToken"), expires)
        except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError, AttributeError):
            # Neither its words nor its answer are repeated: both may hold a secret.
            raise TransportError(
                f"profile '{self._name}' of AWS gives no keys",
                cause="its credential_process failed, or answered something else",
                hint="run it by hand",
            ) from None
