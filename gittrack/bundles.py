"""Runs in one file: for a stick, a mail, a machine without network, a job that may not push.

The file is a git bundle (git's gitformat-bundle): any git reads it. It has the whole history of the code, so that it
needs nothing; a shallow clone, which has not all of it, writes one that needs the commits at which it ends."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gittrack import remote
from gittrack.errors import DataRefused, GittrackError, NotFound
from gittrack.git import Git, GitMissing, Update
from gittrack.refname import BUNDLE, RUNS, Oid, is_oid
from gittrack.settings import read_settings
from gittrack.shared import make_folder
from gittrack.transfer import Progress

_MAGIC = {b"# v2 git bundle\n": 2, b"# v3 git bundle\n": 3}
_MAX_LINE = 4096
_MAX_LINES = 1_000_000


@dataclass(frozen=True, slots=True)
class Head:
    """What a bundle says of itself: the commits that it needs, its refs, and the algorithm of its object ids."""

    needs: tuple[Oid, ...]
    refs: Mapping[str, Oid]
    algorithm: str


# Writing ------------------------------------------------------------------------------------------------------------


def write(git: Git, file: Path, refs: Mapping[str, Oid]) -> Head:
    """Writes a bundle with these refs and all that is reachable from them; raises GittrackError if it cannot."""
    _require_git(git, "write")
    ends = _ends(git)
    needs = _boundary(git, sorted(set(refs.values())), ends) if ends else ()
    head = Head(needs, dict(sorted(refs.items())), git.place.algorithm)
    home = git.place.common_dir / "gittrack"
    make_folder(home)
    with tempfile.TemporaryDirectory(prefix="bundle-", dir=home) as folder:
        wanted = [*sorted(set(refs.values())), *(f"^{oid}" for oid in needs)]
        args = ("pack-objects", "-q", "--revs", "--delta-base-offset", f"{folder}/new")
        name = git.ask(*args, input="".join(f"{line}\n" for line in wanted).encode()).decode().strip()
        _put_together(encode_head(head), Path(f"{folder}/new-{name}.pack"), file)
    return head


def _put_together(head: bytes, pack: Path, file: Path) -> None:
    """Writes the file beside its place and moves it there whole."""
    new = file.with_name(f".{file.name}.new")
    try:
        with new.open("wb") as target, pack.open("rb") as source:
            target.write(head)
            shutil.copyfileobj(source, target, 1 << 20)
        new.replace(file)
    except OSError as exc:
        with contextlib.suppress(OSError):
            new.unlink()
        raise GittrackError(f"cannot write '{file}'", cause=exc.strerror) from exc


def _ends(git: Git) -> list[Oid]:
    """Returns the commits whose parents a shallow clone does not have."""
    try:
        lines = (git.place.common_dir / "shallow").read_text("ascii").split()
    except OSError:
        return []
    return [Oid(line) for line in lines if is_oid(line)]


def _boundary(git: Git, tips: Sequence[Oid], ends: Sequence[Oid]) -> tuple[Oid, ...]:
    """Returns those of `ends` that something reachable from `tips` is made on."""
    given = "".join(f"{line}\n" for line in [*tips, *(f"^{oid}" for oid in ends)]).encode()
    lines = git.ask("rev-list", "--boundary", "--stdin", input=given).decode().split()
    return tuple(Oid(line[1:]) for line in lines if line.startswith("-"))


def encode_head(head: Head) -> bytes:
    """Returns the lines before the pack, as git's gitformat-bundle has them: version 2, or 3 with SHA-256."""
    lines = ["# v2 git bundle"] if head.algorithm == "sha1" else ["# v3 git bundle", f"@object-format={head.algorithm}"]
    lines += [f"-{oid} " for oid in head.needs]
    lines += [f"{oid} {ref}" for ref, oid in head.refs.items()]
    return "".join(f"{line}\n" for line in [*lines, ""]).encode()


# Reading ------------------------------------------------------------------------------------------------------------


def read_head(file: Path) -> Head:
    """Returns what a bundle says of itself; raises DataRefused if it is none, NotFound if it is not there."""
    try:
        with file.open("rb") as lines:
            if lines.readline(_MAX_LINE) not in _MAGIC:
                raise DataRefused(f"'{file}' is no bundle", hint="`git track push --bundle FILE` writes one")
            return _read_lines(lines, file)
    except OSError as exc:
        raise NotFound(f"cannot read '{file}'", cause=exc.strerror) from exc


def _read_lines(lines: Iterator[bytes], file: Path) -> Head:
    needs: list[Oid] = []
    refs: dict[str, Oid] = {}
    algorithm = "sha1"
    broken = DataRefused(f"'{file}' is broken", cause="its head has no end", hint="have it written or copied again")
    for _, raw in zip(range(_MAX_LINES), lines, strict=False):
        line = raw.decode("utf-8", "replace")
        if line == "\n":
            return Head(tuple(needs), refs, algorithm)
        word, _, rest = line.rstrip("\n").partition(" ")
        if word.startswith("@object-format="):
            algorithm = word.partition("=")[2]
        elif word.startswith("@"):
            raise DataRefused(f"'{file}' is a bundle of a kind that is not read here", cause=f"it needs '{word[1:]}'")
        elif is_oid(word.removeprefix("-")):
            if word.startswith("-"):
                needs.append(Oid(word[1:]))
            else:
                refs[rest] = Oid(word)
        else:
            break
    raise broken


@contextlib.contextmanager
def opened(git: Git, file: Path, *, progress: Progress | None = None) -> Iterator[Head]:
    """Puts the runs of a bundle where those of remotes are, for as long as they are taken in.

    Nobody pushes to a bundle, so nothing is remembered of it. Raises DataRefused if it is broken or does not fit."""
    _require_git(git, "read")
    head = read_head(file)
    _check(git, head, file)
    try:
        done = remote.bring(git, str(file), [f"+{RUNS}*:{BUNDLE}*"], known=read_settings(git), progress=progress)
        if done and done.returncode:
            cause = remote.failed("read", str(file), done).cause
            raise DataRefused(f"'{file}' is broken", cause=cause, hint="have it written or copied again")
        yield head
    finally:
        _forget(git)


def _check(git: Git, head: Head, file: Path) -> None:
    """Raises DataRefused if a bundle cannot belong to this repository."""
    if head.algorithm != git.place.algorithm:
        cause = f"its object ids are {head.algorithm}, and those of this repository {git.place.algorithm}"
        raise DataRefused(f"'{file}' does not fit this repository", cause=cause)
    if not any(ref.startswith(RUNS) for ref in head.refs):
        raise DataRefused(f"'{file}' has no runs", hint="`git track push --bundle FILE` writes a bundle with runs")
    missing = [oid for oid in head.needs if not git.has_object(oid)]
    if missing:
        raise DataRefused(
            f"'{file}' builds on {len(missing)} commit(s) that are not here",
            cause=f"commit {missing[0]} is missing",
            hint="fetch the code first, with `git fetch`",
        )


def _forget(git: Git) -> None:
    """Removes what a bundle brought from where remotes are; what was left by one that was killed too."""
    refs = git.refs(BUNDLE)
    if refs:
        git.update_refs([Update(ref.name, None, ref.oid) for ref in refs], durable=False)


def _require_git(git: Git, what: str) -> None:
    if not git.has_executable:
        raise GitMissing(f"cannot {what} a bundle without git", hint="install git 2.36 or newer")
