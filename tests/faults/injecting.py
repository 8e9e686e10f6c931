"""One system call of a process, or of one of the gits that it starts, goes wrong: strace makes it.

First a dry run lists every call, of the script and of each git, on the files of a box. Then each of them is made to
fail, or its process is killed there, in a fresh copy of the box. What a call is, is its process (`python`, `git push`
the second time), its name, and how many of that name the process had made."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.gitcmd import TIMEOUT_SECONDS

READING = frozenset("openat read pread64 getdents64 newfstatat readlink".split())
MAKING = frozenset(
    "write pwrite64 writev mkdir mkdirat rename renameat renameat2 link linkat symlink symlinkat ftruncate".split()
)
CHANGING = MAKING | frozenset("unlink unlinkat rmdir fsync fdatasync utimensat chmod fchmod fchmodat".split())
LEAVING = frozenset("close flock".split())
STARTING = frozenset("clone clone3 vfork execve".split())
PLUGGING = frozenset("pipe pipe2 dup dup2 dup3".split())
CONTENT = frozenset("read pread64 getdents64 write pwrite64 writev".split())  # their text is no name
WATCHED = READING | CHANGING | LEAVING | STARTING | PLUGGING

LINE = re.compile(r"^(?:(\d+) +)?(\w+)\((.*)$")
PHASE = re.compile(r'"/phase/(\w+)"')

# Each git of a script, and each git that one of these starts, comes by here; it is known by its command, and by how
# many of the kind there were before it. What it starts is not followed: it comes by here itself.
WRAPPER = """#!/bin/sh
case "${0##*/}" in
    git-*) command=${0##*/git-}; set -- "$command" "$@" ;;
    *) skip= command=
       for word; do
           if [ -n "$skip" ]; then skip=; continue; fi
           case "$word" in -c | -C) skip=1 ;; -*) ;; *) command=$word; break ;; esac
       done ;;
esac
number=1
until mkdir "$FAULT_FOLDER/$command.$number" 2>/dev/null; do number=$((number + 1)); done
if [ "$FAULT_AT" = "$command.$number" ] || [ "$FAULT_AT" = all ]; then
    exec strace -f -b execve -q -y -s 1 -o "$FAULT_FOLDER/$command.$number/trace" $FAULT_HOW REAL/git "$@"
fi
exec REAL/git "$@"
"""


@dataclass(frozen=True)
class Position:
    """One system call of one process."""

    process: str
    call: str
    number: int  # of this call in this process (in each of its threads)
    path: str
    phase: str
    makes: bool  # a file, or a change of one

    def faults(self) -> list[str]:
        """Returns what can happen here, in the words of `strace --inject`."""
        if self.call in STARTING:
            return ["error=EAGAIN", "signal=KILL"]
        if self.call in PLUGGING:
            return ["error=EMFILE"]
        found = ["error=EIO"]
        if self.call in MAKING or self.call in ("fsync", "fdatasync") or self.makes:
            found.append("error=ENOSPC")
        if self.call == "openat":
            found.append("error=EMFILE")
        if self.call in CHANGING or self.makes:  # between two changes of the disk, one moment to die is like another
            found.append("signal=KILL")
        return found


@dataclass(frozen=True)
class Strike:
    """A position and what happens there."""

    position: Position
    fault: str

    def __str__(self) -> str:
        at = self.position
        return f"{at.phase}: {at.process} {at.call} #{at.number} {self.fault} ({at.path})"


@dataclass(frozen=True)
class Outcome:
    """What became of a script that a strike was aimed at."""

    warm: Warm
    box: Path
    code: int | None  # the exit code, below 0 a signal, None if it hung
    out: str
    err: str
    told: str
    struck: bool

    def command(self, *words: str, folder: str = "repo") -> str:
        """Returns what a git-track command prints when the fault is gone; it must not fail."""
        return self.warm.command(self.box / folder, home_of(self.box), *words)


def home_of(box: Path) -> dict[str, str]:
    """Returns the environment of a user who lives in a box."""
    home = str(box / "home")
    return {
        "HOME": home,
        "XDG_CONFIG_HOME": f"{home}/.config",
        "XDG_DATA_HOME": f"{home}/.local/share",
        "GIT_CONFIG_GLOBAL": f"{home}/.gitconfig",
        "GIT_CEILING_DIRECTORIES": str(box),
    }


class Warm:
    """A warm Python; see warm.py."""

    def __init__(self) -> None:
        program = Path(__file__).with_name("warm.py")
        self._process = subprocess.Popen(
            [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr]

    def start(self, order: Mapping[str, object]) -> int:
        """Starts a script, which waits at its gate; returns its pid."""
        self._process.stdin.write(json.dumps(order) + "\n")  # type: ignore[union-attr]
        self._process.stdin.flush()  # type: ignore[union-attr]
        return int(self._answer())

    def status(self) -> int:
        """Returns how the script ended, when it has."""
        return int(self._answer())

    def command(self, folder: Path, env: Mapping[str, str], *words: str) -> str:
        """Returns what a git-track command prints; it must not fail."""
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            out, err, gate = (Path(work, name) for name in ("out", "err", "gate"))
            gate.write_text("!", encoding="ascii")
            files = {"out": str(out), "err": str(err), "gate": str(gate), "folder": str(folder)}
            code = "from gittrack import cli\ncli.main()\n"
            self.start({"code": code, "argv": ["git-track", *words], "env": {**os.environ, **env}, **files})
            status, said = self.status(), out.read_text("utf-8") + err.read_text("utf-8")
        assert status == 0, f"`git track {' '.join(words)}` exited {status}\n{said}"
        assert "Traceback" not in said
        return said

    def _answer(self) -> str:
        return self._process.stdout.readline()  # type: ignore[union-attr]


@dataclass
class Scene:
    """A script, and the box of files that it begins with."""

    warm: Warm
    template: Path  # copied for each run; the script runs in its folder `repo`, with `home` as its HOME
    scratch: Path
    code: str
    argv: tuple[str, ...] = ("train.py",)
    setup: str = ""  # what a negative control breaks first
    count: int = 0

    def fresh(self) -> Path:
        """Returns a new folder with a copy of the box in it."""
        self.count += 1
        work = self.scratch / f"at-{self.count}"
        shutil.copytree(self.template, work / "box", symlinks=True)
        return work

    @cached_property
    def commands(self) -> Path:
        """A folder with git's programs, of which each comes by the wrapper."""
        real = Path(subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip())
        folder = self.scratch / "commands"
        folder.mkdir()
        for program in real.iterdir():
            (folder / program.name).symlink_to(program)
        for name in ("git", "git-receive-pack", "git-upload-pack"):
            (folder / name).unlink(missing_ok=True)
            (folder / name).write_text(WRAPPER.replace("REAL", str(real)), encoding="utf-8")
            (folder / name).chmod(0o755)
        return folder

    def strike(self, strike: Strike | None) -> Outcome:
        """Runs the script with one thing going wrong, or with none."""
        if strike is None:
            return self._run("", "")
        at = strike.position
        how = f"-e trace={at.call} -e inject={at.call}:{strike.fault}:when={at.number}"
        return self._run(at.process, how)

    def _run(self, process: str, how: str) -> Outcome:
        work = self.fresh()
        (work / "gits").mkdir()
        os.mkfifo(work / "gate")
        env = {**os.environ, **home_of(work / "box"), "TOLD": str(work / "told")}
        if process:
            env |= {
                "PATH": f"{self.commands}{os.pathsep}{env['PATH']}",
                "GIT_EXEC_PATH": str(self.commands),
                "FAULT_FOLDER": str(work / "gits"),
                "FAULT_AT": process,
                "FAULT_HOW": how,
            }
        order = {
            "code": self.setup + self.code,
            "argv": self.argv,
            "folder": str(work / "box" / "repo"),
            "env": env,
            "out": str(work / "out"),
            "err": str(work / "err"),
            "gate": str(work / "gate"),
        }
        pid = self.warm.start(order)
        tracer = self._trace(pid, how, work / "trace") if process in ("python", "all") else None
        gate = os.open(work / "gate", os.O_RDWR)
        os.write(gate, b"!")
        hung = not self._wait(pid)
        os.close(gate)
        code = self.warm.status()
        if hung:
            self._sweep_up(work)
        if tracer:
            tracer.wait()
        traces = [*work.glob("trace"), *work.glob("gits/*/trace")]
        struck = any(re.search(r"INJECTED|killed by SIGKILL", trace.read_text("utf-8")) for trace in traces)
        out, err, told = (
            (work / name).read_text("utf-8") if (work / name).exists() else "" for name in ("out", "err", "told")
        )
        return Outcome(self.warm, work / "box", None if hung else code, out, err, told, struck)

    def _trace(self, pid: int, how: str, log: Path) -> subprocess.Popen[bytes]:
        command = ["strace", "-f", "-b", "execve", "-q", "-y", "-s", "1", "-o", str(log), *how.split(), "-p", str(pid)]
        tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        status = Path(f"/proc/{pid}/status")
        while "TracerPid:\t0\n" in status.read_text("ascii"):
            assert tracer.poll() is None, "strace cannot look at the script"
            time.sleep(0.001)
        return tracer

    @staticmethod
    def _wait(pid: int) -> bool:
        """Waits for the end of a script; one that hangs is killed, and then it returns False."""
        end = time.monotonic() + TIMEOUT_SECONDS / 4
        while time.monotonic() < end:
            try:
                if Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] in "ZX":
                    return True
            except (FileNotFoundError, ProcessLookupError):
                return True
            time.sleep(0.002)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        return False

    @staticmethod
    def _sweep_up(work: Path) -> None:
        """Kills the gits of a script that hung: some are in sessions of their own."""
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if f"FAULT_FOLDER={work}/".encode() in environ.read_bytes():
                    os.kill(int(environ.parent.name), signal.SIGKILL)

    def positions(self) -> list[Position]:
        """Returns every call on the files of the box, and every start of a process, in a run that goes well."""
        outcome = self._run("all", f"-e trace={','.join(sorted(WATCHED))}")
        work = outcome.box.parent
        found = list(positions_in(work / "trace", "python", str(outcome.box)))
        for trace in sorted(work.glob("gits/*/trace"), key=lambda path: path.stat().st_mtime):
            found += positions_in(trace, trace.parent.name, str(outcome.box))
        assert outcome.code is not None
        return found


def positions_in(trace: Path, process: str, box: str) -> list[Position]:
    """Reads a trace: the calls that name a file of the box, and those that start processes."""
    counts: dict[tuple[str, str], int] = {}
    found: dict[tuple[str, int], Position] = {}
    phase = "" if process == "python" else "git"
    for line in trace.read_text("utf-8", "backslashreplace").splitlines():
        call = LINE.match(line)
        if call is None:
            continue
        thread, name, given = call[1] or "", call[2], call[3].partition(" = ")[0]
        number = counts[thread, name] = counts.get((thread, name), 0) + 1  # as strace counts: for each thread
        if mark := PHASE.search(given):
            phase = mark[1]
        if phase in ("", "exit") or (name == "execve" and phase == "git" and number == 1):
            continue  # before the script and after it
        path = path_in(name, given)
        if name in STARTING | PLUGGING or path.startswith(box):
            makes = name == "openat" and "O_CREAT" in given
            inside = path.removeprefix(box).lstrip("/")
            found.setdefault((name, number), Position(process, name, number, inside, phase, makes))
    return list(found.values())


def path_in(name: str, given: str) -> str:
    """Returns the file that the arguments of a call name, as strace wrote them: `3</a/b>`, `"c"`, or both."""
    opened = re.match(r"[^,]*<(/[^>]*)>", given)
    named = None if name in CONTENT else re.search(r'"([^"]*)"', given)
    return os.path.join(opened[1] if opened else "", named[1] if named else "").rstrip("/")
