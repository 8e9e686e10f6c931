"""What a notebook shows of runs and curves; a run's words are text there, never a part of the page."""

from __future__ import annotations

import base64
import contextlib
import html.parser
import struct
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gittrack
from gittrack import notebook
from gittrack.model import Metric, Run
from gittrack.refname import RunId
from tests.gitcmd import GitRepo
from tests.recording import make
from tests.strategies import runs as any_runs

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>\x1b[31m\u202e"
TAGS = {"table", "thead", "tbody", "tr", "th", "td", "p", "b"}


class Page(html.parser.HTMLParser):
    """The elements and texts of a page, as a browser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[Any] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment")


@pytest.fixture
def inside(repo: GitRepo) -> Iterator[None]:
    """In the repository, as a notebook is."""
    with contextlib.chdir(repo.path):
        yield


def size(png: bytes) -> tuple[int, int]:
    """Returns width and height of a PNG."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">2I", png[16:24])
    return width, height


@settings(max_examples=40)
@given(st.lists(any_runs(), max_size=2))
def test_no_run_gets_anything_but_text_into_a_page(listed: list[Run]) -> None:
    pages = [notebook.runs(listed, total=9), *map(notebook.run, listed)]
    for page in map(Page, pages):
        assert page.tags <= TAGS
        assert page.attributes == page.open == []


def test_hostile_words_are_shown_as_they_are() -> None:
    metric = Metric(1.0, 0, 1.0, 0, 1.0, 0, 1.0, 1, "max")
    run = Run(
        RunId("r0123456789ab"),
        HOSTILE,
        "finished",
        HOSTILE,
        params={HOSTILE: HOSTILE},
        metrics={HOSTILE: metric},
        tags=(HOSTILE,),
        note=HOSTILE,
    )
    for text in (notebook.run(run), notebook.runs([run], total=1)):
        page = Page(text)
        assert page.tags <= TAGS
        shown = "".join(page.texts)
        assert "<script>alert(1)</script>" in shown
        assert not {"\x1b", "\u202e"} & set(shown)


def test_a_list_shows_what_varies_and_what_has_a_goal(repo: GitRepo, inside: None) -> None:
    for number in range(3):
        values = {"acc": [0.5, 0.1 * number], "loss": [1.0], "system/cpu": [5.0]}
        make(repo, values, goals={"acc": "max"}, params={"lr": number, "same": 1}, name=f"run-{number}")
    make(repo, {"acc": [0.625, 0.25]}, params={"lr": 9, "same": 1}, name="run-without-a-goal")
    page = Page(gittrack.runs()._repr_html_())
    heads = page.texts[: page.texts.index("run-without-a-goal")]
    assert heads == ["name", "id", "status", "created", "duration", "lr", "acc (best)", "loss", "tags"]
    assert "4 run(s)" in page.texts
    assert {"0.5", "0.625"} <= set(page.texts), "the best, also of the run that has no goal of its own"


def test_a_long_list_shows_its_first_rows_and_how_many_there_are(repo: GitRepo) -> None:
    listed = [Run(RunId(f"r{number:012d}"), f"run-{number}", "finished", "") for number in range(25)]
    text = notebook.runs(listed[:20], total=25)
    assert "25 runs, the first 20 shown" in text
    assert ("run-19" in text, "run-20" in text) == (True, False)


def test_a_run_shows_its_params_and_metrics(repo: GitRepo, inside: None) -> None:
    make(repo, {"acc": [0.5, 0.25]}, goals={"acc": "max"}, params={"opt": {"lr": 0.1}}, name="heron", tags=["paper"])
    page = Page(gittrack.get("heron")._repr_html_())
    row = page.texts.index("acc")
    assert page.texts[row : row + 7] == ["acc", "0.25", "0.5", "0.25", "0.5", "0.375", "2"]
    assert {"heron", "paper", "opt.lr", "0.1", "finished"} <= set(page.texts)


def test_curves_are_an_image_where_matplotlib_is_there(repo: GitRepo, inside: None) -> None:
    pytest.importorskip("matplotlib")
    names = ["loss", "$\\frac{", "_hidden", "日本"]
    make(repo, {name: [float(step) for step in range(50)] for name in names}, name="heron")
    shown = gittrack.get("heron").history()._repr_mimebundle_()
    assert set(shown) == {"text/plain", "image/png"}
    width, height = size(base64.b64decode(shown["image/png"]))
    assert (width, height) == (1100, 520), "four panels"
    assert "matplotlib.pyplot" not in sys.modules


def test_curves_are_a_table_without_matplotlib(repo: GitRepo, inside: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    make(repo, {"loss": [float(step) for step in range(30)]}, name="heron")
    shown = gittrack.get("heron").history()._repr_mimebundle_(include=None, exclude=None)
    page = Page(shown["text/html"])
    assert page.texts[:3] == ["step", "time", "loss"]
    assert "30 row(s)" in page.texts
    assert "19" in page.texts
    assert "20" not in page.texts


def test_a_history_without_rows_is_a_table(repo: GitRepo, inside: None) -> None:
    make(repo, name="heron")
    assert "0 row(s)" in gittrack.get("heron").history()._repr_mimebundle_()["text/html"]
