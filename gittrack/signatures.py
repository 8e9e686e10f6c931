"""Whether the commits of runs are signed by whom git trusts: git itself judges, with the user's keys and settings.

Joins and snapshots have a fixed identity and no signature. A commit that says that it is a join is believed only if it
is one: the word alone would be a way around a signature."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from gittrack import capture, store
from gittrack.codec import record
from gittrack.errors import GittrackError
from gittrack.git import Git
from gittrack.model import fold
from gittrack.objects import Objects
from gittrack.refname import Oid, RunId, is_oid

State = Literal["good", "untrusted", "bad", "missing"]
# git's %G?: good, good but not trusted, cannot be checked, expired signature, expired key, revoked key, bad, none.
_STATES: Mapping[str, State] = {
    "G": "good",
    "U": "untrusted",
    "E": "untrusted",
    "X": "untrusted",
    "Y": "untrusted",
    "R": "bad",
    "B": "bad",
    "N": "missing",
}
_WHY = {
    "U": "its signature is by nobody who is trusted here",
    "E": "its signature cannot be checked here: the key is missing",
    "X": "its signature has expired",
    "Y": "its signature is by a key that has expired",
    "R": "its signature is by a key that was revoked",
    "B": "its signature is bad",
    "N": "it is not signed",
}
_RUN = re.compile(rb"^Run: (r[0-9a-hjkmnp-tv-z]{12})$", re.MULTILINE)
_JOIN = re.compile(rb"^Join: 1$", re.MULTILINE)
_SIGNED = re.compile(rb"^gpgsig(-sha256)? ", re.MULTILINE)
_MARK = "^Record: "


@dataclass(frozen=True, slots=True)
class Signature:
    """What git says of the signature of one commit of a run; `why` is empty if it is good."""

    run: RunId
    commit: Oid
    state: State
    signer: str = ""
    why: str = ""


def check(git: Git, tips: Iterable[Oid]) -> Iterator[Signature]:
    """Yields the signature of each commit of the runs that lead to `tips`; true joins are passed over.

    Raises GitFailed; a machine without git cannot tell."""
    judged = list(_judged(git, sorted(set(tips))))
    with git.objects() as objects:
        raws = objects.read_many([oid for oid, _, _ in judged], limit=store.MAX_COMMIT)
        commits = [raw[2] if isinstance(raw, tuple) else b"" for raw in raws]
        for (oid, said, signer), raw in zip(judged, commits, strict=True):
            head, _, message = raw.partition(b"\n\n")
            found = _RUN.findall(message)
            if not found:  # a commit of code that has such a line
                continue
            run = RunId(found[-1].decode())
            # Without allowed signers to compare it with, git says that there is no signature.
            letter = "E" if said == "N" and _SIGNED.search(head) else said
            if letter == "N" and _JOIN.search(message):
                if not _is_join(objects, run, oid, oid_bytes=git.place.oid_bytes):
                    yield Signature(run, oid, "missing", "", "it is not signed, and not the join that it says it is")
                continue
            yield Signature(run, oid, _STATES.get(letter, "bad"), signer, _WHY.get(letter, ""))


def _judged(git: Git, tips: list[Oid]) -> Iterator[tuple[Oid, str, str]]:
    """Yields commits that have a record, with git's letter for the signature, and the signer."""
    if not tips:
        return
    words = ("--no-commit-header", f"--grep={_MARK}", "--format=%H%x00%G?%x00%GS")
    raw = git.ask("rev-list", *words, "--stdin", input="".join(f"{tip}\n" for tip in tips).encode())
    for line in raw.decode("utf-8", "replace").split("\n"):
        oid, _, rest = line.partition("\0")
        letter, _, signer = rest.partition("\0")
        if is_oid(oid):
            yield Oid(oid), letter, signer


def _is_join(objects: Objects, run: RunId, oid: Oid, *, oid_bytes: int) -> bool:
    """Tells whether a commit is what joining its parents makes (docs/format.md, chapter 9)."""
    try:
        commit = store.read_commit(objects, oid)
        here = store.read_tree(objects, commit.tree, oid_bytes=oid_bytes)
        sides = [store.read_detail(objects, run, parent, oid_bytes=oid_bytes) for parent in commit.parents]
        edits = {path: entry for side in sides for path, entry in side.files.items() if path.startswith("edits/")}
        everything = {made.file: made for side in sides for made in side.edits}
        found = objects.read(oid, limit=store.MAX_COMMIT)
        names = [line.rpartition(b" <")[0] for line in (found[2] if found else b"").split(b"\n\n")[0].split(b"\n")[1:]]
        identity = capture.IDENTITY.partition(" <")[0].encode()
        if len(sides) < 2 or not {b"author " + identity, b"committer " + identity} <= set(names):
            return False
        for side in sides:
            files = {path: entry for path, entry in side.files.items() if not path.startswith("edits/")} | edits
            after = store.with_state(side.run, fold(side.base, everything.values()))
            same = {path: (entry.mode, entry.oid) for path, entry in files.items()} == {
                path: (entry.mode, entry.oid) for path, entry in here.items()
            }
            if same and record.encode_message(after, join=True) == commit.message:
                return True
    except GittrackError:
        return False
    return False
