"""What the system calls of are made to fail: a training, the sealing of a crash, a push and a pull; and what must hold.

Whatever goes wrong, a run is there whole or not at all, git finds nothing wrong, training goes on, what was dropped is
counted, and when the fault is gone the next command brings what is missing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.injecting import Outcome, Scene, Strike, Warm, home_of
from tests.gitcmd import GitRepo, run
from tests.reader import Recorded, runs

# Tells what was promised: each word is written after the call that it stands for returned.
TRAINING = """
import os, sys

told = os.open(os.environ["TOLD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

def phase(name):
    try:
        os.stat("/phase/" + name)
    except OSError:
        pass

def tell(word):
    os.write(told, word.encode() + b"\\n")

import gittrack as gt

phase("init")
run = gt.init(name="faulty", params={"lr": 0.1}, tags=["t"])
tell("init")
phase("log")
for step in range(10):
    gt.log({"loss": step, "acc": -step})
    tell(f"loss {step}")
    if step == 5:
        gt.log({"text": "hello"}, step=step)
        tell("text")
        run.config.late = 1
        tell("late")
        run.log_artifact("../plot.txt")
        tell("plot")
        run.flush()
        if run.pinning:
            run.pinning.hurry()
phase("finish")
run.finish()
tell("finish")
phase("exit")
print("trained")
sys.exit(7)
"""
COMMAND = "import os\nfrom gittrack import cli\n\ntry:\n    os.stat('/phase/{0}')\nexcept OSError:\n    cli.main()\n"
STEPS = 10
CALLS = STEPS + 4  # that of init for its params, and text, late, plot
# The journal of a dead process: it logs, and kills itself.
DYING = TRAINING.replace('phase("finish")', "os.kill(os.getpid(), 9)")
PLOT = "a plot\n"
DATA = Path("home", ".local", "share", "gittrack", "detached.git")


def fsck(folder: Path) -> None:
    GitRepo(folder).fsck()


def kept(found: Recorded) -> set[str]:
    """Returns which of the calls of the training are in a run, each whole."""
    words = {"finish"} if found.status == "finished" else set()
    for row in found.rows:
        if "loss" in row:
            assert (row["step"], row["acc"]) == (row["loss"], -row["loss"])
            words.add(f"loss {row['loss']:g}")
    words |= {"text"} if "hello" in found.texts("text") else set()
    words |= {"late"} if found.params.get("late") == 1 else set()
    words |= {"lr"} if found.params.get("lr") == 0.1 else set()
    words |= {"plot"} if found.raw("artifacts/plot.txt") == PLOT.encode() else set()
    return words


def live_folders(git_dir: Path) -> list[str]:
    return sorted(path.parent.name for path in (git_dir / "gittrack" / "live").glob("*/run.json"))


def let_time_pass(box: Path) -> None:
    """An hour later: what a git that was killed left locked is locked still. On a remote somebody takes it away."""
    hour_ago = time.time() - 3600
    for lock in (box / "repo").rglob("*.lock"):
        os.utime(lock, (hour_ago, hour_ago))
    for lock in (box / "remote.git").rglob("*.lock"):
        lock.unlink()


class Stage:
    """Builds the boxes and judges what became of them."""

    def __init__(self, warm: Warm, scratch: Path) -> None:
        self.warm = warm
        self.scratch = scratch

    def scene(self, name: str, *, setup: str = "") -> Scene:
        folder = self.scratch / f"{name}{len(list(self.scratch.iterdir()))}"
        folder.mkdir()
        box = folder / "template"
        (box / "home").mkdir(parents=True)
        shutil.copy(Path.home() / ".gitconfig", box / "home")
        repo = GitRepo.init(box / "repo", "--template=")
        repo.commit({"train.py": "print('training')\n", "model.py": "layers = 2\n"}, "train: begin")
        (box / "plot.txt").write_text(PLOT, encoding="utf-8")
        return getattr(self, f"_{name}")(Scene(self.warm, box, folder, "", setup=setup), repo)  # type: ignore[no-any-return]

    def _train(self, scene: Scene, repo: GitRepo) -> Scene:
        (repo.path / "model.py").write_text("layers = 3\n", encoding="utf-8")
        (repo.path / "new.py").write_text("new\n", encoding="utf-8")
        scene.code = TRAINING
        return scene

    def _seal(self, scene: Scene, repo: GitRepo) -> Scene:
        self._train(scene, repo)
        box = scene.template
        env = home_of(box) | {"TOLD": str(scene.scratch / "told")}
        run([sys.executable, "-c", DYING], cwd=repo.path, env=env, check=False)
        assert len(live_folders(box / "repo" / ".git")) == 1
        scene.code, scene.argv = COMMAND.format("seal"), ("git-track", "ls")
        return scene

    def _recorded(self, box: Path, name: str) -> None:
        script = f"import gittrack as gt\nwith gt.init(name={name!r}) as run:\n"
        script += "    for step in range(10):\n        run.log({'loss': step, 'acc': -step})\n"
        run([sys.executable, "-c", script], cwd=box / "repo", env=home_of(box))

    def _push(self, scene: Scene, repo: GitRepo) -> Scene:
        box = scene.template
        GitRepo.init(box / "remote.git", "--bare", "--template=")
        repo.git("remote", "add", "origin", "../remote.git")
        repo.git("config", "track.timeout", "5")  # a receive-pack that fails in the middle leaves its push waiting
        repo.git("push", "--quiet", "origin", "main")
        for name in ("one", "two"):
            self._recorded(box, name)
        scene.code, scene.argv = COMMAND.format("push"), ("git-track", "push")
        return scene

    def _pull(self, scene: Scene, repo: GitRepo) -> Scene:
        self._push(scene, repo)
        box = scene.template
        self.warm.command(box / "repo", home_of(box), "push")
        shutil.rmtree(box / "repo")
        made = GitRepo.init(box / "repo", "--template=")
        made.git("remote", "add", "origin", "../remote.git")
        made.git("config", "track.timeout", "5")
        made.git("pull", "--quiet", "origin", "main")
        scene.code, scene.argv = COMMAND.format("pull"), ("git-track", "pull")
        return scene


def judge(scene: str, strike: Strike, outcome: Outcome) -> None:
    """Asserts what must hold after one thing went wrong."""
    assert outcome.code is not None, "it hung"
    assert "Traceback" not in outcome.err + outcome.out
    if "KILL" in strike.fault:
        let_time_pass(outcome.box)
    {"train": judge_training, "seal": judge_seal, "push": judge_push, "pull": judge_pull}[scene](strike, outcome)


def judge_training(strike: Strike, outcome: Outcome) -> None:
    box, told = outcome.box, outcome.told.split("\n")[:-1]
    killed = strike.position.process == "python" and strike.fault == "signal=KILL" and outcome.code == -9
    if not killed:
        assert (outcome.code, outcome.out) == (7, "trained\n"), outcome.err
    git_dir = box / "repo" / ".git"
    before = index_of(git_dir)
    outcome.command("ls")
    assert index_of(git_dir) == before
    if (box / DATA / "HEAD").exists():
        outcome.command("ls", folder=str(DATA))
    homes = [home for home in (git_dir, box / DATA) if (home / "HEAD").exists()]
    found = [recorded for home in homes for recorded in runs(GitRepo(home))]
    for home in homes:
        fsck(home)
        assert live_folders(home) == [], "the next command left something to do"
    assert len(found) <= 1
    if not found:
        assert "init" not in told or "nothing is recorded" in outcome.err
        return
    there = kept(found[0])
    promised = {*told, "lr"} - {"init"} if "init" in told else set()
    if killed:
        assert promised - there == set()
        return
    dropped = found[0].facts.get("dropped", 0)
    assert len(there - {"finish"}) + dropped == CALLS, (sorted(promised - there), dropped)
    assert dropped == 0 or outcome.err != ""
    assert "finish" in there or "could not be" in outcome.err
    outcome.command("fsck", folder="repo" if homes == [git_dir] else str(DATA))


def index_of(git_dir: Path) -> str:
    return hashlib.sha256((git_dir / "index").read_bytes()).hexdigest()


def judge_seal(strike: Strike, outcome: Outcome) -> None:
    box = outcome.box
    outcome.command("ls")
    (found,) = runs(GitRepo(box / "repo"))
    everything = {f"loss {step}" for step in range(STEPS)} | {"text", "late", "lr", "plot"}
    assert kept(found) == everything
    assert found.status == "crashed"
    assert (
        GitRepo(box / "repo").git("rev-list", "--count", found.ref, "--not", "main", found.facts["code"]["snapshot"])
        == "1"
    )
    assert live_folders(box / "repo" / ".git") == []
    fsck(box / "repo")
    outcome.command("fsck")


def tips(folder: Path) -> dict[str, str]:
    return GitRepo(folder).refs("refs/runs/")


def judge_push(strike: Strike, outcome: Outcome) -> None:
    box = outcome.box
    ours = tips(box / "repo")
    theirs = tips(box / "remote.git")
    assert theirs.items() <= ours.items()
    if outcome.code == 0 and not strike.position.process.startswith("for-each-ref"):  # git passes over unreadable refs
        assert theirs == ours
    fsck(box / "remote.git")
    outcome.command("push")
    assert tips(box / "remote.git") == tips(box / "repo") == ours
    fsck(box / "remote.git")
    fsck(box / "repo")


def judge_pull(strike: Strike, outcome: Outcome) -> None:
    box = outcome.box
    theirs = tips(box / "remote.git")
    assert tips(box / "repo").items() <= theirs.items()
    fsck(box / "repo")
    outcome.command("pull")
    assert tips(box / "repo") == tips(box / "remote.git") == theirs
    fsck(box / "repo")
    listing = json.loads(outcome.command("ls", "--json"))
    assert len(listing) == 2


@contextmanager
def stage(scratch: Path) -> Iterator[Stage]:
    warm = Warm()
    try:
        yield Stage(warm, scratch)
    finally:
        warm.close()
