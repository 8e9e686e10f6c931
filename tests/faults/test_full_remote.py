"""A remote whose disk is full takes nothing and breaks nothing; once there is room, the next push completes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.sharing import KINDS, host
from tests.test_sharing import arrives, fails, heavy

pytestmark = pytest.mark.faults


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder in which a host serves repositories, on a disk of its own."""
    folder = tmp_path / "host" / "served"
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_there_loses_nothing_here(repo: GitRepo, tmp_path: Path, small_disk: Path, kind: str) -> None:
    with host(kind, tmp_path / "host") as remote:
        remote.introduce(repo)
        repo.git("push", "--quiet", "origin", "main")
        free = subprocess.run(["df", "--output=avail", "-k", small_disk], capture_output=True, text=True, check=True)
        filler = small_disk / "filler"
        filler.write_bytes(b"x" * (1024 * int(free.stdout.split()[1]) - 100_000))
        run = heavy(repo)

        error = fails(repo, "push")

        assert "No space left on device" in error or remote.line  # which may break before that was said
        assert remote.bare.refs("refs/runs/") == {}
        filler.unlink()
        arrives(repo, remote, run)
