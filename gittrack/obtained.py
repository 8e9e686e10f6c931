"""A file or folder of a run, as a script holds it: its content comes when it is asked for, and not before."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from gittrack import finding, obtaining, versions
from gittrack.delivery import Damaged, Delivery, Parcel
from gittrack.errors import UsageError
from gittrack.finding import Found
from gittrack.obtaining import File
from gittrack.refname import RunId
from gittrack.repo import Repo
from gittrack.store import Detail
from gittrack.terminal import printable


class RecordedArtifact:
    """A file of a run, or a folder of such; made by `RecordedRun.artifact()` and `use_artifact()`."""

    def __init__(self, place: Repo, found: Found) -> None:
        """found: the files, and the run that they are of."""
        self._place = place
        self._found = found

    def __repr__(self) -> str:
        count = f", {len(self._found.files)} file(s)" if self.is_folder else ""
        where = printable(f"{self.run_name}:{self.within or '.'}")
        return f"<artifact {where} ({self.run}){count}, {self.size} bytes>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecordedArtifact) and (self.run, self.within) == (other.run, other.within)

    def __hash__(self) -> int:
        return hash((self.run, self.within))

    # What it is ------------------------------------------------------------------------------------------------------

    @property
    def run(self) -> RunId:
        """The id of the run it is of."""
        return self._found.run.id

    @property
    def run_name(self) -> str:
        """The name of that run."""
        return self._found.run.name

    @property
    def within(self) -> str:
        """Its path below the run's `artifacts/`."""
        return self._found.path

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self._found.whole

    @cached_property
    def files(self) -> tuple[RecordedArtifact, ...]:
        """The files of a folder, sorted by path; of a file, itself."""
        if not self.is_folder:
            return (self,)
        run = self._found.run
        return tuple(
            RecordedArtifact(self._place, Found(run, file.path, (file,), whole=False)) for file in self._found.files
        )

    def __iter__(self) -> Iterator[RecordedArtifact]:
        return iter(self.files)

    @property
    def size(self) -> int:
        """How many bytes its content has, or those of all its files."""
        return sum(file.item.size for file in self._found.files)

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of its content, in hexadecimal; None of a folder."""
        return None if self.is_folder else self._first.item.sha256

    @property
    def name(self) -> str:
        """The name it was logged under; by default the last part of its path."""
        return self._first.item.name or self.within.rpartition("/")[2] or self.run_name

    @property
    def type(self) -> str | None:
        """The type it was logged with; that of a folder is the one of its first file."""
        return self._first.item.type

    @property
    def aliases(self) -> tuple[str, ...]:
        """The aliases it was logged with."""
        return self._first.item.aliases

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What was said of it."""
        return self._first.item.metadata or {}

    @property
    def version(self) -> str:
        """Which version of its name in its run it is: `v0`, `v1`, ..."""
        return f"v{versions.number_of(self.name, self._first.path) or 0}"

    @property
    def digest(self) -> str:
        """The SHA-256 of its content, or of a folder over the paths and contents of its files."""
        if not self.is_folder:
            return self._first.item.sha256
        above = len(self.within) + 1 if self.within else 0
        lines = sorted(f"{file.item.sha256} {file.path[above:]}\n" for file in self._found.files)
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def wait(self, timeout: float | None = None) -> RecordedArtifact:  # noqa: ARG002 - W&B's argument
        """Returns itself: it is there."""
        return self

    @property
    def step(self) -> int | None:
        """The step it was logged at."""
        return self._first.item.step

    @property
    def _first(self) -> File:
        return self._found.files[0]

    # Its content -----------------------------------------------------------------------------------------------------

    def path(self) -> Path:
        """Returns a read-only file here with the content, which comes from a store if it has to.

        Others read the same file: to change it, `download()` makes a copy. Its name says nothing, for it is found by
        its content. Raises UsageError for a folder, and a GittrackError if the content cannot be had."""
        self._no_folder("path")
        return self._brought()[0][1]

    def open(self) -> BinaryIO:
        """Returns the content as a binary file object; raises what `path` raises."""
        self._no_folder("open")
        return self.path().open("rb")

    def read(self) -> bytes:
        """Returns the content; raises what `path` raises."""
        self._no_folder("read")
        return self.path().read_bytes()

    def download(self, root: str | Path | None = None, **_: Any) -> Path:
        """Copies it into a folder, and returns where it is: of a folder the folder, with the same files below it.

        root: the folder, by default `artifacts/RUN` in the current one, with the run's id. What is there is replaced.
        Raises GittrackError if it cannot be had or not be written."""
        into = Path("artifacts", self.run) if root is None else Path(root)
        above = len(self.within) + 1 if self.is_folder and self.within else 0
        if not self.is_folder:
            above = self.within.rfind("/") + 1
        delivery = Delivery(force=True)
        with obtaining.reading(self._place, self._found.run) as detail:
            large = [file for file in self._found.files if file.pointer]
            obtaining.bring(self._place, detail, large)  # together
            for file in self._found.files:
                self._deliver(delivery, detail, file, into, file.path[above:])
        return into if self.is_folder else into / self.within[above:]

    def _deliver(self, delivery: Delivery, detail: Detail, file: File, into: Path, path: str) -> None:
        """Writes a file to its place; one that is damaged here is brought once more."""
        if file.pointer is None:
            content = obtaining.read_blob(detail, file)
            delivery.deliver(Parcel(into, path, content, hashlib.sha256(content).hexdigest(), len(content)))
            return
        for is_last in (False, True):
            (source,) = obtaining.bring(self._place, detail, [file])
            try:
                delivery.deliver(Parcel(into, path, source, *file.pointer))
                return
            except Damaged:
                if is_last:
                    raise
                with contextlib.suppress(FileNotFoundError):
                    obtaining.payloads_of(self._place).quarantine(file.pointer.sha256)

    def get_path(self, path: str) -> RecordedArtifact:
        """Returns a file or folder below this one; raises NotFound."""
        below = f"{self.within}/{path.strip('/')}" if self.within else path
        return RecordedArtifact(self._place, finding.below(self._place, self._found.run, below))

    def _brought(self) -> list[tuple[str, Path]]:
        with obtaining.reading(self._place, self._found.run) as detail:
            files = self._found.files
            return list(zip((file.path for file in files), obtaining.bring(self._place, detail, files), strict=True))

    def _no_folder(self, what: str) -> None:
        if self.is_folder:
            raise UsageError(
                f"'{self.within or self.run_name}' is a folder, which has no {what}()",
                hint="download(FOLDER) copies it; .files are its files",
            )
