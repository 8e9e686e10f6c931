"""`git track log`: runs along the history of the code."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import click

from gittrack import forms, links, output
from gittrack.commands import common
from gittrack.errors import NotFound
from gittrack.links import Link, Placed
from gittrack.model import Run
from gittrack.porcelain import Line
from gittrack.refname import Oid
from gittrack.repo import Repo
from gittrack.terminal import printable


class LogCommand(common.JsonCommand):
    """A command that takes paths behind `--`, as `git log` does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses, with what stands behind `--` kept as paths."""
        end = args.index("--") if "--" in args else len(args)
        ctx.meta["gittrack.paths"] = tuple(args[end + 1 :])
        return super().parse_args(ctx, args[:end])


@click.command("log", cls=LogCommand)
@click.argument("revision", default="HEAD", metavar="[REVISION|A..B] [-- PATH...]")
@click.option("-n", "--max-count", type=click.IntRange(min=0), help="Show at most this many commits.")
@click.option("--unplaced", is_flag=True, help="Show the runs that have no commit on the branch instead.")
@common.json_option
@common.colour_option
@click.pass_context
def command(
    ctx: click.Context, revision: str, max_count: int | None, unplaced: bool, as_json: str | None, colour: str | None
) -> None:
    """Show the commits of a branch that have runs, with their runs.

    A run whose commit is not on the branch any more, after a rebase, an amend, a squash or a cherry-pick, stands under
    the commit that it became, with the rule that says so. With A..B, and with paths, only commits that `git log` would
    list with them are shown."""
    paths = ctx.meta["gittrack.paths"]
    place = common.open_repo()
    known = common.read_runs(place)
    screen = common.screen(place, colour)
    tip, without = _ends(place, revision)
    history = list(place.git.log(tip))
    shown = place.git.within(tip, without=without, paths=paths) if without or paths else None
    placed = links.place(place.git, known.runs, history)
    if unplaced:
        _show_unplaced(place, screen, placed, as_json, max_count)
        return
    lines = [line for line in history if line.oid in placed.runs and (shown is None or line.oid in shown)][:max_count]
    if as_json is not None:
        objects = [_object(line.oid, line.subject, placed.runs[line.oid], placed) for line in lines]
        screen.print(forms.dump_json(forms.select(objects, as_json) if as_json else objects))
        return
    if lines:
        screen.page(_text(screen, lines, placed), common.pager(place) if screen.terminal else None)
    else:
        output.warn(f"no runs on '{revision}'")
    if placed.elsewhere and max_count is None and shown is None:
        count = len(placed.elsewhere)
        output.warn(
            f"{count} run(s) belong to commits that are not on '{revision}'; `git track log --unplaced` lists them"
        )
        if not place.git.has_executable:
            output.warn("hint: patches are compared where git is installed, which may place some of them")


def _ends(place: Repo, revision: str) -> tuple[Oid, Oid | None]:
    """Returns the newest commit that is meant, and the one whose history is left out; raises NotFound."""
    found = place.git.resolve(revision)
    if found is not None:
        return found, None
    first, dots, last = revision.partition("..")
    if dots and not last.startswith("."):
        ends = [place.git.resolve(name or "HEAD") for name in (first, last)]
        if ends[0] and ends[1]:
            return ends[1], ends[0]
    raise NotFound(f"git knows no revision '{revision}'")


def _object(oid: Oid, subject: str | None, runs: Sequence[Run], placed: Placed | None) -> dict[str, Any]:
    found = []
    for run in runs:
        link = placed.link(run) if placed else None
        told = {"rule": link.rule, "commit": link.old} if link else None
        found.append({**forms.run_object(run), "link": told})
    return {"commit": oid, "subject": subject, "runs": found}


def _text(screen: output.Screen, lines: Sequence[Line], placed: Placed) -> Iterator[str]:
    for line in lines:
        names = [(f"({printable(line.names)})", output.CYAN)] if line.names else []
        parts = [(line.short, output.YELLOW), *names, (printable(line.subject), "")]
        yield _fitted(screen, parts, gap=" ")
        for run in placed.runs[line.oid]:
            yield _run_line(screen, run, placed.link(run))


def _run_line(screen: output.Screen, run: Run, link: Link | None) -> str:
    """Returns the line of a run: what matters less stands further to the right."""
    goals = [(name, metric.best) for name, metric in run.metrics.items() if metric.best is not None]
    numbers = goals or [(name, metric.last) for name, metric in list(run.metrics.items())[:2]]
    parts = [
        (common.short(run), output.YELLOW),
        (printable(run.name), ""),
        (run.status, output.STATUS_COLOURS.get(run.status, "")),
    ]
    parts += [(f"{printable(name)} {output.number(value)}", "") for name, value in numbers[:3]]
    if link and link.rule != "exact":
        parts.append((f"({link.told})", output.CYAN))
    parts += [(f"[{printable(', '.join(run.tags))}]", "")] if run.tags else []
    parts += [("uncommitted changes", "")] if run.code.dirty and not (link and link.rule == "committed") else []
    return _fitted(screen, parts, gap="  ", indent="    ")


def _fitted(screen: output.Screen, parts: Sequence[tuple[str, str]], *, gap: str, indent: str = "") -> str:
    """Returns texts in their colours as one line; on a terminal the last that has room is cut."""
    room = screen.width
    found: list[str] = []
    for text, code in parts:
        shown = text
        if room is not None:
            room -= len(gap if found else indent)
            if room < 2:
                break
            shown = output.cut(text, room)
            room -= output.width_of(shown)
        found.append(screen.paint(shown, *([code] if code else [])))
    return indent + gap.join(found)


def _show_unplaced(
    place: Repo, screen: output.Screen, placed: Placed, as_json: str | None, max_count: int | None
) -> None:
    """Shows the runs that no rule places, by the commit that they were made from."""
    from gittrack import changes

    by_commit: dict[Oid, list[Run]] = {}
    for run in placed.elsewhere:
        by_commit.setdefault(links.source_of(run).commit, []).append(run)
    commits: Collection[Oid] = list(by_commit)[:max_count]
    facts = changes.read(place.git, commits)
    subjects = {oid: facts[oid].subject if oid in facts else None for oid in commits}
    if as_json is not None:
        objects = [_object(oid, subjects[oid], by_commit[oid], None) for oid in commits]
        screen.print(forms.dump_json(forms.select(objects, as_json) if as_json else objects))
        return

    def text() -> Iterator[str]:
        for oid in commits:
            subject = subjects[oid]
            said = "(not in this repository)" if subject is None else printable(subject)
            yield _fitted(screen, [(oid[:7], output.YELLOW), (said, "")], gap=" ")
            yield from (_run_line(screen, run, None) for run in by_commit[oid])

    if commits:
        screen.page(text(), common.pager(place) if screen.terminal else None)
    else:
        output.warn("every run has its commit there")
