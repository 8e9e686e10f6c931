"""What a person sees: aligned text, colour where it helps, the pager as git does it.

Commands compute values and hand them in; nothing here asks git or the disk about runs. Every text that came from a
run goes through `printable`."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Self, TextIO

from gittrack.terminal import printable

RED, GREEN, YELLOW, CYAN, DIM, BOLD = "31", "32", "33", "36", "2", "1"
BATCH = 500  # lines that are written at once
STATUS_COLOURS = {"running": CYAN, "finished": GREEN, "failed": RED, "crashed": RED, "interrupted": YELLOW}


class Screen:
    """Where results go: stdout, with colour and width as the terminal, the user and git want them."""

    def __init__(self, *, colour: str = "auto", quiet: bool = False, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.quiet = quiet
        self.terminal = _is_terminal(self.stream)
        self.colour = wants_colour(colour, terminal=self.terminal)
        self.braille = shows_braille(self.stream)

    @property
    def width(self) -> int | None:
        """The columns of the terminal, or None where there is none and nothing is cut."""
        return terminal_size()[0] if self.terminal else None

    @property
    def unicode(self) -> bool:
        """Whether arrows and the like reach the reader as such."""
        return (getattr(self.stream, "encoding", None) or "").lower().replace("-", "").startswith("utf")

    def paint(self, text: str, *codes: str) -> str:
        """Returns `text` in a colour, where colour is wanted."""
        return f"\x1b[{';'.join(codes)}m{text}\x1b[m" if self.colour and codes and text else text

    def print(self, lines: Iterable[str] | str = "") -> None:
        """Prints lines that are already safe."""
        text = lines if isinstance(lines, str) else "\n".join(lines)
        self.stream.write(text + "\n")

    def page(self, lines: Iterable[str], pager: str | None) -> None:
        """Prints lines through git's pager if they do not fit the terminal; the first ones are not kept waiting."""
        flow = iter(lines)
        if not self.terminal or not pager or pager == "cat":
            while some := list(islice(flow, BATCH)):
                self.print(some)
            return
        rows = terminal_size()[1]
        first = list(islice(flow, rows))
        if len(first) < rows:
            self.print(first)
            return
        import signal  # noqa: PLC0415 - only for the pager
        import subprocess  # noqa: PLC0415 - as above

        self.stream.flush()
        env = {**os.environ, "LESS": os.environ.get("LESS", "FRX"), "LV": os.environ.get("LV", "-c")}
        with (
            subprocess.Popen(
                ["sh", "-c", pager], stdin=subprocess.PIPE, env=env, text=True, errors="replace"
            ) as process,
            contextlib.suppress(OSError),  # who has seen enough ends the pager, and that ends us
        ):
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the pager, as it is beside git
            while process.stdin and first:
                process.stdin.write("\n".join(first) + "\n")
                process.stdin.flush()
                first = list(islice(flow, BATCH))


def terminal_size() -> tuple[int, int]:
    """Returns columns and lines of the terminal, as COLUMNS, LINES and the terminal itself say."""
    import shutil  # noqa: PLC0415 - only on a terminal

    return tuple(shutil.get_terminal_size())  # type: ignore[return-value]


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (ValueError, AttributeError):
        return False


def shows_braille(stream: TextIO) -> bool:
    """Tells whether a stream can show braille and block characters: not in ASCII, nor on the console of Linux."""
    try:
        "\u28ff\u2588\u2502".encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return os.environ.get("TERM") != "linux" or not _is_terminal(stream)


def wants_colour(choice: str, *, terminal: bool) -> bool:
    """Returns whether to colour: `always` and `never` decide, then NO_COLOR, then whether it is a terminal."""
    if choice in ("always", "never"):
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (terminal and os.environ.get("TERM") != "dumb")


def line(text: str) -> None:
    """Prints a line of a result on stdout; the text is safe already."""
    sys.stdout.write(text + "\n")


def warn(text: str) -> None:
    """Prints a line on stderr."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()


class Progress:
    """The latest line of a long transfer: on a terminal, after one second, and gone when it ends.

    `report` takes such a line; it is None where nobody would see it."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._since = time.monotonic()
        self._shown = 0
        self.report = None if quiet or not _is_terminal(sys.stderr) else self._report

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._write("")

    def _report(self, text: str) -> None:
        if time.monotonic() - self._since >= 1 and _is_in_front(sys.stderr):
            self._write(printable(text)[: terminal_size()[0] - 1])

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write("\r" + text.ljust(self._shown) + ("" if text else "\r"))
            sys.stderr.flush()
        self._shown = len(text)


def _is_in_front(stream: TextIO) -> bool:
    """Tells whether we are the job that the terminal listens to: what runs in the background stays silent."""
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return True


# Words --------------------------------------------------------------------------------------------------------------


def number(value: Any) -> str:
    """Returns a value for a table: six significant digits."""
    if type(value) is float:  # nearly all of them
        text = f"{value:.6g}"
        return text.replace("e-0", "e-").replace("e+0", "e+") if "e" in text else text
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: ""}[value]
    if isinstance(value, float):
        text = f"{value:.6g}"
        return text.replace("e-0", "e-").replace("e+0", "e+")
    if isinstance(value, int):
        return str(value) if abs(value) < 10**15 else f"{value:.6g}" if abs(value) < 10**300 else f"{str(value)[:12]}…"
    if isinstance(value, list | tuple | dict):
        return printable(_compact(value))
    return printable(str(value))


def places(values: Iterable[Any]) -> int | None:
    """Returns how many decimals a column of numbers needs for six digits of its largest; None where they vary too much.

    So that the points of a column stand in line: what lies four orders below the largest would lose its digits."""
    sizes = [abs(value) for value in values if isinstance(value, int | float) and value and abs(value) < 1e300]
    if not sizes or min(sizes) < 1e-4 or max(sizes) >= 1e6 or max(sizes) > 1e4 * min(sizes):
        return None
    whole = len(str(int(max(sizes)))) if max(sizes) >= 1 else 0
    return max(len(f"{size:.{6 - whole}f}".rstrip("0").partition(".")[2]) for size in sizes)


def fixed(value: Any, decimals: int | None) -> str:
    """Returns a number with so many decimals; without them, or what has none, as `number` does."""
    if decimals is None or not isinstance(value, int | float) or not abs(value) < 1e300:
        return number(value)
    return f"{value:.{decimals}f}"


def _compact(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_compact(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_compact(item) for item in value) + "]"
    return number(value)


def size(count: int) -> str:
    """Returns bytes as `1.5 MiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def span(seconds: float | None) -> str:
    """Returns a duration as `1h 02m`, `3m 20s`, `4.2s` or `120ms`."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h {minutes:02d}m"
    return f"{hours // 24}d {hours % 24:02d}h"


def moment(text: str | None) -> datetime | None:
    """Returns a timestamp of a run as a time, or None if it is none."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)


def ago(text: str | None, *, now: datetime) -> str:
    """Returns how long ago a timestamp was, as git does: `3 minutes ago`."""
    then = moment(text)
    if then is None:
        return ""
    seconds = (now - then).total_seconds()
    if seconds < 0:
        return "in the future"
    for unit, length, limit in (
        ("second", 1, 90),
        ("minute", 60, 90),
        ("hour", 3600, 36),
        ("day", 86400, 14),
        ("week", 604800, 10),
        ("month", 2629746, 12),
    ):
        count = round(seconds / length)
        if count < limit:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    years = round(seconds / 31556952, 1)
    return f"{years:g} year{'' if years == 1 else 's'} ago"


def local_time(text: str | None) -> str:
    """Returns a timestamp in the reader's time zone."""
    then = moment(text)
    try:
        return then.astimezone().strftime("%Y-%m-%d %H:%M:%S %z") if then else ""
    except (OverflowError, ValueError):  # a time that is in no calendar of this machine
        return printable(text or "")


# Tables -------------------------------------------------------------------------------------------------------------


def width_of(text: str) -> int:
    """Returns how many columns a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata  # noqa: PLC0415 - only for names that need it

    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def cut(text: str, width: int) -> str:
    """Returns a text that takes at most `width` columns, its end replaced by `…`."""
    if width_of(text) <= width:
        return text
    room = width - 1
    for at, char in enumerate(text):
        room -= width_of(char)
        if room < 0:
            return text[:at] + "…"
    return text + "…"


def pad(text: str, width: int, *, right: bool) -> str:
    """Returns a text filled up with spaces."""
    space = " " * max(0, width - width_of(text))
    return space + text if right else text + space


def table(
    screen: Screen,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: frozenset[int] | set[int] = frozenset(),
    colours: dict[tuple[int, int], tuple[str, ...]] | None = None,
    widest: int = 32,
) -> list[str]:
    """Returns the lines of a table that fits the terminal: columns that do not fit are left out from the right.

    right: the places of columns of numbers; colours: (row, column) to codes."""
    limit = widest if screen.width else 200
    room = screen.width
    parts: list[list[str]] = []
    for at, head in enumerate(heads):  # column by column, and no further than the terminal is wide
        texts, width = _column(printable(head), [row[at] for row in rows], limit, right=at in right)
        room = room if room is None else room - width - (2 if parts else 0)
        if room is not None and room < 0 and parts:
            break
        if screen.colour:
            codes = [(colours or {}).get((number_, at), ()) for number_ in range(len(rows))]
            texts = [screen.paint(text, *code) for text, code in zip(texts, [(BOLD,), *codes], strict=True)]
        parts.append(texts)
    return [line.rstrip() for line in map("  ".join, zip(*parts, strict=True))]


def _column(head: str, cells: list[str], limit: int, *, right: bool) -> tuple[list[str], int]:
    """Returns head and cells cut and filled to one width, and the width."""
    texts = [head, *cells]
    if "".join(texts).isascii():
        width = max(map(len, texts))
        if width > limit:
            texts, width = [text if len(text) <= limit else cut(text, limit) for text in texts], limit
            if not "".join(texts).isascii():  # the `…` of those that were cut
                return [pad(text, width, right=right) for text in texts], width
        return [text.rjust(width) if right else text.ljust(width) for text in texts], width
    texts = [cut(text, limit) for text in texts]
    width = max(map(width_of, texts))
    return [pad(text, width, right=right) for text in texts], width


def pairs(screen: Screen, items: Iterable[tuple[str, str]], *, indent: str = "") -> Iterator[str]:
    """Yields `name  value` lines with the values aligned; items without a value are left out."""
    kept = [(printable(name), value) for name, value in items if value]
    widest = max((width_of(name) for name, _ in kept), default=0)
    for name, value in kept:
        yield f"{indent}{screen.paint(pad(name, widest, right=False), DIM)}  {value}"
