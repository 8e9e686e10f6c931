"""The one way text reaches a terminal.

A run may come from a stranger: its name, params and output can hold escape sequences, bidirectional
overrides or zero-width characters. Everything that is printed passes through `printable`."""

from __future__ import annotations

import re

# C0 except tab, DEL, C1, soft hyphen, zero-width, line/paragraph separators, bidi controls, BOM,
# interlinear annotations, lone surrogates, and the tag block.
_UNSAFE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if match.group() == "\n":
        return "\\n"
    if match.group() == "\r":
        return "\\r"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(text: str) -> str:
    """Returns `text` as one line in which every unsafe character is written as its escape."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_escape, text)


def printable_lines(text: str) -> str:
    """Returns `text` with its line breaks kept and every other unsafe character escaped."""
    return "\n".join(printable(line.removesuffix("\r")) for line in text.split("\n"))


def printable_json(text: str) -> str:
    """Returns JSON with every unsafe character but line breaks written as JSON's own escape: the value is the same."""
    return text if text.isascii() and "\x7f" not in text else _UNSAFE.sub(_escape_json, text)


def _escape_json(match: re.Match[str]) -> str:
    if match.group() == "\n":
        return "\n"
    units = match.group().encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


# Pointing -----------------------------------------------------------------------------------------------------------


def pointed(text: str, start: int, end: int, *, room: int = 72) -> tuple[str, str]:
    """Returns `text` as one safe line of at most `room` columns, and the line to put under it.

    That one has `^` under the character at `start` and `~` under the others before `end`. Of a long text the part
    around `start` is shown, with dots where it was cut."""
    shown = [printable(char).replace("\t", " ") for char in text]
    widths = [_width(piece) for piece in shown]
    first, last = _window(widths, start, room)
    before, after = "..." * (first > 0), "..." * (last < len(shown))
    indent = len(before) + sum(widths[first:start])
    span = max(1, sum(widths[start : min(end, last)]))
    return before + "".join(shown[first:last]) + after, " " * indent + "^" + "~" * (span - 1)


def _window(widths: list[int], start: int, room: int) -> tuple[int, int]:
    """Returns what part of a line to show so that `start` is in it: all, or what there is room for beside dots."""
    if sum(widths) <= room:
        return 0, len(widths)
    room -= 2 * len("...")
    first = last = start
    while last < len(widths) and sum(widths[start : last + 1]) <= room // 2:
        last += 1
    used = sum(widths[start:last])
    while first > 0 and used + widths[first - 1] <= room:
        first -= 1
        used += widths[first]
    while last < len(widths) and used + widths[last] <= room:
        used += widths[last]
        last += 1
    return first, last


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    import unicodedata  # noqa: PLC0415 - only for texts that need it

    marks = ("Mn", "Me")
    return sum(
        0 if unicodedata.category(char) in marks else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )
