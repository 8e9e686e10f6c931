"""`git daemon`: the git:// protocol, without any authentication."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import inetd


@contextmanager
def git_daemon(root: Path, *, pushes: bool = True) -> Iterator[int]:
    """Serves the repositories in `root`; yields the port. Without `pushes` it is as git's daemon is by default."""
    argv = ["git", "daemon", "--inetd", "--export-all", f"--base-path={root}", "--informative-errors", str(root)]
    argv.insert(-1, "--enable=receive-pack" if pushes else "--disable=receive-pack")
    with inetd.serving(argv, env=dict(os.environ)) as port:
        yield port
