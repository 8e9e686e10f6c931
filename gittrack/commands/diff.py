"""`git track diff`: what differs between runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from gittrack import diff, forms, output, store
from gittrack.codec import yaml12
from gittrack.commands import common
from gittrack.errors import UsageError
from gittrack.model import Run, flatten
from gittrack.repo import Repo
from gittrack.terminal import printable


@click.command("diff", cls=common.JsonCommand)
@click.argument("runs", nargs=-1, metavar="RUN RUN...")
@click.option("--code", "patch", is_flag=True, help="Show the whole difference of the code of two runs.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything differs.")
@common.json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--md", "as_md", is_flag=True, help="Print a Markdown table.")
@common.colour_option
def command(
    runs: tuple[str, ...],
    patch: bool,
    exit_code: bool,
    as_json: str | None,
    as_csv: bool,
    as_md: bool,
    colour: str | None,
) -> int:
    """Compare two runs or more: params, metrics, code, environment, artifacts.

    With one run, it is compared with the one before it."""
    place = common.open_repo()
    known = common.read_runs(place)
    chosen = known.find_all(runs or ("@{-1}", "@"))
    if len(chosen) == 1 and len(runs) == 1:
        before = known.index.before(chosen[0])
        chosen = [before, chosen[0]] if before else chosen
    if len(chosen) < 2:
        raise UsageError("diff needs two runs", hint="name two, as in `git track diff @{-1} @`")
    screen = common.screen(place, colour)
    if patch:
        return _show_patch(place, screen, chosen, exit_code=exit_code)
    environments, artifacts = _details(place, chosen)
    found = diff.compare(chosen, environments=environments, artifacts=artifacts)
    if as_json is not None:
        facts = _object(found, chosen)
        screen.print(forms.dump_json(forms.select([facts], as_json)[0] if as_json else facts))
    elif as_csv or as_md:
        heads = ["", *(run.name for run in chosen)]
        rows = [[f"{kind}.{row.name}", *row.values] for kind, part in _kinds(found) for row in part]
        screen.print(forms.dump_csv(heads, rows) if as_csv else forms.dump_markdown(heads, rows))
    else:
        screen.page(list(_text(place, screen, found, chosen)), common.pager(place) if screen.terminal else None)
    return 1 if exit_code and found else 0


def _kinds(found: diff.Difference) -> list[tuple[str, Sequence[diff.Row]]]:
    parts = (found.params, found.metrics, found.code, found.environment, found.artifacts)
    return list(zip(("params", "metrics", "code", "environment", "artifacts"), parts, strict=True))


def _details(place: Repo, runs: Sequence[Run]) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Returns the environment (flat) and the artifacts (path to digest) of each run."""
    environments, artifacts = [], []
    with place.git.objects() as objects:
        for run in runs:
            environment: dict[str, Any] = {}
            files: dict[str, str] = {}
            if run.oid:
                detail = store.read_detail(objects, run.id, run.oid, oid_bytes=place.git.place.oid_bytes)
                raw = detail.blob("env/environment.yaml", limit=store.MAX_YAML)
                flat = flatten(yaml12.decode(raw, name="env/environment.yaml")) if raw is not None else {}
                environment = {
                    name: value for name, value in flat.items() if not name.startswith("variables.PYTHONPATH")
                }
                lines = (
                    (detail.blob("env/packages.txt", limit=store.MAX_YAML) or b"")
                    .decode("utf-8", "replace")
                    .splitlines()
                )
                environment |= {name: version for name, _, version in (line.partition("==") for line in lines)}
                files = {item.path: item.sha256 for item in detail.artifacts()}
            environments.append(environment)
            artifacts.append(files)
    return environments, artifacts


def _object(found: diff.Difference, runs: Sequence[Run]) -> dict[str, Any]:
    def listed(rows: Sequence[diff.Row]) -> list[dict[str, Any]]:
        return [
            {
                "name": row.name,
                "values": list(row.values),
                "goal": row.goal,
                "best": None if row.best is None else runs[row.best].id,
            }
            for row in rows
        ]

    return {"runs": [run.id for run in runs]} | {kind: listed(rows) for kind, rows in _kinds(found)}


def _text(place: Repo, screen: output.Screen, found: diff.Difference, runs: Sequence[Run]) -> Iterator[str]:
    heads = ["", *(printable(run.name) for run in runs)]
    parts = (
        ("Params", found.params, found.same_params),
        ("Metrics", found.metrics, found.same_metrics),
        ("Code", found.code, 0),
    )
    first = True
    for title, rows, same in (*parts, ("Environment", found.environment, 0), ("Artifacts", found.artifacts, 0)):
        if not rows:
            continue
        if not first:
            yield ""
        first = False
        yield screen.paint(title, output.BOLD) + (screen.paint(f"  ({same} the same)", output.DIM) if same else "")
        yield from _rows(screen, title, heads, rows)
        if title == "Code" and len(runs) == 2:
            yield from _code_summary(place, runs)
    if first:
        yield "no difference"


def _rows(screen: output.Screen, title: str, heads: list[str], rows: Sequence[diff.Row]) -> Iterator[str]:
    cells: list[list[str]] = []
    colours: dict[tuple[int, int], tuple[str, ...]] = {}
    two = len(heads) == 3 and title == "Metrics"
    for at, row in enumerate(rows):
        shown = [_cell(title, value) + (" *" if place == row.best else "") for place, value in enumerate(row.values)]
        name = printable(row.name) + (f" ({row.goal})" if row.goal else "")
        cells.append([name, *shown, *([_change(row)] if two else [])])
        if row.best is not None:
            colours[at, row.best + 1] = (output.GREEN,)
    numbers = frozenset(range(1, len(heads) + two)) if title in ("Params", "Metrics") else frozenset()
    yield from (
        "  " + line
        for line in output.table(screen, [*heads, *(["change"] if two else [])], cells, right=numbers, colours=colours)
    )


def _cell(title: str, value: Any) -> str:
    if value is None:
        return "-"
    text = output.number(value)
    return text[:10] if title == "Artifacts" or (title == "Code" and len(text) in (40, 64)) else text


def _change(row: diff.Row) -> str:
    old, new = row.values
    if not isinstance(old, float) or not isinstance(new, float):
        return ""
    sign = "+" if new - old >= 0 else ""
    return sign + output.number(new - old)


def _code_summary(place: Repo, runs: Sequence[Run]) -> Iterator[str]:
    """Yields what `git diff --stat` says of the code of two runs."""
    old, new = runs[0].code.exact, runs[1].code.exact
    if old is None or new is None or old == new:
        return
    said = place.git.diffstat(old, new)
    if said is not None:
        yield from ("  " + printable(line) for line in said.splitlines()[-20:])
    else:
        yield "  the code of one of them is not here; `git track pull` brings it"


def _show_patch(place: Repo, screen: output.Screen, runs: Sequence[Run], *, exit_code: bool) -> int:
    if len(runs) != 2:
        raise UsageError("--code compares two runs")
    old, new = runs[0].code.exact, runs[1].code.exact
    if old is None or new is None:
        raise UsageError("one of these runs has no code")
    coloured = bool(screen.colour) and place.git.has_executable
    text = place.git.diff(old, new, colour=coloured)
    lines = text.splitlines() if coloured else [printable(line) for line in text.splitlines()]
    if lines:
        screen.page(lines, common.pager(place) if screen.terminal else None)
    return 1 if exit_code and lines else 0
