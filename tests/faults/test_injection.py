"""Each system call of training, sealing, pushing and pulling fails once, or is the last thing that its process does.

`make faults` goes through all of them, which are thousands; the quick tests take a few by chance."""

from __future__ import annotations

import random
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import scenes
from tests.faults.injecting import Position, Scene, Strike

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="strace is of Linux"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

PARTS = {"train": 12, "seal": 4, "push": 12, "pull": 8}
SAMPLE = 6
MISSED = 0.1  # of the strikes: two runs of a script do not make quite the same calls


@contextmanager
def stage() -> Iterator[scenes.Stage]:
    """A place for boxes in memory, where there is one: what a sync costs is no question here."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of our own in it
    with tempfile.TemporaryDirectory(dir=memory) as scratch, scenes.stage(Path(scratch)) as made:
        yield made


def strikes_of(scene: Scene) -> list[Strike]:
    """Returns all strikes of a scene but those that a remote's own git answers for.

    receive-pack takes a folder that it cannot list for an empty one, and says that it has what it left there. Without a
    pipe for what its hooks say it waits for itself, and says every five seconds that it is at work."""
    found = [position for position in scene.positions() if not is_of_remote(position)]
    return [Strike(position, fault) for position in found for fault in position.faults()]


def is_of_remote(position: Position) -> bool:
    return position.process.startswith("receive-pack") and position.call in ("getdents64", "pipe2")


def complaint(name: str, scene: Scene, strike: Strike) -> tuple[str, bool]:
    """Returns what does not hold after a strike, or "", and whether it struck at all."""
    outcome = scene.strike(strike)
    try:
        scenes.judge(name, strike, outcome)
    except Exception as exc:  # noqa: BLE001 - whatever it stumbles over is the finding
        told = " ".join(outcome.told.split())
        return f"{strike}\n    {type(exc).__name__}: {exc}\n    told: {told}\n    said: {outcome.err}", outcome.struck
    finally:
        shutil.rmtree(outcome.box.parent, ignore_errors=True)
    return "", outcome.struck


def all_hold(name: str, scene: Scene, strikes: list[Strike]) -> None:
    assert strikes
    found = [complaint(name, scene, strike) for strike in strikes]
    complaints = [what for what, _ in found if what]
    assert not complaints, f"{len(complaints)} of {len(strikes)}:\n" + "\n".join(complaints)
    assert sum(struck for _, struck in found) >= (1 - MISSED) * len(strikes) - 1


@pytest.mark.parametrize("name", PARTS)
def test_whatever_call_fails_nothing_is_lost_or_half_there(name: str) -> None:
    with stage() as made:
        scene = made.scene(name)
        all_hold(name, scene, random.Random(name).sample(strikes_of(scene), SAMPLE))


@pytest.mark.faults
@pytest.mark.parametrize(("name", "part"), [(name, part) for name, parts in PARTS.items() for part in range(parts)])
def test_whichever_call_fails_nothing_is_lost_or_half_there(name: str, part: int) -> None:
    with stage() as made:
        scene = made.scene(name)
        all_hold(name, scene, strikes_of(scene)[part :: PARTS[name]])


# What the harness must see. Each breaks one promise on purpose. -------------------------------------------------------

# A tracker that lets its errors out.
RAISING = """
from gittrack import recorder

def out(self, method, exc):
    raise exc

recorder.Recorder._call_failed = out
"""
# One that throws its journal away before the commit is there.
HASTY = """
from gittrack import journal, store

really = store.commit

def commit(git, run, *args, **options):
    journal.remove(journal.live_root(git.place.common_dir) / run.id)
    return really(git, run, *args, **options)

store.commit = commit
"""
# One that writes refs in place.
IN_PLACE = """
from gittrack import git

def update_refs(self, updates, *, durable=True):
    for update in updates:
        path = self.place.common_dir / update.ref
        path.parent.mkdir(parents=True, exist_ok=True)
        if update.new is None:
            path.unlink(missing_ok=True)
            continue
        with path.open("w") as file:
            file.write(update.new[:20])
            file.flush()
            file.write(update.new[20:] + "\\n")

git.Git.update_refs = update_refs
"""


@pytest.mark.parametrize(
    ("setup", "where"),
    [
        (RAISING, "log: python write .* error=EIO .*journal"),
        (HASTY, "finish: python vfork .* signal=KILL"),
        (IN_PLACE, "finish: python write .* signal=KILL .*refs/runs/"),
    ],
    ids=["training that is stopped", "a run that is lost", "a ref that is torn"],
)
def test_this_harness_sees(setup: str, where: str) -> None:
    with stage() as made:
        scene = made.scene("train", setup=setup)
        strikes = [strike for strike in strikes_of(scene) if re.search(where, str(strike))]
        assert strikes
        assert any(complaint("train", scene, strike)[0] for strike in strikes[-8:])
