"""`git track verify`: whether remotes still have what was seen there, and who signed the runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from gittrack import output, remote
from gittrack.commands import common, rewrites
from gittrack.errors import GitFailed, NegativeAnswer
from gittrack.repo import Repo
from gittrack.terminal import printable

if TYPE_CHECKING:
    from gittrack.signatures import Signature
    from gittrack.sync.seen import Finding


@click.command("verify", cls=common.JsonCommand)
@click.argument("where", required=False, metavar="[REMOTE]")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--signatures", "strict", is_flag=True, help="Every commit of a run must have a signature git trusts.")
@click.option("--accept", is_flag=True, help="From now on, what the remote has is what it should have.")
@common.quiet_option
@common.json_option
def command(
    where: str | None, runs: tuple[str, ...], strict: bool, accept: bool, quiet: bool, as_json: str | None
) -> None:
    """Check that remotes have what was seen there, and that signatures are good.

    Says which runs were rewritten or deleted upstream by force, as the last fetch saw it; by default on every remote.
    Bad signatures are said too. Exits with 1 if there is anything to say."""
    from gittrack.sync import seen, seenlog

    place = common.open_repo()
    known = common.read_runs(place, deleted=True)
    configured = remote.names(place.settings)
    if where and (seenlog.is_name(where) or (where not in configured and not remote.is_address(where))):
        runs, where = (where, *runs), None  # `git track verify RUN`
    names = [remote.choose(place.settings, where, branch=None)] if where else seen.remotes(place.git, configured)
    words = [word for word in runs if not seenlog.is_name(word)]
    chosen = {*(set(runs) - set(words)), *(run.id for run in known.find_all(words))} if runs else None
    found = [each for name in names for each in seen.keep_up(place.git, name)]
    found = [each for each in found if chosen is None or each.name in chosen]
    if accept:
        ended = [each for name in names for each in seen.accept(place.git, name, chosen)]
        for line in rewrites.tell(ended) if not quiet else ():
            output.warn(f"accepted: {printable(line)}")
        found = []
    tips = [run.oid for run in known.runs if run.oid and (chosen is None or run.id in chosen)]
    signed = _signatures(place, tips, strict=strict)
    wrong = [each for each in signed if each.state == "bad" or (strict and each.state != "good")]
    _tell(found, wrong, as_json=as_json)
    if found or wrong:
        raise _error(found, wrong)
    if not quiet and as_json is None:
        _praise(len({key for name in names for key in seen.log_of(place.git, name)}), signed)


def _signatures(place: Repo, tips: Sequence[str], *, strict: bool) -> list[Signature]:
    """Returns the signatures of commits of runs; raises GitFailed if they are asked for and there is no git."""
    from gittrack import signatures
    from gittrack.refname import Oid

    if not place.git.has_executable:
        if strict:
            raise GitFailed("cannot check signatures", cause="git is not installed, or not on PATH")
        return []
    return list(signatures.check(place.git, map(Oid, tips)))


def _tell(found: Sequence[Finding], wrong: Sequence[Signature], *, as_json: str | None) -> None:
    """Prints what was found."""
    if as_json is not None:
        from gittrack import forms

        facts: list[dict[str, object]] = [
            {
                "remote": each.remote,
                "name": each.name,
                "problem": each.kind,
                "seen": each.seen,
                "now": each.now,
                "runs": each.runs,
            }
            for each in found
        ]
        facts += [
            {"remote": None, "name": each.run, "problem": each.why, "commit": each.commit, "signer": each.signer}
            for each in wrong
        ]
        output.line(forms.dump_json(forms.select(facts, as_json) if as_json else facts))
        return
    for line in rewrites.tell(found):
        output.line(printable(line))
    for each in wrong[: rewrites.MOST]:
        by = f" ({each.signer})" if each.signer else ""
        output.line(printable(f"run {each.run}, commit {each.commit[:12]}: {each.why}{by}"))
    if len(wrong) > rewrites.MOST:
        output.line(f"and {len(wrong) - rewrites.MOST} more commits")


def _error(found: Sequence[Finding], wrong: Sequence[Signature]) -> NegativeAnswer:
    if found:
        return rewrites.error(found)
    runs = len({each.run for each in wrong})
    hint = "`git show --show-signature COMMIT` says what git knows of it"
    return NegativeAnswer(f"signatures of {runs} run(s) do not hold", hint=hint)


def _praise(seen: int, signed: Sequence[Signature]) -> None:
    """Says what was looked at and is as it should be."""
    output.warn(f"{seen} run(s) and archives are on remotes as they were seen" if seen else "no remote was seen yet")
    counts = {state: sum(each.state == state for each in signed) for state in ("good", "untrusted")}
    if any(counts.values()):
        output.warn(
            f"of {len(signed)} commits of runs, {counts['good']} have a good signature, {counts['untrusted']} one that "
            "is not trusted here"
        )
