"""`Artifact`: files that are logged together under one name, as scripts that were written for W&B do it."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from gittrack.errors import NotFound, UsageError
from gittrack.terminal import printable


class Artifact:
    """Files with a name and a type, to be logged by `run.log_artifact(artifact)`.

    They are read when it is logged, and stand below its name in the run."""

    def __init__(
        self,
        name: str,
        type: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        self.name = name
        self.type = type
        self.description = description
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.aliases: list[str] = []
        self.paths: list[str] = []  # where its files are in the run, once it is logged
        self.version: str | None = None  # `v0`, `v1`: which of its name in the run it is, once it is logged
        self._files: list[tuple[Path, str | None]] = []
        self._values: list[tuple[Any, str]] = []
        self._made: Path | None = None

    def __repr__(self) -> str:
        kind = f" ({self.type})" if self.type else ""
        version = f":{self.version}" if self.version else ""
        count = len(list(self._sources())) + len(self._values)
        return printable(f"<Artifact {self.name}{version}{kind}, {count} {'file' if count == 1 else 'files'}>")

    def add_file(self, local_path: str | Path, name: str | None = None, **_: Any) -> Artifact:
        """Adds a file; name: its path in the artifact, by default its own name. Raises UsageError if it is none."""
        path = Path(local_path)
        if not path.is_file():
            raise UsageError(f"'{path}' is no file", hint="add_dir() adds a folder")
        self._files.append((path, name or path.name))
        return self

    def add_dir(self, local_path: str | Path, name: str | None = None, **_: Any) -> None:
        """Adds all files of a folder; name: the folder in the artifact, by default the artifact itself.

        Raises UsageError if it is none."""
        path = Path(local_path)
        if not path.is_dir():
            raise UsageError(f"'{path}' is no folder", hint="add_file() adds a file")
        self._files.append((path, name))

    def add(self, obj: Any, name: str, **_: Any) -> Any:
        """Adds an image, a table, a sound or a film, under a path without its end; returns it.

        Raises UsageError for anything else."""
        if not hasattr(type(obj), "kept_as"):
            raise UsageError(f"{type(obj).__name__} cannot be added", hint="add_file() adds a file")
        self._values.append((obj, name))
        return obj

    @contextlib.contextmanager
    def new_file(self, name: str, mode: str = "w", encoding: str | None = None) -> Iterator[IO[Any]]:
        """Yields a new file to write to, added under this name. Raises UsageError for a name that leads out."""
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise UsageError(f"'{name}' is no path in an artifact")
        if self._made is None:
            self._made = Path(tempfile.mkdtemp(prefix="gittrack-"))
            weakref.finalize(self, shutil.rmtree, self._made, ignore_errors=True)
        path = self._made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding=encoding or (None if "b" in mode else "utf-8")) as file:
            yield file
        self._files.append((path, name))

    def contents(self) -> Iterator[tuple[Path, str | None]]:
        """Yields each file and folder with its path in the artifact; None is the artifact itself."""
        yield from self._files

    def values(self) -> Iterator[tuple[Any, str]]:
        """Yields what becomes a file when it is logged, with its path in the artifact, without its end."""
        yield from self._values

    @property
    def has_values(self) -> bool:
        """Whether something of it becomes a file only when it is logged."""
        return bool(self._values)

    @property
    def size(self) -> int:
        """How many bytes its files have now, without what becomes a file when it is logged."""
        return sum(path.stat().st_size for path, _ in self._sources())

    @property
    def digest(self) -> str:
        """A SHA-256 over the paths and contents of its files as they are now, in hexadecimal; it reads them."""
        lines = sorted(f"{_sha256(path)} {name}\n" for path, name in self._sources())
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def get_path(self, name: str) -> Path:
        """Returns the file here that was added under a path; raises NotFound."""
        for path, known in self._sources():
            if known == name.strip("/"):
                return path
        raise NotFound(f"artifact '{self.name}' has no file '{name}'")

    def _sources(self) -> Iterator[tuple[Path, str]]:
        """Yields each file with its path in the artifact."""
        for path, name in self._files:
            if not path.is_dir():
                yield path, str(name)
                continue
            for file in sorted(each for each in path.rglob("*") if each.is_file()):
                below = file.relative_to(path).as_posix()
                yield file, f"{name}/{below}" if name else below

    def wait(self, timeout: float | None = None) -> Artifact:  # noqa: ARG002 - W&B's argument
        """Returns itself: it is logged when `log_artifact` returned."""
        return self


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
