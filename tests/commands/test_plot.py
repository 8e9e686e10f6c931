"""`git track plot`: from recorded runs to lines on a terminal, JSON and CSV."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.gitcmd import GitRepo
from tests.runs import ask, attempt, complaint, record
from tests.terminals import on_a_terminal


def drawn(repo: GitRepo, *words: str) -> list[dict[str, Any]]:
    """Returns the charts of `git track plot --json`."""
    found: list[dict[str, Any]] = json.loads(ask(repo, "plot", "--json=charts", *words))["charts"]
    return found


def labels(chart: dict[str, Any]) -> list[str]:
    return [curve["label"] for curve in chart["curves"]]


def braille(text: str) -> int:
    return sum("\u2800" < char <= "\u28ff" for char in text)


@pytest.fixture
def sweep(repo: GitRepo) -> GitRepo:
    """Four runs of two settings, all with a loss, two with an accuracy; and one without points."""
    record(
        repo,
        *(
            {
                "name": f"run-{number}",
                "group": "sweep-1",
                "tags": ["short"] if number == 3 else [],
                "params": {"lr": [0.1, 0.01][number % 2]},
                "metrics": {
                    "loss": [number + 1 / (step + 1) for step in range(20 if number < 3 else 5)],
                    **({"val/acc": [step / 20 for step in range(20)]} if number < 2 else {}),
                },
            }
            for number in range(4)
        ),
        {"name": "empty"},
    )
    return repo


def test_a_plot_is_of_the_newest_run_that_has_the_metric(sweep: GitRepo) -> None:
    assert labels(drawn(sweep, "loss")[0]) == ["run-3"]
    assert labels(drawn(sweep, "val/acc")[0]) == ["run-1"]

    text = sweep.track("plot", "loss", "run-0").stdout
    assert text.splitlines()[0] == "loss"
    assert text.splitlines()[-2].endswith(" step")
    assert text.splitlines()[-1] == "run-0  0.05"
    assert braille(text) > 60
    assert all(len(line) <= 80 for line in text.splitlines())


def test_runs_are_named_as_anywhere_behind_the_metrics_or_by_an_option(sweep: GitRepo) -> None:
    assert labels(drawn(sweep, "loss", "run-0", "run-2")[0]) == ["run-0", "run-2"]
    assert labels(drawn(sweep, "run-2", "loss")[0]) == ["run-2"]
    assert set(labels(drawn(sweep, "loss", "--runs", "group:sweep-1")[0])) == {f"run-{at}" for at in range(4)}
    assert labels(drawn(sweep, "loss", "--runs", "tag:short", "run-1")[0]) == ["run-1", "run-3"]
    assert labels(drawn(sweep, "loss", "-n", "2")[0]) == ["run-3", "run-2"]


def test_runs_are_chosen_by_a_condition(sweep: GitRepo) -> None:
    assert labels(drawn(sweep, "loss", "--where", "params.lr < 0.05")[0]) == ["run-3", "run-1"]
    assert labels(drawn(sweep, "loss", "--runs", "group:sweep-1", "--where", "metrics.loss < 1")[0]) == ["run-0"]
    code, _, err = attempt(sweep, "plot", "loss", "--where", "params.lr > 9")
    assert (code, err.splitlines()[0]) == (3, "error: no run to draw")


def test_several_metrics_are_a_chart_each_and_one_with_overlay(sweep: GitRepo) -> None:
    charts = drawn(sweep, "loss", "val/acc", "run-0", "run-1")
    assert [chart["title"] for chart in charts] == ["loss", "val/acc"]

    (both,) = drawn(sweep, "loss", "val/acc", "run-0", "--overlay")
    assert labels(both) == ["loss", "val/acc"]

    wide = ask(sweep, "plot", "loss", "val/acc", "run-0", "run-1", "--width", "160", "--height", "10").splitlines()
    assert wide[0].split() == ["loss", "val/acc"]
    assert len(wide) == 11


def test_the_legend_has_the_letters_that_stand_on_the_curves(sweep: GitRepo) -> None:
    text = ask(sweep, "plot", "loss", "--runs", "group:sweep-1").splitlines()

    assert text[-1] == "a run-3  3.2    b run-2  2.05   c run-1  1.05   d run-0  0.05"
    assert all(any(mark in line for line in text[1:-3]) for mark in "abcd")


def test_time_counts_from_the_beginning_of_the_run(sweep: GitRepo) -> None:
    (chart,) = drawn(sweep, "loss", "run-0", "--x", "time")
    xs = chart["curves"][0]["x"]
    assert 0 <= xs[0] <= xs[-1] < 60
    assert xs == sorted(xs)


def test_a_metric_can_stand_across(sweep: GitRepo) -> None:
    (chart,) = drawn(sweep, "loss", "run-0", "--x", "val/acc", "--points", "0")
    assert chart["curves"][0]["x"] == [step / 20 for step in range(20)]


def test_smoothing_is_done_before_thinning_and_is_said_in_the_title(sweep: GitRepo) -> None:
    (chart,) = drawn(sweep, "loss", "run-0", "--smooth", "0.5")
    first, second = chart["curves"][0]["y"][:2]
    assert first == 1
    assert second == pytest.approx((1 * 0.25 + 0.5 * 0.5) / 0.75)

    title = ask(sweep, "plot", "loss", "--smooth", "0.5", "--log-y").splitlines()[0]
    assert title == "loss  smoothed 0.5, log scale"


def test_a_group_by_draws_a_mean_and_a_band_for_each_value(sweep: GitRepo) -> None:
    options = ("loss", "--runs", "group:sweep-1", "--group-by", "params.lr", "--points", "0")
    (chart,) = drawn(sweep, *options)
    assert labels(chart) == ["params.lr=0.01 (n=2)", "params.lr=0.1 (n=2)"]
    slow = chart["curves"][1]
    assert slow["y"][0] == 2, "of 1 and 3"
    assert slow["low"][0] == pytest.approx(2 - math.sqrt(2))
    assert slow["high"][0] == pytest.approx(2 + math.sqrt(2))

    (spread,) = drawn(sweep, *options, "--band=minmax")
    assert (spread["curves"][1]["low"][0], spread["curves"][1]["high"][0]) == (1, 3)


def test_a_bare_band_is_the_standard_deviation_over_all_runs(sweep: GitRepo) -> None:
    (chart,) = drawn(sweep, "loss", "--band", "--runs", "group:sweep-1")
    assert labels(chart) == ["mean (n=4)"]
    assert chart["curves"][0]["y"][0] == pytest.approx(2.5)
    assert "standard deviation" in ask(sweep, "plot", "loss", "run-0", "run-1", "--band").splitlines()[0]


def test_csv_has_a_line_for_each_point_that_is_drawn(sweep: GitRepo) -> None:
    lines = ask(sweep, "plot", "loss", "run-3", "--csv").splitlines()
    assert lines[0] == "chart,curve,run,step,value"
    assert lines[1].startswith("loss,run-3,r")
    assert lines[1].endswith(",0,4.0")
    assert len(lines) == 6

    banded = ask(sweep, "plot", "loss", "run-0", "run-1", "--band", "--csv").splitlines()
    assert banded[0] == "chart,curve,run,step,value,low,high"
    assert banded[1].startswith("loss,mean (n=2),,0,1.5,")


def test_what_cannot_be_drawn_is_told_on_stderr(repo: GitRepo) -> None:
    record(repo, {"metrics": {"loss": [1, "nan", "inf", -1, 0, 2]}}, {"metrics": {"other": [1]}})

    code, out, err = attempt(repo, "plot", "loss", "@", "@{-1}", "--log-y")
    assert code == 0
    assert braille(out) == 0, "two points, each a letter"
    assert err.splitlines() == [
        "warning: 1 of 2 run(s) have no points of 'loss'",
        "warning: 2 value(s) of 'loss' are not finite: gaps are left",
        "warning: 2 value(s) of 'loss' are left out: a logarithmic axis begins above zero",
    ]
    assert "warning" not in out


def test_a_run_that_is_still_recorded_is_drawn(repo: GitRepo) -> None:
    run = repo.track("start", "--name", "open").stdout.strip()
    for step in range(3):
        repo.track("add", "--run", run, "-m", f"loss={3 - step}", "--step", str(step))

    (chart,) = drawn(repo, "loss")
    assert (labels(chart), chart["curves"][0]["y"]) == (["open"], [3, 2, 1])


def test_many_runs_have_a_legend_that_says_how_many_more(repo: GitRepo) -> None:
    record(repo, *({"name": f"r-{at}", "tags": ["t"], "metrics": {"loss": [at, at / 2]}} for at in range(60)))

    code, out, err = attempt(repo, "plot", "loss", "--runs", "tag:t")
    assert code == 0
    assert err.splitlines()[0] == "warning: 50 of 60 runs are drawn"
    assert out.splitlines()[-1].startswith("and ")
    assert len(out.splitlines()) <= 24

    assert len(drawn(repo, "loss", "--runs", "tag:t", "-n", "60")[0]["curves"]) == 60


def test_what_is_misunderstood_is_told_with_what_is_near(sweep: GitRepo) -> None:
    for words, code, said in (
        (("los",), 3, "hint: did you mean loss?"),
        (("acc",), 3, "hint: did you mean val/acc?"),
        (("loss", "nobody"), 3, "error: 'nobody' is neither a metric nor a run"),
        (("loss", "tag:nothing"), 3, "error: no run has the tag 'nothing'"),
        (("run-0",), 2, "error: no metric is named"),
        ((), 2, "hint: metrics: loss, val/acc"),
        (("loss", "--x", "epoch"), 3, "error: 'epoch' is neither step nor time, nor a metric of these runs"),
        (("loss", "--smooth", "1"), 2, "error: invalid value for '--smooth'"),
        (("loss", "--group-by", "params"), 2, "error: "),
        (("loss", "--where", "params.lr >"), 2, "error: "),
    ):
        found, out, err = attempt(sweep, "plot", *words)
        assert (found, out) == (code, ""), words
        assert any(line.startswith(said) for line in err.splitlines()), err


def test_a_plot_fits_any_terminal_and_is_coloured_there(sweep: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for columns, rows in ((20, 8), (80, 24), (200, 50)):
        words = ["git", "track", "plot", "loss", "val/acc", "--runs", "group:sweep-1"]
        code, out = on_a_terminal(words, cwd=sweep.path, columns=columns, rows=rows)
        assert code == 0
        lines = out.decode().split("\r\n")
        assert "\x1b[38;5;" in lines[3]
        plain = "".join(lines).replace("\x1b[", "\x1b")
        assert braille(plain) > 20
        if rows >= 24:
            assert len(lines) <= rows, "the title is still on the screen above the prompt"

    monkeypatch.setenv("NO_COLOR", "1")
    assert b"\x1b" not in on_a_terminal(["git", "track", "plot", "loss"], cwd=sweep.path)[1]


def test_without_unicode_a_plot_is_plain_ascii(sweep: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(sweep, "plot", "loss", "--ascii").isascii()

    text = sweep.track("plot", "loss", "--runs", "group:sweep-1", env={"PYTHONIOENCODING": "latin-1"}).stdout
    assert "\\u" not in text
    assert text.isascii()
    assert "|" in text


def test_names_of_a_stranger_do_nothing_to_the_terminal(repo: GitRepo) -> None:
    record(repo, {"name": "\x1b[31mred\u202e", "metrics": {"lo\u202ess\u200b": [1, 2]}})

    code, out, err = attempt(repo, "plot", "lo\u202ess\u200b", "@", "@")
    assert code == 0, err
    assert "\x1b" not in out + err
    assert "\u202e" not in out
    assert "\\x1b[31mred\\u202e" in out
    assert "\x1b" not in complaint(repo.track("plot", "\x1b[2J", check=False), exit_code=3)


def test_a_plot_needs_no_library(repo: GitRepo, tmp_path: Path) -> None:
    record(repo, {"metrics": {"loss": [1, 2, 3]}})
    script = (
        "import sys; from gittrack import cli; cli.run(['plot', 'loss']); "
        "print(*sorted({'numpy', 'rich', 'yaml', 'pygit2', 'sklearn', 'pandas'} & set(sys.modules)), file=sys.stderr)"
    )
    assert repo.python(script).stderr.strip() == ""


def test_importance_says_which_params_mattered_and_by_which_method(repo: GitRepo) -> None:
    record(
        repo,
        *(
            {
                "params": {"lr": at, "opt": "adam", "depth": at % 3},
                "metrics": {"acc": [at / 30]} if at else {},
                "tags": ["few"] if at < 6 else [],
            }
            for at in range(24)
        ),
    )

    found = json.loads(ask(repo, "plot", "--importance", "metrics.acc", "--json"))
    assert (found["method"], found["runs"]) == ("forest", 23)
    assert found["forest"]["score"] > 0.5
    assert found["params"][0]["name"] == "lr"
    assert found["params"][0]["correlation"] == 1
    assert found["left_out"] == {"opt": "always adam"}

    text = ask(repo, "plot", "--importance", "metrics.acc").splitlines()
    assert text[0].startswith("metrics.acc  by random forest (R2 0.")
    assert text[0].endswith(" in runs it had not seen), 23 runs")
    assert text[3].split()[0] == "lr"
    assert "█" in text[3]
    assert text[-2:] == ["left out", "  opt: always adam"]

    few = ask(repo, "plot", "--importance", "metrics.acc", "tag:few", "--ascii").splitlines()
    assert few[0] == "metrics.acc  by rank correlation (a forest needs 20 runs), 5 runs"
    assert few[3].split() == ["lr", "#" * 20, "+1.00", "0.017", "5"]

    csv = ask(repo, "plot", "--importance", "metrics.acc", "--where", "params.lr < 8", "--csv").splitlines()
    assert csv[0] == "param,kind,values,runs,correlation,effect,chance,importance"
    assert csv[1].startswith("lr,number,7,7,1.0,1.0,")

    for words, code, said in (
        (("--importance", "metrics.nope"), 3, "error: too few runs have 'metrics.nope' to say what mattered"),
        (("--importance", "metrics.acc", "tag:few", "--method", "forest"), 2, "error: too few runs: a forest needs 20"),
        (("--importance", "nope"), 2, "error: 'nope' is no field of a run"),
        (("--importance", "metrics.acc", "--log-y"), 2, "error: '--log-y' means nothing with --importance"),
        (("acc", "--method", "rank"), 2, "error: '--method' means nothing without --importance"),
    ):
        found_code, out, err = attempt(repo, "plot", *words)
        assert (found_code, out) == (code, ""), words
        assert err.startswith(said), err
