"""`git track fsck`: whether the runs here are sound."""

from __future__ import annotations

from collections.abc import Sequence

import click

from gittrack import audit, forms, output, packs
from gittrack.codec.pointer import Pointer
from gittrack.commands import common
from gittrack.errors import GittrackError, NegativeAnswer
from gittrack.index import live
from gittrack.repo import Repo
from gittrack.terminal import printable
from gittrack.transports.protocol import Transport


@click.command("fsck", cls=common.JsonCommand)
@click.option("--artifacts", is_flag=True, help="Also hash all large files here, and look for those that are not.")
@common.json_option
def command(artifacts: bool, as_json: str | None) -> None:
    """Check that every run is sound.

    Its record, tree, history and files must agree; exits with 1 if those of one do not. What git checks itself
    (hashes, links) is left to `git fsck`. With --artifacts a large file that is damaged is set aside and got again,
    and one that is neither here nor in a store is named."""
    place = common.open_repo()
    mended = packs.mend(place.git)
    if mended:
        output.warn(f"wrote the index of {mended} pack(s) again, which a `git gc` beside us had removed")
    index = common.catch_up(place, deleted=True)
    problems = list(audit.check_all(place.git))
    recorded, damaged = live.read(place.git)
    checked, lost = _payloads(place, quiet=as_json is not None) if artifacts else (0, [])
    problems += lost
    if as_json is not None:
        facts = [{"ref": ref, "problem": problem} for ref, problem in problems]
        facts += [{"ref": "", "problem": f"{error.message}: {error.cause}"} for error in damaged]
        output.line(forms.dump_json(forms.select(facts, as_json) if as_json else facts))
    else:
        for ref, problem in problems:
            output.line(f"{printable(ref)}: {printable(problem)}" if ref else printable(problem))
        for error in damaged:
            output.line("\n".join(error.lines()))
    if len(lost) == len(problems) and lost and not damaged:
        what = f"{len(lost)} artifact{'s' * (len(lost) != 1)}"
        raise NegativeAnswer(
            f"the content of {what} is whole neither here nor in a store that was asked",
            hint="a clone that has it sends it with `git track push`",
        )
    if problems or damaged:
        raise NegativeAnswer(
            f"{len({ref for ref, _ in problems if ref}) + len(damaged)} run(s) are not sound",
            hint="where a remote has a sound copy, `git update-ref -d REF` and `git track pull` bring it back",
        )
    total = len(index)
    output.warn(f"{total} run(s) are sound" + (f", {len(recorded)} of them being recorded" if recorded else ""))
    if artifacts:
        output.warn(f"{checked} payload(s) are sound")


def _payloads(place: Repo, *, quiet: bool) -> tuple[int, list[tuple[str, str]]]:
    """Checks and mends the payloads; returns how many are sound, and what is wrong that could not be mended."""
    from gittrack import mending, obtaining

    transports, closed = obtaining.opened(place)
    for why in closed:
        output.warn(f"warning: {printable(why)}")
    try:
        with output.Progress(quiet=quiet) as progress:
            done = mending.mend(place.git, obtaining.payloads_of(place), transports, progress=progress.report)
        absent = [(pointer, _absent(transports, pointer)) for pointer in done.missing]
    finally:
        for transport in transports:
            transport.close()
    for error in done.silent:
        common.report(error, label="warning")
    if done.unknown:
        output.warn(f"{len(done.unknown)} payload(s) are not here, and may be in a store that did not answer")
    mended = {pointer.sha256 for pointer in done.mended}
    failed = {pointer.sha256 for pointer, _ in done.failed}
    for pointer in done.damaged:
        if pointer.sha256 in mended:
            output.warn(f"payload {pointer.sha256[:12]} was damaged, and was got again")
        elif pointer.sha256 not in failed:
            output.warn(f"payload {pointer.sha256[:12]} was damaged, and no run needs it; it was set aside")
    lost = [(pointer, f"was damaged here, and did not come again: {_said(error)}") for pointer, error in done.failed]
    lost += absent
    problems = []
    for pointer, what in lost:
        run, path = done.users[pointer]
        problems.append(("", f"artifact '{path}' of run {run} {what}"))
    return done.checked - len(done.damaged) + len(done.mended), problems


def _absent(transports: Sequence[Transport], pointer: Pointer) -> str:
    """Returns where a payload is missing, or that a store has only some of it."""
    from gittrack import carrying

    if not transports:
        return "is missing here, and no store is known"
    sizes = {transport.label: carrying.wrong_size(transport, pointer) for transport in transports}
    cut = [
        f"'{label}' has it with {size} bytes, not {pointer.size}" for label, size in sizes.items() if size is not None
    ]
    asked = ", ".join(transport.label for transport in transports)
    return (
        f"is not here, and {', '.join(cut)}" if cut else f"is missing here and in every store that was asked ({asked})"
    )


def _said(error: GittrackError) -> str:
    return f"{error.message} ({error.cause})" if error.cause else error.message
