"""A Python that has everything loaded, and forks a child for each script that it is told to run.

Faults are injected thousands of times, and what starts an interpreter is none of ours: a child begins where the
script begins. It waits at a named pipe before, so that whoever wants to look over its shoulder can take his place.

One order a line, as JSON: `code`, `argv`, `folder`, `env`, `out`, `err`, `gate`. Two lines back: pid and status."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
from typing import Any

import gittrack


def load() -> None:
    """Imports what training and commands use; pygit2 and dulwich only where there is no git."""
    for module in pkgutil.walk_packages(gittrack.__path__, "gittrack."):
        if not module.name.startswith("gittrack.demo") and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("fcntl", "getpass", "importlib.metadata", "opcode", "pwd", "subprocess", "traceback"):
        importlib.import_module(name)


def begin(order: dict[str, Any], there: int) -> None:
    """Makes a fresh child the process that the order describes, and waits at the gate; closes `there` when it does."""
    os.setsid()
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["folder"])
    for fd, path in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, fd)
        os.close(opened)
    sys.argv = sys.orig_argv = order["argv"]
    gate = os.open(order["gate"], os.O_RDWR)  # both ways, so that nobody waits for another to open it
    os.close(there)
    os.read(gate, 1)
    os.close(gate)


def tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def serve() -> str:
    """Forks a child for each order; returns in the child, with the code that it is to run."""
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        listen, there = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(listen)
            begin(order, there)
            return str(order["code"])
        os.close(there)
        os.read(listen, 1)
        os.close(listen)
        tell(child)
        tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    sys.exit()


if __name__ == "__main__":
    load()
    exec(serve(), {"__name__": "__main__"})  # noqa: S102 - the test's own script
