"""Names of runs and of the refs they live under.

A run id must be safe as a ref, a file name on any system and a word on a command line, must never look like
a commit id, and must not need a server to be unique. Hence one letter and 60 random bits in base 32."""

from __future__ import annotations

import re
from typing import Literal, NewType

RunId = NewType("RunId", str)
Oid = NewType("Oid", str)
Kind = Literal["commit", "tree", "blob"]

RUNS = "refs/runs/"
ARCHIVES = "refs/runs/archive/"
LOCAL = "refs/gittrack/"
LIVE = "refs/gittrack/live/"
BUNDLE = "refs/gittrack/remote-%bundle/runs/"  # while one is taken in; no remote's name becomes this
TRASH = "refs/gittrack/trash/"  # then the day as a number, and the run

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford: no i, l, o, u
_RUN_ID = re.compile(r"r[0-9a-hjkmnp-tv-z]{12}")
_CLONE_ID = re.compile(r"c[0-9a-hjkmnp-tv-z]{12}")
_COMPONENT = re.compile(r"[A-Za-z0-9_+@=-][A-Za-z0-9_.+@=-]*")  # of a prefix; git allows more, no host needs it
_OID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")

# Six bits of adjective and six of noun read well aloud and collide rarely enough for metadata.
_ADJECTIVES = (
    "able amber ample apt azure bold brave bright brisk broad calm civic clear clever cool coral crisp dapper deft "
    "eager early fair fast fine fleet fond frank free fresh gentle glad golden grand green happy hardy keen kind "
    "lively loyal lucid lucky mellow merry mild neat noble novel plain proud quick quiet rapid ready rosy sage sharp "
    "silver sleek smart snug solid spry steady sturdy subtle sunny sure swift tidy vivid warm wise witty"
).split()
_NOUNS = (
    "ant auk badger bass bear beaver bee bison bream carp cat clam cod coot crab crane crow deer dove duck eagle eel "
    "egret elk falcon ferret finch fox frog gecko goose grouse gull hare hawk hen heron ibex ibis jay kite koala lark "
    "lemur linnet llama loon lynx magpie marten mole moth mouse newt orca osprey otter owl panda perch pike plover "
    "puffin quail rail raven robin rook salmon seal shrew shrike skua snail snipe sparrow squid stoat stork swan swift "
    "tapir tern thrush tiger toad trout vole wagtail walrus weasel whale wren yak zebra"
).split()


def encode_base32(number: int, *, length: int) -> str:
    """Returns `number` as `length` characters of Crockford base 32, most significant first."""
    return "".join(_ALPHABET[number >> (5 * place) & 31] for place in reversed(range(length)))


def new_run_id(random: int) -> RunId:
    """Returns the run id made of the low 60 bits of `random`."""
    return RunId("r" + encode_base32(random & (1 << 60) - 1, length=12))


def new_clone_id(random: int) -> str:
    """Returns the id of a clone, made of the low 60 bits of `random`: it names the archive that this clone writes."""
    return "c" + encode_base32(random & (1 << 60) - 1, length=12)


def is_clone_id(text: str) -> bool:
    """Tells whether `text` is a whole id of a clone."""
    return _CLONE_ID.fullmatch(text) is not None


def archive_of(ref: str, *, prefix: str = RUNS) -> str | None:
    """Returns the clone whose archive `ref` is, or None if it is no archive; `prefix` as that of `run_of`."""
    head = prefix + "archive/"
    name = ref.removeprefix(head)
    return name if name != ref and is_clone_id(name) else None


def run_id_for(text: str) -> RunId:
    """Returns the run id that stands for another tracker's id, always the same one."""
    import hashlib  # noqa: PLC0415 - 3 ms, and few runs come from another tracker

    digest = hashlib.sha256(b"run " + text.encode("utf-8", "replace")).digest()
    return new_run_id(int.from_bytes(digest[:8], "big"))


def new_run_name(random: int) -> str:
    """Returns a name such as `calm-heron-42`; people can say it, and nothing is keyed by it."""
    random, adjective = divmod(random, len(_ADJECTIVES))
    random, noun = divmod(random, len(_NOUNS))
    return f"{_ADJECTIVES[adjective]}-{_NOUNS[noun]}-{random % 100}"


def is_run_id(text: str) -> bool:
    """Tells whether `text` is a whole run id."""
    return _RUN_ID.fullmatch(text) is not None


def is_oid(text: str) -> bool:
    """Tells whether `text` is a whole object id, SHA-1 or SHA-256, in lower case."""
    return _OID.fullmatch(text) is not None


def run_ref(run: RunId) -> str:
    """Returns the ref of a run."""
    return RUNS + run


def run_of(ref: str, *, prefix: str = RUNS) -> RunId | None:
    """Returns the run that `ref` belongs to, or None if it is no run's ref."""
    name = ref.removeprefix(prefix)
    return RunId(name) if name != ref and is_run_id(name) else None


def prefix_fault(text: str) -> str | None:
    """Returns why `text` cannot be what the refs of runs begin with on a remote, or None.

    By the rules of `git check-ref-format`, and because it must not be where something else is."""
    if text in ("refs/", "refs/heads/", "refs/tags/", "refs/remotes/", "refs/notes/") or text.startswith(LOCAL):
        return "where other refs are"
    parts = text.removesuffix("/").split("/")
    if not text.startswith("refs/") or not text.endswith("/"):
        return "which does not begin with 'refs/' and end with '/'"
    good = all(_COMPONENT.fullmatch(part) and ".." not in part and not part.endswith((".lock", ".")) for part in parts)
    return None if good else "which git does not take for a ref"


def mirror_prefix(remote: str) -> str:
    """Returns the namespace in which the runs last seen on `remote` are kept.

    A remote may be called `live`, and its name may hold slashes, or be a path or an address:
    it becomes one component, without the user and password of an address."""
    remote = re.sub(r"(?<=://)[^/@\s]*@", "", remote)
    safe = re.sub(r"[^A-Za-z0-9_-]", lambda found: "%" + found.group().encode("utf-8", "replace").hex(), remote)
    taken = safe in ("live", "trash", "") or "%" in safe or safe.startswith("remote-")
    return f"{LOCAL}remote-{safe}/runs/" if taken else f"{LOCAL}{safe}/runs/"
