"""The one door to objects and refs.

All writing goes through the user's git executable: it knows every repository format, honours the user's settings,
and is the reference for what is durable. Nothing here touches the user's index, HEAD, work tree or config.
Where there is no executable, `libgit` answers the same calls."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gittrack import boundary, locks
from gittrack.errors import GitFailed, NotARepository
from gittrack.objects import Objects
from gittrack.porcelain import Porcelain, failed, first_line
from gittrack.refname import Oid, is_oid
from gittrack.shared import share

# Internal calls run nobody's hooks, start no daemon and no gc, and wait for locks instead of failing.
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "hook.reference-transaction.enabled=false",  # git 2.54 takes hooks from its settings too, and 2.55 has this switch
    "hook.post-index-change.enabled=false",
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
_RETRIES = 8
known_commits: dict[Oid, tuple[Oid, int]] = {}


class GitMissing(GitFailed):
    """There is no git executable."""


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


def no_git() -> GitMissing:
    """Returns the error for a machine without git."""
    return GitMissing("git is not installed, or not on PATH", hint="install git 2.36 or newer")


def discover(directory: Path, environ: Mapping[str, str]) -> Place:
    """Returns the repository that git finds from `directory`; raises NotARepository, or GitMissing."""
    asked = ("--git-dir", "--git-common-dir", "--show-object-format", "--show-prefix", "--show-toplevel")
    done = _rev_parse(directory, environ, *asked)
    lines = os.fsdecode(done.stdout).split("\n")[:-1]
    if len(lines) < 4:
        raise _not_found(directory, os.fsdecode(done.stderr).strip())
    if len(lines) > len(asked):  # a folder with a line end in its name
        answers = [_rev_parse(directory, environ, question) for question in asked]
        lines = [os.fsdecode(answer.stdout)[:-1] for answer in answers if not answer.returncode]
    return Place(
        git_dir=Path(lines[0]),
        common_dir=Path(lines[1]),
        algorithm=lines[2],
        prefix=lines[3],
        work_tree=Path(lines[4]) if len(lines) > 4 else None,
    )


def _rev_parse(directory: Path, environ: Mapping[str, str], *asked: str) -> subprocess.CompletedProcess[bytes]:
    command = [GIT, "rev-parse", "--path-format=absolute", *asked]
    try:
        return subprocess.run(command, cwd=directory, env={**environ, "LC_ALL": "C"}, capture_output=True, check=False)
    except FileNotFoundError as exc:
        raise (no_git() if exc.filename == GIT else NotARepository(f"'{directory}' is not there any more")) from exc
    except PermissionError as exc:  # a `git` on PATH that may not be run, or a folder that may not be entered
        raise (no_git() if exc.filename == GIT else NotARepository(f"'{directory}' cannot be entered")) from exc


def _not_found(directory: Path, said: str) -> NotARepository:
    """Returns the error for a place where git finds no repository, or one that it does not open."""
    first, _, rest = said.removeprefix("fatal: ").partition("\n")
    if "not a git repository" in first or not first:
        hint = "run `git init` here, or go to a repository"
        return NotARepository(f"'{directory}' is not in a git repository", cause=first, hint=hint)
    hint = "name it with GIT_DIR or --git-dir" if "safe.bareRepository" in first else "a newer git may know it"
    if "dubious ownership" in first:
        hint = rest.rpartition("\n")[2].strip()
    cause = f"{first} {', '.join(rest.split())}" if first.endswith(":") else first
    return NotARepository(f"git refuses the repository of '{directory}'", cause=cause, hint=hint)


class Git(Porcelain):
    """One repository, through its git executable.

    `environ` is the environment that git runs in; discovery is done, so the repository is named explicitly."""

    def __init__(self, place: Place, environ: Mapping[str, str]) -> None:
        self.place = place
        self.environ = {key: value for key, value in environ.items() if key not in _DROPPED}
        self.environ |= {"GIT_DIR": str(place.git_dir), "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
        self.environ.pop("GIT_WORK_TREE", None)
        if place.work_tree:
            self.environ["GIT_WORK_TREE"] = str(place.work_tree)
        self.environ |= boundary.environment(place.common_dir)

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

    def create(self) -> None:
        """Makes the bare repository that `place` describes."""
        path = self.place.git_dir
        args = ("init", "--quiet", "--bare", "--template=", f"--object-format={self.place.algorithm}", str(path))
        self.ask(*args, cwd=path.parent, env={"GIT_DEFAULT_REF_FORMAT": "files"})

    # Reading ----------------------------------------------------------------------------------------------------

    def refs(self, *prefixes: str) -> list[Ref]:
        """Returns the refs below `prefixes`, sorted by name."""
        lines = self.ask("for-each-ref", "--format=%(objectname) %(refname)", *prefixes).decode("utf-8", "replace")
        return [Ref(name, Oid(oid)) for oid, _, name in (line.partition(" ") for line in lines.splitlines())]

    def resolve(self, revision: str) -> Oid | None:
        """Returns the commit that git's own revision syntax names, or None."""
        try:
            done = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}")
        except ValueError:  # no command line can hold it
            return None
        found = done.stdout.decode("utf-8", "replace").strip()
        return Oid(found) if done.returncode == 0 and is_oid(found) else None

    def commit_facts(self, oid: Oid) -> tuple[Oid, int]:
        """Returns tree and commit date of a commit; it never changes, so it is asked for once."""
        if oid not in known_commits:
            lines = self.ask("cat-file", "commit", oid).partition(b"\n\n")[0].split(b"\n")
            date = next(line for line in lines if line.startswith(b"committer ")).rsplit(b" ", 2)[1]
            known_commits[oid] = Oid(lines[0].split()[1].decode()), int(date)
        return known_commits[oid]

    def has_object(self, oid: Oid) -> bool:
        """Tells whether an object is here; asked in any other way, a partial clone would go and fetch it."""
        return bool(self.run("rev-parse", f"--disambiguate={oid}").stdout.strip())

    def objects(self, *, beside: bool = True) -> Objects:
        """Returns a reader of objects; use it as a context manager.

        beside: also of those that lie beside a shallow clone. One that is partial too has all files of its runs, and
        is not to go and fetch the code below a run each time that somebody looks whether it is there."""
        env = dict(self.environ)
        if not beside:
            env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = ""
        if boundary.is_cut(self.place.common_dir):
            env["GIT_NO_LAZY_FETCH"] = "1"  # git < 2.39.4 does not know it, and fetches a commit
        return Objects([GIT, *_PREFIX], env, self.place.work_tree or self.place.git_dir)

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
                folder, name = self.place.common_dir / "objects" / "pack", done.stdout.decode().split()[-1]
                share(folder / f"pack-{name}.keep")  # which git leaves to its maker alone
                sync_name(folder / f"pack-{name}.keep")  # which git does not; an empty one is nobody's
                sync_name(folder)
                return name
            attempt += 1
            if attempt == _RETRIES or (b"tmp_" not in done.stderr and b"No such file" not in done.stderr):
                raise failed("index-pack", done.stderr)
            pause(attempt)

    def pack_objects(self, oids: Iterable[Oid], folder: Path) -> str:
        """Writes objects that are here as one pack, `new-<name>.pack` with its index, durably; returns its name."""
        listing = "".join(f"{oid}\n" for oid in oids).encode()
        args = ("pack-objects", "-q", "--delta-base-offset", f"{folder}/new")
        return self.ask(*args, input=listing, settings=("core.fsync=all",)).decode().strip()

    def update_refs(self, updates: Iterable[Update], *, durable: bool = True) -> None:
        """Changes refs, all or none, each from its expected old value; raises RefMoved if one has another.

        Durable means that they survive a power cut; git syncs the files (from 2.36), we sync the directories."""
        updates = list(updates)
        boundary.settle(self, [change.new for change in updates if change.new])
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
            moved = any(words in done.stderr for words in (b"but expected", b"already exists", b"unable to resolve"))
            raise (RefMoved if moved else GitFailed)("cannot update a run's ref", cause=first_line(done.stderr))
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


def pause(attempt: int) -> None:
    """Waits before another attempt: 2 to 20 ms, longer each time, by chance so that two do not meet again."""
    time.sleep((2 + os.urandom(1)[0] / 14) / 1000 * min(attempt + 1, 10))


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
