"""How it is said that a remote rewrote runs: by `fetch`, by `verify`, and after a plain `git fetch`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gittrack.errors import NegativeAnswer

if TYPE_CHECKING:
    from gittrack.sync.seen import Finding

MOST = 20  # lines about one remote
_WORDS = {
    "deleted": "deleted {what}",
    "rolled back": "rolled {what} back to {now}",
    "moved by force": "moved {what} by force to {now}",
    "replaced": "replaced {what} by {now}",
}


def tell(findings: Sequence[Finding]) -> list[str]:
    """Returns a line for each finding, of each remote at most 20 and how many more there are."""
    lines: list[str] = []
    for remote in dict.fromkeys(finding.remote for finding in findings):
        those = [finding for finding in findings if finding.remote == remote]
        lines += map(_line, those[:MOST])
        if len(those) > MOST:
            lines.append(f"'{remote}' did the like to {len(those) - MOST} more")
    return lines


def _line(finding: Finding) -> str:
    archive = finding.name.startswith("archive/")
    what = f"archive {finding.name.removeprefix('archive/')}" if archive else f"run {finding.name}"
    said = _WORDS[finding.kind].format(what=what, now=str(finding.now)[:12])
    missing = f"; {finding.runs} run(s) in it" if archive else ""
    return f"'{finding.remote}' {said} (last seen at {finding.seen[:12]}{missing})"


def error(findings: Sequence[Finding]) -> NegativeAnswer:
    """Returns what a command ends with that came upon findings."""
    remotes = list(dict.fromkeys(finding.remote for finding in findings))
    where = ", ".join(f"'{remote}'" for remote in remotes)
    again = f"`git track push {remotes[0]}` puts them back, `git track verify --accept` takes what is there"
    count = sum(finding.runs for finding in findings)
    return NegativeAnswer(
        f"{where} rewrote or deleted {count} run(s) that were seen there", hint=f"here they are kept; {again}"
    )
