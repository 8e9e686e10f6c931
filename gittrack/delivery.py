"""Files of runs on their way to where somebody wants them: into a folder of the user's, and nowhere else.

A run may come from a stranger, and the folder may be one in which strangers write. So each folder on the way is opened
by its name in the one above it, never through a symbolic link; a file is written beside its place, verified, and
renamed. What is there already is left alone, unless it is the same or the user says so."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gittrack.codec import tree
from gittrack.errors import DataRefused, GittrackError

_CHUNK = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FICLONE = 0x40049409  # ioctl_ficlone(2): share the bytes of another file


class Parcel(NamedTuple):
    """A file to deliver: below which folder, under which path, and what it is to hold.

    source: a file with the content, or the content itself; sha256, size: what a file must have."""

    folder: Path
    path: str
    source: Path | bytes
    sha256: str
    size: int
    executable: bool = False

    @property
    def target(self) -> Path:
        """Where it goes."""
        return self.folder / self.path


class Damaged(DataRefused):
    """A file that was to be delivered is not what it should be; `parcel` says which."""

    def __init__(self, parcel: Parcel) -> None:
        super().__init__(f"artifact '{parcel.path}' is damaged here", hint="`git track fsck --artifacts` mends it")
        self.parcel = parcel


class Delivery:
    """One delivery: remembers what it wrote, so that no two files of it get one place on a disk that folds case."""

    def __init__(self, *, force: bool = False, link: bool = False) -> None:
        """force: replace files that are there; link: make hard links, which are read-only, instead of copies."""
        self._force = force
        self._link = link
        self._made: dict[tuple[int, int], str] = {}

    def deliver(self, parcel: Parcel) -> bool:
        """Brings a file to its place; returns False if it was there already.

        Raises Damaged, and DataRefused for one that may not be written, or cannot be."""
        why = tree.why_refused(parcel.path)
        if why:
            raise DataRefused(f"artifact '{parcel.path}' is not written", cause=why)
        try:
            parcel.folder.mkdir(parents=True, exist_ok=True)
            return self._write(parcel)
        except OSError as exc:
            raise DataRefused(f"'{parcel.target}' cannot be written", cause=exc.strerror or str(exc)) from exc

    def _write(self, parcel: Parcel) -> bool:
        *above, name = parcel.path.split("/")
        with _inside(parcel.folder, above) as folder:
            there = _look(folder, name)
            if there is not None:
                if _is_same(parcel, folder, name, there):
                    self._made[there.st_dev, there.st_ino] = parcel.path
                    return False
                self._check(parcel, there)
                if not self._force:
                    raise DataRefused(
                        f"'{parcel.target}' is there already", cause="it is another file", hint="`--force` replaces it"
                    )
            temporary = f".gittrack-{os.urandom(8).hex()}"
            try:
                self._fill(parcel, folder, temporary)
                self._name(temporary, name, folder)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)
            made = os.stat(name, dir_fd=folder, follow_symlinks=False)
            self._made[made.st_dev, made.st_ino] = parcel.path
        return True

    def _check(self, parcel: Parcel, there: os.stat_result) -> None:
        """Raises DataRefused if a place cannot be given to a file at all."""
        other = self._made.get((there.st_dev, there.st_ino))
        if other is not None:
            raise DataRefused(
                f"artifact '{parcel.path}' is not written", cause=f"to this disk its name is that of '{other}'"
            )
        if stat.S_ISDIR(there.st_mode):
            raise DataRefused(f"'{parcel.target}' is not replaced", cause="it is a folder")

    def _name(self, temporary: str, name: str, folder: int) -> None:
        """Gives a file its name; raises FileExistsError if another one got it meanwhile, and may not be replaced."""
        if not self._force:
            try:
                os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            except FileExistsError:
                raise
            except OSError:  # a disk without hard links
                pass
            else:
                return
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)

    def _fill(self, parcel: Parcel, folder: int, name: str) -> None:
        """Makes a new file with the content; raises Damaged."""
        if self._link and isinstance(parcel.source, Path):
            _link(parcel, parcel.source, folder, name)
            if not _is_same(parcel, folder, name, os.stat(name, dir_fd=folder)):
                raise Damaged(parcel)
            return
        number = os.open(name, _NEW, 0o777 if parcel.executable else 0o666, dir_fd=folder)
        with os.fdopen(number, "wb", buffering=0) as out:
            if isinstance(parcel.source, bytes):
                _write(number, parcel.source)
                return
            with parcel.source.open("rb", buffering=0) as source:
                if _copy(source.fileno(), out.fileno()) != parcel.sha256:
                    raise Damaged(parcel)


def _link(parcel: Parcel, source: Path, folder: int, name: str) -> None:
    try:
        os.link(source, name, dst_dir_fd=folder)
    except OSError as exc:
        if exc.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK):
            raise
        raise GittrackError(
            f"'{parcel.target}' cannot be a hard link", cause=exc.strerror, hint="without `--link` it is a copy"
        ) from exc


@contextlib.contextmanager
def _inside(root: Path, above: list[str]) -> Iterator[int]:
    """Yields a descriptor of a folder below `root`; makes those on the way, and follows no link."""
    number = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # the user's word: it may be a link
    try:
        for at, part in enumerate(above):
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=number)
            try:
                below = os.open(part, _FOLDER, dir_fd=number)
            except OSError as exc:
                if exc.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise
                place = root.joinpath(*above[: at + 1])
                raise DataRefused(
                    f"nothing is written below '{place}'", cause="it is a symbolic link, or no folder"
                ) from exc
            os.close(number)
            number = below
        yield number
    finally:
        os.close(number)


def _look(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _is_same(parcel: Parcel, folder: int, name: str, there: os.stat_result) -> bool:
    """Tells whether an ordinary file that is there has the content."""
    if not stat.S_ISREG(there.st_mode) or there.st_size != parcel.size:
        return False
    try:
        number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return False
    with os.fdopen(number, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == parcel.sha256


def _copy(source: int, target: int) -> str:
    """Copies a file, or has the disk share its bytes; returns the SHA-256 of what was read."""
    shared = _shares(source, target)
    digest = hashlib.sha256()
    while chunk := os.read(source, _CHUNK):
        digest.update(chunk)
        if not shared:
            _write(target, chunk)
    return digest.hexdigest()


def _write(number: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(number, view) :]


def _shares(source: int, target: int) -> bool:
    try:
        import fcntl  # noqa: PLC0415 - not on every system

        fcntl.ioctl(target, _FICLONE, source)
    except (ImportError, OSError):
        return False
    return True
