"""Whether a run is as good as another one: what a CI job asks before it goes on.

A number that a machine decides by is compared in the decimal digits that people wrote and read: 0.9 to 0.898 is a
loss of 0.002, and not of 0.0020000000000000018."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

from gittrack.columns import shown
from gittrack.errors import NotFound, UsageError
from gittrack.model import Goal, Run
from gittrack.query.fields import STATISTICS

Answer = Literal["same", "better", "within", "worse", "different"]
_PLACES = (
    "step",
    "count",
    "min_step",
    "max_step",
    "best_step",
)  # no results: a goal of the metric says nothing of them
_LARGEST = Decimal("1e300")


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much worse a metric may be: an amount of its own unit, or percent of the baseline's value."""

    amount: Decimal = Decimal(0)
    percent: bool = False

    def allowed(self, baseline: float) -> Decimal:
        """Returns the amount that is allowed; nothing beside a baseline that is not finite."""
        if not self.percent:
            return self.amount
        return self.amount / 100 * abs(Decimal(repr(baseline))) if math.isfinite(baseline) else Decimal(0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one metric; `change` is candidate less baseline, `allowed` the tolerance as an amount.

    `different` is the answer beyond the tolerance where there is no goal, so that nothing is better or worse."""

    metric: str
    goal: Goal | None
    baseline: float
    candidate: float
    change: float
    allowed: float
    answer: Answer

    @property
    def passed(self) -> bool:
        """Whether the candidate is not worse than the baseline by more than the tolerance."""
        return self.answer not in ("worse", "different")


def tolerance(text: str) -> Tolerance:
    """Returns the tolerance that `0.002` or `1%` means; raises UsageError."""
    digits = text.strip().removesuffix("%").rstrip()
    try:
        amount = Decimal(digits)
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite() or amount.is_signed() or amount > _LARGEST or not digits.isascii():
        raise UsageError(f"'{text}' is no tolerance", hint="write an amount, 0.002, or percent of the baseline, 1%")
    return Tolerance(amount, text.strip().endswith("%"))


def judge(metric: str, baseline: Run, candidate: Run, *, goal: Goal | None, within: Tolerance) -> Verdict:
    """Returns whether a metric of `candidate` is worse than that of `baseline`.

    metric: a name, for its best value where there is a goal and the last where there is none, or `NAME.last` and the
    like. goal: by default the declared one. NaN is worse than any number. Raises NotFound where a run has no such
    metric, and UsageError where the runs declare different goals."""
    name, statistic = _named(metric, baseline, candidate)
    goal = goal or (None if statistic in _PLACES else _declared(name, baseline, candidate))
    old, new = (_value(run, name, statistic, goal) for run in (baseline, candidate))
    allowed = within.allowed(old)
    return Verdict(metric, goal, old, new, _less(new, old), float(allowed), _answer(old, new, goal, allowed))


def _named(metric: str, *runs: Run) -> tuple[str, str | None]:
    """Returns the metric and the statistic that are meant; raises NotFound."""
    if all(metric in run.metrics for run in runs):
        return metric, None
    name, _, statistic = metric.rpartition(".")
    if statistic in STATISTICS and all(name in run.metrics for run in runs):
        return name, statistic
    plain = name if statistic in STATISTICS and not any(metric in run.metrics for run in runs) else metric
    run = next(run for run in runs if plain not in run.metrics)
    import difflib  # noqa: PLC0415 - only for an error

    near = difflib.get_close_matches(plain, run.metrics, n=3, cutoff=0.4)
    hint = f"it has {', '.join(near)}" if near else "see `git track show`"
    raise NotFound(f"run '{run.name}' has no metric '{plain}'", hint=hint)


def _declared(name: str, *runs: Run) -> Goal | None:
    goals: set[Goal] = {goal for run in runs if (goal := run.metrics[name].goal)}
    if len(goals) > 1:
        raise UsageError(
            f"whether '{name}' is better is not known", cause="the runs declare different goals", hint="add --goal max"
        )
    return goals.pop() if goals else None


def _value(run: Run, name: str, statistic: str | None, goal: Goal | None) -> float:
    metric = run.metrics[name]
    if statistic is None or statistic == "best":
        found = shown(metric, goal)
        return metric.last if found is None else found
    value: float = getattr(metric, statistic)
    return value


def _answer(old: float, new: float, goal: Goal | None, allowed: Decimal) -> Answer:
    if old == new or (old != old and new != new):
        return "same"
    if new != new or old != old:
        worse = new != new
        return "different" if goal is None else "worse" if worse else "better"
    if goal is not None and (new > old) == (goal == "max"):
        return "better"
    if math.isfinite(old) and math.isfinite(new) and abs(Decimal(repr(new)) - Decimal(repr(old))) <= allowed:
        return "within"
    return "different" if goal is None else "worse"


def _less(new: float, old: float) -> float:
    """Returns the difference in the digits that the numbers are written in; NaN or infinite as doubles have it."""
    if math.isfinite(new) and math.isfinite(old):
        return float(Decimal(repr(new)) - Decimal(repr(old)))
    return new - old
