"""`git track fsck`: whether the runs here are sound."""

from __future__ import annotations

import click

from gittrack import audit, forms, output, packs
from gittrack.commands import common
from gittrack.errors import NegativeAnswer
from gittrack.index import live
from gittrack.terminal import printable


@click.command("fsck", cls=common.JsonCommand)
@common.json_option
def command(as_json: str | None) -> None:
    """Check that every run is sound.

    Its record, tree, history and files must agree; exits with 1 if those of one do not. What git checks itself
    (hashes, links) is left to `git fsck`."""
    place = common.open_repo()
    mended = packs.mend(place.git)
    if mended:
        output.warn(f"wrote the index of {mended} pack(s) again, which a `git gc` beside us had removed")
    index = common.catch_up(place, deleted=True)
    problems = list(audit.check_all(place.git))
    recorded, damaged = live.read(place.git)
    if as_json is not None:
        facts = [{"ref": ref, "problem": problem} for ref, problem in problems]
        facts += [{"ref": "", "problem": f"{error.message}: {error.cause}"} for error in damaged]
        output.line(forms.dump_json(forms.select(facts, as_json) if as_json else facts))
    else:
        for ref, problem in problems:
            output.line(f"{printable(ref)}: {printable(problem)}")
        for error in damaged:
            output.line("\n".join(error.lines()))
    if problems or damaged:
        raise NegativeAnswer(
            f"{len({ref for ref, _ in problems}) + len(damaged)} run(s) are not sound",
            hint="where a remote has a sound copy, `git update-ref -d REF` and `git track pull` bring it back",
        )
    total = len(index)
    output.warn(f"{total} run(s) are sound" + (f", {len(recorded)} of them being recorded" if recorded else ""))
