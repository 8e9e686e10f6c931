"""The rights of what we make in a repository that several people share.

git gives its own files the rights that `core.sharedRepository` names, whatever the umask of who makes them. What we
make beside them must be as open, or a colleague can neither see a run that crashed nor seal it. git's folders say
whether a repository is shared: the group may write to them, and each of ours takes after the one that it is in."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

_GROUP_WRITES = 0o020
_OTHERS_READ = 0o004


def share(path: Path) -> None:
    """Gives a file or folder of ours the rights for the group that the folder around it has."""
    with contextlib.suppress(OSError):  # not ours, or gone: then there is nothing to give
        around = os.stat(path.parent).st_mode
        if not around & _GROUP_WRITES:
            return
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        wanted = mode | (mode & 0o700) >> 3 | (around & stat.S_ISGID if path.is_dir() else 0)
        if around & _OTHERS_READ:
            wanted |= (mode & 0o500) >> 6
        if wanted != mode:
            path.chmod(wanted)


def make_folder(path: Path) -> None:
    """Makes a folder if it is not there, and shares it; raises NotADirectoryError if something else has its name."""
    try:
        path.mkdir()
    except FileExistsError:
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    else:
        share(path)
