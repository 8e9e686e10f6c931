"""What a project asks of its runs: the standard in `gittrack.yaml`, and whether a run meets it.

A number that is not there, or that means something else in every run, is found out when the paper is written. So the
project says once what a run must have, and every clone, hook and CI job judges by the same words. The standard comes
with the code, maybe from a stranger: it is values to compare with, and can name no command, credential or address."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from gittrack.model import Goal, Metric, Run
from gittrack.query import evaluate
from gittrack.query.condition import Condition
from gittrack.refname import Oid, RunId

FILE = "gittrack.yaml"
BRANCHES = "refs/heads/"
Type = Literal["int", "float", "bool", "str", "list"]
TYPES: tuple[Type, ...] = get_args(Type)

_IS: Mapping[Type, Callable[[Any], bool]] = {
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "bool": lambda value: isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
    "list": lambda value: isinstance(value, list | tuple),
}


@dataclass(frozen=True, slots=True)
class Range:
    """The values that a number may have, both ends included; None leaves an end open."""

    low: float | None = None
    high: float | None = None

    def broken(self, value: float, unit: str) -> str | None:
        """Returns how a number is outside, or None; what is not a number is within no range that has an end."""
        if self.low is not None and not value >= self.low:
            return f"is {_shown(value, unit)}, and at least {_shown(self.low, unit)} is asked for"
        if self.high is not None and not value <= self.high:
            return f"is {_shown(value, unit)}, and at most {_shown(self.high, unit)} is asked for"
        return None


@dataclass(frozen=True, slots=True)
class MetricRule:
    """What is asked of one metric: of all its values, not only of the last."""

    required: bool = False
    goal: Goal | None = None
    range: Range = Range()
    finite: bool = False
    unit: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class ParamRule:
    """What is asked of one param, by its flat name."""

    required: bool = False
    type: Type | None = None
    range: Range = Range()
    choices: tuple[Any, ...] = ()
    unit: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """What is asked of commits before they are pushed to some branches.

    branches: patterns, all branches if there are none; paths: what of the code has to be as in the run, all if there
    are none; run: whether there must be one; where: what one run of the commit must meet, as written in `query`."""

    name: str
    branches: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    run: bool = False
    where: Condition | None = None
    query: str = ""

    def guards(self, ref: str | None) -> bool:
        """Tells whether a push to a ref is looked at; None stands for any branch."""
        if ref is None:
            return True
        if not self.branches:
            return ref.startswith(BRANCHES)
        names = {ref, ref.removeprefix(BRANCHES)}
        return any(fnmatchcase(name, pattern) for name in names for pattern in self.branches)

    def looks_at(self, path: str) -> bool:
        """Tells whether a file is part of the code that the gate is about, as git's pathspecs would."""
        return not self.paths or any(
            path == one or path.startswith(one.rstrip("/") + "/") or fnmatchcase(path, one) for one in self.paths
        )


@dataclass(frozen=True, slots=True)
class Standard:
    """What `gittrack.yaml` says."""

    metrics: Mapping[str, MetricRule] = field(default_factory=dict)
    params: Mapping[str, ParamRule] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as the standard asks, of a run or of a commit.

    field: what it is about, as queries name it (`metrics.val/acc`), or `gates.NAME`."""

    field: str
    problem: str
    run: RunId | None = None
    name: str = ""
    commit: Oid | None = None

    @property
    def subject(self) -> str:
        """Whom it is about, for people."""
        return f"run {self.name} ({self.run})" if self.run else f"commit {(self.commit or '')[:10]}"

    def __str__(self) -> str:
        return f"{self.subject}: {self.field} {self.problem}"


def judge(standard: Standard, run: Run) -> list[Finding]:
    """Returns what of a run is not as the standard asks: metrics, then params, each in the order of the file."""
    found = [(f"metrics.{name}", text) for name, rule in standard.metrics.items() for text in _metric(rule, run, name)]
    flat = run.flat_params if standard.params else {}
    found += [(f"params.{name}", text) for name, rule in standard.params.items() for text in _param(rule, flat, name)]
    return [Finding(what, text, run=run.id, name=run.name) for what, text in found]


def _metric(rule: MetricRule, run: Run, name: str) -> Iterable[str]:
    metric: Metric | None = run.metrics.get(name)
    if metric is None:
        if rule.required:
            yield "is missing"
        return
    if rule.goal and metric.goal and metric.goal != rule.goal:
        yield f"has the goal {metric.goal}, and the standard says {rule.goal}"
    ends = (metric.last, metric.min, metric.max)
    if rule.finite and not all(map(math.isfinite, ends)):
        yield f"is {next(_shown(end, '') for end in ends if not math.isfinite(end))}, and a finite number is asked for"
        return
    # A summary that a user set is the last value without being one of the points.
    broken = [rule.range.broken(end, rule.unit) for end in ends]
    yield from list(dict.fromkeys(text for text in broken if text))


def _param(rule: ParamRule, params: Mapping[str, Any], name: str) -> Iterable[str]:
    if name not in params:
        if rule.required and not any(key.startswith(f"{name}.") for key in params):
            yield "is missing"
        return
    value = params[name]
    if rule.type and not _IS[rule.type](value):
        yield f"is {_shown(value, '')}, and the type {rule.type} is asked for"
        return
    if rule.choices and not any(_equal(value, one) for one in rule.choices):
        yield f"is {_shown(value, '')}, and one of {', '.join(_shown(one, '') for one in rule.choices)} is asked for"
    if _IS["float"](value):
        broken = rule.range.broken(value, rule.unit)
        if broken:
            yield broken
    elif rule.range != Range():
        yield f"is {_shown(value, '')}, and a number is asked for"


def _equal(value: Any, other: Any) -> bool:
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)  # for Python 1 is True


def judge_commit(
    standard: Standard, commit: Oid, *, ref: str | None, runs: Callable[[Gate], Sequence[Run]]
) -> list[Finding]:
    """Returns which gates a commit does not pass on its way to a ref; None: to any.

    runs: returns the runs whose code is that of the commit, as far as a gate looks at it."""
    found = []
    for gate in standard.gates:
        if not gate.guards(ref):
            continue
        fitting = runs(gate)
        if gate.run and not fitting:
            found.append(
                Finding(f"gates.{gate.name}", "asks for a finished run of this code, and there is none", commit=commit)
            )
        elif gate.where and fitting and not any(evaluate.matches(gate.where, run) for run in fitting):
            many = (
                f"none of its {len(fitting)} runs meets" if len(fitting) > 1 else f"run {fitting[0].name} does not meet"
            )
            found.append(Finding(f"gates.{gate.name}", f"asks for {gate.query}, and {many} that", commit=commit))
    return found


def _shown(value: Any, unit: str) -> str:
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    return f"{text[:77]}..." if len(text) > 80 else f"{text} {unit}".rstrip()
