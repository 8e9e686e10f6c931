"""Which params mattered for a metric, as far as the runs at hand can tell.

A sweep asks this of some dozen runs, where a false answer is easily given. So each answer says how many runs it stands
on and how likely chance alone would give it, and a model that predicts nothing is not asked what matters to it."""

from __future__ import annotations

import importlib.util
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

LEAST_RUNS = 4  # with three, any order but one in six is perfect
LEAST_RUNS_OF_FOREST = 20
LEAST_SCORE = 0.1  # of a forest that may be believed: a tenth of the variance, in runs that it has not seen
TREES = 100
FOLDS = 5
REPEATS = 5

Kind = Literal["number", "category"]


@dataclass(frozen=True, slots=True)
class Param:
    """What one param had to do with the target.

    correlation: of ranks, -1 to 1, for numbers; effect: 0 to 1, how much it told, without a sign; n: runs that have it;
    chance: how likely so large an effect is if the param does not matter, 0 to 1; importance: of the forest, the share
    of variance that is lost when it is shuffled; None without a forest."""

    name: str
    kind: Kind
    effect: float
    chance: float
    n: int
    correlation: float | None = None
    values: int = 0
    importance: float | None = None


@dataclass(frozen=True, slots=True)
class Forest:
    """How well a forest predicts runs that it has not seen: `score` is R squared; 1 is perfect, 0 knows nothing."""

    score: float
    trees: int = TREES
    folds: int = FOLDS

    @property
    def trusted(self) -> bool:
        """Whether what matters to it means anything."""
        return self.score >= LEAST_SCORE


@dataclass(frozen=True, slots=True)
class Answer:
    """Params, the most important first; `left_out` maps others to the reason; n: runs that have the target."""

    params: Sequence[Param]
    left_out: Mapping[str, str]
    n: int
    forest: Forest | None = None
    no_forest: str = ""

    @property
    def method(self) -> str:
        """`forest` if its importances order the params, else `rank`."""
        return "forest" if self.forest and self.forest.trusted else "rank"


def rank(params: Sequence[Mapping[str, Any]], targets: Sequence[float | None]) -> Answer:
    """Returns what each param had to do with the target, by rank; runs without a finite target are left out.

    For numbers it is Spearman's rank correlation; for anything else, the share of the ranks' variance that lies between
    the values (Kruskal and Wallis, 1952), made free of bias for the number of values (`epsilon squared`; Tomczak and
    Tomczak, 2014), and its square root, so that both are of one size. params: flat, one mapping a run."""
    having = [(flat, target) for flat, target in zip(params, targets, strict=True) if _is_finite(target)]
    flats = [flat for flat, _ in having]
    values = [float(target) for _, target in having if target is not None]
    found, left_out = [], {}
    for name in sorted({name for flat in flats for name in flat}):
        why, param = _judge(name, [flat.get(name, _MISSING) for flat in flats], values)
        if param:
            found.append(param)
        else:
            left_out[name] = why
    found.sort(key=lambda param: (-param.effect, param.chance, param.name))
    return Answer(found, left_out, len(values))


_MISSING = object()


def _is_finite(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) < 1e300  # which no double above can be multiplied with, and some integers are above


def _judge(name: str, cells: Sequence[Any], targets: Sequence[float]) -> tuple[str, Param | None]:
    """Returns a param's part, or why it has none."""
    kind = kind_of(cells)
    pairs = [
        (cell, target)
        for cell, target in zip(cells, targets, strict=True)
        if cell is not _MISSING and (kind == "category" or cell is not None)
    ]
    if len(pairs) < LEAST_RUNS:
        return f"only {len(pairs)} run(s) have it", None
    texts = [_text(cell) for cell, _ in pairs]
    different = len(set(texts))
    if different == 1:
        return f"always {texts[0]}" if len(pairs) == len(cells) else f"{texts[0]} wherever it is given", None
    ys = [target for _, target in pairs]
    if len(set(ys)) == 1:
        return "the target is the same in all runs that have it", None
    if kind == "number":
        correlation = spearman([float(cell) for cell, _ in pairs], ys)
        chance = chance_of_correlation(correlation, len(pairs))
        return "", Param(name, kind, abs(correlation), chance, len(pairs), correlation, different)
    if different == len(pairs):
        return "another value in each run", None
    statistic = kruskal(texts, ys)
    spread = (statistic - different + 1) / (len(pairs) - different)
    chance = chance_of_kruskal(statistic, different - 1)
    return "", Param(name, kind, math.sqrt(min(max(spread, 0.0), 1.0)), chance, len(pairs), None, different)


def kind_of(cells: Sequence[Any]) -> Kind:
    """Returns `number` if all values are finite numbers, true and false, or none at all."""
    given = [cell for cell in cells if cell is not _MISSING and cell is not None]
    numbers = all(isinstance(cell, bool) or _is_finite(cell) for cell in given)
    return "number" if given and numbers else "category"


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else json.dumps(cell, sort_keys=True, default=str)


# By rank ------------------------------------------------------------------------------------------------------------


def ranks(values: Sequence[float]) -> list[float]:
    """Returns the rank of each value from 1; equal ones share the mean of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for at in order[start:end]:
            found[at] = (start + 1 + end) / 2
        start = end
    return found


def spearman(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Returns Spearman's rank correlation: Pearson's of the ranks (C. Spearman, American Journal of Psychology, 1904).

    Neither may be constant."""
    a, b = ranks(xs), ranks(ys)
    middle = (len(a) + 1) / 2
    a, b = [one - middle for one in a], [one - middle for one in b]
    return min(max(_product(a, b) / math.sqrt(_product(a, a) * _product(b, b)), -1.0), 1.0)


def _product(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(map(float.__mul__, a, b))


def chance_of_correlation(correlation: float, n: int) -> float:
    """Returns how likely a rank correlation is at least this strong if there is none, about.

    Fisher's transformation with a variance of 1.06 / (n - 3) (Fieller, Hartley and Pearson, Biometrika 44, 1957)."""
    if abs(correlation) >= 1:
        return min(1.0, 2 / math.factorial(min(n, 20)))
    return math.erfc(math.atanh(abs(correlation)) * math.sqrt((n - 3) / 1.06) / math.sqrt(2))


def kruskal(groups: Sequence[str], values: Sequence[float]) -> float:
    """Returns the statistic H of Kruskal and Wallis, corrected for ties (J. Am. Statistical Association 47, 1952)."""
    found = ranks(values)
    n = len(values)
    sums: dict[str, list[float]] = {}
    for group, one in zip(groups, found, strict=True):
        sums.setdefault(group, []).append(one)
    total = 12 / (n * (n + 1)) * math.fsum(sum(own) ** 2 / len(own) for own in sums.values()) - 3 * (n + 1)
    ties = sum(count**3 - count for count in Counter(values).values())
    return max(total / (1 - ties / (n**3 - n)), 0.0)


def chance_of_kruskal(statistic: float, freedom: int) -> float:
    """Returns how likely H is at least this great if the groups do not differ: the tail of chi squared, about.

    The approximation is that of Wilson and Hilferty (PNAS 17, 1931)."""
    spread = 2 / (9 * freedom)
    normal = ((statistic / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)
    return min(1.0, math.erfc(normal / math.sqrt(2)) / 2)


# By a forest --------------------------------------------------------------------------------------------------------


def has_forest() -> bool:
    """Tells whether scikit-learn is there to be imported."""
    return importlib.util.find_spec("sklearn") is not None


def with_forest(answer: Answer, params: Sequence[Mapping[str, Any]], targets: Sequence[float | None]) -> Answer:
    """Returns an answer of `rank` with the importances of a random forest beside it; needs scikit-learn.

    Permutation importance (L. Breiman, "Random Forests", Machine Learning 45, 2001): how much R squared falls when a
    param is shuffled, in runs that the forest was not fitted to, by cross-validation with a fixed seed. What is no
    number becomes the number of its value; what is missing, a number below all others. A forest that does not predict
    those runs orders nothing: then `answer.params` stay in the order of their ranks."""
    if answer.n < LEAST_RUNS_OF_FOREST:
        why = f"a forest needs {LEAST_RUNS_OF_FOREST} runs"
        return Answer(answer.params, answer.left_out, answer.n, None, why)
    if not answer.params:
        return answer
    names = [param.name for param in answer.params]
    having = [(flat, target) for flat, target in zip(params, targets, strict=True) if _is_finite(target)]
    columns = [encoded([flat.get(name, _MISSING) for flat, _ in having]) for name in names]
    score, importances = _cross_validated(columns, [float(target) for _, target in having if target is not None])
    forest = Forest(score)
    found = [
        Param(**{**_facts(param), "importance": importance})
        for param, importance in zip(answer.params, importances, strict=True)
    ]
    if forest.trusted:
        found.sort(key=lambda param: -(param.importance or 0.0))
    return Answer(found, answer.left_out, answer.n, forest)


def _facts(param: Param) -> dict[str, Any]:
    return {name: getattr(param, name) for name in Param.__slots__}


def encoded(cells: Sequence[Any]) -> list[float]:
    """Returns values as numbers for a tree, which asks only what is greater than what."""
    if kind_of(cells) == "number":
        numbers = [float(cell) for cell in cells if cell is not _MISSING and cell is not None]
        absent = min(numbers) - max(1.0, abs(min(numbers)))
        return [absent if cell is _MISSING or cell is None else float(cell) for cell in cells]
    texts = sorted({_text(cell) for cell in cells if cell is not _MISSING})
    numbers_of = {text: float(at) for at, text in enumerate(texts)}
    return [-1.0 if cell is _MISSING else numbers_of[_text(cell)] for cell in cells]


def _cross_validated(columns: Sequence[Sequence[float]], targets: Sequence[float]) -> tuple[float, list[float]]:
    """Returns R squared in runs that were held out, and how much of it each column is worth there."""
    import numpy as np  # noqa: PLC0415 - only where it is asked for, and only with scikit-learn
    from sklearn.ensemble import RandomForestRegressor  # noqa: PLC0415 - the same
    from sklearn.inspection import permutation_importance  # noqa: PLC0415 - the same
    from sklearn.metrics import r2_score  # noqa: PLC0415 - the same
    from sklearn.model_selection import KFold  # noqa: PLC0415 - the same

    table, wanted = np.array(columns, dtype=float).T, np.array(targets, dtype=float)
    guessed = np.zeros(len(wanted))
    worth = np.zeros(len(columns))
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(table):
        forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0)
        forest.fit(table[train], wanted[train])
        guessed[test] = forest.predict(table[test])
        fell = permutation_importance(
            forest, table[test], wanted[test], n_repeats=REPEATS, random_state=0, scoring="neg_mean_squared_error"
        )
        worth += fell.importances_mean * len(test)
    variance = float(wanted.var()) * len(wanted)
    return float(r2_score(wanted, guessed)), [float(one) / variance for one in worth]
