"""The payloads that go along with runs, as `git track push` sends them and tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gittrack import output, remote
from gittrack.errors import GittrackError, RemoteError
from gittrack.model import Run
from gittrack.refname import Oid, RunId
from gittrack.repo import Repo
from gittrack.sync import enclosing
from gittrack.sync.pushing import Outgoing
from gittrack.terminal import printable

_LISTED = 5


class Enclosures:
    """The payloads of one push to a remote; `only` are patterns of those that are wanted."""

    def __init__(self, place: Repo, name: str, *, only: Sequence[str], quiet: bool) -> None:
        self._place, self._name = place, name
        self._only, self._quiet = only, quiet
        self._held: Mapping[RunId, GittrackError] = {}
        self.again: dict[RunId, Oid] = {}

    def look_again(self, runs: Iterable[Run]) -> None:
        """Has the payloads of runs looked at although the remote has all of their commits.

        They may have gone without them (`--no-artifacts`), or a store may have lost what it had."""
        self.again |= {run.id: run.oid for run in runs if run.artifact_pointers and run.oid}

    def _found(self, out: Outgoing) -> tuple[dict[RunId, enclosing.Paths], set[RunId]]:
        """Returns the payloads of what goes out, and which of these runs the remote has in an earlier version."""
        there = enclosing.there(self._place.git, self._name)
        found = enclosing.of_runs(self._place.git, out.all, there=there)
        found |= enclosing.of_runs(self._place.git, list(self.again.items()), there={})
        return found, {run for run in found if run in there}

    def tell_what_would_go(self, out: Outgoing) -> None:
        """Says how much goes at most; the stores are not asked what they have."""
        found, _ = self._found(out)
        for store, pointers in enclosing.store_names(self._place.settings, self._name, found).items():
            size = output.size(sum(pointer.size for pointer in pointers))
            where = f"'{printable(store.name)}'" if store else "no store, for there is none"
            output.line(f"would send up to {len(pointers)} artifact(s), {size}, to {where}")

    def send(self, out: Outgoing) -> Outgoing:
        """Sends payloads and returns what may follow: runs whose payloads are where everybody finds them."""
        found, published = self._found(out)
        if not found:
            return out
        with output.Progress(quiet=self._quiet) as progress:
            sent = enclosing.send(
                self._place.git,
                self._place.settings,
                self._name,
                found,
                published=published,
                only=self._only,
                progress=progress.report,
            )
        for store, carried in sent.stores.items():
            if carried.moved and not self._quiet:
                size = output.size(carried.bytes)
                output.line(f"sent {_counted(len(carried.moved))}, {size}, to '{printable(store)}'")
        for run, path in list(sent.lacking.items())[:_LISTED]:
            output.warn(f"warning: artifact '{path}' of run {run} is neither here nor in a store")
        self._held = sent.held
        if not sent.held:
            return out
        if any(run in sent.held for run in out.archived):
            return replace(out, runs=_without(out, sent.held), archives={}, archived={}, covered=())
        return replace(out, runs=_without(out, sent.held))

    def raise_held(self) -> None:
        """Raises RemoteError if runs stayed here because a payload of theirs did."""
        if not self._held:
            return
        reasons = {str(error): error for error in self._held.values()}
        for error in list(reasons.values())[1:_LISTED]:
            output.warn("\n".join(error.lines()))
        first = next(iter(reasons.values()))
        raise RemoteError(
            f"{len(self._held)} run(s) stay here, because their artifacts do: {first.message}",
            cause=first.cause,
            hint=first.hint or "`git track push` tries again; `--no-artifacts` sends the runs alone",
        )


def tell_left(runs: Iterable[Run], name: str) -> None:
    """Says of runs that go without their payloads how these can follow."""
    left = sum(1 for run in runs if run.artifact_pointers)
    if left:
        again = f"git track push {remote.label(name)} --artifacts '*'"
        output.warn(f"{left} run(s) go without their artifacts; `{again}` sends these later")


def tell_missing(runs: Iterable[Run]) -> None:
    """Says of runs in a bundle that their payloads are not."""
    left = sum(1 for run in runs if run.artifact_pointers)
    if left:
        output.warn(f"{left} run(s) go without their artifacts: a bundle has none; whoever reads it needs their store")


def _without(out: Outgoing, held: Mapping[RunId, GittrackError]) -> tuple[tuple[RunId, Oid], ...]:
    return tuple((run, tip) for run, tip in out.runs if run not in held)


def _counted(number: int) -> str:
    return f"{number} artifact{'s' * (number != 1)}"
