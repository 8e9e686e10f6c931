"""What scripts log besides numbers becomes files that other programs read back as they were."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gittrack import media, png

np = pytest.importorskip("numpy")
pillow = pytest.importorskip("PIL.Image")


def opened(made: media.Made) -> Any:
    assert isinstance(made.content, bytes)
    return pillow.open(io.BytesIO(made.content))


def pixels(made: media.Made) -> Any:
    return np.asarray(opened(made))


RANDOM = np.random.default_rng(0)
SHAPES = [(1, 1), (7, 5), (7, 5, 1), (7, 5, 2), (7, 5, 3), (7, 5, 4), (1, 300, 3)]


@pytest.mark.parametrize("shape", SHAPES)
def test_an_array_of_bytes_is_kept_to_the_pixel(shape: tuple[int, ...]) -> None:
    array = RANDOM.integers(0, 256, shape, dtype=np.uint8)
    made = media.image(array)
    assert (pixels(made) == (array[..., 0] if shape[2:] == (1,) else array)).all()
    assert made[2:] == ({"width": shape[1], "height": shape[0]}, None)


def test_sixteen_bits_stay_sixteen_bits() -> None:
    array = RANDOM.integers(0, 65536, (9, 4), dtype=np.uint16)
    assert (pixels(media.image(np.asfortranarray(array))) == array).all()


def test_floats_are_from_0_to_1_and_what_is_beyond_is_cut_and_said() -> None:
    array = np.array([[0.0, 0.25], [0.5, 1.0]])
    assert pixels(media.image(array)).tolist() == [[0, 64], [128, 255]]
    assert media.image(array).warning is None
    made = media.image(np.array([[-1.0, 2.0], [np.inf, np.nan]], dtype=np.float16))
    assert (pixels(made).tolist(), made.warning) == ([[0, 255], [255, 0]], "floats beyond 0..1 were cut")
    assert media.image(np.array([[np.nan]])).warning == "NaN is black"


def test_truth_and_other_integers_are_images_too() -> None:
    assert pixels(media.image(np.eye(2, dtype=bool))).tolist() == [[255, 0], [0, 255]]
    made = media.image(np.array([[-5, 300]], dtype=np.int64))
    assert (pixels(made).tolist(), made.warning) == ([[0, 255]], "integers beyond 0..255 were cut")


def test_the_script_s_own_array_is_left_as_it_is() -> None:
    array = np.array([[np.nan, 2.0]])
    media.image(array)
    assert np.isnan(array[0, 0])
    assert array[0, 1] == 2.0


@pytest.mark.parametrize("shape", [(3, 8, 6), (1, 8, 6), (8, 6), (1, 3, 8, 6), (3, 3, 3)])
def test_tensors_have_their_channels_first(shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.rand(*shape, requires_grad=True)
    expected = (tensor.detach().numpy() * 255 + 0.5).astype("uint8")
    expected = expected.reshape(expected.shape[-3:])
    if expected.ndim == 3:
        expected = expected.transpose(1, 2, 0)
    found = pixels(media.image(tensor))
    assert (found.reshape(expected.shape) == expected).all()
    assert (pixels(media.image(torch.ones(3, 2, 2, dtype=torch.bfloat16))) == 255).all()


def test_an_image_of_pillow_keeps_what_png_can_hold() -> None:
    array = RANDOM.integers(0, 256, (4, 6, 4), dtype=np.uint8)
    assert (pixels(media.image(pillow.fromarray(array))) == array).all()
    for mode in ("CMYK", "HSV", "LAB", "YCbCr"):
        assert opened(media.image(pillow.new(mode, (3, 2)))).size == (3, 2)
    palette = pillow.new("P", (3, 2))
    assert opened(media.image(palette)).mode == "P"


@pytest.mark.parametrize(("form", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg"), ("GIF", ".gif"), ("WEBP", ".webp")])
def test_a_file_of_an_image_is_kept_as_it_is(tmp_path: Path, form: str, suffix: str) -> None:
    out = io.BytesIO()
    pillow.new("RGB", (30, 20)).save(out, format=form)
    sizes = {} if form == "WEBP" else {"width": 30, "height": 20}
    made = media.image(out.getvalue())
    assert made[:3] == (suffix, out.getvalue(), sizes)
    path = tmp_path / "image.data"
    path.write_bytes(out.getvalue())
    assert media.image(str(path))[:3] == (suffix, path, sizes)
    assert media.image(out)[:2] == (suffix, out.getvalue())


BAD = {
    "text": b"hello",
    "a list": [[1, 2], [3, 4]],
    "five channels": np.zeros((6, 6, 5)),
    "five axes": np.zeros((2, 2, 4, 4, 3)),
    "no pixels": np.zeros((0, 4)),
    "complex": np.zeros((4, 4), dtype=complex),
    "too large": np.broadcast_to(np.zeros(1, dtype=np.uint8), (20_000, 20_000)),
    "nothing": None,
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_image_is_an_error_of_the_ordinary_kind(case: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        media.image(BAD[case])


def test_an_image_that_is_not_there_says_so() -> None:
    with pytest.raises(FileNotFoundError):
        media.image("nowhere.png")


# Figures -------------------------------------------------------------------------------------------------------------


def test_figures_axes_and_pyplot_of_matplotlib_become_png() -> None:
    figures = pytest.importorskip("matplotlib.figure")
    drawn = figures.Figure(figsize=(3, 2), dpi=50)
    axes = drawn.subplots()
    axes.plot([1, 2, 3])
    for value in (drawn, axes, SimpleNamespace(gcf=lambda: drawn)):
        for made in (media.figure(value), media.image(value)):
            assert opened(made).size == (150, 100)
            assert made.about == {"width": 150, "height": 100}


def test_figures_of_plotly_become_json_that_plotly_reads_back() -> None:
    graphs, files = pytest.importorskip("plotly.graph_objects"), pytest.importorskip("plotly.io")
    drawn = graphs.Figure(graphs.Scatter(y=[3, 1, 2]))
    made = media.figure(drawn)
    assert (made.suffix, made.about) == (".plotly.json", {"library": "plotly"})
    assert isinstance(made.content, bytes)
    assert list(files.from_json(made.content.decode()).data[0].y) == [3, 1, 2]
    assert len(made.content) < 50_000


def test_what_is_no_figure_is_refused() -> None:
    for value in (object(), "text", 3, np.zeros((2, 2))):
        with pytest.raises(TypeError, match="is no figure"):
            media.figure(value)


# Texts ---------------------------------------------------------------------------------------------------------------


def test_texts_are_utf_8() -> None:
    assert media.text("naïve\n").content == "naïve\n".encode()
    assert media.text("half \ud800").content == b"half ?"
    assert media.text(3.5).content == b"3.5"
    assert media.text(Path("notes.md"))[:2] == (".md", Path("notes.md"))


def test_html_is_a_text_a_path_a_file_or_what_shows_itself() -> None:
    assert media.html("<p>ä</p>").content == "<p>ä</p>".encode()
    assert media.html(io.StringIO("<p>")).content == b"<p>"
    assert media.html("page.html").content == media.html(Path("page.html")).content == Path("page.html")
    assert media.html(SimpleNamespace(_repr_html_=lambda: "<b>")).content == b"<b>"
    with pytest.raises(TypeError):
        media.html(object())


# Sounds --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["uint8", "int16", "int32", ">i2"])
def test_integers_are_kept_to_the_sample(name: str) -> None:
    kind = np.dtype(name)
    array = RANDOM.integers(np.iinfo(kind).min, np.iinfo(kind).max, (50, 2)).astype(kind)
    made = media.audio(array, 8000)
    assert isinstance(made.content, bytes)
    with wave.open(io.BytesIO(made.content)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, 8000, 50)
        found = np.frombuffer(file.readframes(50), dtype=kind.newbyteorder("<")).reshape(50, 2)
    assert (found == array).all()
    assert made.about == {"sample_rate": 8000, "channels": 2, "seconds": 0.00625}


def test_floats_become_sixteen_bits_and_what_is_beyond_is_cut() -> None:
    made = media.audio(np.array([0.0, 1.0, -1.0, 0.5]), sample_rate=4)
    assert isinstance(made.content, bytes)
    with wave.open(io.BytesIO(made.content)) as file:
        assert np.frombuffer(file.readframes(4), dtype="<i2").tolist() == [0, 32767, -32767, 16384]
    assert made.warning is None
    assert media.audio(np.array([2.0, np.nan]), 4).warning == "floats beyond -1..1 were cut"


def test_a_sound_of_torch_has_its_channels_first() -> None:
    torch = pytest.importorskip("torch")
    assert media.audio(torch.zeros(2, 100), 8000).about["channels"] == 2


def test_a_file_of_a_sound_is_kept_as_it_is(tmp_path: Path) -> None:
    made = media.audio(np.zeros(10), 8000)
    assert isinstance(made.content, bytes)
    assert media.audio(made.content)[:2] == (".wav", made.content)
    (tmp_path / "a.mp3").write_bytes(b"ID3 whatever")
    assert media.audio(tmp_path / "a.mp3")[:2] == (".mp3", tmp_path / "a.mp3")


@pytest.mark.parametrize(("value", "rate"), [(np.zeros(4), None), (np.zeros(4), 0), (np.zeros((2, 2, 2)), 8000)])
def test_what_is_no_sound_is_refused(value: Any, rate: Any) -> None:
    with pytest.raises(ValueError, match=r"sample_rate=|is no sound"):
        media.audio(value, rate)


# Films ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 3, 1, 2)])
def test_a_film_has_every_picture_to_the_pixel(axes: tuple[int, ...]) -> None:
    array = RANDOM.integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
    made = media.video(array.transpose(axes), fps=10)
    assert made.about == {"width": 7, "height": 6, "frames": 5, "fps": 10}
    file = opened(made)
    assert (file.n_frames, file.info["duration"], file.info["loop"]) == (5, 100, 0)
    for at in range(5):
        file.seek(at)
        assert (np.asarray(file) == array[at]).all()


def test_a_film_may_be_grey_a_tensor_or_a_list() -> None:
    torch = pytest.importorskip("torch")
    for value in (np.zeros((3, 8, 8)), torch.zeros(1, 3, 3, 8, 8), [np.zeros((8, 8, 3))] * 3):
        assert opened(media.video(value)).n_frames == 3


def test_what_is_no_film_is_refused(tmp_path: Path) -> None:
    for value in ([], [np.zeros((2, 2)), np.zeros((3, 3))], np.zeros((2, 2)), np.zeros((2, 3, 4, 5, 6, 7))):
        with pytest.raises(ValueError, match="film"):
            media.video(value)
    with pytest.raises(ValueError, match="pictures in a second"):
        media.video(np.zeros((2, 4, 4)), fps=0)


def test_a_film_in_a_file_is_kept_as_it_is() -> None:
    content = b"\0\0\0\x18ftypmp42" + b"\0" * 20
    assert media.video(content)[:2] == (".mp4", content)


def test_the_size_of_a_jpeg_is_found_behind_its_other_parts() -> None:
    out = io.BytesIO()
    for size in ((640, 480), (1, 65000)):
        out.seek(0)
        out.truncate()
        exif = pillow.Exif()
        exif[0x010E] = "x" * 5000
        pillow.new("L", size).save(out, format="JPEG", exif=exif, progressive=True)
        assert png.size_of(out.getvalue()) == size
    for cut in range(200):
        png.size_of(out.getvalue()[:cut])
