"""`git track demo`: all of it, for real, in a throw-away folder."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import click

from gittrack import output
from gittrack.commands import common
from gittrack.errors import GitFailed, UsageError
from gittrack.git import no_git

_EPOCHS = 20


@click.command("demo")
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="Make it here instead of in a temporary folder.")
@common.colour_option
def command(folder: Path | None, colour: str | None) -> None:
    """See all of it in a throw-away repository.

    Trains there three times and shares the runs with a colleague's clone. Every command is printed before it
    runs. Needs no network; with scikit-learn the model is a neural network."""
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise UsageError(f"'{folder}' is not empty", hint="name a folder that does not exist")
    if shutil.which("git") is None:
        raise no_git()
    top = Path(tempfile.mkdtemp(prefix="gittrack-demo-")) if folder is None else folder.absolute()
    show = Demo(output.Screen(colour=colour or "auto"), top)
    show.say(f"A repository, a remote and a colleague's clone, in {top}")
    show.set_up()
    show.train()
    show.look()
    show.share()
    show.say(f"All of it is in {top}; `rm -r {shlex.quote(str(top))}` takes it away.")


class Demo:
    """Prints commands and runs them."""

    def __init__(self, screen: output.Screen, top: Path) -> None:
        self.screen = screen
        self.top = top
        self.here = top
        self.env = _environment()

    def say(self, text: str) -> None:
        """Says what comes next."""
        self.screen.print(f"\n{self.screen.paint('# ' + text, output.BOLD)}")
        self.screen.stream.flush()

    def run(self, line: str) -> None:
        """Prints a command line and runs it; raises GitFailed if it fails."""
        self._prompt(line)
        done = subprocess.run(["sh", "-c", line], cwd=self.here, env=self.env, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise GitFailed(f"`{line}` failed with exit code {done.returncode}", hint=f"look into {self.top}")

    def _prompt(self, line: str) -> None:
        where = self.here.relative_to(self.top).as_posix()
        self.screen.print(f"{self.screen.paint(where + ' $', output.GREEN)} {line}")
        self.screen.stream.flush()

    def go(self, folder: str) -> None:
        """Changes the folder, as `cd` does."""
        self.here = self.top / folder

    def set_up(self) -> None:
        """Makes the remote, the repository and its first commit."""
        self.top.mkdir(parents=True, exist_ok=True)
        self.run("git init --quiet --bare --initial-branch=main remote.git")
        self.run("git init --quiet --initial-branch=main you")
        self.go("you")
        self.run("git remote add origin ../remote.git")
        source = resources.files("gittrack") / "demo"
        for name in ("train.py", "iris.csv"):
            (self.here / name).write_bytes((source / name).read_bytes())
        self.run("git add train.py iris.csv")
        self.run("git commit --quiet -m 'Train a small classifier'")
        self.run("git push --quiet --set-upstream origin main")

    def train(self) -> None:
        """Records three runs: a clean one, one from a dirty work tree, one that is killed."""
        self.say("The script says `gt.init(…)` and `gt.log(…)`. A first run:")
        self.run("python train.py --lr 0.001 | tail -n 2")
        self.say("Change the code without committing it, and let `git track run` record the command:")
        self.run("sed -i.bak 's/batch_size=64/batch_size=16/' train.py && rm train.py.bak")
        self.run("echo 'smaller batches look promising' > notes.txt")
        self.run("git track run --tag small-batches -- python train.py --lr 0.01 | tail -n 2")
        self.run("git status --short")
        self.say("A third run dies half-way. What it logged is not lost:")
        self._kill_half_way(f"python train.py --lr 0.1 --epochs {_EPOCHS}")

    def _kill_half_way(self, line: str) -> None:
        self._prompt(line + " &")
        words = shlex.split(line)
        with subprocess.Popen(words, cwd=self.here, env=self.env, stdout=subprocess.PIPE, text=True) as process:
            for text in process.stdout or ():
                self.screen.print(text.rstrip())
                if text.startswith(f"epoch {_EPOCHS // 2}"):
                    self._prompt(f"kill -9 {process.pid}")
                    process.kill()
                    break

    def look(self) -> None:
        """Lists, shows and compares."""
        self.say("The next command finds the dead run's journal and commits it:")
        self.run("git track ls")
        self.run("git track show best:val/acc")
        self.run("git track diff @{-2} @{-1}")
        self.say("A run is a commit. Plain git reads it:")
        self.run("git for-each-ref refs/runs")
        self.run("git show $(git track ls -n 1 --format='refs/runs/%(id)'):params.yaml")

    def share(self) -> None:
        """Pushes, and looks at it from the colleague's side."""
        self.say("Share them through the remote you have:")
        self.run("git track push")
        self.go(".")
        self.run("git clone --quiet remote.git colleague")
        self.go("colleague")
        self.run("git track pull")
        self.run("git track ls")
        self.say("Your colleague gets the exact code of the best run, the uncommitted part included:")
        self.run("git track checkout best:val/acc ../best-code")
        self.run("git -C ../best-code show --stat --format=%s HEAD")
        self.run("cat ../best-code/notes.txt" if (self.top / "best-code" / "notes.txt").exists() else "ls ../best-code")


def _environment() -> Mapping[str, str]:
    """Returns an environment in which `python` and `git track` are the ones that run this, and git is nobody's."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "GITTRACK_"))}
    own = Path(sys.argv[0]).absolute().parent
    folders = [str(own), str(Path(sys.executable).parent), env.get("PATH", "")]
    env["PATH"] = os.pathsep.join(folders)
    if shutil.which("git-track", path=env["PATH"]) is None:
        raise GitFailed("git-track is not on PATH", hint="activate the environment that gittrack is installed in")
    who = {"NAME": "Ada", "EMAIL": "ada@example.org"}
    env |= {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
    env |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "commit.gpgsign", "GIT_CONFIG_VALUE_0": "false"}
    return env
