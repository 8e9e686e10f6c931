"""`git track check`: whether runs and commits are as the project asks in `gittrack.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gittrack import output
from gittrack.commands import common
from gittrack.errors import DataRefused, NegativeAnswer, NotFound, UsageError
from gittrack.standard import FILE
from gittrack.terminal import printable

if TYPE_CHECKING:
    from gittrack.standard import Finding


@click.command("check", cls=common.JsonCommand)
@click.argument("words", nargs=-1, metavar="[RUN]...")
@click.option("--commit", "revision", metavar="REV", help="Check this commit by the standard in it, and its runs.")
@click.option("-a", "--all", "everything", is_flag=True, help="Check all runs that have finished.")
@click.option("--schema", is_flag=True, help="Check gittrack.yaml itself, or the files that are named.")
@common.json_option
def command(words: tuple[str, ...], revision: str | None, everything: bool, schema: bool, as_json: str | None) -> None:
    """Check that runs meet the project's standard, and commits its gates.

    By default HEAD and its runs, by the gittrack.yaml of the work tree. Prints what is not as it asks, and exits with
    1 if there is anything. Without a gittrack.yaml nothing is asked."""
    if sum((bool(words), revision is not None, everything)) > 1 or (schema and (revision is not None or everything)):
        raise UsageError("runs, --commit, --all and --schema exclude each other", hint="check one after the other")
    if schema:
        _check_files(words, as_json)
        return
    found = _findings(words, revision, everything=everything)
    if found is None:
        output.warn(f"there is no '{FILE}': nothing is asked of runs")
    elif as_json is None:
        for finding in found:
            output.line(printable(str(finding)))
    if as_json is not None:
        _print_json([_facts(finding) for finding in found or ()], as_json)
    if found:
        raise NegativeAnswer(f"{len(found)} point(s) are not as '{FILE}' asks")
    if found is not None and as_json is None:
        output.warn(f"all is as '{FILE}' asks")


def _findings(words: Sequence[str], revision: str | None, *, everything: bool) -> list[Finding] | None:
    """Returns what is not as the standard asks, None if there is no standard."""
    from gittrack import gates

    place = common.open_repo()
    known = common.read_runs(place)
    if not words and not everything:
        commit = place.git.resolve(revision or "HEAD")
        if commit is None:
            raise NotFound(f"git knows no commit '{revision or 'HEAD'}'", hint="name a run, or --commit REV")
        if revision is not None:
            return gates.check_commit(place.git, commit)
        here = gates.standard_here(place.git)
        return gates.check_commit(place.git, commit, standard=here) if here else None
    standard = gates.standard_here(place.git)
    if standard is None:
        return None
    runs = known.find_all(words) if words else [run for run in known.runs if run.status == "finished"]
    return gates.check_runs(place.git, standard, runs)


def _facts(finding: Finding) -> dict[str, Any]:
    return {
        "run": finding.run,
        "name": finding.name or None,
        "commit": finding.commit,
        "field": finding.field,
        "problem": finding.problem,
    }


def _check_files(names: Sequence[str], as_json: str | None) -> None:
    """Says what is wrong with files that hold a standard; raises NegativeAnswer if there is anything."""
    from gittrack.codec import standardfile

    problems = []
    for name, raw in [_read(name) for name in names] if names else _file_here():
        problems += [(name, problem) for problem in standardfile.examine(raw, name=name).problems]
    if as_json is not None:
        _print_json([{"file": name, "line": one.line, "problem": one.text} for name, one in problems], as_json)
    else:
        for name, one in problems:
            output.line(printable(f"{name}:{one.line}: {one.text}" if one.line else f"{name}: {one.text}"))
    if problems:
        count = len({name for name, _ in problems})
        raise NegativeAnswer(f"{len(problems)} problem(s) in {count} file(s)")
    if as_json is None:
        output.warn("nothing is wrong")


def _file_here() -> list[tuple[str, bytes]]:
    from gittrack import gates

    raw = gates.file_here(common.open_repo().git)
    if raw is None:
        raise NotFound(
            f"there is no '{FILE}' at the top of the work tree", hint="`git track init --standard` starts one"
        )
    return [(FILE, raw)]


def _read(name: str) -> tuple[str, bytes]:
    from gittrack.codec import standardfile

    try:
        with open(name, "rb") as file:
            return name, file.read(standardfile.MAX_BYTES + 1)
    except FileNotFoundError as exc:
        raise NotFound(f"there is no file '{name}'") from exc
    except (OSError, ValueError) as exc:
        raise DataRefused(f"cannot read '{name}'", cause=getattr(exc, "strerror", None) or str(exc)) from exc


def _print_json(facts: list[dict[str, Any]], selected: str) -> None:
    from gittrack import forms

    output.line(forms.dump_json(forms.select(facts, selected) if selected else facts))
