"""Whatever is handed to a tracker: never a traceback, nothing lost, and what is not kept exactly is said once."""

from __future__ import annotations

import math
import textwrap

import pytest

from tests.gitcmd import GitRepo
from tests.reader import Recorded, only

PRELUDE = """
import argparse, collections, dataclasses, decimal, enum, fractions, math, pathlib, datetime, types
import gittrack as gt

class Scalar:
    "What torch, jax and numpy have in common."
    def __init__(self, value): self.value = value
    def item(self): return self.value

class Tensor(Scalar):
    shape, dtype = (2,), "float32"
    def item(self): raise ValueError("only one element tensors can be converted")
    def tolist(self): return self.value
    def numel(self): return len(self.value)

class Hostile:
    def __getattribute__(self, name): raise RuntimeError("no")
    def __repr__(self): raise RuntimeError("no")
    def __str__(self): raise RuntimeError("no")

class HostileMapping(dict):
    def keys(self): raise RuntimeError("no")
    def items(self): raise RuntimeError("no")
    def __iter__(self): raise RuntimeError("no")

class Colour(enum.Enum):
    RED = "red"

class Level(enum.IntEnum):
    HIGH = 3

class Word(str, enum.Enum):
    YES = "yes"

@dataclasses.dataclass
class Optimiser:
    name: str = "adam"
    lr: float = 0.1

run = gt.init()
"""


def recorded(repo: GitRepo, script: str, *, said: int | None = None) -> Recorded:
    """Runs a script that hands over something odd; it must come to its end, and its run must be sound."""
    done = repo.python(
        PRELUDE + textwrap.dedent(script) + "\ngt.log({'after': 1.0}, step=0)\nprint('came to its end')\n"
    )
    assert done.stdout == "came to its end\n"
    assert "Traceback" not in done.stderr
    if said is not None:
        assert len(done.stderr.splitlines()) == said, done.stderr
    found = only(repo)
    assert found.status == "finished"
    assert found.values("after") == [1.0]
    assert "corrupt" not in found.facts
    repo.track("fsck")
    return found


# Numbers ------------------------------------------------------------------------------------------------------------


def test_numbers_that_are_not_finite_are_kept(repo: GitRepo) -> None:
    found = recorded(repo, "for value in (math.nan, math.inf, -math.inf, 2.0): gt.log({'a': value})", said=0)
    assert [repr(value) for value in found.values("a")] == ["nan", "inf", "-inf", "2.0"]
    metric = found.metrics["a"]
    assert (metric["last"], metric["min"], metric["max"], metric["nan"]) == (2.0, -math.inf, math.inf, 1)
    assert math.isnan(metric["mean"])
    assert found.record["metrics"]["a"][2:8:2] == [{"$float": "-inf"}, {"$float": "inf"}, {"$float": "nan"}]


def test_a_metric_of_nothing_but_nan_is_a_metric(repo: GitRepo) -> None:
    metric = recorded(repo, "gt.log({'a': math.nan})\ngt.log({'a': math.nan})", said=0).metrics["a"]
    assert all(math.isnan(metric[name]) for name in ("last", "min", "max", "mean"))
    assert (metric["count"], metric["nan"]) == (2, 2)


def test_integers_above_2_to_the_53_are_rounded_and_counted(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        for _ in range(2):
            gt.log({"exact": 2**53, "odd": 2**53 + 1, "none": None})
            gt.log({"text": "x", "later": -(2**60) - 1, "huge": 10**400, "minus": -(10**400)})
        """,
    )
    assert found.values("exact") == [2.0**53] * 2
    assert found.values("odd") == [2.0**53] * 2
    assert found.values("later") == [-(2.0**60)] * 2
    assert (found.values("huge"), found.values("minus")) == ([math.inf] * 2, [-math.inf] * 2)
    assert found.facts["rounded"] == 8


def test_scalars_of_other_libraries_are_numbers_without_importing_them(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        for _ in range(2):
            gt.log({"item": Scalar(1.5), "int": Scalar(3), "bool": Scalar(True), "decimal": decimal.Decimal("0.25"),
                    "fraction": fractions.Fraction(1, 2), "enum": Level.HIGH})
            gt.log({"array": Tensor([1.0, 2.0]), "odd": Scalar("text"), "complex": 1j})
        """,
    )
    names = ("item", "int", "bool", "decimal", "fraction", "enum")
    assert [found.values(name) for name in names] == [[1.5] * 2, [3.0] * 2, [1.0] * 2, [0.25] * 2, [0.5] * 2, [3.0] * 2]
    assert found.texts("array") == [[1.0, 2.0]] * 2
    assert found.texts("odd") == ["text"] * 2
    assert len(found.texts("complex")) == 2


def test_numpys_scalars_are_numbers(repo: GitRepo) -> None:
    pytest.importorskip("numpy")
    found = recorded(
        repo,
        """
        import numpy as np
        for step in range(3):
            gt.log({"f64": np.float64(0.1), "f32": np.float32(0.5), "f16": np.float16(0.5), "i": np.int64(7),
                    "b": np.bool_(True), "zero-d": np.array(2.5), "one": np.array([3.5])}, step=np.int64(step))
        gt.log({"array": np.arange(3), "big": np.zeros((100, 100))})
        run.log_params({"np": {"lr": np.float32(0.5), "n": np.int64(3), "shape": np.array([1, 2])}})
        """,
    )
    names = ("f64", "f32", "f16", "i", "b", "zero-d", "one")
    assert [found.points(name)[2] for name in names] == [(2, value) for value in (0.1, 0.5, 0.5, 7.0, 1.0, 2.5, 3.5)]
    assert found.texts("array") == [[0, 1, 2]]
    assert found.texts("big") == ["<ndarray (100, 100) float64>"]
    assert found.params["np"] == {"lr": 0.5, "n": 3, "shape": [1, 2]}


def test_a_metric_may_change_its_type(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        for value in (1, 2.5, True, "text", None, Scalar(4), [1], 2**70, 5):
            gt.log({"a": value})
        """,
    )
    assert found.points("a") == [(0, 1.0), (1, 2.5), (2, 1.0), (5, 4.0), (7, 2.0**70), (8, 5.0)]
    assert [(event["step"], event["value"]) for event in found.events] == [(3, "text"), (4, None), (6, [1])]


def test_a_call_that_has_one_bad_value_keeps_the_others(repo: GitRepo) -> None:
    found = recorded(repo, "for _ in range(3): gt.log({'good': 1.0, 'bad': Hostile(), 'fine': 2.0})", said=1)
    assert found.values("good") == [1.0] * 3
    assert found.values("fine") == [2.0] * 3
    assert len(found.texts("bad")) == 3


# Names --------------------------------------------------------------------------------------------------------------


def test_names_with_anything_in_them_are_kept_apart(repo: GitRepo) -> None:
    names = [
        "a/b/c",
        "a b",
        " a",
        "a ",
        "ä",
        "日本",
        "-x",
        "x: y",
        "#",
        "'",
        '"',
        "a\tb",
        "a\nb",
        "a\x00b",
        "\x1b[31m",
        "..",
        "",
    ]
    found = recorded(repo, f"for value, name in enumerate({names!r}): gt.log({{name: value}})", said=0)
    stored = {"\t": "\\x09", "\n": "\\x0a", "\x00": "\\x00", "\x1b": "\\x1b"}
    expected = {
        "".join(stored.get(char, char) for char in name) or "(empty)": value for value, name in enumerate(names)
    }
    assert {name: metric["last"] for name, metric in found.metrics.items() if name != "after"} == expected
    for name, value in expected.items():
        assert found.values(name) == [float(value)]


def test_names_that_are_stored_alike_lose_no_value(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        gt.log({1: 1.0, "1": 2.0})
        gt.log({"a.b": 3.0, "a": {"b": 4.0}})
        gt.log({"x\\n": 5.0, "x\\\\x0a": 6.0})
        """,
    )
    assert found.values("1") == [1.0, 2.0]
    assert found.values("a.b") == [3.0, 4.0]
    assert found.values("x\\x0a") == [5.0, 6.0]


def test_a_name_of_ten_kilobytes_is_cut_and_still_its_own(repo: GitRepo) -> None:
    found = recorded(repo, "gt.log({'k' * 10_000: 1.0, 'k' * 10_001: 2.0})\ngt.log({'k' * 10_000: 3.0})", said=0)
    names = [name for name in found.metrics if name.startswith("k")]
    assert len(names) == 2
    assert all(len(name) == 512 and name[-9] == "~" for name in names)
    assert sorted(found.values(name) for name in names) == [[1.0, 3.0], [2.0]]


def test_a_name_may_be_a_value_and_a_prefix(repo: GitRepo) -> None:
    found = recorded(repo, "gt.log({'a': 1, 'a/b': 2, 'a.b': 3})\nrun.log_params({'p': 1, 'p/q': 2, 'p.q': 3})", said=0)
    assert (found.values("a"), found.values("a/b"), found.values("a.b")) == ([1.0], [2.0], [3.0])
    assert found.params == {"p": 1, "p/q": 2, "p.q": 3}
    assert repo.track("ls", "--json").returncode == 0


def test_names_may_be_no_text(repo: GitRepo) -> None:
    found = recorded(repo, "gt.log({1: 1.0, 2.5: 2.0, None: 3.0, (1, 2): 4.0, Level.HIGH: 5.0, True: 6.0})")
    values = [value for row in found.rows for name, value in row.items() if name not in ("step", "time", "after")]
    assert sorted(values) == [2.0, 3.0, 4.0, 5.0, 6.0]  # 1 and True are one key to Python


# Steps --------------------------------------------------------------------------------------------------------------


def test_a_step_that_is_none_is_said_once_and_the_next_one_is_taken(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        for step in ("x", math.nan, math.inf, None, [], 2**63, -(2**63) - 1, 10**400, 1j):
            gt.log({"a": 1.0}, step=step)
        """,
        said=1,
    )
    assert sorted(step for step, _ in found.points("a")) == list(range(9))


def test_steps_may_be_floats_scalars_and_as_large_as_they_get(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        largest = 2**63 - 1
        for step in (2.0, Scalar(3), True, -(2**63), largest):
            gt.log({"a": 1.0}, step=step)
        gt.log({"b": 1.0})
        gt.log({"b": 2.0})
        """,
    )
    assert [step for step, _ in found.points("a")] == [-(2**63), 1, 2, 3, 2**63 - 1]
    assert found.values("b") == [1.0, 2.0]


# Whole calls --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["None", "5", "'text'", "[1, 2]", "Hostile()", "HostileMapping(a=1)"])
def test_what_is_no_mapping_is_dropped_counted_and_said_once(repo: GitRepo, data: str) -> None:
    found = recorded(repo, f"for _ in range(3): gt.log({data})", said=1)
    assert found.facts["dropped"] == 3


def test_a_mapping_that_holds_itself_ends(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        data = {"x": 1.0}
        data["left"] = data["right"] = data
        gt.log(data)
        run.log_params(data)
        """,
    )
    assert found.values("x") == [1.0]
    assert found.texts("left") == found.texts("right") == ["<cycle>"]
    assert found.params["left"]["right"] == "<cycle>"


def test_mappings_that_share_their_parts_end(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        data = {"x": 1.0}
        for _ in range(60):
            data = {"left": data, "right": data}
        gt.log(data)
        run.log_params(data)
        """,
    )
    assert found.facts["dropped"] == 1


def test_a_value_that_is_too_large_for_the_journal_is_cut_and_said(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        gt.log({"a": 1.0, "text": "x" * 3_000_000, "list": list(range(100_000)), "b": 2.0})
        gt.log({"texts": ["y" * 60_000] * 100, "c": 3.0})
        """,
    )
    assert [found.values(name) for name in "abc"] == [[1.0], [2.0], [3.0]]
    assert {event["key"] for event in found.events} == {"text", "list", "texts"}


def test_thousands_of_metrics_at_once_are_kept(repo: GitRepo) -> None:
    found = recorded(repo, "gt.log({f'layer/{n}/' + 'x' * 450: n for n in range(2500)})", said=0)
    assert found.record["points"] == 2501
    assert found.record["more"] is True
    assert len(found.metrics) == 2501


# Params -------------------------------------------------------------------------------------------------------------


def test_params_are_kept_as_plain_values(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        run.log_params({
            "dataclass": Optimiser(), "namespace": argparse.Namespace(depth=3), "simple": types.SimpleNamespace(a=1),
            "enum": Colour.RED, "int enum": Level.HIGH, "text enum": Word.YES,
            "path": pathlib.PurePosixPath("a/b"), "date": datetime.date(2026, 1, 2), "tuple": (1, 2), "set": {3},
            "scalar": Scalar(0.5), "class": Optimiser, "function": math.sqrt, "counter": collections.Counter("aab"),
            "none": None, "true": True, "nan": math.nan, "inf": -math.inf, "huge": 10**30, "empty": {}, "no": [],
            "text": "yes", "multi": "a\\nb: c", "date text": "2026-01-02", "number text": "1e3", "null text": "null",
        })
        """,
    )
    params = found.params
    assert math.isnan(params.pop("nan"))
    assert params == {
        "dataclass": {"name": "adam", "lr": 0.1},
        "namespace": {"depth": 3},
        "simple": {"a": 1},
        "enum": "red",
        "int enum": 3,
        "text enum": "yes",
        "path": "a/b",
        "date": "2026-01-02",
        "tuple": [1, 2],
        "set": [3],
        "scalar": 0.5,
        "class": "__main__.Optimiser",
        "function": "math.sqrt",
        "counter": {"a": 2, "b": 1},
        "none": None,
        "true": True,
        "inf": -math.inf,
        "huge": 10**30,
        "empty": {},
        "no": [],
        "text": "yes",
        "multi": "a\nb: c",
        "date text": "2026-01-02",
        "number text": "1e3",
        "null text": "null",
    }


def test_params_that_cannot_be_kept_are_named_once(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        for _ in range(2):
            run.log_params({"good": 1, "hostile": Hostile(), "lock": __import__("threading").Lock(), "bytes": b"\\xff"})
        """,
        said=3,
    )
    assert found.params["good"] == 1
    assert found.params["bytes"] == "ff"
    assert set(found.params) == {"good", "hostile", "lock", "bytes"}
    assert " at 0x" not in found.params["lock"]


def test_the_keys_of_params_may_be_anything(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        run.log_params({1: "a", None: "b", (1, 2): "c", "a b": "d", "x\\ny": "e", "": "f", "y": "g", "k" * 9999: "h"})
        """,
    )
    assert [found.params[key] for key in ("1", "None", "(1, 2)", "a b", "x\\x0ay", "(empty)", "y")] == list("abcdefg")
    assert "h" in found.params.values()


def test_very_deep_params_are_cut_and_said(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        deep = {}
        for _ in range(500):
            deep = {"d": deep}
        listed = []
        for _ in range(500):
            listed = [listed]
        run.log_params({"deep": deep, "listed": listed, "flat": 1})
        """,
        said=2,
    )
    assert found.params["flat"] == 1


def test_very_many_params_are_cut_and_said_and_the_others_stay_readable(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        run.log_params({"first": 1})
        run.log_params({"many": {f"key{n}": n for n in range(30_000)}})
        run.log_params({"list": [0.5] * 300_000})
        run.log_params({f"text{n}": "x" * 60_000 for n in range(80)})
        run.log_params({"last": 2})
        """,
    )
    assert (found.params["first"], found.params["last"]) == (1, 2)
    repo.track("show", "@", "--json")


def test_another_value_for_a_param_is_kept_as_an_event_and_said_once(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        run.log_params({"lr": 0.1, "opt": {"name": "adam"}, "same": math.nan})
        for _ in range(3):
            run.log_params({"lr": 0.2, "opt": {"name": "sgd", "new": 1}, "same": math.nan})
        """,
        said=2,
    )
    params = found.params
    assert (params["lr"], params["opt"]) == (0.1, {"name": "adam", "new": 1})
    changed = [(event["key"], event["value"]) for event in found.events if event["kind"] == "param"]
    assert changed == [("lr", 0.2), ("opt.name", "sgd")] * 3


def test_secrets_in_params_are_not_recorded(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        run.log_params({"api_key": "hunter2-hunter2", "db": {"password": "hunter2"}, "url": "https://u:hunter2@h/x",
                        "max_tokens": 100, "n": "ghp_" + "hunter2" * 6})
        """,
    )
    assert found.facts["redacted"] == 4
    everything = b"".join(found.raw(path) or b"" for path in found.files)
    assert b"hunter2" not in everything + repo.git("log", "-1", "--format=%B", found.ref).encode()
    assert found.params["max_tokens"] == 100


def test_bad_goals_and_metric_names_do_not_stop_training(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        gt.define_metric("a", goal="best")
        gt.define_metric("b", goal=5)
        gt.define_metric(None, summary=7)
        gt.define_metric(Hostile(), goal="max")
        gt.define_metric("[", goal="max")
        gt.log({"a": 1, "b": 2})
        """,
    )
    assert "goal" not in found.metrics["a"]


def test_odd_summaries_do_not_stop_training(repo: GitRepo) -> None:
    recorded(
        repo,
        """
        run.summary["hostile"] = Hostile()
        run.summary[5] = 1.0
        run.summary["x" * 5000] = {"nested": [Hostile()]}
        run.summary.update({"cycle": run.summary})
        run.name = Hostile
        run.tags = 5
        run.notes = None
        """,
    )


def test_odd_alerts_and_artifacts_do_not_stop_training(repo: GitRepo) -> None:
    recorded(
        repo,
        """
        gt.alert(5, None)
        gt.alert(Hostile())
        run.log_artifact(None)
        run.log_artifact(5)
        run.log_artifact(Hostile())
        run.log_artifact("no-such-file")
        run.log_artifact("\\x00")
        """,
    )
