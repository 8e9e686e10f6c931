"""`git track diff`: what differs between runs, and whether one is worse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import click

from gittrack import comparison, diff, forms, output, store, verdict
from gittrack.codec import yaml12
from gittrack.commands import common
from gittrack.comparison import Comparison
from gittrack.errors import NotFound, UsageError
from gittrack.model import Artifact, Goal, Run, flatten
from gittrack.repo import Repo
from gittrack.terminal import printable
from gittrack.verdict import Verdict

MOST_RUNS = 50


class DiffCommand(common.JsonCommand):
    """A command that takes paths behind `--`, as `git diff` does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses, with what stands behind `--` kept as paths."""
        end = args.index("--") if "--" in args else len(args)
        ctx.meta["gittrack.paths"] = tuple(args[end + 1 :])
        return super().parse_args(ctx, args[:end])


@click.command("diff", cls=DiffCommand)
@click.argument("runs", nargs=-1, metavar="RUN RUN... [-- PATH...]")
@click.option("--code", "patch", is_flag=True, help="Show the whole difference of the code of two runs.")
@click.option("--only", metavar="PARTS", help="Only these, with commas: params, metrics, code, env, artifacts.")
@click.option("--transpose", is_flag=True, help="Show a row for each run, as many runs are shown anyway.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything differs, or a --metric is worse.")
@click.option("--metric", "metrics", multiple=True, help="Say whether this is worse in the second of two runs.")
@click.option("--tolerance", metavar="AMOUNT", help="How much worse it may be: 0.002, or 1% of the first run's value.")
@click.option("--goal", type=click.Choice(["min", "max"]), help="What is better, where no run declares it.")
@common.json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--md", "as_md", is_flag=True, help="Print a Markdown table.")
@common.colour_option
@click.pass_context
def command(
    ctx: click.Context,
    runs: tuple[str, ...],
    patch: bool,
    only: str | None,
    transpose: bool,
    exit_code: bool,
    metrics: tuple[str, ...],
    tolerance: str | None,
    goal: Goal | None,
    as_json: str | None,
    as_csv: bool,
    as_md: bool,
    colour: str | None,
) -> int:
    """Compare two runs or more: params, metrics, code, environment, artifacts.

    With one run, it is compared with the one before it; 'A..B', 'tag:x' and 'group:x' name several. The best run of
    a metric with a goal has a `*`, and of many the worst a `!`. PATHs limit what is said of code.

    With --metric it says instead whether that is worse in the second run than in the first by more than --tolerance,
    and with --exit-code it exits with 1 if so, and with 3 if a run has no such metric. The best value is compared
    where there is a goal, else the last; `val/acc.last` names one of them."""
    place = common.open_repo()
    screen = common.screen(place, colour)
    parts, within, paths = _parts(only), _tolerance(metrics, tolerance, goal), ctx.meta["gittrack.paths"]
    chosen = _which(place, runs)
    if patch:
        return _show_patch(place, screen, chosen, paths, exit_code=exit_code)
    verdicts = _verdicts(chosen, metrics, within, goal)
    if verdicts and as_json is None and not as_csv and not as_md:
        names = comparison.names_of(chosen)
        for run in dict.fromkeys(run.id for run in chosen if run.status != "finished"):
            output.warn(f"warning: run {run} did not finish; what it reached is compared")
        screen.print([comparison.verdict(screen, found, *names) for found in verdicts])
        return 1 if exit_code and not all(found.passed for found in verdicts) else 0
    details = _details(place, chosen) if {"env", "artifacts"} & set(parts) else [None] * len(chosen)
    found = _compared(chosen, details, parts)
    if as_json is not None:
        facts = _object(found, chosen, details, verdicts)
        screen.print(forms.dump_json(forms.select([facts], as_json)[0] if as_json else facts))
    elif as_csv or as_md:
        heads = ["", *(run.name for run in chosen)]
        rows = [[f"{kind}.{row.name}", *row.values] for kind, part, _ in _kinds(found) for row in part]
        screen.print(forms.dump_csv(heads, rows) if as_csv else forms.dump_markdown(heads, rows))
    else:
        shown = Comparison(
            found,
            chosen,
            comparison.names_of(chosen),
            sizes=[
                {path: item.size for path, item in detail.artifacts.items()} if detail else {} for detail in details
            ],
            code=list(_code_summary(place, chosen, paths)) if "code" in parts else [],
            unknown=[run.name for run in chosen if common.is_live(run)],
        )
        screen.page(
            comparison.lines(screen, shown, parts, transpose=transpose),
            common.pager(place) if screen.terminal else None,
        )
    failed = not all(item.passed for item in verdicts) if verdicts else bool(found)
    return 1 if exit_code and failed else 0


def _which(place: Repo, words: Sequence[str]) -> list[Run]:
    """Returns the runs that are meant, the older first where one word names several; raises UsageError."""
    known = common.read_runs(place)
    chosen: dict[str, Run] = {}
    for word in words or ("@{-1}", "@"):
        named = known.find_all([word])
        for run in reversed(named) if word.startswith(("tag:", "group:")) else named:
            chosen.setdefault(run.id, run)
    found = list(chosen.values())
    if len(found) == 1 and len(words) == 1:
        before = known.index.before(found[0])
        found = [before, *found] if before else found
    if len(found) == 1 and len(words) == 2:  # as the newest and the best when it is the best
        found *= 2
    if len(found) < 2:
        cause = f"all of these name run '{found[0].name}'" if len(words) > 1 else None
        raise UsageError("diff needs two runs", cause=cause, hint="name two, as in `git track diff @{-1} @`")
    if len(found) > MOST_RUNS:
        raise UsageError(
            f"diff compares at most {MOST_RUNS} runs, and these are {len(found)}",
            hint="`git track ls` lists any number",
        )
    return found


def _parts(only: str | None) -> tuple[str, ...]:
    words = tuple(word.strip() for word in only.split(",") if word.strip()) if only is not None else comparison.PARTS
    unknown = next((word for word in words if word not in comparison.PARTS), None)
    if unknown is not None or not words:
        raise UsageError(f"'{unknown or only}' is no part of a run", hint=f"parts: {', '.join(comparison.PARTS)}")
    return words


def _tolerance(metrics: Sequence[str], text: str | None, goal: Goal | None) -> verdict.Tolerance:
    if not metrics and (text is not None or goal is not None):
        raise UsageError("--tolerance and --goal are of a metric", hint="name it, as in --metric val/acc")
    return verdict.tolerance(text) if text is not None else verdict.Tolerance()


def _verdicts(
    runs: Sequence[Run], metrics: Sequence[str], within: verdict.Tolerance, goal: Goal | None
) -> list[Verdict]:
    if metrics and len(runs) != 2:
        raise UsageError("--metric compares two runs", cause=f"{len(runs)} are named")
    return [verdict.judge(name, runs[0], runs[1], goal=goal, within=within) for name in dict.fromkeys(metrics)]


@dataclass(frozen=True, slots=True)
class Detail:
    """What a run's record does not hold: its environment (flat), and its artifacts by path."""

    environment: Mapping[str, Any]
    artifacts: Mapping[str, Artifact]


def _details(place: Repo, runs: Sequence[Run]) -> list[Detail | None]:
    """Returns what the trees of the runs say; None for a run that has none yet."""
    with place.git.objects() as objects:
        return [
            _detail(store.read_detail(objects, run.id, run.oid, oid_bytes=place.git.place.oid_bytes))
            if run.oid
            else None
            for run in runs
        ]


def _detail(detail: store.Detail) -> Detail:
    raw = detail.blob("env/environment.yaml", limit=store.MAX_YAML)
    flat = flatten(yaml12.decode(raw, name="env/environment.yaml")) if raw is not None else {}
    # Where PYTHONPATH pointed is no more of a difference than where the clone is.
    environment = {name: value for name, value in flat.items() if not name.startswith("variables.PYTHONPATH")}
    packages = (detail.blob("env/packages.txt", limit=store.MAX_YAML) or b"").decode("utf-8", "replace")
    for line in packages.splitlines():
        name, _, version = line.replace(" @ ", "==", 1).partition("==")
        environment[f"packages.{name}"] = version
    return Detail(environment, {item.path: item for item in detail.artifacts()})


def _compared(runs: Sequence[Run], details: Sequence[Detail | None], parts: Sequence[str]) -> diff.Difference:
    """Returns what differs in the parts that are asked for."""
    found = diff.compare(
        runs,
        environments=[detail.environment if detail else None for detail in details],
        artifacts=[
            {path: item.sha256 for path, item in detail.artifacts.items()} if detail else None for detail in details
        ],
    )
    none: tuple[diff.Row, ...] = ()
    return replace(
        found,
        params=found.params if "params" in parts else none,
        metrics=found.metrics if "metrics" in parts else none,
        code=found.code if "code" in parts else none,
        environment=found.environment if "env" in parts else none,
        artifacts=found.artifacts if "artifacts" in parts else none,
    )


def _kinds(found: diff.Difference) -> list[tuple[str, Sequence[diff.Row], int | None]]:
    return [
        ("params", found.params, found.same_params),
        ("metrics", found.metrics, found.same_metrics),
        ("code", found.code, None),
        ("environment", found.environment, found.same_environment),
        ("artifacts", found.artifacts, found.same_artifacts),
    ]


def _object(
    found: diff.Difference, runs: Sequence[Run], details: Sequence[Detail | None], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    """Returns the difference as `diff --json` prints it (docs/reference/json.md)."""

    def listed(kind: str, row: diff.Row) -> dict[str, Any]:
        best = None if row.best is None else runs[row.best].id
        facts = {"name": row.name, "values": list(row.values), "goal": row.goal, "best": best}
        if kind == "artifacts":
            items = [detail.artifacts.get(row.name) if detail else None for detail in details]
            facts["sizes"] = [item.size if item else None for item in items]
        return facts

    facts: dict[str, Any] = {"runs": [run.id for run in runs], "differs": bool(found)}
    facts |= {kind: [listed(kind, row) for row in rows] for kind, rows, _ in _kinds(found)}
    facts["same"] = {kind: same for kind, _, same in _kinds(found) if same is not None}
    facts["verdicts"] = [asdict(item) | {"passed": item.passed} for item in verdicts]
    return facts


def _code_summary(place: Repo, runs: Sequence[Run], paths: Sequence[str]) -> Iterator[str]:
    """Yields what `git diff --stat` says of the code of two runs."""
    old, new = runs[0].code.exact, runs[1].code.exact
    if len(runs) != 2 or old is None or new is None or old == new:
        return
    said = place.git.diffstat(old, new, paths)
    if said is None:
        yield "the code of one of them is not here; `git track pull` brings it"
        return
    lines = said.splitlines()
    if len(lines) > 20:
        yield f"... {len(lines) - 20} more files"
    yield from lines[-20:]


def _show_patch(
    place: Repo, screen: output.Screen, runs: Sequence[Run], paths: Sequence[str], *, exit_code: bool
) -> int:
    if len(runs) != 2:
        raise UsageError("--code compares two runs", hint="without it, it is said which of them share their code")
    old, new = runs[0].code.exact, runs[1].code.exact
    if old is None or new is None:
        without = runs[0] if old is None else runs[1]
        raise NotFound(f"run '{without.name}' has no code", cause="it was recorded without a commit")
    coloured = bool(screen.colour) and place.git.has_executable
    text = place.git.diff(old, new, colour=coloured, paths=paths)
    lines = text.splitlines() if coloured else [printable(line) for line in text.splitlines()]
    if lines:
        screen.page(lines, common.pager(place) if screen.terminal else None)
    return 1 if exit_code and lines else 0
