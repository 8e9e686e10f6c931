"""Images, figures, sounds and films as files that open everywhere.

Scripts hand over whatever they have at hand: an array, a tensor, a figure, a path. Each is known by what it can do,
and no library is imported for it: who has a figure of matplotlib has matplotlib. This module knows nothing of runs."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gittrack import png
from gittrack.png import Pixels

MAX_PIXELS = 100_000_000  # of one image, so that training goes on within seconds
MAX_FILM = 256 << 20  # bytes of the pixels of one film
MAX_BYTES = 256 << 20  # of a file that is handed over as bytes

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"fLaC": ".flac",
    b"OggS": ".ogg",
    b"ID3": ".mp3",
    b"\xff\xfb": ".mp3",
    b"\xff\xf3": ".mp3",
    b"\x1aE\xdf\xa3": ".webm",
}
_RIFF = {b"WEBP": ".webp", b"WAVE": ".wav", b"AVI ": ".avi"}
_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".svg", ".avif", ".apng"})
_SOUNDS = frozenset({".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"})
_FILMS = frozenset({".mp4", ".webm", ".gif", ".mov", ".mkv", ".avi", ".m4v", ".apng", ".png"})


class Made(NamedTuple):
    """A value as a file: the end of its name, its content or the path of a file that has it, and what is known of it.

    warning: what is not as it was given, in a few words."""

    suffix: str
    content: bytes | Path
    about: Mapping[str, Any]
    warning: str | None = None


# Images --------------------------------------------------------------------------------------------------------------


def image(value: Any) -> Made:
    """Returns an image as a file: PNG, or the file that is given by its path or bytes.

    value: an array of shape (H, W) or (H, W, C) with 1 to 4 channels, a tensor of shape (C, H, W) or (H, W), an image
    of Pillow, a figure of matplotlib. Integers are 0 to 255 (uint16: 0 to 65535), floats 0 to 1; what is beyond is
    cut. Raises TypeError or ValueError for anything else."""
    given = _file(value, _IMAGES, "image")
    if given is not None:
        return given
    if callable(getattr(value, "save", None)) and hasattr(value, "mode"):
        return _pillow(value)
    if _is_drawn(value):
        return figure(value)
    array, is_tensor = as_array(value, "an image")
    picture, warning = _pixels(_channels_last(array, is_tensor=is_tensor))
    return Made(".png", png.encode(picture), {"width": picture.width, "height": picture.height}, warning)


def _pillow(value: Any) -> Made:
    width, height = value.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"an image of {width} x {height} pixels is too large; {MAX_PIXELS} pixels are the limit")
    if value.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"):
        value = value.convert("RGB")
    out = io.BytesIO()
    value.save(out, format="PNG")
    return Made(".png", out.getvalue(), {"width": width, "height": height})


def as_array(value: Any, what: str) -> tuple[Any, bool]:
    """Returns an array of numpy and whether it was a tensor of torch; raises TypeError if `value` is no array."""
    if callable(getattr(value, "detach", None)):
        value = value.detach().cpu()
        if "bfloat16" in str(getattr(value, "dtype", "")):  # numpy has no such numbers
            value = value.float()
        return value.numpy(), True
    if type(value).__module__.partition(".")[0] == "numpy":
        return value, False
    for way in ("__array__", "numpy"):
        if callable(getattr(value, way, None)):
            return getattr(value, way)(), False
    raise TypeError(f"{type(value).__name__} is not {what}, an array or a path")


def _channels_last(array: Any, *, is_tensor: bool) -> Any:
    """Returns an image's array with the shape (H, W) or (H, W, C)."""
    while len(array.shape) > 3 and array.shape[0] == 1:
        array = array[0]
    if len(array.shape) == 3:
        first, last = array.shape[0] in png.COLOURS, array.shape[2] in png.COLOURS
        if first and (is_tensor or not last):
            return array.transpose(1, 2, 0)
        if last:
            return array
    elif len(array.shape) == 2:
        return array
    raise ValueError(f"an array of shape {tuple(array.shape)} is no image")


def _pixels(array: Any) -> tuple[Pixels, str | None]:
    """Returns the pixels of an array of shape (H, W) or (H, W, C), and what was cut."""
    height, width = array.shape[:2]
    if not height or not width or height * width > MAX_PIXELS:
        raise ValueError(f"an image of {width} x {height} pixels cannot be kept; {MAX_PIXELS} pixels are the limit")
    channels = array.shape[2] if len(array.shape) == 3 else 1
    samples, warning = _samples(array)
    bits = 8 * samples.dtype.itemsize
    rows = samples.astype(f">u{bits // 8}", order="C").reshape(height, width * channels).view("uint8")
    filtered = rows.copy()
    filtered[1:] -= rows[:-1]
    return Pixels(width, height, channels, bits, filtered.tobytes()), warning


def _samples(array: Any) -> tuple[Any, str | None]:
    """Returns an array as uint8 or uint16, and what had to be cut."""
    kind = array.dtype.kind
    if kind == "b":
        return array.astype("uint8") * 255, None
    if array.dtype.name in ("uint8", "uint16"):
        return array, None
    if kind in "iu":
        cut = array.clip(0, 255)
        return cut.astype("uint8"), None if (cut == array).all() else "integers beyond 0..255 were cut"
    if kind != "f":
        raise TypeError(f"an array of {array.dtype} is no image")
    array = array.astype("float32", order="C")  # a copy, and enough for 8 bits
    low, high = float(array.min()), float(array.max())
    warning = None
    if low != low:  # NaN
        array[array != array] = 0
        low, high, warning = float(array.min()), float(array.max()), "NaN is black"
    if low < 0 or high > 1:
        array, warning = array.clip(0, 1), "floats beyond 0..1 were cut"
    array *= 255
    array += 0.5
    return array.astype("uint8"), warning


# Figures -------------------------------------------------------------------------------------------------------------


def figure(value: Any) -> Made:
    """Returns a figure as a file; raises TypeError for what is none.

    matplotlib's become PNG, `plt` and axes too. Those of plotly and altair become their JSON: it is small, it needs
    no network to be read again (`plotly.io.from_json`), and unlike their HTML it holds no program."""
    if callable(getattr(value, "gcf", None)):  # matplotlib.pyplot itself
        value = value.gcf()
    if not hasattr(value, "savefig"):
        inner = getattr(value, "figure", None)
        value = inner if hasattr(inner, "savefig") else value
    if callable(getattr(value, "savefig", None)):
        out = io.BytesIO()
        value.savefig(out, format="png")
        content = out.getvalue()
        return Made(".png", content, _sized(content))
    if callable(getattr(value, "to_json", None)):
        library = type(value).__module__.partition(".")[0]
        text = value.to_json()
        if isinstance(text, str):
            return Made(f".{library}.json", text.encode("utf-8", "replace"), {"library": library})
    raise TypeError(f"{type(value).__name__} is no figure of matplotlib, plotly or altair")


def _is_drawn(value: Any) -> bool:
    inner = getattr(value, "figure", None)
    return any(callable(getattr(each, "savefig", None)) for each in (value, inner)) or hasattr(value, "gcf")


# Texts ---------------------------------------------------------------------------------------------------------------


def text(value: Any) -> Made:
    """Returns a text as a file; a `Path` is a file that has it."""
    if isinstance(value, os.PathLike):
        path = Path(value)
        return Made(path.suffix or ".txt", path, {})
    return Made(".txt", str(value).encode("utf-8", "replace"), {})


def html(value: Any) -> Made:
    """Returns HTML as a file: a text, a path, a file object, or whatever shows itself in a notebook."""
    if callable(getattr(value, "read", None)):
        value = value.read()
    if isinstance(value, bytes):
        return Made(".html", value, {})
    is_path = isinstance(value, str) and "<" not in value and value.lower().endswith((".html", ".htm"))
    if is_path or isinstance(value, os.PathLike):
        return Made(".html", Path(value), {})
    if not isinstance(value, str):
        shown = value._repr_html_() if callable(getattr(value, "_repr_html_", None)) else None
        if not isinstance(shown, str):
            raise TypeError(f"{type(value).__name__} is no HTML")
        value = shown
    return Made(".html", value.encode("utf-8", "replace"), {})


# Sounds --------------------------------------------------------------------------------------------------------------


def audio(value: Any, sample_rate: float | None = None) -> Made:
    """Returns a sound as a file: WAV, or the file that is given by its path or bytes.

    value: an array of shape (samples,) or (samples, channels), floats in -1..1 or integers; sample_rate: samples in a
    second, needed for an array. Raises TypeError or ValueError."""
    given = _file(value, _SOUNDS, "sound")
    if given is not None:
        return given
    import wave  # noqa: PLC0415 - only for sounds

    array, _ = as_array(value, "a sound")
    if sample_rate is None or not 1 <= int(sample_rate) <= 10_000_000:
        raise ValueError("a sound that is an array needs sample_rate=, in samples a second")
    if len(array.shape) == 2 and array.shape[0] < array.shape[1]:  # torch has channels first
        array = array.transpose(1, 0)
    if len(array.shape) not in (1, 2) or (len(array.shape) == 2 and array.shape[1] > 64):
        raise ValueError(f"an array of shape {tuple(array.shape)} is no sound")
    channels = array.shape[1] if len(array.shape) == 2 else 1
    samples, warning = _waves(array)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(samples.dtype.itemsize)
        file.setframerate(int(sample_rate))
        file.writeframes(samples.tobytes())
    seconds = round(array.shape[0] / float(sample_rate), 6)
    about = {"sample_rate": int(sample_rate), "channels": channels, "seconds": seconds}
    return Made(".wav", out.getvalue(), about, warning)


def _waves(array: Any) -> tuple[Any, str | None]:
    """Returns samples as WAV has them, little-endian, and what had to be cut."""
    kind, name = array.dtype.kind, array.dtype.name
    if name in ("uint8", "int16", "int32"):
        return array.astype(array.dtype.newbyteorder("<")), None
    if kind in "iu":
        cut = array.clip(-32768, 32767)
        return cut.astype("<i2"), None if (cut == array).all() else "samples beyond 16 bits were cut"
    if kind != "f":
        raise TypeError(f"an array of {array.dtype} is no sound")
    array = array.astype("float64")
    array[array != array] = 0
    cut = array.clip(-1, 1)
    return (cut * 32767).round().astype("<i2"), "floats beyond -1..1 were cut" if (cut != array).any() else None


# Films ---------------------------------------------------------------------------------------------------------------


def video(value: Any, fps: float = 4) -> Made:
    """Returns a film as a file: an animated PNG, or the file that is given by its path or bytes.

    value: an array of shape (T, H, W), (T, H, W, C) or, as W&B has it, (T, C, H, W), with samples as those of an
    image; a sequence of images' arrays. fps: pictures in a second. Raises TypeError or ValueError."""
    given = _file(value, _FILMS, "film")
    if given is not None:
        return given
    if not 0.01 <= fps <= 1000:
        raise ValueError(f"a film cannot have {fps} pictures in a second")
    frames, is_tensor = (value, False) if isinstance(value, Sequence) else as_array(value, "a film")
    if not isinstance(frames, Sequence):
        while len(frames.shape) > 4 and frames.shape[0] == 1:
            frames = frames[0]
        if len(frames.shape) not in (3, 4):
            raise ValueError(f"an array of shape {tuple(frames.shape)} is no film")
    pictures: list[Pixels] = []
    warning, size = None, 0
    for frame in frames:
        array, of_torch = as_array(frame, "an image") if isinstance(frames, Sequence) else (frame, is_tensor)
        # W&B's films have their channels first, whatever they are made of.
        first = len(array.shape) == 3 and array.shape[2] not in png.COLOURS
        picture, cut = _pixels(_channels_last(array, is_tensor=of_torch or first))
        if pictures and picture[:4] != pictures[0][:4]:
            raise ValueError("the pictures of a film have one size")
        size += len(picture.filtered)
        if size > MAX_FILM:
            raise ValueError(f"a film of more than {MAX_FILM >> 20} MiB of pixels is not made; log a file of it")
        warning = warning or cut
        pictures.append(picture)
    if not pictures:
        raise ValueError("a film without pictures")
    about = {"width": pictures[0].width, "height": pictures[0].height, "frames": len(pictures), "fps": fps}
    return Made(".png", png.encode_moving(pictures, fps=fps), about, warning)


# Files ---------------------------------------------------------------------------------------------------------------


def _file(value: Any, suffixes: frozenset[str], what: str) -> Made | None:
    """Returns what a path or bytes are, or None if `value` is neither; raises ValueError if they are something else."""
    if isinstance(value, str | os.PathLike):
        path = Path(value)
        suffix = path.suffix.lower()
        with path.open("rb") as file:
            head = file.read(1 << 16)
        if suffix not in suffixes:
            suffix = _kind(head)
        if suffix not in suffixes:
            raise ValueError(f"'{path.name}' is no {what} that is known: {' '.join(sorted(suffixes))}")
        return Made(suffix, path, _sized(head))
    if isinstance(value, io.BytesIO):
        value = value.getvalue()
    if not isinstance(value, bytes | bytearray | memoryview):
        return None
    content = bytes(value)
    suffix = _kind(content)
    if suffix not in suffixes or len(content) > MAX_BYTES:
        raise ValueError(f"{len(content)} bytes are no {what} that is known")
    return Made(suffix, content, _sized(content))


def _kind(content: bytes) -> str:
    """Returns the end of the name that bytes should have, by how they begin; '' if that is not known."""
    for magic, suffix in _MAGIC.items():
        if content.startswith(magic):
            return suffix
    if content.startswith(b"RIFF"):
        return _RIFF.get(content[8:12], "")
    if content[4:8] == b"ftyp":
        return ".m4a" if content[8:11] == b"M4A" else ".avif" if content[8:12] == b"avif" else ".mp4"
    return ".svg" if b"<svg" in content[:1000] else ""


def _sized(content: bytes) -> dict[str, Any]:
    found = png.size_of(content)
    return {"width": found[0], "height": found[1]} if found else {}
