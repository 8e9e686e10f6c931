"""The one door to objects and refs.

All writing goes through the user's git executable: it knows every repository format, honours the user's settings,
and is the reference for what is durable. Nothing here touches the user's index, HEAD, work tree or config."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from gittrack import locks
from gittrack.errors import DataRefused, GitFailed, NotARepository
from gittrack.refname import Kind, Oid, is_oid

# Internal calls run nobody's hooks, start no daemon and no gc, and wait for locks instead of failing.
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "core.filesRefLockTimeout=5000",
    "core.packedRefsTimeout=10000",
    "advice.detachedHead=false",
)
_PREFIX = tuple(part for setting in _SETTINGS for part in ("-c", setting))
_DROPPED = frozenset(
    "GIT_INDEX_FILE GIT_PREFIX GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_NAMESPACE GIT_QUARANTINE_PATH "
    "GIT_LITERAL_PATHSPECS GIT_GLOB_PATHSPECS GIT_NOGLOB_PATHSPECS GIT_ICASE_PATHSPECS GIT_EXTERNAL_DIFF GIT_DIFF_OPTS "
    "GIT_GRAFT_FILE GIT_SHALLOW_FILE GIT_REPLACE_REF_BASE GIT_AUTHOR_DATE GIT_COMMITTER_DATE".split()
)
GIT = "git"  # the one on the user's PATH
MAX_OBJECT = 1024 * 1024 * 1024
_RETRIES = 8
_commit_times: dict[Oid, int] = {}


class RefMoved(GitFailed):
    """A ref was not at the value it was expected to have."""


class Ref(NamedTuple):
    """A ref and the object it names."""

    name: str
    oid: Oid


class Update(NamedTuple):
    """A change of a ref: `old` None means it must not exist, `new` None deletes it."""

    ref: str
    new: Oid | None
    old: Oid | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a repository is; all paths are absolute."""

    git_dir: Path
    common_dir: Path
    work_tree: Path | None
    prefix: str
    algorithm: str

    @property
    def oid_bytes(self) -> int:
        """The length of an object id in bytes."""
        return 32 if self.algorithm == "sha256" else 20


def no_git() -> GitFailed:
    """Returns the error for a machine without git."""
    return GitFailed("git is not installed, or not on PATH", hint="install git 2.36 or newer")


def discover(directory: Path, environ: Mapping[str, str]) -> Place:
    """Returns the repository that git finds from `directory`; raises NotARepository."""
    asked = ["--path-format=absolute", "--git-dir", "--git-common-dir", "--show-object-format", "--show-prefix"]
    try:
        done = subprocess.run(
            [GIT, "rev-parse", *asked, "--show-toplevel"],
            cwd=directory,
            env={**environ, "LC_ALL": "C"},
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as exc:
        raise (no_git() if exc.filename == GIT else NotARepository(f"'{directory}' is not there any more")) from exc
    lines = os.fsdecode(done.stdout).split("\n")[:-1]
    if len(lines) < 4:
        said = os.fsdecode(done.stderr).strip()
        cause = said.split("\n")[0].removeprefix("fatal: ")
        hint = "run `git init` here, or go to a repository"
        if "dubious ownership" in said:
            hint = said.rsplit("\n", 1)[-1].strip()
        raise NotARepository(f"'{directory}' is not in a git repository", cause=cause, hint=hint)
    return Place(
        git_dir=Path(lines[0]),
        common_dir=Path(lines[1]),
        algorithm=lines[2],
        prefix=lines[3],
        work_tree=Path(lines[4]) if len(lines) > 4 else None,
    )


class Git:
    """One repository, through its git executable.

    `environ` is the environment that git runs in; discovery is done, so the repository is named explicitly."""

    def __init__(self, place: Place, environ: Mapping[str, str]) -> None:
        self.place = place
        self.environ = {key: value for key, value in environ.items() if key not in _DROPPED}
        self.environ |= {"GIT_DIR": str(place.git_dir), "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
        self.environ.pop("GIT_WORK_TREE", None)
        if place.work_tree:
            self.environ["GIT_WORK_TREE"] = str(place.work_tree)

    def command(self, *args: str, settings: Sequence[str] = ()) -> list[str]:
        """Returns the command line of a git that runs nobody's hooks and starts nothing in the background."""
        return [GIT, *_PREFIX, *(part for setting in settings for part in ("-c", setting)), *args]

    def run(
        self,
        *args: str,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        settings: Sequence[str] = (),
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs git and returns what it answered, whatever its exit code."""
        try:
            return subprocess.run(
                self.command(*args, settings=settings),
                input=input,
                stdin=subprocess.DEVNULL if input is None else None,
                env={**self.environ, **(env or {})},
                cwd=cwd or self.place.work_tree or self.place.git_dir,
                capture_output=True,
                check=False,
            )
        except FileNotFoundError as exc:
            if exc.filename == GIT:
                raise no_git() from exc
            raise GitFailed(f"'{exc.filename}' is not there any more") from exc

    def ask(
        self,
        *args: str,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        settings: Sequence[str] = (),
        cwd: Path | None = None,
    ) -> bytes:
        """Runs git and returns its output; raises GitFailed with git's own words as the cause."""
        done = self.run(*args, input=input, env=env, settings=settings, cwd=cwd)
        if done.returncode:
            raise failed(args[0], done.stderr)
        return done.stdout

    # Reading ----------------------------------------------------------------------------------------------------

    def refs(self, *prefixes: str) -> list[Ref]:
        """Returns the refs below `prefixes`, sorted by name."""
        lines = self.ask("for-each-ref", "--format=%(objectname) %(refname)", *prefixes).decode("utf-8", "replace")
        return [Ref(name, Oid(oid)) for oid, _, name in (line.partition(" ") for line in lines.splitlines())]

    def messages(self, prefix: str) -> Iterator[tuple[Ref, bytes | None]]:
        """Yields each ref below `prefix` that names a commit, with the commit's message; None where it is missing.

        One process for all of them; the size stands before the text, so a text can hold anything."""
        form = "--format=%(objecttype) %(objectname) %(refname) %(contents:size)%0a%(contents)"
        seen: set[str] = set()
        with subprocess.Popen(
            [GIT, *_PREFIX, "for-each-ref", form, prefix],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.environ,
            cwd=self.place.work_tree or self.place.git_dir,
        ) as process:
            stream: Any = process.stdout  # read as it comes: git looks up the next ones while we parse
            while head := stream.readline():
                kind, oid, name, size = head.rstrip(b"\n").split(b" ")
                ref = Ref(name.decode("utf-8", "replace"), Oid(oid.decode()))
                message = stream.read(int(size or 0))
                stream.read(1)
                seen.add(ref.name)
                if kind == b"commit":
                    yield ref, message
        if process.returncode:  # an object is missing, and then git ends there
            yield from self._messages_one_by_one(prefix, seen)

    def _messages_one_by_one(self, prefix: str, seen: set[str]) -> Iterator[tuple[Ref, bytes | None]]:
        with self.objects() as objects:
            for ref in self.refs(prefix):
                found = objects.read(ref.oid) if ref.name not in seen else (ref.oid, "blob", b"")
                if found is None:
                    yield ref, None
                elif found[1] == "commit":
                    yield ref, found[2].partition(b"\n\n")[2]

    def resolve(self, revision: str) -> Oid | None:
        """Returns the commit that git's own revision syntax names, or None."""
        try:
            done = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}")
        except ValueError:  # no command line can hold it
            return None
        found = done.stdout.decode("utf-8", "replace").strip()
        return Oid(found) if done.returncode == 0 and is_oid(found) else None

    def commit_time(self, oid: Oid) -> int:
        """Returns the commit date of a commit in Unix seconds; a commit never changes, so it is asked for once."""
        if oid not in _commit_times:
            _commit_times[oid] = int(self.ask("show", "-s", "--format=%ct", oid))
        return _commit_times[oid]

    def objects(self) -> Objects:
        """Returns a reader of objects; use it as a context manager."""
        return Objects(self)

    def count(self, tip: Oid, *, without: Oid) -> int:
        """Returns how many commits that are no joins are reachable from `tip` and not from `without`."""
        args = ("--count", "--invert-grep", "--grep=^Join: 1$", tip, f"^{without}")
        return int(self.ask("rev-list", *args))

    def is_ancestor(self, old: Oid, new: Oid) -> bool:
        """Tells whether `old` is reachable from `new`."""
        return self.run("merge-base", "--is-ancestor", old, new).returncode == 0

    @property
    def empty_tree(self) -> Oid:
        """The id of the tree without entries."""
        from gittrack.codec.tree import make_object  # noqa: PLC0415 - only to compare with nothing

        return make_object("tree", b"", algorithm=self.place.algorithm).oid

    # Writing ----------------------------------------------------------------------------------------------------

    def write_pack(self, pack: bytes, *, keep: str) -> str:
        """Stores a pack durably and protected from gc; returns its name (the hash in `pack-<hash>.pack`).

        git checks every object and every link first. Retried, because a `git gc` beside us removes the temporary
        file that index-pack is writing."""
        attempt = 0
        while True:
            args = ("index-pack", "--stdin", "--strict", f"--keep={keep}")
            done = self.run(*args, input=pack, settings=("core.fsync=all",))
            if done.returncode == 0:
                name, folder = done.stdout.decode().split()[-1], self.place.common_dir / "objects" / "pack"
                sync_name(folder / f"pack-{name}.keep")  # which git does not; an empty one is nobody's
                sync_name(folder)
                return name
            attempt += 1
            if attempt == _RETRIES or (b"tmp_" not in done.stderr and b"No such file" not in done.stderr):
                raise failed("index-pack", done.stderr)
            pause(attempt)

    def update_refs(self, updates: Iterable[Update], *, durable: bool = True) -> None:
        """Changes refs, all or none, each from its expected old value; raises RefMoved if one has another.

        Durable means that they survive a power cut; git syncs the files (from 2.36), we sync the directories."""
        updates = list(updates)
        zero = "0" * (2 * self.place.oid_bytes)
        lines = [
            f"update {change.ref}\0{change.new}\0{change.old or zero}\0"
            if change.new
            else f"delete {change.ref}\0{change.old or ''}\0"
            for change in updates
        ]
        # The file itself is synced in any case: a power cut would leave an empty one, over which plain git stumbles.
        setting = "core.fsync=all" if durable else "core.fsync=reference"
        command, given = ("update-ref", "-z", "--stdin"), "".join(lines).encode()
        done = self.run(*command, input=given, settings=(setting,))
        if b".lock'" in done.stderr and locks.remove_abandoned(self.place.common_dir, [u.ref for u in updates]):
            done = self.run(*command, input=given, settings=(setting,))
        if done.returncode:
            error = RefMoved if b"but expected" in done.stderr or b"already exists" in done.stderr else GitFailed
            raise error("cannot update a run's ref", cause=first_line(done.stderr))
        if durable:
            self.sync_refs(change.ref for change in updates if change.new)

    def sync_refs(self, refs: Iterable[str]) -> None:
        """Makes refs survive a power cut, with the names of their folders; raises OSError."""
        common = self.place.common_dir
        folders: set[Path] = set()
        for ref in refs:
            path = common / ref
            sync_name(path)
            folders.update(parent for parent in path.parents if parent.is_relative_to(common / "refs"))
        for folder in [*folders, common / "reftable"]:
            sync_name(folder)


class Objects:
    """Reads objects through one `git cat-file --batch`."""

    def __init__(self, git: Git) -> None:
        self._process = subprocess.Popen(
            [GIT, *_PREFIX, "cat-file", "--batch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=git.environ,
            cwd=git.place.work_tree or git.place.git_dir,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.wait()

    def read(self, name: str, *, limit: int = MAX_OBJECT) -> tuple[Oid, Kind, bytes] | None:
        """Returns id, kind and body of the object that `name` names, or None; raises DataRefused above `limit` bytes.

        The size comes before the body, and a body that is too large is never kept in memory here."""
        send, receive = self._process.stdin, self._process.stdout
        if send is None or receive is None or "\n" in name:
            return None
        try:
            send.write(name.encode("utf-8", "surrogateescape") + b"\n")
            send.flush()
        except OSError as exc:
            raise GitFailed("cannot read objects", cause="git cat-file ended") from exc
        head = receive.readline()
        words = head.split()
        if not words:
            raise GitFailed("cannot read objects", cause="git cat-file ended", hint="see `git fsck`")
        if len(words) != 3 or not words[2].isdigit():
            return None
        size = int(words[2])
        if size > limit:
            _skip(receive, size + 1)
            raise DataRefused(f"cannot read '{name}'", cause=f"it has {size} bytes; the limit is {limit}")
        body = receive.read(size)
        receive.read(1)
        kind: Any = words[1].decode()
        return Oid(words[0].decode()), kind, body


def _skip(stream: IO[bytes], size: int) -> None:
    while size > 0:
        size -= len(stream.read(min(size, 1 << 20)) or b"x" * size)


def pause(attempt: int) -> None:
    """Waits before another attempt: 2 to 20 ms, longer each time, by chance so that two do not meet again."""
    time.sleep((2 + os.urandom(1)[0] / 14) / 1000 * min(attempt + 1, 10))


def first_line(stderr: bytes) -> str:
    """Returns git's complaint without its prefix."""
    lines = [line for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    chosen = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[0] if lines else "")
    return chosen.removeprefix("fatal: ").removeprefix("error: ").strip()


def failed(command: str, stderr: bytes) -> GitFailed:
    """Returns the error for a git command that failed."""
    return GitFailed(f"git {command} failed", cause=first_line(stderr) or None)


def sync_file(path: Path) -> None:
    """Makes a file's content survive a power cut."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_name(path: Path) -> None:
    """Makes a file, or the names in a folder, survive a power cut; raises OSError if the disk does not take it.

    What is not there (a ref may be packed) and what no system syncs (a folder, on some) is passed over."""
    try:
        sync_file(path)
    except OSError as exc:
        if exc.errno in (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
