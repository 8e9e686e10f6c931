"""Images, figures, tables, texts, sounds and films are files of the run, under their key and step."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import threading
import wave
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import gittrack as gt
from gittrack.codec import manifest, yaml12
from gittrack.medialog import MediaLog
from tests.gitcmd import GitRepo
from tests.reader import Recorded, only, runs
from tests.runs import ask

np = pytest.importorskip("numpy")
pillow = pytest.importorskip("PIL.Image")


@contextlib.contextmanager
def recording(repo: GitRepo, **wanted: Any) -> Iterator[gt.ActiveRun]:
    """A run that is recorded in this process."""
    with contextlib.chdir(repo.path), gt.init(**wanted) as run:
        yield run


def kept(found: Recorded) -> dict[str, dict[str, Any]]:
    """Returns what the run says of its files, without what the size of an encoding is."""
    items = found.yaml("artifacts.yaml")
    assert sorted(f"artifacts/{path}" for path in items) == [p for p in found.files if p.startswith("artifacts/")]
    return {path: {k: v for k, v in item.items() if k not in ("sha256", "size")} for path, item in items.items()}


def about(name: str, type: str, step: int, **metadata: Any) -> dict[str, Any]:
    found = {"kind": "blob", "name": name, "type": type, "aliases": [], "metadata": metadata, "step": step}
    return {key: value for key, value in found.items() if value or key == "step"}


def test_each_is_a_file_with_its_key_step_and_what_is_known_of_it(repo: GitRepo) -> None:
    plot = pytest.importorskip("matplotlib.figure").Figure(figsize=(2, 1), dpi=50)
    plot.subplots().plot([1, 2])
    with recording(repo) as run:
        run.log({"loss": 1.0}, step=6)
        assert run.log_image("val/pred", np.zeros((2, 3)), caption="a cat") == ["media/val/pred/6.png"]
        assert run.log_figure("curve", plot, step=3) == ["media/curve/3.png"]
        assert run.log_table("rows", {"a": [1], "b": ["x"]}, step=0) == ["media/rows/0.csv"]
        assert run.log_text("said", "hello\n", step=1) == ["media/said/1.txt"]
        assert run.log_html("page", "<p>", step=1) == ["media/page/1.html"]
        assert run.log_audio("tone", np.zeros(8), 8, step=1) == ["media/tone/1.wav"]
        assert run.log_video("film", np.zeros((2, 4, 4)), fps=2, step=1) == ["media/film/1.png"]
    found = only(repo)
    columns = [{"name": "a", "kind": "integer"}, {"name": "b", "kind": "text"}]
    assert kept(found) == {
        "media/val/pred/6.png": about("val/pred", "image", 6, caption="a cat", width=3, height=2),
        "media/curve/3.png": about("curve", "figure", 3, width=100, height=50),
        "media/rows/0.csv": about("rows", "table", 0, rows=1, columns=columns),
        "media/said/1.txt": about("said", "text", 1),
        "media/page/1.html": about("page", "html", 1),
        "media/tone/1.wav": about("tone", "audio", 1, sample_rate=8, channels=1, seconds=1.0),
        "media/film/1.png": about("film", "video", 1, width=4, height=4, frames=2, fps=2),
    }
    assert pillow.open(io.BytesIO(found.raw("artifacts/media/val/pred/6.png") or b"")).size == (3, 2)
    assert found.raw("artifacts/media/rows/0.csv") == b"a,b\n1,x\n"
    assert found.raw("artifacts/media/said/1.txt") == b"hello\n"
    with wave.open(io.BytesIO(found.raw("artifacts/media/tone/1.wav") or b"")) as file:
        assert file.getnframes() == 8
    assert "dropped" not in found.facts
    repo.track("fsck")


def test_the_functions_of_the_module_log_into_the_current_run(repo: GitRepo) -> None:
    with recording(repo):
        gt.log_image("a", np.zeros((2, 2)), caption="x")
        gt.log_text("b", "text", step=4)
        gt.log_html("c", "<p>")
        gt.log_table("d", [[1]], ["n"])
        gt.log_audio("e", np.zeros(4), sample_rate=8)
        gt.log_video("f", np.zeros((1, 2, 2)), fps=1)
        gt.log_figure("g", SimpleNamespace(savefig=lambda out, **_: out.write(b"png")))
    assert sorted(kept(only(repo))) == [
        f"media/{n}" for n in "a/0.png b/4.txt c/0.html d/0.csv e/0.wav f/0.png g/0.png".split()
    ]


def test_several_at_one_step_are_numbered_and_a_list_is_several(repo: GitRepo) -> None:
    with recording(repo) as run:
        for shade in (0, 1):
            run.log_image("x", np.full((1, 1), shade), step=5)
        run.log_image("x", [np.zeros((2, 2)), np.zeros((3, 3))], step=6, caption=["one", "two"])
    found = kept(only(repo))
    assert {path: item["metadata"].get("caption") for path, item in found.items()} == {
        "media/x/5.png": None,
        "media/x/5-2.png": None,
        "media/x/6.png": "one",
        "media/x/6-2.png": "two",
    }


def test_a_large_one_is_a_payload_like_any_other_file(repo: GitRepo) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    with recording(repo) as run:
        run.log_image("noise", noise)
    found = only(repo)
    (item,) = found.yaml("artifacts.yaml").values()
    assert item["kind"] == "pointer"
    payload = repo.path / ".git/gittrack/objects" / item["sha256"][:2] / item["sha256"][2:4] / item["sha256"]
    assert (np.asarray(pillow.open(payload)) == noise).all()


def test_files_are_kept_as_they_are_and_nothing_of_ours_stays_behind(repo: GitRepo, tmp_path: Path) -> None:
    pillow.new("RGB", (3, 2)).save(tmp_path / "cat.jpg")
    before = (tmp_path / "cat.jpg").read_bytes()
    with recording(repo) as run:
        run.log_image("cat", tmp_path / "cat.jpg")
        run.log_table("t", [[1]])
        assert [file.name for file in (Path(run.dir) / "files").iterdir() if not file.name.isdigit()] == []
    assert only(repo).raw("artifacts/media/cat/0.jpg") == before == (tmp_path / "cat.jpg").read_bytes()


KEYS = {
    "a/b": "a/b",
    "../../etc/passwd": "_/_/etc/passwd",
    "/abs": "abs",
    "a\\b:c*d": "a_b_c_d",
    ".git": "_.git",
    "con": "_con",
    "tab\tnew\nline": "tab_x09new_x0aline",
    "dot.": "_dot",
    "ä ö": "ä ö",
    "": "(empty)",
    "x" * 300: "x" * 91 + "~7b6cb8d3",
}


@pytest.mark.parametrize("key", KEYS)
def test_any_key_becomes_a_path_that_every_system_takes(repo: GitRepo, key: str) -> None:
    with recording(repo) as run:
        (path,) = run.log_text(key, "x")
    found = kept(only(repo))
    assert list(found) == [path]
    place = path.removeprefix("media/").removesuffix("/0.txt")
    assert place == KEYS[key] or (len(key) == 300 and place.startswith("x" * 91 + "~"))


BAD = {
    "image": ("log_image", object()),
    "image that is not there": ("log_image", "nowhere.png"),
    "figure": ("log_figure", 3),
    "table": ("log_table", 3),
    "html": ("log_html", 3),
    "audio": ("log_audio", np.zeros(3)),
    "video": ("log_video", np.zeros(3)),
    "text": ("log_text", Path("nowhere.txt")),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_kept_is_counted_and_said_and_training_goes_on(
    repo: GitRepo, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    method, value = BAD[case]
    with recording(repo) as run:
        assert getattr(run, method)("x", value) == []
        run.log({"loss": 1})
    found = only(repo)
    assert (found.status, found.facts["dropped"], found.values("loss")) == ("finished", 1, [1.0])
    said = capsys.readouterr().err
    assert f"{method}()" in said or "is not kept" in said
    assert "Traceback" not in said


def test_after_the_end_nothing_is_kept_and_that_is_said(repo: GitRepo, capsys: pytest.CaptureFixture[str]) -> None:
    with recording(repo) as run:
        pass
    assert run.log_image("x", np.zeros((2, 2))) == []
    assert "log_image() after run" in capsys.readouterr().err
    assert not Path(run.dir).exists()


def test_what_was_cut_is_said_once(repo: GitRepo, capsys: pytest.CaptureFixture[str]) -> None:
    with recording(repo) as run:
        for _ in range(3):
            run.log_image("x", np.full((2, 2), 7.0))
    assert capsys.readouterr().err.count("floats beyond 0..1 were cut") == 1


def test_threads_never_get_one_place_twice(repo: GitRepo) -> None:
    with recording(repo) as run:
        threads = [threading.Thread(target=run.log_text, args=("x", str(n))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = only(repo)
    assert sorted(found.raw(f"artifacts/{path}") or b"" for path in kept(found)) == [b"%d" % n for n in range(8)]


def test_a_forked_child_has_names_of_its_own(repo: GitRepo) -> None:
    repo.python(
        """
import os
import gittrack as gt
from gittrack.codec import manifest, yaml12
run = gt.init()
run.log_text("x", "parent")
child = os.fork()
if not child:
    run.log_text("x", "child")
    os._exit(0)
os.waitpid(child, 0)
run.log_text("x", "again")
"""
    )
    found = only(repo)
    assert sorted(found.raw(f"artifacts/{path}") or b"" for path in kept(found)) == [b"again", b"child", b"parent"]


# In log() ------------------------------------------------------------------------------------------------------------


def test_log_takes_images_and_the_like_among_numbers(repo: GitRepo) -> None:
    with recording(repo) as run:
        run.log({"loss": 0.5, "val": {"image": gt.Image(np.zeros((2, 3)), caption="c")}, "note": "n"}, step=2)
        run.log({"many": [gt.Image(np.zeros((1, 1))), gt.Image(np.ones((1, 1)))], "pil": pillow.new("L", (2, 2))})
        run.log({"html": gt.Html("<p>"), "sound": gt.Audio(np.zeros(4), sample_rate=4)})
        run.log({"film": gt.Video(np.zeros((2, 3, 4, 5), dtype=np.uint8), fps=1)})
    found = only(repo)
    assert {path: (item["type"], item["step"]) for path, item in kept(found).items()} == {
        "media/val.image/2.png": ("image", 2),
        "media/many/3.png": ("image", 3),
        "media/many/3-2.png": ("image", 3),
        "media/pil/3.png": ("image", 3),
        "media/html/4.html": ("html", 4),
        "media/sound/4.wav": ("audio", 4),
        "media/film/5.png": ("video", 5),
    }
    assert (found.values("loss"), found.texts("note")) == ([0.5], ["n"])
    assert kept(found)["media/val.image/2.png"]["metadata"]["caption"] == "c"


def test_figures_and_frames_of_other_libraries_may_be_logged_as_they_are(repo: GitRepo) -> None:
    plots = pytest.importorskip("matplotlib.figure")
    graphs = pytest.importorskip("plotly.graph_objects")
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    figure = plots.Figure(figsize=(1, 1))
    axes = figure.subplots()
    with recording(repo) as run:
        run.log({"figure": figure, "axes": axes, "plotly": graphs.Figure()})
        run.log({"pandas": pandas.DataFrame({"a": [1]}), "polars": polars.DataFrame({"a": [1, 2]})})
    found = only(repo)
    assert sorted(kept(found)) == [
        "media/axes/0.png",
        "media/figure/0.png",
        "media/pandas/1.csv",
        "media/plotly/0.plotly.json",
        "media/polars/1.csv",
    ]
    assert found.events == []


def test_ordinary_values_stay_events(repo: GitRepo) -> None:
    with recording(repo) as run:
        run.log({"list": [1, 2], "none": None, "text": "t", "empty": [], "array": np.zeros((2, 2)), "type": gt.Image})
    found = only(repo)
    assert found.raw("artifacts.yaml") is None
    assert len(found.events) == 6


def test_a_table_grows_by_rows_and_columns_and_may_hold_images(repo: GitRepo) -> None:
    table = gt.Table(columns=["image", "label"])
    table.add_data(gt.Image(np.zeros((2, 3))), "=cat")
    table.add_data(gt.Image(np.ones((2, 3))), None)
    table.add_column("score", [0.5, 1])
    with pytest.raises(ValueError, match="3 cells does not fit"):
        table.add_column("bad", [1, 2, 3])
    with pytest.raises(ValueError, match="1 cells does not fit 3"):
        table.add_data(1)
    assert table.get_column("label") == ["=cat", None]
    with recording(repo) as run:
        run.log({"samples": table}, step=9)
    found = only(repo)
    rows = list(csv.reader(io.StringIO((found.raw("artifacts/media/samples/9.csv") or b"").decode())))
    places = [f"artifacts/media/samples/9/{row}-image.png" for row in range(2)]
    assert rows == [["image", "label", "score"], [places[0], "'=cat", "0.5"], [places[1], "", "1"]]
    for place in places:
        assert pillow.open(io.BytesIO(found.raw(place) or b"")).size == (3, 2)


@pytest.mark.parametrize("how", ["data", "dataframe", "rows", "empty"])
def test_a_table_is_made_as_w_and_b_makes_it(how: str) -> None:
    pandas = pytest.importorskip("pandas")
    given: dict[str, dict[str, Any]] = {
        "data": {"data": [[1, "a"]], "columns": ["n", "t"]},
        "dataframe": {"dataframe": pandas.DataFrame({"n": [1], "t": ["a"]})},
        "rows": {"columns": ["n", "t"], "rows": [[1, "a"]]},
        "empty": {},
    }
    table = gt.Table(**given[how])
    if how == "empty":
        table.add_column("n", [1])
        table.add_column("t", ["a"])
    assert (table.columns, table.data, len(table)) == (["n", "t"], [[1, "a"]], 1)


@pytest.mark.parametrize("of", ["list", "numpy", "torch", "counted"])
def test_a_histogram_is_an_event_with_its_bins(repo: GitRepo, of: str) -> None:
    values = [0.0, 1.0, 1.0, 4.0, float("nan"), float("inf")]
    given: Any = np.array(values)
    if of == "torch":
        given = pytest.importorskip("torch").tensor(values)
    made = gt.Histogram(values if of == "list" else given, num_bins=4)
    if of == "counted":
        made = gt.Histogram(np_histogram=np.histogram(values[:4], bins=4))
    with recording(repo) as run:
        run.log({"weights": made}, step=1)
    (event,) = only(repo).events
    assert (event["key"], event["step"]) == ("weights", 1)
    assert event["value"] == {"kind": "histogram", "bins": [0.0, 1.0, 2.0, 3.0, 4.0], "counts": [1.0, 2.0, 0.0, 1.0]}


def test_a_histogram_of_one_value_or_none_has_bins_too() -> None:
    for values in ([], [3.0, 3.0]):
        ours, theirs = gt.Histogram(values, num_bins=2), gt.Histogram(np.array(values), num_bins=2)
        assert (ours.histogram, ours.bins) == (theirs.histogram, theirs.bins)
    with pytest.raises(ValueError, match="2 bins have 3 edges"):
        gt.Histogram(np_histogram=([1, 2], [0, 1]))


def test_another_thread_can_log_while_an_image_is_encoded(repo: GitRepo) -> None:
    inside, free = threading.Event(), threading.Event()

    class Slow(gt.Image):
        def made(self) -> Any:
            inside.set()
            assert free.wait(20)
            return super().made()

    with recording(repo) as run:
        thread = threading.Thread(target=run.log, args=({"slow": Slow(np.zeros((1, 1)))},))
        thread.start()
        assert inside.wait(20)
        run.log({"loss": 1.0})
        assert run.step == 2
        free.set()
        thread.join()
    assert kept(only(repo))["media/slow/0.png"]["step"] == 0


def test_logging_numbers_and_texts_loads_nothing_of_this(repo: GitRepo) -> None:
    script = """
import sys
import gittrack as gt
from gittrack.codec import manifest, yaml12
run = gt.init()
run.log({"a": 1, "b": "text", "c": [1, 2]})
run.finish()
print([name for name in ("media", "mediatypes", "tabular", "png") if f"gittrack.{name}" in sys.modules])
"""
    assert repo.python(script).stdout == "[]\n"


def test_all_of_it_is_documented_on_the_run() -> None:
    names = [name for name in vars(MediaLog) if name.startswith("log_")]
    assert all(getattr(MediaLog, name).__doc__ for name in names)
    assert set(names) <= set(gt.__all__)


def test_a_run_that_records_nothing_takes_it_all_in_silence(repo: GitRepo, capsys: pytest.CaptureFixture[str]) -> None:
    with recording(repo, mode="disabled") as run:
        run.log_image("x", np.zeros((2, 2)))
        run.log({"x": gt.Image(np.zeros((2, 2))), "t": gt.Table(columns=["a"], data=[[1]])})
    assert capsys.readouterr().err == ""
    assert runs(repo) == []


def test_ranks_of_one_training_do_not_overwrite_each_other(repo: GitRepo) -> None:
    script = "import gittrack as gt\nrun = gt.init()\nrun.log_text('x', 'text')\nrun.finish()\n"
    env = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29501", "TORCHELASTIC_RUN_ID": "one"}
    for rank in ("0", "1"):
        repo.python(script, env={**os.environ, **env, "RANK": rank, "LOCAL_RANK": rank})
    ask(repo, "ls")
    assert list(kept(only(repo))) == ["media/x/0-rank1.txt", "media/x/0.txt"]


def test_what_the_list_of_files_has_no_room_for_is_not_in_the_run_and_counted(
    repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "MANY", yaml12.Limits(1 << 20, 40))
    with recording(repo) as run:
        for step in range(5):
            run.log_text("x", "text", step=step)
    found = only(repo)
    assert list(kept(found)) == ["media/x/0.txt", "media/x/1.txt"]
    assert (found.facts["dropped"], found.record["artifacts"]["count"]) == (3, 2)
    ask(repo, "fsck")
