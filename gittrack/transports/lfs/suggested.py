"""What a committed `.lfsconfig` says of the LFS server, which nobody here has agreed to.

Whoever can push to a repository can write that file, so payloads and passwords would go wherever a stranger wants
(git-lfs reads it, and has had to take keys out of it). Here it is only told, where there is nothing better."""

from __future__ import annotations

import re

from gittrack.git import Git
from gittrack.settings import Settings

_MOST = 1 << 16
# Nothing that a shell reads in another way, for the hint is to be copied.
_PLAIN = re.compile(r"https?://[A-Za-z0-9.\-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/%+\-]*)?")


def address(git: Git) -> str | None:
    """Returns the address that `.lfsconfig` names, or None if it names none, or one that is not plain to see."""
    if git.place.work_tree is None or not git.has_executable:
        return None
    file = git.place.work_tree / ".lfsconfig"
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > _MOST:
            return None
    except OSError:
        return None
    done = git.run("config", "--file", str(file), "--no-includes", "--get", "lfs.url")
    found = done.stdout.decode("utf-8", "replace").strip()
    return found if _PLAIN.fullmatch(found) else None


def hint(git: Git, settings: Settings, asked: str) -> str | None:
    """Returns how to agree to what `.lfsconfig` names, if that is another address than the one that was asked."""
    if settings.git("lfs.url"):
        return None
    found = address(git)
    if found is None or found.rstrip("/") == asked.rstrip("/"):
        return None
    return f"the committed .lfsconfig names '{found}'; `git config lfs.url {found}` agrees to it"
