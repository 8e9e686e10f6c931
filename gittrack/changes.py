"""What tells that two commits are one change: their facts, where they fork, and what they change.

A rebase keeps neither id nor tree, so changes have to be compared, and over ten thousand commits only one git for all
of them is quick enough. A patch never changes, so what was found is kept in a file that may be deleted any time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gittrack.git import Git
from gittrack.refname import Oid, is_oid
from gittrack.shared import make_folder, share

MAX_COMMIT = 1 << 20
MAX_CACHE = 32 << 20
_BATCH = {"--raw": 2000, "-p": 100}  # diffs that one git makes, so that memory stays small
_PERSON = re.compile(rb"^author .*?<([^>\n]*)> (-?\d{1,18})", re.MULTILINE)
_PICKED = re.compile(rb"^\(cherry picked from commit ([0-9a-f]{40}(?:[0-9a-f]{24})?)\)$", re.MULTILINE)
_SQUASHED = re.compile(rb"^commit ([0-9a-f]{40}(?:[0-9a-f]{24})?)$", re.MULTILINE)
_SQUASH_TITLE = b"Squashed commit of the following:"


class Facts(NamedTuple):
    """What a commit says; `author` is an address, `authored` Unix seconds."""

    oid: Oid
    tree: Oid
    parents: tuple[Oid, ...]
    author: str
    authored: int
    subject: str


class Change(NamedTuple):
    """What a commit changes since another one; since its parent if `base` is None."""

    new: Oid
    base: Oid | None = None


class Touched(NamedTuple):
    """Hashes of what a change touches: the paths, and the paths with their contents before and after; '' if nothing."""

    paths: str
    contents: str


def read(git: Git, oids: Iterable[Oid]) -> dict[Oid, Facts]:
    """Returns the facts of those commits that are here."""
    asked = [oid for oid in dict.fromkeys(oids) if is_oid(oid)]
    found = {}
    if asked:
        with git.objects() as objects:
            for answer in objects.read_many(asked, limit=MAX_COMMIT):
                if isinstance(answer, tuple) and answer[1] == "commit":
                    facts = _facts(answer[0], answer[2])
                    if facts:
                        found[facts.oid] = facts
    return found


def _facts(oid: Oid, body: bytes) -> Facts | None:
    head, _, message = body.partition(b"\n\n")
    lines = head.split(b"\n")
    person = _PERSON.search(head)
    if not lines[0].startswith(b"tree ") or person is None:
        return None
    parents = tuple(Oid(line[7:].decode("ascii", "replace")) for line in lines if line.startswith(b"parent "))
    paragraph = message.lstrip(b"\n").partition(b"\n\n")[0]
    subject = " ".join(paragraph.decode("utf-8", "replace").strip().split("\n"))  # as git's %s
    tree = Oid(lines[0][5:].decode("ascii", "replace"))
    return Facts(oid, tree, parents, person[1].decode("utf-8", "replace"), int(person[2]), subject)


def sides(git: Git, commits: Sequence[Oid], *, without: Oid) -> dict[Oid, tuple[Oid, ...]]:
    """Returns the commits that are not reachable from `without`, with their parents, each after its parents.

    Those that `commits` (all here) are made of, and those of branches and reflogs: a squashed branch may be deleted,
    but what became of one of its commits is seen at the commit that was its last."""
    asked = "".join(f"{oid}\n" for oid in [*commits, f"^{without}"]).encode()
    words = ("--parents", "--topo-order", "--reverse", "--ignore-missing", "--branches", "--remotes", "--reflog")
    done = git.run("rev-list", *words, "--stdin", input=asked)
    lines = (line.split() for line in done.stdout.decode("ascii", "replace").splitlines())
    return {Oid(words[0]): tuple(map(Oid, words[1:])) for words in lines}


def named(git: Git, tip: Oid) -> dict[Oid, list[Oid]]:
    """Returns the commits that messages of the history of `tip` name as what they were made from.

    Said by `git cherry-pick -x`, and by `git merge --squash` where its message was kept."""
    patterns = ("--grep=^(cherry picked from commit ", f"--grep=^{_SQUASH_TITLE.decode()}")
    raw = git.ask("log", "-z", "--basic-regexp", "--format=%H%n%B", "--no-show-signature", *patterns, tip)
    found: dict[Oid, list[Oid]] = {}
    for item in raw.split(b"\0"):
        oid, _, message = item.partition(b"\n")
        olds = _PICKED.findall(message)
        if _SQUASH_TITLE in message:
            olds += _SQUASHED.findall(message)
        for old in dict.fromkeys(olds):
            found.setdefault(Oid(old.decode()), []).append(Oid(oid.decode()))
    return found


def is_partial(git: Git) -> bool:
    """Tells whether contents may have to be fetched to be compared, as in a clone with --filter=blob:none."""
    return any(
        key == "extensions.partialclone" or (key.startswith("remote.") and key.endswith(".promisor"))
        for key, _ in git.config()
    )


class Diffs:
    """What changes touch, and their patches; asked of git once, and kept in a file."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._path = git.place.common_dir / "gittrack" / "patches"
        self._touched: dict[Change, Touched] = {}
        self._patches: dict[Change, str] = {}
        self._new: list[str] = []
        with contextlib.suppress(OSError):
            self._load(self._path.read_text("ascii", "replace"))

    def _load(self, text: str) -> None:
        for line in text.split("\n"):
            words = line.split(" ")
            if len(words) != 5 or words[4] != ".":
                continue
            kind, new, base, value = words[:4]
            change = Change(Oid(new), None if base == "-" else Oid(base))
            if kind == "t":
                paths, _, contents = value.partition(",")
                self._touched[change] = Touched(paths, contents)
            elif kind == "p":
                self._patches[change] = value

    def touched(self, changes: Iterable[Change]) -> dict[Change, Touched]:
        """Returns what changes touch; a merge without a base touches nothing. What git cannot compare is missing."""
        asked = list(dict.fromkeys(changes))
        for change, lines in self._made("--raw", [one for one in asked if one not in self._touched], _split_raw):
            found = self._touched[change] = _hash_raw(lines)
            self._note("t", change, f"{found.paths},{found.contents}")
        return {change: self._touched[change] for change in asked if change in self._touched}

    def patches(self, changes: Iterable[Change]) -> dict[Change, str]:
        """Returns a hash of the patch of each change, as `git patch-id` makes it: without line numbers and white space.

        Made here because `git patch-id` before 2.39 says that any two changes of a binary file are one."""
        asked = list(dict.fromkeys(changes))
        for change, lines in self._made("-p", [one for one in asked if one not in self._patches], _split_lines):
            found = self._patches[change] = _hash_patch(lines)
            self._note("p", change, found)
        return {change: self._patches[change] for change in asked if change in self._patches}

    def _note(self, kind: str, change: Change, value: str) -> None:
        self._new.append(f"{kind} {change.new} {change.base or '-'} {value} .\n")

    def _made(
        self, form: str, changes: Sequence[Change], split: Callable[[bytes], list[bytes]]
    ) -> Iterator[tuple[Change, list[bytes]]]:
        """Yields each change and what git printed of it."""
        words = ("diff-tree", "--stdin", "--root", "--always", "-r", "--no-renames", "--full-index")
        how: tuple[str, ...] = ("--raw", "-z")
        if form == "-p":
            how = ("-p", "-U3", "--no-ext-diff", "--no-textconv", "--no-color", "--diff-algorithm=default")
        length = 2 * self._git.place.oid_bytes
        header = re.compile(rb"[0-9a-f]{%d}" % length)
        for at in range(0, len(changes), _BATCH[form]):
            batch = changes[at : at + _BATCH[form]]
            asked = "".join(f"{new} {base}\n" if base else f"{new}\n" for new, base in batch).encode()
            settings = ("core.bigFileThreshold=4m",)  # of what is larger, the ids are compared
            done = self._git.run(*words, *how, input=asked, settings=settings)
            waiting = iter(batch)
            found: list[tuple[Change, list[bytes]]] = []
            for line in split(done.stdout):
                if len(line) == length and header.fullmatch(line):
                    change = next((one for one in waiting if one.new.encode() == line), None)
                    if change is None:
                        break
                    found.append((change, []))
                elif found:
                    found[-1][1].append(line)
            # Of a git that died, the last answer may be half of one.
            yield from found if done.returncode == 0 else found[:-1]

    def save(self) -> None:
        """Keeps what was asked of git for the next time, where the repository may be written to."""
        if not self._new:
            return
        with contextlib.suppress(OSError):
            make_folder(self._path.parent)
            if self._path.exists() and self._path.stat().st_size > MAX_CACHE:
                self._path.unlink()
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(fd, ("\n" + "".join(self._new)).encode("ascii"))
            finally:
                os.close(fd)
            share(self._path)
        self._new.clear()


def _split_raw(raw: bytes) -> list[bytes]:
    return raw.split(b"\0")[:-1]


def _split_lines(raw: bytes) -> list[bytes]:
    return raw.split(b"\n")


def _hash_raw(fields: Sequence[bytes]) -> Touched:
    """Returns the hashes of `:modes ids kind` fields, each followed by its path."""
    if not fields:
        return Touched("", "")
    return Touched(_hashed(fields[1::2]), _hashed(fields))


def _hash_patch(lines: Iterable[bytes]) -> str:
    """Returns the hash of a patch; of a binary file the ids before and after stand for it."""
    kept = []
    index = b""
    for line in lines:
        if line.startswith(b"index "):
            index = line
        elif line.startswith(b"Binary files "):
            kept.append(index.partition(b" ")[2].partition(b" ")[0])
        elif line.startswith(b"@@"):
            kept.append(b"@@")
        elif line and not line.startswith(b"\\"):  # of a last line without an end
            kept.append(b"".join(line.split()))
    return _hashed(kept)


def _hashed(parts: Iterable[bytes]) -> str:
    return hashlib.blake2b(b"\0".join(parts), digest_size=16).hexdigest()


def forks(side: Mapping[Oid, tuple[Oid, ...]], at: Mapping[Oid, int]) -> dict[Oid, Oid]:
    """Returns for each commit of `side` (parents first) the newest commit of a history that it is made from.

    at: how far from its newest commit each commit of the history is."""
    found: dict[Oid, Oid] = {}
    for oid, parents in side.items():
        bases = [base for parent in parents if (base := parent if parent in at else found.get(parent))]
        if bases:
            found[oid] = min(bases, key=at.__getitem__)
    return found
