"""A pointer has one valid encoding, which is Git LFS's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.codec.pointer import MAX_SIZE, Pointer, decode_pointer, encode_pointer, is_sha256

HASH = "a" * 64
GOOD = encode_pointer(Pointer(HASH, 12))


@given(st.integers(0, (1 << 256) - 1), st.integers(0, MAX_SIZE))
def test_what_is_encoded_is_read_back(number: int, size: int) -> None:
    pointer = Pointer(f"{number:064x}", size)
    assert decode_pointer(encode_pointer(pointer)) == pointer


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        GOOD[:-1],
        GOOD + b"\n",
        b"\n" + GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"size 12", b"size 012"),
        GOOD.replace(b"size 12", b"size -12"),
        GOOD.replace(b"size 12", b"size +12"),
        GOOD.replace(b"size 12", b"size 12 "),
        GOOD.replace(b"size 12", b"size 9999999999999999999"),
        GOOD.replace(b"sha256:", b"sha512:"),
        GOOD.replace(b"sha256:aa", b"sha256:AA"),
        GOOD.replace(b"sha256:aa", b"sha256:a"),
        GOOD.replace(b"sha256:aa", b"sha256:../"),
        GOOD.replace(b"size", b"ext-0-foo sha256:" + b"0" * 64 + b"\nsize"),
        GOOD.replace(b"https://git-lfs.github.com/spec/v1", b"https://hawser.github.com/spec/v1"),
        GOOD + b"x" * 2000,
    ],
)
def test_anything_else_is_no_pointer(raw: bytes) -> None:
    assert decode_pointer(raw) is None


def test_a_hash_that_could_be_a_path_is_none() -> None:
    assert is_sha256(HASH)
    for text in ("", "a" * 63, "a" * 65, "A" * 64, HASH[:-1] + "\n", HASH + "\n", "../" + "a" * 61, "a" * 63 + "/"):
        assert not is_sha256(text)


@pytest.mark.skipif(not shutil.which("git-lfs"), reason="git-lfs is not installed")
def test_git_lfs_makes_the_same_pointer(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content\n" * 1000)
    said = subprocess.run(
        ["git", "lfs", "pointer", "--file=file"], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    pointer = decode_pointer(said)
    assert pointer is not None
    assert encode_pointer(pointer) == said
