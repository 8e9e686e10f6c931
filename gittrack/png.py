"""Pixels as PNG, still and moving, with nothing but the standard library.

A training script that logs an image need not have Pillow, and one that logs a video need not have ffmpeg: an animated
PNG has exactly the pixels that were given, and every browser plays it. As in the W3C's PNG specification (third
edition), which has `acTL`, `fcTL` and `fdAT` for animations."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}  # channels to what PNG calls them: grey, grey and alpha, colour, colour and alpha
_UP = b"\x02"  # the filter of a row: each byte is stored as what it differs by from the one above


class Pixels(NamedTuple):
    """A picture: rows of `width * channels` samples of 8 or 16 bits, big-endian, each row after the one above.

    filtered: of each row but the first the bytes above are taken away already, modulo 256."""

    width: int
    height: int
    channels: int
    bits: int
    filtered: bytes


def encode(picture: Pixels) -> bytes:
    """Returns a PNG file."""
    return b"".join((SIGNATURE, _head(picture), _chunk(b"IDAT", _packed(picture, level=4)), _chunk(b"IEND", b"")))


def encode_moving(pictures: Sequence[Pixels], *, fps: float) -> bytes:
    """Returns an animated PNG file that shows pictures of one size for ever; fps: pictures in a second."""
    thousandths = min(max(round(1000 / fps), 1), 65535)
    first = pictures[0]
    parts = [SIGNATURE, _head(first), _chunk(b"acTL", struct.pack(">II", len(pictures), 0))]
    number = 0
    for picture in pictures:
        control = struct.pack(">IIIIIHHBB", number, first.width, first.height, 0, 0, thousandths, 1000, 0, 0)
        parts.append(_chunk(b"fcTL", control))
        number += 1
        data = _packed(picture, level=3)
        if picture is first:
            parts.append(_chunk(b"IDAT", data))
        else:
            parts.append(_chunk(b"fdAT", struct.pack(">I", number) + data))
            number += 1
    return b"".join([*parts, _chunk(b"IEND", b"")])


def _head(picture: Pixels) -> bytes:
    shape = (picture.width, picture.height, picture.bits, COLOURS[picture.channels])
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", *shape, 0, 0, 0))


def _packed(picture: Pixels, *, level: int) -> bytes:
    row = picture.width * picture.channels * picture.bits // 8
    packer = zlib.compressobj(level)
    rows = (packer.compress(_UP + picture.filtered[at : at + row]) for at in range(0, picture.height * row, row))
    return b"".join([*rows, packer.flush()])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))))


def size_of(content: bytes) -> tuple[int, int] | None:
    """Returns width and height of a PNG, GIF or JPEG file from its first bytes, or None."""
    if content.startswith(SIGNATURE) and len(content) >= 24:
        width, height = struct.unpack(">II", content[16:24])
        return width, height
    if content[:6] in (b"GIF87a", b"GIF89a") and len(content) >= 10:
        width, height = struct.unpack("<HH", content[6:10])
        return width, height
    return _size_of_jpeg(content) if content.startswith(b"\xff\xd8\xff") else None


def _size_of_jpeg(content: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        kind = content[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # the start of a frame of any kind
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        at += 2 + int(struct.unpack(">H", content[at + 2 : at + 4])[0])
    return None
