"""Which params mattered: the statistics against scipy, and what is said where little can be said."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gittrack import importance
from gittrack.importance import LEAST_RUNS_OF_FOREST, encoded, kruskal, rank, ranks, spearman, with_forest

stats = pytest.importorskip("scipy.stats")

NUMBERS = st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=4, max_size=40)


def named(answer: importance.Answer) -> dict[str, importance.Param]:
    return {param.name: param for param in answer.params}


@given(NUMBERS)
def test_ranks_and_their_correlation_are_those_of_scipy(pairs: list[tuple[int, int]]) -> None:
    xs, ys = [float(x) for x, _ in pairs], [float(y) for _, y in pairs]
    assume(len(set(xs)) > 1 and len(set(ys)) > 1)

    assert ranks(xs) == list(stats.rankdata(xs))
    assert spearman(xs, ys) == pytest.approx(stats.spearmanr(xs, ys).statistic, abs=1e-12)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-9, 9)), min_size=4, max_size=40))
def test_the_statistic_of_kruskal_and_wallis_is_that_of_scipy(pairs: list[tuple[str, int]]) -> None:
    groups, values = [group for group, _ in pairs], [float(value) for _, value in pairs]
    assume(len(set(groups)) > 1 and len(set(values)) > 1)

    own = [[value for group, value in pairs if group == one] for one in sorted(set(groups))]
    assert kruskal(groups, values) == pytest.approx(stats.kruskal(*own).statistic, abs=1e-9)


def test_the_chances_are_near_those_of_scipy() -> None:
    for correlation, n in itertools.product((0.1, 0.3, 0.5, 0.8), (8, 20, 100)):
        t = correlation * math.sqrt((n - 2) / (1 - correlation**2))
        expected = 2 * stats.t.sf(t, n - 2)
        assert importance.chance_of_correlation(correlation, n) == pytest.approx(expected, abs=0.035)
        assert importance.chance_of_correlation(-correlation, n) == importance.chance_of_correlation(correlation, n)
    for statistic, freedom in itertools.product((0.5, 3, 9, 20), (1, 2, 7)):
        expected = stats.chi2.sf(statistic, freedom)
        assert importance.chance_of_kruskal(statistic, freedom) == pytest.approx(expected, abs=0.01)


def test_a_perfect_order_of_few_runs_is_as_likely_as_it_is() -> None:
    assert importance.chance_of_correlation(1.0, 4) == pytest.approx(2 / 24)
    assert importance.chance_of_correlation(-1.0, 3) == pytest.approx(2 / 6)


def test_params_are_ordered_by_how_much_they_told_and_keep_their_sign() -> None:
    params = [{"lr": x, "depth": x % 3, "opt": ["adam", "sgd"][x < 10]} for x in range(20)]
    answer = rank(params, [-float(x) for x in range(20)])

    found = named(answer)
    assert next(iter(found)) == "lr"
    assert found["lr"].correlation == pytest.approx(-1)
    assert found["opt"].kind == "category"
    assert found["opt"].correlation is None
    assert 0.7 < found["opt"].effect < 1
    assert found["opt"].chance < 0.001
    assert found["depth"].chance > 0.3
    assert (answer.n, answer.method) == (20, "rank")


def test_what_says_nothing_is_left_out_with_the_reason() -> None:
    params: list[dict[str, Any]] = [
        {"data": "iris", "note": f"n{x}", "lr": x, "some": 1, "none": None} for x in range(6)
    ]
    params[0]["rare"] = params[1]["rare"] = 1
    del params[0]["some"]

    answer = rank(params, [1.0, 2, 3, 4, 5, 6])

    assert [param.name for param in answer.params] == ["lr"]
    assert answer.left_out == {
        "data": "always iris",
        "none": "always null",
        "note": "another value in each run",
        "rare": "only 2 run(s) have it",
        "some": "1 wherever it is given",
    }


def test_runs_without_a_finite_target_do_not_count() -> None:
    answer = rank([{"lr": x} for x in range(8)], [0.0, 1, 2, 3, None, math.nan, math.inf, 4])

    assert answer.n == 5
    assert named(answer)["lr"].n == 5


def test_a_target_that_is_always_the_same_says_so() -> None:
    assert rank([{"lr": x} for x in range(5)], [1.0] * 5).left_out == {
        "lr": "the target is the same in all runs that have it"
    }


def test_true_and_false_are_numbers_and_a_mixture_is_a_category() -> None:
    params = [{"aug": x % 2 == 0, "mixed": ["auto", 1][x % 2], "list": [[1], [2]][x % 2]} for x in range(8)]
    found = named(rank(params, [float(x % 2) for x in range(8)]))

    assert (found["aug"].kind, found["aug"].correlation) == ("number", -1)
    assert found["mixed"].kind == found["list"].kind == "category"
    assert found["mixed"].effect == pytest.approx(1)


def test_numbers_that_no_double_holds_are_no_numbers() -> None:
    found = named(rank([{"big": [10**400, 1][x % 2]} for x in range(6)], [1.0, 2, 3, 4, 5, 6]))

    assert found["big"].kind == "category"


def test_a_category_that_does_not_matter_has_no_effect_on_average() -> None:
    draw = random.Random(1)
    effects = []
    for _ in range(200):
        params = [{"opt": draw.choice("abcdef")} for _ in range(24)]
        effects.append(named(rank(params, [draw.random() for _ in params]))["opt"].effect ** 2)
    assert statistics.mean(effects) < 0.08, "the share without the correction is 5/23 = 0.22"


def test_values_become_numbers_for_a_tree() -> None:
    missing = importance._MISSING
    assert encoded([3, 1.5, True]) == [3, 1.5, 1]
    assert encoded([3, None, 5])[1] < 3
    assert encoded(["b", missing, "a", None]) == [1.0, -1.0, 0.0, 2.0]


def sweep(count: int) -> tuple[list[dict[str, Any]], list[float]]:
    """Returns params and targets where `lr` matters, but not by its order, and `opt` a little."""
    draw = random.Random(7)
    params: list[dict[str, Any]] = [
        {"lr": draw.uniform(-3, 3), "opt": draw.choice(["adam", "sgd"]), "seed": at} for at in range(count)
    ]
    for at in range(0, count, 9):
        del params[at]["opt"]
    return params, [-(flat["lr"] ** 2) + (flat.get("opt") == "adam") for flat in params]


def test_a_forest_sees_what_ranks_do_not() -> None:
    params, targets = sweep(60)
    by_rank = rank(params, targets)
    assert named(by_rank)["lr"].effect < 0.3

    answer = with_forest(by_rank, params, targets)

    assert answer.method == "forest"
    assert answer.forest is not None
    assert answer.forest.score > 0.7
    assert answer.params[0].name == "lr"
    assert (answer.params[0].importance or 0) > 0.8
    assert abs(named(answer)["seed"].importance or 0) < 0.05
    assert with_forest(by_rank, params, targets) == answer, "the seed is fixed"


def test_a_forest_that_predicts_nothing_is_not_believed() -> None:
    params, _ = sweep(40)
    draw = random.Random(3)
    targets = [draw.random() for _ in params]
    by_rank = rank(params, targets)

    answer = with_forest(by_rank, params, targets)

    assert answer.forest is not None
    assert not answer.forest.trusted
    assert answer.method == "rank"
    assert [param.name for param in answer.params] == [param.name for param in by_rank.params]


def test_a_forest_needs_runs() -> None:
    params, targets = sweep(LEAST_RUNS_OF_FOREST - 1)

    answer = with_forest(rank(params, targets), params, targets)

    assert (answer.forest, answer.no_forest) == (None, "a forest needs 20 runs")
