"""`Artifact`: files that are logged together under one name, as scripts that were written for W&B do it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from gittrack.errors import UsageError


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
        self._files: list[tuple[Path, str | None]] = []
        self._values: list[tuple[Any, str]] = []
        self._made: Path | None = None

    def __repr__(self) -> str:
        return f"<artifact {self.name}, {len(self._files) + len(self._values)} file(s)>"

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

    def contents(self) -> Iterator[tuple[Path, str]]:
        """Yields each file and folder with its path in the run."""
        for path, name in self._files:
            yield path, f"{self.name}/{name}" if name else self.name

    def values(self) -> Iterator[tuple[Any, str]]:
        """Yields what becomes a file when it is logged, with its path in the run, without its end."""
        for value, name in self._values:
            yield value, f"{self.name}/{name}"

    def wait(self, timeout: float | None = None) -> Artifact:  # noqa: ARG002 - W&B's argument
        """Returns itself: it is logged when `log_artifact` returned."""
        return self
