"""`Image`, `Table`, `Histogram` and the like: what scripts that were written for W&B put into `log()`.

They only hold what they were given. It becomes a file when it is logged, as that of `log_image` and its sisters; what
we have no use for (a class label's colour, the format of a film) is taken, so that no script has to be changed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gittrack import media, tabular
from gittrack.media import Made
from gittrack.tabular import Rows

MAX_BINS = 512


class Media:
    """Something that becomes a file when it is logged.

    kept_as: the type that the file is said to have, by which a run knows such a thing without importing this module."""

    kept_as = ""
    caption: str | None = None

    def made(self) -> Made:
        """Returns the file; raises TypeError, ValueError or OSError if it cannot become one."""
        raise NotImplementedError


class Image(Media):
    """An image: a path, bytes, an array, a tensor, an image of Pillow, a figure of matplotlib."""

    kept_as = "image"

    def __init__(
        self,
        data_or_path: Any,
        mode: str | None = None,
        caption: str | None = None,
        *_: Any,
        boxes: Mapping[str, Any] | None = None,
        masks: Mapping[str, Any] | None = None,
        **__: Any,
    ) -> None:
        """mode: kept for Pillow's images only. boxes: kept beside the image. masks: not kept, which is said."""
        self.value = data_or_path
        self.mode = mode
        self.caption = caption
        self.boxes = boxes
        self.masks = masks

    def made(self) -> Made:
        """Returns the file of it."""
        value = self.value
        if self.mode and callable(getattr(value, "convert", None)):
            value = value.convert(self.mode)
        made = media.image(value)
        about = {**made.about, **({"boxes": self.boxes} if self.boxes else {})}
        return made._replace(about=about, warning=made.warning or ("masks are not kept" if self.masks else None))


class Html(Media):
    """HTML: a text, a path, or a file object."""

    kept_as = "html"

    def __init__(self, data: Any, inject: bool = True, data_is_not_path: bool = False, **_: Any) -> None:  # noqa: FBT001, FBT002 - as W&B has it
        """inject: kept for scripts that say it; nothing is ever added."""
        self.value = data.encode("utf-8", "replace") if data_is_not_path and isinstance(data, str) else data
        self.inject = inject

    def made(self) -> Made:
        """Returns the file of it."""
        return media.html(self.value)


class Audio(Media):
    """A sound: a path, bytes, or an array with its `sample_rate`."""

    kept_as = "audio"

    def __init__(self, data_or_path: Any, sample_rate: float | None = None, caption: str | None = None) -> None:
        self.value = data_or_path
        self.sample_rate = sample_rate
        self.caption = caption

    def made(self) -> Made:
        """Returns the file of it."""
        return media.audio(self.value, self.sample_rate)


class Video(Media):
    """A film: a path, bytes, or an array of shape (T, C, H, W)."""

    kept_as = "video"

    def __init__(
        self,
        data_or_path: Any,
        caption: str | None = None,
        fps: float | None = None,
        format: str | None = None,
        **_: Any,
    ) -> None:
        """format: that of a file is its own, and arrays become an animated PNG, whatever is said here."""
        self.value = data_or_path
        self.caption = caption
        self.fps = fps
        self.format = format

    def made(self) -> Made:
        """Returns the file of it."""
        return media.video(self.value, self.fps or 4)


class Table:
    """A table that grows by rows or columns, or that of a data frame; images may stand in its cells."""

    kept_as = "table"

    def __init__(
        self,
        columns: Sequence[Any] | None = None,
        data: Any = None,
        rows: Any = None,
        dataframe: Any = None,
        **_: Any,
    ) -> None:
        """data: a list of rows, an array, or a data frame; `dataframe` is one, and `rows` an old name for `data`."""
        given: Any = next((each for each in (dataframe, data, rows) if each is not None), [])
        has_rows = not hasattr(given, "__len__") or len(given)
        found = tabular.rows_of(given, columns) if has_rows or columns is None else Rows(list(map(str, columns)), [])
        self.columns: list[str] = list(columns) if columns is not None else found.columns
        self.data: list[list[Any]] = [list(row) for row in found.rows]

    def add_data(self, *row: Any) -> None:
        """Adds a row; raises ValueError if it has not a cell for every column."""
        if len(row) != len(self.columns):
            raise ValueError(f"a row of {len(row)} cells does not fit {len(self.columns)} columns")
        self.data.append(list(row))

    def add_row(self, *row: Any) -> None:
        """Adds a row."""
        self.add_data(*row)

    def add_column(self, name: str, data: Iterable[Any], **_: Any) -> None:
        """Adds a column; raises ValueError if it has not a cell for every row."""
        cells = list(data)
        if self.columns and len(cells) != len(self.data):
            raise ValueError(f"a column of {len(cells)} cells does not fit {len(self.data)} rows")
        if not self.columns:
            self.data = [[] for _ in cells]
        self.columns.append(name)
        for row, cell in zip(self.data, cells, strict=True):
            row.append(cell)

    def get_column(self, name: str, **_: Any) -> list[Any]:
        """Returns the cells of a column."""
        at = self.columns.index(name)
        return [row[at] for row in self.data]

    def __len__(self) -> int:
        return len(self.data)

    def rows(self) -> Rows:
        """Returns it as it is written."""
        return Rows(list(map(str, self.columns)), list(self.data))


@dataclass(frozen=True)
class _Counted:
    """A histogram as it stands in a run: n counts, and the n + 1 edges of their bins."""

    bins: list[float]
    counts: list[float]
    kind: str = field(default="histogram")


class Histogram:
    """How often values fall into bins of equal width: of a sequence, or as `numpy.histogram` returns it."""

    kept_as = "histogram"

    def __init__(self, sequence: Any = None, np_histogram: Any = None, num_bins: int = 64) -> None:
        """num_bins: at most 512. Values that are not finite are left out."""
        if np_histogram is not None:
            counts, edges = np_histogram
            self.histogram, self.bins = _floats(counts), _floats(edges)
        else:
            self.histogram, self.bins = _count(sequence, min(max(int(num_bins), 1), MAX_BINS))
        if len(self.bins) != len(self.histogram) + 1:
            raise ValueError(f"{len(self.histogram)} bins have {len(self.histogram) + 1} edges, not {len(self.bins)}")

    def plain(self) -> _Counted:
        """Returns it as it is recorded."""
        return _Counted(self.bins, self.histogram)


def _floats(value: Any) -> list[float]:
    plain = value.tolist() if callable(getattr(value, "tolist", None)) else value
    return [float(item) for item in plain]


def _count(values: Any, bins: int) -> tuple[list[float], list[float]]:
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and hasattr(values, "shape"):  # a million values in 10 ms
        array, _ = media.as_array(values, "numbers")
        array = array.astype("float64").ravel()
        counts, edges = numpy.histogram(array[numpy.isfinite(array)], bins=bins)
        return _floats(counts), _floats(edges)
    numbers = [number for number in map(float, values) if number - number == 0]  # neither infinite nor NaN
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    if low == high:  # as numpy has it
        low, high = low - 0.5, high + 0.5
    width = (high - low) / bins
    counted = [0.0] * bins
    for number in numbers:
        counted[min(int((number - low) / width), bins - 1)] += 1
    return counted, [low + at * width for at in range(bins)] + [high]
