"""Signs of life of a process that we started, and of all that it started, as Linux tells them.

A remote that says nothing may count a million objects, send them over a thin line, or be gone, and git waits for ever
in each case. What tells them apart are bytes, pages, processor time and unsent data. Nothing here waits or ends."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_SYN_SENT = "02"
_BUSY = 0.05  # git-remote-http looks twenty times a second whether something came: that is no work
_ASKERS = (b"askpass", b"pinentry", b"credential")


@dataclass(frozen=True, slots=True)
class Vitals:
    """What was seen of a process and its descendants at one moment."""

    time: float
    work: int  # bytes that git moved, and pages that it touched, since it began
    cpu: float  # seconds of processor time of git
    unsent: tuple[str, ...]  # how much each connection still has to send or to read
    connecting: bool
    asking: bool  # a terminal is open to ask a person, or a program that asks is running

    def shows_life_since(self, before: Vitals) -> bool:
        """Tells whether something was done between two looks."""
        busy = (self.cpu - before.cpu) >= _BUSY * (self.time - before.time) > 0
        return busy or (self.work, self.unsent) != (before.work, before.unsent)


def are_told() -> bool:
    """Tells whether this system says what a process does."""
    return (_PROC / "self" / "io").exists()


def look(pid: int, *, now: float) -> Vitals | None:
    """Returns the signs of life of a process and of its descendants; None where the system does not tell them."""
    found = _family(pid)
    if not found:
        return None
    work, cpu, asking, sockets = 0, 0.0, False, set()
    for each, fields in found.items():
        files = _open_files(each)
        sockets |= {name[8:-1] for name in files if name.startswith("socket:[")}
        asking = asking or "/dev/tty" in files or any(word in _read(each, "cmdline") for word in _ASKERS)
        if fields[0].startswith("git"):  # not ssh, which says every few seconds that it is there
            work += _moved(each) + int(fields[8]) + int(fields[10])
            cpu += (int(fields[12]) + int(fields[13])) / os.sysconf("SC_CLK_TCK")
    connections = _connections(pid, sockets)
    return Vitals(
        time=now,
        work=work,
        cpu=cpu,
        unsent=tuple(queue for _, queue in connections),
        connecting=any(state == _SYN_SENT for state, _ in connections),
        asking=asking,
    )


def family(pid: int) -> set[tuple[int, str]]:
    """Returns a process and its descendants, each with its start time, because a number is given out again."""
    return {(each, fields[20]) for each, fields in _family(pid).items()}


def is_there(pid: int, start: str) -> bool:
    """Tells whether the very process that was seen still runs."""
    fields = _fields(pid)
    return fields is not None and fields[20] == start and fields[1] != "Z"


def _family(root: int) -> dict[int, list[str]]:
    """Returns a process and its descendants, each with the fields of its `stat`: name, state, parent, and so on."""
    everybody: dict[int, list[str]] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir(_PROC):
            if name.isdigit() and (fields := _fields(int(name))):
                everybody[int(name)] = fields
    children: dict[int, list[int]] = {}
    for pid, fields in everybody.items():
        children.setdefault(int(fields[2]), []).append(pid)
    found: dict[int, list[str]] = {}
    pending = [root]
    while pending:
        pid = pending.pop()
        if pid in everybody and pid not in found:
            found[pid] = everybody[pid]
            pending += children.get(pid, ())
    return found


def _fields(pid: int) -> list[str] | None:
    text = _read(pid, "stat").decode("utf-8", "replace")
    head, closing, rest = text.rpartition(")")
    return [head.partition("(")[2], *rest.split()] if closing else None


def _read(pid: int, name: str) -> bytes:
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:  # it ended, or is another user's
        return b""


def _open_files(pid: int) -> set[str]:
    folder = _PROC / str(pid) / "fd"
    found = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                found.add(os.readlink(folder / name))
    return found


def _moved(pid: int) -> int:
    """Returns how many bytes a process read and wrote."""
    lines = _read(pid, "io").split(b"\n")[:2]
    return sum(int(line.split()[1]) for line in lines if line)


def _connections(pid: int, sockets: set[str]) -> list[tuple[str, str]]:
    """Returns state and queues of each TCP connection that these sockets are."""
    found = []
    for table in ("net/tcp", "net/tcp6") if sockets else ():
        for row in _read(pid, table).decode("ascii", "replace").splitlines()[1:]:
            columns = row.split()
            if len(columns) > 9 and columns[9] in sockets:
                found.append((columns[3], columns[4]))
    return found
