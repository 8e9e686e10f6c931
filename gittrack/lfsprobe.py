"""Whether there is a Git LFS server beside a remote.

It is asked without a password, and for nothing that is there: that it wants one, or says what it has not, tells
enough. Where it would be follows git-lfs (docs/api/server-discovery.md): `remote.<name>.lfsurl`, `lfs.url`, else the
remote's address with `.git/info/lfs`; of SSH the same host over HTTPS, which git-lfs asks by SSH for a password."""

from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.request
from urllib.parse import urlsplit, urlunsplit

from gittrack import remote
from gittrack.settings import Settings

_TYPE = "application/vnd.git-lfs+json"
_SECONDS = 10.0
_MOST = 1 << 16  # bytes of an answer
_SCP = re.compile(r"(?:[^@/:]+@)?([^/:]+):(?!//)(.+)")
_NOBODYS = "0" * 64


def address(name: str, settings: Settings) -> str | None:
    """Returns where the LFS server of a remote would be, without user and password; None where there can be none."""
    url = settings.git(f"remote.{name}.lfsurl") or settings.git("lfs.url")
    if url:
        return _plain(url)
    url = remote.address(settings, name)
    if found := _SCP.fullmatch(url) if "://" not in url else None:
        url = f"ssh://{found[1]}/{found[2].removeprefix('/')}"
    found_at = _plain(url)
    if found_at is None:
        return None
    found_at = found_at.rstrip("/")
    return f"{found_at}{'' if found_at.endswith('.git') else '.git'}/info/lfs"


def _plain(url: str) -> str | None:
    """Returns an address over HTTP without user and password, or None if it is no server's."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port and parts.scheme in ("http", "https") else ""
    except ValueError:
        return None
    if parts.scheme not in ("http", "https", "ssh", "git+ssh") or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return urlunsplit((parts.scheme if parts.scheme == "http" else "https", host + port, parts.path, "", ""))


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nobody: where a host sends us to is not where git-lfs would ask with a password."""

    def redirect_request(self, *_: object) -> None:
        return None


def ask(url: str, settings: Settings) -> tuple[bool | None, str]:
    """Returns whether an LFS server is there, None if that cannot be told, and how that shows."""
    wanted = {"operation": "download", "transfers": ["basic"], "objects": [{"oid": _NOBODYS, "size": 1}]}
    request = urllib.request.Request(  # noqa: S310 - `address` lets nothing but HTTP through
        f"{url.rstrip('/')}/objects/batch",
        data=json.dumps(wanted).encode(),
        headers={"Accept": _TYPE, "Content-Type": _TYPE, "User-Agent": "gittrack"},
    )
    try:
        opener = urllib.request.build_opener(_Stay, urllib.request.HTTPSHandler(context=_trust(settings)))
        with opener.open(request, timeout=_SECONDS) as answer:
            return _is_batch(answer.headers.get("Content-Type", ""), answer.read(_MOST)), "it answers to everybody"
    except urllib.error.HTTPError as exc:
        with exc:
            is_lfs = "LFS-Authenticate" in exc.headers or _TYPE in exc.headers.get("Content-Type", "")
            if exc.code in (401, 403):  # of a host that keeps everything closed this tells nothing
                return is_lfs or None, "it wants a password"
            return is_lfs and exc.code != 404, f"it answers {exc.code}"
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "reason", exc)
        return None, str(reason) or type(exc).__name__


def _trust(settings: Settings) -> ssl.SSLContext:
    """Returns whom git believes over HTTPS: the system's authorities, or http.sslCAInfo."""
    return ssl.create_default_context(cafile=settings.git("http.sslcainfo"))


def _is_batch(kind: str, answer: bytes) -> bool:
    try:
        said = json.loads(answer)
    except ValueError:
        return False
    return _TYPE.partition("+")[0] in kind or (isinstance(said, dict) and "objects" in said)
