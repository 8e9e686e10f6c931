"""What a program reads: JSON, CSV, Markdown and for-each-ref formats of runs (docs/reference/json.md).

These forms are stable; the text forms in `output` may change in any release."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gittrack import output
from gittrack.errors import UsageError
from gittrack.model import Metric, Run
from gittrack.query.fields import field_of
from gittrack.terminal import printable, printable_json

if TYPE_CHECKING:
    from gittrack.grouping import Grouped

_ATOM = re.compile(r"%(?:\(([^)]*)\)|([0-9a-fA-F]{2})|(%))")


def run_object(run: Run) -> dict[str, Any]:
    """Returns a run as `ls --json` lists it."""
    return {
        "id": run.id,
        "name": run.name,
        "status": run.status,
        "created": run.created,
        "ended": run.ended,
        "duration": run.duration,
        "code": {
            "commit": run.code.commit,
            "dirty": run.code.dirty,
            "branch": run.code.branch,
            "snapshot": run.code.snapshot,
        },
        "author": run.author,
        "host": run.host,
        "command": run.command,
        "exit_code": run.exit_code,
        "params": run.flat_params,
        "metrics": {name: metric_object(metric) for name, metric in run.metrics.items()},
        "tags": list(run.tags),
        "group": run.group,
        "parent": run.parent,
        "project": run.project,
        "starred": run.starred,
        "note": run.note,
        "pushed": bool(run.pushed),
        "archived": run.archived,
        "artifacts": {"count": run.artifact_count, "size": run.artifact_size},
        "points": run.points,
        "commit": run.oid,
    }


def metric_object(metric: Metric) -> dict[str, Any]:
    """Returns a metric as it stands in JSON: every statistic, `best` null without a goal."""
    return {"best": None, "best_step": None, "goal": None} | metric.facts()


def finite(value: Any) -> Any:
    """Returns plain values with NaN and infinities as the texts `nan`, `inf` and `-inf`, for JSON has none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def dump_json(value: Any, *, indent: int | None = 2) -> str:
    """Returns JSON that any parser reads and no terminal obeys."""
    text = json.dumps(finite(value), indent=indent, ensure_ascii=False).encode("utf-8", "replace").decode()
    return printable_json(text)


def select(objects: Iterable[Mapping[str, Any]], fields: str) -> list[dict[str, Any]]:
    """Returns only the named fields of objects; raises UsageError for one that none has."""
    wanted = [field.strip() for field in fields.split(",") if field.strip()]
    found = []
    for item in objects:
        unknown = next((field for field in wanted if field not in item), None)
        if unknown:
            raise UsageError(f"'{unknown}' is no field of --json", hint="fields: " + ", ".join(item))
        found.append({field: item[field] for field in wanted})
    return found


def columns_of(runs: Sequence[Run]) -> tuple[list[str], list[str]]:
    """Returns the names of all params and of all metrics, sorted."""
    params = sorted({name for run in runs for name in run.flat_params})
    metrics = sorted({name for run in runs for name in run.metrics})
    return params, metrics


def wide_rows(runs: Sequence[Run]) -> tuple[list[str], list[list[Any]]]:
    """Returns heads and rows of a table with a column for every param and metric."""
    params, metrics = columns_of(runs)
    heads = ["id", "name", "status", "created", "duration", "commit", "dirty", "tags", "group"]
    heads += [f"params.{name}" for name in params] + [f"metrics.{name}" for name in metrics]
    rows = []
    for run in runs:
        flat = run.flat_params
        head: list[Any] = [run.id, run.name, run.status, run.created, run.duration, run.code.commit, run.code.dirty]
        head += [",".join(run.tags), run.group]
        head += [flat.get(name) for name in params]
        head += [run.metrics[name].last if name in run.metrics else None for name in metrics]
        rows.append(head)
    return heads, rows


def group_objects(grouped: Grouped) -> list[dict[str, Any]]:
    """Returns groups as `ls --group-by --json` lists them; an aggregate that has no value is null."""
    from gittrack.grouping import AGGREGATES  # noqa: PLC0415 - only for groups

    return [
        {
            "group": dict(zip(grouped.by, group.key, strict=True)),
            "count": len(group.runs),
            "runs": [run.id for run in group.runs],
            "values": {
                measure.name: {"goal": measure.goal, "count": len(values)}
                | {word: AGGREGATES[word](values) for word in grouped.agg}
                for measure, values in zip(grouped.measures, group.values, strict=True)
            },
        }
        for group in grouped.groups
    ]


def group_rows(grouped: Grouped) -> tuple[list[str], list[list[Any]]]:
    """Returns heads and rows of a table of groups: what they share, how many runs, and `mean(metrics.x.last)`."""
    from gittrack.grouping import AGGREGATES  # noqa: PLC0415 - only for groups

    heads = [*grouped.by, "runs"]
    heads += [f"{word}({measure.name})" for measure in grouped.measures for word in grouped.agg]
    rows = [
        [*group.key, len(group.runs), *(AGGREGATES[word](values) for values in group.values for word in grouped.agg)]
        for group in grouped.groups
    ]
    return heads, rows


def dump_csv(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Returns CSV; a text that a spreadsheet would run as a formula gets a `'` in front."""
    from gittrack import tabular  # noqa: PLC0415 - only for CSV

    lines = [tabular.line([_csv_cell(cell) for cell in row]) for row in (heads, *rows)]
    return "".join(lines).rstrip("\n")


def _csv_cell(value: Any) -> str:
    from gittrack import tabular  # noqa: PLC0415 - only for CSV

    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    text = dump_json(value, indent=None) if isinstance(value, list | tuple | dict) else str(value)
    return tabular.quoted(text)


def dump_markdown(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Returns a Markdown table."""
    lines = [_markdown_row([printable(head) for head in heads]), _markdown_row(["---"] * len(heads))]
    return "\n".join([*lines, *(_markdown_row([output.number(cell) for cell in row]) for row in rows)])


def _markdown_row(cells: Iterable[str]) -> str:
    escaped = (cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for cell in cells)
    return "| " + " | ".join(escaped) + " |"


def formatter(template: str, *, now: datetime) -> Callable[[Run], str]:
    """Returns the function that a for-each-ref template means; raises UsageError for an atom that is none."""
    parts: list[str | Callable[[Run], str]] = []
    at = 0
    for found in _ATOM.finditer(template):
        parts.append(template[at : found.start()])
        at = found.end()
        if found[1] is not None:
            parts.append(_atom(found[1], now))
        else:
            parts.append("%" if found[3] else chr(int(found[2], 16)))
    parts.append(template[at:])
    return lambda run: "".join(part if isinstance(part, str) else part(run) for part in parts)


def _atom(text: str, now: datetime) -> Callable[[Run], str]:
    name, _, option = text.rpartition(":") if ":" in text else (text, "", "")
    if option in ("short", "relative", "iso", "unix"):
        return lambda run: _shaped(run, name, option, now)
    if name.startswith("metrics.") and option in statistics_of_metrics():
        return lambda run: _plain(field_of(run, f"{name}.{option}"))
    if not text.startswith(("params.", "metrics.")):
        field_of(_NOBODY, text)  # an unknown atom is an error even where there is no run
    return lambda run: _plain(field_of(run, text))


def statistics_of_metrics() -> tuple[str, ...]:
    """Returns what may stand behind the colon of a metric."""
    return ("last", "min", "max", "best", "mean", "step", "count")


def _shaped(run: Run, name: str, option: str, now: datetime) -> str:
    value = field_of(run, name)
    if option == "short":
        return _plain(value)[:7]
    text = str(value or "")
    if option == "relative":
        return output.ago(text, now=now)
    then = output.moment(text)
    return "" if then is None else str(int(then.timestamp())) if option == "unix" else then.isoformat()


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return printable(dump_json(value, indent=None) if isinstance(value, list | dict) else str(value))


_NOBODY = Run(id=None, name="", status="finished", created="")  # type: ignore[arg-type]
