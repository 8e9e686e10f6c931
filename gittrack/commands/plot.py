"""`git track plot`: curves of runs in the terminal, and which params mattered."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gittrack import forms, output
from gittrack.commands import common
from gittrack.errors import Ambiguous, NotFound, UsageError
from gittrack.model import SYSTEM, Run
from gittrack.terminal import printable

if TYPE_CHECKING:
    from gittrack.chart.panels import Panels, Plan
    from gittrack.query.condition import Condition

MAX_RUNS = 50  # drawn, unless --max-count says otherwise
LEGEND_LINES = 6
CHART_WIDTH = 75  # charts stand side by side where each has so many columns


class PlotCommand(common.JsonCommand):
    """A command whose `--band` may stand alone, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses, with a bare `--band` read as the standard deviation."""
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, ["--band=std" if arg == "--band" else arg for arg in args[:end]] + args[end:])


@click.command("plot", cls=PlotCommand)
@click.argument("words", nargs=-1, metavar="[METRIC...] [RUN...]")
@click.option("--runs", "specs", multiple=True, metavar="RUN", help="A run, tag:TAG or group:GROUP; may be repeated.")
@click.option(
    "-n", "--max-count", type=click.IntRange(min=1), help=f"Draw at most this many runs.  [default: {MAX_RUNS}]"
)
@common.where_option
@click.option("--x", default="step", show_default=True, help="What stands across: step, time or a metric.")
@click.option("--smooth", type=common.Finite(0, 1, max_open=True), default=0.0, help="Weight of the moving average.")
@click.option("--log-x", is_flag=True, help="Make the axis across logarithmic.")
@click.option("--log-y", is_flag=True, help="Make the axis up logarithmic.")
@click.option(
    "--band",
    metavar="[=std|minmax]",
    type=click.Choice(["std", "minmax"]),
    help="Draw the mean of the runs, and how far they lie apart.",
)
@click.option("--group-by", metavar="FIELD", help="Draw a mean and a band for each value, such as of params.lr.")
@click.option("--overlay", is_flag=True, help="Draw several metrics on one pair of axes.")
@click.option("--width", type=click.IntRange(20, 1000), help="Columns.  [default: those of the terminal]")
@click.option("--height", type=click.IntRange(6, 500), help="Lines of each chart.  [default: what the terminal has]")
@click.option("--points", type=click.IntRange(min=0), help="Points of each curve; 0: all.  [default: what fits]")
@click.option("--ascii", "plain", is_flag=True, help="Draw with ASCII only.")
@click.option("--importance", "target", metavar="FIELD", help="Say which params mattered for it, such as metrics.loss.")
@click.option(
    "--method", type=click.Choice(["auto", "rank", "forest"]), help="How to tell importance.  [default: auto]"
)
@common.json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print the points that would be drawn as CSV.")
@common.colour_option
def command(
    words: tuple[str, ...],
    specs: tuple[str, ...],
    where: tuple[str, ...],
    max_count: int | None,
    x: str,
    smooth: float,
    log_x: bool,
    log_y: bool,
    band: Any,
    group_by: str | None,
    overlay: bool,
    width: int | None,
    height: int | None,
    points: int | None,
    plain: bool,
    target: str | None,
    method: str | None,
    as_json: str | None,
    as_csv: bool,
    colour: str | None,
) -> None:
    """Draw curves of metrics, by default of the newest run that has them.

    A word that is the name of a metric means the metric, another one a run. Several metrics are a chart each. A curve
    of very many points is thinned to its extremes.

    With --importance, all words are runs, by default all. It compares params by rank correlation and, where
    scikit-learn is installed and the runs are 20 or more, by a random forest; it says which, and how sure that is."""
    from gittrack.chart.panels import Plan

    _refuse_mixtures(importance=target is not None)
    place = common.open_repo()
    asked = common.condition(place, where)
    known = common.read_runs(place)
    if target is not None:
        named = [*words, *specs]
        runs = common.matching(known.find_all(named), asked) if named else known.index.select(asked, limit=max_count)
        _say_importance(
            common.screen(place, colour), runs[:max_count], target, method or "auto", width, plain, as_json, as_csv
        )
        return
    metrics, named = _sorted_out(words, known)
    named += specs
    most = max_count or (MAX_RUNS if named or asked else 1)
    told = max_count is None and bool(named or asked)
    if named:
        runs = common.matching(known.find_all(named), asked)
    else:
        runs = known.index.select(_drawable(metrics, asked), limit=None if told else most)
    runs = _first(runs, most, told=told)
    if x not in ("step", "time") and not any(x in run.metrics for run in runs):
        raise _no_metric(x, runs, what="is neither step nor time, nor a metric of these runs")
    screen = common.screen(place, colour)
    size = output.terminal_size()
    plan = Plan(
        metrics=metrics,
        x=x,
        smooth=smooth,
        log_x=log_x,
        log_y=log_y,
        band=band,
        group_of=_group_of(group_by, runs),
        overlay=overlay,
        points=None if points == 0 else points or 4 * (width or size[0]),
    )
    panels = _gather(place, runs, plan)
    for text in panels.warnings:
        output.warn(f"warning: {text}")
    if as_json is not None:
        facts = _facts(panels, plan)
        screen.print(forms.dump_json(forms.select([facts], as_json)[0] if as_json else facts))
    elif as_csv:
        screen.print(_csv(panels, plan))
    else:
        lines = _drawn(screen, panels, plan, columns=width or size[0], lines=size[1], height=height, plain=plain)
        screen.print(lines)


_OF_CURVES = "x smooth log_x log_y band group_by overlay height points".split()


def _refuse_mixtures(*, importance: bool) -> None:
    """Raises UsageError for an option that would do nothing."""
    ctx = click.get_current_context()
    for name in _OF_CURVES if importance else ["method"]:
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = "--" + name.replace("_", "-")
            raise UsageError(f"'{option}' means nothing {'with' if importance else 'without'} --importance")


def _say_importance(
    screen: output.Screen,
    runs: Sequence[Run],
    target: str,
    method: str,
    width: int | None,
    plain: bool,
    as_json: str | None,
    as_csv: bool,
) -> None:
    from gittrack.commands import importances

    found = importances.answer(runs, target, method=method)
    if as_json is not None:
        facts = importances.facts(found, target)
        screen.print(forms.dump_json(forms.select([facts], as_json)[0] if as_json else facts))
    elif as_csv:
        screen.print(forms.dump_csv(*importances.rows(found)))
    else:
        columns = width or output.terminal_size()[0]
        blocks = screen.braille and not plain
        screen.print(importances.lines(screen, found, target, width=columns, blocks=blocks))


# Which runs, and which metrics ----------------------------------------------------------------------------------------


def _sorted_out(words: Sequence[str], known: common.Runs) -> tuple[list[str], list[str]]:
    """Returns which words are metrics and which are runs; raises NotFound for one that is neither."""
    metrics = [word for word in dict.fromkeys(words) if known.index.select(_drawable([word]), limit=1)]
    others = [word for word in words if word not in metrics]
    for word in others:
        try:
            known.find_all([word])
        except Ambiguous:
            raise
        except NotFound as exc:
            raise (exc if metrics and word.startswith(("tag:", "group:")) else _no_metric(word, known.runs)) from exc
    if not metrics:
        names = {name for run in known.runs for name in run.metrics}
        raise UsageError("no metric is named", hint=f"metrics: {_some(names)}" if names else "there are no metrics yet")
    return metrics, others


def _drawable(metrics: Sequence[str], asked: Condition | None = None) -> Condition:
    """Returns the condition for runs that have one of the metrics, and match another condition."""
    from gittrack.query.condition import And, Or, Presence
    from gittrack.query.fields import Field

    having = Or(tuple(Presence(Field("metrics", name, "last")) for name in metrics))
    return And((having, asked)) if asked else having


def _some(names: set[str]) -> str:
    own = sorted(name for name in names if not name.startswith(SYSTEM)) or sorted(names)
    return ", ".join(map(printable, own[:8])) + (f" and {len(own) - 8} more" if len(own) > 8 else "")


def _no_metric(word: str, runs: Sequence[Run], *, what: str = "is neither a metric nor a run") -> NotFound:
    names = {name for run in runs for name in run.metrics}
    near = difflib.get_close_matches(word, [*names, *(run.name for run in runs[:5000])], n=3)
    near += [name for name in sorted(names) if word.lower() in name.lower() and name not in near][: 3 - len(near)]
    others = f"metrics: {_some(names)}" if names else "see `git track ls`"
    return NotFound(f"'{word}' {what}", hint=f"did you mean {' or '.join(near)}?" if near else others)


def _first(runs: list[Run], count: int, *, told: bool) -> list[Run]:
    """Returns the first runs; told: say so if there are more. Raises NotFound if there are none."""
    if not runs:
        raise NotFound("no run to draw", hint="`git track ls` takes the same --where")
    if told and len(runs) > count:
        output.warn(f"warning: {count} of {len(runs)} runs are drawn")
        output.warn("hint: `-n` draws more, `--band` their mean")
    return runs[:count]


def _group_of(field: str | None, runs: Sequence[Run]) -> Any:
    """Returns what names the group of a run; raises UsageError for a field that runs cannot have."""
    if field is None:
        return None
    from gittrack.query.fields import field_of

    for run in runs[:1]:
        field_of(run, field)
    return lambda run: f"{printable(field)}={output.number(field_of(run, field)) or 'none'}"


# What is drawn ------------------------------------------------------------------------------------------------------


def _gather(place: Any, runs: Sequence[Run], plan: Plan) -> Panels:
    """Returns the charts of runs, with only the columns read that are drawn."""
    from gittrack import histories
    from gittrack.chart import panels

    wanted = [*plan.metrics] + ([plan.x] if plan.x not in ("step", "time") else [])
    read = histories.read_many(place.git, runs, wanted)
    began = [then.timestamp() if (then := output.moment(run.created)) else None for run in runs]
    return panels.panels_of({run.id: points for run, points in zip(runs, read, strict=True)}, runs, began, plan)


def _facts(panels: Panels, plan: Plan) -> dict[str, Any]:
    """Returns what is drawn, as `--json` prints it."""
    return {
        "x": plan.x,
        "smooth": plan.smooth,
        "log_x": plan.log_x,
        "log_y": plan.log_y,
        "band": plan.band or ("std" if plan.group_of else None),
        "charts": [
            {
                "title": chart.title,
                "curves": [
                    {
                        "label": label,
                        "runs": runs,
                        "x": list(curve.xs),
                        "y": [value if value == value else None for value in curve.ys],
                        "low": None if curve.low is None else list(curve.low),
                        "high": None if curve.high is None else list(curve.high),
                    }
                    for label, runs, curve in zip(panels.labels, panels.runs, chart.curves, strict=True)
                    if curve is not None
                ],
            }
            for chart in panels.charts
        ],
    }


def _csv(panels: Panels, plan: Plan) -> str:
    """Returns a line a point that is drawn: chart, curve, its run if it is one, x, y, and the edges of the band."""
    banded = bool(plan.band or plan.group_of)
    rows: list[list[Any]] = []
    for chart in panels.charts:
        for label, runs, curve in zip(panels.labels, panels.runs, chart.curves, strict=True):
            if curve is None:
                continue
            head = [chart.title, label, runs[0] if len(runs) == 1 else None]
            for at, (x, y) in enumerate(zip(curve.xs, curve.ys, strict=True)):
                edges = [curve.low[at], curve.high[at]] if curve.low and curve.high else []
                rows.append([*head, x, y, *edges])
    return forms.dump_csv(["chart", "curve", "run", plan.x, "value", *(["low", "high"] if banded else [])], rows)


def _drawn(
    screen: output.Screen, panels: Panels, plan: Plan, *, columns: int, lines: int, height: int | None, plain: bool
) -> list[str]:
    """Returns the charts with their legend as lines of the terminal."""
    from gittrack.chart import canvas, plot

    glyphs = canvas.ASCII if plain or not screen.braille else canvas.BRAILLE
    charts = panels.charts
    many = len(panels.labels) > 1
    entries = [
        plot.Entry(number, label, _note(charts[0].curves[number]) if len(charts) == 1 else "")
        for number, label in enumerate(panels.labels)
    ]
    below = plot.legend(entries, width=columns, lines=min(LEGEND_LINES, max(2, lines // 4)), marked=many, glyphs=glyphs)
    across = min(len(charts), max(1, columns // CHART_WIDTH))
    widths = [(columns - 2 * (across - 1)) // across] * across
    room = (lines - 1 - len(below) - len(panels.warnings)) // -(-len(charts) // across)
    look = plot.Look(
        width=widths[0],
        height=height or max(8, min(room, max(16, widths[0] // 3))),
        log_x=plan.log_x,
        log_y=plan.log_y,
        x_label=printable(plan.x),
        x_kind="span" if plan.x == "time" else "number",
        glyphs=glyphs,
    )
    rows: list[plot.Row] = []
    for at in range(0, len(charts), across):
        drawn = [plot.draw(chart.title, chart.curves, look, about=_about(plan)) for chart in charts[at : at + across]]
        rows += plot.beside(drawn, widths[: len(drawn)])
    return plot.painted([*rows, *below], screen.paint)


def _note(curve: Any) -> str:
    return "" if curve is None else output.number(curve.last)


def _about(plan: Plan) -> str:
    """Returns what was done to the values, for the title."""
    said = [f"smoothed {plan.smooth:g}"] if plan.smooth else []
    said += ["log scale"] if plan.log_y else []
    if plan.band or plan.group_of:
        said.append("mean, least and greatest" if plan.band == "minmax" else "mean and standard deviation")
    return ", ".join(said)
