"""`git track verify`: whether remotes still have what they had, and whether signatures are good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import click

from gittrack import forms, output, remote
from gittrack.commands import common
from gittrack.errors import NegativeAnswer, UsageError
from gittrack.model import Run
from gittrack.repo import Repo
from gittrack.sync import seen, seenlog
from gittrack.sync.seen import Finding
from gittrack.terminal import printable

_LISTED = 20


@click.command("verify", cls=common.JsonCommand)
@click.argument("words", nargs=-1, metavar="[REMOTE] [RUN]...")
@click.option("--accept", is_flag=True, help="Take what the remotes have now for what they should have.")
@click.option("--signatures", is_flag=True, help="A commit of a run without a signature that is trusted is wrong too.")
@common.json_option
def command(words: tuple[str, ...], accept: bool, signatures: bool, as_json: str | None) -> None:
    """Check that no remote rewrote or deleted runs, and that signatures are good.

    Compares what the last fetch found with what was seen on a remote before; exits with 1 if runs were moved back,
    moved by force, replaced or deleted there. Your own copies are kept, and `git track push` brings them back. With
    --accept the remote is believed."""
    place = common.open_repo()
    known = common.read_runs(place, deleted=True)
    names = remote.names(place.settings)
    is_remote = words and not seenlog.is_name(words[0]) and (words[0] in names or remote.is_address(words[0]))
    chosen = [words[0]] if is_remote else []
    # An archive goes by the name that it is told by, and so does a run that is not here.
    told = {word for word in words[len(chosen) :] if seenlog.is_name(word)}
    wanted = known.find_all([word for word in words[len(chosen) :] if word not in told])
    wanted += [run for run in known.runs if run.id in told] if told else []
    looked_at = chosen or seen.remotes(place.git, names)
    ids = {run.id for run in wanted} | told
    if accept:
        ended = [found for name in looked_at for found in seen.accept(place.git, name, ids or None)]
        output.warn(f"accepted {len(ended)} change(s)" if ended else "there is nothing to accept")
        return
    findings = [found for name in looked_at for found in seen.examine(place.git, name)]
    findings = [found for found in findings if not ids or found.name in ids]
    judged = _signatures(place, wanted if ids else known.index.brief(), strict=signatures)
    if as_json is not None:
        facts = [asdict(found) for found in findings] + [{"name": run, "kind": kind} for run, kind in judged]
        output.line(forms.dump_json(forms.select(facts, as_json) if as_json else facts))
    else:
        for text in (*tell(findings), *(f"run {run}: {kind}" for run, kind in judged)):
            output.line(printable(text))
    if findings:
        raise rewritten(findings)
    if judged:
        raise NegativeAnswer(f"{len(judged)} commit(s) are not signed as they should be")
    output.warn(f"nothing was rewritten on {len(looked_at)} remote(s)" if looked_at else "no remote was seen yet")


def tell(findings: Sequence[Finding]) -> Iterator[str]:
    """Yields what to say of findings: a line each, of very many the first and their number."""
    for found in findings[:_LISTED]:
        what = (
            f"run {found.name}" if found.runs == 1 and "/" not in found.name else f"{found.name}, {found.runs} run(s),"
        )
        now = f"{found.seen[:10]} -> {found.now[:10]}" if found.now else f"it was at {found.seen[:10]}"
        yield f"{what} was {found.kind} on '{found.remote}' ({now}); the copy here is kept"
    if len(findings) > _LISTED:
        yield f"and {len(findings) - _LISTED} more"


def rewritten(findings: Sequence[Finding]) -> NegativeAnswer:
    """Returns the error for what remotes rewrote."""
    where = ", ".join(sorted({f"'{found.remote}'" for found in findings}))
    return NegativeAnswer(
        f"{len(findings)} change(s) by force on {where}",
        hint="`git track push` brings back what is kept here; `git track verify --accept` believes the remote",
    )


def _signatures(place: Repo, runs: Sequence[Run], *, strict: bool) -> list[tuple[str, str]]:
    """Returns the runs with commits whose signatures are bad, and what is wrong; `strict` as in `signatures`."""
    if not place.git.has_executable:
        if strict:
            raise UsageError("signatures cannot be checked without git", hint="install git 2.36 or newer")
        return []
    from gittrack import signatures

    return [
        (f"{found.run} ({found.oid[:10]})", found.verdict)
        for found in signatures.check(place.git, [(run.id, run.oid) for run in runs if run.oid], strict=strict)
    ]
