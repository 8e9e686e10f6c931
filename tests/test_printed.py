"""What a run printed: as a terminal shows it in the end, the first and the last MiB of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack import printed
from gittrack.printed import HEAD_BYTES, TAIL_BYTES, Log, Screen


def shown(*pieces: bytes) -> bytes:
    screen = Screen()
    return b"".join(screen.feed(piece) for piece in pieces) + screen.rest


BARS = {
    "plain lines": (b"one\ntwo\nthree", b"one\ntwo\nthree"),
    "lines of windows": (b"one\r\ntwo\r\n", b"one\ntwo\n"),
    "a bar that is drawn over": (b"\r 0%\r 50%\r100%\ndone\n", b"100%\ndone\n"),
    "a bar behind text": (b"begin\nepoch 1: 0%\repoch 1: 100%\n", b"begin\nepoch 1: 100%\n"),
    "a bar whose end is not a line": (b"\r 0%\r 50%", b" 50%"),
    "backspaces": (b"10%\b\b\b20%\b\b\b30%\n", b"30%\n"),
    "a line that is erased": (b"working ...\r\x1b[Kdone\n", b"done\n"),
    "colours": (b"\x1b[1;31mred\x1b[0m text\n", b"red text\n"),
    "the title of a window": (b"\x1b]0;training\x07text\n", b"text\n"),
    "two bars": (b"\ra 0%\n\rb 0%\x1b[A\ra 50%\n\rb 50%\x1b[A\ra 100%\n\rb 100%\n", b"a 100%\nb 100%\n"),
    "three rows that are drawn again": (
        b"\x1b[?25l"
        + b"".join(b"\x1b[2K one %d\n\x1b[2K two %d\n\x1b[2K three\n\x1b[3A" % (n, n) for n in range(9))
        + b"\n\n\nend\n",
        b" one 8\n two 8\n three\nend\n",
    ),
    "up beyond the top": (b"\x1b[9Aa\rb\n", b"b\n"),
}


@pytest.mark.parametrize("what", BARS)
def test_what_was_written_over_is_gone(what: str) -> None:
    given_, expected = BARS[what]
    assert shown(given_) == expected


@pytest.mark.parametrize("what", BARS)
def test_output_may_come_in_any_pieces(what: str) -> None:
    given_, expected = BARS[what]
    assert shown(*(given_[at : at + 1] for at in range(len(given_)))) == expected
    for size in range(1, len(given_)):
        assert shown(given_[:size], given_[size:]) == expected


@given(st.lists(st.sampled_from([b"abc", b"\n", b"x" * 300, b"\xff\xc3", b"\0"]), max_size=40), st.integers(1, 9))
def test_text_without_bars_is_kept_byte_for_byte(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    assert shown(*(data[at : at + size] for at in range(0, len(data), size))) == data


@given(st.binary(max_size=300), st.integers(1, 20))
def test_nothing_that_is_printed_breaks_it(data: bytes, size: int) -> None:
    shown(*(data[at : at + size] for at in range(0, len(data), size)))


def test_a_line_without_an_end_is_not_kept_in_memory() -> None:
    screen = Screen()
    total = sum(len(screen.feed(b"x" * 50_000)) for _ in range(100))
    assert total + len(screen.rest) == 5_000_000
    assert len(screen.rest) <= 2 * 65536


def test_a_long_bar_is_quick_and_small() -> None:
    screen = Screen()
    kept = b"".join(screen.feed(b"\r%d%%|%s" % (n % 100, b"#" * 60)) for n in range(50_000))
    assert (kept, len(screen.rest)) == (b"", len(b"99%|") + 60)


# The log ------------------------------------------------------------------------------------------------------------


def test_what_fits_is_kept_whole(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for number in range(1000):
        log.write(b"line %d\n" % number)
    log.close()
    assert printed.read(tmp_path) == b"".join(b"line %d\n" % number for number in range(1000))


def test_lines_of_two_streams_are_whole_and_one_without_an_end_is_kept_too(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write(b"one, fir", stream=1)
    log.write(b"two\r 10%\r 20%", stream=2)
    log.write(b"st\none, sec", stream=1)
    log.write(b"\r 30%", stream=2)
    log.flush()
    assert printed.read(tmp_path) == b"one, first\none, sec\n 30%"
    log.write(b"ond\n", stream=1)
    log.close()
    assert printed.read(tmp_path) == b"one, first\none, second\n 30%"


@pytest.mark.parametrize("size", [HEAD_BYTES - 7, HEAD_BYTES + 5, HEAD_BYTES + TAIL_BYTES, 5 * HEAD_BYTES + 12_345])
@pytest.mark.parametrize("piece", [977, 65536, 3_000_000])
def test_the_first_and_the_last_mebibyte_are_kept(tmp_path: Path, size: int, piece: int) -> None:
    text = b"".join(b"%015d\n" % number for number in range(size // 16 + 1))[:size]
    log = Log(tmp_path)
    for at in range(0, size, piece):
        log.write(text[at : at + piece])
    log.close()
    found = printed.read(tmp_path)
    if size <= HEAD_BYTES + TAIL_BYTES:
        assert found == text
    else:
        head, left_out, tail = found[:HEAD_BYTES], found[HEAD_BYTES:-TAIL_BYTES], found[-TAIL_BYTES:]
        assert (head, tail) == (text[:HEAD_BYTES], text[-TAIL_BYTES:])
        assert left_out == b"\n[... %d bytes left out ...]\n" % (size - HEAD_BYTES - TAIL_BYTES)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= HEAD_BYTES + 2 * TAIL_BYTES + 65536


def test_what_a_killed_process_had_printed_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printed, "_PATIENCE_SECONDS", 60.0)  # a machine that has much to do
    log = Log(tmp_path)
    for number in range(200_000):
        log.write(b"%015d\n" % number)
    log.write(b"\r 50%")
    log.flush()
    assert printed.read(tmp_path).endswith(b"000000000199999\n 50%")
    log.write(b"\r 75%")
    log.flush()
    assert printed.read(tmp_path).endswith(b"000000000199999\n 75%")
    log.close()


def test_a_disk_that_is_full_stops_nobody() -> None:
    log = Log(Path("/dev/shm"))  # noqa: S108 - only its head is put on the full device
    log._head.close()
    log._head = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    log.write(b"text\n" * 1000)
    log.close()
    Path("/dev/shm/output.log").unlink()  # noqa: S108
