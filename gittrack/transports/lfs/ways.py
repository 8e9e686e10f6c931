"""How git would reach a web address: through which proxy, believing whom, with which headers.

git answers for itself which of its `http.<url>.*` settings holds for an address (git-config(1), `--get-urlmatch`);
what its environment says comes before them, as in git, and the proxies of curl's environment after them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from gittrack.git import Git
from gittrack.settings import Settings

_NO = ("false", "no", "off", "0", "")
_HEADER = "http.extraheader"


class Way(NamedTuple):
    """How one address is reached; `headers` are those that the user adds to each request (`http.extraHeader`)."""

    proxy: str | None = None
    verify: bool = True
    authorities: str | None = None
    authorities_folder: str | None = None
    certificate: str | None = None
    key: str | None = None
    headers: tuple[str, ...] = ()


def way_to(url: str, *, git: Git, settings: Settings, remote: str | None = None) -> Way:
    """Returns how `url` is reached; remote: the git remote that it belongs to, which may have a proxy of its own."""
    values = _matching(url, git, settings)
    env = settings.environ
    proxy = settings.git(f"remote.{remote}.proxy") if remote else None
    if proxy is None:
        proxy = values.get("http.proxy")
    verify = values.get("http.sslverify", "true").lower() not in _NO
    return Way(
        proxy=_proxy(url, proxy, env),
        verify=verify and "GIT_SSL_NO_VERIFY" not in env,
        authorities=_path(env.get("GIT_SSL_CAINFO") or values.get("http.sslcainfo")),
        authorities_folder=_path(env.get("GIT_SSL_CAPATH") or values.get("http.sslcapath")),
        certificate=_path(env.get("GIT_SSL_CERT") or values.get("http.sslcert")),
        key=_path(env.get("GIT_SSL_KEY") or values.get("http.sslkey")),
        headers=_headers(values[_HEADER], git) if values.get(_HEADER) else (),
    )


def _path(text: str | None) -> str | None:
    return os.path.expanduser(text) if text else None


def _matching(url: str, git: Git, settings: Settings) -> dict[str, str]:
    """Returns the `http.*` settings that hold for an address, by their names in lower case."""
    known = {key: value for key, value in settings.values.items() if key.startswith("http.")}
    if not any(key.count(".") > 1 for key in known) or not git.has_executable:
        return {key: value for key, value in known.items() if key.count(".") == 1}
    raw = git.run("config", "-z", "--get-urlmatch", "http", url).stdout.decode("utf-8", "replace")
    return {key.lower(): value for key, _, value in (item.partition("\n") for item in raw.split("\0")) if key}


def _headers(last: str, git: Git) -> tuple[str, ...]:
    """Returns all values of the section whose last header is `last`, for git's answer has only that one."""
    if not git.has_executable:
        return (last,)
    raw = git.run("config", "-z", "--get-regexp", r"^http\.(.*\.)?extraheader$").stdout.decode("utf-8", "replace")
    sections: dict[str, list[str]] = {}
    for key, _, value in (item.partition("\n") for item in raw.split("\0") if item):
        found = sections.setdefault(key, [])
        found.append(value)
        if not value:  # an empty one takes back those before it
            found.clear()
    return next((tuple(values) for values in sections.values() if values and values[-1] == last), (last,))


def _proxy(url: str, configured: str | None, env: Mapping[str, str]) -> str | None:
    """Returns the address of the proxy, or None; an empty setting means that there is none."""
    parts = urlsplit(url)
    names = ("http_proxy",) if parts.scheme == "http" else ("https_proxy", "HTTPS_PROXY")
    found = configured
    if found is None:  # curl does not believe HTTP_PROXY, which a web server's client can set
        found = next((env[name] for name in (*names, "all_proxy", "ALL_PROXY") if env.get(name)), None)
    if not found or _is_spared(parts.hostname or "", env.get("no_proxy") or env.get("NO_PROXY") or ""):
        return None
    return found if "://" in found else f"http://{found}"


def _is_spared(host: str, spared: str) -> bool:
    """Tells whether `no_proxy` names a host, or a domain that it is in."""
    for word in spared.replace(",", " ").split():
        name = word.partition(":")[0].lower().removeprefix("*").lstrip(".")
        if word == "*" or (name and (host == name or host.endswith("." + name))):
            return True
    return False
