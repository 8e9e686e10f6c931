"""What a user does in a repository of any kind, and what they expect of it afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.gitcmd import GitRepo, run
from tests.reader import Recorded, runs
from tests.runs import attempt

SCRIPT = """
import gittrack as gt

run = gt.init(name="by-script")
for step in range(3):
    gt.log({"loss": 1 / (step + 1)}, step=step)
run.finish()
print("trained")
"""


def store() -> GitRepo:
    """Returns the repository of runs that were recorded outside of any."""
    return GitRepo(Path(os.environ["XDG_DATA_HOME"], "gittrack", "detached.git"))


@dataclass(frozen=True)
class Used:
    """The two runs that a user recorded: with a script, and with `git track run`."""

    script: Recorded
    command: Recorded
    said: str
    code: Mapping[str, object] = field(default_factory=dict)


def use(repo: GitRepo, *, cwd: Path | None = None, remote: GitRepo | None = None, into: GitRepo | None = None) -> Used:
    """Records, lists, shows, pushes and checks in a repository; training goes on and all that is the user's stays.

    into: where the runs go, if it is another repository than this one."""
    place = into or repo
    known = {found.id for found in runs(place)} if place.path.exists() else set()
    at = GitRepo(cwd or repo.path)
    with untouched(repo):
        trained = run([sys.executable, "-c", SCRIPT], cwd=at.path)
        assert trained.stdout == "trained\n"
        by_command = run(["git", "track", "run", "--name", "by-command", "--", "echo", "trained"], cwd=at.path)
        assert by_command.stdout == "trained\n"
        if into is None:
            look(at, push=remote is not None)
    found = {item.record["name"]: item for item in runs(place) if item.id not in known}
    assert set(found) == {"by-script", "by-command"}
    script, command = found["by-script"], found["by-command"]
    assert (script.status, command.status) == ("finished", "finished")
    assert script.values("loss") == [1.0, 0.5, 1 / 3]
    assert command.raw("output.log") == b"trained\n"
    assert script.facts.get("code") == command.facts.get("code")
    if remote is not None:
        assert set(remote.refs("refs/runs/")) >= {script.ref, command.ref}
        remote.fsck()
    place.fsck()
    return Used(script, command, trained.stderr, script.facts.get("code", {}))


def look(at: GitRepo, *, push: bool) -> None:
    """Runs the commands that read, and `push`."""
    for words in (["ls"], ["show", "@"], ["status"], *([["push"]] if push else []), ["fsck"]):
        code, out, err = attempt(at, *words)
        assert code == 0, (words, err)
        assert "Traceback" not in err
        assert words[0] not in ("ls", "show") or "by-" in out


@contextmanager
def untouched(repo: GitRepo) -> Iterator[None]:
    """Asserts that the user's index, HEAD, branches, stash, config, hooks and files are what they were."""
    before = state_of(repo)
    yield
    after = state_of(repo)
    assert after == before


def asked(repo: GitRepo, word: str) -> Path | None:
    """Returns a path that `git rev-parse` knows."""
    done = subprocess.run(["git", "rev-parse", word], cwd=repo.path, capture_output=True, check=False)
    return Path(repo.path, os.fsdecode(done.stdout[:-1])) if done.returncode == 0 else None


def state_of(repo: GitRepo) -> dict[str, object]:
    """Returns what belongs to the user: bytes and times of git's own files, their refs, their work tree."""
    git_dir, common, top = (asked(repo, word) for word in ("--absolute-git-dir", "--git-common-dir", "--show-toplevel"))
    if git_dir is None or common is None:
        return {}
    ours = ("refs/runs/", "refs/gittrack/")
    state: dict[str, object] = {
        "refs": {name: oid for name, oid in repo.refs().items() if not name.startswith(ours)},
        "hooks": sorted((path.name, path.read_bytes()) for path in (common / "hooks").glob("*") if path.is_file()),
        "names": {path.name for path in git_dir.iterdir()} - {"gittrack"},
    }
    for path in (git_dir / "index", git_dir / "HEAD", common / "config", git_dir / "logs" / "HEAD"):
        if path.exists():
            state[path.name] = (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino)
    if top:
        root = os.fsencode(repo.path)
        state["files"] = sorted(
            (os.path.join(folder, name), os.lstat(os.path.join(folder, name)).st_mtime_ns)
            for folder, folders, names in os.walk(root)
            if b"/.git" not in folder
            for name in names
        )
    return state
