"""What commands share: finding the repository, catching up with the world, naming runs, common options."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gittrack import output, repo
from gittrack.errors import GittrackError, NotARepository, RemoteError, UsageError
from gittrack.index import live
from gittrack.index.listing import Index
from gittrack.model import Run
from gittrack.query import naming
from gittrack.refname import RUNS, Oid, RunId, is_run_id
from gittrack.repo import Repo
from gittrack.shared import make_folder, share

if TYPE_CHECKING:
    from gittrack.query.condition import Condition
    from gittrack.sync.pushing import Pushed

F = TypeVar("F", bound=Callable[..., Any])


def open_repo() -> Repo:
    """Returns the repository here; first commits what dead processes left."""
    try:
        place = repo.open_repo()
    except NotARepository as exc:
        exc.hint = "; ".join(filter(None, [exc.hint, _where_else()]))
        raise
    if not place.git.has_executable and place.settings.flag("commit.gpgsign"):
        output.warn("warning: git is not installed, or not on PATH: commits of runs are not signed")
    if live.has_any(place.git):
        _recover(place)
    if (place.state_dir / "autopush").exists():
        from gittrack import autopush

        autopush.retry(place)
    return place


def ask_settings(place: Repo) -> None:
    """Has git asked for the settings while the command goes on; who needs them waits for the answer."""

    def ask() -> None:
        with contextlib.suppress(GittrackError, OSError):  # then whoever needs them asks again, and is told
            _ = place.settings

    threading.Thread(target=ask, daemon=True).start()


def _where_else() -> str | None:
    """Returns where runs are that were recorded outside of any repository."""
    from gittrack import adoption

    with contextlib.suppress(GittrackError, OSError):
        source = repo.find_detached()
        found = adoption.waiting(source.git) if source else []
        if source and found:
            where = source.git.place.git_dir
            return f"`git --git-dir={where} track ls` lists the {len(found)} run(s) recorded outside of one"
    return None


def count_detached(place: Repo) -> int:
    """Returns how many runs wait in the detached store for this repository to adopt them."""
    from gittrack import adoption

    with contextlib.suppress(GittrackError, OSError):
        source = repo.find_detached()
        if source and source.git.place.git_dir != place.git.place.git_dir and adoption.has_any(source.git):
            return len(adoption.fitting(place.git, adoption.waiting(source.git)))
    return 0


def catch_up(place: Repo, *, deleted: bool = False) -> Index:
    """Takes in what fetches brought, with any git; returns the runs as they are then."""
    index = Index(place.git, deleted=deleted)
    apart = index.apart
    if (apart and apart != _last_apart(place)) or (place.state_dir / "unsettled").exists():
        _integrate(place)
        index.refresh()
        with contextlib.suppress(OSError):  # what is apart still, another try would not join either
            make_folder(place.state_dir)
            (place.state_dir / "integrated").write_text(index.apart, "ascii")
            share(place.state_dir / "integrated")
    return index


def _recover(place: Repo) -> None:
    from gittrack import autopush, redact, seal

    for run in seal.recover(place.git, now=time.time(), sign=place.sign):
        autopush.note(place, run.id)
        output.warn(f"recovered run {run.name} ({run.id}): its process died; status {run.status}, {run.points} points")
        if run.redacted:
            output.warn(f"gittrack: {redact.told(run.redacted)}")


def tell_parted(parted: Sequence[tuple[RunId, Oid]]) -> None:
    """Says which runs were gone on with on two machines."""
    for run, hidden in parted:
        output.warn(f"warning: run {run} was gone on with on two machines; what ended last is shown")
        output.warn(f"hint: `git show {hidden[:12]}:history.tsv` and the like have the other")


def raise_unshelved(done: Pushed, *, where: str, hint: str = "everything is kept here") -> None:
    """Raises RemoteError if a remote refused an archive."""
    if done.unshelved:
        raise RemoteError(f"'{where}' refused an archive of runs", cause=done.unshelved[0][1], hint=hint)


def _integrate(place: Repo) -> None:
    """Takes in what the mirrors hold."""
    from gittrack import remote
    from gittrack.sync import pulling

    done = pulling.catch_up(place.git, remote.names(place.settings))
    if done.buried:
        output.warn(f"{len(done.buried)} run(s) were deleted for good by others")
    for error in done.refused:
        report(error, label="warning")
    tell_parted(done.parted)


def _last_apart(place: Repo) -> str | None:
    try:
        return (place.state_dir / "integrated").read_text("ascii")
    except OSError:
        return None


def report(error: GittrackError, *, label: str = "error") -> None:
    """Prints an error that does not end the command."""
    lines = error.lines()
    output.warn(lines[0].replace("error:", f"{label}:", 1))
    for line in lines[1:]:
        output.warn(line)


class Runs:
    """The runs of a repository, by name and by condition."""

    def __init__(self, place: Repo, index: Index) -> None:
        self.place = place
        self.index = index

    @property
    def runs(self) -> list[Run]:
        """All runs, newest first."""
        return self.index.runs()

    def commit(self, text: str) -> Oid | None:
        """Returns the commit that git's own syntax names; if it has no run, that of one it was rewritten from."""
        oid = self.place.git.resolve(text)
        return oid if oid is None or self.index.of_commit(oid) else self._rewritten(text, oid)

    def _rewritten(self, text: str, oid: Oid) -> Oid:
        """Returns the commit of the newest run that stands under a commit in the log; says why it does."""
        from gittrack import links

        placed = links.place(self.place.git, self.runs, list(self.place.git.log(oid)))
        for run in placed.runs.get(oid, ())[:1]:
            output.warn(f"no run was made from '{text}' itself; the one shown: {placed.link(run).told}")
            return run.oid or run.code.exact or oid
        return oid

    def find(self, text: str) -> Run:
        """Returns the run that `text` names; raises NotFound or Ambiguous."""
        return naming.find(text, self.index, commit=self.commit).run

    def find_path(self, text: str) -> naming.Named:
        """Returns the run, and the path in it, that `text` names."""
        return naming.find(text, self.index, commit=self.commit)

    def find_all(self, texts: Sequence[str]) -> list[Run]:
        """Returns the runs that several words name, each once, in the order they were named."""
        found = {run.id: run for text in texts for run in naming.find_all(text, self.index, commit=self.commit)}
        return list(found.values())


def read_runs(place: Repo, *, deleted: bool = False) -> Runs:
    """Returns all runs, those that fetches brought included; says which could not be read."""
    index = catch_up(place, deleted=deleted)
    if index.damaged and _mended(place):
        index.refresh()
    for error in index.damaged:
        report(error, label="warning")
    return Runs(place, index)


def _mended(place: Repo) -> bool:
    """Writes the index of packs again that lost it to a `git gc`; tells whether there were any."""
    from gittrack import packs

    with contextlib.suppress(GittrackError, OSError):  # a repository that cannot be written: then it is told
        return packs.mend(place.git) > 0
    return False


def where_option(function: F) -> F:
    """Adds `--where`."""
    return click.option(
        "--where",
        multiple=True,
        metavar="QUERY",
        help="Only runs for which this is true: 'metrics.val/acc > 0.9 and params.lr < 1e-3'.",
    )(function)


def condition(
    place: Repo,
    queries: Sequence[str],
    *,
    statuses: Sequence[str] = (),
    tags: Sequence[str] = (),
    since: str | None = None,
) -> Condition | None:
    """Returns the condition that queries and options state together, None if there are none; raises UsageError."""
    if not (queries or statuses or tags or since):
        return None
    from gittrack.query import condition
    from gittrack.query.fields import Field

    parts: list[Condition] = []
    if queries:
        from gittrack.query import language

        parts += [language.parse(text, date=place.git.date) for text in queries]
    parts += [condition.Compare(Field("run", "tags"), "==", tag) for tag in tags]
    parts += [condition.In(Field("run", "status"), tuple(statuses))] if statuses else []
    if since:
        from gittrack.query import language

        try:
            began = language.moment(since, place.git.date)
        except UsageError as exc:
            exc.message = exc.message if since in exc.message else f"'{since}' is no date"
            raise
        parts.append(condition.Compare(Field("run", "created"), ">=", began))
    return condition.And(tuple(parts)) if len(parts) > 1 else parts[0]


_AGE = re.compile(r"([0-9]{1,6}) ?([hdwmy])")
_HOURS = {"h": 1, "d": 24, "w": 7 * 24, "m": 30 * 24, "y": 365 * 24}


def before(place: Repo, text: str | None) -> float | None:
    """Returns the time that `--older-than` means, in Unix seconds: `90d` ago, or a date as git has it.

    Raises UsageError."""
    if text is None:
        return None
    found = _AGE.fullmatch(text.strip())
    if found:
        return time.time() - int(found[1]) * _HOURS[found[2]] * 3600
    if re.fullmatch(r"[0-9]+ ?[A-Za-z]*", text.strip()):
        raise UsageError(f"'{text}' is no age", hint="write it as in '12h', '90d', '2w', '6m' (months), '1y'")
    from gittrack.query import language

    return language.moment(text, place.git.date)


def matching(runs: Sequence[Run], asked: Condition | None) -> list[Run]:
    """Returns the runs for which a condition is true, all if there is none."""
    if asked is None:
        return list(runs)
    from gittrack.query import evaluate

    return [run for run in runs if evaluate.matches(asked, run)]


def is_live(run: Run) -> bool:
    """Tells whether a run has no commit yet."""
    return run.oid is None


def short(run: Run | RunId) -> str:
    """Returns the first letters of an id."""
    text = run if isinstance(run, str) else run.id
    return text[:8]


def now() -> datetime:
    """Returns the time."""
    return datetime.now(UTC)


def pager(place: Repo) -> str | None:
    """Returns git's pager; none if git started one for us already."""
    if place.git.environ.get("GIT_PAGER_IN_USE") == "true":
        return None
    return place.git.variable("GIT_PAGER")


def screen(place: Repo | None, colour: str | None) -> output.Screen:
    """Returns where results go, with colour as flag, NO_COLOR, `color.track` and `color.ui` say, in this order."""
    choice = colour or "auto"
    if choice == "auto" and place is not None and output.Screen().terminal:
        configured = (place.settings.git("color.track") or place.settings.git("color.ui") or "auto").lower()
        choice = {"false": "never", "never": "never", "no": "never", "always": "always"}.get(configured, "auto")
    return output.Screen(colour=choice)


def colour_option(function: F) -> F:
    """Adds `--color`."""
    return click.option(
        "--color", "colour", type=click.Choice(["auto", "always", "never"]), help="When to use colour."
    )(function)


def quiet_option(function: F) -> F:
    """Adds `--quiet`."""
    return click.option("-q", "--quiet", is_flag=True, help="Say only what is wrong.")(function)


def require_commit(run: Run) -> Run:
    """Returns the run if it has a commit; raises GittrackError if it is still being recorded."""
    if is_live(run):
        raise GittrackError(
            f"run '{run.name}' is still being recorded", hint="wait until it ends, or `git track finish` it"
        )
    return run


__all__ = ["RUNS", "Runs", "is_run_id"]


class Finite(click.FloatRange):
    """A range of numbers, which NaN is not in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Returns the number; fails for what is none."""
        found = super().convert(value, param, ctx)
        if found != found:
            self.fail(f"{value!r} is no number", param, ctx)
        return found


class JsonCommand(click.Command):
    """A command whose `--json` may stand alone or name fields (`--json=id,metrics`), and never takes the next word."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses, with a bare `--json` read as one without fields."""
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, ["--json=" if arg == "--json" else arg for arg in args[:end]] + args[end:])


def json_option(function: F) -> F:
    """Adds `--json[=FIELDS]`."""
    return click.option("--json", "as_json", metavar="[=FIELDS]", help="Print JSON; FIELDS selects.")(function)


def assignments(words: Sequence[str]) -> dict[str, Any]:
    """Returns `k=v` words as a nested mapping; values are read as YAML 1.2 scalars. Raises UsageError."""
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"'{word}' is no param", hint="write it as name=value")
        found[name] = param_value(name, value)
    return found


def param_value(name: str, text: str) -> Any:
    """Returns a param's value, read as a YAML 1.2 scalar; a password of digits stays the text that it is."""
    from gittrack import redact
    from gittrack.codec import yaml12

    return text if redact.is_secret(name, text) else yaml12.resolve(text)
