"""The files of a run that is being recorded.

A checkpoint of gigabytes must not hold up the loop that made it. `log_artifact` only makes the file ours, by a clone
or a copy; one thread beside hashes it, gives it its place among the payloads, and notes that. A process that dies in
between leaves a copy and a note, from which whoever commits the run does the rest (`seal`)."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from gittrack import artifacts, leftovers
from gittrack.codec.pointer import Pointer
from gittrack.errors import DataRefused, GittrackError
from gittrack.hashes import Hashes, let_settle, same
from gittrack.kept import Kept
from gittrack.payloads import Payloads
from gittrack.placing import Copying, place
from gittrack.recorder import Recorder, say

INLINE = 64 * 1024  # bytes; what is larger is a payload, unless the run's header says otherwise


class Filing(Recorder):
    """The part of an active run that keeps files."""

    inline = INLINE
    _beside: _Beside | None = None

    def __init__(self, *args: Any, **about: Any) -> None:
        super().__init__(*args, **about)
        self._kept = Kept(self._replaced)

    def log_artifact(
        self,
        path: Any,
        name: str | None = None,
        type: str | None = None,
        *,
        aliases: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        step: int | None = None,
        link: bool = False,
    ) -> list[str]:
        """Keeps a file, or all files of a folder, with the run; returns their paths in the run.

        They are kept as they are now. Training waits only for a copy, where the file system can clone a file for next
        to nothing; `link=True` makes it a hard link instead: the file becomes read-only, and must not be written to in
        place any more. Never raises: a file that cannot be kept is counted, with a line on stderr."""
        tags = [aliases] if isinstance(aliases, str) else list(aliases or ())
        plain, _ = self._plain(metadata, "metadata") if metadata else (None, [])
        about = {"name": name, "type": type, "aliases": tags, "metadata": plain, "step": step}
        kept: list[str] = []
        try:
            for source, target in artifacts.find(Path(path), name):
                try:
                    artifacts.check_link(source, Path(path))
                    kept += self._keep(source, target, about, link=link)
                except GittrackError as exc:
                    self._refused(exc)
        except GittrackError as exc:
            self._refused(exc)
        except Exception as exc:  # noqa: BLE001 - training goes on whatever happens here
            self._call_failed("log_artifact", exc)
        return kept

    def _refused(self, error: GittrackError) -> None:
        self.count(dropped=1)
        for line in error.lines():
            say(line)

    def _keep(self, source: Path, target: str, about: Mapping[str, Any], *, link: bool = False) -> list[str]:
        """Keeps one file under a path of the run; returns that path, or nothing. Raises DataRefused."""
        status, target, hidden = artifacts.checked(source, target, redacting=self.redacting)
        home = leftovers.home_of(self.folder)
        if status.st_size > self.inline:
            item = self._keep_large(source, status, home, target=target, link=link)
        else:
            item = artifacts.take(source, status, home / "files")
            if self._writer:
                self._writer.unsynced.append(home / "files" / item["file"])
        copy = home / "files" / str(item.get("file"))
        warning = artifacts.warning(target, copy, item["size"]) if self.redacting and "file" in item else None
        self.hid("artifacts", hidden)
        if warning:
            say(f"warning: {warning}")
        if not self._note("artifact", path=target, **item, **about):
            return []
        self._kept.put(target, item)
        return [target]

    def _replaced(self, target: str) -> None:
        stem, dot, end = target.rpartition(".")
        other = f"{stem}-{{step}}.{end}" if dot and stem else f"{target}-{{step}}"
        self._say_once(
            f"replaced:{target}",
            f"warning: '{target}' was logged before with other content, which the newest replaces; "
            f'to keep both, give each a name: name=f"{other}"',
        )

    def _keep_large(
        self, source: Path, status: os.stat_result, home: Path, *, target: str, link: bool
    ) -> dict[str, Any]:
        """Makes a large file ours; returns what the journal says of it: its hash, if it is known, else its copy."""
        common_dir = home.parents[2]
        payloads, known = Payloads(common_dir), Hashes(common_dir)
        begun = let_settle(status)
        try:
            status = os.stat(source)
            sha256 = known.find(status)
            if sha256 and payloads.use(Pointer(sha256, status.st_size)):
                return {"size": status.st_size, "sha256": sha256, "pointer": True}
            number, descriptor = artifacts.new_file(home / "files")
            os.close(descriptor)
        except OSError as exc:
            raise artifacts.not_kept(source, exc) from exc
        copying = Copying(home / "files" / number, status.st_size)
        filed = _Filed(source, status, begun, number, target, copying, link=link)
        if self._beside is None:
            self._beside = _Beside(payloads, known, stored=self._stored, lost=self._not_filed)
        self._beside.add(filed)
        try:
            place(source, status, copying, link=link)
        except BaseException as exc:
            with contextlib.suppress(OSError):
                if not link:  # who hashes it may have it open, and would keep its room
                    os.truncate(copying.target, 0)
                copying.target.unlink()
            if isinstance(exc, OSError):
                raise artifacts.not_kept(source, exc) from exc
            raise
        return {"size": status.st_size, "file": number, "pointer": True}

    def _stored(self, number: str, pointer: Pointer) -> None:
        self._note("stored", file=number, sha256=pointer.sha256, size=pointer.size)
        self._kept.hashed(number, pointer.sha256)

    def _not_filed(self, target: str, why: str) -> None:
        self._say_once(
            f"filed:{target}", f"warning: artifact '{target}' of run {self.label} could not be stored ({why})"
        )

    def wait_for_files(self) -> None:
        """Returns when every file that was logged is hashed and in its place, or cannot be."""
        if self._beside is not None:
            self._beside.drain()

    def forget_files(self) -> None:
        """Leaves the files that are being hashed to the process that logged them: this one is its child."""
        self._beside = None


class _Filed:
    """A large file on its way from where it was logged to the payloads."""

    def __init__(  # noqa: PLR0917 - parts of one thing
        self,
        source: Path,
        status: os.stat_result,
        begun: float,
        number: str,
        target: str,
        copying: Copying,
        *,
        link: bool,
    ) -> None:
        self.source, self.status, self.begun = source, status, begun
        self.number, self.target, self.copying = number, target, copying
        self.link = link


class _Beside:
    """The thread that hashes what was logged, one file after the other, as it was logged."""

    def __init__(
        self,
        payloads: Payloads,
        known: Hashes,
        *,
        stored: Callable[[str, Pointer], None],
        lost: Callable[[str, str], None],
    ) -> None:
        self._payloads, self._known = payloads, known
        self._stored, self._lost = stored, lost
        self._queue: queue.Queue[_Filed] = queue.Queue()
        self._thread: threading.Thread | None = None

    def add(self, filed: _Filed) -> None:
        """Takes a file whose copy is being made; one that no thread is left for waits for whoever commits the run."""
        self._queue.put(filed)
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="gittrack-files", daemon=True)
            with contextlib.suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def drain(self) -> None:
        """Returns when nothing is left to do."""
        if self._thread is not None:
            self._queue.join()

    def _work(self) -> None:
        while True:
            filed = self._queue.get()
            try:
                self._file(filed)
            except GittrackError as exc:
                with contextlib.suppress(OSError):  # so that whoever commits the run does not take it either
                    filed.copying.target.unlink()
                self._lost(filed.target, str(exc))
            except OSError as exc:  # the disk is full: who commits the run tries again
                self._lost(filed.target, exc.strerror or str(exc))
            finally:
                self._queue.task_done()

    def _file(self, filed: _Filed) -> None:
        copy = filed.copying.target
        pointer = filed.copying.digest()
        if pointer is None:
            return
        if filed.link and not _unchanged(filed.status, os.stat(copy)):
            raise DataRefused("it was written to after it was linked")
        self._payloads.file(copy, pointer)
        self._stored(filed.number, pointer)
        with contextlib.suppress(OSError):
            now = os.stat(filed.source)
            if now.st_ino == os.stat(copy).st_ino:  # a link, which changed a time of it, and by now long ago
                self._known.note(now, pointer, begun=time.time())
            elif same(now, filed.status):
                self._known.note(now, pointer, begun=filed.begun)


def _unchanged(a: os.stat_result, b: os.stat_result) -> bool:
    """Tells whether the content of a linked file is what it was; its links and rights may have changed."""
    return (a.st_size, a.st_mtime_ns) == (b.st_size, b.st_mtime_ns)
