"""What `git track plot --importance` prints: which params mattered, by which method, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gittrack import importance, output
from gittrack.chart import bars
from gittrack.errors import GittrackError, NotFound, UsageError
from gittrack.importance import Answer, Param
from gittrack.model import Run
from gittrack.query import fields
from gittrack.terminal import printable

MOST_LEFT_OUT = 8  # named on a terminal; --json has all
UNSURE = 0.05  # chance above which an effect is called none


def answer(runs: Sequence[Run], target: str, *, method: str) -> Answer:
    """Returns which params mattered for a field of runs; method: `auto`, `rank` or `forest`.

    Raises NotFound if too few runs have the field, UsageError if runs cannot have it, GittrackError without what the
    method needs."""
    targets = [_number(fields.field_of(run, target)) for run in runs]
    params = [run.flat_params for run in runs]
    found = importance.rank(params, targets)
    if found.n < importance.LEAST_RUNS:
        raise NotFound(
            f"too few runs have '{target}' to say what mattered",
            cause=f"{found.n} of {len(runs)} run(s) have a finite number there",
            hint=f"it takes {importance.LEAST_RUNS}, better 20; a metric is written metrics.NAME",
        )
    if method == "rank":
        return found
    if not importance.has_forest():
        if method == "forest":
            raise GittrackError("a forest needs scikit-learn", hint="pip install scikit-learn")
        return Answer(found.params, found.left_out, found.n, None, "a forest needs scikit-learn, which is not there")
    found = importance.with_forest(found, params, targets)
    if method == "forest" and found.no_forest:
        raise UsageError(f"too few runs: {found.no_forest}", cause=f"{found.n} run(s) have '{target}'")
    return found


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def facts(found: Answer, target: str) -> dict[str, Any]:
    """Returns an answer as `--json` prints it."""
    forest = found.forest
    return {
        "target": target,
        "method": found.method,
        "runs": found.n,
        "forest": forest and {"score": forest.score, "trusted": forest.trusted, "folds": forest.folds},
        "params": [
            {
                "name": param.name,
                "kind": param.kind,
                "values": param.values,
                "runs": param.n,
                "correlation": param.correlation,
                "effect": param.effect,
                "chance": param.chance,
                "importance": param.importance,
            }
            for param in found.params
        ],
        "left_out": dict(found.left_out),
    }


def rows(found: Answer) -> tuple[list[str], list[list[Any]]]:
    """Returns heads and rows of an answer for `--csv`."""
    heads = ["param", "kind", "values", "runs", "correlation", "effect", "chance", "importance"]
    return heads, [
        [getattr(param, "n" if head == "runs" else "name" if head == "param" else head) for head in heads]
        for param in found.params
    ]


def lines(screen: output.Screen, found: Answer, target: str, *, width: int, blocks: bool) -> list[str]:
    """Returns an answer for a person: the most important param first, each with a bar."""
    forest = found.method == "forest"
    said = [screen.paint(printable(target), output.BOLD) + f"  {_method(found)}, {found.n} runs", ""]
    if not found.params:
        return [*said, "  nothing can be said of any param", *_left_out(found)]
    wide = max(8, min(40, width - 60))
    sizes = [param.importance or 0.0 if forest else param.effect for param in found.params]
    most = max(1.0 if not forest else max(sizes), 1e-12)
    heads = ["PARAM", "", *(["LOSS"] if forest else []), "RANK", "CHANCE", "RUNS"]
    cells: list[list[str]] = []
    colours: dict[tuple[int, int], tuple[str, ...]] = {}
    for at, (param, size) in enumerate(zip(found.params, sizes, strict=True)):
        name = printable(param.name)
        share = [f"{max(size, 0.0):.2f}"] if forest else []
        cells.append(
            [name, bars.bar(size / most, wide, blocks=blocks), *share, _rank(param), _chance(param), str(param.n)]
        )
        colours[at, 1] = (output.CYAN if param.chance <= UNSURE or forest else output.DIM,)
    table = output.table(screen, heads, cells, right=frozenset(range(2, len(heads))), colours=colours, widest=40)
    notes = _NOTES if forest else _NOTES[1:]
    return [
        *said,
        *("  " + line for line in table),
        "",
        *(screen.paint(note, output.DIM) for note in notes),
        *_left_out(found),
    ]


_NOTES = (
    "LOSS    of the forest's R2 when the param is shuffled: it may be more than 1",
    "RANK    Spearman's correlation: + if more of it goes with more; of texts, how",
    "        far their values lie apart, from 0 to 1",
    "CHANCE  of a RANK like that if the param does not matter",
)


def _method(found: Answer) -> str:
    forest = found.forest
    if forest and forest.trusted:
        return f"by random forest (R2 {forest.score:.2f} in runs it had not seen)"
    if forest:
        return f"by rank correlation (a random forest predicts nothing here: R2 {forest.score:.2f})"
    return "by rank correlation" + (f" ({found.no_forest})" if found.no_forest else "")


def _rank(param: Param) -> str:
    return f"{param.effect:.2f}" if param.correlation is None else f"{param.correlation:+.2f}"


def _chance(param: Param) -> str:
    return (
        "<0.001" if param.chance < 0.001 else f"{param.chance:.3f}" if param.chance <= UNSURE else f"{param.chance:.2f}"
    )


def _left_out(found: Answer) -> list[str]:
    if not found.left_out:
        return []
    named = [f"  {printable(name)}: {printable(why)}" for name, why in list(found.left_out.items())[:MOST_LEFT_OUT]]
    more = len(found.left_out) - len(named)
    return ["", "left out", *named, *([f"  and {more} more"] if more else [])]
