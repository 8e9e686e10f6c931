"""What was hashed before, so that a file that did not change since is not read again.

A file is known by its device, inode, size and times. The times of a file system are coarse: what changes within one
tick of its clock looks unchanged, so nothing is believed of a file that was hashed as soon as it was written. All of
it may be deleted at any time (docs/format.md, chapter 16)."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

from gittrack.codec.pointer import Pointer
from gittrack.shared import make_folder, share

TICK = 0.011  # seconds; Linux stamps files by a clock that moves 100 times a second or more
_COARSE = 2.0  # seconds; where times are whole seconds, or FAT's
_MOST_LINES = 2000  # of one file here, before it is written again without what is stale
_LINE = re.compile(r"([0-9]+(?::[0-9-]+){4}) ([0-9a-f]{64})")


class Hashes:
    """The hashes that one clone knows."""

    def __init__(self, common_dir: Path) -> None:
        self._folder = common_dir / "gittrack" / "hashes"

    def find(self, status: os.stat_result) -> str | None:
        """Returns the SHA-256 of a file's content, if it is known and the file did not change since."""
        key = _key(status)
        found = None
        for line in self._lines(self._shard(status)):
            known = _LINE.fullmatch(line)
            if known and known[1] == key:
                found = known[2]
        return found

    def note(self, status: os.stat_result, pointer: Pointer, *, begun: float) -> None:
        """Writes down what a file's content is; begun: when its reading began, in Unix seconds.

        status: of the file as it was both before and after that."""
        if status.st_size != pointer.size or begun - youngest(status) < grain(status):
            return
        shard = self._shard(status)
        self._append(shard, f"{_key(status)} {pointer.sha256}")
        lines = self._lines(shard)
        if len(lines) > _MOST_LINES:
            self._shorten(shard, lines)

    def _shard(self, status: os.stat_result) -> Path:
        return self._folder / f"{(status.st_ino ^ status.st_dev) % 256:02x}"

    def _lines(self, file: Path) -> list[str]:
        try:
            return file.read_text("ascii", "replace").splitlines()
        except OSError:
            return []

    def _append(self, file: Path, line: str) -> None:
        with contextlib.suppress(OSError):  # it is hashed again then
            for folder in (self._folder.parent, self._folder):
                make_folder(folder)
            number = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(number, f"\n{line}\n".encode())  # a line that a killed writer left half ends here
            finally:
                os.close(number)
            share(file)

    def _shorten(self, file: Path, lines: list[str]) -> None:
        """Keeps the newest line of each inode, of the newest half; what another process adds meanwhile may be lost."""
        newest = {line.split(":")[1]: line for line in lines if _LINE.fullmatch(line)}
        kept = list(newest.values())[-_MOST_LINES // 2 :]
        new = file.with_name(f"{file.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            new.write_text("".join(f"{line}\n" for line in kept), "ascii")
            share(new)
            new.replace(file)


def youngest(status: os.stat_result) -> float:
    """Returns when a file last changed, in content or in name, in Unix seconds."""
    return max(status.st_mtime_ns, status.st_ctime_ns) / 1e9


def grain(status: os.stat_result) -> float:
    """Returns how many seconds may pass between two changes of a file that leave it with equal times."""
    return _COARSE if status.st_mtime_ns % 1_000_000_000 == 0 else TICK


def same(a: os.stat_result, b: os.stat_result) -> bool:
    """Tells whether two looks at a file saw the same content."""
    return _key(a) == _key(b)


def let_settle(status: os.stat_result) -> float:
    """Waits until a file that was written just now has an age that tells, and returns the time, in Unix seconds."""
    wait = youngest(status) + TICK - time.time()
    if 0 < wait <= TICK:
        time.sleep(wait)
    return time.time()


def _key(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"
