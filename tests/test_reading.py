"""Runs as a script reads them back: found, sliced, computed with."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import traceback
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import gittrack
from gittrack.errors import Ambiguous, GittrackError, NoMetric, NotARepository, NotFound, UsageError
from tests import nogit
from tests.gitcmd import GitRepo
from tests.recording import make
from tests.rewriting import rewrite
from tests.runs import ask


@pytest.fixture(autouse=True)
def inside(repo: GitRepo) -> Iterator[None]:
    """In the repository, as a script or a notebook is."""
    with contextlib.chdir(repo.path):
        yield


# Many runs ----------------------------------------------------------------------------------------------------------


def test_runs_are_a_sequence_newest_first(repo: GitRepo) -> None:
    made = [make(repo, name=name) for name in ("a", "b", "c")]
    runs = gittrack.runs()
    assert (len(runs), [run.name for run in runs]) == (3, ["c", "b", "a"])
    assert (runs[0].id, runs[-1].id) == (made[2].id, made[0].id)
    assert [run.name for run in runs[1:]] == ["b", "a"]
    assert isinstance(runs[1:], gittrack.Runs)
    assert repr(runs).splitlines()[:2] == ["<3 run(s)>", f"  <run c ({made[2].id}): finished>"]
    assert [run.name for run in reversed(runs)] == ["a", "b", "c"]
    assert runs[1] in runs
    assert "b" in runs
    assert "d" not in runs
    assert made[1].id in runs


def test_nothing_is_read_until_it_is_looked_at(repo: GitRepo) -> None:
    runs = gittrack.runs()
    make(repo, name="later")
    assert [run.name for run in runs] == ["later"]
    make(repo, name="too late")
    assert [run.name for run in runs] == ["later"], "and then they stay as they were"


def test_runs_are_sorted_and_limited(repo: GitRepo) -> None:
    for name, loss in (("a", 2.0), ("b", 1.0), ("c", 3.0)):
        make(repo, {"loss": [loss]}, name=name)
    make(repo, name="none")
    assert [run.name for run in gittrack.runs(sort="metrics.loss")] == ["b", "a", "c", "none"]
    assert [run.name for run in gittrack.runs(sort="-metrics.loss", limit=2)] == ["c", "a"]
    assert [run.name for run in gittrack.runs(limit=1)] == ["none"]
    assert len(gittrack.runs(limit=0)) == 0


def test_runs_are_chosen_by_a_query(repo: GitRepo) -> None:
    for name, acc in (("a", 0.5), ("b", 0.95), ("c", 0.91)):
        make(repo, {"val/acc": [acc]}, name=name, params={"opt": {"lr": acc / 100}}, tags=["x"] if name == "b" else [])
    assert [run.name for run in gittrack.runs("metrics.val/acc > 0.9", sort="-metrics.val/acc")] == ["b", "c"]
    assert [run.name for run in gittrack.runs('tag == "x" and params.opt.lr < 1')] == ["b"]
    assert len(gittrack.runs("metrics.none is none and created > '1 day ago'")) == 3


def test_an_error_says_all_it_knows_in_a_traceback(repo: GitRepo) -> None:
    with pytest.raises(UsageError) as wrong:
        gittrack.runs("metrics.acc >")
    shown = "".join(traceback.format_exception(wrong.value))
    assert "cause: metrics.acc >" in shown
    with pytest.raises(NotFound) as none:
        gittrack.get("none")
    assert any(line.startswith("hint: ") for line in traceback.format_exception(none.value)[-1].splitlines())


def test_a_question_that_makes_no_sense_is_refused_when_it_is_asked(repo: GitRepo) -> None:
    with pytest.raises(UsageError):
        gittrack.runs("metrics.acc > and")
    with pytest.raises(UsageError):
        gittrack.runs(sort="nothing")
    with pytest.raises(UsageError, match="limit"):
        gittrack.runs(limit=-1)
    with pytest.raises(NotARepository):
        gittrack.runs(path="/")


def test_deleted_runs_are_there_when_asked_for(repo: GitRepo) -> None:
    make(repo, name="gone")
    ask(repo, "rm", "gone")
    assert len(gittrack.runs()) == 0
    (run,) = gittrack.runs(deleted=True)
    assert run.deleted
    assert gittrack.get("gone").id == run.id


def test_a_run_that_is_being_recorded_is_among_them(repo: GitRepo) -> None:
    with gittrack.init(name="now", params={"opt": {"lr": 1}}) as active:
        active.log({"loss": 0.5})
        (run,) = gittrack.runs()
        assert (run.status, run.ended, run.commit) == ("running", None, None)
        assert run.params == {"opt": {"lr": 1}}
        assert list(run.history("loss")["loss"]) == [0.5]
        with pytest.raises(GittrackError, match="still being recorded"):
            run.read("params.yaml")


def test_another_repository_is_named_by_its_path(repo: GitRepo, tmp_path: Path) -> None:
    other = GitRepo.init(tmp_path / "other")
    make(other, {"loss": [1.5]}, name="elsewhere")
    make(repo, name="here")
    assert [run.name for run in gittrack.runs(path=other.path)] == ["elsewhere"]
    assert list(gittrack.get("elsewhere", path=str(other.path)).history()["loss"]) == [1.5]


def test_a_run_that_cannot_be_read_hides_no_other(repo: GitRepo) -> None:
    make(repo, name="good")
    bad = make(repo, name="bad")
    broken = rewrite(repo, bad.id, message=b"no record\n")
    repo.git("update-ref", f"refs/runs/{bad.id}", broken)
    runs = gittrack.runs()
    assert [run.name for run in runs] == ["good"]
    assert bad.id in str(runs.damaged[0])
    assert "1 could not be read" in repr(runs)


def test_what_a_dead_process_left_is_there_as_a_run(repo: GitRepo) -> None:
    script = "import gittrack, os\nrun = gittrack.init(name='dead')\nrun.log({'loss': 1.0})\nos._exit(1)"
    subprocess.run([sys.executable, "-c", script], cwd=repo.path, check=False)
    (run,) = gittrack.runs()
    assert (run.name, run.status) == ("dead", "crashed")
    assert run.commit is not None


def test_what_a_fetch_brought_is_there(repo: GitRepo, colleague: GitRepo) -> None:
    make(colleague, name="theirs")
    ask(colleague, "push")
    repo.git("fetch", "--quiet", "origin", "+refs/runs/*:refs/gittrack/origin/runs/*")
    assert [run.name for run in gittrack.runs()] == ["theirs"]


# Frames -------------------------------------------------------------------------------------------------------------


def test_a_frame_of_runs_has_fields_params_and_metrics(repo: GitRepo) -> None:
    pytest.importorskip("pandas")
    make(repo, {"acc": [0.5, 0.9, 0.7]}, goals={"acc": "max"}, params={"opt": {"lr": 0.1}, "seed": 1}, tags=["x"])
    make(repo, {"loss": [1.0]}, params={"seed": 2, "mixed": "text"}, exit_code=3)
    made = gittrack.runs().to_pandas()
    assert len(made) == 2
    assert [name for name in made if "." in name] == [
        *("code.commit", "code.branch", "code.dirty", "params.mixed", "params.opt.lr", "params.seed"),
        *("metrics.acc", "metrics.acc.best", "metrics.loss"),
    ]
    assert made["metrics.acc"][1] == 0.7
    assert made["metrics.acc.best"][1] == 0.9
    assert list(made["params.seed"]) == [2, 1]
    assert (str(made["params.seed"].dtype), str(made["created"].dtype)) == ("int64", "datetime64[ms, UTC]")
    assert (made["exit_code"][0], made["status"][0], made["tags"][1]) == (3, "failed", ["x"])
    assert gittrack.runs().to_dicts()[1]["params.opt.lr"] == 0.1


def test_runs_go_into_other_libraries_through_arrow(repo: GitRepo) -> None:
    pytest.importorskip("pyarrow")
    polars = pytest.importorskip("polars")
    make(repo, {"loss": [1.0, 0.5]}, name="a")
    runs = gittrack.runs()
    assert polars.DataFrame(runs).equals(runs.to_polars())
    curve = runs[0].history("loss")
    assert polars.DataFrame(curve).equals(curve.to_polars())


def test_a_repository_without_runs_is_an_empty_frame(repo: GitRepo) -> None:
    pytest.importorskip("pandas")
    assert len(gittrack.runs().to_pandas()) == 0
    assert gittrack.runs().to_dicts() == []
    assert repr(gittrack.runs()[:]) == "<0 run(s)>"


def test_nothing_heavy_is_imported_to_list_runs_and_read_points(repo: GitRepo) -> None:
    make(repo, {"loss": [1.0]}, params={"lr": 0.1})
    script = (
        "import sys; before = set(sys.modules); import gittrack as gt\n"
        "run = gt.runs()[0]; run.params, run.metrics, repr(run), run.history('loss')['loss']\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=repo.path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["gittrack"]


# One run ------------------------------------------------------------------------------------------------------------


def test_a_run_tells_what_is_known_of_it(repo: GitRepo) -> None:
    before = datetime.now(UTC)
    made = make(
        repo,
        {"loss": [1.0, 0.25, 0.5]},
        goals={"loss": "min"},
        name="heron",
        params={"lr": 0.1, "opt": {"name": "adam", "a.b": [1, {"c": 2}]}},
        tags=["b", "a"],
        group="sweep",
        notes="first",
        exit_code=2,
    )
    ask(repo, "edit", "heron", "--note", "second")
    run = gittrack.get("heron")
    assert (run.id, run.name, run.status, run.exit_code) == (made.id, "heron", "failed", 2)
    assert run.created is not None
    assert run.ended is not None
    assert before - timedelta(seconds=1) < run.created <= run.ended <= datetime.now(UTC) + timedelta(seconds=1)
    assert run.created.utcoffset() == timedelta(0)
    assert run.duration == pytest.approx((run.ended - run.created).total_seconds(), abs=0.01)
    assert run.params == run.config == {"lr": 0.1, "opt": {"name": "adam", "a.b": [1, {"c": 2}]}}
    assert run.flat_params == {"lr": 0.1, "opt.name": "adam", "opt.a.b": [1, {"c": 2}]}
    assert (run.metrics["loss"].best, run.metrics["loss"].last, run.metrics["loss"].count) == (0.25, 0.5, 3)
    assert run.summary == {"loss": 0.5}
    assert (run.tags, run.group, run.note, run.notes) == (("a", "b"), "sweep", "second", ("first", "second"))
    assert (run.code.commit, run.code.dirty) == (repo.git("rev-parse", "HEAD"), False)
    assert (run.starred, run.deleted, run.points) == (False, False, 3)
    assert run.commit == repo.git("rev-parse", f"refs/runs/{made.id}")
    assert repr(run) == f"<run heron ({made.id}): failed, loss 0.25>"
    assert run == gittrack.get(made.id)
    assert len({run, gittrack.get(made.id)}) == 1


def test_files_of_a_run_are_read(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"\0\1\2")
    with gittrack.init(name="heron") as active:
        active.log_artifact(tmp_path / "weights", name="model/weights", type="model")
        active.log({"said": "hello"}, step=4)
    run = gittrack.get("heron")
    assert run.read("artifacts/model/weights") == run.open("artifacts/model/weights").read() == b"\0\1\2"
    (artifact,) = run.artifacts
    assert (artifact.path, artifact.size, artifact.type) == ("model/weights", 3, "model")
    assert "artifacts/model/weights" in run.files
    assert [(event.key, event.value, event.step) for event in run.events] == [("said", "hello", 4)]
    assert run.facts["pid"] == os.getpid()
    for path in ("none", "artifacts", "", "../x"):
        with pytest.raises(NotFound, match="has no file"):
            run.read(path)


def test_every_way_of_naming_names_a_run(repo: GitRepo) -> None:
    first = make(repo, {"acc": [0.9]}, goals={"acc": "max"}, name="one")
    second = make(repo, {"acc": [0.1]}, goals={"acc": "max"}, name="two")
    for text in (first.id, first.id[:8], "one", "@{-1}", "best:acc", f"refs/runs/{first.id}"):
        assert gittrack.get(text).id == first.id, text
    assert gittrack.get("@").id == gittrack.get("HEAD").id == second.id


def test_a_name_that_is_none_says_what_is_near(repo: GitRepo) -> None:
    make(repo, name="calm-heron-42")
    make(repo, name="twice")
    make(repo, name="twice")
    with pytest.raises(NotFound) as none:
        gittrack.get("calm-heron-43")
    assert "calm-heron-42" in str(none.value.hint)
    with pytest.raises(Ambiguous):
        gittrack.get("twice")
    with pytest.raises(UsageError) as path:
        gittrack.get("calm-heron-42:params.yaml")
    assert path.value.hint == "gittrack.get('calm-heron-42').read('params.yaml') returns it"


def test_what_a_run_prints_of_itself_obeys_no_terminal(repo: GitRepo) -> None:
    run = make(repo, {"\x1b[31mloss": [1.0]}, name="a\x1b]0;title\x07")
    shown = repr(gittrack.get(run.id)) + repr(gittrack.runs()[:1]) + repr(gittrack.get(run.id).history())
    assert "\x1b" not in shown
    assert "\x07" not in shown


# Points -------------------------------------------------------------------------------------------------------------


def test_a_history_has_a_row_for_each_step_at_which_something_was_logged(repo: GitRepo) -> None:
    with gittrack.init(name="heron") as active:
        for step in range(4):
            active.log({"loss": 1.0 - step, **({"val/acc": step / 4} if step % 2 else {})}, step=step)
        active.log({"step": 7.0}, step=9)
    table = gittrack.get("heron").history()
    assert (len(table), table.metrics, table.columns) == (
        5,
        ("loss", "step", "val/acc"),
        ("step", "time", "loss", "=step", "val/acc"),
    )
    assert repr(table) == "<history of heron: 5 rows of loss, step, val/acc>"
    assert list(table["step"]) == [0, 1, 2, 3, 9]
    assert [str(value) for value in table["val/acc"]] == ["nan", "0.25", "nan", "0.75", "nan"]
    assert list(table["=step"])[-1] == 7.0
    assert abs(table["time"][0] - datetime.now(UTC).timestamp()) < 60
    assert [name for name in table] == list(table.columns)  # noqa: C416 - what iterating it gives
    assert "=step" in table


def test_only_rows_with_the_metrics_that_were_asked_for_are_there_in_their_order(repo: GitRepo) -> None:
    with gittrack.init(name="heron") as active:
        for step in range(6):
            active.log({"loss": float(step)}, step=step)
            if step % 2:
                active.log({"val/acc": step / 4}, step=step)
            if step == 3:
                active.log({"val/f1": 0.5}, step=step)
    run = gittrack.get("heron")
    assert list(run.history("val/acc")["step"]) == [1, 3, 5]
    assert run.history("val/acc", "loss").metrics == ("val/acc", "loss")
    assert run.history("val/*").metrics == ("val/acc", "val/f1")
    both = run.history("val/acc", "val/f1")
    assert sorted(set(both["step"])) == [1, 3, 5]
    assert [value for value in both["val/f1"] if value == value] == [0.5]
    assert len(run.history("val/f1", "val/f1")) == 1


def test_a_history_in_numpy_is_a_structured_array(repo: GitRepo) -> None:
    numpy = pytest.importorskip("numpy")
    make(repo, {"loss": [1.0, 0.5, 0.25], "val/acc": [0.1]}, name="heron")
    made = gittrack.get("heron").history("loss", "val/acc").to_numpy()
    assert made.shape == (3,)
    assert made.dtype == numpy.dtype([("step", "i8"), ("time", "f8"), ("loss", "f8"), ("val/acc", "f8")])
    assert list(made["step"]) == [0, 1, 2]
    assert list(made["loss"]) == [1.0, 0.5, 0.25]
    assert list(numpy.isnan(made["val/acc"])) == [False, True, True]
    assert list(made["time"]) == list(gittrack.get("heron").history()["time"])
    made["loss"] = 0
    assert list(gittrack.get("heron").history("loss")["loss"]) == [1.0, 0.5, 0.25], "it is the caller's own"


def test_a_history_in_frames_has_times_and_gaps(repo: GitRepo) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    make(repo, {"loss": [1.0, 0.5], "acc": [0.25]}, name="heron")
    table = gittrack.get("heron").history("loss", "acc")
    frame = table.to_pandas()
    assert list(map(str, frame.dtypes)) == ["int64", "datetime64[ms, UTC]", "float64", "float64"]
    arrow = table.to_arrow()
    assert (arrow["acc"].null_count, arrow["loss"].null_count) == (1, 0)
    assert [row["acc"] for row in table.to_dicts()] == [0.25, None]
    assert table.to_dicts()[0]["time"] == frame["time"][0].to_pydatetime()


def test_a_metric_that_is_not_there_is_an_error_with_the_nearest_names(repo: GitRepo) -> None:
    make(repo, {"val/acc": [1.0], "loss": [1.0]}, name="heron")
    run = gittrack.get("heron")
    for asked in ("val_acc", "acc"):
        with pytest.raises(KeyError) as none:
            run.history(asked)
        assert isinstance(none.value, NoMetric)
        assert str(none.value) == f"run 'heron' has no metric '{asked}'"
        assert none.value.hint == "did you mean val/acc?"
    with pytest.raises(NoMetric, match="no column 'los'"):
        run.history()["los"]
    with pytest.raises(NoMetric, match="no metric 'acc'"):
        run.history("loss").only("acc")


def test_a_run_without_points_has_a_history_without_rows(repo: GitRepo) -> None:
    numpy = pytest.importorskip("numpy")
    run = make(repo, name="heron")
    table = gittrack.get(run.id).history()
    assert (len(table), table.columns, list(table["step"])) == (0, ("step", "time"), [])
    assert isinstance(table.to_numpy(), numpy.ndarray)
    assert len(table.to_numpy()) == 0


def test_fewer_points_are_a_table_with_the_extremes(repo: GitRepo) -> None:
    with gittrack.init(name="heron") as active:
        for step in range(500):
            active.log({"loss": -99.0 if step == 77 else float(step % 7), "lr": 0.1}, step=step)
    run = gittrack.get("heron")
    table = run.history("loss", points=20)
    assert len(table) <= 20
    assert min(table["loss"]) == -99.0
    assert (table["step"][0], table["step"][-1]) == (0, 499)
    both = run.history("loss", "lr", points=20)
    assert list(both["lr"]) == [0.1] * len(both), "a row is kept whole"
    assert len(run.history("loss", points=20, x="time")) <= 20
    with pytest.raises(UsageError, match="4 points"):
        run.history("loss", points=4)
    with pytest.raises(UsageError, match="axis"):
        run.history("loss", points=20, x="epoch")  # type: ignore[arg-type]


def test_along_time_fewer_points_are_right_where_steps_went_back(repo: GitRepo) -> None:
    import time  # noqa: PLC0415

    with gittrack.init(name="heron") as active:
        for step in [*range(100, 200), *range(100)]:
            active.log({"loss": float(step == 150)}, step=step)
            if step == 199:
                time.sleep(0.05)
    table = gittrack.get("heron").history("loss", points=10, x="time")
    assert max(table["loss"]) == 1.0
    assert list(table["step"]) == sorted(table["step"])
    assert {100, 99} <= set(table["step"]), "what was logged first and last"


def test_points_of_several_processes_have_a_rank(repo: GitRepo) -> None:
    numpy = pytest.importorskip("numpy")
    from gittrack.curves import Curves  # noqa: PLC0415
    from gittrack.model import Column, History  # noqa: PLC0415

    steps, ranks = array("q", [1, 1, 2]), array("q", [0, 1, 0])
    table = Curves(History(steps, steps, {"rank": Column(array("d", [1, 2, 3]))}, ranks), run="heron")
    assert table.columns == ("step", "time", "rank", "=rank")
    assert list(table["rank"]) == [0, 1, 0]
    assert table.to_numpy().dtype == numpy.dtype([("step", "i8"), ("time", "f8"), ("rank", "i8"), ("=rank", "f8")])
    assert [row["rank"] for row in table.to_dicts()] == [0, 1, 0]
    assert list(table.downsample(5)["rank"]) == [0, 1, 0]


def test_histories_of_many_runs_are_in_their_order(repo: GitRepo) -> None:
    make(repo, {"loss": [1.0, 2.0]}, name="a")
    make(repo, {"acc": [0.5]}, name="b")
    make(repo, {"loss": [3.0], "acc": [0.5]}, name="c")
    runs = gittrack.runs(sort="name")
    assert [list(table["loss"]) if table.metrics else [] for table in runs.histories("loss")] == [[1.0, 2.0], [], [3.0]]
    assert [table.metrics for table in runs.histories()] == [("loss",), ("acc",), ("acc", "loss")]
    with pytest.raises(NoMetric, match="lost"):
        runs.histories("lost")
    assert gittrack.runs(limit=0).histories("loss") == []


def test_the_metrics_of_the_machine_are_there_by_name_only(repo: GitRepo) -> None:
    make(repo, {"loss": [1.0], "system/cpu": [50.0]}, name="heron")
    run = gittrack.get("heron")
    assert run.history().metrics == ("loss",)
    assert run.history("system/*").metrics == ("system/cpu",)


def test_without_a_git_executable_runs_and_points_are_read_the_same(repo: GitRepo) -> None:
    make(repo, {"loss": [1.0, 0.5]}, name="heron", params={"opt": {"lr": 0.1}})
    script = (
        "import gittrack as gt\n"
        "run = gt.get('heron')\n"
        "print(run.params, list(run.history('loss')['loss']), run.read('params.yaml'), len(gt.runs()))\n"
    )
    assert nogit.python(repo, script).stdout == repo.python(script).stdout


def test_a_run_can_be_handed_to_another_process(repo: GitRepo) -> None:
    make(repo, {"loss": [1.0, 0.5]}, name="heron")
    again = pickle.loads(pickle.dumps(gittrack.get("heron")))  # noqa: S301 - our own bytes
    assert list(again.history("loss")["loss"]) == [1.0, 0.5]
