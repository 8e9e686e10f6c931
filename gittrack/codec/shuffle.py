"""Numbers as `history.cols` holds them: bytes shuffled by their place, integers as differences (chapter 7).

Two ways lead to the same bits: the standard library, and numpy where the caller has it, which takes a tenth of the
time for integers. numpy is handed in, because importing it takes longer than reading a million numbers without it."""

from __future__ import annotations

import sys
from array import array
from itertools import accumulate, compress
from operator import sub
from typing import Any

Numpy = Any  # the module, or None: it ships no type for itself
_BLOCK = 65536  # numbers that are looked at together
_LITTLE = sys.byteorder == "little"
_WIDTHS = {"q": 8, "d": 8, "f": 4}
_BITS = bytes.maketrans(b"01", b"\0\1")


def little(values: array[Any]) -> bytes:
    """Returns numbers as little-endian bytes."""
    if not _LITTLE:
        values = values[:]
        values.byteswap()
    return values.tobytes()


def unshuffled(kind: str, body: memoryview, numpy: Numpy = None) -> array[Any]:
    """Returns the numbers whose first bytes stand together, then their second ones, and so on; kind: as of `array`.

    Memory that is touched for the first time costs more than all else here, so with numpy nothing is copied twice."""
    width = _WIDTHS[kind]
    count = len(body) // width
    found: array[Any] = array(kind, [0]) * count
    flat = memoryview(found).cast("B")
    places = range(width) if _LITTLE else range(width - 1, -1, -1)
    if numpy and count:
        table = numpy.frombuffer(flat, numpy.uint8).reshape(count, width)
        planes = numpy.frombuffer(body, numpy.uint8).reshape(width, count)
        for place, plane in zip(places, planes, strict=True):
            if plane.any():  # the upper bytes of most differences are zero, and the array is zero already
                table[:, place] = plane
        return found
    plain = bytearray(len(flat))
    for byte, place in enumerate(places):
        plain[place::width] = body[byte * count : (byte + 1) * count]
    flat[:] = plain
    return found


def differences(values: array[int]) -> bytearray:
    """Returns each integer minus the one before it, as bytes."""
    wrap, half = 1 << 64, 1 << 63
    raw = bytearray()
    last = 0
    for at in range(0, len(values), _BLOCK):
        block = values[at : at + _BLOCK]
        before = array("q", [last])
        before.extend(block[:-1])
        deltas = list(map(sub, block, before))
        try:
            packed = array("q", deltas)
        except OverflowError:
            packed = array("q", ((delta + half) % wrap - half for delta in deltas))
        raw += little(packed)
        last = block[-1]
    return raw


def integers(body: memoryview, numpy: Numpy = None) -> array[int]:
    """Returns the integers whose differences `body` has, modulo 2^64."""
    deltas = unshuffled("q", body, numpy)
    if numpy:
        values = numpy.frombuffer(deltas, numpy.int64) if deltas else numpy.empty(0, numpy.int64)
        numpy.cumsum(values, out=values)
        return deltas
    try:
        return array("q", accumulate(deltas))
    except OverflowError:
        wrap, half = 1 << 64, 1 << 63
        return array("q", ((total + half) % wrap - half for total in accumulate(deltas)))


def fits_single(values: array[float]) -> bool:
    """Tells whether 4 bytes keep every value exactly."""
    for at in range(0, len(values), _BLOCK):
        block = values[at : at + _BLOCK]
        same = array("d", array("f", block))
        if same != block and not all(a == b or (a != a and b != b) for a, b in zip(same, block, strict=True)):
            return False
    return True


def doubles(body: memoryview, numpy: Numpy = None) -> array[float]:
    """Returns the doubles in `body`."""
    return unshuffled("d", body, numpy)


def singles(body: memoryview, numpy: Numpy = None) -> array[float]:
    """Returns the numbers of 4 bytes in `body`, as doubles."""
    found = unshuffled("f", body, numpy)
    if numpy and found:
        wide = array("d", [0.0]) * len(found)
        numpy.copyto(numpy.frombuffer(wide, numpy.float64), numpy.frombuffer(found, numpy.float32))
        return wide
    return array("d", found)


def bitmap(present: array[int], rows: int) -> bytes:
    """Returns a bit a row, 1 for those that are present, row 0 in the lowest bit of the first byte."""
    flags = bytearray(b"0") * rows
    for row in present:
        flags[row] = 49
    flags.reverse()
    return int(flags.decode() or "0", 2).to_bytes((rows + 7) // 8, "little")


def rows_of(marks: memoryview, rows: int, count: int, numpy: Numpy = None) -> array[int]:
    """Returns the `count` rows that a bitmap of `rows` bits marks; raises ValueError if it marks others."""
    found = array("q")
    if numpy:
        bits = numpy.unpackbits(numpy.frombuffer(marks, numpy.uint8), bitorder="little")
        found.frombytes(numpy.flatnonzero(bits).astype(numpy.int64).tobytes())
        fits = not found or found[-1] < rows
    else:
        text = f"{int.from_bytes(marks, 'little'):0{rows}b}"
        fits = len(text) == rows
        found.extend(compress(range(rows), text[::-1].encode().translate(_BITS)))
    if not fits or len(found) != count:
        raise ValueError("a bitmap does not fit its column")
    return found
