"""Runs and curves as a notebook shows them.

What a run says of itself may come from a stranger, and a notebook's page runs what it is given. So each text is escaped
and stands between tags, never in one, and nothing here makes a link, a style or a script of it."""

from __future__ import annotations

import base64
import html
import io
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gittrack.errors import NotInstalled
from gittrack.frames import library, moment
from gittrack.model import SYSTEM, Goal, Metric, Run
from gittrack.terminal import printable

if TYPE_CHECKING:
    from gittrack.curves import Curves

MAX_ROWS = 20
MAX_COLUMNS = 6  # of params, and of metrics
MAX_PANELS = 6
MAX_TEXT = 80
DRAWN_POINTS = 1000  # per panel, which is some 500 pixels wide


def runs(shown: Sequence[Run], *, total: int) -> str:
    """Returns the HTML of a table of runs; `shown` are the first of `total`."""
    params = varying(shown)[:MAX_COLUMNS]
    metrics = chosen_metrics(shown)[:MAX_COLUMNS]
    goals = {name: metric.goal for run in shown for name, metric in run.metrics.items() if metric.goal}
    named = [f"{name} (best)" if name in goals else name for name in metrics]
    heads = ["name", "id", "status", "created", "duration", *params, *named, "tags"]
    rows = [
        [run.name, run.id, run.status, _time(run.created), _span(run.duration)]
        + [number(run.flat_params.get(name)) for name in params]
        + [number(_value(run.metrics.get(name), goals.get(name))) for name in metrics]
        + [", ".join(run.tags)]
        for run in shown
    ]
    more = f"{total} runs, the first {len(shown)} shown" if total > len(shown) else f"{total} run(s)"
    return _table(heads, rows) + f"<p>{more}</p>"


def run(shown: Run) -> str:
    """Returns the HTML of one run."""
    code = (shown.code.commit or "")[:12] + (" with uncommitted changes" if shown.code.dirty else "")
    facts = {
        "id": shown.id,
        "status": shown.status,
        "created": _time(shown.created),
        "duration": _span(shown.duration),
        "author": shown.author,
        "code": code,
        "command": shown.command or "",
        "group": shown.group or "",
        "tags": ", ".join(shown.tags),
        "note": shown.note or "",
    }
    parts = [f"<p><b>{_text(shown.name)}</b></p>", _table((), [[key, text] for key, text in facts.items() if text])]
    if shown.params:
        parts.append(_table(("param", "value"), [[name, number(value)] for name, value in shown.flat_params.items()]))
    if shown.metrics:
        heads = ("metric", "last", "best", "min", "max", "mean", "points")
        parts.append(_table(heads, [_metric_row(name, metric) for name, metric in shown.metrics.items()]))
    return "".join(parts)


def curves(table: Curves) -> Mapping[str, str]:
    """Returns the curves as `image/png` in base 64 if matplotlib is there, else the first rows as `text/html`."""
    if len(table):
        try:
            return {"image/png": base64.b64encode(drawn(table)).decode("ascii")}
        except NotInstalled:
            pass
    heads = table.columns[: 2 + MAX_COLUMNS]
    columns = [table[name] for name in heads]
    rows = [[number(column[row]) for column in columns] for row in range(min(len(table), MAX_ROWS))]
    return {"text/html": _table(heads, rows) + f"<p>{len(table)} row(s)</p>"}


def drawn(table: Curves) -> bytes:
    """Returns the curves as a PNG, a panel for each of the first metrics; raises NotInstalled without matplotlib."""
    figure_of = library("matplotlib.figure").Figure  # without pyplot, which would choose a window for us
    names = table.metrics[:MAX_PANELS]
    width = min(len(names), 2)
    height = math.ceil(len(names) / width)
    figure = figure_of(figsize=(5.5 * width, 2.6 * height), layout="constrained")
    for place, name in enumerate(names):
        axes = figure.add_subplot(height, width, place + 1)
        curve = table.only(name).downsample(DRAWN_POINTS)
        column = curve.columns[-1]
        axes.plot(curve["step"], curve[column], linewidth=1.2, marker="." if len(curve) < 30 else None)
        axes.set_title(_cut(printable(name)), fontsize=10, parse_math=False)
        axes.set_xlabel("step", fontsize=9)
        axes.grid(alpha=0.3)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font does not have
        figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def varying(shown: Sequence[Run]) -> list[str]:
    """Returns the params in which the runs differ, those that most of them have first; all if there is one run."""
    flat = [run.flat_params for run in shown]
    names = list(dict.fromkeys(name for params in flat for name in params))
    if len(flat) < 2:
        return names
    differ = [name for name in names if len({repr(params.get(name)) for params in flat}) > 1]
    return sorted(differ, key=lambda name: -sum(name in params for params in flat))


def chosen_metrics(shown: Sequence[Run]) -> list[str]:
    """Returns the metrics that have a goal, then the others; not those of the machine."""
    goals = {name: bool(metric.goal) for run in shown for name, metric in run.metrics.items()}
    return sorted((name for name in goals if not name.startswith(SYSTEM)), key=lambda name: (not goals[name], name))


def number(value: Any) -> str:
    """Returns a value as text: numbers with six digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)


def _value(metric: Metric | None, goal: Goal | None) -> float | None:
    """Returns the best value where some run declares a goal, else the last."""
    if metric is None or goal is None:
        return metric.last if metric else None
    return metric.best if metric.goal else metric._replace(goal=goal).best


def _metric_row(name: str, metric: Metric) -> list[str]:
    values = (metric.last, metric.best, metric.min, metric.max, metric.mean)
    return [name, *map(number, values), str(metric.count)]


def _time(text: str) -> str:
    found = moment(text)
    return f"{found:%Y-%m-%d %H:%M} UTC" if found else text


def _span(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."


def _text(text: str) -> str:
    return html.escape(_cut(printable(text)))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(head)}</th>" for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if heads else ''}<tbody>{body}</tbody></table>"
