"""Git's own bytes: objects, trees and packs, and which paths a run may have (docs/format.md, chapter 4).

A whole run is written as one pack stream that is built here in memory; git checks it when it comes in."""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from gittrack.errors import DataRefused
from gittrack.refname import Kind, Oid

_PACK_TYPES: Mapping[Kind, int] = {"commit": 1, "tree": 2, "blob": 3}

FILE, EXECUTABLE, FOLDER = "100644", "100755", "40000"
MAX_ENTRIES = 100_000
MAX_PATH_BYTES = 4096
MAX_DEPTH = 64

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\\\\:]")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\..*)?", re.IGNORECASE)
# What HFS+ ignores and NTFS folds, so that `.g\u200cit` and `GIT~1` do not become `.git` somewhere.
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_DOT_GIT = re.compile(r"(\.git|git~[0-9]+)[ .]*", re.IGNORECASE)


class Object(NamedTuple):
    """A git object that is about to be written."""

    kind: Kind
    body: bytes
    oid: Oid


class Entry(NamedTuple):
    """An entry of a tree: mode as git writes it, name, and what it names."""

    mode: str
    name: str
    oid: Oid


def make_object(kind: Kind, body: bytes, *, algorithm: str) -> Object:
    """Returns the object with its id; `algorithm` is the repository's object format, `sha1` or `sha256`."""
    digest = hashlib.new(algorithm, b"%s %d\0" % (kind.encode(), len(body)), usedforsecurity=False)
    digest.update(body)
    return Object(kind, body, Oid(digest.hexdigest()))


def encode_tree(entries: Iterable[Entry]) -> bytes:
    """Returns the body of a tree, in git's order (a folder sorts as if its name ended in a slash)."""
    ordered = sorted(entries, key=lambda entry: entry.name.encode() + (b"/" if entry.mode == FOLDER else b""))
    return b"".join(b"%s %s\0%s" % (e.mode.encode(), e.name.encode(), bytes.fromhex(e.oid)) for e in ordered)


def decode_tree(body: bytes, *, oid_bytes: int) -> list[Entry]:
    """Returns the entries of a tree; names that are not UTF-8 come with surrogates, for `check_path` to refuse."""
    found = []
    at = 0
    while at < len(body):
        space = body.index(b" ", at)
        end = body.index(b"\0", space)
        mode, name = body[at:space].decode("ascii"), body[space + 1 : end].decode("utf-8", "surrogateescape")
        at = end + 1 + oid_bytes
        if at > len(body):
            raise ValueError("a tree ends within an entry")
        found.append(Entry(mode, name, Oid(body[end + 1 : at].hex())))
    return found


def build(files: Mapping[str, Object | Entry], *, algorithm: str) -> tuple[Oid, list[Object]]:
    """Returns the id of the tree that holds `files` (path to content) and all objects that have to be written.

    A value is an object that is new, or an entry (its name is not looked at) that the repository has already."""
    objects: list[Object] = []
    folders: dict[str, dict[str, Object | Entry]] = {}
    here: list[Entry] = []
    for path, content in files.items():
        head, slash, rest = path.partition("/")
        if slash:
            folders.setdefault(head, {})[rest] = content
        elif isinstance(content, Object):
            objects.append(content)
            here.append(Entry(FILE, head, content.oid))
        else:
            here.append(Entry(content.mode, head, content.oid))
    for name, below in folders.items():
        oid, found = build(below, algorithm=algorithm)
        objects.extend(found)
        here.append(Entry(FOLDER, name, oid))
    tree = make_object("tree", encode_tree(here), algorithm=algorithm)
    return tree.oid, [*objects, tree]


def encode_commit(
    *,
    tree: Oid,
    parents: Sequence[Oid],
    author: str,
    committer: str,
    author_time: int,
    commit_time: int,
    message: bytes,
) -> bytes:
    """Returns the body of a commit; `author` and `committer` are `Name <address>`, times are Unix seconds, UTC."""
    head = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    head += [f"author {author} {author_time} +0000", f"committer {committer} {commit_time} +0000"]
    if not message.isascii() and not _is_utf8(message):
        raise ValueError("a commit message must be UTF-8")
    return "\n".join(head).encode("utf-8", "replace") + b"\n\n" + message


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def encode_pack(objects: Iterable[Object], *, algorithm: str) -> bytes:
    """Returns a pack (git's pack format, version 2) of whole objects, each once."""
    unique = {item.oid: item for item in objects}
    digest = hashlib.new(algorithm, usedforsecurity=False)
    parts = [b"PACK" + struct.pack(">II", 2, len(unique))]
    for item in unique.values():
        level = 6 if len(item.body) < 1 << 16 else 1
        parts += (_pack_header(_PACK_TYPES[item.kind], len(item.body)), zlib.compress(item.body, level))
    for part in parts:
        digest.update(part)
    return b"".join([*parts, digest.digest()])


def _pack_header(kind: int, size: int) -> bytes:
    """Returns type and size: four bits of size in the first byte, then seven a byte."""
    byte, size = kind << 4 | size & 15, size >> 4
    head = bytearray()
    while size:
        head.append(byte | 0x80)
        byte, size = size & 127, size >> 7
    head.append(byte)
    return bytes(head)


class Packed(NamedTuple):
    """An object in a pack: where it begins, and the CRC-32 of its bytes there."""

    object: Object
    offset: int
    crc: int


def decode_pack(pack: bytes, *, algorithm: str) -> list[Packed]:
    """Returns the objects of a pack of whole objects; raises ValueError if it is none, or has deltas."""
    end = len(pack) - hashlib.new(algorithm, usedforsecurity=False).digest_size
    if pack[:8] != b"PACK\0\0\0\2" or hashlib.new(algorithm, pack[:end], usedforsecurity=False).digest() != pack[end:]:
        raise ValueError("a pack is torn, or not of version 2")
    kinds = {number: kind for kind, number in _PACK_TYPES.items()}
    found = []
    at = 12
    for _ in range(int.from_bytes(pack[8:12])):
        start = at
        kind = kinds.get(pack[at] >> 4 & 7)
        if kind is None:
            raise ValueError("a pack has an object that is not whole")
        while pack[at] & 0x80 and at < end:
            at += 1
        body, at = _inflate(pack, at + 1)
        item = make_object(kind, body, algorithm=algorithm)
        found.append(Packed(item, start, zlib.crc32(memoryview(pack)[start:at])))
    if at != end:
        raise ValueError("a pack does not end where it should")
    return found


def _inflate(pack: bytes, at: int) -> tuple[bytes, int]:
    """Returns what is compressed at a place in a pack, and where that ends."""
    stream = zlib.decompressobj()
    parts = []
    while not stream.eof:
        piece = pack[at : at + (1 << 16)]  # small, for what is left of the last one is copied
        at += len(piece)
        try:
            parts.append(stream.decompress(piece))
        except zlib.error as exc:
            raise ValueError(f"a pack has an object that cannot be read ({exc})") from exc
        if not piece:
            raise ValueError("a pack ends within an object")
    return b"".join(parts), at - len(stream.unused_data)


def encode_index(pack: bytes, items: Iterable[Packed], *, algorithm: str) -> bytes:
    """Returns the index of a pack (git's pack format, version 2): ids sorted, behind a table of 256 counts."""
    ordered = sorted(items, key=lambda item: item.object.oid)
    if ordered and max(item.offset for item in ordered) >= 1 << 31:
        raise ValueError("a pack is larger than 2 GiB")
    names = [bytes.fromhex(item.object.oid) for item in ordered]
    counts = [0] * 256
    for name in names:
        counts[name[0]] += 1
    parts = [b"\xfftOc\0\0\0\2", struct.pack(">256I", *accumulate(counts)), *names]
    parts += [struct.pack(">I", item.crc) for item in ordered]
    parts += [struct.pack(">I", item.offset) for item in ordered]
    parts.append(pack[-len(hashlib.new(algorithm, usedforsecurity=False).digest()) :])
    index = b"".join(parts)
    return index + hashlib.new(algorithm, index, usedforsecurity=False).digest()


def why_refused(path: str) -> str | None:
    """Returns why a run may not have a file at `path`, or None if it may."""
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "it is not valid UTF-8"
    if size > MAX_PATH_BYTES:
        return f"it is longer than {MAX_PATH_BYTES} bytes"
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        return f"it is deeper than {MAX_DEPTH} folders"
    for part in parts:
        if not part.strip(" ."):  # Windows takes `.. ` for `..`
            return "it has an empty, '.' or '..' component"
        if _CONTROL.search(part):
            return "it has a control character, a backslash or a colon"
        if _DOT_GIT.fullmatch(_IGNORED.sub("", part)):
            return "it names git's own folder"
        if _DEVICE.fullmatch(part.rstrip(" .")):
            return "it is a device name"
    return None


def check_path(path: str) -> None:
    """Raises DataRefused if a run may not have a file at `path`."""
    why = why_refused(path)
    if why:
        raise DataRefused(f"path '{path[:200]}' is not allowed in a run", cause=why)
