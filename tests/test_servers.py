"""The servers of the tests are themselves tested, with git alone: a flaw in them would look like one in the product."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import sharing
from tests.gitcmd import GitRepo


@pytest.mark.parametrize("kind", sharing.KINDS)
def test_plain_git_pushes_and_clones_over_each_of_them(kind: str, repo: GitRepo, tmp_path: Path) -> None:
    with sharing.host(kind, tmp_path / "host") as host:
        host.introduce(repo)
        repo.git("push", "--quiet", "origin", "main")
        clone = host.clone(tmp_path / "clone")
        assert clone.git("rev-parse", "HEAD") == repo.git("rev-parse", "HEAD")
        assert host.bare.refs() == {"refs/heads/main": repo.git("rev-parse", "HEAD")}
