"""`log()` records what it is given, in order, at the step that was meant."""

from __future__ import annotations

from tests.gitcmd import GitRepo
from tests.reader import Recorded, only


def recorded(repo: GitRepo, script: str) -> Recorded:
    """Runs `script` after an `init`, and returns the run; nothing may be printed."""
    done = repo.python("import math\nimport gittrack as gt\nrun = gt.init()\n" + script)
    assert (done.stdout, done.stderr) == ("", "")
    return only(repo)


def test_a_log_without_a_step_takes_the_next(repo: GitRepo) -> None:
    found = recorded(repo, "for _ in range(3): gt.log({'a': 1.5})\nassert run.step == 3")
    assert found.points("a") == [(0, 1.5), (1, 1.5), (2, 1.5)]


def test_a_given_step_is_kept_and_the_next_one_follows_it(repo: GitRepo) -> None:
    found = recorded(repo, "gt.log({'a': 1}, step=10)\ngt.log({'a': 2})\ngt.log({'a': 3}, 20)\n")
    assert found.points("a") == [(10, 1.0), (11, 2.0), (20, 3.0)]


def test_steps_may_repeat_go_back_and_be_negative(repo: GitRepo) -> None:
    found = recorded(repo, "for step in (5, 5, 3, -7, 9): gt.log({'a': step}, step=step)\n")
    assert found.points("a") == [(-7, -7.0), (3, 3.0), (5, 5.0), (5, 5.0), (9, 9.0)]


def test_the_last_value_is_the_one_that_was_logged_last_not_the_one_with_the_highest_step(repo: GitRepo) -> None:
    found = recorded(repo, "import time\nfor step in (5, 3): gt.log({'a': step}, step=step); time.sleep(0.005)\n")
    assert (found.metrics["a"]["last"], found.metrics["a"]["step"]) == (3.0, 3)


def test_commit_false_leaves_the_step_to_the_next_call(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
for _ in range(2):
    gt.log({"a": 1}, commit=False)
    gt.log({"b": 2}, commit=False)
    gt.log({"c": 3})
""",
    )
    assert [found.points(name) for name in "abc"] == [
        [(0, 1.0), (1, 1.0)],
        [(0, 2.0), (1, 2.0)],
        [(0, 3.0), (1, 3.0)],
    ]


def test_nested_mappings_get_dotted_names(repo: GitRepo) -> None:
    found = recorded(repo, "gt.log({'val': {'acc': 0.5, 'per class': {'cat': 1, 'dog': 0}}, 'loss': 2})")
    assert sorted(found.metrics) == ["loss", "val.acc", "val.per class.cat", "val.per class.dog"]


def test_texts_lists_and_none_become_events_at_their_step(repo: GitRepo) -> None:
    found = recorded(
        repo, "gt.log({'a': 1, 'text': 'héllo', 'none': None, 'list': [1, 'x', {'y': math.nan}]}, step=4)\n"
    )
    assert found.points("a") == [(4, 1.0)]
    assert [(event["key"], event["value"], event["step"]) for event in found.events] == [
        ("text", "héllo", 4),
        ("none", None, 4),
        ("list", [1, "x", {"y": {"$float": "nan"}}], 4),
    ]


def test_true_and_false_are_one_and_zero(repo: GitRepo) -> None:
    assert recorded(repo, "gt.log({'ok': True})\ngt.log({'ok': False})").values("ok") == [1.0, 0.0]


def test_doubles_come_back_to_the_last_bit(repo: GitRepo) -> None:
    values = [0.1 + 0.2, 1e-320, -0.0, 1.7976931348623157e308, 5e-324, 2.0**53, 1 / 3]
    found = recorded(repo, f"for value in {values!r}: gt.log({{'a': value}})")
    assert [repr(value) for value in found.values("a")] == [repr(value) for value in values]


def test_a_summary_has_last_least_greatest_mean_and_where(repo: GitRepo) -> None:
    found = recorded(repo, "for value in (3.0, 1.0, 5.0, 1.0, 2.0): gt.log({'a': value})")
    assert found.metrics["a"] == {
        "last": 2.0,
        "step": 4,
        "min": 1.0,
        "min_step": 1,
        "max": 5.0,
        "max_step": 2,
        "mean": 2.4,
        "count": 5,
    }
    assert found.record["metrics"]["a"] == [2.0, 4, 1.0, 1, 5.0, 2, 2.4, 5, None]


def test_a_goal_makes_a_best(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
run.define_metric("val/*", goal="max")
run.define_metric("loss", goal="minimize")
run.define_metric("other", summary="min")
for step, value in enumerate((3, 1, 5, 2)):
    gt.log({"val/acc": value, "loss": value, "other": value, "plain": value})
""",
    )
    best = {
        name: (metric.get("best"), metric.get("best_step"), metric.get("goal"))
        for name, metric in found.metrics.items()
    }
    assert best == {
        "val/acc": (5.0, 2, "max"),
        "loss": (1.0, 1, "min"),
        "other": (1.0, 1, "min"),
        "plain": (None, None, None),
    }


def test_an_exact_name_beats_a_pattern(repo: GitRepo) -> None:
    script = "run.define_metric('*', goal='max')\nrun.define_metric('loss', goal='min')\ngt.log({'loss': 1, 'acc': 1})"
    found = recorded(repo, script)
    assert (found.metrics["loss"]["goal"], found.metrics["acc"]["goal"]) == ("min", "max")


def test_calls_with_other_metrics_in_turn_keep_to_their_own(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
for step in range(200):
    gt.log({"train/loss": step}, step=step)
    if step % 10 == 0:
        gt.log({"val/loss": step, "val/acc": -step}, step=step)
        gt.log({"val/acc": -step, "val/loss": step}, step=step)
""",
    )
    assert found.points("train/loss") == [(step, float(step)) for step in range(200)]
    twice = [step for step in range(0, 200, 10) for _ in range(2)]
    assert found.points("val/loss") == [(step, float(step)) for step in twice]
    assert found.points("val/acc") == [(step, -float(step)) for step in twice]


def test_names_that_never_repeat_lose_nothing(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
for number in range(3000):
    gt.log({f"m{number}": number})
assert len(run.summary) == 3000 and run.summary["m0"] == 0 and run.summary["m2999"] == 2999
""",
    )
    assert found.record["points"] == 3000
    assert {f"m{number}" for number in range(3000)} < set(found.rows[0].keys() | set().union(*found.rows))


def test_a_long_history_is_kept_in_columns(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
for step in range(30_000):
    gt.log({"loss": 1 / (step + 1), "lr": 0.5})
    if step % 100 == 0:
        gt.log({"val": step / 7}, step=step)
""",
    )
    assert "history.cols" in found.files
    assert "history.tsv" not in found.files
    assert found.points("loss") == [(step, 1 / (step + 1)) for step in range(30_000)]
    assert found.points("val") == [(step, step / 7) for step in range(0, 30_000, 100)]
    assert set(found.values("lr")) == {0.5}
    repo.track("fsck")


def test_names_that_could_be_taken_for_our_own_columns_are_marked(repo: GitRepo) -> None:
    found = recorded(repo, "gt.log({'step': 7, 'time': 8, 'rank': 9, '=x': 10})")
    assert [found.rows[0][name] for name in ("=step", "=time", "=rank", "==x")] == [7.0, 8.0, 9.0, 10.0]
    assert sorted(found.metrics) == ["=x", "rank", "step", "time"]


def test_an_alert_is_printed_and_recorded(repo: GitRepo) -> None:
    done = repo.python("import gittrack as gt\ngt.init()\ngt.log({'a': 1})\ngt.alert('diverged', 'loss is nan')")
    assert done.stderr == "gittrack: alert: diverged: loss is nan\n"
    event = only(repo).events[0]
    assert (event["kind"], event["key"], event["value"], event["step"]) == ("alert", "diverged", "loss is nan", 1)


def test_an_empty_log_takes_a_step(repo: GitRepo) -> None:
    found = recorded(repo, "gt.log({})\ngt.log({'a': 1})")
    assert found.points("a") == [(1, 1.0)]


def test_a_run_without_a_single_point_is_a_run(repo: GitRepo) -> None:
    found = recorded(repo, "")
    assert found.status == "finished"
    assert {"history.tsv", "metrics.yaml", "events.jsonl", "artifacts.yaml"}.isdisjoint(found.files)
    assert (found.raw("params.yaml"), found.record.get("points", 0)) == (b"{}\n", 0)


def test_flush_returns_when_the_points_are_on_disk(repo: GitRepo) -> None:
    assert recorded(repo, "gt.log({'a': 1})\nrun.flush()\nrun.finish()\nrun.flush()").values("a") == [1.0]
