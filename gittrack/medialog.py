"""What a run keeps besides numbers and files: images, figures, tables, texts, sounds, films.

Each becomes a file below `media/`, under its key and its step, so that a page can show how it changed. As with
everything that a training script calls, nothing here raises: what could not be kept is counted, and said in a line."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gittrack import leftovers, values
from gittrack.codec import tree
from gittrack.errors import GittrackError
from gittrack.filing import Filing
from gittrack.shared import make_folder

if TYPE_CHECKING:
    from gittrack.media import Made

ROOT = "media"
MAX_PART_BYTES = 100  # of one component of a path; longer ones are cut, and end in 8 digits of their hash
_ODD = re.compile(r'[\x00-\x1f\x7f-\x9f\\:*?"<>|\ud800-\udfff]')
# What the objects of other libraries are, that scripts put into log() as they are.
_FRAMES = {("pandas", "DataFrame"), ("polars", "DataFrame"), ("polars", "LazyFrame"), ("pyarrow", "Table")}


class MediaLog(Filing):
    """The methods of a run for images and the like."""

    _places: dict[str, int]  # where something was put already, and how often

    def log_image(self, key: str, image: Any, *, step: int | None = None, caption: Any = None) -> list[str]:
        """Keeps an image with the run, as PNG or as the file that it is; returns its path in the run.

        image: an array of shape (H, W) or (H, W, C), a tensor of shape (C, H, W), an image of Pillow, a figure, a
        path, bytes; or a list of such, and then `caption` may be a list too. Floats are 0 to 1, integers 0 to 255.
        step: by default that of the last `log()`."""
        many = image if isinstance(image, list | tuple) else [image]
        captions = caption if isinstance(caption, list | tuple) else [caption] * len(many)
        kept = []
        for at, one in enumerate(many):
            said = captions[at] if at < len(captions) else None
            kept += self._keep_made("image", key, _maker(one, "image"), step=step, caption=said)
        return kept

    def log_figure(self, key: str, figure: Any, *, step: int | None = None, caption: str | None = None) -> list[str]:
        """Keeps a figure with the run: one of matplotlib as PNG, one of plotly or altair as its JSON."""
        return self._keep_made("figure", key, _maker(figure, "figure"), step=step, caption=caption)

    def log_text(self, key: str, text: Any, *, step: int | None = None, caption: str | None = None) -> list[str]:
        """Keeps a text of any length with the run; a `Path` is a file that has it."""
        return self._keep_made("text", key, _maker(text, "text"), step=step, caption=caption)

    def log_html(self, key: str, html: Any, *, step: int | None = None, caption: str | None = None) -> list[str]:
        """Keeps HTML with the run: a text, a path, a file object, or what shows itself in a notebook."""
        return self._keep_made("html", key, _maker(html, "html"), step=step, caption=caption)

    def log_audio(
        self,
        key: str,
        audio: Any,
        sample_rate: float | None = None,
        *,
        step: int | None = None,
        caption: str | None = None,
    ) -> list[str]:
        """Keeps a sound with the run: an array of shape (samples,) or (samples, channels) as WAV, or a file.

        sample_rate: samples in a second, for arrays."""
        maker = _maker(audio, "audio", sample_rate=sample_rate)
        return self._keep_made("audio", key, maker, step=step, caption=caption)

    def log_video(
        self, key: str, video: Any, *, fps: float = 4, step: int | None = None, caption: str | None = None
    ) -> list[str]:
        """Keeps a film with the run: an array of shape (T, H, W), (T, H, W, C) or (T, C, H, W), or a file.

        fps: pictures in a second. Arrays become an animated PNG."""
        maker = _maker(video, "video", fps=fps)
        return self._keep_made("video", key, maker, step=step, caption=caption)

    def log_table(
        self,
        key: str,
        table: Any,
        columns: Sequence[str] | None = None,
        *,
        step: int | None = None,
        caption: str | None = None,
    ) -> list[str]:
        """Keeps a table with the run, as CSV.

        table: a data frame of pandas, polars or pyarrow, a mapping of columns, a list of mappings or of rows, an
        array. columns: the names, where the table has none. Images in its cells are kept beside it."""

        def make(folder: Path, place: str) -> Made:
            return self._table(table, columns, folder, place)

        return self._keep_made("table", key, make, step=step, caption=caption)

    # What all of them do ---------------------------------------------------------------------------------------------

    def _keep_made(
        self, kind: str, key: Any, make: Callable[[Path, str], Made], *, step: int | None, caption: Any
    ) -> list[str]:
        """Makes a file of something and keeps it; returns its path in the run, or nothing, which is counted."""
        try:
            if self._done:
                self._lost("ended", f"log_{kind}() after run {self.label} was finished is dropped")
                return []
            at = max(0, self._step - 1) if step is None else self._step_of(step)
            place = self._place(key, at)
            made = make(self._files(), place)
            if made.warning:
                self._say_once(f"media:{key}:{made.warning}", f"warning: {kind} '{key}': {made.warning}")
            said = {"caption": str(caption)} if caption is not None else {}
            about: dict[str, Any] = {"metadata": {**said, **made.about}}
            about |= {"name": values.clean_name(key), "type": kind, "step": at}
            return self._keep_made_file(made, place + made.suffix, **about)
        except Exception as exc:  # noqa: BLE001 - training goes on whatever happens here
            self._call_failed(f"log_{kind}", exc, of=values.clean_name(key))
            return []

    def _place(self, key: Any, step: int) -> str:
        """Returns a path without its end for what is logged under a key at a step, which nothing else has here."""
        parts = [_part(part) for part in values.clean_name(key).split("/") if part]
        rank = self._about.get("rank")
        place = "/".join([ROOT, *parts, f"{step}" + (f"-rank{rank}" if rank else "")])
        if not getattr(self, "_owner", True):  # a forked child, whose own count begins anew
            place += f"-pid{os.getpid()}"
        with self._lock:
            self._places = getattr(self, "_places", {})
            count = self._places[place] = self._places.get(place, 0) + 1
        return place if count == 1 else f"{place}-{count}"

    def _table(self, table: Any, columns: Sequence[str] | None, folder: Path, place: str) -> Made:
        """Writes a table beside the run's files, row by row; what its cells hold is kept below its own path."""
        from gittrack import tabular  # noqa: PLC0415 - only for tables

        rows = table.rows() if hasattr(type(table), "kept_as") else tabular.rows_of(table, columns)

        def cell(row: int, column: str, value: Any) -> Any:
            kind = getattr(type(value), "kept_as", None)
            if kind is None:
                return value
            made = value.made()
            target = f"{place}/{row}-{_part(column)}{made.suffix}"
            kept = self._keep_content(made.content, target, type=kind, metadata=made.about)
            return f"artifacts/{kept[0]}" if kept else None

        number, name = tempfile.mkstemp(dir=folder, prefix="new-")
        try:
            with os.fdopen(number, "w", encoding="utf-8", errors="replace", newline="") as out:
                about = tabular.write(rows, out, cell=cell)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        left = about.get("left_out")
        warning = f"{left} rows beyond a million are left out" if left else None
        return cast("Made", _media().Made(".csv", Path(name), about, warning))

    # Into the run ----------------------------------------------------------------------------------------------------

    def _files(self) -> Path:
        """Returns the folder for the run's files, and makes it."""
        folder = leftovers.home_of(self.folder) / "files"
        make_folder(folder)
        return folder

    def _keep_made_file(self, made: Made, target: str, **about: Any) -> list[str]:
        """Keeps what was made, and removes a file that was made only for that."""
        try:
            return self._keep_content(made.content, target, **about)
        finally:
            if isinstance(made.content, Path) and made.content.parent == self._files():
                made.content.unlink(missing_ok=True)

    def _keep_content(self, content: bytes | Path, target: str, **about: Any) -> list[str]:
        """Keeps bytes or a file under a path of the run; returns the path, or nothing if it was refused."""
        if isinstance(content, bytes):
            return self._keep_bytes(content, target, **about)
        plain, _ = self._plain(about.pop("metadata", None) or None, "metadata")
        try:
            return self._keep(content, target, {"aliases": [], **about, "metadata": plain})
        except GittrackError as exc:
            self._refused(exc)
            return []

    def _keep_bytes(self, content: bytes, target: str, **about: Any) -> list[str]:
        """Keeps bytes as a file of the run; arguments and answer as those of `_keep_content`. Raises OSError."""
        number, name = tempfile.mkstemp(dir=self._files(), prefix="new-")
        try:
            with os.fdopen(number, "wb") as out:
                out.write(content)
            return self._keep_content(Path(name), target, **about)
        finally:
            Path(name).unlink(missing_ok=True)

    # In log() --------------------------------------------------------------------------------------------------------

    def _is_rich(self, value: Any) -> bool:
        """Tells whether a value of `log()` becomes a file rather than an event."""
        try:
            return _rich_kind(value) is not None
        except Exception:  # noqa: BLE001 - a user's object may raise anything; then it is an event
            return False

    def _log_rich(self, name: str, value: Any, step: int) -> None:
        kind = _rich_kind(value)
        if kind == "table":
            self.log_table(name, value, step=step)
        elif kind == "figure":
            self.log_figure(name, value, step=step)
        else:
            for one in value if isinstance(value, list | tuple) else [value]:
                caption = getattr(one, "caption", None)
                what = getattr(type(one), "kept_as", "image")
                self._keep_made(what, name, _maker(one, "image"), step=step, caption=caption)

    def _event(self, now: float, key: str, value: Any, step: int | None, kind: str = "text") -> dict[str, Any]:
        plain = value.plain() if getattr(type(value), "kept_as", None) == "histogram" else value
        return super()._event(now, key, plain, step, kind)


def _maker(value: Any, way: str, **options: Any) -> Callable[[Path, str], Made]:
    """Returns what makes the file of a value: of an `Image` and its like what they say, else a function of `media`."""
    if hasattr(type(value), "kept_as"):
        return lambda _folder, _place: cast("Made", value.made())
    return lambda _folder, _place: cast("Made", getattr(_media(), way)(value, **options))


def _media() -> Any:
    from gittrack import media  # noqa: PLC0415 - only for who logs more than numbers

    return media


def _rich_kind(value: Any) -> str | None:
    """Returns what a value of `log()` is kept as; None if it is an ordinary one."""
    known: str | None = getattr(type(value), "kept_as", None)
    if known:
        return known if known != "histogram" else None
    if isinstance(value, list | tuple):
        return "list" if value and all(hasattr(type(one), "made") or _is_image(one) for one in value) else None
    if _is_image(value):
        return "image"
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    if (library, kind.__name__) in _FRAMES:
        return "table"
    if library == "matplotlib" and (hasattr(value, "savefig") or hasattr(value, "get_figure")):
        return "figure"
    if library == "plotly" and hasattr(value, "to_json"):
        return "figure"
    return "figure" if getattr(value, "__name__", None) == "matplotlib.pyplot" else None


def _is_image(value: Any) -> bool:
    kind = type(value)
    return kind.__module__.partition(".")[0] == "PIL" and hasattr(value, "save") and hasattr(value, "mode")


def _part(text: str) -> str:
    """Returns a component of a path that every file system takes, and that looks like `text`."""
    clean = _ODD.sub("_", text).strip(" ")
    raw = clean.encode()
    if len(raw) > MAX_PART_BYTES:
        digest = hashlib.sha256(raw).hexdigest()[:8]
        clean = raw[: MAX_PART_BYTES - 9].decode("utf-8", "ignore") + "~" + digest
    return clean if tree.why_refused(clean) is None and not clean.endswith((".", " ")) else f"_{clean.rstrip('. ')}"
