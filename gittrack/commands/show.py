"""`git track show`: one run, or a file in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from gittrack import forms, journal, output, store
from gittrack.codec import manifest
from gittrack.commands import common
from gittrack.errors import GittrackError, NotFound
from gittrack.model import SYSTEM, Event, Metric, Run
from gittrack.query.naming import Named
from gittrack.terminal import printable, printable_lines

LEAST_SPARK, MOST_SPARK = 8, 24  # characters
LEAST_COLUMNS = 5  # of numbers: up to min and max
MOST_SPARKS = 60  # metrics
MOST_SHOWN = 4 * 1024 * 1024  # bytes of a file that is not in git itself
_ROOT = "artifacts/"
MOST_POINTS = 4_000_000  # of all of them: that many are drawn in half a second


@click.command("show", cls=common.JsonCommand)
@click.argument("runs", nargs=-1, metavar="[RUN|RUN:PATH]...")
@common.json_option
@click.option("--format", "template", help="Print by a template, as `ls --format`.")
@common.colour_option
def command(runs: tuple[str, ...], as_json: str | None, template: str | None, colour: str | None) -> None:
    """Show a run (by default the newest), or a file in it.

    RUN:params.yaml prints a file of the run; RUN:artifacts/ lists a folder. Artifacts need no `artifacts/` before
    their path."""
    place = common.open_repo()
    known = common.read_runs(place, deleted=True)
    screen = common.screen(place, colour)
    lines: list[str] = []
    for text in runs or ("@",):
        named = known.find_path(text)
        if named.path is not None:
            _show_path(place, named, screen)
            continue
        if template is not None:
            screen.print(forms.formatter(template, now=common.now())(named.run))
            continue
        facts = describe(place, named.run)
        if as_json is not None:
            screen.print(forms.dump_json(forms.select([facts], as_json)[0] if as_json else facts))
            continue
        if lines:
            lines.append("")
        lines += list(_text(screen, named.run, facts, sparks=_sparks(place, screen, named.run)))
    if lines:
        screen.page(lines, common.pager(place) if screen.terminal else None)


def describe(place: Any, run: Run) -> dict[str, Any]:
    """Returns everything that is known of a run, as `show --json` prints it."""
    facts = forms.run_object(run)
    if run.oid is None:
        live = journal.read(journal.live_root(place.git.place.common_dir) / run.id)
        return facts | {"files": [], "facts": live.header}
    with place.git.objects() as objects:
        detail = store.read_detail(objects, run.id, run.oid, oid_bytes=place.git.place.oid_bytes)
        environment = detail.blob("env/environment.yaml", limit=store.MAX_YAML)
        facts["params_nested"] = detail.params()
        facts["metrics"] = {name: forms.metric_object(metric) for name, metric in detail.metrics().items()}
        facts["artifacts"] = {item.path: manifest.artifact_facts(item) for item in detail.artifacts()}
        facts["inputs"] = manifest.read_inputs(detail.facts)
        facts["events"] = [_event(event) for event in detail.events()[-200:]]
        facts["notes"] = list(detail.notes)
        facts["edits"] = [{"author": e.author, "time": e.time, **e.changes} for e in detail.edits]
        facts["files"] = sorted(detail.files)
        facts["facts"] = dict(detail.facts)
        if environment is not None:
            from gittrack.codec import yaml12

            facts["environment"] = yaml12.decode(environment, name="env/environment.yaml")
    return facts


def _bytes(item: Mapping[str, Any]) -> int:
    size = item.get("size")
    return size if isinstance(size, int) else 0


def _event(event: Event) -> dict[str, Any]:
    return {"step": event.step, "time": event.time, "key": event.key, "value": event.value, "kind": event.kind}


def _show_path(place: Any, named: Named, screen: output.Screen) -> None:
    """Prints a file of a run: as it is to a pipe, escaped to a terminal; a folder is listed."""
    run = common.require_commit(named.run)
    with place.git.objects() as objects:
        detail = store.read_detail(objects, run.id, str(run.oid), oid_bytes=place.git.place.oid_bytes)
        path = _placed(detail, (named.path or "").strip("/"))
        content = _payload(place, detail, path)
        content = detail.blob(path) if content is None else content
    if content is None:
        below = sorted(name for name in detail.files if not path or name.startswith(path + "/"))
        if not below:
            from gittrack import obtaining

            files = [name.removeprefix(_ROOT) for name in sorted(detail.files)]
            raise NotFound(f"run '{run.name}' has no file '{path}'", hint=obtaining.suggestion(files, path))
        screen.print([printable(name) for name in below])
        return
    if not screen.terminal:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        return
    if b"\0" in content[:8000]:
        screen.print(f"binary file, {output.size(len(content))}; redirect it to a file to keep it")
        return
    text = printable_lines(content.decode("utf-8", "backslashreplace").removesuffix("\n"))
    screen.page(text.split("\n"), common.pager(place))


def _placed(detail: store.Detail, path: str) -> str:
    """Returns where a path is in the tree of a run: an artifact's may be written without `artifacts/`."""
    for found in (path, _ROOT + path):
        if not path or found in detail.files or any(name.startswith(found + "/") for name in detail.files):
            return found
    return path


def _payload(place: Any, detail: store.Detail, path: str) -> bytes | None:
    """Returns the content of an artifact that is a pointer, or None if it is none.

    Raises GittrackError for one that is large, and what `obtaining.bring` raises."""
    name = path.removeprefix(_ROOT)
    pointer = detail.pointers().get(name) if name != path else None
    if pointer is None:
        return None
    if pointer.size > MOST_SHOWN:
        raise GittrackError(
            f"'{path}' has {output.size(pointer.size)}, which is more than is shown",
            hint=f"`git track get {detail.run.id}:{path}` writes it to a file",
        )
    from gittrack import obtaining

    wanted = obtaining.chosen(obtaining.files_of(detail), [name], run=detail.run.name)
    with output.Progress() as progress:
        (file,) = obtaining.bring(place, detail, wanted, progress=progress.report)
    return file.read_bytes()


def _text(
    screen: output.Screen, run: Run, facts: dict[str, Any], *, sparks: Mapping[str, Sequence[float]]
) -> Iterator[str]:
    """Yields what a person wants to know of a run, in the order they ask."""
    more = facts.get("facts", {})
    colour = output.STATUS_COLOURS.get(run.status, "")
    title = f"{screen.paint('run ' + run.id, output.YELLOW)}  {screen.paint(printable(run.name), output.BOLD)}"
    yield f"{title}  {screen.paint('deleted' if run.deleted else run.status, colour)}{' *' if run.starred else ''}"
    yield from output.pairs(screen, _head(run, more))
    for note in facts.get("notes") or ([run.note] if run.note else []):
        yield ""
        yield from ("    " + line for line in printable_lines(note).split("\n"))
    flat = run.flat_params
    if flat:
        yield from _section(screen, "Params")
        yield from output.pairs(
            screen, ((name, output.number(value) or "''") for name, value in flat.items()), indent="  "
        )
    if run.metrics:
        yield from _section(screen, "Metrics")
        yield from ("  " + line for line in _metric_table(screen, _in_order(run.metrics), sparks))
    if isinstance(facts.get("artifacts"), dict) and run.artifact_count and run.oid:
        yield from _section(screen, "Artifacts")
        rows = [
            (path, output.size(item["size"]) + (f"  {printable(str(item['type']))}" if item.get("type") else ""))
            for path, item in facts["artifacts"].items()
        ]
        yield from output.pairs(screen, rows, indent="  ")
    if facts.get("inputs"):
        yield from _section(screen, "Inputs")
        rows = [(f"{one.get('run')}:{one.get('path')}", output.size(_bytes(one))) for one in facts["inputs"]]
        yield from output.pairs(screen, ((printable(name), size) for name, size in rows), indent="  ")
    events = facts.get("events") or []
    if events:
        yield from _section(screen, "Events")
        for event in events[-10:]:
            at = f"step {event['step']}" if event["step"] is not None else ""
            yield f"  {at:>10}  {printable(event['key'])}: {output.cut(output.number(event['value']), 100)}"
    yield from _warnings(screen, more)


def _head(run: Run, more: dict[str, Any]) -> list[tuple[str, str]]:
    code = run.code
    where = f"{code.commit}" if code.commit else ""
    if code.branch:
        where += f" ({printable(code.branch)})"
    if code.dirty and not code.snapshot:
        where += ", with uncommitted work that was not recorded"
    exact = f"{code.snapshot}, made of uncommitted work" if code.snapshot else ""
    environment = {"host": run.host, "command": run.command, "directory": more.get("directory")}
    python = more.get("user")
    return [
        ("Author", printable(run.author)),
        ("Created", output.local_time(run.created)),
        ("Ended", output.local_time(run.ended) + (f"  ({output.span(run.duration)})" if run.ended else "")),
        ("Command", printable(environment["command"] or "")),
        ("Folder", printable(str(environment["directory"])) if environment["directory"] not in (None, ".") else ""),
        ("Exit code", "" if run.exit_code is None else str(run.exit_code)),
        ("Signal", printable(str(more.get("signal") or ""))),
        ("Error", printable(str(more.get("error") or ""))),
        ("Host", printable(f"{python}@{run.host}" if python and run.host else run.host or "")),
        ("Code", where),
        ("Snapshot", exact),
        ("Group", printable(run.group or "")),
        ("Tags", printable(", ".join(run.tags))),
        ("Parent", run.parent or ""),
        ("Resumed", printable(", ".join(str(time) for time in more.get("resumed", [])))),
        ("Pushed to", printable(", ".join(run.pushed))),
    ]


def _section(screen: output.Screen, title: str) -> Iterator[str]:
    yield ""
    yield screen.paint(title, output.BOLD)


def _sparks(place: Any, screen: output.Screen, run: Run) -> dict[str, Sequence[float]]:
    """Returns the values to draw beside the numbers of each metric; none where nobody looks, or they are too many."""
    wanted = [name for name, metric in run.metrics.items() if metric.count > 1][:MOST_SPARKS]
    if not screen.terminal or not wanted or sum(run.metrics[name].count for name in wanted) > MOST_POINTS:
        return {}
    from gittrack import histories

    columns = histories.read(place.git, run, wanted).columns
    return {name: column.values for name, column in columns.items() if len(column.values) > 1}


def _in_order(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Returns metrics with a goal first, and those of the machine last."""
    return dict(sorted(metrics.items(), key=lambda item: (item[0].startswith(SYSTEM), item[1].goal is None)))


def _metric_table(screen: output.Screen, metrics: Any, sparks: Mapping[str, Sequence[float]]) -> list[str]:
    heads = ["", "last", "best", "min", "max", "mean", "step", "points"]
    rows = [_metric_row(name, metric) for name, metric in metrics.items()]
    if sparks and screen.width:
        from gittrack.chart import bars

        columns, room = _beside_spark([_widest(head, rows, at) for at, head in enumerate(heads)], screen.width - 4)
        if room >= LEAST_SPARK:
            drawn = [bars.spark(sparks.get(name, ()), min(room, MOST_SPARK), blocks=screen.braille) for name in metrics]
            heads = [*heads[:columns], ""]
            rows = [[*row[:columns], spark] for row, spark in zip(rows, drawn, strict=True)]
    return output.table(
        screen, heads, rows, right=frozenset(range(1, 8)) - ({len(heads) - 1} if heads[-1] == "" else set())
    )


def _beside_spark(widths: Sequence[int], width: int) -> tuple[int, int]:
    """Returns how many columns stay beside a curve, and its room: it says more than mean, step and count do."""
    for columns in range(len(widths), LEAST_COLUMNS - 1, -1):
        room = width - sum(widths[:columns]) - 2 * columns
        if room >= LEAST_SPARK:
            return columns, room
    return len(widths), 0


def _widest(head: str, rows: Sequence[Sequence[str]], at: int) -> int:
    return max(output.width_of(text) for text in (head, *(row[at] for row in rows)))


def _metric_row(name: str, metric: Metric) -> list[str]:
    best = f"{output.number(metric.best)} at {metric.best_step}" if metric.best is not None else ""
    numbers = (metric.last, metric.min, metric.max, metric.mean)
    last, low, high, mean = (output.number(value) for value in numbers)
    return [printable(name), last, best, low, high, mean, str(metric.step), str(metric.count)]


def _warnings(screen: output.Screen, more: dict[str, Any]) -> Iterator[str]:
    words = {
        "dropped": "values could not be written",
        "corrupt": "journal frames could not be read",
        "rounded": "integers above 2^53 were rounded",
        "redacted": "secrets were replaced",
    }
    said = [f"  {more[key]} {text}" for key, text in words.items() if more.get(key)]
    omitted = (more.get("code") or {}).get("omitted") or []
    said += [
        f"  not in the snapshot: {printable(str(left.get('path')))} ({printable(str(left.get('why')))})"
        for left in omitted
    ]
    if said:
        yield from _section(screen, "Left out")
        yield from said
